"""What was acknowledged survives a power cut; a file that did not survive whole is named, never silently dropped."""

import random
import threading

import botocore.exceptions
import pytest

from gateway import Gateway, assert_refused
from server import Server, eventually


@pytest.fixture
def one_server(tmp_path):
    server = Server(tmp_path / "server")
    yield server
    if server.alive():
        server.kill()


def test_everything_is_there_after_sigkill(one_server, backend, pki):
    gateway = Gateway(one_server.start(), backend, "api.yourcompany.com", pki.ca().pem).create()
    path = "/before"
    gateway.curl(path, pki.client())
    refused = gateway.curl("/refused")
    gateway.record(path=path)
    gateway.record(requestId=refused.headers["apigw-requestid"])
    before = gateway.api.get_domain_name(DomainName=gateway.domain)

    one_server.kill()
    again = reconnected(gateway, one_server.start())
    after = again.api.get_domain_name(DomainName=gateway.domain)
    assert after["MutualTlsAuthentication"] == before["MutualTlsAuthentication"]
    eventually(lambda: again.curl("/after", pki.client()).status == 200)
    assert_refused(again.curl("/after"))
    again.record(path="/after")
    assert path in {r["path"] for r in again.records()}, "a line that was readable before the cut is gone"
    assert again.s3.get_object(Bucket=gateway.bucket, Key="ca.pem")["Body"].read() == pki.ca().cert.read_bytes()


def reconnected(gateway, server):
    """The same gateway after its server has come up on other ports."""
    again = Gateway(server, gateway.backend, gateway.domain, gateway.truststore)
    again.bucket, again.log_group, again.api_id = gateway.bucket, gateway.log_group, gateway.api_id
    again.certificate_arn = gateway.certificate_arn
    return again


@pytest.mark.parametrize("seed", range(5))
def test_sigkill_while_writing(one_server, seed):
    """Killed in the middle of a stream of writes, at a moment of its own in each run: whatever was answered is there."""
    one_server.start()
    written = {"apis": [], "objects": {}}
    one_server.client("s3").create_bucket(Bucket="bucket")
    one_server.client("s3").put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    enough = threading.Event()
    goal = random.Random(seed).randint(5, 120)
    writers = [threading.Thread(target=write, args=(one_server, n, written, enough, goal)) for n in range(3)]
    for writer in writers:
        writer.start()
    assert enough.wait(60)
    one_server.kill()
    for writer in writers:
        writer.join(30)

    one_server.start()
    pages = one_server.client("apigatewayv2").get_paginator("get_apis").paginate()
    assert set(written["apis"]) <= {item["ApiId"] for page in pages for item in page["Items"]}
    s3 = one_server.client("s3")
    for (key, version), body in written["objects"].items():
        assert s3.get_object(Bucket="bucket", Key=key, VersionId=version)["Body"].read() == body
    listed = {(v["Key"], v["VersionId"]) for v in s3.list_object_versions(Bucket="bucket").get("Versions", [])}
    for key, version in listed - set(written["objects"]):
        s3.get_object(Bucket="bucket", Key=key, VersionId=version)["Body"].read()  # not answered, but whole
    one_server.stop()


def write(server, number, written, enough, goal):
    """Creates until the server is gone; notes what was acknowledged."""
    api, s3 = server.client("apigatewayv2"), server.client("s3")
    try:
        while True:
            written["apis"].append(api.create_api(Name=f"writer-{number}", ProtocolType="HTTP")["ApiId"])
            body = random.randbytes(20_000)
            version = s3.put_object(Bucket="bucket", Key=f"key-{number}", Body=body)["VersionId"]
            written["objects"][f"key-{number}", version] = body
            if len(written["apis"]) >= goal:
                enough.set()
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
        pass


def state_files(server):
    """Every file that holds state; `run.json` and `ca.pem` are written anew at each start."""
    found = [p for p in server.data_dir.rglob("*") if p.is_file() and p.stat().st_size]
    return sorted(p for p in found if p.name not in ("run.json", "ca.pem"))


@pytest.mark.parametrize("damage", ["truncated", "overwritten"])
def test_a_damaged_file_is_named(one_server, backend, pki, damage, tmp_path):
    """One file of each kind in turn: either the start fails and names it, or it starts and says what it lost."""
    gateway = Gateway(one_server.start(), backend, "api.yourcompany.com", pki.ca().pem).create()
    gateway.curl("/before", pki.client())
    gateway.record(path="/before")
    one_server.stop()
    files = state_files(one_server)
    assert files
    for path in files:
        whole = path.read_bytes()
        # What stays is not the same for all: a database has its head first, and free pages that nobody misses.
        kept = whole[: len(whole) // (2 if damage == "truncated" else 4)]
        path.write_bytes(kept if damage == "truncated" else kept.ljust(len(whole), b"\xa5"))
        one_server.launch()
        line = one_server.first_line()
        what = f"{path.relative_to(one_server.data_dir)} was {damage}: named on stderr"
        if line.startswith("ready"):
            eventually(lambda: path.name in one_server.stderr(), timeout_s=10, what=what)
            one_server.process.terminate()
            one_server.process.wait(30)
        else:
            assert one_server.process.wait(30) not in (0, 101), "it must fail with a sentence, not a panic"
            assert path.name in one_server.stderr(), what
        path.write_bytes(whole)


def test_private_files_are_private(one_server, backend, pki):
    Gateway(one_server.start(), backend, "api.yourcompany.com", pki.ca().pem).create()
    for path in one_server.data_dir.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.name == one_server.ca_file.rsplit("/", 1)[-1], f"{path} is open to others"
        if path.is_file():
            assert b"PRIVATE KEY" not in path.read_bytes(), f"{path} holds a key in the clear"
    one_server.stop()


def test_two_servers_do_not_share_a_directory(one_server, tmp_path):
    one_server.start()
    second = Server(tmp_path / "second", data_dir=one_server.data_dir)
    second.launch()
    assert second.process.wait(30) == 2
    assert str(one_server.data_dir) in second.stderr()
    one_server.stop()
