"""Runs the cases of a live test, where need be in user-mode Linux.

A case that cannot run on this machine's kernel (no such device) skips itself.
main() then boots Debian's user-mode-linux, an ordinary process, and runs the
skipped cases in there: its root is this machine's file system, read-only, so
that it finds the same test and the same headgate; its tmpfs goes with it.
What remains skipped even so makes the whole test count as skipped (77)."""
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from netns import INSIDE_UML, skip

UML = "linux.uml"
MODULES = "/usr/lib/uml/modules"
DEVICES = ("veth", "vxlan", "geneve", "ip_gre", "ip6_gre", "8021q")
LIMIT = 480  # Seconds, for what takes one minute on an idle machine.
POWER_OFF = 0x4321fedc  # reboot(2)


# ---- Outside ---------------------------------------------------------------

def main():
    """Like unittest.main(), for a script that is run by its path."""
    result = unittest.main(exit=False, verbosity=2).result
    if not result.wasSuccessful():
        sys.exit(1)
    if not result.skipped:
        return
    skipped = [case.id().partition(".")[2] for case, _ in result.skipped]
    if os.environ.get("HEADGATE_SANITIZED"):
        # More address space than user-mode Linux has; tests/run.sh builds
        # without sanitizers too.
        print("left to the build without sanitizers:", *skipped)
        return
    why = why_not() or boot([sys.executable, os.path.abspath(sys.argv[0]),
                             *skipped])
    if why:
        skip("%d of %d cases: %s; %s" % (
            len(skipped), result.testsRun,
            ", ".join(sorted({reason for _, reason in result.skipped})), why))


def why_not():
    """What keeps user-mode Linux from doing it, or None."""
    if INSIDE_UML:
        return "and this is user-mode Linux already"
    for tool in (UML, "modprobe"):
        if not shutil.which(tool):
            return "and there is no '%s' to do it in" % tool
    return None


def boot(command):
    """Runs a test in there; ends here if it failed, None if it passed, or why
    it was skipped."""
    with tempfile.TemporaryDirectory(prefix="headgate-uml-") as folder:
        os.mkdir(folder + "/uml")
        os.mkdir(folder + "/out")
        with open(folder + "/job", "w", encoding="utf-8") as file:
            json.dump({"command": command, "folder": os.getcwd(),
                       "environment": dict(os.environ)}, file)
        os.symlink(os.path.abspath(__file__), folder + "/init")
        console, ended = run_kernel(folder)
        print(read(folder + "/out/log"), end="", flush=True)
        status = read(folder + "/out/status")
    if status == "77":
        return "and in user-mode Linux neither"
    if status != "0":
        print("%s\nin user-mode Linux: status '%s', %s" % (
            console, status, ended))
        sys.exit(1)
    return None


def run_kernel(folder):
    """What its console said, and how it ended."""
    with subprocess.Popen(
            [UML, "mem=512M", "quiet", "rootfstype=hostfs", "rootflags=/",
             "ro", "con=null", "con0=fd:0,fd:1", "uml_dir=%s/uml" % folder,
             "init=" + sys.executable, "--", folder + "/init", folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True) as kernel:

        def end(*_):
            os.killpg(kernel.pid, signal.SIGKILL)

        signal.signal(signal.SIGTERM, lambda *_: (end(), sys.exit(1)))
        ended = "it ended by itself"
        try:
            console, _ = kernel.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            end()
            console, _ = kernel.communicate()
            ended = "ended after %d s" % LIMIT
    return console.decode("utf-8", "replace"), ended


def read(path):
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


# ---- Inside ----------------------------------------------------------------

def mount(kind, where, *options):
    subprocess.run(["mount", "-t", kind, *options, "none", where], check=True)


def inside(folder):
    """The first process: makes a small system and runs the job in it."""
    with open(folder + "/job", encoding="utf-8") as file:
        job = json.load(file)
    os.environ.update(job["environment"])
    os.environ.update({"HEADGATE_TEST_INSIDE_UML": "1",
                       "TMPDIR": folder + "/uml"})
    mount("proc", "/proc")
    mount("sysfs", "/sys")
    mount("tmpfs", "/run")
    mount("tmpfs", folder + "/uml")
    mount("hostfs", folder + "/out", "-o", folder + "/out")
    os.mkdir(folder + "/uml/lib")
    os.symlink(MODULES, folder + "/uml/lib/modules")
    subprocess.run(["modprobe", "-a", "-d", folder + "/uml", *DEVICES],
                   check=True)
    with open(folder + "/out/log", "wb") as log:
        status = subprocess.run(
            job["command"], cwd=job["folder"], stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, check=False).returncode
    with open(folder + "/out/status", "w", encoding="ascii") as file:
        file.write(str(status))


if __name__ == "__main__":
    try:
        inside(sys.argv[1])
    finally:
        os.sync()
        ctypes.CDLL(None).reboot(POWER_OFF)
