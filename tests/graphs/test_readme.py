#!/usr/bin/python3
"""The replay in README.md prints what README.md says it prints; only how long
it took may differ."""
import difflib
import os
import re
import shlex
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import support  # noqa: E402


def without_times(text):
    text = re.sub(r"(?m)^(.* of packets from \S+), in .*$", r"\1", text)
    return text.strip().splitlines()


def main():
    with open(os.path.join(support.ROOT, "README.md"), encoding="utf-8") as f:
        found = re.search(r"```\n\$ headgate (run .*)\n((?:.*\n)*?)```",
                          f.read())
    with tempfile.TemporaryDirectory() as folder:
        # The paths of the README are those of the repository.
        os.chdir(folder)
        os.symlink(os.path.join(support.ROOT, "graphs"), "graphs")
        said = support.headgate(*shlex.split(found.group(1)))
    difference = list(difflib.unified_diff(
        without_times(found.group(2)), without_times(said.stdout),
        "README.md", "said", lineterm=""))
    print("\n".join(difference) or "as it says")
    return 1 if difference or said.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
