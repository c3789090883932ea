"""The guide, first command to last, as its reader types it: both generations of the aws CLI, both kinds of key."""

import json

import pytest

from aws_cli import AwsCli
from backend import Backend
from server import Server, eventually
from shell import Shell

MAKE_KEY = {
    "RSA-2048": "openssl genrsa -out {name}.key 2048",
    "P-256": "openssl ecparam -name prime256v1 -genkey -noout -out {name}.key",
}
CURL = 'curl --silent --show-error --include --cacert "$COUNTERSIGN_CA_FILE" --connect-to "::$COUNTERSIGN_HTTPS_ADDR"'
FORMAT = (
    '{"requestId":"$context.requestId","ip":"$context.identity.sourceIp","status":"$context.status",'
    '"subject":"$context.identity.clientCert.subjectDN","cert":"$context.identity.clientCert",'
    '"error":"$context.error.message","responseType":"$context.error.responseType"}'
)


@pytest.fixture(scope="module", params=[(cli, kind) for cli in ("v1", "v2") for kind in MAKE_KEY], ids=lambda p: "-".join(p))
def reader(request, tmp_path_factory):
    """A reader of the guide in an empty directory, with a server of their own."""
    cli, kind = request.param
    home = tmp_path_factory.mktemp(f"guide-{cli}-{kind}")
    server = Server(home / "server").start()
    backend = Backend()
    shell = Shell(home, AwsCli(server, cli).environment())
    shell.type(f'eval "$(countersign env --data-dir {server.data_dir})"; BACKEND={backend.url}')
    shell.kind, shell.backend, shell.server = kind, backend, server
    yield shell
    shell.close()
    backend.close()
    server.stop()


def test_the_whole_guide(reader):
    make_certificates(reader)
    upload_truststore(reader)
    get_server_certificate(reader)
    create_api(reader)
    create_domain(reader)
    turn_mutual_tls_on(reader)
    call_with_and_without_certificate(reader)
    close_the_back_door(reader)
    read_the_log(reader)
    turn_mutual_tls_off(reader)


def make_certificates(reader):
    reader.type(MAKE_KEY[reader.kind].format(name="ca"))
    reader.type('openssl req -new -x509 -days 3650 -key ca.key -out ca.pem -subj "/C=US/O=Your Company/CN=Your Company Root CA"')
    reader.type(MAKE_KEY[reader.kind].format(name="client"))
    reader.type('openssl req -new -key client.key -out client.csr -subj "/C=US/O=Your Company/CN=My Client"')
    reader.type("openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -set_serial 01 -out client.pem -days 365 -sha256")
    assert "Version: 1 " in reader.type("openssl x509 -in client.pem -noout -text").out, "this OpenSSL no longer makes v1 here"


def upload_truststore(reader):
    reader.type("aws s3api create-bucket --bucket your-bucket")
    reader.type("aws s3api put-bucket-versioning --bucket your-bucket --versioning-configuration Status=Enabled")
    reader.type("aws s3 cp ca.pem s3://your-bucket/ca.pem")
    reader.type("VERSION=$(aws s3api put-object --bucket your-bucket --key ca.pem --body ca.pem --query VersionId --output text)")
    versions = json.loads(reader.type("aws s3api list-object-versions --bucket your-bucket --prefix ca.pem").out)["Versions"]
    assert len(versions) == 2
    assert reader.type('echo "$VERSION"').out.strip() == next(v["VersionId"] for v in versions if v["IsLatest"])
    reader.type('aws s3api get-object --bucket your-bucket --key ca.pem --version-id "$VERSION" read-back.pem && cmp ca.pem read-back.pem')


def get_server_certificate(reader):
    reader.type(
        "CERT_ARN=$(aws acm request-certificate --domain-name api.yourcompany.com --validation-method DNS"
        " --query CertificateArn --output text)")
    status = reader.type('aws acm describe-certificate --certificate-arn "$CERT_ARN" --query Certificate.Status --output text').out
    assert status.strip() == "ISSUED"


def create_api(reader):
    reader.type("API_ID=$(aws apigatewayv2 create-api --name orders --protocol-type HTTP --query ApiId --output text)")
    reader.type(
        'INTEGRATION_ID=$(aws apigatewayv2 create-integration --api-id "$API_ID" --integration-type HTTP_PROXY'
        ' --integration-method ANY --integration-uri "$BACKEND/{proxy}" --payload-format-version 1.0'
        " --query IntegrationId --output text)")
    reader.type(
        'aws apigatewayv2 create-route --api-id "$API_ID" --route-key "ANY /{proxy+}" --target "integrations/$INTEGRATION_ID"')
    reader.type("aws logs create-log-group --log-group-name /orders/prod")
    # Shorthand syntax would take the commas of the format for its own.
    settings = {"DestinationArn": "arn:aws:logs:us-east-1:123456789012:log-group:/orders/prod", "Format": FORMAT}
    (reader.cwd / "access-log.json").write_text(json.dumps(settings))
    reader.type(
        'aws apigatewayv2 create-stage --api-id "$API_ID" --stage-name prod --access-log-settings file://access-log.json')
    reader.type('aws apigatewayv2 create-deployment --api-id "$API_ID" --stage-name prod')


