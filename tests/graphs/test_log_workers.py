#!/usr/bin/python3
"""The log of a FlowLogger is the same file for any number of workers: records
whose packets went to several of them, the order of lines, windows that end,
stay empty or are open at the end, wherever the loggers work."""
import gzip
import json
import os
import random
import shutil
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
import support  # noqa: E402

S = 10**9
BEGIN = 1700000000 * S  # 20 s into a window of 60.
FIELDS = ("${version} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} "
          "${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} "
          "${action} ${log-status} ${tcp-flags} ${flow-direction} "
          "${traffic-path}")
LOG = """
FlowLogger log {
    max-aggregation-interval = 60s
    interface-id = eni-1
    address = { 10.0.0.1 }
    vpc-cidr = { 10.0.0.0/24 }
    log-format = '%s'
    %%s
}
""" % FIELDS
TO_FILE = LOG % "log-destination = flows.log"

# Everything may go to any worker.
ANY = TO_FILE + """
Interface in { }
Interface out { }
NACL acl {
    inbound 1 { cidr = 10.0.0.3/32  action = deny }
    inbound 2 { cidr = 0.0.0.0/0    action = allow }
}
FlowLogger before { into = log  direction = egress }
connect("in -> CheckIP -> before -> [inbound]acl[inbound] -> log -> out")
connect("acl[deny] -> [rejected]log")
connect("out -> CheckIP -> [outbound]acl[outbound] -> in")
"""

# What is answered comes back to the worker that sent it.
ANSWERED = TO_FILE + """
Interface in { }
Interface out { }
FlowLogger back { into = log }
connect("in -> CheckIP -> log -> out; out -> CheckIP -> back -> in")
"""

# One logger sees what comes from two devices.
JOINED = TO_FILE + """
Interface in { }
Interface out { }
CheckIP check { }
connect("in -> check -> log -> Discard; out -> check")
"""

# The security group's owners deal; the Shaper needs all packets, and so does
# what is behind it, where one of the loggers is.
SHAPED = TO_FILE + """
Interface in { }
Interface out { }
SecurityGroup sg { group web { inbound { source = 0.0.0.0/0 } } }
Queue wait { length = 1000 }
Shaper slow { rate = 1000pps }
FlowLogger before { into = log  direction = egress }
connect("in -> CheckIP -> [egress]sg[egress] -> before -> wait -> slow")
connect("slow -> log -> out; out -> CheckIP -> [ingress]sg[ingress] -> in")
connect("sg[deny] -> [rejected]before")
"""

# Whose a packet is, is known only behind Decap, where one logger is; the
# other is behind a NAT, which deals once more and chooses source ports.
TUNNEL = TO_FILE.replace("${srcport} ", "") + """
Interface in { }
Interface out { }
SecurityGroup sg { group web { inbound { source = 0.0.0.0/0 } } }
HyperplaneNAT nat { public = { 198.51.100.1 } }
Encap encap {
    format = geneve  local = 192.0.2.1  remote = 192.0.2.2  vni = 5
}
Decap decap { format = geneve }
FlowLogger before { into = log  direction = egress }
Switch side { outputs = { nat, groups }  to = nat }
connect("in -> CheckIP -> encap -> decap -> CheckIP -> before")
connect("before -> [egress]sg[egress] -> [inside]nat[outside] -> log -> out")
connect("sg[deny] -> [rejected]log")
connect("out -> CheckIP -> side; side[nat] -> [outside]nat[inside] -> in")
connect("side[groups] -> [ingress]sg[ingress] -> in")
"""


def frame(source, to, protocol, payload, fragment=0):
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, fragment,
                     64, protocol, 0, bytes([10, 0, 0, source]),
                     bytes([203, 0, 113, to]))
    right = struct.pack("!H", support.checksum(ip))
    return bytes(12) + b"\x08\0" + ip[:10] + right + ip[12:] + payload


