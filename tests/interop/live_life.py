"""How a live run sleeps, ends and fails."""
import os
import signal
import subprocess
import time
import unittest

from netns import HEADGATE, Lab, WIRE, require, stop


def cpu_seconds(process):
    with open("/proc/%d/stat" % process.pid, encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    # proc(5): utime and stime, the 14th and 15th field of all.
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


NAMES = ("gate-a", "gate-b")


class Life(unittest.TestCase):
    def setUp(self):
        self.lab = Lab().__enter__()
        self.addCleanup(self.lab.__exit__)
        self.host = self.lab.namespace("host")
        self.peer = self.lab.namespace("peer")
        for name in NAMES:
            self.lab.veth((self.host, name), (self.peer, name))
        self.wire = self.lab.file("wire.conf", WIRE)

    def gate(self):
        return self.lab.headgate(self.host, self.wire, "a=raw:gate-a",
                                 "b=raw:gate-b",
                                 receiving=2)

    def refused(self, *devices, prefix=()):
        """The sentence with which a run does not begin."""
        result = subprocess.run(
            ["ip", "netns", "exec", self.host, *prefix, HEADGATE, "run",
             self.wire, *devices], stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, timeout=10, check=False)
        self.assertIn(result.returncode, (1, 2))
        return result.stderr.decode()

    def test_it_sleeps_when_nothing_comes(self):
        process = self.gate()
        time.sleep(0.5)
        before = cpu_seconds(process)
        time.sleep(2)
        self.assertLess(cpu_seconds(process) - before, 0.05)

    def test_a_signal_ends_it_at_once_with_a_summary(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            status, out, err, seconds = stop(self.gate(), number)
            self.assertEqual((status, err), (0, ""))
            self.assertIn("nothing was lost", out)
            self.assertLess(seconds, 1)

    def test_losing_its_interfaces_ends_it_with_a_sentence(self):
        for action in (("set", "{}", "down"), ("delete", "{}")):
            process = self.gate()
            for name in NAMES:
                self.lab.ip(self.host, "link",
                            *(word.format(name) for word in action))
            out, err = process.communicate(timeout=5)
            self.assertEqual(process.returncode, 1)
            for name in NAMES:
                self.assertIn("interface '%s' went down or was removed" %
                              name, err.decode())
                if action[0] == "set":
                    self.lab.ip(self.host, "link", "set", name, "up")
            self.assertIn(b"nothing was lost", out)

    def test_an_interface_that_is_not_there_is_named(self):
        self.lab.ip(self.host, "link", "set", "gate-b", "name", "uplink0")
        self.assertIn("no network interface 'uplink1'; did you mean "
                      "'uplink0'?",
                      self.refused("a=raw:gate-a", "b=raw:uplink1"))

    def test_an_interface_that_is_down_is_named(self):
        self.lab.ip(self.host, "link", "set", "gate-b", "down")
        self.assertIn("interface 'gate-b' is down; bring it up with "
                      "'ip link set gate-b up'",
                      self.refused("a=raw:gate-a", "b=gate-b"))

    def test_a_lack_of_permission_says_what_is_needed(self):
        drop = ("setpriv", "--bounding-set=-net_raw",
                "--inh-caps=-net_raw")
        self.assertIn("needs CAP_NET_RAW",
                      self.refused("a=raw:gate-a", "b=raw:gate-b",
                                   prefix=drop))


if __name__ == "__main__":
    require("setpriv")
    unittest.main(verbosity=2)
