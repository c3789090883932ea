"""Backends: https ones, and those that cannot be had."""

import re
import socket
import ssl
import urllib.request

import pytest

from backend import Backend
from gateway import Gateway, curl


@pytest.fixture
def secure(pki):
    """A backend on https with a certificate of a CA that the system does not know."""
    identity = pki.server("backend", "localhost", pki.ca("backend-ca"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.cert, identity.key)
    backend = Backend()
    backend.listener.socket = context.wrap_socket(backend.listener.socket, server_side=True)
    yield backend
    backend.close()


@pytest.mark.parametrize("ca, status", [("backend-ca", 200), ("other-ca", 503)])
def test_https_backends_are_certified_by_the_configured_ca(start_server, tmp_path, pki, secure, ca, status):
    (tmp_path / "backends.pem").write_text(pki.ca(ca).pem)
    (tmp_path / "countersign.toml").write_text('[upstream]\nca_file = "backends.pem"\n')
    identity = pki.server("gateway", "api.example.com")
    # A name with several addresses on many machines, of which the backend has one.
    url = secure.url.replace("http://127.0.0.1", "https://localhost")
    server = start_server(
        "--config", tmp_path / "countersign.toml", "--domain", "api.example.com", "--truststore", pki.ca().cert,
        "--cert", identity.cert, "--key", identity.key, "--upstream", url)
    answer = curl(server, "https://api.example.com/orders", pki.client(), ca_file=pki.ca("server-ca").cert)
    assert answer.status == status
    assert len(secure.seen) == (1 if status == 200 else 0)


def test_what_backends_do_is_counted(server, backend, pki):
    gateway = Gateway(server, backend, "counted.yourcompany.com", pki.ca().pem).create()
    alice = pki.client()
    upstream = backend.url

    def counted(name):
        with urllib.request.urlopen(f"{server.control}/_countersign/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found = re.search(rf'^countersign_upstream_{name}_total{{upstream="{re.escape(upstream)}"}} (\d+)$', text, re.M)
        return int(found[1]) if found else 0

    assert gateway.curl("/orders", alice).status == 200
    assert counted("connections") >= 1 and counted("failures") == counted("ejections") == 0
    assert gateway.curl("/status?code=503", alice).status == 503
    assert counted("failures") == 1
    assert gateway.curl("/status?code=500", alice).status == 500
    assert counted("failures") == 1, "it has answered"
    [integration] = gateway.api.get_integrations(ApiId=gateway.api_id)["Items"]
    gateway.api.update_integration(ApiId=gateway.api_id, IntegrationId=integration["IntegrationId"], TimeoutInMillis=50)
    gateway.server.settle()
    assert gateway.curl("/wait", alice).status == 503
    assert counted("failures") == 2, "an answer that comes too late is none"
    with socket.create_server(("127.0.0.1", 0)) as free:
        upstream = f"http://127.0.0.1:{free.getsockname()[1]}"
    gateway.api.update_integration(
        ApiId=gateway.api_id, IntegrationId=integration["IntegrationId"], IntegrationUri=f"{upstream}/{{proxy}}", TimeoutInMillis=1000)
    gateway.server.settle()
    assert gateway.curl("/orders", alice).status == 503
    assert counted("failures") == 1 and counted("connections") == counted("ejections") == 0, "the only address is not left out"
