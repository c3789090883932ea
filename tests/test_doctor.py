"""`countersign doctor` at this gateway, without its settings: for each set-up that is broken, the one true cause comes first, and
nothing is said that is not so. Other servers are in test_doctor_servers.py, settings in test_doctor_settings.py."""

import re

import pytest
from cryptography import x509

from authority import Authority
from doctor import CA, CLIENT, DAY, made, run_doctor, truststore_of
from pki import Identity
from server import ROOT


@pytest.fixture
def file_of(tmp_path):
    """A file with this text."""
    made = []

    def make(text, name="file"):
        path = tmp_path / f"{name}{len(made)}.pem"
        path.write_text(text)
        made.append(path)
        return path

    return make


@pytest.fixture
def examine(gateway, pki, server):
    """Asks about the gateway without its settings, with its truststore in a file."""
    def ask(identity=None, *args, truststore=None, settings=False):
        files = ["--ca-file", server.ca_file, "--truststore", truststore or pki.ca().cert]
        if settings:
            files = ["--ca-file", server.ca_file, "--data-dir", server.data_dir]
        return run_doctor(f"https://{gateway.domain}/orders", server.https, *files, *args, identity=identity)

    return ask


def test_a_good_client(examine, pki):
    report = examine(pki.client("good", section="client"))
    assert (report.grave(), report.code) == ([], 0), report.json
    seen = report.json["seen"]
    assert seen["withCertificate"].startswith("answered 200")
    assert seen["withAStrangers"].startswith("answered 403") and seen["withAnImpostors"].startswith("answered 403")
    assert seen["judged"] == "accepted"
    assert seen["tls"]["versions"] == ["TLS 1.2", "TLS 1.3"] and seen["tls"]["keyExchange"] == "X25519MLKEM768"
    assert seen["connections"] <= 32


def test_no_certificate_is_how_it_should_be(examine):
    report = examine().only("client-certificate-missing")
    assert report.code == 0


# The client's own fault: what it sends (and the truststore, where that is part of it), and what is found. Each with the reason code.
def expired(pki):
    return pki.dated("d-expired", -9 * DAY, -DAY), None


def not_yet_valid(pki):
    return pki.dated("d-early", DAY, 9 * DAY), None


def wrong_issuer(pki):
    return pki.client("d-stranger", pki.ca("d-other-ca"), section="client"), None


def intermediate_missing(pki):
    client, (root, _) = pki.chain("d-missing", 2)
    return client, truststore_of(pki, root)


def root_missing(pki):
    client, (_, intermediate) = pki.chain("d-rootless", 2)
    return client, truststore_of(pki, pki.ca(), intermediate)


def same_name_other_key(pki):
    impostor = pki.ca("d-impostor-ca", subject="/C=US/O=Example/CN=ca")
    return pki.client("d-impostor", impostor, section="client"), None


def self_signed(pki):
    return pki.self_signed("d-self-signed"), None


def wrong_usage(pki):
    return pki.client("d-server-only", section="server_only"), None


def weak_key(pki):
    return pki.client("d-weak-key", kind="RSA-1024", section="client"), None


def weak_signature(pki):
    return pki.client("d-sha1", section="client", digest="sha1"), None


def too_long(pki):
    client, above = pki.chain("d-long", 5)
    return client, truststore_of(pki, *above)


def issuer_expired(pki):
    old = made(pki, "d-old-ca", days=(-90, -1), extensions=CA)
    return made(pki, "d-of-old", issuer=old, extensions=CLIENT), truststore_of(pki, pki.ca(), old)


def path_invalid(pki):
    unknown = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00"), True)
    return made(pki, "d-critical", issuer=pki.ca(), extensions=[*CLIENT, unknown]), None


def too_complex(pki):
    """A hundred authorities of one name, none of which is the issuer."""
    name = "d-many"
    stores = [made(pki, f"d-many-{n}", subject=name, extensions=CA) for n in range(100)]
    other = made(pki, "d-many-other", subject=name, extensions=CA)
    return made(pki, "d-of-many", issuer=other, extensions=CLIENT), truststore_of(pki, *stores)


def too_large(pki):
    filler = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.2"), b"\x04\x83\x01\x00\x00" + bytes(65536))
    return made(pki, "d-large", issuer=pki.ca(), extensions=[*CLIENT, (filler, False)]), None


CLIENT_FAULTS = [
    (expired, "client-expired", "ClientCertExpired"),
    (not_yet_valid, "client-not-yet-valid", "ClientCertNotYetValid"),
    (wrong_issuer, "client-untrusted", "ClientCertUntrusted"),
    (intermediate_missing, "client-untrusted", "ClientCertUntrusted"),
    (root_missing, "client-chain-incomplete", "ClientCertChainIncomplete"),
    (same_name_other_key, "client-signature-invalid", "ClientCertSignatureInvalid"),
    (self_signed, "client-self-signed", "ClientCertSelfSigned"),
    (wrong_usage, "client-purpose", "ClientCertPurposeInvalid"),
    (weak_key, "client-weak-key", "ClientCertWeakKey"),
    (weak_signature, "client-weak-signature", "ClientCertWeakSignature"),
    (too_long, "client-chain-too-long", "ClientCertMaxChainDepthExceeded"),
    (issuer_expired, "client-issuer-expired", "ClientCertIssuerExpired"),
    (path_invalid, "client-path-invalid", "ClientCertPathInvalid"),
    (too_complex, "client-path-too-complex", "ClientCertPathTooComplex"),
    (too_large, "client-chain-too-large", "ClientCertMaxSizeExceeded"),
]


