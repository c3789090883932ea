"""What S3's operations are given, broken once each: S3's code, and nothing is changed."""

import urllib.error
import urllib.request

import botocore.config
import botocore.exceptions
import botocore.handlers
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from server import error_code

TAGS = [{"Key": f"k{n}", "Value": "v"} for n in range(51)]


@pytest.fixture(scope="module")
def s3(server):
    """A client that sends what it is given."""
    config = botocore.config.Config(parameter_validation=False, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    client = server.client("s3", config=config)
    client.meta.events.unregister("before-parameter-build.s3", botocore.handlers.validate_bucket_name)
    client.create_bucket(Bucket="good")
    client.put_object(Bucket="good", Key="k", Body=b"hello")
    return client


@pytest.fixture(scope="module")
def upload(s3):
    """An upload with its part 1, and that part's entity tag."""
    id = s3.create_multipart_upload(Bucket="good", Key="m")["UploadId"]
    return id, s3.upload_part(Bucket="good", Key="m", UploadId=id, PartNumber=1, Body=b"x")["ETag"]


def refused(s3, operation, code, **arguments):
    before = contents(s3)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        getattr(s3, operation)(**arguments)
    assert error_code(caught) == code, caught.value
    assert contents(s3) == before


def contents(s3):
    """All that there is: buckets, versions with their tags, uploads and their parts."""
    listed = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    versions = [(one["Key"], one["VersionId"], one["ETag"], one["StorageClass"]) for one in s3.list_object_versions(Bucket="good").get("Versions", [])]
    tags = [s3.get_object_tagging(Bucket="good", Key=key)["TagSet"] for key, *_ in versions]
    uploads = [(one["Key"], one["UploadId"]) for one in s3.list_multipart_uploads(Bucket="good").get("Uploads", [])]
    parts = [part["ETag"] for key, id in uploads for part in s3.list_parts(Bucket="good", Key=key, UploadId=id).get("Parts", [])]
    return listed, versions, tags, uploads, parts, s3.get_bucket_versioning(Bucket="good").get("Status")


@pytest.mark.parametrize("name", [
    "a", "ab", "a" * 64, "UPPER", "-ab", "ab-", ".ab", "ab.", "a..b", "a_b", "a b", "192.168.0.1", "xn--ab", "sthree-ab", "amzn-s3-demo-ab", "ab-s3alias", "ab--ol-s3", "ab.mrap"])
def test_names_of_buckets(s3, name):
    refused(s3, "create_bucket", "InvalidBucketName", Bucket=name)


@pytest.mark.parametrize("configuration, code", [
    ({"LocationConstraint": "us-east-1"}, "InvalidLocationConstraint"),
    ({"LocationConstraint": "Nowhere"}, "InvalidLocationConstraint"),
    ({"LocationConstraint": "eu-west"}, "InvalidLocationConstraint"),
    ({"Tags": TAGS}, "BadRequest"),
    ({"Tags": [TAGS[0], TAGS[0]]}, "InvalidTag"),
    ({"Tags": [{"Key": "", "Value": "v"}]}, "InvalidTag"),
    ({"Tags": [{"Key": "k", "Value": "v" * 257}]}, "InvalidTag"),
])
def test_configurations_of_buckets(s3, configuration, code):
    refused(s3, "create_bucket", code, Bucket="new-bucket", CreateBucketConfiguration=configuration)


def test_a_bucket_is_made_with_its_tags(s3):
    s3.create_bucket(Bucket="tagged", CreateBucketConfiguration={"LocationConstraint": "eu-west-1", "Tags": [*TAGS[:2], {"Key": "a & b", "Value": "<ä>"}]})
    assert {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket="tagged")["TagSet"]} == {"k0": "v", "k1": "v", "a & b": "<ä>"}
    assert s3.get_bucket_location(Bucket="tagged")["LocationConstraint"] == "eu-west-1"
    s3.delete_bucket(Bucket="tagged")


PUTS = [
    ({"StorageClass": "X"}, "InvalidStorageClass"),
    ({"StorageClass": "DEEP_ARCHIVE"}, "InvalidStorageClass"),
    ({"ServerSideEncryption": "X"}, "InvalidEncryptionAlgorithmError"),
    ({"ServerSideEncryption": "aws:kms"}, "KMS.NotFoundException"),
    ({"ACL": "x"}, "AccessControlListNotSupported"),
    ({"ObjectLockMode": "GOVERNANCE"}, "NotImplemented"),
    ({"Tagging": "a=1&a=2"}, "InvalidArgument"),
    ({"Tagging": "a=%ff"}, "InvalidArgument"),
    ({"Tagging": "&".join(f"k{n}=v" for n in range(11))}, "BadRequest"),
    ({"Tagging": "x" * 129 + "=v"}, "InvalidTag"),
]


