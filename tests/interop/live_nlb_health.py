"""NLB's health checks against servers of Python's own library."""
import json
import time
import unittest

from netns import Lab, PYTHON, require, stop

# Serves HTTP at 8080, and at 8081 behind a PROXY header that says LOCAL;
# prints what it was asked there.
SERVERS = """
import http.server, socketserver, threading

class Behind(http.server.BaseHTTPRequestHandler):
    def handle(self):
        header = self.rfile.read(16)
        if header == b"\\r\\n\\r\\n\\0\\r\\nQUIT\\n\\x20\\0\\0\\0":
            super().handle()
    def do_GET(self):
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass

class Plain(Behind):
    def handle(self):
        http.server.BaseHTTPRequestHandler.handle(self)
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

socketserver.ThreadingTCPServer.allow_reuse_address = True
plain = socketserver.ThreadingTCPServer(("127.0.0.1", 8080), Plain)
behind = socketserver.ThreadingTCPServer(("127.0.0.1", 8081), Behind)
threading.Thread(target=behind.serve_forever, daemon=True).start()
print("ready", flush=True)
plain.serve_forever()
"""

GRAPH = """
Interface clients { }
Interface targets { }
NLB nlb {
    node a { address = { 198.51.100.10 } }
    listener 80 { target-group = { group } }
    target-group group {
        %s
        target t { address = 127.0.0.1  port = %d }
    }
}
connect("clients -> CheckIP -> [clients]nlb[targets] -> targets")
connect("targets -> CheckIP -> [targets]nlb[clients] -> clients")
"""

HTTP = "health-check = http  health-check-path = "
CASES = (
    ("", 8080, True),
    ("", 8082, False),
    (HTTP + "/health", 8080, True),
    (HTTP + "/other", 8080, False),
    (HTTP + "/other health-check-matcher = { 404 }", 8080, True),
    ("proxy-protocol-v2 = true", 8081, True),
    ("proxy-protocol-v2 = true " + HTTP + "/", 8081, True),
    (HTTP + "/", 8081, False),
)


class Health(unittest.TestCase):
    def test_targets_are_as_healthy_as_their_answers(self):
        with Lab() as lab:
            host = lab.namespace("host")
            peer = lab.namespace("peer")
            for n in range(len(CASES)):
                for end in ("in%d" % n, "out%d" % n):
                    lab.veth((host, end), (peer, end))
            servers = lab.start(host, PYTHON, "-c", SERVERS)
            if servers.stdout.readline() != b"ready\n":
                raise AssertionError(servers.communicate()[1].decode())
            gates = []
            for n, (options, port, _) in enumerate(CASES):
                graph = lab.file("%d.conf" % n, GRAPH % (options, port))
                gates.append(lab.headgate(host, graph, "--json",
                                          "clients=raw:in%d" % n,
                                          "targets=raw:out%d" % n,
                                          receiving=2 * n + 2))
            time.sleep(1)
            for gate, (options, port, good) in zip(gates, CASES):
                status, out, err, _ = stop(gate)
                self.assertEqual((status, err), (0, ""))
                gauges = json.loads(out)["elements"]["nlb"]["gauges"]
                self.assertEqual(
                    (gauges["healthy_host_count"],
                     gauges["unhealthy_host_count"]),
                    (int(good), int(not good)), (options, port))


if __name__ == "__main__":
    require()
    unittest.main()
