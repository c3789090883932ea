"""Why a client was refused, asked with its request id: what is found with everything that is known by then. Each case is refused by
the real gateway first."""

import json
import re

import pytest
from cryptography.x509.oid import NameOID

from authority import Authority
from aws_cli import AwsCli
from gateway import Gateway, assert_refused
from server import Server, eventually
from shell import Shell

DAY = 86_400


@pytest.fixture(scope="module")
def other_gateway(server, backend, pki):
    """Another domain of the same server, which trusts another CA."""
    return Gateway(server, backend, "partners.yourcompany.com", pki.ca("partner-ca").pem).create()


@pytest.fixture
def make_gateway(server, backend):
    made = []

    def make(truststore, **options):
        made.append(Gateway(server, backend, f"explain{len(made)}.yourcompany.com", truststore, **options).create())
        return made[-1]

    yield make
    for gateway in made:
        gateway.api.delete_domain_name(DomainName=gateway.domain)


def refused(gateway, identity):
    """Is refused; returns the request id."""
    answer = gateway.curl("/orders", identity)
    assert_refused(answer)
    return answer.headers["apigw-requestid"]


def explain(server, request_id, *options):
    """What `countersign explain` prints, once the record is there."""
    done = eventually(lambda: (d := server.command("explain", request_id, *options, check=False)).returncode == 0 and d)
    return done.stdout


def explained(server, request_id, says=""):
    """In JSON; waits until the explanation says it, as the ledger is written a moment later."""
    def found():
        answer = json.loads(explain(server, request_id, "--json"))
        return answer if answer["explained"] and re.search(says, answer["explained"]["explanation"]) else None

    try:
        return eventually(found)
    except AssertionError:
        raise AssertionError(explain(server, request_id, "--json"))


def facts(answer):
    return dict(answer["explained"]["evidence"])


def test_the_issuer_is_in_another_domains_truststore(make_gateway, other_gateway, server, pki):
    gateway = make_gateway(pki.ca().pem)
    request_id = refused(gateway, pki.client("lost", pki.ca("partner-ca"), section="client"))
    answer = explained(server, request_id, "partners")
    assert re.search(
        r'^The issuer "C=US,O=Example,CN=partner-ca" is trusted by the truststore of partners\.yourcompany\.com \(version \S+ of '
        r"s3://\S+\), but not by the truststore that is enforced\.$", answer["explained"]["explanation"])
    assert answer["explained"]["foundIn"]["kind"] == "other-domain"
    assert answer["explained"]["foundIn"]["domain"] == other_gateway.domain
    assert answer["explained"]["now"] == "ClientCertUntrusted"
    assert "No authority in the truststore" in answer["record"]["refusal"]["explanation"], "the edge looks at its own domain only"
    text = explain(server, request_id)
    assert "nearest miss: The issuer" in text and "fix: Send the client to where it is trusted" in text
    assert "now: the same certificate would be refused: ClientCertUntrusted" in text


def test_the_issuer_was_in_an_older_version(make_gateway, server, pki, tmp_path):
    """And the command that is printed brings the client back in."""
    gateway = make_gateway(pki.ca().pem + pki.ca("old-ca").pem)
    client = pki.client("of-old", pki.ca("old-ca"), section="client")
    assert gateway.curl("/orders", client).status == 200
    before = gateway.api.get_domain_name(DomainName=gateway.domain)["MutualTlsAuthentication"]["TruststoreVersion"]
    gateway.update_truststore(gateway.put_truststore(pki.ca().pem))
    request_id = refused(gateway, client)
    answer = explained(server, request_id, "earlier")
    assert re.search(
        rf'^The issuer "C=US,O=Example,CN=old-ca" was in an earlier truststore of the domain: version {re.escape(before)} of '
        rf"{gateway.truststore_uri}, enforced from \S+Z until \S+Z\.$", answer["explained"]["explanation"])
    assert answer["explained"]["foundIn"] == {
        "kind": "older-version", "domain": gateway.domain, "uri": gateway.truststore_uri, "version": before}
    [command] = answer["commands"]
    shell = Shell(tmp_path, AwsCli(server, "v1").environment() | server.env)
    try:
        shell.type(command)
    finally:
        shell.close()
    gateway.wait_available()
    assert gateway.curl("/orders", client).status == 200
    text = explain(server, request_id)
    assert "is in the truststore that is enforced by now" in text and "now: the same certificate would be accepted" in text
    assert "$ " not in text, "there is nothing left to do"


