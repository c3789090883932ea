"""`countersign doctor` in tests: what it said, and certificates for it to say something about."""

import datetime
import json
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pki import Identity
from server import run_binary

# Notes about what is normal in a test's set-up. Errors and warnings have no such list.
NORMAL = {"no-post-quantum", "default-certificate", "server-root-sent", "no-revocation", "no-tls13", "records-without-witness"}


@dataclass
class Report:
    """The doctor's JSON."""

    json: dict
    code: int

    @property
    def causes(self):
        return [finding["id"] for finding in self.json["findings"]]

    @property
    def first(self):
        return self.json["findings"][0]

    def grave(self):
        """Causes that are errors or warnings, but those that are normal."""
        return [f["id"] for f in self.json["findings"] if f["severity"] != "info" and f["id"] not in NORMAL]

    def all(self):
        """Every finding by its id, consequences too; the first of several."""
        found = {}
        for cause in self.json["findings"]:
            for finding in [cause, *cause["consequences"]]:
                found.setdefault(finding["id"], finding)
        return found

    def only(self, *ids, notes=()):
        """These are the causes, in this order, and there are no others but notes about what is normal."""
        said = json.dumps({k: v for k, v in self.json.items() if k != "skipped"}, indent=1)
        ids = list(ids)
        assert self.causes[: len(ids)] == ids, said
        rest = set(self.causes[len(ids):]) - NORMAL - set(notes)
        assert not rest, f"{rest}: {said}"
        return self


def run_doctor(url, connect, *args, env=None, identity=None):
    command = ["doctor", url, "--connect", connect, "--format", "json", *args]
    if identity:
        command += ["--cert", identity.cert, "--key", identity.key]
    done = run_binary(*command, env=env, check=False)
    assert done.returncode in (0, 1), f"{command}: {done.stderr}"
    return Report(json.loads(done.stdout), done.returncode)


DAY = 86_400


def made(pki, name, *, issuer=None, key=None, subject=None, days=(-1, 300), extensions=(), digest=None):
    """A certificate with any extensions, of `issuer` or self-signed."""
    if name in pki.made:
        return pki.made[name]
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject or name)])
    by, by_key = subject, key
    if issuer:
        by = x509.load_pem_x509_certificate(issuer.cert.read_bytes()).subject
        by_key = serialization.load_pem_private_key(issuer.key.read_bytes(), None)
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0])).not_valid_after(now + datetime.timedelta(days=days[1]))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    cert, key_path = pki.base / f"{name}.pem", pki.base / f"{name}.key"
    cert.write_bytes(builder.sign(by_key, digest or hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    pki.made[name] = Identity(cert, key_path)
    return pki.made[name]


CA = [(x509.BasicConstraints(True, None), True)]
CLIENT = [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)]


def truststore_of(pki, *identities):
    path = pki.base / f"store-{abs(hash(identities))}.pem"
    path.write_text("".join(identity.pem for identity in identities))
    return path
