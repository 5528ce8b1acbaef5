"""What the tests in Python share: the program, captures, frames.

$HEADGATE is the program under test, $HEADGATE_PLUGIN_PATH its plugins, and
$HEADGATE_CORPUS, if set, a folder with captures from elsewhere.  A test ends
with 0 (passed), 1 (failed) or 77 (skipped, with the reason printed)."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CAPTURES = os.path.join(ROOT, "graphs", "captures")
HEADGATE = os.environ.get("HEADGATE", os.path.join(ROOT, "build", "headgate"))
CORPUS = os.environ.get("HEADGATE_CORPUS")
SUFFIXES = (".pcap", ".pcapng", ".cap", ".dmp")

TCP, UDP, ICMP = 6, 17, 1
ICMP_ERRORS = (3, 4, 5, 11, 12)


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def headgate(*arguments, timeout=120):
    """Runs the program; the result has returncode, stdout and stderr."""
    result = subprocess.run([HEADGATE, *map(str, arguments)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            stdin=subprocess.DEVNULL, timeout=timeout,
                            check=False)
    result.stdout = result.stdout.decode("utf-8", "replace")
    result.stderr = result.stderr.decode("utf-8", "replace")
    if result.returncode not in (0, 1, 2):
        raise AssertionError("headgate %s: ended with %d\n%s" % (
            " ".join(map(str, arguments)), result.returncode, result.stderr))
    return result


class InFolder(unittest.TestCase):
    """Each test runs in an empty folder of its own."""
    maxDiff = None

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="headgate-")
        self.addCleanup(shutil.rmtree, self.home)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.home)


def bundled_captures():
    return sorted(os.path.join(CAPTURES, name)
                  for name in os.listdir(CAPTURES)
                  if name.endswith(SUFFIXES))


def corpus_captures():
    """Every capture of the corpus, or none if there is no corpus."""
    found = []
    for folder, _, names in os.walk(CORPUS or os.devnull):
        found += [os.path.join(folder, name) for name in names
                  if name.endswith(SUFFIXES)]
    return sorted(found)


def read_pcap(path):
    """[(time in ns, frame)] of a pcap file that headgate wrote."""
    with open(path, "rb") as file:
        data = file.read()
    magic, = struct.unpack_from("<I", data)
    unit = {0xa1b2c3d4: 1000, 0xa1b23c4d: 1}[magic]
    at, frames = 24, []
    while at < len(data):
        sec, fraction, length, _ = struct.unpack_from("<IIII", data, at)
        frames.append((sec * 10**9 + fraction * unit,
                       data[at + 16:at + 16 + length]))
        at += 16 + length
    return frames


def write_pcap(path, frames):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, 262144, 1))
        for time, frame in frames:
            file.write(struct.pack("<IIII", time // 10**9, time % 10**9,
                                   len(frame), len(frame)) + frame)


def checksum(data):
    """RFC 1071, of bytes whose own checksum field counts: 0 is right."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def address(raw):
    return ".".join(map(str, raw))


class Packet:
    """An IPv4 packet taken apart; 'ok' is false if it is none, or cut."""

    def __init__(self, frame):
        self.ok = False
        at = 12
        while frame[at:at + 2] in (b"\x81\x00", b"\x88\xa8", b"\x91\x00"):
            at += 4
        if frame[at:at + 2] != b"\x08\x00":
            return
        self.take_apart(frame[at + 2:])

    @classmethod
    def of_ip(cls, raw):
        packet = cls.__new__(cls)
        packet.ok = False
        packet.take_apart(raw)
        return packet

    def take_apart(self, ip):
        if len(ip) < 20 or ip[0] >> 4 != 4:
            return
        header = (ip[0] & 15) * 4
        length, self.id, fragment = struct.unpack_from("!HHH", ip, 2)
        if header < 20 or length < header or len(ip) < header:
            return
        self.cut = len(ip) < length
        self.raw = ip[:length]
        self.header = header
        self.tos = ip[1]
        self.proto = ip[9]
        self.src, self.dst = address(ip[12:16]), address(ip[16:20])
        self.offset, self.more = fragment & 0x1fff, bool(fragment & 0x2000)
        self.fragment = bool(self.offset or self.more)
        self.l4 = self.raw[header:]
        self.ok = True
        self.sport = self.dport = None
        if self.offset:
            return
        if self.proto == TCP and len(self.l4) >= 20 or \
                self.proto == UDP and len(self.l4) >= 8:
            self.sport, self.dport = struct.unpack_from("!HH", self.l4)
        elif self.proto == ICMP and len(self.l4) >= 8 and \
                self.l4[0] in (0, 8):
            # An echo identifier stands for the port, as NAT sees it.
            self.sport, self.dport = struct.unpack_from("!H", self.l4, 4)[0], 0

    @property
    def is_error(self):
        return (self.proto == ICMP and not self.offset and len(self.l4) >= 8
                and self.l4[0] in ICMP_ERRORS)

    @property
    def flow(self):
        return (self.proto, self.src, self.sport, self.dst, self.dport)

    def header_right(self):
        return checksum(self.raw[:self.header]) == 0

    def l4_right(self):
        """Whether the checksum behind the IP header is right; None if there
        is none to check."""
        if self.fragment or self.cut:
            return None
        if self.proto == ICMP:
            return checksum(self.l4) == 0 if len(self.l4) >= 8 else None
        if self.sport is None or \
                self.proto == UDP and self.l4[6:8] == b"\0\0":
            return None
        length = len(self.l4)
        if self.proto == UDP:
            length, = struct.unpack_from("!H", self.l4, 4)
            if not 8 <= length <= len(self.l4):
                return None
        return checksum(self.raw[12:20] + bytes([0, self.proto]) +
                        struct.pack("!H", length) + self.l4[:length]) == 0
