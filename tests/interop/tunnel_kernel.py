#!/usr/bin/python3
"""Decap and Encap talk with the kernel's own tunnel devices, both ways.

    far (tunnel device) == eth0 == [Decap, Encap] -- eth0 (plain) near

Both ends of the tunnel are pinged and serve a download and an upload."""
import hashlib
import os
import subprocess
import unittest

from netns import Lab, require, stop

GATE, FAR, NEAR = "02:00:00:00:01:01", "02:00:00:00:02:01", "02:00:00:00:03:01"
UNDER4 = ("192.0.2.1", "192.0.2.2")
UNDER6 = ("fd00:7::1", "fd00:7::2")

GRAPH = """
Interface under { }
Interface over { }
Decap decap { format = %(format)s  %(both)s  %(decap)s }
Encap encap { format = %(format)s  %(both)s  %(encap)s }
%(near)s
connect("under -> decap -> %(hop)s over")
connect("over -> encap -> under")
"""


class Kernel(unittest.TestCase):
    def begin(self, form, device, both="", encap="", near="", six=False,
              tag=False):
        """'device': how the far end makes its tunnel device "tun0"."""
        self.lab = lab = Lab().__enter__()
        self.addCleanup(lab.__exit__)
        self.far, self.near, gate = (lab.namespace(name) for name in
                                     ("far", "near", "gate"))
        lab.veth((self.far, "eth0"), (gate, "under"))
        lab.veth((self.near, "eth0"), (gate, "over"))
        for space, name, mac in ((self.far, "eth0", FAR),
                                 (self.near, "eth0", NEAR),
                                 (gate, "under", GATE)):
            lab.ip(space, "link", "set", name, "address", mac)
        # A frame that the card is to cut inside of a tunnel is no frame that
        # a packet socket can describe.
        lab.run(self.far, "ethtool", "-K", "eth0", "tx", "off", "tso", "off",
                "gso", "off")
        far, here = UNDER6 if six else UNDER4
        lab.address(self.far, "eth0", far + ("/64" if six else "/24"))
        lab.ip(self.far, "neighbour", "add", here, "lladdr", GATE, "dev",
               "eth0", "nud", "permanent")
        for command in device:
            self.make_device(command.format(far=far, here=here).split())
        lab.ip(self.far, "link", "set", "tun0", "up", "mtu", "1400")
        lab.ip(self.near, "link", "set", "eth0", "mtu", "1400")
        lab.address(self.far, "tun0", "10.1.0.1/24")
        lab.address(self.near, "eth0", "10.1.0.2/24")
        if not tag:
            encap += "  local = %s  remote = %s  src-mac = %s  dst-mac = %s" \
                % (here, far, GATE, FAR)
        graph = lab.file("graph.conf", GRAPH % {
            "format": form, "both": both, "encap": encap,
            "near": "EtherRewrite near { dst = %s }" % near if near else "",
            "hop": "near ->" if near else "",
            "decap": "" if tag else "local = " + here})
        self.gate = lab.headgate(gate, graph, "under=raw:under",
                                 "over=raw:over", receiving=2)

    def make_device(self, command):
        made = subprocess.run(["ip", "-n", self.far, *command], check=False,
                              stderr=subprocess.PIPE)
        if made.returncode and b"not supported" in made.stderr or \
                b"Unknown device type" in made.stderr:
            self.skipTest("this kernel has no such device: " +
                          " ".join(command))
        self.assertEqual((made.returncode, made.stderr), (0, b""))

    def talk(self):
        lab = self.lab
        for space, host in ((self.near, "10.1.0.1"), (self.far, "10.1.0.2")):
            for size in ("56", "1200"):
                out = lab.run(space, "ping", "-c", "3", "-i", "0.05", "-W",
                              "2", "-s", size, host)
                self.assertIn(" 0% packet loss", out)
        payload = os.urandom(1 << 20)
        digest = hashlib.sha256(payload).hexdigest()
        path = lab.file("payload", payload)
        got = os.path.join(lab.folder, "got")
        lab.peers(self.far)
        curl = ("curl", "--silent", "--show-error", "--fail", "--max-time",
                "20")
        lab.run(self.near, *curl, "-o", got, "http://10.1.0.1:8080/payload")
        with open(got, "rb") as file:
            self.assertEqual(hashlib.sha256(file.read()).hexdigest(), digest)
        self.assertEqual(lab.run(self.near, *curl, "-T", path,
                                 "http://10.1.0.1:8080/up"), digest)
        status, _, err, _ = stop(self.gate)
        self.assertEqual((status, err), (0, ""))

    def tun(self, kind):
        return ("link add tun0 type " + kind,)

    def test_geneve(self):
        self.begin("geneve", self.tun("geneve id 42 remote {here}"),
                   "vni = 42")
        self.talk()

    def test_geneve_over_ipv6(self):
        self.begin("geneve", self.tun("geneve id 42 remote {here}"),
                   "vni = 42", six=True)
        self.talk()

    def test_vxlan(self):
        self.begin("vxlan", self.tun("vxlan id 42 remote {here} local {far} "
                                     "dstport 4789 dev eth0"), "vni = 42")
        self.talk()

    def test_vxlan_over_ipv6(self):
        self.begin("vxlan", self.tun("vxlan id 42 remote {here} local {far} "
                                     "dstport 4789 dev eth0"), "vni = 42",
                   six=True)
        self.talk()

    def test_vxlan_with_checksums(self):
        self.begin("vxlan", self.tun("vxlan id 42 remote {here} local {far} "
                                     "dstport 4789 dev eth0 udpcsum"),
                   "vni = 42", "udp-checksum = compute")
        self.talk()

    def plain_ip(self):
        """The far end has no Ethernet: the near one's neighbour is given."""
        self.lab.ip(self.near, "neighbour", "add", "10.1.0.1", "lladdr", GATE,
                    "dev", "eth0", "nud", "permanent")

    def test_gre(self):
        self.begin("gre", self.tun("gre local {far} remote {here} key 42"),
                   "vni = 42", near=NEAR)
        self.plain_ip()
        self.talk()

    def test_gre_with_checksum_and_sequence(self):
        self.begin("gre", self.tun("gre local {far} remote {here} key 42 "
                                   "csum seq"),
                   "vni = 42", "gre-checksum = true  gre-sequence = true",
                   near=NEAR)
        self.plain_ip()
        self.talk()

    def test_gre_with_ethernet_inside(self):
        self.begin("gre", self.tun("gretap local {far} remote {here} key 42"),
                   "vni = 42", "inner = ethernet")
        self.talk()

    def test_nvgre(self):
        # The kernel's key is all 32 bits, and it wants them as they are: one
        # network, and its FlowID 0.
        self.begin("nvgre", self.tun("gretap local {far} remote {here} "
                                     "ikey 10752 okey 10752"), "vni = 42",
                   "flow-ids = false")
        self.talk()

    def test_vlan(self):
        self.begin("vlan", ("link add tun0 link eth0 type vlan id 42",),
                   "vni = 42", tag=True)
        self.talk()

    def test_qinq(self):
        self.begin("qinq", (
            "link add outer link eth0 type vlan proto 802.1ad id 7",
            "link set outer up", "link add tun0 link outer type vlan id 42"),
            "vni = %d" % (7 << 12 | 42), tag=True)
        self.talk()


if __name__ == "__main__":
    require("ethtool", "curl", "ping")
    unittest.main()
