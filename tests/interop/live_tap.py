"""A TAP interface, whose other end is the host's own IP stack."""
import json
import os
import subprocess
import unittest

from netns import HEADGATE, Lab, PYTHON, WIRE, require, stop, wait_until
from support import read_pcap


class Tap(unittest.TestCase):
    def setUp(self):
        self.lab = Lab().__enter__()
        self.addCleanup(self.lab.__exit__)
        self.host = self.lab.namespace("host")
        self.wire = self.lab.file("wire.conf", WIRE)

    def exists(self, name):
        found = subprocess.run(["ip", "-n", self.host, "link", "show", name],
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, check=False)
        return found.returncode == 0

    def gate(self, *devices):
        process = self.lab.headgate(self.host, self.wire, *devices, "--json")
        wait_until("hgt0 is there", lambda: process.poll() is not None or
                   self.exists("hgt0"))
        return process

    def ping(self, host):
        return self.lab.run(self.host, "ping", "-c", "3", "-i", "0.05", "-W",
                            "2", host)

    def test_echo_answers_arp_and_ping_of_the_host(self):
        process = self.gate("a=tap:hgt0", "b=echo:")
        self.lab.address(self.host, "hgt0", "10.2.0.1/24")
        self.assertIn(" 0% packet loss", self.ping("10.2.0.2"))
        status, out, err, _ = stop(process)
        self.assertEqual((status, err), (0, ""))
        tap = json.loads(out)["devices"]["a"]
        self.assertGreaterEqual(tap["received"], 4)
        self.assertGreaterEqual(tap["sent"], 4)

    def test_the_longest_frame_with_a_tag_comes_whole(self):
        captured = os.path.join(self.lab.folder, "out.pcap")
        process = self.gate("a=tap:hgt0", "b=:" + captured)
        self.lab.ip(self.host, "link", "set", "hgt0", "mtu", "65521", "up")
        self.lab.run(self.host, PYTHON, "-c", """
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("hgt0", 0))
s.send(bytes(12) + b"\\x81\\0\\0\\5\\x08\\0" + bytes(65521))""")
        status, _, err, _ = stop(process)
        self.assertEqual((status, err), (0, ""))
        self.assertIn(65539, [len(f) for _, f in read_pcap(captured)])

    def test_an_interface_it_made_goes_and_one_it_found_stays(self):
        stop(self.gate("a=tap:hgt0", "b=null:"))
        self.assertFalse(self.exists("hgt0"))
        self.lab.ip(self.host, "tuntap", "add", "hgt0", "mode", "tap")
        stop(self.gate("a=tap:hgt0", "b=null:"))
        self.assertTrue(self.exists("hgt0"))

    def test_an_interface_of_another_kind_is_refused(self):
        result = subprocess.run(
            ["ip", "netns", "exec", self.host, HEADGATE, "run", self.wire,
             "a=tap:lo", "b=null:"], stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(b"'lo' cannot be a TAP interface", result.stderr)

    def test_removing_it_ends_the_run_with_a_sentence(self):
        process = self.gate("a=tap:hgt0", "b=null:")
        self.lab.ip(self.host, "link", "delete", "hgt0")
        _, err = process.communicate(timeout=5)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"interface 'hgt0' was removed", err)


if __name__ == "__main__":
    require("ping")
    if not os.path.exists("/dev/net/tun"):
        from support import skip
        skip("there is no /dev/net/tun")
    unittest.main(verbosity=2)
