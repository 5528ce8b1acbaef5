#!/usr/bin/python3
"""The program from outside: its subcommands, options, exit codes, summary and
what it says about bad input.  Mistakes in graph files are in bad/."""
import fcntl
import gzip
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
import support  # noqa: E402

DONE, FAILED, WRONG = 0, 1, 2
SEC = 10**9
MAGIC = struct.pack("<I", 0xa1b23c4d)  # Begins 24 bytes of header.
HEADGATE = os.path.abspath(support.HEADGATE)

WIRE = """
Interface inside  { }
Interface outside { }
Counter   all     { }
connect("inside -> all -> outside")
connect("outside -> inside")
"""


def udp(sport, size=20, dport=53):
    """A frame with UDP from 10.0.0.5 to 203.0.113.9, checksums right."""
    data = bytes(size)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + size, 1, 0, 64, 17, 0,
                     bytes([10, 0, 0, 5]), bytes([203, 0, 113, 9]))
    ip = ip[:10] + struct.pack("!H", support.checksum(ip)) + ip[12:]
    header = struct.pack("!HHHH", sport, dport, 8 + size, 0)
    check = support.checksum(ip[12:20] + struct.pack("!HH", 17, 8 + size) +
                             header + data)
    return (bytes.fromhex("020000000002020000000001") + b"\x08\0" + ip +
            header[:6] + struct.pack("!H", check or 0xffff) + data)


