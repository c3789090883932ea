"""SIGTERM: nobody who has begun, or may have begun, to ask for something goes without an answer."""

import json
import signal
import socket
import ssl
import threading
import urllib.error
import urllib.request

import pytest

from frames import Http2
from gateway import Gateway
from raw import connect, context, read_to_end, request_head
from server import eventually


@pytest.fixture
def gateway(start_server, backend, pki):
    return Gateway(start_server(), backend, "drain.yourcompany.com", pki.ca().pem).create()


def ask(connection, domain, path="/orders"):
    """One HTTP/1.1 request; status and head."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {domain}\r\n\r\n".encode())
    return answer(connection)


def answer(connection):
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        assert piece, f"closed after {received!r}"
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while len(body) < length:
        body += connection.recv(65536)
    return int(head.split()[1]), head.decode().lower()


def terminate(server):
    server.process.send_signal(signal.SIGTERM)


def refuses_connections(server):
    try:
        socket.create_connection(server.https_address, timeout=5).close()
        return False
    except ConnectionError:
        return True


def health(server):
    try:
        with urllib.request.urlopen(f"{server.control}/_countersign/health", timeout=10) as got:
            return got.status, json.load(got)["status"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["status"]


def test_what_has_begun_is_answered(gateway, pki, backend):
    server, alice = gateway.server, pki.client()
    begun = connect(server, gateway.domain, alice)
    begun.sendall(f"GET /wait HTTP/1.1\r\nHost: {gateway.domain}\r\n\r\n".encode())
    eventually(lambda: "/wait" in backend.paths())
    kept = connect(server, gateway.domain, alice)
    assert ask(kept, gateway.domain)[0] == 200
    fresh = connect(server, gateway.domain, alice)
    shaking_hands = socket.create_connection(server.https_address, timeout=20)
    # Accepted, as those after it are served.
    assert gateway.curl("/orders", alice).status == 200

    terminate(server)
    eventually(lambda: refuses_connections(server))
    assert health(server) == (503, "draining"), "also while what was begun ends"
    secured = context(alice, "http/1.1").wrap_socket(shaking_hands, server_hostname=gateway.domain)
    for connection in (kept, fresh, secured):
        status, head = ask(connection, gateway.domain)
        assert status == 200 and "connection: close" in head
        assert read_to_end(connection) == b""
    assert server.alive(), "one request is under way"
    backend.gate.set()
    assert answer(begun)[0] == 200
    server.stop()


def test_idle_connections_are_closed_with_care(gateway, pki):
    kept = connect(gateway.server, gateway.domain, pki.client())
    assert ask(kept, gateway.domain)[0] == 200
    terminate(gateway.server)
    assert kept.recv(1) == b"", "an end, no reset"
    gateway.server.stop()


def test_http2_streams_that_are_opened_before_the_client_knows(gateway, pki, backend):
    """Between the two GOAWAYs (RFC 9113 section 6.8): this client reads the first, and does not answer the PING behind it."""
    client = Http2(connect(gateway.server, gateway.domain, pki.client(), alpn="h2", timeout_s=3))
    client.request(request_head(gateway.domain, "/orders"), stream=1)
    assert client.until(lambda: client.is_done(1)) and client.streams[1].status == 200
    terminate(gateway.server)
    assert client.until(lambda: client.goaway is not None)
    client.request(request_head(gateway.domain, "/wait"), stream=3)
    with pytest.raises(TimeoutError):
        while client.connection.recv(65536):
            pass
    backend.gate.set()
    assert client.until(lambda: client.streams.get(3) and client.streams[3].ended)
    assert client.streams[3].status == 200
    gateway.server.stop()


def test_a_new_http2_connection_gets_its_first_request_answered(gateway, pki):
    client = Http2(connect(gateway.server, gateway.domain, pki.client(), alpn="h2"))
    assert gateway.curl("/orders", pki.client()).status == 200
    terminate(gateway.server)
    eventually(lambda: refuses_connections(gateway.server))
    client.request(request_head(gateway.domain, "/orders"), stream=1)
    assert client.until(lambda: client.is_done(1)) and client.streams[1].status == 200
    gateway.server.stop()


def test_balancers_have_time_to_look_elsewhere(start_server, backend, pki, tmp_path):
    config = tmp_path / "countersign.toml"
    config.write_text("drain_delay_seconds = 600\n")
    server = start_server("--config", config)
    gateway = Gateway(server, backend, "drain.yourcompany.com", pki.ca().pem).create()
    assert health(server) == (200, "ok")
    terminate(server)
    eventually(lambda: health(server) == (503, "draining"))
    assert gateway.curl("/orders", pki.client()).status == 200, "all else goes on"
    assert gateway.api.get_domain_name(DomainName=gateway.domain)
    # Once more: without the rest of the delay.
    server.stop()


def test_what_does_not_end_is_cut_and_told(start_server, backend, pki, tmp_path):
    config = tmp_path / "countersign.toml"
    config.write_text("drain_timeout_seconds = 1\n")
    server = start_server("--config", config)
    gateway = Gateway(server, backend, "drain.yourcompany.com", pki.ca().pem).create()
    endless = connect(server, gateway.domain, pki.client())
    endless.sendall(f"GET /trickle HTTP/1.1\r\nHost: {gateway.domain}\r\n\r\n".encode())
    assert endless.recv(1)
    terminate(server)
    server.process.wait(20)
    assert "1 connections were still in use, and were cut" in server.stderr()
    server.stop()


def test_trust_is_looked_at_until_the_end(gateway, pki, backend):
    """A truststore that is changed while the gateway drains ends what the old one had let in."""
    other = pki.client("other", pki.ca("other-ca"))
    gateway.update_truststore(gateway.put_truststore(pki.ca().pem + pki.ca("other-ca").pem))
    download = connect(gateway.server, gateway.domain, other)
    download.sendall(f"GET /trickle HTTP/1.1\r\nHost: {gateway.domain}\r\n\r\n".encode())
    assert download.recv(1)
    terminate(gateway.server)
    eventually(lambda: health(gateway.server)[0] == 503)
    gateway.api.update_domain_name(
        DomainName=gateway.domain, DomainNameConfigurations=[gateway.configuration()],
        MutualTlsAuthentication={"TruststoreUri": gateway.truststore_uri, "TruststoreVersion": gateway.put_truststore(pki.ca().pem)})
    read_to_end(download)
    gateway.server.stop()


class Load(threading.Thread):
    """A client that asks again and again over one connection, and makes a new one only where it was told to."""

    def __init__(self, gateway, identity, stop):
        super().__init__(daemon=True)
        self.gateway, self.stop, self.context = gateway, stop, context(identity, "http/1.1")
        self.answered, self.connections, self.failures = 0, 0, []

    def run(self):
        connection = None
        while not self.stop.is_set():
            try:
                if connection is None:
                    connection = connect(self.gateway.server, self.gateway.domain, using=self.context)
                    self.connections += 1
            except (ConnectionRefusedError, ConnectionResetError):
                return  # nobody listens any more
            except (OSError, ssl.SSLError) as error:
                return self.failures.append(error)
            try:
                status, head = ask(connection, self.gateway.domain)
            except (OSError, ssl.SSLError, AssertionError) as error:
                return self.failures.append(error)
            self.answered += 1
            if status != 200:
                self.failures.append(head)
            if "connection: close" in head:
                connection.close()
                connection = None


def test_no_request_fails_under_load(gateway, pki):
    stop = threading.Event()
    load = [Load(gateway, pki.client(), stop) for _ in range(8)]
    for client in load:
        client.start()
    eventually(lambda: all(client.answered > 20 for client in load))
    terminate(gateway.server)
    for client in load:
        client.join(20)
    assert [client.failures for client in load] == [[]] * len(load)
    gateway.server.stop()
