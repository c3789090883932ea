"""Security policies by AWS's names: what a domain name speaks, seen by openssl, and what the APIs refuse."""

import json
import os
import subprocess
from pathlib import Path

import botocore.exceptions
import pytest

from gateway import Gateway
from server import error_message
from test_rest_api import RestGateway

TLS13 = "SecurityPolicy_TLS13_1_3_2025_09"
# What openssl offers, and nothing else.
OFFERS = {
    "1.1": ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
    "1.2 GCM": ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"],
    "1.2 ChaCha20": ["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"],
    "1.2 CBC": ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:AES128-SHA256"],
    "1.3 AES": ["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"],
    "1.3 ChaCha20": ["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
    "X25519": ["-tls1_3", "-groups", "X25519"],
    "P-384": ["-tls1_3", "-groups", "P-384"],
}
GOOD = {"1.2 GCM", "1.3 AES", "1.3 ChaCha20", "X25519", "P-384"}
TAKEN = {
    "TLS_1_2": GOOD | {"1.2 ChaCha20"},
    "SecurityPolicy_TLS13_1_2_2021_06": GOOD,
    "SecurityPolicy_TLS13_1_2_PQ_2025_09": GOOD,
    "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09": GOOD,
    "SecurityPolicy_TLS13_1_2_FIPS_PQ_2025_09": GOOD - {"1.3 ChaCha20", "X25519"},
    "SecurityPolicy_TLS13_1_2_FIPS_PFS_PQ_2025_09": GOOD - {"1.3 ChaCha20", "X25519"},
    TLS13: GOOD - {"1.2 GCM"},
    "SecurityPolicy_TLS13_1_3_FIPS_2025_09": GOOD - {"1.2 GCM", "1.3 ChaCha20", "X25519"},
}


class OpenGateway(RestGateway):
    """A REST API behind a domain name that asks nobody for a certificate, with a security policy."""

    def create(self, policy="TLS_1_2"):
        acm = self.server.client("acm")
        self.certificate_arn = acm.request_certificate(DomainName=self.domain, ValidationMethod="DNS")["CertificateArn"]
        self.create_api()
        enhanced = {} if policy == "TLS_1_2" else {"endpointAccessMode": "STRICT"}
        self.made = self.rest.create_domain_name(
            domainName=self.domain, regionalCertificateArn=self.certificate_arn, securityPolicy=policy,
            endpointConfiguration={"types": ["REGIONAL"]}, **enhanced)
        self.rest.create_base_path_mapping(domainName=self.domain, restApiId=self.api_id, stage="prod")
        self.wait_available()
        return self

    def patch(self, **members):
        operations = [{"op": "replace", "path": f"/{path}", "value": value} for path, value in members.items()]
        patched = self.rest.update_domain_name(domainName=self.domain, patchOperations=operations)
        self.wait_available()
        return patched


def handshake(server, domain, *offer, identity=None):
    """Whether it came about, and what openssl says."""
    command = ["openssl", "s_client", "-connect", server.https, "-servername", domain, "-brief", *offer]
    if identity:
        command += ["-cert", str(identity.cert), "-key", str(identity.key)]
    environment = os.environ | {"OPENSSL_CONF": str(Path(__file__).parent / "openssl.cnf")}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, timeout=20)
    return done.returncode == 0 and "CONNECTION ESTABLISHED" in done.stderr, done.stderr


def test_each_policy_speaks_what_it_names_and_nothing_else(server, backend, pki):
    gateway = OpenGateway(server, backend, "policies.yourcompany.com", pki.ca().pem).create()
    for policy, taken in TAKEN.items():
        enhanced = policy != "TLS_1_2"
        patched = gateway.patch(securityPolicy=policy, endpointAccessMode="BASIC" if enhanced else "")
        assert (patched["securityPolicy"], patched.get("endpointAccessMode")) == (policy, "BASIC" if enhanced else None)
        answers = {name: handshake(server, gateway.domain, *offer) for name, offer in OFFERS.items()}
        assert {name for name, (made, _) in answers.items() if made} == taken, (policy, answers)
        if "1.2 GCM" not in taken:
            assert "alert protocol version" in answers["1.2 GCM"][1], answers["1.2 GCM"]
    served = gateway.curl("/pets/7", tls="1.3")
    assert served.status == 200
    assert gateway.curl("/pets/7", tls="1.2").status == 0


def test_sessions_of_another_policy_are_not_resumed(server, backend, pki, tmp_path):
    gateway = OpenGateway(server, backend, "resumed.yourcompany.com", pki.ca().pem).create()
    session = tmp_path / "session"
    offer = ["-tls1_2", "-sess_out", str(session)]
    assert handshake(server, gateway.domain, *offer)[0]

    def resumed():
        command = ["openssl", "s_client", "-connect", server.https, "-servername", gateway.domain, "-tls1_2", "-sess_in", str(session)]
        return "\nReused, TLSv1.2" in subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout

    assert resumed()
    gateway.patch(securityPolicy="SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09", endpointAccessMode="STRICT")
    assert not resumed()


