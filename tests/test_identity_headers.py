"""Who the client is, told to the backend by `countersign:identity-headers`: in each form as its readers expect it, and by nobody but
the gateway, whatever a client sends, and however."""

import base64
import hashlib
import json
import re
import socket
import ssl
import threading
import urllib.parse

import botocore.exceptions
import h2.events
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway import Gateway, assert_refused
from raw import connect, exchange, http2, request_head
from server import Server, error_message

STYLES = ["none", "rfc9440", "xfcc", "amzn", "nginx"]
# What each style sets.
NAMES = {
    "none": [],
    "rfc9440": ["client-cert", "client-cert-chain"],
    "xfcc": ["x-forwarded-client-cert"],
    "amzn": [f"x-amzn-mtls-clientcert-{name}" for name in ("serial-number", "issuer", "subject", "validity", "leaf")],
    "nginx": [f"x-ssl-client-{name}" for name in
              ("verify", "s-dn", "i-dn", "serial", "v-start", "v-end", "fingerprint", "fingerprint-sha256", "cert")],
}
FORGED = "CN=admin-was-here"


class RawBackend:
    """An HTTP server that keeps every byte of what comes: what a library would hide is seen too."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.seen = []
        threading.Thread(target=self.serve, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(20)
                self.seen.append(self.request(connection))
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    @staticmethod
    def request(connection):
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, body = received.split(b"\r\n\r\n", 1)
        if b"transfer-encoding: chunked" in head.lower():
            while not re.search(rb"(^|\r\n)0\r\n([^\r\n]+\r\n)*\r\n$", body):
                body += connection.recv(65536)
        elif length := re.search(rb"content-length: (\d+)", head.lower()):
            while len(body) < int(length[1]):
                body += connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def one(self):
        """The only request since the last time."""
        [seen] = self.seen
        self.seen.clear()
        return Seen(seen)


class Seen:
    """One request, byte for byte."""

    def __init__(self, raw):
        self.raw = raw
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.headers = [tuple(line.split(": ", 1)) if ": " in line else (line.rstrip(":"), "") for line in lines[1:]]

    def header(self, name):
        return [value for key, value in self.headers if key.lower() == name]

    def identity(self):
        """All headers, in lower case, that any style could have set, or that could be taken for one."""
        plain = lambda name: re.sub("[^a-z0-9]", "-", name.lower())
        return {key: value for key, value in self.headers if re.search("cert|ssl|mtls", plain(key))}


@pytest.fixture(scope="module")
def raw_backend():
    backend = RawBackend()
    yield backend
    backend.listener.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("identity")).start()
    yield started
    assert "panicked" not in started.stderr()
    started.stop()


@pytest.fixture(scope="module")
def partner(pki):
    """A client under an intermediate, with every kind of name."""
    root = pki.ca("partner-root", subject="/C=US/O=Partner, Inc./CN=Root")
    issuing = pki.client("partner-issuing", root, section="ca", subject="/C=US/O=Partner, Inc./CN=Issuing", days=3650)
    config = pki.base / "partner.cnf"
    config.write_text("[x]\nextendedKeyUsage = clientAuth\nsubjectAltName = DNS:a.partner.test, URI:spiffe://partner.test/ns/a, "
                      "email:ops@partner.test, IP:192.0.2.7, DNS:b.partner.test\n")
    identity = pki.client("partner", issuing, subject="/C=US/O=Partner, Inc./CN=Zoë", extra=("-extfile", config, "-extensions", "x"))
    return identity, issuing, root


@pytest.fixture(scope="module")
def gateways(server, raw_backend, pki, partner):
    _, issuing, root = partner
    trusted = pki.ca().pem + issuing.pem + root.pem
    made = {}
    for style in STYLES:
        tags = {} if style == "none" else {"countersign:identity-headers": style}
        made[style] = Gateway(server, raw_backend, f"{style}.yourcompany.com", trusted, tags=tags).create()
    return made


def certificate(identity):
    return x509.load_pem_x509_certificate(identity.cert.read_bytes())


def structured(value):
    """A list of byte sequences (RFC 8941)."""
    items = [item.strip() for item in value.split(",")]
    assert all(re.fullmatch(r":[A-Za-z0-9+/]+=*:", item) for item in items)
    return [base64.b64decode(item[1:-1]) for item in items]


def xfcc(value):
    """Envoy's grammar, read by the letter: elements, pairs, quotes in which a backslash escapes a quote."""
    pairs, at = [], 0
    while at < len(value):
        match = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^",;=]*))(;|$)').match(value, at)
        assert match, f"no pair at {value[at:at + 80]!r}"
        pairs.append((match[1], match[2] if match[2] is not None else match[3]))
        at = match.end()
    return pairs


