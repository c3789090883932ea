"""Under a service manager: the test speaks systemd's side of its protocols, with sockets of its own that outlive every server."""

import ctypes
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.request

import pytest

from gateway import Gateway
from raw import context
from server import BINARY, ROOT, Server, clean_environment, eventually
from test_drain import Load, ask
from test_takeover import pid_in_run_json

UNITS = ROOT / "dist/systemd"
# Named sockets become descriptors 3 and up of the program, and no others; then the shell is the program.
PASS = """
target=3
for pair in $PAIRS; do eval "exec $target<&${pair%%:*} ${pair%%:*}<&-"; target=$((target + 1)); done
export LISTEN_PID=$$ LISTEN_FDS=$((target - 3))
unset PAIRS
exec "$@"
"""


class Manager:
    """Holds listening sockets, and hears what services tell it: who, and what."""

    def __init__(self, base, address):
        self.https, self.control = listening(), listening()
        self.heard = []
        self.notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notifications.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.notifications.settimeout(30)
        self.address = address or str(base / "notify")
        self.notifications.bind(self.address.replace("@", "\0", 1))

    def close(self):
        for one in (self.https, self.control, self.notifications):
            one.close()

    def hear(self):
        """The next that is told: {"pid": of who tells it, "READY": "1", …}."""
        message, ancillary, _, _ = self.notifications.recvmsg(4096, socket.CMSG_SPACE(12))
        pid = struct.unpack("iii", ancillary[0][2])[0]
        told = {"pid": pid} | dict(line.split("=", 1) for line in message.decode().splitlines())
        self.heard.append(told)
        return told

    def wait_for(self, name):
        """What was told with this name, next."""
        while name not in (told := self.hear()):
            pass
        return told


class Managed(Server):
    """A server that is started by a manager. What it has on its command line as addresses is of no consequence."""

    def __init__(self, base, manager, *args, sockets=None, environment=None, through=()):
        super().__init__(base, *args)
        self.manager, self.environment, self.through = manager, environment or {}, through
        self.sockets = sockets or [("https", manager.https), ("control", manager.control)]

    def launch(self):
        self._runs += 1
        for _, one in self.sockets:
            assert one.fileno() > 9, "or it would be in the way of those that are passed"
        environment = clean_environment(self.base) | self.environment | {
            "NOTIFY_SOCKET": self.manager.address,
            "LISTEN_FDNAMES": ":".join(name for name, _ in self.sockets),
            "PAIRS": " ".join(f"{one.fileno()}:{name}" for name, one in self.sockets),
        }
        command = [str(BINARY), "up", "--data-dir", str(self.data_dir), "--https-addr", "127.0.0.1:1"]
        command += ["--control-addr", "127.0.0.1:1", *self.args]
        with open(self._stderr_path(), "wb") as stderr:
            self.process = subprocess.Popen(
                ["bash", "-c", PASS, "bash", *self.through, *command], stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=self.base,
                env=environment, pass_fds=[one.fileno() for _, one in self.sockets])


def listening():
    return high(socket.create_server(("127.0.0.1", 0), backlog=1024))


def high(one):
    """The same socket, with a descriptor above those that are passed to services."""
    with one:
        return socket.socket(fileno=fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 20))


@pytest.fixture(params=["path"])
def manager(tmp_path, request):
    held = Manager(tmp_path, f"@{tmp_path}/notify" if request.param == "abstract" else None)
    yield held
    held.close()


@pytest.fixture
def managed(tmp_path, manager):
    """Starts servers for one test; who is still up at its end is stopped."""
    started = []

    def start(*args, **options):
        started.append(Managed(tmp_path / f"managed{len(started)}", manager, *args, **options))
        return started[-1].start()

    yield start
    for one in started:
        one.stop()


