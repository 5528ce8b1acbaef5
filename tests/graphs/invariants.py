#!/usr/bin/python3
"""The invariants of every graph and every element class.

    invariants.py graphs     each graph of graphs/ and tests/graphs/, over the
                             bundled captures
    invariants.py elements   the example of each class, over the same
    invariants.py corpus     the graphs, over every capture of the corpus

  - Conservation: for each element, in + received + made = out + sent +
    dropped + held, and every drop has its reason; what elements say they sent
    is in the files.
  - Batch independence: batches of 1, 7, 64 and 256 give the same bytes.
  - Repeatability: so does a second run.
  - Worker independence: so do 2 and 3 workers, but for the ports that a NAT
    chooses and for answers to different flows at the very same time; or they
    refuse the graph, with a sentence."""
import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import support  # noqa: E402

BATCHES = (64, 1, 7, 256, 64)
WORKERS = (2, 3)
SAMPLED = 0
HALF = False
if sys.argv[1:] == ["corpus"]:
    # Many captures, each through all graphs: the extremes are enough, and a
    # run that cannot be repeated is not the same with batches of 1 either.
    BATCHES, WORKERS = (64, 1), (2,)
if os.environ.get("HEADGATE_SANITIZED"):
    # What the build without sanitizers has compared need not be compared
    # again, only be run.
    BATCHES, WORKERS = (64, 1), (2,)
    # Leaks take as long as a run to look for, and workers another: one case
    # of so many.  Of graphs and captures every other pair is enough: each
    # meets half of the others.
    if sys.argv[1:] == ["corpus"]:
        BATCHES, SAMPLED, HALF = (64,), 4, True
    elif sys.argv[1:] == ["elements"]:
        SAMPLED = 3

# Graphs that workers must not refuse.
SHARED = ("nat-gateway.conf", "large-nat.conf", "vpc-router.conf",
          "HyperplaneNAT", "SecurityGroup", "RouteTable", "NACL",
          "FlowLogger", "CheckIP")


class Broken(Exception):
    pass


def interfaces(graph):
    with open(graph, encoding="utf-8") as file:
        text = re.sub(r"#.*", "", file.read())
    return re.findall(r'\bInterface\s+"?([\w.-]+)', text)


def sides(graph, capture, others):
    """Device arguments: the capture at the first interface, 'others' at the
    rest (None: the capture too); what is sent goes into a file for each."""
    arguments = []
    for n, name in enumerate(interfaces(graph)):
        source = capture if n == 0 else others or capture
        if source == "echo:":
            arguments.append("%s=echo:" % name)
        else:
            arguments.append("%s=%s:%s.out.pcap" % (name, source, name))
    return arguments


def run_once(graph, devices, batch, workers=1, leaks=True):
    """Everything that a run leaves behind, without what is about time."""
    env = dict(os.environ)
    if not leaks:
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [support.HEADGATE, "run", graph, *devices, "--batch", str(batch),
             "--workers", str(workers), "--json"], cwd=folder, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=200,
            check=False)
        files = {}
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as file:
                files[name] = file.read()
    summary = json.loads(result.stdout) if result.stdout else {}
    summary.pop("timing", None)
    return {"status": result.returncode, "summary": summary,
            "stderr": result.stderr.decode("utf-8", "replace"),
            "files": files}


def check_status(run, capture):
    """A capture that is cut is processed up to the cut and ends with 1; one
    that cannot be read is refused with 2, and both with a sentence."""
    said = run["stderr"]
    if "Sanitizer" in said or "runtime error" in said:
        raise Broken(said)
    if run["status"] == 0:
        return True
    if run["status"] not in (1, 2) or \
            os.path.basename(capture) not in said:
        raise Broken("ended with %d: %s" % (run["status"], said))
    return run["status"] == 1


def packets_in(data):
    count, at = 0, 24
    while at < len(data):
        at += 16 + int.from_bytes(data[at + 8:at + 12], "little")
        count += 1
    return count


