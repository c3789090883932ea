"""API keys and usage plans of REST APIs: set up by boto3 and the CLI, enforced by the gateway, and kept over restarts."""

import datetime
import uuid

import botocore.exceptions
import pytest

from gateway import curl
from server import eventually

FORMAT = '{"id":"$context.requestId","path":"$context.path","key":"$context.identity.apiKeyId","secret":"$context.identity.apiKey",' \
         '"type":"$context.error.responseType","why":"$context.authorizer.error"}'


class Plan:
    """A REST API whose `GET /paid` asks for an API key and whose `GET /free` does not, and a usage plan for its stage `dev`."""

    def __init__(self, server, backend, **plan):
        self.server, self.rest = server, server.client("apigateway")
        created = self.rest.create_rest_api(name="keys")
        self.api = created["id"]
        for path, required in (("paid", True), ("free", False)):
            resource = self.rest.create_resource(restApiId=self.api, parentId=created["rootResourceId"], pathPart=path)["id"]
            place = {"restApiId": self.api, "resourceId": resource, "httpMethod": "GET"}
            self.rest.put_method(**place, authorizationType="NONE", apiKeyRequired=required)
            self.rest.put_integration(**place, type="HTTP_PROXY", integrationHttpMethod="GET", uri=f"{backend.url}/{path}")
        self.rest.create_deployment(restApiId=self.api, stageName="dev")
        self.id = self.rest.create_usage_plan(name="plan", apiStages=[{"apiId": self.api, "stage": "dev"}], **plan)["id"]

    def key(self, **settings):
        """A key of the plan, enforced: its id and its value."""
        key = self.rest.create_api_key(name=f"k-{uuid.uuid4().hex[:8]}", enabled=True, **settings)
        self.rest.create_usage_plan_key(usagePlanId=self.id, keyId=key["id"], keyType="API_KEY")
        self.server.settle()
        return key["id"], key["value"]

    def patch(self, *operations):
        self.rest.update_usage_plan(usagePlanId=self.id, patchOperations=[dict(zip(("op", "path", "value"), each)) for each in operations])
        self.server.settle()

    def get(self, path="/paid", key=None, *more):
        header = ("--header", f"x-api-key: {key}") if key else ()
        return curl(self.server, f"https://{self.api}.execute-api.us-east-1.localhost/dev{path}", None, *header, *more)

    def statuses(self, key, requests, path="/paid"):
        return [self.get(path, key).status for _ in range(requests)]

    def used(self, key_id):
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        items = self.rest.get_usage(usagePlanId=self.id, keyId=key_id, startDate=today, endDate=today).get("items", {})
        return items.get(key_id, [[0, None]])[-1]


def assert_forbidden(answer):
    assert (answer.status, answer.body) == (403, '{"message":"Forbidden"}'), answer
    assert answer.headers["x-amzn-errortype"] == "ForbiddenException"


def test_a_method_asks_for_a_key(server, backend):
    plan = Plan(server, backend)
    key_id, value = plan.key()
    backend.clear()
    assert plan.get("/free").status == 200
    assert_forbidden(plan.get())
    assert_forbidden(plan.get(key="x" * 40))
    assert_forbidden(plan.get("/paid", value, "--header", f"x-api-key: {value}"))
    assert len(backend.seen) == 1
    assert plan.get(key=value).status == 200
    plan.rest.update_api_key(apiKey=key_id, patchOperations=[{"op": "replace", "path": "/enabled", "value": "false"}])
    server.settle()
    assert_forbidden(plan.get(key=value))
    plan.rest.update_api_key(apiKey=key_id, patchOperations=[{"op": "replace", "path": "/enabled", "value": "true"}])
    plan.rest.delete_usage_plan_key(usagePlanId=plan.id, keyId=key_id)
    server.settle()
    assert_forbidden(plan.get(key=value))


