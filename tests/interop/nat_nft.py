#!/usr/bin/python3
"""HyperplaneNAT against the kernel's NAT: the same packets, one after the
other, through nftables in a network namespace and through headgate in
another, live.  Compared is what happens to each: does it pass, from which
address, does the answer find its way back to the host that asked.

Where the two differ on purpose, the table of steps says so and why; such a
step fails if they agree, for then the reason is no longer true.

Needs root; makes its namespaces, and removes them again."""
import atexit
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import support  # noqa: E402
from support import Packet  # noqa: E402
from scapy.all import GRE, IP, TCP, UDP, Raw, fragment  # noqa: E402
from scapy.all import ICMP as ScapyICMP  # noqa: E402

PREFIX = "hg-nft-%d" % os.getpid()
PUBLIC = "198.51.100.1"
GATEWAY = "10.0.0.1"
HOSTS = ("10.0.0.10", "10.0.0.11")
SERVER, OTHER, ROUTER = "203.0.113.10", "203.0.113.11", "192.0.2.1"
MAC = {"in-gw": "02:00:00:00:00:01", "out-gw": "02:00:00:00:00:02",
       "in": "02:00:00:00:00:fe", "out": "02:00:00:00:00:fd"}
WAIT = 0.15

NFT = """
table ip gateway {
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        ct state invalid drop
        iifname "in-gw" accept
    }
    chain input {
        type filter hook input priority 0; policy drop;
        iifname "in-gw" accept
    }
    chain nat {
        type nat hook postrouting priority 100;
        oifname "out-gw" snat to %s
    }
}
""" % PUBLIC


def sh(*command, **options):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE, **options)