def check_conservation(run):
    summary = run["summary"]
    if not summary["total"]["balanced"]:
        raise Broken("the summary says it does not balance")
    total_in = total_out = 0
    for name, e in summary["elements"].items():
        came = e["in"] + e["received"] + e["made"]
        went = e["out"] + e["sent"] + e["dropped"] + e["held"]
        if came != went:
            raise Broken("%s: %d came, %d went" % (name, came, went))
        if sum(e["drops"].values()) != e["dropped"]:
            raise Broken("%s: dropped %d, reasons %s" % (
                name, e["dropped"], e["drops"]))
        total_in += e["in"]
        total_out += e["out"]
    if total_in != total_out:
        raise Broken("%d packets left elements, %d came to others" % (
            total_out, total_in))
    for name, device in summary["devices"].items():
        e = summary["elements"][name]
        if device["received"] != e["received"] or device["sent"] != e["sent"]:
            raise Broken("%s and its device disagree" % name)
        file = run["files"].get(name + ".out.pcap")
        if file is not None and packets_in(file) != device["sent"]:
            raise Broken("%s: sent %d, the file has %d" % (
                name, device["sent"], packets_in(file)))


def differences(a, b):
    found = [key for key in ("status", "stderr") if a[key] != b[key]]
    for name in sorted(set(a["files"]) | set(b["files"])):
        if a["files"].get(name) != b["files"].get(name):
            found.append("file " + name)
    left, right = a["summary"], b["summary"]
    for group in ("elements", "devices"):
        for name in left.get(group, {}):
            if left[group][name] != right.get(group, {}).get(name):
                found.append("summary of " + name)
    if left != right and not found:
        found.append("summary")
    return found


def without_ports(data):
    """A capture as [(time, what a NAT's choice of ports leaves alone)]."""
    packets, at = [], 24
    while at < len(data):
        time = data[at:at + 8]
        size = int.from_bytes(data[at + 8:at + 12], "little")
        frame = data[at + 16:at + 16 + size]
        at += 16 + size
        l3 = 14
        while frame[l3 - 2:l3] in (b"\x81\0", b"\x88\xa8"):
            l3 += 4
        l4 = l3 + 4 * (frame[l3] & 15) if frame[l3 - 2:l3] == b"\x08\0" else 0
        first = l4 and not int.from_bytes(frame[l3 + 6:l3 + 8],
                                          "big") & 0x1fff
        if first and frame[l3 + 9] == 1:
            # An error quotes a header, which ends in 8 bytes like this one.
            keep = frame[:l4 + 2] + frame[l4 + 8:l4 + 18] + \
                frame[l4 + 20:l4 + 28]
        elif first and frame[l3 + 9] in (6, 17):
            keep = frame[:l4] + frame[l4 + 4:l4 + (16 if frame[l3 + 9] == 6
                                                   else 6)]
        else:
            keep = frame
        flow = frame[l3 + 9:l3 + 10] + frame[l3 + 12:l3 + 20] + \
            (frame[l4:l4 + 4] if first else b"later") if l4 else b""
        if frame[l3 - 2:l3] == b"\x86\xdd":
            flow = frame[l3 + 6:l3 + 7] + frame[l3 + 8:l3 + 40]
            if frame[l3 + 6] in (6, 17):
                flow += frame[l3 + 40:l3 + 44]
        packets.append((time, size, keep, flow))
    return packets


def by_flow(packets):
    flows = {}
    for time, size, keep, flow in packets:
        flows.setdefault(flow, []).append((time, size, keep))
    return flows


def same_packets(a, b, with_ports):
    """The same packets of the same times; those of a flow in the same order.
    Answers that come at the very same time may change places."""
    a, b = without_ports(a), without_ports(b)
    if sorted(p[:3] for p in a) != sorted(p[:3] for p in b):
        return False
    a, b = by_flow(a), by_flow(b)
    return a == b if with_ports or set(a) == set(b) else True


def same_but_for_ties(a, b, with_ports):
    names = set(a["files"]) | set(b["files"])
    return all(name.endswith(".pcap") and
               same_packets(a["files"].get(name, b""),
                            b["files"].get(name, b""), with_ports)
               for name in names
               if a["files"].get(name) != b["files"].get(name))


def forget_memory(run):
    """Each worker has tables of its own, and a peak of its own."""
    for e in run["summary"].get("elements", {}).values():
        for name in ("memory", "peak_bytes_per_second",
                     "peak_packets_per_second"):
            e["gauges"].pop(name, None)
    return run