def test_nothing_is_told_unless_it_is_asked_for(gateways, raw_backend, pki):
    assert gateways["none"].curl("/a", pki.client()).status == 200
    assert raw_backend.one().identity() == {}


@pytest.mark.parametrize("style", STYLES[1:])
def test_exactly_the_documented_headers(gateways, raw_backend, partner, style):
    assert gateways[style].curl("/a", partner[0]).status == 200
    seen = raw_backend.one()
    assert sorted(seen.identity()) == sorted(NAMES[style])
    assert all(len(seen.header(name)) == 1 for name in NAMES[style])


def test_rfc9440(gateways, raw_backend, partner):
    identity, issuing, root = partner
    assert gateways["rfc9440"].curl("/a", identity).status == 200
    seen = raw_backend.one()
    assert structured(seen.header("client-cert")[0]) == [certificate(identity).public_bytes(Encoding.DER)]
    above = [certificate(issuing).public_bytes(Encoding.DER), certificate(root).public_bytes(Encoding.DER)]
    assert structured(seen.header("client-cert-chain")[0]) == above, "the path, the leaf left out"


def test_xfcc(gateways, raw_backend, partner):
    identity, issuing, root = partner
    assert gateways["xfcc"].curl("/a", identity).status == 200
    pairs = xfcc(raw_backend.one().header("x-forwarded-client-cert")[0])
    assert [name for name, _ in pairs] == ["Hash", "Cert", "Chain", "Subject", "DNS", "URI", "DNS"]
    values = dict(pairs)
    assert values["Hash"] == hashlib.sha256(certificate(identity).public_bytes(Encoding.DER)).hexdigest()
    pem = lambda one: certificate(one).public_bytes(Encoding.PEM).decode()
    assert urllib.parse.unquote(values["Cert"]) == pem(identity)
    assert urllib.parse.unquote(values["Chain"]) == pem(identity) + pem(issuing) + pem(root)
    assert values["Subject"] == r"CN=Zo\C3\AB,O=Partner\, Inc.,C=US"
    assert values["URI"] == "spiffe://partner.test/ns/a"
    assert [value for name, value in pairs if name == "DNS"] == ["a.partner.test", "b.partner.test"]


def test_amzn(gateways, raw_backend, partner):
    identity, *_ = partner
    assert gateways["amzn"].curl("/a", identity).status == 200
    seen, cert = raw_backend.one(), certificate(identity)
    told = {name.removeprefix("x-amzn-mtls-clientcert-"): seen.header(name)[0] for name in NAMES["amzn"]}
    assert int(told["serial-number"], 16) == cert.serial_number and told["serial-number"].isupper()
    assert told["subject"] == r"CN=Zo\C3\AB,O=Partner\, Inc.,C=US" and told["issuer"] == r"CN=Issuing,O=Partner\, Inc.,C=US"
    instant = "%Y-%m-%dT%H:%M:%SZ"
    assert told["validity"] == f"NotBefore={cert.not_valid_before_utc:{instant}};NotAfter={cert.not_valid_after_utc:{instant}}"
    assert urllib.parse.unquote(told["leaf"]) == cert.public_bytes(Encoding.PEM).decode()
    assert "%2B" not in told["leaf"] and "%2F" not in told["leaf"], "as AWS leaves them"


