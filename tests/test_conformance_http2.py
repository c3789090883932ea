"""HTTP/2 requests that the gateway would have to turn into HTTP/1.1 for its backend and cannot, or that two servers could read
differently. Each arrives once, clean, or not at all; what is refused ends its stream or its connection (RFC 9113 section 8.1.1)."""

from dataclasses import dataclass

import pytest
from hyperframe.frame import PriorityFrame

from frames import NO_ERROR, Http2
from gateway import Gateway
from raw import connect
from recorder import Recorder

DOMAIN = "api.yourcompany.com"
METHOD, SCHEME, AUTHORITY, PATH = (":method", "POST"), (":scheme", "https"), (":authority", DOMAIN), (":path", "/x")
HEAD = [METHOD, SCHEME, AUTHORITY, PATH]
# What an attacker wants the backend to see.
SMUGGLED = f"GET /smuggled HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n"
ARRIVES = ("POST", "/x", b"")

# A stream error, a connection error, or 400 and its like: RFC 9113 leaves the choice.
REFUSED = {"reset", "goaway", 400, 421, 431}
SERVED = {200}


@dataclass
class Case:
    """One request: its fields, the frames of its payload (none: the head ends the stream), its trailers; and what must come of it."""

    fields: list
    payload: tuple = ()
    trailers: list | None = None
    answers: frozenset = frozenset(REFUSED)
    arrives: tuple = ARRIVES
    # Lines of the head as the backend must see them, and beginnings of those that it may not see.
    having: tuple = ()
    without: tuple = ()


def served(*fields, head=HEAD, answers=frozenset(SERVED), **parts):
    """A request that arrives; with other `answers`, refusing it is as safe."""
    return Case([*head, *fields], answers=frozenset(answers), **parts)


def refused(*fields, head=HEAD, **parts):
    return Case([*head, *fields], **parts)


def with_path(path):
    return [METHOD, SCHEME, AUTHORITY, (":path", path)]


def with_authority(authority):
    return [METHOD, SCHEME, (":authority", authority), PATH]


INJECTIONS = {
    f"{name} in a value": refused(("x-a", f"a{octets}b"))
    for name, octets in {
        "a line feed": "\n", "a carriage return": "\r", "a line end": "\r\n", "NUL": "\x00", "a field": "\r\nx-b: b", "a length": "\r\nContent-Length: 100",
        "an encoding": "\r\nTransfer-Encoding: chunked", "a request": f"\r\n\r\n{SMUGGLED}", "a line feed and a field": "\nx-b: b", "a fold": "\r\n b", "VT": "\x0b", "ESC": "\x1b", "DEL": "\x7f",
    }.items()
} | {
    f"{octets!r} in a name": refused((f"x{octets}a", "a"))
    for octets in ["\r", "\n", "\r\n", "\x00", " ", "\t", "\x0b", "\x7f", "\x80", "\xff", ":", "(", ")", "<", ">", "@", ",", ";", "\\", "\"", "/", "[", "]", "?", "=", "{", "}", ": a\r\nx-b", "\r\n\r\nGET / HTTP/1.1\r\n"]
} | {
    f"{name!r} for a name": refused((name, "a")) for name in ["", "X-A", "x-A", " x-a", "x-a ", "Content-Length", "Transfer-Encoding", "HOST"]
} | {
    # Values may not begin or end with whitespace (RFC 9113 section 8.2.1); without it they have one meaning.
    f"{value!r} for a value": served(("x-a", value), answers=REFUSED | SERVED) for value in [" a", "a ", "\ta", "a\t"]
} | {
    f"obs-text {octet!r} in a value": served(("x-a", f"a{octet}b")) for octet in "\x80\xff"
} | {
    "an empty value": served(("x-a", ""), having=("x-a: ",)),
    "a line end in a cookie": refused(("cookie", "a=b\r\nx-b: b")),
    "a line end in a user agent": refused(("user-agent", "a\r\nx-b: b")),
    "a line end in a length": refused(("content-length", "0\r\nx-b: b")),
    "a line end in Host": refused(("host", f"{DOMAIN}\r\nx-b: b")),
}

