"""Certificates by ACME, from pebble, which resolves names by our own DNS responder."""

import base64
import contextlib
import datetime
import json
import os
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.exceptions
import pytest
from cryptography import x509

from aws_cli import AwsCli
from gateway import curl
from pebble import Gate, Pebble, RenewalInformation, free_port
from server import Server, error_code, error_message, eventually, run_binary
from test_faults import health
from test_settings_records import records


class Issuing:
    """A server, and the issuer that it orders from. With `gated` there is a gate by which the issuer looks for proofs."""

    def __init__(self, base, pki, by="http", gated=False, extra="", directory=None, **settings):
        base.mkdir(parents=True, exist_ok=True)
        dns, self.http_port = free_port(), free_port()
        self.pebble = Pebble(base, pki, dns, **settings)
        directory = directory(self.pebble) if directory else self.pebble.directory
        (base / "countersign.toml").write_text(f'''[acme]
directory = "{directory}"
contact = ["mailto:ops@acme.example"]
terms_of_service_agreed = true
ca_file = "{self.pebble.ca_file}"
{f'http_addr = "127.0.0.1:{self.http_port}"' if by == "http" else ""}
{extra}
[dns]
listen = "127.0.0.1:{dns}"
''')
        self.server = Server(base, "--config", base / "countersign.toml")
        self.gate = Gate(lambda: ("127.0.0.1", self.http_port) if by == "http" else self.server.https_address) if gated else None

    def start(self):
        self.server.start()
        self.acm, self.route53 = self.server.client("acm"), self.server.client("route53")
        self.zone = self.route53.create_hosted_zone(Name="acme.example", CallerReference="acme")["HostedZone"]["Id"]
        self.point("*.acme.example", "127.0.0.1")
        gate = self.gate and self.gate.port
        self.pebble.start(gate or self.http_port, gate or self.server.https_port)
        return self

    def again(self, server):
        """Goes on with another process."""
        self.server = server
        self.server.start()
        self.acm = self.server.client("acm")

    def point(self, name, address):
        record = {"Name": name, "Type": "A", "TTL": 1, "ResourceRecords": [{"Value": address}]}
        self.route53.change_resource_record_sets(
            HostedZoneId=self.zone, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]})

    def request(self, name, **more):
        wanted = {"DomainName": name, "KeyAlgorithm": "EC_prime256v1"} | more
        return self.acm.request_certificate(**wanted)["CertificateArn"]

    def described(self, arn):
        return self.acm.describe_certificate(CertificateArn=arn)["Certificate"]

    def settled(self, arn):
        """The description once it is not pending any more."""
        probe = lambda: (shown := self.described(arn))["Status"] != "PENDING_VALIDATION" and shown
        try:
            return eventually(probe, 60)
        except AssertionError:
            raise AssertionError(f"still pending; stderr:\n{self.server.stderr()}\npebble:\n{self.pebble.log()[-4000:]}")

    def issued(self, name, **more):
        arn = self.request(name, **more)
        shown = self.settled(arn)
        assert shown["Status"] == "ISSUED", (shown, self.server.stderr())
        return arn, shown

    def renewed(self, arn, first):
        def other():
            shown = self.described(arn)
            done = shown["Serial"] != first["Serial"] and shown["RenewalSummary"]["RenewalStatus"] == "SUCCESS"
            return done and shown

        return eventually(other, 60, what=f"a renewal; stderr:\n{self.server.stderr()}")

    def domain(self, name, arn):
        self.server.client("apigatewayv2").create_domain_name(
            DomainName=name, DomainNameConfigurations=[{"CertificateArn": arn, "EndpointType": "REGIONAL"}])

    def served_serial(self, name):
        """Of the certificate that a handshake for a name shows, as ACM writes it."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(self.server.https_address, timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname=name) as stream:
                number = x509.load_der_x509_certificate(stream.getpeercert(True)).serial_number
        text = f"{number:x}"
        return ":".join(f"{byte:02x}" for byte in bytes.fromhex(text.rjust(len(text) + len(text) % 2, "0")))

    def close(self):
        self.pebble.stop()
        if self.gate:
            self.gate.close()
        self.server.stop()


@contextlib.contextmanager
def issuing(base, pki, **settings):
    one = Issuing(base / "issuing", pki, **settings)
    try:
        yield one.start()
    finally:
        one.close()


@pytest.fixture(scope="module", params=["http", "tls"])
def issuer(request, tmp_path_factory, pki):
    with issuing(tmp_path_factory.mktemp(f"acme-{request.param}"), pki, by=request.param) as one:
        one.by = request.param
        yield one


def names_of(pem):
    leaf = x509.load_pem_x509_certificate(pem.encode())
    return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)


def test_a_requested_certificate_is_issued_and_shown(issuer, backend, tmp_path):
    api = issuer.server.client("apigatewayv2")
    arn = issuer.request("api.acme.example", SubjectAlternativeNames=["www.acme.example"])
    first = issuer.described(arn)
    assert first["Status"] in ("PENDING_VALIDATION", "ISSUED") and first["Type"] == "AMAZON_ISSUED"
    shown = issuer.settled(arn)
    assert shown["Status"] == "ISSUED", (shown, issuer.server.stderr())
    assert {v["ValidationStatus"] for v in shown["DomainValidationOptions"]} == {"SUCCESS"}
    assert shown["Issuer"].startswith("Pebble") and shown["IssuedAt"] >= shown["CreatedAt"]
    assert issuer.pebble.log().count("-01 challenge") == issuer.pebble.log().count(f"{'http' if issuer.by == 'http' else 'tls-alpn'}-01 challenge")
    AwsCli(issuer.server, "v1")("acm", "wait", "certificate-validated", "--certificate-arn", arn)

    got = issuer.acm.get_certificate(CertificateArn=arn)
    assert sorted(names_of(got["Certificate"])) == ["api.acme.example", "www.acme.example"]
    assert got["CertificateChain"].count("BEGIN CERTIFICATE") >= 1

    issuer.domain("api.acme.example", arn)
    created = api.create_api(Name="acme", ProtocolType="HTTP", Target=backend.url)
    api.create_api_mapping(DomainName="api.acme.example", ApiId=created["ApiId"], Stage="$default")
    (tmp_path / "root.pem").write_text(issuer.pebble.root())
    answer = eventually(lambda: (a := curl(issuer.server, "https://api.acme.example/", ca_file=tmp_path / "root.pem")).status and a)
    assert answer.status == 200, answer


def test_what_the_server_does_is_recorded(issuer):
    arn, _ = issuer.issued("recorded.acme.example")
    made = [record for record in records(issuer.server, outcome="allowed") if f"acme-orders/{arn.replace('/', '%2F')}" in record["changed"]]
    assert [record["operation"] for record in made] == ["RequestCertificate", "ClaimAcmeOrder", "PlaceAcmeOrder", "SettleAcmeOrder"]
    assert [record["principal"] for record in made[1:]] == ["countersign"] * 3
    # One account for all orders.
    assert len(records(issuer.server, operation="MakeAcmeAccount", outcome="allowed")) == 1


def test_the_next_handshake_shows_a_renewed_certificate(issuer):
    arn, first = issuer.issued("renewed.acme.example")
    assert "RenewalSummary" not in first
    issuer.domain("renewed.acme.example", arn)
    assert issuer.served_serial("renewed.acme.example") == first["Serial"]
    issuer.acm.renew_certificate(CertificateArn=arn)
    second = issuer.renewed(arn, first)
    assert second["Status"] == "ISSUED" and second["IssuedAt"] == first["IssuedAt"]
    eventually(lambda: issuer.served_serial("renewed.acme.example") == second["Serial"])


def test_a_name_that_the_issuer_does_not_serve_fails(issuer):
    acm = issuer.acm
    arn = issuer.request("blocked.acme.example")
    shown = issuer.settled(arn)
    assert (shown["Status"], shown["FailureReason"]) == ("FAILED", "DOMAIN_NOT_ALLOWED")
    assert {v["ValidationStatus"] for v in shown["DomainValidationOptions"]} == {"FAILED"}
    assert "IssuedAt" not in shown
    for call, input, code in [
        (acm.get_certificate, {"CertificateArn": arn}, "RequestInProgressException"),
        (acm.renew_certificate, {"CertificateArn": arn}, "RequestInProgressException"),
        (issuer.server.client("apigatewayv2").create_domain_name, {"DomainName": "blocked.acme.example", "DomainNameConfigurations": [
            {"CertificateArn": arn, "EndpointType": "REGIONAL"}]}, "BadRequestException"),
    ]:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            call(**input)
        assert error_code(caught) == code
    assert f"the certificate {arn} is not issued: " in issuer.server.stderr()
    acm.delete_certificate(CertificateArn=arn)


def test_wildcards_are_refused(issuer):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        issuer.request("*.acme.example")
    assert error_code(caught) == "ValidationException" and "*.acme.example" in error_message(caught)


def test_nobody_else_is_shown_a_proof(issuer):
    """Whoever offers acme-tls/1 without an order is told that there is no such protocol, or no such name."""
    arn, _ = issuer.issued("other.acme.example")
    issuer.domain("other.acme.example", arn)
    issuer.server.settle()
    host, port = issuer.server.https_address
    for name in ("other.acme.example", "elsewhere.example"):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", name, "-alpn", "acme-tls/1"],
            input="", capture_output=True, text=True, timeout=20)
        assert "alert" in done.stderr and "BEGIN CERTIFICATE" not in done.stdout, done.stderr
    if issuer.by == "http":
        for path in ("/.well-known/acme-challenge/x", "/"):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"http://127.0.0.1:{issuer.http_port}{path}", timeout=10)
            assert caught.value.code == 404


def looks(one):
    """Waits until the issuer has resolved the name, and is at the gate: it comes three times at once."""
    eventually(lambda: one.gate.came == 3, what="the issuer's look")


def test_a_proof_is_shown_while_its_order_lasts(tmp_path, pki):
    """To whoever asks by the protocol, and only for the name; then no more."""
    with issuing(tmp_path, pki, by="tls", gated=True) as one:
        one.gate.open.clear()
        arn = one.request("proof.acme.example")
        looks(one)

        def proof(name):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["acme-tls/1"])
            with socket.create_connection(one.server.https_address, timeout=10) as plain:
                with context.wrap_socket(plain, server_hostname=name) as stream:
                    assert stream.selected_alpn_protocol() == "acme-tls/1"
                    assert stream.recv(1) == b"", "there is nothing to be said"
                    return x509.load_der_x509_certificate(stream.getpeercert(True))

        shown = proof("proof.acme.example")
        assert shown.issuer == shown.subject
        extension = shown.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
        assert extension.critical
        with pytest.raises(ssl.SSLError):
            proof("elsewhere.acme.example")
        one.gate.open.set()
        assert one.settled(arn)["Status"] == "ISSUED"
        with pytest.raises(ssl.SSLError):
            proof("proof.acme.example")


class Stranger(BaseHTTPRequestHandler):
    """Another one's web server."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args):
        pass


