"""The guide's troubleshooting table: each row happens, and says so where the reader looks."""

import pytest

from gateway import Gateway, assert_refused
from server import eventually


def domain_of(gateway):
    return gateway.api.get_domain_name(DomainName=gateway.domain)


@pytest.fixture
def make_gateway(server, backend):
    made = []

    def make(truststore, **options):
        made.append(Gateway(server, backend, f"trouble{len(made)}.yourcompany.com", truststore, **options).create())
        return made[-1]

    yield make
    for gateway in made:
        gateway.api.delete_domain_name(DomainName=gateway.domain)


def test_a_broken_certificate_in_the_truststore(make_gateway, pki):
    """`truststoreWarnings` name the certificate and what is wrong; mutual TLS stays on."""
    expired = pki.dated("long-gone", -9 * 86_400, -86_400)
    leaf = pki.client("not-a-ca", section="client")
    gateway = make_gateway(pki.ca().pem + expired.pem + leaf.pem)
    warnings = domain_of(gateway)["MutualTlsAuthentication"]["TruststoreWarnings"]
    assert any("CN=long-gone" in w and "expired" in w.lower() for w in warnings), warnings
    assert any("CN=not-a-ca" in w for w in warnings), warnings
    assert not any("CN=ca" in w for w in warnings), "nothing is wrong with this one"
    assert gateway.curl("/orders", pki.client()).status == 200
    assert_refused(gateway.curl("/orders"))


def test_bytes_that_are_no_certificate(make_gateway, pki):
    broken = "-----BEGIN CERTIFICATE-----\nTm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"
    gateway = make_gateway(pki.ca().pem + broken)
    warnings = domain_of(gateway)["MutualTlsAuthentication"]["TruststoreWarnings"]
    assert len(warnings) == 1, warnings
    assert gateway.curl("/orders", pki.client()).status == 200


def test_a_good_truststore_has_no_warnings(make_gateway, pki):
    assert not domain_of(make_gateway(pki.ca().pem))["MutualTlsAuthentication"].get("TruststoreWarnings")


def test_a_stale_version_pin(make_gateway, pki, server):
    """The truststore was uploaded again, the domain still names the old version: the record says so."""
    gateway = make_gateway(pki.ca().pem)
    partner = pki.client("new-partner", pki.ca("new-partner-ca"))
    newer = gateway.put_truststore(pki.ca().pem + pki.ca("new-partner-ca").pem)
    answer = gateway.curl("/orders", partner)
    assert_refused(answer)
    said = eventually(lambda: line_about(server, answer))
    assert "newer version" in said and newer in said

    gateway.update_truststore(newer)
    assert gateway.curl("/orders", partner).status == 200


def test_a_client_of_another_ca(make_gateway, pki, server):
    """The line for a person names the issuer that was looked for."""
    gateway = make_gateway(pki.ca().pem)
    answer = gateway.curl("/orders", pki.client("stranger", pki.ca("other-ca"), section="client"))
    assert_refused(answer)
    assert "CN=other-ca" in eventually(lambda: line_about(server, answer))
    assert "Could not find issuer for certificate" in gateway.record(requestId=answer.headers["apigw-requestid"])["error"]


@pytest.mark.parametrize("kind", ["missing", "expired"])
def test_every_refusal_is_a_line_for_a_person(make_gateway, pki, server, kind):
    gateway = make_gateway(pki.ca().pem)
    answer = gateway.curl("/orders", None if kind == "missing" else pki.dated("expired", -864_000, -86_400))
    assert_refused(answer)
    said = eventually(lambda: line_about(server, answer))
    assert gateway.domain in said
    assert {"missing": "certificate", "expired": "expired"}[kind] in said
    assert "countersign explain" in said


def test_a_truststore_update_bites_at_once(make_gateway, pki):
    """On a connection that is open already, too."""
    gateway = make_gateway(pki.ca().pem + pki.ca("leaving-ca").pem)
    leaving = pki.client("leaving", pki.ca("leaving-ca"))
    assert gateway.curl("/orders", leaving).status == 200
    gateway.update_truststore(gateway.put_truststore(pki.ca().pem))
    assert_refused(gateway.curl("/orders", leaving))
    assert gateway.curl("/orders", pki.client()).status == 200


def line_about(server, answer):
    """The line on stderr with the id that the client was told."""
    request_id = answer.headers["apigw-requestid"]
    return next((line for line in server.stderr().splitlines() if request_id in line), None)
