"""Routing rules of a custom domain: set with boto3 and the CLI, asked in the order of their priorities."""

import json

import pytest
from botocore.exceptions import ClientError

import aws_cli
from gateway import LOG_FORMAT, Gateway

FORMAT = json.dumps({
    **json.loads(LOG_FORMAT),
    "rule": "$context.customDomain.routingRuleIdMatched",
    "basePath": "$context.customDomain.basePathMatched",
    "stage": "$context.stage",
})


def header(name, glob):
    return {"MatchHeaders": {"AnyOf": [{"Header": name, "ValueGlob": glob}]}}


def base_path(path):
    return {"MatchBasePaths": {"AnyOf": [path]}}


@pytest.fixture
def routed(server, backend, pki):
    """A domain whose stages `prod` and `beta` send to `/prod/…` and `/beta/…` of the backend."""
    gateway = Gateway(server, backend, "rules.yourcompany.com", pki.ca().pem, log_format=FORMAT).create()
    [integration] = gateway.api.get_integrations(ApiId=gateway.api_id)["Items"]
    gateway.api.update_integration(
        ApiId=gateway.api_id, IntegrationId=integration["IntegrationId"],
        IntegrationUri=f"{backend.url}/${{stageVariables.name}}/{{proxy}}")
    gateway.api.update_stage(ApiId=gateway.api_id, StageName="prod", StageVariables={"name": "prod"})
    gateway.api.create_stage(
        ApiId=gateway.api_id, StageName="beta", AutoDeploy=True, StageVariables={"name": "beta"},
        AccessLogSettings={"DestinationArn": gateway.log_group_arn, "Format": FORMAT})
    gateway.server.settle()
    yield gateway
    for rule in gateway.api.list_routing_rules(DomainName=gateway.domain)["RoutingRules"]:
        gateway.api.delete_routing_rule(DomainName=gateway.domain, RoutingRuleId=rule["RoutingRuleId"])
    gateway.api.delete_domain_name(DomainName=gateway.domain)


def add(gateway, priority, conditions, stage="beta", strip=False):
    rule = gateway.api.create_routing_rule(
        DomainName=gateway.domain, Priority=priority, Conditions=conditions,
        Actions=[{"InvokeApi": {"ApiId": gateway.api_id, "Stage": stage, "StripBasePath": strip}}])
    gateway.server.settle()
    return rule


def set_mode(gateway, mode):
    changed = gateway.api.update_domain_name(DomainName=gateway.domain, RoutingMode=mode)
    assert changed["RoutingMode"] == mode
    gateway.wait_available()


def test_rules_come_before_mappings_and_in_their_order(routed, pki):
    client = pki.client()
    both = add(routed, 20, [header("X-Version", "be*"), base_path("users")], strip=True)
    add(routed, 30, [base_path("users")], stage="prod")
    assert routed.curl("/users/1", client, "--header", "x-version: beta").json()["path"] == "/prod/users/1", "not asked yet"
    set_mode(routed, "ROUTING_RULE_THEN_API_MAPPING")
    for path, version, wanted in (
        ("/users/1", "beta", "/beta/1"),
        ("/users/1", "Beta", "/prod/users/1"),
        ("/usersandmore", "beta", "/prod/usersandmore"),
        ("/orders", "beta", "/prod/orders"),
    ):
        assert routed.curl(path, client, "--header", f"x-version: {version}").json()["path"] == wanted, (path, version)
    set_mode(routed, "ROUTING_RULE_ONLY")
    assert routed.curl("/orders", client).status == 404
    first = add(routed, 1, [])
    answer = routed.curl("/users/1", client, "--header", "x-version: beta")
    assert answer.json()["path"] == "/beta/users/1"
    record = routed.record(requestId=answer.headers["apigw-requestid"])
    assert (record["rule"], record["basePath"], record["stage"]) == (first["RoutingRuleId"], "-", "beta")
    routed.api.delete_routing_rule(DomainName=routed.domain, RoutingRuleId=first["RoutingRuleId"])
    routed.server.settle()
    answer = routed.curl("/users/1", client, "--header", "x-version: beta")
    record = routed.record(requestId=answer.headers["apigw-requestid"])
    assert (record["rule"], record["basePath"], record["stage"]) == (both["RoutingRuleId"], "users", "beta")


