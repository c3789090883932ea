"""Buckets and versioned objects, as far as truststores need them: through boto3 in both address styles and both CLIs."""

import os
import socket

import botocore.config
import botocore.exceptions
import pytest

from server import error_code


@pytest.fixture(params=["path", "virtual"])
def s3(server, request, monkeypatch):
    """Path-style and virtual-host style (`bucket.localhost`) addressing. Not every resolver knows RFC 6761's names under localhost."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host, *args, **more):
        return resolve("127.0.0.1" if host.endswith(".localhost") else host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    endpoint = server.control if request.param == "path" else server.control.replace("127.0.0.1", "localhost")
    config = botocore.config.Config(retries={"total_max_attempts": 1}, s3={"addressing_style": request.param})
    return server.client("s3", endpoint_url=endpoint, config=config)


@pytest.fixture
def bucket(s3, request):
    name = f"bucket-{os.urandom(6).hex()}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def test_versions_of_an_object(s3, bucket):
    first = s3.put_object(Bucket=bucket, Key="ca.pem", Body=b"first")["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="ca.pem", Body=b"second")["VersionId"]
    assert first != second
    assert s3.get_object(Bucket=bucket, Key="ca.pem")["Body"].read() == b"second"
    assert s3.get_object(Bucket=bucket, Key="ca.pem", VersionId=first)["Body"].read() == b"first"
    head = s3.head_object(Bucket=bucket, Key="ca.pem", VersionId=first)
    assert head["ContentLength"] == 5 and head["VersionId"] == first
    listed = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [(v["VersionId"], v["IsLatest"]) for v in listed] == [(second, True), (first, False)]


def test_delete_leaves_a_marker(s3, bucket):
    version = s3.put_object(Bucket=bucket, Key="ca.pem", Body=b"x")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="ca.pem")
    assert marker["DeleteMarker"] is True
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="ca.pem")
    assert error_code(caught) == "NoSuchKey"
    assert s3.get_object(Bucket=bucket, Key="ca.pem", VersionId=version)["Body"].read() == b"x"
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert [m["VersionId"] for m in s3.list_object_versions(Bucket=bucket)["DeleteMarkers"]] == [marker["VersionId"]]

    s3.delete_object(Bucket=bucket, Key="ca.pem", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket=bucket, Key="ca.pem")["Body"].read() == b"x"
    s3.delete_object(Bucket=bucket, Key="ca.pem", VersionId=version)
    with pytest.raises(botocore.exceptions.ClientError):
        s3.get_object(Bucket=bucket, Key="ca.pem", VersionId=version)


def test_a_version_that_never_was(s3, bucket):
    s3.put_object(Bucket=bucket, Key="ca.pem", Body=b"x")
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="ca.pem", VersionId="3HL4kqtJvjVBH40Nrjfkd")
    assert error_code(caught) in ("NoSuchVersion", "InvalidArgument")


def test_without_versioning(s3):
    name = f"plain-{os.urandom(6).hex()}"
    s3.create_bucket(Bucket=name)
    assert "Status" not in s3.get_bucket_versioning(Bucket=name)
    assert "VersionId" not in s3.put_object(Bucket=name, Key="k", Body=b"1")
    s3.put_object(Bucket=name, Key="k", Body=b"2")
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"2"
    assert [v["VersionId"] for v in s3.list_object_versions(Bucket=name)["Versions"]] == ["null"]


def test_list_objects(s3, bucket):
    for key in ("a/1", "a/2", "b/1", "top"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a/1", "a/2", "b/1", "top"]
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix="a/")["Contents"]] == ["a/1", "a/2"]
    grouped = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in grouped["CommonPrefixes"]] == ["a/", "b/"]
    assert [o["Key"] for o in grouped["Contents"]] == ["top"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
    assert [o["Key"] for page in pages for o in page["Contents"]] == ["a/1", "a/2", "b/1", "top"]


@pytest.mark.parametrize("key", ["with space.pem", "ümläut/ca.pem", "a+b&c=d.pem", "../up.pem", "a//b.pem", "%2e%2e/x", ".hidden", "x" * 900])
def test_any_key_is_only_a_key(s3, bucket, key, server):
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    assert not (server.data_dir.parent / "up.pem").exists()


def test_buckets_have_to_be_empty_and_unique(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        s3.delete_bucket(Bucket=bucket)
    assert error_code(caught) == "BucketNotEmpty"
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        s3.put_object(Bucket="missing-" + bucket, Key="k", Body=b"")
    assert error_code(caught) == "NoSuchBucket"
    assert bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]]


def test_a_damaged_upload_is_refused(s3, bucket):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"data", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    assert error_code(caught) in ("BadDigest", "InvalidDigest")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_the_cli_copies_there_and_back(aws, cli_version, server, tmp_path):
    name = f"copied-by-{cli_version}"
    aws("s3api", "create-bucket", "--bucket", name)
    aws("s3api", "put-bucket-versioning", "--bucket", name, "--versioning-configuration", "Status=Enabled")
    source, target = tmp_path / "ca.pem", tmp_path / "back.pem"
    source.write_bytes(os.urandom(300_000))
    aws("s3", "cp", source, f"s3://{name}/ca.pem")
    aws("s3", "cp", f"s3://{name}/ca.pem", target)
    assert target.read_bytes() == source.read_bytes()
    put = aws("s3api", "put-object", "--bucket", name, "--key", "ca.pem", "--body", source)
    assert len(aws("s3api", "list-object-versions", "--bucket", name)["Versions"]) == 2
    target.unlink()
    aws("s3api", "get-object", "--bucket", name, "--key", "ca.pem", "--version-id", put["VersionId"], target)
    assert target.read_bytes() == source.read_bytes()
    assert aws("s3api", "head-object", "--bucket", name, "--key", "ca.pem")["ContentLength"] == 300_000
    assert [o["Key"] for o in aws("s3api", "list-objects-v2", "--bucket", name)["Contents"]] == ["ca.pem"]
    assert aws("s3api", "delete-object", "--bucket", name, "--key", "ca.pem")["DeleteMarker"] is True
    assert "ca.pem" not in aws("s3", "ls", f"s3://{name}/").stdout


def test_a_cli_error_is_one_a_person_can_read(aws):
    failed = aws("s3", "cp", "s3://there-is-no-such-bucket/ca.pem", "-", check=False)
    assert failed.returncode != 0
    failed = aws("s3api", "head-bucket", "--bucket", "there-is-no-such-bucket", check=False)
    assert "404" in failed.stderr
