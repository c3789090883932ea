"""A custom domain with mutual TLS in front of a backend, set up through the AWS API, and clients that call it."""

import json
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from server import eventually

# Everything that a test wants to read back, as JSON; `clientCert` bare and by sub-field.
LOG_FORMAT = json.dumps({
    "requestId": "$context.requestId",
    "status": "$context.status",
    "path": "$context.path",
    "routeKey": "$context.routeKey",
    "domainName": "$context.domainName",
    "userAgent": "$context.identity.userAgent",
    "error": "$context.error.message",
    "responseType": "$context.error.responseType",
    "subjectDN": "$context.identity.clientCert.subjectDN",
    "issuerDN": "$context.identity.clientCert.issuerDN",
    "serialNumber": "$context.identity.clientCert.serialNumber",
    "notBefore": "$context.identity.clientCert.validity.notBefore",
    "notAfter": "$context.identity.clientCert.validity.notAfter",
    "clientCertPem": "$context.identity.clientCert.clientCertPem",
})


@dataclass
class Answer:
    """What curl got: `status` 0 means that there was no HTTP answer, and `error` says why."""

    status: int
    body: str
    headers: dict
    error: str
    exit_code: int
    version: str

    def json(self):
        return json.loads(self.body)


@dataclass
class Gateway:
    """One domain on one server. `tags` are given at creation, so that they hold from the first request."""

    server: object
    backend: object
    domain: str
    truststore: str
    tags: dict = field(default_factory=dict)
    log_format: str = LOG_FORMAT
    auto_deploy: bool = True

    def __post_init__(self):
        self.api = self.server.client("apigatewayv2")
        self.s3 = self.server.client("s3")
        self.logs = self.server.client("logs")
        unique = uuid.uuid4().hex[:12]
        self.bucket, self.log_group = f"trust-{unique}", f"/gateway/{unique}"

    def create(self):
        """Everything from the bucket to the mapping; returns when the domain is enforced."""
        self.s3.create_bucket(Bucket=self.bucket)
        self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        version = self.put_truststore(self.truststore)
        acm = self.server.client("acm")
        self.certificate_arn = acm.request_certificate(DomainName=self.domain, ValidationMethod="DNS")["CertificateArn"]
        self.create_api()
        self.api.create_domain_name(
            DomainName=self.domain,
            DomainNameConfigurations=[self.configuration()],
            MutualTlsAuthentication={"TruststoreUri": self.truststore_uri, "TruststoreVersion": version},
            Tags=self.tags,
        )
        self.api.create_api_mapping(DomainName=self.domain, ApiId=self.api_id, Stage="prod")
        self.wait_available()
        return self

    def create_api(self):
        created = self.api.create_api(Name=self.domain, ProtocolType="HTTP")
        self.api_id, self.api_endpoint = created["ApiId"], created["ApiEndpoint"]
        integration = self.api.create_integration(
            ApiId=self.api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY",
            IntegrationUri=f"{self.backend.url}/{{proxy}}", PayloadFormatVersion="1.0",
        )
        self.api.create_route(
            ApiId=self.api_id, RouteKey="ANY /{proxy+}", Target=f"integrations/{integration['IntegrationId']}")
        self.logs.create_log_group(logGroupName=self.log_group)
        self.api.create_stage(
            ApiId=self.api_id, StageName="prod", AutoDeploy=self.auto_deploy,
            AccessLogSettings={"DestinationArn": self.log_group_arn, "Format": self.log_format},
        )

    def configuration(self):
        return {"CertificateArn": self.certificate_arn, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}

    @property
    def truststore_uri(self):
        return f"s3://{self.bucket}/ca.pem"

    @property
    def log_group_arn(self):
        return f"arn:aws:logs:us-east-1:123456789012:log-group:{self.log_group}"

    def put_truststore(self, pem):
        """Stores a version of the object; returns its id. The domain does not use it before an update."""
        return self.s3.put_object(Bucket=self.bucket, Key="ca.pem", Body=pem)["VersionId"]

    def update_truststore(self, version):
        self.api.update_domain_name(
            DomainName=self.domain, DomainNameConfigurations=[self.configuration()],
            MutualTlsAuthentication={"TruststoreUri": self.truststore_uri, "TruststoreVersion": version},
        )
        self.wait_available()

    def wait_available(self):
        """Until the domain says so, and whatever else was set (its mapping, its stage) is enforced too."""
        def status():
            found = self.api.get_domain_name(DomainName=self.domain)["DomainNameConfigurations"][0]["DomainNameStatus"]
            assert found in ("UPDATING", "AVAILABLE"), found
            return found == "AVAILABLE"

        eventually(status, what=f"{self.domain} AVAILABLE")
        self.server.settle()

    def curl(self, path="/orders", identity=None, *args, host=None, tls=None, http=None):
        """Calls the domain as the guide does. `tls` is "1.2" or "1.3", `http` is "1.1" or "2"."""
        return curl(self.server, f"https://{host or self.domain}{path}", identity, *args, tls=tls, http=http)

    def records(self):
        """The stage's access log, each line parsed."""
        return [json.loads(line) for line in self.lines()]

    def lines(self):
        """The stage's access log, in the order in which it was written."""
        events, token = [], {}
        while True:
            page = self.logs.filter_log_events(logGroupName=self.log_group, **token)
            events += page["events"]
            if "nextToken" not in page:
                return [event["message"] for event in events]
            token = {"nextToken": page["nextToken"]}

    def record(self, **wanted):
        """Waits for the record whose fields have these values."""
        def found():
            return next((r for r in self.records() if all(r.get(k) == v for k, v in wanted.items())), None)

        return eventually(found, what=f"a record with {wanted}")