class Program(support.InFolder):
    def setUp(self):
        super().setUp()
        self.graph = self.file("wire.conf", WIRE)

    def file(self, name, text):
        with open(name, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return name

    def capture(self, name, frames, start=1700000000 * SEC, step=1000000):
        support.write_pcap(name, [(start + i * step, frame)
                                  for i, frame in enumerate(frames)])
        return name

    def run_program(self, *arguments, status=DONE, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        result = subprocess.run([HEADGATE, *map(str, arguments)],
                                stderr=subprocess.PIPE, timeout=60,
                                check=False, **options)
        result.stderr = result.stderr.decode("utf-8", "replace")
        if result.stdout is not None:
            result.raw = result.stdout
            result.stdout = result.stdout.decode("utf-8", "replace")
        self.assertEqual(result.returncode, status, result.stderr)
        return result

    def refused(self, *arguments, sentence, status=WRONG, **options):
        """The program says exactly this one sentence and nothing else."""
        result = self.run_program(*arguments, status=status, **options)
        self.assertEqual(result.stderr, "headgate: %s\n" % sentence)
        if status == WRONG and result.stdout is not None:
            self.assertEqual(result.stdout, "")
        return result

    def run_json(self, *arguments, status=DONE):
        return json.loads(self.run_program(
            "run", *arguments, "--json", status=status).stdout)


class CommandLine(Program):
    def test_help_names_every_command(self):
        text = self.run_program("--help").stdout
        for command in ("run", "check", "graph", "elements"):
            self.assertIn("\n  %s " % command, text)
            page = self.run_program(command, "--help").stdout
            self.assertTrue(page.startswith("usage: headgate %s" % command))
            self.assertIn("--help", page)

    def test_version(self):
        self.assertRegex(self.run_program("--version").stdout,
                         r"^headgate \d+\.\d+\.\d+\n$")

    def test_no_command(self):
        self.refused(sentence="no command given; 'headgate --help' lists "
                              "them")

    def test_misspelt_command(self):
        self.refused("rnu", sentence="no command 'rnu'; did you mean 'run'?")
        self.refused("qqqqqqq", sentence="no command 'qqqqqqq'; 'headgate "
                                         "--help' lists them")

    def test_misspelt_option(self):
        self.refused("run", "--bach=3", self.graph,
                     sentence="no option '--bach' in 'headgate run'; did you "
                              "mean '--batch'?")
        self.refused("check", "-z", self.graph,
                     sentence="no option '-z' in 'headgate check'; 'headgate "
                              "check --help' lists them")

    def test_option_without_its_value(self):
        self.refused("run", self.graph, "--seed",
                     sentence="option '--seed' needs a value")
        self.refused("run", self.graph, "--json=yes",
                     sentence="option '--json' takes no value")

    def test_batch_is_from_1_to_256(self):
        for bad in ("0", "257", "x", "-1"):
            self.refused("run", self.graph, "--batch", bad,
                         sentence="'--batch %s': it is a number from 1 to 256"
                                  % bad)

    def test_no_graph(self):
        for command in ("run", "check", "graph"):
            self.refused(command, sentence="no graph given; 'headgate %s "
                                           "--help' explains" % command)

    def test_missing_graph_file(self):
        for command in ("run", "check", "graph"):
            result = self.run_program(command, "none.conf", status=WRONG)
            self.assertIn("none.conf", result.stderr)
            self.assertIn("No such file or directory", result.stderr)

    def test_override_without_value(self):
        self.refused("check", self.graph, "-o", "all",
                     sentence="'-o all' has no value; write -o "
                              "ELEMENT.OPTION=VALUE")


class Binding(Program):
    def setUp(self):
        super().setUp()
        self.input = self.capture("in.pcap", [udp(1)])

    def test_misspelt_interface(self):
        self.refused("run", self.graph, "insde=in.pcap", "outside=null:",
                     sentence="no interface 'insde'; did you mean 'inside'?")
        self.refused("check", self.graph, "zzzzzzz=in.pcap",
                     sentence="no interface 'zzzzzzz'; interfaces are "
                              "'inside' and 'outside'")

    def test_interface_without_device(self):
        self.refused("run", self.graph, "inside=in.pcap",
                     sentence="interface 'outside' has no device; give "
                              "outside=DEVICE, or 'device = ...' in the "
                              "graph file")

    def test_device_of_the_graph_file(self):
        self.file("wire.conf", WIRE.replace(
            "inside  { }", "inside { device = in.pcap }"))
        total = self.run_json("wire.conf", "outside=null:")["total"]
        self.assertEqual(total["sent"], 1)

    def test_element_that_takes_no_device(self):
        self.refused("run", self.graph, "all=in.pcap",
                     sentence="'all' is a Counter and takes no device; "
                              "interfaces are 'inside' and 'outside'")

    def test_interface_bound_twice(self):
        self.refused("run", self.graph, "inside=a.pcap", "inside=b.pcap",
                     sentence="'inside=b.pcap' gives 'inside' a second time; "
                              "the first was 'a.pcap'")

    def test_argument_that_binds_nothing(self):
        self.refused("run", self.graph, "in.pcap",
                     sentence="'in.pcap' is not NAME=DEVICE")

    def test_two_interfaces_one_output_file(self):
        self.refused("run", self.graph, "inside=in.pcap:out.pcap",
                     "outside=:./out.pcap",
                     sentence="interfaces 'inside' and 'outside' would both "
                              "write './out.pcap'; give each a file of its "
                              "own")

    def test_output_file_that_another_interface_reads(self):
        with open("in.pcap", "rb") as file:
            before = file.read()
        os.link("in.pcap", "b:in.pcap")
        for source, sink in (("in.pcap", ":in.pcap"),
                             ("pcap:in.pcap", "pcap::in.pcap"),
                             ("b:in.pcap", ":in.pcap"), ("-", ":in.pcap")):
            with open("in.pcap", "rb") as file:
                self.refused(
                    "run", self.graph, "inside=" + source, "outside=" + sink,
                    stdin=file,
                    sentence="interface 'inside' reads '%s', which interface "
                             "'outside' would overwrite" % source)
                self.assertEqual(file.read(), before)

    def test_filter(self):
        self.capture("in.pcap", [udp(1), udp(2), udp(3)])
        devices = self.run_json(self.graph, "inside=in.pcap", "outside=null:",
                                "--filter", "inside=udp src port 2")["devices"]
        self.assertEqual(devices["inside"]["received"], 1)
        self.assertEqual(devices["inside"]["filtered"], 2)

    def test_wrong_filter(self):
        result = self.run_program("run", self.graph, "inside=in.pcap",
                                  "outside=null:", "--filter",
                                  "inside=udp sauce", status=WRONG)
        self.assertIn("interface 'inside': ", result.stderr)
        self.assertIn("udp sauce", result.stderr)
        self.refused("run", self.graph, "--filter", "nside=udp",
                     sentence="no interface 'nside'; did you mean 'inside'?")


class Running(Program):
    def test_nothing_is_lost(self):
        self.capture("in.pcap", [udp(i) for i in range(100)])
        result = self.run_program("run", self.graph, "inside=in.pcap",
                                  "outside=:out.pcap")
        self.assertEqual(result.stderr, "")
        self.assertEqual(result.stdout.splitlines()[-1],
                         "in 100 + made 0 = out 100 + dropped 0 + held 0: "
                         "nothing was lost")
        self.assertEqual(support.read_pcap("in.pcap"),
                         support.read_pcap("out.pcap"))

    def test_summary_in_json(self):
        frames = [udp(i, size=i) for i in range(10)]
        size = sum(map(len, frames))
        self.capture("in.pcap", frames)
        summary = self.run_json(self.graph, "inside=in.pcap",
                                "outside=:out.pcap")
        self.assertEqual(summary["devices"]["inside"]["received"], 10)
        self.assertEqual(summary["devices"]["inside"]["received_bytes"], size)
        self.assertEqual(summary["devices"]["outside"]["sent_bytes"], size)
        self.assertIsNone(summary["devices"]["inside"]["failure"])
        counter = summary["elements"]["all"]
        self.assertEqual(counter["class"], "Counter")
        self.assertEqual((counter["in"], counter["out"]), (10, 10))
        self.assertEqual((counter["in_bytes"], counter["out_bytes"]),
                         (size, size))
        self.assertEqual(counter["counters"]["packets"], 10)
        self.assertEqual(counter["outputs"]["out"],
                         {"packets": 10, "bytes": size})
        self.assertEqual(summary["total"],
                         {"received": 10, "made": 0, "sent": 10, "dropped": 0,
                          "held": 0, "lost": 0, "balanced": True})
        self.assertEqual(summary["packet_time"],
                         {"first_ns": 1700000000 * SEC,
                          "last_ns": 1700000000 * SEC + 9000000})
        self.assertGreater(summary["timing"]["wall_ns"], 0)

    def test_drops_by_reason(self):
        self.file("drop.conf", """
            Interface inside { }
            Discard   end    { }
            connect("inside -> end")
        """)
        self.capture("in.pcap", [udp(1), udp(2)])
        result = self.run_program("run", "drop.conf", "inside=in.pcap")
        self.assertRegex(result.stdout, r"\nDropped\n *end +discarded +2\n")
        self.assertIn("= out 0 + dropped 2 + held 0: nothing was lost",
                      result.stdout)

    def test_results_do_not_depend_on_the_batch_size(self):
        self.capture("a.pcap", [udp(i) for i in range(500)], step=700)
        self.capture("b.pcap", [udp(i) for i in range(300)], step=1100)
        self.file("two.conf", """
            Interface a   { }
            Interface b   { }
            Interface out { }
            connect("a -> out")
            connect("b -> out")
            connect("out -> Discard")
        """)
        seen = set()
        for batch in (1, 7, 64, 256):
            summary = self.run_json("two.conf", "a=a.pcap", "b=b.pcap:b.out",
                                    "out=echo:delay=50us", "--batch", batch)
            del summary["timing"]
            seen.add(json.dumps(summary))
            self.assertEqual(summary["total"]["received"], 1600)
        self.assertEqual(len(seen), 1)

    def test_captures_are_merged_by_time(self):
        self.capture("a.pcap", [udp(i) for i in range(0, 20, 2)], step=2000)
        self.capture("b.pcap", [udp(i) for i in range(1, 20, 2)],
                     start=1700000000 * SEC + 1000, step=2000)
        self.file("two.conf", """
            Interface a   { }
            Interface b   { }
            Interface out { }
            connect("a -> out")
            connect("b -> out")
        """)
        self.run_program("run", "two.conf", "a=a.pcap", "b=b.pcap",
                         "out=:out.pcap")
        self.assertEqual([frame for _, frame in support.read_pcap("out.pcap")],
                         [udp(i) for i in range(20)])

    def test_echo_answers(self):
        self.capture("in.pcap", [udp(i) for i in range(10)])
        summary = self.run_json(self.graph, "inside=in.pcap:back.pcap",
                                "outside=echo:delay=5s")
        self.assertEqual(summary["total"]["received"], 20)
        first, last = (support.read_pcap(name)[at][0] for name, at in
                       (("in.pcap", 0), ("back.pcap", 0)))
        self.assertEqual(last - first, 5 * SEC)

    def test_what_is_held_is_let_go_at_the_end(self):
        self.file("slow.conf", """
            Interface inside  { }
            Interface outside { }
            Queue     wait    { }
            Shaper    slow    { rate = 10pps  burst = 1 }
            connect("inside -> wait -> slow -> outside")
        """)
        self.capture("in.pcap", [udp(i) for i in range(50)], step=1)
        summary = self.run_json("slow.conf", "inside=in.pcap",
                                "outside=:out.pcap")
        self.assertEqual(summary["total"]["sent"], 50)
        times = [time_ns for time_ns, _ in support.read_pcap("out.pcap")]
        self.assertGreaterEqual(times[-1] - times[0], 4.8 * SEC)

    def test_override(self):
        self.capture("in.pcap", [udp(1), udp(2)])
        self.file("tee.conf", """
            Interface inside { }
            Switch    way    { outputs = { a, b } }
            Counter   a      { }
            Counter   b      { }
            connect("inside -> way[a] -> a -> Discard")
            connect("way[b] -> b -> Discard")
        """)
        elements = self.run_json("tee.conf", "inside=in.pcap", "-o",
                                 "way.to=b")["elements"]
        self.assertEqual(elements["b"]["counters"]["packets"], 2)
        result = self.run_program("run", "tee.conf", "inside=in.pcap", "-o",
                                  "way.too=b", status=WRONG)
        self.assertIn("did you mean 'to'?", result.stderr)

    def test_handlers(self):
        self.capture("in.pcap", [udp(1), udp(2)])
        self.file("way.conf", """
            Interface inside { }
            Switch    way    { outputs = { a, b } }
            Discard   a      { }
            Discard   b      { }
            connect("inside -> way[a] -> a")
            connect("way[b] -> b")
        """)
        self.file("value", "b")
        for value in ("b", "@value"):
            summary = self.run_json("way.conf", "inside=in.pcap",
                                    "--write", "way.to=" + value,
                                    "--read", "way.to", "--read",
                                    "b.discarded", "--read", "a.class")
            self.assertEqual(summary["read"],
                             {"way.to": ["b"], "b.discarded": [2],
                              "a.class": ["Discard"]})
        text = self.run_program("run", "way.conf", "inside=in.pcap",
                                "--read", "b.discarded").stdout
        self.assertIn("\nb.discarded:\n    0\n", text)

    def test_wrong_handlers(self):
        self.capture("in.pcap", [udp(1)])
        bound = ("run", self.graph, "inside=in.pcap", "outside=:out.pcap")
        self.refused(*bound, "--read", "al.packets",
                     sentence="no element 'al' for '--read'; did you mean "
                              "'all'?")
        self.refused(*bound, "--read", "all.pakets",
                     sentence="'--read all.pakets': no handler 'pakets' in "
                              "class Counter; did you mean 'packets'?")
        self.refused(*bound, "--read", "all",
                     sentence="'--read all': write ELEMENT.HANDLER")
        self.refused(*bound, "--write", "all.packets=3",
                     sentence="'--write all.packets': 'packets' cannot "
                              "change while running")
        self.refused(*bound, "--write", "all.packets=@nowhere",
                     sentence="cannot read 'nowhere': No such file or "
                              "directory")

    def test_seed_is_told_and_taken(self):
        self.capture("in.pcap", [udp(1)])
        summary = self.run_json(self.graph, "inside=in.pcap",
                                "outside=null:", "--seed", "77")
        self.assertEqual(summary["seed"], 77)

    def test_graph_from_standard_input(self):
        self.capture("in.pcap", [udp(1)])
        with open(self.graph, "rb") as graph:
            result = self.run_program("run", "-", "inside=in.pcap",
                                      "outside=null:", stdin=graph)
        self.assertIn("nothing was lost", result.stdout)


class Devices(Program):
    """What cannot be read or written."""

    def bind(self, inside, outside="null:"):
        return ("run", self.graph, "inside=%s" % inside,
                "outside=%s" % outside)

    def test_missing_capture(self):
        self.refused(*self.bind("none.pcap"),
                     sentence="interface 'inside': cannot read 'none.pcap': "
                              "No such file or directory")

    def test_unreadable_capture(self):
        self.capture("in.pcap", [udp(1)])
        os.chmod("in.pcap", 0)
        options = {}
        if os.geteuid() == 0:  # Root reads everything, nobody does not.
            os.chmod(self.home, 0o755)
            options["user"] = 65534
            if not self.can_run(**options):
                self.skipTest("the program is out of reach for others")
        self.refused(*self.bind("in.pcap"), **options,
                     sentence="interface 'inside': cannot read 'in.pcap': "
                              "Permission denied")

    @staticmethod
    def can_run(**options):
        try:
            return subprocess.run([HEADGATE, "elements", "Interface"],
                                  stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, check=False,
                                  **options).returncode == DONE
        except OSError:
            return False

    def test_directory_as_capture(self):
        os.mkdir("in.pcap")
        result = self.run_program(*self.bind("in.pcap"), status=WRONG)
        self.assertIn("cannot read 'in.pcap': Is a directory", result.stderr)

    def test_not_a_capture(self):
        for text in (b"", b"hello", b"hello, this is no capture\n" * 100):
            self.file("in.pcap", text)
            result = self.run_program(*self.bind("in.pcap"), status=WRONG)
            self.assertIn("interface 'inside': ", result.stderr)
            self.assertIn("'in.pcap'", result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)

    def test_truncated_capture_is_processed_up_to_the_cut(self):
        self.capture("in.pcap", [udp(i) for i in range(10)])
        os.truncate("in.pcap", os.path.getsize("in.pcap") - 5)
        result = self.run_program(*self.bind("in.pcap", ":out.pcap"),
                                  status=FAILED)
        self.assertRegex(result.stderr,
                         r"^headgate: interface 'inside': 'in.pcap' is cut "
                         r"after packet 9.*\n$")
        self.assertIn("in 9 + made 0 = out 9 ", result.stdout)
        self.assertEqual(len(support.read_pcap("out.pcap")), 9)
        summary = self.run_json(*self.bind("in.pcap")[1:], status=FAILED)
        self.assertIn("is cut after packet 9",
                      summary["devices"]["inside"]["failure"])

    def test_unsupported_link_type(self):
        self.file("in.pcap", struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0,
                                         65535, 105))
        result = self.run_program(*self.bind("in.pcap"), status=WRONG)
        self.assertIn("IEEE802_11", result.stderr)

    def test_packets_of_no_length_and_giant_ones(self):
        frames = [b"", b"\0", udp(1)[:13], udp(1)[:20], udp(1),
                  udp(2, size=65000), udp(3) + bytes(200000)]
        self.capture("in.pcap", frames)
        self.run_program(*self.bind("in.pcap", ":out.pcap"))
        self.assertEqual([f for _, f in support.read_pcap("out.pcap")],
                         frames)

    def test_capture_from_standard_input(self):
        self.capture("in.pcap", [udp(1), udp(2)])
        with open("in.pcap", "rb") as file:
            result = self.run_program(*self.bind("-"), stdin=file)
        self.assertIn("in 2 ", result.stdout)

    def test_compressed_capture(self):
        self.capture("in.pcap", [udp(1), udp(2)])
        with open("in.pcap", "rb") as file:
            self.file("in.pcap.gz", gzip.compress(file.read()))
        self.run_program(*self.bind("in.pcap.gz", ":out.pcap.gz"))
        with gzip.open("out.pcap.gz") as file:
            self.file("out.pcap", file.read())
        self.assertEqual(support.read_pcap("in.pcap"),
                         support.read_pcap("out.pcap"))

    def test_capture_to_standard_output(self):
        self.capture("in.pcap", [udp(1), udp(2)])
        result = self.run_program(*self.bind("in.pcap", ":-"))
        self.file("out.pcap", result.raw)
        self.assertEqual(support.read_pcap("in.pcap"),
                         support.read_pcap("out.pcap"))
        self.assertIn("nothing was lost", result.stderr)

    def test_directory_as_output(self):
        self.capture("in.pcap", [udp(1)])
        os.mkdir("out.pcap")
        self.refused(*self.bind("in.pcap", ":out.pcap"),
                     sentence="interface 'outside': cannot write 'out.pcap': "
                              "Is a directory")

    def test_output_in_no_directory(self):
        self.capture("in.pcap", [udp(1)])
        self.refused(*self.bind("in.pcap", ":none/out.pcap"),
                     sentence="interface 'outside': cannot write "
                              "'none/out.pcap': No such file or directory")

    def test_disk_full(self):
        for n in (1, 50000):
            self.capture("in.pcap", [udp(i & 0xffff) for i in range(n)])
            result = self.run_program(*self.bind("in.pcap", ":/dev/full"),
                                      status=FAILED)
            self.assertRegex(result.stderr,
                             r"^headgate: interface 'outside': .*'/dev/full'"
                             r".*No space left on device.*\n$")
            self.assertIn("in %d + made 0 = out " % n, result.stdout)
            self.assertIn("nothing was lost", result.stdout)

    def test_standard_output_full(self):
        self.capture("in.pcap", [udp(1)])
        for arguments in (self.bind("in.pcap"), ("elements",), ("--help",),
                          ("check", self.graph), ("graph", self.graph)):
            with open("/dev/full", "wb") as full:
                self.refused(*arguments, status=FAILED, stdout=full,
                             sentence="cannot write to standard output: No "
                                      "space left on device")

    def test_standard_output_closed(self):
        self.capture("in.pcap", [udp(1)])
        result = subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" >&-', "sh", HEADGATE,
             *self.bind("in.pcap", ":out.pcap")],
            stderr=subprocess.PIPE, check=False, timeout=60)
        self.assertEqual(result.returncode, FAILED)
        self.assertIn(b"cannot write to standard output", result.stderr)
        self.assertEqual(len(support.read_pcap("out.pcap")), 1)

    def test_reader_of_standard_output_gone(self):
        reader, writer = os.pipe()
        os.close(reader)
        result = self.run_program("elements", stdout=writer, status=FAILED)
        os.close(writer)
        self.assertEqual(result.stderr, "")


