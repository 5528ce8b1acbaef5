#!/usr/bin/python3
"""HyperplaneNAT against scapy: what it makes of captures is read back.

First run: the capture goes in at the inside.  Of what leaves at the outside,
  - nothing but source address, source port and checksums may have changed,
  - every checksum that was right going in must be right coming out,
  - no two connections share (protocol, address, port, destination), and none
    takes over such a tuple before its former owner's time is up.
Second run: the same, and at the outside come scapy's replies to all that
left, and ICMP errors that quote it; inside, errors that quote the replies.
  - Each reply must reach whom it answers, with right checksums.
  - Each error must reach whom it concerns, and what it quotes must be, byte
    for byte, what that host had sent.
"""
import collections
import os
import struct
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import support  # noqa: E402
from support import ICMP, TCP, UDP, Packet  # noqa: E402
from scapy.all import IP, Raw  # noqa: E402
from scapy.all import ICMP as ScapyICMP  # noqa: E402
from scapy.all import TCP as ScapyTCP, UDP as ScapyUDP  # noqa: E402

PUBLIC = ("198.51.100.1", "198.51.100.2")
ROUTER = "192.0.2.1"
MAX_REPLIES = 600
MSEC = 10**6
SEC = 10**9
IDLE = 350 * SEC
CLOSED = 60 * SEC  # Set by -o for every state of a closing connection.
MARK = b"\x02MARK\x01"  # The source MAC of frames that this test makes.
ETHER = b"\x02\0\0\0\0\2" + MARK + b"\x08\x00"

GRAPH = """
Interface inside { }
Interface outside { }
HyperplaneNAT nat {
    public = { %s }
}
connect("inside -> CheckIP -> [inside]nat[outside] -> outside")
connect("outside -> CheckIP -> [outside]nat[inside] -> inside")
""" % ", ".join(PUBLIC)

WIRE = """
Interface inside { }
Interface outside { }
connect("inside -> outside")
"""


class Failures:
    def __init__(self):
        self.count = 0

    def add(self, capture, what, *packets):
        self.count += 1
        if self.count <= 8:
            print("FAILED: %s: %s" % (os.path.basename(capture), what))
            for packet in packets:
                print("    IP(bytes.fromhex('%s'))" % packet.raw.hex())


class Mappings:
    """Who had which external tuple, and until when nobody else may."""

    def __init__(self):
        self.external = {}  # Inside flow: [(address, port), last, closed]
        self.owner = {}  # External flow: inside flow

    @staticmethod
    def alive(entry, now):
        return now - entry[1] < (CLOSED if entry[2] else IDLE)

    def see(self, before, after, now):
        """Notes a translation; returns what is wrong with it, or None."""
        flow = before.flow
        outside = (after.src, after.sport)
        external = after.flow
        entry = self.external.get(flow)
        if entry and self.alive(entry, now) and entry[0] != outside:
            return "connection changed from %s:%d to %s:%d" % (entry[0] +
                                                               outside)
        owner = self.owner.get(external)
        if owner and owner != flow and self.alive(self.external[owner], now):
            return "%s:%d taken over from %s:%d in its lifetime" % (
                outside + owner[1:3])
        closed = entry[2] if entry and entry[0] == outside else False
        if before.proto == TCP:
            flags = before.l4[13]
            # FIN or RST closes; a SYN alone has not opened it yet, and a
            # new one may open it again.
            closed = closed and not flags & 2 or bool(flags & 5)
            closed = closed or entry is None
        self.external[flow] = [outside, now, closed]
        self.owner[external] = flow
        return None


def identity(packet):
    """The bytes that NAT leaves alone."""
    raw = bytearray(packet.raw)
    raw[10:16] = bytes(6)
    at = packet.header
    if packet.sport is not None:
        if packet.proto == ICMP:
            raw[at + 2:at + 6] = bytes(4)
        else:
            raw[at:at + 2] = bytes(2)
            field = at + (16 if packet.proto == TCP else 6)
            raw[field:field + 2] = bytes(2)
    return bytes(raw)


def is_marked(frame):
    return frame[6:12] == MARK


