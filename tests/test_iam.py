"""IAM by the real clients: users, groups, roles and policies, and what their policies let them do everywhere."""

import json
import subprocess

import pytest
from botocore.exceptions import ClientError

from iam import ACCOUNT, User, allow, document, trust

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"


@pytest.fixture(scope="module")
def admin(server):
    return server.client("iam")


def refused(call, code, *words):
    with pytest.raises(ClientError) as error:
        call()
    told = error.value.response["Error"]
    assert told["Code"] == code, told
    for word in words:
        assert word in told["Message"], told
    return error.value.response


def denied(call, action, *words):
    """Refused in AWS's words, which name the action."""
    response = refused(call, "AccessDeniedException", f"is not authorized to perform: {action} on resource: ", *words)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_user_and_its_keys(server, admin):
    made = admin.create_user(UserName="alice", Path="/eng/", Tags=[{"Key": "team", "Value": "blue"}])["User"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/eng/alice"
    assert made["UserId"].startswith("AIDA") and made["CreateDate"].year > 2000
    assert admin.get_user(UserName="alice")["User"]["Tags"] == [{"Key": "team", "Value": "blue"}]
    refused(lambda: admin.create_user(UserName="ALICE"), "EntityAlreadyExists", "already exists")
    refused(lambda: admin.get_user(UserName="nobody"), "NoSuchEntity", "The user with name nobody cannot be found.")
    refused(lambda: admin.create_user(UserName="a b"), "ValidationError")

    key = admin.create_access_key(UserName="alice")["AccessKey"]
    assert key["AccessKeyId"].startswith("AKIA") and len(key["SecretAccessKey"]) == 40 and key["Status"] == "Active"
    other = admin.create_access_key(UserName="alice")["AccessKey"]
    refused(lambda: admin.create_access_key(UserName="alice"), "LimitExceeded", "AccessKeysPerUser: 2")
    listed = admin.list_access_keys(UserName="alice")["AccessKeyMetadata"]
    assert {k["AccessKeyId"] for k in listed} == {key["AccessKeyId"], other["AccessKeyId"]}
    assert "SecretAccessKey" not in listed[0]
    assert "LastUsedDate" not in admin.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]

    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    sts = server.client("sts", **keys)
    identity = sts.get_caller_identity()
    assert (identity["Arn"], identity["UserId"]) == (made["Arn"], made["UserId"])
    assert admin.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]["ServiceName"] == "sts"

    # Switched off and on again.
    admin.update_access_key(UserName="alice", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    refused(sts.get_caller_identity, "InvalidClientTokenId")
    admin.update_access_key(UserName="alice", AccessKeyId=key["AccessKeyId"], Status="Active")
    sts.get_caller_identity()

    admin.update_user(UserName="alice", NewUserName="alicia", NewPath="/")
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/alicia"
    refused(lambda: admin.delete_user(UserName="alicia"), "DeleteConflict", "must delete access keys first")
    for one in (key, other):
        admin.delete_access_key(UserName="alicia", AccessKeyId=one["AccessKeyId"])
    refused(sts.get_caller_identity, "InvalidClientTokenId")
    admin.delete_user(UserName="alicia")


def test_lists_come_in_pages(admin):
    for number in range(5):
        admin.create_user(UserName=f"page-{number}", Path="/pages/")
    first = admin.list_users(PathPrefix="/pages/", MaxItems=2)
    assert first["IsTruncated"] and len(first["Users"]) == 2
    pages = admin.get_paginator("list_users").paginate(PathPrefix="/pages/", PaginationConfig={"PageSize": 2})
    assert [user["UserName"] for page in pages for user in page["Users"]] == [f"page-{number}" for number in range(5)]


def test_the_administrator_is_a_user_too(server, admin):
    user = admin.get_user()["User"]
    assert user["UserName"] == "admin"
    assert user["Arn"] == server.client("sts").get_caller_identity()["Arn"]
    assert "admin" in [user["UserName"] for user in admin.list_users()["Users"]]
    refused(lambda: admin.put_user_policy(UserName="admin", PolicyName="p", PolicyDocument=document()), "UnmodifiableEntity")
    # Its keys can be exchanged.
    key = admin.create_access_key()["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    server.client("iam", **keys).list_users()
    admin.delete_access_key(AccessKeyId=key["AccessKeyId"])


def test_what_nothing_allows_is_denied(server):
    user = User(server)
    denied(lambda: user.client("apigatewayv2").get_apis(), "apigateway:GET", "arn:aws:apigateway:us-east-1::/apis because no identity-based policy allows the apigateway:GET action", user.arn)
    denied(lambda: user.client("apigateway").get_rest_apis(), "apigateway:GET", "/restapis")
    denied(lambda: user.client("acm").list_certificates(), "acm:ListCertificates", "*")
    denied(lambda: user.client("logs").describe_log_groups(), "logs:DescribeLogGroups")
    refused(lambda: user.client("iam").list_users(), "AccessDenied", "iam:ListUsers", f"arn:aws:iam::{ACCOUNT}:user/")
    refused(lambda: user.client("s3").list_buckets(), "AccessDenied", "s3:ListAllMyBuckets")
    # Nobody needs a right to ask who they are.
    assert user.client("sts").get_caller_identity()["Arn"] == user.arn


def test_a_denial_outweighs_what_allows(server):
    user = User(server, allow("*"), {"Effect": "Deny", "Action": "apigateway:DELETE", "Resource": "*"})
    client = user.client("apigatewayv2")
    api = client.create_api(Name="a", ProtocolType="HTTP")["ApiId"]
    denied(lambda: client.delete_api(ApiId=api), "apigateway:DELETE", "with an explicit deny in an identity-based policy")
    server.client("apigatewayv2").delete_api(ApiId=api)


def test_resources_of_api_gateway_are_paths(server):
    admin = server.client("apigatewayv2")
    mine, other = (admin.create_api(Name=name, ProtocolType="HTTP")["ApiId"] for name in ("mine", "other"))
    arn = f"arn:aws:apigateway:us-east-1::/apis/{mine}"
    user = User(server, allow(["apigateway:GET", "apigateway:PATCH"], [arn, f"{arn}/*"]))
    client = user.client("apigatewayv2")
    client.update_api(ApiId=mine, Description="x")
    assert client.get_routes(ApiId=mine)["Items"] == []
    denied(lambda: client.get_api(ApiId=other), "apigateway:GET", f"/apis/{other}")
    denied(lambda: client.create_route(ApiId=mine, RouteKey="GET /"), "apigateway:POST", f"/apis/{mine}/routes")
    denied(lambda: user.client("apigatewayv2", region="eu-west-1").get_api(ApiId=mine), "apigateway:GET", "eu-west-1")


def test_a_policy_of_an_enforced_kind_needs_a_right_of_its_own(server):
    tag = {"countersign:rejection": "alert"}
    user = User(server, allow("apigateway:*"))
    domain = server.client("acm").request_certificate(DomainName="set-policy.example.com")["CertificateArn"]
    configuration = [{"CertificateArn": domain, "EndpointType": "REGIONAL"}]
    client = user.client("apigatewayv2")
    client.create_domain_name(DomainName="set-policy.example.com", DomainNameConfigurations=configuration, Tags={"a": "b"})
    arn = "arn:aws:apigateway:us-east-1::/domainnames/set-policy.example.com"
    denied(lambda: client.tag_resource(ResourceArn=arn, Tags=tag), "countersign:SetPolicy", arn)
    user.may(allow("apigateway:*"), allow("countersign:SetPolicy", arn))
    client.tag_resource(ResourceArn=arn, Tags=tag)
    user.may(allow("apigateway:*"))
    denied(lambda: client.untag_resource(ResourceArn=arn, TagKeys=list(tag)), "countersign:SetPolicy")
    client.untag_resource(ResourceArn=arn, TagKeys=["a"])


def test_tags_in_an_imported_document_need_the_same_right(server):
    document = {
        "openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "paths": {},
        "tags": [{"name": "countersign:upstream-protocol", "x-amazon-apigateway-tag-value": "h2"}],
    }
    # Written in another way it says the same.
    body = json.dumps(document).replace("countersign:", "\\u0063ountersign:")
    user = User(server, allow("apigateway:*"))
    client, admin = user.client("apigatewayv2"), server.client("apigatewayv2")
    denied(lambda: client.import_api(Body=body), "countersign:SetPolicy", "arn:aws:apigateway:us-east-1::/apis")
    plain = client.import_api(Body=json.dumps(document | {"tags": []}))["ApiId"]
    arn = f"arn:aws:apigateway:us-east-1::/apis/{plain}"
    denied(lambda: client.reimport_api(ApiId=plain, Body=body), "countersign:SetPolicy", arn)
    assert admin.get_api(ApiId=plain)["Tags"] == {}
    user.may(allow("apigateway:*"), allow("countersign:SetPolicy", arn))
    assert client.reimport_api(ApiId=plain, Body=body)["Tags"] == {"countersign:upstream-protocol": "h2"}
    user.may(allow("apigateway:*"))
    # What is there already sets nothing.
    client.reimport_api(ApiId=plain, Body=body)


def test_a_truststore_is_read_with_the_callers_rights(server, pki):
    s3, arn = server.client("s3"), server.client("acm").request_certificate(DomainName="rights.example.com")["CertificateArn"]
    s3.create_bucket(Bucket="rights")
    s3.put_bucket_versioning(Bucket="rights", VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket="rights", Key="ca.pem", Body=pki.ca().pem)["VersionId"]
    user = User(server, allow("apigateway:*"))
    client = user.client("apigatewayv2")

    def create(**more):
        mutual_tls = {"TruststoreUri": "s3://rights/ca.pem", **more}
        return client.create_domain_name(
            DomainName="rights.example.com", DomainNameConfigurations=[{"CertificateArn": arn}], MutualTlsAuthentication=mutual_tls,
        )

    refused(create, "BadRequestException", "Unable to access truststore URI s3://rights/ca.pem version N/A.")
    user.may(allow("apigateway:*"), allow("s3:GetObject", "arn:aws:s3:::rights/*"))
    refused(lambda: create(TruststoreVersion=version), "BadRequestException", f"Unable to access truststore URI s3://rights/ca.pem version {version}")
    user.may(allow("apigateway:*"), allow("s3:GetObjectVersion", "arn:aws:s3:::rights/*"))
    create(TruststoreVersion=version)
    # To turn mutual TLS on and off is an action of its own.
    no_certificates = {"Effect": "Deny", "Action": "apigateway:*CertificateToDomain", "Resource": "*"}
    user.may(allow(["apigateway:*", "s3:*"]), no_certificates)
    update = {"DomainName": "rights.example.com", "MutualTlsAuthentication": {"TruststoreUri": "s3://rights/ca.pem"}}
    denied(lambda: client.update_domain_name(**update), "apigateway:AddCertificateToDomain", "/domainnames/rights.example.com")


def test_conditions(server):
    local = {"Condition": {"IpAddress": {"aws:SourceIp": ["127.0.0.0/8", "::1/128"]}}}
    assert User(server, allow("acm:*", **local)).client("acm").list_certificates()
    elsewhere = {"Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}
    denied(lambda: User(server, allow("acm:*", **elsewhere)).client("acm").list_certificates(), "acm:ListCertificates")
    tagged = {"Condition": {"StringEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}}}
    user = User(server, allow("logs:*", **tagged), Tags=[{"Key": "team", "Value": "blue"}])
    logs = user.client("logs")
    logs.create_log_group(logGroupName="blue", tags={"team": "blue"})
    denied(lambda: logs.create_log_group(logGroupName="red", tags={"team": "red"}), "logs:CreateLogGroup", "log-group:red")
    own = {"Condition": {"StringEquals": {"aws:ResourceTag/team": "blue"}}}
    user.may(allow("logs:*", **own))
    logs.put_retention_policy(logGroupName="blue", retentionInDays=7)
    server.client("logs").create_log_group(logGroupName="red")
    denied(lambda: logs.delete_log_group(logGroupName="red"), "logs:DeleteLogGroup")


def test_actions_of_s3(server):
    admin = server.client("s3")
    admin.create_bucket(Bucket="actions")
    admin.put_bucket_versioning(Bucket="actions", VersioningConfiguration={"Status": "Enabled"})
    version = admin.put_object(Bucket="actions", Key="home/a", Body=b"x")["VersionId"]
    objects, bucket = "arn:aws:s3:::actions/home/*", "arn:aws:s3:::actions"
    user = User(server, allow("s3:GetObject", objects), allow("s3:ListBucket", bucket, Condition={"StringLike": {"s3:prefix": "home/*"}}))
    s3 = user.client("s3")
    assert s3.get_object(Bucket="actions", Key="home/a")["Body"].read() == b"x"
    assert s3.list_objects_v2(Bucket="actions", Prefix="home/")["KeyCount"] == 1

    def no(call, action):
        refused(call, "AccessDenied", f"is not authorized to perform: s3:{action} on resource: \"arn:aws:s3:::actions")

    no(lambda: s3.list_objects_v2(Bucket="actions"), "ListBucket")
    no(lambda: s3.get_object(Bucket="actions", Key="home/a", VersionId=version), "GetObjectVersion")
    no(lambda: s3.get_object(Bucket="actions", Key="other"), "GetObject")
    no(lambda: s3.put_object(Bucket="actions", Key="home/a", Body=b"y"), "PutObject")
    no(lambda: s3.copy_object(Bucket="actions", Key="b", CopySource="actions/home/a"), "PutObject")
    no(lambda: s3.delete_object(Bucket="actions", Key="home/a"), "DeleteObject")
    with pytest.raises(ClientError) as error:
        s3.head_object(Bucket="actions", Key="other")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    failed = s3.delete_objects(Bucket="actions", Delete={"Objects": [{"Key": "home/a"}, {"Key": "other"}]})["Errors"]
    assert [one["Code"] for one in failed] == ["AccessDenied", "AccessDenied"]
    user.may(allow("s3:DeleteObject", objects), allow("s3:PutObject", "arn:aws:s3:::actions/copies/*"))
    answer = s3.delete_objects(Bucket="actions", Delete={"Objects": [{"Key": "home/a"}, {"Key": "other"}]})
    assert [one["Key"] for one in answer["Deleted"]] == ["home/a"] and [one["Key"] for one in answer["Errors"]] == ["other"]
    refused(lambda: s3.copy_object(Bucket="actions", Key="copies/a", CopySource="actions/other"), "AccessDenied", "s3:GetObject")
    refused(lambda: s3.put_object(Bucket="actions", Key="copies/a", Body=b"", Tagging="a=b"), "AccessDenied", "s3:PutObjectTagging")


def test_managed_policies_and_their_versions(server, admin):
    user = User(server)
    arn = admin.create_policy(PolicyName="Reader", PolicyDocument=document(allow("acm:List*")), Description="d")["Policy"]["Arn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/Reader"
    refused(lambda: admin.create_policy(PolicyName="reader", PolicyDocument=document()), "EntityAlreadyExists")
    admin.attach_user_policy(UserName=user.name, PolicyArn=arn)
    user.client("acm").list_certificates()
    made = admin.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow("logs:*")), SetAsDefault=True)
    assert made["PolicyVersion"]["VersionId"] == "v2"
    denied(lambda: user.client("acm").list_certificates(), "acm:ListCertificates")
    admin.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    user.client("acm").list_certificates()
    shown = admin.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]
    assert shown["Document"]["Statement"][0]["Action"] == "logs:*" and not shown["IsDefaultVersion"]
    assert admin.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert [version["VersionId"] for version in admin.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v2", "v1"]
    assert admin.list_entities_for_policy(PolicyArn=arn)["PolicyUsers"][0]["UserName"] == user.name
    refused(lambda: admin.delete_policy(PolicyArn=arn), "DeleteConflict")
    refused(lambda: admin.delete_policy_version(PolicyArn=arn, VersionId="v1"), "DeleteConflict", "default version")
    admin.detach_user_policy(UserName=user.name, PolicyArn=arn)
    admin.delete_policy_version(PolicyArn=arn, VersionId="v2")
    admin.delete_policy(PolicyArn=arn)
    refused(lambda: admin.get_policy(PolicyArn=arn), "NoSuchEntity")


def test_awss_managed_policies(server, admin):
    policies = [policy for page in admin.get_paginator("list_policies").paginate(Scope="AWS") for policy in page["Policies"]]
    assert {"AdministratorAccess", "ReadOnlyAccess", "AmazonAPIGatewayAdministrator"} <= {p["PolicyName"] for p in policies}
    user = User(server)
    admin.attach_user_policy(UserName=user.name, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    user.client("apigatewayv2").get_apis()
    user.client("iam").list_users()
    denied(lambda: user.client("apigatewayv2").create_api(Name="x", ProtocolType="HTTP"), "apigateway:POST")
    admin.attach_user_policy(UserName=user.name, PolicyArn=ADMINISTRATOR_ACCESS)
    user.client("iam").create_group(GroupName="by-another-administrator")
    refused(lambda: admin.attach_user_policy(UserName=user.name, PolicyArn="arn:aws:iam::aws:policy/NoSuch"), "NoSuchEntity")
    refused(lambda: admin.delete_policy(PolicyArn=ADMINISTRATOR_ACCESS), "AccessDenied")


def test_groups_lend_their_policies(server, admin):
    user = User(server)
    admin.create_group(GroupName="ops")
    admin.put_group_policy(GroupName="ops", PolicyName="p", PolicyDocument=document(allow("logs:*")))
    admin.add_user_to_group(GroupName="ops", UserName=user.name)
    user.client("logs").describe_log_groups()
    assert [group["GroupName"] for group in admin.list_groups_for_user(UserName=user.name)["Groups"]] == ["ops"]
    assert [one["UserName"] for one in admin.get_group(GroupName="ops")["Users"]] == [user.name]
    refused(lambda: admin.delete_group(GroupName="ops"), "DeleteConflict", "must remove users from group first")
    admin.update_group(GroupName="ops", NewGroupName="operators")
    user.client("logs").describe_log_groups()
    admin.remove_user_from_group(GroupName="operators", UserName=user.name)
    denied(lambda: user.client("logs").describe_log_groups(), "logs:DescribeLogGroups")


def test_a_permissions_boundary_bounds(server, admin):
    boundary = admin.create_policy(PolicyName="Boundary", PolicyDocument=document(allow("acm:*")))["Policy"]["Arn"]
    user = User(server, allow(["acm:*", "logs:*"]), PermissionsBoundary=boundary)
    user.client("acm").list_certificates()
    denied(lambda: user.client("logs").describe_log_groups(), "logs:DescribeLogGroups", "because no permissions boundary allows")
    shown = admin.get_user(UserName=user.name)["User"]["PermissionsBoundary"]
    assert shown == {"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": boundary}
    admin.delete_user_permissions_boundary(UserName=user.name)
    user.client("logs").describe_log_groups()


@pytest.mark.parametrize(
    "text, told",
    [
        ("{", "Syntax errors in policy."),
        (json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "acm:*"}]}), "Policy statement must contain resources."),
        (document(allow("acm:*", Condition={"StringEqual": {"a:b": "c"}})), "There is no condition operator StringEqual (Statement 1)"),
        (document(allow("acm:*", "my-bucket")), 'must be in ARN format or "*"'),
    ],
)
def test_what_is_no_policy_is_refused_with_its_place(admin, text, told):
    refused(lambda: admin.create_policy(PolicyName="bad", PolicyDocument=text), "MalformedPolicyDocument", told)


def test_roles(admin):
    everybody = trust({"AWS": ACCOUNT})
    role = admin.create_role(RoleName="deploy", AssumeRolePolicyDocument=everybody, MaxSessionDuration=7200)["Role"]
    assert role["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/deploy" and role["RoleId"].startswith("AROA")
    assert role["AssumeRolePolicyDocument"] == json.loads(everybody)
    no_one = trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/nobody-there"})
    refused(lambda: admin.update_assume_role_policy(RoleName="deploy", PolicyDocument=no_one), "MalformedPolicyDocument", "Invalid principal")
    admin.attach_role_policy(RoleName="deploy", PolicyArn=ADMINISTRATOR_ACCESS)
    admin.put_role_policy(RoleName="deploy", PolicyName="p", PolicyDocument=document(allow("acm:*")))
    assert admin.list_role_policies(RoleName="deploy")["PolicyNames"] == ["p"]
    assert admin.get_role_policy(RoleName="deploy", PolicyName="p")["PolicyDocument"]["Statement"] == [allow("acm:*")]
    attached = admin.list_attached_role_policies(RoleName="deploy")["AttachedPolicies"]
    assert attached == [{"PolicyName": "AdministratorAccess", "PolicyArn": ADMINISTRATOR_ACCESS}]
    admin.update_role(RoleName="deploy", Description="d", MaxSessionDuration=3600)
    admin.tag_role(RoleName="deploy", Tags=[{"Key": "a", "Value": "b"}])
    shown = admin.get_role(RoleName="deploy")["Role"]
    assert (shown["Description"], shown["MaxSessionDuration"], shown["Tags"]) == ("d", 3600, [{"Key": "a", "Value": "b"}])
    assert admin.list_instance_profiles_for_role(RoleName="deploy")["InstanceProfiles"] == []
    refused(lambda: admin.delete_role(RoleName="deploy"), "DeleteConflict")
    admin.detach_role_policy(RoleName="deploy", PolicyArn=ADMINISTRATOR_ACCESS)
    admin.delete_role_policy(RoleName="deploy", PolicyName="p")
    admin.delete_role(RoleName="deploy")


def test_simulations_say_what_would_be(server, admin):
    user = User(server, allow("s3:GetObject", "arn:aws:s3:::a/*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
                {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"})
    asked = {"PolicySourceArn": user.arn, "ActionNames": ["s3:GetObject", "s3:DeleteObject", "s3:PutObject"], "ResourceArns": ["arn:aws:s3:::a/k"]}
    address = {"ContextKeyName": "aws:SourceIp", "ContextKeyType": "ip", "ContextKeyValues": ["10.1.2.3"]}
    results = admin.simulate_principal_policy(**asked, ContextEntries=[address])["EvaluationResults"]
    assert [result["EvalDecision"] for result in results] == ["allowed", "explicitDeny", "implicitDeny"]
    assert results[0]["MatchedStatements"][0]["SourcePolicyType"] == "user"
    without = admin.simulate_principal_policy(**asked)["EvaluationResults"][0]
    assert (without["EvalDecision"], without["MissingContextValues"]) == ("implicitDeny", ["aws:SourceIp"])
    custom = admin.simulate_custom_policy(PolicyInputList=[document(allow("acm:*"))], ActionNames=["acm:ListCertificates"])
    assert custom["EvaluationResults"][0]["EvalDecision"] == "allowed"
    keys = admin.get_context_keys_for_principal_policy(PolicySourceArn=user.arn)["ContextKeyNames"]
    assert keys == ["aws:SourceIp"]


def test_the_own_api_asks_policies_too(server):
    user = User(server)
    command = ["countersign", "clients", "--endpoint", server.control]
    told = subprocess.run(command, env=user.env, capture_output=True, text=True, timeout=30)
    assert told.returncode != 0 and "countersign:ListClients" in told.stdout + told.stderr
    user.may(allow("countersign:ListClients"))
    told = subprocess.run(command, env=user.env, capture_output=True, text=True, timeout=30)
    assert told.returncode == 0, told.stderr


def test_denials_are_records(server):
    user = User(server)
    denied(lambda: user.client("apigatewayv2").create_api(Name="x", ProtocolType="HTTP"), "apigateway:POST")
    logs = server.client("logs")
    found = logs.filter_log_events(logGroupName="/countersign/settings", filterPattern=f'"{user.arn}"')["events"]
    assert any("AccessDenied" in event["message"] and "CreateApi" in event["message"] for event in found), found


def test_everything_is_there_after_a_restart(start_server):
    server = start_server()
    user = User(server, allow("acm:*"))
    server.stop()
    server.start()
    user.client("acm").list_certificates()
    denied(lambda: user.client("logs").describe_log_groups(), "logs:DescribeLogGroups")


def test_the_cli(server, aws):
    said = aws("iam", "create-group", "--group-name", f"cli-{aws.version}")
    assert said["Group"]["Arn"].startswith(f"arn:aws:iam::{ACCOUNT}:group/cli-")
