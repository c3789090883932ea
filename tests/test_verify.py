"""`countersign verify`: the judge on files, without a server."""

import json
import time

import pytest

from server import json_lines, run_binary

DAY = 86_400


@pytest.fixture(scope="module")
def cases(pki):
    """Chains by name: the leaf, and the reason for which it is refused (None where it is not)."""
    return {
        "v1": (pki.client("verify-v1"), None),
        "v3": (pki.client("verify-v3", section="client"), None),
        "other-ca": (pki.client("stranger", pki.ca("other-ca"), section="client"), "ClientCertUntrusted"),
        "expired": (pki.dated("expired", -10 * DAY, -DAY), "ClientCertExpired"),
        "not-yet-valid": (pki.dated("not-yet-valid", DAY, 9 * DAY), "ClientCertNotYetValid"),
        "self-signed": (pki.self_signed(), "ClientCertSelfSigned"),
        "sha1": (pki.client("sha1", digest="sha1"), "ClientCertWeakSignature"),
        "rsa-1024": (pki.client("rsa-1024", kind="RSA-1024"), "ClientCertWeakKey"),
        "server-only": (pki.client("server-only", section="server_only"), "ClientCertPurposeInvalid"),
    }


NAMES = ["v1", "v3", "other-ca", "expired", "not-yet-valid", "self-signed", "sha1", "rsa-1024", "server-only"]


def verify(pki, leaf, *args, **options):
    return run_binary("verify", "--truststore", pki.ca().cert, "--chain", leaf.cert, *args, check=False, **options)


@pytest.mark.parametrize("name", NAMES)
def test_json(pki, cases, name):
    leaf, reason = cases[name]
    done = verify(pki, leaf, "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == (1 if reason else 0)
    assert (answer["verdict"], answer["reason"]) == ("rejected" if reason else "accepted", reason)
    if reason:
        assert answer["explanation"] and answer["fix"] and isinstance(answer["evidence"], dict)
    else:
        assert answer["path"] == [f"C=US,O=Example,CN={leaf.cert.stem}", "C=US,O=Example,CN=ca"]


@pytest.mark.parametrize("name", NAMES)
def test_text(pki, cases, name):
    leaf, reason = cases[name]
    done = verify(pki, leaf)
    assert done.returncode == (1 if reason else 0)
    assert (reason or "accepted") in done.stdout


def test_at_another_time(pki, cases):
    """In five days a certificate of tomorrow is good, and in 400 days one of today has expired."""
    early, good = cases["not-yet-valid"][0], cases["v3"][0]
    soon, late = int(time.time()) + 5 * DAY, int(time.time()) + 400 * DAY
    assert verify(pki, early, "--at", soon).returncode == 0
    assert verify(pki, early, "--at", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(soon))).returncode == 0
    assert json.loads(verify(pki, good, "--at", late, "--json").stdout)["reason"] == "ClientCertExpired"


def test_the_strict_profile(pki, cases):
    assert verify(pki, cases["v3"][0], "--profile", "rfc5280").returncode == 0
    done = verify(pki, cases["v1"][0], "--profile", "rfc5280", "--json")
    assert json.loads(done.stdout)["reason"] == "ClientCertTypeUnsupported"


def test_depth(pki, tmp_path):
    for cas, code in ((4, 0), (5, 1)):
        leaf, above = pki.chain({4: "four", 5: "five"}[cas], cas)
        truststore = tmp_path / f"{cas}.pem"
        truststore.write_text("".join(ca.pem for ca in above))
        done = run_binary("verify", "--truststore", truststore, "--chain", leaf.cert, "--json", check=False)
        assert done.returncode == code
        assert json.loads(done.stdout)["reason"] == ("ClientCertMaxChainDepthExceeded" if code else None)


class Lists:
    """Revocation lists by `openssl ca`, which keeps a register of its own for each CA."""

    def __init__(self, pki, ca, name):
        self.pki, self.ca, self.dir = pki, ca, pki.base / f"lists-{name}"
        self.dir.mkdir()
        (self.dir / "index.txt").touch()
        (self.dir / "number").write_text("01\n")
        (self.dir / "ca.cnf").write_text(f"""
[ca]
default_ca = own
[own]
database = {self.dir}/index.txt
default_md = sha256
default_crl_days = 30
[numbered]
database = {self.dir}/index.txt
default_md = sha256
default_crl_days = 30
crlnumber = {self.dir}/number
crl_extensions = extensions
[extensions]
authorityKeyIdentifier = keyid:always
""")

    def openssl(self, *args):
        self.pki.openssl("ca", "-config", self.dir / "ca.cnf", "-cert", self.ca.cert, "-keyfile", self.ca.key, *args)

    def revoke(self, leaf, *args):
        self.openssl("-revoke", leaf.cert, *args)

    def write(self, name, section="numbered"):
        path = self.dir / name
        self.openssl("-name", section, "-gencrl", "-out", path)
        return path


