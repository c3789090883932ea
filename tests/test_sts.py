"""Temporary credentials by the real clients: roles that are taken on, session tokens, and when they end."""

import json
import urllib.request

import botocore.session
import pytest
from botocore.exceptions import ClientError

from iam import ACCOUNT, Principal, Role, User, allow, document, trust


def refused(call, code, *words):
    with pytest.raises(ClientError) as error:
        call()
    told = error.value.response["Error"]
    assert told["Code"] == code, told
    for word in words:
        assert word in told["Message"], told


def assume(principal, role, **more):
    more = {"RoleSessionName": "test"} | more
    return principal.client("sts").assume_role(RoleArn=role.arn, **more)


def session(server, answer):
    return Principal.of_session(server, answer["Credentials"])


def test_a_role_that_names_who_takes_it_on(server):
    user, other = User(server), User(server)
    role = Role(server, trust({"AWS": user.arn}), allow("acm:List*"))
    answer = assume(user, role, RoleSessionName="deploy")
    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA") and credentials["SessionToken"]
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.name}/deploy"
    assert answer["AssumedRoleUser"]["Arn"] == arn
    taken = session(server, answer)
    identity = taken.client("sts").get_caller_identity()
    assert (identity["Arn"], identity["UserId"]) == (arn, answer["AssumedRoleUser"]["AssumedRoleId"])
    taken.client("acm").list_certificates()
    refused(lambda: taken.client("logs").describe_log_groups(), "AccessDeniedException", f"User: {arn} is not authorized to perform: logs:DescribeLogGroups")
    refused(lambda: assume(other, role), "AccessDenied", f"User: {other.arn} is not authorized to perform: sts:AssumeRole on resource: {role.arn}")
    refused(lambda: taken.client("iam").get_user(), "AccessDenied")


def test_a_role_that_names_the_account_leaves_it_to_policies(server):
    role = Role(server, trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}), allow("acm:*"))
    user = User(server)
    refused(lambda: assume(user, role), "AccessDenied")
    user.may(allow("sts:AssumeRole", role.arn))
    session(server, assume(user, role)).client("acm").list_certificates()
    user.may(allow("sts:*"), {"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": "*"})
    refused(lambda: assume(user, role), "AccessDenied")
    refused(lambda: user.client("sts").assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/none", RoleSessionName="xx"), "AccessDenied")


def test_conditions_of_a_trust_policy(server):
    user = User(server)
    condition = {"Condition": {"StringEquals": {"sts:ExternalId": "secret-7"}}}
    role = Role(server, trust({"AWS": user.arn}, **condition), allow("acm:*"))
    refused(lambda: assume(user, role), "AccessDenied")
    refused(lambda: assume(user, role, ExternalId="secret-8"), "AccessDenied")
    assume(user, role, ExternalId="secret-7")


def test_a_session_policy_takes_away(server):
    user = User(server)
    role = Role(server, trust({"AWS": user.arn}), allow("*"))
    answer = assume(user, role, Policy=document(allow("acm:*")))
    assert answer["PackedPolicySize"] > 0
    taken = session(server, answer)
    taken.client("acm").list_certificates()
    refused(lambda: taken.client("logs").describe_log_groups(), "AccessDeniedException", "because no session policy allows the logs:DescribeLogGroups action")
    managed = assume(user, role, PolicyArns=[{"arn": "arn:aws:iam::aws:policy/CloudWatchLogsReadOnlyAccess"}])
    session(server, managed).client("logs").describe_log_groups()
    refused(lambda: assume(user, role, Policy="{"), "MalformedPolicyDocument", "Syntax errors in policy")


def test_a_session_has_what_its_role_has_now(server):
    user = User(server)
    role = Role(server, trust({"AWS": user.arn}), allow("acm:*"))
    taken = session(server, assume(user, role))
    role.iam.put_role_policy(RoleName=role.name, PolicyName="p", PolicyDocument=document(allow("logs:*")))
    taken.client("logs").describe_log_groups()
    refused(lambda: taken.client("acm").list_certificates(), "AccessDeniedException")
    role.iam.delete_role_policy(RoleName=role.name, PolicyName="p")
    role.iam.delete_role(RoleName=role.name)
    refused(lambda: taken.client("sts").get_caller_identity(), "InvalidClientTokenId")
    # Another role of the same name has lent nothing.
    role.iam.create_role(RoleName=role.name, AssumeRolePolicyDocument=trust({"AWS": user.arn}))
    refused(lambda: taken.client("sts").get_caller_identity(), "InvalidClientTokenId")


def test_session_tags(server):
    user = User(server)
    both = {"Action": ["sts:AssumeRole", "sts:TagSession"]}
    tagged = {"Condition": {"StringEquals": {"aws:PrincipalTag/team": "blue"}}}
    role = Role(server, trust({"AWS": user.arn}, **both), allow("acm:*", **tagged))
    refused(lambda: session(server, assume(user, role)).client("acm").list_certificates(), "AccessDeniedException")
    session(server, assume(user, role, Tags=[{"Key": "team", "Value": "blue"}])).client("acm").list_certificates()
    untagged = Role(server, trust({"AWS": user.arn}), allow("*"))
    refused(lambda: assume(user, untagged, Tags=[{"Key": "team", "Value": "blue"}]), "AccessDenied", "sts:TagSession")


def test_durations(server):
    user = User(server)
    role = Role(server, trust({"AWS": user.arn}), allow("*"))
    refused(lambda: assume(user, role, DurationSeconds=7200), "ValidationError", "exceeds the MaxSessionDuration")
    refused(lambda: assume(user, role, DurationSeconds=43201), "ValidationError", "less than or equal to 43200")
    role.iam.update_role(RoleName=role.name, MaxSessionDuration=7200)
    assume(user, role, DurationSeconds=7200)


def test_a_token_holds_for_its_key_only(server):
    user = User(server)
    role = Role(server, trust({"AWS": user.arn}), allow("*"))
    first, second = (assume(user, role)["Credentials"] for _ in range(2))
    mixed = Principal(server, first["AccessKeyId"], first["SecretAccessKey"], second["SessionToken"])
    refused(lambda: mixed.client("sts").get_caller_identity(), "InvalidClientTokenId")
    refused(lambda: mixed.client("acm").list_certificates(), "UnrecognizedClientException")
    refused(lambda: mixed.client("s3").list_buckets(), "InvalidToken")
    without = Principal(server, first["AccessKeyId"], first["SecretAccessKey"])
    refused(lambda: without.client("sts").get_caller_identity(), "InvalidClientTokenId")
    forged = Principal(server, first["AccessKeyId"], "x" * 40, first["SessionToken"])
    refused(lambda: forged.client("sts").get_caller_identity(), "SignatureDoesNotMatch")


def test_session_tokens_and_federation(server):
    user = User(server, allow(["acm:*", "sts:GetFederationToken"]))
    taken = session(server, user.client("sts").get_session_token(DurationSeconds=900))
    assert taken.client("sts").get_caller_identity()["Arn"] == user.arn
    taken.client("acm").list_certificates()
    refused(lambda: taken.client("sts").get_session_token(), "AccessDenied", "Cannot call GetSessionToken with session credentials")
    answer = user.client("sts").get_federation_token(Name="bob", Policy=document(allow("*")))
    assert answer["FederatedUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:federated-user/bob"
    federated = session(server, answer)
    federated.client("acm").list_certificates()
    refused(lambda: federated.client("logs").describe_log_groups(), "AccessDeniedException", "no identity-based policy")
    nothing = session(server, user.client("sts").get_federation_token(Name="bob"))
    refused(lambda: nothing.client("acm").list_certificates(), "AccessDeniedException", "no session policy")
    info = server.client("sts").get_access_key_info(AccessKeyId=user.keys["aws_access_key_id"])
    assert info["Account"] == ACCOUNT


def test_objects_by_a_session_and_by_a_presigned_url(server):
    admin = server.client("s3")
    admin.create_bucket(Bucket="sessions")
    admin.put_object(Bucket="sessions", Key="a", Body=b"x")
    user = User(server)
    role = Role(server, trust({"AWS": user.arn}), allow("s3:GetObject", "arn:aws:s3:::sessions/*"))
    s3 = session(server, assume(user, role)).client("s3", s3={"addressing_style": "path"}, signature_version="s3v4")
    assert s3.get_object(Bucket="sessions", Key="a")["Body"].read() == b"x"
    refused(lambda: s3.put_object(Bucket="sessions", Key="a", Body=b"y"), "AccessDenied", "s3:PutObject")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "sessions", "Key": "a"})
    assert "X-Amz-Security-Token" in url
    assert urllib.request.urlopen(url, timeout=10).read() == b"x"


