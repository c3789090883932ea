"""Gateway responses: what a REST API answers by itself, in its own words."""

import pytest
from botocore.exceptions import ClientError

from authority import free_port
from rest_gateway import RestGateway, patches

ORIGIN = "gatewayresponse.header.Access-Control-Allow-Origin"


@pytest.fixture(scope="module")
def rest(server, backend, pki):
    return RestGateway(server, backend, "words.yourcompany.com", pki.ca().pem).create()


def test_a_case_has_its_own_words_and_the_rest_those_of_its_kind(rest, pki):
    of_api = {"restApiId": rest.api_id}
    rest.add("keyed", "GET", f"{rest.backend.url}/", {}, apiKeyRequired=True)
    rest.add("away", "GET", f"http://127.0.0.1:{free_port()}/", {})
    rest.rest.put_gateway_response(
        **of_api, responseType="DEFAULT_4XX", responseParameters={ORIGIN: "'*'", "gatewayresponse.header.x-dn": "context.identity.clientCert.subjectDN"})
    rest.rest.put_gateway_response(
        **of_api, responseType="MISSING_AUTHENTICATION_TOKEN", statusCode="404",
        responseTemplates={"application/json": '{"error": {"path": "$context.path", "why": $context.error.messageString, "id": "$context.requestId"}}'})
    rest.rest.put_gateway_response(**of_api, responseType="DEFAULT_5XX", statusCode="502", responseTemplates={"text/plain": "away: $context.status"})
    rest.server.settle()
    assert rest.curl("/none/x", pki.client()).body == '{"message":"Missing Authentication Token"}', "it takes a deployment"
    rest.deploy()
    missing = rest.curl("/none/x", pki.client("alice"))
    request_id = missing.headers["x-amzn-requestid"]
    assert (missing.status, missing.json()) == (404, {"error": {"path": "/none/x", "why": "Missing Authentication Token", "id": request_id}})
    assert "access-control-allow-origin" not in missing.headers, "its own go before those of its kind, and not beside them"
    assert rest.record(requestId=request_id)["status"] == "404"
    keyed = rest.curl("/keyed", pki.client("alice"))
    assert (keyed.status, keyed.body, keyed.headers["content-type"]) == (403, '{"message":"Forbidden"}', "application/json")
    assert (keyed.headers["access-control-allow-origin"], keyed.headers["x-dn"]) == ("*", "C=US,O=Example,CN=alice")
    away = rest.curl("/away", pki.client())
    assert (away.status, away.body, away.headers["content-type"]) == (502, "away: 502", "text/plain")
    # Who is not let in is told by the domain.
    assert "access-control-allow-origin" not in rest.curl("/keyed").headers
    assert rest.curl("/pets/1", pki.client()).headers["x-from"] == "backend", "a backend's answers are its own"


def test_what_is_set_and_what_is_not(rest):
    of_type = {"restApiId": rest.api_id, "responseType": "THROTTLED"}
    default = rest.rest.get_gateway_response(**of_type)
    default.pop("ResponseMetadata")
    assert default == {
        "responseType": "THROTTLED", "statusCode": "429", "responseParameters": {}, "defaultResponse": True,
        "responseTemplates": {"application/json": '{"message":$context.error.messageString}'}}
    rest.rest.update_gateway_response(**of_type, patchOperations=patches(
        ("add", f"/responseParameters/{ORIGIN}", "'https://a.test'"), ("replace", "/statusCode", "420"),
        ("add", "/responseTemplates/text~1html", "<p>$context.error.message</p>")))
    changed = rest.rest.update_gateway_response(**of_type, patchOperations=patches(("remove", f"/responseParameters/{ORIGIN}", "")))
    changed.pop("ResponseMetadata")
    assert changed == {
        "responseType": "THROTTLED", "statusCode": "420", "responseParameters": {}, "defaultResponse": False,
        "responseTemplates": {"text/html": "<p>$context.error.message</p>"}}
    all_types = rest.rest.get_gateway_responses(restApiId=rest.api_id)["items"]
    assert len(all_types) == 21 and changed in all_types
    rest.rest.delete_gateway_response(**of_type)
    assert rest.rest.get_gateway_response(**of_type)["defaultResponse"]
    with pytest.raises(ClientError, match="Gateway response type not defined on api"):
        rest.rest.delete_gateway_response(**of_type)
    for wrong, message in (
        ({"statusCode": "204"}, "Invalid statusCode 204"),
        ({"responseParameters": {"header.x": "'x'"}}, "Invalid mapping expression"),
        ({"responseParameters": {"gatewayresponse.header.Content-Length": "'1'"}}, "Invalid mapping expression"),
        ({"responseParameters": {ORIGIN: "method.request.header.origin"}}, "Invalid mapping expression"),
        ({"responseTemplates": {"application/json": "$input.body"}}, "Invalid response template for application/json"),
        ({"responseTemplates": {"application/json": "x", "text/plain": "#if(true)"}}, "Invalid response template for text/plain"),
    ):
        with pytest.raises(ClientError, match=message):
            rest.rest.put_gateway_response(**of_type, **wrong)
