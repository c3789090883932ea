"""The example of nodes behind HAProxy, as somebody runs it; only its ports are others."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from gateway import Gateway
from raw import context
from server import ROOT, Server, clean_environment, eventually
from servers import free_ports
from test_drain import Load, ask

EXAMPLE = ROOT / "dist/examples/three-nodes"


class Example:
    """What `run` has started."""

    def __init__(self, base, nodes):
        self.directory, source = base / "running", base / "example"
        shutil.copytree(EXAMPLE, source)
        ports = sorted({port for file in source.iterdir() for port in re.findall(r"127\.0\.0\.1:(\d{4})\b|port (\d{4})", file.read_text())
                        for port in port if port})
        free = dict(zip(ports, free_ports(len(ports))))
        for file in source.iterdir():
            file.write_text(re.sub(r"\b\d{4}\b", lambda m: str(free.get(m[0], m[0])), file.read_text()))
        self.balancer = free["8443"]
        environment = clean_environment(base) | {"NODES": str(nodes)}
        environment["PATH"] += ":/usr/sbin"
        self.process = subprocess.Popen([source / "run", self.directory], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        env=environment)
        self.pids = {}
        for line in self.process.stdout:
            if line.startswith("ready:"):
                return
            if told := re.match(r"(\S+): process (\d+)$", line):
                self.pids[told[1]] = int(told[2])
        raise AssertionError(f"it did not start: {[log.read_text()[-500:] for log in self.directory.glob('*.log')]}")

    def node(self, number):
        """As a server whose clients come by the balancer."""
        node = Server(self.directory, data_dir=self.directory / f"node-{number}")
        node.control, node.https = node.env["AWS_ENDPOINT_URL"], f"127.0.0.1:{self.balancer}"
        return node

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0


@pytest.fixture
def example(tmp_path, request):
    running = Example(tmp_path, request.param)
    yield running
    running.stop()
    for pid in running.pids.values():
        eventually(lambda: not os.path.exists(f"/proc/{pid}"), what="nothing is left running")


def served(example, backend, pki):
    """A domain that was set up at the first node, and is served through the balancer."""
    gateway = Gateway(example.node(1), backend, "nodes.yourcompany.com", pki.ca().pem).create()
    eventually(lambda: gateway.curl("/orders", pki.client()).status == 200, what="HAProxy has found the nodes")
    return gateway


@pytest.mark.parametrize("example", [1], indirect=True)
def test_clients_keep_their_addresses_behind_a_balancer(example, backend, pki):
    gateway = served(example, backend, pki)
    assert gateway.curl("/orders", None).status == 403
    backend.clear()
    raw = socket.create_connection(("127.0.0.1", example.balancer), timeout=20, source_address=("127.0.0.2", 0))
    with context(pki.client()).wrap_socket(raw, server_hostname=gateway.domain) as connection:
        assert ask(connection, gateway.domain)[0] == 200
    assert "for=127.0.0.2" in backend.seen[-1].header("forwarded")[0], "the client's address, not the balancer's"


@pytest.mark.parametrize("example", [3], indirect=True)
def test_nodes_come_and_go(example, backend, pki):
    gateway = served(example, backend, pki)
    stop = threading.Event()
    load = [Load(gateway, pki.client(), stop) for _ in range(4)]
    for client in load:
        client.start()
    eventually(lambda: all(client.answered > 5 for client in load))
    os.kill(example.pids["node-1"], signal.SIGTERM)
    eventually(lambda: not (example.directory / "node-1/run.json").exists(), timeout_s=60, what="node 1 has drained")
    before = [client.answered for client in load]
    eventually(lambda: all(client.answered > was + 5 or client.failures for client, was in zip(load, before)))
    stop.set()
    for client in load:
        client.join(20)
    assert [client.failures for client in load] == [[]] * len(load), "a node that drains costs nobody a request"

    os.kill(example.pids["node-2"], signal.SIGKILL)
    eventually(lambda: all(gateway.curl("/orders", pki.client()).status == 200 for _ in range(5)), what="the third serves")
    third = Gateway(example.node(3), backend, gateway.domain, gateway.truststore)
    assert third.api.get_domain_name(DomainName=gateway.domain)["DomainName"] == gateway.domain
