"""WebSocket through the gateway, by real clients and a real server: the upgrade, what goes over it, and its end."""

import ssl
import threading
import zlib

import pytest
import websockets.exceptions
from websockets.sync.client import connect as websocket
from websockets.sync.server import serve

from gateway import Gateway
from raw import connect, context, exchange
from server import eventually


class Echo:
    """A WebSocket server on 127.0.0.1 that sends everything back, with the headers of the upgrade first."""

    def __init__(self):
        self.headers = []
        self.closed = threading.Event()
        self.server = serve(self.answer, "127.0.0.1", 0, max_size=None, compression=None)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.socket.getsockname()[1]}"

    def answer(self, connection):
        self.headers.append(list(connection.request.headers.raw_items()))
        try:
            for message in connection:
                connection.send(message)
        except websockets.exceptions.ConnectionClosedError:
            pass  # a client that went away
        self.closed.set()

    def close(self):
        self.server.shutdown()


@pytest.fixture
def echo():
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def gateway(server, echo, pki, request):
    name = f"ws{zlib.crc32(request.node.name.encode())}.yourcompany.com"
    return Gateway(server, echo, name, pki.ca().pem + pki.ca("leaving-ca").pem).create()


def upgraded(gateway, identity, path="/chat"):
    using = context(identity, "http/1.1")
    raw = connect(gateway.server, gateway.domain, using=using)
    # The library takes the socket as it is: TLS is done.
    return websocket(f"ws://{gateway.domain}{path}", sock=raw, max_size=None, compression=None,
                     additional_headers={"Client-Cert": "forged"})


def test_messages_go_both_ways_and_the_connection_is_recorded(gateway, echo, pki):
    with upgraded(gateway, pki.client()) as connection:
        for message in ("hello", "", "x" * 300_000, b"\x00\xff" * 70_000):
            connection.send(message)
            assert connection.recv() == message
    assert echo.closed.wait(10)
    names = [name.lower() for name, _ in echo.headers[0]]
    assert "client-cert" not in names and "forwarded" in names
    record = gateway.record(path="/chat")
    assert record["status"] == "101"


def test_messages_cross_without_waiting_for_one_another(gateway, pki):
    """Both directions are full at once."""
    with upgraded(gateway, pki.client()) as connection:
        count, size = 64, 100_000
        sender = threading.Thread(target=lambda: [connection.send(bytes([n]) * size) for n in range(count)])
        sender.start()
        assert [connection.recv() for _ in range(count)] == [bytes([n]) * size for n in range(count)]
        sender.join()


def test_who_is_not_trusted_gets_no_upgrade(gateway, echo):
    asks = f"GET /chat HTTP/1.1\r\nHost: {gateway.domain}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    with connect(gateway.server, gateway.domain) as connection:
        answer = exchange(connection, asks.encode())
    assert answer.startswith(b"HTTP/1.1 403 ") and b"upgrade" not in answer.lower()
    assert echo.headers == []


def test_an_upgrade_ends_when_its_client_is_trusted_no_more(gateway, pki):
    leaving = pki.client("leaving", pki.ca("leaving-ca"))
    with upgraded(gateway, pki.client()) as staying, upgraded(gateway, leaving) as gone:
        gateway.update_truststore(gateway.put_truststore(pki.ca().pem))
        with pytest.raises((websockets.exceptions.ConnectionClosed, ssl.SSLError, ConnectionError)):
            gone.recv(timeout=5)
        staying.send("still here")
        assert staying.recv(timeout=5) == "still here"


def test_a_backend_that_hangs_up_ends_it(gateway, echo, pki):
    with upgraded(gateway, pki.client()) as connection:
        connection.send("x")
        assert connection.recv() == "x"
        echo.close()
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            connection.recv(timeout=10)


def test_a_request_without_upgrade_is_answered_as_ever(gateway, pki):
    """The server says 426; nothing of it changes the connection."""
    answer = gateway.curl("/chat", pki.client(), http="1.1")
    assert answer.status == 426
    assert eventually(lambda: gateway.record(path="/chat"))["status"] == "426"
