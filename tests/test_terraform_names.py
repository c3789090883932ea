"""What Terraform's AWS provider sends, replayed by boto3 (`test_terraform.py` says how): Route 53's records, validated certificates, IAM, routing
rules and gateway responses."""

import json

import pytest

from operations.session import Aws
from rest_gateway import patches
from server import eventually
from test_terraform import certificate, gone, rest_api


@pytest.fixture
def aws(server, backend, pki):
    return Aws(server, backend, pki, set())


def hosted_zone(aws, name):
    created = aws.route53.create_hosted_zone(Name=name, CallerReference=aws.unique("terraform-"), HostedZoneConfig={"Comment": "Managed by Terraform"})
    insync(aws, created["ChangeInfo"]["Id"])
    return created["HostedZone"]["Id"].removeprefix("/hostedzone/")


def insync(aws, change):
    """Its wait after every change."""
    return eventually(lambda: aws.route53.get_change(Id=change.removeprefix("/change/"))["ChangeInfo"]["Status"] == "INSYNC", what="INSYNC")


def change_record(aws, zone, action, record):
    batch = {"Comment": "Managed by Terraform", "Changes": [{"Action": action, "ResourceRecordSet": record}]}
    insync(aws, aws.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)["ChangeInfo"]["Id"])


def record_of(aws, zone, name, kind):
    """Its read: the list from the record's name and type on, of which it takes the one that is that."""
    shown = aws.route53.list_resource_record_sets(HostedZoneId=zone, StartRecordName=name, StartRecordType=kind, MaxItems="1")["ResourceRecordSets"]
    return next((one for one in shown if (one["Name"], one["Type"]) == (f"{name}.", kind)), None)


def test_route53_zone_and_records(aws):
    name = f"{aws.unique()}.example.com"
    zone = hosted_zone(aws, name)
    shown = aws.route53.get_hosted_zone(Id=zone)
    assert shown["HostedZone"]["Name"] == f"{name}." and shown["DelegationSet"]["NameServers"]
    assert aws.route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=zone)["ResourceTagSet"]["Tags"] == []
    aws.route53.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, AddTags=[{"Key": "a", "Value": "b"}])
    aws.route53.update_hosted_zone_comment(Id=zone, Comment="changed")
    for kind, values, others in (
        ("A", ["192.0.2.1", "192.0.2.2"], ["192.0.2.3"]), ("AAAA", ["2001:db8::1"], ["2001:db8::2"]), ("CNAME", ["a.example.com"], ["b.example.com"]),
        ("TXT", ['"v=spf1 -all"'], ['"a" "b"']), ("MX", ["10 mail.example.com"], ["20 mail.example.com"]),
    ):
        own = f"{kind.lower()}.{name}"
        record = {"Name": own, "Type": kind, "TTL": 300, "ResourceRecords": [{"Value": value} for value in values]}
        # `allow_overwrite` off: it creates; a change upserts what is there.
        change_record(aws, zone, "CREATE", record)
        shown = record_of(aws, zone, own, kind)
        assert {one["Value"] for one in shown["ResourceRecords"]} == {*values} and shown["TTL"] == 300
        record |= {"TTL": 60, "ResourceRecords": [{"Value": value} for value in others]}
        change_record(aws, zone, "UPSERT", record)
        assert record_of(aws, zone, own, kind)["TTL"] == 60
        # What it deletes is what it has read.
        change_record(aws, zone, "DELETE", record_of(aws, zone, own, kind))
        assert record_of(aws, zone, own, kind) is None
    aws.route53.delete_hosted_zone(Id=zone)
    gone(aws.route53.get_hosted_zone, code="NoSuchHostedZone", Id=zone)


def test_an_alias_of_a_domain_name_and_a_validated_certificate(aws):
    """`aws_acm_certificate` with `validation_method = "DNS"`, the records of its `domain_validation_options`, `aws_acm_certificate_validation`, the
    domain name that shows the certificate, and an alias record to it: the usual stack."""
    zone_name = f"{aws.unique()}.example.com"
    zone, name = hosted_zone(aws, zone_name), f"api.{zone_name}"
    arn = aws.acm.request_certificate(DomainName=name, SubjectAlternativeNames=[f"*.{zone_name}"], ValidationMethod="DNS", IdempotencyToken="terraform1",
                                      KeyAlgorithm="RSA_2048", Options={"CertificateTransparencyLoggingPreference": "ENABLED"})["CertificateArn"]

    def options():
        shown = aws.acm.describe_certificate(CertificateArn=arn)["Certificate"].get("DomainValidationOptions", [])
        return shown if len(shown) == 2 and all("ResourceRecord" in one for one in shown) else None

    for option in eventually(options, what="the records that prove the names"):
        wanted = option["ResourceRecord"]
        change_record(aws, zone, "UPSERT", {"Name": wanted["Name"], "Type": wanted["Type"], "TTL": 60, "ResourceRecords": [{"Value": wanted["Value"]}]})
        assert record_of(aws, zone, wanted["Name"].rstrip("."), "CNAME")["ResourceRecords"] == [{"Value": wanted["Value"]}]
    eventually(lambda: aws.acm.describe_certificate(CertificateArn=arn)["Certificate"]["Status"] == "ISSUED", what="ISSUED")
    assert aws.acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == []

    shown = aws.apigatewayv2.create_domain_name(DomainName=name, DomainNameConfigurations=[
        {"CertificateArn": arn, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}])["DomainNameConfigurations"][0]
    alias = {"HostedZoneId": shown["HostedZoneId"], "DNSName": shown["ApiGatewayDomainName"], "EvaluateTargetHealth": False}
    change_record(aws, zone, "CREATE", {"Name": name, "Type": "A", "AliasTarget": alias})
    read = record_of(aws, zone, name, "A")
    assert read["AliasTarget"]["DNSName"].rstrip(".") == shown["ApiGatewayDomainName"] and "TTL" not in read
    change_record(aws, zone, "DELETE", read)
    aws.apigatewayv2.delete_domain_name(DomainName=name)
    aws.acm.delete_certificate(CertificateArn=arn)
    gone(aws.acm.describe_certificate, code="ResourceNotFoundException", status=400, CertificateArn=arn)


