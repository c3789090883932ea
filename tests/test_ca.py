"""`countersign ca`: what it makes is good for the real openssl, and what it did is never lost."""

import concurrent.futures
import json
import os
import re
import stat
import subprocess

import pytest

from server import run_binary


def openssl(*args, cwd=None, good=True):
    done = subprocess.run(["openssl", *map(str, args)], cwd=cwd, capture_output=True, text=True)
    assert (done.returncode == 0) == good, f"openssl {args}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


class Ca:
    """An authority in a directory, by its commands."""

    def __init__(self, base):
        self.dir = base

    def __call__(self, *args, code=0):
        done = run_binary("ca", *args, "--dir", self.dir, "--json", check=False)
        assert done.returncode == code, (args, done.stdout, done.stderr)
        return json.loads(done.stdout) if done.stdout else done.stderr

    def text(self, file):
        return openssl("x509", "-noout", "-text", "-in", self.dir / file)

    def crl_text(self):
        return openssl("crl", "-noout", "-text", "-in", self.dir / "ca.crl")

    def verify(self, file, *args, good=True):
        return openssl("verify", "-x509_strict", "-CAfile", self.dir / "ca.pem", *args, self.dir / file, good=good)


@pytest.fixture(params=["P-256", "RSA"])
def ca(request, tmp_path):
    made = Ca(tmp_path / "ca")
    made("init", "Test CA, Ltd.", *(["--rsa", "2048"] if request.param == "RSA" else []))
    return made


def test_openssl_accepts_all_of_it(ca):
    ca("issue", "client 1")
    ca("issue", "api.test", "--server", "api.test", "--server", "192.0.2.7", "--client", "--rsa")
    ca("crl")
    ca.verify("client-1.pem", "-purpose", "sslclient")
    ca.verify("api.test.pem", "-purpose", "sslserver", "-verify_hostname", "api.test")
    ca.verify("api.test.pem", "-purpose", "sslclient", "-verify_ip", "192.0.2.7")
    ca.verify("client-1.pem", "-crl_check", "-CRLfile", ca.dir / "ca.crl")
    assert "Public-Key: (3072 bit)" in ca.text("api.test.pem")
    for key in ca.dir.glob("*.key"):
        assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
        openssl("pkey", "-check", "-noout", "-in", key)
    usage = ca.text("client-1.pem")
    assert "TLS Web Client Authentication" in usage and "TLS Web Server" not in usage and "CA:TRUE" not in usage


def test_serial_numbers_are_long_and_never_the_same(ca):
    serials = {ca("issue", f"client-{number}")["serial"] for number in range(5)}
    assert len(serials) == 5
    assert all(len(serial) >= 32 for serial in serials)


def test_a_revoked_certificate_is_on_the_next_list(ca):
    issued = {name: ca("issue", name) for name in ["kept", "by-name", "by-serial", "by-file"]}
    ca("crl")
    ca.verify("by-name.pem", "-crl_check", "-CRLfile", ca.dir / "ca.crl")
    assert ca("revoke", "by-name", "--reason", "keyCompromise")["reason"] == "keyCompromise"
    ca("revoke", issued["by-serial"]["serial"].upper(), "--reason", "cacompromise")
    ca("revoke", ca.dir / "by-file.pem")
    assert ca("crl") | {"thisUpdate": "", "nextUpdate": ""} == {
        "crl": str(ca.dir / "ca.crl"), "number": 2, "revoked": 3, "thisUpdate": "", "nextUpdate": ""}
    text = ca.crl_text()
    assert re.search(r"X509v3 CRL Number:\s+2\b", text) and "X509v3 Authority Key Identifier" in text
    assert text.count("Serial Number:") == 3 and "Key Compromise" in text and "CA Compromise" in text
    assert text.count("CRL Reason Code") == 2, "that it is unspecified is said by saying nothing"
    for name in ["by-name", "by-serial", "by-file"]:
        assert "certificate revoked" in ca.verify(f"{name}.pem", "-crl_check", "-CRLfile", ca.dir / "ca.crl", good=False)
    ca.verify("kept.pem", "-crl_check", "-CRLfile", ca.dir / "ca.crl")


def test_an_empty_list_and_der(ca):
    ca("crl", "--der", "--out", ca.dir / "list.der", "--days", "3")
    text = openssl("crl", "-noout", "-text", "-inform", "DER", "-in", ca.dir / "list.der", "-CAfile", ca.dir / "ca.pem")
    assert "No Revoked Certificates." in text and "verify OK" in text


def test_revoking_twice_is_no_and_what_was_not_issued_cannot_be(ca, tmp_path):
    ca("issue", "client")
    first = ca("revoke", "client", "--reason", "superseded")
    again = ca("revoke", "client", "--reason", "keyCompromise", code=1)
    assert first["new"] and again == first | {"new": False}, "the first reason and time stand"
    other = Ca(tmp_path / "other")
    other("init", "Test CA, Ltd.")
    other("issue", "stranger")
    assert "did not issue" in ca("revoke", other.dir / "stranger.pem", code=2)
    assert "nothing was issued" in ca("revoke", "nobody", code=2)