def create_domain(reader):
    reader.type(
        "aws apigatewayv2 create-domain-name --domain-name api.yourcompany.com --domain-name-configurations"
        ' CertificateArn="$CERT_ARN",EndpointType=REGIONAL,SecurityPolicy=TLS_1_2')
    reader.type('aws apigatewayv2 create-api-mapping --domain-name api.yourcompany.com --api-id "$API_ID" --stage prod')
    available(reader)
    assert "HTTP/2 200" in reader.type(f"{CURL} https://api.yourcompany.com/orders").out, "before mutual TLS anybody may come in"


def turn_mutual_tls_on(reader):
    reader.type(
        "aws apigatewayv2 update-domain-name --domain-name api.yourcompany.com --domain-name-configurations"
        ' CertificateArn="$CERT_ARN",EndpointType=REGIONAL,SecurityPolicy=TLS_1_2'
        ' --mutual-tls-authentication TruststoreUri=s3://your-bucket/ca.pem,TruststoreVersion="$VERSION"')
    domain = available(reader)
    assert domain["MutualTlsAuthentication"] == {
        "TruststoreUri": "s3://your-bucket/ca.pem", "TruststoreVersion": reader.type('echo "$VERSION"').out.strip()}
    reader.backend.clear()


def call_with_and_without_certificate(reader):
    welcome = reader.type(f"{CURL} --cert client.pem --key client.key https://api.yourcompany.com/orders/42").out
    assert "HTTP/2 200" in welcome and '"path": "/orders/42"' in welcome
    assert reader.backend.paths() == ["/orders/42"]

    stranger = reader.type(f"{CURL} https://api.yourcompany.com/orders/43").out
    assert "HTTP/2 403" in stranger and '{"message":"Forbidden"}' in stranger

    reader.type('openssl req -new -x509 -newkey rsa:2048 -nodes -keyout wrong.key -out wrong.pem -subj "/CN=Somebody"')
    wrong = reader.type(f"{CURL} --cert wrong.pem --key wrong.key https://api.yourcompany.com/orders/44").out
    assert "HTTP/2 403" in wrong
    assert reader.backend.paths() == ["/orders/42"], "a refused request reached the backend"


def close_the_back_door(reader):
    reader.type('ENDPOINT=$(aws apigatewayv2 get-api --api-id "$API_ID" --query ApiEndpoint --output text)')
    call = 'curl --silent --show-error --include --cacert "$COUNTERSIGN_CA_FILE" "$ENDPOINT/prod/orders"'
    assert "HTTP/2 200" in reader.type(call).out, "the execute-api endpoint knows no mutual TLS"
    shown = reader.type(
        'aws apigatewayv2 update-api --api-id "$API_ID" --disable-execute-api-endpoint --query DisableExecuteApiEndpoint').out
    assert shown.strip() == "true"
    assert "HTTP/2 200" in reader.type(call).out, "without auto deploy it closes with the next deployment"
    reader.type('aws apigatewayv2 create-deployment --api-id "$API_ID" --stage-name prod')
    closed = eventually(lambda: (out := reader.type(call).out) and "HTTP/2 403" in out and out)
    assert '{"message":"Forbidden"}' in closed
    assert "HTTP/2 200" in reader.type(f"{CURL} --cert client.pem --key client.key https://api.yourcompany.com/orders").out


def read_the_log(reader):
    def records():
        out = reader.type("aws logs filter-log-events --log-group-name /orders/prod --query 'events[].message' --output json").out
        return [json.loads(message) for message in json.loads(out)]

    accepted = eventually(lambda: next((r for r in records() if r["subject"] == "C=US,O=Your Company,CN=My Client"), None))
    assert accepted["status"] == "200"
    refused = eventually(lambda: [r for r in records() if r["responseType"] == "ACCESS_DENIED"])
    assert {r["status"] for r in refused} == {"403"}
    assert any(r["subject"] == "CN=Somebody" for r in refused)
    found = json.loads(reader.type(
        "aws logs filter-log-events --log-group-name /orders/prod --filter-pattern '{ $.status = \"403\" }'").out)["events"]
    assert found and all(json.loads(event["message"])["status"] == "403" for event in found)


def turn_mutual_tls_off(reader):
    reader.type(
        "aws apigatewayv2 update-domain-name --domain-name api.yourcompany.com --domain-name-configurations"
        ' CertificateArn="$CERT_ARN",EndpointType=REGIONAL,SecurityPolicy=TLS_1_2'
        " --mutual-tls-authentication TruststoreUri=''")
    assert not available(reader).get("MutualTlsAuthentication", {}).get("TruststoreUri")
    eventually(lambda: "HTTP/2 200" in reader.type(f"{CURL} https://api.yourcompany.com/orders").out)


def available(reader):
    """The guide's "wait a minute and rerun get-domain-name"."""
    def domain():
        shown = json.loads(reader.type("aws apigatewayv2 get-domain-name --domain-name api.yourcompany.com").out)
        return shown if shown["DomainNameConfigurations"][0]["DomainNameStatus"] == "AVAILABLE" else None

    return eventually(domain)
