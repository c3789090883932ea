"""What h2spec (https://github.com/summerwind/h2spec) asks of a server, frame by frame: RFC 9113 sections 3 to 8 and RFC 7541. As there,
the end of the connection is as good as the GOAWAY that an error asks for."""

import struct
from dataclasses import dataclass

import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from frames import (
    COMPRESSION_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, NO_ERROR, PREFACE, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED, Http2, Stream, integer, literal, text)
from gateway import Gateway
from raw import connect
from recorder import Recorder

DOMAIN = "api.yourcompany.com"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
MAX_FRAME_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 0x5, 0x2, 0x3, 0x4
# A step: wait until stream 1 has been answered whole.
ANSWER = object()


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    return struct.pack(">I", length if length is not None else len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def block(*fields, method=b"GET", path=b"/x"):
    """A header block of literals."""
    head = [(b":method", method), (b":scheme", b"https"), (b":authority", DOMAIN.encode()), (b":path", path)]
    return b"".join(literal(name, value) for name, value in [*head, *fields])


def without(name):
    head = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", DOMAIN.encode()), (b":path", b"/x")]
    return b"".join(literal(*field) for field in head if field[0] != name)


def headers(stream=1, flags=END_STREAM | END_HEADERS, payload=None):
    return frame(HEADERS, flags, stream, block() if payload is None else payload)


def post(stream=1, *fields):
    """The head of a request whose payload follows."""
    return headers(stream, END_HEADERS, block(*fields, method=b"POST"))


def priority(stream, depends_on=0, weight=15, exclusive=False):
    return frame(PRIORITY, 0, stream, struct.pack(">IB", depends_on | exclusive << 31, weight))


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def huffman(octets):
    """A string in Huffman's code."""
    coded = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(octets)
    return integer(len(coded), 7, 0x80) + coded


PING_FRAME = frame(PING, 0, 0, b"h2spec!!")


@dataclass
class ErrorOfConnection:
    """GOAWAY with one of these codes, or the end."""

    codes: tuple

    def check(self, http):
        assert http.until(lambda: http.goaway not in (None, NO_ERROR) or http.closed)
        assert http.closed and http.goaway is None or http.goaway in self.codes


@dataclass
class ErrorOfStream:
    """RST_STREAM with one of these codes on the stream, or an error of the connection with one."""

    codes: tuple
    stream: int = 1

    def check(self, http):
        http.until(lambda: self.of(http).reset not in (None, NO_ERROR) or http.goaway not in (None, NO_ERROR) or http.closed)
        assert http.closed and http.goaway in (None, NO_ERROR) or http.goaway in self.codes or self.of(http).reset in self.codes

    def of(self, http):
        return http.streams.get(self.stream, Stream())


@dataclass
class Answered:
    """200 on the stream."""

    stream: int = 1

    def check(self, http):
        assert http.until(lambda: http.is_done(self.stream))
        assert http.streams[self.stream].status == 200


class GoesOn:
    """A PING is answered, and so is a request on a stream that is new."""

    def check(self, http):
        http.send(PING_FRAME + headers(101))
        assert http.until(lambda: b"h2spec!!" in http.pongs)
        Answered(101).check(http)


class Refused:
    """The head of the request is turned away: an error of the stream or of the connection, or a status of 400."""

    def check(self, http):
        http.until(http.is_done)
        stream = http.streams.get(1, Stream())
        assert stream.status == 400 or stream.reset == PROTOCOL_ERROR or http.goaway == PROTOCOL_ERROR or http.closed and stream.status is None


PROTOCOL = ErrorOfConnection((PROTOCOL_ERROR,))
SIZE = ErrorOfConnection((FRAME_SIZE_ERROR,))
DECODING = ErrorOfConnection((COMPRESSION_ERROR,))
FLOW = ErrorOfConnection((FLOW_CONTROL_ERROR,))
# On a stream that is half-closed or closed, h2spec takes either.
NO_MORE = ErrorOfStream((STREAM_CLOSED, PROTOCOL_ERROR))
MALFORMED = ErrorOfStream((PROTOCOL_ERROR,))
GOES_ON = GoesOn()
ANSWERED = Answered()

# Section, what is done: what is sent, what must come.
GENERIC = {
    "2 PRIORITY on an idle stream": ([priority(1), headers()], ANSWERED),
    "2 WINDOW_UPDATE on a half-closed stream": ([headers(), window_update(1, 100)], ANSWERED),
    "2 PRIORITY on a half-closed stream": ([headers(), priority(1)], ANSWERED),
    "2 RST_STREAM on a half-closed stream": ([headers(), frame(RST_STREAM, 0, 1, struct.pack(">I", 8))], GOES_ON),
    "2 PRIORITY on a closed stream": ([headers(), ANSWER, priority(1)], GOES_ON),
    "3.1 DATA": ([post(), frame(DATA, END_STREAM, 1, b"test")], ANSWERED),
    "3.1 several DATA": ([post(), frame(DATA, 0, 1, b"test"), frame(DATA, END_STREAM, 1, b"test")], ANSWERED),
    "3.1 DATA with padding": ([post(), frame(DATA, END_STREAM | PADDED, 1, b"\x06test" + bytes(6))], ANSWERED),
    "3.2 HEADERS": ([headers()], ANSWERED),
    "3.2 HEADERS with padding": ([headers(flags=END_STREAM | END_HEADERS | PADDED, payload=b"\x06" + block() + bytes(6))], ANSWERED),
    "3.2 HEADERS with priority": ([headers(flags=END_STREAM | END_HEADERS | HAS_PRIORITY, payload=struct.pack(">IB", 0, 255) + block())], ANSWERED),
    "3.3 PRIORITY of weight 1": ([priority(1, weight=0), headers()], ANSWERED),
    "3.3 PRIORITY of weight 256": ([priority(1, weight=255), headers()], ANSWERED),
    "3.3 PRIORITY with a dependency": ([priority(1), priority(3, depends_on=1), headers()], ANSWERED),
    "3.3 PRIORITY that is exclusive": ([priority(1), priority(3, depends_on=1, exclusive=True), headers()], ANSWERED),
    "3.3 PRIORITY on an idle stream, then a lower stream": ([priority(3), headers(1)], ANSWERED),
    "3.4 RST_STREAM": ([headers(), frame(RST_STREAM, 0, 1, struct.pack(">I", 8))], GOES_ON),
    "3.5 SETTINGS": ([settings()], GOES_ON),
    "3.7 PING": ([PING_FRAME], GOES_ON),
    "3.8 GOAWAY": ([headers(), frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0))], ANSWERED),
    "3.9 WINDOW_UPDATE of the connection": ([window_update(0, 1)], GOES_ON),
    "3.9 WINDOW_UPDATE of a stream": ([post(), window_update(1, 1), frame(DATA, END_STREAM, 1, b"test")], ANSWERED),
    "3.10 CONTINUATION": ([headers(flags=END_STREAM, payload=block()[:9]), frame(CONTINUATION, END_HEADERS, 1, block()[9:])], ANSWERED),
    "3.10 several CONTINUATION": (
        [headers(flags=END_STREAM, payload=block()[:9]), frame(CONTINUATION, 0, 1, block()[9:20]), frame(CONTINUATION, END_HEADERS, 1, block()[20:])], ANSWERED),
    "4 GET": ([headers()], ANSWERED),
    "4 HEAD": ([headers(payload=block(method=b"HEAD"))], ANSWERED),
    "4 POST": ([post(), frame(DATA, END_STREAM, 1, b"test")], ANSWERED),
    "4 POST with trailers": ([post(1, (b"trailer", b"x-test")), frame(DATA, 0, 1, b"test"), headers(payload=literal(b"x-test", b"ok"))], ANSWERED),
}

