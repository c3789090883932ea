"""Real members of etcd, and nodes that have their settings there."""

import base64
import json
import secrets
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from server import Server, eventually
from servers import free_ports


class Member:
    """One member: it can be killed, and started again on what it has."""

    def __init__(self, base, name, client_port, peer_port, cluster, tls=None):
        self.directory, self.name = Path(base) / name, name
        self.scheme, self.port, self.tls = ("https" if tls else "http"), client_port, tls
        self.command = ["etcd", "--name", name, "--data-dir", str(self.directory)]
        for option, url in (("client", f"{self.scheme}://127.0.0.1:{client_port}"), ("peer", f"http://127.0.0.1:{peer_port}")):
            advertise = "advertise-client-urls" if option == "client" else "initial-advertise-peer-urls"
            self.command += [f"--listen-{option}-urls", url, f"--{advertise}", url]
        self.command += ["--initial-cluster", cluster]
        self.command += ["--heartbeat-interval", "100", "--election-timeout", "1000"]
        if tls:
            self.command += ["--cert-file", str(tls["server"].cert), "--key-file", str(tls["server"].key)]
            self.command += ["--client-cert-auth", "--trusted-ca-file", str(tls["ca"].cert)]
        self.process, self.context = None, None

    @property
    def endpoint(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self):
        log = open(self.directory.with_suffix(".log"), "ab")
        self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        log.close()
        return self

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, path, **body):
        """A call of etcd's API, in JSON."""
        request = urllib.request.Request(f"{self.endpoint}{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10, context=self.context) as answer:
            return json.load(answer)

    def is_ready(self):
        try:
            return self.ask("/v3/kv/range", key=base64.b64encode(b"x").decode())
        except OSError:
            return None


class Etcd:
    """So many members. What they keep is in memory: whether etcd keeps it through a power cut is not what is tested."""

    def __init__(self, members=1, tls=None):
        shared = Path("/dev/shm")
        self.base = Path(tempfile.mkdtemp(prefix="etcd", dir=shared if shared.is_dir() else None))
        ports = free_ports(2 * members)
        names = [f"member{number}" for number in range(members)]
        cluster = ",".join(f"{name}=http://127.0.0.1:{port}" for name, port in zip(names, ports[members:]))
        pairs = zip(names, ports, ports[members:])
        self.members = [Member(self.base, name, client, peer, cluster, tls) for name, client, peer in pairs]

    def start(self):
        for member in self.members:
            member.start()
        if not self.members[0].tls:
            for member in self.members:
                eventually(member.is_ready, 30, what=f"{member.name} is ready")
        return self

    def close(self):
        for member in self.members:
            member.kill()
        shutil.rmtree(self.base, ignore_errors=True)

    @property
    def leader(self):
        """The member that the others follow."""
        try:
            status = [(m, m.ask("/v3/maintenance/status")) for m in self.members if m.process]
        except OSError:
            return None
        ours = [m for m, s in status if s.get("leader") == s["header"]["member_id"]]
        return ours[0] if ours else None

    def forget_history(self):
        """Compaction up to now, and defragmentation of every member."""
        living = [m for m in self.members if m.process]
        revision = living[0].ask("/v3/kv/range", key=base64.b64encode(b"x").decode())["header"]["revision"]
        living[0].ask("/v3/kv/compaction", revision=revision, physical=True)
        for member in living:
            member.ask("/v3/maintenance/defragment")


class Nodes:
    """Servers that share settings, each with a data directory of its own, and a sealing key that is the same."""

    def __init__(self, base, etcd, prefix=None, extra=""):
        self.base, self.etcd, self.extra = Path(base), etcd, extra
        self.prefix = prefix or f"/test/{secrets.token_hex(4)}"
        self.base.mkdir(parents=True, exist_ok=True)
        self.key = self.base / "sealing.key"
        if not self.key.exists():
            self.key.write_bytes(secrets.token_bytes(32))
        self.started = []

    def config(self, name, key=True):
        """The configuration of a node."""
        path = self.base / f"{name}.toml"
        endpoints = json.dumps([member.endpoint for member in self.etcd.members])
        sealing = f'[sealing_key]\nfile = "{self.key}"\n' if key else ""
        path.write_text(
            f'{sealing}[store]\nkind = "etcd"\nendpoints = {endpoints}\nprefix = "{self.prefix}"\nnode = "{name}"\n{self.extra}')
        return path

    def node(self, name, key=True, data_dir=None):
        """One that is not started."""
        node = Server(self.base / name, "--config", self.config(name, key), data_dir=data_dir)
        self.started.append(node)
        return node

    def close(self):
        for node in self.started:
            if node.alive():
                node.kill()


def health(node):
    with urllib.request.urlopen(f"{node.control}/_countersign/health", timeout=10) as answer:
        return json.load(answer)


def nodes_of(node):
    """Name to revision, as `countersign nodes` tells."""
    told = json.loads(node.command("nodes", "--json", check=False).stdout)
    return {one["name"]: one["revision"] for one in told["nodes"]}
