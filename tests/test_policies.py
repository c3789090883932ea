"""Cedar policies of an API: what they let through, why they do not, and how their object is followed."""

import json
import re
import urllib.request

import grpc
import pytest
import websockets.exceptions
from botocore.exceptions import ClientError

from gateway import LOG_FORMAT, Gateway, curl
from grpc_backend import GrpcBackend, GrpcClient
from issuer import Issuer
from server import ROOT, eventually, run_binary
from test_authorizers import add_route, call, jwt, send, signed
from test_rest_api import RestGateway
from test_upgrades import Echo, upgraded

FORMAT = json.dumps(json.loads(LOG_FORMAT) | {"authorizerError": "$context.authorizer.error"})
EXAMPLES = re.findall(r"^```cedar\n(.*?)^```$", (ROOT / "docs/reference.md").read_text(), re.M | re.S)
PERMIT = "permit(principal, action, resource);"
PARTNERS = '@id("partners") permit(principal is Client, action, resource) when { principal.issuer like "*CN=partner-ca" };'


@pytest.fixture(scope="module")
def issuer():
    serving = Issuer()
    yield serving
    serving.close()


@pytest.fixture
def gateway(server, backend, pki, request):
    name = f"{request.node.originalname.replace('_', '-')[5:55].strip('-')}.example.com"
    return Gateway(server, backend, name, pki.ca().pem + pki.ca("partner-ca").pem, log_format=FORMAT).create()


def arn(gateway, kind="apis"):
    return f"arn:aws:apigateway:us-east-1::/{kind}/{gateway.api_id}"


def put(gateway, policy):
    """A version of the object that the tag names; answers its id."""
    version = gateway.s3.put_object(Bucket=gateway.bucket, Key="policy.cedar", Body=policy)["VersionId"]
    gateway.server.settle()
    return version


def tag(gateway, kind="apis", **more):
    tags = {"countersign:policy": f"s3://{gateway.bucket}/policy.cedar"} | more
    gateway.api.tag_resource(ResourceArn=arn(gateway, kind), Tags=tags)
    gateway.server.settle()


def enforce(gateway, policy):
    version = put(gateway, policy)
    tag(gateway)
    return version


def metrics(server):
    with urllib.request.urlopen(f"{server.control}/_countersign/metrics", timeout=20) as answer:
        return answer.read().decode()


def test_what_no_policy_permits_is_refused_and_told(gateway, backend, pki):
    partner, other = pki.client("partner", pki.ca("partner-ca")), pki.client()
    version = enforce(gateway, PARTNERS)
    for http in ("1.1", "2"):
        assert gateway.curl("/orders", partner, http=http).status == 200
    backend.clear()
    refused = gateway.curl("/orders", other)
    assert refused.status == 403 and refused.json() == {"message": "Forbidden"} and backend.seen == []
    record = gateway.record(requestId=refused.headers["apigw-requestid"])
    uri = f"s3://{gateway.bucket}/policy.cedar"
    said = f"no policy of {uri} version {version} permits the request"
    assert (record["authorizerError"], record["responseType"]) == (said, "ACCESS_DENIED")
    assert f"denied: PolicyDoesNotPermit: {said}" in gateway.server.command("explain", refused.headers["apigw-requestid"]).stdout
    assert f'countersign_denials_total{{domain="{gateway.domain}",reason="PolicyDoesNotPermit"}} 1' in metrics(gateway.server)
    # Another version of the object holds for open connections too, and names itself.
    version = put(gateway, PARTNERS + '@id("no orders") forbid(principal, action, resource) when { context.path like "/orders*" };')
    forbidden = gateway.curl("/%6frders/1", partner)
    assert forbidden.status == 403 and backend.seen == []
    record = gateway.record(requestId=forbidden.headers["apigw-requestid"])
    assert record["authorizerError"] == f"no orders of {uri} version {version} forbids the request"
    assert gateway.curl("/others", partner).status == 200
    # At its own endpoint the API has no certificate to ask about.
    assert curl(gateway.server, gateway.api_endpoint + "/prod/others").status == 403
    gateway.api.untag_resource(ResourceArn=arn(gateway), TagKeys=["countersign:policy"])
    gateway.server.settle()
    assert gateway.curl("/orders", other).status == 200


