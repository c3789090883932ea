"""`countersign doctor` at other servers: nginx, Apache, `openssl s_server`, and some whose faults are rare by now."""

import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from authority import Authority
from doctor import CA, CLIENT, made, run_doctor, truststore_of
from pki import Identity
from servers import WEAK, Small, apache, context, free_port, nginx, response, s_server


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
    report.only(*([] if given else ["client-certificate-missing"]))
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
    report.only(*[finding] if finding else [])


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


# Apache.
def require(pki, mode="require"):
    return f"SSLCACertificateFile {pki.ca().cert}\nSSLVerifyClient {mode}\nSSLVerifyDepth 3\nSSLStrictSNIVHostCheck on"


@pytest.mark.parametrize("mode, finding", [
    ("require", None), ("none", "no-client-auth"), ("optional", "certificate-optional"), ("optional_no_ca", "stranger-accepted"),
])
def test_apache(servers, pki, of_server, ask, good, mode, finding):
    running = servers(apache, NAME, of_server(), require(pki, mode))
    report = ask(running, good)
    # A virtual host that is the only one takes every name.
    report.only(*[finding] if finding else ["foreign-host-served"], notes={"foreign-host-served"})


def test_apache_without_a_certificate(servers, pki, of_server, ask):
    report = ask(servers(apache, NAME, of_server(), require(pki)))
    report.only("client-certificate-missing")
    assert "certificate_required" in report.json["seen"]["withoutCertificate"]


# openssl s_server: who is refused hears the alert.
def test_a_revoked_client_hears_it(servers, pki, of_server, ask):
    authority = Authority(pki, "o-revoking")
    leaving = authority.issue("leaving")
    authority.revoke(leaving)
    both = pki.base / "o-ca-and-crl.pem"
    both.write_text(authority.identity.pem + authority.crl())
    running = servers(s_server, of_server(), "-CAfile", both, "-Verify", "2", "-verify_return_error", "-crl_check")
    ask(running, leaving, truststore=False).only("client-revoked", notes={"no-post-quantum"})


def strict(pki, *more):
    return ["-CAfile", pki.ca().cert, "-Verify", "3", "-verify_return_error", *more]


@pytest.mark.parametrize("who, finding", [
    ("good", None), ("stranger", "client-untrusted"), ("self-signed", "client-self-signed"), ("expired", "client-expired"),
    ("usage", "client-purpose"),
])
def test_without_a_truststore_the_server_says_it(servers, pki, of_server, ask, good, who, finding):
    """What the server's alert and the names that it asks for leave no doubt about."""
    identity = {
        "good": lambda: good,
        "stranger": lambda: pki.client("o-stranger", pki.ca("o-other-ca"), section="client"),
        "self-signed": lambda: pki.self_signed("o-self-signed"),
        "expired": lambda: pki.dated("o-expired", -900_000, -86_400),
        "usage": lambda: pki.client("o-usage", section="server_only"),
    }[who]()
    running = servers(s_server, of_server(), *strict(pki))
    report = ask(running, identity, truststore=False)
    report.only(*[finding] if finding else ["foreign-host-served"], notes={"foreign-host-served"})


def test_a_key_of_a_kind_that_is_not_asked_for(servers, pki, of_server, ask):
    rsa = pki.client("o-rsa", kind="RSA-2048", section="client")
    running = servers(s_server, of_server(), *strict(pki, "-client_sigalgs", "ecdsa_secp256r1_sha256"))
    ask(running, rsa).only("client-key-not-asked-for")


def test_a_client_whose_authority_is_not_named(servers, pki, of_server, ask):
    """The server trusts more than it names: the client is let in, though some clients would send nothing."""
    other = pki.ca("o-unnamed-ca")
    both = truststore_of(pki, pki.ca(), other)
    running = servers(nginx, NAME, of_server(), http=STRICT, lines=OWN_HOST + (
        f"ssl_client_certificate {pki.ca().cert}; ssl_trusted_certificate {other.cert}; ssl_verify_client on;"))
    report = run_doctor(f"https://{NAME}/", running.address, "--ca-file", pki.ca("server-ca").cert, "--truststore", both,
                        identity=pki.client("o-unnamed", other, section="client"))
    report.only("client-not-asked-for")


def test_a_server_with_rules_of_its_own(servers, pki, of_server, ask, good):
    """By the truststore in the file the client is good; the server has another one."""
    running = servers(nginx, NAME, of_server(), http=STRICT, lines=verify(pki).replace(str(pki.ca().cert), str(pki.ca("o-new-ca").cert)))
    ask(running, good).only("truststore-differs")


