"""Models of REST APIs, and payloads that are held against them."""

import json

import pytest
from botocore.exceptions import ClientError

from rest_gateway import RestGateway, patches

DRAFT = "http://json-schema.org/draft-04/schema#"
PET = {"$schema": DRAFT, "title": "Pet", "type": "object", "required": ["name", "age"], "additionalProperties": False,
       "properties": {"name": {"type": "string", "minLength": 2}, "age": {"type": "integer", "minimum": 0}}}


@pytest.fixture(scope="module")
def rest(server, backend, pki):
    return RestGateway(server, backend, "models.yourcompany.com", pki.ca().pem).create()


@pytest.fixture(scope="module")
def validator(rest):
    return rest.rest.create_request_validator(restApiId=rest.api_id, name="bodies", validateRequestBody=True)["id"]


def reference(rest, name):
    return {"$ref": f"https://apigateway.amazonaws.com/restapis/{rest.api_id}/models/{name}"}


def create(rest, name, schema, **more):
    return rest.rest.create_model(**{"restApiId": rest.api_id, "name": name, "contentType": "application/json", "schema": json.dumps(schema), **more})


def test_payloads_are_held_against_their_model(rest, validator, backend, pki):
    create(rest, "Pet", PET)
    create(rest, "Pets", {"$schema": DRAFT, "type": "array", "items": reference(rest, "Pet")})
    rest.add("one", "POST", f"{backend.url}/one", {}, requestValidatorId=validator, requestModels={"application/json": "Pet"})
    rest.add("many", "POST", f"{backend.url}/many", {}, requestValidatorId=validator, requestModels={"application/json": "Pets"})
    rest.deploy()
    rest.patch_stage(("replace", "/accessLogSettings/format", json.dumps({
        "requestId": "$context.requestId", "why": "$context.error.validationErrorString", "type": "$context.error.responseType"})))
    backend.clear()
    assert rest.curl("/one", pki.client(), "--json", '{"name": "Rex", "age": 3}').json()["length"] == 25
    assert rest.curl("/many", pki.client(), "--json", '[{"name": "Rex", "age": 3}]').status == 200
    assert [seen.body for seen in backend.seen] == [b'{"name": "Rex", "age": 3}', b'[{"name": "Rex", "age": 3}]']
    for path, payload, why in (
        ("/one", '{"name": "Rex"}', '[object has missing required properties (["age"])]'),
        ("/one", '{"name": "R", "age": 1, "x": 1}', None),
        ("/one", "[]", '[instance type (array) does not match any allowed primitive type (allowed: ["object"])]'),
        ("/one", "{", None), ("/one", "", None),
        ("/many", '[{"name": "Rex", "age": "3"}]', '[instance type (string) does not match any allowed primitive type (allowed: ["integer"])]'),
    ):
        answer = rest.curl(path, pki.client(), "--data", payload, "--header", "Content-Type: application/json")
        assert (answer.status, answer.body) == (400, '{"message": "Invalid request body"}'), payload
        record = rest.record(requestId=answer.headers["x-amzn-requestid"])
        assert record["type"] == "BAD_REQUEST_BODY" and (why is None or record["why"] == why.replace('"', '\\"') or record["why"] == why)
    assert len(backend.seen) == 2, "what is not good does not get there"
    other = rest.curl("/one", pki.client(), "--data", "anything", "--header", "Content-Type: text/plain")
    assert other.status == 200, "no model is for it"


