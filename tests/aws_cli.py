"""The two generations of the aws CLI, unmodified, in a shell that has evaluated `countersign env`."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from server import clean_environment

# Debian's is CLI v2 (2.9), PyPI's is v1.
DIRECTORY = {"v1": Path(sys.executable).parent, "v2": Path("/usr/bin")}


class AwsCli:
    """Calls `aws …` and returns the parsed answer."""

    def __init__(self, server, version):
        self.server, self.version = server, version

    def __call__(self, *args, check=True):
        done = self.run("aws", *args)
        if check:
            assert done.returncode == 0, f"aws {' '.join(map(str, args))}: exit {done.returncode}\n{done.stderr}"
        return json.loads(done.stdout) if check and done.stdout.lstrip().startswith(("{", "[")) else done

    def environment(self):
        env = clean_environment(self.server.base)
        return env | {"PATH": f"{DIRECTORY[self.version]}:{env['PATH']}"}

    def run(self, *command, script='"$@"', timeout_s=60):
        """Runs a command line in bash, after `eval "$(countersign env)"`. `aws` is then what `env` says it is."""
        return subprocess.run(
            self.shell(script, *command), capture_output=True, text=True, env=self.environment(),
            cwd=self.server.base, timeout=timeout_s,
        )

    @contextlib.contextmanager
    def running(self, *command):
        """Like `run`, for commands that stay: they are ended with the block. Gives the lines they print."""
        process = subprocess.Popen(
            self.shell('"$@"', *command), env=self.environment(), text=True, cwd=self.server.base,
            stdout=subprocess.PIPE, start_new_session=True)
        try:
            yield iter(process.stdout.readline, "")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)

    def shell(self, script, *command):
        prelude = f'eval "$(countersign env --data-dir "$1")"; shift; {script}'
        return ["bash", "-c", prelude, "bash", os.fspath(self.server.data_dir), *map(str, command)]
