"""Every rule of the truststore lint, on files that openssl made: at the command line, and as AWS's `truststoreWarnings`."""

import datetime
import json
import re
import uuid

import botocore.exceptions
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway import Gateway
from server import ROOT, error_message, run_binary

DAY = 86_400


def authority(name, not_before=-DAY, not_after=3650 * DAY, key_cert_sign=True, more=()):
    """PEM of a root, with what the openssl command would not put into it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    key = ec.generate_private_key(ec.SECP256R1())
    usage = dict.fromkeys(["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                           "encipher_only", "decipher_only"], False)
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(seconds=not_before))
        .not_valid_after(now + datetime.timedelta(seconds=not_after))
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(x509.KeyUsage(key_cert_sign=key_cert_sign, crl_sign=True, **usage), True)
    )
    for extension in more:
        builder = builder.add_extension(extension, True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def weak_root(pki, kind, name, *args):
    key = pki.key(name, kind)
    pki.openssl("req", "-new", "-x509", "-days", 3650, "-key", key, "-out", f"{name}.pem", "-subj", f"/CN={name}", *args)
    return (pki.base / f"{name}.pem").read_text()


def v1_root(pki):
    key = pki.key("v1-root")
    pki.openssl("req", "-new", "-key", key, "-out", "v1-root.csr", "-subj", "/CN=v1-root")
    pki.openssl("x509", "-req", "-in", "v1-root.csr", "-signkey", key, "-days", 3650, "-out", "v1-root.pem")
    return (pki.base / "v1-root.pem").read_text()


def relabelled(pem, label):
    return pem.replace("CERTIFICATE", label)


def garbage(pki):
    """A certificate with two bytes behind it, in one block."""
    pki.openssl("x509", "-in", pki.ca("garbled").cert, "-outform", "DER", "-out", "garbled.der")
    (pki.base / "garbled.der").write_bytes((pki.base / "garbled.der").read_bytes() + b"\0\0")
    base64 = pki.openssl("base64", "-in", "garbled.der")
    return f"-----BEGIN CERTIFICATE-----\n{base64}-----END CERTIFICATE-----\n"


def pkcs7(pki):
    return pki.openssl("crl2pkcs7", "-nocrl", "-certfile", pki.ca("in-p7").cert)


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
# What stands after a good root in the file: it is told, and the root is used.
FINDINGS = {
    "not-pem": ("error", None, lambda pki: pki.ca("cut").pem.replace("-----END CERTIFICATE-----\n", "")),
    "pkcs7": ("error", None, pkcs7),
    "trailing-garbage": ("error", "garbled", garbage),
    "bad-certificate": ("error", None, lambda pki: "-----BEGIN CERTIFICATE-----\nTm90IG9uZQ==\n-----END CERTIFICATE-----\n"),
    "trusted-certificate": ("error", None, lambda pki: relabelled(pki.ca("trusted").pem, "TRUSTED CERTIFICATE")),
    "not-a-certificate": ("warning", None, lambda pki: relabelled(pki.ca("public").pem, "PUBLIC KEY")),
    "duplicate": ("note", "ca", lambda pki: pki.ca().pem),
    "expired": ("error", "expired-ca", lambda pki: authority("expired-ca", -9 * DAY, -DAY)),
    # Not on the hour: the number of days must not change while the test runs.
    "expires-soon": ("warning", "ending-ca", lambda pki: authority("ending-ca", -9 * DAY, 9 * DAY + 3600)),
    "not-yet-valid": ("error", "future-ca", lambda pki: authority("future-ca", 9 * DAY, 900 * DAY)),
    "x509-v1": ("note", "v1-root", v1_root),
    "not-a-ca": ("warning", "leaf", lambda pki: pki.client("leaf", section="client").pem),
    "no-key-cert-sign": ("error", "crl-signer", lambda pki: authority("crl-signer", key_cert_sign=False)),
    "weak-key": ("error", "rsa-1024-root", lambda pki: weak_root(pki, "RSA-1024", "rsa-1024-root")),
    "weak-signature": ("note", "sha1-root", lambda pki: weak_root(pki, "RSA-2048", "sha1-root", "-sha1")),
    "unknown-critical-extension": ("error", "odd-ca", lambda pki: authority("odd-ca", more=[UNKNOWN])),
    "issuer-missing": ("error", "lone", lambda pki: pki.intermediate("lone", pki.ca("absent")).pem),
    "same-name-different-key": ("note", "ca", lambda pki: pki.ca("twin", subject="/C=US/O=Example/CN=ca").pem),
}


def der(pki):
    pki.openssl("x509", "-in", pki.ca().cert, "-outform", "DER", "-out", "ca.der")
    return (pki.base / "ca.der").read_bytes()


def pkcs12(pki):
    pki.openssl("pkcs12", "-export", "-in", pki.ca().cert, "-inkey", pki.ca().key, "-passout", "pass:x", "-out", "ca.p12")
    return (pki.base / "ca.p12").read_bytes()


# Files that cannot be a truststore, and what is said of them.
REFUSED = {
    "der": (der, "openssl x509 -inform DER"),
    "utf-16": (lambda pki: pki.ca().pem.encode("utf-16"), "iconv -f UTF-16"),
    "pkcs12": (pkcs12, "openssl pkcs12 -nokeys"),
    "java-key-store": (lambda pki: b"\xfe\xed\xfe\xed\0\0\0\x02\0\0\0\x01", "keytool -list -rfc"),
    "private-key": (lambda pki: pki.ca().pem + pki.ca().key.read_text(), "private key"),
    "too-large": (lambda pki: pki.ca().pem + "#" * 1024 * 1024, "1048576 bytes"),
    "too-many": (lambda pki: pki.ca().pem * 1001, "1001 certificates"),
    "empty": (lambda pki: "no PEM", "no usable certificate"),
}


def lint(path):
    """The exit code, and the answer in JSON."""
    done = run_binary("truststore", "lint", path, "--json", check=False)
    assert done.returncode in (0, 1), done
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("code", FINDINGS)
def test_lint_of_a_file(pki, tmp_path, code):
    severity, subject, make = FINDINGS[code]
    path = tmp_path / "ca.pem"
    root = pki.ca().pem
    path.write_text(root + make(pki))
    exit_code, answer = lint(path)
    assert exit_code == (1 if severity == "error" else 0)
    [finding] = answer["findings"]
    assert (finding["code"], finding["severity"]) == (code, severity), finding
    assert finding["line"] == len(root.splitlines()) + 1
    assert (finding["subject"] or "").endswith(f"CN={subject}" if subject else ""), finding
    text = run_binary("truststore", "lint", path, check=False).stdout
    assert f"{path}:{finding['line']}: {severity}[{code}]: " in text and f"fix: {finding['fix']}" in text


@pytest.mark.parametrize("code", REFUSED)
def test_a_file_that_cannot_be_a_truststore(pki, tmp_path, code):
    make, says = REFUSED[code]
    content = make(pki)
    path = tmp_path / "ca.pem"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    exit_code, answer = lint(path)
    assert exit_code == 1 and says in answer["error"], answer
    assert [finding["code"] for finding in answer["findings"]] == [code]
    text = run_binary("truststore", "lint", path, check=False).stdout
    assert f"error[{code}]: " in text
    assert "PRIVATE" not in text and pki.ca().key.read_text().splitlines()[1] not in text, "a key is never quoted"


@pytest.mark.parametrize("change", [
    lambda pem: pem.replace("\n", "\r\n"), lambda pem: "\ufeff" + pem, lambda pem: f"Root:\n{pem}\nthe end\n",
], ids=["windows-line-ends", "byte-order-mark", "text-around"])
def test_what_tools_do_to_pem_is_accepted(pki, tmp_path, change):
    path = tmp_path / "ca.pem"
    path.write_bytes(change(pki.ca().pem).encode())
    assert lint(path) == (0, lint(path)[1] | {"certificates": 1, "error": None, "findings": []})


def test_text_of_openssl_is_accepted(pki, tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text(pki.openssl("x509", "-in", pki.ca().cert, "-text"))
    assert lint(path)[1]["findings"] == []


@pytest.fixture(scope="module")
def domain(server, backend, pki):
    return Gateway(server, backend, "lint.yourcompany.com", pki.ca().pem).create()


def test_warnings_of_get_domain_name(aws, domain, pki, tmp_path):
    """All of it in one object: a warning for each finding that is one, in the file's order; mutual TLS stays on."""
    path = tmp_path / "ca.pem"
    path.write_text(pki.ca().pem + "".join(make(pki) for code, (_, _, make) in FINDINGS.items() if code != "not-pem"))
    findings = [finding for finding in lint(path)[1]["findings"] if finding["severity"] != "note"]
    assert len({finding["code"] for finding in findings}) == 13
    domain.update_truststore(domain.put_truststore(path.read_text()))
    shown = aws("apigatewayv2", "get-domain-name", "--domain-name", domain.domain, "--output", "json")
    warnings = shown["MutualTlsAuthentication"]["TruststoreWarnings"]
    assert len(warnings) == len(findings), warnings
    for warning, finding in zip(warnings, findings):
        assert f"line {finding['line']}" in warning and finding["explanation"] in warning and finding["fix"] in warning
        assert finding["subject"] is None or finding["subject"] in warning
    assert domain.curl("/orders", pki.client()).status == 200
    domain.update_truststore(domain.put_truststore(pki.ca().pem))
    shown = aws("apigatewayv2", "get-domain-name", "--domain-name", domain.domain, "--output", "json")
    assert not shown["MutualTlsAuthentication"].get("TruststoreWarnings")


