"""Captures: what a replay costs, against libpcap reading and writing.

CPU time (user and system) of whole processes, which take turns.  Files are in
a folder in memory or on disk as $TMPDIR says; the page cache is warm, a new
file is one that was not there, an old one is overwritten."""
import os
import tempfile

from figures import BENCH, ROOT, compare, cpu_ns, figure, output_of

HEADGATE = os.environ.get("HEADGATE", "")
GATEWAY = os.path.join(ROOT, "graphs", "nat-gateway.conf")
FRAME, MADE_FRAME = 60, 64  # Bytes, of the capture and of gen:.
WIRE = """Interface inside { }
Interface outside { }
connect("inside -> outside")
"""


class Files:
    """A capture of 'n' packets, an empty one, and what becomes of them."""

    def __init__(self, folder, n):
        self.n = n
        self.flows = n // 10  # A tenth of the packets begin a flow.
        self.wire = os.path.join(folder, "wire.conf")
        self.input = os.path.join(folder, "in.pcap")
        self.empty = os.path.join(folder, "empty.pcap")
        self.output = os.path.join(folder, "out.pcap")
        with open(self.wire, "w", encoding="ascii") as file:
            file.write(WIRE)
        output_of(BENCH, "capture", self.input, str(n),
                  str(self.flows))
        with open(self.input, "rb") as full, open(self.empty, "wb") as empty:
            empty.write(full.read(24))
        os.sync()  # Nobody's writing back falls into what is measured.

    def run(self, command, new, frame=FRAME):
        """CPU time of a command that has to write every packet."""
        if new and os.path.exists(self.output):
            os.unlink(self.output)
        spent = cpu_ns(*command)
        size = os.path.getsize(self.output)
        if size != 24 + self.n * (16 + frame):
            raise RuntimeError("%s: %s does not hold %d packets" % (
                " ".join(command), self.output, self.n))
        return spent

    def headgate(self, graph, inside, outside):
        return (HEADGATE, "run", graph, "inside=" + inside,
                "outside=" + outside, "--quiet")


def replays(files, rounds):
    out = ":" + files.output
    commands = {
        "libpcap, read and write": (BENCH, "copy", files.input, files.output),
        "headgate, a wire": files.headgate(files.wire, files.input, out),
        "headgate, nat-gateway.conf":
            files.headgate(GATEWAY, files.input, out)}
    kinds = {"new file": True, "overwriting": False}
    spent = {}
    for _ in range(rounds):
        for kind, new in kinds.items():
            for name, command in commands.items():
                spent.setdefault((name, kind), []).append(
                    files.run(command, new) / files.n)
    for kind in kinds:
        floor = None
        for name in commands:
            fig = figure("pcap to pcap", "%s, %s" % (name, kind),
                         spent[name, kind], n=files.n, flows=files.flows)
            if floor is None:
                floor = fig["ns"]
            elif "nat" in name:
                fig["target"] = floor
            yield compare(fig, floor, "libpcap")


def ends(files, rounds):
    """The capture source and sink alone, net of an empty run, and libpcap's.
    They are to be as much faster than libpcap as 20 ns is than 42, 50 than 84
    for a new file and 30 than 44 for an old one."""
    made = "gen:count=%d,flows=1000" % files.n
    runs = {
        "libpcap": (BENCH, "read", files.input),
        "libpcap, empty": (BENCH, "read", files.empty),
        "empty": files.headgate(files.wire, files.empty, "null:"),
        "source": files.headgate(files.wire, files.input, "null:"),
        "made": files.headgate(files.wire, made, "null:")}
    to_sink = files.headgate(files.wire, made, ":" + files.output)
    copy = (BENCH, "copy", files.input, files.output)
    spent = {key: [] for key in (*runs, "new", "old", "copy, new",
                                 "copy, old")}
    for _ in range(rounds):
        for key, command in runs.items():
            spent[key].append(cpu_ns(*command))
        for key, new in (("new", True), ("old", False)):
            spent["copy, " + key].append(files.run(copy, new))
            spent[key].append(files.run(to_sink, new, MADE_FRAME))

    def net(more, less):
        return [(a - b) / files.n for a, b in zip(spent[more], spent[less])]

    libpcap = figure("pcap to pcap", "libpcap, read",
                     net("libpcap", "libpcap, empty"), n=files.n,
                     flows=files.flows)
    yield compare(libpcap, libpcap["ns"], "libpcap")
    source = figure("pcap to pcap", "source, into the pool",
                    net("source", "empty"), n=files.n, flows=files.flows,
                    target=libpcap["ns"] * 20 / 42)
    yield compare(source, libpcap["ns"], "libpcap")
    for key, kind, share in (("new", "new file", 50 / 84),
                             ("old", "overwriting", 30 / 44)):
        written = figure("pcap to pcap", "libpcap, write, " + kind,
                         net("copy, " + key, "libpcap"), n=files.n,
                         flows=files.flows)
        yield compare(written, written["ns"], "libpcap")
        sink = figure("pcap to pcap", "sink, " + kind, net(key, "made"),
                      n=files.n, flows=1000, target=written["ns"] * share)
        yield compare(sink, written["ns"], "libpcap")


def measure(quick):
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as folder:
        files = Files(folder, 300000 if quick else 1000000)
        rounds = 5 if quick else 7
        yield from replays(files, rounds)
        yield from ends(files, rounds)