@pytest.mark.parametrize("operation, more", [("put_object", {"Body": b""}), ("create_multipart_upload", {}), ("copy_object", {"CopySource": "good/k", "MetadataDirective": "REPLACE", "TaggingDirective": "REPLACE"})])
@pytest.mark.parametrize("arguments, code", PUTS)
def test_what_goes_with_an_object(s3, operation, more, arguments, code):
    refused(s3, operation, code, Bucket="good", Key="new", **more, **arguments)


@pytest.mark.parametrize("operation, code, arguments", [
    ("put_object", "InvalidDigest", {"Key": "new", "Body": b"", "ContentMD5": "abc"}),
    ("put_object", "BadDigest", {"Key": "new", "Body": b"x", "ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfw=="}),
    ("put_object", "KeyTooLongError", {"Key": "n" * 1025, "Body": b""}),
    ("put_object", "MetadataTooLarge", {"Key": "new", "Body": b"", "Metadata": {"a": "x" * 2050}}),
    ("put_object", "NotImplemented", {"Key": "new", "Body": b"", "IfNoneMatch": "x"}),
    ("copy_object", "InvalidArgument", {"Key": "new", "CopySource": "nothing"}),
    ("copy_object", "NoSuchKey", {"Key": "new", "CopySource": "good/none"}),
    ("copy_object", "NoSuchVersion", {"Key": "new", "CopySource": "good/k?versionId=3HL4kqtJvjVBH40Nrjfkd"}),
    ("copy_object", "InvalidRequest", {"Key": "k", "CopySource": "good/k"}),
    ("copy_object", "InvalidArgument", {"Key": "new", "CopySource": "good/k", "MetadataDirective": "X"}),
    ("copy_object", "InvalidArgument", {"Key": "new", "CopySource": "good/k", "TaggingDirective": "X"}),
    ("get_object", "NoSuchVersion", {"Key": "k", "VersionId": "3HL4kqtJvjVBH40Nrjfkd"}),
    ("get_object", "InvalidArgument", {"Key": "k", "VersionId": "no id!"}),
    ("delete_object", "InvalidArgument", {"Key": "k", "VersionId": "no id!"}),
    ("get_object_tagging", "InvalidArgument", {"Key": "k", "VersionId": "no id!"}),
    ("put_object_tagging", "InvalidArgument", {"Key": "k", "VersionId": "no id!", "Tagging": {"TagSet": []}}),
    ("get_object", "InvalidRange", {"Key": "k", "Range": "bytes=9-10"}),
    ("get_object", "InvalidArgument", {"Key": "k", "PartNumber": 0}),
    ("get_object", "InvalidArgument", {"Key": "k", "PartNumber": 10_001}),
    ("get_object", "InvalidPartNumber", {"Key": "k", "PartNumber": 2}),
    ("get_object_attributes", "InvalidArgument", {"Key": "k", "ObjectAttributes": ["X"]}),
    ("get_object_attributes", "InvalidArgument", {"Key": "k", "ObjectAttributes": ["ObjectParts"], "MaxParts": -1}),
    ("put_object_tagging", "InvalidTag", {"Key": "k", "Tagging": {"TagSet": [TAGS[0], TAGS[0]]}}),
    ("put_object_tagging", "BadRequest", {"Key": "k", "Tagging": {"TagSet": TAGS[:11]}}),
    ("put_bucket_tagging", "InvalidTag", {"Tagging": {"TagSet": [{"Key": "x" * 129, "Value": ""}]}}),
    ("put_bucket_versioning", "IllegalVersioningConfigurationException", {"VersioningConfiguration": {"Status": "Maybe"}}),
    ("put_bucket_versioning", "IllegalVersioningConfigurationException", {"VersioningConfiguration": {}}),
    ("put_bucket_encryption", "MalformedXML", {"ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "X"}}]}}),
    ("put_bucket_policy", "MalformedPolicy", {"Policy": "{"}),
    ("put_bucket_acl", "AccessControlListNotSupported", {"ACL": "x"}),
    ("delete_objects", "MalformedXML", {"Delete": {"Objects": []}}),
    ("delete_objects", "MalformedXML", {"Delete": {"Objects": [{"Key": f"{n}"} for n in range(1001)]}}),
    ("list_objects", "InvalidArgument", {"MaxKeys": -1}),
    ("list_objects", "InvalidArgument", {"EncodingType": "x"}),
    ("list_objects_v2", "InvalidArgument", {"MaxKeys": -1}),
    ("list_objects_v2", "InvalidArgument", {"EncodingType": "x"}),
    ("list_objects_v2", "InvalidArgument", {"ContinuationToken": "nobody gave this out"}),
    ("list_objects_v2", "InvalidArgument", {"ContinuationToken": ""}),
    ("list_object_versions", "InvalidArgument", {"MaxKeys": -1}),
    ("list_object_versions", "InvalidArgument", {"VersionIdMarker": "x"}),
    ("list_multipart_uploads", "InvalidArgument", {"MaxUploads": -1}),
    ("list_multipart_uploads", "InvalidArgument", {"EncodingType": "x"}),
])
def test_one_thing_is_wrong(s3, operation, code, arguments):
    refused(s3, operation, code, Bucket="good", **arguments)


@pytest.mark.parametrize("arguments", [{"MaxBuckets": 0}, {"MaxBuckets": 10_001}, {"ContinuationToken": "nobody gave this out"}])
def test_lists_of_buckets(s3, arguments):
    refused(s3, "list_buckets", "InvalidArgument", **arguments)


@pytest.mark.parametrize("operation, code, arguments", [
    ("upload_part", "InvalidArgument", {"PartNumber": 0, "Body": b""}),
    ("upload_part", "InvalidArgument", {"PartNumber": -1, "Body": b""}),
    ("upload_part", "InvalidArgument", {"PartNumber": 10_001, "Body": b""}),
    ("upload_part", "NoSuchUpload", {"PartNumber": 1, "Body": b"", "UploadId": "none"}),
    ("upload_part_copy", "InvalidArgument", {"PartNumber": 0, "CopySource": "good/k"}),
    ("list_parts", "InvalidArgument", {"MaxParts": -1}),
    ("list_parts", "NoSuchUpload", {"UploadId": "none"}),
    ("abort_multipart_upload", "NoSuchUpload", {"UploadId": "none"}),
    ("complete_multipart_upload", "MalformedXML", {}),
    ("complete_multipart_upload", "MalformedXML", {"MultipartUpload": {"Parts": []}}),
    ("complete_multipart_upload", "InvalidPart", {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": '"x"'}]}}),
    ("complete_multipart_upload", "InvalidPart", {"MultipartUpload": {"Parts": [{"PartNumber": 2, "ETag": "1"}]}}),
    ("complete_multipart_upload", "InvalidArgument", {"MultipartUpload": {"Parts": [{"PartNumber": 0, "ETag": "1"}]}}),
    ("complete_multipart_upload", "InvalidPartOrder", {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "1"}, {"PartNumber": 1, "ETag": "1"}]}}),
])
def test_uploads_in_parts(s3, upload, operation, code, arguments):
    id, etag = upload
    for part in arguments.get("MultipartUpload", {}).get("Parts", []):
        part["ETag"] = etag if part["ETag"] == "1" else part["ETag"]
    refused(s3, operation, code, **{"Bucket": "good", "Key": "m", "UploadId": id, **arguments})


# What boto3 cannot be made to send.
@pytest.mark.parametrize("method, target, headers, body, code", [
    ("GET", "/good?max-keys=abc", {}, b"", "InvalidArgument"),
    ("GET", "/good?list-type=2&max-keys=99999999999", {}, b"", "InvalidArgument"),
    ("GET", "/good?versions&max-keys=", {}, b"", "InvalidArgument"),
    ("GET", "/good?uploads&max-uploads=abc", {}, b"", "InvalidArgument"),
    ("GET", "/?max-buckets=abc", {}, b"", "InvalidArgument"),
    ("GET", "/good/k?partNumber=abc", {}, b"", "InvalidArgument"),
    ("GET", "/good/k?versionId=", {}, b"", "InvalidArgument"),
    ("PUT", "/good/m?partNumber=abc&uploadId=x", {}, b"x", "InvalidArgument"),
    ("GET", "/good/m?uploadId=x&part-number-marker=abc", {}, b"", "InvalidArgument"),
    ("PUT", "/good?versioning", {}, b"<x", "MalformedXML"),
    ("PUT", "/good?versioning", {}, b"", "MissingRequestBodyError"),
    ("POST", "/good?delete", {}, b"<Delete/>", "MalformedXML"),
    ("PUT", "/good?tagging", {}, b"{}", "MalformedXML"),
    ("PUT", "/new-bucket", {}, b"<no", "MalformedXML"),
    ("PUT", "/new-bucket", {}, b"<Other/>", "MalformedXML"),
    ("PUT", "/new-bucket", {}, b"<CreateBucketConfiguration><Tag/></CreateBucketConfiguration>", "MalformedXML"),
    ("PUT", "/new-bucket", {}, b"<CreateBucketConfiguration><Tags>" + b"<a>" * 5000 + b"</Tags></CreateBucketConfiguration>", "MalformedXML"),
    ("PUT", "/good/new", {"Expires": "soon"}, b"", "InvalidArgument"),
    ("PATCH", "/good/k", {}, b"", "NotImplemented"),
])
def test_requests_as_no_client_makes_them(server, s3, method, target, headers, body, code):
    before = contents(s3)
    request = AWSRequest(method=method, url=server.control + target, headers=headers, data=body)
    S3SigV4Auth(Credentials(server.env["AWS_ACCESS_KEY_ID"], server.env["AWS_SECRET_ACCESS_KEY"]), "s3", "us-east-1").add_auth(request)
    data = body if method in ("PUT", "POST") else None
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(request.url, data=data, headers=dict(request.prepare().headers), method=method), timeout=20)
    answer = caught.value.read().decode()
    assert f"<Code>{code}</Code>" in answer, answer
    assert contents(s3) == before
