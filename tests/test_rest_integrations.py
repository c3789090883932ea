"""Custom integrations of REST APIs (MOCK, HTTP, AWS): requests and answers made anew by parameter mapping and templates."""

import json

import pytest
from botocore.exceptions import ClientError

from functions import FunctionError, invocations, server_calling
from gateway import curl
from rest_gateway import RestGateway, patches

OK = '{"statusCode": 200}'
BROKEN = (500, '{"message": "Internal server error"}')


@pytest.fixture(scope="module")
def server(tmp_path_factory, functions):
    with server_calling(functions, tmp_path_factory.mktemp("rest-integrations")) as started:
        yield started


@pytest.fixture(scope="module")
def rest(server, backend, pki):
    return RestGateway(server, backend, "custom.yourcompany.com", pki.ca().pem).create()


@pytest.fixture(autouse=True)
def fresh(functions, backend):
    functions.calls.clear()
    backend.clear()


def add(rest, path, method="POST", responses=None, headers=(), of_method=None, **integration):
    """A method with its integration and responses: `responses` is status code to what its integration response has."""
    place = rest.place(path, method)
    rest.rest.put_method(**place, authorizationType="NONE", **(of_method or {}))
    rest.rest.put_integration(**place, **integration)
    for status, response in (responses if responses is not None else {"200": {}}).items():
        names = {f"method.response.header.{name}": False for name in headers}
        rest.rest.put_method_response(**place, statusCode=status, responseParameters=names, responseModels={"application/json": "Empty"})
        rest.rest.put_integration_response(**place, statusCode=status, **response)
    return place


def test_a_mock_answers_as_its_templates_say(rest, pki):
    request = """
    #set($body = $input.path('$'))
    {"statusCode": #if($body.fail)503#{else}200#end}"""
    answer = """{
      "id": "$input.params('id')", "who": "$context.identity.clientCert.subjectDN", "env": "$stageVariables.env",
      "all": [#foreach($name in $input.params().querystring.keySet())"$name"#if($foreach.hasNext), #end#end]
    }"""
    add(rest, "mocks/{id}", type="MOCK", requestTemplates={"application/json": request}, headers=("x-id", "x-static"), responses={
        "200": {"responseTemplates": {"application/json": answer}, "responseParameters": {
            "method.response.header.x-id": "context.requestId", "method.response.header.x-static": "'a, b'"}},
        "503": {"selectionPattern": "5\\d{2}", "responseTemplates": {"text/html": "<p>$context.status</p>"}}})
    rest.deploy()
    rest.patch_stage(("replace", "/variables/env", "test"))
    served = rest.curl("/mocks/7%20a?b=1&c=2", pki.client("alice"), "--data", "{}", "--header", "Content-Type: application/json; charset=utf-8")
    assert (served.status, served.headers["content-type"]) == (200, "application/json")
    assert served.json() == {"id": "7 a", "who": "C=US,O=Example,CN=alice", "env": "test", "all": ["b", "c"]}
    assert (served.headers["x-id"], served.headers["x-static"]) == (served.headers["x-amzn-requestid"], "a, b")
    failed = rest.curl("/mocks/7", pki.client(), "--json", '{"fail": true}')
    assert (failed.status, failed.headers["content-type"], failed.body) == (503, "text/html", "<p>503</p>")
    assert rest.curl("/mocks/7").status == 403, "who is not let in is not answered by a template"
    record = rest.record(requestId=served.headers["x-amzn-requestid"])
    assert (record["status"], record["integrationStatus"]) == ("200", "200")


def test_a_preflight_as_everybody_sets_it_up(rest, pki):
    """CORS by a MOCK, as AWS's console writes it."""
    headers = {"Access-Control-Allow-Headers": "'Content-Type,Authorization'", "Access-Control-Allow-Methods": "'OPTIONS,POST'",
               "Access-Control-Allow-Origin": "'*'"}
    add(rest, "cors", "OPTIONS", type="MOCK", requestTemplates={"application/json": OK}, headers=headers, responses={
        "200": {"responseParameters": {f"method.response.header.{name}": value for name, value in headers.items()}}})
    rest.deploy()
    answer = rest.curl("/cors", pki.client(), "--request", "OPTIONS")
    assert (answer.status, answer.body) == (200, "")
    assert {name: answer.headers[name.lower()] for name in headers} == {name: value.strip("'") for name, value in headers.items()}


