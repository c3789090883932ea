"""Conditional requests, checksums, ranges and presigned URLs: through boto3, as its newest version sends them."""

import base64
import io
import urllib.error
import urllib.request
import zlib

import botocore.config
import pytest

from buckets import bucket, refused, s3

ANY_ETAG = '"00000000000000000000000000000000"'


def test_conditional_writes(s3, bucket):
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*") == (412, "PreconditionFailed")
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=first)["ETag"]
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"3", IfMatch=first) == (412, "PreconditionFailed")
    assert refused(s3.put_object, Bucket=bucket, Key="none", Body=b"3", IfMatch=first) == (404, "NoSuchKey")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"] == second


def test_conditional_reads(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    for call in (s3.get_object, s3.head_object):
        assert call(Bucket=bucket, Key="k", IfMatch=etag)["ETag"] == etag
        assert refused(call, Bucket=bucket, Key="k", IfMatch=ANY_ETAG)[0] == 412
        assert refused(call, Bucket=bucket, Key="k", IfNoneMatch=etag)[0] == 304
        assert call(Bucket=bucket, Key="k", IfNoneMatch=ANY_ETAG)["ETag"] == etag


def test_conditional_deletes(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    assert refused(s3.delete_object, Bucket=bucket, Key="k", IfMatch=ANY_ETAG) == (412, "PreconditionFailed")
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)
    assert refused(s3.delete_object, Bucket=bucket, Key="k", IfMatch="*") == (412, "PreconditionFailed")
    keep = s3.put_object(Bucket=bucket, Key="keep", Body=b"1")["ETag"]
    gone = s3.put_object(Bucket=bucket, Key="gone", Body=b"2")["ETag"]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "keep", "ETag": gone}, {"Key": "gone", "ETag": gone}]})
    assert [d["Key"] for d in answer["Deleted"]] == ["gone"]
    assert [(e["Key"], e["Code"]) for e in answer["Errors"]] == [("keep", "PreconditionFailed")]
    assert s3.head_object(Bucket=bucket, Key="keep")["ETag"] == keep


def test_conditional_copies(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    source = {"Bucket": bucket, "Key": "k"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, CopySourceIfMatch=etag, IfNoneMatch="*")
    assert refused(s3.copy_object, Bucket=bucket, Key="copy", CopySource=source, IfNoneMatch="*")[0] == 412
    assert refused(s3.copy_object, Bucket=bucket, Key="copy2", CopySource=source, CopySourceIfMatch=ANY_ETAG)[0] == 412
    assert refused(s3.copy_object, Bucket=bucket, Key="copy2", CopySource=source, CopySourceIfNoneMatch=etag)[0] == 412
    assert refused(s3.copy_object, Bucket=bucket, Key="k", CopySource=source) == (400, "InvalidRequest")


def test_copies_keep_or_replace_what_goes_with_an_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Metadata={"owner": "ann"}, ContentType="text/plain", Tagging="a=1")
    source = {"Bucket": bucket, "Key": "k"}
    s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    kept = s3.head_object(Bucket=bucket, Key="kept")
    assert (kept["Metadata"], kept["ContentType"]) == ({"owner": "ann"}, "text/plain")
    assert s3.get_object_tagging(Bucket=bucket, Key="kept")["TagSet"] == [{"Key": "a", "Value": "1"}]
    s3.copy_object(Bucket=bucket, Key="k", CopySource=source, MetadataDirective="REPLACE", Metadata={"owner": "bob"},
                   TaggingDirective="REPLACE", Tagging="b=2")
    replaced = s3.head_object(Bucket=bucket, Key="k")
    assert (replaced["Metadata"], replaced["ContentType"]) == ({"owner": "bob"}, "binary/octet-stream")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "b", "Value": "2"}]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums(s3, bucket, algorithm):
    if algorithm in ("CRC32C", "CRC64NVME"):
        pytest.importorskip("awscrt")
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"123456789", ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"123456789"
    member = f"Checksum{algorithm}"
    assert put[member] == got[member] and got["ChecksumType"] == "FULL_OBJECT"
    attributes = s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"])
    assert attributes["Checksum"][member] == put[member]
    assert attributes["ETag"] == put["ETag"]
    assert (attributes["ObjectSize"], attributes["StorageClass"], "ObjectParts" in attributes) == (9, "STANDARD", False)


