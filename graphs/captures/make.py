#!/usr/bin/python3
"""Makes the captures of this folder, the same bytes on every run.

    /usr/bin/python3 graphs/captures/make.py [FOLDER]

nat-gateway.pcap   what instances behind graphs/nat-gateway.conf send: TCP
                   connections, DNS, pings, a traceroute, fragments, an ICMP
                   error, what a NAT gateway refuses, and a connection that
                   goes on after 400 idle seconds
internet.pcap      what arrives from the internet unasked in the meantime:
                   scans, pings, a late reply, an ICMP error about nothing

vpc-router.pcap    what hosts send to graphs/vpc-router.conf in GENEVE: flows
                   of two VPCs with the same addresses, some refused by a
                   security group, a network ACL or the mapping, some forged

Replies to nat-gateway.pcap are not here, because they depend on the ports
that the NAT chooses: bind its outside to echo: to see them.
"""
import os
import sys

from scapy.contrib.geneve import GENEVE
from scapy.all import (ARP, DNS, DNSQR, GRE, ICMP, IP, TCP, UDP, Ether,
                       ICMPv6EchoRequest, IPv6, Raw, fragment, wrpcap)

START = 1700000000  # 2023-11-14 22:13:20 UTC
GATEWAY_MAC = "02:00:00:00:00:01"
OUTSIDE_MAC = "02:00:00:00:00:02"
ROUTER_MAC = "02:00:00:00:00:fe"
WEB = "203.0.113.10"
MAIL = "203.0.113.25"
DNS_SERVER = "192.0.2.53"
PUBLIC = ("198.51.100.1", "198.51.100.2")


class Capture:
    """Packets with times; each add() is 'gap' seconds after the last."""

    def __init__(self, src_mac, dst_mac):
        self.ether = Ether(src=src_mac, dst=dst_mac)
        self.packets = []

    def add(self, packet, at):
        frame = packet if Ether in packet else self.ether / packet
        # Built and taken apart again: lengths and checksums are filled in.
        frame = Ether(bytes(frame))
        frame.time = START + at
        self.packets.append(frame)

    def write(self, path):
        self.packets.sort(key=lambda frame: frame.time)
        wrpcap(path, self.packets)