def test_a_profile_with_role_arn(server, aws, tmp_path):
    """`~/.aws/config` as people write it: the CLI takes the role on by itself."""
    user = User(server)
    role = Role(server, trust({"AWS": user.arn}), allow("acm:*"))
    config = tmp_path / "config"
    config.write_text(
        f"[profile base]\naws_access_key_id = {user.keys['aws_access_key_id']}\n"
        f"aws_secret_access_key = {user.keys['aws_secret_access_key']}\n"
        f"[profile deploy]\nrole_arn = {role.arn}\nsource_profile = base\n"
    )
    if aws.version == "v2":
        pytest.skip("this generation ignores AWS_ENDPOINT_URL for the call that takes on the role")
    script = 'unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; export AWS_CONFIG_FILE="$1"; aws sts get-caller-identity --profile deploy'
    done = aws.run(config, script=script)
    assert done.returncode == 0, done.stderr
    assert f"assumed-role/{role.name}/" in json.loads(done.stdout)["Arn"]


def test_sessions_survive_a_restart(start_server):
    server = start_server()
    user = User(server)
    role = Role(server, trust({"AWS": user.arn}), allow("acm:*"))
    taken = session(server, assume(user, role))
    server.stop()
    server.start()
    taken.client("acm").list_certificates()


def test_boto3_takes_a_role_on_by_itself(server, monkeypatch, tmp_path):
    user = User(server)
    role = Role(server, trust({"AWS": user.arn}), allow("acm:*"))
    config = tmp_path / "config"
    config.write_text(
        f"[profile base]\naws_access_key_id = {user.keys['aws_access_key_id']}\n"
        f"aws_secret_access_key = {user.keys['aws_secret_access_key']}\n"
        f"[profile deploy]\nrole_arn = {role.arn}\nsource_profile = base\nregion = us-east-1\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.control)
    client = botocore.session.Session(profile="deploy").create_client("sts", region_name="us-east-1")
    assert f"assumed-role/{role.name}/" in client.get_caller_identity()["Arn"]
