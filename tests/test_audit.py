"""Whether records are what they were: checkpoints, witnesses, proofs; against another implementation of RFC 6962 and of signed notes."""

import base64
import hashlib
import http.server
import json
import shutil
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from server import Server, eventually


@pytest.fixture
def server(tmp_path):
    witness = tmp_path / "witness"
    config = tmp_path / "countersign.toml"
    config.write_text(f'[audit]\nname = "example.com/gateway"\ncheckpoint_seconds = 1\nwitness = {{type = "file", path = "{witness}"}}\n')
    server = Server(tmp_path / "server", "--config", config).start()
    yield server
    server.stop()


def audit(server, *arguments, code=0):
    done = server.command("audit", *arguments, check=False)
    assert done.returncode == code, done
    return done.stdout


def put(server, *messages):
    logs = server.client("logs")
    group = "/audit/test"
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="s")
    now = int(time.time() * 1000)
    events = [{"timestamp": now + at, "message": message} for at, message in enumerate(messages)]
    logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)


# --- another implementation, by RFC 6962 section 2.1, https://c2sp.org/signed-note and https://c2sp.org/tlog-proof ---


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def tree(leaves):
    """MTH: the largest power of two below splits."""
    if len(leaves) == 1:
        return leaves[0]
    at = 1
    while at * 2 < len(leaves):
        at *= 2
    return sha256(b"\x01", tree(leaves[:at]), tree(leaves[at:]))


def opened(note, key):
    name, digest, public = key.split("+", 2)
    public = base64.b64decode(public)
    assert public[0] == 1 and sha256(name.encode(), b"\n", public)[:4].hex() == digest
    text, signatures = note.rsplit("\n\n", 1)
    text += "\n"
    mark, signer, blob = signatures.split("\n")[0].split(" ")
    blob = base64.b64decode(blob)
    assert (mark, signer, blob[:4].hex()) == ("\u2014", name, digest)
    Ed25519PublicKey.from_public_bytes(public[1:]).verify(blob[4:], text.encode())
    origin, size, root, *_ = text.split("\n")
    assert origin == name
    return int(size), base64.b64decode(root)


def rooted(proof):
    head, checkpoint = proof.split("\n\n", 1)
    magic, extra, index, *path = head.split("\n")
    assert magic == "c2sp.org/tlog-proof@v1"
    record, number = base64.b64decode(extra.removeprefix("extra ")), int(index.removeprefix("index "))
    return record, number, [base64.b64decode(node) for node in path], checkpoint