PSEUDO = {
    f"{name} twice": refused((name, value)) for name, value in HEAD
} | {
    f"{name} twice, with another value": refused((name, value)) for name, value in
    [(":method", "GET"), (":scheme", "http"), (":authority", "other.example"), (":path", "/y")]
} | {
    f"{name} behind a field": Case([field for field in HEAD if field[0] != name] + [("x-a", "a"), (name, value)]) for name, value in HEAD
} | {
    f"no {name}": Case([field for field in HEAD if field[0] != name]) for name in (":method", ":scheme", ":path", ":authority")
} | {
    f"{name} that nobody knows": Case([*HEAD[:4], (name, value), ("x-a", "a")]) for name, value in
    [(":status", "200"), (":foo", "a"), (":", "a"), (":host", DOMAIN), (":Path", "/y"), (":path ", "/y"), (":method\x00", "GET"), (":protocol", "websocket")]
} | {
    f"method {method!r}": refused(head=[(":method", method), *HEAD[1:]])
    for method in ["", " ", "GET ", " GET", "GET /y", "GET /y HTTP/1.1\r\nx-b: b\r\n", "GE\rT", "GE\nT", "GE\x00T", "GE:T", "GET\t", "G(T", "\xff"]
} | {
    f"method {method!r}": served(head=[(":method", method), *HEAD[1:]], answers=REFUSED | SERVED | {404, 405, 501}, arrives=(method, "/x", b""))
    for method in ["get", "FOO", "PRI", "TRACE"]
} | {
    f"path {path!r}": refused(head=with_path(path))
    for path in ["", "x", "*", "/x y", "/x HTTP/1.1", "/x HTTP/1.1\r\nx-b: b", f"/x HTTP/1.1\r\n\r\n{SMUGGLED}", "/x\ty", "/x\r", "/x\n", "/x\x00", "/x\x0b", "/x\x7f", "/x\x80", " /x", "/x ",
                 "https://other.example/x", f"https://{DOMAIN}/x", "other.example:443", "/a/../x", "/a/%2e%2e/x"]
} | {
    # h2 takes them for the root's, which no route of ours is for.
    "a path that is a query": refused(head=with_path("?x"), answers=frozenset(REFUSED | {404})),
    "a path that is a fragment": refused(head=with_path("#x"), answers=frozenset(REFUSED | {404})),
    "a path in UTF-8": served(head=with_path("/x\xc3\xa4"), answers=REFUSED | SERVED, arrives=("POST", "/x\xc3\xa4", b"")),
    "a path with a fragment": served(head=with_path("/x#y"), answers=REFUSED | SERVED),
    "a path with an encoded line end": served(head=with_path("/x%0d%0ax-b:b"), arrives=("POST", "/x%0d%0ax-b:b", b"")),
    "a path of two slashes": served(head=with_path("//other.example/x"), arrives=("POST", "//other.example/x", b"")),
    "OPTIONS *": refused(head=[(":method", "OPTIONS"), SCHEME, AUTHORITY, (":path", "*")]),
} | {
    f"authority {authority!r}": refused(head=with_authority(authority))
    for authority in ["", " ", f"a@{DOMAIN}", f"a:b@{DOMAIN}", f"{DOMAIN}@other.example", f"{DOMAIN}/y", f"{DOMAIN}?y", f"{DOMAIN}#y", f"{DOMAIN} other.example", f"{DOMAIN}, other.example", f"{DOMAIN}\r\nx-b: b", f"{DOMAIN}\n",
                      f"{DOMAIN}\x00", f"{DOMAIN}:x", f"{DOMAIN}:80:80", f"https://{DOMAIN}", "other.example", f"x.{DOMAIN}", "localhost", "127.0.0.1", "[::1]", "[::1", f"{DOMAIN}\\@other.example", "api%2eyourcompany.com", "*"]
} | {
    f"authority {authority!r}": served(head=with_authority(authority)) for authority in [f"{DOMAIN}:443", DOMAIN.upper()]
} | {
    f"scheme {scheme!r}": refused(head=[METHOD, (":scheme", scheme), AUTHORITY, PATH])
    for scheme in [" ", "https ", "ht tps", "https\r\nx-b: b", "https://other.example/y?", "https\x00", "https:", "\xff"]
} | {
    # RFC 9113 section 8.3.1: a gateway is not bound to it, and ours passes none on.
    f"scheme {scheme!r}": served(head=[METHOD, (":scheme", scheme), AUTHORITY, PATH], answers=REFUSED | SERVED) for scheme in ["http", "HTTPS", "ftp", "wss", "", "1https"]
} | {
    "the same Host beside the authority": served(("host", DOMAIN)),
    "another Host beside the authority": refused(("host", "other.example")),
    "an empty Host beside the authority": refused(("host", "")),
    "two Hosts beside the authority": refused(("host", DOMAIN), ("host", DOMAIN)),
    "Host in the authority's place": served(("host", DOMAIN), head=[METHOD, SCHEME, PATH], answers=REFUSED | SERVED),
    "another Host in the authority's place": refused(("host", "other.example"), head=[METHOD, SCHEME, PATH]),
    "CONNECT": Case([(":method", "CONNECT"), (":authority", f"{DOMAIN}:443")], answers=frozenset(REFUSED | {405, 501})),
    "CONNECT with a path": Case([(":method", "CONNECT"), *HEAD[1:]], answers=frozenset(REFUSED | {405, 501})),
    "CONNECT elsewhere": Case([(":method", "CONNECT"), (":authority", "127.0.0.1:22")], answers=frozenset(REFUSED | {405, 501})),
    "extended CONNECT that was not offered": Case([(":method", "CONNECT"), (":protocol", "websocket"), *HEAD[1:]], answers=frozenset(REFUSED | {405, 501})),
    "no fields": Case([]),
    # Malformed (RFC 9113 section 8.1), but h2 reads them over, and no trailer is passed on.
    "pseudo-headers in trailers": served(payload=(b"a",), trailers=[(":path", "/y")], answers=REFUSED | SERVED, arrives=("POST", "/x", b"a")),
    "a status in trailers": served(payload=(b"a",), trailers=[(":status", "200")], answers=REFUSED | SERVED, arrives=("POST", "/x", b"a")),
}

