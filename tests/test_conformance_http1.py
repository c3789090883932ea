"""HTTP/1.1 requests that two servers could read differently, over TLS to the running gateway. Each either arrives at the backend
once, clean, or not at all; and what is answered with a refusal ends its connection, so that nothing behind it is read.

The expectations are those of RFC 9112 and RFC 9110, and of safety: where a server may choose, all safe answers are listed."""

import random
import socket
import ssl
from dataclasses import dataclass

import pytest

from gateway import Gateway
from raw import connect
from recorder import Recorder
from responses import Responses

DOMAIN = "api.yourcompany.com"
HOST = f"Host: {DOMAIN}"
AFTER = f"GET /after HTTP/1.1\r\n{HOST}\r\nConnection: close\r\n\r\n".encode()
# What an attacker wants the backend to see.
SMUGGLED = f"GET /smuggled HTTP/1.1\r\n{HOST}\r\n\r\n".encode()
# The client sends no more.
END = object()

REFUSED = {400}
# The connection ends without an answer.
CLOSED = None
# Answers that leave a connection in step: what follows may be answered.
IN_STEP = {200, 404, 405, 417, 421}


@dataclass
class Case:
    """What is sent, and what must come of it."""

    # Bytes, or steps: bytes that are sent when the answer to those before has come, and END.
    sent: object
    # For each request the answers that are right.
    answers: tuple = (REFUSED,)
    # What arrives of those that are answered with 200: method, target, payload.
    arrives: tuple = ()
    # Fields that may not arrive: `name`, or `Name: value`.
    without: tuple = ()
    # What arrives may be cut before its end, so that it is no request: its answer came before.
    may_be_cut: bool = False


def request(*fields, line="POST /x HTTP/1.1", payload=b"", host=HOST):
    """A request's bytes. Fields are text in Latin-1, or bytes."""
    lines = [line, *([host] if host else []), *fields, "", ""]
    return b"\r\n".join(each if isinstance(each, bytes) else each.encode("latin-1") for each in lines) + payload


def refused(*fields, answers=REFUSED, **parts):
    """One request that is refused, with another one behind it."""
    payload = parts.pop("payload", b"")
    return Case(request(*fields, payload=payload + SMUGGLED, **parts), (answers,))


def once(*fields, arrives=("POST", "/x", b""), answers=frozenset({200}), without=(), **parts):
    """One request that arrives once. With other `answers`, refusing it is as safe."""
    return Case(request(*fields, **parts), (set(answers),), (arrives,), without)


def once_or_refused(*fields, **parts):
    return once(*fields, answers=REFUSED | {200}, **parts)


def get(*fields, **parts):
    parts.setdefault("line", "GET /x HTTP/1.1")
    parts.setdefault("arrives", ("GET", "/x", b""))
    return once(*fields, **parts)


