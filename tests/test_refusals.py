"""Whom the gateway turns away, and how: every kind of wrong certificate, both TLS and both HTTP versions, and the four
ways in which a domain can refuse. The backend's own log shows that nothing of it arrived."""

import ssl

import botocore.exceptions
import pytest

from gateway import Gateway, assert_alerted, assert_refused, assert_reset
from raw import connect

DAY = 86_400
# What is wrong with the client's certificate, and the alert that says so (as OpenSSL prints it).
WRONG = {
    "missing": (lambda pki: None, "certificate required"),
    "other-ca": (lambda pki: pki.client("stranger", pki.ca("other-ca"), section="client"), "unknown ca"),
    "same-named-ca": (lambda pki: pki.client("forged", impostor(pki), section="client"), "bad certificate"),
    "expired": (lambda pki: pki.dated("expired", -9 * DAY, -DAY), "certificate expired"),
    "not-yet-valid": (lambda pki: pki.dated("not-yet-valid", DAY, 9 * DAY), "certificate expired"),
    "self-signed": (lambda pki: pki.self_signed(), "unknown ca"),
    "sha1": (lambda pki: pki.client("sha1", digest="sha1"), "unsupported certificate"),
    "rsa-1024": (lambda pki: pki.client("rsa-1024", kind="RSA-1024"), "unsupported certificate"),
    "server-auth-only": (lambda pki: pki.client("server-only", section="server_only"), "unsupported certificate"),
    "five-cas": (lambda pki: pki.chain("five", 5)[0], "bad certificate"),
    "intermediate-only-in-truststore": (lambda pki: lone_intermediate(pki)[0], "unknown ca"),
    "intermediate-only-from-client": (lambda pki: pki.with_intermediate("sent"), "unknown ca"),
}
RIGHT = {
    "v1": lambda pki: pki.client("v1-client"),
    "v3": lambda pki: pki.client("v3-client", section="client"),
    "eku-any-of": lambda pki: pki.client("both-purposes", section="any"),
    "rsa-2048": lambda pki: pki.client("rsa-client", pki.ca("rsa-ca", "RSA-2048"), "RSA-2048"),
    "p-384": lambda pki: pki.client("p384-client", kind="P-384", section="client"),
    "four-cas": lambda pki: pki.chain("four", 4)[0],
    "self-signed-and-listed": lambda pki: pki.self_signed("listed"),
}
REJECTIONS = ["respond", "alert", "reset", "aws"]


def impostor(pki):
    """A CA with the name of the trusted one and a key of its own."""
    return pki.ca("impostor", subject="/C=US/O=Example/CN=ca")


def lone_intermediate(pki):
    client, (root, intermediate) = pki.chain("lone", 2)
    return client, intermediate


@pytest.fixture(scope="module")
def truststore(pki):
    trusted = [pki.ca(), pki.ca("rsa-ca", "RSA-2048"), pki.self_signed("listed"), lone_intermediate(pki)[1], pki.chain("sent", 2)[1][0]]
    trusted += pki.chain("five", 5)[1] + pki.chain("four", 4)[1]
    return "".join(identity.pem for identity in trusted)


@pytest.fixture(scope="module")
def gateways(server, backend, truststore):
    return {
        how: Gateway(server, backend, f"{how}.yourcompany.com", truststore, {"countersign:rejection": how}).create()
        for how in REJECTIONS
    }


@pytest.fixture(params=["1.2", "1.3"], ids="tls{}".format)
def tls(request):
    return request.param


@pytest.fixture(params=["1.1", "2"], ids="http{}".format)
def http(request):
    return request.param


@pytest.mark.parametrize("rejection", REJECTIONS)
@pytest.mark.parametrize("wrong", WRONG)
def test_refused(gateways, backend, pki, wrong, rejection, tls, http):
    make, alert = WRONG[wrong]
    answer = gateways[rejection].curl(f"/refused/{wrong}", make(pki), "--verbose", tls=tls, http=http)
    if rejection == "alert":
        assert_alerted(answer, alert)
    elif rejection == "reset" or (rejection == "aws" and wrong == "missing"):
        assert_reset(answer)
    else:
        assert_refused(answer)
        assert answer.version == http
    assert backend.seen == []


