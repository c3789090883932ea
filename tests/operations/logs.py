"""Log groups, streams, and events that are put and found again."""

import time


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