USER_AGENT, X_TEST = 58, b"x-test"
HPACK_GOOD = {
    "5 indexed field": [headers(payload=b"\x82\x87" + literal(b":authority", DOMAIN.encode()) + literal(b":path", b"/x"))],
} | {
    f"5 literal {how}, {name_kind} name, {coding}": [headers(payload=block() + (integer(USER_AGENT, bits, first) if name_kind == "indexed" else bytes([first]) + encode(X_TEST)) + encode(b"ok"))]
    for how, bits, first in [("with indexing", 6, 0x40), ("without indexing", 4, 0x00), ("never indexed", 4, 0x10)]
    for name_kind in ["indexed", "new"]
    for coding, encode in [("plain", text), ("Huffman", huffman)]
} | {
    "5 table size update": [headers(payload=b"\x20" + block())],
    "5 two table size updates": [headers(payload=b"\x20" + integer(4096, 5, 0x20) + block())],
}


HPACK = {
    "2.3.3 an index that is not there": ([headers(payload=block() + b"\xfe")], DECODING),
    "2.3.3 a literal with an index that is not there": ([headers(payload=block() + b"\x7f\x7f" + text(b"a"))], DECODING),
    "4.2 table size update at the end of a block": ([headers(payload=block() + integer(1, 5, 0x20))], DECODING),
    "5.2 Huffman padding of more than 7 bits": ([headers(payload=block() + b"\x00" + text(X_TEST) + b"\x86\x49\x50\x9f\xff\xff\xff")], DECODING),
    "5.2 Huffman padding of zeros": ([headers(payload=block() + b"\x00" + text(X_TEST) + b"\x83\x49\x50\x90")], DECODING),
    "5.2 Huffman with EOS": ([headers(payload=block() + b"\x00" + text(X_TEST) + b"\x88\xff\xff\xff\xff\xff\xff\xff\xff")], DECODING),
    "6.1 index 0": ([headers(payload=block() + b"\x80")], DECODING),
    "6.3 table size update above the setting": ([headers(payload=integer(4097, 5, 0x20) + block())], DECODING),
}

