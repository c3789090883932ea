"""gRPC through the gateway, with Google's own client and server, by TLS and without."""

import json
import queue
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from gateway import Gateway
from grpc_backend import SERVICE, GrpcBackend, GrpcClient
from server import Server, eventually

LOG_FORMAT = json.dumps({
    "requestId": "$context.requestId", "status": "$context.status", "path": "$context.path",
    "integrationError": "$context.integration.error", "error": "$context.error.message", "protocol": "$context.protocol"})


@pytest.fixture(scope="module")
def server(tmp_path_factory, pki):
    """Takes https backends that `backend-ca` certifies."""
    base = tmp_path_factory.mktemp("server")
    (base / "backends.pem").write_text(pki.ca("backend-ca").pem)
    (base / "countersign.toml").write_text('[upstream]\nca_file = "backends.pem"\n[limits]\nbody_bytes = 100000\n')
    started = Server(base, "--config", base / "countersign.toml").start()
    yield started
    started.stop()


def tag(gateway, **tags):
    arn = f"arn:aws:apigateway:us-east-1::/apis/{gateway.api_id}"
    gateway.api.tag_resource(ResourceArn=arn, Tags={f"countersign:{name.replace('_', '-')}": value for name, value in tags.items()})
    gateway.server.settle()


@pytest.fixture(scope="module", params=["tls", "cleartext"])
def called(request, server, pki):
    """A gateway before a gRPC server, and a client of it."""
    tls = request.param == "tls"
    backend = GrpcBackend(pki.server("grpc", "localhost", pki.ca("backend-ca")) if tls else None)
    gateway = Gateway(server, backend, f"{request.param}.example.com", pki.ca().pem, log_format=LOG_FORMAT).create()
    if not tls:
        tag(gateway, upstream_protocol="h2c")
    client = GrpcClient(gateway, pki.client())
    yield gateway, client
    client.close()
    backend.close()


def test_unary_calls_carry_metadata_both_ways(called):
    gateway, client = called
    answer, call = client.unary(b"hello", metadata=(("x-tenant", "a"), ("x-blob-bin", b"\x00\x01\xff")))
    assert answer == b"hello"
    assert dict(call.initial_metadata())["x-initial"] == "1"
    trailing = dict(call.trailing_metadata())
    assert (trailing["x-trailing"], trailing["x-binary-bin"]) == ("2", b"\x00\xff")
    seen = gateway.backend.metadata[-1]
    assert (seen["x-tenant"], seen["x-blob-bin"]) == ("a", b"\x00\x01\xff")
    assert "for=127.0.0.1" in seen["forwarded"]


def test_streams_go_both_ways(called):
    _, client = called
    assert [int(message) for message in client.server_stream(b"500")] == list(range(500))
    assert client.client_stream(iter([b"x" * 1000] * 500)) == b"500000", "more than one payload may be: each message counts"


def test_both_sides_of_a_stream_take_turns(called):
    _, client = called
    sent = queue.Queue()
    answers = client.bidi(iter(sent.get, None))
    for number in range(50):
        sent.put(str(number).encode())
        assert next(answers) == f"echo {number}".encode()
    sent.put(None)
    assert list(answers) == []
    assert answers.code() == grpc.StatusCode.OK


def test_a_client_that_does_not_read_may_send(called):
    """What comes back fills every buffer on its way before the client reads; what it sends goes through all the same."""
    _, client = called
    messages = [b"x" * 20_000] * 100
    with ThreadPoolExecutor(1) as pool:
        answers = client.bidi(iter(messages))
        assert sum(len(answer) for answer in answers) == 100 * 20_005


def test_a_status_without_a_message_arrives(called):
    _, client = called
    with pytest.raises(grpc.RpcError) as failed:
        client.unary(b"x", method="Fail")
    assert failed.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert failed.value.details() == "not like this: ä"
    assert dict(failed.value.trailing_metadata())["x-trailing"] == "2"
    with pytest.raises(grpc.RpcError) as unknown:
        client.unary(b"x", method="Nothing")
    assert unknown.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("end", ["deadline", "cancel"])
def test_deadlines_and_cancels_reach_the_backend(called, end):
    gateway, client = called
    gateway.backend.waiting.clear()
    gateway.backend.cancelled.clear()
    if end == "deadline":
        with pytest.raises(grpc.RpcError) as failed:
            client.unary(b"x", method="Slow", timeout=0.5)
        assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    else:
        call = client.channel.unary_unary(SERVICE + "Slow").future(b"x", timeout=30)
        # A call that has not begun there needs no cancelling.
        assert gateway.backend.waiting.wait(10)
        call.cancel()
    assert gateway.backend.cancelled.wait(10)


def test_a_stream_that_is_cancelled_ends_at_the_backend(called):
    gateway, client = called
    sent = queue.Queue()
    answers = client.bidi(iter(sent.get, None))
    sent.put(b"1")
    assert next(answers) == b"echo 1"
    answers.cancel()
    eventually(lambda: any(r["error"] == "the client closed the connection" for r in gateway.records()), what="its record")
    sent.put(None)


def test_a_message_may_be_as_long_as_a_payload(called):
    gateway, client = called
    assert client.unary(b"x" * 99_000)[0] == b"x" * 99_000
    with pytest.raises(grpc.RpcError):
        client.unary(b"x" * 100_001)
    gateway.record(status="413")


def test_calls_share_a_connection(called):
    gateway, client = called
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda number: client.unary(str(number).encode())[0], range(300)))
    assert answers == [str(number).encode() for number in range(300)]


def test_a_client_without_a_certificate_is_refused(called):
    gateway, _ = called
    stranger = GrpcClient(gateway)
    before = len(gateway.backend.metadata)
    with pytest.raises(grpc.RpcError) as refused:
        stranger.unary(b"x")
    stranger.close()
    # What 403 is in gRPC's own table.
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert len(gateway.backend.metadata) == before


def test_a_restarted_backend_is_found_again(server, pki):
    identity = pki.server("grpc", "localhost", pki.ca("backend-ca"))
    backend = GrpcBackend(identity)
    gateway = Gateway(server, backend, "restart.example.com", pki.ca().pem, log_format=LOG_FORMAT).create()
    client = GrpcClient(gateway, pki.client())
    assert client.unary(b"before")[0] == b"before"
    backend.close()
    with pytest.raises(grpc.RpcError) as failed:
        client.unary(b"meanwhile")
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
    gateway.record(integrationError="the backend refused the connection", status="503")
    again = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    again.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
        "test.Echo", {"Unary": grpc.unary_unary_rpc_method_handler(lambda request, _: request)}),))
    credentials = grpc.ssl_server_credentials([(identity.key.read_bytes(), identity.cert.read_bytes())])
    again.add_secure_port(f"127.0.0.1:{backend.port}", credentials)
    again.start()
    assert client.unary(b"after")[0] == b"after"
    again.stop(None)
    client.close()


def test_backends_that_do_not_speak_it_are_told_apart(server, pki, backend):
    """An HTTP/1.1 backend never sees the first bytes of HTTP/2 unless an API's tag says so."""
    gateway = Gateway(server, backend, "http1.example.com", pki.ca().pem, log_format=LOG_FORMAT).create()
    client = GrpcClient(gateway, pki.client())
    with pytest.raises(grpc.RpcError):
        client.unary(b"x")
    assert [seen.target for seen in backend.seen] == [SERVICE + "Unary"]
    tag(gateway, upstream_protocol="h2c")
    with pytest.raises(grpc.RpcError) as failed:
        client.unary(b"x")
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
    gateway.record(status="503", integrationError="the backend's answer is no HTTP/2")
    client.close()
