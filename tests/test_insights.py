"""CloudWatch Logs Insights: through boto3 and both CLIs, over groups of one's own, an API's access log and the gateway's own groups."""

import json
import time
import uuid

import botocore.exceptions
import pytest

from server import error_code, eventually

EVENTS = [
    {"status": 200, "path": "/pets", "latency": 12, "client": {"subject": "CN=a"}},
    {"status": 403, "path": "/pets", "latency": 3, "client": {"subject": "CN=b"}},
    {"status": 200, "path": "/orders", "latency": 30, "client": {"subject": "CN=a"}},
    {"status": 502, "path": "/pets", "latency": 100, "client": {"subject": "CN=c"}},
]


@pytest.fixture(scope="module")
def logs(server):
    return server.client("logs")


@pytest.fixture(scope="module")
def group(logs):
    """A group with a stream of events a second apart."""
    name = f"/test/{uuid.uuid4().hex}"
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="s")
    start = int(time.time() * 1000)
    events = [{"timestamp": start + 1000 * n, "message": json.dumps(event)} for n, event in enumerate(EVENTS)]
    events.append({"timestamp": start + 5000, "message": "plain user=ann, took 7 ms"})
    logs.put_log_events(logGroupName=name, logStreamName="s", logEvents=events)
    return name


def window():
    now = int(time.time())
    return {"startTime": now - 3600, "endTime": now + 3600}


def answer(logs, query_id):
    def ended():
        got = logs.get_query_results(queryId=query_id)
        return got if got["status"] not in ("Scheduled", "Running") else None

    return eventually(ended)


def ask(logs, query, *groups, **more):
    """Rows as dictionaries, and the whole answer."""
    started = logs.start_query(logGroupNames=list(groups), queryString=query, **{**window(), **more})
    got = answer(logs, started["queryId"])
    assert got["status"] == "Complete", got
    return [{cell["field"]: cell["value"] for cell in row} for row in got["results"]], got


def test_what_a_query_finds(logs, group):
    rows, got = ask(logs, "fields status, path | filter status >= 400 | sort latency desc", group)
    assert [(r["status"], r["path"]) for r in rows] == [("502", "/pets"), ("403", "/pets")]
    assert [cell["field"] for cell in got["results"][0]] == ["status", "path", "@ptr"]
    statistics = got["statistics"]
    assert (statistics["recordsScanned"], statistics["recordsMatched"]) == (5, 2) and statistics["bytesScanned"] > 100
    rows, _ = ask(logs, "stats count(*) as n, avg(latency) as mean, pct(latency, 95) as p95 by client.subject | sort n desc, mean", group)
    assert rows[:2] == [{"client.subject": "CN=a", "n": "2", "mean": "21", "p95": "30"}, {"n": "1"}]
    rows, _ = ask(logs, "parse 'user=*, took * ms' as who, ms | filter ispresent(who) | display who, ms", group)
    assert [(r["who"], r["ms"]) for r in rows] == [("ann", "7")]
    [row], _ = ask(logs, "limit 1", group)
    assert row["@message"].startswith("plain") and row["@timestamp"].count(":") == 2


def test_a_record_by_its_pointer(logs, group):
    [row], _ = ask(logs, "filter status = 502 | fields @logStream, @log, @ingestionTime", group)
    record = logs.get_log_record(logRecordPointer=row["@ptr"])["logRecord"]
    assert (record["client.subject"], record["@logStream"]) == ("CN=c", "s")
    assert record["@log"] == row["@log"] == f"123456789012:{group}" and json.loads(record["@message"]) == EVENTS[3]
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        logs.get_log_record(logRecordPointer="nothing")
    assert error_code(caught) == "InvalidParameterException"


def test_the_fields_of_a_group(logs, group):
    fields = logs.get_log_group_fields(logGroupName=group, time=int(time.time()))["logGroupFields"]
    assert {f["name"]: f["percent"] for f in fields}.items() >= {"@message": 100, "status": 80, "client.subject": 80}.items()


def test_several_groups_by_names_and_identifiers(logs, group):
    other = f"/test/{uuid.uuid4().hex}"
    logs.create_log_group(logGroupName=other)
    logs.create_log_stream(logGroupName=other, logStreamName="s")
    logs.put_log_events(logGroupName=other, logStreamName="s", logEvents=[{"timestamp": int(time.time() * 1000), "message": '{"status":201}'}])
    rows, got = ask(logs, "stats count(*) as n by @log", group, other)
    assert {r["@log"]: r["n"] for r in rows} == {f"123456789012:{group}": "5", f"123456789012:{other}": "1"}
    assert got["statistics"]["logGroupsScanned"] == 2
    arns = [f"arn:aws:logs:us-east-1:123456789012:log-group:{name}" for name in (group, other)]
    started = logs.start_query(logGroupIdentifiers=arns, queryString="stats count(*) as n", **window())
    assert answer(logs, started["queryId"])["results"] == [[{"field": "n", "value": "6"}]]
    assert sorted(logs.list_log_groups_for_query(queryId=started["queryId"])["logGroupIdentifiers"]) == sorted(arns)


