"""HTTP/1.1 answers as a client reads them that forgives nothing."""

import re
import ssl
from dataclasses import dataclass, field

STATUS_LINE = re.compile(rb"HTTP/1\.[01] (?P<status>[1-5][0-9][0-9]) [\t -~]*")
FIELD = re.compile(rb"(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(?P<value>[\t -~\x80-\xff]*?)[ \t]*")


@dataclass
class Response:
    """One answer; `status` is None where the connection ended instead."""

    status: int | None
    fields: dict = field(default_factory=dict)
    body: bytes = b""


class Responses:
    """The answers of one connection, in order."""

    def __init__(self, connection):
        self.connection = connection
        self.received = b""

    def next(self, method, between=lambda: None):
        """The next final answer, to a request of this method. `between` is called once for a 100 that comes before it."""
        while True:
            head = self.until(b"\r\n\r\n")
            if head is None:
                return Response(None)
            first, *lines = head.split(b"\r\n")
            status = int(STATUS_LINE.fullmatch(first)["status"])
            fields = {}
            for line in lines:
                match = FIELD.fullmatch(line)
                name = match["name"].decode().lower()
                assert name not in ("content-length", "transfer-encoding") or name not in fields, head
                fields[name] = match["value"].decode("latin-1")
            if status == 100:
                between()
            if status >= 200:
                return Response(status, fields, self.body(method, status, fields))

    def body(self, method, status, fields):
        if method == "HEAD" or status in (204, 304):
            return b""
        if "transfer-encoding" not in fields:
            return self.take(int(fields["content-length"]))
        assert fields["transfer-encoding"] == "chunked" and "content-length" not in fields, fields
        body = b""
        while size := int(self.until(b"\r\n"), 16):
            body += self.take(size)
            assert self.take(2) == b"\r\n"
        assert self.take(2) == b"\r\n"
        return body

    def until(self, end):
        """What comes before `end`, or None where the connection ended cleanly before a byte of it."""
        while end not in self.received:
            if not self.more():
                assert not self.received, f"the connection ended in the middle of {self.received!r}"
                return None
        before, _, self.received = self.received.partition(end)
        return before

    def take(self, count):
        while len(self.received) < count:
            assert self.more(), f"the connection ended {count - len(self.received)} bytes early"
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def more(self):
        try:
            piece = self.connection.recv(65536)
        except (ConnectionError, ssl.SSLError):
            return False
        self.received += piece
        return bool(piece)