SPEC = {
    "4.1 unknown type of frame": ([frame(0x16, 0, 0, bytes(8))], GOES_ON),
    "4.1 undefined flags": ([frame(PING, 0x16, 0, b"12345678")], GOES_ON),
    "4.1 reserved bit": ([frame(PING, 0, 1 << 31, b"12345678")], GOES_ON),
    "4.2 DATA of 2^14": ([post(), frame(DATA, END_STREAM, 1, bytes(16384))], ANSWERED),
    "4.2 DATA above the maximum": ([post(), frame(DATA, END_STREAM, 1, bytes(16385))], ErrorOfStream((FRAME_SIZE_ERROR,))),
    "4.2 HEADERS above the maximum": ([headers(payload=block((b"x-a", b"a" * 16400)))], SIZE),
    "4.3 invalid block": ([headers(payload=b"\x00\x00\x01\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff")], ErrorOfConnection((COMPRESSION_ERROR, PROTOCOL_ERROR))),
    "4.3 PRIORITY inside a block": ([headers(flags=END_STREAM), priority(1), frame(CONTINUATION, END_HEADERS, 1, literal(b"x-a", b"a"))], PROTOCOL),
    "4.3 HEADERS of another stream inside a block": ([headers(flags=END_STREAM), headers(3), frame(CONTINUATION, END_HEADERS, 1, literal(b"x-a", b"a"))], PROTOCOL),
    "5.1 idle: DATA": ([frame(DATA, END_STREAM, 1, b"test")], PROTOCOL),
    "5.1 idle: RST_STREAM": ([frame(RST_STREAM, 0, 1, struct.pack(">I", 8))], PROTOCOL),
    "5.1 idle: WINDOW_UPDATE": ([window_update(1, 100)], PROTOCOL),
    "5.1 idle: CONTINUATION": ([frame(CONTINUATION, END_HEADERS, 1, block())], PROTOCOL),
    "5.1 half-closed: DATA": ([headers(), frame(DATA, END_STREAM, 1, b"test")], NO_MORE),
    "5.1 half-closed: HEADERS": ([headers(), headers()], NO_MORE),
    "5.1 half-closed: CONTINUATION": ([headers(), frame(CONTINUATION, END_HEADERS, 1, block())], NO_MORE),
    "5.1 closed by RST_STREAM: DATA": ([post(), frame(RST_STREAM, 0, 1, struct.pack(">I", 8)), frame(DATA, END_STREAM, 1, b"test")], NO_MORE),
    "5.1 closed by RST_STREAM: HEADERS": ([post(), frame(RST_STREAM, 0, 1, struct.pack(">I", 8)), headers()], NO_MORE),
    "5.1 closed by RST_STREAM: CONTINUATION": ([post(), frame(RST_STREAM, 0, 1, struct.pack(">I", 8)), frame(CONTINUATION, END_HEADERS, 1, block())], NO_MORE),
    "5.1 closed: DATA": ([headers(), ANSWER, frame(DATA, END_STREAM, 1, b"test")], NO_MORE),
    "5.1 closed: HEADERS": ([headers(), ANSWER, headers()], NO_MORE),
    "5.1 closed: CONTINUATION": ([headers(), ANSWER, frame(CONTINUATION, END_HEADERS, 1, block())], NO_MORE),
    "5.1.1 an even stream": ([headers(2)], PROTOCOL),
    "5.1.1 a stream below the last": ([headers(5), headers(3)], ErrorOfConnection((PROTOCOL_ERROR, STREAM_CLOSED))),
    "5.1.2 more streams than allowed": ([b"".join(post(stream) for stream in range(1, 400, 2))], ErrorOfStream((PROTOCOL_ERROR, REFUSED_STREAM), stream=399)),
    "5.3.1 HEADERS that depend on themselves": ([headers(flags=END_STREAM | END_HEADERS | HAS_PRIORITY, payload=struct.pack(">IB", 1, 255) + block())], MALFORMED),
    "5.3.1 PRIORITY that depends on itself": ([priority(1, depends_on=1)], MALFORMED),
    "5.4.1 invalid PING": ([frame(PING, 0, 0, bytes(6))], SIZE),
    "5.5 unknown frame": ([frame(0xFF, 0, 0, bytes(8))], GOES_ON),
    "5.5 unknown frame inside a block": ([headers(flags=END_STREAM), frame(0xFF, 0, 1, bytes(8)), frame(CONTINUATION, END_HEADERS, 1, literal(b"x-a", b"a"))], PROTOCOL),
    "6.1 DATA on stream 0": ([frame(DATA, END_STREAM, 0, b"test")], PROTOCOL),
    "6.1 DATA on a stream that is not open": ([headers(), ANSWER, frame(DATA, END_STREAM, 1, b"test")], NO_MORE),
    "6.1 DATA with too much padding": ([post(), frame(DATA, END_STREAM | PADDED, 1, b"\x10test")], PROTOCOL),
    "6.2 HEADERS without END_HEADERS, and PRIORITY": ([headers(flags=END_STREAM), priority(1)], PROTOCOL),
    "6.2 HEADERS without END_HEADERS, and another's HEADERS": ([headers(flags=END_STREAM), headers(3)], PROTOCOL),
    "6.2 HEADERS on stream 0": ([headers(0)], PROTOCOL),
    "6.2 HEADERS with too much padding": ([headers(flags=END_STREAM | END_HEADERS | PADDED, payload=b"\xff" + block())], PROTOCOL),
    "6.3 PRIORITY on stream 0": ([priority(0)], PROTOCOL),
    "6.3 PRIORITY of 4 octets": ([frame(PRIORITY, 0, 1, bytes(4))], ErrorOfStream((FRAME_SIZE_ERROR,))),
    "6.4 RST_STREAM on stream 0": ([frame(RST_STREAM, 0, 0, bytes(4))], PROTOCOL),
    "6.4 RST_STREAM on an idle stream": ([frame(RST_STREAM, 0, 1, struct.pack(">I", 8))], PROTOCOL),
    "6.4 RST_STREAM of 3 octets": ([post(), frame(RST_STREAM, 0, 1, bytes(3))], SIZE),
    "6.5 SETTINGS with ACK and a payload": ([frame(SETTINGS, ACK, 0, bytes(6))], SIZE),
    "6.5 SETTINGS on a stream": ([frame(SETTINGS, 0, 1, struct.pack(">HI", MAX_CONCURRENT_STREAMS, 1))], PROTOCOL),
    "6.5 SETTINGS of 3 octets": ([frame(SETTINGS, 0, 0, bytes(3))], SIZE),
    "6.5.2 ENABLE_PUSH of 2": ([settings((ENABLE_PUSH, 2))], PROTOCOL),
    "6.5.2 INITIAL_WINDOW_SIZE above the maximum": ([settings((INITIAL_WINDOW_SIZE, 2**31))], FLOW),
    "6.5.2 MAX_FRAME_SIZE below 2^14": ([settings((MAX_FRAME_SIZE, 16383))], PROTOCOL),
    "6.5.2 MAX_FRAME_SIZE above 2^24 - 1": ([settings((MAX_FRAME_SIZE, 2**24))], PROTOCOL),
    "6.5.2 unknown setting": ([settings((0xFF, 1))], GOES_ON),
    "6.7 PING on a stream": ([frame(PING, 0, 1, bytes(8))], PROTOCOL),
    "6.7 PING of 6 octets": ([frame(PING, 0, 0, bytes(6))], SIZE),
    "6.8 GOAWAY on a stream": ([frame(GOAWAY, 0, 1, struct.pack(">II", 0, 0))], PROTOCOL),
    "6.9 WINDOW_UPDATE of 0": ([window_update(0, 0)], PROTOCOL),
    "6.9 WINDOW_UPDATE of 0 on a stream": ([post(), window_update(1, 0)], MALFORMED),
    "6.9 WINDOW_UPDATE of 3 octets": ([frame(WINDOW_UPDATE, 0, 0, bytes(3))], SIZE),
    "6.9.1 the connection's window above 2^31 - 1": ([window_update(0, 2**31 - 1) * 2], FLOW),
    "6.9.1 a stream's window above 2^31 - 1": ([post(), window_update(1, 2**31 - 1) * 2], ErrorOfStream((FLOW_CONTROL_ERROR,))),
    "6.9.2 INITIAL_WINDOW_SIZE above the maximum": ([settings((INITIAL_WINDOW_SIZE, 2**31))], FLOW),
    "6.10 several CONTINUATION": ([headers(flags=END_STREAM, payload=block()), frame(CONTINUATION, 0, 1, literal(b"x-a", b"a")), frame(CONTINUATION, END_HEADERS, 1, literal(b"x-b", b"b"))], ANSWERED),
    "6.10 CONTINUATION, then DATA": ([headers(flags=0), frame(CONTINUATION, 0, 1, literal(b"x-a", b"a")), frame(DATA, END_STREAM, 1, b"test")], PROTOCOL),
    "6.10 CONTINUATION on stream 0": ([headers(flags=END_STREAM), frame(CONTINUATION, END_HEADERS, 0, literal(b"x-a", b"a"))], PROTOCOL),
    "6.10 CONTINUATION behind END_HEADERS": ([post(), frame(CONTINUATION, END_HEADERS, 1, literal(b"x-a", b"a"))], PROTOCOL),
    "6.10 CONTINUATION behind the last CONTINUATION": ([headers(flags=0), frame(CONTINUATION, END_HEADERS, 1, literal(b"x-a", b"a")) * 2], PROTOCOL),
    "6.10 CONTINUATION behind DATA": ([post(), frame(DATA, 0, 1, b"test"), frame(CONTINUATION, END_HEADERS, 1, literal(b"x-a", b"a"))], PROTOCOL),
    "7 GOAWAY of an unknown code": ([headers(), frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0xFF))], ANSWERED),
    "7 RST_STREAM of an unknown code": ([post(), frame(RST_STREAM, 0, 1, struct.pack(">I", 0xFF))], GOES_ON),
    "8.1 a second HEADERS without END_STREAM": ([post(), headers(flags=END_HEADERS, payload=literal(b"x-a", b"a")), frame(DATA, END_STREAM, 1, b"test")], MALFORMED),
    "8.2 an uppercase name": ([headers(payload=block((b"X-TEST", b"ok")))], MALFORMED),
    "8.2.2 connection": ([headers(payload=block((b"connection", b"keep-alive")))], MALFORMED),
    "8.2.2 te": ([headers(payload=block((b"te", b"trailers, deflate")))], MALFORMED),
    "8.3 an unknown pseudo-header": ([headers(payload=literal(b":test", b"ok") + block())], MALFORMED),
    "8.3 a response's pseudo-header": ([headers(payload=literal(b":status", b"200") + block())], MALFORMED),
    "8.3 a pseudo-header behind a field": ([headers(payload=literal(b"x-test", b"ok") + block())], MALFORMED),
    "8.3.1 an empty :path": ([headers(payload=block(path=b""))], Refused()),
    "8.3.1 no :method": ([headers(payload=without(b":method"))], MALFORMED),
    "8.3.1 no :scheme": ([headers(payload=without(b":scheme"))], MALFORMED),
    "8.3.1 no :path": ([headers(payload=without(b":path"))], MALFORMED),
    "8.3.1 :method twice": ([headers(payload=literal(b":method", b"GET") + block())], MALFORMED),
    "8.3.1 :scheme twice": ([headers(payload=literal(b":scheme", b"https") + block())], MALFORMED),
    "8.3.1 :path twice": ([headers(payload=literal(b":path", b"/x") + block())], MALFORMED),
    "8.1.1 a length that the payload does not have": ([post(1, (b"content-length", b"1")), frame(DATA, END_STREAM, 1, b"test")], MALFORMED),
    "8.1.1 a length that the payloads do not have": ([post(1, (b"content-length", b"1")), frame(DATA, 0, 1, b"test"), frame(DATA, END_STREAM, 1, b"test")], MALFORMED),
    "8.4 PUSH_PROMISE": ([frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + block())], PROTOCOL),
}

