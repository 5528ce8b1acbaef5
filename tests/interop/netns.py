"""What the live tests share: network namespaces with programs in them.

A Lab makes namespaces of unique names, joins them by veth pairs and starts
programs inside; leaving it ends the programs and removes the namespaces, also
after a failure or a signal.  Offloads stay as the kernel sets them, as they
would for a user."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from support import HEADGATE, ROOT, skip  # noqa: E402

PYTHON = "/usr/bin/python3"
PEERS = os.path.join(HERE, "peers.py")
INSIDE_UML = "HEADGATE_TEST_INSIDE_UML" in os.environ  # See uml.py.
# Seconds for what should take a fraction of one.
PATIENCE = 60 if INSIDE_UML else 10

WIRE = """
Interface a { }
Interface b { }
connect("a -> b")
connect("b -> a")
"""


def require(*tools):
    """Skips the test where it cannot run."""
    if os.geteuid() != 0:
        skip("network namespaces need root")
    for tool in ("ip", *tools):
        if not shutil.which(tool):
            skip("there is no '%s' here" % tool)
    name = "hg-%d-try" % os.getpid()
    made = subprocess.run(["ip", "netns", "add", name], check=False,
                          stderr=subprocess.PIPE)
    if made.returncode:
        skip("no network namespaces: " + made.stderr.decode().strip())
    subprocess.run(["ip", "netns", "del", name], check=True)


def wait_until(what, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("%s: not within %d s" % (what, PATIENCE))
        time.sleep(0.02)


class Lab:
    def __enter__(self):
        self.namespaces = []
        self.processes = []
        self.folder = tempfile.mkdtemp(prefix="headgate-live-")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "del", name], check=False)
        shutil.rmtree(self.folder)

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "wb" if isinstance(text, bytes) else "w") as file:
            file.write(text)
        return path

    def namespace(self, name):
        full = "hg-%d-%s" % (os.getpid(), name)
        subprocess.run(["ip", "netns", "add", full], check=True)
        self.namespaces.append(full)
        self.ip(full, "link", "set", "lo", "up")
        return full

    def ip(self, namespace, *arguments):
        subprocess.run(["ip", "-n", namespace, *arguments], check=True)

    def veth(self, end_a, end_b):
        """Joins two (namespace, interface) ends and brings both up."""
        (space_a, name_a), (space_b, name_b) = end_a, end_b
        self.ip(space_a, "link", "add", name_a, "type", "veth", "peer",
                "name", name_b, "netns", space_b)
        self.ip(space_a, "link", "set", name_a, "up")
        self.ip(space_b, "link", "set", name_b, "up")

    def address(self, namespace, interface, address):
        more = ("nodad",) if ":" in address else ()
        self.ip(namespace, "address", "add", address, "dev", interface, *more)

    def start(self, namespace, *command, **options):
        process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, **options)
        self.processes.append(process)
        return process

    def run(self, namespace, *command):
        """Standard output of a command that has to succeed."""
        result = subprocess.run(
            ["ip", "netns", "exec", namespace, *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=3 * PATIENCE, check=False)
        if result.returncode:
            raise AssertionError("%s: ended with %d\n%s%s" % (
                " ".join(command), result.returncode, result.stdout.decode(),
                result.stderr.decode()))
        return result.stdout.decode()

    def headgate(self, namespace, *arguments, receiving=0, **options):
        """Starts 'headgate run' and waits for so many receiving sockets, and
        until it heeds signals."""
        process = self.start(namespace, HEADGATE, "run", *arguments,
                             **options)
        table = "/proc/%d/net/packet" % process.pid

        def ready():
            if process.poll() is not None:
                raise AssertionError("headgate ended with %d: %s" % (
                    process.returncode, process.communicate()[1].decode()))
            with open(table, encoding="ascii") as file:
                # The column Proto: 0003 is every protocol.
                bound = [line for line in file if line.split()[3] == "0003"]
            return len(bound) >= receiving and catches(
                process.pid, signal.SIGINT, signal.SIGTERM)

        wait_until("headgate receives", ready)
        return process

    def peers(self, namespace):
        """Starts the HTTP and UDP servers of peers.py."""
        process = self.start(namespace, PYTHON, PEERS, "serve",
                             cwd=self.folder)
        if process.stdout.readline() != b"ready\n":
            raise AssertionError(process.communicate()[1].decode())
        return process


def catches(pid, *signals):
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        caught = next(int(line.split()[1], 16) for line in file
                      if line.startswith("SigCgt:"))
    return all(caught >> number - 1 & 1 for number in signals)


def stop(process, number=signal.SIGINT):
    """Ends it by a signal: (exit status, stdout, stderr, seconds taken)."""
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    return (process.returncode, out.decode(), err.decode(),
            time.monotonic() - began)


class BehindGate:
    """Of a case in which self.inside talks through self.gate, a headgate that
    prints JSON, with others in self.lab."""

    def neighbour(self, space, address, mac):
        self.lab.ip(space, "neighbour", "add", address, "lladdr", mac, "dev",
                    "eth0", "nud", "permanent")

    def tearDown(self):
        status, out, err, _ = stop(self.gate)
        self.assertEqual((status, err), (0, ""))
        json.loads(out)

    def curl(self, *arguments):
        return self.lab.run(self.inside, "curl", "--silent", "--show-error",
                            "--fail", "--max-time", "20", *arguments)
