"""What an HTTP API does with a request that was let in: routes, mappings, parameter mapping, limits, and its error bodies."""

import json

from cryptography.x509.oid import NameOID

from gateway import Gateway
from server import eventually


def add_route(gateway, route_key, uri, **more):
    integration = gateway.api.create_integration(
        ApiId=gateway.api_id, IntegrationType="HTTP_PROXY", IntegrationMethod=more.pop("method", "ANY"), IntegrationUri=uri,
        PayloadFormatVersion="1.0", **more)["IntegrationId"]
    route = gateway.api.create_route(ApiId=gateway.api_id, RouteKey=route_key, Target=f"integrations/{integration}")["RouteId"]
    gateway.server.settle()
    return route


def test_the_most_specific_route_wins(gateway, backend, pki):
    client = pki.client()
    for route_key, name in (("ANY /r/{proxy+}", "greedy"), ("ANY /r/{id}", "variable"), ("ANY /r/static", "static"), ("GET /r/static", "method")):
        add_route(gateway, route_key, f"{backend.url}/{name}")
    for path, method, wanted in (
        ("/r/static", "GET", "/method"), ("/r/static", "POST", "/static"), ("/r/other", "GET", "/variable"), ("/r/a/b", "GET", "/greedy"),
    ):
        assert gateway.curl(path, client, "--request", method).json()["path"] == wanted


def test_what_is_not_routed(gateway, pki, backend):
    backend.clear()
    missing = gateway.curl("/", pki.client())
    assert missing.status == 404 and missing.json() == {"message": "Not Found"}
    assert backend.seen == []


def test_mappings_by_path(server, gateway, backend, pki):
    """The longest mapping key wins, and is not part of what the backend sees."""
    second = Gateway(server, backend, "mapped.yourcompany.com", pki.ca().pem).create()
    gateway.api.create_api_mapping(DomainName=second.domain, ApiId=gateway.api_id, Stage="prod", ApiMappingKey="v1/orders")
    server.settle()
    client = pki.client()
    assert second.curl("/v1/orders/7", client).json()["path"] == "/7"
    assert second.curl("/v2/orders/7", client).json()["path"] == "/v2/orders/7"
    assert gateway.record(path="/v1/orders/7")["domainName"] == "mapped.yourcompany.com"


def test_the_identity_goes_to_the_backend_by_mapping(gateway, backend, pki):
    """AWS's way; what the client sends under that name is not believed."""
    add_route(
        gateway, "GET /identified", f"{backend.url}/identified",
        RequestParameters={"overwrite:header.x-client-dn": "$context.identity.clientCert.subjectDN"})
    backend.clear()
    assert gateway.curl("/identified", pki.client(), "--header", "X-Client-DN: CN=admin").status == 200
    assert backend.seen[0].header("x-client-dn") == ["C=US,O=Example,CN=client"]


def test_a_subject_cannot_break_a_header(gateway, backend, pki):
    forger = pki.built("header-forger", [(NameOID.COMMON_NAME, "x\r\nX-Admin: yes\r\n\r\nGET /smuggled HTTP/1.1")])
    add_route(
        gateway, "GET /forged", f"{backend.url}/forged",
        RequestParameters={"append:header.x-dn": "$context.identity.clientCert.subjectDN"})
    backend.clear()
    gateway.curl("/forged", forger)
    assert all(not seen.header("x-admin") and "smuggled" not in seen.target for seen in backend.seen)


def test_values_come_out_of_payloads(gateway, backend, pki):
    """`$request.body` and `$response.body`; the payloads themselves go on as they are."""
    add_route(
        gateway, "POST /looked-into", f"{backend.url}/looked-into",
        RequestParameters={"append:header.x-patient": "$request.body.subject.reference", "append:querystring.first": "n-${request.body.ids[0]}"},
        ResponseParameters={"200": {"append:header.x-seen": "${response.body.method} ${response.body.path}"}})
    payload = '{"resourceType":"Observation", "subject":{"reference":"Patient/7"}, "ids":[12345678901234567890123]}'
    for http in ("1.1", "2"):
        answer = gateway.curl("/looked-into", pki.client(), "--data-binary", payload, http=http)
        seen = backend.seen[-1]
        assert seen.header("x-patient") == ["Patient/7"] and seen.target == "/looked-into?first=n-12345678901234567890123"
        assert seen.body == payload.encode()
        assert answer.headers["x-seen"] == f"POST {seen.target}" and answer.json()["length"] == len(payload)
    for other in ("no JSON", '{"subject":7}', ""):
        assert gateway.curl("/looked-into", pki.client(), "--data-binary", other).status == 200
        assert not backend.seen[-1].header("x-patient") and backend.seen[-1].body == other.encode()


