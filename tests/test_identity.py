"""Who calls the control API: signatures, credentials, and AWS's own words for what is wrong with them."""

import json
import urllib.error
import urllib.request

import botocore
import botocore.config
import botocore.exceptions
import pytest

from server import error_code, error_message


def test_caller_identity(aws):
    found = aws("sts", "get-caller-identity")
    assert found["Account"] == "123456789012"
    assert found["Arn"].startswith("arn:aws:")
    assert found["UserId"]


WRONG_SECRET = {
    "s3": (lambda c: c.list_buckets(), "SignatureDoesNotMatch"),
    "sts": (lambda c: c.get_caller_identity(), "SignatureDoesNotMatch"),
    "apigatewayv2": (lambda c: c.get_apis(), "InvalidSignatureException"),
    "acm": (lambda c: c.list_certificates(), "InvalidSignatureException"),
    "logs": (lambda c: c.describe_log_groups(), "InvalidSignatureException"),
}


@pytest.mark.parametrize("service", WRONG_SECRET)
def test_a_wrong_secret(server, service):
    call, code = WRONG_SECRET[service]
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(server.client(service, aws_secret_access_key="wrong" * 8))
    assert error_code(caught) == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)


UNKNOWN_KEY = {
    "s3": (lambda c: c.list_buckets(), "InvalidAccessKeyId"),
    "sts": (lambda c: c.get_caller_identity(), "InvalidClientTokenId"),
    "apigatewayv2": (lambda c: c.get_apis(), "UnrecognizedClientException"),
    "acm": (lambda c: c.list_certificates(), "UnrecognizedClientException"),
    "logs": (lambda c: c.describe_log_groups(), "UnrecognizedClientException"),
}


@pytest.mark.parametrize("service", UNKNOWN_KEY)
def test_an_unknown_access_key(server, service):
    call, code = UNKNOWN_KEY[service]
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(server.client(service, aws_access_key_id="AKIAUNKNOWNUNKNOWN00"))
    assert error_code(caught) == code


@pytest.mark.parametrize("service", ["sts", "apigatewayv2", "acm", "logs"])
def test_no_signature(server, service):
    call, _ = WRONG_SECRET[service]
    unsigned = botocore.config.Config(signature_version=botocore.UNSIGNED, retries={"total_max_attempts": 1})
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(server.client(service, config=unsigned))
    assert error_code(caught) in ("MissingAuthenticationTokenException", "MissingAuthenticationToken")


def test_no_signature_to_s3(server):
    unsigned = botocore.config.Config(signature_version=botocore.UNSIGNED, retries={"total_max_attempts": 1})
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        server.client("s3", config=unsigned).list_buckets()
    assert error_code(caught) == "AccessDenied"


def test_the_wire_form_of_an_error(server):
    """rest-json: the type in a header, the message in the body."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.control}/v2/apis")
    assert caught.value.code == 403
    assert caught.value.headers["x-amzn-ErrorType"].startswith("MissingAuthenticationTokenException")
    assert set(json.load(caught.value)) == {"message"}


# Operations that AWS has and this server has not.
LACKING = {
    "apigatewayv2": lambda c: c.list_portals(),
    "acm": lambda c: c.resend_validation_email(
        CertificateArn="arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
        Domain="example.com", ValidationDomain="example.com"),
    "logs": lambda c: c.start_live_tail(
        logGroupIdentifiers=["arn:aws:logs:us-east-1:123456789012:log-group:missing"]),
    "s3": lambda c: c.list_bucket_inventory_configurations(Bucket="some-bucket"),
    "sts": lambda c: c.decode_authorization_message(EncodedMessage="x"),
}


@pytest.mark.parametrize("service", LACKING)
def test_an_operation_that_is_lacking_says_so(server, service):
    config = botocore.config.Config(
        retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, inject_host_prefix=False)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        LACKING[service](server.client(service, config=config))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404, 405, 501)
    said = error_code(caught) + " " + error_message(caught)
    assert any(code in said for code in ("UnknownOperationException", "InvalidAction", "NotImplemented")), said


@pytest.fixture(scope="module", autouse=True)
def bucket(server):
    server.client("s3").create_bucket(Bucket="some-bucket")


def test_a_service_that_is_lacking_says_so(server):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        server.client("dynamodb").list_tables()
    assert 400 <= caught.value.response["ResponseMetadata"]["HTTPStatusCode"] < 600


def test_a_foreign_host_is_refused(server):
    """A page in the user's browser must not reach the control API by a name of its own (DNS rebinding)."""
    request = urllib.request.Request(f"{server.control}/_countersign/health", headers={"Host": "attacker.example"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code in (400, 403, 421)


def test_health_is_open(server):
    with urllib.request.urlopen(f"{server.control}/_countersign/health") as answer:
        assert answer.status == 200
        json.load(answer)
