"""A new process takes over from a running one: nobody's request fails, no setting is lost, no record is missing."""

import errno
import json
import os
import signal
import socket
import stat
import subprocess
import threading
from pathlib import Path

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


class Newcomers(threading.Thread):
    """A client that makes a connection of its own for each request."""

    def __init__(self, gateway, identity, stop):
        super().__init__(daemon=True)
        self.gateway, self.stop, self.context = gateway, stop, context(identity, "http/1.1")
        self.answered, self.failures = 0, []

    def run(self):
        while not self.stop.is_set():
            try:
                with connect(self.gateway.server, self.gateway.domain, using=self.context) as connection:
                    status, head = ask(connection, self.gateway.domain)
            except (OSError, AssertionError) as error:
                return self.failures.append(error)
            if status != 200:
                return self.failures.append(head)
            self.answered += 1


def test_a_new_process_that_is_killed_changes_nothing(gateway, pki, tmp_path, monkeypatch):
    """At every step of the way: nobody who is served, or comes, notices anything, and the old process has everything back."""
    old, stop = gateway.server, threading.Event()
    load = [Load(gateway, pki.client(), stop), Http2Load(gateway, pki.client(), stop), Newcomers(gateway, pki.client(), stop)]
    for client in load:
        client.start()
    steps = [
        asks_only,
        is_handed_everything,
        reads_the_key,
        *(opens(name) for name in ("settings.redb", "usage.redb", "objects.redb")),
        lambda *args: is_about_to_say_that_it_is_ready(*args, monkeypatch),
    ]
    for number, step in enumerate(steps, 1):
        step(old, tmp_path / str(number))
        eventually(lambda: old.stderr().count("this process takes everything back") == number, what=f"step {number}")
        gateway.update_truststore(gateway.put_truststore(pki.ca().pem))
        assert gateway.curl("/after", pki.client()).status == 200
        eventually(lambda: pid_in_run_json(old) == old.process.pid)
    before = [client.answered for client in load]
    eventually(lambda: all(client.answered > was + 5 or client.failures for client, was in zip(load, before)))
    stop.set()
    for client in load:
        client.join(20)
    assert [client.failures for client in load] == [[]] * len(load)
    wanted = sum(client.answered for client in load) + len(steps)
    eventually(lambda: len(gateway.records()) >= wanted)
    assert len(gateway.records()) == wanted
    # None of them has taken the way away by which a process takes over.
    new = successor(old, tmp_path / "last").start()
    assert old.process.wait(60) == 0, old.stderr()
    old.process = None
    gateway.server = new
    assert gateway.curl("/last", pki.client()).status == 200
    new.stop()


def asking(server, base):
    """A connection to the running process that has said what it wants."""
    base.mkdir()
    (base / "data").symlink_to(server.data_dir)
    asking = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    asking.connect(str(base / "data/takeover.sock"))
    asking.sendall(b"countersign takeover 2\n")
    return asking


def asks_only(server, base):
    asking(server, base).close()


def is_handed_everything(server, base):
    with asking(server, base) as connection:
        said, descriptors, _, _ = socket.recv_fds(connection, 64, 64)
        assert said == b"handed --\n" and len(descriptors) > 2, "the lock, and sockets of both addresses"
        for descriptor in descriptors:
            os.close(descriptor)


def reads_the_key(server, base):
    """Its command for the sealing key gives nothing yet."""
    base.mkdir()
    os.mkfifo(base / "key")
    (base / "key.toml").write_text(f'sealing_key.command = ["cat", "{base}/key"]\n')
    new = successor(server, base, "--config", base / "key.toml")
    new.launch()

    def is_read():
        try:
            return open(os.open(base / "key", os.O_WRONLY | os.O_NONBLOCK), "wb")
        except OSError as error:
            assert error.errno == errno.ENXIO

    with eventually(is_read):
        new.kill()


def opens(name):
    def step(server, base):
        new = successor(server, base)
        new.launch()
        path = str(server.data_dir / name)
        eventually(lambda: path in open_files(new.process.pid))
        new.kill()

    return step


def open_files(pid):
    paths = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            paths.add(os.readlink(descriptor))
        except FileNotFoundError:
            pass  # closed by now
    return paths


def is_about_to_say_that_it_is_ready(server, base, monkeypatch):
    """It has opened everything and begins to serve, and is held up by a service manager that does not listen."""
    base.mkdir()
    door = server.data_dir / "takeover.sock"
    before = door.stat().st_ctime_ns
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(base / "notify"))
        fill(manager)
        with monkeypatch.context() as environment:
            environment.setenv("NOTIFY_SOCKET", manager.getsockname())
            new = successor(server, base)
            new.launch()
        eventually(lambda: door.exists() and door.stat().st_ctime_ns != before)
        assert pid_in_run_json(server) == new.process.pid
        new.kill()


def fill(receiver):
    """Sends datagrams until one more would have to wait."""
    sent = 1
    while sent:
        sent = 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.connect(receiver.getsockname())
            try:
                while sender.send(b"."):
                    sent += 1
            except BlockingIOError:
                pass


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
