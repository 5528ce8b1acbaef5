"""The hosts at the ends of a live test: real servers and clients.

    peers.py serve               HTTP on port 8080, UDP on 9000, IPv4 and IPv6
    peers.py ask HOST TEXT       sends TEXT by UDP and prints the answer
    peers.py pour HOST BYTES     sends pattern(BYTES) with UDP_SEGMENT: one
                                 large datagram that is cut on its way (USO)
    peers.py burst HOST BYTES    the same, and prints how many came back right
    peers.py frames IF HEX...    sends Ethernet frames

The HTTP server serves the current folder, answers a PUT with the SHA-256 of
what it got, and /whoami with the client's address.  The UDP server answers
with the client's address, a space and what it got."""
import hashlib
import http.server
import socket
import struct
import sys
import threading

HTTP_PORT, UDP_PORT = 8080, 9000
UDP_SEGMENT = 103  # linux/udp.h; Python names it only since 3.12.
SEGMENT = 1000


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # Whose PUT needs no second of waiting.

    def client(self):
        return self.client_address[0].removeprefix("::ffff:")

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        if self.path == "/whoami":
            self.answer(self.client().encode())
        else:
            super().do_GET()

    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        digest = hashlib.sha256()
        while left:
            piece = self.rfile.read(min(left, 65536))
            digest.update(piece)
            left -= len(piece)
        self.answer(digest.hexdigest().encode())

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def serve_udp(server):
    while True:
        text, client = server.recvfrom(65536)
        name = client[0].removeprefix("::ffff:").encode()
        server.sendto(name + b" " + text, client)


def serve():
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    udp.bind(("::", UDP_PORT))
    http_server = Server(("::", HTTP_PORT), Handler)
    threading.Thread(target=serve_udp, args=(udp,), daemon=True).start()
    print("ready", flush=True)
    http_server.serve_forever()


def client(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.settimeout(5)
    udp.connect((host, UDP_PORT))
    return udp


def ask(host, text):
    with client(host) as udp:
        udp.send(text.encode())
        print(udp.recv(65536).decode())


def pattern(size):
    return b"".join(struct.pack("!I", i) for i in range(size // 4))


def pour(host, size):
    udp = client(host)
    udp.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SEGMENT)
    udp.send(pattern(int(size)))
    return udp


def burst(host, size):
    sent = pattern(int(size))
    pieces = {sent[i:i + SEGMENT] for i in range(0, len(sent), SEGMENT)}
    with pour(host, size) as udp:
        got = set()
        while len(got) < len(pieces):
            got.add(udp.recv(65536).split(b" ", 1)[1])
    print(sum(map(len, got & pieces)))


def frames(interface, *texts):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, 0))
        for text in texts:
            raw.send(bytes.fromhex(text))


COMMANDS = {"serve": serve, "ask": ask, "pour": pour, "burst": burst,
            "frames": frames}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
