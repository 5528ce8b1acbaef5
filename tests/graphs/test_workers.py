#!/usr/bin/python3
"""Several workers from outside: what is refused and why, and that values read
and written are those of one worker.  That results are the same for every
graph and class is in invariants.py."""
import json
import os
import shutil
import sys
import tempfile
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


class Workers(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="headgate-")
        self.addCleanup(shutil.rmtree, self.home)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.home)

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


if __name__ == "__main__":
    unittest.main()
