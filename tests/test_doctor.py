"""`countersign doctor`: for each set-up that is broken, the one true cause comes first, and nothing is said that is not so."""

import datetime
import json
import re
import ssl
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from authority import Authority
from gateway import Gateway
from pki import Identity
from server import ROOT, run_binary
from servers import WEAK, Small, apache, context, free_port, nginx, response, s_server

# Notes about what is normal in a test's set-up. Errors and warnings have no such list.
NORMAL = {"no-post-quantum", "default-certificate", "server-root-sent", "no-revocation", "no-tls13"}


@dataclass
class Report:
    """The doctor's JSON."""

    json: dict
    code: int

    @property
    def causes(self):
        return [finding["id"] for finding in self.json["findings"]]

    @property
    def first(self):
        return self.json["findings"][0]

    def grave(self):
        """Causes that are errors or warnings."""
        return [f["id"] for f in self.json["findings"] if f["severity"] != "info"]

    def all(self):
        """Every finding by its id, consequences too; the first of several."""
        found = {}
        for cause in self.json["findings"]:
            for finding in [cause, *cause["consequences"]]:
                found.setdefault(finding["id"], finding)
        return found

    def only(self, *ids, notes=()):
        """These are the causes, in this order, and there are no others but notes about what is normal."""
        said = json.dumps({k: v for k, v in self.json.items() if k != "skipped"}, indent=1)
        ids = list(ids)
        assert self.causes[: len(ids)] == ids, said
        rest = set(self.causes[len(ids):]) - NORMAL - set(notes)
        assert not rest, f"{rest}: {said}"
        return self


def run_doctor(url, connect, *args, env=None, identity=None):
    command = ["doctor", url, "--connect", connect, "--format", "json", *args]
    if identity:
        command += ["--cert", identity.cert, "--key", identity.key]
    done = run_binary(*command, env=env, check=False)
    assert done.returncode in (0, 1), f"{command}: {done.stderr}"
    return Report(json.loads(done.stdout), done.returncode)


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


DAY = 86_400


