"""The benchmark measures what it says, for every class.  Nothing is timed."""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
from support import HEADGATE, ROOT  # noqa: E402
import figures  # noqa: E402
import measure  # noqa: E402
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


TESTS = [every_class_has_a_line,
         in_every_row_packets_take_the_way_that_it_measures,
         a_verdict_is_by_the_target, numbers_are_short,
         a_peer_stands_beside_ours_of_the_same_run,
         a_program_of_its_own_is_taken_into_the_table,
         a_program_that_cannot_measure_here_is_skipped_with_its_reason,
         the_plot_has_each_commit_of_the_history]

for test in TESTS:
    test()
    print("ok", test.__name__.replace("_", " "))
