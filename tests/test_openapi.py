"""OpenAPI: APIs from documents, and documents from APIs."""

import json
import uuid

import botocore.exceptions
import pytest

from functions import invocations
from gateway import Gateway, curl
from server import error_code, error_message

ISSUER = "https://issuer.example.com"


@pytest.fixture(scope="module")
def api(server):
    return server.client("apigatewayv2")


def refused(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return caught


def proxy(uri, **more):
    return {"type": "http_proxy", "httpMethod": "ANY", "uri": uri, "payloadFormatVersion": "1.0", "connectionType": "INTERNET", **more}


def operation(integration=None, **more):
    named = {"x-amazon-apigateway-integration": integration} if integration else {}
    return {"responses": {"default": {"description": "any"}}, **named, **more}


def document(paths, **more):
    return {"openapi": "3.0.1", "info": {"title": "pets", "version": "1.0"}, "paths": paths, **more}


def orders(backend):
    """An API with most of what a document can say."""
    return document(
        {
            "/pets/{id}": {
                "get": operation(proxy(f"{backend.url}/animals/{{id}}", requestParameters={"append:header.x-from": "document"}), operationId="GetPet"),
                "post": operation({"$ref": "#/components/x-amazon-apigateway-integrations/shared"}, security=[{"tokens": ["pets.write"]}]),
            },
            "/files/{proxy+}": {"x-amazon-apigateway-any-method": operation({"$ref": "#/components/x-amazon-apigateway-integrations/shared"})},
            "/signed": {"get": operation(proxy(backend.url, timeoutInMillis=5000), **{"x-amazon-apigateway-auth": {"type": "AWS_IAM"}})},
            "/asked": {"get": operation(proxy(backend.url), security=[{"asked": []}])},
            "/$default": {"x-amazon-apigateway-any-method": operation(
                proxy(f"{backend.url}/rest", responseParameters={"200": {"append:header.x-through": "gateway"}}), isDefaultRoute=True)},
        },
        components={
            "securitySchemes": {
                "tokens": {"type": "oauth2", "flows": {}, "x-amazon-apigateway-authorizer": {
                    "type": "jwt", "identitySource": "$request.header.Authorization", "jwtConfiguration": {"issuer": ISSUER, "audience": ["pets"]}}},
                "asked": {"type": "apiKey", "name": "x", "in": "header", "x-amazon-apigateway-authorizer": {
                    "type": "request", "identitySource": "$request.header.x, $request.querystring.y", "authorizerUri": invocations("asked"),
                    "authorizerPayloadFormatVersion": "2.0", "authorizerResultTtlInSeconds": 60, "enableSimpleResponses": True}},
            },
            "x-amazon-apigateway-integrations": {"shared": proxy(f"{backend.url}/shared")},
        },
        tags=[{"name": "team", "x-amazon-apigateway-tag-value": "edge"}, {"name": "pets", "description": "only for people"}],
        **{
            "x-amazon-apigateway-cors": {"allowOrigins": ["https://app.example"], "allowMethods": ["GET"], "maxAge": 60},
            "x-amazon-apigateway-importexport-version": "1.0",
            "x-amazon-apigateway-endpoint-configuration": {"disableExecuteApiEndpoint": False},
        },
    )


def described(api, api_id):
    """What there is of an API, without ids."""
    authorizers = {one["AuthorizerId"]: one for one in api.get_authorizers(ApiId=api_id)["Items"]}
    integrations = {one.pop("IntegrationId"): one for one in api.get_integrations(ApiId=api_id)["Items"]}
    routes = []
    for route in api.get_routes(ApiId=api_id)["Items"]:
        route.pop("RouteId")
        if "Target" in route:
            route["Target"] = integrations[route["Target"].split("/")[1]]
        if "AuthorizerId" in route:
            route["AuthorizerId"] = authorizers[route["AuthorizerId"]]["Name"]
        routes.append(route)
    for authorizer in authorizers.values():
        authorizer.pop("AuthorizerId")
    whole = api.get_api(ApiId=api_id)
    members = ("Name", "Version", "Description", "CorsConfiguration", "Tags", "DisableExecuteApiEndpoint")
    in_order = lambda items: sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    return {name: whole.get(name) for name in members}, in_order(routes), in_order(authorizers.values()), in_order(integrations.values())


def export(api, api_id, **more):
    return api.export_api(ApiId=api_id, **{"OutputType": "JSON", "Specification": "OAS30", **more})["body"].read()


def test_an_imported_api_serves_clients_with_certificates(server, backend, pki):
    class Imported(Gateway):
        def create_api(self):
            made = self.api.import_api(Body=json.dumps(orders(self.backend)))
            self.api_id, self.api_endpoint = made["ApiId"], made["ApiEndpoint"]
            assert (made["Name"], made["Version"], made["Tags"]) == ("pets", "1.0", {"team": "edge"}), made
            self.logs.create_log_group(logGroupName=self.log_group)
            self.api.create_stage(ApiId=self.api_id, StageName="prod", AutoDeploy=True)

    gateway = Imported(server, backend, f"o{uuid.uuid4().hex[:12]}.yourcompany.com", pki.ca().pem).create()
    served = gateway.curl("/pets/7", pki.client())
    assert served.json()["path"] == "/animals/7"
    assert backend.seen[0].header("x-from") == ["document"]
    assert gateway.curl("/pets/7").status == 403
    assert gateway.curl("/files/a/b", pki.client()).json()["path"].startswith("/shared")
    assert gateway.curl("/pets/7", pki.client(), "--request", "POST").status == 401
    assert gateway.curl("/signed", pki.client()).status == 403
    rest = gateway.curl("/any/thing", pki.client())
    assert rest.json()["path"] == "/rest/any/thing" and rest.headers["x-through"] == "gateway"


@pytest.mark.parametrize("form", ["JSON", "YAML"])
def test_an_export_makes_the_same_api(api, backend, form):
    first = api.import_api(Body=json.dumps(orders(backend)))["ApiId"]
    exported = export(api, first, OutputType=form)
    again = api.import_api(Body=exported.decode())
    assert "Warnings" not in again, again["Warnings"]
    assert described(api, again["ApiId"]) == described(api, first)
    if form == "JSON":
        of_export = json.loads(exported)
        assert of_export["x-amazon-apigateway-importexport-version"] == "1.0"
        assert of_export["paths"]["/$default"]["x-amazon-apigateway-any-method"]["isDefaultRoute"] is True
        assert of_export["paths"]["/pets/{id}"]["get"]["parameters"][0]["name"] == "id"


def test_a_stages_export_is_what_is_deployed(api, backend):
    api_id = api.import_api(Body=json.dumps(orders(backend)))["ApiId"]
    error = refused(export, api=api, api_id=api_id, StageName="none")
    assert error_code(error) == "NotFoundException"
    api.create_stage(ApiId=api_id, StageName="prod")
    assert "no deployment" in error_message(refused(export, api=api, api_id=api_id, StageName="prod"))
    api.create_deployment(ApiId=api_id, StageName="prod")
    for route in api.get_routes(ApiId=api_id)["Items"]:
        api.delete_route(ApiId=api_id, RouteId=route["RouteId"])
    assert json.loads(export(api, api_id))["paths"] == {}
    deployed = json.loads(export(api, api_id, StageName="prod"))
    assert "/pets/{id}" in deployed["paths"]
    assert deployed["servers"][0]["variables"]["basePath"]["default"] == "prod"
    plain = export(api, api_id, StageName="prod", IncludeExtensions=False).decode()
    assert "x-amazon-apigateway-integration" not in plain and "x-amazon-apigateway-authorizer" not in plain


def test_a_reimport_replaces_what_there_was(server, api, backend):
    """Stage and tags stay, and what deploys by itself is deployed."""
    api_id = api.create_api(Name="before", ProtocolType="HTTP", Target=backend.url, CorsConfiguration={"AllowOrigins": ["*"]}, Tags={"kept": "yes"})["ApiId"]
    body = json.dumps(document({"/only": {"get": operation(proxy(f"{backend.url}/new"))}}))
    made = api.reimport_api(ApiId=api_id, Body=body)
    assert (made["ApiId"], made["Name"], made["Tags"]) == (api_id, "pets", {"kept": "yes"}) and "CorsConfiguration" not in made
    assert [route["RouteKey"] for route in api.get_routes(ApiId=api_id)["Items"]] == ["GET /only"]
    assert len(api.get_integrations(ApiId=api_id)["Items"]) == 1
    server.settle()
    url = f"https://{api_id}.execute-api.us-east-1.localhost"
    assert curl(server, f"{url}/only").json()["path"] == "/new"
    assert curl(server, f"{url}/other").status == 404


def test_all_or_nothing(api, backend):
    before = {one["ApiId"] for one in api.get_apis()["Items"]}
    bad = orders(backend)
    bad["paths"]["/files/{proxy+}"]["get"] = operation(proxy("ftp://nowhere"))
    assert error_code(refused(api.import_api, Body=json.dumps(bad))) == "BadRequestException"
    assert {one["ApiId"] for one in api.get_apis()["Items"]} == before
    api_id = api.import_api(Body=json.dumps(orders(backend)))["ApiId"]
    now = described(api, api_id)
    assert error_code(refused(api.reimport_api, ApiId=api_id, Body=json.dumps(bad))) == "BadRequestException"
    assert described(api, api_id) == now


def test_what_is_left_out_is_told(api, backend):
    body = document(
        {
            "/open": {"get": operation(security=[{"key": []}])},
            "/lambda": {"post": operation({"type": "aws_proxy", "httpMethod": "POST", "uri": invocations("f"), "credentials": "arn:aws:iam::123456789012:role/x",
                                           "payloadFormatVersion": 2.0, "passthroughBehavior": "when_no_match"})},
        },
        components={"securitySchemes": {"key": {"type": "apiKey", "name": "x-api-key", "in": "header"}}},
        **{"x-amazon-apigateway-cors": {"allowOrigins": "all of them"}},
    )
    made = api.import_api(Body=json.dumps(body))
    warnings = " ".join(made["Warnings"])
    for said in ("GET /open: the security scheme key", "No integration defined for GET /open", "credentials of countersign.toml", "CORS Scheme is malformed"):
        assert said in warnings, warnings
    assert "passthroughBehavior" in " ".join(made["ImportInfo"])
    assert api.get_api(ApiId=made["ApiId"])["Warnings"] == made["Warnings"]
    error = refused(api.import_api, Body=json.dumps(body), FailOnWarnings=True)
    assert error_message(error).startswith("Warnings found during import:\n\t")
    clean = api.reimport_api(ApiId=made["ApiId"], Body=json.dumps(orders(backend)), FailOnWarnings=True)
    assert "Warnings" not in clean and "ImportInfo" not in clean


def test_security_of_the_root_holds_for_every_operation(api, backend):
    body = orders(backend)
    body["security"] = [{"tokens": []}]
    body["paths"]["/asked"]["get"]["security"] = []
    api_id = api.import_api(Body=json.dumps(body))["ApiId"]
    kinds = {route["RouteKey"]: route["AuthorizationType"] for route in api.get_routes(ApiId=api_id)["Items"]}
    assert kinds == {"GET /pets/{id}": "JWT", "POST /pets/{id}": "JWT", "ANY /files/{proxy+}": "JWT", "GET /signed": "AWS_IAM", "GET /asked": "NONE", "$default": "JWT"}


@pytest.mark.parametrize("mode, path", [("ignore", "/pets"), ("prepend", "/v1/eu/pets"), ("split", "/eu/pets"), (None, "/pets")])
def test_base_paths(api, backend, mode, path):
    body = document({"/pets": {"get": operation(proxy(backend.url))}}, servers=[{"url": "https://a.example/{basePath}", "variables": {"basePath": {"default": "v1/eu"}}}])
    named = {"Basepath": mode} if mode else {}
    api_id = api.import_api(Body=json.dumps(body), **named)["ApiId"]
    assert [route["RouteKey"] for route in api.get_routes(ApiId=api_id)["Items"]] == [f"GET {path}"]


def test_documents_that_are_none(api, backend):
    for body, said in (
        ("", "object"),
        ("{", "no JSON"),
        ("a: [", "no YAML"),
        ('{"swagger": "2.0", "info": {"title": "x"}}', "OpenAPI 3.0"),
        ('{"openapi": "3.1.0"}', "3.1.0 is not supported"),
        ('{"openapi": "3.0.1"}', "info is missing"),
        ('{"openapi": "3.0.1", "info": {}}', "title"),
        ('{"openapi": "3.0.1", "info": {"title": "x"}, "paths": {"/a": {"$ref": "https://a.example/b.yaml"}}}', "leads out of the document"),
        ('{"openapi": "3.0.1", "info": {"title": "x"}, "paths": {"/a": {"$ref": "#/paths/~1a"}}}', "circle"),
        ("openapi: 3.0.1\ninfo: {title: x}\npaths: {/a: {get: {x-amazon-apigateway-integration: {type: mock}}}}", "MOCK"),
        ("openapi: 3.0.1\ninfo: {title: x}\npaths: {/a: {get: {x-amazon-apigateway-integration: {type: http_proxy, uri: 'http://b', timeoutInMillis: soon}}}}",
         "paths./a.get.x-amazon-apigateway-integration.timeoutInMillis"),
        ("openapi: 3.0.1\na0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)), "no YAML"),
    ):
        error = refused(api.import_api, Body=body)
        assert error_code(error) == "BadRequestException" and said in error_message(error), (body[:60], error_message(error))
    for arguments, said in (({"Specification": "OAS20"}, "OAS30"), ({"OutputType": "XML"}, "YAML, JSON"), ({"ExportVersion": "2.0"}, "1.0")):
        api_id = api.create_api(Name="x", ProtocolType="HTTP")["ApiId"]
        assert said in error_message(refused(export, api=api, api_id=api_id, **arguments))
    assert "ignore, prepend or split" in error_message(refused(api.import_api, Body=json.dumps(orders(backend)), Basepath="keep"))


def test_a_large_document_is_taken(api, backend):
    paths = {f"/p{number}": {"get": operation(proxy(backend.url), description="x" * 8000)} for number in range(300)}
    api_id = api.import_api(Body=json.dumps(document(paths)))["ApiId"]
    assert sum(len(page["Items"]) for page in api.get_paginator("get_routes").paginate(ApiId=api_id)) == 300
    paths["/more"] = {"get": operation(proxy(backend.url))}
    assert error_code(refused(api.import_api, Body=json.dumps(document(paths)))) == "TooManyRequestsException"


def test_the_clis_import_and_export(aws, backend, tmp_path):
    written = tmp_path / "api.json"
    written.write_text(json.dumps(orders(backend)))
    made = aws("apigatewayv2", "import-api", "--body", f"file://{written}", "--fail-on-warnings")
    exported = tmp_path / "api.yaml"
    aws("apigatewayv2", "export-api", "--api-id", made["ApiId"], "--output-type", "YAML", "--specification", "OAS30", exported)
    assert exported.read_text().startswith('openapi: "3.0.1"')
    again = aws("apigatewayv2", "reimport-api", "--api-id", made["ApiId"], "--body", f"file://{exported}")
    assert again["ApiId"] == made["ApiId"] and again["CorsConfiguration"]["AllowOrigins"] == ["https://app.example"]


def test_settings_that_are_taken_back(api, backend):
    """`delete-cors-configuration` and `delete-route-settings`, as Terraform asks for them."""
    api_id = api.create_api(Name="x", ProtocolType="HTTP", Target=backend.url, CorsConfiguration={"AllowOrigins": ["*"]})["ApiId"]
    api.delete_cors_configuration(ApiId=api_id)
    assert "CorsConfiguration" not in api.get_api(ApiId=api_id)
    api.delete_cors_configuration(ApiId=api_id)
    api.update_stage(ApiId=api_id, StageName="$default", RouteSettings={"$default": {"ThrottlingBurstLimit": 1, "ThrottlingRateLimit": 1.0}})
    api.delete_route_settings(ApiId=api_id, StageName="$default", RouteKey="$default")
    assert api.get_stage(ApiId=api_id, StageName="$default")["RouteSettings"] == {}
    gone = {"ApiId": api_id, "StageName": "$default", "RouteKey": "$default"}
    assert error_code(refused(api.delete_route_settings, **gone)) == "NotFoundException"