def test_what_no_response_is_for(rest, pki):
    add(rest, "unmatched", type="MOCK", requestTemplates={"application/json": '{"statusCode": 404}'}, responses={"200": {"selectionPattern": "200"}})
    add(rest, "none", type="MOCK", requestTemplates={"application/json": OK}, responses={})
    add(rest, "unclear", type="MOCK", requestTemplates={"application/json": "no JSON"})
    rest.deploy()
    for path, why in (("/unmatched", "No match for output mapping"), ("/none", "No match for output mapping"), ("/unclear", "Unable to parse statusCode")):
        answer = rest.curl(path, pki.client(), "--data", "{}", "--header", "Content-Type: application/json")
        assert (answer.status, answer.body) == BROKEN, path
        assert why in rest.record(requestId=answer.headers["x-amzn-requestid"])["integration.error"]


def test_payloads_without_a_template(rest, pki):
    of = {"type": "MOCK", "responses": {"200": {}}}
    template = {"application/json": OK}
    for path, more in (("match", {}), ("templates", {"requestTemplates": template, "passthroughBehavior": "WHEN_NO_TEMPLATES"}),
                       ("never", {"passthroughBehavior": "NEVER"}), ("always", {"passthroughBehavior": "WHEN_NO_TEMPLATES"})):
        add(rest, f"pass-{path}", **of, **more)
    rest.deploy()

    def status(path, media_type):
        answer = rest.curl(f"/pass-{path}", pki.client(), "--data", OK, "--header", f"Content-Type: {media_type}")
        if answer.status == 415:
            assert answer.body == '{"message":"Unsupported Media Type"}'
            assert rest.record(requestId=answer.headers["x-amzn-requestid"])["error.responseType"] == "UNSUPPORTED_MEDIA_TYPE"
        return answer.status

    assert (status("match", "text/plain"), status("always", "text/plain")) == (200, 200), "it is the payload that says the status"
    assert (status("templates", "application/json"), status("templates", "text/plain")) == (200, 415)
    assert (status("never", "application/json"), status("never", "text/plain")) == (415, 415)


def test_an_http_service_gets_what_is_mapped_and_nothing_else(rest, backend, pki):
    template = """{"name": $input.json('$.user.name'), "text": "$util.escapeJavaScript($input.path('$.text'))"}
#set($context.requestOverride.header.x-over = "$context.requestId")
#set($context.requestOverride.querystring.page = 2)"""
    add(rest, "people/{id}", type="HTTP", integrationHttpMethod="PUT", uri=f"{backend.url}/users/{{who}}/change",
        of_method={"requestParameters": {"method.request.path.id": True, "method.request.header.x-in": False, "method.request.querystring.q": False}},
        requestParameters={"integration.request.path.who": "method.request.path.id", "integration.request.header.x-out": "method.request.header.x-in",
                           "integration.request.header.x-dn": "context.identity.clientCert.subjectDN",
                           "integration.request.querystring.q": "method.request.querystring.q"},
        requestTemplates={"application/json": template}, headers=("x-backend", "x-code"),
        responses={"200": {"responseParameters": {"method.response.header.x-backend": "integration.response.header.x-from",
                                                  "method.response.header.x-code": "integration.response.body.method"},
                           "responseTemplates": {"application/json": '{"sent": $input.path(\'$.length\'), "by": $input.json(\'$.method\')}'}},
                   "409": {"selectionPattern": "4..", "responseTemplates": {"application/json": '{"conflict": true}'}}})
    rest.deploy()
    sent = rest.curl("/people/7?q=a%20b&secret=1", pki.client("alice"), "--json", '{"user": {"name": "N"}, "text": "a\\"b"}',
                     "--header", "x-in: one", "--header", "x-not: two")
    [seen] = backend.seen
    assert (seen.method, seen.target) == ("PUT", "/users/7/change?q=a%20b&page=2")
    assert (seen.header("x-out"), seen.header("x-dn"), seen.header("x-not")) == (["one"], ["C=US,O=Example,CN=alice"], [])
    assert seen.header("x-over") == [sent.headers["x-amzn-requestid"]]
    assert seen.header("user-agent") == [f"AmazonAPIGateway_{rest.api_id}"] and seen.header("content-type") == ["application/json"]
    assert json.loads(seen.body) == {"name": "N", "text": 'a"b'}
    assert (sent.status, sent.json()) == (200, {"sent": len(seen.body), "by": "PUT"})
    assert (sent.headers["x-backend"], sent.headers["x-code"]) == ("backend", "PUT") and "x-from" not in sent.headers


