#!/usr/bin/python3
"""FlowLogger against what others count and write.

  - The packets of a log's records are those that capinfos counts in the same
    capture, and their bytes what tshark adds up, also where the log goes into
    S3's folders (read back with Python's gzip) or through two loggers.
  - AWS's published records (vectors/flow-log-v2.txt of the corpus) come out
    to the letter from packets that fit them."""
import glob
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import support  # noqa: E402
from scapy.all import IP, TCP, ICMP, IPv6, Ether, Raw  # noqa: E402

SEC = 10**9
FIELDS = ("protocol", "packets", "bytes", "start", "end", "tcp-flags",
          "pkt-srcaddr", "pkt-dstaddr", "srcport", "dstport")
FORMAT = " ".join("${%s}" % name for name in FIELDS)

FILE_LOG = """
Interface lan { }
FlowLogger log {
    log-reserved = true
    max-aggregation-interval = %s
    nodata = false
    log-format = '%s'
    %s
}
connect("lan -> log")
connect("log -> Discard")
"""

failures = []


def fail(*what):
    failures.append(what)
    print("FAILED:", *what)


def run(graph, device, folder):
    path = os.path.join(folder, "graph.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(graph)
    result = support.headgate("run", path, device)
    if "Sanitizer" in result.stderr or "runtime error" in result.stderr:
        fail(result.stderr)
    if result.returncode == 2:
        raise AssertionError(result.stderr + graph)
    return result


def capinfos_packets(capture):
    out = subprocess.run(["capinfos", "-Mc", "-T", "-r", capture],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         check=False).stdout.decode()
    return int(out.split()[-1]) if out.split() else None


# No packet whose IP header is broken or cut.
PLAIN = ("eth && (ip || ipv6) && !mpls && !_ws.malformed && !_ws.short && "
         "!(_ws.expert.severity == error)")


def only_plain_ip(capture, copy):
    """Makes 'copy' of the IP packets of the capture alone; returns the length
    of each by its outermost IP header, as headgate takes a packet apart, or
    None if tshark cannot read it."""
    tshark = subprocess.run(
        ["tshark", "-n", "-r", capture, "-o", "ip.defragment:FALSE", "-Y",
         PLAIN, "-F", "nsecpcap", "-w", copy, "-P", "-T", "fields", "-E",
         "occurrence=f", "-e", "ip.len", "-e", "ipv6.plen", "-e",
         "frame.protocols"], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, check=False)
    if tshark.returncode:
        return None
    lengths = []
    for line in tshark.stdout.decode().splitlines():
        ip4, ip6, protocols = line.split("\t")
        first = re.search(r":(ipv6|ip)(:|$)", protocols)
        if first and first.group(1) == "ip" and ip4:
            lengths.append(int(ip4))
        elif first and ip6:
            lengths.append(40 + int(ip6))
    return lengths


def sums(lines):
    rows = [line.split(" ") for line in lines]
    return (sum(int(row[1]) for row in rows),
            sum(int(row[2]) for row in rows))


def read_objects(folder):
    """The lines of all objects; each begins with the names of the fields,
    and holds only records that end in its five minutes."""
    lines = []
    for path in sorted(glob.glob(folder + "/AWSLogs/**/*.gz",
                                 recursive=True)):
        with gzip.open(path, "rt") as file:
            header, *records = file.read().splitlines()
        if header.split(" ") != list(FIELDS):
            fail(path, header)
        if not re.search(r"/111122223333_vpcflowlogs_eu-west-1_fl-0f1_\d{8}"
                         r"T\d\d[0-5][05]Z_[0-9a-f]{8}\.log\.gz$", path):
            fail("name of an object", path)
        ends = [int(record.split(" ")[4]) // 300 for record in records]
        if len(set(ends)) != 1:
            fail(path, "has records of several five minutes")
        lines += records
    return lines


def check_flows(capture, lines):
    """No flow has two records in a window."""
    seen = {}
    for line in lines:
        row = line.split(" ")
        key = (row[0], *row[6:], int(row[3]) // 600)
        if key in seen:
            fail(capture, "split record", line, seen[key])
        seen[key] = line


def check_capture(capture, folder):
    copy = os.path.join(folder, "ip.pcap")
    lengths = only_plain_ip(capture, copy)
    counted = capinfos_packets(copy) if lengths else None
    if not counted:
        return 0
    out = os.path.join(folder, "log")
    options = "log-destination = '%s'" % out
    run(FILE_LOG % ("600s", FORMAT, options), "lan=" + copy, folder)
    with open(out, encoding="utf-8") as file:
        lines = file.read().splitlines()
    packets, size = sums(lines)
    if len(lengths) != counted or 0 in lengths:
        return 0  # tshark takes something else for the outermost IP.
    if packets != counted or size != sum(lengths):
        fail(capture, "log: %d packets, %d bytes; capinfos: %d, tshark: %d" % (
            packets, size, counted, sum(lengths)))
    check_flows(capture, lines)
    bucket = os.path.join(folder, "bucket")
    run(FILE_LOG % ("60s", FORMAT, """
        log-destination-type = s3
        log-destination = '%s'
        account-id = 111122223333
        region = eu-west-1
        flow-log-id = fl-0f1""" % bucket), "lan=" + copy, folder)
    objects = sums(read_objects(bucket))
    if objects != (packets, size):
        fail(capture, "S3 objects: %s, file: %s" % (objects, (packets, size)))
    shutil.rmtree(bucket, ignore_errors=True)
    return packets


# ---- Published records -----------------------------------------------------

MAC = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
VECTOR_LOG = """
Interface lan { }
FlowLogger log {
    log-destination = '%s'
    account-id = %s
    interface-id = %s
    %s
}
connect("lan -> %s")
connect("log -> Discard")
"""


def frames_of(v):
    """Packets that the fields of a record (version 2) say were there."""
    n, size, start, end = (int(v[i]) for i in (8, 9, 10, 11))
    six = ":" in v[3]
    header = (IPv6 if six else IP)(src=v[3], dst=v[4])
    if v[7] == "6":
        header /= TCP(sport=int(v[5]), dport=int(v[6]), flags="A")
    else:
        header /= ICMP()
    least = len(header)
    lengths = [size // n] * n
    lengths[-1] += size - sum(lengths)
    return [((start + (end - start) * i // (n - 1)) * SEC,
             bytes(MAC / header / Raw(b"x" * (lengths[i] - least))))
            for i in range(n)]


def check_vector(line, folder):
    v = line.split(" ")
    arp = bytes(MAC) + bytes(50)
    options = ""
    if v[-1] == "OK":
        frames = frames_of(v)
    else:
        frames = [(int(v[10]) * SEC, arp), (int(v[11]) * SEC, arp)]
    if v[-1] == "SKIPDATA":
        # More flows than records; all at the window's begin and end.
        options = "max-records = 1"
        tcp = [bytes(MAC / IP(src="10.0.0.%d" % i, dst="10.0.1.1") / TCP())
               for i in (1, 2)]
        frames[1:1] = [(int(v[10]) * SEC, frame) for frame in tcp]
    capture, out = os.path.join(folder, "v.pcap"), os.path.join(folder, "v")
    support.write_pcap(capture, frames)
    run(VECTOR_LOG % (out, v[1], v[2], options,
                      "[rejected]log" if "REJECT" in v else "log"),
        "lan=" + capture, folder)
    with open(out, encoding="utf-8") as file:
        lines = file.read().splitlines()
    if line not in lines or (v[-1] != "SKIPDATA" and len(lines) != 1):
        fail("vector\n    %s\ncame out as\n    %s" % (
            line, "\n    ".join(lines)))


def check_full_disk(folder):
    """A log that cannot be written is said once and counted."""
    graph = FILE_LOG % ("60s", FORMAT, "log-destination = /dev/full")
    result = run(graph, "lan=" + support.bundled_captures()[0], folder)
    if result.stderr.count("No space left on device") != 1:
        fail("full disk:", result.stderr)


def main():
    for tool in ("capinfos", "tshark"):
        if not shutil.which(tool):
            support.skip("%s is not installed" % tool)
    packets = captures = vectors = 0
    with tempfile.TemporaryDirectory() as folder:
        # tshark takes its time: every third one.
        for capture in (support.bundled_captures() +
                        support.corpus_captures()[::3]):
            n = check_capture(capture, folder)
            captures += n > 0
            packets += n
        check_full_disk(folder)
        path = os.path.join(support.CORPUS or "", "vectors/flow-log-v2.txt")
        if support.CORPUS:
            with open(path, encoding="utf-8") as file:
                for line in file.read().splitlines():
                    check_vector(line, folder)
                    vectors += 1
    print("%d captures with %d packets, %d published records, %d failed" % (
        captures, packets, vectors, len(failures)))
    return 1 if failures or not packets else 0


if __name__ == "__main__":
    sys.exit(main())
