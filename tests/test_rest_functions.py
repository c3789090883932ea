"""Lambda functions behind REST APIs (AWS_PROXY): told of requests, and answering, as on AWS's REST APIs."""

import json
import re
import threading

import pytest
from botocore.exceptions import ClientError

from aws_cli import AwsCli
from functions import ARN, FunctionError, Status, invocations, server_calling
from gateway import curl
from rest_gateway import RestGateway, patches

BAD_GATEWAY, BROKEN = (502, '{"message": "Internal server error"}'), (500, '{"message": "Internal server error"}')
MALFORMED = "The response from the Lambda function doesn't match the format that API Gateway expects."


@pytest.fixture(scope="module")
def server(tmp_path_factory, functions):
    with server_calling(functions, tmp_path_factory.mktemp("rest-functions")) as started:
        yield started


@pytest.fixture(scope="module")
def rest(server, backend, pki):
    return RestGateway(server, backend, "functions.yourcompany.com", pki.ca().pem).create()


@pytest.fixture(autouse=True)
def fresh(functions):
    functions.calls.clear()


def test_an_event_of_a_rest_api(rest, functions, pki):
    resource = rest.add_function("orders/{id}", "ANY", "echo")
    rest.deploy()
    rest.patch_stage(("replace", "/variables/env", "test"))
    alice = pki.client("alice")
    answer = rest.curl(
        "/orders/7?a=1&a=2&b=x%26y", alice, "--header", "X-Two: 1", "--header", "X-Two: 2", "--header", "X-Forwarded-For: 1.2.3.4",
        "--header", "Content-Type: application/json", "--user-agent", "agent", "--data", '{"a": 1}')
    assert (answer.status, answer.headers["x-from"], answer.headers["content-type"]) == (200, "function", "application/json")
    [call] = functions.calls
    assert (call.path, call.event) == ("/2015-03-31/functions/echo/invocations", answer.json())
    event = answer.json()
    context = event.pop("requestContext")
    headers = {
        "accept": "*/*", "content-length": "8", "content-type": "application/json", "host": rest.domain, "user-agent": "agent",
        "x-forwarded-for": "127.0.0.1", "x-forwarded-port": str(rest.server.https_port), "x-forwarded-proto": "https", "x-two": "2"}
    assert event == {
        "resource": "/orders/{id}", "path": "/orders/7", "httpMethod": "POST", "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()} | {"x-two": ["1", "2"]},
        "queryStringParameters": {"a": "2", "b": "x&y"}, "multiValueQueryStringParameters": {"a": ["1", "2"], "b": ["x&y"]},
        "pathParameters": {"id": "7"}, "stageVariables": {"env": "test"}, "body": '{"a": 1}', "isBase64Encoded": False}
    assert re.fullmatch(r"\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} \+0000", context.pop("requestTime"))
    assert isinstance(context.pop("requestTimeEpoch"), int)
    certificate = context["identity"].pop("clientCert")
    assert (certificate["clientCertPem"], certificate["subjectDN"]) == (alice.pem, "C=US,O=Example,CN=alice")
    assert set(certificate) == {"clientCertPem", "subjectDN", "issuerDN", "serialNumber", "validity"}
    nothing = ("accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType", "cognitoIdentityId",
               "cognitoIdentityPoolId", "principalOrgId", "user", "userArn")
    assert context == {
        "accountId": "123456789012", "apiId": rest.api_id, "deploymentId": rest.deployment, "domainName": rest.domain,
        "domainPrefix": "functions", "extendedRequestId": answer.headers["x-amz-apigw-id"], "httpMethod": "POST",
        "identity": {name: None for name in nothing} | {"sourceIp": "127.0.0.1", "userAgent": "agent"}, "path": "/orders/7",
        "protocol": "HTTP/1.1", "requestId": answer.headers["x-amzn-requestid"], "resourceId": resource,
        "resourcePath": "/orders/{id}", "stage": "prod"}
    own = curl(rest.server, f"https://{rest.api_id}.execute-api.us-east-1.localhost/prod/orders/7").json()
    assert (own["path"], own["requestContext"]["path"], own["body"]) == ("/orders/7", "/prod/orders/7", None)


