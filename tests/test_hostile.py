"""Strangers and their bytes: everything they can hold is bounded, everything they start ends, and others are served
meanwhile."""

import contextlib
import random
import re
import resource
import socket
import ssl
import time

import h2.events
import pytest

from gateway import Gateway
from raw import connect, context, exchange, http2, read_to_end, request_head
from server import Server, eventually

# The longest that a stranger may keep a connection that says nothing. Documented in docs/operations.md.
PATIENCE_S = 20
IDLE_CONNECTIONS = 5_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("hostile")).start()
    yield started
    assert "panicked" not in started.stderr()
    started.stop()


@pytest.fixture(scope="module")
def gateway(server, backend, pki):
    return Gateway(server, backend, "api.yourcompany.com", pki.ca().pem).create()


@pytest.fixture
def others_served(gateway, pki):
    """Asserts that somebody else is served, and promptly."""
    def check():
        began = time.monotonic()
        answer = gateway.curl("/others", pki.client())
        assert answer.status == 200, answer
        assert time.monotonic() - began < 5

    yield check
    check()


def hello(name="api.yourcompany.com"):
    """A ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context(alpn="http/1.1").wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


GARBAGE = {
    "random": random.Random(1).randbytes(5000),
    "zeros": bytes(5000),
    "plain http": b"GET / HTTP/1.1\r\nHost: api.yourcompany.com\r\n\r\n",
    "http/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a huge record": b"\x16\x03\x01\xff\xff" + bytes(65535),
    "a hello of lies": b"\x16\x03\x01\x00\xff\x01\xff\xff\xff" + bytes(250),
    "empty records": b"\x16\x03\x01\x00\x00" * 1000,
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_on_the_tls_port(server, others_served, kind):
    with contextlib.ExitStack() as held:
        waiting = [held.enter_context(socket.create_connection(server.https_address, timeout=PATIENCE_S)) for _ in range(20)]
        for raw in waiting:
            with contextlib.suppress(ConnectionError):
                raw.sendall(GARBAGE[kind])
        for raw in waiting:
            assert b"HTTP" not in read_to_end(raw)  # an alert at most


def test_a_flipped_bit_anywhere_in_the_hello(server, others_served):
    good = hello()
    chance = random.Random(2)
    for _ in range(200):
        bad = bytearray(good)
        bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        with socket.create_connection(server.https_address, timeout=PATIENCE_S) as raw:
            raw.sendall(bad)
            raw.shutdown(socket.SHUT_WR)
            read_to_end(raw)


def test_half_handshakes_end(server, others_served):
    """200 clients that stop in the middle of their handshake, or before it."""
    good = hello()
    with contextlib.ExitStack() as held:
        waiting = []
        for number in range(200):
            raw = held.enter_context(socket.create_connection(server.https_address, timeout=PATIENCE_S))
            raw.sendall(good[: len(good) * (number % 4) // 3])
            waiting.append(raw)
        others_served()
        for raw in waiting:
            read_to_end(raw)  # raises TimeoutError where the server waits longer than PATIENCE_S


@pytest.mark.parametrize("trusted", [True, False], ids=["client", "stranger"])
def test_a_head_that_never_ends_is_given_up(server, gateway, pki, others_served, backend, trusted):
    """Slow-loris: the head of a request comes, but not its end."""
    identity = pki.client() if trusted else None
    with contextlib.ExitStack() as held:
        waiting = [held.enter_context(connect(server, gateway.domain, identity, timeout_s=PATIENCE_S)) for _ in range(30)]
        for connection in waiting:
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: api.yourcompany.com\r\nX-A: ")
        others_served()
        for connection in waiting:
            read_to_end(connection)
    assert "/slow" not in backend.paths()


@pytest.mark.parametrize("trusted", [True, False], ids=["client", "stranger"])
def test_a_megabyte_of_headers(server, gateway, pki, others_served, backend, trusted):
    before = server.memory_kib()
    for _ in range(10):
        with connect(server, gateway.domain, pki.client() if trusted else None) as connection:
            answer = exchange(connection, b"GET /big-head HTTP/1.1\r\nHost: api.yourcompany.com\r\n" + b"X-A: " + b"a" * 1_000_000 + b"\r\n\r\n")
            assert not answer or re.match(rb"HTTP/1.1 (400|403|413|431) ", answer), answer[:200]
    assert "/big-head" not in backend.paths()
    assert server.memory_kib() < before + 20 * 1024


def test_a_megabyte_of_headers_in_http2(server, gateway, pki, others_served, backend):
    with connect(server, gateway.domain, pki.client(), alpn="h2") as connection:
        state = http2(connection)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            for stream in range(1, 41, 2):
                state.send_headers(stream, request_head(gateway.domain, "/big-head") + [(f"x-{n}", "a" * 1000) for n in range(50)], end_stream=True)
                connection.sendall(state.data_to_send())
    assert "/big-head" not in backend.paths()


def test_endless_continuation(server, gateway, pki, others_served):
    """CONTINUATION frames without an end: the connection is closed long before it costs memory."""
    before = server.memory_kib()
    with connect(server, gateway.domain, pki.client(), alpn="h2") as connection:
        http2(connection)
        headers = b"\x00\x00\x05\x01\x00\x00\x00\x00\x01" + b"\x00\x01a\x01b"
        more = b"\x00\x40\x00\x09\x00\x00\x00\x00\x01" + b"\x00\x01a\x7f\x81\x3e" + b"b" * (16384 - 6)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            connection.sendall(headers)
            for _ in range(20_000):
                connection.sendall(more)
    assert server.memory_kib() < before + 20 * 1024


@pytest.mark.parametrize("trusted", [True, False], ids=["client", "stranger"])
def test_rapid_reset(server, gateway, pki, others_served, backend, trusted):
    """CVE-2023-44487: streams that are opened and reset at once. The connection is ended, and the backend is spared."""
    streams = 20_000
    with connect(server, gateway.domain, pki.client() if trusted else None, alpn="h2") as connection:
        state = http2(connection)
        ended = False
        try:
            for number in range(streams):
                stream = 2 * number + 1
                state.send_headers(stream, request_head(gateway.domain, "/rapid"), end_stream=True)
                state.reset_stream(stream)
                connection.sendall(state.data_to_send())
            ended = any_goaway(state, read_to_end(connection))
        except (ConnectionError, ssl.SSLError):
            ended = True
    assert ended, "20,000 streams were opened and reset, and the connection is still good"
    assert backend.paths().count("/rapid") < 2_000
    if not trusted:
        assert backend.seen == []


def any_goaway(state, received):
    return any(isinstance(event, h2.events.ConnectionTerminated) for event in state.receive_data(received))


@pytest.mark.parametrize("frame", ["ping", "settings", "empty data"])
def test_floods_of_cheap_frames(server, gateway, pki, others_served, frame):
    """Frames that cost the sender nothing and want an answer; the sender reads none of them."""
    frames = {
        "ping": b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8),
        "settings": b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64",
        "empty data": b"\x00\x00\x00\x00\x00\x00\x00\x00\x01",
    }
    before = server.memory_kib()
    with connect(server, gateway.domain, pki.client(), alpn="h2", timeout_s=5) as connection:
        http2(connection)
        with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
            for _ in range(500):
                connection.sendall(frames[frame] * 1000)
        others_served()
        assert server.memory_kib() < before + 50 * 1024


def test_five_thousand_idle_connections(server, gateway, pki, others_served):
    """Clients that are let in, and then say nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    using = context(pki.client(), "http/1.1")
    before = server.memory_kib()
    with contextlib.ExitStack() as held:
        first = held.enter_context(connect(server, gateway.domain, using=using))
        first.sendall(b"GET /idle HTTP/1.1\r\nHost: api.yourcompany.com\r\n\r\n")
        first.recv(65536)
        for _ in range(IDLE_CONNECTIONS - 1):
            held.enter_context(connect(server, gateway.domain, using=using, session=first.session))
        others_served()
        grown = server.memory_kib() - before
        assert grown < IDLE_CONNECTIONS * 64, f"{grown / IDLE_CONNECTIONS:.1f} KiB a connection"
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_cap_per_address(tmp_path):
    """What comes on top is closed without a byte; when one goes, the next may come."""
    config = tmp_path / "countersign.toml"
    config.write_text("[limits]\nconnections_per_address = 20\n")
    server = Server(tmp_path / "capped", "--config", config).start()
    with contextlib.ExitStack() as held:
        inside = [held.enter_context(socket.create_connection(server.https_address, timeout=PATIENCE_S)) for _ in range(20)]
        for raw in inside:
            raw.sendall(hello("nobody.example.org")[:40])
        with socket.create_connection(server.https_address, timeout=5) as one_more:
            assert read_to_end(one_more) == b""
        inside[0].close()

        def let_in():
            with socket.create_connection(server.https_address, timeout=5) as raw:
                with contextlib.suppress(ConnectionError):
                    raw.sendall(hello("nobody.example.org"))
                return b"\x15" == read_to_end(raw)[:1]  # the unrecognized_name alert: it was listened to

        eventually(let_in)
    server.stop()
