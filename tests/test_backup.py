"""A backup that is taken while clients come, and what is restored of it: settings, keys and records that are proven."""

import json
import shutil
import subprocess
import threading

from gateway import Gateway
from server import ROOT, Server, eventually, run_binary
from test_drain import Load


def backup(server, copy, **options):
    return subprocess.run([ROOT / "dist/backup", server.data_dir, copy], capture_output=True, text=True, timeout=60, **options)


def verify(directory, *against):
    done = run_binary("audit", "verify", "--dir", directory, "--json", *against, check=False)
    return done.returncode, json.loads(done.stdout)


def test_what_is_copied_while_it_runs_can_be_restored(start_server, backend, pki, tmp_path):
    server, stop = start_server(), threading.Event()
    gateway = Gateway(server, backend, "backup.yourcompany.com", pki.ca().pem).create()
    load = [Load(gateway, pki.client(), stop) for _ in range(4)]
    for client in load:
        client.start()
    eventually(lambda: all(client.answered > 20 for client in load))
    held = tmp_path / "held-elsewhere"
    held.write_text(server.command("audit", "checkpoint").stdout)
    copies = [tmp_path / f"copy{number}" for number in range(2)]
    for number, copy in enumerate(copies):
        server.client("s3").create_bucket(Bucket=f"before-{number}")
        before = [client.answered for client in load]
        done = backup(server, copy)
        assert done.returncode == 0, done
        eventually(lambda: all(client.answered > was + 5 or client.failures for client, was in zip(load, before)))
    server.client("s3").create_bucket(Bucket="after")
    stop.set()
    for client in load:
        client.join(20)
    assert [client.failures for client in load] == [[]] * len(load), "they waited, and that is all"
    server.kill()
    shutil.rmtree(server.data_dir)

    for number, copy in enumerate(copies):
        assert copy.stat().st_mode & 0o077 == 0 and not (copy / "run.json").exists()
        code, told = verify(copy, "--against", held)
        assert (code, told["findings"]) == (0, []) and told["heldElsewhere"] > 0
        restored = Server(tmp_path / f"restored{number}", data_dir=tmp_path / f"data{number}")
        shutil.copytree(copy, restored.data_dir, symlinks=True)
        restored.start()
        try:
            assert {f"before-{n}" for n in range(number + 1)} < {b["Name"] for b in restored.client("s3").list_buckets()["Buckets"]}
            again = Gateway(restored, backend, gateway.domain, gateway.truststore)
            assert again.curl("/restored", pki.client()).status == 200, "certificate, key and truststore are there"
            assert again.curl("/restored", None).status == 403
            assert restored.command("audit", "verify", "--against", held).returncode == 0
        finally:
            restored.stop()


def test_a_server_that_was_stopped_is_copied_as_it_is(start_server, tmp_path):
    server = start_server()
    server.client("s3").create_bucket(Bucket="kept")
    server.stop()
    assert backup(server, tmp_path / "copy").returncode == 0
    again = backup(server, tmp_path / "copy")
    assert again.returncode == 2 and "there already" in again.stderr
    restored = start_server(name="restored", data_dir=tmp_path / "copy")
    assert [b["Name"] for b in restored.client("s3").list_buckets()["Buckets"]] == ["kept"]


def test_one_that_takes_too_long_leaves_the_server_running(start_server, tmp_path):
    server = start_server()
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "cp").write_text("#!/bin/sh\nexec sleep 60\n")
    (commands / "cp").chmod(0o755)
    done = backup(server, tmp_path / "copy", env={"PATH": f"{commands}:/usr/bin:/bin", "MAX_HALT_S": "1"})
    assert done.returncode == 1 and "take a snapshot" in done.stderr and not (tmp_path / "copy").exists()
    server.client("s3").create_bucket(Bucket="served")


def test_what_is_no_data_directory_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    done = subprocess.run([ROOT / "dist/backup", tmp_path / "empty", tmp_path / "copy"], capture_output=True, text=True)
    assert done.returncode == 2 and not (tmp_path / "copy").exists()
