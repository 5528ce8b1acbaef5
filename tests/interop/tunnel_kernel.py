#!/usr/bin/python3
"""Decap and Encap talk with the kernel's own tunnel devices, both ways.

    far (tunnel device) == eth0 == [Decap, Encap] -- eth0 (plain) near

Through each, both ends are pinged, over IPv4 and IPv6 inside, and the far one
serves a download and takes an upload."""
import hashlib
import json
import os
import subprocess
import unittest

from netns import Lab, require, stop
import uml

GATE, FAR, NEAR = "02:00:00:00:01:01", "02:00:00:00:02:01", "02:00:00:00:03:01"
UNDER4 = ("192.0.2.1", "192.0.2.2")
UNDER6 = ("fd00:7::1", "fd00:7::2")
INSIDE4 = ("10.1.0.1", "10.1.0.2")
INSIDE6 = ("fd00:8::1", "fd00:8::2")

GRAPH = """
Interface under { }
Interface over { }
Decap decap { format = %(format)s  %(decap)s }
Encap encap { format = %(format)s  %(encap)s }
%(near)s
IcmpError smaller {
    type = fragmentation-needed  mtu = 1400  source = 10.1.0.254
}
connect("under -> decap -> %(hop)s over")
connect("over -> encap -> under")
connect("encap[too-big] -> CheckIP -> smaller -> over")
"""