def test_nothing_is_ever_written_over(ca):
    ca("issue", "client")
    before = {file: file.read_bytes() for file in ca.dir.iterdir()}
    assert "there already" in ca("issue", "client", code=2)
    assert "there already" in ca("init", "Another CA", code=2)
    assert {file: file.read_bytes() for file in ca.dir.iterdir()} == before
    ca("revoke", "client")
    register = ca.dir / "ca.jsonl"
    assert register.read_bytes().startswith(before[register])
    assert [json.loads(line)["event"] for line in register.read_text().splitlines()] == ["issued", "revoked"]


def test_a_name_like_those_of_its_own_files(ca):
    ca("issue", "chain"), ca("issue", "client")
    assert (ca.dir / "client.pem").read_text().count("BEGIN CERTIFICATE") == 1
    assert "there already" in ca("issue", "ca", code=2)


def test_many_at_once_are_all_registered(ca):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: ca("issue", f"client-{number}"), range(16)))
        numbers = list(pool.map(lambda number: ca("crl", "--out", ca.dir / f"{number}.crl")["number"], range(8)))
    assert sorted(numbers) == list(range(1, 9))
    events = [json.loads(line) for line in (ca.dir / "ca.jsonl").read_text().splitlines()]
    assert sorted(event["name"] for event in events if event["event"] == "issued") == sorted(f"client-{n}" for n in range(16))


def test_an_intermediate(ca, tmp_path):
    below = Ca(tmp_path / "below")
    below("init", "Issuing CA", "--intermediate-of", ca.dir, "--path-length", "0", "--crl-url", "http://ca.test/root.crl")
    below("issue", "client", "--crl-url", "http://ca.test/below.crl")
    ca("crl"), below("crl")
    lists = ["-crl_check_all", "-CRLfile", ca.dir / "ca.crl", "-CRLfile", below.dir / "ca.crl"]
    whole = ["-CAfile", ca.dir / "ca.pem", "-untrusted", below.dir / "ca.pem", below.dir / "client.pem"]
    openssl("verify", "-x509_strict", *lists, *whole)
    assert (below.dir / "client.pem").read_text().count("BEGIN CERTIFICATE") == 2
    ca("revoke", below.dir / "ca.pem", "--reason", "cACompromise")
    ca("crl")
    assert "certificate revoked" in openssl("verify", *lists, *whole, good=False)
    too_deep = Ca(tmp_path / "too-deep")
    too_deep("init", "Too deep", "--intermediate-of", below.dir)
    too_deep("issue", "client")
    chain = ["-untrusted", below.dir / "ca.pem", "-untrusted", too_deep.dir / "ca.pem", too_deep.dir / "client.pem"]
    assert "path length" in openssl("verify", "-CAfile", ca.dir / "ca.pem", *chain, good=False)


def test_alternative_names_and_addresses(ca):
    names = ["dns:a.test", "uri:spiffe://example.org/ns/a", "email:ops@example.org", "ip:2001:db8::7"]
    urls = ["--crl-url", "http://ca.test/a.crl", "--ocsp-url", "http://ca.test/ocsp", "--issuer-url", "http://ca.test/ca.der"]
    ca("issue", "client", *(arg for name in names for arg in ("--san", name)), *urls)
    text = ca.text("client.pem")
    for wanted in ["DNS:a.test", "URI:spiffe://example.org/ns/a", "email:ops@example.org", "IP Address:2001:DB8:0:0:0:0:0:7",
                   "URI:http://ca.test/a.crl", "OCSP - URI:http://ca.test/ocsp", "CA Issuers - URI:http://ca.test/ca.der"]:
        assert wanted in text
    for bad in ["a.test", "dns:a test", "uri:nothing", "email:nobody", "ip:999.0.0.1"]:
        assert "alternative name" in ca("issue", "x", "--san", bad, code=2) or "DNS name" in ca("issue", "x", "--san", bad, code=2)


def judged(ca, file, *crls):
    """What `countersign verify` says: the reason, or None where it is accepted."""
    lists = [arg for crl in crls for arg in ("--crl", crl)]
    done = run_binary("verify", "--truststore", ca.dir / "ca.pem", *lists, "--chain", ca.dir / file, "--json", check=False)
    answer = json.loads(done.stdout)
    assert done.returncode == (1 if answer["reason"] else 0), done
    return answer["reason"]


def test_our_own_judge_believes_its_lists(ca, tmp_path):
    ca("issue", "kept"), ca("issue", "gone")
    ca("crl", "--out", ca.dir / "before.crl")
    ca("revoke", "gone", "--reason", "keyCompromise")
    ca("crl"), ca("crl", "--der", "--out", ca.dir / "ca.der")
    assert judged(ca, "gone.pem", ca.dir / "before.crl") is None
    for crl in ["ca.crl", "ca.der"]:
        assert judged(ca, "kept.pem", ca.dir / crl) is None
        assert judged(ca, "gone.pem", ca.dir / crl) == "ClientCertCrlHit"
    same_name = Ca(tmp_path / "same-name")
    same_name("init", "Test CA, Ltd.")
    same_name("crl")
    assert judged(ca, "kept.pem", same_name.dir / "ca.crl") == "ClientCertCrlProcessingError", "another's list says nothing"


