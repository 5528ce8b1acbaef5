"""Puts the figures of the history's last whole run into a document, between
two lines that say so: docs/performance.md is never written by hand there."""
import json
import sys

from figures import count, number, verdict

BEGIN = "<!-- run.sh --document: begin -->\n"
END = "<!-- run.sh --document: end -->\n"
COLUMNS = ("", "median", "min", "unit", "packets", "flows", "size", "target",
           "pace", "")


def row(*cells):
    return "| %s |\n" % " | ".join(cells)


def cells(fig):
    least, target = fig.get("min"), fig.get("target")
    pace = fig.get("pace") if target else None
    words = [verdict(fig)]
    if "ratio" in fig:
        words.append("%.2f x %s" % (fig["ratio"], fig["ratio_to"]))
    return (fig["name"], number(fig["ns"]),
            "" if least is None else number(least), fig["unit"],
            count(fig.get("n")), count(fig.get("flows")),
            count(fig.get("size")), number(target) if target else "",
            "%.2f" % pace if pace else "",
            "; ".join(filter(None, words)))


def text_of(run):
    """Markdown: where and when, then a table for each group."""
    yield "Commit %s on %s with %d cores, %s%s. Load when it began: %.1f.\n" % (
        run["commit"], run["machine"]["cpu"], run["machine"]["cores"],
        run["date"][:10], ", `--quick`" if run["quick"] else "",
        run["machine"]["load"])
    groups = dict.fromkeys(fig["group"] for fig in run["figures"])
    for group in groups:
        yield "\n### %s\n\n" % group.capitalize()
        yield row(*COLUMNS)
        yield row(*("---" for _ in COLUMNS))
        for fig in run["figures"]:
            if fig["group"] == group:
                yield row(*cells(fig))
    for word in ("skipped", "failed"):
        for name, why in run[word].items():
            yield "\nNot measured: %s (%s).\n" % (name, why)


def update(history, path):
    try:
        with open(history, encoding="utf-8") as file:
            run = [run for run in map(json.loads, file)
                   if not run.get("only")][-1]
    except (OSError, IndexError):
        sys.exit("run.sh: there is no run in '%s'" % history)
    with open(path, encoding="utf-8") as file:
        before, begin, rest = file.read().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit("run.sh: '%s' has no place for figures: %s" % (
            path, BEGIN + END))
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + "".join(text_of(run)) + END + after)
