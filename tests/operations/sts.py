"""Who calls, and temporary credentials."""

import json

from operations.session import ACCOUNT

TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}]})


def identity(aws):
    assert aws.sts.get_caller_identity()["Account"] == ACCOUNT


def temporary_credentials(aws):
    role = aws.iam.create_role(RoleName=aws.unique("role"), AssumeRolePolicyDocument=TRUST)["Role"]
    answer = aws.sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session", DurationSeconds=900)
    assert answer["AssumedRoleUser"]["AssumedRoleId"] == f"{role['RoleId']}:session"
    assert aws.sts.get_session_token()["Credentials"]["AccessKeyId"].startswith("ASIA")
    assert aws.sts.get_federation_token(Name="bob")["FederatedUser"]["FederatedUserId"] == f"{ACCOUNT}:bob"
    own = aws.server.env["AWS_ACCESS_KEY_ID"]
    assert aws.sts.get_access_key_info(AccessKeyId=own)["Account"] == ACCOUNT
    aws.iam.delete_role(RoleName=role["RoleName"])
