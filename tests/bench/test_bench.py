"""The benchmark measures what it says, for every class.  Nothing is timed."""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
from support import HEADGATE, ROOT  # noqa: E402
import document  # noqa: E402
import figures  # noqa: E402
import measure  # noqa: E402
import peer_vpp  # noqa: E402
import peers  # noqa: E402
import plot  # noqa: E402

BENCH = sys.argv[1]


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True,
                          cwd=ROOT, text=True).stdout


def every_class_has_a_line():
    lines = run(HEADGATE, "elements").splitlines()[1:]
    classes = {line.split()[0] for line in lines}
    measured = {line.split()[0].rstrip(",")
                for line in run(BENCH, "--list").splitlines()}
    assert not classes - measured, "bench_rows.c has no line for %s" % (
        ", ".join(sorted(classes - measured)))


def in_every_row_packets_take_the_way_that_it_measures():
    found = [fig for fig in json.loads(run(BENCH, "--check")) if fig]
    names = {fig["name"] for fig in found}
    for name in run(BENCH, "--list").splitlines():
        assert any(other.startswith(name) for other in names), name
    for fig in found:
        assert {"group", "name", "ns", "unit"} <= set(fig), fig


def a_verdict_is_by_the_target():
    rows = (({"ns": 10, "unit": "ns/packet", "target": 10}, "meets"),
            ({"ns": 25, "unit": "ns/packet", "target": 10},
             "misses by 2.50"),
            ({"ns": 2, "unit": "x", "target": 1.8}, "meets"),
            ({"ns": 0.9, "unit": "x", "target": 1.8}, "misses by 2.00"),
            ({"ns": 25, "unit": "ns/packet", "target": 10, "pace": 2},
             "misses by 1.25"),
            ({"ns": 1.5, "unit": "x", "target": 1.8, "pace": 1.2}, "meets"),
            ({"ns": 10, "unit": "ns/packet"}, ""))
    for fig, words in rows:
        assert figures.verdict(fig) == words, (fig, figures.verdict(fig))


def numbers_are_short():
    rows = ((0.123, "0.12"), (99.94, "99.9"), (1234.5, "1,234"))
    for value, text in rows:
        assert figures.number(value) == text, figures.number(value)
    assert figures.count(1062046) == "1.06M", figures.count(1062046)


def a_peer_stands_beside_ours_of_the_same_run():
    ours = {"name": "nat-gateway.conf, 100 k flows", "ns": 100}
    fig = peers.beside({"name": "nft, masquerade", "ns": 2100}, [ours])
    assert fig["ratio"] == 21, fig
    assert "ratio" not in peers.beside({"name": "CheckIP", "ns": 1}, [ours])


def vpp_counts_all_nodes_but_the_generator_and_the_sender():
    text = """Time 4.2, 10 sec internal node vector rate 256.00
  vector rates in 1.0e6, out 1.0e6, drop 0.0e0, punt 0.0e0
             Name                 State         Calls          Vectors        Suspends         Clocks       Vectors/Call
ip4-lookup                       active               4            1000               0          1.50e1          250.00
nat44-ed-in2out                  active               4            1000               0          2.00e2          250.00
pg-input                         polling             90            1000               0          3.00e3           11.11
pg1-tx                           active               4            1000               0          9.00e1          250.00
ip6-icmp-neighbor-discovery-ev  any wait              0               0              42          3.11e3            0.00
"""
    assert peer_vpp.clocks_of(text) == 215000, peer_vpp.clocks_of(text)


def program(folder, text):
    path = os.path.join(folder, "program")
    with open(path, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


class Options:
    quick = True
    only = None


def a_program_of_its_own_is_taken_into_the_table():
    text = """[ "$*" = "--json --quick" ] || exit 1
echo '[{"group": "g", "name": "n", "ns": 5}]'"""
    with tempfile.TemporaryDirectory() as folder:
        found = list(measure.standalone(Options, program(folder, text)))
    assert found == [{"unit": "ns/packet", "group": "g", "name": "n",
                      "ns": 5}], found


def a_program_that_cannot_measure_here_is_skipped_with_its_reason():
    with tempfile.TemporaryDirectory() as folder:
        path = program(folder, "echo 'short of memory' >&2; exit 77")
        try:
            list(measure.standalone(Options, path))
        except figures.Skipped as why:
            assert str(why) == "short of memory", why
        else:
            raise AssertionError("not skipped")


def the_plot_has_each_commit_of_the_history():
    runs = [{"commit": commit, "quick": False, "figures": [
        {"group": "element", "name": "A & B", "ns": ns, "target": 5}]}
            for commit, ns in (("aaa", 10), ("bbb", 7))]
    with tempfile.TemporaryDirectory() as folder:
        history = os.path.join(folder, "history.jsonl")
        picture = os.path.join(folder, "out.svg")
        with open(history, "w", encoding="ascii") as file:
            file.writelines(json.dumps(item) + "\n" for item in runs)
        plot.draw(history, picture)
        with open(picture, encoding="utf-8") as file:
            text = file.read()
    for part in ("aaa: 10 ns", "bbb: 7 ns", "A &amp; B", "target"):
        assert part in text, part


def a_document_gets_the_figures_of_the_last_run():
    runs = [{"commit": commit, "date": "2026-01-02T03:04:05", "quick": False,
             "machine": {"cpu": "c", "cores": 2, "load": 0.5},
             "skipped": {"click": "not here"}, "failed": {}, "figures": [
                 {"group": "g", "name": "n", "ns": ns, "unit": "ns/packet",
                  "target": 5}]} for commit, ns in (("aaa", 10), ("bbb", 7))]
    with tempfile.TemporaryDirectory() as folder:
        history = os.path.join(folder, "history.jsonl")
        path = os.path.join(folder, "document.md")
        with open(history, "w", encoding="ascii") as file:
            file.writelines(json.dumps(item) + "\n" for item in runs)
        for _ in range(2):  # What it puts there it also replaces.
            with open(path, "a", encoding="ascii") as file:
                if not file.tell():
                    file.write("a\n" + document.BEGIN + document.END + "b\n")
            document.update(history, path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
    assert text.startswith("a\n") and text.endswith("b\n"), text
    assert text.count("Commit bbb on c with 2 cores, 2026-01-02") == 1, text
    assert "| n | 7.00 |  | ns/packet |  |  |  | 5.00 |  | misses by 1.40 |" \
        in text, text
    assert "Not measured: click (not here)." in text, text


TESTS = [every_class_has_a_line,
         in_every_row_packets_take_the_way_that_it_measures,
         a_verdict_is_by_the_target, numbers_are_short,
         a_peer_stands_beside_ours_of_the_same_run,
         vpp_counts_all_nodes_but_the_generator_and_the_sender,
         a_program_of_its_own_is_taken_into_the_table,
         a_program_that_cannot_measure_here_is_skipped_with_its_reason,
         the_plot_has_each_commit_of_the_history,
         a_document_gets_the_figures_of_the_last_run]

for test in TESTS:
    test()
    print("ok", test.__name__.replace("_", " "))