def test_nginx(gateways, raw_backend, partner):
    identity, *_ = partner
    assert gateways["nginx"].curl("/a", identity).status == 200
    seen, cert = raw_backend.one(), certificate(identity)
    told = {name.removeprefix("x-ssl-client-"): seen.header(name)[0] for name in NAMES["nginx"]}
    der = cert.public_bytes(Encoding.DER)
    assert told["verify"] == "SUCCESS" and int(told["serial"], 16) == cert.serial_number
    assert told["s-dn"] == r"CN=Zo\C3\AB,O=Partner\, Inc.,C=US" and told["i-dn"] == r"CN=Issuing,O=Partner\, Inc.,C=US"
    assert told["fingerprint"] == hashlib.sha1(der).hexdigest()
    assert told["fingerprint-sha256"] == hashlib.sha256(der).hexdigest()
    assert ssl.cert_time_to_seconds(told["v-end"]) == cert.not_valid_after_utc.timestamp()
    assert urllib.parse.unquote(told["cert"]) == cert.public_bytes(Encoding.PEM).decode()


# Names that are to break out of a header, out of a quoted string, or into the next part of a name.
HOSTILE = [
    "x\r\nX-Admin: yes",
    "x\n\nGET /smuggled HTTP/1.1",
    "x\0y",
    '";Hash=0;URI=spiffe://admin',
    "\\",
    '\\";URI="spiffe://admin',
    "a,CN=admin",
    "a+CN=admin;b=c",
    " admin ",
    "Zürich 東京 \u202e\u2028\x85",
    ":AAAA:, :BBBB:",
    "%0d%0aX-Admin:%20yes",
]


@pytest.mark.parametrize("style", STYLES[1:])
@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_no_name_breaks_out(gateways, raw_backend, pki, style, name):
    identity = pki.built(f"hostile-{HOSTILE.index(name)}", [(NameOID.ORGANIZATION_NAME, "O"), (NameOID.COMMON_NAME, name)])
    assert gateways[style].curl("/a", identity).status == 200
    seen = raw_backend.one()
    wanted = [header for header in NAMES[style]]
    assert sorted(seen.identity()) == sorted(wanted) and not seen.header("x-admin")
    assert b"smuggled" not in seen.raw.split(b"\r\n")[0]
    for header in wanted:
        assert re.fullmatch("[ -~]+", seen.header(header)[0])
    if style == "xfcc":
        pairs = xfcc(seen.header("x-forwarded-client-cert")[0])
        assert [pair[0] for pair in pairs] == ["Hash", "Cert", "Chain", "Subject"]
        assert rfc4514_common_name(dict(pairs)["Subject"]) == name
    if style in ("amzn", "nginx"):
        [subject] = [seen.header(header)[0] for header in wanted if header.endswith(("-subject", "s-dn"))]
        assert rfc4514_common_name(subject) == name


def rfc4514_common_name(text):
    """The value of CN, which comes first; read by the letter of RFC 4514 section 3."""
    first = re.match(r"CN=((?:[^\\,+]|\\[0-9A-F]{2}|\\[^0-9A-F])*)(?:,O=O)?$", text)
    assert first, text
    piece = re.compile(rb"\\([0-9A-F]{2})|\\(.)|(.)", re.S)
    unescape = lambda match: bytes.fromhex(match[1].decode()) if match[1] else match[2] or match[3]
    return piece.sub(lambda match: unescape(match), first[1].encode()).decode()


def forms(name):
    """A name, and what some backend may take for it."""
    yield name
    yield name.upper()
    yield name.replace("-", "_")
    yield name.title().replace("-", "_", 1)
    yield name.replace("-", ".")
    yield name.replace("-", "~", 1)


EVERY_NAME = [name for names in NAMES.values() for name in names] + [
    "x-amzn-mtls-clientcert", "ssl-client-verify", "ssl-client-cert", "ssl-client-subject-dn", "x-client-cert", "x-ssl-cert",
    "x-client-dn", "x-forwarded-tls-client-cert", "x-forwarded-tls-client-cert-info", "x-arr-clientcert", "cf-client-cert-sha256",
    "cloudfront-viewer-cert-subject", "x-client-verify",
]
EVERY_FORM = sorted({form for name in EVERY_NAME for form in forms(name)})


def portions(names, size=40):
    """So that a head stays below what the gateway takes."""
    return [names[at:at + size] for at in range(0, len(names), size)]


@pytest.mark.parametrize("style", STYLES)
def test_forged_in_http1(server, gateways, raw_backend, pki, style):
    domain = gateways[style].domain
    for names in portions(EVERY_FORM):
        forged = "".join(f"{name}: {FORGED}\r\n{name}:{FORGED}\r\n" for name in names)
        with connect(server, domain, pki.client()) as connection:
            answer = exchange(connection, f"GET /a HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\n{forged}\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200"), answer
        check_not_forged(raw_backend.one(), style)


