#!/usr/bin/python3
"""Several workers and a NAT, from outside: its flows go out, their packets
are captured, and what answers them is replayed.  Each answer must find its
flow, at whatever worker, so that what comes back inside is, byte for byte,
what one worker brings.

The ports differ with the number of workers, so each has answers of its own;
the same seed makes a run choose the same ports once more."""
import gzip
import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
import support  # noqa: E402

FLOWS = 600
MSEC = 10**6
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
ROUTER = bytes((192, 0, 2, 99))

GATEWAY = """
Interface in { }
Interface out { }
HyperplaneNAT nat { public = { 198.51.100.1, 198.51.100.2 } %s }
connect("in -> CheckIP -> [inside]nat[outside] -> out")
connect("out -> CheckIP -> [outside]nat[inside] -> in")
"""

# What comes in is let in since it is known, on either side of the NAT.
FILTERED = """
Interface in { }
Interface out { }
SecurityGroup before {
    group a { inbound { source = 10.9.9.9/32 } }
    related-icmp-errors = true
}
SecurityGroup behind {
    group b { inbound { source = 10.9.9.9/32 } }
    related-icmp-errors = true
}
HyperplaneNAT nat { public = { 198.51.100.1, 198.51.100.2 } %s }
connect("in -> CheckIP -> [egress]before[egress] -> [inside]nat[outside]
         -> [egress]behind[egress] -> out")
connect("out -> CheckIP -> [ingress]behind[ingress] -> [outside]nat[inside]
         -> [ingress]before[ingress] -> in")
"""


def ethernet(ip):
    kind = b"\x08\x00" if ip[0] >> 4 == 4 else b"\x86\xdd"
    return bytes.fromhex("020000000002020000000001") + kind + ip


def ip4(src, dst, proto, payload, number, offset=0, more=False):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload),
                       number & 0xffff, offset // 8 | more << 13, 64, proto,
                       0, src, dst)
    return (head[:10] + struct.pack("!H", support.checksum(head)) + head[12:] +
            payload)


def with_checksum(payload, at, more=b""):
    total = support.checksum(more + payload)
    return payload[:at] + struct.pack("!H", total) + payload[at + 2:]


def ip6(src, dst, proto, payload):
    return (struct.pack("!IHBB", 6 << 28, len(payload), proto, 64) + src +
            dst + payload)


def pseudo(src, dst, proto, size):
    return src + dst + struct.pack("!II", size, proto)


def udp(src, dst, sport, dport, data):
    size = 8 + len(data)
    return with_checksum(struct.pack("!HHHH", sport, dport, size, 0) + data,
                         6, pseudo(src, dst, UDP, size))


def tcp(src, dst, sport, dport, flags):
    return with_checksum(struct.pack("!HHIIBBHHH", sport, dport, 1, 1, 0x50,
                                     flags, 1000, 0, 0),
                         16, pseudo(src, dst, TCP, 20))


def echo(kind, number, more=b""):
    return with_checksum(struct.pack("!BBHHH", kind, 0, 0, number, 1), 2,
                         more)


def remote(i):
    return bytes((203, 0, 113, i % 29 + 1))


def outgoing(with_six):
    """Frames from inside: all kinds of flows, some datagrams in pieces."""
    frames = []
    for i in range(FLOWS):
        src, port = bytes((10, 0, i % 3, i % 17 + 1)), 1024 + 7 * i
        time = (1000 + i) * MSEC
        kind = i % (6 if with_six else 4)
        dst = remote(i)
        six = (bytes.fromhex("20010db8") + bytes(10) + struct.pack("!H", i),
               bytes.fromhex("0064ff9b") + bytes(8) + dst)
        if kind == 0:
            ips = ip4(src, dst, TCP, tcp(src, dst, port, 443, 2), i),
        elif kind == 1:
            ips = ip4(src, dst, UDP, udp(src, dst, port, 53, b"ask"), i),
        elif kind == 2:
            ips = ip4(src, dst, ICMP, echo(8, port), i),
        elif kind == 3:
            data = udp(src, dst, port, 53, bytes(96))
            ips = (ip4(src, dst, UDP, data[:48], i, more=True),
                   ip4(src, dst, UDP, data[48:], i, offset=48))
        elif kind == 4:
            ips = ip6(*six, UDP, udp(*six, port, 53, b"ask")),
        else:
            ips = ip6(*six, ICMP6, echo(128, port, pseudo(*six, ICMP6, 8))),
        frames += [(time + n, ethernet(ip)) for n, ip in enumerate(ips)]
    return frames


