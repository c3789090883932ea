"""The real binary, started and ended as a user does it."""

import functools
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import boto3
import botocore.config

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = Path(os.environ.get("COUNTERSIGN_BIN", TARGET / "debug/countersign")).resolve()
READY = re.compile(r"^ready control=(?P<control>https?://\S+) https=(?P<https>\S+)$")
START_S = 30
STOP_S = 30


def eventually(probe, timeout_s=20, what=None):
    """Asks `probe` until its answer is true, and returns that answer. Fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or probe}")
        time.sleep(0.02)


def clean_environment(home):
    """An environment in which no AWS setting of the machine's user is seen."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "COUNTERSIGN_")) and "proxy" not in k.lower()}
    return kept | {
        "HOME": str(home),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "PATH": f"{BINARY.parent}:{kept.get('PATH', '/usr/bin:/bin')}",
        "RUST_BACKTRACE": "1",
    }


class Server:
    """`countersign up` with a data directory of its own."""

    def __init__(self, base, *args, data_dir=None):
        self.base = Path(base)
        self.base.mkdir(parents=True, exist_ok=True)
        self.data_dir = Path(data_dir) if data_dir else self.base / "data"
        self.args = [str(a) for a in args]
        self.process = None
        self.control = None
        self.https = None
        self._runs = 0

    def start(self):
        """Starts it and waits for the line that says that it is ready."""
        self.launch()
        line = self.first_line()
        match = READY.match(line)
        assert match, f"no ready line but {line!r}; stderr:\n{self.stderr()}"
        self.control, self.https = match["control"], match["https"].removeprefix("https://")
        # A full pipe must never block the server.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.__dict__.pop("env", None)
        return self

    def launch(self):
        """Starts the process only. For servers that are expected not to come up."""
        self._runs += 1
        command = [str(BINARY), "up", "--data-dir", str(self.data_dir), "--https-addr", "127.0.0.1:0"]
        command += ["--control-addr", "127.0.0.1:0", *self.args]
        with open(self._stderr_path(), "wb") as stderr:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=self.base, env=clean_environment(self.base)
            )

    def first_line(self):
        """What it prints first on stdout; kills it where nothing comes."""
        killer = threading.Timer(START_S, self.process.kill)
        killer.start()
        try:
            return self.process.stdout.readline().rstrip("\n")
        finally:
            killer.cancel()

    def _stderr_path(self):
        return self.base / f"stderr.{self._runs}.log"

    def stderr(self):
        """What this run has printed on stderr so far."""
        return self._stderr_path().read_text(errors="replace")

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """SIGTERM: it drains and exits with 0."""
        if self.process is None:
            return
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still there {STOP_S} s after SIGTERM; stderr:\n{self.stderr()}")
        self.process = None
        assert code == 0, f"exit code {code}; stderr:\n{self.stderr()}"

    def kill(self):
        """SIGKILL, as a power cut would."""
        self.process.kill()
        self.process.wait()
        self.process = None

    @property
    def https_port(self):
        return int(self.https.rpartition(":")[2])

    @property
    def https_address(self):
        host, _, port = self.https.rpartition(":")
        return host, int(port)

    @functools.cached_property
    def env(self):
        """What a shell holds after `eval "$(countersign env --data-dir DIR)"`."""
        script = f'eval "$("{BINARY}" env --data-dir "$1")" && env -0'
        out = subprocess.run(
            ["bash", "-c", script, "bash", str(self.data_dir)],
            env=clean_environment(self.base), capture_output=True, check=True, timeout=30,
        ).stdout
        return dict(entry.split("=", 1) for entry in out.decode().split("\0") if "=" in entry)

    @property
    def ca_file(self):
        return self.env["COUNTERSIGN_CA_FILE"]

    def client(self, service, **overrides):
        """A boto3 client for this server; no retries, so that an error is seen as it is."""
        settings = {
            "endpoint_url": self.control,
            "region_name": self.env["AWS_DEFAULT_REGION"],
            "aws_access_key_id": self.env["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": self.env["AWS_SECRET_ACCESS_KEY"],
            "config": botocore.config.Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        } | overrides
        return boto3.session.Session().client(service, **settings)

    def settle(self):
        """Waits until the gateway enforces everything that was set."""
        def applied():
            with urllib.request.urlopen(f"{self.control}/_countersign/health", timeout=10) as answer:
                health = json.load(answer)
            return health["applied"] >= health["revision"]

        eventually(applied, what="the last revision applied")

    def command(self, *args, check=True):
        """Runs another command of the binary, e.g. `explain`, with this server's environment."""
        return run_binary(*args, env=self.env, check=check)

    def memory_kib(self):
        """Resident set of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.M)[1])


def run_binary(*args, env=None, check=True, stdin=None):
    """One command of the binary; output as text."""
    done = subprocess.run([str(BINARY), *map(str, args)], env=env, input=stdin, capture_output=True, text=True, timeout=60)
    if check:
        assert done.returncode == 0, f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def error_code(caught):
    """AWS's code of a botocore ClientError."""
    return caught.value.response["Error"]["Code"]


def error_message(caught):
    """AWS's message of a botocore ClientError."""
    return caught.value.response["Error"]["Message"]


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.strip()]