def test_a_name_of_somebody_else_fails(tmp_path, pki):
    with issuing(tmp_path, pki) as one:
        one.point("theirs.acme.example", "127.0.0.2")
        stranger = ThreadingHTTPServer(("127.0.0.2", one.http_port), Stranger)
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        try:
            shown = one.settled(one.request("theirs.acme.example"))
        finally:
            stranger.shutdown()
            stranger.server_close()
        assert (shown["Status"], shown["FailureReason"]) == ("FAILED", "DOMAIN_VALIDATION_DENIED")
        assert "theirs.acme.example: " in one.server.stderr()


def test_a_restart_goes_on_with_an_order(tmp_path, pki):
    with issuing(tmp_path, pki, gated=True) as one:
        one.gate.open.clear()
        arn = one.request("restarted.acme.example")
        looks(one)
        one.server.kill()
        assert one.pebble.log().count("orders in the db") == 1
        one.again(one.server)
        assert one.described(arn)["Status"] == "PENDING_VALIDATION"
        one.gate.open.set()
        assert one.settled(arn)["Status"] == "ISSUED"
        assert one.pebble.log().count("orders in the db") == 1, "it is the same order"


def test_one_takes_over_with_an_order(tmp_path, pki):
    with issuing(tmp_path, pki, gated=True) as one:
        one.gate.open.clear()
        arn = one.request("handed.acme.example")
        looks(one)
        first = one.server
        one.again(Server(tmp_path / "successor", "--takeover", "--config", first.base / "countersign.toml", data_dir=first.data_dir))
        assert first.process.wait(30) == 0
        first.process = None
        one.gate.open.set()
        assert one.settled(arn)["Status"] == "ISSUED"


