"""Buckets and objects. Buckets have no region of their own: those of others are in every list."""


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