CASES = GENERIC | {f"HPACK {name}": case for name, case in HPACK.items()} | {f"HPACK {name}": (steps, ANSWERED) for name, steps in HPACK_GOOD.items()} | SPEC

# h2 ends the connection with PROTOCOL_ERROR, where the RFCs have a code that says more.
LESS_SPECIFIC = {
    *(f"HPACK {name}" for name in HPACK), "5.4.1 invalid PING", "6.3 PRIORITY of 4 octets", "6.4 RST_STREAM of 3 octets", "6.5 SETTINGS with ACK and a payload", "6.5 SETTINGS of 3 octets",
    "6.5.2 INITIAL_WINDOW_SIZE above the maximum", "6.7 PING of 6 octets", "6.9 WINDOW_UPDATE of 3 octets", "6.9.2 INITIAL_WINDOW_SIZE above the maximum",
}


@pytest.fixture(scope="module")
def recorder():
    listening = Recorder()
    yield listening
    listening.close()


@pytest.fixture(scope="module")
def gateway(server, recorder, pki):
    return Gateway(server, recorder, DOMAIN, pki.ca().pem).create()


@pytest.fixture
def connection(server, gateway, pki):
    with connect(server, DOMAIN, pki.client(), alpn="h2", timeout_s=10) as opened:
        yield opened


