"""Two hosts behind a headgate that only joins two interfaces.

Whatever the kernel of a host leaves to its network card (checksums, cutting
large frames, VLAN tags) has to be done on the way."""
import hashlib
import json
import os
import struct
import subprocess
import unittest

from netns import Lab, PEERS, PYTHON, WIRE, require, stop, wait_until
from peers import pattern
from support import checksum, read_pcap
import uml

MEGABYTE = 1 << 20


class Wire(unittest.TestCase):
    def setUp(self):
        self.lab = Lab().__enter__()
        self.addCleanup(self.lab.__exit__)
        lab = self.lab
        self.left = lab.namespace("left")
        self.right = lab.namespace("right")
        self.middle = lab.namespace("mid")
        for space, name, last in ((self.left, "gate-a", 1),
                                  (self.right, "gate-b", 2)):
            lab.veth((space, "eth0"), (self.middle, name))
            lab.address(space, "eth0", "10.1.0.%d/24" % last)
            lab.address(space, "eth0", "fd00::%d/64" % last)
        self.gate = lab.headgate(self.middle, lab.file("wire.conf", WIRE),
                                 "a=raw:gate-a", "b=raw:gate-b", "--json",
                                 receiving=2)

    def account(self):
        status, out, err, _ = stop(self.gate)
        self.assertEqual((status, err), (0, ""))
        return json.loads(out)

    def url(self, host, path):
        return "http://%s:8080/%s" % (host, path)

    def curl(self, *arguments):
        return self.lab.run(self.left, "curl", "--silent", "--show-error",
                            "--fail", "--max-time", "20", *arguments)

    def ping(self, host):
        # One at a time: behind a first answer ping has no patience.
        for _ in range(3):
            self.lab.run(self.left, "ping", "-c", "1", "-W", "10", host)

    def transfer(self, host, payload):
        """Down and up again by HTTP."""
        path = self.lab.file("payload", payload)
        got = os.path.join(self.lab.folder, "got")
        digest = hashlib.sha256(payload).hexdigest()
        self.curl("-o", got, self.url(host, "payload"))
        with open(got, "rb") as file:
            self.assertEqual(hashlib.sha256(file.read()).hexdigest(), digest)
        self.assertEqual(self.curl("-T", path, self.url(host, "up")), digest)

    def add_vlan(self):
        for space, last in ((self.left, 1), (self.right, 2)):
            made = subprocess.run(
                ["ip", "-n", space, "link", "add", "link", "eth0", "name",
                 "vlan5", "type", "vlan", "id", "5"], check=False,
                stderr=subprocess.PIPE)
            if made.returncode:
                self.skipTest("this kernel has no VLAN interfaces")
            self.lab.ip(space, "link", "set", "vlan5", "up")
            self.lab.address(space, "vlan5", "10.5.0.%d/24" % last)

    def test_ping_crosses(self):
        for host in ("10.1.0.2", "fd00::2"):
            self.ping(host)
        self.account()

    def test_nothing_that_headgate_sends_comes_back_to_it(self):
        self.ping("10.1.0.2")
        devices = self.account()["devices"]
        for got, sent in ("ab", "ba"):
            self.assertEqual(devices[got]["received"], devices[sent]["sent"])
            self.assertLess(devices[got]["received"], 100)

    def test_large_transfers_arrive_unchanged_with_offloads_on(self):
        payload = os.urandom(5 * MEGABYTE)
        self.lab.peers(self.right)
        for host in ("10.1.0.2", "[fd00::2]"):
            self.transfer(host, payload)
        for device in self.account()["devices"].values():
            # Two transfers of data, two of acknowledgements: frames of at
            # most the MTU are at least this many.
            self.assertGreater(device["received"], 2 * len(payload) // 1500)
            self.assertEqual(device["send_failed"], 0)
            self.assertEqual(device["unusable"], 0)

    def test_hosts_talk_over_a_vlan(self):
        self.add_vlan()
        self.lab.peers(self.right)
        self.ping("10.5.0.2")
        self.transfer("10.5.0.2", os.urandom(MEGABYTE))
        self.account()

    def test_udp_that_is_cut_on_the_way_arrives(self):
        self.lab.peers(self.right)
        for host in ("10.1.0.2", "fd00::2"):
            self.assertEqual(self.lab.run(self.left, PYTHON, PEERS, "burst",
                                          host, "20500").strip(), "20500")
        self.account()

    def test_what_is_too_long_for_the_other_side_is_counted(self):
        for space, name in (self.left, "eth0"), (self.middle, "gate-a"):
            self.lab.ip(space, "link", "set", name, "mtu", "2000")
        self.lab.run(self.left, "sh", "-c",
                     "ping -c 1 -W 1 -s 1900 10.1.0.2 || true")
        devices = self.account()["devices"]
        self.assertEqual(devices["a"]["send_failed"], 0)
        self.assertEqual(devices["b"]["send_failed"], 1)


class Received(unittest.TestCase):
    """What comes in from a wire, as a capture shows it."""
    def setUp(self):
        self.lab = Lab().__enter__()
        self.addCleanup(self.lab.__exit__)
        self.host = self.lab.namespace("host")
        self.middle = self.lab.namespace("mid")
        # IPv6 would send frames of its own.
        self.lab.run(self.host, "sysctl", "-qw",
                     "net.ipv6.conf.default.disable_ipv6=1")
        self.lab.veth((self.host, "eth0"), (self.middle, "gate-a"))
        self.capture = os.path.join(self.lab.folder, "out.pcap")
        # What is recorded goes back as well, to see when all has come.
        self.graph = self.lab.file("record.conf", """
            Interface a { }
            Interface record { }
            Tee both { }
            connect("a -> both -> record")
            connect("both[1] -> a")
        """)

    def came_back(self):
        out = subprocess.run(["ip", "-n", self.host, "-s", "-j", "link",
                              "show", "eth0"], stdout=subprocess.PIPE,
                             check=True).stdout
        return json.loads(out)[0]["stats64"]["rx"]["packets"]

    def record(self, expected, *peers, options=()):
        """The frames recorded while peers.py runs, and the account of a."""
        gate = self.lab.headgate(
            self.middle, self.graph, "a=raw:gate-a", "record=:" + self.capture,
            "--json", *options, receiving=1)
        self.lab.run(self.host, PYTHON, PEERS, *peers)
        wait_until("%d frames are back" % expected,
                   lambda: self.came_back() >= expected)
        status, out, err, _ = stop(gate)
        self.assertEqual((status, err), (0, ""))
        return ([frame for _, frame in read_pcap(self.capture)],
                json.loads(out)["devices"]["a"])

    def frames(self):
        """The same UDP packet untagged and behind several kinds of tags."""
        macs = bytes.fromhex("020000000009" "020000000008")
        packet = bytes.fromhex(
            "0800" "4500001e000100004011" "66ca" "0a000001" "0a000002"
            "0001" "0002" "000a" "0000" "6869").ljust(48, b"\0")
        return [macs + bytes.fromhex(tags) + packet for tags in (
            "", "81000005", "8100e005", "88a80064", "88a80064" "81000005")]

    def test_vlan_tags_are_where_they_were(self):
        sent = self.frames()
        got, account = self.record(len(sent), "frames", "eth0",
                                   *(frame.hex() for frame in sent))
        self.assertEqual(got, sent)
        self.assertEqual(account["received_bytes"], sum(map(len, sent)))

    def test_a_filter_sees_the_tags(self):
        sent = self.frames()
        got, account = self.record(2, "frames", "eth0",
                                   *(frame.hex() for frame in sent),
                                   options=("--filter", "a=vlan 5"))
        self.assertEqual(got, sent[1:3])
        self.assertEqual(account["filtered"], 3)

    def test_large_frames_are_cut_and_checksums_completed(self):
        self.lab.address(self.host, "eth0", "10.1.0.1/24")
        self.lab.ip(self.host, "neighbour", "add", "10.1.0.2", "lladdr",
                    "02:00:00:00:00:09", "dev", "eth0", "nud", "permanent")
        got, _ = self.record(9, "pour", "10.1.0.2", "8500")
        self.assertEqual([len(frame) for frame in got], [1042] * 8 + [542])
        self.assertEqual(b"".join(frame[42:] for frame in got),
                         pattern(8500))
        for frame in got:
            ip, udp = frame[14:34], frame[34:]
            pseudo = ip[12:20] + struct.pack("!HH", 17, len(udp))
            self.assertEqual(checksum(ip), 0)
            self.assertNotEqual(udp[6:8], b"\0\0")
            self.assertEqual(checksum(pseudo + udp), 0)


if __name__ == "__main__":
    require("ping", "curl", "sysctl")
    uml.main()
