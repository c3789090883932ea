"""Backends that want to know whose requests they get: certificates of ACM by an API's tag, CAs from S3, v1's client certificates."""

import json
import ssl
import subprocess

import botocore.exceptions
import grpc
import pytest

from backend import Backend
from gateway import Gateway, curl
from grpc_backend import GrpcBackend, GrpcClient

LOG_FORMAT = json.dumps({
    "requestId": "$context.requestId", "status": "$context.status", "path": "$context.path",
    "integrationError": "$context.integration.error"})


class DemandingBackend(Backend):
    """On https, for clients with a certificate of `partner-ca`; keeps the certificate of each request."""

    def __init__(self, pki, trusted):
        super().__init__()
        identity = pki.server("ehr", "localhost", pki.ca("ehr-ca"))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(identity.cert, identity.key)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_verify_locations(cadata=trusted)
        # Python's own default asks for what the guide's certificates have not.
        self.context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self.certificates = []
        self.listener.socket = self.context.wrap_socket(self.listener.socket, server_side=True)

    @property
    def url(self):
        return super().url.replace("http://127.0.0.1", "https://localhost")

    def answer(self, http):
        self.certificates.append(http.connection.getpeercert())
        super().answer(http)

    def names(self):
        return [dict(pair for part in certificate["subject"] for pair in part)["commonName"] for certificate in self.certificates]


@pytest.fixture
def ehr(pki):
    backend = DemandingBackend(pki, pki.ca("partner-ca").pem)
    yield backend
    backend.close()


@pytest.fixture
def gateway(server, ehr, pki, request):
    name = f"{request.node.originalname.replace('_', '-')[:50]}.example.com"
    return Gateway(server, ehr, name, pki.ca().pem, log_format=LOG_FORMAT).create()


def tag(gateway, **tags):
    tags = {f"countersign:upstream-{name.replace('_', '-')}": value for name, value in tags.items()}
    gateway.api.tag_resource(ResourceArn=arn(gateway), Tags=tags)
    gateway.server.settle()


def arn(gateway):
    return f"arn:aws:apigateway:us-east-1::/apis/{gateway.api_id}"


def put_ca(gateway, pem):
    """The object that `upstream-ca` names; answers its version."""
    return gateway.s3.put_object(Bucket=gateway.bucket, Key="backends.pem", Body=pem)["VersionId"]


def import_certificate(gateway, identity, **again):
    acm = gateway.server.client("acm")
    return acm.import_certificate(Certificate=identity.pem, PrivateKey=identity.key.read_bytes(), **again)["CertificateArn"]


def why(gateway, path, pki):
    assert gateway.curl(path, pki.client()).status == 503
    return gateway.record(path=path)["integrationError"]


def test_a_backend_that_demands_a_certificate_gets_the_one_that_a_tag_names(gateway, ehr, pki):
    ca_uri = f"s3://{gateway.bucket}/backends.pem"
    assert why(gateway, "/unknown-ca", pki) == "the certificate of the backend is of no CA that is trusted"
    put_ca(gateway, pki.ca("ehr-ca").pem)
    tag(gateway, ca=ca_uri)
    assert why(gateway, "/demanded", pki) == "the backend demands a client certificate"
    certificate = import_certificate(gateway, pki.client("stranger", pki.ca("other-ca")))
    tag(gateway, certificate=certificate)
    assert why(gateway, "/refused", pki) == "the backend refused the client certificate"
    # X.509 v1, as the guide makes them.
    import_certificate(gateway, pki.client("hospital", pki.ca("partner-ca")), CertificateArn=certificate)
    gateway.server.settle()
    assert gateway.curl("/orders", pki.client()).status == 200
    assert ehr.names() == ["hospital"]
    acm = gateway.server.client("acm")
    assert acm.describe_certificate(CertificateArn=certificate)["Certificate"]["InUseBy"] == [arn(gateway)]
    with pytest.raises(botocore.exceptions.ClientError, match="ResourceInUse"):
        acm.delete_certificate(CertificateArn=certificate)
    gateway.api.untag_resource(ResourceArn=arn(gateway), TagKeys=["countersign:upstream-certificate"])
    gateway.server.settle()
    assert why(gateway, "/again", pki) == "the backend demands a client certificate", "no connection of the former is used"
    acm.delete_certificate(CertificateArn=certificate)


def test_a_renewed_certificate_is_shown_at_once(gateway, ehr, pki):
    put_ca(gateway, pki.ca("ehr-ca").pem)
    first = pki.client("first", pki.ca("partner-ca"), section="client")
    second = pki.client("second", pki.ca("partner-ca"), section="client")
    certificate = import_certificate(gateway, first)
    tag(gateway, ca=f"s3://{gateway.bucket}/backends.pem", certificate=certificate)
    for _ in range(3):
        assert gateway.curl("/orders", pki.client()).status == 200
    import_certificate(gateway, second, CertificateArn=certificate)
    gateway.server.settle()
    for _ in range(3):
        assert gateway.curl("/orders", pki.client()).status == 200
    assert ehr.names() == ["first"] * 3 + ["second"] * 3