@pytest.mark.parametrize("manager", ["path", "abstract"], indirect=True)
def test_sockets_are_taken_and_its_life_is_told(managed, manager, tmp_path):
    config = tmp_path / "countersign.toml"
    config.write_text("drain_delay_seconds = 1\ndrain_timeout_seconds = 100\n")
    server = managed("--config", config)
    assert server.https_address == manager.https.getsockname()
    assert server.control == "http://{}:{}".format(*manager.control.getsockname())
    ready = manager.hear()
    assert ready["READY"] == "1" and ready["pid"] == server.process.pid and "MAINPID" not in ready
    assert server.https in ready["STATUS"] and server.control in ready["STATUS"]

    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    server.process.send_signal(signal.SIGHUP)
    reloading = manager.hear()
    assert reloading["RELOADING"] == "1" and before <= int(reloading["MONOTONIC_USEC"]) < before + 60_000_000
    assert manager.hear()["READY"] == "1"
    assert "waits for a restart" not in server.stderr(), "where it listens is not the configuration's affair"
    config.write_text("drain_delay_seconds = 1\nunknown = 1\n")
    server.process.send_signal(signal.SIGHUP)
    assert manager.hear()["RELOADING"] == "1"
    unchanged = manager.hear()
    assert unchanged["READY"] == "1" and "stays as it was" in unchanged["STATUS"] and "unknown" in unchanged["STATUS"]

    server.process.send_signal(signal.SIGTERM)
    stopping = manager.hear()
    assert stopping["STOPPING"] == "1" and int(stopping["EXTEND_TIMEOUT_USEC"]) >= 101_000_000
    server.stop()
    with socket.create_connection(manager.https.getsockname(), timeout=5):
        pass  # it waits for whoever is started next


def test_every_address_that_is_passed_is_served(managed, manager, pki):
    """A socket unit may have several, such as one of IPv4 and one of IPv6."""
    other = high(socket.create_server(("::1", 0), family=socket.AF_INET6))
    identity = pki.server("gateway", "api.example.com")
    server = managed(
        "--domain", "api.example.com", "--truststore", pki.ca().cert, "--cert", identity.cert, "--key", identity.key,
        "--upstream", "http://127.0.0.1:1", sockets=[("https", manager.https), ("control", manager.control), ("https", other)])
    for passed in (manager.https, other):
        with socket.create_connection(passed.getsockname()[:2], timeout=20) as raw:
            with context(pki.client()).wrap_socket(raw, server_hostname="api.example.com") as connection:
                assert ask(connection, "api.example.com")[0] == 503, "served, though by no backend"
    other.close()


def test_a_restart_under_load_refuses_nobody(managed, manager, backend, pki):
    server = managed()
    gateway = Gateway(server, backend, "managed.yourcompany.com", pki.ca().pem).create()
    stop = threading.Event()
    load = [Load(gateway, pki.client(), stop) for _ in range(4)]
    for client in load:
        client.start()
    for _ in range(2):
        before = [client.answered for client in load]
        eventually(lambda: all(client.answered > was + 5 for client, was in zip(load, before)))
        address = server.https
        server.stop()
        # Nobody accepts now: whoever comes waits in the manager's socket.
        waiting = socket.create_connection(manager.https.getsockname(), timeout=20)
        server.start()
        assert server.https == address
        waiting.close()
    before = [(client.answered, client.connections) for client in load]
    eventually(lambda: all(client.answered > answered + 5 or client.failures for client, (answered, _) in zip(load, before)))
    assert [client.failures for client in load] == [[]] * len(load)
    assert all(client.is_alive() and client.connections > 2 for client in load), "none was refused"
    stop.set()
    for client in load:
        client.join(20)
    assert [client.failures for client in load] == [[]] * len(load)


