"""Lambda functions behind the gateway: called through the Invoke API, told of requests and answering as on AWS."""

import base64
import json
import re
import signal
import threading

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from aws_cli import AwsCli
from functions import ARN, FunctionError, Functions, Status, invocations, server_calling
from gateway import LOG_FORMAT, Gateway, curl
from issuer import Issuer
from server import Server, eventually

FORMAT = json.dumps(json.loads(LOG_FORMAT) | {
    "integrationError": "$context.integration.error",
    "integrationErrorMessage": "$context.integrationErrorMessage",
    "integrationStatus": "$context.integrationStatus",
    "functionStatus": "$context.integration.status",
    "invocation": "$context.integration.requestId",
    "dataProcessed": "$context.dataProcessed",
})


@pytest.fixture(scope="module")
def server(tmp_path_factory, functions):
    with server_calling(functions, tmp_path_factory.mktemp("lambda")) as started:
        yield started


@pytest.fixture(scope="module")
def gateway(server, backend, pki):
    return Gateway(server, backend, "lambda.yourcompany.com", pki.ca().pem, log_format=FORMAT).create()


@pytest.fixture(autouse=True)
def fresh(functions):
    functions.calls.clear()


def route(gateway, key, name, version="2.0", uri=None, authorization=None, **more):
    """A route whose requests a function answers."""
    integration = gateway.api.create_integration(
        ApiId=gateway.api_id, IntegrationType="AWS_PROXY", IntegrationUri=uri or f"{ARN}:{name}",
        PayloadFormatVersion=version, **more)["IntegrationId"]
    gateway.api.create_route(
        ApiId=gateway.api_id, RouteKey=key, Target=f"integrations/{integration}", **(authorization or {}))
    gateway.server.settle()
    return integration


def returning(gateway, functions, pki, returned, version="2.0", path=None):
    """The answer to a request whose function returns this, or raises it."""
    name = f"returning-{len(functions.handlers)}"

    def handler(event):
        if isinstance(returned, Exception):
            raise returned
        return returned

    functions[name] = handler
    route(gateway, f"ANY /{name}", name, version)
    return gateway.curl(f"/{name}", pki.client())


def test_an_event_of_format_2(gateway, functions, pki):
    route(gateway, "POST /v2/{id}", "echo")
    alice = pki.client("alice")
    answer = gateway.curl(
        "/v2/a%20b?parameter1=value1&parameter1=value2&parameter2=x%26y", alice,
        "--header", "Cookie: cookie1=1; cookie2=2", "--header", "X-Two: value1", "--header", "X-Two: value2",
        "--header", "X-Forwarded-For: 1.2.3.4", "--header", "X-SSL-Client-Verify: SUCCESS", "--header", "Content-Type: text/plain",
        "--user-agent", "agent", "--data", "Hello from Lambda")
    assert (answer.status, answer.headers["x-from"]) == (200, "function")
    [call] = functions.calls
    assert (call.path, call.function) == ("/2015-03-31/functions/echo/invocations", "echo")
    assert call.headers["content-type"] == "application/json"
    event = answer.json()
    assert event == call.event
    context = event.pop("requestContext")
    assert event == {
        "version": "2.0",
        "routeKey": "POST /v2/{id}",
        "rawPath": "/prod/v2/a%20b",
        "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=x%26y",
        "cookies": ["cookie1=1", "cookie2=2"],
        "headers": {
            "accept": "*/*", "content-length": "17", "content-type": "text/plain", "host": gateway.domain, "user-agent": "agent",
            "x-forwarded-for": "127.0.0.1", "x-forwarded-port": str(gateway.server.https_port), "x-forwarded-proto": "https",
            "x-two": "value1,value2"},
        "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "x&y"},
        "body": "Hello from Lambda",
        "pathParameters": {"id": "a b"},
        "isBase64Encoded": False,
    }
    assert re.fullmatch(r"\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} \+0000", context.pop("time"))
    assert isinstance(context.pop("timeEpoch"), int)
    record = gateway.record(requestId=answer.headers["apigw-requestid"])
    certificate = {
        "clientCertPem": alice.pem, "subjectDN": "C=US,O=Example,CN=alice", "issuerDN": record["issuerDN"],
        "serialNumber": record["serialNumber"], "validity": {"notBefore": record["notBefore"], "notAfter": record["notAfter"]}}
    assert context == {
        "accountId": "123456789012", "apiId": gateway.api_id, "authentication": {"clientCert": certificate},
        "domainName": gateway.domain, "domainPrefix": "lambda",
        "http": {
            "method": "POST", "path": "/prod/v2/a%20b", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "agent"},
        "requestId": answer.headers["apigw-requestid"], "routeKey": "POST /v2/{id}", "stage": "prod"}
    assert (record["integrationStatus"], record["functionStatus"], record["status"]) == ("200", "200", "200")
    assert record["invocation"] == "11111111-2222-3333-4444-555555555555" and record["integrationError"] == "-"