@pytest.fixture(scope="module")
def lists(pki):
    """A CA with a client that is revoked and one that is not, and the list of it before and after."""
    ca = pki.ca("listing-ca")
    lists = Lists(pki, ca, "ca")
    revoked, kept = (pki.client(f"{name}-client", ca, section="client") for name in ("revoked", "kept"))
    before = lists.write("before.pem")
    lists.revoke(revoked, "-crl_reason", "keyCompromise")
    return {"ca": ca, "revoked": revoked, "kept": kept, "before": before, "after": lists.write("after.pem"), "make": lists}


def verify_with(lists, leaf, crls, *args):
    given = [part for crl in crls for part in ("--crl", crl)]
    done = run_binary("verify", "--truststore", lists["ca"].cert, "--chain", leaf.cert, *given, "--json", *args, check=False)
    assert done.returncode in (0, 1), done.stderr
    answer = json.loads(done.stdout)
    assert done.returncode == (1 if answer["reason"] else 0)
    return answer


def test_revoked(pki, lists):
    revoked, kept, after = lists["revoked"], lists["kept"], lists["after"]
    answer = verify_with(lists, revoked, [after])
    assert answer["reason"] == "ClientCertCrlHit"
    evidence = answer["evidence"]
    assert evidence["reason"] == "keyCompromise" and evidence["certificate"] == "C=US,O=Example,CN=revoked-client"
    serial = pki.openssl("x509", "-in", revoked.cert, "-noout", "-serial").strip().removeprefix("serial=").lower()
    assert evidence["serial"].replace(":", "") == serial
    assert "keyCompromise" in answer["explanation"] and answer["fix"]
    assert verify_with(lists, kept, [after])["verdict"] == "accepted"
    # The newer list decides, whatever comes first, and without any nothing is checked.
    assert verify_with(lists, revoked, [lists["before"]])["verdict"] == "accepted"
    assert verify_with(lists, revoked, [])["verdict"] == "accepted"
    for profile in ("aws", "rfc5280"):
        assert verify_with(lists, revoked, [after], "--profile", profile)["reason"] == "ClientCertCrlHit"


def test_forms_of_lists(pki, lists, tmp_path):
    der, both = tmp_path / "list.der", tmp_path / "both.pem"
    pki.openssl("crl", "-in", lists["after"], "-outform", "DER", "-out", der)
    other = Lists(pki, pki.ca("elsewhere"), "elsewhere").write("list.pem")
    both.write_text(other.read_text() + lists["ca"].pem + lists["after"].read_text())
    plain = lists["make"].write("plain.pem", section="own")
    assert "CRL Number" not in pki.openssl("crl", "-in", plain, "-noout", "-text")
    for files in ([der], [both], [other, lists["after"]], [plain]):
        assert verify_with(lists, lists["revoked"], files)["reason"] == "ClientCertCrlHit"
        assert verify_with(lists, lists["kept"], files)["verdict"] == "accepted"
    # RFC 5280 section 5.2.3 wants the number.
    answer = verify_with(lists, lists["kept"], [plain], "--profile", "rfc5280")
    assert answer["reason"] == "ClientCertCrlProcessingError" and "no CRL number" in answer["evidence"]["passed_over"]


def test_missing_and_stale_lists(pki, lists):
    kept, revoked, after = lists["kept"], lists["revoked"], lists["after"]
    elsewhere = Lists(pki, pki.ca("nobody"), "nobody").write("list.pem")
    answer = verify_with(lists, kept, [elsewhere])
    assert answer["reason"] == "ClientCertCrlProcessingError"
    assert answer["evidence"]["crl_issuer_wanted"] == "C=US,O=Example,CN=listing-ca" and "--crl" in answer["fix"]
    assert verify_with(lists, kept, [elsewhere], "--on-missing", "allow")["verdict"] == "accepted"
    later = ("--at", int(time.time()) + 31 * DAY)
    answer = verify_with(lists, kept, [after], *later)
    assert answer["reason"] == "ClientCertCrlProcessingError" and answer["evidence"]["stale_since"]
    assert verify_with(lists, kept, [after], "--on-missing", "allow", *later)["verdict"] == "rejected"
    assert verify_with(lists, kept, [after], "--on-stale", "allow", *later)["verdict"] == "accepted"
    assert verify_with(lists, revoked, [after], "--on-stale", "allow", *later)["reason"] == "ClientCertCrlHit"


