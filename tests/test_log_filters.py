"""What is kept about log groups, and what is about them besides: filters, policies, protection, lists."""

import json
import uuid

import botocore.exceptions
import pytest

from server import error_code


@pytest.fixture(scope="module")
def logs(server):
    return server.client("logs")


@pytest.fixture
def group(logs):
    name = f"/test/{uuid.uuid4().hex}"
    logs.create_log_group(logGroupName=name)
    return name


def refused(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return error_code(caught)


def test_metric_filters(logs, group):
    transformation = {"metricName": "Refused", "metricNamespace": "Gateway", "metricValue": "1", "defaultValue": 0.0, "unit": "Count"}
    filter = {"logGroupName": group, "filterName": "refused", "filterPattern": "{ $.status = 403 }"}
    logs.put_metric_filter(**filter, metricTransformations=[transformation])
    [found] = logs.describe_metric_filters(logGroupName=group, filterNamePrefix="ref")["metricFilters"]
    assert found["metricTransformations"] == [transformation] and found["filterPattern"] == "{ $.status = 403 }"
    assert logs.describe_metric_filters(metricName="Refused", metricNamespace="Gateway")["metricFilters"] == [found]
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["metricFilterCount"] == 1
    assert refused(logs.put_metric_filter, **filter | {"filterPattern": "{ $.status"}, metricTransformations=[transformation]) == "InvalidParameterException"
    logs.delete_metric_filter(logGroupName=group, filterName="refused")
    assert refused(logs.delete_metric_filter, logGroupName=group, filterName="refused") == "ResourceNotFoundException"


def test_a_pattern_is_tried_on_messages(logs):
    messages = ['127.0.0.1 - ann [10/Oct] "GET /x" 404 12', '127.0.0.1 - bob [10/Oct] "GET /x" 200 12']
    got = logs.test_metric_filter(filterPattern="[ip, id, user, time, request, status = 4*, size]", logEventMessages=messages)["matches"]
    assert [(m["eventNumber"], m["extractedValues"]["$user"], m["extractedValues"]["$status"]) for m in got] == [(1, "ann", "404")]
    got = logs.test_metric_filter(filterPattern='{ $.status = 403 }', logEventMessages=[json.dumps({"status": 403})])["matches"]
    assert got[0]["extractedValues"] == {"$.status": "403"}


def test_subscription_filters(logs, group):
    lambda_arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
    filter = {"logGroupName": group, "filterPattern": "ERROR", "destinationArn": lambda_arn}
    logs.put_subscription_filter(**filter, filterName="a")
    logs.put_subscription_filter(**filter, filterName="b", distribution="Random")
    assert refused(logs.put_subscription_filter, **filter, filterName="c") == "LimitExceededException"
    page = logs.describe_subscription_filters(logGroupName=group, limit=1)
    rest = logs.describe_subscription_filters(logGroupName=group, limit=1, nextToken=page["nextToken"])
    assert [f["filterName"] for f in page["subscriptionFilters"] + rest["subscriptionFilters"]] == ["a", "b"]
    assert [f["distribution"] for f in page["subscriptionFilters"] + rest["subscriptionFilters"]] == ["ByLogStream", "Random"]
    stream = {"destinationArn": "arn:aws:kinesis:us-east-1:123456789012:stream/s"}
    assert refused(logs.put_subscription_filter, **filter | stream, filterName="a") == "InvalidParameterException"
    logs.delete_subscription_filter(logGroupName=group, filterName="a")
    assert [f["filterName"] for f in logs.describe_subscription_filters(logGroupName=group)["subscriptionFilters"]] == ["b"]


def test_resource_policies(logs):
    document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "es.amazonaws.com"},
                                                                  "Action": "logs:PutLogEvents", "Resource": "*"}]})
    assert logs.put_resource_policy(policyName="p", policyDocument=document)["resourcePolicy"]["policyDocument"] == document
    assert [p["policyName"] for p in logs.describe_resource_policies()["resourcePolicies"]] == ["p"]
    assert refused(logs.put_resource_policy, policyName="q", policyDocument="{") == "InvalidParameterException"
    logs.delete_resource_policy(policyName="p")
    assert refused(logs.delete_resource_policy, policyName="p") == "ResourceNotFoundException"


def test_deletion_protection(logs, group):
    logs.put_log_group_deletion_protection(logGroupIdentifier=group, deletionProtectionEnabled=True)
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["deletionProtectionEnabled"] is True
    assert refused(logs.delete_log_group, logGroupName=group) == "InvalidOperationException"
    logs.put_log_group_deletion_protection(logGroupIdentifier=group, deletionProtectionEnabled=False)
    logs.delete_log_group(logGroupName=group)


def test_groups_are_listed_by_pattern_and_tag(logs, group):
    logs.tag_log_group(logGroupName=group, tags={"team": "a"})
    assert group in [g["logGroupName"] for g in logs.list_log_groups(logGroupNamePattern="^/test|none")["logGroups"]]
    assert logs.list_log_groups(logGroupNamePattern="^test")["logGroups"] == []
    tagged = logs.list_log_groups(logGroupTags=[{"key": "team", "values": ["a"]}])["logGroups"]
    assert [g["logGroupName"] for g in tagged] == [group]