def pairs(inside, outside):
    """[(time, packet inside, the same packet outside)]; an outside packet
    that is no inside one's translation has None."""
    waiting = collections.defaultdict(collections.deque)
    for time, frame in inside:
        packet = Packet(frame)
        if packet.ok and not packet.is_error:
            waiting[identity(packet)].append((time, packet))
    result = []
    for time, frame in outside:
        after = Packet(frame)
        if is_marked(frame) or after.is_error:
            continue
        queue = waiting.get(identity(after))
        chosen = None
        for candidate in queue or ():
            if candidate[0] == time:
                chosen = candidate
                break
        if not chosen and queue and after.fragment:
            chosen = queue[0]  # It was held until its first fragment came.
        if chosen:
            queue.remove(chosen)
        result.append((time, chosen and chosen[1], after))
    return result


def check_outbound(capture, translated, failures):
    mappings = Mappings()
    for time, before, after in translated:
        if before is None:
            failures.add(capture, "left the outside, but nobody sent it",
                         after)
            continue
        if after.src not in PUBLIC:
            failures.add(capture, "not a public source", before, after)
        if before.header_right() and not after.header_right():
            failures.add(capture, "bad IP checksum", before, after)
        if before.l4_right() is not None and \
                before.l4_right() != after.l4_right():
            failures.add(capture, "L4 checksum was %s, is %s" % (
                before.l4_right(), after.l4_right()), before, after)
        if before.sport is not None:
            wrong = mappings.see(before, after, time)
            if wrong:
                failures.add(capture, wrong, before, after)


def answer(after, index, forward):
    """The packet, as scapy builds it, that answers 'after'; and the same one
    towards the inside flow 'forward' (source address and port)."""
    payload = Raw(b"reply %05d" % index)

    def build(dst, port):
        ip = IP(src=after.dst, dst=dst, id=index)
        if after.proto == UDP:
            return ip / ScapyUDP(sport=after.dport, dport=port) / payload
        if after.proto == ICMP:
            return ip / ScapyICMP(type=0, id=port, seq=index) / payload
        seq, ack, offset, flags = struct.unpack_from("!IIBB", after.l4, 4)
        if flags & 2:
            return ip / ScapyTCP(sport=after.dport, dport=port, flags="SA",
                                 seq=9000, ack=(seq + 1) % 2**32)
        return ip / ScapyTCP(sport=after.dport, dport=port, flags="PA",
                             seq=ack, ack=seq) / payload

    return (bytes(build(after.src, after.sport)), bytes(build(*forward)))


def icmp_error(src, dst, index, quote):
    kind = ((3, 1), (3, 4), (11, 0), (3, 3), (12, 0))[index % 5]
    return bytes(IP(src=src, dst=dst, id=index) /
                 ScapyICMP(type=kind[0], code=kind[1]) / Raw(quote))


