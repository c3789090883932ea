"""A changed truststore bites at once: on connections that are open, and on sessions that are resumed. Nobody else notices."""

import contextlib
import ssl
import zlib

import pytest

from crowd import Crowd
from gateway import Gateway
from raw import connect, context, read_to_end
from server import eventually


@pytest.fixture
def gateway(server, backend, pki, request):
    name = f"open{zlib.crc32(request.node.name.encode())}.yourcompany.com"
    both = pki.ca().pem + pki.ca("leaving-ca").pem
    made = Gateway(server, backend, name, both).create()
    yield made
    made.api.delete_domain_name(DomainName=name)


@pytest.fixture
def leaving(pki):
    return pki.client("leaving", pki.ca("leaving-ca"))


def ask(connection, domain, path="/orders"):
    """One HTTP/1.1 request; the status, or None where the connection is gone."""
    try:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {domain}\r\n\r\n".encode())
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                return None
            received += piece
    except (ConnectionError, ssl.SSLError):
        return None
    head, _, body = received.partition(b"\r\n\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    missing = int(headers[b"content-length"]) - len(body)
    while missing > 0:
        missing -= len(connection.recv(missing))
    return int(head.split()[1])


def test_open_connections(gateway, pki, leaving, backend):
    staying = pki.client()
    with contextlib.ExitStack() as held:
        theirs = [held.enter_context(connect(gateway.server, gateway.domain, leaving)) for _ in range(10)]
        ours = [held.enter_context(connect(gateway.server, gateway.domain, staying)) for _ in range(10)]
        assert [ask(c, gateway.domain) for c in theirs + ours] == [200] * 20

        gateway.update_truststore(gateway.put_truststore(pki.ca().pem))
        backend.clear()
        for connection in theirs:
            assert ask(connection, gateway.domain, "/leaving") in (None, 403)
        assert [ask(c, gateway.domain, "/staying") for c in ours] == [200] * 10
        assert set(backend.paths()) == {"/staying"}


def test_200_connections_of_which_100_end(gateway, pki, leaving, backend):
    """HTTP/1.1 and HTTP/2, idle, busy, with long downloads and open streams: within a second, and nobody else's. One of those
    comes back with its session, and is refused."""
    with contextlib.closing(Crowd(gateway, leaving, pki.client())) as crowd:
        crowd.settle()
        version = gateway.put_truststore(pki.ca().pem)
        since_asked, since_answered = crowd.change(lambda: gateway.update_truststore(version))
        print(f"ended {min(since_asked):.3f} to {max(since_asked):.3f} s after the change was asked for, "
              f"the last one {max(since_answered):.3f} s after it was answered")
        assert max(since_answered) < 1
        gone = crowd.leaving[0]
        with connect(gateway.server, gateway.domain, using=gone.using, session=gone.socket.session) as resumed:
            assert resumed.session_reused
            assert ask(resumed, gateway.domain, "/resumed") == 403
        assert "/resumed" not in backend.paths()
        crowd.assert_staying_unharmed(backend)


def test_an_idle_connection_is_closed_by_itself(gateway, pki, leaving):
    """Nobody has to ask: those concerned are closed within a second."""
    with connect(gateway.server, gateway.domain, leaving, timeout_s=5) as connection:
        assert ask(connection, gateway.domain) == 200
        gateway.update_truststore(gateway.put_truststore(pki.ca().pem))
        read_to_end(connection)  # TimeoutError where it stays open


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_resumed_sessions(gateway, pki, leaving, backend, tls):
    using = context(leaving, "http/1.1", tls)
    with connect(gateway.server, gateway.domain, using=using) as first:
        assert ask(first, gateway.domain) == 200
        session = first.session
    with connect(gateway.server, gateway.domain, using=using, session=session) as again:
        assert again.session_reused, "nothing is resumed, so this test shows nothing"
        assert ask(again, gateway.domain) == 200
        session = again.session

    gateway.update_truststore(gateway.put_truststore(pki.ca().pem))
    backend.clear()
    with connect(gateway.server, gateway.domain, using=using, session=session) as refused:
        assert ask(refused, gateway.domain) == 403
    assert backend.seen == []


def test_no_resumption_across_domains(gateway, server, backend, pki):
    """A ticket of one domain is worth nothing at another."""
    other = Gateway(server, backend, "other-open.yourcompany.com", pki.ca().pem).create()
    using = context(pki.client(), "http/1.1")
    with connect(server, gateway.domain, using=using) as first:
        assert ask(first, gateway.domain) == 200
        session = first.session
    with connect(server, other.domain, using=using, session=session) as again:
        assert not again.session_reused
        assert ask(again, other.domain) == 200


def test_a_certificate_that_expires_meanwhile(gateway, pki, backend):
    """Accepted when the connection was made, refused from the second at which it ends."""
    brief = pki.dated("brief", -3600, 6)
    with connect(gateway.server, gateway.domain, brief) as connection:
        assert ask(connection, gateway.domain) == 200
        eventually(lambda: ask(connection, gateway.domain) in (None, 403), timeout_s=15)
