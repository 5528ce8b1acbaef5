"""Figures as README.md describes them: making, judging and printing them."""
import os
import statistics
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build-release")
BENCH = os.path.join(BUILD, "tests", "bench")
NULL = open(os.devnull, "r+b")  # pylint: disable=consider-using-with

MORE_IS_BETTER = "x"


class Skipped(Exception):
    """Cannot be measured here, and why."""


def figure(group, name, rounds, **more):
    """One of the given rounds; 'more' are further keys."""
    return {"group": group, "name": name, "ns": statistics.median(rounds),
            "min": min(rounds), "unit": "ns/packet", **more}


def compare(fig, other, what):
    """Adds what 'fig' is, as a multiple of 'other'."""
    fig["ratio"] = fig["ns"] / other
    fig["ratio_to"] = what
    return fig


def verdict(fig, pace=True):
    """By its target, and with 'pace' by the machine's, where it is known: at a
    pace of 2 everything may take twice as long."""
    target, value = fig.get("target"), fig["ns"]
    if not target:
        return ""
    factor = value / target
    if fig["unit"] == MORE_IS_BETTER:
        factor = target / value
    if pace:
        factor /= fig.get("pace", 1)
    # What rounds to the target meets it.
    return "meets" if factor < 1.005 else "misses by %.2f" % factor


def cpu_ns(*command):
    """User and system time of a command, in nanoseconds."""
    child = os.posix_spawn(command[0], command, os.environ, file_actions=[
        (os.POSIX_SPAWN_DUP2, NULL.fileno(), 0),
        (os.POSIX_SPAWN_DUP2, NULL.fileno(), 1)])
    _, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError("'%s' failed" % " ".join(command))
    return (usage.ru_utime + usage.ru_stime) * 1e9


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True,
                          cwd=ROOT).stdout.decode()


def number(value):
    """Three digits that matter; small figures to a hundredth."""
    if abs(value) >= 100:
        return "{:,.0f}".format(value)
    return "%.1f" % value if abs(value) >= 10 else "%.2f" % value


def count(value):
    """Of packets, flows, entries: short, but exact where that is short."""
    if not value:
        return ""
    for unit, letter in ((10**6, "M"), (10**3, "k")):
        if value >= unit:
            short = "%.3g%s" % (value / unit, letter)
            return short
    return str(int(value))


class Table:
    """Prints figures as they come, under a line for each group."""
    LINE = "  %-52s %9s %9s %-11s %7s %6s %6s %8s %5s  %s"

    def __init__(self, file):
        self.file = file
        self.group = None

    def add(self, fig):
        if fig["group"] != self.group:
            self.group = fig["group"]
            self.line("\n%s" % self.group)
            self.line(self.LINE % (
                "", "median", "min", "unit", "packets", "flows", "size",
                "target", "pace", ""))
        target, least = fig.get("target"), fig.get("min")
        pace = fig.get("pace") if target else None
        words = verdict(fig)
        if "ratio" in fig:
            words = ("%s  %.2f x %s" % (
                words, fig["ratio"], fig["ratio_to"])).strip()
        self.line((self.LINE % (
            fig["name"], number(fig["ns"]),
            "" if least is None else number(least), fig["unit"],
            count(fig.get("n")), count(fig.get("flows")),
            count(fig.get("size")),
            number(target) if target else "",
            "%.2f" % pace if pace else "", words)).rstrip())

    def line(self, text):
        print(text, file=self.file, flush=True)
