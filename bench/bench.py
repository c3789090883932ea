"""Measures, and writes figures into docs/benchmarks.md, and docs/benchmarks.svg. Started by bench/run, which sees to what it needs."""

import argparse
import contextlib
import json
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path

import gateways
import machine
import report
import rows
import scale
from gateways import Countersign
from pki import Pki

SCALE = ["truststores", "domains", "apis", "control", "cores", "update"]
KEPT = machine.ROOT / "target/bench/results.json"


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description="Countersign beside its peers.")
    parser.add_argument(
        "tests", nargs="*", metavar="TEST", help=f"of: {', '.join(['idle', *rows.TESTS, *SCALE])}; all by default"
    )
    parser.add_argument("--quick", action="store_true", help="one short round: shows that everything works")
    parser.add_argument("--rounds", type=int, help="of each test; 5 by default")
    parser.add_argument("--duration", type=float, help="seconds of each; 3 by default")
    parser.add_argument("--ours", action="store_true", help="without the peers")
    parser.add_argument("--out", type=Path, default=machine.ROOT / "docs", help="where the report goes; docs by default")
    parser.add_argument("--report", action="store_true", help="writes the report of the last run again")
    chosen = parser.parse_args()
    known = {"idle", *rows.TESTS, *SCALE}
    if unknown := set(chosen.tests) - known:
        parser.error(f"no such test: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    chosen.tests = chosen.tests or ["idle", *rows.TESTS, *SCALE]
    chosen.rounds = chosen.rounds or (1 if chosen.quick else 5)
    chosen.duration = chosen.duration or (1.0 if chosen.quick else 3.0)
    return chosen


class Bench:
    """One run. `start` starts a gateway that is stopped at the end, whatever happens."""

    def __init__(self, base, chosen, ending):
        self.base, self.chosen, self.ending = base, chosen, ending
        self.pki = {"ec": Pki(base), "rsa": Pki(base, "rsa")}
        process, self.backend_port = machine.backend()
        ending.callback(process.wait)
        ending.callback(process.terminate)
        self.peers, missing = gateways.peers()
        if chosen.ours:
            self.peers, missing = [], []
        self.types = [Countersign, *self.peers]
        self.results = {
            "about": about(self.types, chosen), "names": [one.name for one in self.types], "missing": missing,
            "rounds": {},
        }

    def start(self, gateway, truststore=None, cpus=None, kind="ec"):
        started = gateway(self.base, self.pki[kind], self.backend_port, truststore=truststore, cpus=cpus)
        self.ending.callback(started.stop)
        started.start()
        return started

    def run(self):
        for kind in ("ec", "rsa"):
            self.beside_peers(kind)
        pki, quick, rounds, duration = self.pki["ec"], self.chosen.quick, self.chosen.rounds, self.chosen.duration
        steps = {
            "truststores": lambda: scale.truststores(self.start, pki, rounds, duration),
            "domains": lambda: scale.domains(self.start, pki, quick),
            "apis": lambda: scale.apis(self.start, pki, quick, rounds, duration),
            "control": lambda: scale.control(self.start, pki, quick, duration),
            "cores": lambda: scale.cores(self.start, pki, rounds, duration),
            "update": lambda: {one.name: scale.update(self.start, one, pki) for one in self.types},
        }
        for name in SCALE:
            if name in self.chosen.tests:
                self.keep(name, steps[name])
        return self.results

    def keep(self, name, measure):
        """A test that fails is told, and is missing in the report; the others go on."""
        try:
            self.results[name] = measure()
            tell(name, self.results[name])
        except Exception as error:
            self.results.setdefault("failed", {})[name] = repr(error)
            tell(name, repr(error))

    def beside_peers(self, kind):
        tests = [name for name in self.chosen.tests if name in rows.TESTS and rows.TESTS[name].kind == kind]
        idle = kind == "ec" and "idle" in self.chosen.tests
        if not tests and not idle:
            return
        started = [self.start(one, kind=kind) for one in self.types]
        if idle:
            self.keep("idle", lambda: {one.name: rows.idle(one, self.pki[kind]) for one in started})
        for number in range(self.chosen.rounds):
            for name in tests:
                figures, turn = {}, number % len(started)
                for gateway in started[turn:] + started[:turn]:
                    try:
                        figures[gateway.name] = rows.run_one(
                            rows.TESTS[name], gateway, self.pki[kind], self.chosen.duration
                        )
                    except RuntimeError as error:
                        tell(name, str(error))
                self.results["rounds"].setdefault(name, []).append(figures)
                tell(f"{name} {number + 1}/{self.chosen.rounds}", {
                    of: f"{one['us_per_op']:.1f}" for of, one in figures.items()
                })
        for gateway in started:
            gateway.stop()


def about(types, chosen):
    """Machine and versions, for the report."""
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    return {
        "machine": f"{model}, {os.cpu_count()} cores, Linux {platform.release()}.",
        "versions": ", ".join(gateways.version(one) for one in types) + ".",
        "rounds": chosen.rounds, "quick": chosen.quick,
    }


def tell(name, what):
    print(f"{name}: {what}", file=sys.stderr, flush=True)


def main():
    chosen = arguments()
    # Ended from outside it takes with it what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if chosen.report:
        results = json.loads(KEPT.read_text())
    else:
        memory = Path("/dev/shm")
        # In memory where that is possible, for all: no disk is measured.
        where = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="countersign-bench-", dir=where) as base, contextlib.ExitStack() as ending:
            os.chmod(base, 0o755)
            results = Bench(Path(base), chosen, ending).run()
        KEPT.write_text(json.dumps(results, indent=1))
    chosen.out.mkdir(parents=True, exist_ok=True)
    page = (machine.ROOT / "docs/benchmarks.md").read_text()
    (chosen.out / "benchmarks.md").write_text(report.written_into(page, results))
    (chosen.out / "benchmarks.svg").write_text(report.chart(results))
    print(chosen.out / "benchmarks.md")
    sys.exit(1 if results.get("failed") else 0)


if __name__ == "__main__":
    main()
