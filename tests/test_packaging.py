"""What is delivered: the Debian package is made, installed by dpkg, and the program in it started, upgraded and told to stop."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from server import BINARY, ROOT, Server, clean_environment, eventually
from test_systemd import systemd_analyze
from test_takeover import pid_in_run_json

DIST = ROOT / "dist"


class Installed(Server):
    """The program of the package, as its unit starts it; only where it listens and keeps its data is another place."""

    def __init__(self, base, root):
        super().__init__(base)
        self.root = root

    def launch(self):
        unit = (self.root / "usr/lib/systemd/system/countersign.service").read_text()
        command = re.search(r"^ExecStart=(.*)$", unit, re.M)[1].split()
        assert command[-2:] == ["--data-dir", "/var/lib/countersign"]
        command = [str(self.root) + part if part.startswith(("/usr/", "/etc/")) else part for part in command[:-1]]
        command += [str(self.data_dir), "--https-addr", "127.0.0.1:0", "--control-addr", "127.0.0.1:0"]
        self._runs += 1
        with open(self._stderr_path(), "wb") as stderr:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=self.base, env=clean_environment(self.base))


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The package of the program under test. Without its symbols and uncompressed, to be quick."""
    base = tmp_path_factory.mktemp("deb")
    shutil.copy(BINARY, base / "countersign")
    run("strip", base / "countersign")
    made = run(DIST / "deb", base / "countersign", base / "out", DPKG_DEB_COMPRESSOR_TYPE="none")
    (base / "countersign").unlink()
    yield base / "out" / made.strip().rpartition("/")[2]
    shutil.rmtree(base)


@pytest.fixture(scope="module")
def installed(package, tmp_path_factory):
    """An empty machine on which dpkg has installed it."""
    root = machine(package, tmp_path_factory.mktemp("machine") / "root")
    yield root
    shutil.rmtree(root)