ALLOW = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}]})
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}}]})


def same_json(one, other):
    """It compares policies as what they say; boto3 has them read already."""
    read = lambda policy: json.loads(policy) if isinstance(policy, str) else policy
    return read(one) == read(other)


def test_iam_user_with_its_policies_and_keys(aws):
    iam, name = aws.iam, aws.unique("tf-user-")
    iam.create_user(UserName=name, Path="/", Tags=[{"Key": "a", "Value": "b"}])
    shown = iam.get_user(UserName=name)["User"]
    assert (shown["Path"], shown["Tags"]) == ("/", [{"Key": "a", "Value": "b"}]) and shown["UserId"].startswith("AIDA")
    iam.put_user_policy(UserName=name, PolicyName="inline", PolicyDocument=ALLOW)
    assert same_json(iam.get_user_policy(UserName=name, PolicyName="inline")["PolicyDocument"], ALLOW)
    arn = iam.create_policy(PolicyName=name, Path="/", PolicyDocument=ALLOW, Description="d")["Policy"]["Arn"]
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    assert [one["PolicyArn"] for one in iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]] == [arn]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    assert key["SecretAccessKey"] and key["Status"] == "Active"
    iam.update_access_key(UserName=name, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert [one["Status"] for one in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]] == ["Inactive"]
    iam.untag_user(UserName=name, TagKeys=["a"])
    iam.update_user(UserName=name, NewUserName=f"{name}x", NewPath="/team/")
    name = f"{name}x"
    assert iam.get_user(UserName=name)["User"]["Path"] == "/team/"
    assert [one["PolicyArn"] for one in iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]] == [arn]
    # A changed policy is a new version that is the default; the oldest of five makes room.
    for n in range(5):
        versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
        if len(versions) >= 5:
            oldest = min((one for one in versions if not one["IsDefaultVersion"]), key=lambda one: one["CreateDate"])
            iam.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])
        changed = ALLOW.replace('"*"', f'"arn:aws:execute-api:*:*:{n}/*"')
        version = iam.create_policy_version(PolicyArn=arn, PolicyDocument=changed, SetAsDefault=True)["PolicyVersion"]["VersionId"]
        assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == version
        assert same_json(iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"], changed)
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.detach_user_policy(UserName=name, PolicyArn=arn)
    iam.delete_user_policy(UserName=name, PolicyName="inline")
    gone(iam.get_user_policy, code="NoSuchEntity", UserName=name, PolicyName="inline")
    iam.delete_user(UserName=name)
    gone(iam.get_user, code="NoSuchEntity", UserName=name)
    for one in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not one["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=one["VersionId"])
    iam.delete_policy(PolicyArn=arn)
    gone(iam.get_policy, code="NoSuchEntity", PolicyArn=arn)


def test_iam_role_with_its_policies(aws):
    iam, name = aws.iam, aws.unique("tf-role-")
    iam.create_role(RoleName=name, Path="/", AssumeRolePolicyDocument=TRUST, MaxSessionDuration=3600, Tags=[{"Key": "a", "Value": "b"}])
    shown = iam.get_role(RoleName=name)["Role"]
    assert (shown["MaxSessionDuration"], shown["Tags"]) == (3600, [{"Key": "a", "Value": "b"}]) and same_json(shown["AssumeRolePolicyDocument"], TRUST)
    changed = TRUST.replace("arn:aws:iam::123456789012:root", "123456789012")
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=changed)
    iam.update_role(RoleName=name, MaxSessionDuration=7200, Description="")
    assert iam.get_role(RoleName=name)["Role"]["MaxSessionDuration"] == 7200
    arn = iam.create_policy(PolicyName=name, PolicyDocument=ALLOW)["Policy"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=ALLOW)
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["inline"]
    assert same_json(iam.get_role_policy(RoleName=name, PolicyName="inline")["PolicyDocument"], ALLOW)
    iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    assert [one["PolicyArn"] for one in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]] == [arn]
    iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=arn)
    assert iam.get_role(RoleName=name)["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn
    iam.delete_role_permissions_boundary(RoleName=name)
    iam.tag_role(RoleName=name, Tags=[{"Key": "c", "Value": "d"}])
    iam.untag_role(RoleName=name, TagKeys=["a"])
    assert iam.get_role(RoleName=name)["Role"]["Tags"] == [{"Key": "c", "Value": "d"}]
    iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    iam.delete_role_policy(RoleName=name, PolicyName="inline")
    iam.delete_role(RoleName=name)
    gone(iam.get_role, code="NoSuchEntity", RoleName=name)
    iam.delete_policy(PolicyArn=arn)


def test_apigatewayv2_routing_rule(aws):
    v2, name = aws.apigatewayv2, f"{aws.unique()}.example.com"
    v2.create_domain_name(DomainName=name, RoutingMode="ROUTING_RULE_ONLY", DomainNameConfigurations=[
        {"CertificateArn": certificate(aws, name), "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}])
    api = v2.create_api(Name="tf", ProtocolType="HTTP", Target=aws.backend.url)["ApiId"]
    action = {"InvokeApi": {"ApiId": api, "Stage": "$default", "StripBasePath": False}}
    conditions = [{"MatchBasePaths": {"AnyOf": ["a"]}}, {"MatchHeaders": {"AnyOf": [{"Header": "x", "ValueGlob": "y*"}]}}]
    made = v2.create_routing_rule(DomainName=name, Priority=10, Actions=[action], Conditions=conditions)
    id = made["RoutingRuleId"]
    shown = v2.get_routing_rule(DomainName=name, RoutingRuleId=id)
    assert (shown["Priority"], shown["Actions"], shown["Conditions"], shown["RoutingRuleArn"]) == (10, [action], conditions, made["RoutingRuleArn"])
    v2.put_routing_rule(DomainName=name, RoutingRuleId=id, Priority=20, Actions=[action], Conditions=conditions[:1])
    shown = v2.get_routing_rule(DomainName=name, RoutingRuleId=id)
    assert (shown["Priority"], shown["Conditions"]) == (20, conditions[:1])
    v2.delete_routing_rule(DomainName=name, RoutingRuleId=id)
    gone(v2.get_routing_rule, DomainName=name, RoutingRuleId=id)


def test_api_gateway_gateway_response(aws):
    v1, (id, *_) = aws.apigateway, rest_api(aws)
    own = {"restApiId": id, "responseType": "UNAUTHORIZED"}
    given = {"statusCode": "401", "responseTemplates": {"application/json": '{"message":$context.error.messageString}'},
             "responseParameters": {"gatewayresponse.header.Authorization": "'Basic'"}}
    v1.put_gateway_response(**own, **given)
    shown = v1.get_gateway_response(**own)
    assert {name: shown[name] for name in given} == given and shown["defaultResponse"] is False
    # A change is another put of all of it.
    given = {"statusCode": "477", "responseTemplates": {}, "responseParameters": {}}
    v1.put_gateway_response(**own, **given)
    shown = v1.get_gateway_response(**own)
    assert shown["statusCode"] == "477" and shown["responseParameters"] == {}
    v1.delete_gateway_response(**own)
    assert v1.get_gateway_response(**own)["defaultResponse"] is True
    gone(v1.delete_gateway_response, **own)


def test_api_gateway_rest_api_of_a_document(aws):
    """`aws_api_gateway_rest_api` with a `body`: it is created by name, then put; what the provider is told besides it patches back."""
    v1 = aws.apigateway
    mock = {"type": "mock", "requestTemplates": {"application/json": '{"statusCode": 200}'}}
    body = {"openapi": "3.0.1", "info": {"title": "of the document", "version": "1"}, "paths": {"/a": {"get": {"responses": {}, "x-amazon-apigateway-integration": mock}}}}
    id = v1.create_rest_api(name="tf", description="d", binaryMediaTypes=["a/b"], endpointConfiguration={"types": ["REGIONAL"]})["id"]
    for mode in ("overwrite", "merge"):
        put = v1.put_rest_api(restApiId=id, mode=mode, failOnWarnings=False, body=json.dumps(body))
        assert put["name"] == "of the document"
        v1.update_rest_api(restApiId=id, patchOperations=[*patches(("replace", "/name", "tf"), ("replace", "/description", "d")), {"op": "add", "path": "/binaryMediaTypes/a~1b"}])
        shown = v1.get_rest_api(restApiId=id)
        assert (shown["name"], shown["description"], shown["binaryMediaTypes"]) == ("tf", "d", ["a/b"])
        assert {one["path"] for one in v1.get_resources(restApiId=id)["items"]} == {"/", "/a"}
    export = v1.create_deployment(restApiId=id, stageName="s") and v1.get_export(restApiId=id, stageName="s", exportType="oas30")
    assert "/a" in json.loads(export["body"].read())["paths"]
    v1.delete_rest_api(restApiId=id)