class Requests:
    """Certificate signing requests by openssl."""

    def __init__(self, base):
        self.base = base
        base.mkdir()

    def make(self, name, subject="/C=US/O=Acme, Inc./CN=partner", key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), args=()):
        openssl("req", "-new", "-newkey", *key, "-nodes", "-keyout", self.base / f"{name}.key", "-out", self.base / f"{name}.csr",
                "-subj", subject, *args)
        return self.base / f"{name}.csr"


@pytest.fixture
def requests(tmp_path):
    return Requests(tmp_path / "requests")


KEYS = {
    "P-256": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "P-384": ("ec", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "RSA": ("rsa:2048",),
}


@pytest.mark.parametrize("key", KEYS)
def test_a_request_is_answered_for_its_key_and_subject(ca, requests, key):
    issued = ca("issue", "--csr", requests.make("a", key=KEYS[key]))
    assert issued["subject"] == "C=US,O=Acme\\, Inc.,CN=partner" and issued["key"] is None
    assert not (ca.dir / "partner.key").exists()
    ca.verify("partner.pem", "-purpose", "sslclient")
    wanted = openssl("pkey", "-pubout", "-in", requests.base / "a.key")
    assert openssl("x509", "-pubkey", "-noout", "-in", ca.dir / "partner.pem") == wanted


def test_what_a_request_asks_for_besides_is_not_granted(ca, requests):
    asked = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign", "-addext", "subjectAltName=DNS:admin.test"]
    issued = ca("issue", "--csr", requests.make("a", args=asked), "--san", "dns:partner.test")
    assert issued["notGranted"] == ["basicConstraints", "keyUsage", "subjectAltName"]
    text = ca.text("partner.pem")
    assert "CA:TRUE" not in text and "Certificate Sign" not in text and "admin.test" not in text and "DNS:partner.test" in text


def test_a_name_takes_the_place_of_the_requested_subject(ca, requests):
    assert ca("issue", "partner 7", "--csr", requests.make("a"))["subject"] == "CN=partner 7"


def test_a_request_is_read_in_der_too(ca, requests):
    pem = requests.make("a")
    openssl("req", "-in", pem, "-outform", "DER", "-out", requests.base / "a.der")
    ca("issue", "--csr", requests.base / "a.der")


def test_requests_that_are_refused(ca, requests):
    good = requests.make("good")
    forged = requests.base / "forged.csr"
    openssl("req", "-in", good, "-outform", "DER", "-out", forged)
    der = forged.read_bytes()
    forged.write_bytes(der.replace(b"partner", b"admin!!"))
    weak = requests.make("weak", key=("rsa:1024",))
    curve = requests.make("curve", key=("ec", "-pkeyopt", "ec_paramgen_curve:P-521"))
    twice = requests.make("twice", subject="/OU=a/OU=b/CN=x")
    nameless = requests.make("nameless", subject="/O=x")
    garbage = requests.base / "garbage.csr"
    garbage.write_bytes(b"\x30\x82\xff\xff" * 100)
    before = (ca.dir / "ca.jsonl").read_bytes() if (ca.dir / "ca.jsonl").exists() else b""
    for csr, said in [(forged, "signature"), (weak, "2048"), (curve, "P-256"), (twice, "give a NAME"), (nameless, "give a NAME"),
                      (garbage, "PKCS #10"), (ca.dir / "ca.pem", "PKCS #10"), (ca.dir / "nothing", "cannot read")]:
        assert said in ca("issue", "--csr", csr, code=2), csr
    assert (ca.dir / "ca.jsonl").read_bytes() == before, "what was not issued is not registered"
    assert ca("issue", "x", "--csr", twice)["subject"] == "CN=x"


def test_an_authority_that_openssl_made(tmp_path):
    ca = Ca(tmp_path)
    openssl("req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-subj", "/C=US/O=Example, Inc./CN=Made by openssl", "-addext", "keyUsage=critical,keyCertSign,cRLSign", cwd=tmp_path)
    ca("issue", "client")
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "old.key", "-out", "old.csr", "-subj", "/CN=old", cwd=tmp_path)
    openssl("x509", "-req", "-in", "old.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "old.pem", cwd=tmp_path)
    ca("revoke", tmp_path / "old.pem")
    ca("crl")
    ca.verify("client.pem", "-crl_check", "-CRLfile", tmp_path / "ca.crl")
    assert "certificate revoked" in ca.verify("old.pem", "-crl_check", "-CRLfile", tmp_path / "ca.crl", good=False)


def test_what_is_no_authority_does_not_sign(tmp_path):
    ca = Ca(tmp_path)
    assert "countersign ca init" in ca("issue", "x", code=2)
    openssl("req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=leaf",
            "-addext", "basicConstraints=critical,CA:FALSE", cwd=tmp_path)
    assert "no certificate authority" in ca("issue", "x", code=2)


def test_a_request_without_end_is_no_request(ca):
    assert "no certificate signing request" in ca("issue", "--csr", "/dev/zero", code=2)
