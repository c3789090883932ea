"""An issuer of tokens on this machine: OpenID Connect Discovery, a JWK set, and signed JWTs."""

import base64
import hashlib
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HASH = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, length=None):
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def thumbprint(identity):
    """`x5t#S256` of a certificate (RFC 8705 section 3.1), by nobody's code but Python's own."""
    return b64(hashlib.sha256(ssl.PEM_cert_to_DER_cert(identity.pem)).digest())


class Issuer:
    """Serves on 127.0.0.1; `close` takes it down, `open` brings it back under the same name."""

    def __init__(self):
        self.keys, self.published, self.asked = {}, [], 0
        self.add("rsa", "RS256")
        self.add("ec", "ES256")
        self.port = 0
        self.open()

    def open(self):
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                issuer.asked += 1
                answers = {
                    "/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"},
                    "/keys": {"keys": [issuer.jwk(kid) for kid in issuer.published]},
                }
                body = json.dumps(answers.get(self.path, {})).encode()
                self.send_response(200 if self.path in answers else 404)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.listener = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self.listener.server_address[1]
        threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.listener.shutdown()
        self.listener.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def add(self, kid, alg, publish=True):
        curve = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}.get(alg)
        key = ec.generate_private_key(curve) if curve else rsa.generate_private_key(65537, 2048)
        self.keys[kid] = (key, alg)
        if publish:
            self.published.append(kid)

    def jwk(self, kid):
        key, alg = self.keys[kid]
        public = key.public_key().public_numbers()
        common = {"kid": kid, "alg": alg, "use": "sig"}
        if alg.startswith("ES"):
            length = key.curve.key_size // 8
            return common | {"kty": "EC", "crv": f"P-{key.curve.key_size}", "x": number(public.x, length), "y": number(public.y, length)}
        return common | {"kty": "RSA", "n": number(public.n), "e": number(public.e)}

    def token(self, kid="rsa", alg=None, **claims):
        """A token for alice and `api`, good for five minutes; a claim that is None is left out."""
        key, own = self.keys[kid]
        now = int(time.time())
        payload = {"iss": self.url, "aud": "api", "sub": "alice", "exp": now + 300, "iat": now - 5} | claims
        payload = {name: value for name, value in payload.items() if value is not None}
        header = {"alg": alg or own, "kid": kid, "typ": "JWT"}
        message = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(payload).encode())}"
        return f"{message}.{b64(self.sign(key, alg or own, message.encode()))}"

    def sign(self, key, alg, message):
        if alg == "none":
            return b""
        digest = HASH[alg[2:]]
        if alg.startswith("HS"):
            # With the public key as the secret: the confusion that verifiers must not fall for.
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            mac = hmac.HMAC(public, digest)
            mac.update(message)
            return mac.finalize()
        if alg.startswith("ES"):
            r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
            length = key.curve.key_size // 8
            return r.to_bytes(length, "big") + s.to_bytes(length, "big")
        pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
        return key.sign(message, pss if alg.startswith("PS") else padding.PKCS1v15(), digest)