def test_an_event_of_format_1(gateway, functions, pki):
    route(gateway, "GET /v1/{proxy+}", "echo", "1.0", uri=invocations("echo"))
    alice = pki.client("alice")
    answer = gateway.curl(
        "/v1/a/b?parameter1=value1&parameter1=value2", alice, "--header", "X-Two: value1", "--header", "X-Two: value2",
        "--header", "Cookie: a=1", "--user-agent", "agent", http="2")
    event = answer.json()
    context = event.pop("requestContext")
    headers = {
        "accept": "*/*", "cookie": "a=1", "host": gateway.domain, "user-agent": "agent", "x-forwarded-for": "127.0.0.1",
        "x-forwarded-port": str(gateway.server.https_port), "x-forwarded-proto": "https", "x-two": "value2"}
    assert event == {
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()} | {"x-two": ["value1", "value2"]},
        "version": "1.0", "resource": "/v1/{proxy+}", "path": "/v1/a/b", "httpMethod": "GET",
        "queryStringParameters": {"parameter1": "value2"},
        "multiValueQueryStringParameters": {"parameter1": ["value1", "value2"]},
        "pathParameters": {"proxy": "a/b"}, "stageVariables": None, "body": None, "isBase64Encoded": False}
    assert re.fullmatch(r"\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} \+0000", context.pop("requestTime"))
    assert isinstance(context.pop("requestTimeEpoch"), int)
    request_id = answer.headers["apigw-requestid"]
    record = gateway.record(requestId=request_id)
    assert context == {
        "accountId": "123456789012", "apiId": gateway.api_id, "authorizer": {"claims": None, "scopes": None},
        "domainName": gateway.domain, "domainPrefix": "lambda", "extendedRequestId": request_id, "httpMethod": "GET",
        "identity": {
            "accessKey": None, "accountId": None, "caller": None, "cognitoAuthenticationProvider": None,
            "cognitoAuthenticationType": None, "cognitoIdentityId": None, "cognitoIdentityPoolId": None, "principalOrgId": None,
            "sourceIp": "127.0.0.1", "user": None, "userAgent": "agent", "userArn": None,
            "clientCert": {
                "clientCertPem": alice.pem, "subjectDN": "C=US,O=Example,CN=alice", "issuerDN": record["issuerDN"],
                "serialNumber": record["serialNumber"],
                "validity": {"notBefore": record["notBefore"], "notAfter": record["notAfter"]}}},
        "path": "/v1/a/b", "protocol": "HTTP/1.1", "requestId": request_id, "resourceId": None, "resourcePath": "/v1/{proxy+}",
        "stage": "prod"}


def test_payloads_are_text_or_base64(gateway, functions, pki):
    route(gateway, "POST /payload", "echo")
    route(gateway, "POST /payload1", "echo", "1.0")
    binary = bytes(range(256))
    for path in ("/payload", "/payload1"):
        for content_type, payload, is_text in (
            ("application/json", '{"a": "é"}'.encode(), True),
            ("application/fhir+json;charset=utf-8", b"{}", True),
            ("application/x-www-form-urlencoded", b"a=1", False),
            ("application/octet-stream", binary, False),
            ("text/plain", binary, False),
        ):
            file = gateway.server.base / "payload"
            file.write_bytes(payload)
            event = gateway.curl(
                path, pki.client(), "--header", f"Content-Type: {content_type}", "--data-binary", f"@{file}").json()
            assert event["isBase64Encoded"] is not is_text, content_type
            assert (event["body"].encode() if is_text else base64.b64decode(event["body"])) == payload


