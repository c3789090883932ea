"""`countersign env`: what a shell holds after `eval`."""

import subprocess

from aws_cli import AwsCli
from server import BINARY, Server, clean_environment, run_binary


def shell(server, script, cli="v1", **variables):
    """Runs a script in which `$DIR` is the server's data directory."""
    env = AwsCli(server, cli).environment() | {"DIR": str(server.data_dir)} | variables
    return subprocess.run(["bash", "-c", script], env=env, cwd=server.base, capture_output=True, text=True, timeout=60)


def test_it_overrides_what_the_user_had(server):
    done = shell(
        server, 'eval "$(countersign env --data-dir "$DIR")"; aws sts get-caller-identity', AWS_PROFILE="production",
        AWS_SESSION_TOKEN="old", AWS_ACCESS_KEY_ID="AKIAPRODUCTION", AWS_ENDPOINT_URL="https://example.com")
    assert done.returncode == 0, done.stderr
    assert "123456789012" in done.stdout


def test_without_the_function(server):
    """CLI v1 knows AWS_ENDPOINT_URL by itself."""
    script = 'eval "$(countersign env --no-function --data-dir "$DIR")"; type -t aws; aws sts get-caller-identity'
    done = shell(server, script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("file\n")


def test_other_shells(server):
    """Any POSIX shell will do."""
    script = 'dash -c \'eval "$(countersign env --data-dir "$DIR")"; aws sts get-caller-identity\''
    assert "123456789012" in shell(server, script, cli="v2").stdout


def test_a_directory_with_an_awkward_name(tmp_path):
    server = Server(tmp_path / "it's a \"test\" $HOME").start()
    assert shell(server, 'eval "$(countersign env --data-dir "$DIR")"; test -f "$COUNTERSIGN_CA_FILE"').returncode == 0
    server.stop()


def test_where_no_server_runs(tmp_path):
    done = run_binary("env", "--data-dir", tmp_path / "empty", check=False, env=clean_environment(tmp_path))
    assert done.returncode == 2 and not done.stdout
    assert "countersign up" in done.stderr


def test_after_the_server_was_killed(tmp_path):
    server = Server(tmp_path / "server").start()
    server.kill()
    done = run_binary("env", "--data-dir", server.data_dir, check=False, env=clean_environment(tmp_path))
    assert done.returncode == 2 and not done.stdout


def test_the_key_is_not_on_the_command_line_or_in_logs(server):
    secret = server.env["AWS_SECRET_ACCESS_KEY"]
    assert secret not in server.stderr()
    assert BINARY.name in (command := open(f"/proc/{server.process.pid}/cmdline").read()) and secret not in command