def socket_in(namespace, interface):
    """A packet socket on an interface of another namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net", "rb") as home, \
            open("/run/netns/" + namespace, "rb") as there:
        if libc.setns(there.fileno(), 0):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                 socket.htons(3))
            sock.bind((interface, 3))
        finally:
            libc.setns(home.fileno(), 0)
    sock.setblocking(False)
    return sock


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


class Gateway:
    """Two namespaces: 'hosts' has both far ends, 'gw' the gateway."""

    def __init__(self, name):
        self.name = name
        self.gw = "%s-%s" % (PREFIX, name)
        self.hosts = self.gw + "-hosts"
        self.program = None
        atexit.register(self.close)
        for namespace in (self.gw, self.hosts):
            sh("ip", "netns", "add", namespace)
            sh("ip", "netns", "exec", namespace, "sysctl", "-qw",
               "net.ipv6.conf.all.disable_ipv6=1",
               "net.ipv6.conf.default.disable_ipv6=1")
        for side in ("in", "out"):
            sh("ip", "-n", self.gw, "link", "add", "name", side + "-gw",
               "address", MAC[side + "-gw"], "type", "veth", "peer", "name",
               side, "address", MAC[side], "netns", self.hosts)
            sh("ip", "-n", self.hosts, "link", "set", side, "up")
            sh("ip", "-n", self.gw, "link", "set", side + "-gw", "up")
        self.sockets = {side: socket_in(self.hosts, side)
                        for side in ("in", "out")}

    def close(self):
        if self.program:
            self.program.send_signal(signal.SIGTERM)
            try:
                self.program.wait(5)
            except subprocess.TimeoutExpired:
                self.program.kill()
                self.program.wait()
            self.program = None
        for namespace in (self.gw, self.hosts):
            subprocess.run(["ip", "netns", "del", namespace], check=False,
                           stderr=subprocess.DEVNULL)

    def start_kernel(self):
        def gw(*command):
            sh("ip", "-n", self.gw, *command)

        gw("addr", "add", GATEWAY + "/24", "dev", "in-gw")
        gw("addr", "add", PUBLIC + "/24", "dev", "out-gw")
        for host in HOSTS:
            gw("neigh", "add", host, "lladdr", MAC["in"], "dev", "in-gw")
        gw("neigh", "add", "198.51.100.254", "lladdr", MAC["out"], "dev",
           "out-gw")
        gw("route", "add", "default", "via", "198.51.100.254")
        sh("ip", "netns", "exec", self.gw, "sysctl", "-qw",
           "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0",
           "net.ipv4.icmp_ratelimit=0")
        sh("ip", "netns", "exec", self.gw, "nft", "-f", "-",
           input=NFT.encode())

    def start_headgate(self):
        graph = os.path.join(support.ROOT, "graphs", "nat-gateway.conf")
        self.program = subprocess.Popen(
            ["ip", "netns", "exec", self.gw, support.HEADGATE, "run", graph,
             "inside=raw:in-gw", "outside=raw:out-gw", "-o",
             "nat.public=" + PUBLIC],
            env=dict(os.environ, INSIDE_MAC=MAC["in-gw"],
                     OUTSIDE_MAC=MAC["out-gw"], INSIDE_NEXT_HOP_MAC=MAC["in"],
                     OUTSIDE_NEXT_HOP_MAC=MAC["out"],
                     INSIDE_ADDRESS=GATEWAY),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        # It is up when a packet passes.
        probe = IP(src=HOSTS[0], dst=OTHER) / UDP(sport=9, dport=9)
        for _ in range(50):
            if self.exchange("in", [probe])["out"]:
                return
            if self.program.poll() is not None:
                raise AssertionError("headgate ended: " + self.program
                                     .stderr.read().decode())
        raise AssertionError("headgate lets nothing pass")

    def exchange(self, side, packets):
        """Sends packets in at one side; what comes out, by side."""
        for sock in self.sockets.values():
            self.receive(sock)
        ether = mac_bytes(MAC[side + "-gw"]) + mac_bytes(MAC[side]) + \
            b"\x08\x00"
        for packet in packets:
            self.sockets[side].send(ether + bytes(packet))
        time.sleep(WAIT)
        return {name: self.receive(sock)
                for name, sock in self.sockets.items()}

    @staticmethod
    def receive(sock):
        packets = []
        while True:
            try:
                frame, source = sock.recvfrom(65536)
            except BlockingIOError:
                return packets
            if source[2] == socket.PACKET_OUTGOING:
                continue
            packet = Packet(frame)
            if packet.ok:
                packets.append(packet)


def describe(sent, result):
    """What became of the packets, without what may differ (ports)."""
    kinds = []
    for side in ("in", "out"):
        pieces = [p for p in result[side] if not p.is_error and
                  not (p.proto == 6 and p.l4[13] & 4 and
                       p.src != sent[0].src)]
        if pieces:
            size = sum(len(p.l4) for p in pieces)
            kinds.append("%s: from %s to %s, %d bytes" % (
                side, pieces[0].src, pieces[0].dst, size))
        for p in result[side]:
            if p.is_error:
                kinds.append("%s: ICMP error %d/%d to %s about %s" % (
                    side, p.l4[0], p.l4[1], p.dst,
                    support.address(p.l4[24:28])))
            if p not in pieces and not p.is_error:
                kinds.append("%s: RST to %s" % (side, p.dst))
    return "; ".join(kinds) or "nothing"


class Steps:
    """Runs the steps on one gateway and notes what became of each."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.outcome = {}

    def step(self, name, side, *packets):
        result = self.gateway.exchange(side, packets)
        self.outcome[name] = describe(packets, result)
        return result

    def ports(self, result):
        """Source address and port (or echo identifier) that came out."""
        first = next((p for p in result["out"] if p.sport is not None), None)
        return (first.src, first.sport) if first else (PUBLIC, 1)

    def run(self):
        self.tcp()
        self.udp()
        self.echo()
        self.errors()
        self.fragments()
        self.refused()
        return self.outcome

    def tcp(self):
        def out(host, flags, seq, ack, **more):
            return IP(src=host, dst=SERVER) / TCP(
                sport=40000, dport=80, flags=flags, seq=seq, ack=ack, **more)

        def back(port, flags, seq, ack, data=b""):
            return IP(src=SERVER, dst=PUBLIC) / TCP(
                sport=80, dport=port, flags=flags, seq=seq, ack=ack) / \
                Raw(data)

        ports = []
        for n, host in enumerate(HOSTS):
            who = "tcp host %d: " % n
            _, port = self.ports(self.step(
                who + "SYN", "in", out(host, "S", 100, 0)))
            ports.append(port)
            self.step(who + "SYN-ACK", "out", back(port, "SA", 500, 101))
            self.step(who + "ACK", "in", out(host, "A", 101, 501))
            self.step(who + "data", "in",
                      out(host, "PA", 101, 501) / Raw(b"GET /"))
            self.step(who + "answer", "out",
                      back(port, "PA", 501, 106, b"200 OK"))
        self.outcome["tcp: two hosts, same ports"] = (
            "distinct ports outside" if ports[0] != ports[1] else "collision")
        self.step("tcp: a stranger to the mapped port", "out",
                  IP(src=OTHER, dst=PUBLIC) /
                  TCP(sport=80, dport=ports[0], flags="S"))
        self.step("tcp host 0: FIN", "in", out(HOSTS[0], "FA", 106, 507))
        self.step("tcp host 0: FIN answered", "out",
                  back(ports[0], "FA", 507, 107))
        self.step("tcp host 0: last ACK", "in", out(HOSTS[0], "A", 107, 508))
        self.step("tcp host 1: RST", "out", back(ports[1], "RA", 507, 106))

    def udp(self):
        def out(dst, dport, data=b"question"):
            return IP(src=HOSTS[0], dst=dst) / UDP(sport=5000, dport=dport) / \
                Raw(data)

        _, port = self.ports(self.step("udp: question", "in",
                                       out(SERVER, 53)))
        self.step("udp: answer", "out", IP(src=SERVER, dst=PUBLIC) /
                  UDP(sport=53, dport=port) / Raw(b"answer"))
        self.step("udp: from another port of the server", "out",
                  IP(src=SERVER, dst=PUBLIC) / UDP(sport=54, dport=port) /
                  Raw(b"wrong port"))
        self.step("udp: from another host", "out",
                  IP(src=OTHER, dst=PUBLIC) / UDP(sport=53, dport=port) /
                  Raw(b"wrong host"))
        self.step("udp: no checksum", "in",
                  IP(src=HOSTS[0], dst=SERVER) /
                  UDP(sport=5001, dport=53, chksum=0) / Raw(b"x"))
        self.udp_port = port

    def echo(self):
        ids = []
        for n, host in enumerate(HOSTS):
            _, number = self.ports(self.step(
                "ping host %d: request" % n, "in",
                IP(src=host, dst=SERVER) / ScapyICMP(id=7, seq=1) /
                Raw(b"payload")))
            ids.append(number)
            self.step("ping host %d: reply" % n, "out",
                      IP(src=SERVER, dst=PUBLIC) /
                      ScapyICMP(type=0, id=number, seq=1) / Raw(b"payload"))
        self.outcome["ping: two hosts, same identifier"] = (
            "distinct identifiers outside" if ids[0] != ids[1]
            else "collision")
        self.step("ping: unasked reply", "out", IP(src=OTHER, dst=PUBLIC) /
                  ScapyICMP(type=0, id=ids[0], seq=1))

    def errors(self):
        quote = IP(src=PUBLIC, dst=SERVER) / UDP(sport=self.udp_port,
                                                 dport=53) / Raw(b"question")
        for code, name in ((3, "port unreachable"),
                           (4, "fragmentation needed")):
            self.step("error: " + name, "out",
                      IP(src=ROUTER, dst=PUBLIC) /
                      ScapyICMP(type=3, code=code, nexthopmtu=1400
                                if code == 4 else 0) / Raw(bytes(quote)))
        self.step("error: time exceeded, eight bytes quoted", "out",
                  IP(src=ROUTER, dst=PUBLIC) / ScapyICMP(type=11, code=0) /
                  Raw(bytes(quote)[:28]))
        stranger = IP(src=PUBLIC, dst=OTHER) / UDP(sport=7777, dport=7)
        self.step("error: about no connection", "out",
                  IP(src=ROUTER, dst=PUBLIC) / ScapyICMP(type=3, code=1) /
                  Raw(bytes(stranger)))
        answer = IP(src=SERVER, dst=HOSTS[0]) / UDP(sport=53, dport=5000) / \
            Raw(b"answer")
        self.step("error: of the host inside, about an answer", "in",
                  IP(src=HOSTS[0], dst=SERVER) / ScapyICMP(type=3, code=3) /
                  Raw(bytes(answer)))
        self.step("ttl: runs out here", "in",
                  IP(src=HOSTS[0], dst=SERVER, ttl=1) /
                  UDP(sport=5002, dport=33434) / Raw(b"traceroute"))

    def fragments(self):
        pieces = fragment(IP(src=HOSTS[0], dst=SERVER, id=99) /
                          UDP(sport=5003, dport=2049) / Raw(b"f" * 3000),
                          fragsize=1480)
        self.step("fragments: udp", "in", *pieces)
        pieces = fragment(IP(src=HOSTS[0], dst=SERVER, id=100) /
                          ScapyICMP(id=8, seq=1) / Raw(b"f" * 3000),
                          fragsize=1480)
        self.step("fragments: ping", "in", *pieces)

    def refused(self):
        self.step("unasked SYN", "out", IP(src=OTHER, dst=PUBLIC) /
                  TCP(sport=1234, dport=22, flags="S"))
        self.step("unasked datagram", "out", IP(src=OTHER, dst=PUBLIC) /
                  UDP(sport=1234, dport=53))
        self.step("bad IP checksum", "in",
                  IP(src=HOSTS[0], dst=SERVER, chksum=0xbad) /
                  UDP(sport=5004, dport=53))
        self.step("longer than it is", "in",
                  IP(src=HOSTS[0], dst=SERVER, len=500) /
                  UDP(sport=5004, dport=53))
        self.step("martian source", "in", IP(src="127.0.0.1", dst=SERVER) /
                  UDP(sport=5004, dport=53))
        self.step("GRE", "in", IP(src=HOSTS[0], dst=SERVER) / GRE() /
                  IP(src="192.168.0.1", dst="192.168.0.2"))
        self.step("tcp: data on no connection", "in",
                  IP(src=HOSTS[0], dst=OTHER) /
                  TCP(sport=40100, dport=80, flags="PA", seq=1, ack=1) /
                  Raw(b"hello?"))


