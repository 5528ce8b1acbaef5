#!/usr/bin/python3
"""Several workers from outside: what is refused and why, and that values read
and written are those of one worker.  That results are the same for every
graph and class is in invariants.py."""
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
import support  # noqa: E402

NAT = os.path.join(support.ROOT, "graphs", "nat-gateway.conf")
SENT = "gen:count=20000,flows=500,proto=udp:1+tcp:2"

SHAPED = """
Interface in { }
Interface out { }
CheckIP   check { }
SecurityGroup groups {
    group sg { inbound { source = 0.0.0.0/0 } }
}
Queue     wait { length = 100 }
Shaper    slow { rate = 5000pps }
FlowLogger log {
    log-destination = flows.log
    max-aggregation-interval = 60s
    interface-id = eni-1
}
connect("in -> check -> [egress]groups[egress] -> log -> wait -> slow -> out")
connect("out -> CheckIP -> [ingress]groups[ingress] -> Discard")
"""

# From filter to NAT and back packets stay with the owner of their flow.
CHAIN = """
Interface in { }
Interface out { }
SecurityGroup sg {
    group web { inbound { source = 0.0.0.0/0 } }
}
HyperplaneNAT nat { public = { 198.51.100.1, 198.51.100.2 } }
FlowLogger log {
    log-destination = flows.log
    max-aggregation-interval = 60s
    interface-id = eni-1
    direction = egress
    log-format = '${dstaddr} ${dstport} ${protocol} ${packets} ${bytes} ${end}'
}
Encap encap {
    format = geneve
    local  = 192.0.2.1
    remote = 192.0.2.2
    vni    = 5
    source-ports = 50000
}
Switch side { outputs = { nat, groups }  to = nat }
connect("in -> CheckIP -> [egress]sg[egress] -> [inside]nat[outside] -> log")
connect("log -> encap -> out")
connect("out -> CheckIP -> side; side[nat] -> [outside]nat[inside] -> in")
connect("side[groups] -> [ingress]sg[ingress] -> in; sg[deny] -> Discard")
"""

TRACED = """
Interface in { }
Interface out { }
Trace seen { file = seen.txt }
connect("in -> seen -> out")
"""

TRACED_ECHO = """
Interface in { }
Interface out { }
CheckIP check { }
Trace seen { file = seen.txt }
connect("in -> check -> seen -> out")
connect("out -> Counter -> in")
"""

# What is large is built once and shared: routes, ACLs, groups.
SHARED = """
Interface in { }
Interface out { }
Interface other { }
NACL acl {
    inbound 200 { cidr = 0.0.0.0/0  action = allow }
    file = acl.csv  quota = 1000
}
SecurityGroup groups {
    group sg { inbound { protocol = udp  source = 0.0.0.0/0 } }
    file = groups.csv
}
RouteTable rt { file = routes.csv  target up { } target down { } }
Counter passed { }
connect("in -> CheckIP -> [inbound]acl[inbound] -> passed")
connect("passed -> [ingress]groups[ingress] -> rt")
connect("rt[up] -> out; rt[down] -> other")
connect("out -> CheckIP -> [egress]groups[egress] -> Discard")
connect("other -> CheckIP -> [outbound]acl[outbound] -> Discard")
"""

COPY = """
Interface in { }
Interface out { }
connect("in -> out")
"""

ECHOED = """
Interface in { }
Interface out { }
connect("in -> Counter -> out; out -> Counter -> in")
"""

COUNTED = """
Interface in { }
Interface out { }
connect("in -> Counter -> out")
"""

# Trace needs all packets, in order.
WATCHED = """
Interface in { }
Interface out { }
SecurityGroup groups {
    group sg { inbound { source = 0.0.0.0/0 } }
}
Trace seen { file = seen.txt }
connect("in -> CheckIP -> [egress]groups[egress] -> seen -> out")
connect("out -> CheckIP -> [ingress]groups[ingress] -> Discard")
"""

