"""TLS connections under a test's own hands: what goes over them is up to the test, byte for byte."""

import socket
import ssl

import h2.config
import h2.connection


def context(identity=None, alpn=None, tls=None):
    """A client context that sends what it is told to and leaves judging the server to curl's tests."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if tls:
        made.minimum_version = made.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[tls]
    if alpn:
        made.set_alpn_protocols([alpn])
    if identity:
        made.load_cert_chain(identity.cert, identity.key)
    return made


def connect(server, name, identity=None, alpn="http/1.1", tls=None, using=None, session=None, timeout_s=20):
    """A TLS connection whose handshake is done."""
    raw = socket.create_connection(server.https_address, timeout=timeout_s)
    return (using or context(identity, alpn, tls)).wrap_socket(raw, server_hostname=name, session=session)


def read_to_end(connection):
    """All that comes until the other side ends it; a reset counts as an end."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return received


def exchange(connection, request):
    """Sends bytes and reads until the server closes."""
    try:
        connection.sendall(request)
    except (ConnectionError, ssl.SSLError):
        pass
    return read_to_end(connection)


def http2(connection, checked=True):
    """An HTTP/2 client state with its preface sent; not `checked`, it sends what no client should."""
    state = h2.connection.H2Connection(h2.config.H2Configuration(
        client_side=True, validate_outbound_headers=checked, normalize_outbound_headers=checked, validate_inbound_headers=False))
    state.initiate_connection()
    connection.sendall(state.data_to_send())
    return state


def request_head(domain, path="/", method="GET"):
    """The pseudo-headers of an HTTP/2 request."""
    return [(":method", method), (":scheme", "https"), (":authority", domain), (":path", path)]