def test_revoked_intermediate(pki, tmp_path):
    leaf, (root, sub) = pki.chain("listed-chain", 2)
    truststore = tmp_path / "both.pem"
    truststore.write_text(root.pem + sub.pem)
    of_root, of_sub = Lists(pki, root, "chain-root"), Lists(pki, sub, "chain-sub")
    good = of_sub.write("list.pem"), of_root.write("list.pem")
    of_root.revoke(sub)
    bad = good[0], of_root.write("next.pem")

    def reason(crls, *args):
        given = [part for crl in crls for part in ("--crl", crl)]
        done = run_binary("verify", "--truststore", truststore, "--chain", leaf.cert, *given, *args, "--json", check=False)
        return json.loads(done.stdout)["reason"]

    assert reason(good) is None
    assert reason(bad) == "ClientCertCrlHit"
    assert reason(good[:1]) == "ClientCertCrlProcessingError"
    assert reason(good[:1], "--revocation-scope", "leaf") is None
    assert reason(bad, "--revocation-scope", "leaf") is None


def test_lists_of_our_own_ca(tmp_path):
    run_binary("ca", "init", "Own", "--dir", tmp_path)
    for name in ("good", "bad"):
        run_binary("ca", "issue", name, "--dir", tmp_path)
    run_binary("ca", "revoke", "bad", "--reason", "superseded", "--dir", tmp_path)
    run_binary("ca", "crl", "--dir", tmp_path)
    for name, reason in (("good", None), ("bad", "ClientCertCrlHit")):
        done = run_binary("verify", "--profile", "rfc5280", "--truststore", tmp_path / "ca.pem",
                          "--chain", tmp_path / f"{name}.pem", "--crl", tmp_path / "ca.crl", "--json", check=False)
        assert json.loads(done.stdout)["reason"] == reason


@pytest.mark.parametrize("what", ["a missing file", "not pem", "a key", "bad time", "no arguments", "a list that is none", "a truststore as a list", "a bad rule"])
def test_unusable_input(pki, cases, tmp_path, what):
    junk = tmp_path / "junk"
    junk.write_text("junk")
    leaf = cases["v3"][0]
    arguments = {
        "a missing file": ["--truststore", tmp_path / "absent", "--chain", leaf.cert],
        "not pem": ["--truststore", pki.ca().cert, "--chain", junk],
        "a key": ["--truststore", pki.ca().key, "--chain", leaf.cert],
        "bad time": ["--truststore", pki.ca().cert, "--chain", leaf.cert, "--at", "tomorrow"],
        "no arguments": [],
        "a list that is none": ["--truststore", pki.ca().cert, "--chain", leaf.cert, "--crl", junk],
        "a truststore as a list": ["--truststore", pki.ca().cert, "--chain", leaf.cert, "--crl", pki.ca().cert],
        "a bad rule": ["--truststore", pki.ca().cert, "--chain", leaf.cert, "--on-stale", "maybe"],
    }[what]
    done = run_binary("verify", *arguments, check=False)
    assert done.returncode == 2 and done.stderr and not done.stdout


def test_batch(pki, cases):
    """One answer a line, in order, each with its id."""
    asked = [{"id": name, "truststore": [pki.ca().pem], "chain": [cases[name][0].pem]} for name in NAMES]
    done = run_binary("verify", "--batch", stdin="".join(json.dumps(one) + "\n" for one in asked))
    answers = json_lines(done.stdout)
    assert [a["id"] for a in answers] == NAMES
    assert [a["reason"] for a in answers] == [cases[name][1] for name in NAMES]


def test_batch_goes_on_after_a_bad_line(pki, cases):
    good = json.dumps({"id": "good", "truststore": [pki.ca().pem], "chain": [cases["v3"][0].pem]})
    bad = json.dumps({"id": "bad", "truststore": ["junk"], "chain": ["junk"]})
    done = run_binary("verify", "--batch", stdin=f"{bad}\n{good}\n", check=False)
    answers = json_lines(done.stdout)
    assert [a["id"] for a in answers] == ["bad", "good"]
    assert answers[1]["verdict"] == "accepted" and answers[0].get("verdict") != "accepted"


def test_batch_with_lists(pki, lists):
    asked = {"truststore": [lists["ca"].pem], "crls": [lists["after"].read_text()]}
    lines = [
        {**asked, "id": "revoked", "chain": [lists["revoked"].pem]},
        {**asked, "id": "kept", "chain": [lists["kept"].pem]},
        {**asked, "id": "none", "chain": [lists["revoked"].pem], "crls": []},
        {**asked, "id": "junk", "chain": [lists["kept"].pem], "crls": ["junk"]},
    ]
    done = run_binary("verify", "--batch", stdin="".join(json.dumps(line) + "\n" for line in lines))
    revoked, kept, none, junk = json_lines(done.stdout)
    assert revoked["reason"] == "ClientCertCrlHit"
    assert kept["verdict"] == none["verdict"] == "accepted"
    assert junk["error"]["member"] == "crls"
