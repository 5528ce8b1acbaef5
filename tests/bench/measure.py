"""Runs the measurements and prints them (run.sh builds first, and has the
help).

    bench       from memory, in C
    captures    pcap to pcap
    workers     one against two
    peers       other programs on the same packets
    NAME.c      every other program here (README.md)"""
import argparse
import datetime
import glob
import json
import os
import subprocess
import sys

import captures
import document
import peers
import plot
import workers
from figures import BENCH, BUILD, HERE, ROOT, Skipped, Table, verdict

HISTORY = os.path.join(BUILD, "bench-history.jsonl")
NOT_HERE = 77


def from_memory(options):
    """Figures of the program bench, as they come: one on each line."""
    command = [BENCH, "--json"]
    command += ["--quick"] if options.quick else []
    command += ["--only", options.only] if options.only else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT,
                          text=True) as process:
        for line in process.stdout:
            if line.startswith('{"'):
                yield json.loads(line.rstrip("\n,"))
    if process.returncode:
        raise RuntimeError("some rows of bench failed")


def standalone(options, path):
    """Figures of a measuring program of its own."""
    command = [path, "--json"] + (["--quick"] if options.quick else [])
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.PIPE, text=True, cwd=ROOT)
    if done.returncode == NOT_HERE:
        raise Skipped(done.stderr.strip())
    if done.returncode:
        raise RuntimeError("%s ended with %d: %s" % (
            path, done.returncode, done.stderr.strip()))
    for fig in json.loads(done.stdout):
        yield {"unit": "ns/packet", **fig}


def programs():
    for source in sorted(glob.glob(os.path.join(HERE, "*.c"))):
        name = os.path.basename(source)[:-2]
        path = os.path.join(BUILD, "tests", name)
        if not name.startswith("bench") and os.access(path, os.X_OK):
            yield name, path


def sources(options):
    """(name, figures) of everything to be measured; groups that --only can
    leave out as a whole are."""
    def wanted(*groups):
        return not options.only or any(
            options.only.lower() in group for group in groups)

    if wanted("pcap to pcap"):
        yield "pcap to pcap", captures.measure(options.quick)
    yield "from memory", from_memory(options)
    for name, path in programs():
        if wanted(name):
            yield name, standalone(options, path)
    if wanted("workers"):
        yield "workers", workers.measure(options.quick)
    for name, function in peers.ALL:
        if wanted("peers", name):
            yield name, function(options.quick)


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = next((line.split(":", 1)[1].strip() for line in file
                      if line.startswith("model name")), "unknown")
    return {"cpu": model, "cores": os.cpu_count(), "load": os.getloadavg()[0]}


def commit():
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude", "*"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
        cwd=ROOT, text=True)
    return done.stdout.strip() or "unknown"


def run(options, table):
    now = datetime.datetime.now(datetime.timezone.utc)
    result = {"commit": commit(), "date": now.isoformat(timespec="seconds"),
              "machine": machine(), "quick": options.quick,
              "only": options.only, "figures": [], "skipped": {},
              "failed": {}}
    table.line("headgate %s on %s, %d cores, load %.1f%s" % (
        result["commit"], result["machine"]["cpu"],
        result["machine"]["cores"], result["machine"]["load"],
        ", quick" if options.quick else ""))
    for name, figures in sources(options):
        try:
            for fig in figures:
                result["figures"].append(fig)
                table.add(peers.beside(fig, result["figures"]))
        except Skipped as why:
            result["skipped"][name] = str(why)
        except (AssertionError, RuntimeError, OSError,
                subprocess.SubprocessError) as why:
            result["failed"][name] = str(why)
    return result


def conclude(result, table):
    judged = [fig for fig in result["figures"] if fig.get("target")]
    met, as_written = (
        sum(verdict(fig, pace) == "meets" for fig in judged)
        for pace in (True, False))
    table.line("\n%d of %d targets met at the machine's pace, %d as they are "
               "written" % (met, len(judged), as_written))
    for word in ("skipped", "failed"):
        for name, why in result[word].items():
            table.line("%s: %s: %s" % (word, name, why))


def main():
    parser = argparse.ArgumentParser(prog="run.sh", add_help=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--history", default=HISTORY)
    parser.add_argument("--plot")
    parser.add_argument("--document")
    options = parser.parse_args()
    if options.document:
        document.update(options.history, options.document)
        return 0
    if options.plot:
        plot.draw(options.history, options.plot)
        return 0
    table = Table(sys.stderr if options.json else sys.stdout)
    result = run(options, table)
    conclude(result, table)
    with open(options.history, "a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")
    if options.json:
        json.dump(result, sys.stdout, indent=2)
        print()
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
