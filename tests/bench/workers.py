"""One worker against two: the NAT gateway on generated traffic, the VPC router
on a capture, where what leaves is counted and forgotten; and the NAT gateway
from capture to capture.

CPU time is that of all threads of the process, without loading tables and, but
for captures that are written, the first packet of each flow.  With two
workers each has a processor of its own, so half the CPU time is what the
packets would take where nothing else runs; wall time says so too, but only if
nothing else does run.  The most that either can show is what two processes
reach that have nothing to do with each other: processors that share a core, a
cache or a host, or of which one has more to do for others, are not two."""
import json
import os
import struct
import subprocess
import tempfile

from captures import HEADGATE, Files
from figures import BENCH, ROOT, Skipped, figure, output_of

GATEWAY = os.path.join(ROOT, "graphs", "nat-gateway.conf")
ROUTER = "VPC router, 100 k flows"
FLOWS = 100000


def timed(command, workers):
    """CPU and wall time from when all tables are loaded."""
    timing = json.loads(output_of(HEADGATE, "run", *command, "--workers",
                                  str(workers), "--json"))["timing"]
    return timing["cpu_ns"], timing["wall_ns"]


def timed_pair(command):
    """Of two processes at once: both's CPU time, and wall time of the longer
    one."""
    pair = [subprocess.Popen((HEADGATE, "run", *command, "--json"),
                             stdout=subprocess.PIPE) for _ in range(2)]
    outputs = [process.communicate()[0] for process in pair]
    if any(process.returncode for process in pair):
        raise RuntimeError("%s failed" % " ".join(command))
    both = [json.loads(text)["timing"] for text in outputs]
    return (sum(one["cpu_ns"] for one in both),
            max(one["wall_ns"] for one in both))


def least(runs, which, packets):
    """What a packet takes at least: what else the machine does meanwhile only
    adds to a run, be it the one with packets or the one without."""
    return (min(full[which] for _, full in runs) -
            min(idle[which] for idle, _ in runs)) / packets


def against_one(name, one, other, packets, targets=(None, None)):
    """How often the packets of 'one' fit into half the CPU time of 'other',
    and into its wall time."""
    for which, (words, times, target) in enumerate(
            zip(("CPU time", "wall time"), (2, 1), targets)):
        yield {"group": "workers", "name": "%s, %s" % (name, words),
               "ns": times * least(one, which, packets[0]) /
                     least(other, which, packets[1]),
               "unit": "x", "target": target}


def paced(figures, most):
    """The same figures beside 'most', those of two processes: what is to be
    so much of two is judged as so much of what two are here, which is never
    more than two."""
    for fig, pair in zip(figures, most):
        fig["pace"] = max(2 / pair["ns"], 1)
        yield fig


def compare(name, idle, full, packets, rounds, targets=(1.8, None),
            pair=True):
    """Figures of a graph; 'idle' and 'full' are what to run it on.  All take
    turns, each time another one first: what ran before decides on the memory
    that a process gets."""
    one, two, twice = [], [], []
    ways = [(one, lambda run: timed(run, 1)), (two, lambda run: timed(run, 2))]
    if pair:
        ways.append((twice, timed_pair))
    for _ in range(rounds):
        for runs, way in ways:
            runs.append((way(idle), way(full)))
        ways.append(ways.pop(0))
    for words, runs in (("1 worker", one), ("2 workers", two)):
        yield figure("workers", "%s, %s" % (name, words),
                     [(after[0] - before[0]) / packets
                      for before, after in runs], n=packets, flows=FLOWS)
    figures = list(against_one(name + ", two against one", one, two,
                               (packets, packets), targets))
    if not pair:
        yield from figures
        return
    most = list(against_one(name + ", two processes at once against one", one,
                            twice, (packets, 2 * packets)))
    yield from paced(figures, most)
    yield from most


def gateway(packets, quick):
    def command(count):
        return (GATEWAY, "inside=gen:flows=%d,count=%d" % (FLOWS, count),
                "outside=null:")

    yield from compare("nat-gateway.conf", command(FLOWS),
                       command(FLOWS + packets), packets, 5, pair=not quick)


def cut(source, target, n):
    """A capture of the first packets of another."""
    with open(source, "rb") as whole, open(target, "wb") as part:
        part.write(whole.read(24))
        for _ in range(n):
            head = whole.read(16)
            part.write(head + whole.read(struct.unpack_from("<I", head, 8)[0]))


def replay(packets):
    """From capture to capture."""
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as folder:
        files = Files(folder, packets)
        yield from compare(
            "nat-gateway.conf, replay",
            (GATEWAY, "inside=" + files.empty, "outside=:" + files.output),
            (GATEWAY, "inside=" + files.input, "outside=:" + files.output),
            packets, 5, targets=(None, 1), pair=False)


def router(packets):
    """Its start, with full tables, takes longer than the packets."""
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as folder:
        output_of(BENCH, "row", ROUTER, folder, str(packets))
        full, first = (os.path.join(folder, name)
                       for name in ("in.pcap", "first.pcap"))
        cut(full, first, FLOWS)
        for name in os.listdir(folder):
            if name.endswith(".csv"):
                os.environ[name[:-4]] = os.path.join(folder, name)
        graph = os.path.join(folder, "graph.conf")
        yield from compare("VPC router",
                           (graph, "in=" + first, "out=null:"),
                           (graph, "in=" + full, "out=null:"),
                           packets - FLOWS, 5)


def measure(quick):
    if "--workers" not in output_of(HEADGATE, "run", "--help"):
        raise Skipped("this headgate has no --workers")
    if os.cpu_count() < 2:
        raise Skipped("two workers need two processors")
    yield from gateway(500000 if quick else 3000000, quick)
    if not quick:
        yield from replay(1000000)
        yield from router(6000000)
