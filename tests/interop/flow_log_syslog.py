#!/usr/bin/python3
"""FlowLogger's lines reach syslog: a listener at /dev/log, in a mount
namespace of its own, receives what the same run writes to a file."""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import support  # noqa: E402

GRAPH = """
Interface lan { }
FlowLogger log { log-destination-type = %s  interface-id = eni-1 }
connect("lan -> log -> Discard")
"""
# RFC 3164 4.1.1: facility daemon (3), severity informational (6).
LINE = re.compile(r"<30>\w{3} [ \d]\d \d\d:\d\d:\d\d headgate: (.*)")


def records(folder, destination):
    graph = os.path.join(folder, "graph.conf")
    with open(graph, "w", encoding="utf-8") as file:
        file.write(GRAPH % destination)
    capture = os.path.join(support.CAPTURES, "nat-gateway.pcap")
    result = support.headgate("run", graph, "lan=" + capture)
    assert result.returncode == 0, result.stderr


def listen(folder):
    """A /dev that holds what the program needs, and a listener at its log."""
    dev = os.path.join(folder, "dev")
    os.mkdir(dev)
    for name in ("null", "zero", "urandom"):
        path = os.path.join(dev, name)
        with open(path, "wb"):
            pass
        subprocess.run(["mount", "--bind", "/dev/" + name, path], check=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    listener.bind(os.path.join(dev, "log"))
    subprocess.run(["mount", "--rbind", dev, "/dev"], check=True)
    return listener


def main(folder):
    path = os.path.join(folder, "flow.log")
    records(folder, "file  log-destination = %s" % path)
    with open(path, encoding="utf-8") as file:
        expected = file.read().splitlines()
    assert len(expected) > 30, expected
    listener = listen(folder)
    listener.settimeout(10)
    sender = subprocess.Popen([sys.executable, __file__, "send", folder])
    received = [listener.recv(8192).decode().rstrip("\0") for _ in expected]
    assert sender.wait() == 0
    received = [LINE.fullmatch(line) or line for line in received]
    wrong = [line for line in received if isinstance(line, str)]
    assert not wrong, wrong
    assert [match.group(1) for match in received] == expected
    print("%d records" % len(expected))


if len(sys.argv) == 3 and sys.argv[1] == "send":
    records(sys.argv[2], "syslog")
elif len(sys.argv) == 3:
    main(sys.argv[2])
else:
    if os.getuid() != 0:
        support.skip("a mount namespace needs root")
    own = tempfile.mkdtemp()
    try:
        sys.exit(subprocess.run(["unshare", "--mount", sys.executable,
                                 __file__, "listen", own],
                                check=False).returncode)
    finally:
        shutil.rmtree(own)