class Signals(Program):
    def start(self, *arguments, **options):
        program = subprocess.Popen([HEADGATE, *arguments],
                                   stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, **options)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.stderr.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        return program

    @staticmethod
    def catches(pid, number):
        with open("/proc/%d/status" % pid, encoding="ascii") as file:
            caught = re.search(r"SigCgt:\s*(\w+)", file.read()).group(1)
        return int(caught, 16) >> (number - 1) & 1

    def wait_for(self, what):
        end = time.monotonic() + 30
        while not what():
            self.assertLess(time.monotonic(), end, "it does not come")
            time.sleep(0.005)

    def test_a_signal_ends_a_run_with_its_summary(self):
        self.capture("in.pcap", [udp(1), udp(2), udp(3)])
        for number in (signal.SIGINT, signal.SIGTERM):
            program = self.start("run", self.graph, "inside=-",
                                 "outside=null:", stdin=subprocess.PIPE)
            self.addCleanup(program.stdin.close)
            with open("in.pcap", "rb") as file:
                program.stdin.write(file.read())
            program.stdin.flush()
            self.wait_for(lambda: not struct.unpack("i", fcntl.ioctl(
                program.stdin, termios.FIONREAD, bytes(4)))[0])
            self.wait_for(lambda: self.state(program.pid) == "S")
            program.send_signal(number)
            self.assertEqual(program.wait(timeout=30), DONE)
            self.assertEqual(program.stderr.read(), b"")
            self.assertIn(b"nothing was lost", program.stdout.read())

    def test_a_signal_ends_a_run_of_which_no_packet_passes_the_filter(self):
        program = self.start("run", self.graph, "inside=gen:count=0",
                             "outside=null:", "--filter",
                             "inside=host 1.2.3.4")
        self.wait_for(lambda: self.catches(program.pid, signal.SIGINT))
        program.send_signal(signal.SIGINT)
        self.assertEqual(program.wait(timeout=30), DONE)
        self.assertIn(b"nothing was lost", program.stdout.read())

    def test_a_signal_that_comes_twice_at_once_is_one(self):
        for workers in "1", "2":
            program = self.start("run", self.graph, "inside=gen:count=0",
                                 "outside=:out.pcap", "--workers", workers)
            self.wait_for(lambda: os.path.exists("out.pcap") and
                          os.path.getsize("out.pcap"))
            for _ in range(3):
                program.send_signal(signal.SIGTERM)
                time.sleep(0.001)
            self.assertEqual(program.wait(timeout=30), DONE)
            self.assertIn(b"nothing was lost", program.stdout.read())
            os.unlink("out.pcap")

    def test_a_second_signal_ends_the_program(self):
        program = self.start("run", self.graph, "inside=gen:count=0",
                             "outside=:-")  # Which nobody reads.
        self.wait_for(lambda: self.catches(program.pid, signal.SIGTERM) and
                      self.state(program.pid) == "S")
        time.sleep(0.1)
        program.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        program.send_signal(signal.SIGTERM)
        self.assertEqual(program.wait(timeout=30), -signal.SIGTERM)

    @staticmethod
    def state(pid):
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0]