def test_what_a_function_returns_is_the_answer(gateway, functions, pki):
    for returned, version, status, body, content_type in (
        ("Hello from Lambda!", "2.0", 200, "Hello from Lambda!", "application/json"),
        ({"message": "Hello from Lambda!"}, "2.0", 200, '{"message": "Hello from Lambda!"}', "application/json"),
        ({"statusCode": 404, "body": "no"}, "2.0", 404, "no", "text/plain;charset=UTF-8"),
        ({"statusCode": "201", "headers": {"Content-Type": "a/b"}, "body": "aGk=", "isBase64Encoded": True}, "2.0", 201, "hi", "a/b"),
        ({"statusCode": 204}, "1.0", 204, "", None),
        ({"statusCode": 200, "headers": {"content-length": "7", "transfer-encoding": "chunked"}, "body": "abc"}, "1.0", 200, "abc",
         "text/plain;charset=UTF-8"),
    ):
        answer = returning(gateway, functions, pki, returned, version)
        assert (answer.status, answer.body, answer.headers.get("content-type")) == (status, body, content_type), returned
        assert answer.headers["apigw-requestid"]
        record = gateway.record(requestId=answer.headers["apigw-requestid"])
        assert (record["functionStatus"], record["error"], record["integrationStatus"]) == (str(status), "-", "200")


def test_cookies_and_lists_of_headers(gateway, functions, pki):
    functions["cookies"] = lambda event: {"statusCode": 200, "cookies": ["a=1; Path=/", "b=2"]}
    functions["lists"] = lambda event: {
        "statusCode": 200, "headers": {"x-a": "0"}, "multiValueHeaders": {"set-cookie": ["a=1; Path=/", "b=2"], "x-a": ["1"]}}
    route(gateway, "GET /cookies", "cookies")
    route(gateway, "GET /lists", "lists", "1.0")
    for path in ("/cookies", "/lists"):
        raw = gateway.curl(path, pki.client(), "--write-out", "%{header_json}\n%{http_code} %{http_version}")
        assert '"set-cookie":["a=1; Path=/","b=2"]' in raw.body, raw.body
    assert '"x-a":["0","1"]' in raw.body


def test_a_head_request_and_many_on_one_connection(gateway, functions, pki):
    route(gateway, "ANY /many", "echo")
    for http in ("1.1", "2"):
        assert gateway.curl("/many", pki.client(), "--head", http=http).status == 200
        assert gateway.curl("/nowhere/at/all", None, "--head", http=http).status == 403
    url = f"https://{gateway.domain}/many"
    for http in ("1.1", "2"):
        answer = gateway.curl("/many", pki.client(), "--data", "x" * 50_000, url, url, "--write-out", "%{num_connects}\n%{http_code} %{http_version}", http=http)
        assert answer.status == 200
    assert [call.event["requestContext"]["http"]["method"] for call in functions.calls][0] == "HEAD"


def test_functions_that_fail_are_500(gateway, functions, pki):
    malformed = "The response from the Lambda function doesn't match the format that API Gateway expects."
    failed = "The Lambda function returned the following error: it broke. Check your Lambda function code and try again."
    for returned, version, error in (
        (FunctionError("it broke"), "2.0", failed),
        (b"no JSON", "2.0", malformed),
        ("text", "1.0", malformed),
        ({"body": "x"}, "1.0", malformed),
        ({"statusCode": 200, "body": {}}, "2.0", malformed),
        ({"statusCode": 99}, "2.0", malformed),
        (b"x" * 6_300_000, "2.0", "the function returned more than 6 MB"),
        (Status(429), "2.0", "the Lambda endpoint throttled the call"),
        (Status(404), "2.0", "the Lambda endpoint has no such function"),
        (Status(403), "2.0", "the Lambda endpoint refused the call: the credentials of countersign.toml may not invoke the function"),
        (Status(503), "2.0", "the Lambda endpoint answered 503"),
    ):
        answer = returning(gateway, functions, pki, returned, version)
        assert (answer.status, answer.json()) == (500, {"message": "Internal Server Error"}), returned
        record = gateway.record(requestId=answer.headers["apigw-requestid"])
        assert (record["integrationError"], record["integrationErrorMessage"]) == (error, error)
        assert (record["error"], record["responseType"]) == ("Internal Server Error", "INTEGRATION_FAILURE")


def test_bounds(gateway, functions, pki):
    gate = threading.Event()

    def slow(event):
        gate.wait(60)

    functions["slow"] = slow
    route(gateway, "GET /slow", "slow", TimeoutInMillis=100)
    answer = gateway.curl("/slow", pki.client())
    gate.set()
    assert (answer.status, answer.json()) == (503, {"message": "Service Unavailable"})
    assert gateway.record(requestId=answer.headers["apigw-requestid"])["responseType"] == "INTEGRATION_TIMEOUT"
    route(gateway, "POST /large", "echo")
    file = gateway.server.base / "large"
    post = ("--header", "Content-Type: text/plain", "--header", "Expect:", "--data-binary", f"@{file}")
    functions.calls.clear()
    for content, status in ((b"x" * 4_000_000, 200), (b"x" * 6_300_000, 413), (b'"' * 4_000_000, 413)):
        file.write_bytes(content)
        answer = gateway.curl("/large", pki.client(), *post, http="1.1")
        assert answer.status == status
    assert len(functions.calls) == 1 and len(functions.calls[0].event["body"]) == 4_000_000


