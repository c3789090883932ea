"""A working mutual TLS gateway without a word of AWS."""

import pytest

from gateway import assert_refused, curl
from server import Server


@pytest.fixture(scope="module")
def plain(tmp_path_factory, pki, backend):
    server_cert = pki.server("plain-server", "api.example.com")
    started = Server(
        tmp_path_factory.mktemp("plain"), "--domain", "api.example.com", "--truststore", pki.ca().cert,
        "--cert", server_cert.cert, "--key", server_cert.key, "--upstream", backend.url).start()
    yield started
    started.stop()


def call(plain, pki, path, identity=None, *args, **options):
    return curl(plain, f"https://api.example.com{path}", identity, *args, ca_file=pki.ca("server-ca").cert, **options)


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("http", ["1.1", "2"])
def test_clients_of_the_ca_come_in(plain, pki, backend, tls, http):
    answer = call(plain, pki, "/orders/1?a=b", pki.client(), tls=tls, http=http)
    assert answer.status == 200
    assert [seen.target for seen in backend.seen] == ["/orders/1?a=b"]


def test_others_do_not(plain, pki, backend):
    assert_refused(call(plain, pki, "/orders"))
    assert_refused(call(plain, pki, "/orders", pki.client("stranger", pki.ca("other-ca"), section="client")))
    assert backend.seen == []


def test_bodies_pass_both_ways(plain, pki, backend, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(range(256)) * 8192)
    answer = call(plain, pki, "/upload", pki.client(), "--data-binary", f"@{upload}")
    assert answer.json()["length"] == upload.stat().st_size
    assert backend.seen[0].body == upload.read_bytes()
    assert len(call(plain, pki, "/big?bytes=3000000", pki.client()).body) == 3_000_000
    assert call(plain, pki, "/stream?pieces=50", pki.client()).body.count("\n") == 50


def test_methods_and_statuses_pass(plain, pki, backend):
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert call(plain, pki, "/m", pki.client(), "--request", method).json()["method"] == method
    assert call(plain, pki, "/m", pki.client(), "--head").status == 200
    for status in (204, 304, 404, 500):
        assert call(plain, pki, f"/status?code={status}", pki.client()).status == status


def test_a_backend_that_is_down(tmp_path, pki):
    server_cert = pki.server("plain-server", "api.example.com")
    server = Server(
        tmp_path / "down", "--domain", "api.example.com", "--truststore", pki.ca().cert, "--cert", server_cert.cert,
        "--key", server_cert.key, "--upstream", "http://127.0.0.1:1").start()
    answer = call(server, pki, "/", pki.client())
    assert answer.status == 503 and answer.json() == {"message": "Service Unavailable"}
    server.stop()


@pytest.mark.parametrize("wrong", ["--truststore", "--cert", "--key"])
def test_a_file_that_is_not_there_is_named(tmp_path, pki, wrong):
    server_cert = pki.server("plain-server", "api.example.com")
    files = {"--truststore": pki.ca().cert, "--cert": server_cert.cert, "--key": server_cert.key, wrong: tmp_path / "absent.pem"}
    given = [word for pair in files.items() for word in pair]
    server = Server(tmp_path / "s", "--domain", "api.example.com", *given, "--upstream", "http://127.0.0.1:1")
    server.launch()
    assert server.process.wait(30) == 2
    assert "absent.pem" in server.stderr()


def test_it_is_the_same_after_a_restart(tmp_path, pki, backend):
    server_cert = pki.server("plain-server", "api.example.com")
    server = Server(
        tmp_path / "again", "--domain", "api.example.com", "--truststore", pki.ca().cert, "--cert", server_cert.cert,
        "--key", server_cert.key, "--upstream", backend.url)
    for _ in range(2):
        server.start()
        assert call(server, pki, "/", pki.client()).status == 200
        server.stop()