def test_a_version_that_cannot_be_used_changes_nothing_but_a_warning(gateway, pki):
    good = enforce(gateway, PARTNERS)
    partner, other = pki.client("partner", pki.ca("partner-ca")), pki.client()
    broken = put(gateway, "permit(principal, action, resource)")
    uri = f"s3://{gateway.bucket}/policy.cedar"
    for _ in range(2):
        assert (gateway.curl("/x", partner).status, gateway.curl("/x", other).status) == (200, 403)
        warning = f"{uri} was deleted, or is no policy any more (version {broken}); version {good} is still used."
        assert gateway.api.get_api(ApiId=gateway.api_id)["Warnings"] == [warning]
        said = f"the policy of API {gateway.api_id} was deleted, or cannot be used any more: {uri} version {broken}; version {good} stays in force"
        eventually(lambda: said in gateway.server.stderr())
        assert f'countersign_policy_drift{{api="{gateway.api_id}",uri="{uri}"}} 1.0' in metrics(gateway.server)
        gateway.s3.delete_object(Bucket=gateway.bucket, Key="policy.cedar")
        gateway.server.settle()
        broken = gateway.s3.list_object_versions(Bucket=gateway.bucket, Prefix="policy.cedar")["DeleteMarkers"][0]["VersionId"]
    put(gateway, "forbid(principal, action, resource);")
    assert gateway.curl("/x", partner).status == 403
    odd = gateway.api.get_api(ApiId=gateway.api_id)["Warnings"]
    assert odd == ["Policy: no policy permits anything: every request is refused"]
    tag(gateway, **{"countersign:policy-version": good})
    assert gateway.curl("/x", partner).status == 200
    gateway.api.delete_api_mapping(
        DomainName=gateway.domain, ApiMappingId=gateway.api.get_api_mappings(DomainName=gateway.domain)["Items"][0]["ApiMappingId"])
    gateway.api.delete_api(ApiId=gateway.api_id)
    assert uri not in metrics(gateway.server)


def test_a_mistake_is_refused_when_the_tag_is_set(gateway, pki):
    enforce(gateway, PARTNERS)
    uri = f"s3://{gateway.bucket}/other.cedar"
    for policy, said in [
        ("permit(principal, action, resource)", r"line 1, column 36: "),
        ('permit(principal is Client, action, resource)\nwhen { principal.isuer == "CN=x" };', r"line 2, column 8: .*attribute `isuer`"),
        ("\n\npermit(principal, action == Action::\"FETCH\", resource);", r"Action::\"FETCH\""),
        (b"\xff\xfe", "UTF-8"),
        ("(" * 100_000, "too deep"),
    ]:
        gateway.s3.put_object(Bucket=gateway.bucket, Key="other.cedar", Body=policy)
        with pytest.raises(ClientError, match=f"BadRequestException.*Invalid policy {uri}: .*{said}"):
            gateway.api.tag_resource(ResourceArn=arn(gateway), Tags={"countersign:policy": uri})
        assert gateway.api.get_tags(ResourceArn=arn(gateway))["Tags"] == {"countersign:policy": f"s3://{gateway.bucket}/policy.cedar"}
    for tags, said in [
        ({"countersign:policy": f"s3://{gateway.bucket}/none.cedar"}, "Unable to access policy URI .*none.cedar version N/A"),
        ({"countersign:policy": "policy.cedar"}, "Expected: s3://bucket/key"),
        ({"countersign:policy-version": "none"}, "Unable to access policy URI"),
    ]:
        with pytest.raises(ClientError, match=said):
            gateway.api.tag_resource(ResourceArn=arn(gateway), Tags=tags)
    assert gateway.curl("/x", pki.client()).status == 403, "what was set before holds"


def test_the_examples_do_what_the_reference_says(gateway, backend, pki, issuer):
    partner, other = pki.client("partner", pki.ca("partner-ca")), pki.client()
    acme = pki.client("acme", subject="/C=US/O=Acme/CN=acme")
    add_route(gateway, "ANY /Observation", authorizer=jwt(gateway, issuer.url))
    read_patients, write_observations, one_organization = EXAMPLES

    enforce(gateway, read_patients)
    reads = {
        (partner, "/Patient/1", "GET"): 200, (partner, "/%50atient", "GET"): 200, (partner, "/Patient", "POST"): 403,
        (partner, "/Observation/1", "GET"): 403, (partner, "/Patients", "GET"): 403, (other, "/Patient/1", "GET"): 403,
    }
    assert {of: gateway.curl(of[1], of[0], "--request", of[2]).status for of in reads} == reads

    def write(token, *options, identity=other):
        return call(gateway, identity, token, "/Observation").status if not options else gateway.curl(
            "/Observation", identity, "--header", f"Authorization: Bearer {token}", *options).status

    post = ("--request", "POST")
    scoped = issuer.token(scope="openid system/Observation.write")
    put(gateway, write_observations)
    assert write(scoped, *post) == 403, "not from this network"
    put(gateway, write_observations.replace("10.0.0.0/8", "127.0.0.0/8"))
    assert (write(scoped, *post), write(issuer.token(scope="openid"), *post), write(scoped)) == (200, 403, 200)
    assert gateway.curl("/Patient/1", other, *post).status == 403, "a route without a token"

    put(gateway, one_organization)
    tokens = {"Acme": 200, "Example": 403, "": 403}
    assert {claim: write(issuer.token(organization=claim), identity=acme) for claim in tokens} == tokens
    assert write(issuer.token(organization=["Acme", "Example"]), identity=acme) == 403
    assert write(issuer.token(), identity=acme) == 403