@pytest.mark.parametrize("name", CASES)
def test_asked_by_h2spec(connection, name):
    steps, wanted = CASES[name]
    http = Http2(connection)
    for step in steps:
        if step is ANSWER:
            ANSWERED.check(http)
        else:
            http.send(step)
    (PROTOCOL if name in LESS_SPECIFIC else wanted).check(http)


def test_3_4_the_first_frame_is_settings(connection):
    http = Http2(connection)
    http.until(lambda: http.settings)
    assert list(http.streams) == [0] and not http.pongs and http.goaway is None


def test_3_4_an_invalid_preface_ends_the_connection(connection):
    http = Http2(connection, preface=False)
    http.send(b"INVALID CONNECTION PREFACE\r\n\r\n")
    http.until(lambda: http.closed)
    assert http.closed


def test_6_5_3_settings_are_acknowledged(connection):
    http = Http2(connection)
    http.send(settings())
    assert http.until(lambda: http.acknowledged == 2)


def test_6_7_a_ping_comes_back_and_its_ack_does_not(connection):
    http = Http2(connection)
    http.send(frame(PING, ACK, 0, b"87654321") + PING_FRAME)
    assert http.until(lambda: http.pongs)
    assert http.pongs == [b"h2spec!!"]


def test_6_9_1_no_more_is_sent_than_the_window_has(connection):
    """And 6.5.3: of two values of one setting the last holds; 6.9.2: a window that is changed holds for streams that are open."""
    http = Http2(connection, preface=False)
    http.send(PREFACE + settings((INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 1)) + headers())
    assert http.until(lambda: http.streams.get(1, Stream()).data)
    http.send(PING_FRAME)
    assert http.until(lambda: http.pongs)
    assert http.streams[1].data == b"s"
    # Negative now: it takes three to send one more.
    http.send(settings((INITIAL_WINDOW_SIZE, 0)) + window_update(1, 1) + PING_FRAME)
    assert http.until(lambda: len(http.pongs) == 2)
    assert http.streams[1].data == b"s"
    http.send(window_update(1, 1))
    assert http.until(lambda: http.streams[1].data == b"st")
    http.send(settings((INITIAL_WINDOW_SIZE, 100)))
    ANSWERED.check(http)
    assert http.streams[1].data == b"stored"