def test_a_model_that_changes_holds_from_the_next_deployment(rest, validator, backend, pki):
    create(rest, "Name", {"type": "object", "required": ["a"]})
    rest.add("changing", "POST", f"{backend.url}/changing", {}, requestValidatorId=validator, requestModels={"application/json": "Name"})
    rest.deploy()
    assert rest.curl("/changing", pki.client(), "--json", '{"b": 1}').status == 400
    rest.rest.update_model(restApiId=rest.api_id, modelName="Name", patchOperations=patches(("replace", "/schema", '{"required": ["b"]}')))
    rest.server.settle()
    assert rest.curl("/changing", pki.client(), "--json", '{"b": 1}').status == 400
    rest.deploy()
    assert rest.curl("/changing", pki.client(), "--json", '{"b": 1}').status == 200
    rest.rest.put_gateway_response(restApiId=rest.api_id, responseType="BAD_REQUEST_BODY", statusCode="422", responseTemplates={
        "application/json": '{"message": $context.error.messageString, "why": "$context.error.validationErrorString"}'})
    rest.deploy()
    answer = rest.curl("/changing", pki.client(), "--json", "{}")
    assert (answer.status, answer.json()["message"]) == (422, "Invalid request body")
    rest.rest.delete_gateway_response(restApiId=rest.api_id, responseType="BAD_REQUEST_BODY")


def test_models_are_kept_and_refused(rest):
    of = {"restApiId": rest.api_id}
    names = {model["name"]: model for model in rest.rest.get_models(**of)["items"]}
    assert {"Empty", "Error"} <= set(names), "every API has them from the beginning"
    made = create(rest, "Owner", {"type": "object", "properties": {"id": {"type": "integer"}}}, description="who")
    assert (made["name"], made["description"], made["contentType"]) == ("Owner", "who", "application/json")
    create(rest, "Order", {"type": "object", "properties": {"by": reference(rest, "Owner"), "n": {"type": "string"}}})
    flat = json.loads(rest.rest.get_model(**of, modelName="Order", flatten=True)["schema"])
    assert flat["properties"]["by"] == {"$ref": "#/definitions/Owner"} and flat["definitions"]["Owner"]["type"] == "object"
    template = rest.rest.get_model_template(**of, modelName="Order")["value"]
    assert template.startswith("#set($inputRoot = $input.path('$'))") and '"n" : "$inputRoot.n"' in template and '"id" : $inputRoot.by.id' in template

    def refused(match, code, call, **more):
        with pytest.raises(ClientError, match=match) as error:
            call(**of, **more)
        assert error.value.response["Error"]["Code"] == code

    def create_refused(match, schema, name="Bad", code="BadRequestException"):
        refused(match, code, rest.rest.create_model, name=name, contentType="application/json", schema=schema)

    create_refused("already exists", "{}", name="Owner", code="ConflictException")
    create_refused("alphanumeric", "{}", name="a-b")
    create_refused("Invalid model schema", "{")
    create_refused("Invalid model schema", '{"type": "text"}')
    create_refused("draft 4", '{"if": {}}')
    create_refused("refers to itself", '{"$ref": "#"}')
    create_refused("leads nowhere", json.dumps(reference(rest, "Nobody")))
    refused("referenced in model: Order", "ConflictException", rest.rest.delete_model, modelName="Owner")
    refused("Invalid model name specified", "NotFoundException", rest.rest.get_model, modelName="Nobody")
    page = rest.rest.get_models(**of, limit=1)
    assert len(page["items"]) == 1 and rest.rest.get_models(**of, limit=1, position=page["position"])["items"] != page["items"]
    place = rest.place("described", "GET")
    rest.rest.put_method(**place, authorizationType="NONE")
    rest.rest.put_method_response(**place, statusCode="200", responseModels={"application/json": "Order"})
    refused("method response", "ConflictException", rest.rest.delete_model, modelName="Order")
    rest.rest.delete_method(**place)
    rest.rest.delete_model(**of, modelName="Order")
    rest.rest.delete_model(**of, modelName="Owner")


def test_the_cli_makes_a_model(aws):
    api = aws("apigateway", "create-rest-api", "--name", "modelled")
    of = ("--rest-api-id", api["id"])
    aws("apigateway", "create-model", *of, "--name", "Pet", "--content-type", "application/json", "--schema", json.dumps(PET))
    assert json.loads(aws("apigateway", "get-model", *of, "--model-name", "Pet")["schema"]) == PET
    assert len(aws("apigateway", "get-models", *of)["items"]) == 3
    aws("apigateway", "delete-model", *of, "--model-name", "Pet")
    aws("apigateway", "delete-rest-api", *of)