def test_binary_media_types(rest, functions, pki):
    functions["image"] = lambda event: {
        "statusCode": 200, "headers": {"Content-Type": "image/png"}, "body": "aGk=", "isBase64Encoded": True}
    rest.add_function("image", "GET", "image")
    rest.add_function("upload", "POST", "echo")
    rest.deploy()

    def answers():
        told = [rest.curl("/upload", pki.client(), "--header", f"Content-Type: {kind}", "--data", "hi").json()
                for kind in ("image/png; q=1", "text/plain")]
        shown = [rest.curl("/image", pki.client(), "--header", f"Accept: {kind}").body for kind in ("image/png, */*", "*/*, image/png")]
        return [event["body"] for event in told], [event["isBase64Encoded"] for event in told], shown

    assert answers() == (["hi", "hi"], [False, False], ["aGk=", "aGk="])
    changed = rest.rest.update_rest_api(restApiId=rest.api_id, patchOperations=patches(
        ("add", "/binaryMediaTypes/image~1png", ""), ("add", "/binaryMediaTypes/a~1b", ""), ("remove", "/binaryMediaTypes/a~1b", "")))
    assert changed["binaryMediaTypes"] == ["image/png"]
    rest.server.settle()
    assert answers()[1] == [False, False], "it takes a deployment"
    rest.deploy()
    assert answers() == (["aGk=", "hi"], [True, False], ["hi", "aGk="])
    rest.rest.update_rest_api(restApiId=rest.api_id, patchOperations=patches(("replace", "/binaryMediaTypes/image~1png", "*/*")))
    rest.deploy()
    assert answers() == (["aGk=", "aGk="], [True, True], ["hi", "hi"])
    for wrong in ("png", "image~1", "a~1b~1c", "a~1b;q=1"):
        with pytest.raises(ClientError, match="Invalid binary media type"):
            rest.rest.update_rest_api(restApiId=rest.api_id, patchOperations=patches(("add", f"/binaryMediaTypes/{wrong}", "")))


def test_functions_that_fail(rest, functions, pki):
    cases = (
        (FunctionError("it broke"), BAD_GATEWAY, "The Lambda function returned the following error: it broke. Check your Lambda function code and try again."),
        ("text", BAD_GATEWAY, MALFORMED),
        (b"no JSON", BAD_GATEWAY, MALFORMED),
        ({"body": "x"}, BAD_GATEWAY, MALFORMED),
        ({"statusCode": 200, "body": {}}, BAD_GATEWAY, MALFORMED),
        (Status(429), BROKEN, "the Lambda endpoint throttled the call"),
        (Status(404), BROKEN, "the Lambda endpoint has no such function"),
        (Status(503), BROKEN, "the Lambda endpoint answered 503"),
    )

    def handler(event):
        returned = cases[int(event["pathParameters"]["case"])][0]
        if isinstance(returned, Exception):
            raise returned
        return returned

    functions["failing"] = handler
    gate = threading.Event()
    functions["slow"] = lambda event: gate.wait(60)
    rest.add_function("failing/{case}", "GET", "failing")
    rest.add_function("slow", "GET", "slow", timeout=100)
    rest.deploy()
    for number, (_, wanted, error) in enumerate(cases):
        answer = rest.curl(f"/failing/{number}", pki.client())
        assert (answer.status, answer.body) == wanted, error
        assert answer.headers["x-amzn-errortype"] == "InternalServerErrorException"
        record = rest.record(requestId=answer.headers["x-amzn-requestid"])
        assert (record["integration.error"], record["error.responseType"]) == (error, "INTEGRATION_FAILURE")
    slow = rest.curl("/slow", pki.client())
    gate.set()
    assert (slow.status, slow.body) == (504, '{"message": "Endpoint request timed out"}')


