"""The documents are true: every command in them runs, every path they link to exists, every list in them is complete.

A block that starts with ```sh is typed line by line into one shell per document. ```sh server is the one command that stays in the
foreground; ```sh norun is for what a test cannot run, and has to be in NOT_RUN. ```text and others are no commands."""

import re
import socket

import pytest

from aws_cli import AwsCli
from operations import served_operations
from server import ROOT, Server, run_binary
from shell import Shell

DOCUMENTS = sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
BLOCK = re.compile(r"^```sh(?P<kind>[ \w]*)\n(?P<text>.*?)^```$", re.M | re.S)
# A release build, this very test, and what needs another machine's tools.
NOT_RUN = {
    "cargo run --release -- demo",
    "./test",
    "cargo install --path crates/countersign",
}


def blocks(document):
    """The command blocks of a document: (kind, text)."""
    return [(m["kind"].strip(), m["text"].strip()) for m in BLOCK.finditer((ROOT / document).read_text())]


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if any(kind == "" for kind, _ in blocks(d))])
def test_every_command_runs(document, tmp_path):
    server = Server(tmp_path / "server", data_dir=tmp_path / "share/countersign").start()
    env = AwsCli(server, "v1").environment() | {"XDG_DATA_HOME": str(tmp_path / "share"), "HOME": str(tmp_path)}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    shell = Shell(scratch, env)
    with socket.create_server(("127.0.0.1", 0)) as free:
        backend_port = str(free.getsockname()[1])
    try:
        for kind, text in blocks(document):
            if kind == "":
                shell.type(text.replace("9000", backend_port))
            elif kind == "server":
                assert text == "countersign up", "the test starts this one itself, on free ports"
    finally:
        shell.close()
        server.stop()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_is_not_run_is_known(document):
    for kind, text in blocks(document):
        assert kind in ("", "server", "norun"), f"what is ```sh {kind}?"
        if kind == "norun":
            assert set(text.splitlines()) <= NOT_RUN


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", (ROOT / document).read_text()):
        file = (ROOT / document).parent / target if target else ROOT / document
        assert file.exists(), f"{document} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, f"{target}#{anchor}"


def test_the_reference_has_every_command():
    listed = re.search(r"Commands:\n(.*?)\n\n", run_binary("--help").stdout, re.S)[1]
    commands = set(re.findall(r"^ {2}(\w+)", listed, re.M)) - {"help"}
    reference = (ROOT / "docs/reference.md").read_text()
    assert {c for c in commands if f"`countersign {c}" not in reference} == set()


@pytest.mark.parametrize("source, names", [
    ("crates/trust/src/code.rs", r'=> "(ClientCert\w+)"'),
    ("crates/model/src/template/variable.rs", r'^    \w+ = "([\w.]+)",$'),
    ("crates/countersign/src/config.rs", r"^    pub\(crate\) (\w+): (?!Acme|Audit|Control|Dns|Expiry|Lambda|Limits|ProxyProtocol|Records|Revocation|SealingKey|Store|Upstream)"),
    ("crates/countersign/src/config/limits.rs", r"^    (\w+): u64,$"),
    ("crates/countersign/src/config/acme.rs", r"^    pub\(crate\) (?!external_account)(\w+): "),
    ("crates/countersign/src/config/certificates.rs", r"^    pub\(crate\) (\w+): "),
    ("crates/countersign/src/config/dns.rs", r"^    pub\(crate\) (\w+): "),
    ("crates/countersign/src/config/records.rs", r"^    pub\(crate\) (\w+): "),
    ("crates/countersign/src/config/sinks.rs", r"^    (?:r#)?(\w+): (?:String|Type|Start|Option<.+>),$"),
    ("crates/countersign/src/config/lambda.rs", r"^    (?:pub\(super\) )?(endpoint|credentials|credentials_file|profile): "),
    ("crates/countersign/src/config/store.rs", r"^    (?:pub\(crate\) )?(\w+): (?:Kind|Vec<String>|Option<.+>),$"),
    ("crates/edge/src/counters.rs", r'^            Self::\w+ => "(\w+)",$'),
    ("crates/model/src/tags.rs", r'^ +"(countersign:[\w-]+)" =>'),
    ("crates/journal/src/record/connection.rs", r'=> "([\w-]+)",$'),
], ids=["reasons", "variables", "keys", "limits", "acme", "certificates", "dns", "records", "sinks", "functions", "store", "bounds", "tags", "ends"])
def test_the_reference_is_complete(source, names):
    found = set(re.findall(names, (ROOT / source).read_text(), re.M))
    assert found
    reference = (ROOT / "docs/reference.md").read_text()
    assert {name for name in found if not re.search(rf"`(\w+\.)*{re.escape(name)}`", reference)} == set()


def test_the_troubleshooting_table_has_every_reason():
    reasons = re.findall(r'=> "(ClientCert\w+)"', (ROOT / "crates/trust/src/code.rs").read_text())
    table = re.search(r"^\| reason \| what `explain` finds.*?\n\n", (ROOT / "docs/operations.md").read_text(), re.M | re.S)[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == reasons


def test_the_operations_of_s3_are_all_named():
    """Those of other services are generated from the same file."""
    sources = [ROOT / "crates/control/src/s3.rs", *(ROOT / "crates/control/src/s3").glob("*.rs")]
    ours = set(re.findall(r"S3Request<(\w+)Input>", "".join(source.read_text() for source in sources)))
    assert set(served_operations()["s3"]) == ours


def test_every_fault_is_explained():
    faults = re.findall(r'^            Self::\w+ => "(\w+)",$', (ROOT / "crates/control/src/health.rs").read_text(), re.M)
    table = re.search(r"^\| fault \| what it means.*?\n\n", (ROOT / "docs/operations.md").read_text(), re.M | re.S)[0]
    assert faults and re.findall(r"^\| `(\w+)` \|", table, re.M) == faults
