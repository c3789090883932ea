"""An ACME issuer, pebble, which is Let's Encrypt's own for tests, and what lies between it and the gateway."""

import contextlib
import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from server import eventually


def free_port():
    """Free for TCP and UDP, and none of those that the system gives to others meanwhile."""
    for port in random.sample(range(12_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)), socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class Gate:
    """What the issuer connects to by a port of its own: passes it on to `target()`, once it is `open`."""

    def __init__(self, target):
        self.target, self.open = target, threading.Event()
        self.open.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.came = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self.listener.accept()
                self.came += 1
                threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    def serve(self, stream):
        self.open.wait()
        with stream, contextlib.suppress(OSError), socket.create_connection(self.target(), timeout=10) as other:
            back = threading.Thread(target=pass_on, args=(other, stream), daemon=True)
            back.start()
            pass_on(stream, other)
            back.join()

    def close(self):
        self.open.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def pass_on(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


class Pebble:
    """The issuer. It resolves names by `dns_port` and signs for `validity_s`; `settings` are of its own configuration file."""

    def __init__(self, base, pki, dns_port, validity_s=3600, **settings):
        self.base, self.dns_port, self.process = base, dns_port, None
        self.port, self.management = free_port(), free_port()
        self.identity, self.ca_file = pki.server("pebble", "localhost"), pki.ca("server-ca").cert
        self.settings = {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(self.identity.cert), "privateKey": str(self.identity.key), "ocspResponderURL": "",
            "externalAccountBindingRequired": False, "domainBlocklist": ["blocked.acme.example"],
            "certificateValidityPeriod": validity_s} | settings

    def start(self, http_port, tls_port):
        """It looks for proofs at these ports."""
        settings = self.settings | {"httpPort": http_port, "tlsPort": tls_port}
        (self.base / "pebble.json").write_text(json.dumps({"pebble": settings}))
        self.start_again()

    def start_again(self):
        """With new roots, and without the accounts that it had."""
        self.log_file = open(self.base / "pebble.log", "ab")
        self.process = subprocess.Popen(
            [shutil.which("pebble"), "-config", str(self.base / "pebble.json"), "-dnsserver", f"127.0.0.1:{self.dns_port}"],
            # Every name is validated each time.
            stdout=self.log_file, stderr=self.log_file,
            env=os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"})
        eventually(self.answers, what="pebble")

    def answers(self):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(10)
            self.log_file.close()
            self.process = None

    def log(self):
        return (self.base / "pebble.log").read_text(errors="replace")

    @property
    def directory(self):
        return f"https://localhost:{self.port}/dir"

    def get(self, url):
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(url, context=context, timeout=10) as answer:
            return answer.read()

    def root(self):
        """The root of what it issues, PEM."""
        return self.get(f"https://localhost:{self.management}/roots/0").decode()


class RenewalInformation:
    """Pebble's directory with the extension of RFC 9773, of which Debian's pebble knows nothing. `window` is what it suggests."""

    def __init__(self, pebble, window):
        self.pebble, self.window, self.asked = pebble, window, []
        told = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                head, _, identifier = self.path.rpartition("/")
                if head == "/renewal-info":
                    told.asked.append(identifier)
                    start, end = told.window(len(told.asked))
                    answer = {"suggestedWindow": {"start": start, "end": end}}
                else:
                    answer = json.loads(pebble.get(pebble.directory)) | {"renewalInfo": f"{told.url}/renewal-info"}
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.send_header("retry-after", "21600")
                self.end_headers()
                self.wfile.write(body)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pebble.identity.cert, pebble.identity.key)
        self.listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.listener.socket = context.wrap_socket(self.listener.socket, server_side=True)
        self.url = f"https://localhost:{self.listener.server_address[1]}"
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    @property
    def directory(self):
        return f"{self.url}/dir"

    def close(self):
        self.listener.shutdown()
        self.listener.server_close()
