#!/usr/bin/python3
"""Every graph file in bad/ must be refused with exactly the words that stand
in the file of the same name that ends in .err, and exit status 2.

    bad.py            compares
    bad.py --update   writes what is said now; read the difference"""
import difflib
import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import support  # noqa: E402

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bad")


def refusal(name):
    result = subprocess.run([support.HEADGATE, "check", name], cwd=FOLDER,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=60, check=False)
    return result.returncode, result.stderr.decode("utf-8", "replace")


def main():
    names = sorted(os.path.basename(path)
                   for path in glob.glob(os.path.join(FOLDER, "*.conf"))
                   if os.path.exists(path[:-5] + ".err")
                   or "--update" in sys.argv)
    failures = 0
    for name in names:
        path = os.path.join(FOLDER, name[:-5] + ".err")
        status, said = refusal(name)
        if "--update" in sys.argv:
            with open(path, "w", encoding="utf-8") as file:
                file.write(said)
            continue
        with open(path, encoding="utf-8") as file:
            expected = file.read()
        if status == 2 and said == expected:
            continue
        failures += 1
        print("FAILED: %s: exit status %d" % (name, status))
        sys.stdout.writelines(difflib.unified_diff(
            expected.splitlines(True), said.splitlines(True),
            "expected", "said"))
    print("%d files, %d failures" % (len(names), failures))
    return 1 if failures or not names else 0


if __name__ == "__main__":
    sys.exit(main())
