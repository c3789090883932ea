"""What tools set about buckets: kept, given back, and S3's own errors where nothing is set."""

import json
import os

import botocore.exceptions
import pytest

from buckets import bucket, refused, s3
from server import error_code, error_message, eventually


def test_what_a_new_bucket_says_of_itself(s3, bucket):
    """Every question that terraform-provider-aws asks when it reads an aws_s3_bucket."""
    for call, code in [
        (s3.get_bucket_policy, "NoSuchBucketPolicy"),
        (s3.get_bucket_policy_status, "NoSuchBucketPolicy"),
        (s3.get_bucket_cors, "NoSuchCORSConfiguration"),
        (s3.get_bucket_website, "NoSuchWebsiteConfiguration"),
        (s3.get_bucket_lifecycle_configuration, "NoSuchLifecycleConfiguration"),
        (s3.get_bucket_replication, "ReplicationConfigurationNotFoundError"),
        (s3.get_bucket_encryption, "ServerSideEncryptionConfigurationNotFoundError"),
        (s3.get_object_lock_configuration, "ObjectLockConfigurationNotFoundError"),
        (s3.get_bucket_tagging, "NoSuchTagSet"),
    ]:
        assert refused(call, Bucket=bucket) == (404, code)
        assert refused(call, Bucket="none-" + bucket) == (404, "NoSuchBucket")
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert "TopicConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    owner = s3.list_buckets()["Owner"]["ID"]
    acl = s3.get_bucket_acl(Bucket=bucket)
    assert acl["Owner"]["ID"] == owner
    assert acl["Grants"] == [{"Grantee": {"ID": owner, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}]
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True} and len(block) == 4
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"


CORS = {"CORSRules": [{"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["https://a.example"], "MaxAgeSeconds": 60, "ID": "r"}]}
ENCRYPTION = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]}
LIFECYCLE = {"Rules": [{"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 7}}]}
LOGGING = {"LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": "s3/"}}
WEBSITE = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"}}
BLOCK = {"BlockPublicAcls": True, "IgnorePublicAcls": False, "BlockPublicPolicy": False, "RestrictPublicBuckets": True}
NOTIFICATION = {"QueueConfigurations": [{"Id": "q", "QueueArn": "arn:aws:sqs:us-east-1:123456789012:q", "Events": ["s3:ObjectCreated:*"]}]}


@pytest.mark.parametrize("name, member, value, shown, deleted", [
    ("bucket_cors", "CORSConfiguration", CORS, "CORSRules", "NoSuchCORSConfiguration"),
    ("bucket_encryption", "ServerSideEncryptionConfiguration", ENCRYPTION, "ServerSideEncryptionConfiguration",
     "ServerSideEncryptionConfigurationNotFoundError"),
    ("bucket_lifecycle_configuration", "LifecycleConfiguration", LIFECYCLE, "Rules", "NoSuchLifecycleConfiguration"),
    ("bucket_logging", "BucketLoggingStatus", LOGGING, "LoggingEnabled", None),
    ("bucket_website", "WebsiteConfiguration", WEBSITE, None, "NoSuchWebsiteConfiguration"),
    ("public_access_block", "PublicAccessBlockConfiguration", BLOCK, "PublicAccessBlockConfiguration", "NoSuchPublicAccessBlockConfiguration"),
    ("bucket_ownership_controls", "OwnershipControls", {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}, "OwnershipControls",
     "OwnershipControlsNotFoundError"),
    ("bucket_notification_configuration", "NotificationConfiguration", NOTIFICATION, None, None),
])
def test_what_is_set_comes_back(s3, bucket, name, member, value, shown, deleted):
    def call(verb, **arguments):
        return getattr(s3, f"{verb}_{name}")(Bucket=bucket, **arguments)

    call("put", **{member: value})
    got = call("get")
    assert (got[shown] if shown else {k: got[k] for k in value}) == value.get(shown, value)
    assert refused(getattr(s3, f"put_{name}"), Bucket="none-" + bucket, **{member: value}) == (404, "NoSuchBucket")
    if deleted:
        delete = getattr(s3, f"delete_{name.removesuffix('_configuration') if name.startswith('bucket_lifecycle') else name}")
        delete(Bucket=bucket)
        delete(Bucket=bucket)
        assert refused(getattr(s3, f"get_{name}"), Bucket=bucket) == (404, deleted)


@pytest.mark.parametrize("call, arguments, code", [
    ("put_bucket_cors", {"CORSConfiguration": {"CORSRules": [{"AllowedMethods": ["PATCH"], "AllowedOrigins": ["*"]}]}}, "InvalidRequest"),
    ("put_bucket_encryption", {"ServerSideEncryptionConfiguration": {"Rules": []}}, "MalformedXML"),
    ("put_bucket_lifecycle_configuration", {"LifecycleConfiguration": {"Rules": []}}, "MalformedXML"),
    ("put_bucket_website", {"WebsiteConfiguration": {}}, "InvalidArgument"),
    ("put_bucket_ownership_controls", {"OwnershipControls": {"Rules": []}}, "MalformedXML"),
    ("put_bucket_acl", {"ACL": "private"}, "AccessControlListNotSupported"),
    ("put_bucket_acl", {"ACL": "public-read"}, "AccessControlListNotSupported"),
    ("put_object", {"Key": "k", "Body": b"", "ACL": "public-read"}, "AccessControlListNotSupported"),
    ("put_object", {"Key": "k", "Body": b"", "ServerSideEncryption": "aws:kms"}, "KMS.NotFoundException"),
])
def test_what_cannot_be_set(s3, bucket, call, arguments, code):
    assert refused(getattr(s3, call), Bucket=bucket, **arguments) == (400, code)


def test_the_private_acl(s3, bucket):
    """As aws_s3_bucket_acl sets it, beside aws_s3_bucket_ownership_controls."""
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]})
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    acl = s3.get_bucket_acl(Bucket=bucket)
    policy = {"Owner": acl["Owner"], "Grants": acl["Grants"]}
    s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=policy)
    s3.put_object(Bucket=bucket, Key="k", Body=b"", ACL="private")
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="private")
    assert s3.get_object_acl(Bucket=bucket, Key="k")["Grants"] == acl["Grants"]
    everybody = {"Grantee": {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}, "Permission": "READ"}
    policy["Grants"] = [everybody]
    assert refused(s3.put_bucket_acl, Bucket=bucket, AccessControlPolicy=policy) == (400, "AccessControlListNotSupported")


