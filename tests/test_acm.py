"""Server certificates: imported ones, and those that the local CA issues."""

import json
import subprocess
import urllib.request
from datetime import UTC, datetime, timedelta

import botocore.config
import botocore.exceptions
import pytest
from cryptography import x509

from gateway import curl
from server import error_code, error_message, eventually


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


def served_serial(server, domain):
    """Serial number of the certificate that a handshake shows."""
    host, port = server.https_address
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", domain], input="", capture_output=True, text=True, timeout=20)
    pem = shown.stdout[shown.stdout.index("-----BEGIN CERTIFICATE-----"):]
    return x509.load_pem_x509_certificate(pem[:pem.index("-----END CERTIFICATE-----") + 26].encode()).serial_number


def domain_with(server, arn, name):
    server.client("apigatewayv2").create_domain_name(DomainName=name, DomainNameConfigurations=[
        {"CertificateArn": arn, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}])


def status_of(server, name):
    configuration = server.client("apigatewayv2").get_domain_name(DomainName=name)["DomainNameConfigurations"][0]
    return configuration["DomainNameStatus"], configuration.get("DomainNameStatusMessage")


def refused(call, **input):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**input)
    return error_code(caught)


def test_what_was_imported_again_is_shown_by_the_next_handshake(acm, server, pki):
    first, second = pki.server("rotated-1", "rotated.example.com"), pki.server("rotated-2", "rotated.example.com")
    arn = import_identity(acm, first)
    domain_with(server, arn, "rotated.example.com")
    eventually(lambda: served_serial(server, "rotated.example.com") == x509.load_pem_x509_certificate(first.pem.encode()).serial_number)
    import_identity(acm, second, CertificateArn=arn)
    assert served_serial(server, "rotated.example.com") == x509.load_pem_x509_certificate(second.pem.encode()).serial_number


def test_a_certificate_for_another_name_waits_for_its_reimport(acm, server, pki):
    arn = import_identity(acm, pki.server("fits", "fits.example.com"))
    domain_with(server, arn, "fits.example.com")
    eventually(lambda: status_of(server, "fits.example.com") == ("AVAILABLE", None))
    import_identity(acm, pki.server("fits-not", "other.example.com"), CertificateArn=arn)
    status, message = eventually(lambda: status_of(server, "fits.example.com")[0] != "UPDATING" and status_of(server, "fits.example.com"))
    assert status == "PENDING_CERTIFICATE_REIMPORT" and "is not for fits.example.com any more" in message
    import_identity(acm, pki.server("fits-again", "fits.example.com"), CertificateArn=arn)
    eventually(lambda: status_of(server, "fits.example.com") == ("AVAILABLE", None))


def test_renewed_on_demand(acm, server):
    arn = acm.request_certificate(DomainName="renewed.example.com", KeyAlgorithm="EC_prime256v1")["CertificateArn"]
    domain_with(server, arn, "renewed.example.com")
    eventually(lambda: served_serial(server, "renewed.example.com"))
    before = served_serial(server, "renewed.example.com")
    acm.renew_certificate(CertificateArn=arn)
    assert served_serial(server, "renewed.example.com") != before
    shown = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert shown["RenewalSummary"]["RenewalStatus"] == "SUCCESS" and shown["RenewalEligibility"] == "ELIGIBLE"


