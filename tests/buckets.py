"""Buckets of one test, and how S3 refuses: fixtures for the files that import them."""

import os

import botocore.exceptions
import pytest

from server import error_code


@pytest.fixture(scope="module")
def s3(server):
    return server.client("s3")


@pytest.fixture
def bucket(s3):
    name = f"bucket-{os.urandom(6).hex()}"
    s3.create_bucket(Bucket=name)
    return name


def refused(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], error_code(caught)
