#!/usr/bin/python3
"""Decap then Encap gives every tunnel packet of the corpus back.

For each capture and format a graph takes packets out and puts them back with
'preserve = same'.  What is not of the format goes round them.  Each frame
that Decap accepts has to leave with the very bytes that it had; a packet that
it refuses must be one that REFUSED lists."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import support  # noqa: E402

GRAPH = """
Interface wire { }
Interface rest { }
Decap decap {
    format = %(format)s  preserve = true  preserve-time = 1s  %(more)s
}
Encap encap { format = %(format)s  preserve = same  local = 192.0.2.1 }
connect("wire -> decap -> encap -> wire")
connect("decap[other] -> rest")
"""
# By folder; of the other folders, those captures that have tunnels.
FORMATS = {"geneve": ["geneve"], "vxlan": ["vxlan"],
           "gre": ["gre", "nvgre"], "vlan": ["vlan", "qinq"],
           "format/libpcap/filter/geneve.pcap": ["geneve"],
           "mix/PcapPlusPlus/many-protocols.pcap": ["vlan", "qinq"],
           "mix/snabb/sanitized4k.pcap": ["gre", "vlan"]}
# Critical options of class 0 are in one of the captures.
MORE = {"geneve": "known-classes = 0"}
# Why packets of these captures carry none that RFCs 2784 and 2890 know: PPTP
# has version 1 (RFC 2637), a keep-alive has protocol 0; outer fragments are
# not put together.  (And NVGRE refuses what is plain GRE.)
REFUSED = {
    ("gre/PcapPlusPlus/GrePackets.pcap", "gre"): {"bad_version"},
    ("gre/PcapPlusPlus/GrePackets.cap", "gre"): {"bad_version"},
    ("gre/tcpdump/various_gre.pcap", "gre"): {"bad_protocol"},
    ("gre/zeek/erspan.pcap", "gre"): {"outer_fragment"},
}


def readable(path, folder):
    """The capture, or a classic pcap file of it where libpcap gives up."""
    graph = os.path.join(folder, "read.conf")
    with open(graph, "w", encoding="ascii") as file:
        file.write('Interface wire { }\nconnect("wire -> Discard")\n')
    if support.headgate("run", graph, "wire=" + path).returncode and \
            shutil.which("editcap"):
        classic = os.path.join(folder, "classic.pcap")
        subprocess.run(["editcap", "-F", "pcap", path, classic], check=True)
        return classic
    return path


def frames_of(path, folder):
    """The frames as headgate reads them, in order."""
    graph = os.path.join(folder, "plain.conf")
    with open(graph, "w", encoding="ascii") as file:
        file.write('Interface wire { }\nCounter all { }\n'
                   'connect("wire -> all -> wire")\n')
    out = os.path.join(folder, "plain.pcap")
    result = support.headgate("run", graph, "wire=%s:%s" % (path, out))
    assert result.returncode in (0, 1), result.stderr
    return [frame for _, frame in support.read_pcap(out)]


def check(path, name, form, folder):
    """Frames that came back; raises what is wrong."""
    graph = os.path.join(folder, "graph.conf")
    with open(graph, "w", encoding="ascii") as file:
        text = GRAPH % {"format": form, "more": MORE.get(form, "")}
        if form in ("vlan", "qinq"):
            text = text.replace("  local = 192.0.2.1", "")
        file.write(text)
    back, rest = (os.path.join(folder, n) for n in ("back.pcap", "rest.pcap"))
    files = set()
    for batch in (1, 7, 256):
        result = support.headgate("run", graph, "wire=%s:%s" % (path, back),
                                  "rest=%s:%s" % (path, rest), "--json",
                                  "--batch", batch)
        assert result.returncode in (0, 1), result.stderr
        with open(back, "rb") as file:
            files.add(file.read())
    assert len(files) == 1, "batches of other sizes give other bytes"
    elements = json.loads(result.stdout)["elements"]
    drops = {k for k, n in elements["decap"]["drops"].items() if n}
    expected = REFUSED.get((name, form), set())
    if form == "nvgre":
        expected = drops
    assert drops == expected, "%s refused for %s" % (form, drops)
    assert not any(elements["encap"]["drops"].values()), elements["encap"]
    # A subsequence: those that are missing went elsewhere.
    frames = iter(frames_of(path, folder))
    got = [frame for _, frame in support.read_pcap(back)]
    for number, frame in enumerate(got):
        assert any(frame == f for f in frames), \
            "frame %d of those that came back was none of the capture: %s" % (
                number, frame.hex())
    return len(got), sum(elements["decap"]["drops"].values())


def main():
    if not support.CORPUS:
        support.skip("HEADGATE_CORPUS is not set")
    failed = total = 0
    for path in support.corpus_captures():
        name = os.path.relpath(path, support.CORPUS)
        forms = FORMATS.get(name) or FORMATS.get(name.split(os.sep)[0], ())
        for form in forms:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    n, dropped = check(readable(path, folder), name, form,
                                       folder)
                except AssertionError as error:
                    failed += 1
                    print("FAILED: %s as %s: %s" % (name, form, error))
                    continue
            total += n
            print("%s as %s: %d came back, %d refused" % (
                name, form, n, dropped))
    print("%d packets came back, %d captures failed" % (total, failed))
    return 1 if failed or not total else 0


if __name__ == "__main__":
    sys.exit(main())