def test_the_ca_follows_its_object_unless_a_version_is_pinned(gateway, ehr, pki):
    certificate = import_certificate(gateway, pki.client("hospital", pki.ca("partner-ca")))
    wrong = put_ca(gateway, pki.ca("other-ca").pem)
    tag(gateway, ca=f"s3://{gateway.bucket}/backends.pem", certificate=certificate)
    assert why(gateway, "/wrong", pki) == "the certificate of the backend is of no CA that is trusted"
    put_ca(gateway, pki.ca("ehr-ca").pem)
    gateway.server.settle()
    assert gateway.curl("/right", pki.client()).status == 200
    tag(gateway, ca_version=wrong)
    assert gateway.curl("/pinned", pki.client()).status == 503
    for tags, said in [
        ({"countersign:upstream-ca": "s3://nowhere/ca.pem"}, "Unable to access"),
        ({"countersign:upstream-certificate": "arn:aws:acm:us-east-1:123456789012:certificate/none"}, "no such certificate"),
        ({"countersign:upstream-certificate": "mine"}, "the ARN of a certificate"),
    ]:
        with pytest.raises(botocore.exceptions.ClientError, match=said):
            gateway.api.tag_resource(ResourceArn=arn(gateway), Tags=tags)


def test_grpc_backends_may_demand_certificates(server, pki):
    backend = GrpcBackend(pki.server("ehr", "localhost", pki.ca("ehr-ca")), trusted=pki.ca("partner-ca"))
    gateway = Gateway(server, backend, "demanding-grpc.example.com", pki.ca().pem, log_format=LOG_FORMAT).create()
    put_ca(gateway, pki.ca("ehr-ca").pem)
    tag(gateway, ca=f"s3://{gateway.bucket}/backends.pem")
    client = GrpcClient(gateway, pki.client())
    with pytest.raises(grpc.RpcError):
        client.unary(b"x")
    assert gateway.record(status="503")["integrationError"] in (
        "the backend demands a client certificate", "the backend closed the connection")
    tag(gateway, certificate=import_certificate(gateway, pki.client("hospital-v3", pki.ca("partner-ca"), section="client")))
    assert client.unary(b"x")[0] == b"x"
    client.close()
    backend.close()


def test_a_stage_of_a_rest_api_shows_what_api_gateway_has_made(server, pki):
    rest = server.client("apigateway")
    made = rest.generate_client_certificate(description="for the EHR", tags={"team": "edge"})
    pem, identifier = made["pemEncodedCertificate"], made["clientCertificateId"]
    assert made["expirationDate"] > made["createdDate"] and "PRIVATE" not in json.dumps(made, default=str)
    text = subprocess.run(["openssl", "x509", "-noout", "-text"], input=pem, text=True, capture_output=True, check=True).stdout
    assert "CN = ApiGateway" in text and "TLS Web Client Authentication" in text
    ehr = DemandingBackend(pki, pem)
    s3 = server.client("s3")
    s3.create_bucket(Bucket="rest-backends")
    s3.put_object(Bucket="rest-backends", Key="ca.pem", Body=pki.ca("ehr-ca").pem)
    api = rest.create_rest_api(name="ehr", tags={"countersign:upstream-ca": "s3://rest-backends/ca.pem"})
    place = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    rest.put_method(**place, authorizationType="NONE")
    rest.put_integration(**place, type="HTTP_PROXY", integrationHttpMethod="GET", uri=f"{ehr.url}/orders")
    rest.create_deployment(restApiId=api["id"], stageName="prod")
    server.settle()
    url = f"https://{api['id']}.execute-api.us-east-1.localhost:{server.https_port}/prod"
    assert curl(server, url).status in (502, 503, 504)

    def show(value):
        operations = [{"op": "replace", "path": "/clientCertificateId", "value": value}]
        stage = rest.update_stage(restApiId=api["id"], stageName="prod", patchOperations=operations)
        server.settle()
        return stage.get("clientCertificateId")

    with pytest.raises(botocore.exceptions.ClientError, match="NotFound"):
        show("nobody")
    assert show(identifier) == identifier
    assert curl(server, url).status == 200
    assert ehr.names() == ["ApiGateway"]
    with pytest.raises(botocore.exceptions.ClientError, match="in use"):
        rest.delete_client_certificate(clientCertificateId=identifier)
    operations = [{"op": "replace", "path": "/description", "value": "changed"}]
    rest.update_client_certificate(clientCertificateId=identifier, patchOperations=operations)
    found = rest.get_client_certificate(clientCertificateId=identifier)
    assert (found["description"], found["tags"], found["pemEncodedCertificate"]) == ("changed", {"team": "edge"}, pem)
    assert identifier in [item["clientCertificateId"] for item in rest.get_client_certificates()["items"]]
    assert show("") is None
    assert curl(server, url).status in (502, 503, 504)
    rest.delete_client_certificate(clientCertificateId=identifier)
    with pytest.raises(botocore.exceptions.ClientError, match="NotFound"):
        rest.get_client_certificate(clientCertificateId=identifier)
    ehr.close()