class Terminal(Program):
    def start_on_terminal(self, *arguments, **environment):
        """The program, and the terminal that is its standard error."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        program = subprocess.Popen(
            [HEADGATE, *arguments], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=slave,
            env={**os.environ, **environment})
        os.close(slave)
        self.addCleanup(program.stdout.close)
        return program, master

    @staticmethod
    def shown(master, seconds):
        """What appears on the terminal within this time; None: at its end."""
        if not select.select([master], [], [], seconds)[0]:
            return ""
        try:
            return os.read(master, 65536).decode()
        except OSError:  # EIO: the program has ended.
            return None

    def on_terminal(self, *arguments, feed=b"", until=None, **environment):
        """All that the program writes to the terminal.  Its input is the
        capture 'feed', its packets again and again until 'until' is shown, or
        for a second."""
        program, master = self.start_on_terminal(*arguments, **environment)
        end = time.monotonic() + (30 if until else 1)
        text, more = "", ""
        with program.stdin:
            while feed and time.monotonic() < end and (
                    until is None or until not in text):
                program.stdin.write(feed)
                program.stdin.flush()
                feed = feed[24:] if feed[:4] == MAGIC else feed
                text += self.shown(master, 0.01)
        while more is not None:
            text += more
            more = self.shown(master, 60)
        self.status = program.wait(timeout=60)
        return text

    def test_progress_on_a_terminal_only(self):
        self.capture("in.pcap", [udp(1)])
        with open("in.pcap", "rb") as file:
            feed = file.read()
        slow_run = ("run", self.graph, "inside=-", "outside=null:")
        self.assertRegex(
            self.on_terminal(*slow_run, feed=feed, until="pps"),
            r"^\r\x1b\[K[\d.]+ k?packets  [\d.]+ k?pps")
        self.assertEqual(self.on_terminal(*slow_run, "--quiet", feed=feed), "")
        self.assertEqual(self.status, DONE)

    def test_colour_only_where_wanted(self):
        self.file("bad.conf", "Interfac inside { }\n")
        self.assertIn("\033[", self.on_terminal("check", "bad.conf",
                                                NO_COLOR=""))
        self.assertNotIn("\033[", self.on_terminal("check", "bad.conf",
                                                   NO_COLOR="1"))
        self.assertEqual(self.status, WRONG)
        result = self.run_program("check", "bad.conf", status=WRONG)
        self.assertNotIn("\033[", result.stderr)


class Looking(Program):
    def test_check(self):
        self.assertEqual(self.run_program("check", self.graph).stdout,
                         "'wire.conf' is right: 3 elements\n")
        self.run_program("check", self.graph, "inside=none.pcap",
                         "outside=:out.pcap")
        self.assertFalse(os.path.exists("out.pcap"))
        self.file("bad.conf", "Interfac inside { }\nDiscrad end { }\n")
        errors = self.run_program("check", "bad.conf", status=WRONG).stderr
        self.assertIn("bad.conf:1:1: error: ", errors)
        self.assertIn("bad.conf:2:1: error: ", errors)

    def test_picture_as_text(self):
        text = self.run_program("graph", self.graph).stdout
        self.assertEqual(text.partition("\n\n")[2],
                         "inside -> all -> outside\noutside -> inside\n")

    def test_picture_for_graphviz(self):
        text = self.run_program("graph", self.graph, "--format=dot").stdout
        self.assertTrue(text.startswith("digraph"))
        self.assertIn('label="all\\nCounter"', text)
        self.assertEqual(text.count(" -> "), 3)

    def test_picture_as_svg(self):
        if not shutil.which("dot"):
            self.skipTest("no 'dot' here")
        self.run_program("graph", self.graph, "-f", "svg", "--output",
                         "wire.svg")
        with open("wire.svg") as file:
            text = file.read()
        self.assertIn("<svg", text)
        self.assertIn("Counter", text)

    def test_picture_as_svg_without_graphviz(self):
        environment = {**os.environ, "PATH": self.home}
        self.refused("graph", self.graph, "--format", "svg", status=FAILED,
                     env=environment,
                     sentence="'--format svg' needs the program 'dot' of "
                              "Graphviz; install package graphviz, or take "
                              "'--format dot'")

    def test_picture_that_cannot_be(self):
        self.refused("graph", self.graph, "--format", "dott",
                     sentence="no format 'dott'; did you mean 'dot'?")
        self.refused("graph", self.graph, "--output", "none/x",
                     sentence="cannot write 'none/x': No such file or "
                              "directory")
        self.refused("graph", self.graph, "--output", "/dev/full",
                     status=FAILED, sentence="cannot write '/dev/full': No "
                                             "space left on device")

    def test_list_of_elements(self):
        result = self.run_program("elements")
        self.assertEqual(result.stderr, "")
        self.assertRegex(result.stdout, r"\nDiscard +\w+")
        classes = json.loads(self.run_program("elements", "--json").stdout)
        names = [c["name"] for c in classes]
        self.assertEqual(names, sorted(names))
        self.assertLess({"Interface", "Counter", "Tee"}, set(names))

    def test_manual_of_every_element(self):
        for c in json.loads(self.run_program("elements", "--json").stdout):
            page = self.run_program("elements", c["name"]).stdout
            self.assertTrue(page.startswith("%s: %s\n" % (c["name"],
                                                          c["summary"])))
            for kind in ("options", "counters", "drop_reasons", "gauges",
                         "handlers"):
                for field in c[kind]:
                    self.assertIn("    %s" % field["name"], page)
                    self.assertTrue(field["doc"], field)
            self.assertLessEqual(max(map(len, page.splitlines())), 90)

    def test_misspelt_element(self):
        result = self.run_program("elements", "Discrad", status=WRONG)
        self.assertRegex(result.stderr, r"^headgate: no element class "
                                        r"'Discrad' in .*; did you mean "
                                        r"'Discard'\?\n$")

    def test_plugin_that_is_none(self):
        self.file("Text.so", "this is no shared object\n")
        result = self.run_program("elements", "--plugin-path", self.home)
        self.assertRegex(result.stderr, r"^headgate: .*Text\.so.*\n$")
        self.assertNotIn("Text", result.stdout)
        self.assertRegex(result.stdout, r"\nDiscard ")
        self.file("text.conf", "Interface a { }\nText b { }\n"
                               'connect("a -> b")\n')
        result = self.run_program("check", "text.conf", "--plugin-path",
                                  self.home, status=WRONG)
        self.assertRegex(result.stderr, r"text\.conf:2:1: error: .*Text\.so")


if __name__ == "__main__":
    unittest.main()