def test_an_upgrade_is_followed(managed, manager, backend, pki):
    """SIGUSR2: the new process says that it is the one now, before the old one ends, and keeps the manager's sockets."""
    server = managed(environment={"WATCHDOG_USEC": "400000"})
    gateway = Gateway(server, backend, "managed.yourcompany.com", pki.ca().pem).create()
    old = server.process.pid
    manager.wait_for("READY")
    begun = gateway.curl("/orders", pki.client())
    assert begun.status == 200
    server.process.send_signal(signal.SIGUSR2)
    instead = manager.wait_for("MAINPID")
    new = int(instead["MAINPID"])
    assert new != old and instead["pid"] == new and instead["READY"] == "1"
    assert server.https in instead["STATUS"] and server.control in instead["STATUS"]
    assert server.process.wait(60) == 0
    server.process = None
    assert not any("STOPPING" in told for told in manager.heard), "the service goes on"
    assert pid_in_run_json(server) == new
    manager.heard.clear()
    for _ in range(3):
        manager.wait_for("WATCHDOG")
    assert {told["pid"] for told in manager.heard} == {new}
    assert gateway.curl("/after", pki.client()).status == 200
    os.kill(new, signal.SIGTERM)
    assert manager.wait_for("STOPPING")["pid"] == new
    eventually(lambda: not (server.data_dir / "run.json").exists(), timeout_s=60)
    assert server.https_address == manager.https.getsockname()


def test_one_that_fails_to_take_over_is_not_followed(managed, manager, tmp_path):
    server = managed()
    manager.wait_for("READY")
    (tmp_path / "other.key").write_bytes(bytes(32))
    config = tmp_path / "other.toml"
    config.write_text('sealing_key.file = "other.key"\n')
    failing = Server(tmp_path / "failing", "--takeover", "--config", config, data_dir=server.data_dir)
    failing.launch()
    assert failing.process.wait(60) == 2
    failing.process = None
    again = manager.wait_for("MAINPID")
    assert int(again["MAINPID"]) == again["pid"] == server.process.pid and again["READY"] == "1"


def test_a_runtime_that_hangs_gives_no_sign_of_life(managed, manager):
    watchdog_s = 0.4
    server = managed(environment={"WATCHDOG_USEC": str(int(watchdog_s * 1e6))})
    for _ in range(3):
        assert manager.wait_for("WATCHDOG")["pid"] == server.process.pid
    with stopped_thread(server.process.pid, "edge-0"):
        with urllib.request.urlopen(f"{server.control}/_countersign/health", timeout=10) as answer:
            assert answer.status == 200, "only that thread is stopped"
        manager.notifications.settimeout(watchdog_s / 2)
        # What was on its way.
        with pytest.raises(TimeoutError):
            for _ in range(2):
                manager.hear()
        manager.notifications.settimeout(2 * watchdog_s)
        with pytest.raises(TimeoutError):
            manager.hear()
        manager.notifications.settimeout(30)
    manager.wait_for("WATCHDOG")


class stopped_thread:
    """One thread of a process, held by ptrace(2) as a debugger would."""

    SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, pid, name):
        tasks = os.listdir(f"/proc/{pid}/task")
        self.thread = next(int(t) for t in tasks if open(f"/proc/{pid}/task/{t}/comm").read().strip() == name)
        self.ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        self.ptrace.argtypes = [ctypes.c_long] * 4

    def __enter__(self):
        for request in (self.SEIZE, self.INTERRUPT):
            assert self.ptrace(request, self.thread, 0, 0) == 0, os.strerror(ctypes.get_errno())
        os.waitpid(self.thread, self.WALL)

    def __exit__(self, *_):
        assert self.ptrace(self.DETACH, self.thread, 0, 0) == 0, os.strerror(ctypes.get_errno())


