"""HTTP/2 frame by frame: what goes over a connection is up to the test, and what comes back is read into what happened."""

import ssl
from dataclasses import dataclass, field

from hpack import Decoder, Encoder
from hyperframe.frame import (
    DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, \
    COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(12)


@dataclass
class Stream:
    """What came on one stream."""

    status: int | None = None
    fields: list = field(default_factory=list)
    data: bytes = b""
    ended: bool = False
    reset: int | None = None


class Http2:
    """One connection, as a client that checks nothing of what it sends."""

    def __init__(self, connection, preface=True, settings=()):
        self.connection = connection
        self.encoder, self.decoder = Encoder(), Decoder()
        self.received = b""
        self.streams = {}
        # The error code of a GOAWAY.
        self.goaway = None
        self.closed = False
        self.settings = {}
        # Payloads of PINGs that were answered, and SETTINGS that were.
        self.pongs = []
        self.acknowledged = 0
        if preface:
            self.send(PREFACE + SettingsFrame(0, settings=dict(settings)).serialize())

    def send(self, sent):
        """Bytes, or a frame; what the other side does not want any more is lost."""
        try:
            self.connection.sendall(sent if isinstance(sent, bytes) else sent.serialize())
        except (ConnectionError, ssl.SSLError):
            pass

    def request(self, fields, stream=1, end=True):
        """HEADERS with these fields, whatever they are."""
        self.send(self.headers(fields, stream, end))

    def headers(self, fields, stream=1, end=True):
        frame = HeadersFrame(stream, self.block(fields), flags=["END_HEADERS"])
        if end:
            frame.flags.add("END_STREAM")
        return frame.serialize()

    def block(self, fields):
        """The fields, compressed: every one as a literal without indexing, so that no state is lost with a frame."""
        return b"".join(literal(as_bytes(name), as_bytes(value)) for name, value in fields)

    def data(self, payload, stream=1, end=True):
        self.send(DataFrame(stream, payload, flags=["END_STREAM"] if end else []))

    def until(self, happened):
        """Reads until `happened()` or the connection ends; whether it happened."""
        while not happened():
            if self.closed or not self.read():
                return happened()
        return True

    def is_done(self, stream=1):
        """Whether nothing more comes on it."""
        of = self.streams.get(stream, Stream())
        return of.ended or of.reset is not None or self.goaway not in (None, NO_ERROR) or self.closed

    def read(self):
        try:
            piece = self.connection.recv(65536)
        except (ConnectionError, ssl.SSLError):
            piece = b""
        self.closed = not piece
        self.received += piece
        while len(self.received) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self.received[:9]))
            if len(self.received) < 9 + length:
                break
            frame.parse_body(memoryview(self.received[9:9 + length]))
            self.received = self.received[9 + length:]
            self.take(frame)
        return not self.closed

    def take(self, frame):
        stream = self.streams.setdefault(frame.stream_id, Stream())
        match frame:
            case HeadersFrame():
                assert "END_HEADERS" in frame.flags
                fields = self.decoder.decode(frame.data)
                stream.fields += fields
                stream.status = int(dict(fields).get(":status", stream.status))
            case DataFrame():
                stream.data += frame.data
                if frame.flow_controlled_length:
                    self.send(WindowUpdateFrame(0, window_increment=frame.flow_controlled_length))
            case RstStreamFrame():
                stream.reset = frame.error_code
            case GoAwayFrame():
                self.goaway = frame.error_code
            case PingFrame() if "ACK" in frame.flags:
                self.pongs.append(frame.opaque_data)
            case SettingsFrame() if "ACK" in frame.flags:
                self.acknowledged += 1
            case SettingsFrame():
                self.settings |= frame.settings
                self.send(SettingsFrame(0, flags=["ACK"]))
        stream.ended |= "END_STREAM" in frame.flags


def literal(name, value):
    """A literal without indexing and without Huffman coding (RFC 7541 section 6.2.2)."""
    return b"\x00" + text(name) + text(value)


def text(octets):
    """A string (RFC 7541 section 5.2)."""
    return integer(len(octets), 7) + octets


def integer(number, bits, first=0):
    """An integer with a prefix of so many bits (RFC 7541 section 5.1)."""
    most = 2 ** bits - 1
    if number < most:
        return bytes([first | number])
    encoded, number = [first | most], number - most
    while number >= 128:
        encoded.append(number % 128 + 128)
        number //= 128
    return bytes([*encoded, number])


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")
