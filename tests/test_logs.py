"""The access log in CloudWatch Logs: every request gives one line in the stage's own format, whoever sent it and whatever
they put into it."""

import json
import re
import socket
import ssl
import uuid

import botocore.exceptions
import pytest
from cryptography.x509.oid import NameOID

from aws_cli import AwsCli
from gateway import Gateway, assert_refused
from server import error_code, eventually

AWS_DATE = re.compile(r"^[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d \d{4} GMT$")


@pytest.fixture(scope="module")
def logs(server):
    return server.client("logs")


def marked(path="/orders"):
    """A path of its own for one request, so that its record is found again."""
    return f"{path}/{uuid.uuid4().hex}"


def test_the_identity_of_a_client(gateway, pki):
    path, client = marked(), pki.client("identified", subject="/C=US/ST=Washington/O=Acme, Inc./CN=My Client")
    answer = gateway.curl(path, client)
    record = gateway.record(path=path)
    assert record["requestId"] == answer.headers["apigw-requestid"]
    assert record["status"] == "200"
    assert record["domainName"] == gateway.domain
    assert record["subjectDN"] == "C=US,ST=Washington,O=Acme\\, Inc.,CN=My Client"
    assert record["issuerDN"] == "C=US,O=Example,CN=ca"
    assert AWS_DATE.match(record["notBefore"]) and AWS_DATE.match(record["notAfter"])
    assert record["clientCertPem"].strip() == client.pem.strip()
    assert record["serialNumber"]
    assert (record["error"], record["responseType"]) == ("-", "-")


def test_the_serial_number(gateway, pki):
    """Decimal where it fits 64 bits, else hexadecimal with colons."""
    for name, given, shown in (("small-serial", "42", "42"), ("large-serial", "0x00a1b2c3d4e5f60718", "a1:b2:c3:d4:e5:f6:07:18")):
        path = marked()
        ca = pki.ca()
        client = pki.client(name, ca, extra=())
        cert = pki.base / f"{name}.pem"
        pki.openssl("x509", "-req", "-in", pki.base / f"{name}.csr", "-CA", ca.cert, "-CAkey", ca.key, "-set_serial", given,
                    "-out", cert, "-days", "30", "-sha256")
        assert gateway.curl(path, client).status == 200
        assert gateway.record(path=path)["serialNumber"] == shown


REASONS = {
    "other-ca": (lambda pki: pki.client("stranger", pki.ca("other-ca"), section="client"), "Access denied. Reason: Could not find issuer for certificate"),
    "self-signed": (lambda pki: pki.self_signed(), "Access denied. Reason: self signed certificate"),
    "sha1": (lambda pki: pki.client("sha1", digest="sha1"), "Access denied. Reason: Client cert using an insecure Signature Algorithm"),
    "expired": (lambda pki: pki.dated("expired", -864_000, -86_400), "expired"),
    "missing": (lambda pki: None, "certificate"),
}


@pytest.mark.parametrize("kind", REASONS)
def test_a_refusal_is_logged_with_its_reason(gateway, pki, kind):
    make, reason = REASONS[kind]
    identity, path = make(pki), marked()
    answer = gateway.curl(path, identity)
    assert_refused(answer)
    record = gateway.record(requestId=answer.headers["apigw-requestid"])
    assert record["status"] == "403" and record["responseType"] == "ACCESS_DENIED"
    assert reason in record["error"]
    assert (record["subjectDN"] == "-") == (identity is None)


def test_the_bare_variable_is_json_with_all_six_members(server, backend, pki):
    gateway = Gateway(server, backend, "bare.yourcompany.com", pki.ca().pem,
                      log_format='{"id":"$context.requestId","cert":$context.identity.clientCert}').create()
    gateway.curl("/orders", pki.client())
    [line] = eventually(gateway.lines)
    cert = json.loads(line)["cert"]
    assert set(cert) == {"clientCertPem", "subjectDN", "issuerDN", "serialNumber", "validity"}
    assert set(cert["validity"]) == {"notBefore", "notAfter"}
    assert cert["subjectDN"] == "C=US,O=Example,CN=client"