@pytest.mark.parametrize("rejection", REJECTIONS)
@pytest.mark.parametrize("right", RIGHT)
def test_let_in(gateways, backend, pki, right, rejection, tls, http):
    answer = gateways[rejection].curl("/welcome", RIGHT[right](pki), tls=tls, http=http)
    assert answer.status == 200, answer
    assert answer.version == http
    assert backend.paths() == ["/welcome"]


def test_a_large_body_of_a_stranger_is_not_read(gateways, backend, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(b"x" * 5_000_000)
    answer = gateways["respond"].curl("/upload", None, "--data-binary", f"@{upload}", http="1.1")
    assert_refused(answer)
    assert backend.seen == []


def test_no_100_continue_for_a_stranger(gateways, backend):
    answer = gateways["respond"].curl("/upload", None, "--header", "Expect: 100-continue", "--data", "x", "--verbose", http="1.1")
    assert_refused(answer)
    assert "HTTP/1.1 100" not in answer.error
    assert backend.seen == []


def test_every_refusal_has_an_id_of_its_own(gateways):
    ids = {gateways["respond"].curl("/orders").headers["apigw-requestid"] for _ in range(5)}
    assert len(ids) == 5


def test_an_unknown_rejection_is_a_400(server, gateways):
    api = server.client("apigatewayv2")
    arn = "arn:aws:apigateway:us-east-1::/domainnames/respond.yourcompany.com"
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        api.tag_resource(ResourceArn=arn, Tags={"countersign:rejection": "shout"})
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert "countersign:rejection" in caught.value.response["Error"]["Message"]


def test_changing_the_rejection_by_tag(server, backend, pki):
    gateway = Gateway(server, backend, "changing.yourcompany.com", pki.ca().pem).create()
    assert_refused(gateway.curl("/orders"))
    arn = "arn:aws:apigateway:us-east-1::/domainnames/changing.yourcompany.com"
    gateway.api.tag_resource(ResourceArn=arn, Tags={"countersign:rejection": "alert"})
    gateway.wait_available()
    assert_alerted(gateway.curl("/orders", None, "--verbose"), "certificate required")
    gateway.api.untag_resource(ResourceArn=arn, TagKeys=["countersign:rejection"])
    gateway.wait_available()
    assert_refused(gateway.curl("/orders"))


def test_a_foreign_host_is_misdirected(gateways, backend, pki):
    """The SNI's domain and the Host must be the same domain resource."""
    answer = gateways["respond"].curl("/orders", pki.client(), "--header", "Host: aws.yourcompany.com", http="1.1")
    assert answer.status == 421
    assert backend.seen == []


def test_an_unknown_name_is_not_answered(gateways, server):
    answer = gateways["respond"].curl("/orders", host="nobody.example.org")
    assert answer.status == 0 and "unrecognized name" in answer.error


def test_without_a_server_name(server, gateways, pki):
    """There is no certificate that everybody is given."""
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        connect(server, None, pki.client())


def test_old_versions_of_tls(gateways, pki):
    answer = gateways["respond"].curl("/", pki.client(), "--tlsv1.0", "--tls-max", "1.1", "--verbose")
    assert answer.status == 0 and "tls alert" in answer.error.lower(), answer


def test_a_wildcard_and_a_name_under_it_are_two_domains(server, backend, pki):
    """With `*.example.com` and `api.example.com`: the SNI of one and the Host of the other is no request for either."""
    wild = Gateway(server, backend, "*.example.com", pki.ca("wild-ca").pem).create()
    strict = Gateway(server, backend, "api.example.com", pki.ca().pem).create()
    of_wild, of_strict = pki.client("of-wild", pki.ca("wild-ca")), pki.client()
    assert wild.curl("/orders", of_wild, host="any.example.com").status == 200
    assert strict.curl("/orders", of_strict).status == 200
    assert_refused(strict.curl("/orders", of_wild))
    backend.clear()
    for http in ("1.1", "2"):
        crossed = wild.curl("/orders", of_wild, "--header", "Host: api.example.com", host="any.example.com", http=http)
        assert crossed.status == 421
        assert wild.curl("/orders", of_wild, "--header", "Host: other.example.com", host="any.example.com", http=http).status == 200
    assert backend.paths() == ["/orders"] * 2
