"""Lambda functions that decide who may call the methods of a REST API: TOKEN and REQUEST authorizers, as on AWS."""

import json

import pytest
from botocore.exceptions import ClientError

from aws_cli import AwsCli
from functions import ARN, FunctionError, invocations, server_calling
from rest_gateway import RestGateway, patches

AUTHORIZATION = "method.request.header.Authorization"
UNAUTHORIZED = (401, '{"message":"Unauthorized"}')
DENIED = (403, '{"Message":"User is not authorized to access this resource with an explicit deny in an identity-based policy"}')
NOT_ALLOWED = (403, '{"Message":"User is not authorized to access this resource"}')
BROKEN = (500, '{"message":null}')
FORM = "the authorizer's answer does not have the form that API Gateway expects"


@pytest.fixture(scope="module")
def server(tmp_path_factory, functions):
    with server_calling(functions, tmp_path_factory.mktemp("rest-authorizers")) as started:
        yield started


@pytest.fixture
def rest(server, functions, backend, pki):
    """An API of its own for each test: an API has room for ten authorizers."""
    functions.calls.clear()
    name = f"a{len(functions.handlers)}.yourcompany.com"
    functions[name] = None
    return RestGateway(server, backend, name, pki.ca().pem).create()


def authorizer(rest, functions, answer, kind="TOKEN", source=AUTHORIZATION, ttl=0, **more):
    """An authorizer; `answer(event)` is what its function says. Answers the function's name, and what a method names."""
    name = f"guard-{len(functions.handlers)}"
    functions[name] = answer
    identity = {"identitySource": source} if source else {}
    made = rest.rest.create_authorizer(
        restApiId=rest.api_id, name=name, type=kind, authorizerUri=invocations(name), authorizerResultTtlInSeconds=ttl,
        **identity, **more)
    return name, {"authorizationType": "CUSTOM", "authorizerId": made["id"]}


def asked(functions, name):
    return [call.event for call in functions.calls if call.function == name]


def call(rest, path, identity, token="secretToken", *args):
    header = ["--header", f"Authorization: {token}"] if token is not None else []
    return rest.curl(path, identity, *header, *args)


def told(answer):
    return answer.status, answer.body


