"""Buckets and objects. Buckets have no region of their own: those of others are in every list."""

import json

import botocore.exceptions
import pytest

from server import error_code


def bucket(aws):
    s3, names = aws.s3, [aws.unique("bucket-") for _ in range(3)]
    for name in names:
        s3.create_bucket(Bucket=name)
    s3.head_bucket(Bucket=names[0])
    s3.get_bucket_location(Bucket=names[0])
    aws.pages("s3", "list_buckets", mine=lambda found: found["Name"] in names, invent=False)
    s3.put_bucket_tagging(Bucket=names[0], Tagging={"TagSet": [{"Key": "team", "Value": "x"}]})
    assert s3.get_bucket_tagging(Bucket=names[0])["TagSet"] == [{"Key": "team", "Value": "x"}]
    s3.delete_bucket_tagging(Bucket=names[0])
    s3.put_bucket_versioning(Bucket=names[0], VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=names[0])["Status"] == "Enabled"
    for name in names:
        s3.delete_bucket(Bucket=name)


def objects(aws):
    s3, name = aws.s3, aws.unique("objects-")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "b", "c/d", "c/e"):
        s3.put_object(Bucket=name, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=name, Key="a")["Body"].read() == b"a"
    assert s3.head_object(Bucket=name, Key="a")["ContentLength"] == 1
    s3.copy_object(Bucket=name, Key="f", CopySource={"Bucket": name, "Key": "a"})
    assert len(aws.pages("s3", "list_objects", Bucket=name, invent=False)) == 5
    assert len(aws.pages("s3", "list_objects_v2", Bucket=name)) == 5
    assert len(aws.pages("s3", "list_object_versions", Bucket=name, invent=False)) == 5
    s3.put_object_tagging(Bucket=name, Key="a", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    assert s3.get_object_tagging(Bucket=name, Key="a")["TagSet"] == [{"Key": "k", "Value": "v"}]
    s3.delete_object_tagging(Bucket=name, Key="a")
    s3.delete_object(Bucket=name, Key="a")
    assert len(s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "b"}, {"Key": "f"}]})["Deleted"]) == 2


def in_parts(aws):
    s3, name = aws.s3, aws.unique("parts-")
    s3.create_bucket(Bucket=name)
    upload = s3.create_multipart_upload(Bucket=name, Key="whole")["UploadId"]
    part = s3.upload_part(Bucket=name, Key="whole", UploadId=upload, PartNumber=1, Body=b"all of it")
    s3.complete_multipart_upload(
        Bucket=name, Key="whole", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    upload = s3.create_multipart_upload(Bucket=name, Key="other")["UploadId"]
    s3.abort_multipart_upload(Bucket=name, Key="other", UploadId=upload)


def settings_of_a_bucket(aws):
    s3, name = aws.s3, aws.unique("settings-")
    s3.create_bucket(Bucket=name)
    s3.get_bucket_accelerate_configuration(Bucket=name)
    s3.get_bucket_request_payment(Bucket=name)
    s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.put_bucket_acl(Bucket=name, ACL="private")
    assert s3.get_bucket_acl(Bucket=name)["Owner"]
    for kind, setting, code in SETTINGS:
        if code:
            with pytest.raises(botocore.exceptions.ClientError) as caught:
                getattr(s3, f"get_{kind}")(Bucket=name)
            assert error_code(caught) == code, kind
        getattr(s3, f"put_{kind}")(Bucket=name, **setting(name))
        # Some are wrapped in an answer, some are the answer.
        [given], shown = setting(name).values(), getattr(s3, f"get_{kind}")(Bucket=name)
        assert is_in(given, shown) or is_in(setting(name), shown), (kind, shown)
    assert s3.get_bucket_policy_status(Bucket=name)["PolicyStatus"]["IsPublic"] is False
    for read, code in (("get_bucket_replication", "ReplicationConfigurationNotFoundError"), ("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError")):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            getattr(s3, read)(Bucket=name)
        assert error_code(caught) == code
        aws.calls.add(f"s3.{s3.meta.method_to_api_mapping[read]}")
    for delete in (s3.delete_bucket_cors, s3.delete_bucket_encryption, s3.delete_bucket_lifecycle, s3.delete_bucket_ownership_controls,
                   s3.delete_bucket_policy, s3.delete_bucket_website, s3.delete_public_access_block):
        delete(Bucket=name)


def is_in(given, shown):
    """Whether an answer holds what was put, at whatever depth."""
    if isinstance(given, dict):
        return isinstance(shown, dict) and all(is_in(value, shown.get(name)) for name, value in given.items())
    if isinstance(given, list):
        return isinstance(shown, list) and len(given) == len(shown) and all(map(is_in, given, shown))
    return given == shown


# Kind, what is put, and what a read says before.
SETTINGS = [
    ("bucket_cors", lambda name: {"CORSConfiguration": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}}, "NoSuchCORSConfiguration"),
    ("bucket_encryption", lambda name: {"ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}}, None),
    ("bucket_lifecycle_configuration", lambda name: {"LifecycleConfiguration": {"Rules": [
        {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": "x"}, "Expiration": {"Days": 3}}]}}, "NoSuchLifecycleConfiguration"),
    ("bucket_logging", lambda name: {"BucketLoggingStatus": {"LoggingEnabled": {"TargetBucket": name, "TargetPrefix": "log/"}}}, None),
    ("bucket_notification_configuration", lambda name: {"NotificationConfiguration": {"EventBridgeConfiguration": {}}}, None),
    ("bucket_ownership_controls", lambda name: {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}}, None),
    ("public_access_block", lambda name: {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "BlockPublicPolicy": True}}, None),
    ("bucket_policy", lambda name: {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteBucket", "Resource": f"arn:aws:s3:::{name}"}]})}, "NoSuchBucketPolicy"),
    ("bucket_website", lambda name: {"WebsiteConfiguration": {"IndexDocument": {"Suffix": "index.html"}}}, "NoSuchWebsiteConfiguration"),
]


def more_of_objects(aws):
    s3, name = aws.s3, aws.unique("more-")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="a", Body=b"all of it")
    s3.put_object_acl(Bucket=name, Key="a", ACL="bucket-owner-full-control")
    assert s3.get_object_acl(Bucket=name, Key="a")["Owner"]
    assert s3.get_object_attributes(Bucket=name, Key="a", ObjectAttributes=["ObjectSize"])["ObjectSize"] == 9
    uploads = [s3.create_multipart_upload(Bucket=name, Key=f"b{n}")["UploadId"] for n in range(3)]
    for number in (1, 2, 3):
        s3.upload_part_copy(Bucket=name, Key="b0", UploadId=uploads[0], PartNumber=number, CopySource={"Bucket": name, "Key": "a"})
    assert len(aws.pages("s3", "list_parts", Bucket=name, Key="b0", UploadId=uploads[0], invent=False)) == 3
    assert len(aws.pages("s3", "list_multipart_uploads", Bucket=name, invent=False)) == 3