def test_parameter_mapping_and_stage_variables(gateway, functions, pki):
    functions["moved"] = lambda event: {"statusCode": 404, "headers": {"x-a": "b"}, "body": json.dumps(event)}
    route(
        gateway, "GET /mapped", "moved", uri=f"{ARN}:${{stageVariables.fn}}", RequestParameters={
            "overwrite:header.x-dn": "$context.identity.clientCert.subjectDN", "append:querystring.q": "$request.header.x-q",
            "overwrite:path": "/other"},
        ResponseParameters={"404": {"overwrite:statuscode": "200", "append:header.x-was": "404"}})
    gateway.api.update_stage(ApiId=gateway.api_id, StageName="prod", StageVariables={"fn": "moved"})
    gateway.server.settle()
    answer = gateway.curl("/mapped", pki.client("alice"), "--header", "x-q: 1", "--header", "x-dn: root")
    event = answer.json()
    assert (answer.status, answer.headers["x-was"]) == (200, "404")
    assert event["headers"]["x-dn"] == "C=US,O=Example,CN=alice"
    assert (event["rawPath"], event["rawQueryString"]) == ("/other", "q=1")
    assert event["stageVariables"] == {"fn": "moved"}
    record = gateway.record(requestId=answer.headers["apigw-requestid"])
    assert (record["functionStatus"], record["status"]) == ("404", "200")