def test_a_quota_is_used_up_and_more_is_granted(server, backend):
    plan = Plan(server, backend, quota={"limit": 2, "period": "MONTH"})
    key_id, value = plan.key()
    other_id, other = plan.key()
    assert plan.statuses(value, 3) == [200, 200, 429]
    beyond = plan.get(key=value)
    assert (beyond.body, beyond.headers["x-amzn-errortype"]) == ('{"message":"Limit Exceeded"}', "LimitExceededException")
    assert plan.used(key_id) == [2, 0] and plan.get(key=other).status == 200 and plan.used(other_id) == [1, 1]
    plan.rest.update_usage(usagePlanId=plan.id, keyId=key_id, patchOperations=[{"op": "replace", "path": "/remaining", "value": "1"}])
    assert plan.statuses(value, 2) == [200, 429]
    plan.patch(("replace", "/quota/limit", "4"))
    assert plan.used(other_id) == [1, 3]
    plan.patch(("remove", "/quota"))
    assert plan.get(key=value).status == 200


def test_a_plan_throttles_each_key_and_each_of_its_methods(server, backend):
    plan = Plan(server, backend, throttle={"rateLimit": 0.01, "burstLimit": 2})
    (_, one), (_, two) = plan.key(), plan.key()
    assert plan.statuses(one, 3) == [200, 200, 429] and plan.statuses(two, 1) == [200]
    throttled = plan.get(key=one)
    assert (throttled.body, throttled.headers["x-amzn-errortype"]) == ('{"message":"Too Many Requests"}', "TooManyRequestsException")
    # As Terraform writes it, with the path's own slash.
    stage = f"/apiStages/{plan.api}:dev/throttle//paid/GET"
    plan.patch(("remove", "/throttle", ""), ("replace", f"{stage}/rateLimit", "0.01"), ("replace", f"{stage}/burstLimit", "1"))
    _, three = plan.key()
    assert plan.statuses(three, 2) == [200, 429]
    shown = plan.rest.get_usage_plan(usagePlanId=plan.id)["apiStages"][0]["throttle"]
    assert shown == {"/paid/GET": {"rateLimit": 0.01, "burstLimit": 1}}


def test_the_log_has_the_keys_id_and_never_its_value(server, backend):
    plan = Plan(server, backend)
    key_id, value = plan.key()
    logs, group = server.client("logs"), f"/keys/{uuid.uuid4().hex}"
    logs.create_log_group(logGroupName=group)
    arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{group}"
    plan.rest.update_stage(restApiId=plan.api, stageName="dev", patchOperations=[
        {"op": "replace", "path": "/accessLogSettings/destinationArn", "value": arn},
        {"op": "replace", "path": "/accessLogSettings/format", "value": FORMAT}])
    server.settle()
    plan.get(key=value)
    plan.get(key="wrong-wrong-wrong-wrong")
    plan.get()
    lines = eventually(lambda: (found := logs.filter_log_events(logGroupName=group)["events"]) and len(found) == 3 and found, what="three lines")
    text = "\n".join(line["message"] for line in lines)
    assert f'"key":"{key_id}","secret":"-"' in text and value not in text and "wrong-wrong" not in text
    assert '"type":"INVALID_API_KEY","why":"there is no API key"' in text


def test_keys_are_sealed_and_used_up_quotas_outlive_a_restart(start_server, backend):
    server = start_server()
    plan = Plan(server, backend, quota={"limit": 2, "period": "MONTH", "offset": 3})
    key_id, value = plan.key()
    assert plan.statuses(value, 2) == [200, 200]
    server.stop()
    assert not [path for path in server.data_dir.rglob("*") if path.is_file() and value.encode() in path.read_bytes()]
    server.start()
    plan.rest = server.client("apigateway")
    assert plan.used(key_id) == [2, 0]
    assert plan.get(key=value).status == 429
    assert plan.rest.get_api_key(apiKey=key_id, includeValue=True)["value"] == value