def test_it_is_renewed_in_time(tmp_path, pki):
    with issuing(tmp_path, pki, validity_s=15) as one:
        arn, first = one.issued("soon.acme.example")
        second = one.renewed(arn, first)
        assert second["NotBefore"] < first["NotAfter"] < second["NotAfter"]


def test_a_renewal_that_fails_is_shown(tmp_path, pki):
    with issuing(tmp_path, pki) as one:
        arn, first = one.issued("kept.acme.example")
        assert health(one.server)== set()
        one.pebble.stop()
        one.acm.renew_certificate(CertificateArn=arn)
        failed = eventually(lambda: (s := one.described(arn)).get("RenewalSummary", {}).get("RenewalStatus") == "FAILED" and s)
        assert failed["Status"] == "ISSUED" and failed["Serial"] == first["Serial"]
        assert failed["RenewalSummary"]["RenewalStatusReason"] == "OTHER"
        assert health(one.server)== {"certificates"}
        assert f"the certificate {arn} is not renewed yet, and is ordered again: " in one.server.stderr()
        with urllib.request.urlopen(f"{one.server.control}/_countersign/metrics", timeout=10) as answer:
            line = next(l for l in answer.read().decode().splitlines() if l.startswith("countersign_certificate_order_failures{"))
        assert f'arn="{arn}"' in line and 'domain="kept.acme.example"' in line and float(line.split()[-1]) >= 1

        # An issuer that is back, and has forgotten the account.
        one.pebble.start_again()
        one.acm.renew_certificate(CertificateArn=arn)
        eventually(lambda: records(one.server, operation="ForgetAcmeAccount", outcome="allowed"), 60)
        one.acm.renew_certificate(CertificateArn=arn)
        one.renewed(arn, first)
        assert health(one.server)== set()


