"""WebSocket APIs: made, read, changed and deleted as on AWS. That there is no data plane for them is said when they are deployed."""

import json

import botocore.exceptions
import pytest

from functions import invocations
from server import error_code, error_message

SCHEMA = json.dumps({"$schema": "http://json-schema.org/draft-04/schema#", "type": "object", "properties": {"action": {"type": "string"}}})


@pytest.fixture(scope="module")
def api(server):
    return server.client("apigatewayv2")


@pytest.fixture
def chat(api):
    made = api.create_api(Name="chat", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")["ApiId"]
    yield made
    api.delete_api(ApiId=made)


def refused(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return caught


def without_metadata(answer):
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def test_an_api(api, chat):
    made = api.get_api(ApiId=chat)
    assert (made["ProtocolType"], made["RouteSelectionExpression"]) == ("WEBSOCKET", "$request.body.action")
    assert made["ApiEndpoint"].startswith(f"wss://{chat}.execute-api.us-east-1.")
    changed = api.update_api(ApiId=chat, RouteSelectionExpression="${request.body.kind}", Description="for talk")
    assert (changed["RouteSelectionExpression"], changed["Name"]) == ("${request.body.kind}", "chat")
    assert chat in {item["ApiId"] for item in api.get_apis()["Items"]}
    for bad, said in (
        ({}, "routeSelectionExpression is required"),
        ({"RouteSelectionExpression": "action"}, "Invalid selection expression"),
        ({"RouteSelectionExpression": "$request.body.action", "CorsConfiguration": {"AllowOrigins": ["*"]}}, "corsConfiguration"),
        ({"RouteSelectionExpression": "$request.body.action", "Target": "http://b.test"}, "target"),
    ):
        error = refused(api.create_api, Name="x", ProtocolType="WEBSOCKET", **bad)
        assert error_code(error) == "BadRequestException" and said in error_message(error), error_message(error)


def test_routes_models_and_responses(api, chat):
    model = api.create_model(ApiId=chat, Name="Message", ContentType="application/json", Schema=SCHEMA)
    assert api.get_model(ApiId=chat, ModelId=model["ModelId"])["Schema"] == SCHEMA
    assert api.update_model(ApiId=chat, ModelId=model["ModelId"], Description="said")["Schema"] == SCHEMA
    assert error_code(refused(api.create_model, ApiId=chat, Name="Message", Schema="{}")) == "ConflictException"
    assert "no JSON" in error_message(refused(api.create_model, ApiId=chat, Name="Other", Schema="{"))
    assert "alphanumeric" in error_message(refused(api.create_model, ApiId=chat, Name="a b", Schema="{}"))
    integration = api.create_integration(ApiId=chat, IntegrationType="MOCK", RequestTemplates={"200": '{"statusCode": 200}'}, TemplateSelectionExpression="200")
    route = api.create_route(
        ApiId=chat, RouteKey="send", Target=f"integrations/{integration['IntegrationId']}", ModelSelectionExpression="$request.body.action",
        RequestModels={"$default": "Message"}, RouteResponseSelectionExpression="$default", OperationName="Send")
    assert route["RequestModels"] == {"$default": "Message"} and route["AuthorizationType"] == "NONE"
    connect = api.create_route(ApiId=chat, RouteKey="$connect", ApiKeyRequired=True, RequestParameters={"route.request.querystring.room": {"Required": True}})
    assert connect["ApiKeyRequired"] and connect["RequestParameters"] == {"route.request.querystring.room": {"Required": True}}
    api.delete_route_request_parameter(ApiId=chat, RouteId=connect["RouteId"], RequestParameterKey="route.request.querystring.room")
    assert "RequestParameters" not in api.get_route(ApiId=chat, RouteId=connect["RouteId"])
    response = api.create_route_response(ApiId=chat, RouteId=route["RouteId"], RouteResponseKey="$default", ResponseModels={"$default": "Message"})
    named = {"ApiId": chat, "RouteId": route["RouteId"], "RouteResponseId": response["RouteResponseId"]}
    assert without_metadata(api.get_route_response(**named)) == without_metadata(response)
    assert len(api.get_route_responses(ApiId=chat, RouteId=route["RouteId"])["Items"]) == 1
    assert api.update_route_response(**named, ModelSelectionExpression="$request.body.x")["ResponseModels"] == {"$default": "Message"}
    again = refused(api.create_route_response, ApiId=chat, RouteId=route["RouteId"], RouteResponseKey="$default")
    assert error_code(again) == "ConflictException"
    assert error_code(refused(api.delete_model, ApiId=chat, ModelId=model["ModelId"])) == "ConflictException"
    assert error_code(refused(api.delete_integration, ApiId=chat, IntegrationId=integration["IntegrationId"])) == "ConflictException"
    assert {item["RouteKey"] for item in api.get_routes(ApiId=chat)["Items"]} == {"send", "$connect"}
    api.delete_route_response(**named)
    assert error_code(refused(api.get_route_response, **named)) == "NotFoundException"
    api.delete_route(ApiId=chat, RouteId=route["RouteId"])
    api.delete_model(ApiId=chat, ModelId=model["ModelId"])
    assert api.get_models(ApiId=chat)["Items"] == []
    for bad, said in (
        ({"RouteKey": "$other"}, "WEBSOCKET protocol"),
        ({"RouteKey": "$connect"}, "already exists"),
        ({"RouteKey": "a", "RequestModels": {"x": "None"}}, "Invalid model name"),
        ({"RouteKey": "a", "AuthorizationType": "AWS_IAM"}, "$connect route only"),
        ({"RouteKey": "a", "Target": "integrations/none"}, "Invalid target"),
        ({"RouteKey": "a", "RequestParameters": {"x": {"Required": True}}}, "route.request.header.NAME"),
        ({"RouteKey": "a", "RouteResponseSelectionExpression": "$other"}, "$default"),
    ):
        error = refused(api.create_route, ApiId=chat, **bad)
        assert said in error_message(error), error_message(error)


@pytest.mark.parametrize("kind, uri", [
    ("AWS_PROXY", invocations("chat")), ("AWS", "arn:aws:apigateway:us-east-1:sqs:path/123456789012/queue"),
    ("HTTP", "http://b.test/x"), ("HTTP_PROXY", "https://b.test/x"), ("MOCK", None)])
def test_integrations(api, chat, kind, uri):
    named = {"IntegrationUri": uri} if uri else {}
    made = api.create_integration(
        ApiId=chat, IntegrationType=kind, IntegrationMethod="POST", ContentHandlingStrategy="CONVERT_TO_TEXT", PassthroughBehavior="NEVER",
        CredentialsArn="arn:aws:iam::123456789012:role/x", RequestParameters={"integration.request.header.x": "'y'"}, TimeoutInMillis=1000, **named)
    assert (made["IntegrationType"], made.get("IntegrationUri"), made["TimeoutInMillis"]) == (kind, uri, 1000)
    place = {"ApiId": chat, "IntegrationId": made["IntegrationId"]}
    changed = api.update_integration(**place, Description="second", RequestParameters={"integration.request.header.x": ""})
    assert changed["PassthroughBehavior"] == "NEVER" and "RequestParameters" not in changed
    response = api.create_integration_response(**place, IntegrationResponseKey="/4\\d\\d/", ResponseTemplates={"$default": "{}"}, TemplateSelectionExpression="\\$default")
    named = {**place, "IntegrationResponseId": response["IntegrationResponseId"]}
    assert without_metadata(api.get_integration_response(**named)) == without_metadata(response)
    assert api.update_integration_response(**named, ContentHandlingStrategy="CONVERT_TO_BINARY")["ResponseTemplates"] == {"$default": "{}"}
    assert [item["IntegrationResponseKey"] for item in api.get_integration_responses(**place)["Items"]] == ["/4\\d\\d/"]
    assert "between slashes" in error_message(refused(api.create_integration_response, **place, IntegrationResponseKey="200"))
    api.delete_integration_response(**named)
    api.delete_integration(**place)
    assert api.get_integrations(ApiId=chat)["Items"] == []
    if uri:
        assert "integrationUri is required" in error_message(refused(api.create_integration, ApiId=chat, IntegrationType=kind))


def test_an_authorizer_is_for_connecting(api, chat):
    made = api.create_authorizer(
        ApiId=chat, Name="who", AuthorizerType="REQUEST", AuthorizerUri=invocations("who"), IdentitySource=["route.request.header.Auth"])
    assert made["IdentitySource"] == ["route.request.header.Auth"] and "AuthorizerPayloadFormatVersion" not in made
    api.create_route(ApiId=chat, RouteKey="$connect", AuthorizationType="CUSTOM", AuthorizerId=made["AuthorizerId"])
    assert error_code(refused(api.delete_authorizer, ApiId=chat, AuthorizerId=made["AuthorizerId"])) == "ConflictException"
    jwt = {"AuthorizerType": "JWT", "IdentitySource": ["$request.header.x"], "JwtConfiguration": {"Issuer": "https://a.test", "Audience": ["a"]}}
    assert "JWT is not supported for WebSocket APIs" in error_message(refused(api.create_authorizer, ApiId=chat, Name="jwt", **jwt))
    bad = refused(api.update_authorizer, ApiId=chat, AuthorizerId=made["AuthorizerId"], IdentitySource=["$request.header.x"])
    assert "route.request.header.NAME" in error_message(bad)


def test_a_deployment_says_that_there_is_no_data_plane(api, chat, aws):
    api.create_route(ApiId=chat, RouteKey="$default")
    api.create_stage(ApiId=chat, StageName="prod", StageVariables={"a": "b"})
    for call, arguments in (
        (api.create_deployment, {"ApiId": chat}),
        (api.create_stage, {"ApiId": chat, "StageName": "auto", "AutoDeploy": True}),
        (api.update_stage, {"ApiId": chat, "StageName": "prod", "AutoDeploy": True}),
    ):
        error = refused(call, **arguments)
        assert error_code(error) == "BadRequestException" and "no data plane for WebSocket APIs" in error_message(error)
    said = aws("apigatewayv2", "create-deployment", "--api-id", chat, check=False)
    assert said.returncode and "no data plane for WebSocket APIs" in said.stderr
    assert [item["StageName"] for item in api.get_stages(ApiId=chat)["Items"]] == ["prod"]


def test_http_apis_have_nothing_of_it(api):
    http = api.create_api(Name="http", ProtocolType="HTTP")["ApiId"]
    for call, arguments in (
        (api.create_model, {"Name": "M", "Schema": "{}"}),
        (api.get_models, {}),
        (api.create_route_response, {"RouteId": "x", "RouteResponseKey": "$default"}),
        (api.create_integration_response, {"IntegrationId": "x", "IntegrationResponseKey": "$default"}),
    ):
        error = refused(call, ApiId=http, **arguments)
        assert error_code(error) == "BadRequestException" and "WebSocket APIs only" in error_message(error)


def test_openapi_is_for_http_apis(api, chat):
    error = refused(api.export_api, ApiId=chat, OutputType="JSON", Specification="OAS30")
    assert "OpenAPI is not supported for WebSocket APIs" in error_message(error)
