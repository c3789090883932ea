"""Records by what they are about: `countersign logs`, and the API below it."""

import json
import subprocess
import threading

import pytest

from gateway import Gateway
from server import BINARY, Server, eventually, json_lines


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, backend, pki):
    server = Server(tmp_path_factory.mktemp("records")).start()
    gateway = Gateway(server, backend, "records.example.com", pki.ca().pem).create()
    yield gateway
    server.stop()


def query(gateway, *arguments):
    return json_lines(gateway.server.command("logs", "query", "--json", *arguments).stdout)


def test_who_connected_and_who_did_not(gateway, pki):
    known, stranger = pki.client("partner-17", subject="/CN=partner-17"), pki.client("stranger-17", ca=pki.ca("another"))
    assert gateway.curl("/query/known", known).status == 200
    assert gateway.curl("/query/stranger", stranger).status == 403
    found = eventually(lambda: query(gateway, "--kind", "access", "--client", "CN=partner-17"))
    assert [record["status"] for record in found] == [200]
    assert found[0]["client"]["subject"].find("CN=partner-17") >= 0
    refused = query(gateway, "--kind", "access", "--refused", "--since", "1h")
    assert [record["status"] for record in refused] == [403] and refused[0]["refusal"]["code"] == "ClientCertUntrusted"
    by_print = query(gateway, "--client", found[0]["client"]["fingerprint"], "--kind", "access")
    assert by_print == found
    assert query(gateway, "--client", "CN=partner-1") == []
    assert query(gateway, "--domain", "other.example.com") == []
    assert query(gateway, "--until", "1h", "--kind", "access") == []
    text = gateway.server.command("logs", "query", "--refused", "--kind", "access").stdout
    assert " access 403 GET records.example.com " in text and "ClientCertUntrusted: " in text


def test_tail_follows(gateway, pki):
    client = pki.client("follower", subject="/CN=follower")
    command = [str(BINARY), "logs", "tail", "--follow", "--json", "--kind", "access", "--client", "CN=follower"]
    tail = subprocess.Popen(command, env=gateway.server.env, stdout=subprocess.PIPE, text=True)
    killer = threading.Timer(60, tail.kill)
    killer.start()
    try:
        ids = []
        for number in range(3):
            gateway.curl(f"/tail/{number}", client)
            ids.append(json.loads(tail.stdout.readline())["request_id"])
        assert len(set(ids)) == 3
    finally:
        killer.cancel()
        tail.kill()
        tail.wait()


def test_pages_and_bad_questions(gateway, pki):
    command = gateway.server.command
    for number in range(3):
        gateway.curl(f"/pages/{number}", pki.client())
    everything = query(gateway)
    numbers = [record["number"] for record in everything]
    assert numbers == sorted(set(numbers)) and len(numbers) >= 2
    some = command("logs", "query", "--json", "--max", "1")
    assert len(json_lines(some.stdout)) == 1 and "there are more than 1" in some.stderr
    newest = json_lines(command("logs", "tail", "--json", "-n", "2").stdout)
    assert [record["number"] for record in newest] == numbers[-2:] or newest[-1]["number"] > numbers[-1]
    for arguments in (["--kind", "nothing"], ["--since", "yesterday"], ["--format", "xml"]):
        assert command("logs", "query", *arguments, check=False).returncode == 2