def test_the_backend_sees_who_forwarded(gateway, backend, pki):
    backend.clear()
    gateway.curl("/seen", pki.client(), "--header", "X-Forwarded-For: 10.1.2.3")
    [seen] = backend.seen
    [forwarded] = seen.header("forwarded")
    assert "for=127.0.0.1" in forwarded and f"host={gateway.domain}" in forwarded and "proto=https" in forwarded
    assert seen.header("via") and not seen.header("connection")


def test_bodies_stream(gateway, backend, pki, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(b"x" * 3_000_000)
    for http in ("1.1", "2"):
        assert gateway.curl("/up", pki.client(), "--data-binary", f"@{upload}", http=http).json()["length"] == 3_000_000
        assert len(gateway.curl("/big?bytes=3000000", pki.client(), http=http).body) == 3_000_000


def test_a_payload_beyond_the_limit(gateway, backend, pki, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(b"x" * (10 * 1024 * 1024 + 1))
    answer = gateway.curl("/too-large", pki.client(), "--data-binary", f"@{upload}", http="1.1")
    assert answer.status == 413 and answer.json() == {"message": "Request Entity Too Large"}


def test_a_backend_that_is_too_slow(gateway, backend, pki):
    add_route(gateway, "GET /wait", f"{backend.url}/wait", TimeoutInMillis=300)
    answer = gateway.curl("/wait", pki.client())
    backend.gate.set()
    assert answer.status == 503 and answer.json() == {"message": "Service Unavailable"}
    assert gateway.record(requestId=answer.headers["apigw-requestid"])["status"] == "503"


def test_cors_is_answered_by_the_gateway(server, backend, pki):
    gateway = Gateway(server, backend, "cors.yourcompany.com", pki.ca().pem).create()
    gateway.api.update_api(ApiId=gateway.api_id, CorsConfiguration={
        "AllowOrigins": ["https://app.example.com"], "AllowMethods": ["GET"], "AllowHeaders": ["x-a"], "MaxAge": 60})
    server.settle()
    backend.clear()
    answer = gateway.curl(
        "/orders", pki.client(), "--request", "OPTIONS", "--header", "Origin: https://app.example.com", "--header", "Access-Control-Request-Method: GET")
    assert answer.status == 204 and answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert backend.seen == [], "the preflight is the gateway's"
    actual = gateway.curl("/orders", pki.client(), "--header", "Origin: https://app.example.com")
    assert actual.headers["access-control-allow-origin"] == "https://app.example.com"


def test_throttled(server, backend, pki):
    gateway = Gateway(server, backend, "throttled.yourcompany.com", pki.ca().pem).create()
    gateway.api.update_stage(ApiId=gateway.api_id, StageName="prod", DefaultRouteSettings={"ThrottlingBurstLimit": 3, "ThrottlingRateLimit": 1})
    server.settle()
    statuses = [gateway.curl("/orders", pki.client()).status for _ in range(10)]
    assert statuses[:3] == [200] * 3 and 429 in statuses
    eventually(lambda: gateway.curl("/orders", pki.client()).status == 200)


def test_quick_create(server, backend, pki):
    api = server.client("apigatewayv2")
    made = api.create_api(Name="quick", ProtocolType="HTTP", Target=backend.url)
    gateway = Gateway(server, backend, "quick.yourcompany.com", pki.ca().pem).create()
    [mapping] = api.get_api_mappings(DomainName=gateway.domain)["Items"]
    api.update_api_mapping(DomainName=gateway.domain, ApiMappingId=mapping["ApiMappingId"], ApiId=made["ApiId"], Stage="$default")
    server.settle()
    assert gateway.curl("/anything", pki.client()).status == 200


def test_head_and_ranges_pass(gateway, backend, pki):
    assert gateway.curl("/head", pki.client(), "--head").status == 200
    backend.clear()
    gateway.curl("/ranged", pki.client(), "--range", "0-9")
    assert backend.seen[0].header("range") == ["bytes=0-9"]


def test_events_stream_as_they_come(gateway, pki):
    body = gateway.curl("/stream?pieces=20", pki.client()).body
    assert len(body.splitlines()) == 20


def test_a_log_line_for_each(gateway, pki):
    before = len(gateway.lines())
    ids = {gateway.curl("/counted", pki.client()).headers["apigw-requestid"] for _ in range(20)}
    assert len(ids) == 20
    eventually(lambda: ids <= {r["requestId"] for r in gateway.records()})
    assert len(gateway.lines()) == before + 20
    assert all(json.loads(line) for line in gateway.lines())
