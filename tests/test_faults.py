"""A disk that fails: clients are served all the same, health and metrics say what is wrong, and it mends itself when the disk does."""

import json
import re
import resource
import subprocess
import urllib.request

import botocore.exceptions
import pytest

from authority import Authority
from gateway import Gateway
from server import Server, eventually


class Unwritable(Server):
    """A server whose files cannot be written for a while: every write fails with EFBIG, as it would with ENOSPC on a full disk."""

    def launch(self):
        # The signal that comes with it (SIGXFSZ) stays ignored, as Python has it.
        keep, subprocess.Popen = subprocess.Popen, lambda *args, **named: keep(*args, restore_signals=False, **named)
        try:
            super().launch()
        finally:
            subprocess.Popen = keep

    def fail_to_write(self):
        self.before = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (0, self.before[1]))

    def write_again(self):
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, self.before)


@pytest.fixture
def unwritable(tmp_path):
    server = Unwritable(tmp_path / "server").start()
    yield server
    server.stop()


def health(server):
    with urllib.request.urlopen(f"{server.control}/_countersign/health", timeout=10) as answer:
        assert answer.status == 200, "another server would serve nobody better"
        told = json.load(answer)
    assert (told["status"] == "ok") == (told["faults"] == [])
    return set(told["faults"])


def metrics(server):
    with urllib.request.urlopen(f"{server.control}/_countersign/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


def test_a_revocation_list_that_is_out_of_date(server, backend, pki):
    ca = Authority(pki, "faulty")
    gateway = Gateway(server, backend, "stale.yourcompany.com", ca.pem).create()
    arn = f"arn:aws:apigateway:us-east-1::/domainnames/{gateway.domain}"
    for crl, faults in ((ca.stale_crl(), {"revocation_lists"}), (ca.crl(), set())):
        gateway.s3.put_object(Bucket=gateway.bucket, Key="crl.pem", Body=crl)
        gateway.api.tag_resource(ResourceArn=arn, Tags={"countersign:crl": f"s3://{gateway.bucket}/crl.pem"})
        gateway.wait_available()
        assert health(server) == faults


def test_a_disk_that_fails_for_a_while(unwritable, backend, pki):
    server, alice = unwritable, pki.client()
    gateway = Gateway(server, backend, "faults.yourcompany.com", pki.ca().pem).create()
    assert gateway.curl("/before", alice).status == 200
    gateway.record(path="/before")
    assert health(server) == set()

    server.fail_to_write()
    assert gateway.curl("/during", alice).status == 200, "clients notice nothing"
    for fails in (
        lambda: gateway.api.create_api(Name="during", ProtocolType="HTTP"),
        lambda: gateway.put_truststore(pki.ca().pem),
        lambda: gateway.s3.create_bucket(Bucket="during"),
    ):
        with pytest.raises(botocore.exceptions.ClientError, match="File too large"):
            fails()
    eventually(lambda: health(server) == {"clients", "records", "settings"}, what="all that is wrong")
    told = metrics(server)
    assert {part for part in ("clients", "domains", "records", "revocation_lists", "settings", "usage")
            if told[f'countersign_fault{{part="{part}"}}'] == 1} == {"clients", "records", "settings"}

    server.write_again()
    # None of it needs a restart.
    assert gateway.api.create_api(Name="after", ProtocolType="HTTP")["ApiId"]
    gateway.update_truststore(gateway.put_truststore(pki.ca().pem))
    gateway.s3.create_bucket(Bucket="after")
    assert gateway.curl("/after", alice).status == 200
    gateway.record(path="/during")
    gateway.record(path="/after")
    eventually(lambda: gateway.curl("/again", alice).status == 200 and health(server) == set(), what="nothing is wrong")
    assert metrics(server)["countersign_records_dropped_total{}"] == 0
    assert [api["Name"] for api in gateway.api.get_apis()["Items"] if api["Name"] in ("during", "after")] == ["after"]