@pytest.mark.parametrize("style", STYLES)
def test_forged_in_http2(server, gateways, raw_backend, pki, style):
    domain = gateways[style].domain
    for names in portions(sorted({name.lower() for name in EVERY_FORM})):
        events = over_http2(server, domain, pki.client(), [(name, FORGED) for name in names * 2])
        assert status_of(events) == b"200"
        check_not_forged(raw_backend.one(), style)


@pytest.mark.parametrize("style", STYLES)
def test_named_by_connection(server, gateways, raw_backend, pki, style):
    """A client cannot have our headers taken for those of one connection, and dropped."""
    domain = gateways[style].domain
    listed = ", ".join(EVERY_NAME)
    with connect(server, domain, pki.client()) as connection:
        answer = exchange(connection, f"GET /a HTTP/1.1\r\nHost: {domain}\r\nConnection: close, {listed}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200")
    check_not_forged(raw_backend.one(), style)


@pytest.mark.parametrize("style", ["none", "nginx"])
def test_forged_in_trailers(server, gateways, raw_backend, pki, style):
    domain = gateways[style].domain
    forged = "".join(f"{name}: {FORGED}\r\n" for name in EVERY_NAME)
    head = f"POST /a HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\nTE: trailers\r\nTrailer: {', '.join(EVERY_NAME)}\r\n"
    with connect(server, domain, pki.client()) as connection:
        answer = exchange(connection, f"{head}Transfer-Encoding: chunked\r\n\r\n3;{EVERY_NAME[0]}={FORGED}\r\nabc\r\n0\r\n{forged}\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200"), answer
    seen = raw_backend.one()
    check_not_forged(seen, style)
    assert b"abc" in seen.body and not seen.header("trailer") and not seen.header("te")

    events = over_http2(server, domain, pki.client(), [], trailers=[(name, FORGED) for name in EVERY_NAME])
    assert status_of(events) == b"200"
    seen = raw_backend.one()
    check_not_forged(seen, style)
    assert b"abc" in seen.body


def over_http2(server, domain, identity, headers, trailers=None):
    with connect(server, domain, identity, alpn="h2") as connection:
        state = http2(connection, checked=False)
        state.send_headers(1, request_head(domain, "/a", "POST" if trailers else "GET") + headers, end_stream=not trailers)
        if trailers:
            state.send_data(1, b"abc")
            state.send_headers(1, trailers, end_stream=True)
        connection.sendall(state.data_to_send())
        events = []
        while not any(isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset, h2.events.ConnectionTerminated)) for event in events):
            received = connection.recv(65536)
            assert received, events
            events += state.receive_data(received)
            connection.sendall(state.data_to_send())
    return events


def status_of(events):
    return next((dict(event.headers)[b":status"] for event in events if isinstance(event, h2.events.ResponseReceived)), None)


def check_not_forged(seen, style):
    assert FORGED.encode() not in seen.raw, seen.raw
    wanted = [name for name in NAMES[style] if name]
    assert sorted(name for name, _ in seen.headers if name.lower() in EVERY_NAME) == sorted(wanted)
    assert set(seen.identity()) == set(wanted)


@pytest.mark.parametrize("http", ["1.1", "2"])
def test_a_header_that_a_mapping_fills_cannot_be_forged(gateways, raw_backend, pki, http):
    """From `$context.identity`, and from `$context.authorizer`, of which there is nothing yet."""
    gateway = gateways["none"]
    integration = gateway.api.create_integration(
        ApiId=gateway.api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", IntegrationUri=f"{raw_backend.url}/mapped",
        PayloadFormatVersion="1.0", RequestParameters={
            "append:header.X-Partner": "$context.identity.clientCert.subjectDN",
            "overwrite:header.x-principal": "$context.authorizer.principalId",
            "append:header.x-serial_number": "no ${context.identity.clientCert.serialNumber}",
        })
    route = gateway.api.create_route(ApiId=gateway.api_id, RouteKey="GET /mapped", Target=f"integrations/{integration['IntegrationId']}")
    gateway.server.settle()
    try:
        forged = [f"{form}: {FORGED}" for name in ("x-partner", "x-principal", "x-serial-number") for form in forms(name)]
        args = [arg for header in forged for arg in ("--header", header)]
        assert gateway.curl("/mapped", pki.client(), *args, http=http).status == 200
        seen = raw_backend.one()
    finally:
        gateway.api.delete_route(ApiId=gateway.api_id, RouteId=route["RouteId"])
        gateway.server.settle()
    assert FORGED.encode() not in seen.raw
    assert seen.header("x-partner") == ["C=US,O=Example,CN=client"] and seen.header("x-principal") == []
    [number] = seen.header("x-serial_number")
    assert number.startswith("no ")