def test_the_issuer_is_in_a_newer_version(make_gateway, server, pki):
    gateway = make_gateway(pki.ca().pem)
    newer = gateway.put_truststore(pki.ca().pem + pki.ca("next-ca").pem)
    request_id = refused(gateway, pki.client("of-next", pki.ca("next-ca"), section="client"))
    answer = explained(server, request_id, "newer version")
    assert answer["explained"]["foundIn"]["version"] == newer
    assert answer["commands"][0].endswith(f"TruststoreVersion={newer}")


def test_a_renewed_certificate_was_seen(make_gateway, server, pki):
    """The client has renewed, but one of its machines has not got the new certificate."""
    gateway = make_gateway(pki.ca().pem)
    name = [(NameOID.COMMON_NAME, "meter-7")]
    old = pki.built("meter-old", name, not_before=-99 * DAY, not_after=-3 * DAY)
    new = pki.built("meter-new", name, not_before=-4 * DAY, not_after=90 * DAY)
    request_id = refused(gateway, old)
    answer = explained(server, request_id, "expired 3 days ago")
    assert "renewed" not in answer["explained"]["explanation"]
    assert gateway.curl("/orders", new).status == 200
    answer = explained(server, request_id, "A renewed certificate of the same name, valid until")
    assert "Install the renewed certificate (SHA-256" in answer["explained"]["fix"]
    assert facts(answer)["renewed_sha256"] == fingerprint(pki, new)
    assert answer["record"]["refusal"]["code"] == answer["explained"]["now"] == "ClientCertExpired"


def fingerprint(pki, identity):
    shown = pki.openssl("x509", "-in", identity.cert, "-noout", "-fingerprint", "-sha256")
    return shown.partition("=")[2].strip().replace(":", "").lower()


def test_many_clients_come_too_early(make_gateway, server, pki):
    """Then it is rather the clock here that is wrong."""
    gateway = make_gateway(pki.ca().pem)
    ids = [refused(gateway, pki.dated(f"early-{n}", 600, 9 * DAY)) for n in range(3)]
    answer = explained(server, ids[0], "3 clients came within the hour with certificates that were not valid yet")
    assert "Set this machine's clock" in answer["explained"]["fix"]


CASES = {
    "wrong-purpose": (
        lambda pki: pki.client("server-cert", section="server_only"), "ClientCertPurposeInvalid",
        r'The certificate "\S+CN=server-cert" was issued for another purpose: its extended key usage is serverAuth, without clientAuth\.'),
    "same-named-ca": (
        lambda pki: pki.client("of-impostor", pki.ca("impostor", subject="/C=US/O=Example/CN=ca"), section="client"),
        "ClientCertSignatureInvalid", r'has an authority named "C=US,O=Example,CN=ca", but the certificate was signed by another key'),
    "self-signed": (
        lambda pki: pki.self_signed("nobody"), "ClientCertSelfSigned", r'"CN=nobody" is self-signed and not in the truststore\.'),
    "too-deep": (
        lambda pki: pki.chain("deep", 5)[0], "ClientCertMaxChainDepthExceeded",
        r'5 authorities stand above the certificate, and 4 are allowed: "[^"]+CN=deep-ca5", .*, "[^"]+CN=deep-root"\.'),
    "weak-key": (
        lambda pki: pki.client("small-key", kind="RSA-1024", section="client"), "ClientCertWeakKey",
        r'"[^"]+CN=small-key" is not accepted: its key is RSA 1024;'),
    "weak-signature": (
        lambda pki: pki.client("sha1-signed", digest="sha1", section="client"), "ClientCertWeakSignature",
        r'"[^"]+CN=sha1-signed" is not accepted: it is signed with ecdsa-with-SHA1;'),
    "sent-intermediate": (
        lambda pki: pki.with_intermediate("sent2"), "ClientCertUntrusted",
        r'was sent by the client, but the path is built from the truststore alone, which has "[^"]+CN=sent2-root" above it but not'),
    "missing-root": (
        lambda pki: pki.chain("half", 2)[0], "ClientCertChainIncomplete",
        r'The path ends at the intermediate "[^"]+CN=half-ca2": its issuer "[^"]+CN=half-root" is not in the truststore'),
    "nothing": (lambda pki: None, "ClientCertMissing", r"The client sent no certificate\."),
}


