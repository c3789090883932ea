"""Certificates."""


def certificates(aws):
    acm = aws.acm
    issued = [acm.request_certificate(DomainName=f"{n}.acm.example.com", ValidationMethod="DNS")["CertificateArn"] for n in range(3)]
    identity = aws.pki.server(aws.unique("acm"), "imported.acm.example.com")
    imported = acm.import_certificate(
        Certificate=identity.cert.read_bytes(), PrivateKey=identity.key.read_bytes(), Tags=[{"Key": "team", "Value": "x"}])["CertificateArn"]
    assert acm.describe_certificate(CertificateArn=imported)["Certificate"]["Type"] == "IMPORTED"
    acm.describe_certificate(CertificateArn=issued[0])
    assert "BEGIN CERTIFICATE" in acm.get_certificate(CertificateArn=issued[0])["Certificate"]
    listed = aws.pages("acm", "list_certificates")
    assert {one["CertificateArn"] for one in listed} == {*issued, imported}
    found = aws.pages("acm", "search_certificates")
    assert {one["CertificateArn"] for one in found} == {*issued, imported}
    for arn in (*issued, imported):
        acm.delete_certificate(CertificateArn=arn)


def account(aws):
    acm = aws.acm
    assert acm.get_account_configuration()["ExpiryEvents"] == {"DaysBeforeExpiry": 45}
    acm.put_account_configuration(ExpiryEvents={"DaysBeforeExpiry": 10}, IdempotencyToken="a")
    acm.put_account_configuration(IdempotencyToken="b")
    assert acm.get_account_configuration()["ExpiryEvents"] == {"DaysBeforeExpiry": 10}


def tags(aws):
    acm = aws.acm
    arn = acm.request_certificate(DomainName="tags.acm.example.com", ValidationMethod="DNS")["CertificateArn"]
    acm.add_tags_to_certificate(CertificateArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b"}])
    acm.remove_tags_from_certificate(CertificateArn=arn, Tags=[{"Key": "a"}])
    assert [tag["Key"] for tag in acm.list_tags_for_certificate(CertificateArn=arn)["Tags"]] == ["b"]


def life(aws):
    acm = aws.acm
    arn = acm.request_certificate(
        DomainName="life.acm.example.com", KeyAlgorithm="EC_prime256v1", Options={"Export": "ENABLED"})["CertificateArn"]
    acm.update_certificate_options(CertificateArn=arn, Options={"CertificateTransparencyLoggingPreference": "ENABLED"})
    acm.renew_certificate(CertificateArn=arn)
    assert "ENCRYPTED" in acm.export_certificate(CertificateArn=arn, Passphrase=b"a passphrase")["PrivateKey"]
    acm.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b"}])
    acm.untag_resource(ResourceArn=arn, TagKeys=["b"])
    assert acm.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "1"}]
    assert acm.revoke_certificate(CertificateArn=arn, RevocationReason="SUPERSEDED")["CertificateArn"] == arn
    assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["Status"] == "REVOKED"
    acm.delete_certificate(CertificateArn=arn)
