"""VPP's source NAT (nat44-ed) on our capture, by VPP's own clocks.

Packet generators stand on both sides.  The capture is replayed twice: the
first time begins the flows, the second is measured.  What a packet costs is
the sum of 'show runtime' over all nodes but those that generate and transmit.
As many packets as went in have to come out; otherwise VPP's answers are shown
and there is no figure.  Commands are those of VPP 22.06 and later."""
import os
import subprocess
import time

from figures import figure

PATIENCE = 60  # Seconds.
SETUP = """create packet-generator interface pg0
create packet-generator interface pg1
set interface mac address pg0 02:00:00:00:00:fe
set interface ip address pg0 10.255.0.1/8
set interface ip address pg1 198.51.100.1/24
set interface state pg0 up
set interface state pg1 up
set ip neighbor pg1 198.51.100.254 02:00:00:00:00:01
ip route add 0.0.0.0/0 via 198.51.100.254 pg1
nat44 plugin enable sessions 1000000
nat44 add address 198.51.100.10
set interface nat44 in pg0 out pg1
packet-generator new pcap %s source pg0 name inside"""
NOT_COUNTED = ("pg-input", "pg1-tx", "pg1-output")


def clock_hz():
    """Of the time stamp counter: Linux says twice its megahertz."""
    with open("/proc/cpuinfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("bogomips"):
                return float(line.split(":")[1]) / 2 * 1e6
    raise RuntimeError("/proc/cpuinfo does not tell the clock's frequency")


def clocks_of(text):
    """Clocks of all nodes from 'show runtime': each line ends in calls,
    vectors, suspends, clocks a vector, vectors a call."""
    total = 0
    for line in text.splitlines():
        words = line.split()
        if len(words) < 7 or words[0] in NOT_COUNTED:
            continue
        try:
            vectors, clocks = int(words[-4]), float(words[-2])
        except ValueError:
            continue  # A heading.
        total += vectors * clocks
    return total


class Vpp:
    def __init__(self, program, folder):
        self.socket = os.path.join(folder, "cli.sock")
        self.control = os.path.join(os.path.dirname(program), "vppctl")
        self.process = subprocess.Popen(
            [program, "unix", "{", "nodaemon", "nosyslog", "cli-listen",
             self.socket, "}", "plugins", "{", "plugin", "dpdk_plugin.so",
             "{", "disable", "}", "}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)

    def __enter__(self):
        self.wait("it to answer", lambda: os.path.exists(self.socket))
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def wait(self, what, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError("vpp: waited in vain for " + what)
            time.sleep(0.1)

    def ask(self, command):
        done = subprocess.run(
            [self.control, "-s", self.socket, *command.split()],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=PATIENCE, check=False)
        if done.returncode:
            raise RuntimeError("vpp: %s: %s" % (command, done.stdout.strip()))
        return done.stdout

    def tell(self, command):
        """A command that succeeds in silence, or with a name it made."""
        answer = self.ask(command).strip()
        if answer and not answer.startswith("pg"):
            raise RuntimeError("vpp: %s: %s" % (command, answer))

    def sent(self):
        for line in self.ask("show interface pg1").splitlines():
            if "tx packets" in line:
                return int(line.split()[-1])
        return 0

    def replay(self, n):
        """Clocks that 'n' packets took."""
        before = self.sent()
        self.tell("clear runtime")
        self.tell("packet-generator enable-stream inside")
        self.wait("all packets to come out",
                  lambda: self.sent() - before >= n)
        return clocks_of(self.ask("show runtime"))


def measure(program, folder, files):
    rounds = []
    with Vpp(program, folder) as vpp:
        for command in (SETUP % files.input).splitlines():
            vpp.tell(command)
        vpp.replay(files.n)
        for _ in range(5):
            rounds.append(vpp.replay(files.n) / files.n / clock_hz() * 1e9)
    yield figure("peers", "vpp, nat44-ed", rounds, n=files.n,
                 flows=files.flows)