def test_a_checksum_that_does_not_fit(s3, bucket):
    wrong = base64.b64encode(zlib.crc32(b"other").to_bytes(4, "big")).decode()
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"data", ChecksumCRC32=wrong) == (400, "BadDigest")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_metadata_comes_back_as_it_was_put(s3, bucket):
    given = {
        "ContentType": "text/html; charset=utf-8", "ContentEncoding": "gzip", "ContentLanguage": "de-CH", "CacheControl": "max-age=60, private",
        "ContentDisposition": 'attachment; filename="a b.txt"', "WebsiteRedirectLocation": "/other", "StorageClass": "STANDARD_IA",
    }
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a-b": "1  2", "upper": "MiXed=é".encode().decode("ascii", "ignore")}, **given)
    head = s3.head_object(Bucket=bucket, Key="k")
    assert {name: head[name] for name in given} == given
    assert head["Metadata"] == {"a-b": "1  2", "upper": "MiXed="}
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == "STANDARD_IA"
    overridden = s3.get_object(Bucket=bucket, Key="k", ResponseContentType="text/plain", ResponseContentDisposition="inline")
    assert (overridden["ContentType"], overridden["ContentDisposition"]) == ("text/plain", "inline")
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"x", StorageClass="DEEP_ARCHIVE") == (400, "InvalidStorageClass")


def test_ranges(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    for asked, body, content_range in [
        ("bytes=0-0", b"0", "bytes 0-0/10"), ("bytes=8-", b"89", "bytes 8-9/10"), ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=5-100", b"56789", "bytes 5-9/10"),
    ]:
        got = s3.get_object(Bucket=bucket, Key="k", Range=asked)
        assert (got["Body"].read(), got["ContentRange"], got["ResponseMetadata"]["HTTPStatusCode"]) == (body, content_range, 206)
    assert refused(s3.get_object, Bucket=bucket, Key="k", Range="bytes=10-") == (416, "InvalidRange")


def test_the_owner_that_is_expected(s3, bucket):
    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner="123456789012")
    assert refused(s3.list_objects_v2, Bucket=bucket, ExpectedBucketOwner="210987654321") == (403, "AccessDenied")


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_puts_follow_one_another_on_a_connection(s3, bucket, size):
    """With files botocore asks `Expect: 100-continue`, and mixes up answers where one that is final comes at once."""
    for number in range(4):
        s3.put_object(Bucket=bucket, Key=f"{number}-empty", Body=io.BytesIO(b""))
        assert s3.put_object(Bucket=bucket, Key=f"{number}", Body=io.BytesIO(b"x" * size))["ETag"]
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert sorted(o["Size"] for o in listed) == [0] * 4 + [size] * 4 if size else [0] * 8


def fetch(method, url, data=None, headers={}):
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_presigned_urls(s3, bucket, server):
    signed = server.client("s3", config=botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}))
    place = {"Bucket": bucket, "Key": "a b/ü.txt"}
    put = signed.generate_presigned_url("put_object", Params=place | {"ContentType": "text/plain", "Metadata": {"a": "b"}})
    headers = {"content-type": "text/plain", "x-amz-meta-a": "b"}
    assert fetch("PUT", put, b"signed", headers)[0] == 200
    assert fetch("PUT", put, b"other type", {"content-type": "text/html", "x-amz-meta-a": "b"})[0] == 403
    assert s3.head_object(**place)["Metadata"] == {"a": "b"}
    get = signed.generate_presigned_url("get_object", Params=place | {"ResponseContentType": "text/csv"}, ExpiresIn=60)
    assert fetch("GET", get) == (200, b"signed")
    assert fetch("HEAD", get)[0] == 403, "another method was signed"
    assert fetch("GET", get.replace("Expires=60", "Expires=61"))[0] == 403
    status, body = fetch("GET", signed.generate_presigned_url("get_object", Params=place, ExpiresIn=604_801))
    assert (status, b"AuthorizationQueryParametersError" in body) == (400, True)


def test_a_presigned_url_that_has_expired(s3, bucket, server, monkeypatch):
    import botocore.auth
    import datetime

    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=2)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: past.replace(tzinfo=None))
    signed = server.client("s3", config=botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}))
    url = signed.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    status, body = fetch("GET", url)
    assert (status, b"<Message>Request has expired</Message>" in body) == (403, True), body