def policy_of(bucket, **change):
    statement = {
        "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    } | change
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_policy_is_kept_and_says_that_it_is_not_enforced(s3, bucket, server):
    put = s3.put_bucket_policy(Bucket=bucket, Policy=policy_of(bucket))
    assert "not enforced" in put["ResponseMetadata"]["HTTPHeaders"]["x-countersign-warning"]
    line = f"countersign: s3://{bucket}: the bucket policy is stored, not enforced"
    eventually(lambda: line in server.stderr())
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == policy_of(bucket)
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is False
    s3.delete_bucket_policy(Bucket=bucket)
    assert refused(s3.get_bucket_policy, Bucket=bucket) == (404, "NoSuchBucketPolicy")


def test_policies_that_s3_would_not_take(s3, bucket):
    for change, text in [
        ({"Resource": "arn:aws:s3:::other/*"}, "Policy has invalid resource"),
        ({"Action": "sts:AssumeRole"}, "Policy has invalid action"),
        ({"Principal": "me"}, "Invalid principal in policy"),
    ]:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            s3.put_bucket_policy(Bucket=bucket, Policy=policy_of(bucket, **change))
        assert (error_code(caught), error_message(caught)) == ("MalformedPolicy", text)
    public = policy_of(bucket, Principal="*")
    assert refused(s3.put_bucket_policy, Bucket=bucket, Policy=public) == (403, "AccessDenied")
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=public)
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True


def test_ownership_from_the_beginning(s3):
    name = f"bucket-{os.urandom(6).hex()}"
    s3.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter")
    assert s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "ObjectWriter"}]
    assert refused(s3.create_bucket, Bucket=name + "-x", ObjectLockEnabledForBucket=True) == (501, "NotImplemented")