def any_frame(chance):
    """Many flows of few records: a log has no identifiers of echoes, and
    first fragments are like any other packet there, but workers' flows are
    not."""
    source, to = chance.randint(1, 4), chance.randint(1, 40)
    kind = chance.randint(0, 6)
    if kind < 3:
        return frame(source, to, 1, struct.pack(
            "!BBHHH", 8, 0, 0, chance.randint(1, 500), 1) + bytes(kind))
    if kind == 3:
        return frame(source, to, 17, bytes(40), 0x2000 | to)
    ports = struct.pack("!HH", chance.randint(1, 50), 80)
    if kind == 4:
        return frame(source, to, 17, ports + struct.pack("!HH", 8, 0))
    flags = chance.choice((2, 0x12, 0x10, 0x11, 4))
    return frame(source, to, 6, ports + struct.pack(
        "!IIBBHHH", 0, 0, 0x50, flags, 99, 0, 0), 0x2000 * (kind == 6))


def traffic():
    """Windows begin at 40, 100, 160 s and so on: full ones, packets at the
    very end and begin, some windows without any, one that is open when the
    capture ends.  Many packets share a time."""
    chance = random.Random(1)
    times = sorted([chance.randint(0, 130000) // 7 * 7 * (S // 1000)
                    for _ in range(9000)] +
                   [40 * S - 1, 40 * S, 100 * S - 1, 100 * S] * 20 +
                   [chance.randint(400, 419) * S for _ in range(1000)] +
                   [chance.randint(420, 425) * S for _ in range(50)])
    return [(BEGIN + time, any_frame(chance)) for time in times]


