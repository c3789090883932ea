"""The certificates that the benchmark runs on, all of one shape: a root, a server, clients; and CAs to fill truststores with."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)
LIFE = datetime.timedelta(days=3650)


class Issued:
    """A certificate and its key."""

    def __init__(self, name, kind, issuer=None, ca=False, hosts=()):
        self.kind, self.name = kind, x509.Name([
            x509.NameAttribute(NameOID.COUNTRY_NAME, "JP"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Corp"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Platform"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ])
        self.key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
        self.certificate = self._builder(issuer or self, ca, hosts).sign((issuer or self).key, hashes.SHA256())

    def _builder(self, issuer, ca, hosts):
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name).issuer_name(issuer.name).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - datetime.timedelta(days=1)).not_valid_after(NOW + LIFE)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
        )
        if ca:
            signs = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            return builder.add_extension(signs, True)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        builder = builder.add_extension(identifier, False).add_extension(x509.ExtendedKeyUsage([usage]), False)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), False)
        return builder

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self):
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def write(self, base):
        """BASE.pem and BASE.key."""
        base.with_suffix(".pem").write_bytes(self.pem())
        base.with_suffix(".key").write_bytes(self.key_pem())


class Pki:
    """Files of one kind, `ec` (P-256) or `rsa` (2048 bits), in a directory of their own."""

    def __init__(self, directory, kind="ec"):
        self.directory = directory / kind
        self.directory.mkdir(parents=True)
        self.ca = Issued(f"{kind} root CA", kind, ca=True)
        server = Issued("gw.test", kind, self.ca, hosts=["gw.test", "*.gw.test", "localhost"])
        server.write(self.directory / "server")
        (self.directory / "combined.pem").write_bytes(server.pem() + server.key_pem())
        Issued("client-0001", kind, self.ca).write(self.directory / "client")
        self.ca.write(self.directory / "ca")
        # A CA that comes and goes, and its client.
        second = Issued(f"{kind} second CA", kind, ca=True)
        Issued("client-0002", kind, second).write(self.directory / "client2")
        (self.directory / "both.pem").write_bytes(self.ca.pem() + second.pem())

    def file(self, name):
        return self.directory / name

    def bundle(self, count):
        """A truststore of so many CAs, of which the last is the client's."""
        path = self.directory / f"bundle{count}.pem"
        others = (Issued(f"filler CA {number}", "ec", ca=True).pem() for number in range(count - 1))
        path.write_bytes(b"".join(others) + self.ca.pem())
        return path

    def domains(self, count):
        """A directory with truststores d0.gw.test.pem …, each of another CA; and a client of the first, as first.pem."""
        directory = self.directory / "domains"
        directory.mkdir()
        for number in range(count):
            ca = Issued(f"domain {number} CA", "ec", ca=True)
            (directory / f"d{number}.gw.test.pem").write_bytes(ca.pem())
            if number == 0:
                Issued("client of domain 0", "ec", ca).write(self.directory / "first")
        return directory
