"""The machine: who runs where, and what it costs. All costs are read from /proc, for a process with all its children."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOADGEN = ROOT / "target/bench/release/loadgen"
FILL = ROOT / "target/bench/release/fill"
COUNTERSIGN = Path(os.environ.get("COUNTERSIGN_BIN", ROOT / "target/release/countersign"))
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# The server has a core for itself; load and backend share another. Lists as of taskset.
SERVER_CPU = os.environ.get("SERVER_CPU", "0")
LOAD_CPU = os.environ.get("LOAD_CPU", "1")
# On a machine that does other things too, NICE=-15 gives what is measured precedence (needs root).
NICE = ["nice", "-n", os.environ["NICE"]] if os.environ.get("NICE") else []
WARM_UP_S = 1.0


def pinned(cpus, command):
    return [*NICE, "taskset", "-c", cpus, *map(str, command)]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def tree(pid):
    """The process and its children."""
    found, todo = [], [pid]
    while todo:
        process = todo.pop()
        found.append(process)
        try:
            for thread in os.listdir(f"/proc/{process}/task"):
                todo += map(int, Path(f"/proc/{process}/task/{thread}/children").read_text().split())
        except OSError:
            pass  # It ended meanwhile.
    return found


def cpu_s(pid):
    """User and system time so far."""
    ticks = 0
    for process in tree(pid):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return ticks / TICKS_PER_S


def memory_kib(pid):
    """Resident memory, what processes share counted once."""
    kib = 0
    for process in tree(pid):
        try:
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kib += int(line.split()[1])
        except OSError:
            pass
    return kib


class Load:
    """A load generator at work."""

    def __init__(self, mode, *options, cpus=None):
        command = pinned(cpus or LOAD_CPU, [LOADGEN, mode, *options])
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result(self):
        out, err = self.process.communicate(timeout=180)
        if self.process.returncode != 0:
            raise RuntimeError(f"loadgen failed: {err.strip()}")
        return json.loads(out)


def backend():
    """Starts the HTTP server behind all gateways: its process and port."""
    port = free_port()
    process = subprocess.Popen(pinned(LOAD_CPU, [LOADGEN, "upstream", "--listen", f"127.0.0.1:{port}"]))
    wait_for(port, process)
    return process, port


def wait_for(port, process, limit_s=120):
    """Until something accepts connections."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode} before it listened")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.002)
    raise RuntimeError(f"it does not listen after {limit_s} s")


def measured(pid, load, duration_s):
    """What a running load costs a server, in CPU µs an operation; the load's own report with it."""
    time.sleep(WARM_UP_S)
    before = cpu_s(pid)
    time.sleep(duration_s)
    used = cpu_s(pid) - before
    report = load.result()
    report["us_per_op"] = used * 1e6 / report["ok"] if report["ok"] else None
    return report
