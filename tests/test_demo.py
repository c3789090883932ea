"""`countersign demo`: the guide on real sockets, needing nothing but the binary."""

import signal
import subprocess

from server import BINARY, START_S, clean_environment, eventually


def run_demo(tmp_path, *args, path="/nonexistent"):
    env = clean_environment(tmp_path) | {"PATH": path}
    return subprocess.run([BINARY, "demo", *args], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)


def test_the_whole_story(tmp_path):
    """With an empty PATH: neither openssl nor aws nor curl is there to be used."""
    done = run_demo(tmp_path, "--exit")
    assert done.returncode == 0, done.stdout + done.stderr
    for step in ("create-bucket", "put-object", "create-api", "create-domain-name", "update-domain-name", "403", "200"):
        assert step in done.stdout, f"{step} is not shown"
    assert '{"message":"Forbidden"}' in done.stdout


def test_it_leaves_nothing_behind(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    assert run_demo(home, "--exit").returncode == 0
    assert list(home.rglob("*")) == []


def test_two_at_once(tmp_path):
    env = clean_environment(tmp_path)
    both = [subprocess.Popen([BINARY, "demo", "--exit"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    for demo in both:
        out, _ = demo.communicate(timeout=120)
        assert demo.returncode == 0, out


def test_it_stays_up_until_told(tmp_path):
    log = tmp_path / "out"
    with open(log, "wb") as out:
        demo = subprocess.Popen([BINARY, "demo"], cwd=tmp_path, env=clean_environment(tmp_path), stdout=out, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: "stays up until" in log.read_text(), timeout_s=START_S + 60)
        assert demo.poll() is None
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(30) == 0
    finally:
        if demo.poll() is None:
            demo.kill()
            demo.wait()
