"""A local runtime of Lambda functions: the Invoke API on 127.0.0.1, as AWS serves it."""

import json
import threading
import urllib.parse
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from server import Server

ARN = "arn:aws:lambda:us-east-1:123456789012:function"


def invocations(name):
    return f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{ARN}:{name}/invocations"


@contextmanager
def server_calling(functions, directory):
    """A server whose Lambda functions are these."""
    (directory / "countersign.toml").write_text(f'[lambda]\nendpoint = "{functions.url}"\n')
    started = Server(directory, "--config", directory / "countersign.toml").start()
    yield started
    started.stop()


@dataclass
class Call:
    """One invocation as it arrived."""

    path: str
    headers: dict
    event: dict

    @property
    def function(self):
        """What stands for the function in the path, decoded."""
        return urllib.parse.unquote(self.path.split("/")[3])


class FunctionError(Exception):
    """Raised by a function that ends in an error."""


class Status(Exception):
    """Raised where the Invoke API itself is to answer with an error."""


class Functions:
    """`functions[NAME] = handler(event)`; what it returns is sent as JSON, bytes as they are. With `credentials`, only what
    they have signed is served."""

    def __init__(self, credentials=None, region="us-east-1"):
        self.handlers, self.calls, self.credentials, self.region = {}, [], credentials, region
        runtime = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                status, headers, payload = runtime.invoke(self, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request, client_address):
                pass  # a caller that gave up is no failure of a test

        self.listener = Listener(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __setitem__(self, name, handler):
        self.handlers[name] = handler

    @property
    def url(self):
        return f"http://127.0.0.1:{self.listener.server_address[1]}"

    def close(self):
        self.listener.shutdown()
        self.listener.server_close()

    def invoke(self, http, body):
        call = Call(http.path, dict(http.headers.items()), json.loads(body))
        headers = {"x-amzn-requestid": "11111111-2222-3333-4444-555555555555", "x-amz-executed-version": "$LATEST"}
        if self.credentials and not self.is_signed(http, body):
            return 403, headers, b'{"Message": "The request signature we calculated does not match"}'
        self.calls.append(call)
        name = call.function.split(":function:")[-1].split(":")[0]
        if name not in self.handlers:
            return 404, headers, b'{"Message": "Function not found"}'
        try:
            returned = self.handlers[name](call.event)
        except FunctionError as error:
            payload = {"errorMessage": str(error), "errorType": "Error", "stackTrace": []}
            return 200, headers | {"x-amz-function-error": "Unhandled"}, json.dumps(payload).encode()
        except Status as error:
            return int(str(error)), headers, b'{"Message": "no"}'
        return 200, headers, returned if isinstance(returned, bytes) else json.dumps(returned).encode()

    def is_signed(self, http, body):
        """As botocore, which is AWS's own, signs it."""
        claim = http.headers.get("authorization", "")
        if not claim.startswith("AWS4-HMAC-SHA256 "):
            return False
        fields = dict(field.strip().split("=", 1) for field in claim.split(" ", 1)[1].split(","))
        names = fields["SignedHeaders"].split(";")
        if not {"host", "x-amz-date"} <= set(names):
            return False
        request = AWSRequest("POST", f"{self.url}{http.path}", {name: http.headers[name] for name in names}, body)
        request.context["timestamp"] = http.headers["x-amz-date"]
        auth = SigV4Auth(self.credentials, "lambda", self.region)
        signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        token = http.headers.get("x-amz-security-token")
        return signature == fields["Signature"] and token == self.credentials.token