@pytest.mark.parametrize("code", REFUSED)
def test_a_domain_refuses_what_cannot_be_a_truststore(domain, pki, code):
    """400 in words that help, and what was set stays."""
    make, says = REFUSED[code]
    content = make(pki)
    key = f"{uuid.uuid4().hex}.pem"
    domain.s3.put_object(Bucket=domain.bucket, Key=key, Body=content)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        domain.api.update_domain_name(
            DomainName=domain.domain, DomainNameConfigurations=[domain.configuration()],
            MutualTlsAuthentication={"TruststoreUri": f"s3://{domain.bucket}/{key}"})
    assert says in error_message(caught)
    assert "PRIVATE" not in error_message(caught)
    shown = domain.api.get_domain_name(DomainName=domain.domain)
    assert shown["MutualTlsAuthentication"]["TruststoreUri"] == domain.truststore_uri


def test_the_reference_names_every_rule():
    rules = set(re.findall(r'=> "([\w-]+)"', (ROOT / "crates/trust/src/lint/rule.rs").read_text()))
    assert rules == set(FINDINGS) | set(REFUSED), "every rule has a test here"
    table = re.search(r"^\| finding \|.*?\n\n", (ROOT / "docs/reference.md").read_text(), re.M | re.S)[0]
    listed = re.findall(r"^\| `([\w-]+)` \| (\w+)", table, re.M)
    assert {code for code, _ in listed} == rules
    severities = {code: severity for code, (severity, _, _) in FINDINGS.items()} | dict.fromkeys(REFUSED, "error")
    severities["weak-signature"] = "error"  # the test has the root, which is the exception
    assert dict(listed) == severities
