"""OpenAPI of REST APIs: `import-rest-api`, `put-rest-api`, `get-export`."""

import json
import re
import uuid

import botocore.exceptions
import pytest

from functions import invocations, server_calling
from gateway import curl
from rest_gateway import RestGateway
from server import error_code, error_message


@pytest.fixture(scope="module")
def server(tmp_path_factory, functions):
    with server_calling(functions, tmp_path_factory.mktemp("rest-openapi")) as started:
        yield started


@pytest.fixture(scope="module")
def rest(server):
    return server.client("apigateway")


def refused(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return caught


def imported(rest, body, **more):
    return rest.import_rest_api(body=body if isinstance(body, bytes) else json.dumps(body), **more)


def export(rest, api_id, kind="oas30", extensions="apigateway", **more):
    parameters = {"extensions": extensions} if extensions else {}
    return rest.get_export(restApiId=api_id, stageName="prod", exportType=kind, parameters=parameters, **more)


def document(paths, **more):
    return {"openapi": "3.0.1", "info": {"title": "pets", "version": "1.0", "description": "for people"}, "paths": paths, **more}


def mock(**more):
    integration = {"type": "mock", "requestTemplates": {"application/json": '{"statusCode": 200}'}, "responses": {"default": {"statusCode": "200"}}, **more}
    return {"responses": {"200": {"description": "good"}}, "x-amazon-apigateway-integration": integration}


# A document as one has it for AWS, with most of what it can say. BACKEND and FUNCTION are filled in.
PETS = """
openapi: 3.0.1
info: {title: pets, version: '1.0', description: for people}
servers: [{url: 'https://a.example/{basePath}', variables: {basePath: {default: v1/eu}}}]
tags: [{name: team, x-amazon-apigateway-tag-value: edge}, {name: pets, description: only for people}]
security: [{api_key: []}]
x-amazon-apigateway-request-validator: everything
x-amazon-apigateway-request-validators:
  everything: {validateRequestBody: true, validateRequestParameters: true}
  nothing: {validateRequestBody: false, validateRequestParameters: false}
x-amazon-apigateway-api-key-source: HEADER
x-amazon-apigateway-binary-media-types: [image/png]
x-amazon-apigateway-gateway-responses:
  BAD_REQUEST_BODY:
    statusCode: 422
    responseParameters: {gatewayresponse.header.x-why: "context.error.responseType"}
    responseTemplates: {application/json: '{"wrong":$context.error.validationErrorString}'}
paths:
  /pets/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: GetPet
      security: []
      parameters: [{name: colour, in: query, required: true, schema: {type: string}}, {$ref: '#/components/parameters/trace'}]
      responses: {200: {description: one pet, content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}}
      x-amazon-apigateway-integration:
        type: http_proxy
        httpMethod: GET
        uri: BACKEND/animals/{name}
        timeoutInMillis: 5000
        requestParameters: {integration.request.path.name: method.request.path.id, integration.request.header.x-from: "'document'"}
        responses: {default: {statusCode: '200'}}
    post:
      security: []
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}
      responses:
        200: {description: made, headers: {x-made: {schema: {type: string}}}, content: {application/json: {schema: {type: object}}}}
        500: {description: not made}
      x-amazon-apigateway-integration:
        type: aws
        httpMethod: POST
        uri: FUNCTION
        passthroughBehavior: when_no_templates
        requestTemplates: {application/json: '{"name": $input.json("$.name"), "id": "$input.params("id")"}'}
        responses:
          default:
            statusCode: '200'
            responseParameters: {method.response.header.x-made: "'here'"}
            responseTemplates: {application/json: '#set($made = $input.path("$")){"made": "$made.name"}'}
          '.*wrong.*': {statusCode: '500', responseTemplates: {application/json: '{"sorry": true}'}}
  /keyed: {x-amazon-apigateway-any-method: {responses: {}, x-amazon-apigateway-integration: {type: aws_proxy, httpMethod: POST, uri: FUNCTION}}}
  /asked:
    get:
      security: [{asked: []}]
      responses: {}
      x-amazon-apigateway-integration: {type: http_proxy, httpMethod: x-amazon-apigateway-any-method, uri: BACKEND/asked}
  /signed:
    get:
      security: [{sigv4: []}]
      responses: {200: {description: good}}
      x-amazon-apigateway-integration: {type: mock, requestTemplates: {application/json: '{"statusCode": 200}'}, responses: {default: {statusCode: 200}}}
components:
  parameters: {trace: {name: x-trace, in: header, schema: {type: string}}}
  schemas:
    Pet:
      type: object
      required: [name]
      properties: {name: {type: string, nullable: true}, owner: {$ref: '#/components/schemas/Owner'}, friends: {type: array, items: {$ref: '#/components/schemas/Pet'}}}
    Owner: {type: object, properties: {pets: {type: array, items: {$ref: '#/components/schemas/Pet'}}}}
  securitySchemes:
    api_key: {type: apiKey, name: x-api-key, in: header}
    sigv4: {type: apiKey, name: Authorization, in: header, x-amazon-apigateway-authtype: awsSigv4}
    asked:
      type: apiKey
      name: x-token
      in: header
      x-amazon-apigateway-authtype: custom
      x-amazon-apigateway-authorizer: {type: token, authorizerUri: ASKED, authorizerResultTtlInSeconds: 0, identityValidationExpression: 'let .+'}
"""


def pets(backend):
    return PETS.replace("BACKEND", backend.url).replace("FUNCTION", invocations("pets")).replace("ASKED", invocations("asked")).encode()


def described(rest, api_id):
    """What there is of an API, without ids."""
    names = {one["id"]: one["name"] for one in [*rest.get_authorizers(restApiId=api_id)["items"], *rest.get_request_validators(restApiId=api_id)["items"]]}
    methods = {}
    for found in rest.get_resources(restApiId=api_id, embed=["methods"], limit=500)["items"]:
        for name, method in found.get("resourceMethods", {}).items():
            method["authorizerId"] = names.get(method.get("authorizerId"))
            method["requestValidatorId"] = names.get(method.get("requestValidatorId"))
            if method.get("methodIntegration", {}).get("cacheNamespace") == found["id"]:
                del method["methodIntegration"]["cacheNamespace"]
            methods[f"{name} {found['path']}"] = method
    models = {one["name"]: json.loads(one["schema"].replace(api_id, "API")) for one in rest.get_models(restApiId=api_id, limit=500)["items"]}
    answers = [one for one in rest.get_gateway_responses(restApiId=api_id, limit=500)["items"] if not one["defaultResponse"]]
    whole = rest.get_rest_api(restApiId=api_id)
    members = ("name", "version", "description", "tags", "disableExecuteApiEndpoint", "binaryMediaTypes")
    return {name: whole.get(name) for name in members}, methods, models, answers, sorted(names.values())


def deployed(rest, api_id):
    rest.create_deployment(restApiId=api_id, stageName="prod")
    return api_id


def test_an_imported_api_serves_clients_with_certificates(server, backend, pki, functions):
    class Imported(RestGateway):
        def create_api(self):
            self.rest = self.server.client("apigateway")
            made = imported(self.rest, pets(self.backend), failOnWarnings=True, parameters={"endpointConfigurationTypes": "REGIONAL"})
            self.api_id = made["id"]
            assert (made["name"], made["version"], made["description"], made["tags"]) == ("pets", "1.0", "for people", {"team": "edge"}), made
            assert made["binaryMediaTypes"] == ["image/png"]
            self.logs.create_log_group(logGroupName=self.log_group)
            self.deployment = self.rest.create_deployment(restApiId=self.api_id, stageName="prod")["id"]

    functions["pets"] = lambda event: {"name": event["name"]} if "name" in event else {"statusCode": 200, "body": "keyed"}
    functions["asked"] = lambda event: {"principalId": "p", "policyDocument": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": event["methodArn"]}]}}
    gateway = Imported(server, backend, f"o{uuid.uuid4().hex[:12]}.yourcompany.com", pki.ca().pem).create()
    client, json_body = pki.client(), ("--header", "Content-Type: application/json", "--data")
    assert gateway.curl("/pets/7?colour=red").status == 403
    served = gateway.curl("/pets/7?colour=red", client)
    assert served.json()["path"] == "/animals/7?colour=red" and backend.seen[-1].header("x-from") == ["document"]
    missing = gateway.curl("/pets/7", client)
    assert (missing.status, missing.json()["message"]) == (400, "Missing required request parameters: [colour]")
    made = gateway.curl("/pets/7", client, *json_body, '{"name": "Rex", "owner": {"pets": [{"name": null}]}}')
    assert (made.status, made.json(), made.headers["x-made"]) == (200, {"made": "Rex"}, "here"), made
    assert functions.calls[-1].event == {"name": "Rex", "id": "7"}
    wrong = gateway.curl("/pets/7", client, *json_body, '{"name": "Rex", "owner": {"pets": [{}]}}')
    assert (wrong.status, wrong.headers["x-why"]) == (422, "BAD_REQUEST_BODY") and "name" in wrong.json()["wrong"], wrong
    assert gateway.curl("/keyed", client).json() == {"message": "Forbidden"}, "the API key of the document's security"
    assert gateway.curl("/asked", client, "--header", "x-token: no").status == 401
    assert gateway.curl("/asked", client, "--header", "x-token: let me in").json()["path"] == "/asked"
    assert gateway.curl("/signed", client).json()["message"] == "Missing Authentication Token"
    key = gateway.rest.create_api_key(name=gateway.domain, enabled=True)
    plan = gateway.rest.create_usage_plan(name=gateway.domain, apiStages=[{"apiId": gateway.api_id, "stage": "prod"}])["id"]
    gateway.rest.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
    server.settle()
    assert gateway.curl("/keyed", client, "--header", f"x-api-key: {key['value']}").body == "keyed"


@pytest.mark.parametrize("accepts", ["application/json", "application/yaml"])
def test_an_export_makes_the_same_api(rest, backend, accepts):
    first = deployed(rest, imported(rest, pets(backend))["id"])
    exported = export(rest, first, accepts=accepts)
    assert exported["contentType"] == accepts
    assert exported["contentDisposition"] == f'attachment; filename="{first}-prod-oas30.{accepts[-4:]}"'
    again = imported(rest, exported["body"].read(), failOnWarnings=True)
    assert described(rest, again["id"]) == described(rest, first)


def test_an_export_as_swagger_makes_the_same_api(rest, backend):
    first = deployed(rest, imported(rest, pets(backend))["id"])
    written = json.loads(export(rest, first, "swagger")["body"].read())
    assert (written["swagger"], written["basePath"], written["schemes"]) == ("2.0", "/prod", ["https"])
    assert written["host"].startswith(f"{first}.execute-api.us-east-1.")
    body = [one for one in written["paths"]["/pets/{id}"]["post"]["parameters"] if one["in"] == "body"]
    assert body == [{"in": "body", "name": "Pet", "required": True, "schema": {"$ref": "#/definitions/Pet"}}]
    again = imported(rest, written, failOnWarnings=True)["id"]
    assert described(rest, again) == described(rest, first)


def test_what_is_exported(rest, backend):
    """What is deployed, with as much of AWS's extensions as is asked for."""
    api_id = deployed(rest, imported(rest, pets(backend))["id"])
    for found in rest.get_resources(restApiId=api_id)["items"]:
        if found["path"] == "/pets":
            rest.delete_resource(restApiId=api_id, resourceId=found["id"])
    for validator in rest.get_request_validators(restApiId=api_id)["items"]:
        if validator["name"] == "nothing":
            rest.delete_request_validator(restApiId=api_id, requestValidatorId=validator["id"])
    of = lambda extensions: json.loads(export(rest, api_id, extensions=extensions)["body"].read())
    whole = of("apigateway")
    assert set(whole["x-amazon-apigateway-request-validators"]) == {"everything", "nothing"}
    get = whole["paths"]["/pets/{id}"]["get"]
    assert get["operationId"] == "GetPet" and get["x-amazon-apigateway-request-validator"] == "everything"
    assert {"name": "colour", "in": "query", "required": True, "schema": {"type": "string"}} in get["parameters"]
    assert whole["components"]["schemas"]["Pet"]["properties"]["name"] == {"type": "string", "nullable": True}
    assert whole["components"]["schemas"]["Pet"]["properties"]["owner"] == {"$ref": "#/components/schemas/Owner"}
    assert whole["servers"][0]["variables"]["basePath"]["default"] == "prod"
    assert {*re.findall("x-amazon-apigateway-[a-z-]+", json.dumps(of("")))} == {"x-amazon-apigateway-any-method", "x-amazon-apigateway-authtype"}
    of_integrations, of_authorizers = json.dumps(of("integrations")), json.dumps(of("authorizers"))
    assert "x-amazon-apigateway-integration" in of_integrations and "x-amazon-apigateway-authorizer" not in of_integrations
    assert "x-amazon-apigateway-integration" not in of_authorizers and "x-amazon-apigateway-authorizer" in of_authorizers
    both = json.dumps(of("integrations,authorizers"))
    assert "x-amazon-apigateway-integration" in both and "x-amazon-apigateway-authorizer" in both and "request-validator" not in both
    place = {"restApiId": api_id, "stageName": "prod", "exportType": "oas30"}
    for change, code, said in (
        ({"stageName": "none"}, "NotFoundException", "stage"),
        ({"exportType": "raml"}, "BadRequestException", "oas30, swagger"),
        ({"accepts": "text/html"}, "BadRequestException", "application/yaml"),
        ({"parameters": {"extensions": "postman"}}, "BadRequestException", "postman"),
    ):
        error = refused(rest.get_export, **{**place, **change})
        assert error_code(error) == code and said in error_message(error)


def test_a_put_overwrites_or_merges(server, rest, backend):
    api_id = deployed(rest, imported(rest, pets(backend))["id"])
    before = described(rest, api_id)
    root = rest.get_rest_api(restApiId=api_id)["rootResourceId"]
    more = document({"/": {"get": mock()}, "/pets/{id}": {"post": mock(), "put": mock()}}, **{
        "x-amazon-apigateway-binary-media-types": ["a/b"], "components": {"schemas": {"Owner": {"type": "string"}, "New": {"$ref": "#/components/schemas/Owner"}}}})
    more["info"] = {"title": "other", "version": "2.0"}
    merged = rest.put_rest_api(restApiId=api_id, mode="merge", body=json.dumps(more))
    assert (merged["id"], merged["name"], merged["description"], merged["tags"]) == (api_id, "other", "for people", {"team": "edge"})
    after = described(rest, api_id)
    assert after[0]["binaryMediaTypes"] == ["image/png", "a/b"]
    assert {*after[1]} == {*before[1], "GET /", "PUT /pets/{id}"}
    assert after[1]["POST /pets/{id}"]["methodIntegration"]["type"] == "MOCK"
    assert after[1]["GET /pets/{id}"] == before[1]["GET /pets/{id}"]
    assert {*after[2]} == {*before[2], "New"} and after[2]["Owner"] == {"type": "string"}
    assert after[3:] == before[3:]
    written = rest.put_rest_api(restApiId=api_id, mode="overwrite", body=json.dumps(more))
    assert (written["id"], written["rootResourceId"], written["tags"]) == (api_id, root, {"team": "edge"}) and "description" not in written
    after = described(rest, api_id)
    assert ({*after[1]}, {*after[2]}, after[3], after[4]) == ({"GET /", "POST /pets/{id}", "PUT /pets/{id}"}, {"Owner", "New"}, [], [])
    server.settle()
    url = f"https://{api_id}.execute-api.us-east-1.localhost/prod"
    assert curl(server, f"{url}/pets/1", None, "--request", "PUT").status == 403, "nothing is served before it is deployed"
    deployed(rest, api_id)
    server.settle()
    assert curl(server, f"{url}/pets/1", None, "--request", "PUT").status == 200
    assert curl(server, url).status == 200


def test_all_or_nothing(rest, backend):
    before = {one["id"] for one in rest.get_rest_apis(limit=500)["items"]}
    bad = document({"/a": {"get": mock()}, "/b": {"get": mock(type="http", uri="ftp://nowhere", httpMethod="GET")}})
    error = refused(rest.import_rest_api, body=json.dumps(bad))
    assert error_code(error) == "BadRequestException"
    assert error_message(error) == (
        "Errors found during import:\n\tUnable to put integration on 'GET' for resource at path '/b': Invalid HTTP endpoint specified for URI"), error_message(error)
    assert {one["id"] for one in rest.get_rest_apis(limit=500)["items"]} == before
    api_id = imported(rest, pets(backend))["id"]
    now = described(rest, api_id)
    for mode in ("merge", "overwrite"):
        assert error_code(refused(rest.put_rest_api, restApiId=api_id, mode=mode, body=json.dumps(bad))) == "BadRequestException"
        assert described(rest, api_id) == now


def test_what_is_left_out_is_told(rest):
    body = document(
        {"/open": {"get": mock() | {"security": [{"login": []}], "parameters": [{"name": "c", "in": "cookie"}]}},
         "/f": {"post": {"responses": {"4XX": {"description": "any"}}, "x-amazon-apigateway-integration": {
             "type": "aws_proxy", "httpMethod": "POST", "uri": invocations("f"), "credentials": "arn:aws:iam::123456789012:role/x"}}}},
        components={"securitySchemes": {"login": {"type": "http", "scheme": "basic"}}},
        **{"x-amazon-apigateway-policy": {"Version": "2012-10-17", "Statement": []}, "x-amazon-apigateway-minimum-compression-size": 10})
    made = imported(rest, body)
    for said in ("GET /open: the security scheme login", "parameters in 'cookie'", "4XX is no status code", "credentials of countersign.toml",
                 "x-amazon-apigateway-policy: resource policies are not available", "minimum-compression-size"):
        assert said in " ".join(made["warnings"]), made["warnings"]
    error = refused(imported, rest=rest, body=body, failOnWarnings=True)
    assert error_message(error).startswith("Warnings found during import:\n\t")
    assert error_code(refused(rest.put_rest_api, restApiId=made["id"], body=json.dumps(body), failOnWarnings=True)) == "BadRequestException"


@pytest.mark.parametrize("mode, path", [("ignore", "/pets/{id}"), ("prepend", "/v1/eu/pets/{id}"), ("split", "/eu/pets/{id}"), (None, "/pets/{id}")])
def test_base_paths(rest, backend, mode, path):
    api_id = imported(rest, pets(backend), parameters={"basepath": mode} if mode else {})["id"]
    assert path in {found["path"] for found in rest.get_resources(restApiId=api_id, limit=500)["items"]}


def test_documents_that_cannot_be_imported(rest):
    of = lambda integration, **more: json.dumps(document({"/a": {"get": {"responses": {"200": {}}, "x-amazon-apigateway-integration": integration}}}, **more))
    cognito = {"type": "apiKey", "x-amazon-apigateway-authorizer": {"type": "cognito_user_pools", "providerARNs": ["arn:aws:cognito-idp:us-east-1:1:userpool/x"]}}
    schema = lambda name, described: {"components": {"schemas": {name: described}}}
    for body, said in (
        ("", "object"),
        ("{", "no JSON"),
        ('{"openapi": "3.1.0"}', "3.1.0 is not supported"),
        ('{"swagger": "2.0", "info": {}}', "title"),
        (of({"type": "mock"}, **schema("not alphanumeric", {})), "Unable to create models: not alphanumeric: Model name must be alphanumeric"),
        (of({"type": "mock"}, **schema("A", {"$ref": "#/components/schemas/B"})), "leads nowhere"),
        (of({"type": "mock"}, **schema("A", {"type": "thing"})), "Invalid model schema specified. A"),
        (of({"type": "mock"}, components={"securitySchemes": {"c": cognito}}), "Unable to create authorizer 'c': "),
        (of({"type": "teapot"}), "paths./a.get.x-amazon-apigateway-integration: TEAPOT is no type of integrations"),
        (of({"type": "mock", "timeoutInMillis": 7}), "between 50 ms and 29000 ms"),
        (of({"type": "mock", "responses": {"default": {"statusCode": "404"}}}), "Unable to put integration response on 'GET' for resource at path '/a'"),
        (of({"type": "http_proxy", "httpMethod": "GET", "uri": "http://b", "connectionType": "vpc_link", "connectionId": "x"}), "VPC_LINK"),
        (json.dumps(document({"/a/{b+}/c": {"get": mock()}})), "Unable to create resource at path '/a/{b+}/c'"),
        (json.dumps(document({"/a": {"get": mock()}, "/a/": {"get": mock()}})), "there twice"),
        (json.dumps(document({"/a": {"get": mock() | {"x-amazon-apigateway-request-validator": "none"}}})), "none is not among"),
        (json.dumps(document({}, **{"x-amazon-apigateway-gateway-responses": {"TEAPOT": {}}})), "no type of gateway responses"),
        (json.dumps(document({}, **{"x-amazon-apigateway-api-key-source": "AUTHORIZER"})), "apiKeySource AUTHORIZER"),
        (json.dumps(document({}, tags=[{"name": "countersign:no", "x-amazon-apigateway-tag-value": "x"}])), "countersign:no"),
    ):
        error = refused(rest.import_rest_api, body=body.encode())
        assert error_code(error) == "BadRequestException" and said in error_message(error), (body[:60], error_message(error))
    assert "REGIONAL" in error_message(refused(rest.import_rest_api, body=of({"type": "mock"}), parameters={"endpointConfigurationTypes": "EDGE"}))
    assert error_code(refused(rest.put_rest_api, restApiId="none", body=of({"type": "mock"}))) == "NotFoundException"
    assert "ignore, prepend or split" in error_message(refused(rest.import_rest_api, body=of({"type": "mock"}), parameters={"basepath": "keep"}))


def test_a_large_document_is_taken(rest):
    paths = {f"/p{number}": {"get": mock() | {"description": "x" * 15_000}} for number in range(299)}
    api_id = imported(rest, document(paths))["id"]
    assert len(rest.get_resources(restApiId=api_id, limit=500)["items"]) == 300
    paths["/more"] = {"get": mock()}
    assert error_code(refused(rest.import_rest_api, body=json.dumps(document(paths)))) == "TooManyRequestsException"


def test_the_clis_import_and_export(aws, backend, tmp_path):
    written = tmp_path / "api.yaml"
    written.write_bytes(pets(backend))
    made = aws("apigateway", "import-rest-api", "--body", f"fileb://{written}", "--fail-on-warnings", "--parameters", "endpointConfigurationTypes=REGIONAL,basepath=prepend")
    assert made["endpointConfiguration"]["types"] == ["REGIONAL"]
    aws("apigateway", "create-deployment", "--rest-api-id", made["id"], "--stage-name", "prod")
    exported = tmp_path / "exported.json"
    aws("apigateway", "get-export", "--rest-api-id", made["id"], "--stage-name", "prod", "--export-type", "oas30",
        "--parameters", '{"extensions": "integrations,authorizers"}', "--accepts", "application/json", exported)
    assert "/v1/eu/pets/{id}" in json.loads(exported.read_text())["paths"]
    again = aws("apigateway", "put-rest-api", "--rest-api-id", made["id"], "--mode", "overwrite", "--body", f"fileb://{exported}")
    assert (again["id"], again["name"]) == (made["id"], "pets")
