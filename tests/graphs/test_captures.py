#!/usr/bin/python3
"""Captures that hardly anybody has: damaged, giant, or written where another
one is."""
import os
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
import support  # noqa: E402

HEADGATE = os.path.abspath(support.HEADGATE)
FRAME = bytes(12) + b"\x08\0" + bytes(46)

GRAPH = """
Interface in  { }
Interface one { }
Interface two { }
Tee       tee { outputs = 2 }
Encap     tag { format = vlan  vni = 5 }
connect("in -> tee -> tag -> one; tee[1] -> two")
"""


class Captures(support.InFolder):
    def setUp(self):
        super().setUp()
        with open("graph.conf", "w", encoding="ascii") as file:
            file.write(GRAPH)
        support.write_pcap("in.pcap", [(1, FRAME)])

    def run_program(self, *devices, status=0, before="", **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        result = subprocess.run(
            ["/bin/sh", "-c", before + 'exec "$@"', "sh", HEADGATE, "run",
             "graph.conf", *devices], stderr=subprocess.PIPE, check=False,
            timeout=60, **options)
        self.assertEqual(result.returncode, status, result.stderr)
        return result.stderr.decode()

    def test_damaged_times_are_the_same_by_pipe(self):
        for magic, unit in ((0xa1b2c3d4, 1000), (0xa1b23c4d, 1)):
            data = struct.pack("<IHHiIII", magic, 2, 4, 0, 0, 65535, 1)
            for fraction in 0x80000000, 0xffffffff:
                data += struct.pack("<IIII", 0, fraction, 60, 60) + FRAME
            self.run_program("in=-", "one=null:", "two=:out.pcap", stdin=None,
                             input=data)
            self.assertEqual(support.read_pcap("out.pcap"),
                             [(0x80000000 * unit, FRAME),
                              (0xffffffff * unit, FRAME)])

    def test_what_grew_beyond_any_capture_is_cut(self):
        giant = FRAME + bytes(262144 - len(FRAME))
        support.write_pcap("in.pcap", [(1, giant), (2, FRAME)])
        for workers in "1", "2":
            self.run_program("in=in.pcap", "one=:out.pcap", "two=null:",
                             "--workers", workers)
            (_, cut), (_, whole) = support.read_pcap("out.pcap")
            self.assertEqual((len(cut), len(whole)), (262144, 64))
            self.run_program("in=out.pcap", "one=null:", "two=null:")

    def test_a_file_may_be_too_large_for_a_limit(self):
        support.write_pcap("in.pcap", [(i, FRAME + os.urandom(1000))
                                       for i in range(50)])
        for path in "out.pcap", "out.pcap.gz", "out.pcap.zst":
            self.assertIn(
                "interface 'two': cannot write '%s': File too large" % path,
                self.run_program("in=in.pcap", "one=null:", "two=:" + path,
                                 status=1, before="ulimit -f 1; "))

    def test_a_run_that_is_refused_leaves_files_as_they_were(self):
        for name in "out.pcap", "out.pcap.gz", "out.pcap.zst":
            for more in ["in=none.pcap"], [], ["in=in.pcap",
                                               "two=:none/out.pcap"]:
                with open(name, "wb") as file:
                    file.write(b"precious")
                self.run_program("one=:" + name, *more, status=2)
                with open(name, "rb") as file:
                    self.assertEqual(file.read(), b"precious")

    def test_one_file_for_two_under_two_names_is_refused(self):
        os.mkfifo("pipe")
        reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        with open("out.pcap", "ab") as out:
            self.assertIn("would both write", self.run_program(
                "in=in.pcap", "one=:out.pcap", "two=:-", status=2,
                stdout=out))
        self.assertIn("would both write", self.run_program(
            "in=in.pcap", "one=:pipe", "two=:./pipe", status=2))
        with open("in.pcap", "ab") as out:
            self.assertIn("would overwrite", self.run_program(
                "in=in.pcap", "one=null:", "two=:-", status=2, stdout=out))
        self.assertEqual(support.read_pcap("in.pcap"), [(1, FRAME)])


if __name__ == "__main__":
    unittest.main()