def answers(frame, number):
    """What answers a packet from outside: whole or in pieces, and an error of
    a router on the way."""
    ip = frame[14:]
    p = support.Packet.of_ip(ip)
    src, dst = ip[16:20], ip[12:16]
    quoted = ip[:28]
    if p.offset:
        return
    if p.proto == TCP:
        yield ip4(src, dst, TCP, tcp(src, dst, p.dport, p.sport, 0x12), number)
    elif p.proto == ICMP:
        yield ip4(src, dst, ICMP, echo(0, struct.unpack_from("!H", p.l4, 4)[0]),
                  number)
    elif number % 2:
        yield ip4(src, dst, UDP, udp(src, dst, p.dport, p.sport, b"answer"),
                  number)
    else:
        data = udp(src, dst, p.dport, p.sport, bytes(80) +
                   struct.pack("!Q", number))
        for at in 0, 32, 64:
            yield ip4(src, dst, UDP, data[at:at + 32], number, offset=at,
                      more=at < 64)
    error = struct.pack("!BBHI", 3, 1, 0, 0) + quoted
    yield ip4(ROUTER, dst, ICMP, with_checksum(error, 2), number)


class NatWorkers(support.InFolder):
    def run_nat(self, workers, *devices):
        result = support.headgate("run", "graph.conf", *devices, "--seed", "5",
                                  "--workers", workers)
        self.assertEqual(result.returncode, 0, result.stderr + result.stdout)

    def there_and_back(self, workers, suffix):
        """What left, and what came back."""
        self.run_nat(workers, "in=in.pcap", "out=:sent.pcap")
        sent = support.read_pcap("sent.pcap")
        replies = []
        for n, (time, frame) in enumerate(sent):
            replies += [(time + 5000 * MSEC + k, ethernet(ip))
                        for k, ip in enumerate(answers(frame, n))]
        support.write_pcap("replies.pcap", replies)
        if suffix:
            with open("replies.pcap", "rb") as file, \
                    open("replies.pcap" + suffix, "wb") as packed:
                packed.write(gzip.compress(file.read()))
        self.run_nat(workers, "in=in.pcap:back.pcap",
                     "out=replies.pcap%s:again.pcap" % suffix)
        again = support.read_pcap("again.pcap")
        self.assertTrue(again == sent, "other ports were chosen")
        back = support.read_pcap("back.pcap")
        self.assertEqual(len(back), len(replies))
        return back

    def check(self, graph, options):
        with_six = not options and graph is GATEWAY
        with open("graph.conf", "w", encoding="utf-8") as file:
            file.write(graph % options)
        support.write_pcap("in.pcap", outgoing(with_six))
        one = self.there_and_back(1, "")
        self.assertGreater(len(one), 2 * FLOWS)
        for workers, suffix in (2, ""), (3, ""), (5, ""), (3, ".gz"):
            self.assertTrue(self.there_and_back(workers, suffix) == one,
                            "%d workers%s" % (workers, suffix))

    def test_answers_find_their_flow(self):
        self.check(GATEWAY, "")

    def test_answers_find_their_flow_in_the_compact_table(self):
        self.check(GATEWAY, "table = compact")

    def test_answers_pass_filters_that_know_the_flow(self):
        self.check(FILTERED, "")

    def test_ports_that_workers_cannot_share_are_refused(self):
        with open("graph.conf", "w", encoding="utf-8") as file:
            file.write(GATEWAY % "ports = 2000-2004")
        support.write_pcap("in.pcap", outgoing(False))
        result = support.headgate("run", "graph.conf", "in=in.pcap",
                                  "out=null:", "--workers", 2)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("'ports' are too few for 2 workers", result.stderr)


if __name__ == "__main__":
    unittest.main()
