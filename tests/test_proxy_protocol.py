"""Behind a balancer that speaks PROXY protocol: whom the records and the backend are told of; and limits that change while it runs."""

import json
import signal
import socket
import struct
import urllib.request

import pytest

from gateway import Gateway
from raw import context, exchange
from server import eventually

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOG_FORMAT = json.dumps({"requestId": "$context.requestId", "path": "$context.path", "ip": "$context.identity.sourceIp"})


def header(ip, port=4660):
    """A header for a client at `ip`, as HAProxy's send-proxy-v2 makes it."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    address = socket.inet_pton(family, ip)
    rest = address + bytes(len(address)) + struct.pack(">HH", port, 443)
    return SIGNATURE + bytes([0x21, 0x21 if family == socket.AF_INET6 else 0x11]) + struct.pack(">H", len(rest)) + rest


def connect(server, domain, identity, first=b""):
    """A TLS connection before whose first byte `first` is sent."""
    raw = socket.create_connection(server.https_address, timeout=20)
    raw.sendall(first)
    return context(identity, "http/1.1").wrap_socket(raw, server_hostname=domain)


def get(connection, domain, path):
    return exchange(connection, f"GET {path} HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\n\r\n".encode())


def metric(server, name):
    """The value of a metric, with its labels as they are written."""
    with urllib.request.urlopen(f"{server.control}/_countersign/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


@pytest.fixture
def configured(tmp_path, start_server):
    """A server with a configuration, and what writes it again and has it read."""
    path = tmp_path / "countersign.toml"

    def start(text):
        path.write_text(text)
        server = start_server("--config", path)

        def again(text):
            before = server.stderr().count("configuration")
            path.write_text(text)
            server.process.send_signal(signal.SIGHUP)
            eventually(lambda: server.stderr().count("configuration") > before, what="SIGHUP noticed")
            return server.stderr()

        return server, again

    return start


def test_the_client_is_whom_the_balancer_names(configured, backend, pki):
    server, again = configured("")
    gateway = Gateway(server, backend, "api.yourcompany.com", pki.ca().pem, log_format=LOG_FORMAT).create()
    domain, client = gateway.domain, pki.client()
    with pytest.raises(OSError):  # nobody is listed: it is no TLS
        connect(server, domain, client, header("192.0.2.77"))
    again('[proxy_protocol]\nfrom = ["10.0.0.0/8", "127.0.0.1"]')
    for number, ip in enumerate(["192.0.2.77", "2001:db8::7"]):
        path = f"/named-{number}"
        assert get(connect(server, domain, client, header(ip)), domain, path).startswith(b"HTTP/1.1 200")
        assert gateway.record(path=path)["ip"] == ip
        forwarded = next(seen for seen in backend.seen if seen.target == path).header("forwarded")[0]
        assert (f'for="[{ip}]"' if ":" in ip else f"for={ip}") in forwarded
    with pytest.raises(OSError):  # who is listed has to
        connect(server, domain, client)
    assert metric(server, 'countersign_limits_total{limit="proxy_protocol"}') >= 1


def test_limits_hold_from_the_signal_on(configured, backend, pki):
    server, again = configured("")
    gateway = Gateway(server, backend, "api.yourcompany.com", pki.ca().pem).create()
    # In HTTP/2 curl takes a stream that is reset behind its answer for an error, if it was still sending.
    large = ["--http1.1", "--data-binary", "x" * 2000]
    assert gateway.curl("/before", pki.client(), *large).status == 200
    kept = connect(server, gateway.domain, pki.client())
    again("[limits]\nbody_bytes = 1000")
    assert gateway.curl("/after", pki.client(), *large).status == 413
    request = f"PUT /kept HTTP/1.1\r\nHost: {gateway.domain}\r\nContent-Length: 2000\r\n\r\n".encode()
    kept.sendall(request)
    assert kept.recv(65536).startswith(b"HTTP/1.1 413"), "also on connections that are open"
    assert metric(server, 'countersign_limits_total{limit="body_bytes"}') == 2
    said = again("[limits]\nbody_bytes = 0\nheader_bytes = 1")
    assert "limits.header_bytes is 1; it has to be 1024 at least" in said
    assert gateway.curl("/small", pki.client(), "--data-binary", "x" * 900).status == 200, "what is wrong changes nothing"
    assert "waits for a restart: region, expiry" in again('region = "eu-west-1"\n[expiry]\ndays = 1')
    assert gateway.curl("/again", pki.client(), *large).status == 200