@pytest.mark.parametrize("mistake, said", [
    ("name", '"http" that was passed to this process cannot be used: nothing listens by that name: set FileDescriptorName='),
    ("two", "cannot be used: it is the second of this name"),
    ("bound", "cannot be used: it does not listen; a socket unit must not have Accept=yes"),
    ("unix", '"https" that was passed to this process cannot be used: fd 3 is not a valid tcp socket'),
])
def test_a_socket_that_cannot_be_used_is_named(manager, tmp_path, mistake, said):
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    sockets = {
        "name": [("http", manager.https)],
        "two": [("control", manager.control), ("control", manager.https)],
        "bound": [("https", high(bound))],
        "unix": [("https", high(socket.socket(socket.AF_UNIX)))],
    }[mistake]
    server = Managed(tmp_path / "managed", manager, sockets=sockets)
    server.launch()
    assert server.process.wait(30) == 2
    assert said in server.stderr()


def test_a_manager_that_hears_nothing_is_no_reason_not_to_serve(managed, manager, tmp_path):
    manager.address = str(tmp_path / "nobody")
    server = managed()
    eventually(lambda: "the service manager cannot be told" in server.stderr())


def test_the_units_are_good(tmp_path):
    """By systemd's own word, with the program that is here. One that is older than 253 does not know Type=notify-reload."""
    version = int(re.search(r"\d+", systemd_analyze("--version").stdout)[0])
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/usr/bin/countersign", str(BINARY))
        if version < 253:
            text = text.replace("Type=notify-reload", "Type=notify")
        (tmp_path / unit.name).write_text(text)
    units = sorted(str(unit) for unit in tmp_path.iterdir())
    assert len(units) == 3
    verified = systemd_analyze("verify", "--man=no", *units)
    ours = [line for line in (verified.stdout + verified.stderr).splitlines() if "countersign" in line]
    assert (verified.returncode, ours) == (0, [])
    secure = systemd_analyze("security", "--offline=true", "--threshold=20", str(tmp_path / "countersign.service"))
    assert secure.returncode == 0, secure.stdout[-200:]


def test_the_units_options_are_those_of_the_program(tmp_path):
    command = re.search(r"^ExecStart=/usr/bin/countersign (.*)$", (UNITS / "countersign.service").read_text(), re.M)[1].split()
    known = subprocess.run([str(BINARY), command[0], "--help"], capture_output=True, text=True).stdout
    assert [option for option in command if option.startswith("--") and option not in known] == []


def test_the_unit_allows_every_system_call(manager, backend, pki, tmp_path):
    """A start, settings, requests, a configuration that is read again, an upgrade and the end, against SystemCallFilter=."""
    trace = tmp_path / "trace"
    # The program is strace's child then: LISTEN_PID would not be its own.
    traced = Managed(tmp_path / "traced", manager, through=["env", "-u", "LISTEN_PID", "strace", "-f", "-qq", "-o", str(trace)])
    traced.start()
    gateway = Gateway(traced, backend, "traced.yourcompany.com", pki.ca().pem).create()
    assert gateway.curl("/orders", pki.client()).status == 200
    pid = pid_in_run_json(traced)
    os.kill(pid, signal.SIGHUP)
    manager.wait_for("RELOADING")
    os.kill(pid, signal.SIGUSR2)
    new = int(manager.wait_for("MAINPID")["MAINPID"])
    assert gateway.curl("/after", pki.client()).status == 200
    os.kill(new, signal.SIGTERM)
    assert traced.process.wait(60) == 0
    called = set(re.findall(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed)", trace.read_text(), re.M))
    assert {"accept4", "sendto", "execve"} <= called
    assert called - allowed() == set()


def allowed():
    """What the unit's SystemCallFilter= lets through: sets, and from the second line on what is taken out of them."""
    calls = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", (UNITS / "countersign.service").read_text(), re.M):
        named = set().union(*(members(name) for name in line.removeprefix("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


def members(name):
    """The system calls of a set, or one."""
    if not name.startswith("@"):
        return {name}
    listed = systemd_analyze("syscall-filter", name).stdout.splitlines()[1:]
    return set().union(*(members(line.strip()) for line in listed if line.strip() and not line.strip().startswith("#")))


def systemd_analyze(*args):
    assert shutil.which("systemd-analyze"), "./test installs it"
    return subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, timeout=60)
