"""A backend that keeps the bytes of every connection exactly as they came, and a reader of them that forgives nothing: what it
calls a clean request is one that no two servers can read differently."""

import re
import select
import socket
import threading
from dataclasses import dataclass

from server import eventually

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# A target that is a path: nothing but visible bytes, and no fragment (RFC 9112 section 3.2.1). UTF-8 is outside the grammar, and
# has one meaning.
REQUEST_LINE = re.compile(rb"(?P<method>" + TOKEN + rb") (?P<target>/[!\"$-~\x80-\xff]*) HTTP/1\.1")
FIELD = re.compile(rb"(?P<name>" + TOKEN + rb"):[ \t]*(?P<value>[\t -~\x80-\xff]*?)[ \t]*")
CHUNK = re.compile(rb"[0-9A-Fa-f]{1,16}")
STORED = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstored"
# Fields of one connection, which a gateway takes out (RFC 9110 section 7.6.1), and one that it has answered itself. An upgrade it may ask for.
HOP_BY_HOP = {b"te", b"trailer", b"keep-alive", b"proxy-connection", b"http2-settings", b"expect"}


@dataclass
class Arrived:
    """One request that arrived whole."""

    method: str
    target: str
    fields: list
    payload: bytes

    def text_fields(self):
        """Names and values as text."""
        return [(name.decode(), value.decode("latin-1")) for name, value in self.fields]


class Unclean(Exception):
    """Bytes that are no clean request."""


class Partial(Exception):
    """So far it is clean, but its end has not come."""


@dataclass
class Line:
    """One connection of the gateway to the backend."""

    received: bytes = b""
    ended: bool = False
    answered: int = 0


class Recorder:
    """Answers every clean request on 127.0.0.1 with 200 and `stored`, or with the bytes that `replies` has for its target, behind
    which it hangs up. A target that ends in `/early` is answered when its head has come."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.lines = {}
        self.replies = {}
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def close(self):
        self.closing.set()
        self.thread.join()
        for connection in [self.listener, *self.lines]:
            connection.close()

    def clear(self):
        """Forgets what came so far. Nothing may be under way."""
        with self.lock:
            for connection in [connection for connection, line in self.lines.items() if line.ended]:
                del self.lines[connection]
            for line in self.lines.values():
                line.received, line.answered = b"", 0
            self.replies.clear()

    def arrived(self):
        """All requests that arrived whole, of all connections. Everything that arrived has to be clean, and what is not whole
        has to have been cut: its connection ended, so that no server may take it for a request (RFC 9112 section 8)."""
        eventually(self.is_settled, what="the end of all requests, or of their connections")
        return [request for line in self.lines.values() for request in read_requests(line.received)[0]]

    def is_settled(self):
        self.take()
        with self.lock:
            return all(line.ended or not read_requests(line.received)[1] for line in self.lines.values())

    def run(self):
        while not self.closing.is_set():
            if select.select(self.open(), [], [], 0.05)[0]:
                self.take()

    def open(self):
        return [self.listener, *(connection for connection, line in list(self.lines.items()) if not line.ended)]

    def take(self):
        """Takes everything that is in the kernel's buffers."""
        with self.lock:
            while ready := select.select(self.open(), [], [], 0)[0]:
                for connection in ready:
                    self.read(connection)

    def read(self, connection):
        if connection is self.listener:
            accepted, _ = connection.accept()
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.lines[accepted] = Line()
            return
        line = self.lines[connection]
        try:
            piece = connection.recv(65536)
            line.received += piece
            line.ended = not piece or not self.answer(line, connection)
        except OSError:
            line.ended = True
        if line.ended:
            connection.close()

    def answer(self, line, connection):
        """Answers what is whole; `False` if the connection is to end."""
        try:
            requests, rest = read_requests(line.received)
        except Unclean:
            # As a server would: it answers what it can read no more, and hangs up.
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            return False
        targets = [request.target for request in requests]
        if b"/early HTTP/1.1\r\n" in rest and b"\r\n\r\n" in rest:
            targets.append("/early")
        for target in targets[line.answered:]:
            line.answered += 1
            connection.sendall(self.replies.get(target, STORED))
            if target in self.replies:
                return False
        return True


def read_requests(received):
    """The requests in these bytes, and what is there of the next one."""
    requests = []
    while received:
        try:
            request, received = read_request(received)
        except Partial:
            break
        requests.append(request)
    return requests, received


def read_request(received):
    head, rest = cut(received, b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    request_line = REQUEST_LINE.fullmatch(first)
    if not request_line:
        raise Unclean(f"request line {first!r}")
    fields = []
    for line in lines:
        match = FIELD.fullmatch(line)
        if not match:
            raise Unclean(f"field {line!r}")
        fields.append((match["name"].lower(), match["value"]))
    encodings = [value for name, value in fields if name == b"transfer-encoding"]
    lengths = [value for name, value in fields if name == b"content-length"]
    if [name for name, _ in fields].count(b"host") != 1:
        raise Unclean(f"not one Host in {head!r}")
    if len(encodings + lengths) > 1 or encodings not in ([], [b"chunked"]) or lengths and not lengths[0].isdigit():
        raise Unclean(f"framing of {head!r}")
    if strange := HOP_BY_HOP & {name for name, _ in fields}:
        raise Unclean(f"{strange} in {head!r}")
    if encodings:
        payload, rest = read_chunks(rest)
    else:
        length = int(lengths[0]) if lengths else 0
        if len(rest) < length:
            raise Partial
        payload, rest = rest[:length], rest[length:]
    return Arrived(request_line["method"].decode(), request_line["target"].decode("latin-1"), fields, payload), rest


def read_chunks(rest):
    """A chunked payload without extensions and without trailers."""
    payload = b""
    while True:
        size, rest = cut(rest, b"\r\n")
        if not CHUNK.fullmatch(size):
            raise Unclean(f"chunk {size!r}")
        chunk, rest = rest[: int(size, 16)], rest[int(size, 16):]
        if len(chunk) < int(size, 16) or len(rest) < 2:
            raise Partial
        if rest[:2] != b"\r\n":
            raise Unclean(f"{rest[:20]!r} behind a chunk")
        rest = rest[2:]
        payload += chunk
        if not chunk:
            return payload, rest


def cut(received, end):
    """What is before the first `end`, and what is behind it. A line feed before it that is not of it is none."""
    before, found, rest = received.partition(end)
    if re.search(rb"(?<!\r)\n|\r(?!\n)", before.removesuffix(b"\r")):
        raise Unclean(f"a bare line end in {before!r}")
    if not found:
        raise Partial
    return before, rest