def test_what_is_no_query(logs, group):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        logs.start_query(logGroupName=group, queryString="fields @message | filtr x = 1", **window())
    assert error_code(caught) == "MalformedQueryException"
    error = caught.value.response["queryCompileError"]
    assert error["location"] == {"startCharOffset": 18, "endCharOffset": 23} and "filtr" in error["message"]
    for arguments, code in [
        ({"logGroupName": "/none"}, "ResourceNotFoundException"),
        ({}, "InvalidParameterException"),
        ({"logGroupName": group, "logGroupNames": [group]}, "InvalidParameterException"),
        ({"logGroupName": group, "startTime": 2, "endTime": 1}, "InvalidParameterException"),
        ({"logGroupName": group, "limit": 10_001}, "InvalidParameterException"),
    ]:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            logs.start_query(**{"queryString": "limit 1", **window(), **arguments})
        assert error_code(caught) == code, arguments


def test_queries_are_listed_and_pages_turned(logs, group):
    rows, _ = ask(logs, "fields path | limit 3", group)
    assert len(rows) == 3
    started = logs.start_query(logGroupName=group, queryString="fields path", limit=4, **window())["queryId"]
    assert len(answer(logs, started)["results"]) == 4
    first = logs.get_query_results(queryId=started, maxItems=3)
    rest = logs.get_query_results(queryId=started, maxItems=3, nextToken=first["nextToken"])
    assert (len(first["results"]), len(rest["results"]), "nextToken" in rest) == (3, 1, False)
    listed = logs.describe_queries(logGroupName=group, status="Complete")["queries"]
    assert listed[0]["queryId"] == started and listed[0]["queryString"] == "fields path"
    page = logs.describe_queries(maxResults=1)
    assert page["queries"][0]["queryId"] == started and page["nextToken"]
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        logs.stop_query(queryId=started)
    assert error_code(caught) == "InvalidParameterException"
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        logs.get_query_results(queryId="none")
    assert error_code(caught) == "ResourceNotFoundException"


def test_the_time_of_a_query_bounds_it(logs, group):
    rows, got = ask(logs, "fields path", group, startTime=1, endTime=2)
    assert rows == [] and got["statistics"]["recordsScanned"] == 0


def test_an_access_log_and_the_gateways_own_groups(logs, gateway, pki):
    path, client = f"/orders/{uuid.uuid4().hex}", pki.client("asked", subject="/CN=asked")
    assert gateway.curl(path, client).status == 200
    gateway.record(path=path)
    rows, _ = ask(logs, f"filter path = '{path}' | stats count(*) as n by subjectDN, status", gateway.log_group)
    assert rows == [{"subjectDN": "CN=asked", "status": "200", "n": "1"}]
    rows, _ = ask(logs, "filter kind = 'settings' and operation = 'CreateDomainName' and outcome = 'allowed' | stats count(*) as n", "/countersign/settings")
    assert rows == [{"n": "1"}]

    def connected():
        rows, _ = ask(logs, "filter client.subject = 'CN=asked' | stats count(*) as n", "/countersign/connections")
        return rows[0]["n"] != "0"

    eventually(connected)


def test_query_definitions(logs, group):
    made = logs.put_query_definition(name="errors/5xx", queryString="filter status >= 500", logGroupNames=[group])["queryDefinitionId"]
    logs.put_query_definition(name="errors/4xx", queryDefinitionId=made, queryString="filter status >= 400")
    [found] = logs.describe_query_definitions(queryDefinitionNamePrefix="errors/")["queryDefinitions"]
    assert (found["name"], found["queryString"], found["logGroupNames"]) == ("errors/4xx", "filter status >= 400", [])
    assert logs.delete_query_definition(queryDefinitionId=made)["success"] is True
    assert logs.describe_query_definitions()["queryDefinitions"] == []
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        logs.put_query_definition(name="x", queryDefinitionId="none", queryString="limit 1")
    assert error_code(caught) == "ResourceNotFoundException"


def test_the_cli_asks(aws, group):
    now = int(time.time())
    started = aws("logs", "start-query", "--log-group-name", group, "--start-time", now - 3600, "--end-time", now + 3600,
                  "--query-string", "filter status = 403 | fields path")
    got = eventually(lambda: (r := aws("logs", "get-query-results", "--query-id", started["queryId"]))["status"] == "Complete" and r)
    assert got["results"][0][0] == {"field": "path", "value": "/pets"}
