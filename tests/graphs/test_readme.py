#!/usr/bin/python3
"""The replays in README.md print what README.md says they print; only how long
they took may differ.  A line "..." stands for lines that are left out, and
lines of a flow log are some of those that were written."""
import difflib
import os
import re
import shlex
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import support  # noqa: E402

RUN = re.compile(r"```\n\$ headgate (run .*)\n((?:.*\n)*?)```")
RECORD = re.compile(r"(?m)^2 \d{12} eni-.*$")


def without_times(text):
    text = re.sub(r"(?m)^(.* of packets from \S+), in .*$", r"\1", text)
    return text.strip().splitlines()


def left_out(expected, said):
    """What was said, with "..." for what stands there in the README."""
    lines, rest = [], list(said)
    for n, line in enumerate(expected):
        if line == "...":
            following = expected[n + 1]
            while rest and rest[0] != following:
                rest.pop(0)
            lines.append(line)
        elif rest:
            lines.append(rest.pop(0))
    return lines + rest


def main():
    with open(os.path.join(support.ROOT, "README.md"), encoding="utf-8") as f:
        readme = f.read()
    with tempfile.TemporaryDirectory() as folder:
        # The paths of the README are those of the repository.
        os.chdir(folder)
        os.symlink(os.path.join(support.ROOT, "graphs"), "graphs")
        wrong = []
        for command, text in RUN.findall(readme):
            said = support.headgate(*shlex.split(command))
            expected = without_times(text)
            wrong += difflib.unified_diff(
                expected, left_out(expected, without_times(said.stdout)),
                "README.md", command, lineterm="")
            wrong += [said.stderr] if said.returncode else []
        with open("vpc-flow.log", encoding="ascii") as f:
            log = f.read().splitlines()
    records = RECORD.findall(readme)
    wrong += ["not in the log: " + r for r in records if r not in log]
    wrong += [] if records else ["there are no records of the flow log"]
    print("\n".join(wrong) or "as it says")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