def policy(effect, resource, principal="user", **context):
    return {
        "principalId": principal,
        "policyDocument": {
            "Version": "2012-10-17", "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}]},
        "context": context}


def test_a_token_is_asked_about(rest, functions, backend, pki):
    def answer(event):
        match event["authorizationToken"]:
            case "Bearer allow":
                return policy("Allow", event["methodArn"], tenant="acme", number=1, flag=True)
            case "Bearer deny":
                return policy("Deny", event["methodArn"])
            case "Bearer other":
                return policy("Allow", event["methodArn"] + "/other")
            case "Bearer unauthorized":
                raise FunctionError("Unauthorized")
        raise FunctionError("it broke")

    name, guard = authorizer(rest, functions, answer, identityValidationExpression="Bearer [a-z]+")
    rest.add_function("token/{id}", "GET", "echo", **guard)
    rest.add("mapped", "GET", f"{backend.url}/mapped", {
        "integration.request.header.x-tenant": "context.authorizer.tenant",
        "integration.request.header.x-principal": "context.authorizer.principalId"}, **guard)
    rest.deploy()
    allowed = call(rest, "/token/7?q=1", pki.client(), "Bearer allow")
    assert allowed.status == 200
    assert asked(functions, name) == [{
        "type": "TOKEN", "authorizationToken": "Bearer allow",
        "methodArn": f"arn:aws:execute-api:us-east-1:123456789012:{rest.api_id}/prod/GET/token/7"}]
    wanted = {"principalId": "user", "tenant": "acme", "number": "1", "flag": "true"}
    assert allowed.json()["requestContext"]["authorizer"] == wanted
    backend.clear()
    assert call(rest, "/mapped", pki.client(), "Bearer allow", "--header", "x-tenant: root").status == 200
    assert (backend.seen[0].header("x-tenant"), backend.seen[0].header("x-principal")) == (["acme"], ["user"])
    functions.calls.clear()
    for token, answer in ((None, UNAUTHORIZED), ("", UNAUTHORIZED), ("Basic allow", UNAUTHORIZED), ("Bearer allow2", UNAUTHORIZED)):
        assert told(call(rest, "/token/7", pki.client(), token)) == answer, token
    assert functions.calls == []
    for token, answer, kind, response_type in (
        ("Bearer unauthorized", UNAUTHORIZED, "UnauthorizedException", "UNAUTHORIZED"),
        ("Bearer deny", DENIED, "AccessDeniedException", "ACCESS_DENIED"),
        ("Bearer other", NOT_ALLOWED, "AccessDeniedException", "ACCESS_DENIED"),
        ("Bearer broken", BROKEN, "AuthorizerConfigurationException", "AUTHORIZER_CONFIGURATION_ERROR"),
    ):
        refused = call(rest, "/token/7", pki.client(), token)
        assert (told(refused), refused.headers["x-amzn-errortype"]) == (answer, kind)
        assert rest.record(requestId=refused.headers["x-amzn-requestid"])["error.responseType"] == response_type
    assert asked(functions, "echo") == []


def test_a_request_is_asked_about(rest, functions, pki):
    name, guard = authorizer(
        rest, functions, lambda event: policy("Allow", event["methodArn"]), "REQUEST",
        f"{AUTHORIZATION}, method.request.querystring.q, stageVariables.env, context.identity.sourceIp")
    rest.add_function("asked/{id}", "ANY", "echo", **guard)
    rest.deploy()
    assert told(call(rest, "/asked/7?q=1", pki.client())) == UNAUTHORIZED, "there is no stage variable yet"
    rest.patch_stage(("replace", "/variables/env", "test"))
    for path, token in (("/asked/7", "secretToken"), ("/asked/7?q=", "secretToken"), ("/asked/7?q=1", None)):
        assert told(call(rest, path, pki.client(), token)) == UNAUTHORIZED, path
    assert functions.calls == []
    assert call(rest, "/asked/7?q=1", pki.client("alice"), "secretToken", "--data", "payload").status == 200
    [event] = asked(functions, name)
    context = event.pop("requestContext")
    wanted = {
        "type": "REQUEST", "methodArn": f"arn:aws:execute-api:us-east-1:123456789012:{rest.api_id}/prod/POST/asked/7",
        "resource": "/asked/{id}", "path": "/asked/7", "httpMethod": "POST", "queryStringParameters": {"q": "1"},
        "multiValueQueryStringParameters": {"q": ["1"]}, "pathParameters": {"id": "7"}, "stageVariables": {"env": "test"}}
    assert {name: event[name] for name in wanted} == wanted
    assert set(event) == set(wanted) | {"headers", "multiValueHeaders"}
    assert event["headers"]["authorization"] == "secretToken"
    assert context["identity"]["clientCert"]["subjectDN"] == "C=US,O=Example,CN=alice"
    assert (context["resourcePath"], context["stage"]) == ("/asked/{id}", "prod") and "authorizer" not in context


def test_an_answer_is_remembered_for_its_token_and_certificate(rest, functions, pki):
    name, guard = authorizer(rest, functions, lambda event: policy("Allow", event["methodArn"].partition("/GET/")[0] + "/GET/first"), ttl=300)
    for path in ("first", "second"):
        rest.add_function(path, "GET", "echo", **guard)
    rest.deploy()
    alice, bob = pki.client("alice"), pki.client("bob")

    def times(identity, path="/first", wanted=200, count=8):
        """How often the function is asked about so many requests: each core remembers for itself."""
        functions.calls.clear()
        assert {call(rest, path, identity).status for _ in range(count)} == {wanted}
        return len(asked(functions, name))

    assert 1 <= times(alice) < 8
    assert times(alice, "/second", 403) < 8, "the same answer is held against the other method"
    while times(alice):
        pass
    assert times(bob, count=1) == 1, "another certificate is another client"
    rest.rest.flush_stage_authorizers_cache(restApiId=rest.api_id, stageName="prod")
    assert times(alice, count=1) == 1
    with pytest.raises(ClientError, match="NotFoundException"):
        rest.rest.flush_stage_authorizers_cache(restApiId=rest.api_id, stageName="none")


def test_no_spelling_of_a_path_slips_by_a_policy(rest, functions, pki):
    """What is denied stays denied however it is written, and a path with an asterisk in it allows no more than itself."""
    def answer(event):
        stage = event["methodArn"].partition("/GET/")[0]
        allowed = policy("Allow", "*")
        allowed["policyDocument"]["Statement"].append({"Action": "execute-api:Invoke", "Effect": "Deny", "Resource": f"{stage}/GET/secret"})
        return allowed

    name, guard = authorizer(rest, functions, answer)
    rest.add_function("secret", "GET", "echo", **guard)
    rest.add_function("open/{name}", "GET", "echo", **guard)
    rest.deploy()
    for path in ("/secret", "/%73ecret", "/secre%74"):
        assert told(call(rest, path, pki.client())) == DENIED, path
    for path in ("/open/*", "/open/%2A", "/open/%2a"):
        assert call(rest, path, pki.client()).status == 200
    named = [event["methodArn"].partition("/GET/")[2] for event in asked(functions, name)]
    assert named == ["secret"] * 3 + ["open/%2A"] * 3


def test_what_an_authorizer_may_not_answer(rest, functions, pki):
    allow = policy("Allow", "*")
    answers = {
        "list": allow | {"context": {"a": [1]}}, "nobody": {"policyDocument": allow["policyDocument"]}, "simple": {"isAuthorized": True},
        "none": None, "condition": policy("Allow", "*") | {"policyDocument": {"Statement": [
            {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*", "Condition": {}}]}}}
    _, guard = authorizer(rest, functions, lambda event: answers[event["authorizationToken"]])
    rest.add_function("wrong", "GET", "echo", **guard)
    rest.deploy()
    for token in answers:
        assert told(call(rest, "/wrong", pki.client(), token)) == BROKEN, token
    assert asked(functions, "echo") == []


def test_authorizers_are_deployed_and_in_use(rest, functions, pki):
    name, guard = authorizer(rest, functions, lambda event: policy("Allow", "*"))
    resource = rest.add_function("used", "GET", "echo", **guard)
    method = {"restApiId": rest.api_id, "resourceId": resource, "httpMethod": "GET"}
    of_api = {"restApiId": rest.api_id, "authorizerId": guard["authorizerId"]}
    shown = rest.rest.get_authorizer(**of_api)
    shown.pop("ResponseMetadata")
    assert shown == {
        "id": guard["authorizerId"], "name": name, "type": "TOKEN", "authType": "custom", "authorizerUri": invocations(name),
        "identitySource": AUTHORIZATION, "authorizerResultTtlInSeconds": 0}
    assert [found["id"] for found in rest.rest.get_authorizers(restApiId=rest.api_id)["items"]] == [guard["authorizerId"]]
    assert rest.rest.get_method(**method)["authorizerId"] == guard["authorizerId"]
    rest.deploy()
    with pytest.raises(ClientError, match="is referenced in method GET /used"):
        rest.rest.delete_authorizer(**of_api)
    rest.rest.update_authorizer(**of_api, patchOperations=patches(
        ("replace", "/identitySource", "method.request.header.X-Token"), ("replace", "/authorizerResultTtlInSeconds", "60")))
    assert call(rest, "/used", pki.client()).status == 200, "it is as it was deployed"
    rest.deploy()
    assert told(call(rest, "/used", pki.client())) == UNAUTHORIZED
    rest.rest.update_method(**method, patchOperations=patches(("replace", "/authorizationType", "NONE")))
    rest.rest.delete_authorizer(**of_api)
    assert told(call(rest, "/used", pki.client())) == UNAUTHORIZED, "the deployment has it still"
    rest.deploy()
    assert call(rest, "/used", pki.client(), None).status == 200
    with pytest.raises(ClientError, match="requires a valid authorizer"):
        rest.rest.update_method(**method, patchOperations=patches(
            ("replace", "/authorizationType", "CUSTOM"), ("replace", "/authorizerId", guard["authorizerId"])))


def test_what_cannot_decide_is_refused_when_it_is_set(rest):
    good = {"restApiId": rest.api_id, "name": "a", "type": "TOKEN", "authorizerUri": invocations("a"), "identitySource": AUTHORIZATION}
    for wrong, message in (
        ({"name": ""}, "Invalid name"),
        ({"authorizerUri": f"{ARN}:a"}, "Authorizer URI should be a valid API Gateway ARN"),
        ({"authorizerUri": ""}, "Authorizer URI should be a valid API Gateway ARN"),
        ({"identitySource": ""}, "needs exactly one"),
        ({"identitySource": "method.request.querystring.q"}, "needs exactly one"),
        ({"identitySource": "$request.header.Authorization"}, "Invalid mapping expression specified"),
        ({"identityValidationExpression": "("}, "Invalid identityValidationExpression"),
        ({"authorizerResultTtlInSeconds": 3601}, "between 0 and 3600"),
        ({"authorizerCredentials": "arn:aws:iam::123456789012:role/x"}, "credentials of countersign.toml"),
        ({"type": "COGNITO_USER_POOLS", "providerARNs": ["arn"]}, "not available in Countersign"),
        ({"type": "REQUEST", "identitySource": ""}, "Identity source must be set"),
        ({"type": "REQUEST", "identityValidationExpression": "a"}, "TOKEN authorizers only"),
    ):
        with pytest.raises(ClientError, match=message):
            rest.rest.create_authorizer(**(good | wrong))
    made = rest.rest.create_authorizer(**good)
    assert made["authorizerResultTtlInSeconds"] == 300
    with pytest.raises(ClientError, match="Authorizer name must be unique. Authorizer a already exists"):
        rest.rest.create_authorizer(**good)
    with pytest.raises(ClientError, match="Invalid patch path"):
        rest.rest.update_authorizer(restApiId=rest.api_id, authorizerId=made["id"], patchOperations=patches(("replace", "/x", "y")))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_aws_cli_sets_one_up(server, version):
    aws = AwsCli(server, version)
    of_api = ("--rest-api-id", aws("apigateway", "create-rest-api", "--name", "cli")["id"])
    [root] = aws("apigateway", "get-resources", *of_api)["items"]
    made = aws(
        "apigateway", "create-authorizer", *of_api, "--name", "First_Token_Custom_Authorizer", "--type", "TOKEN", "--authorizer-uri",
        invocations("customAuthFunction"), "--identity-source", AUTHORIZATION, "--authorizer-result-ttl-in-seconds", "300")
    assert (made["authType"], made["type"]) == ("custom", "TOKEN")
    method = aws(
        "apigateway", "put-method", *of_api, "--resource-id", root["id"], "--http-method", "GET", "--authorization-type", "CUSTOM",
        "--authorizer-id", made["id"])
    assert (method["authorizationType"], method["authorizerId"]) == ("CUSTOM", made["id"])
