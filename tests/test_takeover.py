"""A new process takes over from a running one: nobody's request fails, no setting is lost, no record is missing."""

import json
import signal
import socket
import stat
import subprocess
import threading

import pytest

from frames import Http2
from gateway import Gateway
from raw import connect, context, request_head
from server import READY, Server, eventually
from test_drain import Load, answer, ask


@pytest.fixture
def gateway(start_server, backend, pki):
    return Gateway(start_server(), backend, "takeover.yourcompany.com", pki.ca().pem).create()


def successor(server, tmp_path, *args):
    """`up --takeover` beside it, on its directory. Not started yet."""
    return Server(tmp_path / "successor", "--takeover", *args, data_dir=server.data_dir)


def pid_in_run_json(server):
    return json.loads((server.data_dir / "run.json").read_text())["pid"]


class Http2Load(threading.Thread):
    """As `Load`, with HTTP/2: one stream after the other, and a new connection after a GOAWAY."""

    def __init__(self, gateway, identity, stop):
        super().__init__(daemon=True)
        self.gateway, self.stop, self.context = gateway, stop, context(identity, "h2")
        self.answered, self.failures = 0, []

    def run(self):
        client = None
        while not self.stop.is_set():
            if client is None or client.goaway is not None:
                client = Http2(connect(self.gateway.server, self.gateway.domain, using=self.context))
                stream = -1
            stream += 2
            client.request(request_head(self.gateway.domain, "/orders"), stream=stream)
            client.until(lambda: client.streams.get(stream) and client.streams[stream].ended)
            of = client.streams.get(stream)
            if of is None or of.status != 200:
                return self.failures.append(of)
            self.answered += 1


def test_no_request_fails_and_no_record_is_missing(gateway, pki, backend, tmp_path):
    old, stop = gateway.server, threading.Event()
    ports = (old.control, old.https)
    begun = connect(old, gateway.domain, pki.client())
    begun.sendall(f"GET /wait HTTP/1.1\r\nHost: {gateway.domain}\r\n\r\n".encode())
    eventually(lambda: "/wait" in backend.paths())
    load = [Load(gateway, pki.client(), stop) for _ in range(3)] + [Http2Load(gateway, pki.client(), stop) for _ in range(3)]
    for client in load:
        client.start()
    eventually(lambda: all(client.answered > 5 for client in load))

    new = successor(old, tmp_path).start()
    assert (new.control, new.https) == ports, "the same sockets"
    assert pid_in_run_json(new) == new.process.pid
    before = [client.answered for client in load]
    eventually(lambda: all(client.answered > was + 5 or client.failures for client, was in zip(load, before)))
    stop.set()
    for client in load:
        client.join(20)
    assert [client.failures for client in load] == [[]] * len(load)
    assert old.alive(), "what it has begun goes on"
    backend.gate.set()
    assert answer(begun)[0] == 200
    assert old.process.wait(30) == 0, old.stderr()
    old.process = None

    # What was set before is there, and can be changed.
    gateway.server = new
    assert gateway.api.get_domain_name(DomainName=gateway.domain)
    gateway.update_truststore(gateway.put_truststore(pki.ca().pem))
    assert gateway.curl("/after", pki.client()).status == 200
    wanted = sum(client.answered for client in load) + 2
    eventually(lambda: "records, which are taken in" in new.stderr())
    eventually(lambda: len(gateway.records()) >= wanted)
    ids = [record["requestId"] for record in gateway.records()]
    assert len(ids) == len(set(ids)) == wanted
    assert {"/wait", "/after"} <= {record["path"] for record in gateway.records()}
    new.stop()


def test_one_that_does_not_get_ready_changes_nothing(gateway, pki, tmp_path):
    """It fails when it has been handed everything: its key does not open the settings."""
    old, stop = gateway.server, threading.Event()
    load = [Load(gateway, pki.client(), stop) for _ in range(3)]
    for client in load:
        client.start()
    (tmp_path / "other.key").write_bytes(bytes(32))
    (tmp_path / "other.toml").write_text('sealing_key.file = "other.key"\n')
    new = successor(old, tmp_path, "--config", tmp_path / "other.toml")
    new.launch()
    assert new.process.wait(60) == 2 and "sealed under another key" in new.stderr()
    new.process = None
    # Waits until the control address serves again.
    gateway.update_truststore(gateway.put_truststore(pki.ca().pem))
    assert gateway.curl("/after", pki.client()).status == 200
    eventually(lambda: (old.data_dir / "run.json").exists() and pid_in_run_json(old) == old.process.pid)
    assert old.command("env", "--data-dir", old.data_dir).stdout, "other commands find it"
    stop.set()
    for client in load:
        client.join(20)
    assert [client.failures for client in load] == [[]] * len(load)
    wanted = sum(client.answered for client in load) + 1
    eventually(lambda: len(gateway.records()) >= wanted)
    # And it can be taken over from once more, whatever the first one did.
    again = successor(old, tmp_path / "again").start()
    assert old.process.wait(60) == 0
    old.process = None
    gateway.server = again
    eventually(lambda: len(gateway.records()) == wanted)
    again.stop()


def test_sigusr2_starts_the_program_anew(gateway, pki):
    """As `systemctl reload` of a unit does that says so. The new process is nobody's child but its predecessor's."""
    old = gateway.server
    pid = old.process.pid
    old.process.send_signal(signal.SIGUSR2)
    eventually(lambda: pid_in_run_json(old) != pid, timeout_s=60)
    new = pid_in_run_json(old)
    assert old.process.wait(60) == 0
    old.process = None
    assert gateway.curl("/after", pki.client()).status == 200
    assert gateway.api.get_domain_name(DomainName=gateway.domain)
    subprocess.run(["kill", "-TERM", str(new)], check=True)
    eventually(lambda: not (old.data_dir / "run.json").exists(), timeout_s=60)


def test_without_a_server_it_just_starts(start_server):
    server = start_server("--takeover")
    assert stat.S_IMODE((server.data_dir / "takeover.sock").stat().st_mode) == 0o600
    server.stop()
    assert not (server.data_dir / "takeover.sock").exists()


def test_whoever_says_something_else_gets_nothing(gateway, pki, tmp_path):
    path = gateway.server.data_dir / "takeover.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        near = tmp_path / "s"
        near.symlink_to(path.parent)
        stranger.connect(str(near / path.name))
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n......")
        stranger.settimeout(20)
        try:
            assert stranger.recv(1) == b""
        except ConnectionResetError:
            pass
    kept = connect(gateway.server, gateway.domain, pki.client())
    assert ask(kept, gateway.domain)[0] == 200
