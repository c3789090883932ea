"""A real HTTP server behind the gateway, which remembers everything that reached it."""

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: list
    body: bytes

    def header(self, name):
        """All values of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Backend:
    """Answers on 127.0.0.1. `/big?bytes=N`, `/stream?pieces=N`, `/wait` (until `gate` is set),
    `/trickle` (a piece now and then, until `gate` is set), `/status?code=N`;
    any other path is answered with a JSON account of the request."""

    def __init__(self):
        self.seen = []
        self.gate = threading.Event()
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def handle_any(self):
                backend.answer(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = handle_any

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request, client_address):
                pass  # a client that went away is no failure of a test

        self.listener = Listener(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.listener.server_address[1]}"

    def close(self):
        self.gate.set()
        self.listener.shutdown()
        self.listener.server_close()

    def clear(self):
        self.seen.clear()
        self.gate.clear()

    def paths(self):
        return [urlsplit(seen.target).path for seen in self.seen]

    def answer(self, http):
        body = read_body(http)
        self.seen.append(Seen(http.command, http.path, list(http.headers.items()), body))
        url = urlsplit(http.path)
        query = parse_qs(url.query)
        match url.path.rsplit("/", 1)[-1]:
            case "big":
                respond(http, 200, b"x" * int(query["bytes"][0]), "application/octet-stream")
            case "stream":
                stream(http, int(query["pieces"][0]))
            case "status":
                respond(http, int(query["code"][0]), b"", "text/plain")
            case "trickle":
                trickle(http, self.gate)
            case "wait":
                self.gate.wait(60)
                respond(http, 200, b"released", "text/plain")
            case _:
                account = {"method": http.command, "path": http.path, "length": len(body), "headers": list(http.headers.items())}
                respond(http, 200, json.dumps(account).encode(), "application/json")


def read_body(http):
    if "chunked" not in http.headers.get("transfer-encoding", ""):
        return http.rfile.read(int(http.headers.get("content-length", 0)))
    body = b""
    while size := int(http.rfile.readline().split(b";")[0], 16):
        body += http.rfile.read(size)
        http.rfile.readline()
    while http.rfile.readline().strip():
        pass
    return body


def respond(http, status, body, content_type):
    http.send_response(status)
    http.send_header("content-type", content_type)
    http.send_header("content-length", str(len(body)))
    http.send_header("x-from", "backend")
    http.end_headers()
    if http.command != "HEAD":
        http.wfile.write(body)


def trickle(http, gate):
    http.send_response(200)
    http.send_header("transfer-encoding", "chunked")
    http.end_headers()
    while not gate.wait(0.05):
        http.wfile.write(b"6\r\npiece\n\r\n")
    http.wfile.write(b"0\r\n\r\n")


def stream(http, pieces):
    http.send_response(200)
    http.send_header("transfer-encoding", "chunked")
    http.end_headers()
    for number in range(pieces):
        piece = f"{number} {time.time()}\n".encode()
        http.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        http.wfile.flush()
    http.wfile.write(b"0\r\n\r\n")
