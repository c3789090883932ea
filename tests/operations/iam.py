"""Users, groups, roles, policies, access keys, and what would be allowed."""

import json

from operations.session import ACCOUNT

ALLOW = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::a/*", "Condition": {"StringEquals": {"aws:username": "x"}}}]})
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}]})
MANAGED = [f"arn:aws:iam::aws:policy/{name}" for name in ("AmazonS3FullAccess", "IAMReadOnlyAccess", "ReadOnlyAccess")]
TAGS = [{"Key": key, "Value": f"value of {key}"} for key in "abc"]


def users(aws):
    iam, path = aws.iam, f"/{aws.unique()}/"
    names = [aws.unique("user") for _ in range(3)]
    for name in names:
        iam.create_user(UserName=name, Path=path, Tags=TAGS)
    assert len(aws.pages("iam", "list_users", PathPrefix=path)) == 3
    name = names[0]
    assert iam.get_user(UserName=name)["User"]["Path"] == path
    iam.tag_user(UserName=name, Tags=[{"Key": "D", "Value": ""}])
    iam.untag_user(UserName=name, TagKeys=["d"])
    assert [tag["Key"] for tag in aws.pages("iam", "list_user_tags", UserName=name)] == ["a", "b", "c"]
    iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=MANAGED[0])
    iam.delete_user_permissions_boundary(UserName=name)
    iam.update_user(UserName=name, NewUserName=f"{name}-2", NewPath="/")
    for name in (f"{name}-2", *names[1:]):
        iam.delete_user(UserName=name)


def policies_of_a_user(aws):
    iam, user = aws.iam, aws.unique("user")
    iam.create_user(UserName=user)
    for n in range(3):
        iam.put_user_policy(UserName=user, PolicyName=f"p{n}", PolicyDocument=ALLOW)
        iam.attach_user_policy(UserName=user, PolicyArn=MANAGED[n])
    assert aws.pages("iam", "list_user_policies", UserName=user) == ["p0", "p1", "p2"]
    assert len(aws.pages("iam", "list_attached_user_policies", UserName=user)) == 3
    assert iam.get_user_policy(UserName=user, PolicyName="p0")["PolicyDocument"] == json.loads(ALLOW)
    for n in range(3):
        iam.delete_user_policy(UserName=user, PolicyName=f"p{n}")
        iam.detach_user_policy(UserName=user, PolicyArn=MANAGED[n])
    iam.delete_user(UserName=user)


def keys(aws):
    iam, user = aws.iam, aws.unique("user")
    iam.create_user(UserName=user)
    made = [iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"] for _ in range(2)]
    iam.update_access_key(UserName=user, AccessKeyId=made[0], Status="Inactive")
    shown = aws.pages("iam", "list_access_keys", at_least=2, UserName=user)
    assert {key["AccessKeyId"]: key["Status"] for key in shown} == {made[0]: "Inactive", made[1]: "Active"}
    assert iam.get_access_key_last_used(AccessKeyId=made[0])["UserName"] == user
    for key in made:
        iam.delete_access_key(UserName=user, AccessKeyId=key)
    iam.delete_user(UserName=user)


def groups(aws):
    iam, path = aws.iam, f"/{aws.unique()}/"
    names, users = ([aws.unique(kind) for _ in range(3)] for kind in ("group", "user"))
    for name in names:
        iam.create_group(GroupName=name, Path=path)
    assert len(aws.pages("iam", "list_groups", PathPrefix=path)) == 3
    for user in users:
        iam.create_user(UserName=user)
        iam.add_user_to_group(GroupName=names[0], UserName=user)
    for name in names[1:]:
        iam.add_user_to_group(GroupName=name, UserName=users[0])
    assert len(aws.pages("iam", "get_group", GroupName=names[0])) == 3
    assert len(aws.pages("iam", "list_groups_for_user", UserName=users[0])) == 3
    group = names[0]
    for n in range(3):
        iam.put_group_policy(GroupName=group, PolicyName=f"p{n}", PolicyDocument=ALLOW)
        iam.attach_group_policy(GroupName=group, PolicyArn=MANAGED[n])
    assert len(aws.pages("iam", "list_group_policies", GroupName=group)) == 3
    assert len(aws.pages("iam", "list_attached_group_policies", GroupName=group)) == 3
    assert iam.get_group_policy(GroupName=group, PolicyName="p1")["GroupName"] == group
    for n in range(3):
        iam.delete_group_policy(GroupName=group, PolicyName=f"p{n}")
        iam.detach_group_policy(GroupName=group, PolicyArn=MANAGED[n])
    iam.update_group(GroupName=group, NewGroupName=f"{group}-2", NewPath="/")
    names[0] = f"{group}-2"
    for name in names:
        for user in iam.get_group(GroupName=name)["Users"]:
            iam.remove_user_from_group(GroupName=name, UserName=user["UserName"])
        iam.delete_group(GroupName=name)
    for user in users:
        iam.delete_user(UserName=user)


def roles(aws):
    iam, path = aws.iam, f"/{aws.unique()}/"
    names = [aws.unique("role") for _ in range(3)]
    for name in names:
        iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=TRUST, Tags=TAGS)
    assert len(aws.pages("iam", "list_roles", PathPrefix=path)) == 3
    name = names[0]
    for n in range(3):
        iam.put_role_policy(RoleName=name, PolicyName=f"p{n}", PolicyDocument=ALLOW)
        iam.attach_role_policy(RoleName=name, PolicyArn=MANAGED[n])
    assert len(aws.pages("iam", "list_role_policies", RoleName=name)) == 3
    assert len(aws.pages("iam", "list_attached_role_policies", RoleName=name)) == 3
    assert iam.get_role_policy(RoleName=name, PolicyName="p2")["RoleName"] == name
    iam.tag_role(RoleName=name, Tags=[{"Key": "d", "Value": "x"}])
    iam.untag_role(RoleName=name, TagKeys=["d"])
    assert len(aws.pages("iam", "list_role_tags", RoleName=name)) == 3
    iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=MANAGED[0])
    assert "PermissionsBoundary" in iam.get_role(RoleName=name)["Role"]
    iam.delete_role_permissions_boundary(RoleName=name)
    iam.update_role(RoleName=name, MaxSessionDuration=7200)
    iam.update_role_description(RoleName=name, Description="d")
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=TRUST)
    assert aws.pages("iam", "list_instance_profiles_for_role", at_least=0, RoleName=name) == []
    for n in range(3):
        iam.delete_role_policy(RoleName=name, PolicyName=f"p{n}")
        iam.detach_role_policy(RoleName=name, PolicyArn=MANAGED[n])
    for name in names:
        iam.delete_role(RoleName=name)


def managed_policies(aws):
    iam, path = aws.iam, f"/{aws.unique()}/"
    arns = [iam.create_policy(PolicyName=aws.unique("policy"), Path=path, PolicyDocument=ALLOW, Description="d", Tags=TAGS)["Policy"]["Arn"]
            for _ in range(3)]
    assert len(aws.pages("iam", "list_policies", PathPrefix=path, Scope="Local")) == 3
    arn = arns[0]
    for _ in range(2):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=ALLOW)
    assert [version["VersionId"] for version in aws.pages("iam", "list_policy_versions", PolicyArn=arn)] == ["v3", "v2", "v1"]
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]["IsDefaultVersion"]
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "d", "Value": "x"}])
    iam.untag_policy(PolicyArn=arn, TagKeys=["d"])
    assert len(aws.pages("iam", "list_policy_tags", PolicyArn=arn)) == 3
    user, group, role = aws.unique("user"), aws.unique("group"), aws.unique("role")
    iam.create_user(UserName=user, PermissionsBoundary=arn)
    iam.create_group(GroupName=group)
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=TRUST)
    iam.attach_group_policy(GroupName=group, PolicyArn=arn)
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    assert len(aws.pages("iam", "list_entities_for_policy", PolicyArn=arn)) == 3
    shown = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (shown["AttachmentCount"], shown["PermissionsBoundaryUsageCount"]) == (2, 1)
    iam.delete_user(UserName=user)
    iam.detach_group_policy(GroupName=group, PolicyArn=arn)
    iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    iam.delete_group(GroupName=group)
    iam.delete_role(RoleName=role)
    for version in ("v1", "v3"):
        iam.delete_policy_version(PolicyArn=arn, VersionId=version)
    for arn in arns:
        iam.delete_policy(PolicyArn=arn)


def simulations(aws):
    iam, user = aws.iam, aws.unique("user")
    arn = iam.create_user(UserName=user)["User"]["Arn"]
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=ALLOW)
    asked = {"ActionNames": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], "ResourceArns": ["arn:aws:s3:::a/b"]}
    assert len(aws.pages("iam", "simulate_principal_policy", PolicySourceArn=arn, **asked)) == 3
    assert len(aws.pages("iam", "simulate_custom_policy", PolicyInputList=[ALLOW], **asked)) == 3
    assert iam.get_context_keys_for_principal_policy(PolicySourceArn=arn)["ContextKeyNames"] == ["aws:username"]
    assert iam.get_context_keys_for_custom_policy(PolicyInputList=[ALLOW])["ContextKeyNames"] == ["aws:username"]
    iam.delete_user_policy(UserName=user, PolicyName="p")
    iam.delete_user(UserName=user)


def account(aws):
    assert aws.iam.get_account_summary()["SummaryMap"]["Users"] >= 1
    assert aws.pages("iam", "list_account_aliases", at_least=0) == []