def test_the_status_of_an_http_service_chooses_the_response(rest, backend, pki):
    """`selectionPattern` on statuses; without templates the payload goes on as it is."""
    add(rest, "chosen", "GET", type="HTTP", integrationHttpMethod="GET", uri=f"{backend.url}/status", headers=("x-from",),
        of_method={"requestParameters": {"method.request.querystring.code": True}},
        requestParameters={"integration.request.querystring.code": "method.request.querystring.code"},
        responses={"200": {"responseParameters": {"method.response.header.x-from": "integration.response.header.x-from"}},
                   "404": {"selectionPattern": "404", "responseTemplates": {"application/json": '{"gone": "$context.resourcePath"}'}},
                   "502": {"selectionPattern": "5\\d\\d"}})
    rest.deploy()
    for code, status in ((200, 200), (201, 200), (404, 404), (503, 502), (400, 200)):
        answer = rest.curl(f"/chosen?code={code}", pki.client())
        assert answer.status == status, code
        assert rest.record(requestId=answer.headers["x-amzn-requestid"])["integrationStatus"] == str(code)
    assert rest.curl("/chosen?code=404", pki.client()).json() == {"gone": "/chosen"}


def test_a_function_gets_what_the_template_makes(rest, functions, pki):
    def greet(event):
        if event.get("fail"):
            raise FunctionError(f"[NotFound] {event['fail']}")
        return {"greeting": f"hello {event['name']}", "of": event}

    functions["greet"] = greet
    template = '{"name": "$input.params(\'name\')", "fail": $input.json(\'$.fail\'), "ip": "$context.identity.sourceIp"}'
    error = """#set($context.responseOverride.header.x-why = "function")
{"error": "$util.escapeJavaScript($input.path('$.errorMessage'))"}"""
    add(rest, "greet/{name}", type="AWS", integrationHttpMethod="POST", uri=invocations("greet"), requestTemplates={"application/json": template},
        responses={"200": {"responseTemplates": {"application/json": "$input.json('$.greeting')"}},
                   "404": {"selectionPattern": "\\[NotFound\\].*", "responseTemplates": {"application/json": error}}})
    add(rest, "raw-greet", type="AWS", integrationHttpMethod="POST", uri=invocations("greet"))
    rest.deploy()
    greeted = rest.curl("/greet/you", pki.client(), "--json", "{}")
    assert (greeted.status, greeted.json()) == (200, "hello you")
    [call] = functions.calls
    assert call.event == {"name": "you", "fail": "", "ip": "127.0.0.1"}
    lost = rest.curl("/greet/you", pki.client(), "--json", '{"fail": "who \\"x\\""}')
    assert (lost.status, lost.json(), lost.headers["x-why"]) == (404, {"error": '[NotFound] who "x"'}, "function")
    raw = rest.curl("/raw-greet", pki.client(), "--json", '{"name": "me"}')
    assert (raw.status, raw.json()["greeting"]) == (200, "hello me")


def test_a_payload_that_is_no_json(rest, pki):
    add(rest, "parsed", type="MOCK", requestTemplates={"application/json": "$input.path('$.a')" + OK})
    rest.deploy()
    answer = rest.curl("/parsed", pki.client(), "--data", "{no", "--header", "Content-Type: application/json")
    assert answer.status == 400 and answer.json()["message"].startswith("Could not parse request body into json: ")


def test_a_status_is_overridden(rest, pki):
    add(rest, "teapot", "GET", type="MOCK", requestTemplates={"application/json": OK}, responses={
        "200": {"responseTemplates": {"application/json": "#set($context.responseOverride.status = 418)\nshort"}}})
    rest.deploy()
    answer = rest.curl("/teapot", pki.client())
    assert (answer.status, answer.body) == (418, "short")


