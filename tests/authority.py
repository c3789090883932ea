"""A CA that revokes, made of the openssl command: lists, a responder, and a place from which lists are fetched."""

import base64
import http.server
import socket
import subprocess
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pki import Identity

CONFIG = """
[ca]
default_ca = this
[this]
dir = {base}
database = {base}/index.txt
serial = {base}/serial
crlnumber = {base}/crlnumber
new_certs_dir = {base}
certificate = {cert}
private_key = {key}
default_md = sha256
default_days = 365
policy = any
unique_subject = no
[any]
commonName = supplied
[client]
basicConstraints = CA:false
keyUsage = digitalSignature
extendedKeyUsage = clientAuth
{named}
[intermediate]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[responder]
basicConstraints = CA:false
keyUsage = digitalSignature
extendedKeyUsage = OCSPSigning
"""


class Authority:
    """A CA with a register. `named` are lines of extensions for its clients, such as `crlDistributionPoints = URI:…`."""

    def __init__(self, pki, name, identity=None, named=""):
        self.pki, self.name = pki, name
        self.base = pki.base / f"register-{name}"
        self.base.mkdir()
        self.identity = identity or pki.ca(name)
        (self.base / "index.txt").touch()
        (self.base / "serial").write_text("1000\n")
        (self.base / "crlnumber").write_text("01\n")
        self.config = self.base / "ca.cnf"
        self.name_in_clients(named)

    def name_in_clients(self, named):
        """What clients that are issued from now on name."""
        self.config.write_text(CONFIG.format(base=self.base, cert=self.identity.cert, key=self.identity.key, named=named))

    @property
    def pem(self):
        return self.identity.pem

    def openssl(self, *args):
        return self.pki.openssl(*args)

    def issue(self, name, section="client"):
        name = f"{self.name}-{name}"
        key, cert, csr = self.pki.key(name), self.base / f"{name}.pem", self.base / f"{name}.csr"
        self.openssl("req", "-new", "-key", key, "-out", csr, "-subj", f"/CN={name}")
        self.openssl("ca", "-config", self.config, "-batch", "-notext", "-in", csr, "-out", cert, "-extensions", section)
        return Identity(cert, key)

    def intermediate(self, name):
        """A CA below this one, with a register of its own."""
        identity = self.issue(name, "intermediate")
        return Authority(self.pki, f"{self.name}-{name}-register", identity)

    def revoke(self, identity, reason="keyCompromise"):
        self.openssl("ca", "-config", self.config, "-revoke", identity.cert, "-crl_reason", reason)

    def reinstate(self, identity):
        """Takes a revocation back, as a CA does with a certificate that was on hold."""
        serial = self.openssl("x509", "-in", identity.cert, "-noout", "-serial").split("=")[1].strip()
        index = self.base / "index.txt"
        lines = [line.split("\t") for line in index.read_text().splitlines()]
        for line in lines:
            if int(line[3], 16) == int(serial, 16):
                line[0], line[2] = "V", ""
        index.write_text("".join("\t".join(line) + "\n" for line in lines))

    def crl(self, seconds=3600, last=None):
        """The list as of now, PEM."""
        args = ("-crl_lastupdate", last[0], "-crl_nextupdate", last[1]) if last else ("-crlsec", seconds)
        out = self.base / "crl.pem"
        self.openssl("ca", "-config", self.config, "-gencrl", *args, "-out", out)
        return out.read_text()

    def large_crl(self, count):
        """A list in DER of `count` certificates that nobody has, and of those that are revoked; openssl would take minutes."""
        revoked = [int(line.split("\t")[3], 16) for line in (self.base / "index.txt").read_text().splitlines() if line[0] == "R"]
        at = der(0x17, time.strftime("%y%m%d%H%M%SZ", time.gmtime(time.time() - 60)).encode())
        ends = der(0x17, time.strftime("%y%m%d%H%M%SZ", time.gmtime(time.time() + 86_400)).encode())
        serials = [*range(10**12, 10**12 + count), *revoked]
        entries = b"".join(der(0x30, der(2, n.to_bytes(n.bit_length() // 8 + 1)) + at) for n in serials)
        algorithm = der(0x30, bytes.fromhex("06082a8648ce3d040302"))
        issuer = x509.load_pem_x509_certificate(self.identity.cert.read_bytes()).subject.public_bytes()
        number = der(0x30, bytes.fromhex("0603551d14") + der(4, der(2, b"\x7f")))
        signed = der(0x30, der(2, b"\x01") + algorithm + issuer + at + ends + der(0x30, entries) + der(0xA0, der(0x30, number)))
        key = serialization.load_pem_private_key(self.identity.key.read_bytes(), None)
        signature = key.sign(signed, ec.ECDSA(hashes.SHA256()))
        return der(0x30, signed + algorithm + der(3, b"\0" + signature))

    def stale_crl(self):
        return self.crl(last=("20200101000000Z", "20200102000000Z"))


def der(tag, value):
    """One element."""
    if len(value) < 128:
        return bytes([tag, len(value)]) + value
    length = len(value).to_bytes((len(value).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + value


class DistributionPoint:
    """Serves bytes at paths of a loopback address, and counts who asks."""

    def __init__(self, host="127.0.0.1"):
        self.files, self.redirects, self.asked, self.gate = {}, {}, [], threading.Event()
        self.gate.set()
        point = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                point.asked.append(self.path)
                point.gate.wait(60)
                if self.path in point.redirects:
                    self.send_response(302)
                    self.send_header("location", point.redirects[self.path])
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                body = point.files.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("content-length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

        self.listener = http.server.ThreadingHTTPServer((host, 0), Handler)
        self.listener.daemon_threads = True
        threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def address(self):
        return "{}:{}".format(*self.listener.server_address)

    def url(self, path):
        return f"http://{self.address}{path}"

    def put(self, path, pem):
        """Serves a list as CAs do: in DER."""
        body = "".join(line for line in pem.splitlines() if line and not line.startswith("-----"))
        self.files[path] = base64.b64decode(body)

    def close(self):
        self.gate.set()
        self.listener.shutdown()
        self.listener.server_close()


class Responder:
    """`openssl ocsp`, answering for an authority."""

    def __init__(self, authority, port, validity=("-ndays", 1)):
        signer = authority.issue("responder", "responder")
        command = ["openssl", "ocsp", "-index", authority.base / "index.txt", "-port", str(port), "-rsigner", signer.cert,
                   "-rkey", signer.key, "-CA", authority.identity.cert, *map(str, validity)]
        # A connection that asks nothing would hold it up for ever, so its own word has to do.
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while b"waiting" not in (line := self.process.stdout.readline()):
            assert line, "the responder ended"
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def close(self):
        self.process.kill()
        self.process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