# Read by its length, this payload ends behind the smuggled request; read by its chunks, before it.
CL_TE = b"0\r\n\r\n" + SMUGGLED
LENGTH_AND_CHUNKS = {
    "CL.TE": refused(f"Content-Length: {len(CL_TE)}", "Transfer-Encoding: chunked", payload=CL_TE),
    "TE.CL": refused("Transfer-Encoding: chunked", "Content-Length: 4", payload=b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
    "CL.TE with length 0": refused("Content-Length: 0", "Transfer-Encoding: chunked", payload=CL_TE),
    "CL.TE of a GET": refused("Content-Length: 5", "Transfer-Encoding: chunked", line="GET /x HTTP/1.1", payload=b"0\r\n\r\n"),
    "CL.TE with identity": refused("Content-Length: 5", "Transfer-Encoding: identity", payload=b"abcde"),
    "CL.TE in other cases": refused("CONTENT-LENGTH: 5", "transfer-ENCODING: cHUNKED", payload=b"0\r\n\r\n"),
    "CL.TE with fields between": refused("Content-Length: 5", *[f"X-{n}: {n}" for n in range(50)], "Transfer-Encoding: chunked", payload=b"0\r\n\r\n"),
    "CL.TE with the length named by Connection": refused("Connection: content-length", "Content-Length: 5", "Transfer-Encoding: chunked", payload=b"0\r\n\r\n"),
    "TE.CL with the encoding named by Connection": refused("Connection: transfer-encoding", "Transfer-Encoding: chunked", "Content-Length: 5", payload=b"0\r\n\r\n"),
    "length in HTTP/1.0 beside chunks": refused("Content-Length: 5", "Transfer-Encoding: chunked", line="POST /x HTTP/1.0", payload=b"0\r\n\r\n"),
}

# RFC 9112 section 6.1: what is no encoding of ours is 501, a last encoding other than chunked 400.
NO_ENCODING = {400, 501}
ENCODINGS = {
    f"encoding {field!r}": refused(field, answers=NO_ENCODING, payload=CL_TE)
    for field in [
        "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked", "\tTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked", "Transfer-Encoding: chunkedx", "Transfer-Encoding: chunke", "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity, chunked", "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: chunked chunked",
        "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: 'chunked'", "Transfer-Encoding: chunked;q=1", "Transfer-Encoding: chunked; a=b",
        "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: \x0cchunked", "Transfer-Encoding:\x01chunked", "Transfer-Encoding: chunked\x0b",
        "Transfer-Encoding: chunked\x00", "Transfer-Encoding: \x00chunked", "Transfer-Encoding: chunked\x7f", "Transfer-Encoding: chunked\x1f",
        "Transfer-Encoding: \xa0chunked", "Transfer-Encoding: chunked\xa0", "Transfer-Encoding: ch\xfcnked", "Transfer-Encoding:",
        "Transfer-Encoding: ,", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding: x\r\ntransfer-encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding:", "Transfer-Encoding: \r\n chunked",
        "Transfer-Encoding: chunked\r\n , identity", "Transfer-Encoding:\r\n\tchunked", "X-A: a\nTransfer-Encoding: chunked",
        "X-A: a\rTransfer-Encoding: chunked", "Transfer-Encoding: chunked\n", "Transfer-Encoding: chunked\r", "\nTransfer-Encoding: chunked",
        "\rTransfer-Encoding: chunked", "Transfer-Encoding\x00: chunked", "\x00Transfer-Encoding: chunked", "Transfer\x00-Encoding: chunked",
        "Transfer-Encoding\x0b: chunked", "Transfer Encoding: chunked", "Transfer-Encoding chunked", "Transfer-Encoding", "Transfer-Encoding;: chunked",
        "\"Transfer-Encoding\": chunked", "Transfer-Encoding\xa0: chunked", ":Transfer-Encoding: chunked", "Transfer-Encoding:: chunked",
        # Elements of a list may be empty (RFC 9110 section 5.6.1); nobody sends them, and refusing is safe.
        "Transfer-Encoding: ,chunked", "Transfer-Encoding: chunked,",
    ]
} | {
    f"encoding {field!r}": once(field, payload=b"5\r\nabcde\r\n0\r\n\r\n", arrives=("POST", "/x", b"abcde"))
    for field in [
        "Transfer-Encoding: chunked", "transfer-encoding:chunked", "TRANSFER-ENCODING: CHUNKED", "Transfer-Encoding:\tchunked\t", "Transfer-Encoding:   chunked  ",
    ]
} | {
    # Names that backends read as another one (CGI's, WSGI's). They have no meaning here, and do not arrive.
    f"encoding {name!r} beside a length": once(
        f"{name}: chunked", "Content-Length: 5", payload=b"0\r\n\r\n", arrives=("POST", "/x", b"0\r\n\r\n"), without=(name.lower(),))
    for name in ["Transfer_Encoding", "Transfer.Encoding", "TRANSFER_ENCODING"]
} | {
    # RFC 9112 section 6.1: its framing is faulty.
    "chunks in HTTP/1.0": refused("Transfer-Encoding: chunked", line="POST /x HTTP/1.0", payload=CL_TE),
    "chunks in HTTP/1.0 that is kept alive": refused("Transfer-Encoding: chunked", "Connection: keep-alive", line="POST /x HTTP/1.0", payload=CL_TE),
}

TOO_LARGE = {400, 413, 431}
LENGTHS = {
    f"length {field!r}": refused(field, payload=b"abcde")
    for field in [
        "Content-Length: 5\r\nContent-Length: 6", "Content-Length: 6\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length:", "Content-Length: 5\r\ncontent-length: 0",
        "Content-Length: 5, 6", "Content-Length: 5,", "Content-Length: ,5", "Content-Length: 5;", "Content-Length: +5", "Content-Length: -5", "Content-Length: -0",
        "Content-Length: 0x5", "Content-Length: 5.0", "Content-Length: 5e0", "Content-Length: 1_0", "Content-Length: 5 5", "Content-Length: 5 \r\n 5", "Content-Length:",
        "Content-Length: ", "Content-Length: five", "Content-Length: \"5\"", "Content-Length: '5'", "Content-Length: \xb5", "Content-Length: 5\x00", "Content-Length: \x005",
        "Content-Length: \x0b5", "Content-Length: 5\x0c", "Content-Length: \xa05", "Content-Length: 5\r", "Content-Length: 5\n", "Content-Length:\n5", "Content-Length:\r\n 5",
        "Content-Length : 5", "Content-Length\t: 5", " Content-Length: 5", "Content-Length\x00: 5", "Content Length: 5", "Content-Length 5", "Content-Length", "X-A: a\nContent-Length: 5",
        "X-A: a\rContent-Length: 5", "Content-Length: \xef\xbc\x95", "Content-Length: 5#", "Content-Length: (5)",
        # A recipient may take repeated equal ones for one (RFC 9112 section 6.3); a backend behind it could not know that it did.
        "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5, 5", "Content-Length: 5\r\nContent-Length: 05",
        # One that does not fit any integer.
        "Content-Length: 18446744073709551616", "Content-Length: 18446744073709551621", "Content-Length: 99999999999999999999999999", "Content-Length: " + "9" * 4000,
    ]
} | {
    # One that does, but overflows where it is cut to 32 bits, or is added to.
    f"length {length}": refused(f"Content-Length: {length}", answers=TOO_LARGE, payload=b"abcde")
    for length in [4294967296, 4294967301, 9223372036854775807, 9223372036854775808, 18446744073709551611, 18446744073709551615]
} | {
    f"length {field!r}": once(field, payload=b"abcde", arrives=("POST", "/x", b"abcde"))
    for field in ["Content-Length: 5", "content-length:5", "Content-Length:  5\t"]
} | {
    # 1*DIGIT: leading zeros are of the grammar.
    f"length {field!r}": once_or_refused(field, payload=b"abcde", arrives=("POST", "/x", b"abcde"))
    for field in ["Content-Length: 05", "Content-Length: 0000000000000000000000005", "Content-Length: " + "0" * 200 + "5"]
} | {
    f"length {name!r} beside chunks": once(
        f"{name}: 100", "Transfer-Encoding: chunked", payload=b"5\r\nabcde\r\n0\r\n\r\n", arrives=("POST", "/x", b"abcde"), without=(name.lower(),))
    for name in ["Content_Length", "Content.Length", "CONTENT_LENGTH"]
} | {
    "a length of a GET": get("Content-Length: 5", payload=b"abcde", arrives=("GET", "/x", b"abcde")),
    "a payload without a length": Case(request(payload=SMUGGLED), ({200}, {200}), (("POST", "/x", b""), ("GET", "/smuggled", b""))),
    "a payload that is a request": once(f"Content-Length: {len(SMUGGLED)}", payload=SMUGGLED, arrives=("POST", "/x", SMUGGLED)),
    "a payload that breaks off": Case((request("Content-Length: 10", payload=b"abcde"), END), ({400, CLOSED},)),
}

LINE_ENDS = {
    f"line ends {sent!r}": Case(sent.encode("latin-1").replace(b"%H", HOST.encode()) + SMUGGLED)
    for sent in [
        "GET /x HTTP/1.1\n%H\r\n\r\n", "GET /x HTTP/1.1\r\n%H\n\r\n", "GET /x HTTP/1.1\r\n%H\r\n\n", "GET /x HTTP/1.1\n%H\n\n", "GET /x HTTP/1.1\r\n%H\r\nX-A: a\nX-B: b\r\n\r\n",
        "GET /x HTTP/1.1\r\n%H\r\nX-A: a\n\r\n", "GET /x HTTP/1.1\r\n%H\r\nX-A: a\r\n\n", "GET /x HTTP/1.1\r\n%H\r\nX-A: a\n\n", "GET /x HTTP/1.1\n\r%H\r\n\r\n",
        "GET /x HTTP/1.1\r%H\r\n\r\n", "GET /x HTTP/1.1\r\n%H\rX-A: a\r\n\r\n", "GET /x HTTP/1.1\r\n%H\r\nX-A: a\rb\r\n\r\n", "GET /x HTTP/1.1\r\n%H\r\nX-A: a\r\r\n\r\n",
        "GET /x HTTP/1.1\r\n%H\r\nX-A: a\r\n\r\r\n", "GET /x HTTP/1.1\r\n%H\r\nX\r-A: a\r\n\r\n", "GET /x HTTP/1.1\r\n%H\r\nX\n-A: a\r\n\r\n", "GET /x\r HTTP/1.1\r\n%H\r\n\r\n",
        "GET /x\nHTTP/1.1\r\n%H\r\n\r\n", "GET\r/x HTTP/1.1\r\n%H\r\n\r\n", "GET\n/x HTTP/1.1\r\n%H\r\n\r\n", "GET /x HTTP/1.1\r\r\n%H\r\n\r\n", "\n\nGET /x HTTP/1.1\r\n%H\r\n\r\n", "\rGET /x HTTP/1.1\r\n%H\r\n\r\n",
        "GET /x HTTP/1.1\r\n%H\r\nX-A: a\x85X-B: b\x0b\r\n\r\n", "GET /x HTTP/1.1\r\n\r\n%H\r\n\r\n", " GET /x HTTP/1.1\r\n%H\r\n\r\n", "\tGET /x HTTP/1.1\r\n%H\r\n\r\n",
        "GET /x HTTP/1.1\r\n : \r\n%H\r\n\r\n",
    ]
} | {
    # RFC 9112 section 2.2: empty lines before a request are to be ignored.
    "an empty line before": Case(b"\r\n" + request(line="GET /x HTTP/1.1"), ({200},), (("GET", "/x", b""),)),
    "two empty lines before": Case(b"\r\n\r\n" + request(line="GET /x HTTP/1.1"), ({200, 400},), (("GET", "/x", b""),)),
    "a bare line feed before": Case(b"\n" + request(line="GET /x HTTP/1.1"), ({200, 400},), (("GET", "/x", b""),)),
    "a head that breaks off": Case((request()[:-4], END), ({400, CLOSED},)),
    "a head that breaks off in its last line end": Case((request()[:-1], END), ({400, CLOSED},)),
}

CONTROLS = [byte for byte in [*range(0x20), 0x7F] if byte not in b"\t\r\n"]
BYTES = {
    f"control {byte:#04x} in a {place}": refused(field, **parts)
    for byte in CONTROLS
    for place, field, parts in [
        ("value", b"X-A: a" + bytes([byte]) + b"b", {}),
        ("name", b"X" + bytes([byte]) + b"A: a", {}),
        ("target", "X-A: a", {"line": b"GET /x" + bytes([byte]) + b"y HTTP/1.1"}),
    ]
} | {
    f"control {byte:#04x} at the end of a {place}": refused(b"X-A" + in_name + b": a" + in_value)
    for byte in (0x00, 0x0B, 0x0C, 0x7F)
    for place, in_name, in_value in [("name", bytes([byte]), b""), ("value", b"", bytes([byte]))]
} | {
    f"{chr(byte)!r} in a name": refused(b"X" + bytes([byte]) + b"A: a") for byte in b" \t\"(),/;<=>?@[\\]{}\x80\xa0\xff"
} | {
    f"{chr(byte)!r} in a method": refused(line=b"GE" + bytes([byte]) + b"T /x HTTP/1.1", answers={400, 405, 501}) for byte in b"\x00\x0b\t\"(),/:;<=>?@[\\]{}\x7f\x80\xff"
} | {
    # obs-text: of the grammar, and not ours to read.
    f"byte {byte:#04x} in a value": get(b"X-A: a" + bytes([byte]) + b"b") for byte in (0x80, 0x85, 0xA0, 0xFF)
} | {
    # Outside the grammar of targets, but without a second meaning; a backend gets none of it, or all of it percent-encoded.
    f"{chr(byte)!r} in a target": get(line=b"GET /x" + bytes([byte]) + b"y HTTP/1.1", answers={200, 400}, arrives=None) for byte in b"\"<>\\^`{|}\x80\xff"
} | {
    "utf-8 in a target": get(line="GET /x\xc3\xa4 HTTP/1.1", answers={200, 400}, arrives=None),
    "an empty name": refused(": a"),
    "no colon": refused("X-A"),
    "a line of spaces": refused("   "),
    "an empty value": get("X-A:"),
    "a space before the colon": refused("X-A : a"),
    "a tab before the colon": refused("X-A\t: a"),
    "a fold": refused("X-A: a\r\n b"),
    "a fold by a tab": refused("X-A: a\r\n\tb"),
    "a fold that is empty": refused("X-A: a\r\n "),
    "a fold of the Host": refused(host=f"Host:\r\n {DOMAIN}"),
    "a fold before the first field": refused(" X-A: a", HOST, host=None),
    "a fold that hides a field": refused("X-A: a\r\n Content-Length: 5", payload=b"abcde"),
}

CHUNKED = "Transfer-Encoding: chunked"
HELLO = ("POST", "/x", b"hello")
# A payload that breaks off in its middle may already be under way: its connection to the backend ends then, and the client is
# told, or its connection ends too.
BROKEN = {400, CLOSED}
CHUNKS = {
    f"chunks {payload[:60]!r}": Case(request(CHUNKED, payload=payload + SMUGGLED), (BROKEN,))
    for payload in [
        b"0x5\r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n", b"\t5\r\nhello\r\n0\r\n\r\n", b"5_0\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n", b"g\r\nhello\r\n0\r\n\r\n", b"5h\r\nhello\r\n0\r\n\r\n", b"\"5\"\r\nhello\r\n0\r\n\r\n", b"5,5\r\nhello\r\n0\r\n\r\n", b"5 5\r\nhello\r\n0\r\n\r\n",
        b"5.0\r\nhello\r\n0\r\n\r\n", b"5\x00\r\nhello\r\n0\r\n\r\n", b"\x005\r\nhello\r\n0\r\n\r\n", b"5\x0b\r\nhello\r\n0\r\n\r\n", b"\xff5\r\nhello\r\n0\r\n\r\n",
        # Sizes that overflow: what is left of them when their upper bits are lost is 5.
        b"10000000000000005\r\nhello\r\n0\r\n\r\n", b"100000000000000000000000000000005\r\nhello\r\n0\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n", b"5\rhello\r\n0\r\n\r\n", b"5\n\rhello\r\n0\r\n\r\n", b"5\r\r\nhello\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n", b"5\r\nhello\rX0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n", b"4\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n-0\r\n\r\n", b"5\r\nhello\r\n0x0\r\n\r\n",
        b"5\r\nhello\r\n0\n\r\n", b"5\r\nhello\r\n0\n\n", b"5\r\nhello\r\n0\r\n\r", b"5\r\nhello\r\n0\r\n",
        # Extensions whose end is not where it seems to be.
        b"5;a=\n\r\nhello\r\n0\r\n\r\n", b"5;a\nb\r\nhello\r\n0\r\n\r\n", b"5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", b"5;a=\rb\r\nhello\r\n0\r\n\r\n", b"5;a\r0\r\nhello\r\n0\r\n\r\n",
        b"5;\n\r\nhello\r\n0\r\n\r\n", b"5;a=\"\r\nhello\r\n0\r\n\r\n\"\r\nhello\r\n0\r\n\r\n"[:9] + b"0\r\n\r\n",
    ]
} | {
    f"chunks {payload[:60]!r}": once(CHUNKED, payload=payload, arrives=HELLO)
    for payload in [
        b"5\r\nhello\r\n0\r\n\r\n", b"05\r\nhello\r\n0\r\n\r\n", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"5\r\nhello\r\n00\r\n\r\n", b"5\r\nhello\r\n000\r\n\r\n",
        # Extensions are read over, and do not arrive.
        b"5;a\r\nhello\r\n0\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\n\r\n", b"5;a=b;c=\"d\"\r\nhello\r\n0;e=f\r\n\r\n", b"5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n",
    ]
} | {
    # Bad whitespace (RFC 9112 section 7.1.1), too many zeros, and text that is no extension's: read as it is meant, or refused.
    f"chunks {payload[:60]!r}": once(CHUNKED, payload=payload, arrives=HELLO, answers={200, *BROKEN})
    for payload in [
        b"5 \r\nhello\r\n0\r\n\r\n", b"5\t\r\nhello\r\n0\r\n\r\n", b"5 ;a=b\r\nhello\r\n0\r\n\r\n", b"5; a = b\r\nhello\r\n0\r\n\r\n", b"5;\r\nhello\r\n0\r\n\r\n", b"5;;\r\nhello\r\n0\r\n\r\n",
        b"0000000000000000000000005\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0000000000000000000000000000\r\n\r\n", b"5;a=\"b\r\nhello\r\n0\r\n\r\n", b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
        b"5;a=\x7f\xff\r\nhello\r\n0\r\n\r\n", b"5;a=\"\\\"\"\r\nhello\r\n0\r\n\r\n",
    ]
} | {
    "chunks with capital digits": once(CHUNKED, payload=b"A\r\nhellohello\r\n0\r\n\r\n", arrives=("POST", "/x", b"hellohello")),
    "chunks with small digits": once(CHUNKED, payload=b"a\r\nhellohello\r\n0\r\n\r\n", arrives=("POST", "/x", b"hellohello")),
    "chunks of nothing": once(CHUNKED, payload=b"0\r\n\r\n"),
    "chunks of a GET": get(CHUNKED, payload=b"5\r\nhello\r\n0\r\n\r\n", arrives=("GET", "/x", b"hello")),
    "chunks that are a request": once(CHUNKED, payload=b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED), arrives=("POST", "/x", SMUGGLED)),
    # Larger than any payload may be: what follows is of the chunk.
    "a chunk of 2^64 - 1 bytes": Case((request(CHUNKED, payload=b"FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n") + SMUGGLED, END), ({400, 413, CLOSED},)),
    "a chunk of 2^63 bytes": Case((request(CHUNKED, payload=b"8000000000000000\r\nhello\r\n0\r\n\r\n") + SMUGGLED, END), ({400, 413, CLOSED},)),
    # Where trailers begin hyper reads it over, and what is behind it with the trailers: nothing of it is a request.
    "chunks that end in a bare line feed": once(CHUNKED, payload=b"5\r\nhello\r\n0\r\n\n" + SMUGGLED, arrives=HELLO, answers={200, *BROKEN}),
    "a trailer behind a bare line feed": once(CHUNKED, payload=b"5\r\nhello\r\n0\r\n\nX-A: a\r\n\r\n", arrives=HELLO, answers={200, *BROKEN}),
    "an extension of a megabyte": Case(request(CHUNKED, payload=b"5;a=" + b"b" * 1_000_000 + b"\r\nhello\r\n0\r\n\r\n"), (BROKEN,)),
    "extensions of a megabyte together": Case(request(CHUNKED, payload=b"1;aaaaaaaaaaaaaaaaaaaa=bbbbbbbbbbbbbbbbbbbbbbbbb\r\nx\r\n" * 20_000 + b"0\r\n\r\n"), (BROKEN,)),
    "chunks that break off in a size": Case((request(CHUNKED, payload=b"5"), END), (BROKEN,)),
    "chunks that break off in data": Case((request(CHUNKED, payload=b"5\r\nhel"), END), (BROKEN,)),
    "chunks that break off behind data": Case((request(CHUNKED, payload=b"5\r\nhello\r\n"), END), (BROKEN,)),
    "chunks that break off before the last line end": Case((request(CHUNKED, payload=b"5\r\nhello\r\n0\r\n"), END), (BROKEN,)),
}