FRAMING = {
    f"{name}: {value}": refused((name, value))
    for name, value in [
        ("transfer-encoding", "chunked"), ("transfer-encoding", "identity"), ("transfer-encoding", ""), ("connection", "keep-alive"), ("connection", "close"), ("connection", "transfer-encoding"), ("connection", "upgrade"),
        ("upgrade", "h2c"), ("upgrade", "websocket"), ("keep-alive", "timeout=5"), ("proxy-connection", "keep-alive"), ("te", "gzip"), ("te", "chunked"), ("te", "trailers, gzip"),
    ]
} | {
    "te: trailers": served(("te", "trailers"), without=("te:",)),
    "transfer-encoding with a payload": refused(("transfer-encoding", "chunked"), payload=(b"0\r\n\r\n" + SMUGGLED.encode(),)),
    "transfer-encoding and a length": refused(("transfer-encoding", "chunked"), ("content-length", "5"), payload=(b"0\r\n\r\n",)),
    "an alias of transfer-encoding": served(("transfer_encoding", "chunked"), without=("transfer_encoding:",)),
    "an alias of the length": served(("content_length", "100"), payload=(b"hello",), arrives=("POST", "/x", b"hello"), without=("content_length:",)),
    "http2-settings and upgrade": refused(("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABk")),
    "a length that is right": served(("content-length", "5"), payload=(b"he", b"llo"), arrives=("POST", "/x", b"hello")),
    "a length of nothing": served(("content-length", "0")),
    "no length": served(payload=(b"hello",), arrives=("POST", "/x", b"hello")),
    "a payload that is a request": served(payload=(SMUGGLED.encode(),), arrives=("POST", "/x", SMUGGLED.encode())),
    "a payload of chunks": served(payload=(b"0\r\n\r\n" + SMUGGLED.encode(),), arrives=("POST", "/x", b"0\r\n\r\n" + SMUGGLED.encode())),
    "a length that is too small": refused(("content-length", "2"), payload=(b"he" + SMUGGLED.encode(),)),
    # The request is whole before the payload comes, and may be answered by then.
    "a length of nothing, and a payload": served(
        ("content-length", "0"), payload=(SMUGGLED.encode(),), answers={*SERVED, *REFUSED}),
    "a length that is too large": refused(("content-length", "100"), payload=(b"hello",)),
    "a length without a payload": refused(("content-length", "5")),
    "a length that is exceeded by a later frame": refused(("content-length", "5"), payload=(b"hello", SMUGGLED.encode())),
    "two lengths": refused(("content-length", "5"), ("content-length", "6"), payload=(b"hello",)),
    "two equal lengths": Case([*HEAD, ("content-length", "5"), ("content-length", "5")], payload=(b"hello",)),
} | {
    f"length {value!r}": refused(("content-length", value), payload=(b"hello",))
    for value in ["", "+5", "-5", "0x5", "5,5", "5, 5", "5 5", "5\x00", "five", "5.0", "18446744073709551621", "99999999999999999999999"]
} | {
    f"length {value!r}": served(("content-length", value), payload=(b"hello",), arrives=("POST", "/x", b"hello"), answers=REFUSED | SERVED) for value in ["05", " 5", "5 "]
} | {
    # They are read over: a backend could take them for fields of the head.
    f"trailer {name}": served(payload=(b"hello",), trailers=[(name, value)], arrives=("POST", "/x", b"hello"), answers=SERVED | (REFUSED if name != "x-a" else set()), without=(f"{name}: {value}",))
    for name, value in [("x-a", "a"), ("content-length", "100"), ("transfer-encoding", "chunked"), ("host", "other.example"), ("authorization", "Basic eA=="), ("x-amzn-mtls-clientcert", "forged")]
} | {
    f"trailer {name!r}: {value!r}": refused(payload=(b"hello",), trailers=[(name, value)]) for name, value in [("x-a", "a\r\nx-b: b"), ("X-A", "a"), ("x a", "a"), ("x-a", "a\x00"), ("connection", "close")]
}

