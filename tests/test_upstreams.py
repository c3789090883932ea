"""Backends: https ones, and those that cannot be had."""

import ssl

import pytest

from backend import Backend
from gateway import curl


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