def test_other_formats(server, backend, pki):
    gateway = Gateway(
        server, backend, "clf.yourcompany.com", pki.ca().pem,
        log_format='$context.identity.sourceIp - - [$context.requestTime] "$context.httpMethod $context.routeKey $context.protocol"'
        " $context.status $context.responseLength $context.requestId $context.noSuchThing").create()
    answer = gateway.curl("/orders", pki.client())
    [line] = eventually(gateway.lines)
    assert re.fullmatch(
        r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET ANY /\{proxy\+\} HTTP/[\d.]+" 200 \d+ '
        + re.escape(answer.headers["apigw-requestid"]) + " -", line), line


FORGERY = '1","status":"200","subjectDN":"CN=admin'
INJECTIONS = {
    "quote": FORGERY,
    "line feed": "x\n{\"requestId\":\"forged\"}",
    "carriage return": "x\r\nforged",
    "escape": "\x1b[2Jx",
    "backslash": "x\\",
    "line separator": "x\u2028y\u0085z",
    "not ascii": "Zürich 東京",
}


@pytest.mark.parametrize("kind", INJECTIONS)
@pytest.mark.parametrize("trusted", [True, False], ids=["accepted", "refused"])
def test_a_subject_cannot_forge_a_record(gateway, pki, kind, trusted, server):
    ca = pki.ca() if trusted else pki.ca("other-ca")
    client = pki.built(f"forger-{kind.replace(' ', '-')}-{trusted}", [(NameOID.COMMON_NAME, INJECTIONS[kind])], ca)
    answer = gateway.curl(marked(), client)
    assert answer.status == (200 if trusted else 403)
    record = gateway.record(requestId=answer.headers["apigw-requestid"])
    assert record["status"] == str(answer.status)
    assert record["subjectDN"].startswith("CN=")
    assert not any("forged" == r["requestId"] for r in gateway.records())
    assert all("\n" not in line and "\r" not in line and "\x1b" not in line for line in gateway.lines())
    assert "\x1b" not in server.stderr() and "\nforged" not in server.stderr()


@pytest.mark.parametrize("path", ['/a"b', "/a%0ab", "/a%0d%0aforged", "/a\\b", "/a%22,%22status%22:%22200", "/%1b[2J", "/a\u00e9"])
def test_a_path_cannot_forge_a_record(gateway, pki, path):
    for client in (pki.client(), None):
        answer = gateway.curl(path, client, "--path-as-is", "--globoff", http="1.1")
        if answer.status == 400:
            continue  # not a request at all; nothing else may come of it
        record = gateway.record(requestId=answer.headers["apigw-requestid"])
        assert record["status"] == str(answer.status)
    assert all("\n" not in line and "\r" not in line for line in gateway.lines())


def test_a_head_that_cannot_be_read_is_answered_and_recorded(gateway, pki):
    for client, status in ((pki.client(), 400), (None, 403)):
        answer = gateway.curl(marked(), client, "--user-agent", "\x7f", http="1.1")
        assert answer.status == status
        # No path is known, and so no stage: it is in the domain's own group.
        events = eventually(lambda: of_domain(gateway, answer.headers["apigw-requestid"]))
        record = json.loads(events[0]["message"])
        assert (record["status"], record["path"]) == (str(status), "-")


@pytest.mark.parametrize("agent", [FORGERY, "x\\", "x\tx", "caf\u00e9"])
def test_a_header_cannot_forge_a_record(gateway, pki, agent):
    for client in (pki.client(), None):
        answer = gateway.curl(marked(), client, "--user-agent", agent, http="1.1")
        if answer.status == 400:
            continue
        record = gateway.record(requestId=answer.headers["apigw-requestid"])
        assert record["status"] == str(answer.status)
        if agent.isascii() and agent.isprintable():
            assert record["userAgent"] == agent


