"""Records go on to others: each one, in order, whatever is down meanwhile."""

import json
import signal
import ssl
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.exceptions
import pytest

from gateway import Gateway
from server import BINARY, Server, clean_environment, eventually, json_lines, run_binary


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
    # In the order of the journal, which is not that of several cores.
    assert sorted(record["status"] for record in accesses) == [200] * 5 + [403]
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
    assert metric(server, "sent_total") == 4
    eventually(lambda: metric(server, "lag_seconds") == 0)
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


class Receiver:
    """An HTTP server that can be taken down and brought up again on the same port. `answers`: what it answers, by turns, before it
    answers 200 for good: (status, headers, body)."""

    def __init__(self, tls=None):
        self.requests, self.answers, self.tls, self.listener, self.port = [], [], tls, None, 0
        self.up()

    def up(self):
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                status, headers, answer = receiver.answers.pop(0) if receiver.answers else (200, {}, b"")
                receiver.requests.append((status, self.path, dict(self.headers), body))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        class Listener(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.listener = Listener(("127.0.0.1", self.port), Handler)
        self.port = self.listener.server_address[1]
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            self.listener.socket = context.wrap_socket(self.listener.socket, server_side=True)
        threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def down(self):
        self.listener.shutdown()
        self.listener.server_close()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"

    def taken(self):
        """Bodies that were acknowledged."""
        return [body for status, _, _, body in self.requests if status == 200]

    def lines(self):
        return [record for body in self.taken() for record in json_lines(body.decode())]


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.down()


def events_in_journal(server):
    return [record for record in in_journal(server) if record["kind"] == "event"]


def test_a_webhook_that_is_down_misses_nothing_and_neither_does_a_kill(tmp_path, stopping, receiver):
    headers = tmp_path / "headers"
    headers.write_text("Authorization: Bearer s3cret\n")
    sink = {"name": "s", "type": "webhook", "url": f"{receiver.url}/in?x=1", "kinds": ["event"], "headers_file": str(headers)}
    server = Server(tmp_path / "server", "--config", configured(tmp_path, sink)).start()
    stopping.append(server)
    traffic = Traffic(server)
    traffic.start()
    eventually(lambda: len(receiver.lines()) > 3)
    receiver.down()
    eventually(lambda: metric(server, "failures_total") > 0)
    before = len(traffic.taken)
    eventually(lambda: len(traffic.taken) > before + 5)
    server.kill()
    traffic.stop()
    server.start()
    traffic = Traffic(server)
    traffic.start()
    eventually(lambda: len(traffic.taken) > 5)
    assert metric(server, "lag_records") > 5 and metric(server, "lag_seconds") > 0
    receiver.answers = [(500, {}, b"no\x1b[2J"), (401, {}, b"")]
    receiver.up()
    traffic.stop()
    caught_up(server)
    assert_once_but_at_seams(receiver.lines(), events_in_journal(server), 2)
    _, path, sent, _ = receiver.requests[-1]
    assert (path, sent["authorization"], sent["content-type"]) == ("/in?x=1", "Bearer s3cret", "application/x-ndjson")
    assert "s3cret" not in server.stderr() and "\x1b" not in server.stderr()


def test_a_webhook_over_tls_wants_arrays_and_fewer_at_a_time(tmp_path, stopping):
    ca = tmp_path / "ca"
    run_binary("ca", "init", "Webhook CA", "--dir", ca)
    run_binary("ca", "issue", "localhost", "--server", "localhost", "--dir", ca)
    receiver = Receiver(tls=(ca / "localhost.pem", ca / "localhost.key"))
    sink = {"name": "s", "type": "webhook", "url": receiver.url, "kinds": ["event"], "format": "json-array", "ca_file": str(ca / "ca.pem")}
    other = {**sink, "name": "untrusting"}
    del other["ca_file"]
    server = Server(tmp_path / "server", "--config", configured(tmp_path, sink, other)).start()
    stopping.append(server)
    receiver.answers = [(413, {}, b""), (413, {}, b"")]
    put(server, *map(str, range(4)))
    caught_up(server)
    arrays = [json.loads(body) for body in receiver.taken()]
    assert [record["message"] for array in arrays for record in array] == list("0123")
    assert [len(json.loads(body)) for _, _, _, body in receiver.requests] == [4, 2, 1, 1, 1, 1]
    eventually(lambda: metric(server, "failures_total", "untrusting") > 0)
    assert metric(server, "sent_total", "untrusting") == 0
    receiver.down()


def test_otlp(tmp_path, stopping, receiver, backend, pki):
    sink = {"name": "s", "type": "otlp", "endpoint": receiver.url, "kinds": ["access", "event"]}
    server = Server(tmp_path / "server", "--config", configured(tmp_path, sink)).start()
    stopping.append(server)
    partial = json.dumps({"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "too odd"}}).encode()
    receiver.answers = [(503, {"retry-after": "1"}, b""), (200, {"content-type": "application/json"}, partial)]
    began = time.monotonic()
    put(server, "one")
    caught_up(server)
    assert time.monotonic() - began >= 1
    assert [status for status, *_ in receiver.requests] == [503, 200]
    assert (metric(server, "rejected_total"), metric(server, "sent_total"), metric(server, "failures_total")) == (1, 0, 1)
    assert "does not take 1 records at all: the collector rejects them: too odd" in server.stderr()
    gateway = Gateway(server, backend, "otlp.yourcompany.com", pki.ca().pem).create()
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = gateway.curl("/orders", pki.client("otlp"), "--header", f"traceparent: 00-{trace}-b7ad6b7169203331-01")
    assert answer.status == 200
    record = eventually(lambda: next((record for record in logged(receiver) if attribute(record, "http.response.status_code")), None))
    assert attribute(record, "http.response.status_code") == "200" and attribute(record, "server.address") == gateway.domain
    assert attribute(record, "countersign.request_id") == answer.headers["apigw-requestid"]
    whole = json.loads(record["body"]["stringValue"])
    assert record.get("traceId") == whole.get("trace") and whole.get("trace") in (trace, None)
    assert (record["severityNumber"], record["eventName"]) == (9, "countersign.access")
    # One that the collector calls invalid is found, and keeps the others from nobody.
    receiver.answers = [(400, {}, b""), (400, {}, b"")]
    put(server, "bad", "good")
    caught_up(server)
    assert json.loads(logged(receiver)[-1]["body"]["stringValue"])["message"] == "good"
    assert metric(server, "rejected_total") == 2


def logged(receiver):
    """The log records that a collector has."""
    requests = [json.loads(body) for body in receiver.taken()]
    return [record for request in requests for resource in request["resourceLogs"]
            for scope in resource["scopeLogs"] for record in scope["logRecords"]]


def attribute(record, key):
    found = next((attribute["value"] for attribute in record["attributes"] if attribute["key"] == key), {})
    return next(iter(found.values()), None)


def test_cloudwatch_logs_of_another_server(tmp_path, stopping):
    other = Server(tmp_path / "other").start()
    credentials = tmp_path / "credentials"
    profile = f"aws_access_key_id={other.env['AWS_ACCESS_KEY_ID']}\naws_secret_access_key={other.env['AWS_SECRET_ACCESS_KEY']}\n"
    credentials.write_text(f"[default]\naws_access_key_id=AKIDWRONG\naws_secret_access_key=wrong\n[sink]\n{profile}")
    sink = {"name": "s", "type": "cloudwatch-logs", "endpoint": other.control, "region": "us-east-1", "kinds": ["event"],
            "credentials_file": str(credentials), "profile": "sink", "log_group": "/from/one", "log_stream": "gateway-1"}
    other_control = other.control.removeprefix("http://")
    server = Server(tmp_path / "server", "--config", configured(tmp_path, sink)).start()
    stopping += [server, other]
    put(server, "one")  # for which group and stream are made
    caught_up(server)
    other.kill()
    put(server, *(f"message {number}" for number in range(30)))
    eventually(lambda: metric(server, "failures_total") > 0)
    other.args += ["--control-addr", other_control]
    other.launch = launch_without_port(other)
    other.start()
    put(server, "last")
    caught_up(server)
    logs, events, token = other.client("logs"), [], {}
    while True:
        page = logs.get_log_events(logGroupName="/from/one", logStreamName="gateway-1", startFromHead=True, **token)
        if not page["events"]:
            break
        events += page["events"]
        token = {"nextToken": page["nextForwardToken"]}
    records = [json.loads(event["message"]) for event in events]
    records.sort(key=lambda record: record["number"])
    # The first is older than the group that was made for it, which takes nothing from before its time.
    assert_once_but_at_seams(records, events_in_journal(server)[1:], 0)
    assert (metric(server, "sent_total"), metric(server, "rejected_total")) == (31, 1)
    assert all(event["timestamp"] == json.loads(event["message"])["time_ms"] for event in events)


def launch_without_port(server):
    """As `launch`, on the control address of its own arguments."""
    def launch():
        server._runs += 1
        command = [str(BINARY), "up", "--data-dir", str(server.data_dir), "--https-addr", "127.0.0.1:0", *server.args]
        with open(server._stderr_path(), "wb") as stderr:
            server.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=server.base, env=clean_environment(server.base))

    return launch


def test_sealed_segments_are_objects_of_another_server(tmp_path, stopping):
    other = Server(tmp_path / "other").start()
    s3 = other.client("s3")
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[default]\naws_access_key_id={other.env['AWS_ACCESS_KEY_ID']}\naws_secret_access_key={other.env['AWS_SECRET_ACCESS_KEY']}\n")
    sink = {"name": "s", "type": "s3", "endpoint": other.control, "region": "us-east-1", "credentials_file": str(credentials),
            "bucket": "records", "prefix": "of/gateways"}
    config = configured(tmp_path, sink, more='[audit]\nname = "example.com/one"\n')
    server = Server(tmp_path / "server", "--config", config).start()
    stopping += [server, other]
    large = "x" * 250_000
    for _ in range(36):
        put(server, *[large] * 4)  # a megabyte
    journal = server.data_dir / "journal"
    eventually(lambda: metric(server, "failures_total") > 0, what="a bucket that is not there")
    s3.create_bucket(Bucket="records")
    eventually(lambda: list(journal.glob("*.sealed")))
    caught_up(server)
    sealed = sorted(journal.glob("*.sealed"))
    keys = {entry["Key"] for entry in s3.list_objects_v2(Bucket="records")["Contents"]}
    assert keys == {f"of/gateways/example.com/one/{path.name}" for path in sealed} | {"of/gateways/example.com/one/checkpoint"}
    for path in sealed:
        assert s3.get_object(Bucket="records", Key=f"of/gateways/example.com/one/{path.name}")["Body"].read() == path.read_bytes()
    checkpoint = s3.get_object(Bucket="records", Key="of/gateways/example.com/one/checkpoint")["Body"].read()
    held = tmp_path / "held"
    held.write_bytes(checkpoint)
    assert "held elsewhere" in server.command("audit", "verify", "--against", held).stdout