DIFFERENT = {
    "fragments: ping": "an AWS NAT gateway drops ICMP fragments",
    "GRE": "an AWS NAT gateway knows TCP, UDP and ICMP only",
    "tcp: data on no connection":
        "an AWS NAT gateway answers with a RST; the kernel picks "
        "connections up in the middle (nf_conntrack_tcp_loose)",
}


def main():
    if os.geteuid():
        support.skip("needs root for network namespaces")
    for tool in ("ip", "nft", "sysctl"):
        if subprocess.run(["which", tool], stdout=subprocess.DEVNULL,
                          check=False).returncode:
            support.skip("needs the program '%s'" % tool)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        kernel = Gateway("kernel")
        kernel.start_kernel()
    except subprocess.CalledProcessError as e:
        support.skip("no network namespaces or no nftables here: " +
                     e.stderr.decode().strip())
    expected = Steps(kernel).run()
    ours = Gateway("headgate")
    ours.start_headgate()
    got = Steps(ours).run()
    failures = 0
    for name, want in expected.items():
        same = got[name] == want
        if name in DIFFERENT:
            right = not same
            note = " (differs: %s)" % DIFFERENT[name] if right else ""
        else:
            right = same
            note = ""
        failures += not right
        print("%s %s: %s%s" % ("ok    " if right else "FAILED", name,
                               got[name], note))
        if not right:
            print("       kernel: %s" % want)
    print("%d steps, %d failures" % (len(expected), failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