def test_rules_are_kept_as_they_were_given(routed):
    conditions = [header("x-a", "1"), header("X-B", "*2*"), base_path("v1/users")]
    made = add(routed, 1_000_000, conditions, strip=True)
    arn = f"arn:aws:apigateway:us-east-1::/domainnames/{routed.domain}/routingrules/{made['RoutingRuleId']}"
    assert (made["RoutingRuleArn"], made["Priority"], made["Conditions"]) == (arn, 1_000_000, conditions)
    names = {"DomainName": routed.domain, "RoutingRuleId": made["RoutingRuleId"]}
    add(routed, 5, [])
    replaced = routed.api.put_routing_rule(
        **names, Priority=7, Conditions=[], Actions=[{"InvokeApi": {"ApiId": routed.api_id, "Stage": "prod"}}])
    found = routed.api.get_routing_rule(**names)
    for answer in (replaced, found):
        assert (answer["Priority"], answer["Conditions"]) == (7, [])
        assert answer["Actions"] == [{"InvokeApi": {"ApiId": routed.api_id, "Stage": "prod", "StripBasePath": False}}]
    pages = [routed.api.list_routing_rules(DomainName=routed.domain, MaxResults=1)]
    pages.append(routed.api.list_routing_rules(DomainName=routed.domain, MaxResults=1, NextToken=pages[0]["NextToken"]))
    assert [rule["Priority"] for page in pages for rule in page["RoutingRules"]] == [5, 7] and "NextToken" not in pages[1]


def test_what_cannot_be_is_refused(routed):
    made = add(routed, 5, [])
    good = {"ApiId": routed.api_id, "Stage": "prod"}
    for priority, conditions, action, code in (
        (5, [], good, "ConflictException"),
        (1_000_001, [], good, "BadRequestException"),
        (6, [header("a", "1"), header("b", "1"), header("c", "1")], good, "BadRequestException"),
        (6, [base_path("a"), base_path("b")], good, "BadRequestException"),
        (6, [header("a", "mid*dle")], good, "BadRequestException"),
        (6, [header("Authorization", "x")], good, "BadRequestException"),
        (6, [], {**good, "Stage": "none"}, "BadRequestException"),
        (6, [], {**good, "ApiId": "none"}, "NotFoundException"),
    ):
        with pytest.raises(ClientError) as refused:
            routed.api.create_routing_rule(
                DomainName=routed.domain, Priority=priority, Conditions=conditions, Actions=[{"InvokeApi": action}])
        assert refused.value.response["Error"]["Code"] == code, (priority, conditions, action)
    with pytest.raises(ClientError, match="routing rules"):
        routed.api.delete_stage(ApiId=routed.api_id, StageName="beta")
    with pytest.raises(ClientError) as missing:
        routed.api.get_routing_rule(DomainName=routed.domain, RoutingRuleId="none")
    assert missing.value.response["Error"]["Code"] == "NotFoundException"
    assert routed.api.get_routing_rule(DomainName=routed.domain, RoutingRuleId=made["RoutingRuleId"])["Priority"] == 5


def test_the_cli_sets_them(routed):
    """PyPI's CLI; Debian's is older than routing rules."""
    aws = aws_cli.AwsCli(routed.server, "v1")
    conditions = [header("version", "prod"), base_path("v1")]
    actions = [{"InvokeApi": {"ApiId": routed.api_id, "Stage": "prod", "StripBasePath": True}}]
    named = ("--domain-name", routed.domain)
    given = ("--conditions", json.dumps(conditions), "--actions", json.dumps(actions))
    made = aws("apigatewayv2", "create-routing-rule", *named, "--priority", "50", *given)
    assert (made["Conditions"], made["Actions"]) == (conditions, actions)
    rule = (*named, "--routing-rule-id", made["RoutingRuleId"])
    assert aws("apigatewayv2", "put-routing-rule", *rule, "--priority", "60", *given)["Priority"] == 60
    assert aws("apigatewayv2", "list-routing-rules", *named)["RoutingRules"] == [aws("apigatewayv2", "get-routing-rule", *rule)]
    aws("apigatewayv2", "delete-routing-rule", *rule)
    assert aws("apigatewayv2", "list-routing-rules", *named)["RoutingRules"] == []
