"""The NAT gateway of graphs/ between a host inside and a server outside."""
import hashlib
import os
import subprocess
import unittest

from netns import BehindGate, Lab, PEERS, PYTHON, ROOT, require

GRAPH = os.path.join(ROOT, "graphs", "nat-gateway.conf")
PUBLIC = ("198.51.100.1", "198.51.100.2")
SERVER = "203.0.113.9"
GATE_IN, GATE_OUT = "02:00:00:00:01:01", "02:00:00:00:01:02"
HOST_IN, HOST_OUT = "02:00:00:00:02:01", "02:00:00:00:02:02"
MACS = {"INSIDE_MAC": GATE_IN, "INSIDE_NEXT_HOP_MAC": HOST_IN,
        "OUTSIDE_MAC": GATE_OUT, "OUTSIDE_NEXT_HOP_MAC": HOST_OUT}


class Nat(BehindGate, unittest.TestCase):
    def setUp(self):
        self.lab = lab = Lab().__enter__()
        self.addCleanup(lab.__exit__)
        self.inside = lab.namespace("in")
        self.outside = lab.namespace("out")
        gate = lab.namespace("gate")
        for space, end, host_mac, gate_mac, address in (
                (self.inside, "gate-in", HOST_IN, GATE_IN, "10.0.0.2"),
                (self.outside, "gate-out", HOST_OUT, GATE_OUT, SERVER)):
            lab.veth((space, "eth0"), (gate, end))
            lab.ip(space, "link", "set", "eth0", "address", host_mac)
            lab.ip(gate, "link", "set", end, "address", gate_mac)
            lab.address(space, "eth0", address + "/24")
        # The gateway has no ARP: its neighbours know it.
        self.neighbour(self.inside, "10.0.0.1", GATE_IN)
        lab.ip(self.inside, "route", "add", "default", "via", "10.0.0.1")
        lab.ip(self.outside, "route", "add", "198.51.100.0/24", "dev", "eth0")
        for address in PUBLIC:
            self.neighbour(self.outside, address, GATE_OUT)
        lab.peers(self.outside)
        self.gate = lab.headgate(gate, GRAPH, "inside=raw:gate-in",
                                 "outside=raw:gate-out", "--json", receiving=2,
                                 env={**os.environ, **MACS})

    def ask(self, space, host, text):
        return self.lab.run(space, PYTHON, PEERS, "ask", host, text).strip()

    def test_ping_is_answered(self):
        out = self.lab.run(self.inside, "ping", "-c", "5", "-i", "0.05", "-W",
                           "2", SERVER)
        self.assertIn(" 0% packet loss", out)

    def test_the_server_sees_a_public_address(self):
        self.assertIn(self.curl("http://%s:8080/whoami" % SERVER), PUBLIC)
        for text in ("hello", "x" * 1400):
            address, answer = self.ask(self.inside, SERVER, text).split()
            self.assertIn(address, PUBLIC)
            self.assertEqual(answer, text)

    def test_fragments_of_udp_pass_both_ways(self):
        text = "y" * 5000
        self.assertEqual(self.ask(self.inside, SERVER, text).split()[1], text)

    def test_a_download_and_an_upload_arrive_unchanged(self):
        payload = os.urandom(5 << 20)
        path = self.lab.file("payload", payload)
        digest = hashlib.sha256(payload).hexdigest()
        got = os.path.join(self.lab.folder, "got")
        self.curl("-o", got, "http://%s:8080/payload" % SERVER)
        with open(got, "rb") as file:
            self.assertEqual(hashlib.sha256(file.read()).hexdigest(), digest)
        self.assertEqual(
            self.curl("-T", path, "http://%s:8080/up" % SERVER), digest)

    def test_connections_at_the_same_time_do_not_mix(self):
        clients = [self.lab.start(self.inside, PYTHON, PEERS, "ask", SERVER,
                                  "client-%d" % i) for i in range(20)]
        for i, process in enumerate(clients):
            out, err = process.communicate(timeout=20)
            self.assertEqual(err, b"")
            self.assertEqual(out.split()[1], b"client-%d" % i)

    def test_the_hosts_own_error_messages_come_through(self):
        # A closed port: the server's kernel answers port unreachable, which
        # the client sees only if NAT translates the quoted packet as well.
        code = ("import socket; s = socket.socket(type=socket.SOCK_DGRAM); "
                "s.settimeout(5); s.connect(('%s', 9)); s.send(b'x')\n"
                "try: s.recv(1)\n"
                "except ConnectionRefusedError: print('refused')" % SERVER)
        self.assertEqual(self.lab.run(self.inside, PYTHON, "-c", code),
                         "refused\n")

    def test_the_gateway_answers_an_expired_ttl(self):
        self.assertIn("From 10.0.0.1 ", self.lab.run(
            self.inside, "sh", "-c",
            "ping -c 1 -t 1 -W 2 %s || true" % SERVER))

    def test_nobody_outside_reaches_in_unasked(self):
        result = subprocess.run(
            ["ip", "netns", "exec", self.outside, "ping", "-c", "2", "-i",
             "0.05", "-W", "1", PUBLIC[0]], stdout=subprocess.PIPE,
            check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b" 100% packet loss", result.stdout)


if __name__ == "__main__":
    require("ping", "curl")
    unittest.main(verbosity=2)