class LogWorkers(support.InFolder):
    def setUp(self):
        super().setUp()
        support.write_pcap("in.pcap", traffic())

    def run_graph(self, workers, text, *more):
        """The summary, and the files below the log's place."""
        with open("graph.conf", "w", encoding="utf-8") as file:
            file.write(text)
        shutil.rmtree("s3", ignore_errors=True)
        result = support.headgate(
            "run", "graph.conf", "--workers", workers, "--json", "--read",
            "log.window", "--read", "log.flows", *more)
        self.assertEqual(result.returncode, 0, result.stderr)
        files = {}
        for folder, _, names in os.walk("."):
            for name in names:
                if name.endswith(".log") or name.endswith(".gz"):
                    path = os.path.join(folder, name)
                    with open(path, "rb") as file:
                        files[path] = file.read()
        summary = json.loads(result.stdout)
        elements = {name: (e["counters"], e["drops"], e["gauges"])
                    for name, e in summary["elements"].items()
                    if e["class"] == "FlowLogger"}
        return elements, summary["read"], files

    def check_alike(self, text, *more, workers=(2, 3, 5)):
        one = self.run_graph(1, text, *more)
        for n in workers:
            for batch in 1, 64:
                other = self.run_graph(n, text, *more, "--batch", batch)
                self.assertEqual(other[:2], one[:2])
                self.assertEqual(sorted(other[2]), sorted(one[2]))
                for name, first in one[2].items():
                    self.assertTrue(other[2][name] == first, name)
        return one

    def test_records_of_packets_at_several_workers_are_one(self):
        elements, read, files = self.check_alike(ANY, "in=in.pcap",
                                                 "out=null:")
        lines = files["./flows.log"].decode().splitlines()
        words = [line.split() for line in lines if " OK " in line]
        # Echoes of any identifier are one record.
        echoes = [int(w[7]) for w in words if w[6] == "1"]
        self.assertGreater(len(echoes), 300)
        self.assertGreater(max(echoes), 15)
        counters = elements["log"][0]
        self.assertEqual(counters["records"], len(words))
        # Windows without a packet: from 160 to 400 s.
        self.assertEqual(counters["nodata_records"], 4)
        self.assertEqual(sum(" NODATA " in line for line in lines), 4)
        # All packets are logged before the filter, and all behind it.
        self.assertEqual(sum(int(w[7]) for w in words), 2 * 10130)
        # What was read at the end is the window that was open then.
        self.assertEqual(lines[-len(read["log.window"]):],
                         read["log.window"])
        self.assertEqual(read["log.flows"], [len(read["log.window"])])

    def test_packets_of_a_central_reader_give_the_same_log(self):
        with open("in.pcap", "rb") as plain, \
                gzip.open("in.pcap.gz", "wb") as packed:
            packed.write(plain.read())
        self.check_alike(ANY, "in=in.pcap.gz", "out=null:")

    def test_answers_at_the_end_of_a_window_are_of_the_next(self):
        chance = random.Random(2)
        times = [7 * i * S // 1000 for i in range(5000)] + [40 * S - S // 1000]
        support.write_pcap("in.pcap", [(BEGIN + time, any_frame(chance))
                                       for time in times])
        files = self.check_alike(ANSWERED, "in=in.pcap", "out=echo:")[2]
        self.assertTrue(any(b" 1700000040 1700000040 " in line for line
                            in files["./flows.log"].splitlines()))

    def test_flows_of_two_devices_are_in_order_of_time(self):
        times, data = zip(*traffic())
        support.write_pcap("out.pcap", zip((time + 1 for time in times),
                                           reversed(data)))
        self.check_alike(JOINED, "in=in.pcap", "out=out.pcap")

    def test_a_logger_behind_the_workers_shares_its_log(self):
        self.check_alike(SHAPED, "in=in.pcap", "out=null:")

    def test_answers_are_logged_like_those_of_one_worker(self):
        self.check_alike(SHAPED, "in=in.pcap", "out=in.pcap")

    def test_a_logger_before_the_workers_shares_its_log(self):
        self.check_alike(TUNNEL, "in=in.pcap", "out=null:")

    def test_objects_are_the_same(self):
        graph = ANY.replace(
            "log-destination = flows.log",
            "log-destination = s3  log-destination-type = s3\n"
            "    account-id = 111122223333  region = eu-west-1")
        files = self.check_alike(graph, "in=in.pcap", "out=null:")[2]
        self.assertGreater(len(files), 1)

    def test_a_window_of_ten_minutes_ends_with_the_run(self):
        graph = ANY.replace("max-aggregation-interval = 60s", "")
        files = self.check_alike(graph, "in=in.pcap", "out=null:")[2]
        self.assertEqual(files["./flows.log"].count(b"NODATA"), 0)

    def test_the_limit_of_records_is_divided_and_met_with_skipdata(self):
        graph = ANY.replace("60s", "60s  max-records = 31").replace(
            "egress }", "egress  max-records = 31 }")
        for n in 1, 2, 4:
            elements, _, files = self.run_graph(n, graph, "in=in.pcap",
                                                "out=null:")
            lines = [line.split() for line
                     in files["./flows.log"].decode().splitlines()]
            counters = elements["log"][0]
            logged = sum(int(w[7]) for w in lines if w[12] == "OK")
            skipped = sum(e[0]["skipped"] for e in elements.values())
            self.assertGreater(skipped, 1000)
            self.assertEqual(logged + skipped, 2 * 10130)
            self.assertEqual(sum(w[12] == "SKIPDATA" for w in lines),
                             counters["skipdata_records"])
            self.assertEqual(counters["skipdata_records"], 4)
            windows = [int(w[9]) // 60 for w in lines if w[12] == "OK"]
            self.assertLessEqual(max(map(windows.count, windows)),
                                 2 * (31 + n))

    def test_no_packets_at_all_leave_an_empty_log(self):
        support.write_pcap("none.pcap", [])
        files = self.check_alike(ANY, "in=none.pcap", "out=null:")[2]
        self.assertEqual(files["./flows.log"], b"")


if __name__ == "__main__":
    unittest.main()
