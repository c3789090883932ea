"""Execution logs of REST APIs: made of the records of requests, as the stage's method settings say."""

import re
import time
import uuid

import pytest

from rest_gateway import RestGateway
from server import eventually


@pytest.fixture
def rest(server, backend, pki):
    return RestGateway(server, backend, f"r{uuid.uuid4().hex[:12]}.yourcompany.com", pki.ca().pem).create()


@pytest.fixture
def group(rest):
    return f"API-Gateway-Execution-Logs_{rest.api_id}/prod"


def lines_of(rest, group, request_id):
    """The lines of a request, once it is recorded."""
    rest.record(requestId=request_id)
    events = rest.logs.filter_log_events(logGroupName=group, filterPattern=f'"{request_id}"')["events"]
    return [event["message"].removeprefix(f"({request_id}) ") for event in events]


def request_id(answer):
    return answer.headers["x-amzn-requestid"]


def test_the_level_says_what_is_there(rest, group, pki):
    assert rest.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []
    rest.patch_stage(("replace", "/*/*/logging/loglevel", "INFO"), ("replace", "/*/*/logging/dataTrace", "true"))
    settings = rest.rest.get_stage(restApiId=rest.api_id, stageName="prod")["methodSettings"]["*/*"]
    assert (settings["loggingLevel"], settings["dataTraceEnabled"]) == ("INFO", True)
    assert [g["logGroupName"] for g in rest.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]] == [group]

    served = request_id(rest.curl("/pets/7", pki.client()))
    assert lines_of(rest, group, served) == [
        f"Starting execution for request: {served}",
        "HTTP Method: GET, Resource Path: /pets/{id}",
        "Method request path: {}",
        "Successfully completed execution",
        "Method completed with status: 200",
    ]
    refused = request_id(rest.curl("/pets/7", pki.client("stranger", pki.ca("other"), section="client")))
    assert lines_of(rest, group, refused) == ["Access denied. Reason: Could not find issuer for certificate"]

    rest.patch_stage(("replace", "/*/*/logging/loglevel", "ERROR"))
    assert lines_of(rest, group, served) == []
    assert lines_of(rest, group, refused) == ["Access denied. Reason: Could not find issuer for certificate"]
    rest.patch_stage(("replace", "/pets~1{id}/GET/logging/loglevel", "INFO"))
    assert len(lines_of(rest, group, served)) == 5
    rest.patch_stage(("replace", "/*/*/logging/loglevel", "OFF"), ("replace", "/pets~1{id}/GET/logging/loglevel", "OFF"))
    assert rest.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []


def test_it_is_read_as_any_group(rest, group, pki, aws, cli_version):
    rest.patch_stage(("replace", "/*/*/logging/loglevel", "INFO"))
    ids = [request_id(rest.curl(f"/pets/{n}", pki.client())) for n in range(3)]
    for one in ids:
        rest.record(requestId=one)
    [stream] = rest.logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert re.fullmatch("[0-9a-f]{32}", stream["logStreamName"]) and stream["lastEventTimestamp"]
    place = {"logGroupName": group, "logStreamName": stream["logStreamName"]}

    def turned(**first):
        """All events, page by page of 4: forwards from the head, backwards from the tail."""
        pages, token, name = [], None, "nextForwardToken" if first["startFromHead"] else "nextBackwardToken"
        while True:
            page = rest.logs.get_log_events(**place, limit=4, **first, **({"nextToken": token} if token else {}))
            if page[name] == token:
                return pages
            pages.append(page["events"])
            token = page[name]

    forward = [event for page in turned(startFromHead=True) for event in page]
    backward = [event for page in reversed(turned(startFromHead=False)) for event in page]
    assert forward == backward and len(forward) == 15
    pages = rest.logs.get_paginator("filter_log_events").paginate(logGroupName=group, PaginationConfig={"PageSize": 2})
    events = [event for page in pages for event in page["events"]]
    assert [e["message"] for e in events] == [e["message"] for e in forward] and len({e["eventId"] for e in events}) == 15
    if cli_version == "v2":  # the first generation has no tail
        assert "Starting execution for request" in aws("logs", "tail", group, "--since", "1h").stdout

    now = int(time.time())
    query = rest.logs.start_query(logGroupName=group, startTime=now - 3600, endTime=now + 60,
                                  queryString="parse 'Method completed with status: *' as s | stats count(*) as n by s | filter s > 0")
    got = eventually(lambda: (r := rest.logs.get_query_results(queryId=query["queryId"]))["status"] == "Complete" and r)
    assert got["results"] == [[{"field": "s", "value": "200"}, {"field": "n", "value": "3"}]]


def test_a_group_that_was_made_keeps_its_settings(rest, group):
    """As Terraform makes it, to set how long it is kept."""
    rest.logs.create_log_group(logGroupName=group)
    rest.logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    rest.patch_stage(("replace", "/*/*/logging/loglevel", "INFO"))
    [found] = rest.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert found["retentionInDays"] == 7
    rest.logs.delete_log_group(logGroupName=group)
    rest.logs.put_retention_policy(logGroupName=group, retentionInDays=14)
    assert rest.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["retentionInDays"] == 14