def test_stage_variables_name_the_function_and_keys_come_first(rest, functions, pki):
    uri = invocations("${stageVariables.fn}:${stageVariables.alias}")
    rest.add_function("named", "GET", "", uri=uri, apiKeyRequired=True)
    rest.deploy()
    rest.patch_stage(("replace", "/variables/fn", "echo"), ("replace", "/variables/alias", "live"))
    assert rest.curl("/named", pki.client()).status == 403 and functions.calls == []
    key = rest.rest.create_api_key(name="k", enabled=True)
    plan = rest.rest.create_usage_plan(name="p", apiStages=[{"apiId": rest.api_id, "stage": "prod"}])["id"]
    rest.rest.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
    rest.server.settle()
    event = rest.curl("/named", pki.client(), "--header", f"x-api-key: {key['value']}").json()
    assert event["requestContext"]["identity"]["apiKeyId"] == key["id"]
    assert functions.calls[0].path == "/2015-03-31/functions/echo/invocations?Qualifier=live"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_aws_cli_sets_it_up(server, version):
    """As AWS's walkthrough of a Lambda proxy integration types it."""
    aws = AwsCli(server, version)
    api = aws("apigateway", "create-rest-api", "--name", "cli", "--binary-media-types", "image/png")
    assert api["binaryMediaTypes"] == ["image/png"]
    of_api = ("--rest-api-id", api["id"])
    [root] = aws("apigateway", "get-resources", *of_api)["items"]
    part = aws("apigateway", "create-resource", *of_api, "--parent-id", root["id"], "--path-part", "{proxy+}")
    place = (*of_api, "--resource-id", part["id"], "--http-method", "ANY")
    aws("apigateway", "put-method", *place, "--authorization-type", "NONE")
    made = aws("apigateway", "put-integration", *place, "--type", "AWS_PROXY", "--integration-http-method", "POST", "--uri", invocations("echo"))
    assert (made["type"], made["httpMethod"], made["uri"]) == ("AWS_PROXY", "POST", invocations("echo"))
    aws("apigateway", "create-deployment", *of_api, "--stage-name", "dev")
    server.settle()
    event = curl(server, f"https://{api['id']}.execute-api.us-east-1.localhost/dev/a/b?q=1").json()
    assert (event["path"], event["pathParameters"]) == ("/a/b", {"proxy": "a/b"})


def test_what_cannot_be_called_is_refused_when_it_is_set(rest):
    place = rest.place("unset", "GET")
    rest.rest.put_method(**place, authorizationType="NONE")
    good = {"type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": invocations("echo")}
    for wrong, message in (
        ({"uri": "http://127.0.0.1/"}, "Invalid ARN specified in the request"),
        ({"uri": f"{ARN}:echo"}, "AWS ARN for integration must contain path or action"),
        ({"uri": "arn:aws:apigateway:us-east-1:sqs:path/123456789012/queue"}, "currently only supports Lambda function"),
        ({"uri": invocations("a/b")}, "Invalid lambda function"),
        ({"integrationHttpMethod": "GET"}, "other than POST"),
        ({"credentials": "arn:aws:iam::123456789012:role/x"}, "credentials of countersign.toml"),
        ({"type": "HTTP_PROXY"}, "Invalid HTTP endpoint"),
    ):
        with pytest.raises(ClientError, match=message):
            rest.rest.put_integration(**place, **(good | wrong))
    rest.rest.put_integration(**place, **good)
    with pytest.raises(ClientError, match="Invalid ARN"):
        rest.rest.update_integration(**place, patchOperations=patches(("replace", "/uri", "http://127.0.0.1/")))
    moved = rest.rest.update_integration(**place, patchOperations=patches(("replace", "/uri", invocations("moved"))))
    assert moved["uri"] == invocations("moved")
