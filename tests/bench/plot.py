"""Draws the history: a small chart for each figure from memory, its medians
over commits, as they would be at the pace of the targets' machine, with the
target as a line."""
import json
import sys
from xml.sax.saxutils import escape

from figures import number

WIDTH, HEIGHT, COLUMNS, MARGIN = 300, 130, 3, 20
LEFT, TOP, BOTTOM = 40, 26, 22
GROUPS = ("element", "graph")


def read(path):
    """[commit], {figure: {commit: ns}}, {figure: target}.  Quick runs count
    where a commit has no other; of several runs of a commit the last does."""
    commits, series, targets = [], {}, {}
    with open(path, encoding="utf-8") as file:
        runs = [json.loads(line) for line in file if line.strip()]
    for run in sorted(runs, key=lambda run: not run["quick"]):
        for fig in run["figures"]:
            if fig["group"] in GROUPS:
                name = fig["name"]
                series.setdefault(name, {})[run["commit"]] = \
                    fig["ns"] / fig.get("pace", 1)
                targets[name] = fig.get("target")
    for run in runs:
        if run["commit"] not in commits:
            commits.append(run["commit"])
    return commits, series, targets


def chart(name, commits, values, target, x, y):
    """SVG of one chart whose corner is at x, y."""
    top = max([*values.values(), target or 0, 0.01]) * 1.1
    width, height = WIDTH - LEFT - MARGIN, HEIGHT - TOP - BOTTOM

    def at(i, value):
        step = width / max(len(commits) - 1, 1)
        return (x + LEFT + i * step, y + TOP + height * (1 - value / top))

    points = [(*at(i, max(values[commit], 0)), commit, values[commit])
              for i, commit in enumerate(commits) if commit in values]
    yield '<text x="%d" y="%d" class="name">%s</text>' % (
        x + LEFT, y + 14, escape(name))
    for value in (0, top / 1.1):
        _, level = at(0, value)
        yield '<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" class="axis"/>' % (
            x + LEFT, level, x + LEFT + width, level)
        yield '<text x="%d" y="%.1f" class="value">%s</text>' % (
            x + LEFT - 4, level + 3, number(value) if value else 0)
    if target:
        _, level = at(0, target)
        yield '<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" class="target"/>' % (
            x + LEFT, level, x + LEFT + width, level)
    yield '<polyline points="%s"/>' % " ".join(
        "%.1f,%.1f" % point[:2] for point in points)
    for px, py, commit, value in points:
        yield ('<circle cx="%.1f" cy="%.1f" r="2.5"><title>%s: %.4g ns'
               '</title></circle>' % (px, py, escape(commit), value))
    yield '<text x="%d" y="%d" class="commit">%s</text>' % (
        x + LEFT, y + HEIGHT - 8, escape(commits[0]))
    if len(commits) > 1:
        yield '<text x="%d" y="%d" class="commit last">%s</text>' % (
            x + LEFT + width, y + HEIGHT - 8, escape(commits[-1]))


STYLE = """text{font:10px sans-serif;fill:#333}.name{font-weight:bold}
.value{text-anchor:end;fill:#777}.commit{fill:#777}.last{text-anchor:end}
.axis{stroke:#ddd}.target{stroke:#c33;stroke-dasharray:4 3}
polyline{fill:none;stroke:#236;stroke-width:1.5}circle{fill:#236}"""


def draw(history, path):
    try:
        commits, series, targets = read(history)
    except OSError as why:
        sys.exit("run.sh: no history to draw: %s" % why)
    if not series:
        sys.exit("run.sh: '%s' has no figures of elements" % history)
    rows = -(-len(series) // COLUMNS)
    width, height = COLUMNS * WIDTH, rows * HEIGHT + 2 * MARGIN
    lines = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
             'viewBox="0 0 %d %d">' % (width, height, width, height),
             "<style>%s</style>" % STYLE,
             '<rect width="100%" height="100%" fill="white"/>',
             '<text x="%d" y="15">ns a packet (CPU time, median, at the pace '
             'of the targets\' machine) over commits; dashed: target</text>' %
             LEFT]
    for i, (name, values) in enumerate(series.items()):
        lines += chart(name, commits, values, targets[name],
                       i % COLUMNS * WIDTH, i // COLUMNS * HEIGHT + MARGIN)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([*lines, "</svg>", ""]))
