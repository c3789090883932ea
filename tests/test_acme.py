"""Certificates by ACME, from pebble, Let's Encrypt's own server for tests, which resolves names by our DNS responder."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import urllib.request

import botocore.exceptions
import pytest
from cryptography import x509

from gateway import curl
from server import Server, error_code, eventually


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


class Pebble:
    """An ACME server, and what it needs to know of the gateway."""

    def __init__(self, base, pki, http_port, tls_port, dns_port, validity_s):
        self.port, self.management = free_port(), free_port()
        identity = pki.server("pebble", "localhost")
        self.ca_file = pki.ca("server-ca").cert
        (base / "pebble.json").write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(identity.cert), "privateKey": str(identity.key), "httpPort": http_port, "tlsPort": tls_port,
            "ocspResponderURL": "", "externalAccountBindingRequired": False,
            "domainBlocklist": ["blocked.acme.example"], "certificateValidityPeriod": validity_s,
            "profiles": {"default": {"description": "for tests", "validityPeriod": validity_s}}}}))
        self.log = open(base / "pebble.log", "wb")
        self.process = subprocess.Popen(
            ["pebble", "-config", str(base / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns_port}"],
            stdout=self.log, stderr=self.log, env=os.environ | {"PEBBLE_VA_NOSLEEP": "1"})

    @property
    def directory(self):
        return f"https://localhost:{self.port}/dir"

    def root(self):
        """The root of what it issues, PEM."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(f"https://localhost:{self.management}/roots/0", context=context, timeout=10) as answer:
            return answer.read().decode()

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        self.log.close()


@contextlib.contextmanager
def issuing(base, pki, by, validity_s=3600):
    """A server that orders from a pebble, which validates by HTTP or by TLS."""
    base.mkdir(parents=True, exist_ok=True)
    dns, http, https = free_port(), free_port(), free_port()
    pebble = Pebble(base, pki, http, https, dns, validity_s)
    text = f'''[acme]
directory = "{pebble.directory}"
contact = ["mailto:ops@acme.example"]
terms_of_service_agreed = true
ca_file = "{pebble.ca_file}"
''' + (f'http_addr = "127.0.0.1:{http}"\n' if by == "http" else "") + f'''
[dns]
listen = "127.0.0.1:{dns}"
addresses = ["127.0.0.1"]
'''
    (base / "countersign.toml").write_text(text)
    server = Server(base, "--config", base / "countersign.toml", "--https-addr", f"127.0.0.1:{https}")
    try:
        server.start()
        route53 = server.client("route53")
        zone = route53.create_hosted_zone(Name="acme.example", CallerReference="acme")["HostedZone"]["Id"]
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": {
            "Name": "*.acme.example", "Type": "A", "TTL": 1, "ResourceRecords": [{"Value": "127.0.0.1"}]}}]})
        yield server, pebble
    finally:
        pebble.close()
        server.stop()


@pytest.fixture(scope="module", params=["http", "tls"])
def issuer(request, tmp_path_factory, pki):
    with issuing(tmp_path_factory.mktemp(f"acme-{request.param}"), pki, request.param) as both:
        yield both


def described(server, arn):
    return server.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]


def settled(server, arn):
    """The description once it is not pending any more."""
    found = eventually(lambda: (d := described(server, arn))["Status"] != "PENDING_VALIDATION" and d, 60)
    return found