def client(n):
    return "10.0.%d.%d" % (n // 8, 10 + n % 8)


def tcp_connection(capture, src, sport, dst, dport, at, requests, close="FA"):
    """The client's half of a connection; the server's half is guessed to
    start at sequence number 5000 and to answer 1000 bytes a request."""
    ip = IP(src=src, dst=dst, id=sport & 0xfff, flags="DF", ttl=64)
    seq, ack = 1000 + sport, 5001

    def send(flags, at, payload=b"", options=()):
        capture.add(ip / TCP(sport=sport, dport=dport, flags=flags, seq=seq,
                             ack=ack if "A" in flags else 0, window=64240,
                             options=list(options)) / Raw(payload), at)

    send("S", at, options=[("MSS", 1460), ("SAckOK", b""), ("NOP", None),
                           ("WScale", 7)])
    seq += 1
    send("A", at + 0.020)
    for n, request in enumerate(requests):
        send("PA", at + 0.021 + 0.100 * n, request)
        seq += len(request)
        ack += 1000
        send("A", at + 0.060 + 0.100 * n)
    if close:
        send(close, at + 0.100 + 0.100 * len(requests))
        if close == "FA":
            seq += 1
            ack += 1
            send("A", at + 0.130 + 0.100 * len(requests))
    return seq, ack


def web_traffic(capture):
    get = b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
    for n in range(24):
        tcp_connection(capture, client(n % 12), 40000 + n, WEB, 80,
                       0.5 + 0.15 * n, [get] * (1 + n % 4))
    # The same source port on several hosts, to one server: only different
    # external ports keep them apart.
    for n in range(6):
        tcp_connection(capture, client(n), 50000, WEB, 80, 5 + 0.01 * n,
                       [get])
    # One host, one source port, several servers.
    for n in range(4):
        tcp_connection(capture, client(1), 51000, "203.0.113.%d" % (20 + n),
                       80, 6 + 0.01 * n, [get], close="RA")


def datagrams(capture):
    names = ("example.com", "example.net", "example.org")
    for n in range(18):
        capture.add(IP(src=client(n % 9), dst=DNS_SERVER, id=n) /
                    UDP(sport=33000 + n, dport=53) /
                    DNS(id=n, rd=1, qd=DNSQR(qname=names[n % 3])),
                    0.2 + 0.31 * n)
    # No UDP checksum (RFC 768), and a datagram of odd length.
    capture.add(IP(src=client(3), dst=DNS_SERVER) /
                UDP(sport=34000, dport=514, chksum=0) / Raw(b"no checksum"),
                3.3)
    capture.add(IP(src=client(3), dst=DNS_SERVER) /
                UDP(sport=34001, dport=514) / Raw(b"odd"), 3.4)
    # Payloads of no, one and two bytes.
    for n in range(3):
        capture.add(IP(src=client(4), dst=DNS_SERVER, id=200 + n) /
                    UDP(sport=34100, dport=4000) / Raw(b"x" * n), 3.5 + n)


def pings(capture):
    for host in range(4):
        for n in range(4):
            capture.add(IP(src=client(host), dst=WEB, id=n) /
                        ICMP(id=77, seq=n + 1) / Raw(b"headgate" * 7),
                        1 + n + 0.01 * host)


def fragments(capture):
    big = (IP(src=client(5), dst=MAIL, id=4711) /
           UDP(sport=35000, dport=2049) / Raw(bytes(range(256)) * 14))
    for n, piece in enumerate(fragment(big, fragsize=1480)):
        capture.add(piece, 4 + 0.001 * n)
    # Out of order: the first fragment, which has the ports, comes last.
    other = (IP(src=client(6), dst=MAIL, id=4712) /
             UDP(sport=35001, dport=2049) / Raw(b"late" * 800))
    for n, piece in enumerate(reversed(fragment(other, fragsize=1480))):
        capture.add(piece, 4.1 + 0.001 * n)
    # TCP and ICMP in fragments: a NAT gateway drops these.
    stream = (IP(src=client(5), dst=WEB, id=4713) /
              TCP(sport=35002, dport=80, flags="A", seq=1, ack=1) /
              Raw(b"t" * 2000))
    for n, piece in enumerate(fragment(stream, fragsize=1000)):
        capture.add(piece, 4.2 + 0.001 * n)
    ping = (IP(src=client(5), dst=WEB, id=4714) / ICMP(id=78, seq=1) /
            Raw(b"p" * 3000))
    for n, piece in enumerate(fragment(ping, fragsize=1480)):
        capture.add(piece, 4.3 + 0.001 * n)


def errors(capture):
    # A host has closed the port that a DNS answer came to.
    question = bytes(IP(src=DNS_SERVER, dst=client(0)) /
                     UDP(sport=53, dport=33000) / Raw(b"answer" * 4))
    capture.add(IP(src=client(0), dst=DNS_SERVER) /
                ICMP(type=3, code=3) / Raw(question), 0.9)
    # traceroute: the first hop is this gateway.
    for ttl in range(1, 5):
        for n in range(3):
            capture.add(IP(src=client(7), dst=WEB, ttl=ttl, id=ttl) /
                        UDP(sport=36000, dport=33434 + 3 * ttl + n) /
                        Raw(b"@" * 32), 7 + 0.1 * ttl + 0.01 * n)
    # Headers that CheckIP refuses.
    capture.add(IP(src=client(8), dst=WEB, chksum=0x1234) /
                UDP(sport=37000, dport=9) / Raw(b"bad checksum"), 8)
    capture.add(IP(src=client(8), dst=WEB, len=200) /
                UDP(sport=37000, dport=9) / Raw(b"cut"), 8.1)
    capture.add(IP(src="127.0.0.1", dst=WEB) / UDP(sport=37000, dport=9),
                8.2)
    # What a NAT gateway does not translate.
    capture.add(IP(src=client(8), dst=WEB) / GRE() /
                IP(src="192.168.0.1", dst="192.168.0.2") / ICMP(), 8.3)
    capture.add(IPv6(src="2001:db8::8", dst="2001:db8:1::1") /
                ICMPv6EchoRequest(id=1, seq=1), 8.4)
    capture.add(Ether(src="02:00:00:00:01:08", dst="ff:ff:ff:ff:ff:ff") /
                ARP(op=1, hwsrc="02:00:00:00:01:08", psrc=client(8),
                    pdst="10.0.0.1"), 8.5)
    # In the middle of a connection that the gateway has never seen begin.
    capture.add(IP(src=client(8), dst=WEB) /
                TCP(sport=38000, dport=443, flags="PA", seq=7, ack=9) /
                Raw(b"hello?"), 8.6)


def idle_connection(capture):
    """Open for a while, silent for 400 s, then it goes on: too late."""
    seq, ack = tcp_connection(capture, client(2), 45000, MAIL, 25, 9,
                              [b"EHLO client.example\r\n"], close=None)
    ip = IP(src=client(2), dst=MAIL, flags="DF")
    capture.add(ip / TCP(sport=45000, dport=25, flags="PA", seq=seq,
                         ack=ack) / Raw(b"MAIL FROM:<a@example.com>\r\n"),
                410)
    tcp_connection(capture, client(2), 45001, MAIL, 25, 410.5,
                   [b"EHLO client.example\r\n", b"QUIT\r\n"])
    # UDP keeps its mapping with a packet a minute.
    for n in range(8):
        capture.add(IP(src=client(9), dst=MAIL, id=n) /
                    UDP(sport=39000, dport=4500) / Raw(b"\xff"),
                    10 + 60 * n)


def unasked(capture):
    for n in range(20):
        capture.add(IP(src="192.0.2.66", dst=PUBLIC[n % 2], ttl=52) /
                    TCP(sport=61000, dport=(22, 23, 80, 443, 3389)[n % 5],
                        flags="S", seq=n), 0.7 + 0.2 * n)
    for n in range(4):
        capture.add(IP(src="192.0.2.67", dst=PUBLIC[0]) /
                    ICMP(id=9, seq=n), 2 + n)
    capture.add(IP(src=DNS_SERVER, dst=PUBLIC[1]) /
                UDP(sport=53, dport=2000) / Raw(b"late answer"), 5)
    capture.add(IP(src="192.0.2.68", dst=PUBLIC[0]) /
                ICMP(type=3, code=1) /
                IP(src=PUBLIC[0], dst="192.0.2.69") /
                UDP(sport=1030, dport=7), 6)
    capture.add(IP(src="192.0.2.70", dst=PUBLIC[0], ttl=1) /
                TCP(sport=1, dport=80, flags="S"), 6.5)


# Who is on which host, as in graphs/inventory/vpc-router.conf.
ROUTER_HOST = "192.0.2.1"
VPCS = {"red": 100, "blue": 200}
HOSTS = {("red", "10.0.1.10"): "192.0.2.11", ("red", "10.0.1.11"): "192.0.2.12",
         ("red", "10.0.2.10"): "192.0.2.12", ("red", "10.0.3.10"): "192.0.2.13",
         ("blue", "10.0.1.10"): "192.0.2.13",
         ("blue", "10.0.2.10"): "192.0.2.11",
         ("blue", "10.0.3.10"): "192.0.2.11"}


def instance_mac(vpc, address):
    net, host = (int(part) for part in address.split(".")[2:])
    return "02:00:00:%02x:%02x:%02x" % (list(VPCS).index(vpc) + 1, net, host)


class Fabric(Capture):
    """Packets of instances, in the tunnels of their hosts."""

    def __init__(self):
        super().__init__("02:00:00:00:fa:fe", "02:00:00:00:fa:01")

    def send(self, vpc, inner, at, host=None, vni=None):
        host = host or HOSTS[vpc, inner[IP].src]
        frame = Ether(src=instance_mac(vpc, inner[IP].src),
                      dst=GATEWAY_MAC) / inner
        self.add(self.ether /
                 IP(src=host, dst=ROUTER_HOST, id=0, flags="DF") /
                 UDP(sport=50000 + inner[IP].id % 1000, dport=6081, chksum=0) /
                 GENEVE(vni=vni or VPCS[vpc], proto=0x6558) / frame, at)

    def connection(self, vpc, src, dst, sport, dport, at, requests):
        """Both halves of a TCP connection, as their hosts send them."""
        here = IP(src=src, dst=dst, id=sport & 0xfff, flags="DF")
        there = IP(src=dst, dst=src, id=dport & 0xfff, flags="DF")
        seq, ack = 1000, 5000
        steps = [(here / TCP(sport=sport, dport=dport, flags="S", seq=seq)),
                 (there / TCP(sport=dport, dport=sport, flags="SA", seq=ack,
                              ack=seq + 1))]
        seq, ack = seq + 1, ack + 1
        steps.append(here / TCP(sport=sport, dport=dport, flags="A", seq=seq,
                                ack=ack))
        for n in range(requests):
            question = b"question %d\n" % n
            answer = b"answer %d\n" % n * 20
            steps.append(here / TCP(sport=sport, dport=dport, flags="PA",
                                    seq=seq, ack=ack) / Raw(question))
            seq += len(question)
            steps.append(there / TCP(sport=dport, dport=sport, flags="PA",
                                     seq=ack, ack=seq) / Raw(answer))
            ack += len(answer)
        steps.append(here / TCP(sport=sport, dport=dport, flags="FA", seq=seq,
                                ack=ack))
        steps.append(there / TCP(sport=dport, dport=sport, flags="FA", seq=ack,
                                 ack=seq + 1))
        steps.append(here / TCP(sport=sport, dport=dport, flags="A",
                                seq=seq + 1, ack=ack + 1))
        for n, packet in enumerate(steps):
            self.send(vpc, packet, at + n * 0.01)


def vpc_router(fabric):
    web, web2, app, db = "10.0.1.10", "10.0.1.11", "10.0.2.10", "10.0.3.10"

    # The same connections in both VPCs: web to app, app to db.
    for n, vpc in enumerate(VPCS):
        fabric.connection(vpc, web, app, 40000 + n, 8080, n * 0.002, 3)
        fabric.connection(vpc, app, db, 41000 + n, 5432, 5 + n * 0.002, 2)

    # Within a subnet no network ACL looks.
    fabric.connection("red", web2, web, 42000, 443, 10, 1)
    # A ping, and its answer.
    for n in range(4):
        ping = ICMP(type="echo-request", id=7, seq=n) / Raw(b"x" * 56)
        pong = ICMP(type="echo-reply", id=7, seq=n) / Raw(b"x" * 56)
        fabric.send("red", IP(src=app, dst=web, id=n) / ping, 12 + n)
        fabric.send("red", IP(src=web, dst=app, id=n) / pong, 12.01 + n)

    # Refused by the network ACL of the databases: web may not.
    for n in range(3):
        fabric.send("red", IP(src=web, dst=db, id=n) /
                    TCP(sport=43000, dport=5432, flags="S"), 20 + n)
    # Refused by the security group: ssh to app.
    for n in range(3):
        fabric.send("blue", IP(src=web, dst=app, id=n) /
                    TCP(sport=44000, dport=22, flags="S"), 24 + n)
    # And on its way out: db begins nothing.
    for n in range(2):
        fabric.send("red", IP(src=db, dst=app, id=n) /
                    TCP(sport=44100, dport=8080, flags="S"), 27 + n)

    # An address that only the other VPC has.
    fabric.send("blue", IP(src=web, dst=web2) /
                TCP(sport=45000, dport=443, flags="S"), 30)
    # From a host that the sender is not on; and of no VPC at all.
    fabric.send("red", IP(src=web, dst=app) /
                TCP(sport=46000, dport=8080, flags="S"), 31,
                host="192.0.2.13")
    fabric.send("red", IP(src=web, dst=app) /
                TCP(sport=46001, dport=8080, flags="S"), 32, vni=300)
    # Beyond the VPC there is no route.
    fabric.send("red", IP(src=web, dst="203.0.113.9") /
                UDP(sport=47000, dport=53) / Raw(b"hello"), 33)

    # A minute later, in the next window of the log.
    fabric.connection("red", web, app, 40100, 8080, 75, 1)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(
        os.path.abspath(__file__))
    inside = Capture(ROUTER_MAC, GATEWAY_MAC)
    for part in (web_traffic, datagrams, pings, fragments, errors,
                 idle_connection):
        part(inside)
    inside.write(os.path.join(folder, "nat-gateway.pcap"))
    internet = Capture(ROUTER_MAC, OUTSIDE_MAC)
    unasked(internet)
    internet.write(os.path.join(folder, "internet.pcap"))
    fabric = Fabric()
    vpc_router(fabric)
    fabric.write(os.path.join(folder, "vpc-router.pcap"))


if __name__ == "__main__":
    main()