TRAILERS = {
    f"trailer {trailer!r}": once(CHUNKED, payload=b"5\r\nhello\r\n0\r\n" + trailer.encode("latin-1") + b"\r\n\r\n", arrives=HELLO, answers=answers,
                                 without=(trailer,))
    for answers, trailers in {
        # Read over: they do not arrive, for a backend could take them for fields of the head.
        frozenset({200}): ["X-A: a", "X-A: a\r\nX-B: b"],
        # Fields that may not be in trailers (RFC 9110 section 6.5.1) are ignored, or the payload is refused.
        frozenset({200, *BROKEN}): [
            "Content-Length: 100", "Transfer-Encoding: identity", "Transfer-Encoding: gzip", "Host: other.example", "Authorization: Basic eA==", "Content-Type: text/x",
            "X-Amzn-Mtls-Clientcert: forged", "X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "Connection: close", "Cookie: a=b", "Trailer: X-B",
        ],
    }.items()
    for trailer in trailers
} | {
    f"trailer {trailer!r}": Case(request(CHUNKED, payload=b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n" + SMUGGLED), (BROKEN,))
    for trailer in [
        b"X-A", b": a", b"X-A: a\nX-B: b", b"X-A: a\rX-B: b", b"X-A: a\x00", b"X A: a", b"GET /smuggled HTTP/1.1",
    ]
} | {
    "trailers of a megabyte": Case(request(CHUNKED, payload=b"5\r\nhello\r\n0\r\n" + b"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 20_000 + b"\r\n"), (BROKEN | {431},)),
    # hyper's own parser takes these; they do not arrive either way.
    "a trailer with a space before its colon": once(CHUNKED, payload=b"5\r\nhello\r\n0\r\nX-A : a\r\n\r\n", arrives=HELLO, answers={200, *BROKEN}),
    "a trailer with a fold": once(CHUNKED, payload=b"5\r\nhello\r\n0\r\nX-A: a\r\n b\r\n\r\n", arrives=HELLO, answers={200, *BROKEN}),
}

TARGETS = {
    f"target {target!r}": refused(line=f"GET {target} HTTP/1.1", answers={400, 404})
    for target in [
        "*", "x", "?x", "#x", "api.yourcompany.com:443", "api.yourcompany.com", ":443/x", "http://", "http:///x", "http:/x", "https://other.example/x", "https://a@api.yourcompany.com/x",
        "https://a:b@api.yourcompany.com/x", "https://api.yourcompany.com@other.example/x", "https://api.yourcompany.com:x/x", "https://api.yourcompany.com%00/x", "https://[::1]/x",
        "https://api.yourcompany.com\\@other.example/x", "https://api.yourcompany.com, other.example/x", "/a/../x", "/a/%2e%2e/x", "/a/..%2fx", "/..", "/x y", "/x\ty", " /x", "/x ", "",
        "file:///etc/passwd", "javascript:x",
    ]
} | {
    "absolute target": get(line=f"GET https://{DOMAIN}/x HTTP/1.1"),
    "absolute target of http": get(line=f"GET http://{DOMAIN}/x HTTP/1.1", answers={200, 400, 421}),
    "absolute target in capitals": get(line=f"GET HTTPS://{DOMAIN.upper()}/x HTTP/1.1"),
    "absolute target with a port": get(line=f"GET https://{DOMAIN}:443/x HTTP/1.1"),
    "absolute target of another scheme": get(line=f"GET ftp://{DOMAIN}/x HTTP/1.1", answers={200, 400, 421}),
    "absolute target without Host": refused(host=None, line=f"GET https://{DOMAIN}/x HTTP/1.1"),
    "absolute target with another Host": refused(host="Host: other.example", line=f"GET https://{DOMAIN}/x HTTP/1.1"),
    "another absolute target": refused(line="GET https://other.example/x HTTP/1.1"),
    "a target with a fragment": get(line="GET /x#y HTTP/1.1", answers={200, 400}),
    "a target of two slashes": get(line="GET //other.example/x HTTP/1.1", arrives=("GET", "//other.example/x", b"")),
    "a percent-encoded line end in a target": get(line="GET /x%0d%0aX-A:%20a HTTP/1.1", arrives=("GET", "/x%0d%0aX-A:%20a", b"")),
    "OPTIONS *": refused(line="OPTIONS * HTTP/1.1", answers={400, 404}),
    "CONNECT": refused(line=f"CONNECT {DOMAIN}:443 HTTP/1.1", answers={400, 405, 501}),
    "CONNECT to a path": refused(line="CONNECT /x HTTP/1.1", answers={400, 405, 501}),
    "CONNECT elsewhere": refused(line="CONNECT other.example:80 HTTP/1.1", host="Host: other.example:80", answers={400, 405, 421, 501}),
    "a long target": refused(line=f"GET /{'x' * 20_000} HTTP/1.1", answers={400, 414, 431}),
}

HOSTS = {
    f"host {host!r}": refused(host=host, line="GET /x HTTP/1.1")
    for host in [
        None, "Host:", "Host: ", f"{HOST}\r\n{HOST}", f"{HOST}\r\nHost: other.example", f"Host: other.example\r\n{HOST}", f"{HOST}\r\nHost:", f"Host: {DOMAIN}, other.example", f"Host: {DOMAIN},other.example",
        f"Host: {DOMAIN}, {DOMAIN}", f"Host: a@{DOMAIN}", f"Host: {DOMAIN}@other.example", f"Host: a:b@{DOMAIN}", f"Host: {DOMAIN}/x", f"Host: {DOMAIN}?x", f"Host: {DOMAIN}#x", f"Host: {DOMAIN} other.example",
        f"Host: {DOMAIN}:8a", f"Host: {DOMAIN}:-1", f"Host: {DOMAIN}:80:80", f"Host: {DOMAIN}:443@other.example", f"Host: {DOMAIN}\\@other.example", f"Host: https://{DOMAIN}", f"Host: {DOMAIN}%00.other.example",
        "Host: api%2eyourcompany.com", "Host: [::1", f"Host: {DOMAIN}\x00", f"Host: {DOMAIN}\x0b", f"Host: \x00{DOMAIN}", f"Host: {DOMAIN}\xa0", f"Host : {DOMAIN}", f"Host\t: {DOMAIN}", f" Host: {DOMAIN}",
        f"Host\x00: {DOMAIN}", f"Host: {DOMAIN}\r\n .other.example", f"Host: {DOMAIN}\rHost: other.example", f"Host: {DOMAIN}\nHost: other.example", f"Host: \"{DOMAIN}\"", f"Host: {DOMAIN};", f"Host: {DOMAIN}=", ":Host: x", f"X-Host: {DOMAIN}",
    ]
} | {
    f"host {host!r}": Case(request(host=host, line="GET /x HTTP/1.1"), ({400, 421},))
    for host in ["Host: other.example", f"Host: {DOMAIN}.other.example", f"Host: x.{DOMAIN}", "Host: localhost", "Host: 127.0.0.1", "Host: [::1]", f"Host: [{DOMAIN}]", f"Host: {DOMAIN}..", "Host: .", f"Host: .{DOMAIN}", "Host: *", "Host: api.yourcompany.co"]
} | {
    f"host {host!r}": get(host=host) for host in [f"Host: {DOMAIN}:443", f"Host: {DOMAIN.upper()}", f"host:{DOMAIN}", f"Host:\t{DOMAIN}\t", f"HOST: {DOMAIN}"]
} | {
    # port = *DIGIT, and one dot is the root's (RFC 3986 section 3.2): the same host, or refused.
    f"host {host!r}": get(host=host, answers={200, 400, 421}) for host in [f"Host: {DOMAIN}:", f"Host: {DOMAIN}:99999", f"Host: {DOMAIN}:0", f"Host: {DOMAIN}."]
} | {
    "an alias of Host": get("X_Host: other.example", "HOST_: x"),
    "host in HTTP/1.0": get(line="GET /x HTTP/1.0"),
    "no host in HTTP/1.0": refused(host=None, line="GET /x HTTP/1.0", answers={400, 421}),
}

VERSIONS = {
    f"version {line!r}": refused(line=line, answers={400, 505, CLOSED})
    for line in [
        "GET /x HTTP/0.9", "GET /x HTTP/1.", "GET /x HTTP/1", "GET /x HTTP/1.10", "GET /x HTTP/01.1", "GET /x HTTP/1.01", "GET /x HTTP/2.0", "GET /x HTTP/2", "GET /x HTTP/3.0", "GET /x HTTP/9.9", "GET /x http/1.1", "GET /x Http/1.1",
        "GET /x HTTP/1.1x", "GET /x HTTP/1.1 ", "GET /x  HTTP/1.1", "GET  /x HTTP/1.1", "GET\t/x\tHTTP/1.1", "GET /x HTTP /1.1", "GET /x HTTP/ 1.1", "GET /x HTTP/1.1 HTTP/1.1", "GET /x HTTPS/1.1", "GET /x ICY/1.1", "GET /x HTTP/+1.1", "GET /x HTTP/1.1\x00",
        "GET /x HTTP/-1.1", "GET /x HTTP/1,1", "GET /x", "GET", "GET ", "GET HTTP/1.1", "/x HTTP/1.1", " /x HTTP/1.1", "HTTP/1.1 200 OK", "PRI * HTTP/2.0", "", "GET /x HTTP/1.1;a",
        # The same major version may be read as the highest that is known (RFC 9110 section 2.5); nobody sends it.
        "GET /x HTTP/1.2",
    ]
    if line
} | {
    "version 0.9": Case(b"GET /x\r\n" + SMUGGLED, ({400, 505, CLOSED},)),
    "the preface of HTTP/2": Case(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" + SMUGGLED, ({400, 505, CLOSED},)),
    "version 1.0": get(line="GET /x HTTP/1.0"),
    "version 1.0 kept alive": get("Connection: keep-alive", line="GET /x HTTP/1.0"),
    "tls in tls": Case(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" + SMUGGLED, ({400, CLOSED},)),
}

UNKNOWN_METHOD = {200, 400, 404, 405, 501}
METHODS = {
    # Tokens that are no method of anybody's: forwarded as they are, or refused.
    f"method {method[:20]!r}": once(line=f"{method} /x HTTP/1.1", answers=UNKNOWN_METHOD, arrives=(method, "/x", b""))
    for method in ["get", "Get", "gET", "FOO", "PRI", "GET-", "M-SEARCH", "TRACE", "!#$%&'*+-.^_`|~", "X" * 200]
} | {
    "a long method": refused(line=f"{'X' * 20_000} /x HTTP/1.1", answers={400, 405, 414, 431, 501}),
    "no method": refused(line=" /x HTTP/1.1"),
    "a method of spaces": refused(line="   /x HTTP/1.1"),
}

A, B, C = (request(line=f"GET /{name} HTTP/1.1") for name in "abc")
GOT_A, GOT_B, GOT_C = (("GET", f"/{name}", b"") for name in "abc")
# Where a chunked payload ends is known when it has been read; a server may refuse what was sent ahead behind it.
BEHIND = {200, 400}
PIPELINES = {
    "three one behind the other": Case(A + B + C, ({200},) * 3, (GOT_A, GOT_B, GOT_C)),
    "payloads one behind the other": Case(
        request("Content-Length: 5", line="POST /a HTTP/1.1", payload=b"first") + request("Content-Length: 6", line="PUT /b HTTP/1.1", payload=b"second") + C, ({200},) * 3,
        (("POST", "/a", b"first"), ("PUT", "/b", b"second"), GOT_C)),
    "behind chunks": Case(request(CHUNKED, payload=b"5\r\nhello\r\n0\r\n\r\n") + B, ({200}, BEHIND), (HELLO, GOT_B)),
    "chunks behind chunks": Case(request(CHUNKED, payload=b"5\r\nhello\r\n0\r\n\r\n") * 2, ({200}, BEHIND), (HELLO, HELLO)),
    "behind a refused one": Case(request(host=None) + A, (REFUSED,)),
    "a refused one behind a good one": Case(A + request("Content-Length: 5", CHUNKED, payload=CL_TE) + B, ({200}, REFUSED), (GOT_A,)),
    "a bare line feed behind a good one": Case(A + b"GET /b HTTP/1.1\n" + HOST.encode() + b"\n\n" + C, ({200}, REFUSED), (GOT_A,)),
    "behind a payload too large": Case(request("Content-Length: 99999999", payload=SMUGGLED), ({413},)),
    "behind one for another host": Case(request("Content-Length: 5", host="Host: other.example", payload=b"abcde") + B, ({400, 421}, {200, CLOSED}), (None, GOT_B)),
    "behind another host that wants a payload": Case(request(f"Content-Length: {len(SMUGGLED)}", host="Host: other.example", payload=SMUGGLED), ({400, 421},)),
    "behind HEAD": Case(request(line="HEAD /a HTTP/1.1") + B, ({200}, {200}), (("HEAD", "/a", b""), GOT_B)),
    "behind Connection: close": Case(request("Connection: close", line="GET /a HTTP/1.1") + B, ({200}, {CLOSED}), (GOT_A,)),
    "behind HTTP/1.0": Case(request(line="GET /a HTTP/1.0") + B, ({200}, {CLOSED}), (GOT_A,)),
    "empty lines between": Case(A + b"\r\n" + B, ({200}, {200, 400}), (GOT_A, GOT_B)),
    "rubbish between": Case(A + b"\x00\x00" + B, ({200}, REFUSED), (GOT_A,)),
    "a hundred": Case(A * 100, ({200},) * 100, (GOT_A,) * 100),
    "an answer before the payload's end": Case(
        (request("Content-Length: 5", line="POST /early HTTP/1.1", payload=b"he"), b"llo"), ({200},), (("POST", "/early", b"hello"),), may_be_cut=True),
    "an answer before a payload that is a request": Case(
        (request(f"Content-Length: {len(SMUGGLED) + 2}", line="POST /early HTTP/1.1", payload=b"he"), SMUGGLED), ({200},), (("POST", "/early", b"he" + SMUGGLED),), may_be_cut=True),
    "an answer before chunks that break": Case((request(CHUNKED, line="POST /early HTTP/1.1", payload=b"2\r\nhe\r\n"), b"zz\r\n" + SMUGGLED), ({200},), ()),
}

EXPECTING = "Expect: 100-continue"
EXPECTS = {
    "expects 100, and waits": Case((request("Content-Length: 5", EXPECTING), b"hello"), ({100, 200},), (HELLO,)),
    "expects 100, and does not wait": Case(request("Content-Length: 5", EXPECTING, payload=b"hello"), ({200},), (HELLO,)),
    "expects 100, and sends a request as payload": Case((request(f"Content-Length: {len(SMUGGLED)}", EXPECTING), SMUGGLED), ({200},), (("POST", "/x", SMUGGLED),)),
    "expects 100 with chunks": Case((request(CHUNKED, EXPECTING), b"5\r\nhello\r\n0\r\n\r\n"), ({200},), (HELLO,)),
    "expects 100 without a payload": get(EXPECTING),
    "expects 100 in HTTP/1.0": once("Content-Length: 5", EXPECTING, line="POST /x HTTP/1.0", payload=b"hello", arrives=HELLO),
    "expects 100 twice": once_or_refused("Content-Length: 5", EXPECTING, EXPECTING, payload=b"hello", arrives=HELLO),
    "expects something else": once("Content-Length: 5", "Expect: x", payload=b"hello", arrives=HELLO, answers={200, 400, 417}),
    "expects an obfuscated 100": once("Content-Length: 5", "Expect: y 100-continue", payload=b"hello", arrives=HELLO, answers={200, 400, 417}),
    "expects 100 of a refused one": Case(request("Content-Length: 5", EXPECTING, host=None), (REFUSED,)),
    "expects 100 of another host, and sends a request": Case(request(f"Content-Length: {len(SMUGGLED)}", EXPECTING, host="Host: other.example", payload=SMUGGLED), ({400, 421},)),
    "expects 100 beside two framings": Case(request("Content-Length: 5", CHUNKED, EXPECTING), (REFUSED,)),
}

UPGRADE = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"]
CONNECTIONS = {
    "Connection names Host": get("Connection: host"),
    "Connection names the length": once("Connection: content-length", "Content-Length: 5", payload=b"hello", arrives=HELLO),
    "Connection names a field": get("Connection: x-a", "X-A: a", without=("x-a", "connection")),
    "Connection names what the gateway adds": get("Connection: forwarded, via, x-amzn-mtls-clientcert"),
    "Connection is a list of rubbish": get("Connection: ,,;, a b, \xff", answers={200, 400}, without=("connection",)),
    "h2c": get(*UPGRADE, without=("upgrade", "http2-settings", "connection")),
    "h2c with a payload": once(*UPGRADE, "Content-Length: 5", payload=b"hello", arrives=HELLO, without=("upgrade", "http2-settings")),
    "an upgrade that nobody answers": Case(
        request("Connection: Upgrade", "Upgrade: x", line="GET /a HTTP/1.1") + B, ({200, 400}, {200, 400}), (GOT_A, GOT_B)),
    "Keep-Alive": get("Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers", "Trailer: X-A", without=("keep-alive", "proxy-connection", "te", "trailer")),
    "TE: chunked": get("TE: chunked", without=("te",)),
    "a head too large": refused(*[f"X-{n}: {'x' * 100}" for n in range(200)], line="GET /x HTTP/1.1", answers={400, 431}),
    "a field too large": refused(f"X-A: {'x' * 20_000}", line="GET /x HTTP/1.1", answers={400, 431}),
    "a name too large": refused(f"{'x' * 20_000}: a", line="GET /x HTTP/1.1", answers={400, 431}),
    "a thousand fields": refused(*["a: b"] * 1_500, line="GET /x HTTP/1.1", answers={400, 431}),
}

TABLES = [LENGTH_AND_CHUNKS, ENCODINGS, LENGTHS, LINE_ENDS, BYTES, CHUNKS, TRAILERS, TARGETS, HOSTS, VERSIONS, METHODS, PIPELINES, EXPECTS, CONNECTIONS]
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


@pytest.mark.parametrize("pieces", ["whole", "in pieces"])
@pytest.mark.parametrize("name", CASES)
def test_arrives_once_or_not_at_all(server, gateway, recorder, pki, name, pieces):
    case = CASES[name]
    recorder.clear()
    with connect(server, DOMAIN, pki.client(), timeout_s=4) as connection:
        client = Client(connection, in_pieces=pieces != "whole")
        statuses = client.run(case)
    arrived = [(request.method, request.target, request.payload) for request in recorder.arrived()]
    wanted = [arrives for status, arrives in zip(statuses, case.arrives) if status == 200]
    if client.went_on:
        wanted.append(("GET", "/after", b""))
    if case.may_be_cut and not client.went_on:
        assert arrived in ([], wanted)
    elif None in wanted:
        assert len(arrived) == len(wanted)
    else:
        assert arrived == wanted
    for request in recorder.arrived():
        fields = {f"{name}: {value}".lower() for name, value in request.text_fields()}
        assert not any(field == unwanted.lower() or field.startswith(f"{unwanted}:") for field in fields for unwanted in case.without)


@pytest.mark.parametrize("name", CASES)
def test_nothing_of_a_stranger_arrives(server, gateway, recorder, name):
    """The same of somebody without a certificate: a refusal, or the end of the connection."""
    recorder.clear()
    with connect(server, DOMAIN) as connection:
        client = Client(connection)
        client.send(first_step(CASES[name]))
        client.end()
        status = client.responses.next(method_of(CASES[name])).status
        assert status in (403, 400, 431, CLOSED)
        assert status is CLOSED or client.responses.next("GET").status is CLOSED
    assert recorder.arrived() == []


class Client:
    """One connection that plays a case."""

    def __init__(self, connection, in_pieces=False):
        self.connection = connection
        self.responses = Responses(connection)
        self.in_pieces = in_pieces
        # The connection was good for another request.
        self.went_on = False

    def run(self, case):
        """Plays all steps; gives the statuses that came, each of which has to be one of those that are right."""
        steps = list(case.sent) if isinstance(case.sent, tuple) else [case.sent]
        self.play(steps)
        statuses = []
        for wanted in case.answers:
            response = self.responses.next(method_of(case) if not statuses else "GET", between=lambda: self.play(steps))
            assert response.status in wanted, response
            statuses.append(response.status)
            if response.status not in IN_STEP:
                break
        self.play(steps)
        if statuses[-1] in IN_STEP:
            self.send(AFTER)
            after = self.responses.next("GET").status
            assert after in (200, CLOSED)
            self.went_on = after == 200
        assert self.responses.next("GET").status is CLOSED, "another answer"
        return statuses

    def play(self, steps):
        """The next step, and the client's end if it follows."""
        if steps:
            self.send(steps.pop(0))
        if steps and steps[0] is END:
            steps.pop()
            self.end()

    def send(self, sent):
        """All at once, or in pieces of a few bytes that go out one by one."""
        chance = random.Random(len(sent))
        at_most = max(3, len(sent) // 50)
        try:
            while sent:
                piece = chance.randint(1, at_most) if self.in_pieces else len(sent)
                self.connection.sendall(sent[:piece])
                sent = sent[piece:]
        except (ConnectionError, ssl.SSLError):
            pass  # refused already

    def end(self):
        """The client's side of the connection ends; the other stays open."""
        try:
            socket.socket.shutdown(self.connection, socket.SHUT_WR)
        except OSError:
            pass


def first_step(case):
    return case.sent[0] if isinstance(case.sent, tuple) else case.sent


def method_of(case):
    return "HEAD" if first_step(case).startswith(b"HEAD") else "GET"