def test_forged_where_no_certificate_is_asked_for(server, gateways, raw_backend):
    """An API's own endpoint knows no client, and says so by saying nothing."""
    gateway = gateways["nginx"]
    host = gateway.api_endpoint.removeprefix("https://").partition(":")[0]
    with connect(server, host) as connection:
        forged = "".join(f"{name}: {FORGED}\r\n" for name in EVERY_NAME)
        answer = exchange(connection, f"GET /prod/a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{forged}\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200"), answer
    check_not_forged(raw_backend.one(), "none")


def test_each_client_is_told_apart_on_one_connection_to_the_backend(gateways, raw_backend, pki, partner):
    for identity, name in [(pki.client(), "CN=client,O=Example,C=US"), (partner[0], r"CN=Zo\C3\AB,O=Partner\, Inc.,C=US")] * 2:
        assert gateways["nginx"].curl("/a", identity).status == 200
        assert raw_backend.one().header("x-ssl-client-s-dn") == [name]


def test_a_stranger_is_told_to_nobody(gateways, raw_backend, pki):
    assert_refused(gateways["nginx"].curl("/a", pki.self_signed()))
    assert raw_backend.seen == []


def test_the_tag_can_be_changed_and_has_to_be_right(server, raw_backend, pki):
    gateway = Gateway(server, raw_backend, "changed.yourcompany.com", pki.ca().pem).create()
    arn = f"arn:aws:apigateway:us-east-1::/domainnames/{gateway.domain}"
    for style in ["xfcc", "amzn", "none"]:
        gateway.api.tag_resource(ResourceArn=arn, Tags={"countersign:identity-headers": style})
        server.settle()
        assert gateway.curl("/a", pki.client()).status == 200
        assert sorted(raw_backend.one().identity()) == sorted(NAMES[style])
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        gateway.api.tag_resource(ResourceArn=arn, Tags={"countersign:identity-headers": "apache"})
    assert "none, rfc9440, xfcc, amzn, nginx" in error_message(caught)


def test_alternative_names_and_fingerprint_by_variables(server, backend, partner):
    """What AWS has no variable for: in the access log, and for mappings."""
    identity, issuing, root = partner
    names, digest = "$context.identity.clientCert.subjectAlternativeNames", "$context.identity.clientCert.sha256Fingerprint"
    log_format = json.dumps({"requestId": "$context.requestId", "names": names, "sha256": digest, "path": "$context.path"})
    gateway = Gateway(server, backend, "variables.yourcompany.com", issuing.pem + root.pem, log_format=log_format).create()
    integration = gateway.api.create_integration(
        ApiId=gateway.api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", IntegrationUri=f"{backend.url}/mapped",
        PayloadFormatVersion="1.0", RequestParameters={"overwrite:header.x-names": names, "overwrite:header.x-digest": digest})
    gateway.api.create_route(ApiId=gateway.api_id, RouteKey="GET /mapped", Target=f"integrations/{integration['IntegrationId']}")
    server.settle()
    assert gateway.curl("/mapped", identity, "--header", "X_Names: DNS:admin.test").status == 200
    wanted = "DNS:a.partner.test,URI:spiffe://partner.test/ns/a,email:ops@partner.test,IP Address:192.0.2.7,DNS:b.partner.test"
    sha256 = hashlib.sha256(certificate(identity).public_bytes(Encoding.DER)).hexdigest()
    assert backend.seen[0].header("x-names") == [wanted] and backend.seen[0].header("x_names") == []
    assert backend.seen[0].header("x-digest") == [sha256]
    record = gateway.record(path="/mapped")
    assert (record["names"], record["sha256"]) == (wanted, sha256)