def test_signatures_and_rest_apis(server, backend, pki):
    gateway = Gateway(server, backend, "signed-policy.example.com", pki.ca().pem, log_format=FORMAT).create()
    add_route(gateway, "ANY /signed", AuthorizationType="AWS_IAM")
    enforce(gateway, 'permit(principal, action, resource) when { context has signer && context.signer.account == "123456789012" };')
    assert send(gateway, pki.client(), *signed(gateway)).status == 200
    assert gateway.curl("/orders", pki.client()).status == 403
    put(gateway, 'permit(principal, action, resource) when { context has signer && context.signer.account == "999999999999" };')
    assert send(gateway, pki.client(), *signed(gateway)).status == 403

    rest = RestGateway(server, backend, "rest-policy.example.com", pki.ca().pem)
    rest.create()
    put(rest, 'permit(principal is Client, action, resource) when { resource.key == "GET /pets/{id}"'
              ' && context.pathParameters.hasTag("id") && context.pathParameters.getTag("id") == "a b" };')
    tag(rest, "restapis")
    assert rest.curl("/pets/a%20b", pki.client()).status == 200
    for path in ("/pets/c", "/files/a%20b"):
        refused = rest.curl(path, pki.client())
        assert refused.status == 403 and refused.json() == {"message": "Forbidden"}, refused
        assert refused.headers["x-amzn-errortype"] == "ForbiddenException"
    put(rest, "broken")
    assert "is no policy any more" in rest.rest.get_rest_api(restApiId=rest.api_id)["warnings"][0]
    assert rest.curl("/pets/a%20b", pki.client()).status == 200


def test_upgrades_and_calls_are_asked_about_too(server, pki):
    echo = Echo()
    gateway = Gateway(server, echo, "ws-policy.example.com", pki.ca().pem).create()
    enforce(gateway, 'permit(principal, action, resource) when { context.path == "/chat" && context.headers.hasTag("upgrade")'
                     ' && context.headers.getTag("upgrade") == "websocket" };')
    with upgraded(gateway, pki.client()) as connection:
        connection.send("hello")
        assert connection.recv() == "hello"
    with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
        upgraded(gateway, pki.client(), "/other")
    echo.close()

    backend = GrpcBackend()
    gateway = Gateway(server, backend, "grpc-policy.example.com", pki.ca().pem).create()
    enforce(gateway, 'permit(principal, action == Action::"POST", resource) when { context.path == "/test.Echo/Unary" };')
    tag(gateway, **{"countersign:upstream-protocol": "h2c"})
    client = GrpcClient(gateway, pki.client())
    assert client.unary(b"x")[0] == b"x"
    with pytest.raises(grpc.RpcError) as caught:
        list(client.server_stream(b"2"))
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    client.close()
    backend.close()


def test_a_policy_that_cannot_be_evaluated_has_no_say_and_is_counted(gateway, pki):
    enforce(gateway, PERMIT + '@id("sum") forbid(principal, action, resource) when { 9223372036854775807 + 1 == 0 };')
    answer = gateway.curl("/x", pki.client())
    assert answer.status == 200
    record = gateway.record(requestId=answer.headers["apigw-requestid"])
    assert record["status"] == "200" and "`sum`" in record["authorizerError"], record
    assert f'countersign_policy_errors_total{{domain="{gateway.domain}"}} 1' in metrics(gateway.server)


def test_policies_outlive_a_restart(start_server, backend, pki):
    server = start_server()
    gateway = Gateway(server, backend, "restarted.example.com", pki.ca().pem + pki.ca("partner-ca").pem).create()
    enforce(gateway, PARTNERS)
    server.stop()
    server.start()
    assert gateway.curl("/x", pki.client("partner", pki.ca("partner-ca"))).status == 200
    assert gateway.curl("/x", pki.client()).status == 403


def test_files_are_checked_without_a_server(tmp_path):
    file = tmp_path / "policy.cedar"
    for text, code, said in [
        (PARTNERS, 0, f"{file}: the policies fit"),
        ("forbid(principal, action, resource);", 0, f"{file}: warning: no policy permits anything"),
        ('permit(principal is Client, action, resource)\nwhen { principal.isuer == "" };', 1, f"{file}:2:8: error: "),
    ]:
        file.write_text(text)
        done = run_binary("policy", "check", file, check=False)
        assert done.returncode == code and done.stdout.startswith(said), done
        assert len(json.loads(run_binary("policy", "check", file, "--json", check=False).stdout)["errors"]) == code
    assert run_binary("policy", "check", tmp_path / "none", check=False).returncode == 2
    assert "entity Client {" in run_binary("policy", "schema").stdout
    for example in EXAMPLES:
        file.write_text(example)
        assert run_binary("policy", "check", file).stdout == f"{file}: the policies fit\n"