def test_export_and_revoke(acm, server, pki, tmp_path):
    arn = acm.request_certificate(
        DomainName="exported.example.com", KeyAlgorithm="EC_prime256v1", Options={"Export": "ENABLED"})["CertificateArn"]
    assert refused(acm.revoke_certificate, CertificateArn=arn, RevocationReason="KEY_COMPROMISE") == "ValidationException"
    exported = acm.export_certificate(CertificateArn=arn, Passphrase=b"correct horse")
    (tmp_path / "key.pem").write_text(exported["PrivateKey"])
    (tmp_path / "leaf.pem").write_text(exported["Certificate"])
    assert "ENCRYPTED PRIVATE KEY" in exported["PrivateKey"]
    public = [
        subprocess.run(["openssl", *command], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for command in (["pkey", "-in", "key.pem", "-passin", "pass:correct horse", "-pubout"], ["x509", "-in", "leaf.pem", "-noout", "-pubkey"])]
    assert public[0] == public[1]
    wrong = subprocess.run(["openssl", "pkey", "-in", "key.pem", "-passin", "pass:wrong"], cwd=tmp_path, capture_output=True)
    assert wrong.returncode != 0
    shown = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert shown["Options"]["Export"] == "ENABLED" and shown["RenewalEligibility"] == "ELIGIBLE"

    serial = x509.load_pem_x509_certificate(exported["Certificate"].encode()).serial_number
    assert acm.revoke_certificate(CertificateArn=arn, RevocationReason="KEY_COMPROMISE")["CertificateArn"] == arn
    shown = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert (shown["Status"], shown["RevocationReason"]) == ("REVOKED", "KEY_COMPROMISE") and shown["RevokedAt"]
    with urllib.request.urlopen(f"{server.control}/_countersign/local-ca.crl", timeout=10) as answer:
        listed = x509.load_der_x509_crl(answer.read())
    root = x509.load_pem_x509_certificate(open(server.ca_file, "rb").read())
    assert listed.is_signature_valid(root.public_key())
    assert listed.get_revoked_certificate_by_serial_number(serial) is not None
    assert refused(acm.revoke_certificate, CertificateArn=arn, RevocationReason="KEY_COMPROMISE") == "ConflictException"
    for call in (acm.renew_certificate, lambda **input: acm.export_certificate(Passphrase=b"again", **input)):
        assert refused(call, CertificateArn=arn) == "ValidationException"
    assert refused(
        server.client("apigatewayv2").create_domain_name, DomainName="exported.example.com",
        DomainNameConfigurations=[{"CertificateArn": arn, "EndpointType": "REGIONAL"}]) == "BadRequestException"


def test_what_cannot_be_exported_or_revoked(acm, server, pki):
    plain = acm.request_certificate(DomainName="plain.example.com", KeyAlgorithm="EC_prime256v1")["CertificateArn"]
    imported = import_identity(acm, pki.server("no-export", "no-export.example.com"))
    for arn in (plain, imported):
        assert refused(acm.export_certificate, CertificateArn=arn, Passphrase=b"secret") == "ValidationException"
    assert refused(acm.renew_certificate, CertificateArn=imported) == "ValidationException"
    assert refused(acm.update_certificate_options, CertificateArn=imported, Options={"Export": "ENABLED"}) == "InvalidStateException"
    assert refused(acm.update_certificate_options, CertificateArn=plain, Options={"Export": "ENABLED"}) == "ValidationException"
    preference = lambda: acm.describe_certificate(CertificateArn=plain)["Certificate"]["Options"]["CertificateTransparencyLoggingPreference"]
    assert preference() == "ENABLED", "AWS's default"
    acm.update_certificate_options(CertificateArn=plain, Options={"CertificateTransparencyLoggingPreference": "DISABLED"})
    assert preference() == "DISABLED"


def test_in_use_is_not_revoked(acm, server):
    arn = acm.request_certificate(
        DomainName="used.example.com", KeyAlgorithm="EC_prime256v1", Options={"Export": "ENABLED"})["CertificateArn"]
    acm.export_certificate(CertificateArn=arn, Passphrase=b"secret")
    domain_with(server, arn, "used.example.com")
    assert refused(acm.revoke_certificate, CertificateArn=arn, RevocationReason="UNSPECIFIED") == "ResourceInUseException"


def test_tags_by_either_name(acm):
    arn = acm.request_certificate(DomainName="tags.example.com", KeyAlgorithm="EC_prime256v1")["CertificateArn"]
    acm.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b"}])
    acm.untag_resource(ResourceArn=arn, TagKeys=["b"])
    assert acm.list_tags_for_resource(ResourceArn=arn)["Tags"] == acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == [{"Key": "a", "Value": "1"}]


def test_lists_are_filtered_and_sorted(acm, pki):
    arns = [acm.request_certificate(
        DomainName="sorted.example.com", KeyAlgorithm="EC_prime256v1", Options={"Export": option})["CertificateArn"]
        for option in ("ENABLED", "DISABLED")]
    imported = import_identity(acm, pki.server("sorted", "sorted.example.com"))
    listed = acm.list_certificates(SortBy="CREATED_AT", SortOrder="DESCENDING", MaxItems=3)["CertificateSummaryList"]
    assert [c["CertificateArn"] for c in listed] == [imported, *reversed(arns)]
    assert [c.get("ExportOption") for c in listed] == [None, "DISABLED", "ENABLED"]
    exportable = acm.list_certificates(Includes={"exportOption": "ENABLED"}, MaxItems=1000)["CertificateSummaryList"]
    assert arns[0] in [c["CertificateArn"] for c in exportable] and arns[1] not in [c["CertificateArn"] for c in exportable]
    own = acm.list_certificates(CertificateKeyPairOrigins=["CUSTOMER_PROVIDED"], MaxItems=1000)["CertificateSummaryList"]
    assert imported in [c["CertificateArn"] for c in own] and arns[0] not in [c["CertificateArn"] for c in own]
    assert refused(acm.list_certificates, SortBy="CREATED_AT") == "ValidationException"


def test_certificates_are_searched_for(acm, pki):
    first = acm.request_certificate(DomainName="one.search.example.com", KeyAlgorithm="EC_prime256v1", Options={"Export": "ENABLED"})["CertificateArn"]
    second = acm.request_certificate(DomainName="two.search.example.com", SubjectAlternativeNames=["*.two.search.example.com"])["CertificateArn"]
    imported = import_identity(acm, pki.server("searched", "three.search.example.com"))
    san = lambda value, how: {"Filter": {"X509AttributeFilter": {"SubjectAlternativeName": {"DnsName": {"Value": value, "ComparisonOperator": how}}}}}
    x509_of = lambda **wanted: {"Filter": {"X509AttributeFilter": wanted}}
    metadata = lambda **wanted: {"Filter": {"AcmCertificateMetadataFilter": wanted}}
    ours = san(".SEARCH.example.com", "CONTAINS")

    def search(*statements, **more):
        found = acm.search_certificates(FilterStatement={"And": [ours, *statements]}, **more)
        return [one["CertificateArn"] for one in found["Results"]]

    assert {*search()} == {first, second, imported}
    serial = acm.describe_certificate(CertificateArn=second)["Certificate"]["Serial"]
    now, year = datetime.now(UTC), timedelta(days=365)
    for statement, wanted in (
        ({"Filter": {"CertificateArn": first}}, {first}),
        (san("one.search.example.com", "EQUALS"), {first}),
        (san("ne.search.example.com", "EQUALS"), set()),
        (x509_of(Subject={"CommonName": {"Value": "two", "ComparisonOperator": "CONTAINS"}}), {second}),
        (x509_of(KeyAlgorithm="EC_prime256v1"), {first, *([imported] if acm.describe_certificate(CertificateArn=imported)["Certificate"]["KeyAlgorithm"] == "EC_prime256v1" else [])}),
        (x509_of(SerialNumber=serial), {second}),
        (x509_of(KeyUsage="DIGITAL_SIGNATURE"), {first, second}),
        (x509_of(ExtendedKeyUsage="CODE_SIGNING"), set()),
        (x509_of(NotAfter={"Start": now, "End": now + 10 * year}), {first, second, imported}),
        (x509_of(NotAfter={"End": now}), set()),
        (x509_of(NotBefore={"Start": now + year}), set()),
        (metadata(Type="IMPORTED"), {imported}),
        (metadata(Status="EXPIRED"), set()),
        (metadata(InUse=True), set()),
        (metadata(Exported=False), {first, second, imported}),
        (metadata(ExportOption="ENABLED"), {first}),
        (metadata(ValidationMethod="DNS"), {first, second}),
        (metadata(CertificateKeyPairOrigin="CUSTOMER_PROVIDED"), {imported}),
        (metadata(AcmeAccountId="a" * 36), set()),
        ({"Not": metadata(Type="IMPORTED")}, {first, second}),
        ({"Or": [metadata(Type="IMPORTED"), {"And": [metadata(ExportOption="ENABLED"), {"Not": {"Not": metadata(Type="AMAZON_ISSUED")}}]}]}, {first, imported}),
    ):
        assert {*search(statement)} == wanted, statement
    assert search(SortBy="COMMON_NAME") == [first, imported, second]
    assert search(SortBy="COMMON_NAME", SortOrder="DESCENDING") == [second, imported, first]
    assert search(SortBy="CREATED_AT", SortOrder="DESCENDING") == [imported, second, first]
    pages = acm.get_paginator("search_certificates").paginate(FilterStatement=ours, SortBy="COMMON_NAME", SortOrder="DESCENDING", PaginationConfig={"PageSize": 1})
    assert [one["CertificateArn"] for page in pages for one in page["Results"]] == [second, imported, first]
    [shown] = acm.search_certificates(FilterStatement={"Filter": {"CertificateArn": second}})["Results"]
    assert shown["X509Attributes"]["Subject"] == {"CommonName": "two.search.example.com"} and shown["X509Attributes"]["SerialNumber"] == serial
    assert shown["X509Attributes"]["SubjectAlternativeNames"] == [{"DnsName": "two.search.example.com"}, {"DnsName": "*.two.search.example.com"}]
    assert shown["CertificateMetadata"]["AcmCertificateMetadata"]["Status"] == "ISSUED"


def test_searches_that_mean_nothing(server):
    acm = server.client("acm", config=botocore.config.Config(parameter_validation=False, retries={"total_max_attempts": 1}))
    one = {"Filter": {"AcmCertificateMetadataFilter": {"Type": "IMPORTED"}}}
    nested = one
    for _ in range(100):
        nested = {"Not": nested}
    for statement, said in (
        ({}, "exactly one member"),
        ({**one, "Not": one}, "exactly one member"),
        ({"Filter": {}}, "CertificateFilter has exactly one"),
        ({"Filter": {"X509AttributeFilter": {"Subject": {}}}}, "X509AttributeFilter has exactly one"),
        ({"Not": {"Filter": {"AcmCertificateMetadataFilter": {"Type": "IMPORTED", "InUse": True}}}}, "AcmCertificateMetadataFilter has exactly one"),
        ({"Or": [{"And": [one] * 15}] * 10}, "at most 100"),
    ):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            acm.search_certificates(FilterStatement=statement)
        assert error_code(caught) == "ValidationException" and said in error_message(caught), (statement, error_message(caught))
    assert refused(acm.search_certificates, FilterStatement=nested) in ("ValidationException", "SerializationException")
