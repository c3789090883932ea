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


@pytest.mark.parametrize("what", ["a missing file", "not pem", "a key", "bad time", "no arguments"])
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
