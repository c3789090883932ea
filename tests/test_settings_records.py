"""Changes of settings are recorded before they are made: who, what, and what became of it. Nobody can change the records."""

import hashlib
import json
import signal
import urllib.error
import urllib.request

import botocore.exceptions
import pytest

from aws_cli import AwsCli
from gateway import Gateway
from server import Server, error_code, eventually
from test_faults import Unwritable, health

GROUP = "/countersign/settings"


def records(server, **wanted):
    """The records that have these members, in order."""
    logs = server.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP)
    found = [json.loads(event["message"]) for page in pages for event in page["events"]]
    return [record for record in found if all(record.get(name) == value for name, value in wanted.items())]


def outcomes(found):
    return [record["outcome"] for record in found]


def test_a_truststore_that_becomes_another(server, backend, pki):
    gateway = Gateway(server, backend, "trail.yourcompany.com", pki.ca().pem).create()
    pem = pki.ca("trail-second").pem
    version = gateway.put_truststore(pem)
    put = records(server, operation="PutObject", resource=f"arn:aws:s3:::{gateway.bucket}/ca.pem")[-2:]
    assert outcomes(put) == ["intent", "allowed"]
    assert put[1]["changed"] == [f"{gateway.bucket}/ca.pem?versionId={version}"]
    noted = records(server, operation="NoteNewerVersion", changed=[f"domains/{gateway.domain}"])
    assert outcomes(noted) == ["intent", "allowed"] and {record["principal"] for record in noted} == {"countersign"}

    answer = gateway.api.update_domain_name(
        DomainName=gateway.domain, DomainNameConfigurations=[gateway.configuration()],
        MutualTlsAuthentication={"TruststoreUri": gateway.truststore_uri, "TruststoreVersion": version})
    found = records(server, request_id=answer["ResponseMetadata"]["RequestId"])
    assert outcomes(found) == ["intent", "allowed"]
    done = found[1]
    assert done["principal"] == "arn:aws:iam::123456789012:user/admin"
    assert done["access_key_id"] == server.env["AWS_ACCESS_KEY_ID"]
    assert done["user_agent"].startswith("Boto3/") and done["source"] == "127.0.0.1"
    assert (done["service"], done["operation"]) == ("apigateway", "UpdateDomainName")
    assert done["resource"] == f"arn:aws:apigateway:us-east-1::/domainnames/{gateway.domain}"
    assert done["revision_after"] == done["revision_before"] + 1 and "revision_after" not in found[0]
    (change,) = done["truststores"]
    assert change["domain"] == gateway.domain
    assert change["after"] == {"digest": hashlib.sha256(pem.encode()).hexdigest(), "version": version}
    assert change["before"]["digest"] == hashlib.sha256(pki.ca().pem.encode()).hexdigest()


def test_a_call_that_is_denied(server):
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        server.client("apigatewayv2").delete_api(ApiId="none")
    (found,) = records(server, request_id=refused.value.response["ResponseMetadata"]["RequestId"])
    assert (found["outcome"], found["code"], found["operation"]) == ("denied", "NotFoundException", "DeleteApi")
    assert "Invalid API identifier" in found["message"]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_group_is_like_any_other_to_read(server, version):
    aws = AwsCli(server, version)
    groups = aws("logs", "describe-log-groups", "--log-group-name-prefix", "/countersign/s")["logGroups"]
    assert [group["logGroupName"] for group in groups] == [GROUP]
    assert aws("logs", "describe-log-streams", "--log-group-name", GROUP)["logStreams"]
    name = f"tailed-{version}"
    aws("logs", "create-log-group", "--log-group-name", name)
    if version == "v2":
        tailed = aws("logs", "tail", GROUP, "--format", "short", check=False)
        assert name in tailed.stdout, tailed.stderr
    for command in ("delete-log-group", "delete-retention-policy"):
        refused = aws("logs", command, "--log-group-name", GROUP, check=False)
        assert refused.returncode and "InvalidParameterException" in refused.stderr


def test_every_revision_has_its_record_and_a_kill_leaves_no_more_than_an_intent(tmp_path):
    server = Server(tmp_path / "server").start()
    api = server.client("apigatewayv2")
    for n in range(5):
        api.create_api(Name=f"n{n}", ProtocolType="HTTP")
    server.kill()
    server.start()
    # As a change that was under way would be seen: the records may say more than the settings, never less.
    with urllib.request.urlopen(f"{server.control}/_countersign/health") as answer:
        revision = json.load(answer)["revision"]
    made = [record["revision_after"] for record in records(server, outcome="allowed") if "revision_after" in record]
    assert sorted(made) == list(range(1, revision + 1))
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: outcomes(records(server, operation="ReloadConfiguration")) == ["allowed"], what="the reload")
    server.stop()


def test_a_change_that_cannot_be_recorded_is_not_made(tmp_path):
    server = Unwritable(tmp_path / "server").start()
    api, s3 = server.client("apigatewayv2"), server.client("s3")
    s3.create_bucket(Bucket="before")
    server.fail_to_write()
    for what, code in (
        (lambda: api.create_api(Name="during", ProtocolType="HTTP"), "ServiceUnavailableException"),
        (lambda: s3.put_object(Bucket="before", Key="during", Body=b"x"), "ServiceUnavailable"),
    ):
        with pytest.raises(botocore.exceptions.ClientError, match="could not be recorded") as refused:
            what()
        assert error_code(refused) == code
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert "settings" in health(server)
    server.write_again()
    assert api.get_apis()["Items"] == []
    assert "Contents" not in s3.list_objects_v2(Bucket="before")
    api.create_api(Name="after", ProtocolType="HTTP")
    eventually(lambda: "settings" not in health(server), what="the fault ends")
    # What was refused does not look as if nobody knew what became of it.
    refused = [record for record in records(server, operation="CreateApi") if record["outcome"] == "failed"]
    assert [record["code"] for record in refused] == ["ServiceUnavailableException"]
    server.stop()


def test_whoever_does_not_sign_is_counted(tmp_path):
    server = Server(tmp_path / "server").start()
    request = urllib.request.Request(f"{server.control}/v2/apis", data=b"{}", headers={"User-Agent": "stranger/1"})
    for _ in range(50):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert refused.value.code == 403
    (first,) = records(server, stream="unauthenticated")
    assert (first["code"], first["source"], first["user_agent"]) == (
        "MissingAuthenticationTokenException", "127.0.0.1", "stranger/1")
    server.stop()
    server.start()
    assert [record.get("calls", 1) for record in records(server, stream="unauthenticated")] == [1, 49]
    server.stop()
