"""Server certificates: imported ones, and those that the local CA issues."""

import json
import subprocess

import botocore.exceptions
import pytest
from cryptography import x509

from gateway import curl
from server import error_code, eventually


@pytest.fixture(scope="module")
def acm(server):
    return server.client("acm")


def import_identity(acm, identity, chain=None, **more):
    given = {"Certificate": identity.cert.read_bytes(), "PrivateKey": identity.key.read_bytes()}
    if chain:
        given["CertificateChain"] = chain.cert.read_bytes()
    return acm.import_certificate(**given, **more)["CertificateArn"]


def test_issued_at_once_by_the_local_ca(acm, server):
    arn = acm.request_certificate(
        DomainName="api.example.com", SubjectAlternativeNames=["www.example.com"], ValidationMethod="DNS")["CertificateArn"]
    assert arn.startswith("arn:aws:acm:us-east-1:123456789012:certificate/")
    shown = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert shown["Status"] == "ISSUED" and shown["Type"] == "AMAZON_ISSUED"
    assert sorted(shown["SubjectAlternativeNames"]) == ["api.example.com", "www.example.com"]

    got = acm.get_certificate(CertificateArn=arn)
    leaf = x509.load_pem_x509_certificate(got["Certificate"].encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert sorted(names) == ["api.example.com", "www.example.com"]
    root = x509.load_pem_x509_certificate(open(server.ca_file, "rb").read())
    leaf.verify_directly_issued_by(root)


def test_openssl_agrees_about_the_issued_certificate(acm, server, tmp_path):
    arn = acm.request_certificate(DomainName="api.example.com", ValidationMethod="DNS")["CertificateArn"]
    (tmp_path / "leaf.pem").write_text(acm.get_certificate(CertificateArn=arn)["Certificate"])
    verified = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "api.example.com", "-CAfile", server.ca_file, "leaf.pem"],
        cwd=tmp_path, capture_output=True, text=True)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_import_with_its_chain(acm, pki):
    root = pki.ca("acm-root")
    intermediate = pki.intermediate("acm-intermediate", root)
    leaf = pki.server("acm-leaf", "imported.example.com", intermediate)
    arn = import_identity(acm, leaf, intermediate)
    got = acm.get_certificate(CertificateArn=arn)
    assert got["Certificate"].strip() == leaf.pem.strip()
    assert got["CertificateChain"].strip() == intermediate.pem.strip()
    shown = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert shown["Type"] == "IMPORTED" and shown["DomainName"] == "imported.example.com"
    assert "PrivateKey" not in json.dumps(got, default=str)


def test_reimport_replaces(acm, pki):
    arn = import_identity(acm, pki.server("first", "again.example.com"))
    second = pki.server("second", "again.example.com")
    assert import_identity(acm, second, CertificateArn=arn) == arn
    assert acm.get_certificate(CertificateArn=arn)["Certificate"].strip() == second.pem.strip()


def test_a_key_of_another_certificate(acm, pki):
    one, other = pki.server("one", "one.example.com"), pki.server("other", "other.example.com")
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        acm.import_certificate(Certificate=one.cert.read_bytes(), PrivateKey=other.key.read_bytes())
    assert error_code(caught) == "ValidationException"


@pytest.mark.parametrize("junk", [b"not pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_junk_is_refused(acm, pki, junk):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        acm.import_certificate(Certificate=junk, PrivateKey=pki.server("one", "one.example.com").key.read_bytes())
    assert error_code(caught) == "ValidationException"


def test_list_and_delete(acm, pki):
    arn = import_identity(acm, pki.server("listed", "listed.example.com"))
    pages = acm.get_paginator("list_certificates").paginate(PaginationConfig={"PageSize": 2})
    assert arn in [c["CertificateArn"] for page in pages for c in page["CertificateSummaryList"]]
    acm.delete_certificate(CertificateArn=arn)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        acm.describe_certificate(CertificateArn=arn)
    assert error_code(caught) == "ResourceNotFoundException"


def test_the_domain_shows_the_imported_chain(server, backend, pki):
    """What a client sees of it: leaf and intermediate, so that a client who trusts the root only gets through."""
    root = pki.ca("shown-root")
    intermediate = pki.intermediate("shown-intermediate", root)
    leaf = pki.server("shown-leaf", "shown.example.com", intermediate)
    arn = import_identity(server.client("acm"), leaf, intermediate)
    api = server.client("apigatewayv2")
    created = api.create_api(Name="shown", ProtocolType="HTTP", Target=backend.url)
    api.create_domain_name(DomainName="shown.example.com", DomainNameConfigurations=[
        {"CertificateArn": arn, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}])
    api.create_api_mapping(DomainName="shown.example.com", ApiId=created["ApiId"], Stage="$default")
    eventually(lambda: curl(server, "https://shown.example.com/", ca_file=root.cert).status == 200)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        server.client("acm").delete_certificate(CertificateArn=arn)
    assert error_code(caught) == "ResourceInUseException"


def test_through_the_cli(aws, pki):
    leaf = pki.server("by-cli", "cli.example.com")
    arn = aws("acm", "import-certificate", "--certificate", f"fileb://{leaf.cert}", "--private-key", f"fileb://{leaf.key}",
              "--certificate-chain", f"fileb://{pki.ca('server-ca').cert}")["CertificateArn"]
    assert aws("acm", "describe-certificate", "--certificate-arn", arn)["Certificate"]["DomainName"] == "cli.example.com"
    assert aws("acm", "get-certificate", "--certificate-arn", arn)["Certificate"].strip() == leaf.pem.strip()
    assert arn in [c["CertificateArn"] for c in aws("acm", "list-certificates")["CertificateSummaryList"]]
    aws("acm", "delete-certificate", "--certificate-arn", arn)
    gone = aws("acm", "describe-certificate", "--certificate-arn", arn, check=False)
    assert "ResourceNotFoundException" in gone.stderr
