"""A real gRPC server behind the gateway, and calls to it. Messages are bytes: what is in them is nobody's business here."""

import threading
from concurrent import futures

import grpc

SERVICE = "/test.Echo/"


class GrpcBackend:
    """Serves `test.Echo` on localhost: `Unary`, `ServerStream`, `ClientStream`, `Bidi`, `Fail`, `Slow`. With an `identity` on TLS,
    and with `trusted` for clients with a certificate of that CA only."""

    def __init__(self, identity=None, trusted=None):
        self.metadata = []
        self.waiting, self.cancelled = threading.Event(), threading.Event()
        self.server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "ServerStream": grpc.unary_stream_rpc_method_handler(self.server_stream),
            "ClientStream": grpc.stream_unary_rpc_method_handler(self.client_stream),
            "Bidi": grpc.stream_stream_rpc_method_handler(self.bidi),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Slow": grpc.unary_unary_rpc_method_handler(self.slow),
        }),))
        if identity:
            pair = (identity.key.read_bytes(), identity.cert.read_bytes())
            credentials = grpc.ssl_server_credentials([pair], trusted and trusted.cert.read_bytes(), trusted is not None)
            self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        else:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.url = f"{'https' if identity else 'http'}://localhost:{self.port}"
        self.server.start()

    def close(self):
        self.server.stop(None).wait()

    def note(self, context):
        self.metadata.append(dict(context.invocation_metadata()))
        context.send_initial_metadata((("x-initial", "1"),))
        context.set_trailing_metadata((("x-trailing", "2"), ("x-binary-bin", b"\x00\xff")))

    def unary(self, request, context):
        self.note(context)
        return request

    def server_stream(self, request, context):
        self.note(context)
        for number in range(int(request)):
            yield str(number).encode()

    def client_stream(self, requests, context):
        self.note(context)
        return str(sum(len(request) for request in requests)).encode()

    def bidi(self, requests, context):
        self.note(context)
        for request in requests:
            yield b"echo " + request

    def fail(self, request, context):
        context.set_trailing_metadata((("x-trailing", "2"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not like this: ä")

    def slow(self, request, context):
        if not context.add_callback(self.cancelled.set):
            self.cancelled.set()  # It was over before it was here.
        self.waiting.set()
        self.cancelled.wait(30)
        return b"late"


class GrpcClient:
    """Calls through the gateway as `identity`, or without a certificate."""

    def __init__(self, gateway, identity=None):
        root = open(gateway.server.ca_file, "rb").read()
        pair = (identity.key.read_bytes(), identity.cert.read_bytes()) if identity else (None, None)
        options = [("grpc.ssl_target_name_override", gateway.domain), ("grpc.default_authority", gateway.domain),
                   ("grpc.enable_http_proxy", 0)]
        self.channel = grpc.secure_channel(gateway.server.https, grpc.ssl_channel_credentials(root, *pair), options)

    def close(self):
        self.channel.close()

    def unary(self, message, method="Unary", **options):
        return self.channel.unary_unary(SERVICE + method).with_call(message, **({"timeout": 20} | options))

    def server_stream(self, message):
        return self.channel.unary_stream(SERVICE + "ServerStream")(message, timeout=60)

    def client_stream(self, messages):
        return self.channel.stream_unary(SERVICE + "ClientStream")(messages, timeout=60)

    def bidi(self, messages, **options):
        return self.channel.stream_stream(SERVICE + "Bidi")(messages, **({"timeout": 60} | options))