class Return:
    """What comes back in the second run, and what has to become of it."""

    def __init__(self, translated):
        self.outside_in, self.inside_in = [], []
        self.inside_expected, self.outside_expected = {}, {}
        candidates = [
            (time, before, after) for time, before, after in translated
            if before and after.sport is not None and not after.fragment
            and not after.cut and not self.is_reply(before)
            and self.may_answer(after.dst)]
        step = max(1, len(candidates) // MAX_REPLIES)
        for n, (time, before, after) in enumerate(candidates[::step]):
            self.add(4 * n + 1, time, before, after)
        self.outside_in.sort(key=lambda item: item[0])
        self.inside_in.sort(key=lambda item: item[0])

    @staticmethod
    def is_reply(packet):
        """An echo reply or a RST: nobody answers these."""
        return (packet.proto == ICMP and packet.l4[0] == 0 or
                packet.proto == TCP and packet.l4[13] & 4)

    @staticmethod
    def may_answer(address):
        """Not a martian as a source: CheckIP would refuse the reply."""
        first = int(address.split(".")[0])
        return 0 < first < 224 and first != 127

    def add(self, index, time, before, after):
        sent, due = answer(after, index, (before.src, before.sport))
        self.outside_in.append((time + MSEC, ETHER + sent))
        self.inside_expected[index] = due
        # A router quotes all it may, or the eight bytes it must.
        size = 548 if index // 4 % 2 else after.header + 8
        self.outside_in.append((time + MSEC + 1, ETHER + icmp_error(
            ROUTER, after.src, index + 1, after.raw[:size])))
        self.inside_expected[index + 1] = icmp_error(
            ROUTER, before.src, index + 1, before.raw[:size])
        # The inside host refuses the reply, quoting it as it arrived.
        size = 548 if index // 4 % 2 else 28
        self.inside_in.append((time + 2 * MSEC, ETHER + icmp_error(
            before.src, before.dst, index + 2, due[:size])))
        self.outside_expected[index + 2] = icmp_error(
            after.src, before.dst, index + 2, sent[:size])

    def check(self, capture, side, frames, failures):
        expected = dict(self.inside_expected if side == "inside"
                        else self.outside_expected)
        for _, frame in frames:
            if not is_marked(frame):
                continue
            packet = Packet(frame)
            want = expected.pop(packet.id, None)
            if want is None:
                failures.add(capture, "came %s twice or unasked" % side,
                             packet)
            elif want != packet.raw:
                failures.add(capture, "%s: is not what it should be" % side,
                             packet, Packet.of_ip(want))
        for want in expected.values():
            failures.add(capture, "did not come out %s" % side,
                         Packet.of_ip(want))


def merged(*streams):
    return sorted((item for stream in streams for item in stream),
                  key=lambda item: item[0])


class Gateway:
    """headgate with its files in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        for name, text in (("nat.conf", GRAPH), ("wire.conf", WIRE)):
            with open(self.path(name), "w", encoding="ascii") as file:
                file.write(text)

    def path(self, name):
        return os.path.join(self.folder, name)

    def frames(self, capture):
        """The capture as headgate sees it: Ethernet, times in order."""
        result = support.headgate(
            "run", self.path("wire.conf"), "inside=" + capture,
            "outside=:" + self.path("wire.pcap"), "--json")
        if result.returncode == 2:
            return None  # Not a capture, or of a link type not supported.
        return support.read_pcap(self.path("wire.pcap"))

    def run(self, inside, outside):
        """Frames (to the outside, to the inside)."""
        support.write_pcap(self.path("in.pcap"), inside)
        support.write_pcap(self.path("out.pcap"), outside)
        result = support.headgate(
            "run", self.path("nat.conf"), "--json", "-o",
            "nat.tcp-closing-timeout=%ds" % (CLOSED // SEC), "-o",
            "nat.tcp-opening-timeout=%ds" % (CLOSED // SEC),
            "inside=%s:%s" % (self.path("in.pcap"), self.path("back.pcap")),
            "outside=%s:%s" % (self.path("out.pcap"),
                               self.path("forth.pcap")))
        if result.returncode:
            raise AssertionError("headgate run: " + result.stderr)
        return (support.read_pcap(self.path("forth.pcap")),
                support.read_pcap(self.path("back.pcap")))


def check(gateway, capture, failures):
    """Returns how many packets were translated, replies and errors sent."""
    inside = gateway.frames(capture)
    if not inside:
        return 0, 0
    forth, _ = gateway.run(inside, [])
    for _ in range(3):
        translated = pairs(inside, forth)
        back = Return(translated)
        all_inside = merged(inside, back.inside_in)
        seen, returned = gateway.run(all_inside, back.outside_in)
        again = [item for item in seen if not is_marked(item[1])]
        if again == forth:
            break
        # Replies keep mappings alive, which may change later choices.
        forth = again
    else:
        failures.add(capture, "its ports never settle")
    check_outbound(capture, translated, failures)
    back.check(capture, "inside", returned, failures)
    back.check(capture, "outside", seen, failures)
    return len(translated), len(back.outside_in) + len(back.inside_in)


def main():
    failures = Failures()
    captures = support.bundled_captures() + support.corpus_captures()
    translated = returned = used = 0
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(folder)
        for capture in captures:
            there, back = check(gateway, capture, failures)
            translated += there
            returned += back
            used += there > 0
    print("%d of %d captures had something to translate: %d packets out, %d "
          "replies and errors back; %d failures" % (
              used, len(captures), translated, returned, failures.count))
    if not support.CORPUS:
        print("HEADGATE_CORPUS is not set: only the bundled captures")
    return 1 if failures.count or not translated or not returned else 0


if __name__ == "__main__":
    sys.exit(main())