def run(*command, **environment):
    """Output of a command that has to succeed."""
    done = subprocess.run([str(c) for c in command], env=os.environ | environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def machine(package, root):
    database = root / "var/lib/dpkg"
    for directory in ("info", "updates"):
        (database / directory).mkdir(parents=True)
    (database / "status").touch()
    install(package, root)
    return root


def install(package, root):
    dpkg(root, "--install", package)


def dpkg(root, *arguments):
    """dpkg on the machine below `root`. Scripts of packages run from outside (DPKG_ROOT), for there is no shell in it."""
    return run("dpkg", f"--root={root}", "--log=/dev/null", "--force-not-root", "--force-script-chrootless", "--force-depends", *arguments)


def test_the_package_says_what_it_is(package):
    version = run(BINARY, "version").split()[1]
    field = lambda name: run("dpkg-deb", "--field", package, name).strip()
    assert package.name == f"countersign_{version}_{field('Architecture')}.deb" and field("Version") == version
    assert re.search(r"libc6 \(>= 2\.\d+\)", field("Depends")) and int(field("Installed-Size")) > 1000
    listed = [line.split(maxsplit=5) for line in run("dpkg-deb", "--contents", package).splitlines()]
    assert {owner for _, owner, *_ in listed} == {"root/root"}
    modes = {entry[5].removeprefix("."): entry[0] for entry in listed}
    assert modes["/usr/bin/countersign"] == modes["/usr/sbin/countersign-backup"] == "-rwxr-xr-x"
    for path in ("/etc/countersign/countersign.toml", "/usr/lib/systemd/system/countersign.socket",
                 "/usr/share/doc/countersign/copyright", "/usr/share/doc/countersign/operations.md"):
        assert modes[path] == "-rw-r--r--"
    assert run("dpkg-deb", "--info", package, "conffiles").split() == ["/etc/countersign/countersign.toml"]


def test_it_is_installed_whole(installed):
    sums = (installed / "var/lib/dpkg/info/countersign.md5sums").read_text()
    assert sums.count("\n") == len([f for top in ("etc", "usr") for f in (installed / top).rglob("*") if f.is_file()])
    assert dpkg(installed, "--verify", "countersign") == ""
    assert run("dpkg-query", f"--admindir={installed}/var/lib/dpkg", "--show", "--showformat=${db:Status-Status}", "countersign") == "installed"
    units = installed / "etc/systemd/system"
    for link in ("multi-user.target.wants/countersign.service", "sockets.target.wants/countersign.socket",
                 "sockets.target.wants/countersign-control.socket"):
        assert (units / link).is_symlink(), "enabled"


def test_the_packaged_units_are_those_of_every_systemd(installed, tmp_path):
    """Debian 12 has systemd 252, which does not know Type=notify-reload."""
    for unit in (installed / "usr/lib/systemd/system").iterdir():
        (tmp_path / unit.name).write_text(unit.read_text().replace("/usr/bin/countersign", str(BINARY)))
    units = sorted(map(str, tmp_path.iterdir()))
    assert len(units) == 3
    text = (tmp_path / "countersign.service").read_text()
    assert "Type=notify\nExecReload=/bin/kill -HUP $MAINPID\n" in text and "notify-reload" not in text
    verified = systemd_analyze("verify", "--man=no", *units)
    assert [line for line in (verified.stdout + verified.stderr).splitlines() if "countersign" in line] == []
    assert verified.returncode == 0
    assert systemd_analyze("security", "--offline=true", "--threshold=20", str(tmp_path / "countersign.service")).returncode == 0


def test_an_upgrade_by_the_package_is_a_takeover(package, installed, tmp_path):
    """The program starts with the packaged configuration; dpkg puts another in its place, and SIGUSR2 makes that the one."""
    server = Installed(tmp_path / "server", installed).start()
    try:
        before, old, inode = server.client("s3").create_bucket(Bucket="kept"), server.process, program(installed).st_ino
        assert before["ResponseMetadata"]["HTTPStatusCode"] == 200
        install(package, installed)
        assert program(installed).st_ino != inode, "not written over: it runs"
        old.send_signal(signal.SIGUSR2)
        assert old.wait(60) == 0
        new = pid_in_run_json(server)
        assert new != old.pid and os.stat(f"/proc/{new}/exe").st_ino == program(installed).st_ino
        assert [bucket["Name"] for bucket in server.client("s3").list_buckets()["Buckets"]] == ["kept"]
    finally:
        if server.alive():
            server.stop()
        server.process = None
        if (server.data_dir / "run.json").exists():
            os.kill(pid_in_run_json(server), signal.SIGTERM)
            eventually(lambda: not (server.data_dir / "run.json").exists(), timeout_s=60)


def program(root):
    return os.stat(root / "usr/bin/countersign")


def test_purging_leaves_settings_and_records(package, tmp_path):
    root = machine(package, tmp_path / "root")
    kept = root / "var/lib/private/countersign/settings.redb"
    kept.parent.mkdir(parents=True)
    kept.touch()
    dpkg(root, "--purge", "countersign")
    assert kept.exists() and not (root / "etc/countersign").exists() and not (root / "usr/bin/countersign").exists()
    assert not list((root / "etc/systemd").rglob("countersign*"))


SOCKETS_AND_SERVICE = "countersign.socket countersign-control.socket countersign.service"


@pytest.mark.parametrize("script, arguments, active, done", [
    ("postinst", ["configure", ""], False, [f"deb-systemd-invoke start {SOCKETS_AND_SERVICE}"]),
    ("postinst", ["configure", "0.0.9"], True, ["systemctl kill --kill-whom=main --signal=USR2 countersign.service"]),
    ("postinst", ["configure", "0.0.9"], False, [f"deb-systemd-invoke start {SOCKETS_AND_SERVICE}"]),
    ("prerm", ["upgrade", "0.2.0"], True, []),
    ("prerm", ["remove"], True, ["deb-systemd-invoke stop " + SOCKETS_AND_SERVICE]),
    ("postrm", ["remove"], False, []),
    ("postrm", ["purge"], False, ["deb-systemd-helper purge " + SOCKETS_AND_SERVICE]),
])
def test_maintainer_scripts(package, tmp_path, script, arguments, active, done):
    """What they have systemd do: an upgrade never stops the service, and nothing takes its data away."""
    run("dpkg-deb", "--control", package, tmp_path / "control")
    running, commands, called = tmp_path / "systemd", tmp_path / "bin", tmp_path / "called"
    running.mkdir(), commands.mkdir(), called.touch()
    kept = tmp_path / "machine/var/lib/private/countersign"
    kept.mkdir(parents=True)
    for name in ("systemctl", "deb-systemd-helper", "deb-systemd-invoke"):
        answer = f'case "$*" in *is-active*) exit {0 if active else 3} ;; esac'
        (commands / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{called}\n{answer}\n')
        (commands / name).chmod(0o755)
    copy = tmp_path / "control" / script
    copy.write_text(copy.read_text().replace("/run/systemd/system", str(running)).replace("/var/lib/private", str(kept.parent)))
    assert run("sh", "-n", copy) == ""
    run(copy, *arguments, PATH=f"{commands}:/usr/bin:/bin", DPKG_ROOT="")
    calls = called.read_text().splitlines()
    passing = ("daemon-reload", "unmask", "was-enabled", "enable", "update-state", "is-active")
    assert [call for call in calls if not any(word in call.split() for word in passing)] == done
    assert kept.is_dir()
    if script == "postinst":
        assert [call for call in calls if " enable " in call] == [f"deb-systemd-helper enable {u}" for u in SOCKETS_AND_SERVICE.split()]


def test_the_packaged_configuration_is_one_with_its_examples(tmp_path, start_server):
    """What stands there as a comment is taken when it is none; but for the key, which systemd would bring."""
    text = (DIST / "debian/countersign.toml").read_text()
    (tmp_path / "sealing.key").write_bytes(bytes(range(32)))
    config = tmp_path / "countersign.toml"
    uncommented = re.sub(r"^#(?=[\[a-z])", "", text, flags=re.M)
    assert uncommented.count("\n[") == 2 and "/run/credentials/countersign.service" in uncommented
    config.write_text(uncommented.replace("/run/credentials/countersign.service", str(tmp_path)))
    start_server("--config", config)
