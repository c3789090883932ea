"""A terminal: one bash that lives on between commands, so that variables, functions and the directory stay."""

import contextlib
import os
import signal
import subprocess
import threading
from dataclasses import dataclass


@dataclass
class Typed:
    """What a command printed, and how it ended."""

    command: str
    out: str
    err: str
    code: int

    def __str__(self):
        return f"$ {self.command}\nexit {self.code}\n{self.out}{self.err}"


class Shell:
    """Bash in the directory `cwd`, as the only user of the machine."""

    def __init__(self, cwd, env):
        self.cwd = cwd
        self.dir = cwd / ".typed"
        self.dir.mkdir()
        answers, self.answer_fd = os.pipe()
        self.answers = os.fdopen(answers)
        self.bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=cwd, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            pass_fds=[self.answer_fd], start_new_session=True,
        )
        os.close(self.answer_fd)

    def type(self, command, check=True, timeout_s=90):
        """Types a command (or several lines) and waits until it has ended."""
        script, out, err = self.dir / "command", self.dir / "out", self.dir / "err"
        script.write_text(command + "\n")
        killer = threading.Timer(timeout_s, self.bash.kill)
        killer.start()
        try:
            self.bash.stdin.write(f"source {script} >{out} 2>{err} </dev/null; echo $? >&{self.answer_fd}\n")
            self.bash.stdin.flush()
            code = self.answers.readline()
        finally:
            killer.cancel()
        typed = Typed(command, out.read_text(errors="replace"), err.read_text(errors="replace"), int(code or -1))
        if check:
            assert typed.code == 0, str(typed)
        return typed

    def close(self):
        """Ends the terminal, and with it what was left in the background."""
        self.bash.stdin.close()
        self.bash.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.bash.pid, signal.SIGTERM)
        self.answers.close()
