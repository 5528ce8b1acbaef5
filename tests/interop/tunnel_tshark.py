#!/usr/bin/python3
"""tshark dissects what Encap makes, sees the fields that were asked for and
has no complaint; and Decap makes of it what went in."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import support  # noqa: E402

CAPTURE = os.path.join(support.CAPTURES, "nat-gateway.pcap")
CHECKS = ("ip.check_checksum", "udp.check_checksum", "tcp.check_checksum")
MACS = "  src-mac = 02:00:00:00:09:01  dst-mac = 02:00:00:00:09:02"
OVER4 = "local = 192.0.2.1  remote = 192.0.2.2" + MACS
OVER6 = "local = 2001:db8::1  remote = 2001:db8::2" + MACS

ENCAP = """
Interface plain { }
Interface tunnel { }
Encap encap { %s }
connect("plain -> encap -> tunnel")
"""
DECAP = """
Interface tunnel { }
Interface plain { }
Decap decap { %s }
connect("tunnel -> decap -> plain")
"""
# Encap, Decap, fields that every packet has, whether Ethernet is inside.
ROWS = [
    ("format = geneve  vni = 42  " + OVER4, "format = geneve  vni = 42",
     {"geneve.vni": "0x00002a", "udp.dstport": "6081"}, True),
    ("format = geneve  vni = 42  eni-options = true  " + OVER6,
     "format = geneve  vni = 42",
     {"geneve.vni": "0x00002a", "geneve.option.class": "0xff01"}, True),
    ("format = geneve  vni = 0  gwlb-endpoint = 1  gwlb-attachment = 2  "
     "udp-checksum = compute  " + OVER4,
     "format = geneve  vni = 0  gwlb = true",
     {"geneve.proto_type": "0x0800", "geneve.option.length": "32"}, False),
    ("format = vxlan  vni = 42  udp-checksum = compute  dscp = 46  ttl = 9  "
     + OVER4, "format = vxlan  vni = 42",
     {"vxlan.vni": "42", "ip.ttl": "9", "ip.dsfield.dscp": "46"}, True),
    ("format = vxlan  vni = 42  " + OVER6, "format = vxlan  vni = 42",
     {"vxlan.vni": "42", "udp.dstport": "4789"}, True),
    ("format = gre  vni = 42  gre-checksum = true  gre-sequence = true  "
     + OVER4, "format = gre  vni = 42",
     {"gre.key": "0x0000002a", "gre.proto": "0x0800"}, False),
    ("format = gre  inner = ethernet  " + OVER6, "format = gre",
     {"gre.proto": "0x6558"}, True),
    ("format = nvgre  vni = 42  flow-ids = false  " + OVER4,
     "format = nvgre  vni = 42", {"gre.key": "0x00002a00"}, True),
    ("format = vlan  vni = 42  priority = 5", "format = vlan  vni = 42",
     {"vlan.id": "42", "vlan.priority": "5"}, True),
    ("format = qinq  vni = 28714", "format = qinq  vni = 28714",
     {"ieee8021ad.id": "7"}, True),
]


def tshark(path, *arguments):
    checks = [word for name in CHECKS for word in ("-o", name + ":TRUE")]
    return subprocess.run(["tshark", "-n", "-r", path, *checks, *arguments],
                          check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE).stdout.decode()


class Tshark(unittest.TestCase):
    def run_graph(self, folder, text, *devices):
        graph = os.path.join(folder, "graph.conf")
        with open(graph, "w", encoding="ascii") as file:
            file.write(text)
        result = support.headgate("run", graph, *devices, "--json")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return json.loads(result.stdout)

    def plain(self, folder):
        """IPv4 packets whose checksums and dissection are in order."""
        path = os.path.join(folder, "plain.pcap")
        subprocess.run(["tshark", "-r", CAPTURE, "-Y",
                        "ip and not icmp", "-c", "40", "-F", "pcap", "-w",
                        path], check=True,
                       stderr=subprocess.DEVNULL)
        return path

    def complaints(self, path):
        """Expert items of the tunnel's own layers, and bad checksums."""
        bad = ["%s.checksum.status == \"Bad\"" % layer
               for layer in ("ip", "udp", "tcp", "gre")]
        return tshark(path, "-T", "fields", "-e", "frame.number", "-Y",
                      " or ".join(["_ws.malformed",
                                   "_ws.expert.severity == error"] + bad))

    def check_row(self, encap, decap, fields, is_ethernet):
        with tempfile.TemporaryDirectory() as folder:
            plain = self.plain(folder)
            there, back = (os.path.join(folder, name) for name in
                           ("there.pcap", "back.pcap"))
            self.run_graph(folder, ENCAP % encap, "plain=" + plain,
                           "tunnel=%s:%s" % (plain, there))
            sent = [frame for _, frame in support.read_pcap(plain)]
            self.assertGreater(len(sent), 5)
            for name, value in fields.items():
                found = tshark(there, "-T", "fields", "-e", name,
                               "-E", "occurrence=f").split()
                self.assertEqual(found, [value] * len(sent), name)
            self.assertEqual(self.complaints(there), self.complaints(plain))
            self.run_graph(folder, DECAP % decap,
                           "tunnel=%s" % there, "plain=echo:")
            self.run_graph(folder, DECAP % decap, "tunnel=%s" % there,
                           "plain=%s:%s" % (plain, back))
            got = [frame for _, frame in support.read_pcap(back)]
            if not is_ethernet:  # And its padding stayed behind as well.
                sent = [frame[14:14 + int.from_bytes(frame[16:18], "big")]
                        for frame in sent]
                got = [frame[14:] for frame in got]
            self.assertEqual(got, sent)

    def test_every_format(self):
        for row in ROWS:
            with self.subTest(row[0]):
                self.check_row(*row)


if __name__ == "__main__":
    if not shutil.which("tshark"):
        support.skip("there is no tshark here")
    unittest.main()