def test_events_name_who_was_authorized(gateway, functions, pki):
    issuer = Issuer()
    authorizer = gateway.api.create_authorizer(
        ApiId=gateway.api_id, Name="tokens", AuthorizerType="JWT", IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Issuer": issuer.url, "Audience": ["api"]})["AuthorizerId"]
    guard = {"AuthorizationType": "JWT", "AuthorizerId": authorizer, "AuthorizationScopes": ["read", "admin"]}
    for key, version in (("GET /jwt2", "2.0"), ("GET /jwt1", "1.0")):
        route(gateway, key, "echo", version, authorization=guard)
        token = issuer.token(scope="read write", roles=["a", "b"])
        event = gateway.curl(key.split()[1], pki.client(), "--header", f"Authorization: Bearer {token}").json()
        told = event["requestContext"]["authorizer"]
        told = told["jwt"] if version == "2.0" else told
        assert told["scopes"] == ["read"]
        assert (told["claims"]["sub"], told["claims"]["aud"], told["claims"]["roles"]) == ("alice", "api", "[a b]")
        assert told["claims"]["exp"].isdigit()
    issuer.close()


def test_an_api_by_quick_create_answers_at_its_root(server, functions, pki):
    api = server.client("apigatewayv2")
    made = api.create_api(Name="quick", ProtocolType="HTTP", Target=f"{ARN}:echo")
    [integration] = api.get_integrations(ApiId=made["ApiId"])["Items"]
    assert (integration["IntegrationType"], integration["IntegrationMethod"]) == ("AWS_PROXY", "POST")
    assert (integration["PayloadFormatVersion"], integration["IntegrationUri"]) == ("2.0", f"{ARN}:echo")
    server.settle()
    host = f"{made['ApiId']}.execute-api.us-east-1.localhost"
    event = curl(server, f"https://{host}:{server.https_port}/my/path").json()
    assert (event["rawPath"], event["routeKey"], event["requestContext"]["stage"]) == ("/my/path", "$default", "$default")
    assert "authentication" not in event["requestContext"] and "pathParameters" not in event
    api.update_api(ApiId=made["ApiId"], Target="http://127.0.0.1:1/x")
    [integration] = api.get_integrations(ApiId=made["ApiId"])["Items"]
    assert (integration["IntegrationType"], integration["PayloadFormatVersion"]) == ("HTTP_PROXY", "1.0")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_aws_cli_sets_it_up(server, version):
    aws = AwsCli(server, version)
    api_id = aws("apigatewayv2", "create-api", "--name", "cli", "--protocol-type", "HTTP")["ApiId"]
    of_api = ("--api-id", api_id)
    made = aws(
        "apigatewayv2", "create-integration", *of_api, "--integration-type", "AWS_PROXY", "--integration-uri",
        f"{ARN}:echo:live", "--payload-format-version", "2.0")
    assert made == {
        "ConnectionType": "INTERNET", "IntegrationId": made["IntegrationId"], "IntegrationMethod": "POST",
        "IntegrationType": "AWS_PROXY", "IntegrationUri": f"{ARN}:echo:live", "PayloadFormatVersion": "2.0",
        "TimeoutInMillis": 30000}
    updated = aws(
        "apigatewayv2", "update-integration", *of_api, "--integration-id", made["IntegrationId"], "--integration-uri",
        invocations("echo"), "--payload-format-version", "1.0")
    assert (updated["IntegrationUri"], updated["PayloadFormatVersion"]) == (invocations("echo"), "1.0")


def test_what_cannot_be_called_is_refused_when_it_is_set(gateway):
    good = {"ApiId": gateway.api_id, "IntegrationType": "AWS_PROXY", "IntegrationUri": f"{ARN}:echo", "PayloadFormatVersion": "2.0"}
    for wrong, message in (
        ({"IntegrationUri": "http://127.0.0.1/"}, "Invalid function ARN or invalid uri"),
        ({"IntegrationUri": f"{ARN}:a/b"}, "Invalid function ARN or invalid uri"),
        ({"PayloadFormatVersion": "3.0"}, "other than 1.0 and 2.0"),
        ({"IntegrationSubtype": "SQS-SendMessage"}, "not available in Countersign"),
        ({"CredentialsArn": "arn:aws:iam::123456789012:role/x"}, "credentials of countersign.toml"),
        ({"TlsConfig": {"ServerNameToVerify": "x"}}, "not supported for AWS_PROXY"),
        ({"IntegrationType": "AWS"}, "not available in Countersign"),
        ({"IntegrationType": "HTTP_PROXY"}, "Invalid HTTP endpoint"),
    ):
        with pytest.raises(ClientError, match=message):
            gateway.api.create_integration(**(good | wrong))
    made = gateway.api.create_integration(**good)["IntegrationId"]
    with pytest.raises(ClientError, match="Invalid HTTP endpoint"):
        gateway.api.update_integration(ApiId=gateway.api_id, IntegrationId=made, IntegrationType="HTTP_PROXY")


def test_signed_calls_and_a_configuration_that_is_read_again(tmp_path, backend, pki):
    runtime = Functions(Credentials("AKIDLAMBDA", "wJalrXUtnFEMI/K7MDENG", "session/token=="))
    runtime["hello"] = lambda event: "hello"
    config, keys = tmp_path / "countersign.toml", tmp_path / "keys"
    config.write_text("")
    server = Server(tmp_path / "server", "--config", config).start()
    gateway = Gateway(server, backend, "signed.yourcompany.com", pki.ca().pem, log_format=FORMAT).create()
    route(gateway, "GET /hello", "hello", uri=f"{ARN}:hello:live")

    def read_again(text, said="configuration read again"):
        config.write_text(text)
        before = server.stderr().count(said)
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: server.stderr().count(said) > before, what=said)

    def error():
        answer = gateway.curl("/hello", pki.client())
        assert (answer.status, answer.json()) == (500, {"message": "Internal Server Error"})
        return gateway.record(requestId=answer.headers["apigw-requestid"])["integrationError"]

    assert error() == "there is no Lambda endpoint: set lambda.endpoint in countersign.toml"
    endpoint = f'[lambda]\nendpoint = "{runtime.url}"\n'
    read_again(endpoint)
    assert error().startswith("the Lambda endpoint refused the call")
    keys.write_text("[default]\naws_access_key_id = AKIDLAMBDA\naws_secret_access_key = wrong\n")
    read_again(f'{endpoint}credentials_file = "keys"\n')
    assert error().startswith("the Lambda endpoint refused the call")
    read_again(f'{endpoint}credentials_file = "keys"\nprofile = "none"\n', "the configuration stays as it was")
    keys.write_text(
        "[default]\naws_access_key_id = AKIDLAMBDA\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG\n"
        "aws_session_token = session/token==\n")
    read_again(f'{endpoint}credentials_file = "keys"\n')
    answer = gateway.curl("/hello", pki.client())
    assert (answer.status, answer.body) == (200, "hello")
    # By its whole ARN, which AWS takes.
    assert runtime.calls[-1].function == f"{ARN}:hello:live"
    read_again('[lambda]\nendpoint = "http://127.0.0.1:1/2015-03-31/functions/function/invocations"\n')
    assert error() == "the Lambda endpoint cannot be called: the backend refused the connection"
    runtime.close()
    assert "wJalr" not in server.stderr() and "session/token" not in server.stderr()
    server.stop()
