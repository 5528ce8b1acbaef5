#!/usr/bin/python3
"""What flows remember of their packets' records does not show: the logs of
what a NAT translated, where flows are known and come again and again, say the
same as those that are made of its output, where no flow is known."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_nat_workers as nat  # noqa: E402
from test_nat_workers import support  # noqa: E402

LOG = """
FlowLogger %s {
    log-destination = %s
    interface-id = eni-1
    max-aggregation-interval = %s
    nodata = false
    log-format = '${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} \
${packets} ${bytes} ${start} ${end} ${tcp-flags}'
}
"""
ENDS = "Interface in { }\nInterface out { }\n"


def logs(interval):
    return ENDS + "".join(LOG % (name, name + ".log", interval)
                          for name in ("outward", "inward"))


LOGS = logs("60s")
GATEWAY = LOGS + """
HyperplaneNAT nat { public = { 198.51.100.1, 198.51.100.2 } }
connect("in -> CheckIP -> [inside]nat[outside] -> outward -> out")
connect("out -> CheckIP -> [outside]nat[inside] -> inward -> in")
"""
# Of two NATs in a row only one has the second key of a flow's record.
IN_A_ROW = LOGS + """
HyperplaneNAT first { public = { 100.64.0.1, 100.64.0.2 } }
HyperplaneNAT nat { public = { 198.51.100.1 } }
connect("in -> CheckIP -> [inside]first[outside]
         -> [inside]nat[outside] -> outward -> out")
connect("out -> CheckIP -> [outside]nat[inside] -> [outside]first[inside]
         -> inward -> in")
"""
# The security group knows a flow when the NAT has forgotten it, and
# gives it another port.
FORGETS = logs("600s") + """
SecurityGroup sg { group a { inbound { source = 10.9.9.9/32 } } }
HyperplaneNAT nat { public = { 198.51.100.1 }  idle-timeout = 8s
                    tcp-opening-timeout = 8s }
connect("in -> CheckIP -> [egress]sg[egress] -> [inside]nat[outside]
         -> outward -> out")
connect("out -> CheckIP -> [outside]nat[inside] -> [ingress]sg[ingress]
         -> inward -> in")
"""
ANEW = """
connect("out -> outward -> Discard; in -> inward -> Discard")
"""
ROUNDS = 4


def again_and_again(frames, gap_s):
    return [(time + k * gap_s * 10**9, frame)
            for k in range(ROUNDS) for time, frame in frames]


class Translated(support.InFolder):
    def run_graph(self, graph, *devices):
        with open("graph.conf", "w", encoding="utf-8") as file:
            file.write(graph)
        result = support.headgate("run", "graph.conf", *devices, "--seed", "5")
        self.assertEqual(result.returncode, 0, result.stderr + result.stdout)

    def check(self, graph, gap_s, anew=LOGS + ANEW):
        support.write_pcap("in.pcap", nat.outgoing(False))
        self.run_graph(graph, "in=in.pcap", "out=:sent.pcap")
        replies = [(time + 5000 * nat.MSEC + k, nat.ethernet(ip))
                   for n, (time, frame)
                   in enumerate(support.read_pcap("sent.pcap"))
                   for k, ip in enumerate(nat.answers(frame, n))]
        support.write_pcap("in.pcap", again_and_again(nat.outgoing(False),
                                                       gap_s))
        support.write_pcap("replies.pcap", again_and_again(replies, gap_s))
        self.run_graph(graph, "in=in.pcap:back.pcap",
                       "out=replies.pcap:sent.pcap")
        logs = [self.take("outward.log"), self.take("inward.log")]
        self.run_graph(anew, "in=back.pcap", "out=sent.pcap")
        for log, name in zip(logs, ("outward.log", "inward.log")):
            self.assertGreater(len(log), nat.FLOWS)
            self.assertEqual(log, self.take(name))

    def take(self, name):
        with open(name, encoding="utf-8") as file:
            return file.read().splitlines()

    def test_behind_a_nat(self):
        self.check(GATEWAY, 20)

    def test_behind_two_nats_in_a_row(self):
        self.check(IN_A_ROW, 20)

    def test_behind_a_nat_that_forgets_before_others_do(self):
        self.check(FORGETS, 20, logs("600s") + ANEW)


if __name__ == "__main__":
    unittest.main()