def check_workers(label, graph, devices, first):
    """The number of runs that were not refused."""
    forget_memory(first)
    shared = 0
    has_nat = any(e["class"] == "HyperplaneNAT"
                  for e in first["summary"]["elements"].values())
    # Captures on all sides: whether what comes from outside hits a port that
    # the NAT has chosen is chance, and different for each number of workers.
    by_chance = has_nat and len(devices) > 1 and \
        not any(device.endswith("=echo:") for device in devices)
    for n in WORKERS:
        run = forget_memory(run_once(graph, devices, BATCHES[0], n,
                                     leaks=not SAMPLED))
        if run["status"] == 2 and "cannot run on" in run["stderr"]:
            if label.split(" ")[0] in SHARED:
                raise Broken("is refused: " + run["stderr"])
            continue
        shared += 1
        check_conservation(run)
        again = first
        if by_chance:
            again = forget_memory(run_once(graph, devices, 7, n))
        found = differences(again, run)
        if same_but_for_ties(again, run, not has_nat):
            found = [what for what in found if not what.startswith("file ")]
        if found:
            raise Broken("%d workers give other results: %s" % (
                n, ", ".join(found)))
    return shared


def check_case(case):
    """Returns (what is wrong, or None; packets received; runs with several
    workers)."""
    label, graph, capture, devices = case
    try:
        thorough = not SAMPLED or zlib.crc32(label.encode()) % SAMPLED == 0
        first = run_once(graph, devices, BATCHES[0], leaks=thorough)
        if not check_status(first, capture):
            return None, 0, 0
        check_conservation(first)
        for batch in BATCHES[1:]:
            found = differences(first, run_once(graph, devices, batch))
            if found:
                again = "a second run" if batch == BATCHES[0] else \
                    "batches of %d" % batch
                raise Broken("%s gives other results: %s" % (
                    again, ", ".join(found)))
        shared = 0
        if thorough:
            shared = check_workers(label, graph, devices, first)
    except (Broken, subprocess.TimeoutExpired, ValueError, KeyError) as e:
        return "%s: %s: %s\n    headgate run %s %s" % (
            label, type(e).__name__, e, graph, " ".join(devices)), 0, 0
    return None, first["summary"]["total"]["received"], shared


def graph_files():
    return sorted(
        glob.glob(os.path.join(support.ROOT, "graphs", "*.conf")) +
        glob.glob(os.path.join(support.ROOT, "tests", "graphs", "*.conf")))


def cases_of(graph, label, captures, all_variants):
    for capture in captures:
        name = "%s over %s" % (label, os.path.basename(capture))
        yield name, graph, capture, sides(graph, capture, "echo:")
        if all_variants:
            yield name, graph, capture, sides(graph, capture, None)


def graph_cases():
    for graph in graph_files():
        yield from cases_of(graph, os.path.basename(graph),
                            support.bundled_captures(), True)


def corpus_cases():
    captures = support.corpus_captures()
    for i, graph in enumerate(graph_files()):
        yield from cases_of(graph, os.path.basename(graph),
                            captures[i % 2::2] if HALF else captures, False)


def element_cases(folder):
    """Each class's own example is a graph, and it has to be right."""
    result = support.headgate("elements", "--json")
    if result.returncode:
        raise AssertionError(result.stderr)
    for cls in json.loads(result.stdout):
        if not cls.get("example"):
            raise AssertionError("class %s has no example" % cls["name"])
        graph = os.path.join(folder, cls["name"] + ".conf")
        with open(graph, "w", encoding="utf-8") as file:
            file.write(cls["example"])
        yield from cases_of(graph, cls["name"], support.bundled_captures(),
                            True)


def main():
    what = sys.argv[1] if len(sys.argv) == 2 else ""
    with tempfile.TemporaryDirectory() as folder:
        if what == "graphs":
            cases = list(graph_cases())
        elif what == "elements":
            cases = list(element_cases(folder))
        elif what == "corpus":
            if not support.CORPUS:
                support.skip("HEADGATE_CORPUS is not set")
            cases = list(corpus_cases())
        else:
            sys.exit(__doc__)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(check_case, cases))
    failures = [why for why, _, _ in results if why]
    for why in failures[:8]:
        print("FAILED:", why)
    packets = sum(n for _, n, _ in results)
    shared = sum(n for _, _, n in results)
    print("%d cases with %d runs each: %d had packets (%d), %d failed; %d "
          "runs with several workers" % (
              len(cases), len(BATCHES), sum(n > 0 for _, n, _ in results),
              packets, len(failures), shared))
    return 1 if failures or not packets or not shared else 0


if __name__ == "__main__":
    sys.exit(main())