def test_a_requested_certificate_is_issued_and_shown(issuer, backend, tmp_path):
    server, pebble = issuer
    acm, api = server.client("acm"), server.client("apigatewayv2")
    arn = acm.request_certificate(
        DomainName="api.acme.example", SubjectAlternativeNames=["www.acme.example"], KeyAlgorithm="EC_prime256v1")["CertificateArn"]
    first = described(server, arn)
    assert first["Status"] in ("PENDING_VALIDATION", "ISSUED") and first["Type"] == "AMAZON_ISSUED"
    shown = settled(server, arn)
    assert shown["Status"] == "ISSUED", (shown, server.stderr())
    assert {v["ValidationStatus"] for v in shown["DomainValidationOptions"]} == {"SUCCESS"}
    assert "Pebble" in shown["Issuer"]
    got = acm.get_certificate(CertificateArn=arn)
    leaf = x509.load_pem_x509_certificate(got["Certificate"].encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert sorted(names) == ["api.acme.example", "www.acme.example"]
    assert got["CertificateChain"].count("BEGIN CERTIFICATE") >= 1

    api.create_domain_name(DomainName="api.acme.example", DomainNameConfigurations=[{"CertificateArn": arn, "EndpointType": "REGIONAL"}])
    created = api.create_api(Name="acme", ProtocolType="HTTP", Target=backend.url)
    api.create_api_mapping(DomainName="api.acme.example", ApiId=created["ApiId"], Stage="$default")
    (tmp_path / "root.pem").write_text(pebble.root())
    eventually(lambda: curl(server, "https://api.acme.example/", ca_file=tmp_path / "root.pem").status == 200)


@pytest.mark.parametrize("name, reason", [
    ("nowhere.example", "DOMAIN_VALIDATION_DENIED"),
    ("blocked.acme.example", "DOMAIN_NOT_ALLOWED"),
])
def test_a_name_that_is_not_ours_fails(issuer, name, reason):
    server, _ = issuer
    acm = server.client("acm")
    arn = acm.request_certificate(DomainName=name, KeyAlgorithm="EC_prime256v1")["CertificateArn"]
    shown = settled(server, arn)
    assert (shown["Status"], shown["FailureReason"]) == ("FAILED", reason)
    assert {v["ValidationStatus"] for v in shown["DomainValidationOptions"]} == {"FAILED"}
    for call, input, code in [
        (acm.get_certificate, {"CertificateArn": arn}, "RequestInProgressException"),
        (server.client("apigatewayv2").create_domain_name, {
            "DomainName": name, "DomainNameConfigurations": [{"CertificateArn": arn, "EndpointType": "REGIONAL"}]}, "BadRequestException"),
    ]:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            call(**input)
        assert error_code(caught) == code
    assert f"the certificate {arn} is not issued: " in server.stderr()
    acm.delete_certificate(CertificateArn=arn)


def test_wildcards_are_refused(issuer):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        issuer[0].client("acm").request_certificate(DomainName="*.acme.example")
    assert error_code(caught) == "ValidationException"


def test_nobody_else_is_shown_a_proof(issuer):
    """Whoever offers acme-tls/1 without an order is told that there is no such protocol, or no such name."""
    server, _ = issuer
    host, port = server.https_address
    for name in ("api.acme.example", "elsewhere.example"):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", name, "-alpn", "acme-tls/1"],
            input="", capture_output=True, text=True, timeout=20)
        assert "alert" in done.stderr and "BEGIN CERTIFICATE" not in done.stdout, done.stderr


def test_it_is_renewed_under_its_arn(tmp_path, pki):
    with issuing(tmp_path / "acme", pki, "http", validity_s=15) as (server, _):
        acm = server.client("acm")
        arn = acm.request_certificate(DomainName="soon.acme.example", KeyAlgorithm="EC_prime256v1")["CertificateArn"]
        first = settled(server, arn)
        assert first["Status"] == "ISSUED", server.stderr()
        renewed = eventually(lambda: (d := described(server, arn))["Serial"] != first["Serial"] and d, 40)
        assert renewed["RenewalSummary"]["RenewalStatus"] == "SUCCESS" and renewed["NotAfter"] > first["NotAfter"]


def test_an_issuer_that_is_away_is_asked_again(tmp_path, pki, start_server):
    (tmp_path / "c.toml").write_text(
        f'[acme]\ndirectory = "https://localhost:{free_port()}/dir"\nterms_of_service_agreed = true\n')
    server = start_server("--config", tmp_path / "c.toml")
    arn = server.client("acm").request_certificate(DomainName="a.acme.example", KeyAlgorithm="EC_prime256v1")["CertificateArn"]
    eventually(lambda: f"the certificate {arn} is not there yet, and is ordered again" in server.stderr())
    assert described(server, arn)["Status"] == "PENDING_VALIDATION"