def test_what_cannot_be_served_is_refused_when_it_is_set(rest):
    place = rest.place("refused", "POST")
    rest.rest.put_method(**place, authorizationType="NONE")

    def refused(call, match, code="BadRequestException", **more):
        with pytest.raises(ClientError, match=match) as error:
            getattr(rest.rest, call)(**place, **more)
        assert error.value.response["Error"]["Code"] == code

    template = {"application/json": "{\n  \"a\": 1,\n  #macro(x) }"}
    refused("put_integration", "Invalid mapping template for application/json: line 3: #macro is not available", type="MOCK", requestTemplates=template)
    refused("put_integration", "Invalid passthrough behavior", type="MOCK", passthroughBehavior="SOMETIMES")
    refused("put_integration", "Invalid HTTP endpoint", type="HTTP", integrationHttpMethod="GET")
    refused("put_integration", "contentHandling", type="MOCK", contentHandling="CONVERT_TO_TEXT")
    refused("put_integration_response", "Invalid Integration identifier", "NotFoundException", statusCode="200")
    rest.rest.put_integration(**place, type="MOCK", requestTemplates={"application/json": OK})
    refused("put_integration_response", "Invalid Response status code specified", "NotFoundException", statusCode="200")
    rest.rest.put_method_response(**place, statusCode="200", responseParameters={"method.response.header.x": True})
    refused("put_method_response", "Response already exists", "ConflictException", statusCode="200")
    refused("put_method_response", "Invalid model identifier", statusCode="201", responseModels={"application/json": "Nothing"})
    refused("put_integration_response", "method.response.header.y", statusCode="200", responseParameters={"method.response.header.y": "'1'"})
    refused("put_integration_response", "Invalid mapping expression", statusCode="200", responseParameters={"method.response.header.x": "1"})
    refused("put_integration_response", "Invalid selectionPattern", statusCode="200", selectionPattern="(")
    refused("put_integration_response", "line 1", statusCode="200", responseTemplates={"application/json": "$input.nothing"})
    refused("get_integration_response", "Invalid Response status code", "NotFoundException", statusCode="200")


def test_patches(rest):
    place = add(rest, "patched", type="MOCK", requestTemplates={"application/json": OK}, headers=("x",))
    rest.rest.update_integration(**place, patchOperations=patches(
        ("replace", "/requestTemplates/application~1json", '{"statusCode": 201}'), ("add", "/requestTemplates/text~1plain", OK),
        ("replace", "/passthroughBehavior", "NEVER"), ("replace", "/timeoutInMillis", "100")))
    rest.rest.update_method_response(**place, statusCode="200", patchOperations=patches(
        ("add", "/responseParameters/method.response.header.y", "true"), ("remove", "/responseModels/application~1json", "")))
    rest.rest.update_integration_response(**place, statusCode="200", patchOperations=patches(
        ("replace", "/selectionPattern", "2.."), ("add", "/responseParameters/method.response.header.y", "'1'"),
        ("add", "/responseTemplates/text~1plain", "x")))
    method = rest.rest.get_method(**place)
    integration = method["methodIntegration"]
    assert integration["requestTemplates"] == {"application/json": '{"statusCode": 201}', "text/plain": OK}
    assert (integration["passthroughBehavior"], integration["timeoutInMillis"]) == ("NEVER", 100)
    assert method["methodResponses"] == {"200": {"statusCode": "200", "responseParameters": {
        "method.response.header.x": False, "method.response.header.y": True}}}
    assert integration["integrationResponses"] == {"200": {
        "statusCode": "200", "selectionPattern": "2..", "responseParameters": {"method.response.header.y": "'1'"}, "responseTemplates": {"text/plain": "x"}}}
    with pytest.raises(ClientError, match="Invalid patch path"):
        rest.rest.update_integration_response(**place, statusCode="200", patchOperations=patches(("replace", "/statusCode", "201")))
    rest.rest.delete_integration_response(**place, statusCode="200")
    rest.rest.delete_method_response(**place, statusCode="200")
    method = rest.rest.get_method(**place)
    assert "methodResponses" not in method and "integrationResponses" not in method["methodIntegration"]


def test_the_cli_sets_up_a_mock(aws, server, pki):
    """As AWS's tutorial types it."""
    api = aws("apigateway", "create-rest-api", "--name", "mocked")
    of = ("--rest-api-id", api["id"])
    [root] = aws("apigateway", "get-resources", *of)["items"]
    place = (*of, "--resource-id", root["id"], "--http-method", "GET")
    aws("apigateway", "put-method", *place, "--authorization-type", "NONE")
    aws("apigateway", "put-method-response", *place, "--status-code", "200", "--response-models", '{"application/json": "Empty"}')
    aws("apigateway", "put-integration", *place, "--type", "MOCK", "--request-templates", '{"application/json": "{\\"statusCode\\": 200}"}')
    aws("apigateway", "put-integration-response", *place, "--status-code", "200", "--response-templates", '{"application/json": "{\\"pet\\": 1}"}')
    assert aws("apigateway", "get-integration-response", *place, "--status-code", "200")["statusCode"] == "200"
    aws("apigateway", "create-deployment", *of, "--stage-name", "test")
    server.settle()

    assert curl(server, f"https://{api['id']}.execute-api.us-east-1.localhost/test").json() == {"pet": 1}