@pytest.fixture(scope="module")
def strict(tmp_path_factory, backend, pki):
    """On a server of its own: of what comes from one address and is refused, a server keeps only so many chains an hour."""
    server = Server(tmp_path_factory.mktemp("strict")).start()
    trusted = [pki.ca(), *pki.chain("deep", 5)[1], pki.chain("half", 2)[1][1], pki.chain("sent2", 2)[1][0]]
    pem = "".join(authority.pem for authority in trusted)
    yield Gateway(server, backend, "strict.yourcompany.com", pem).create()
    server.stop()


@pytest.mark.parametrize("case", CASES)
def test_the_nearest_miss(strict, pki, case):
    make, code, says = CASES[case]
    text = explain(strict.server, refused(strict, make(pki)))
    assert f"reason: {code}: " in text
    miss = re.search(r"^nearest miss: (.*)$", text, re.M)[1]
    assert re.search(says, miss), text
    assert re.search(r"^fix: .+\.$", text, re.M), text


def test_only_the_leaf_was_sent(make_gateway, server, pki):
    client, (root, _) = pki.chain("alone", 2)
    gateway = make_gateway(root.pem, tags={"countersign:profile": "rfc5280"})
    answer = explained(server, refused(gateway, client))
    assert answer["explained"]["explanation"] == (
        'The client sent only its own certificate, and its issuer "C=US,O=Example,CN=alone-ca2" is not in the truststore.')
    assert "Have the client send its intermediates" in answer["explained"]["fix"]


def test_where_the_missing_issuer_can_be_had(make_gateway, server, pki):
    """`caIssuers` of the authority information access."""
    section = pki.base / "aia.cnf"
    section.write_text("[aia]\nbasicConstraints = CA:false\nauthorityInfoAccess = caIssuers;URI:http://ca.example/issuer.cer\n")
    pki.client("with-aia", pki.ca("far-ca"), extra=("-extfile", section, "-extensions", "aia"))
    answer = explained(server, refused(make_gateway(pki.ca().pem), pki.client("with-aia")))
    assert "The certificate names http://ca.example/issuer.cer as the place where its issuer can be had." in answer["explained"]["fix"]
    assert facts(answer)["issuer_url"] == "http://ca.example/issuer.cer"


@pytest.fixture
def revoking(make_gateway, pki):
    """A domain whose list names a client with a stolen key, and one whose certificate was superseded."""
    ca = Authority(pki, "revoking-ca")
    stolen, old = ca.issue("stolen"), ca.issue("old")
    ca.revoke(stolen, "keyCompromise")
    ca.revoke(old, "superseded")
    gateway = make_gateway(ca.pem)
    gateway.s3.put_object(Bucket=gateway.bucket, Key="crl.pem", Body=ca.crl())
    arn = gateway.api.get_domain_name(DomainName=gateway.domain)["DomainNameArn"]
    gateway.api.tag_resource(ResourceArn=arn, Tags={"countersign:crl": f"s3://{gateway.bucket}/crl.pem"})
    gateway.wait_available()
    return gateway, ca, stolen, old


def test_a_revoked_certificate(revoking, server, pki):
    """When, why and who says so; and what to do, which depends on why."""
    gateway, ca, stolen, old = revoking
    answer = explained(server, refused(gateway, stolen))
    assert answer["record"]["refusal"]["code"] == "ClientCertCrlHit"
    says = (r'^"CN=revoking-ca-stolen" \(serial number \d+\) was revoked on \S+Z \(keyCompromise\), says the list of '
            r'"\S+CN=revoking-ca" of \S+Z\.$')
    assert re.search(says, answer["explained"]["explanation"]), answer
    assert "Whoever has the stolen key may be the client" in answer["explained"]["fix"]
    assert facts(answer)["reason"] == "keyCompromise" and facts(answer)["revoked_at"]
    assert answer["explained"]["now"] is None, "revocations are not looked up again for this"

    request_id = refused(gateway, old)
    assert explained(server, request_id)["explained"]["fix"] == "Install the certificate that replaced it."
    renewed = pki.client("renewed", ca.identity, subject="/CN=revoking-ca-old", section="client", days=900)
    assert gateway.curl("/orders", renewed).status == 200
    answer = explained(server, request_id, "It was renewed since: a certificate of the same name")
    assert facts(answer)["renewed_sha256"] == fingerprint(pki, renewed)