def test_what_a_plan_refuses(server, backend):
    plan = Plan(server, backend)
    key_id, value = plan.key()
    stage = [{"apiId": plan.api, "stage": "dev"}]

    def refused(match, call, **given):
        with pytest.raises(botocore.exceptions.ClientError, match=match):
            call(**given)

    create = plan.rest.create_usage_plan
    refused("offset must be zero in the DAY period", create, name="n", quota={"limit": 1, "offset": 1, "period": "DAY"})
    refused("between 0 and 6 inclusive in the WEEK period", create, name="n", quota={"limit": 1, "offset": 7, "period": "WEEK"})
    refused("limit must be greater than 0", create, name="n", quota={"limit": 0, "period": "DAY"})
    refused("NotFoundException.*API Stage not found", create, name="n", apiStages=[{"apiId": plan.api, "stage": "none"}])
    second = create(name="second", apiStages=stage)["id"]
    refused("cannot reference multiple Usage Plans with the same API stage", plan.rest.create_usage_plan_key,
            usagePlanId=second, keyId=key_id, keyType="API_KEY")
    refused("ConflictException.*API Key already exists", plan.rest.create_api_key, name="again", value=value)
    refused("at least 20 characters", plan.rest.create_api_key, name="short", value="short")
    refused("Invalid API Key identifier specified", plan.rest.get_api_key, apiKey="none")
    refused("has API stages", plan.rest.delete_usage_plan, usagePlanId=second)
    refused("has no quota", plan.rest.update_usage, usagePlanId=plan.id, keyId=key_id,
            patchOperations=[{"op": "replace", "path": "/remaining", "value": "1"}])
    refused("Usage can be asked for 90 days at most", plan.rest.get_usage, usagePlanId=plan.id, startDate="2026-01-01", endDate="2026-12-31")
    plan.rest.update_usage_plan(usagePlanId=second, patchOperations=[{"op": "remove", "path": "/apiStages", "value": f"{plan.api}:dev"}])
    plan.rest.delete_usage_plan(usagePlanId=second)
    plan.rest.delete_stage(restApiId=plan.api, stageName="dev")
    assert plan.rest.get_usage_plan(usagePlanId=plan.id)["apiStages"] == []


def test_the_cli_makes_and_imports_keys(aws, server, backend):
    plan = Plan(server, backend)
    made = aws("apigateway", "create-api-key", "--name", "cli key", "--enabled", "--tags", "team=edge")
    assert len(made["value"]) == 40
    aws("apigateway", "create-usage-plan-key", "--usage-plan-id", plan.id, "--key-type", "API_KEY", "--key-id", made["id"])
    listed = aws("apigateway", "get-api-keys", "--name-query", "cli", "--include-values")["items"]
    assert [(key["name"], key["value"]) for key in listed if key["id"] == made["id"]] == [("cli key", made["value"])]
    assert "value" not in aws("apigateway", "get-api-key", "--api-key", made["id"])
    imported = f"imported-{uuid.uuid4().hex}"
    (server.base / "keys.csv").write_text(f"Name,key,description,Enabled,usageplanIds\nfrom a file,{imported},\"one, two\",true,{plan.id}\n")
    assert len(aws("apigateway", "import-api-keys", "--body", f"fileb://{server.base}/keys.csv", "--format", "csv")["ids"]) == 1
    server.settle()
    assert plan.get(key=imported).status == 200 and plan.get(key=made["value"]).status == 200
    keys = aws("apigateway", "get-usage-plan-keys", "--usage-plan-id", plan.id)["items"]
    assert {key["name"] for key in keys} == {"cli key", "from a file"}
    plans = aws("apigateway", "get-usage-plans", "--key-id", made["id"])["items"]
    assert [found["id"] for found in plans] == [plan.id]
    arn = f"arn:aws:apigateway:us-east-1::/apikeys/{made['id']}"
    assert aws("apigateway", "get-tags", "--resource-arn", arn)["tags"] == {"team": "edge"}
    aws("apigateway", "delete-api-key", "--api-key", made["id"])
    server.settle()
    assert plan.get(key=made["value"]).status == 403
