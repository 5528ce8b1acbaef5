"""One worker against two: the NAT gateway on generated traffic, the VPC router
on a capture, where what leaves is counted and forgotten; and the NAT gateway
from capture to capture.

CPU time is that of all threads of the process, without loading tables and, but
for captures that are written, the first packet of each flow.  With two
workers each has a processor of its own, so half the CPU time is what the
packets would take where nothing else runs; wall time says so too, but only if
nothing else does run.  The most that it can show is what two processes reach
that have nothing to do with each other: processors that share a core, or of
which one has more to do for others, are not two."""
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
    """Wall time of the longer one of two processes at once."""
    pair = [subprocess.Popen((HEADGATE, "run", *command, "--json"),
                             stdout=subprocess.PIPE) for _ in range(2)]
    outputs = [process.communicate()[0] for process in pair]
    if any(process.returncode for process in pair):
        raise RuntimeError("%s failed" % " ".join(command))
    return max(json.loads(text)["timing"]["wall_ns"] for text in outputs)


def ceiling(name, idle, full, packets, rounds):
    one = figure("", "", [(timed(full, 1)[1] - timed(idle, 1)[1]) / packets
                          for _ in range(rounds)])
    two = figure("", "", [(timed_pair(full) - timed_pair(idle)) / packets / 2
                          for _ in range(rounds)])
    yield {"group": "workers",
           "name": name + ", two processes at once against one, wall time",
           "ns": one["ns"] / two["ns"], "unit": "x"}


def compare(name, idle, full, packets, rounds, cpu_target=1.8,
            wall_target=None):
    """Figures of a graph; 'idle' and 'full' are what to run it on."""
    cpu, wall = {1: [], 2: []}, {1: [], 2: []}
    for _ in range(rounds):
        for n in (1, 2):
            start, whole = timed(idle, n), timed(full, n)
            cpu[n].append((whole[0] - start[0]) / packets)
            wall[n].append((whole[1] - start[1]) / packets)
    one, two = (figure("workers", "%s, %s" % (name, words), cpu[n],
                       n=packets, flows=FLOWS)
                for n, words in ((1, "1 worker"), (2, "2 workers")))
    yield one
    yield two
    yield {"group": "workers", "name": name + ", two against one, CPU time",
           "ns": 2 * one["ns"] / two["ns"], "unit": "x", "target": cpu_target}
    yield {"group": "workers", "name": name + ", two against one, wall time",
           "ns": figure("", "", wall[1])["ns"] / figure("", "", wall[2])["ns"],
           "unit": "x", "target": wall_target}


def gateway(packets, quick):
    def command(count):
        return (GATEWAY, "inside=gen:flows=%d,count=%d" % (FLOWS, count),
                "outside=null:")

    run = ("nat-gateway.conf", command(FLOWS), command(FLOWS + packets),
           packets, 5)
    yield from compare(*run)
    if not quick:
        yield from ceiling(*run)


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
            packets, 5, cpu_target=None, wall_target=1)


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
                           packets - FLOWS, 3)


def measure(quick):
    if "--workers" not in output_of(HEADGATE, "run", "--help"):
        raise Skipped("this headgate has no --workers")
    if os.cpu_count() < 2:
        raise Skipped("two workers need two processors")
    yield from gateway(500000 if quick else 3000000, quick)
    if not quick:
        yield from replay(1000000)
        yield from router(2000000)