def climbed(leaf, index, size, path):
    """RFC 9162 section 2.1.3.2."""
    at, last, node = index, size - 1, leaf
    for sibling in path:
        assert last > 0
        if at & 1 or at == last:
            node = sha256(b"\x01", sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = sha256(b"\x01", node, sibling)
        at, last = at >> 1, last >> 1
    assert last == 0
    return node


def lines(server):
    """JSON of the records of the segment that grows, which is the only one here."""
    (path,) = (server.data_dir / "journal").glob("*.lines")
    return path, path.read_text().splitlines()


def test_another_implementation_agrees(server):
    put(server, *(f"event {number}" for number in range(20)))
    answer = json.loads(audit(server, "checkpoint", "--json"))
    assert answer["verifier"].startswith("example.com/gateway+")
    assert audit(server, "checkpoint", "--key").strip() == answer["verifier"]
    size, root = opened(answer["checkpoint"], answer["verifier"])
    _, records = lines(server)
    leaves = [sha256(b"\x00", line[9:].encode()) for line in records][:size]
    assert size >= 20 and tree(leaves) == root
    for number in (0, 7, size - 1):
        proof = audit(server, "prove", number)
        record, index, path, note = rooted(proof)
        size, root = opened(note, answer["verifier"])
        assert (index, record.decode()) == (number, records[number][9:])
        assert climbed(sha256(b"\x00", record), index, size, path) == root


def test_the_log_as_tiles(server, tmp_path):
    put(server, *(f"event {number}" for number in range(300)))
    key = json.loads(audit(server, "checkpoint", "--json"))["verifier"]
    out = tmp_path / "tiles"
    assert "records" in audit(server, "export", "--dir", server.data_dir, "--output", out)
    size, root = opened((out / "checkpoint").read_text(), key)
    width = size - 256
    hashes = (out / "tile/0/000").read_bytes() + (out / f"tile/0/001.p/{width}").read_bytes()
    leaves = [hashes[at:at + 32] for at in range(0, len(hashes), 32)]
    assert len(leaves) == size and tree(leaves) == root
    assert (out / "tile/1/000.p/1").read_bytes() == tree(leaves[:256])
    bundle = (out / f"tile/entries/001.p/{width}").read_bytes()
    length = int.from_bytes(bundle[:2], "big")
    assert sha256(b"\x00", bundle[2:2 + length]) == leaves[256]
    audit(server, "export", "--dir", tmp_path / "none", "--output", out, code=2)


def test_a_proof_is_checked_offline(server, tmp_path):
    put(server, "one", "two")
    key = tmp_path / "key"
    key.write_text(audit(server, "checkpoint", "--key"))
    proof = tmp_path / "proof"
    _, records = lines(server)
    number = next(at for at, line in enumerate(records) if '"message":"two"' in line)
    proof.write_text(audit(server, "prove", number))
    assert json.loads(audit(server, "check", proof, "--key", key))["message"] == "two"
    assert json.loads(audit(server, "check", proof, "--key", key, "--json"))["proved"] is True
    text = proof.read_text()
    extra = text.split("\n")[1].removeprefix("extra ")
    forged = base64.b64encode(base64.b64decode(extra).replace(b"two", b"owt")).decode()
    proof.write_text(text.replace(extra, forged))
    audit(server, "check", proof, "--key", key, code=1)
    proof.write_text("nothing")
    audit(server, "check", proof, "--key", key, code=2)
    audit(server, "prove", "Mc7UVioPPHcEKPA=", code=2)


def test_who_changes_a_record_is_found_out_by_the_witness(server, tmp_path):
    put(server, "the truth", "another")
    audit(server, "checkpoint")
    assert "self-consistent only" in audit(server, "verify")
    server.env  # which is asked of a server that runs
    server.stop()
    witness = tmp_path / "witness"
    journal = server.data_dir / "journal"
    held = audit(server, "verify", "--dir", server.data_dir, "--against", witness)
    assert "are those of a checkpoint that is held elsewhere" in held
    assert "held elsewhere" in audit(server, "verify", "--dir", journal, "--against", witness)

    path, records = lines(server)
    at = next(at for at, line in enumerate(records) if "the truth" in line)
    path.write_text("\n".join(records).replace("the truth", "a lie") + "\n")
    said = audit(server, "verify", "--dir", server.data_dir, "--against", witness, code=1)
    assert said.startswith(f"record {at}: the record was changed"), said
    report = json.loads(audit(server, "verify", "--dir", server.data_dir, "--json", code=1))
    assert report["findings"][0]["records"] == {"start": at, "end": at + 1}

    # Whoever has the key as well as the disk: only what is held elsewhere tells.
    shutil.rmtree(journal)
    server.start()
    put(server, "a lie", "another")
    audit(server, "checkpoint")
    assert "self-consistent only" in audit(server, "verify")
    first = tmp_path / "first"
    first.write_text("\n\n".join(witness.read_text().split("\n\n")[:2]) + "\n")
    said = audit(server, "verify", "--against", first, code=1)
    assert "held elsewhere" in said or "the last records are gone" in said, said


def test_bad_input_says_what_to_do(server, tmp_path):
    empty = tmp_path / "empty"
    empty.write_text("")
    for arguments in (["verify", "--against", empty], ["verify", "--against", tmp_path / "none"], ["verify", "--dir", tmp_path / "none"],
                      ["verify", "--dir", server.data_dir, "--key", "x+y+z"]):
        done = server.command("audit", *arguments, check=False)
        assert done.returncode == 2 and done.stderr.startswith("countersign: "), done


@pytest.fixture
def notes():
    """A receiver of posted checkpoints, which may be told to fail."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            if self.server.fails:
                self.send_response(503)
            else:
                self.server.notes.append(body)
                self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.notes, server.fails = [], True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_witness_by_http_is_told_when_it_is_there_again(tmp_path, notes):
    config = tmp_path / "countersign.toml"
    url = f"http://127.0.0.1:{notes.server_port}/"
    config.write_text(f'[audit]\ncheckpoint_seconds = 1\nwitness = {{type = "webhook", url = "{url}"}}\n')
    server = Server(tmp_path / "server", "--config", config).start()
    put(server, "one")
    eventually(lambda: "is not told of checkpoints: it answers 503" in server.stderr())
    notes.fails = False
    note = eventually(lambda: notes.notes and notes.notes[-1])
    held = tmp_path / "held"
    held.write_text(note)
    assert "held elsewhere" in audit(server, "verify", "--against", held)
    server.stop()
    held.write_text(notes.notes[-1])
    assert "held elsewhere" in audit(server, "verify", "--dir", server.data_dir, "--against", held), "told of the last one too"


def test_a_witness_in_s3(tmp_path):
    elsewhere = Server(tmp_path / "elsewhere").start()
    s3 = elsewhere.client("s3")
    s3.create_bucket(Bucket="witness")
    secrets = tmp_path / "credentials"
    secrets.write_text(
        f"[default]\naws_access_key_id = {elsewhere.env['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {elsewhere.env['AWS_SECRET_ACCESS_KEY']}\n"
    )
    config = tmp_path / "countersign.toml"
    config.write_text(
        '[audit]\nname = "example.com/gateway"\ncheckpoint_seconds = 1\n'
        f'[audit.witness]\ntype = "s3"\nendpoint = "{elsewhere.control}"\nregion = "us-east-1"\nbucket = "witness"\n'
        f'prefix = "audit"\ncredentials_file = "{secrets}"\n'
    )
    server = Server(tmp_path / "server", "--config", config).start()
    put(server, "one")
    listed = eventually(lambda: s3.list_objects_v2(Bucket="witness").get("Contents"))
    assert all(entry["Key"].startswith("audit/example.com/gateway/checkpoints/") for entry in listed)
    newest = max(entry["Key"] for entry in listed)
    held = tmp_path / "held"
    held.write_bytes(s3.get_object(Bucket="witness", Key=newest)["Body"].read())
    assert "held elsewhere" in audit(server, "verify", "--against", held)
    server.stop()
    elsewhere.stop()


@pytest.mark.parametrize("witness, why", [
    ('{type = "stdout"}', "a witness is of type"),
    ('{type = "file"}', "it needs path"),
    ('{type = "file", path = "x", kinds = ["access"]}', "kinds means nothing to a witness"),
    ('"x"', "expected a map"),
])
def test_a_witness_that_cannot_be(tmp_path, witness, why):
    config = tmp_path / "countersign.toml"
    config.write_text(f"[audit]\nwitness = {witness}\n")
    server = Server(tmp_path / "server", "--config", config)
    server.launch()
    assert server.process.wait(30) == 2
    assert why in server.stderr(), server.stderr()