def test_v2_shows_what_it_can_name_and_can_take_it_back(server, backend, pki):
    gateway = OpenGateway(server, backend, "v2.yourcompany.com", pki.ca().pem).create(TLS13)
    assert (gateway.made["securityPolicy"], gateway.made["endpointAccessMode"]) == (TLS13, "STRICT")
    [shown] = gateway.api.get_domain_name(DomainName=gateway.domain)["DomainNameConfigurations"]
    assert "SecurityPolicy" not in shown
    gateway.api.update_domain_name(DomainName=gateway.domain, DomainNameConfigurations=[gateway.configuration()])
    gateway.wait_available()
    found = gateway.rest.get_domain_name(domainName=gateway.domain)
    assert found["securityPolicy"] == "TLS_1_2" and "endpointAccessMode" not in found
    assert handshake(server, gateway.domain, "-tls1_2")[0]


@pytest.mark.parametrize("members, said", [
    ({"securityPolicy": TLS13}, "Endpoint access mode is required for the specified security policy"),
    ({"securityPolicy": "TLS_1_0"}, "nothing older than TLS 1.2 is spoken; there are TLS_1_2, SecurityPolicy_TLS13_1_2_2021_06"),
    ({"securityPolicy": "SecurityPolicy_TLS12_2018_EDGE", "endpointAccessMode": "STRICT"}, "it is of EDGE endpoints; of REGIONAL ones there are TLS_1_2"),
    ({"endpointAccessMode": "STRICT"}, "An endpoint access mode needs a security policy that starts with SecurityPolicy_"),
    ({"securityPolicy": TLS13, "endpointAccessMode": "STRICT", "mutualTlsAuthentication": True}, f"set the tag countersign:security-policy={TLS13}"),
])
def test_what_does_not_go_together_is_refused(gateway, members, said):
    rest, domain = gateway.server.client("apigateway"), "refused.yourcompany.com"
    acm = gateway.server.client("acm")
    arn = acm.request_certificate(DomainName=domain, ValidationMethod="DNS")["CertificateArn"]
    if "mutualTlsAuthentication" in members:
        members = members | {"mutualTlsAuthentication": {"truststoreUri": gateway.truststore_uri}}
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        rest.create_domain_name(
            domainName=domain, regionalCertificateArn=arn, endpointConfiguration={"types": ["REGIONAL"]}, **members)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert said in error_message(caught)


def test_http_apis_need_tls_1_2(gateway, server, backend, pki):
    """As on AWS: neither is an HTTP API mapped to such a domain name, nor does one that leads to an HTTP API become such."""
    rest = server.client("apigateway")
    enhanced = OpenGateway(server, backend, "enhanced.yourcompany.com", pki.ca().pem).create(TLS13)
    with pytest.raises(botocore.exceptions.ClientError, match="HTTP APIs cannot be mapped"):
        gateway.api.create_api_mapping(DomainName=enhanced.domain, ApiId=gateway.api_id, Stage="prod", ApiMappingKey="http")
    plain = OpenGateway(server, backend, "plain.yourcompany.com", pki.ca().pem).create()
    gateway.api.create_api_mapping(DomainName=plain.domain, ApiId=gateway.api_id, Stage="prod", ApiMappingKey="http")
    for domain, said in ((plain.domain, "HTTP APIs cannot be mapped"), (gateway.domain, "Mutual TLS cannot be used")):
        with pytest.raises(botocore.exceptions.ClientError, match=said):
            rest.update_domain_name(domainName=domain, patchOperations=[
                {"op": "replace", "path": "/securityPolicy", "value": TLS13},
                {"op": "replace", "path": "/endpointAccessMode", "value": "STRICT"}])


def test_a_tag_brings_it_to_mutual_tls(server, backend, pki):
    """What AWS has not: the same template works there, where the tag means nothing."""
    tags = {"countersign:security-policy": "SecurityPolicy_TLS13_1_3_FIPS_2025_09"}
    log = json.dumps({"requestId": "$context.requestId", "path": "$context.path", "tls": "$context.tlsVersion", "cipher": "$context.cipherSuite"})
    gateway = Gateway(server, backend, "tagged.yourcompany.com", pki.ca().pem, tags=tags, log_format=log).create()
    alice = pki.client()
    assert gateway.curl("/orders", alice, "--curves", "P-256", tls="1.3").status == 200
    record = gateway.record(path="/orders")
    assert record["tls"] == "TLSv1.3" and record["cipher"] in ("TLS_AES_128_GCM_SHA256", "TLS13_AES_128_GCM_SHA256")
    made, said = handshake(server, gateway.domain, "-tls1_2", identity=alice)
    assert not made and "alert protocol version" in said
    assert not handshake(server, gateway.domain, *OFFERS["X25519"], identity=alice)[0]
    arn = f"arn:aws:apigateway:us-east-1::/domainnames/{gateway.domain}"
    gateway.api.untag_resource(ResourceArn=arn, TagKeys=list(tags))
    gateway.wait_available()
    assert gateway.curl("/orders", alice, tls="1.2").status == 200
    with pytest.raises(botocore.exceptions.ClientError, match="such as SecurityPolicy_TLS13_1_3_2025_09"):
        gateway.api.tag_resource(ResourceArn=arn, Tags={"countersign:security-policy": "TLS_1_0"})