def test_a_server_name_cannot_forge_a_line(gateway, server):
    """An SNI that is no host name: refused, and what is printed about it stays one line of printable characters."""
    before = len(server.stderr().splitlines())
    hello = client_hello(b'x"\n{"requestId":"forged"}\x1b[2J.example.com')
    with socket.create_connection(server.https_address, timeout=10) as raw:
        raw.sendall(hello)
        eventually(lambda: closed_after_alert(raw))
    new = server.stderr().splitlines()[before:]
    assert not any(line.startswith('{"requestId":"forged"') for line in new)
    assert "\x1b" not in server.stderr()
    assert not any(r["requestId"] == "forged" for r in gateway.records())


def client_hello(name):
    """A TLS 1.2 ClientHello whose server name is `name`, byte for byte."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    placeholder = "x" * (len(name) - 4) + ".com"
    context = ssl.create_default_context()
    client = context.wrap_bio(incoming, outgoing, server_hostname=placeholder)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    assert placeholder.encode() in hello
    return hello.replace(placeholder.encode(), name)


def closed_after_alert(raw):
    while received := raw.recv(4096):
        assert received[0] == 21, "something other than a TLS alert"
    return True


def test_groups(logs):
    name = f"/groups/{uuid.uuid4().hex}"
    logs.create_log_group(logGroupName=name)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        logs.create_log_group(logGroupName=name)
    assert error_code(caught) == "ResourceAlreadyExistsException"
    logs.put_retention_policy(logGroupName=name, retentionInDays=7)
    [group] = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert group["retentionInDays"] == 7
    assert group["arn"].startswith(f"arn:aws:logs:us-east-1:123456789012:log-group:{name}")
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        logs.put_retention_policy(logGroupName=name, retentionInDays=8)
    assert error_code(caught) == "InvalidParameterException"
    logs.delete_log_group(logGroupName=name)
    assert logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"] == []
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        logs.filter_log_events(logGroupName=name)
    assert error_code(caught) == "ResourceNotFoundException"


def test_the_cli_reads_and_deletes(aws, cli_version, server, backend, pki):
    gateway = Gateway(server, backend, f"cli-{cli_version}.yourcompany.com", pki.ca().pem).create()
    gateway.curl("/by-cli", pki.client())
    gateway.record(path="/by-cli")
    group = ["--log-group-name", gateway.log_group]
    aws("logs", "put-retention-policy", *group, "--retention-in-days", "30")
    [shown] = aws("logs", "describe-log-groups", "--log-group-name-prefix", gateway.log_group)["logGroups"]
    assert shown["retentionInDays"] == 30
    names = [s["logStreamName"] for s in aws("logs", "describe-log-streams", *group)["logStreams"]]
    events = [e for name in names for e in aws("logs", "get-log-events", *group, "--log-stream-name", name)["events"]]
    assert ["/by-cli"] == [json.loads(event["message"])["path"] for event in events]
    gateway.api.delete_access_log_settings(ApiId=gateway.api_id, StageName="prod")
    aws("logs", "delete-log-group", *group)
    assert aws("logs", "describe-log-groups", "--log-group-name-prefix", gateway.log_group)["logGroups"] == []


def test_streams_and_events(gateway, pki, logs):
    path = marked()
    gateway.curl(path, pki.client())
    gateway.record(path=path)
    streams = logs.describe_log_streams(logGroupName=gateway.log_group)["logStreams"]
    messages = []
    for stream in streams:
        page = logs.get_log_events(logGroupName=gateway.log_group, logStreamName=stream["logStreamName"], startFromHead=True)
        messages += [event["message"] for event in page["events"]]
        after = logs.get_log_events(
            logGroupName=gateway.log_group, logStreamName=stream["logStreamName"], startFromHead=True,
            nextToken=page["nextForwardToken"])
        assert after["events"] == []
    assert any(json.loads(m)["path"] == path for m in messages)


def test_patterns(server, backend, pki, logs):
    as_json = Gateway(server, backend, "json.yourcompany.com", pki.ca().pem).create()
    spaced = Gateway(server, backend, "spaced.yourcompany.com", pki.ca().pem,
                     log_format="$context.identity.sourceIp $context.status $context.path $context.requestId").create()
    for gateway in (as_json, spaced):
        gateway.curl("/one", pki.client())
        gateway.curl("/two", pki.client())
        gateway.curl("/three")
        eventually(lambda: len(gateway.lines()) == 3)

    def matching(gateway, pattern):
        return len(logs.filter_log_events(logGroupName=gateway.log_group, filterPattern=pattern)["events"])

    assert matching(as_json, '{ $.status = "403" }') == 1
    assert matching(as_json, '{ $.status = "200" && $.path = "/two" }') == 1
    assert matching(as_json, '{ $.status = "403" || $.path = "/one" }') == 2
    assert matching(as_json, '{ $.subjectDN = "*CN=client" }') == 2
    assert matching(spaced, "[ip, status=403, path, id]") == 1
    assert matching(spaced, "[ip, status=2*, path=/one, id]") == 1
    assert matching(spaced, "[ip, status!=403, ...]") == 2
    assert matching(spaced, '"/two"') == 1
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        matching(as_json, "{ $.status = ")
    assert error_code(caught) == "InvalidParameterException"


def test_tail_follows(gateway, pki, server):
    """`aws logs tail --follow` exists in CLI v2 only."""
    first, second = marked(), marked()
    gateway.curl(first, pki.client())
    gateway.record(path=first)
    with AwsCli(server, "v2").running("aws", "logs", "tail", gateway.log_group, "--follow", "--format", "short") as lines:
        assert any(first in line for line in lines)
        gateway.curl(second, pki.client())
        assert any(second in line for line in lines)


def test_a_request_without_a_stage_is_recorded_too(server, backend, pki):
    """On AWS such a request leaves no trace. Here the id that the client was told leads to its record."""
    gateway = Gateway(server, backend, "unmapped.yourcompany.com", pki.ca().pem).create()
    mapping = gateway.api.get_api_mappings(DomainName=gateway.domain)["Items"][0]["ApiMappingId"]
    gateway.api.delete_api_mapping(DomainName=gateway.domain, ApiMappingId=mapping)
    gateway.wait_available()
    answer = gateway.curl("/orders")
    assert_refused(answer)
    request_id = answer.headers["apigw-requestid"]
    found = eventually(lambda: explained(server, request_id))
    assert found["record"]["domain"] == gateway.domain
    assert found["record"]["refusal"]["code"] == "ClientCertMissing"
    group = f"/countersign/domains/{gateway.domain}"
    events = eventually(lambda: gateway.logs.filter_log_events(logGroupName=group)["events"])
    assert any(request_id in event["message"] for event in events)


def test_a_handshake_that_was_refused_is_recorded_too(server, backend, pki):
    """Where no HTTP is read there is no request; the record is the domain's."""
    gateway = Gateway(server, backend, "alerted.yourcompany.com", pki.ca().pem, {"countersign:rejection": "alert"}).create()
    stranger = pki.client("stranger", pki.ca("other-ca"), section="client")
    assert gateway.curl("/orders", stranger).status == 0
    group = f"/countersign/domains/{gateway.domain}"
    [event] = eventually(lambda: gateway.logs.filter_log_events(logGroupName=group)["events"])
    assert "ClientCertUntrusted" in event["message"] or "Could not find issuer" in event["message"]
    assert "CN=stranger" in event["message"]


def of_domain(gateway, request_id):
    """The events of the domain's own group that have this request id."""
    return gateway.logs.filter_log_events(
        logGroupName=f"/countersign/domains/{gateway.domain}", filterPattern=f'{{ $.requestId = "{request_id}" }}')["events"]


def explained(server, request_id):
    """What `countersign explain` says; None while it knows nothing of the request."""
    done = server.command("explain", request_id, "--json", check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None