@pytest.mark.parametrize("make, finding, code", CLIENT_FAULTS, ids=[make.__name__ for make, _, _ in CLIENT_FAULTS])
def test_what_is_wrong_with_a_client(examine, pki, make, finding, code):
    identity, truststore = make(pki)
    report = examine(identity, truststore=truststore)
    report.only(finding, notes={"client-x509-v1", "truststore-lint"})
    assert set(report.grave()) == {finding}
    assert report.code == 1 and report.first["severity"] == "error"
    assert report.json["seen"]["judged"] == code


def test_every_reason_is_in_the_matrix():
    elsewhere = {
        "ClientCertMissing",  # test_no_certificate_is_how_it_should_be
        "ClientCertInvalid", "ClientCertTypeUnsupported",  # test_the_profile_wants_more
        "ClientCertCrlHit", "ClientCertCrlProcessingError",  # test_a_revocation_list_in_a_file
    }
    codes = set(re.findall(r'=> "(ClientCert\w+)"', (ROOT / "crates/trust/src/code.rs").read_text()))
    assert codes == elsewhere | {code for _, _, code in CLIENT_FAULTS}


def test_the_profile_wants_more(examine, pki):
    """Version 3, and the musts of RFC 5280."""
    v1 = pki.client("d-v1")
    examine(v1, "--profile", "rfc5280").only("client-version", "wrong-client-accepted")
    report = examine(v1).only(notes={"client-x509-v1"})
    assert report.code == 0 and "client-x509-v1" in report.causes
    key_id = x509.SubjectKeyIdentifier(b"12345678")
    twice = made(pki, "d-critical-ski", issuer=pki.ca(), extensions=[*CLIENT, (key_id, True)])
    examine(twice, "--profile", "rfc5280").only("client-invalid")


def test_a_revocation_list_in_a_file(examine, pki):
    authority = Authority(pki, "d-revoking")
    leaving, staying = authority.issue("leaving"), authority.issue("staying")
    authority.revoke(leaving)
    listed = pki.base / "d-revoking.crl"
    listed.write_text(authority.crl())
    store = truststore_of(pki, authority.identity)
    assert examine(leaving, "--crl", listed, truststore=store).only("client-revoked").code == 1
    examine(staying, "--crl", listed, truststore=store).only("truststore-differs")
    examine(leaving, "--crl", listed, truststore=truststore_of(pki, pki.ca(), authority.identity)).only("client-revoked")
    both = truststore_of(pki, authority.identity, pki.ca())
    examine(pki.client("d-unlisted", section="client"), "--crl", listed, truststore=both).only(
        "client-revocation-unknown", "wrong-client-accepted")


# Files that cannot be what they are meant to be.
def test_another_key(examine, pki):
    mixed = Identity(pki.client("d-mixed", section="client").cert, pki.key("d-mixed-other"))
    examine(mixed).only("key-mismatch")


def test_an_authority_before_the_client(examine, pki):
    client = pki.client("d-ordered", section="client")
    both = pki.base / "d-backwards.pem"
    both.write_text(pki.ca().pem + client.pem)
    report = examine(Identity(both, client.key)).only("client-chain-order")
    assert report.first["severity"] == "error"


def test_intermediates_out_of_order(examine, pki):
    client, (root, second, third) = pki.chain("d-three", 3)
    sent = pki.base / "d-three-sent.pem"
    sent.write_text(client.pem + second.pem + third.pem)
    report = examine(Identity(sent, client.key), truststore=truststore_of(pki, root, second, third))
    assert report.first["id"] == "client-chain-order" and report.first["severity"] == "warning"


def test_a_file_that_is_not_pem(examine, pki, tmp_path):
    client = pki.client("d-der", section="client")
    der = tmp_path / "client.der"
    pki.openssl("x509", "-in", client.cert, "-outform", "DER", "-out", der)
    report = examine(Identity(der, client.key)).only("client-file-unusable")
    assert "DER" in report.first["seen"]


def test_a_certificate_that_is_none(examine, pki, file_of):
    broken = file_of("-----BEGIN CERTIFICATE-----\nTm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n")
    examine(Identity(broken, pki.client("d-der", section="client").key)).only("client-file-unusable")


def test_keys_that_cannot_be_used(examine, pki, tmp_path, file_of):
    client = pki.client("d-locked", section="client")
    locked = tmp_path / "locked.key"
    pki.openssl("pkcs8", "-topk8", "-in", client.key, "-out", locked, "-passout", "pass:secret")
    assert "encrypted" in examine(Identity(client.cert, locked)).only("key-unusable").first["seen"]
    examine(Identity(client.cert, client.cert)).only("key-unusable")


def test_a_truststore_that_is_none(examine, pki, file_of):
    examine(pki.client("d-good", section="client"), truststore=file_of("nothing")).only("truststore-unusable")


def test_a_truststore_with_something_wrong(examine, pki):
    old = made(pki, "d-lint-old", days=(-90, -1), extensions=CA)
    ending = made(pki, "d-lint-ending", days=(-300, 9), extensions=CA)
    report = examine(pki.client("d-good", section="client"), truststore=truststore_of(pki, pki.ca(), old, ending))
    assert report.grave() == ["truststore-lint", "truststore-lint"], report.json
    said = [finding["seen"] for finding in report.json["findings"] if finding["id"] == "truststore-lint"]
    assert any("expired" in one for one in said) and any("expires-soon" in one for one in said)


def test_a_client_that_ends_soon(examine, pki):
    assert examine(made(pki, "d-soon", issuer=pki.ca(), days=(-300, 9), extensions=CLIENT)).only("client-expires-soon").code == 0
