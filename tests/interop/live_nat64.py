#!/usr/bin/python3
"""HyperplaneNAT's NAT64 between two kernels: a host that has only IPv6 and a
server that has only IPv4.  What the gateway makes of either one's packets is
judged by the other's checks of lengths and checksums."""
import hashlib
import os
import unittest

from netns import BehindGate, Lab, PEERS, PYTHON, require

SERVER = "203.0.113.9"
SERVER6 = "64:ff9b::203.0.113.9"
HOST = "2001:db8::2"
PUBLIC = "198.51.100.1"
GATE_IN, GATE_OUT = "02:00:00:00:01:01", "02:00:00:00:01:02"
HOST_IN, HOST_OUT = "02:00:00:00:02:01", "02:00:00:00:02:02"

GRAPH = """
Interface inside { }
Interface outside { }
HyperplaneNAT nat { public = %s  private = 10.0.0.220  inside-mtu = 1500 }
EtherRewrite to-out { src = %s dst = %s }
EtherRewrite to-in  { src = %s dst = %s }
connect("inside -> CheckIP -> DecTTL -> [inside]nat[outside] -> to-out")
connect("to-out -> outside")
connect("outside -> CheckIP -> DecTTL -> [outside]nat[inside] -> to-in")
connect("to-in -> inside")
""" % (PUBLIC, GATE_OUT, HOST_OUT, GATE_IN, HOST_IN)


class Nat64(BehindGate, unittest.TestCase):
    def setUp(self):
        self.lab = lab = Lab().__enter__()
        self.addCleanup(lab.__exit__)
        self.inside = lab.namespace("in")
        self.outside = lab.namespace("out")
        gate = lab.namespace("gate")
        for space, end, host_mac, gate_mac in (
                (self.inside, "gate-in", HOST_IN, GATE_IN),
                (self.outside, "gate-out", HOST_OUT, GATE_OUT)):
            lab.veth((space, "eth0"), (gate, end))
            lab.ip(space, "link", "set", "eth0", "address", host_mac)
            lab.ip(gate, "link", "set", end, "address", gate_mac)
        lab.address(self.inside, "eth0", HOST + "/64")
        lab.address(self.outside, "eth0", SERVER + "/24")
        self.neighbour(self.inside, "2001:db8::1", GATE_IN)
        lab.ip(self.inside, "route", "add", "64:ff9b::/96", "via",
               "2001:db8::1", "dev", "eth0")
        lab.ip(self.outside, "route", "add", PUBLIC, "dev", "eth0")
        self.neighbour(self.outside, PUBLIC, GATE_OUT)
        lab.peers(self.outside)
        self.gate = lab.headgate(gate, lab.file("nat64.conf", GRAPH),
                                 "inside=raw:gate-in",
                                 "outside=raw:gate-out", "--json",
                                 receiving=2)

    def test_ping_of_every_size_is_answered(self):
        for size in ("0", "1", "56", "1200"):
            out = self.lab.run(self.inside, "ping", "-6", "-c", "3", "-i",
                               "0.05", "-W", "2", "-s", size, SERVER6)
            self.assertIn(" 0% packet loss", out)

    def test_the_server_sees_the_public_address(self):
        self.assertEqual(self.curl("http://[%s]:8080/whoami" % SERVER6),
                         PUBLIC)

    def test_a_download_and_an_upload_arrive_unchanged(self):
        payload = os.urandom(3 << 20)
        path = self.lab.file("payload", payload)
        digest = hashlib.sha256(payload).hexdigest()
        got = os.path.join(self.lab.folder, "got")
        self.curl("-o", got, "http://[%s]:8080/payload" % SERVER6)
        with open(got, "rb") as file:
            self.assertEqual(hashlib.sha256(file.read()).hexdigest(), digest)
        self.assertEqual(
            self.curl("-T", path, "http://[%s]:8080/up" % SERVER6), digest)

    def test_udp_passes_in_one_piece_and_in_many(self):
        for size in (1, 2, 1000, 1300, 1472, 5000):
            text = "z" * size
            out = self.lab.run(self.inside, PYTHON, PEERS, "ask", SERVER6,
                               text).split()
            self.assertEqual((out[0], out[1]), (PUBLIC, text))

    def test_the_servers_error_messages_come_through(self):
        # A closed port: the server's kernel answers port unreachable, which
        # the client's kernel believes only of its own packet.
        code = ("import socket; "
                "s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); "
                "s.settimeout(5); s.connect(('%s', 9)); s.send(b'x')\n"
                "try: s.recv(1)\n"
                "except ConnectionRefusedError: print('refused')" % SERVER6)
        self.assertEqual(self.lab.run(self.inside, PYTHON, "-c", code),
                         "refused\n")

    def test_an_upload_to_a_narrow_link_arrives(self):
        # The server announces a smaller MSS, which reaches the host.
        self.lab.ip(self.outside, "link", "set", "eth0", "mtu", "1400")
        payload = os.urandom(1 << 20)
        path = self.lab.file("payload", payload)
        self.assertEqual(
            self.curl("-T", path, "http://[%s]:8080/up" % SERVER6),
            hashlib.sha256(payload).hexdigest())


if __name__ == "__main__":
    require("ping", "curl")
    unittest.main(verbosity=2)
