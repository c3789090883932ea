"""Log groups, streams, and events that are put and found again."""

import time

import botocore.exceptions
import pytest

from server import error_code, eventually


def groups(aws):
    logs = aws.logs
    for n in range(3):
        logs.create_log_group(logGroupName=f"/groups/{n}", tags={"n": str(n)})
    logs.put_retention_policy(logGroupName="/groups/0", retentionInDays=7)
    shown = aws.pages("logs", "describe_log_groups", logGroupNamePrefix="/groups/")
    assert [group["logGroupName"] for group in shown] == ["/groups/0", "/groups/1", "/groups/2"] and shown[0]["retentionInDays"] == 7
    logs.delete_retention_policy(logGroupName="/groups/0")
    for n in range(3):
        logs.delete_log_group(logGroupName=f"/groups/{n}")


def tags(aws):
    logs = aws.logs
    logs.create_log_group(logGroupName="/tags")
    arn = aws.arn("logs", "log-group:/tags")
    logs.tag_log_group(logGroupName="/tags", tags={"a": "1", "b": "2"})
    logs.tag_resource(resourceArn=arn, tags={"c": "3"})
    logs.untag_log_group(logGroupName="/tags", tags=["a"])
    logs.untag_resource(resourceArn=arn, tagKeys=["b"])
    assert logs.list_tags_log_group(logGroupName="/tags")["tags"] == logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"c": "3"}


def events(aws):
    logs, group = aws.logs, "/events"
    logs.create_log_group(logGroupName=group)
    for name in ("one", "other", "third"):
        logs.create_log_stream(logGroupName=group, logStreamName=name)
    now = int(time.time() * 1000)
    logs.put_log_events(logGroupName=group, logStreamName="one", logEvents=[{"timestamp": now + n, "message": f"line {n}"} for n in range(4)])
    assert len(aws.pages("logs", "describe_log_streams", logGroupName=group)) == 3
    assert len(aws.pages("logs", "filter_log_events", logGroupName=group, filterPattern="line")) == 4
    whole, token = [], {}
    while page := logs.get_log_events(logGroupName=group, logStreamName="one", startFromHead=True, limit=1, **token):
        if not page["events"]:
            break
        whole, token = whole + page["events"], {"nextToken": page["nextForwardToken"]}
    assert [event["message"] for event in whole] == [f"line {n}" for n in range(4)]
    aws.calls.add("paged logs.GetLogEvents")
    logs.delete_log_stream(logGroupName=group, logStreamName="other")


def queries(aws):
    logs, groups, now = aws.logs, [f"/queries/{n}" for n in range(3)], int(time.time())
    for name in groups:
        logs.create_log_group(logGroupName=name)
        logs.create_log_stream(logGroupName=name, logStreamName="one")
        logs.put_log_events(logGroupName=name, logStreamName="one", logEvents=[{"timestamp": int(time.time() * 1000), "message": f'{{"in":"{name}"}}'}])
    started = [logs.start_query(logGroupNames=groups, startTime=now - 60, endTime=now + 60, queryString=f"fields @message | limit {n}")["queryId"] for n in (3, 2, 1)]

    def complete():
        return (found := logs.get_query_results(queryId=started[0]))["status"] == "Complete" and found["results"]

    rows = [{field["field"]: field["value"] for field in row} for row in eventually(complete)]
    assert {row["@message"] for row in rows} == {f'{{"in":"{name}"}}' for name in groups}
    assert logs.get_log_record(logRecordPointer=rows[0]["@ptr"])["logRecord"]["@message"] == rows[0]["@message"]
    assert len(aws.pages("logs", "get_query_results", queryId=started[0])) == 3
    assert len(aws.pages("logs", "describe_queries")) >= 3
    assert len(aws.pages("logs", "list_log_groups_for_query", queryId=started[0])) == 3
    assert len(aws.pages("logs", "list_log_groups", logGroupNamePattern="/queries")) == 3
    assert logs.get_log_group_fields(logGroupName=groups[0])["logGroupFields"]
    # One that is over.
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        logs.stop_query(queryId=started[0])
    assert error_code(caught) == "InvalidParameterException"
    aws.calls.add("logs.StopQuery")
    definitions = [logs.put_query_definition(name=f"definition {n}", queryString="fields @message")["queryDefinitionId"] for n in range(3)]
    assert {found["queryDefinitionId"] for found in aws.pages("logs", "describe_query_definitions")} == set(definitions)
    assert logs.delete_query_definition(queryDefinitionId=definitions[0])["success"] is True


def filters_and_policies(aws):
    logs, group = aws.logs, "/filters"
    logs.create_log_group(logGroupName=group)
    metric = [{"metricName": "errors", "metricNamespace": "App", "metricValue": "1"}]
    for n in range(3):
        logs.put_metric_filter(logGroupName=group, filterName=f"filter-{n}", filterPattern="ERROR", metricTransformations=metric)
    assert len(aws.pages("logs", "describe_metric_filters", logGroupName=group)) == 3
    assert len(logs.test_metric_filter(filterPattern="ERROR", logEventMessages=["ERROR", "fine"])["matches"]) == 1
    logs.delete_metric_filter(logGroupName=group, filterName="filter-0")
    for n in range(2):
        logs.put_subscription_filter(logGroupName=group, filterName=f"subscription-{n}", filterPattern="", destinationArn=aws.arn("lambda", "function:f"))
    assert len(aws.pages("logs", "describe_subscription_filters", at_least=2, logGroupName=group)) == 2
    logs.delete_subscription_filter(logGroupName=group, filterName="subscription-0")
    for n in range(3):
        logs.put_resource_policy(policyName=f"policy-{n}", policyDocument='{"Version":"2012-10-17","Statement":[]}')
    assert len(aws.pages("logs", "describe_resource_policies")) == 3
    logs.delete_resource_policy(policyName="policy-0")
    logs.put_log_group_deletion_protection(logGroupIdentifier=group, deletionProtectionEnabled=True)
    with pytest.raises(botocore.exceptions.ClientError):
        logs.delete_log_group(logGroupName=group)