def test_an_issuer_that_is_away_is_asked_again(tmp_path, start_server):
    (tmp_path / "c.toml").write_text(
        f'[acme]\ndirectory = "https://localhost:{free_port()}/dir"\nterms_of_service_agreed = true\n')
    server = start_server("--config", tmp_path / "c.toml")
    acm = server.client("acm")
    arn = acm.request_certificate(DomainName="a.acme.example", KeyAlgorithm="EC_prime256v1")["CertificateArn"]
    eventually(lambda: f"the certificate {arn} is not there yet, and is ordered again" in server.stderr())
    assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["Status"] == "PENDING_VALIDATION"
    assert health(server)== set(), "nothing that was there is missing"
    acm.delete_certificate(CertificateArn=arn)
    assert acm.list_certificates()["CertificateSummaryList"] == []


def test_a_name_that_leads_nowhere_yet_is_pending(tmp_path, pki):
    with issuing(tmp_path, pki) as one:
        arn = one.request("nowhere.example")
        eventually(lambda: f"the certificate {arn} is not there yet, and is ordered again: nowhere.example: " in one.server.stderr(), 40)
        assert one.described(arn)["Status"] == "PENDING_VALIDATION"


def test_an_account_that_the_issuer_knows(tmp_path, pki):
    key = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    (tmp_path / "key").write_text(key + "\n")
    extra = f'external_account = {{ key_id = "kid-1", key_file = "{tmp_path}/key" }}'
    settings = {"externalAccountBindingRequired": True, "externalAccountMACKeys": {"kid-1": key}}
    with issuing(tmp_path, pki, extra=extra, **settings) as one:
        one.issued("bound.acme.example")


def test_the_issuer_suggests_when(tmp_path, pki):
    """At first a time that has passed, of the renewed certificate one to come."""
    at = lambda days: (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = []

    def directory(pebble):
        told.append(RenewalInformation(pebble, lambda asked: (at(-2), at(-1)) if asked == 1 else (at(20), at(30))))
        return told[0].directory

    with issuing(tmp_path, pki, directory=directory, validity_s=600) as one:
        arn, first = one.issued("suggested.acme.example")
        leaf = x509.load_pem_x509_certificate(one.acm.get_certificate(CertificateArn=arn)["Certificate"].encode())
        second = one.renewed(arn, first)
        assert second["NotBefore"] < first["NotAfter"]
        eventually(lambda: len(told[0].asked) == 2)
        key_id = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        unpadded = lambda data: base64.urlsafe_b64encode(data).decode().rstrip("=")
        serials = [unpadded(bytes.fromhex(shown["Serial"].replace(":", ""))) for shown in (first, second)]
        assert told[0].asked == [f"{unpadded(key_id)}.{serial}" for serial in serials]
        told[0].close()


@pytest.mark.parametrize("text, why", [
    ('ca_file = "missing.pem"', "acme.ca_file: "),
    ('ca_file = "countersign.toml"', "acme.ca_file: no certificate in PEM"),
    ('http_addr = "192.0.2.1:80"', "choose another address with acme.http_addr"),
    ('external_account = { key_id = "a", key_file = "countersign.toml" }', "acme.external_account.key_file: expected the key in base64url"),
])
def test_a_configuration_that_cannot_be(tmp_path, text, why):
    (tmp_path / "countersign.toml").write_text(
        f'[acme]\ndirectory = "https://localhost/dir"\nterms_of_service_agreed = true\n{text}\n')
    done = run_binary("up", "--data-dir", tmp_path / "data", "--https-addr", "127.0.0.1:0", "--control-addr", "127.0.0.1:0",
                      "--config", tmp_path / "countersign.toml", check=False)
    assert done.returncode == 2 and why in done.stderr, done.stderr