def test_a_server_that_is_laxer(servers, pki, of_server, ask):
    other = pki.client("o-of-another", pki.ca("o-lax-ca"), section="client")
    running = servers(nginx, NAME, of_server(), http=STRICT, lines=verify(pki).replace(str(pki.ca().cert), str(pki.ca("o-lax-ca").cert)))
    ask(running, other).only("client-untrusted", "wrong-client-accepted")


# Faults that are rare by now, on servers made for them.
def refusing(connection, request, served):
    if connection.version() is None or f"host: {NAME}".encode() not in request.lower():
        return response(421)
    return response(200, "ok") if served else response(403)


def test_a_session_that_is_let_in_unseen(small, pki, of_server, ask, good):
    """The server takes a resumed session for a trusted client."""
    made_context = context(of_server(), ca=pki.ca(), mode=ssl.CERT_OPTIONAL)
    running = small(made_context, lambda c, request: refusing(c, request, c.getpeercert() or c.session_reused))
    report = ask(running, good)
    report.only("resumption-skips-verification", notes={"silent-refusal"})
    assert "without a certificate" in report.first["seen"]


def test_a_session_of_another_name(small, pki, of_server, ask, good):
    """As nginx before CVE-2025-23419: a session that was begun under a name without mutual TLS goes for the one with it."""
    identity = of_server()
    guarded = context(identity, ca=pki.ca(), mode=ssl.CERT_OPTIONAL)
    names = {}

    def by_name(connection, name, _):
        names[connection] = name

    guarded.sni_callback = by_name

    def answer(connection, request):
        if names.get(connection) != NAME:
            return response(200, "other")
        if connection.session_reused and not connection.getpeercert():
            return response(200, "ok")
        return refusing(connection, request, connection.getpeercert())

    report = ask(small(guarded, answer), good)
    assert report.first["id"] in ("name-bypass", "resumption-skips-verification"), report.json
    assert "resumption-skips-verification" in report.all()


def test_a_name_that_goes_round(small, pki, of_server, ask, good):
    """Certificates are asked of by the handshake's name, content is found by the Host."""
    made_context = context(of_server(), ca=pki.ca(), mode=ssl.CERT_OPTIONAL)
    names = {}
    made_context.sni_callback = lambda connection, name, _: names.update({connection: name})
    running = small(made_context, lambda c, request: refusing(c, request, c.getpeercert() or names.get(c) != NAME))
    ask(running, good).only("name-bypass", notes={"silent-refusal"})


def test_a_clock_that_is_wrong(small, pki, of_server, ask, good):
    made_context = context(of_server(), ca=pki.ca(), mode=ssl.CERT_REQUIRED)
    late = "Date: Mon, 02 Jan 2023 03:04:05 GMT\r\n"

    def answer(connection, request):
        return refusing(connection, request, True).replace(b"Connection:", late.encode() + b"Connection:")

    report = ask(small(made_context, answer), good)
    report.only("clock-skew", notes={"silent-refusal"})
    assert "behind this machine" in report.first["seen"]


def test_a_reset_without_a_word(small, pki, of_server, ask, good):
    """As AWS does it."""
    made_context = context(of_server(), ca=pki.ca(), mode=ssl.CERT_OPTIONAL)

    def answer(connection, request):
        return refusing(connection, request, True) if connection.getpeercert() else b""

    report = ask(small(made_context, answer), good)
    report.only("silent-refusal")
    assert report.code == 0


def test_plain_http(small, ask):
    ask(small(None, lambda *_: b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")).only("not-tls")


def test_nobody_there(ask):
    class Nobody:
        address = f"127.0.0.1:{free_port()}"

    report = ask(Nobody)
    report.only("unreachable")
    assert report.code == 1 and "Connection refused" in report.first["seen"]


def test_a_server_that_says_nothing(small, ask):
    """Bounded in time."""
    held = []
    running = small(None, lambda connection, _: held.append(connection.recv(65536)) or b"")
    assert ask(running).only("unreachable").json["seen"]["milliseconds"] < 15_000


def test_a_handshake_that_fails(servers, pki, of_server, ask):
    """No signature algorithm in common."""
    running = servers(s_server, of_server(), "-cipher", "ECDHE-RSA-AES128-GCM-SHA256", "-no_tls1_3")
    ask(running).only("handshake-fails")


def test_421(small, pki, of_server, ask, good):
    made_context = context(of_server(), ca=pki.ca(), mode=ssl.CERT_REQUIRED)
    report = ask(small(made_context, lambda *_: response(421)), good)
    report.only("host-refused", notes={"silent-refusal"})
    assert {finding["id"] for finding in report.first["consequences"]} == {"truststore-differs", "client-refused"}
