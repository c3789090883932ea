"""Many open connections of all kinds, driven by one thread that notes when each of them ends."""

import contextlib
import selectors
import ssl
import threading
import time

import h2.events
import h2.exceptions

from raw import connect, context, http2, request_head


class Held:
    """A connection that is open, and idle."""

    alpn = "http/1.1"

    def __init__(self, gateway, using):
        self.domain, self.using = gateway.domain, using
        self.socket = connect(gateway.server, gateway.domain, using=using)
        self.ended = None
        self.statuses = []
        self.bytes = 0
        self.received = b""

    def start(self):
        self.ask("/idle")

    def ask(self, path):
        self.send(f"GET {path} HTTP/1.1\r\nHost: {self.domain}\r\n\r\n".encode())

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            self.end()

    def end(self):
        self.ended = self.ended or time.monotonic()

    def readable(self):
        """Takes all that has come."""
        try:
            while piece := self.socket.recv(65536):
                self.bytes += len(piece)
                self.take(piece)
        except ssl.SSLWantReadError:
            return
        except OSError:
            pass
        self.end()

    def take(self, piece):
        """HTTP/1.1 answers with a length."""
        self.received += piece
        while b"\r\n\r\n" in self.received:
            head, _, body = self.received.partition(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            if len(body) < length:
                return
            self.received = body[length:]
            self.statuses.append(int(head.split()[1]))
            self.answered()

    def answered(self):
        pass


class Busy(Held):
    """Asks again as soon as it was answered."""

    def start(self):
        self.ask("/busy")

    def answered(self):
        if not self.ended:
            self.ask("/busy")


class Download(Held):
    """One answer that does not end."""

    def start(self):
        self.ask("/trickle")

    def take(self, piece):
        if not self.statuses:
            self.received += piece
            if b"\r\n" in self.received:
                self.statuses.append(int(self.received.split()[1]))


class Http2(Held):
    """Three streams whose answers are not there yet."""

    alpn = "h2"
    told_to_go = False

    def start(self):
        self.state = http2(self.socket)
        for path in ("/wait", "/wait", "/wait"):
            self.state.send_headers(self.state.get_next_available_stream_id(), request_head(self.domain, path), end_stream=True)
        self.send(self.state.data_to_send())

    def take(self, piece):
        if self.told_to_go:
            return
        try:
            events = self.state.receive_data(piece)
        except h2.exceptions.ProtocolError:
            # After a GOAWAY this client knows no frame any more.
            self.told_to_go = True
            return
        self.statuses += [int(dict(e.headers)[b":status"]) for e in events if isinstance(e, h2.events.ResponseReceived)]
        if answer := self.state.data_to_send():
            self.send(answer)


KINDS = [Held] * 8 + [Busy] * 8 + [Download] * 2 + [Http2] * 2


class Crowd:
    """`size` connections of each of two clients, `leaving` and `staying`, all under way."""

    def __init__(self, gateway, leaving, staying, size=100):
        self.selector = selectors.DefaultSelector()
        self.leaving = [self.hold(gateway, leaving, KINDS[n % len(KINDS)]) for n in range(size)]
        self.staying = [self.hold(gateway, staying, KINDS[n % len(KINDS)]) for n in range(size)]
        for held in self.all():
            held.start()
            held.socket.setblocking(False)
            self.selector.register(held.socket, selectors.EVENT_READ, held)

    def hold(self, gateway, identity, kind):
        return kind(gateway, context(identity, kind.alpn))

    def all(self):
        return self.leaving + self.staying

    def close(self):
        for held in self.all():
            with contextlib.suppress(OSError):
                held.socket.close()
        self.selector.close()

    def drive(self, until, timeout_s, what):
        """Serves the connections until `until` is true."""
        deadline = time.monotonic() + timeout_s
        while not until():
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
            for key, _ in self.selector.select(0.02):
                key.data.readable()
                if key.data.ended:
                    self.selector.unregister(key.fileobj)

    def settle(self):
        """Until every connection has done what its kind does."""
        def under_way():
            return all(held.statuses == [200] if type(held) in (Held, Download) else held.statuses or type(held) is Http2 for held in self.all())

        self.drive(under_way, 30, "all connections under way")
        assert not any(held.ended for held in self.all())

    def change(self, change):
        """Makes a change while the connections are driven. Gives the seconds from when it was asked for, and from when it was answered,
        to the end of each of `leaving`."""
        times = []

        def run():
            times.append(time.monotonic())
            change()
            times.append(time.monotonic())

        thread = threading.Thread(target=run)
        thread.start()
        self.drive(lambda: len(times) == 2, 20, "the change answered")
        thread.join()
        asked, answered = times
        self.drive(lambda: all(held.ended for held in self.leaving), 20, "those concerned ended")
        ended = [held.ended for held in self.leaving]
        return [end - asked for end in ended], [end - answered for end in ended]

    def assert_staying_unharmed(self, backend):
        """Each of `staying` goes on: answers come, downloads grow, and end well; streams that were waiting are answered."""
        before = {held: (len(held.statuses), held.bytes) for held in self.staying}
        for held in self.staying:
            if type(held) is Held:
                held.ask("/idle")
        self.drive(lambda: all(self.went_on(held, *before[held]) for held in self.staying), 30, "the others go on")
        backend.gate.set()
        self.drive(lambda: all(len(held.statuses) == 3 for held in self.staying if type(held) is Http2), 30, "streams answered")
        assert not any(held.ended for held in self.staying)
        assert {status for held in self.staying for status in held.statuses} == {200}

    @staticmethod
    def went_on(held, statuses, received):
        match held:
            case Download():
                return held.bytes > received
            case Http2():
                return True
        return len(held.statuses) > statuses