def made(pki, name, *, issuer=None, key=None, subject=None, days=(-1, 300), extensions=(), digest=None):
    """A certificate with any extensions, of `issuer` or self-signed."""
    if name in pki.made:
        return pki.made[name]
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject or name)])
    by, by_key = subject, key
    if issuer:
        by = x509.load_pem_x509_certificate(issuer.cert.read_bytes()).subject
        by_key = serialization.load_pem_private_key(issuer.key.read_bytes(), None)
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0])).not_valid_after(now + datetime.timedelta(days=days[1]))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    cert, key_path = pki.base / f"{name}.pem", pki.base / f"{name}.key"
    cert.write_bytes(builder.sign(by_key, digest or hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    pki.made[name] = Identity(cert, key_path)
    return pki.made[name]


CA = [(x509.BasicConstraints(True, None), True)]
CLIENT = [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)]


def truststore_of(pki, *identities):
    path = pki.base / f"store-{abs(hash(identities))}.pem"
    path.write_text("".join(identity.pem for identity in identities))
    return path


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


# Other servers.
@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Starts servers, each in a directory of its own, until the end of the file."""
    running = []

    def start(make, *args, **options):
        running.append(make(tmp_path_factory.mktemp(make.__name__), *args, **options))
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.fixture
def small(servers):
    def start(*args):
        return servers(lambda _, *args: Small(*args), *args)
    return start


NAME = "api.example.test"


@pytest.fixture
def of_server(pki):
    """A server's certificate for NAME, with what is wrong about it."""
    def make(name="server", **options):
        san = [(x509.SubjectAlternativeName([x509.DNSName(NAME)]), False),
               (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)]
        return made(pki, f"s-{name}", **{"issuer": pki.ca("server-ca"), "extensions": san} | options)

    return make


@pytest.fixture
def ask(pki):
    def about(running, identity=None, *args, truststore=True, name=NAME, path="/", ca="server-ca"):
        given = ["--ca-file", pki.ca(ca).cert] + (["--truststore", pki.ca().cert] if truststore else [])
        return run_doctor(f"https://{name}{path}", running.address, *given, *args, identity=identity)

    return about


VERIFY = "ssl_client_certificate {ca}; ssl_verify_client {mode};"
# A default server that refuses what is not meant for the one with mutual TLS, and one that demands the name.
STRICT = "server { listen 127.0.0.1:PORT ssl default_server; ssl_reject_handshake on; }"
OWN_HOST = "if ($host != \"" + NAME + "\") { return 421; }"


def verify(pki, mode="on"):
    return VERIFY.format(ca=pki.ca().cert, mode=mode) + OWN_HOST


@pytest.fixture(scope="module")
def good(pki):
    return pki.client("n-good", section="client")


@pytest.mark.parametrize("given", [False, True])
def test_nginx_as_it_should_be(servers, pki, of_server, ask, good, given):
    running = servers(nginx, NAME, of_server(), lines=verify(pki), http=STRICT)
    report = ask(running, good if given else None)
    report.only(*([] if given else ["client-certificate-missing"]), notes={"no-http2"})
    assert report.code == 0


NGINX_FAULTS = {
    "asks for nothing": (dict(lines=OWN_HOST), "no-client-auth"),
    "a certificate is optional": (dict(mode="optional"), "certificate-optional"),
    "any certificate will do": (dict(mode="optional_no_ca"), "stranger-accepted"),
    "TLS 1.0 and 1.1": (dict(protocols="TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", ciphers="ECDHE+AESGCM:ECDHE+AES:@SECLEVEL=0"), "old-tls"),
    "nothing but TLS 1.1": (dict(protocols="TLSv1.1", ciphers=WEAK), "old-tls-only"),
    "without forward secrecy": (dict(ciphers="ECDHE+AESGCM:AES128-GCM-SHA256", key="RSA-2048"), "weak-cipher"),
    "a default server without mutual TLS": (dict(http="server { listen 127.0.0.1:PORT ssl default_server; ssl_certificate CERT; "
                                                 "ssl_certificate_key KEY; location / { return 200 other; } }"), "foreign-host-served"),
    "the default server serves every Host": (dict(host="", http=""), "foreign-host-served"),
    "names without number": (dict(names=300), "ca-names-large"),
    "what is behind is down": (dict(path="/broken"), "backend-failing"),
    "nothing at the path": (dict(path="/missing"), "path-not-found"),
}


@pytest.mark.parametrize("fault", NGINX_FAULTS)
def test_nginx(servers, pki, of_server, ask, good, fault):
    options, finding = dict(NGINX_FAULTS[fault][0]), NGINX_FAULTS[fault][1]
    path = options.pop("path", "/")
    identity = of_server()
    if options.pop("key", None):
        key = pki.client("n-rsa", pki.ca("server-ca"), kind="RSA-2048").key
        loaded = serialization.load_pem_private_key(key.read_bytes(), None)
        identity = of_server("rsa", key=loaded)
    lines = options.pop("lines", None) or verify(pki, options.pop("mode", "on"))
    if options.pop("host", None) == "":
        lines = lines.replace(OWN_HOST, "")
    if many := options.pop("names", None):
        store = truststore_of(pki, pki.ca(), *[made(pki, f"n-{n}-{'x' * 50}", extensions=CA) for n in range(many)])
        lines = lines.replace(str(pki.ca().cert), str(store))
    http = options.pop("http", STRICT).replace("CERT", str(identity.cert)).replace("KEY", str(identity.key))
    running = servers(nginx, NAME, identity, lines=lines, http=http, **options)
    report = ask(running, good, path=path)
    report.only(*[finding] if finding else [], notes={"no-http2"})


SERVER_CERTIFICATES = {
    "server-expired": dict(days=(-90, -1)),
    "server-not-yet-valid": dict(days=(1, 90)),
    "server-expires-soon": dict(days=(-300, 9)),
    "server-name-mismatch": dict(extensions=[(x509.SubjectAlternativeName([x509.DNSName("www.example.test")]), False)]),
    "server-purpose": dict(extensions=[(x509.SubjectAlternativeName([x509.DNSName(NAME)]), False), *CLIENT]),
}


@pytest.mark.parametrize("finding", SERVER_CERTIFICATES)
def test_the_servers_certificate(servers, pki, of_server, ask, good, finding):
    identity = of_server(finding, **SERVER_CERTIFICATES[finding])
    ask(servers(nginx, NAME, identity, lines=verify(pki), http=STRICT), good).only(finding)


def test_a_server_without_alternative_names(servers, pki, of_server, ask, good):
    identity = of_server("no-san", subject=NAME, extensions=[])
    report = ask(servers(nginx, NAME, identity, lines=verify(pki), http=STRICT), good).only("server-name-mismatch")
    assert "common name does not count" in report.first["seen"]


def test_a_server_of_a_ca_that_nobody_knows(servers, pki, of_server, ask, good):
    identity = of_server("unknown", issuer=pki.ca("s-unknown-ca"))
    ask(servers(nginx, NAME, identity, lines=verify(pki), http=STRICT), good).only("server-untrusted")


def test_a_self_signed_server(servers, pki, of_server, ask, good):
    identity = of_server("self", issuer=None)
    ask(servers(nginx, NAME, identity, lines=verify(pki), http=STRICT), good).only("server-untrusted")


def server_below(pki, of_server, name):
    """A server below two intermediates, which says where its issuer's certificate is."""
    upper = made(pki, f"{name}-upper", issuer=pki.ca("server-ca"), extensions=CA)
    lower = made(pki, f"{name}-lower", issuer=upper, extensions=CA)
    place = x509.AccessDescription(x509.oid.AuthorityInformationAccessOID.CA_ISSUERS,
                                   x509.UniformResourceIdentifier("http://ca.example.test/lower.cer"))
    extensions = [(x509.SubjectAlternativeName([x509.DNSName(NAME)]), False), (x509.AuthorityInformationAccess([place]), False)]
    return of_server(name, issuer=lower, extensions=extensions), lower, upper


@pytest.mark.parametrize("sent, finding", [
    ("", "server-chain-incomplete"), ("lower", "server-untrusted"), ("upper lower", "server-chain-order"), ("lower upper", None),
])
def test_the_servers_chain(servers, pki, of_server, ask, good, sent, finding):
    leaf, lower, upper = server_below(pki, of_server, "s-below")
    file = pki.base / f"s-chain-{sent.replace(' ', '-')}.pem"
    file.write_text(leaf.pem + "".join({"lower": lower, "upper": upper}[one].pem for one in sent.split()))
    running = servers(nginx, NAME, Identity(file, leaf.key), lines=verify(pki), http=STRICT)
    ask(running, good).only(*[finding] if finding else [])


def test_a_weak_server(servers, pki, ask, good):
    weak = pki.client("s-weak", pki.ca("server-ca"), kind="RSA-1024", subject=f"/CN={NAME}",
                      extra=["-extfile", san_file(pki), "-extensions", "san"])
    running = servers(s_server, weak, "-cipher", WEAK, "-CAfile", pki.ca().cert, "-Verify", "2", "-verify_return_error")
    report = ask(running, good)
    assert report.first["id"] == "server-weak", report.json


def san_file(pki):
    path = pki.base / "san.cnf"
    path.write_text(f"[san]\nsubjectAltName = DNS:{NAME}\n")
    return path
