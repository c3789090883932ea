"""Side by side: the same work for every gateway, in rounds, one gateway after the other in a rotating order, so that what
the machine does besides hits all alike. A ratio is of one round; what is reported is the median over the rounds."""

import re
import statistics
import subprocess
from dataclasses import dataclass

import machine

IDLE_CONNECTIONS = 2000
BEST = "the best peer"


@dataclass(frozen=True)
class Row:
    """One line of the table. `against` is a peer's name, or BEST: whoever of them was best in that round."""

    key: str
    work: str
    test: str
    value: str
    unit: str
    against: str
    target: float


@dataclass(frozen=True)
class Test:
    """What the load generator does. `kind` is that of all certificates."""

    options: tuple
    kind: str = "ec"
    first_seen: bool = False


NEW = ("handshake", "-c", "32")
TLS12 = ("--tls", "1.2", "--groups", "x25519,p256")
ONE = ("--requests-per-conn", "1")
MIB = str(1 << 20)

TESTS = {
    "handshake": Test((*NEW, "--tls", "1.3")),
    "first-seen": Test((*NEW, "--tls", "1.3"), first_seen=True),
    "rsa": Test((*NEW, "--tls", "1.3"), kind="rsa"),
    "tls12": Test((*NEW, *TLS12)),
    "resumed": Test((*NEW, "--resume", *ONE)),
    "http1": Test(("http", "-c", "64", "--path", "/b/1024")),
    "http2": Test(("http", "--h2", "-c", "16", "--streams", "32", "--path", "/b/1024")),
    "down": Test(("http", "-c", "8", "--path", f"/b/{MIB}")),
    "up": Test(("http", "-c", "8", "--path", "/b/2", "--body", MIB)),
    "latency": Test(("http", "-c", "64", "--rate", "2000", "--path", "/b/1024")),
}

CPU, P50, P99 = "us_per_op", "p50", "p99"
ROWS = [
    Row("handshake", "full mTLS handshake, P-256, TLS 1.3, known client", "handshake", CPU, "µs", "envoy", 0.65),
    Row("first-seen", "the same, a client never seen before", "first-seen", CPU, "µs", "envoy", 0.85),
    Row("rsa", "the same, RSA-2048", "rsa", CPU, "µs", "envoy", 0.55),
    Row("tls12", "the same, TLS 1.2", "tls12", CPU, "µs", "envoy", 0.62),
    Row("resumed", "resumed connection and one request", "resumed", CPU, "µs", "envoy", 0.68),
    Row("http1", "HTTP/1.1 request, 1 KiB, 64 connections", "http1", CPU, "µs", "nginx", 0.60),
    Row("http2", "HTTP/2 request, 1 KiB, 16 connections of 32 streams", "http2", CPU, "µs", "haproxy", 0.90),
    Row("down", "1 MiB down", "down", CPU, "µs", BEST, 0.55),
    Row("up", "1 MiB up", "up", CPU, "µs", BEST, 0.95),
    Row("p50", "p50 at 2,000 requests a second", "latency", P50, "µs", BEST, 0.85),
    Row("p99", "p99 at 2,000 requests a second", "latency", P99, "µs", BEST, 0.75),
]


def options(test, pki):
    """Of the load generator, for one run."""
    chosen = list(test.options)
    if test.first_seen:
        return chosen + ["--first-seen", pki.file("ca.pem")]
    return chosen + ["--cert", pki.file("client.pem"), "--key", pki.file("client.key")]


def run_one(test, gateway, pki, duration_s):
    """One gateway's figures in one round."""
    load = machine.Load(
        *options(test, pki), "--connect", gateway.address, "--warmup", machine.WARM_UP_S, "-d", duration_s
    )
    if test.first_seen:
        wait_until_issued(load)
    report = machine.measured(gateway.pid, load, duration_s)
    gateway.cool()
    failed = report["errors"] or set(report["statuses"]) - {"200"}
    if failed or not report["ok"]:
        raise RuntimeError(f"{gateway.name}: {report['ok']} good, {report['errors']} {report['statuses']}")
    return {CPU: report["us_per_op"], P50: report["latency_us"]["p50"], P99: report["latency_us"]["p99"]}


def wait_until_issued(load):
    """The clients' certificates are made before the load begins."""
    line = load.process.stderr.readline()
    if "issued" not in line:
        raise RuntimeError(f"loadgen: {line}")


def idle(gateway, pki):
    """Memory of a gateway that has just started, and of each connection that waits, in KiB."""
    base = machine.memory_kib(gateway.pid)
    load = machine.Load(
        "idle", "-c", IDLE_CONNECTIONS, "-d", "3", *ONE, "--connect", gateway.address,
        "--cert", pki.file("client.pem"), "--key", pki.file("client.key"),
    )
    ready = load.process.stderr.readline()
    opened = int(re.search(r"\d+", ready)[0])
    # Buffers are let go a moment after the last request.
    try:
        load.process.wait(1)
    except subprocess.TimeoutExpired:
        pass
    held = machine.memory_kib(gateway.pid) - base
    load.result()
    return {"base_mib": base / 1024, "kib": held / max(opened, 1)}


def ratio(row, rounds):
    """Ours to the peer's in the same round: the median. None where the peer was not there."""
    ratios = []
    for figures in rounds:
        ours = figures.get("countersign")
        others = {name: of[row.value] for name, of in figures.items() if name != "countersign"}
        other = min(others.values(), default=None) if row.against == BEST else others.get(row.against)
        if ours and other:
            ratios.append(ours[row.value] / other)
    return statistics.median(ratios) if ratios else None


def median(row, rounds, name):
    values = [figures[name][row.value] for figures in rounds if name in figures]
    return statistics.median(values) if values else None
