"""Uploads in parts: through boto3, with the checksums that it sends by itself."""

import os

from buckets import bucket, refused, s3

PART = 5 << 20


def test_an_upload_from_its_beginning_to_its_end(s3, bucket):
    place = {"Bucket": bucket, "Key": "large"}
    begun = s3.create_multipart_upload(
        **place, ChecksumAlgorithm="SHA256", Metadata={"a": "b"}, ContentType="text/plain", StorageClass="STANDARD_IA")
    assert begun["ChecksumAlgorithm"] == "SHA256"
    upload = place | {"UploadId": begun["UploadId"]}
    bytes_of = [os.urandom(PART), os.urandom(PART), b"end"]
    parts = []
    for number, body in enumerate(bytes_of, 1):
        part = s3.upload_part(**upload, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256")
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]})

    first = s3.list_parts(**upload, MaxParts=2)
    assert [p["PartNumber"] for p in first["Parts"]] == [1, 2] and first["IsTruncated"]
    rest = s3.list_parts(**upload, PartNumberMarker=first["NextPartNumberMarker"])
    assert [(p["PartNumber"], p["Size"]) for p in rest["Parts"]] == [(3, 3)]
    assert rest["Parts"][0]["ChecksumSHA256"] == parts[2]["ChecksumSHA256"]
    assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [begun["UploadId"]]

    swapped = [parts[0] | {"ChecksumSHA256": parts[1]["ChecksumSHA256"]}, *parts[1:]]
    complete = {"MultipartUpload": {"Parts": parts}}
    assert refused(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": swapped}) == (400, "InvalidPart")
    assert refused(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts[::-1]}) == (400, "InvalidPartOrder")
    assert refused(s3.complete_multipart_upload, **upload, **complete, MpuObjectSize=7) == (400, "InvalidRequest")
    done = s3.complete_multipart_upload(**upload, **complete, MpuObjectSize=2 * PART + 3, IfNoneMatch="*")
    assert done["ChecksumSHA256"].endswith("-3") and done["ChecksumType"] == "COMPOSITE"

    head = s3.head_object(**place, ChecksumMode="ENABLED")
    assert (head["ContentType"], head["Metadata"], head["StorageClass"]) == ("text/plain", {"a": "b"}, "STANDARD_IA")
    assert head["ChecksumSHA256"] == done["ChecksumSHA256"] and head["ETag"].endswith('-3"')
    assert s3.get_object(**place)["Body"].read() == b"".join(bytes_of)
    second = s3.get_object(**place, PartNumber=2)
    assert second["Body"].read() == bytes_of[1] and second["PartsCount"] == 3
    attributes = s3.get_object_attributes(**place, ObjectAttributes=["ObjectParts", "Checksum"])
    assert [(p["PartNumber"], p["Size"]) for p in attributes["ObjectParts"]["Parts"]] == [(1, PART), (2, PART), (3, 3)]
    assert refused(s3.list_parts, **upload) == (404, "NoSuchUpload")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_a_completion_on_a_condition(s3, bucket):
    place = {"Bucket": bucket, "Key": "k"}
    etag = s3.put_object(**place, Body=b"there")["ETag"]
    upload = place | {"UploadId": s3.create_multipart_upload(**place)["UploadId"]}
    part = s3.upload_part(**upload, PartNumber=1, Body=b"new")
    parts = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}}
    assert refused(s3.complete_multipart_upload, **upload, **parts, IfNoneMatch="*") == (412, "PreconditionFailed")
    s3.complete_multipart_upload(**upload, **parts, IfMatch=etag)
    assert s3.get_object(**place)["Body"].read() == b"new"


def test_parts_that_are_copied(s3, bucket):
    body = os.urandom(PART + 10)
    s3.put_object(Bucket=bucket, Key="source", Body=body)
    place = {"Bucket": bucket, "Key": "k"}
    upload = place | {"UploadId": s3.create_multipart_upload(**place)["UploadId"]}
    source = {"Bucket": bucket, "Key": "source"}
    parts = []
    for number, asked in [(1, f"bytes=0-{PART - 1}"), (2, f"bytes={PART}-{PART + 9}")]:
        copied = s3.upload_part_copy(**upload, PartNumber=number, CopySource=source, CopySourceRange=asked)["CopyPartResult"]
        parts.append({"PartNumber": number, "ETag": copied["ETag"]})
    outside = f"bytes=0-{PART + 10}"
    assert refused(s3.upload_part_copy, **upload, PartNumber=3, CopySource=source, CopySourceRange=outside) == (400, "InvalidArgument")
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(**place)["Body"].read() == body


def test_uploads_are_listed_by_key_and_prefix(s3, bucket):
    for key in ("a/1", "a/2", "b", "c"):
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    listed = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in listed["CommonPrefixes"]] == ["a/"]
    assert [u["Key"] for u in listed["Uploads"]] == ["b", "c"]
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
    assert [u["Key"] for page in pages for u in page.get("Uploads", [])] == ["a/1", "a/2", "b", "c"]
    one = listed["Uploads"][0]
    s3.abort_multipart_upload(Bucket=bucket, Key="b", UploadId=one["UploadId"])
    assert [u["Key"] for u in s3.list_multipart_uploads(Bucket=bucket, Prefix="b").get("Uploads", [])] == []


def test_what_cannot_be_begun(s3, bucket):
    place = {"Bucket": bucket, "Key": "k"}
    assert refused(s3.create_multipart_upload, **place, ChecksumAlgorithm="SHA256", ChecksumType="FULL_OBJECT") == (400, "InvalidRequest")
    upload = place | {"UploadId": s3.create_multipart_upload(**place)["UploadId"]}
    assert refused(s3.upload_part, **upload, PartNumber=10_001, Body=b"x") == (400, "InvalidArgument")
    assert refused(s3.upload_part, **place, UploadId="none", PartNumber=1, Body=b"x") == (404, "NoSuchUpload")
    small = [s3.upload_part(**upload, PartNumber=n, Body=b"x")["ETag"] for n in (1, 2)]
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(small, 1)]
    assert refused(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts}) == (400, "EntityTooSmall")


def test_a_copy_of_an_upload_is_as_if_it_were_put(s3, bucket):
    place = {"Bucket": bucket, "Key": "k"}
    upload = place | {"UploadId": s3.create_multipart_upload(**place, ChecksumAlgorithm="CRC32")["UploadId"]}
    part = s3.upload_part(**upload, PartNumber=1, Body=b"123456789")
    named = {"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [named]})
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=place)["CopyObjectResult"]
    put = s3.put_object(Bucket=bucket, Key="put", Body=b"123456789", ChecksumAlgorithm="CRC32")
    assert (copied["ETag"], copied["ChecksumCRC32"]) == (put["ETag"], put["ChecksumCRC32"])