def test_a_revocation_that_cannot_be_established(make_gateway, server, pki):
    gateway = make_gateway(pki.ca().pem + pki.ca("unlisted-ca").pem)
    listing = Authority(pki, "listing", pki.ca())
    gateway.s3.put_object(Bucket=gateway.bucket, Key="crl.pem", Body=listing.crl())
    arn = gateway.api.get_domain_name(DomainName=gateway.domain)["DomainNameArn"]
    gateway.api.tag_resource(ResourceArn=arn, Tags={"countersign:crl": f"s3://{gateway.bucket}/crl.pem"})
    gateway.wait_available()
    assert gateway.curl("/orders", pki.client("listed", section="client")).status == 200
    answer = explained(server, refused(gateway, pki.client("unlisted", pki.ca("unlisted-ca"), section="client")))
    assert answer["record"]["refusal"]["code"] == "ClientCertCrlProcessingError"
    assert 'there is no revocation list of "C=US,O=Example,CN=unlisted-ca"' in answer["explained"]["explanation"]
    assert 'Give a current list of "C=US,O=Example,CN=unlisted-ca"' in answer["explained"]["fix"]


def test_a_domain_below_a_wildcard(server, backend, pki):
    gateway = Gateway(server, backend, "*.wild.example.com", pki.ca().pem).create()
    answer = gateway.curl("/orders", pki.client("w", pki.ca("other-ca"), section="client"), host="a.wild.example.com")
    assert_refused(answer)
    found = explained(server, answer.headers["apigw-requestid"])
    assert found["explained"]["now"] == "ClientCertUntrusted" and found["commands"]


def test_strangers_beyond_what_is_kept(start_server, backend, pki):
    """Then the record says what was found when they were refused."""
    server = start_server()
    gateway = Gateway(server, backend, "crowded.yourcompany.com", pki.ca().pem).create()
    ids = [refused(gateway, pki.built(f"crowd-{n}", [(NameOID.COMMON_NAME, f"crowd-{n}")], pki.ca("other-ca"))) for n in range(33)]
    note = "this was found when it was refused"

    def settled():
        """Sixteen of an hour are kept: should an hour end in between, at most 32 of these."""
        texts = [explain(server, request_id) for request_id in ids]
        return texts if sum("now: " in text for text in texts) >= 16 else None

    texts = eventually(settled)
    assert any(note in text for text in texts)
    for text in texts:
        assert 'nearest miss: No authority in the truststore is named "C=US,O=Example,CN=other-ca".' in text
        assert (note in text) != ("now: the same certificate would be refused: ClientCertUntrusted" in text)


def test_a_request_that_was_let_in(make_gateway, server, pki):
    answer = make_gateway(pki.ca().pem).curl("/orders", pki.client())
    text = explain(server, answer.headers["apigw-requestid"])
    assert "the client was trusted" in text and "nearest miss" not in text


def test_the_rules_of_then(server, make_gateway, pki):
    """A refusal of days ago is judged again by the rules of its day, though the domain has others now."""
    ca = pki.ca()
    gateway = make_gateway(ca.pem)
    arn = f"arn:aws:apigateway:us-east-1::/domainnames/{gateway.domain}"
    tag = {"countersign:eku": "any"}
    server_only = pki.client("server-only", ca, section="server_only")
    id = refused(gateway, server_only)
    before = explained(server, id)["explained"]
    assert (before["rules"], before["rulesChanged"]) == ({}, False)
    assert before["steps"] and [step for step in before["steps"] if not step["held"]]

    gateway.api.tag_resource(ResourceArn=arn, Tags=tag)
    gateway.wait_available()
    assert gateway.curl("/orders", server_only).status == 200
    after = explained(server, id)["explained"]
    assert (after["rules"], after["rulesChanged"], after["now"]) == ({}, True, "accepted")
    assert after["steps"] == before["steps"], "the same judgement, though it would be another now"
    text = explain(server, id)
    assert "judged by the rules of then, which are others now: no countersign: tags" in text
    assert "judged step by step:\n" in text and "\n  no: " in text
