"""Users and roles as an administrator makes them, and clients that call as one."""

import json
import uuid

import boto3
import botocore.config

ACCOUNT = "123456789012"


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal, **more):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Principal:
    """Credentials, and clients that use them."""

    def __init__(self, server, access_key, secret, token=None):
        self.server = server
        self.keys = {"aws_access_key_id": access_key, "aws_secret_access_key": secret, "aws_session_token": token}

    @classmethod
    def of_session(cls, server, credentials):
        return cls(server, credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])

    def client(self, service, region="us-east-1", **config):
        settings = botocore.config.Config(retries={"total_max_attempts": 1}, **config)
        return boto3.client(service, endpoint_url=self.server.control, region_name=region, config=settings, **self.keys)

    @property
    def env(self):
        """What a shell of theirs holds."""
        env = {k: v for k, v in self.server.env.items() if not k.startswith("AWS_SESSION")}
        names = {"AWS_ACCESS_KEY_ID": "aws_access_key_id", "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key"}
        env |= {name: self.keys[key] for name, key in names.items()}
        if self.keys["aws_session_token"]:
            env["AWS_SESSION_TOKEN"] = self.keys["aws_session_token"]
        return env


class User(Principal):
    """A new user with one inline policy, which can be replaced."""

    def __init__(self, server, *statements, name=None, **options):
        self.iam = server.client("iam")
        self.name = name or f"user-{uuid.uuid4().hex[:8]}"
        self.iam.create_user(UserName=self.name, **options)
        key = self.iam.create_access_key(UserName=self.name)["AccessKey"]
        super().__init__(server, key["AccessKeyId"], key["SecretAccessKey"])
        if statements:
            self.may(*statements)

    def may(self, *statements):
        self.iam.put_user_policy(UserName=self.name, PolicyName="p", PolicyDocument=document(*statements))

    @property
    def arn(self):
        return f"arn:aws:iam::{ACCOUNT}:user/{self.name}"


class Role:
    """A new role with one inline policy."""

    def __init__(self, server, trust_policy, *statements, **options):
        self.iam, self.name = server.client("iam"), f"role-{uuid.uuid4().hex[:8]}"
        role = self.iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=trust_policy, **options)["Role"]
        self.arn = role["Arn"]
        if statements:
            self.iam.put_role_policy(RoleName=self.name, PolicyName="p", PolicyDocument=document(*statements))
