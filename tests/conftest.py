"""Fixtures. Servers are shared by the tests of a file; a test that ends or breaks its server starts one of its own."""

import json

import pytest

from aws_cli import AwsCli
from backend import Backend
from functions import Functions
from gateway import Gateway
from pki import Pki
from server import BINARY, Server


def pytest_sessionstart(session):
    if not BINARY.exists():
        pytest.exit(f"{BINARY} is not there: `./test e2e` builds it, or name one with COUNTERSIGN_BIN", returncode=2)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """Certificates, made once for the tests of one file: two files may mean different ones by one name."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server for the tests of one file. That it drains and exits with 0 at the end is itself a test."""
    started = Server(tmp_path_factory.mktemp("server")).start()
    yield started
    started.stop()


@pytest.fixture
def start_server(tmp_path):
    """Starts servers for one test; those still up at its end are stopped."""
    started = []

    def start(*args, name="server", **options):
        started.append(Server(tmp_path / f"{name}{len(started)}", *args, **options))
        return started[-1].start()

    yield start
    for one in started:
        one.stop()


@pytest.fixture(scope="module")
def backend():
    """An HTTP server behind the gateway, for the tests of one file."""
    listening = Backend()
    yield listening
    listening.close()


@pytest.fixture(scope="module")
def functions():
    """Lambda functions for the tests of one file: `echo`, and those that they add."""
    runtime = Functions()
    runtime["echo"] = lambda event: {"statusCode": 200, "headers": {"x-from": "function"}, "body": json.dumps(event)}
    yield runtime
    runtime.close()


@pytest.fixture(autouse=True)
def fresh_backend(request):
    """No test sees what another sent to the backend."""
    if "backend" in request.fixturenames:
        request.getfixturevalue("backend").clear()


@pytest.fixture(scope="module")
def gateway(server, backend, pki):
    """`api.yourcompany.com` with mutual TLS for the clients of `pki.ca()`."""
    return Gateway(server, backend, "api.yourcompany.com", pki.ca().pem).create()


@pytest.fixture(params=["v1", "v2"])
def cli_version(request):
    """Both generations of the aws CLI: PyPI's and Debian's."""
    return request.param


@pytest.fixture
def aws(server, cli_version):
    """The aws CLI of either generation, as somebody types it after `eval "$(countersign env)"`."""
    return AwsCli(server, cli_version)
