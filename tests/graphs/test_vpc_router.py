"""graphs/vpc-router.conf over its capture: who reaches whom, what is refused
by what, and the flow log of it."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from scapy.all import IP, TCP, UDP, Ether, rdpcap  # noqa: E402
from scapy.contrib.geneve import GENEVE  # noqa: E402
from support import HEADGATE, ROOT  # noqa: E402

GRAPH = os.path.join(ROOT, "graphs", "vpc-router.conf")
CAPTURE = os.path.join(ROOT, "graphs", "captures", "vpc-router.pcap")
RED, BLUE = 100, 200
HOSTS = {(RED, "10.0.1.10"): "192.0.2.11", (RED, "10.0.1.11"): "192.0.2.12",
         (RED, "10.0.2.10"): "192.0.2.12", (RED, "10.0.3.10"): "192.0.2.13",
         (BLUE, "10.0.1.10"): "192.0.2.13", (BLUE, "10.0.2.10"): "192.0.2.11",
         (BLUE, "10.0.3.10"): "192.0.2.11"}


class VpcRouter(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "out.pcap")
            log = os.path.join(folder, "flow.log")
            run = subprocess.run(
                [HEADGATE, "run", GRAPH, "fabric=%s:%s" % (CAPTURE, out),
                 "--json"], env=dict(os.environ, FLOW_LOG=log), check=True,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            cls.summary = json.loads(run.stdout)
            cls.sent = list(rdpcap(out))
            with open(log) as lines:
                cls.log = [line.split() for line in lines]

    def inner(self):
        for packet in self.sent:
            geneve = packet[GENEVE]
            yield packet, geneve.vni, geneve.payload

    def dropped(self, element, reason):
        return self.summary["elements"][element]["drops"][reason]

    def test_every_packet_goes_to_the_host_of_its_receiver_in_its_vpc(self):
        self.assertEqual(len(self.sent), 68)
        for packet, vni, frame in self.inner():
            self.assertEqual(packet[IP].src, "192.0.2.1")
            self.assertEqual(packet[IP].dst, HOSTS[vni, frame[IP].dst])
            self.assertEqual(frame.dst[:11],
                             "02:00:00:0%d" % (1 if vni == RED else 2))

    def test_the_vpcs_never_meet(self):
        ports = {RED: set(), BLUE: set()}
        for _, vni, frame in self.inner():
            if TCP in frame:
                ports[vni].add(max(frame[TCP].sport, frame[TCP].dport))
        self.assertEqual(ports, {RED: {40000, 41000, 42000, 40100},
                                 BLUE: {40001, 41001}})

    def test_inner_packets_leave_as_they_came(self):
        came = {(GENEVE in p and p[GENEVE].vni, bytes(p[GENEVE].payload[IP]))
                for p in rdpcap(CAPTURE)}
        for _, vni, frame in self.inner():
            self.assertIn((vni, bytes(frame[IP])), came)

    def test_what_is_refused_has_its_reason(self):
        self.assertEqual(self.dropped("decap", "spoofed_sender"), 1)
        self.assertEqual(self.dropped("decap", "unknown_network"), 1)
        self.assertEqual(self.dropped("routes", "no_route"), 1)
        self.assertEqual(self.dropped("find", "no_mapping"), 1)
        self.assertEqual(self.dropped("log-in", "rejected"), 8)
        self.assertTrue(self.summary["total"]["balanced"])

    def test_the_log_has_what_filters_refused(self):
        refused = [(line[2], line[3], line[4], line[6])
                   for line in self.log if line[12] == "REJECT"]
        self.assertEqual(sorted(refused), [
            ("eni-blue-app1", "10.0.1.10", "10.0.2.10", "22"),
            ("eni-red-db1", "10.0.1.10", "10.0.3.10", "5432"),
            ("eni-red-db1", "10.0.3.10", "10.0.2.10", "8080")])

    def test_servers_answer_although_no_rule_lets_them_begin(self):
        answers = {(line[2], line[5]) for line in self.log
                   if line[12] == "ACCEPT" and line[5] in ("8080", "5432")}
        self.assertEqual(answers, {
            (eni % vpc, port) for vpc in ("red", "blue") for eni, port in (
                ("eni-%s-app1", "8080"), ("eni-%s-web1", "8080"),
                ("eni-%s-db1", "5432"), ("eni-%s-app1", "5432"))})

    def test_each_accepted_flow_is_logged_at_both_interfaces(self):
        seen = {}
        for line in self.log:
            if line[12] == "ACCEPT" and line[6] == "8080":
                seen.setdefault(line[5], []).append((line[2], line[8]))
        self.assertEqual(seen, {
            "40000": [("eni-red-web1", "7"), ("eni-red-app1", "7")],
            "40001": [("eni-blue-web1", "7"), ("eni-blue-app1", "7")],
            "40100": [("eni-red-web1", "5"), ("eni-red-app1", "5")]})

    def test_logged_packets_are_those_that_passed(self):
        egress = sum(int(line[8]) for line in self.log
                     if line[12] == "ACCEPT")
        # At the sender 76, at the receiver the 68 that reached it.
        self.assertEqual(egress, 76 + 68)


if __name__ == "__main__":
    unittest.main()
