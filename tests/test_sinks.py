"""Records go on to others: each one, in order, whatever is down meanwhile."""

import json
import signal
import threading
import time
import urllib.request

import botocore.exceptions
import pytest

from gateway import Gateway
from server import Server, eventually, json_lines


def configured(tmp_path, *sinks, more=""):
    """A countersign.toml with these sinks."""
    path = tmp_path / "countersign.toml"
    tables = ["\n".join(f"{key} = {json.dumps(value)}" for key, value in sink.items()) for sink in sinks]
    path.write_text(more + "".join(f"[[sinks]]\n{table}\n" for table in tables))
    return path


GROUP = "/sinks/test"


def log_group(server):
    """A client that can put events into it."""
    logs = server.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]:
        logs.create_log_group(logGroupName=GROUP)
        logs.create_log_stream(logGroupName=GROUP, logStreamName="s")
    return logs


def put(server, *messages):
    """Events of a log group, which are records too. They are on disk when this returns."""
    logs, now = log_group(server), int(time.time() * 1000)
    events = [{"timestamp": now + at, "message": message} for at, message in enumerate(messages)]
    logs.put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=events)


def metrics(server):
    with urllib.request.urlopen(f"{server.control}/_countersign/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


def metric(server, name, sink="s"):
    return metrics(server)[f'countersign_sink_{name}{{sink="{sink}"}}']


def caught_up(server, sink="s"):
    eventually(lambda: metric(server, "lag_records", sink) == 0, what="a sink without lag")


def in_journal(server):
    """Every record of a server whose segment still grows, as a sink gives it."""
    (path,) = (server.data_dir / "journal").glob("*.lines")
    return [{"number": number, **json.loads(line[9:])} for number, line in enumerate(path.read_text().splitlines())]


def assert_once_but_at_seams(records, expected, seams):
    """All that is expected, in order; what comes twice does so because of an interruption."""
    numbers, wanted = [record["number"] for record in records], [record["number"] for record in expected]
    runs, at = [[numbers[0]]], 0
    for number in numbers[1:]:
        if number <= runs[-1][-1]:
            runs.append([])
        runs[-1].append(number)
    assert len(runs) <= 1 + seams, [(run[0], run[-1]) for run in runs]
    for run in runs:
        at = wanted.index(run[0])
        assert run == wanted[at:at + len(run)]
    assert {record["number"]: record for record in records} == {record["number"]: record for record in expected}


class Traffic(threading.Thread):
    """Puts events, one call after the other, until it is stopped; remembers those that the server has taken."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.stopped, self.taken, self.sent = server, threading.Event(), [], 0

    def run(self):
        logs = log_group(self.server)
        while not self.stopped.is_set():
            event = {"timestamp": int(time.time() * 1000), "message": f"message {self.sent}"}
            self.sent += 1
            try:
                logs.put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=[event])
            except botocore.exceptions.EndpointConnectionError:
                self.stopped.wait(0.05)
            except botocore.exceptions.HTTPClientError:
                pass
            else:
                self.taken.append(event["message"])

    def stop(self):
        self.stopped.set()
        self.join(30)


@pytest.fixture
def stopping():
    """Stops servers at the end."""
    servers = []
    yield servers
    for server in servers:
        server.stop()


def test_a_file_has_every_record_of_its_kinds(tmp_path, stopping, backend, pki):
    files = {name: tmp_path / f"{name}.out" for name in ("s", "accesses", "connections", "other")}
    sinks = [
        {"name": "s", "type": "file", "path": str(files["s"]), "start": "beginning"},
        {"name": "accesses", "type": "file", "path": "accesses.out", "kinds": ["access"], "domains": ["sinks.yourcompany.com"]},
        {"name": "connections", "type": "file", "path": "connections.out", "format": "alb"},
        {"name": "other", "type": "file", "path": "other.out", "domains": ["other.yourcompany.com"]},
    ]
    server = Server(tmp_path / "server", "--config", configured(tmp_path, *sinks)).start()
    stopping.append(server)
    gateway = Gateway(server, backend, "sinks.yourcompany.com", pki.ca().pem).create()
    for number in range(5):
        assert gateway.curl(f"/orders/{number}", pki.client("file-client")).status == 200
    assert gateway.curl("/orders", None).status == 403
    eventually(lambda: server.data_dir.joinpath("sinks/connections.json").exists())
    eventually(lambda: len(files["accesses"].read_text().splitlines() if files["accesses"].exists() else []) == 6)
    put(server, "not by default")
    stopping.remove(server)
    server.stop()  # after which nothing waits

    records = in_journal(server)
    everything = json_lines(files["s"].read_text())
    assert everything == [record for record in records if record["kind"] != "event"]
    assert {"access"} <= {record["kind"] for record in everything}
    accesses = json_lines(files["accesses"].read_text())
    assert [record["status"] for record in accesses] == [200] * 5 + [403]
    assert {record["domain"] for record in accesses} == {"sinks.yourcompany.com"}
    assert not files["other"].exists()
    connections = [record for record in records if record["kind"] == "connection"]
    lines = files["connections"].read_text().splitlines() if connections else []
    assert len(lines) == len(connections)
    assert (files["s"].stat().st_mode & 0o777, (server.data_dir / "sinks").stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_file_that_was_moved_is_made_again_and_a_disk_that_fails_is_waited_for(tmp_path, stopping):
    directory = tmp_path / "out"
    directory.mkdir()
    file, moved = directory / "records", directory / "records.1"
    sink = {"name": "s", "type": "file", "path": str(file), "kinds": ["event"]}
    server = Server(tmp_path / "server", "--config", configured(tmp_path, sink)).start()
    stopping.append(server)
    put(server, "one")
    caught_up(server)
    file.rename(moved)
    put(server, "two")
    caught_up(server)
    file.unlink()
    directory.rename(tmp_path / "away")
    put(server, "three", "four")
    eventually(lambda: metric(server, "failures_total") > 0)
    assert metric(server, "lag_records") == 2 and metric(server, "lag_seconds") > 0
    assert "the sink s does not take records, which wait in the journal" in server.stderr()
    (tmp_path / "away").rename(directory)
    caught_up(server)
    assert metric(server, "sent_total") == 4 and metric(server, "lag_seconds") == 0
    assert "the sink s takes records again" in server.stderr()
    assert [record["message"] for record in json_lines(moved.read_text() + file.read_text())] == ["one", "three", "four"]


def test_stdout_has_them_behind_the_ready_line(tmp_path):
    sinks = [{"name": "s", "type": "stdout", "kinds": ["event"]}]
    server = Server(tmp_path / "server", "--config", configured(tmp_path, *sinks))
    server.launch()
    ready = server.first_line()
    assert ready.startswith("ready control="), ready
    server.control = ready.split()[1].removeprefix("control=")
    put(server, "one", "two")
    assert [json.loads(server.process.stdout.readline())["message"] for _ in range(2)] == ["one", "two"]
    put(server, "three")
    server.process.send_signal(signal.SIGTERM)
    rest = server.process.stdout.read()
    assert server.process.wait(30) == 0
    assert [record["message"] for record in json_lines(rest)] == ["three"]


def test_nothing_is_lost_by_kill_9_and_nothing_that_was_not_on_disk_is_sent(tmp_path, stopping):
    file = tmp_path / "out"
    sinks = [{"name": "s", "type": "file", "path": str(file), "kinds": ["event"]}]
    server = Server(tmp_path / "server", "--config", configured(tmp_path, *sinks)).start()
    stopping.append(server)
    kills = 3
    for _ in range(kills):
        traffic = Traffic(server)
        traffic.start()
        before = len(file.read_text().splitlines()) if file.exists() else 0
        eventually(lambda: file.exists() and len(file.read_text().splitlines()) > before + 10)
        server.kill()
        traffic.stop()
        server.start()
    traffic = Traffic(server)
    traffic.start()
    eventually(lambda: len(traffic.taken) > 10)
    traffic.stop()
    caught_up(server)
    records = json_lines(file.read_text())
    assert_once_but_at_seams(records, [record for record in in_journal(server) if record["kind"] == "event"], kills)


def test_a_sink_goes_on_after_a_takeover(tmp_path, stopping):
    file = tmp_path / "out"
    config = configured(tmp_path, {"name": "s", "type": "file", "path": str(file), "kinds": ["event"]})
    old = Server(tmp_path / "server", "--config", config).start()
    put(old, "before")
    new = Server(tmp_path / "successor", "--takeover", "--config", config, data_dir=old.data_dir).start()
    stopping.append(new)
    old.process.wait(30)
    put(new, "after")
    caught_up(new)
    assert [record["message"] for record in json_lines(file.read_text())] == ["before", "after"]


@pytest.mark.parametrize("table, said", [
    ({"name": "s", "type": "file"}, "sink s: it needs path"),
    ({"name": "s", "type": "stdout", "path": "x"}, "path means nothing"),
    ({"name": "a/b", "type": "stdout"}, "the name of a sink"),
])
def test_mistakes_are_named(tmp_path, table, said):
    server = Server(tmp_path / "server", "--config", configured(tmp_path, table))
    server.launch()
    assert server.process.wait(30) == 2
    server.process = None
    assert said in server.stderr()
