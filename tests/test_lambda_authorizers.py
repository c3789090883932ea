"""Lambda functions that decide who may call a route: what they are told, what they answer, and for how long it holds."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from aws_cli import AwsCli
from functions import ARN, FunctionError, invocations, server_calling
from gateway import LOG_FORMAT, Gateway
from server import eventually

AUTHORIZATION = "$request.header.Authorization"
FORMAT = json.dumps(json.loads(LOG_FORMAT) | {
    "authorizerError": "$context.authorizer.error",
    "principal": "$context.authorizer.principalId",
    "tenant": "$context.authorizer.tenant",
    "roles": "$context.authorizer.roles",
})


@pytest.fixture(scope="module")
def server(tmp_path_factory, functions):
    with server_calling(functions, tmp_path_factory.mktemp("authorizers")) as started:
        yield started


@pytest.fixture(scope="module")
def gateway(server, backend, pki):
    gateway = Gateway(server, backend, "asked.yourcompany.com", pki.ca().pem, log_format=FORMAT).create()
    gateway.echo = gateway.api.create_integration(
        ApiId=gateway.api_id, IntegrationType="AWS_PROXY", IntegrationUri=f"{ARN}:echo", PayloadFormatVersion="2.0")["IntegrationId"]
    return gateway


@pytest.fixture(autouse=True)
def fresh(functions, gateway):
    """No test sees what another has called; an API has room for ten authorizers."""
    functions.calls.clear()
    yield
    for route in gateway.api.get_routes(ApiId=gateway.api_id)["Items"]:
        if route["AuthorizationType"] == "CUSTOM":
            gateway.api.delete_route(ApiId=gateway.api_id, RouteId=route["RouteId"])
    for authorizer in gateway.api.get_authorizers(ApiId=gateway.api_id)["Items"]:
        gateway.api.delete_authorizer(ApiId=gateway.api_id, AuthorizerId=authorizer["AuthorizerId"])


def guard(gateway, functions, key, answer, version="2.0", simple=True, sources=(AUTHORIZATION,), ttl=0, integration=None):
    """A route that a function guards; `answer(event)` is what that says."""
    name = f"guard-{len(functions.handlers)}"
    functions[name] = answer
    more = {"EnableSimpleResponses": simple} if version == "2.0" else {}
    authorizer = gateway.api.create_authorizer(
        ApiId=gateway.api_id, Name=name, AuthorizerType="REQUEST", AuthorizerUri=invocations(name), IdentitySource=list(sources),
        AuthorizerPayloadFormatVersion=version, AuthorizerResultTtlInSeconds=ttl, **more)["AuthorizerId"]
    add_route(gateway, key, authorizer, integration)
    return name, authorizer


def add_route(gateway, key, authorizer, integration=None):
    gateway.api.create_route(
        ApiId=gateway.api_id, RouteKey=key, Target=f"integrations/{integration or gateway.echo}", AuthorizationType="CUSTOM",
        AuthorizerId=authorizer)
    gateway.server.settle()


def asked(functions, name):
    return [call.event for call in functions.calls if call.function == name]


def call(gateway, path, identity, token="secretToken", *args):
    header = ["--header", f"Authorization: {token}"] if token is not None else []
    return gateway.curl(path, identity, *header, *args)


def policy(effect, resource, principal="abcdef", **context):
    return {
        "principalId": principal,
        "policyDocument": {
            "Version": "2012-10-17", "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}]},
        "context": context}


def simple(event):
    return {
        "isAuthorized": event["headers"]["authorization"] == "secretToken",
        "context": {"tenant": "acme", "number": 1, "flag": True, "roles": ["a", "b"], "map": {"value1": "value2"}}}


def test_a_simple_answer_and_its_event(gateway, functions, pki, backend):
    name, _ = guard(gateway, functions, "GET /simple/{id}", simple, sources=(AUTHORIZATION, "$request.querystring.q"))
    alice = pki.client("alice")
    answer = call(gateway, "/simple/7?q=123", alice, "secretToken", "--header", "Cookie: a=1; b=2", "--user-agent", "agent")
    assert answer.status == 200
    [event] = asked(functions, name)
    context = event.pop("requestContext")
    record = gateway.record(requestId=answer.headers["apigw-requestid"])
    assert event == {
        "version": "2.0", "type": "REQUEST",
        "routeArn": f"arn:aws:execute-api:us-east-1:123456789012:{gateway.api_id}/prod/GET/simple/7",
        "identitySource": ["secretToken", "123"], "routeKey": "GET /simple/{id}", "rawPath": "/prod/simple/7",
        "rawQueryString": "q=123", "cookies": ["a=1", "b=2"],
        "headers": {
            "accept": "*/*", "authorization": "secretToken", "host": gateway.domain, "user-agent": "agent",
            "x-forwarded-for": "127.0.0.1", "x-forwarded-port": str(gateway.server.https_port), "x-forwarded-proto": "https"},
        "queryStringParameters": {"q": "123"}, "pathParameters": {"id": "7"}}
    assert context.pop("time") and context.pop("timeEpoch")
    assert context == {
        "accountId": "123456789012", "apiId": gateway.api_id,
        "authentication": {"clientCert": {
            "clientCertPem": alice.pem, "subjectDN": "C=US,O=Example,CN=alice", "issuerDN": record["issuerDN"],
            "serialNumber": record["serialNumber"],
            "validity": {"notBefore": record["notBefore"], "notAfter": record["notAfter"]}}},
        "domainName": gateway.domain, "domainPrefix": "asked",
        "http": {
            "method": "GET", "path": "/prod/simple/7", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "agent"},
        "requestId": answer.headers["apigw-requestid"], "routeKey": "GET /simple/{id}", "stage": "prod"}
    # What it found goes on: into the next function's event, and into the log.
    told = answer.json()["requestContext"]["authorizer"]
    assert told == {"lambda": simple({"headers": {"authorization": ""}})["context"]}
    assert (record["tenant"], record["roles"], record["authorizerError"]) == ("acme", '["a","b"]', "-")
    functions.calls.clear()
    denied = call(gateway, "/simple/7?q=123", alice, "wrong")
    assert (denied.status, denied.json()) == (403, {"message": "Forbidden"})
    assert asked(functions, "echo") == []
    record = gateway.record(requestId=denied.headers["apigw-requestid"])
    assert (record["authorizerError"], record["responseType"]) == ("the authorizer denied the request", "ACCESS_DENIED")


def test_who_lacks_an_identity_source_is_not_asked_about(gateway, functions, pki):
    name, _ = guard(gateway, functions, "GET /sources", simple, sources=(AUTHORIZATION, "$request.querystring.q", "$context.httpMethod"))
    for path, token in (("/sources?q=1", None), ("/sources", "secretToken"), ("/sources?q=", "secretToken"), ("/sources?Q=1", "secretToken")):
        answer = call(gateway, path, pki.client(), token)
        assert (answer.status, answer.json()) == (401, {"message": "Unauthorized"}), path
        assert gateway.record(requestId=answer.headers["apigw-requestid"])["authorizerError"] == "the request does not have all identity sources"
    assert asked(functions, name) == []
    assert call(gateway, "/sources?q=1", pki.client()).status == 200
    assert asked(functions, name)[0]["identitySource"] == ["secretToken", "1", "GET"]


def test_a_policy_and_the_event_of_format_1(gateway, functions, pki):
    name, _ = guard(
        gateway, functions, "ANY /policy/{proxy+}",
        lambda event: policy("Allow", event["methodArn"].replace("/GET/", "/*/").replace("/a", "/*"), tenant="acme"), "1.0",
        sources=(AUTHORIZATION, "$request.header.x-user"), ttl=300)
    answer = call(gateway, "/policy/a?q=1", pki.client(), "secretToken", "--header", "x-user: 7")
    assert answer.status == 200
    [event] = asked(functions, name)
    context = event.pop("requestContext")
    wanted = {
        "version": "1.0", "type": "REQUEST",
        "methodArn": f"arn:aws:execute-api:us-east-1:123456789012:{gateway.api_id}/prod/GET/policy/a",
        "identitySource": "secretToken,7", "authorizationToken": "secretToken,7", "resource": "/policy/{proxy+}", "path": "/policy/a",
        "httpMethod": "GET", "queryStringParameters": {"q": "1"}, "pathParameters": {"proxy": "a"}}
    assert {name: event[name] for name in wanted} == wanted
    assert event["headers"]["authorization"] == "secretToken"
    assert context["identity"]["clientCert"]["subjectDN"] == "C=US,O=Example,CN=client" and context["identity"]["sourceIp"] == "127.0.0.1"
    assert (context["path"], context["stage"], context["resourcePath"]) == ("/policy/a", "prod", "/policy/{proxy+}")
    assert "authorizer" not in context
    assert answer.json()["requestContext"]["authorizer"] == {"lambda": {"tenant": "acme"}}
    record = gateway.record(requestId=answer.headers["apigw-requestid"])
    assert (record["principal"], record["tenant"]) == ("abcdef", "acme")


def test_a_remembered_policy_is_held_against_each_route(gateway, functions, pki):
    def answer(event):
        return policy("Allow", event["routeArn"].rpartition("/")[0] + "/first")

    name, authorizer = guard(gateway, functions, "GET /first", answer, simple=False, ttl=300)
    add_route(gateway, "GET /second", authorizer)
    for _ in range(10):
        assert [call(gateway, path, pki.client()).status for path in ("/first", "/second")] == [200, 403]
    # Each core remembers for itself.
    assert len(asked(functions, name)) < 20
    both, authorizer = guard(
        gateway, functions, "GET /third", lambda event: policy("Allow", event["routeArn"]), simple=False, ttl=300,
        sources=(AUTHORIZATION, "$context.routeKey"))
    add_route(gateway, "GET /fourth", authorizer)
    assert [call(gateway, path, pki.client()).status for path in ("/third", "/fourth", "/third")] == [200, 200, 200]
    assert {event["routeKey"] for event in asked(functions, both)} == {"GET /third", "GET /fourth"}


def test_what_was_said_is_forgotten_on_demand(gateway, functions, pki):
    name, _ = guard(gateway, functions, "GET /forgotten", simple, ttl=300)

    def times(count):
        functions.calls.clear()
        assert {call(gateway, "/forgotten", pki.client()).status for _ in range(count)} == {200}
        return len(asked(functions, name))

    while times(8):
        pass
    gateway.api.reset_authorizers_cache(ApiId=gateway.api_id, StageName="prod")
    assert times(1) == 1
    with pytest.raises(ClientError, match="NotFoundException"):
        gateway.api.reset_authorizers_cache(ApiId=gateway.api_id, StageName="none")


def test_denials_outweigh_and_what_is_not_understood_is_500(gateway, functions, pki):
    allow = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*"}
    answers = {
        "both": ([allow, allow | {"Effect": "Deny"}], 403),
        "none": ([], 403),
        "other": ([allow | {"Action": "s3:GetObject"}], 403),
        "condition": ([allow | {"Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}}], 500),
        "large": ([allow | {"Resource": "x" * 9000}], 500),
    }

    def answer(event):
        return {"policyDocument": {"Version": "2012-10-17", "Statement": answers[event["identitySource"][0]][0]}}

    guard(gateway, functions, "GET /statements", answer, simple=False)
    for token, (_, status) in answers.items():
        assert call(gateway, "/statements", pki.client(), token).status == status, token


def test_an_authorizer_that_fails_is_500(gateway, functions, pki):
    def broken(event):
        raise FunctionError("it broke")

    failed = "The Lambda function returned the following error: it broke. Check your Lambda function code and try again."
    malformed = "the authorizer's answer does not have the form that API Gateway expects"
    for number, (answer, error) in enumerate((
        (broken, failed),
        (lambda event: "yes", malformed),
        (lambda event: {"isAuthorized": "true"}, malformed),
        (lambda event: policy("Allow", "*"), malformed),
        (lambda event: b"no JSON", malformed),
    )):
        name, _ = guard(gateway, functions, f"GET /fails{number}", answer, ttl=300)
        for _ in range(2):
            denied = call(gateway, f"/fails{number}", pki.client())
            assert (denied.status, denied.json()) == (500, {"message": "Internal Server Error"})
            record = gateway.record(requestId=denied.headers["apigw-requestid"])
            assert (record["authorizerError"], record["responseType"]) == (error, "AUTHORIZER_CONFIGURATION_ERROR")
        # Nothing of it is remembered.
        assert len(asked(functions, name)) == 2


def test_answers_are_remembered_by_identity_and_certificate(gateway, functions, pki):
    name, authorizer = guard(gateway, functions, "GET /remembered", simple, ttl=3600)
    add_route(gateway, "GET /also", authorizer)
    alice, eve = pki.client("alice"), pki.client("eve")

    def calls(path, identity, token):
        """How often the function is asked for many requests: each core remembers for itself."""
        functions.calls.clear()
        statuses = {call(gateway, path, identity, token).status for _ in range(12)}
        assert statuses == {200 if token == "secretToken" else 403}
        return len(asked(functions, name))

    cores = 2 * calls("/remembered", alice, "secretToken")
    assert 2 <= cores <= 16
    assert calls("/also", alice, "secretToken") < 12
    assert 1 <= calls("/remembered", alice, "wrong") < 12, "denials too"
    # Another certificate is another client, though it shows the same token.
    assert calls("/remembered", eve, "secretToken") >= 1
    every, _ = guard(gateway, functions, "GET /every", simple, ttl=0)
    for _ in range(3):
        assert call(gateway, "/every", alice).status == 200
    assert len(asked(functions, every)) == 3


def test_a_time_to_live_ends(gateway, functions, pki):
    name, _ = guard(gateway, functions, "GET /short", simple, ttl=1)
    assert call(gateway, "/short", pki.client()).status == 200
    eventually(lambda: call(gateway, "/short", pki.client()).status == 200 and len(asked(functions, name)) >= 4)


def test_requests_at_a_time_share_an_answer(gateway, functions, pki):
    gate = threading.Event()

    def slow(event):
        gate.wait(30)
        return {"isAuthorized": True}

    name, _ = guard(gateway, functions, "GET /together", slow, ttl=300)
    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(call, gateway, "/together", pki.client()) for _ in range(12)]
        eventually(lambda: asked(functions, name))
        gate.set()
        assert {answer.result().status for answer in answers} == {200}
    assert len(asked(functions, name)) < 12


def test_what_an_authorizer_found_can_be_mapped(gateway, functions, pki, backend):
    integration = gateway.api.create_integration(
        ApiId=gateway.api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", PayloadFormatVersion="1.0",
        IntegrationUri=f"{backend.url}/mapped", RequestParameters={"overwrite:header.x-tenant": "$context.authorizer.tenant"})["IntegrationId"]
    guard(gateway, functions, "GET /mapped", simple, integration=integration)
    assert call(gateway, "/mapped", pki.client(), "secretToken", "--header", "x-tenant: root", "--header", "x_tenant: root").status == 200
    [seen] = backend.seen
    assert seen.header("x-tenant") == ["acme"] and seen.header("x_tenant") == []


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_aws_cli_sets_it_up(server, version):
    aws = AwsCli(server, version)
    api_id = aws("apigatewayv2", "create-api", "--name", "cli", "--protocol-type", "HTTP")["ApiId"]
    made = aws(
        "apigatewayv2", "create-authorizer", "--api-id", api_id, "--authorizer-type", "REQUEST", "--identity-source", AUTHORIZATION,
        "--name", "lambda-authorizer", "--authorizer-uri", invocations("my-function"), "--authorizer-payload-format-version", "2.0",
        "--enable-simple-responses")
    authorizer = made["AuthorizerId"]
    assert made == {
        "AuthorizerId": authorizer, "AuthorizerType": "REQUEST", "IdentitySource": [AUTHORIZATION], "Name": "lambda-authorizer",
        "AuthorizerUri": invocations("my-function"), "AuthorizerPayloadFormatVersion": "2.0", "EnableSimpleResponses": True,
        "AuthorizerResultTtlInSeconds": 0}
    of = ("--api-id", api_id, "--authorizer-id", authorizer)
    changed = aws("apigatewayv2", "update-authorizer", *of, "--authorizer-result-ttl-in-seconds", "300", "--no-enable-simple-responses")
    assert (changed["AuthorizerResultTtlInSeconds"], changed["EnableSimpleResponses"]) == (300, False)
    assert aws("apigatewayv2", "get-authorizer", *of) == changed
    route = aws(
        "apigatewayv2", "create-route", "--api-id", api_id, "--route-key", "GET /x", "--authorization-type", "CUSTOM",
        "--authorizer-id", authorizer)
    assert (route["AuthorizationType"], route["AuthorizerId"]) == ("CUSTOM", authorizer)


def test_what_is_not_served_is_refused_when_it_is_set(gateway):
    good = {
        "ApiId": gateway.api_id, "Name": "x", "AuthorizerType": "REQUEST", "IdentitySource": [AUTHORIZATION],
        "AuthorizerUri": invocations("x"), "AuthorizerPayloadFormatVersion": "2.0"}
    for wrong, message in (
        ({"AuthorizerUri": "http://127.0.0.1/"}, "Invalid function ARN or invalid uri"),
        ({"AuthorizerPayloadFormatVersion": "3.0"}, "AuthorizerPayloadFormatVersion is a required parameter"),
        ({"AuthorizerPayloadFormatVersion": "1.0", "EnableSimpleResponses": True}, "2.0 only"),
        ({"AuthorizerResultTtlInSeconds": 3601}, "less than or equal to 3600"),
        ({"AuthorizerResultTtlInSeconds": 60, "IdentitySource": []}, "at least one identitySource"),
        ({"IdentitySource": ["$request.body.x"]}, "Invalid mapping expression"),
        ({"IdentitySource": ["$context.authorizer.x"]}, "Invalid mapping expression"),
        ({"IdentitySource": ["Authorization"]}, "Invalid mapping expression"),
        ({"JwtConfiguration": {"Issuer": "https://a.example", "Audience": ["a"]}}, "not supported for REQUEST"),
        ({"AuthorizerCredentialsArn": "arn:aws:iam::123456789012:role/x"}, "credentials of countersign.toml"),
    ):
        with pytest.raises(ClientError, match=message):
            gateway.api.create_authorizer(**(good | wrong))
    for left_out in ("AuthorizerUri", "AuthorizerPayloadFormatVersion"):
        with pytest.raises(ClientError, match="(is|is a) required"):
            gateway.api.create_authorizer(**{name: value for name, value in good.items() if name != left_out})
    made = gateway.api.create_authorizer(**(good | {"IdentitySource": []}))["AuthorizerId"]
    with pytest.raises(ClientError, match="cannot be changed"):
        gateway.api.update_authorizer(ApiId=gateway.api_id, AuthorizerId=made, AuthorizerType="JWT")