def curl(server, url, identity=None, *args, tls=None, http=None, ca_file=None, timeout_s=20):
    """One request through the real curl, name resolution aside: whatever the URL names is this server.
    Keys and signatures that a modern OpenSSL would not even send are allowed, so that the server is what refuses them."""
    command = ["curl", "--silent", "--show-error", "--include", "--max-time", str(timeout_s)]
    command += ["--connect-to", f"::{server.https}", "--cacert", str(ca_file or server.ca_file)]
    command += ["--write-out", "\n%{http_code} %{http_version}"]
    if identity:
        command += ["--cert", str(identity.cert), "--key", str(identity.key)]
    if tls:
        command += [f"--tlsv{tls}", "--tls-max", tls]
    if http:
        command += [{"1.1": "--http1.1", "2": "--http2"}[http]]
    env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "OPENSSL_CONF": str(Path(__file__).parent / "openssl.cnf")}
    return parse_answer(subprocess.run([*command, *args, url], capture_output=True, env=env))


def parse_answer(done):
    out, _, trailer = done.stdout.decode(errors="surrogateescape").rpartition("\n")
    code, _, version = trailer.partition(" ")
    headers, body = {}, out
    # An interim answer (100 Continue) has a head of its own.
    while body.startswith("HTTP/"):
        head, _, body = body.partition("\r\n\r\n")
        headers = {}
        for line in head.split("\r\n")[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
    return Answer(int(code or 0), body, headers, done.stderr.decode(errors="replace").strip(), done.returncode, version)


def assert_refused(answer):
    """The refusal that a stranger gets: AWS's body, a request id, the connection closed, and nothing more."""
    assert answer.status == 403, answer
    assert answer.json() == {"message": "Forbidden"}
    assert answer.headers.get("apigw-requestid"), answer.headers
    assert "x-from" not in answer.headers
    if answer.version == "1.1":
        assert answer.headers.get("connection", "").lower() == "close", answer.headers


def assert_alerted(answer, alert):
    """The handshake failed with this alert. Needs curl's `--verbose`: its own words for some alerts are about the server."""
    assert answer.status == 0, answer
    assert f"alert {alert}" in answer.error.lower() or f"tls alert, {alert}" in answer.error.lower(), answer


def assert_reset(answer):
    """A TCP reset; curl's words depend on what it was about to do."""
    assert answer.status == 0, answer
    assert any(said in answer.error for said in ("reset by peer", "errno 107", "Broken pipe")), answer