FIELDS = {
    "cookies in pieces": served(("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3; d=4"), having=("cookie: a=1; b=2; c=3; d=4",)),
    "one cookie": served(("cookie", "a=1"), having=("cookie: a=1",)),
    "a field twice": served(("x-a", "1"), ("x-a", "2"), having=("x-a: 1", "x-a: 2")),
    "a forged identity": served(("x-amzn-mtls-clientcert", "forged"), ("x_amzn_mtls_clientcert", "forged"), without=("x-amzn-mtls-clientcert: forged", "x_amzn")),
    "a forged origin": served(("forwarded", "for=192.0.2.9"), ("x-forwarded-for", "192.0.2.9"), without=("forwarded: for=192.0.2.9", "x-forwarded-for")),
    "expect": served(("expect", "100-continue"), without=("expect",), answers=SERVED | REFUSED | {417}),
    "a field too large": refused(("x-a", "a" * 12_000)),
    "many fields": refused(*[(f"x-{n}", "a" * 50) for n in range(300)]),
}

TABLES = [INJECTIONS, PSEUDO, FRAMING, FIELDS]
CASES = {name: case for table in TABLES for name, case in table.items()}


def test_no_case_hides_another():
    assert len(CASES) == sum(map(len, TABLES))


@pytest.fixture(scope="module")
def recorder():
    listening = Recorder()
    yield listening
    listening.close()


@pytest.fixture(scope="module")
def gateway(server, recorder, pki):
    return Gateway(server, recorder, DOMAIN, pki.ca().pem).create()


def play(http, case):
    """Sends it on stream 1; gives how it ended: a status, "reset" or "goaway"."""
    sent = [http.headers(case.fields, end=not case.payload)]
    http.send(sent[0])
    for number, payload in enumerate(case.payload):
        http.data(payload, end=case.trailers is None and number == len(case.payload) - 1)
    if case.trailers is not None:
        http.request(case.trailers)
    http.until(http.is_done)
    stream = http.streams.get(1)
    # An answer that came before the rest was refused is an answer.
    if stream and stream.status:
        return stream.status
    return "reset" if stream and stream.reset is not None and http.goaway in (None, NO_ERROR) else "goaway"


@pytest.mark.parametrize("name", CASES)
def test_arrives_once_or_not_at_all(server, gateway, recorder, pki, name):
    case = CASES[name]
    recorder.clear()
    with connect(server, DOMAIN, pki.client(), alpn="h2") as connection:
        outcome = play(Http2(connection), case)
    assert outcome in case.answers
    arrived = recorder.arrived()
    assert [(request.method, request.target, request.payload) for request in arrived] == ([case.arrives] if outcome == 200 else [])
    for request in arrived:
        fields = [f"{name}: {value}" for name, value in request.text_fields()]
        assert [field for field in fields if field in case.having] == list(case.having)
        assert not any(field.startswith(unwanted) for field in fields for unwanted in case.without)


@pytest.mark.parametrize("name", CASES)
def test_nothing_of_a_stranger_arrives(server, gateway, recorder, name):
    """The same of somebody without a certificate."""
    recorder.clear()
    with connect(server, DOMAIN, alpn="h2") as connection:
        outcome = play(Http2(connection), CASES[name])
    assert outcome in {403, "reset", "goaway", 400, 431}
    assert recorder.arrived() == []


@pytest.mark.parametrize("name", CASES)
def test_other_streams_go_on(server, gateway, recorder, pki, name):
    """A request on another stream of the connection arrives and is answered whole, or the connection ends as a whole."""
    recorder.clear()
    with connect(server, DOMAIN, pki.client(), alpn="h2") as connection:
        http = Http2(connection)
        play(http, CASES[name])
        http.send(PriorityFrame(1, depends_on=0, stream_weight=15, exclusive=False))
        http.request([(":method", "GET"), SCHEME, AUTHORITY, (":path", "/after")], stream=3)
        http.until(lambda: http.is_done(3))
        after = http.streams.get(3)
        assert after and after.status == 200 and after.data == b"stored" or http.goaway is not None or http.closed
    assert [request.target for request in recorder.arrived()].count("/after") == (1 if after and after.status == 200 else 0)
