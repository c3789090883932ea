"""`aws s3` of both generations: buckets, and trees of files there and back."""

import os

import pytest


@pytest.fixture
def bucket(aws, cli_version):
    name = f"tree-{cli_version}-{os.urandom(4).hex()}"
    aws("s3", "mb", f"s3://{name}")
    yield name
    aws("s3", "rb", "--force", f"s3://{name}")
    assert aws("s3api", "head-bucket", "--bucket", name, check=False).returncode != 0


def tree(directory):
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


@pytest.fixture
def files(tmp_path):
    directory = tmp_path / "there"
    for name, size in [("a.txt", 3), ("sub/b.bin", 70_000), ("sub/deep/c d.txt", 0), ("large.bin", 9 << 20)]:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    return directory


def test_a_tree_there_and_back(aws, bucket, files, tmp_path):
    aws("s3", "sync", files, f"s3://{bucket}/t")
    assert aws("s3", "sync", files, f"s3://{bucket}/t").stdout == "", "nothing has changed"
    listed = aws("s3", "ls", "--recursive", f"s3://{bucket}").stdout
    assert sorted(line.split(None, 3)[3] for line in listed.splitlines()) == sorted(f"t/{name}" for name in tree(files))
    back = tmp_path / "back"
    aws("s3", "cp", "--recursive", f"s3://{bucket}/t", back)
    assert tree(back) == tree(files)

    (files / "a.txt").unlink()
    (files / "new.txt").write_text("new")
    aws("s3", "sync", "--delete", files, f"s3://{bucket}/t")
    aws("s3", "sync", "--delete", f"s3://{bucket}/t", back)
    assert tree(back) == tree(files)
    aws("s3", "sync", f"s3://{bucket}/t", f"s3://{bucket}/u")
    aws("s3", "mv", "--recursive", f"s3://{bucket}/u", f"s3://{bucket}/v")
    assert "u/" not in aws("s3", "ls", f"s3://{bucket}").stdout
    aws("s3", "rm", "--recursive", f"s3://{bucket}/t")
    assert "PRE v/" in aws("s3", "ls", f"s3://{bucket}/").stdout


def test_a_large_object_is_copied_within_s3(aws, bucket, files, cli_version):
    """Above 8 MB the CLI copies it in parts; what goes with it only its second generation copies."""
    aws("s3", "cp", files / "large.bin", f"s3://{bucket}/large", "--metadata", "a=b", "--storage-class", "STANDARD_IA")
    aws("s3", "cp", f"s3://{bucket}/large", f"s3://{bucket}/copy")
    head = aws("s3api", "head-object", "--bucket", bucket, "--key", "copy")
    assert (head["ContentLength"], head["Metadata"]) == (9 << 20, {"a": "b"} if cli_version == "v2" else {})
    aws("s3", "cp", f"s3://{bucket}/copy", files.parent / "copy")
    assert (files.parent / "copy").read_bytes() == (files / "large.bin").read_bytes()


def test_presign(aws, bucket, files, cli_version):
    aws("s3", "cp", files / "a.txt", f"s3://{bucket}/a.txt")
    url = aws("s3", "presign", f"s3://{bucket}/a.txt", "--expires-in", "60").stdout.strip()
    target = files.parent / "presigned"
    assert aws.run("curl", "-s", url, "-o", target).returncode == 0
    if cli_version == "v2":
        assert target.read_bytes() == (files / "a.txt").read_bytes()
    else:
        # Where nothing else is configured it signs with version 2, which S3 takes of no bucket made after 2020.
        assert b"Please use AWS4-HMAC-SHA256." in target.read_bytes()
