"""One worker against two: generated traffic through the NAT gateway.

CPU time is that of all threads of the process, net of its start.  With two
workers each has a processor of its own, so half the CPU time is what the
packets would take where nothing else runs; wall time says so too, but only if
nothing else does run."""
import os
import time

from figures import ROOT, Skipped, cpu_ns, figure, output_of
from captures import HEADGATE

GATEWAY = os.path.join(ROOT, "graphs", "nat-gateway.conf")
FLOWS = 100000
ROUNDS = 5


def command(workers, packets):
    return (HEADGATE, "run", GATEWAY,
            "inside=gen:flows=%d,count=%d" % (FLOWS, packets),
            "outside=null:", "--workers", str(workers), "--quiet")


def timed(workers, packets):
    began = time.monotonic_ns()
    cpu = cpu_ns(*command(workers, packets))
    return cpu, time.monotonic_ns() - began


def measure(quick):
    if "--workers" not in output_of(HEADGATE, "run", "--help"):
        raise Skipped("this headgate has no --workers")
    if os.cpu_count() < 2:
        raise Skipped("two workers need two processors")
    packets = 1000000 if quick else 3000000
    cpu, wall = {1: [], 2: []}, {1: [], 2: []}
    for _ in range(ROUNDS):
        for n in (1, 2):
            idle, start = timed(n, FLOWS), timed(n, FLOWS + packets)
            cpu[n].append((start[0] - idle[0]) / packets)
            wall[n].append((start[1] - idle[1]) / packets)
    for n in (1, 2):
        yield figure("workers", "nat-gateway.conf, %d worker%s" % (
            n, "s" if n > 1 else ""), cpu[n], n=packets, flows=FLOWS)
    one, two = figure("", "", cpu[1])["ns"], figure("", "", cpu[2])["ns"]
    yield {"group": "workers", "name": "two against one, by CPU time",
           "ns": 2 * one / two, "unit": "x", "target": 1.8}
    one, two = figure("", "", wall[1])["ns"], figure("", "", wall[2])["ns"]
    yield {"group": "workers", "name": "two against one, by the clock",
           "ns": one / two, "unit": "x"}