RATED = """
Interface in { }
Shaper s { rate = 1Mbps }
connect("in -> s -> Discard")
"""


class Workers(support.InFolder):
    def graph(self, text):
        with open("graph.conf", "w", encoding="utf-8") as file:
            file.write(text)
        return "graph.conf"

    def run_json(self, workers, *arguments):
        result = support.headgate("run", *arguments, "--workers", workers,
                                  "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        summary = json.loads(result.stdout)
        summary.pop("timing")
        return summary

    def refused(self, sentence, *arguments):
        result = support.headgate("run", *arguments)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn(sentence, result.stderr)

    def read(self, name):
        with open(name, "rb") as file:
            return file.read()

    def test_workers_are_from_1_to_64(self):
        for n in "0", "65", "two":
            self.refused("it is a number from 1 to 64", NAT, "--workers", n)

    def test_nothing_to_share_is_refused_with_the_element(self):
        self.refused("'seen' (Trace) needs all packets at one place",
                     self.graph(TRACED), "in=gen:", "out=null:",
                     "--workers", "2")

    def test_answers_to_what_one_place_sends_are_refused(self):
        self.refused("cannot have 'out' answer", self.graph(TRACED_ECHO),
                     "in=gen:", "out=echo:", "--workers", "2")

    def test_import_of_flows_is_refused(self):
        result = support.headgate("run", NAT, "inside=gen:", "outside=null:",
                                  "--workers", 2, "--write", "nat.import={}")
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("while several workers run", result.stderr)

    def test_values_come_from_files_of_text(self):
        with open("rate", "w", encoding="ascii") as file:
            file.write("2Mbps\n")
        summary = self.run_json(
            1, self.graph(RATED), "in=gen:count=1", "--write", "s.rate=@rate",
            "--read", "s.rate")
        self.assertEqual(summary["read"], {"s.rate": ["2Mbps"]})
        with open("rate", "a", encoding="ascii") as file:
            file.write("\0 and more")
        self.refused("'rate' has a zero byte", self.graph(RATED),
                     "in=gen:count=1", "--write", "s.rate=@rate")

    def test_values_read_are_those_of_one_worker(self):
        asked = ["--read", "nat.count", "--read", "nat.flows", "--read",
                 "nat.connection-attempt-count", "--read", "nat.udp-timeout"]
        one, three = (self.run_json(n, NAT, "inside=" + SENT, "outside=echo:",
                                    *asked)["read"] for n in (1, 3))
        one_flows, three_flows = (sorted(
            (f["proto"], f["inside"]["addr"], f["inside"]["port"],
             f["remote"]["addr"]) for f in answer.pop("nat.flows"))
            for answer in (one, three))
        self.assertEqual(one, three)
        self.assertEqual(one_flows, three_flows)
        self.assertGreater(len(one_flows), 100)

    def test_values_are_written_to_every_worker(self):
        for n in 1, 3:
            summary = self.run_json(n, NAT, "inside=" + SENT, "outside=null:",
                                    "--write", "ttl-out.floor=64")
            self.assertEqual(
                summary["elements"]["ttl-out"]["counters"]["expired"], 20000)

    def shared_tables(self, workers, *more):
        """The summary and what left, with tables in files."""
        self.graph(SHARED)
        for name, lines in (
                ("acl.csv", ["direction,number,action,cidr"] +
                 [f"inbound,{n},deny,10.0.{n // 16}.{n % 16 * 16}/29"
                  for n in range(1, 100)]),
                ("groups.csv", ["group,direction,protocol,service,peer"] +
                 [f"sg,inbound,tcp,{n},10.0.0.0/8" for n in range(1, 100)]),
                ("routes.csv", ["destination,target"] +
                 [f"203.0.113.{n}/32,{'down' if n % 3 else 'up'}"
                  for n in range(256)])):
            with open(name, "w", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
        summary = self.run_json(
            workers, "graph.conf",
            "in=gen:count=20000,flows=2000,proto=udp:1+tcp:1,"
            "src=10.0.0.0/9,dst=203.0.113.0/24,dport=50-150",
            "out=:out.pcap", "other=:other.pcap", "--read", "rt.routes",
            "--read", "rt.memory", "--read", "rt.updates", "--read",
            "groups.rules", "--read", "groups.count", *more)
        return summary, self.read("out.pcap"), self.read("other.pcap")

    def test_shared_tables_give_the_results_of_one_worker(self):
        one = self.shared_tables(1)
        counts = one[0]["elements"]
        self.assertGreater(counts["acl"]["drops"]["denied"], 1000)
        self.assertGreater(counts["groups"]["drops"]["denied"], 1000)
        self.assertGreater(len(one[1]), 10000)
        self.assertGreater(len(one[2]), 10000)
        for n in 2, 3:
            self.assertEqual(self.shared_tables(n), one)

    def test_a_write_changes_a_shared_table_once_and_for_all(self):
        writes = ("--write", "rt.add=203.0.113.0/25 target=blackhole",
                  "--write", "rt.remove=203.0.113.200/32",
                  "--write", "acl.remove-rule=default inbound 7",
                  "--write", "acl.add-rule=default inbound 150 action=deny "
                             "cidr=10.0.7.0/24",
                  "--write", "groups.add-rule=sg inbound tcp all 10.0.2.0/23",
                  "--write", "groups.remove-rule=1")
        one = self.shared_tables(1, *writes)
        self.assertNotEqual(one[1], self.shared_tables(1)[1])
        self.assertEqual(one[0]["read"]["rt.updates"], [2])
        for n in 2, 3:
            self.assertEqual(self.shared_tables(n, *writes), one)

    def test_what_needs_all_packets_sees_them_in_order(self):
        results = []
        for n in 1, 2, 3:
            summary = self.run_json(
                n, self.graph(SHAPED),
                "in=gen:count=20000,flows=300,rate=10kpps,"
                "proto=udp:1+tcp:1,dst=203.0.113.0/24", "out=:out.pcap")
            results.append((summary, self.read("out.pcap"),
                            self.read("flows.log")))
        summary = results[0][0]["elements"]
        self.assertGreater(summary["wait"]["drops"]["full"], 1000)
        self.assertGreater(summary["log"]["counters"]["records"], 299)
        for other in results[1:]:
            self.assertEqual(other[0], results[0][0])
            self.assertTrue(other[1] == results[0][1], "out.pcap differs")
            self.assertTrue(other[2] == results[0][2], "flows.log differs")

    def test_many_rounds_give_the_packets_of_one_worker_in_order(self):
        files = []
        for n in 1, 2, 4:
            self.run_json(n, NAT, "inside=" + SENT, "outside=:out.pcap")
            # All but the source port that the NAT chose, and the checksum.
            files.append([(time, frame[:34], frame[36:40])
                          for time, frame in support.read_pcap("out.pcap")])
        self.assertEqual(len(files[0]), 20000)
        self.assertTrue(files[1] == files[0] and files[2] == files[0])

    def test_what_each_worker_reads_itself_comes_together_in_order(self):
        self.run_json(1, self.graph(COPY), "in=" + SENT, "out=:in.pcap")
        support.write_pcap("ties.pcap", [
            (i // 500, frame) for i, (_, frame) in
            enumerate(support.read_pcap("in.pcap"))])
        for source in SENT, "in.pcap", "ties.pcap":
            results = []
            for n in 1, 2, 3:
                summary = self.run_json(n, self.graph(WATCHED),
                                        "in=" + source, "out=null:")
                results.append((summary, self.read("seen.txt")))
            self.assertEqual(results[0][1].count(b"\n"), 20000)
            for other in results[1:]:
                self.assertEqual(other[0], results[0][0])
                self.assertTrue(other[1] == results[0][1], "seen.txt differs")

    def test_gen_has_the_same_packets_for_all_whatever_it_makes(self):
        for options, more in (
                ("flows=1000,size=imix,proto=mix", ()),
                ("flows=3000,rate=777777pps", ()),
                ("flows=30,rate=7pps,mode=roundrobin", ()),
                ("flows=100,rate=3Gbps,size=imix", ()),
                ("flows=1000,rate=7pps",
                 ("--filter", "in=src net 10.0.0.0/25"))):
            results = []
            for n in 1, 3:
                summary = self.run_json(
                    n, self.graph(WATCHED), "in=gen:count=3001," + options,
                    "out=:out.pcap", *more)
                results.append((summary, self.read("seen.txt"),
                                self.read("out.pcap")))
            self.assertGreater(results[0][1].count(b"\n"), 50)
            self.assertTrue(results[1] == results[0], options)

    def test_frames_of_any_size_are_written(self):
        frames = [(i, bytes(12) + b"\x08\x00" + bytes([i % 251]) * n)
                  for i, n in enumerate((0, 46, 1500, 9202, 65000, 262130,
                                         1, 100000) * 20)]
        support.write_pcap("in.pcap", frames)
        self.run_json(1, self.graph(COUNTED), "in=in.pcap", "out=:one.pcap")
        for n in 2, 3:
            self.run_json(n, "graph.conf", "in=in.pcap", "out=:out.pcap")
            self.assertTrue(self.read("out.pcap") == self.read("one.pcap"))

    def test_answers_behind_the_last_packet_come_in_time(self):
        self.run_json(1, self.graph(COUNTED), "in=gen:count=40,flows=40",
                      "out=:in.pcap")
        self.graph(ECHOED)
        for n in 1, 2, 3:
            for batch in 1, 7, 64:
                self.run_json(n, "graph.conf", "in=in.pcap:out.pcap",
                              "out=echo:delay=1ms", "--batch", batch)
                self.assertEqual(
                    [time for time, _ in support.read_pcap("out.pcap")],
                    [time + 1000000
                     for time, _ in support.read_pcap("in.pcap")])

    def test_what_each_worker_reads_itself_goes_from_owner_to_owner(self):
        results = []
        for n in 1, 2, 3:
            summary = self.run_json(n, self.graph(CHAIN), "in=" + SENT,
                                    "out=null:")
            results.append((summary["total"],
                            summary["elements"]["nat"]["counters"]
                            ["packets_out_to_destination"],
                            self.read("flows.log")))
        self.assertEqual(results[0][1], 20000)
        for other in results[1:]:
            self.assertTrue(other == results[0])

    def test_packets_go_from_owner_to_owner_on_the_way(self):
        results = []
        for n in 1, 2, 3, 5:
            summary = self.run_json(
                n, self.graph(CHAIN), "in=gen:count=60000,flows=500,"
                "rate=1kpps,proto=udp:1+tcp:1,dst=203.0.113.0/24",
                "out=:out.pcap")
            # Outside the source port that the NAT chose, and the checksum.
            sent = [(time, frame[:84], frame[86:90])
                    for time, frame in support.read_pcap("out.pcap")]
            # How full tables are depends on how many there are.
            counted = {name: (e["counters"], e["drops"])
                       for name, e in summary["elements"].items()}
            results.append((summary["total"], counted, sent,
                            self.read("flows.log")))
        self.assertEqual(results[0][0]["sent"], 60000)
        self.assertGreater(results[0][1]["log"][0]["records"], 499)
        for other in results[1:]:
            for ours, first in zip(other, results[0]):
                self.assertTrue(ours == first)

    def test_each_worker_reads_the_capture_itself(self):
        self.run_json(1, NAT, "inside=" + SENT, "outside=:all.pcap")
        counts = []
        for n in 1, 2, 3:
            summary = self.run_json(n, NAT, "inside=null:",
                                    "outside=all.pcap:out.pcap", "--filter",
                                    "outside=udp")
            counts.append((summary["devices"], summary["total"]))
        self.assertGreater(counts[0][1]["received"], 1000)
        self.assertEqual(counts[1:], [counts[0]] * 2)


if __name__ == "__main__":
    unittest.main()
