"""Certificates as the guide makes them, and every way in which they can be wrong."""

import datetime
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# An OpenSSL configuration with the extensions that a variant wants, by section.
EXTENSIONS = """
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[client]
basicConstraints = CA:false
keyUsage = digitalSignature
extendedKeyUsage = clientAuth
[server_only]
basicConstraints = CA:false
extendedKeyUsage = serverAuth
[any]
basicConstraints = CA:false
extendedKeyUsage = serverAuth, clientAuth
"""


@dataclass(frozen=True)
class Identity:
    """A certificate, its key, and what else the client sends with it."""

    cert: Path
    key: Path

    @property
    def pem(self):
        return self.cert.read_text()


class Pki:
    """Makes certificates in one directory with the openssl command; what is made once is remembered by its name."""

    def __init__(self, base):
        self.base = Path(base)
        self.base.mkdir(parents=True, exist_ok=True)
        (self.base / "extensions.cnf").write_text(EXTENSIONS)
        self.made = {}

    def openssl(self, *args):
        done = subprocess.run(["openssl", *map(str, args)], cwd=self.base, capture_output=True, text=True)
        assert done.returncode == 0, f"openssl {args}: {done.stderr}"
        return done.stdout

    def key(self, name, kind="P-256"):
        """A private key: `RSA-2048`, `RSA-1024`, `P-256`, `P-384`."""
        path = self.base / f"{name}.key"
        if kind.startswith("RSA-"):
            self.openssl("genrsa", "-out", path, kind.removeprefix("RSA-"))
        else:
            self.openssl("ecparam", "-name", kind.replace("P-256", "prime256v1").replace("P-384", "secp384r1"), "-genkey", "-noout", "-out", path)
        return path

    def ca(self, name="ca", kind="P-256", subject=None, days=3650, extra=()):
        """A root, by the guide's `openssl req -new -x509`."""
        if name not in self.made:
            key, cert = self.key(name, kind), self.base / f"{name}.pem"
            self.openssl("req", "-new", "-x509", "-days", days, "-key", key, "-out", cert,
                         "-subj", subject or f"/C=US/O=Example/CN={name}", *extra)
            self.made[name] = Identity(cert, key)
        return self.made[name]

    def client(self, name="client", ca=None, kind="P-256", subject=None, section=None, days=365, digest="sha256", extra=()):
        """A client certificate, by the guide's `openssl x509 -req`. Without `section` it is X.509 v1."""
        if name not in self.made:
            ca = ca or self.ca()
            key, cert, csr = self.key(name, kind), self.base / f"{name}.pem", self.base / f"{name}.csr"
            self.openssl("req", "-new", "-key", key, "-out", csr, "-subj", subject or f"/C=US/O=Example/CN={name}", "-utf8")
            extensions = ("-extfile", "extensions.cnf", "-extensions", section) if section else ()
            self.openssl("x509", "-req", "-in", csr, "-CA", ca.cert, "-CAkey", ca.key, "-CAcreateserial", "-out", cert,
                         "-days", days, f"-{digest}", *extensions, *extra)
            self.made[name] = Identity(cert, key)
        return self.made[name]

    def intermediate(self, name, ca):
        """A CA under `ca`."""
        return self.client(name, ca, section="ca", days=3650)

    def chain(self, name, cas):
        """A client under `cas` CAs; returns it and the CAs from the root down."""
        above = [self.ca(f"{name}-root")]
        for depth in range(2, cas + 1):
            above.append(self.intermediate(f"{name}-ca{depth}", above[-1]))
        return self.client(name, above[-1], section="client"), above

    def with_intermediate(self, name):
        """A client that sends its intermediate along."""
        client, (_, intermediate) = self.chain(name, 2)
        both = self.base / f"{name}-both.pem"
        both.write_text(client.pem + intermediate.pem)
        return Identity(both, client.key)

    def self_signed(self, name="self-signed"):
        """A leaf that nobody but itself has signed."""
        if name not in self.made:
            key, cert = self.key(name), self.base / f"{name}.pem"
            self.openssl("req", "-new", "-x509", "-days", 365, "-key", key, "-out", cert, "-subj", f"/CN={name}",
                         "-config", self.plain_config(), "-extensions", "leaf")
            self.made[name] = Identity(cert, key)
        return self.made[name]

    def plain_config(self):
        path = self.base / "plain.cnf"
        path.write_text("[req]\ndistinguished_name = dn\n[dn]\n[leaf]\nbasicConstraints = CA:false\n")
        return path

    def server(self, name, domain, ca=None):
        """A server certificate for `domain`."""
        if name not in self.made:
            section = self.base / f"{name}.cnf"
            section.write_text(f"[san]\nsubjectAltName = DNS:{domain}\nextendedKeyUsage = serverAuth\n")
            ca = ca or self.ca("server-ca")
            key, cert, csr = self.key(name), self.base / f"{name}.pem", self.base / f"{name}.csr"
            self.openssl("req", "-new", "-key", key, "-out", csr, "-subj", f"/CN={domain}")
            self.openssl("x509", "-req", "-in", csr, "-CA", ca.cert, "-CAkey", ca.key, "-CAcreateserial", "-out", cert,
                         "-days", 365, "-sha256", "-extfile", section, "-extensions", "san")
            self.made[name] = Identity(cert, key)
        return self.made[name]

    def dated(self, name, not_before, not_after, ca=None):
        """A client certificate that is valid between two instants, given in seconds from now."""
        return self.built(name, [(NameOID.COMMON_NAME, name)], ca, not_before, not_after)

    def built(self, name, subject, ca=None, not_before=-3600, not_after=86_400 * 30):
        """A client certificate (v3) with any subject, `(oid, text)` in order, that the openssl command would not make."""
        if name not in self.made:
            ca = ca or self.ca()
            now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
            issuer = x509.load_pem_x509_certificate(ca.cert.read_bytes())
            issuer_key = serialization.load_pem_private_key(ca.key.read_bytes(), None)
            key = ec.generate_private_key(ec.SECP256R1())
            cert = (
                x509.CertificateBuilder()
                .subject_name(x509.Name([x509.NameAttribute(oid, text) for oid, text in subject]))
                .issuer_name(issuer.subject)
                .public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(now + datetime.timedelta(seconds=not_before))
                .not_valid_after(now + datetime.timedelta(seconds=not_after))
                .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]), False)
                .sign(issuer_key, hashes.SHA256())
            )
            path, key_path = self.base / f"{name}.pem", self.base / f"{name}.key"
            path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
            key_path.write_bytes(key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
            self.made[name] = Identity(path, key_path)
        return self.made[name]
