"""Certificates of ACM that are kept in files, as certbot writes them."""

import json
import os
import urllib.request

import botocore.exceptions
import pytest
from cryptography import x509

from gateway import curl
from server import error_code, eventually

DOMAIN = "files.example.com"


def config(tmp_path):
    text = f'''[[certificates]]
name = "files"
certificate = "{tmp_path}/live/fullchain.pem"
key = "{tmp_path}/live/privkey.pem"
tags = {{ team = "gateway" }}
'''
    (tmp_path / "countersign.toml").write_text(text)
    (tmp_path / "live").mkdir()
    return tmp_path / "countersign.toml"


def write(tmp_path, certificate, key):
    """Each file is replaced at once, as tools that take care do it."""
    for name, text in (("fullchain.pem", certificate), ("privkey.pem", key)):
        (tmp_path / "live/new").write_text(text)
        os.rename(tmp_path / "live/new", tmp_path / "live" / name)


def faults(server):
    with urllib.request.urlopen(f"{server.control}/_countersign/health", timeout=10) as answer:
        return json.load(answer)["faults"]


def test_files_are_followed(start_server, pki, tmp_path, backend):
    root = pki.ca("files-root")
    intermediate = pki.intermediate("files-intermediate", root)
    first, second, stranger = (pki.server(f"files-{n}", DOMAIN, intermediate) for n in range(3))
    server = start_server("--config", config(tmp_path))
    acm, api = server.client("acm"), server.client("apigatewayv2")
    eventually(lambda: "certificates" in faults(server), what="files that are not there are a fault")
    write(tmp_path, first.pem + intermediate.pem, first.key.read_text())
    listed = eventually(lambda: acm.list_certificates()["CertificateSummaryList"])
    arn = listed[0]["CertificateArn"]
    assert (listed[0]["Type"], listed[0]["DomainName"]) == ("IMPORTED", DOMAIN)
    assert acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == [{"Key": "team", "Value": "gateway"}]
    assert acm.get_certificate(CertificateArn=arn)["CertificateChain"].strip() == intermediate.pem.strip()
    eventually(lambda: faults(server) == [])

    api.create_domain_name(DomainName=DOMAIN, DomainNameConfigurations=[{"CertificateArn": arn, "EndpointType": "REGIONAL"}])
    created = api.create_api(Name="files", ProtocolType="HTTP", Target=backend.url)
    api.create_api_mapping(DomainName=DOMAIN, ApiId=created["ApiId"], Stage="$default")
    eventually(lambda: curl(server, f"https://{DOMAIN}/", ca_file=root.cert).status == 200)

    def serial():
        leaf = x509.load_pem_x509_certificate(acm.get_certificate(CertificateArn=arn)["Certificate"].encode())
        return leaf.serial_number

    def of(identity):
        return x509.load_pem_x509_certificate(identity.pem.encode()).serial_number

    write(tmp_path, second.pem + intermediate.pem, stranger.key.read_text())
    eventually(lambda: "certificates" in faults(server), what="a key of another certificate is a fault")
    assert serial() == of(first) and curl(server, f"https://{DOMAIN}/", ca_file=root.cert).status == 200
    assert "The private key does not match the certificate." in server.stderr()
    write(tmp_path, second.pem + intermediate.pem, second.key.read_text())
    eventually(lambda: serial() == of(second))
    eventually(lambda: faults(server) == [])

    for call, input in [
        (acm.delete_certificate, {}),
        (acm.import_certificate, {"Certificate": first.cert.read_bytes(), "PrivateKey": first.key.read_bytes()}),
    ]:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            call(CertificateArn=arn, **input)
        assert error_code(caught) == "ValidationException"

    write(tmp_path, first.pem + intermediate.pem, first.key.read_text())
    eventually(lambda: serial() == of(first))
    server.stop()
    write(tmp_path, second.pem + intermediate.pem, second.key.read_text())
    server.start()
    acm = server.client("acm")
    eventually(lambda: serial() == of(second), what="what was written while the server was down")
    server.stop()
    (tmp_path / "countersign.toml").write_text("")
    server.start()
    acm = server.client("acm")
    assert serial() == of(second)
    acm.import_certificate(CertificateArn=arn, Certificate=first.cert.read_bytes(), PrivateKey=first.key.read_bytes())
    assert serial() == of(first), "it is a certificate like any other now"