class Kernel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = lab = Lab().__enter__()
        cls.addClassCleanup(lab.__exit__)
        cls.far, cls.near, cls.gate = (lab.namespace(name) for name in
                                       ("far", "near", "gate"))
        lab.veth((cls.far, "eth0"), (cls.gate, "under"))
        lab.veth((cls.near, "eth0"), (cls.gate, "over"))
        # A frame that the card is to cut inside of a tunnel is no frame that
        # a packet socket can describe.
        lab.run(cls.far, "ethtool", "-K", "eth0", "tx", "off", "tso", "off",
                "gso", "off")
        cls.do(cls.gate, "link set under address %s mtu 1600" % GATE)
        cls.do(cls.far, "link set eth0 address %s mtu 1600" % FAR,
               *cls.host("eth0", UNDER4[0], UNDER6[0]),
               *("neighbour add %s lladdr %s dev eth0 nud permanent" %
                 (host, GATE) for host in (UNDER4[1], UNDER6[1])))
        cls.do(cls.near, "link set eth0 address %s" % NEAR,
               *cls.host("eth0", INSIDE4[1], INSIDE6[1]))
        cls.payload = os.urandom(1 << 17)
        cls.path = lab.file("payload", cls.payload)
        lab.peers(cls.far)

    @staticmethod
    def host(device, four, six):
        """The addresses of an interface, as commands for 'ip'."""
        return ("address add %s/24 dev %s" % (four, device),
                "address add %s/64 dev %s nodad" % (six, device))

    @classmethod
    def batch(cls, space, *commands):
        """What 'ip' complains of when it is given these, or ""."""
        return subprocess.run(
            ["ip", "-n", space, "-batch", "-"], check=False, text=True,
            input="\n".join(commands), stderr=subprocess.PIPE).stderr

    @classmethod
    def do(cls, space, *commands):
        complaint = cls.batch(space, *commands)
        if complaint:
            raise AssertionError("%s\n%s" % ("\n".join(commands), complaint))

    def through(self, form, *device, both="vni = 42", encap="", decap="",
                six=False, plain=False, mtu=1400, routes=()):
        """Pings and transfers; the account of headgate's elements.

        'device' are commands that make the far end's tun0; 'plain' says that
        it has no Ethernet."""
        far, here = UNDER6 if six else UNDER4
        if form not in ("vlan", "qinq"):
            encap += "  local = %s  remote = %s  src-mac = %s  dst-mac = %s" \
                % (here, far, GATE, FAR)
            decap += "  local = " + here
        self.addCleanup(self.do, self.near, "link set eth0 mtu 1500",
                        "neighbour flush dev eth0 nud all")
        self.do(self.near, "link set eth0 mtu %d" % mtu,
                *("neighbour replace %s lladdr %s dev eth0 nud permanent" %
                  (host, GATE) for host in (INSIDE4[0], INSIDE6[0])
                  if plain))
        self.addCleanup(self.batch, self.far, "link del " +
                        ("outer" if len(device) > 1 else "tun0"))
        complaint = self.batch(
            self.far, *(command.format(far=far, here=here) for command in (
                *device, "link set tun0 up mtu %d" % mtu,
                *self.host("tun0", INSIDE4[0], INSIDE6[0]), *routes)))
        if "not supported" in complaint or "Unknown device" in complaint:
            self.skipTest("this kernel cannot 'ip %s'" % "; ".join(device))
        self.assertEqual(complaint, "")
        graph = self.lab.file("graph.conf", GRAPH % {
            "format": form, "hop": "near ->" if plain else "",
            "near": "EtherRewrite near { dst = %s }" % NEAR if plain else "",
            "encap": both + "  " + encap, "decap": both + "  " + decap})
        gate = self.lab.headgate(self.gate, graph, "under=raw:under",
                                 "over=raw:over", "--json", receiving=2)
        self.addCleanup(gate.wait)
        self.addCleanup(gate.kill)
        self.talk()
        status, out, err, _ = stop(gate)
        self.assertEqual((status, err), (0, ""))
        return json.loads(out)["elements"]

    def talk(self):
        for space, host in ((self.near, INSIDE4[0]), (self.far, INSIDE4[1]),
                            (self.near, INSIDE6[0]), (self.far, INSIDE6[1])):
            # One at a time: behind a first answer ping has no patience.
            self.lab.run(space, "ping", "-c", "1", "-W", "20", "-s", "1200",
                         host)
        got = os.path.join(self.lab.folder, "got")
        curl = ("curl", "--silent", "--show-error", "--fail", "--max-time",
                "60")
        digest = self.lab.run(
            self.near, *curl, "-o", got, "http://10.1.0.1:8080/payload",
            "--next", *curl[1:], "-T", self.path, "http://10.1.0.1:8080/up")
        with open(got, "rb") as file:
            self.assertEqual(file.read(), self.payload)
        self.assertEqual(digest, hashlib.sha256(self.payload).hexdigest())

    # ---- GENEVE -----------------------------------------------------------

    GENEVE = "link add tun0 type geneve id 42 remote {here} "

    def test_geneve(self):
        self.through("geneve", self.GENEVE)

    def test_geneve_over_ipv6(self):
        self.through("geneve", self.GENEVE, six=True)

    def test_geneve_with_checksums(self):
        self.through("geneve", self.GENEVE + "udpcsum",
                     encap="udp-checksum = compute")

    def test_geneve_over_ipv6_without_checksums(self):
        self.through("geneve", self.GENEVE + "udp6zerocsumtx udp6zerocsumrx",
                     encap="udp-checksum = zero",
                     decap="zero-checksum6 = true", six=True)

    def test_geneve_with_options(self):
        self.through("geneve", self.GENEVE, encap="eni-options = true")

    def test_geneve_with_options_of_gwlb(self):
        aws = ",".join("0x0108:%d:%s" % (number, value) for number, value in
                       ((1, "1" * 16), (2, "2" * 16), (3, "3" * 8)))
        self.through("geneve", "link add tun0 type geneve external "
                     "innerprotoinherit", plain=True, decap="gwlb = true",
                     routes=("route replace 10.1.0.2 dev tun0 encap ip id 42 "
                             "dst {here} geneve_opts " + aws,
                             "route replace fd00:8::2 dev tun0 encap ip id 42 "
                             "dst {here} geneve_opts " + aws),
                     encap="gwlb-endpoint = 1  gwlb-attachment = 2")

    def test_geneve_with_ip_inside(self):
        self.through("geneve", self.GENEVE + "innerprotoinherit",
                     encap="inner = ip", plain=True)

    def test_the_kernel_makes_its_packets_as_small_as_encap_says(self):
        elements = self.through("geneve", self.GENEVE, mtu=1500,
                                encap="mtu = 1450")
        self.assertGreater(elements["encap"]["counters"]["too_big"], 0)

    # ---- VXLAN ------------------------------------------------------------

    VXLAN = "link add tun0 type vxlan id 42 remote {here} local {far} " \
        "dstport 4789 dev eth0 "

    def test_vxlan(self):
        self.through("vxlan", self.VXLAN)

    def test_vxlan_over_ipv6(self):
        self.through("vxlan", self.VXLAN, six=True)

    def test_vxlan_with_checksums(self):
        self.through("vxlan", self.VXLAN + "udpcsum",
                     encap="udp-checksum = compute")

    def test_vxlan_over_ipv6_without_checksums(self):
        self.through("vxlan", self.VXLAN + "udp6zerocsumtx udp6zerocsumrx",
                     encap="udp-checksum = zero",
                     decap="zero-checksum6 = true", six=True)

    # ---- GRE --------------------------------------------------------------

    GRE = "link add tun0 type %s local {far} remote {here} "

    def test_gre(self):
        self.through("gre", self.GRE % "gre" + "key 42", plain=True)

    def test_gre_without_key(self):
        self.through("gre", self.GRE % "gre", both="", plain=True)

    def test_gre_with_checksum_and_sequence(self):
        self.through("gre", self.GRE % "gre" + "key 42 csum seq", plain=True,
                     encap="gre-checksum = true  gre-sequence = true")

    def test_gre_over_ipv6(self):
        # Comes with the destination option of RFC 2473 4.1.1.
        self.through("gre", self.GRE % "ip6gre" + "key 42", plain=True,
                     six=True)

    def test_gre_over_ipv6_without_key(self):
        self.through("gre", self.GRE % "ip6gre" + "encaplimit none", both="",
                     plain=True, six=True)

    def test_gre_with_ethernet_inside(self):
        self.through("gre", self.GRE % "gretap" + "key 42",
                     encap="inner = ethernet")

    def test_gre_with_ethernet_inside_over_ipv6(self):
        self.through("gre", self.GRE % "ip6gretap" + "key 42",
                     encap="inner = ethernet", six=True)

    # The kernel's key is all 32 bits, and it wants them as they are: one
    # network, and its FlowID 0.
    VSID42 = "ikey 10752 okey 10752"

    def test_nvgre(self):
        self.through("nvgre", self.GRE % "gretap" + self.VSID42,
                     encap="flow-ids = false")

    def test_nvgre_over_ipv6(self):
        self.through("nvgre", self.GRE % "ip6gretap" + self.VSID42,
                     encap="flow-ids = false", six=True)

    # ---- Tags -------------------------------------------------------------

    def test_vlan(self):
        self.through("vlan", "link add tun0 link eth0 type vlan id 42")

    def test_qinq(self):
        self.through("qinq",
                     "link add outer link eth0 type vlan proto 802.1ad id 7",
                     "link set outer up",
                     "link add tun0 link outer type vlan id 42",
                     both="vni = %d" % (7 << 12 | 42))


if __name__ == "__main__":
    require("ethtool", "curl", "ping")
    uml.main()
