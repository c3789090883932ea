"""`countersign doctor` with access to the settings: what the AWS APIs say, and `--fix`."""

import json
import threading
import urllib.request
import uuid
import xml.etree.ElementTree as ElementTree
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from authority import Authority
from doctor import CA, CLIENT, DAY, made, run_doctor, truststore_of
from gateway import Gateway
from rest_gateway import RestGateway
from server import ROOT, Server, eventually, run_binary


@pytest.fixture(scope="module")
def good(pki):
    return pki.client("t-good", section="client")


@pytest.fixture
def make(server, backend, pki):
    """A domain whose execute-api endpoint is closed, unless a test says otherwise."""
    gateways = []

    def create(kind=Gateway, truststore=None, closed=True, **options):
        name = f"t{uuid.uuid4().hex[:8]}.yourcompany.com"
        gateway = kind(server, backend, options.pop("domain", name), truststore or pki.ca().pem, **options).create()
        gateways.append(gateway)
        if closed and kind is Gateway:
            gateway.api.update_api(ApiId=gateway.api_id, DisableExecuteApiEndpoint=True)
        elif closed:
            close_rest(gateway)
            gateway.deploy()
        server.settle()
        return gateway

    yield create
    for gateway in gateways:
        gateway.api.delete_domain_name(DomainName=gateway.domain)


def close_rest(gateway):
    gateway.rest.update_rest_api(restApiId=gateway.api_id, patchOperations=[
        {"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "true"}])


@pytest.fixture
def ask(server):
    def about(gateway, identity=None, *args, path="/orders"):
        given = ["--ca-file", server.ca_file, "--data-dir", server.data_dir, *args]
        return run_doctor(f"https://{gateway.domain}{path}", server.https, *given, identity=identity)

    return about


def test_all_is_well(make, ask, good):
    report = ask(make(), good).only()
    assert report.code == 0 and report.json["settingsError"] is None
    assert report.json["seen"]["judged"] == "accepted", "by the truststore in force"
    assert not any(skipped["why"] == "the settings could not be read" for skipped in report.json["skipped"])


def test_by_the_environment(make, server, good):
    gateway = make()
    command = ["doctor", f"https://{gateway.domain}/orders", "--connect", server.https, "--cert", good.cert, "--key", good.key,
               "--format", "json"]
    report = json.loads(server.command(*command).stdout)
    assert report["seen"]["judged"] == "accepted" and report["settingsError"] is None


def test_a_stale_pin(make, ask, pki, server):
    gateway = make()
    partner = pki.client("t-partner", pki.ca("t-partner-ca"), section="client")
    newer = gateway.put_truststore(pki.ca().pem + pki.ca("t-partner-ca").pem)
    report = ask(gateway, partner).only("truststore-stale")
    assert newer in report.first["seen"] and any(newer in command for command in report.first["commands"])
    assert {"client-untrusted", "truststore-drifted", "client-refused"} <= {f["id"] for f in report.first["consequences"]}
    gateway.update_truststore(newer)
    ask(gateway, partner).only()


def test_a_newer_version_that_nobody_needs(make, ask, pki, good):
    gateway = make()
    newer = gateway.put_truststore(pki.ca().pem + pki.ca("t-partner-ca").pem)
    report = ask(gateway, good).only("truststore-drifted")
    assert newer in report.first["seen"] and report.code == 0


@pytest.mark.parametrize("who, finding", [
    ("stranger", "client-untrusted"), ("expired", "client-expired"), ("self-signed", "client-self-signed"),
])
@pytest.mark.parametrize("rejection", ["respond", "alert", "reset"])
def test_what_the_server_recorded(make, ask, pki, who, finding, rejection):
    identity = {
        "stranger": lambda: pki.client("t-stranger", pki.ca("t-other-ca"), section="client"),
        "expired": lambda: pki.dated("t-expired", -9 * DAY, -DAY),
        "self-signed": lambda: pki.self_signed("t-self-signed"),
    }[who]()
    gateway = make(tags={"countersign:rejection": rejection})
    report = ask(gateway, identity).only(finding, notes={"silent-refusal"})
    if rejection == "respond":
        assert any(command.startswith("countersign explain ") for command in report.first["commands"])


def test_the_domains_profile_is_followed(make, ask, pki):
    ask(make(tags={"countersign:profile": "rfc5280"}), pki.client("t-v1")).only("client-version")


def test_a_revoked_client(make, ask, pki):
    authority = Authority(pki, "t-revoking")
    leaving = authority.issue("leaving")
    authority.revoke(leaving)
    gateway = make(truststore=authority.pem)
    gateway.s3.put_object(Bucket=gateway.bucket, Key="crl.pem", Body=authority.crl())
    tag(gateway, {"countersign:crl": f"s3://{gateway.bucket}/crl.pem"})
    report = ask(gateway, leaving).only("client-revoked")
    assert report.json["seen"]["judged"] == "accepted", "the truststore alone does not know"


def test_a_list_that_is_missing(make, ask, pki, good):
    other = Authority(pki, "t-listed")
    gateway = make(truststore=pki.ca().pem + other.pem)
    gateway.s3.put_object(Bucket=gateway.bucket, Key="crl.pem", Body=other.crl())
    tag(gateway, {"countersign:crl": f"s3://{gateway.bucket}/crl.pem"})
    ask(gateway, good).only("client-revocation-unknown", notes={"truststore-warnings"})
    tag(gateway, {"countersign:revocation-on-missing": "allow"})
    ask(gateway, good).only("weak-revocation")


def tag(gateway, tags):
    arn = gateway.api.get_domain_name(DomainName=gateway.domain)["DomainNameArn"]
    gateway.api.tag_resource(ResourceArn=arn, Tags=tags)
    gateway.wait_available()


@pytest.mark.parametrize("tags, finding", [
    ({"countersign:eku": "any"}, "weak-eku"), ({"countersign:bound-tokens": "off"}, "weak-binding"),
])
def test_lenient_tags(make, ask, good, tags, finding):
    ask(make(tags=tags), good).only(finding)


def test_no_truststore(make, ask, good):
    gateway = make()
    gateway.api.update_domain_name(DomainName=gateway.domain, DomainNameConfigurations=[gateway.configuration()],
                                   MutualTlsAuthentication={"TruststoreUri": ""})
    gateway.wait_available()
    report = ask(gateway, good).only("mutual-tls-off")
    assert [finding["id"] for finding in report.first["consequences"]] == ["no-client-auth"]


def test_an_endpoint_that_is_open_is_closed_by_fix(make, ask, good):
    gateway = make(closed=False, auto_deploy=False)
    gateway.api.create_deployment(ApiId=gateway.api_id, StageName="prod")
    gateway.server.settle()
    report = ask(gateway, good).only("execute-api-open")
    assert report.first["fixable"] and "200" in report.first["seen"]
    assert gateway.api.get_api(ApiId=gateway.api_id)["DisableExecuteApiEndpoint"] is False, "nothing is changed without --fix"
    report = ask(gateway, good, "--fix")
    assert [(done["id"], done["error"]) for done in report.json["fixed"]] == [("execute-api-open", None)]
    assert report.code == 0
    gateway.server.settle()
    ask(gateway, good).only()


def test_an_endpoint_that_is_disabled_and_not_deployed(make, ask, good):
    gateway = make(closed=False, auto_deploy=False)
    gateway.api.create_deployment(ApiId=gateway.api_id, StageName="prod")
    gateway.api.update_api(ApiId=gateway.api_id, DisableExecuteApiEndpoint=True)
    gateway.server.settle()
    ask(gateway, good).only("execute-api-undeployed")
    assert [done["error"] for done in ask(gateway, good, "--fix").json["fixed"]] == [None]
    gateway.server.settle()
    ask(gateway, good).only()


def test_the_same_of_a_rest_api(make, ask, good):
    gateway = make(RestGateway, closed=False)
    path = "/files/x"
    report = ask(gateway, good, path=path)
    assert "execute-api-open" in report.causes, report.json
    close_rest(gateway)
    gateway.server.settle()
    report = ask(gateway, good, "--fix", path=path)
    assert report.first["id"] == "execute-api-undeployed", report.json
    assert all(done["error"] is None for done in report.json["fixed"])
    gateway.server.settle()
    assert ask(gateway, good, path=path).grave() == []


def test_an_unpinned_truststore_is_pinned_by_fix(make, ask, good):
    gateway = make()
    gateway.api.update_domain_name(DomainName=gateway.domain, DomainNameConfigurations=[gateway.configuration()],
                                   MutualTlsAuthentication={"TruststoreUri": gateway.truststore_uri, "TruststoreVersion": ""})
    gateway.wait_available()
    report = ask(gateway, good).only("truststore-unpinned")
    assert report.first["fixable"] and report.code == 0
    assert ask(gateway, good, "--fail-on", "warning").code == 1
    assert [done["error"] for done in ask(gateway, good, "--fix").json["fixed"]] == [None]
    newest = gateway.s3.head_object(Bucket=gateway.bucket, Key="ca.pem")["VersionId"]
    assert gateway.api.get_domain_name(DomainName=gateway.domain)["MutualTlsAuthentication"]["TruststoreVersion"] == newest
    gateway.wait_available()
    ask(gateway, good).only()


@pytest.mark.parametrize("log_format", ['{"id":"$context.requestId","status":"$context.status"}', "$context.requestId $context.status"])
def test_a_log_without_the_client_gets_it_by_fix(make, ask, good, log_format):
    gateway = make(log_format=log_format)
    ask(gateway, good).only("access-log-client")
    assert [done["error"] for done in ask(gateway, good, "--fix").json["fixed"]] == [None]
    gateway.server.settle()
    ask(gateway, good).only()
    eventually(lambda: any("CN=t-good" in line for line in gateway.lines()), what="a line with the client")
    if log_format.startswith("{"):
        assert any(record.get("clientCertSubjectDN", "").endswith("CN=t-good") for record in gateway.records())


def test_no_log(make, ask, good):
    gateway = make()
    gateway.api.update_stage(ApiId=gateway.api_id, StageName="prod", AccessLogSettings={"DestinationArn": "", "Format": ""})
    gateway.server.settle()
    assert not ask(gateway, good).only("access-log-off").first["fixable"]


def test_an_imported_certificate(make, ask, pki, server, good):
    gateway = make()
    identity = pki.server("t-imported", gateway.domain)
    arn = server.client("acm").import_certificate(
        Certificate=identity.pem.encode(), PrivateKey=identity.key.read_bytes())["CertificateArn"]
    gateway.certificate_arn = arn
    gateway.api.update_domain_name(DomainName=gateway.domain, DomainNameConfigurations=[gateway.configuration()])
    gateway.wait_available()
    files = ["--ca-file", pki.ca("server-ca").cert, "--data-dir", server.data_dir]
    run_doctor(f"https://{gateway.domain}/orders", server.https, *files, identity=good).only("ownership-certificate-missing")


def test_another_door(make, ask, server, good):
    gateway = make()
    other = f"o{gateway.domain}"
    arn = server.client("acm").request_certificate(DomainName=other, ValidationMethod="DNS")["CertificateArn"]
    gateway.api.create_domain_name(DomainName=other, DomainNameConfigurations=[
        {"CertificateArn": arn, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}])
    gateway.api.create_api_mapping(DomainName=other, ApiId=gateway.api_id, Stage="prod")
    server.settle()
    report = ask(gateway, good).only("open-domain")
    assert other in report.first["seen"]
    gateway.api.delete_domain_name(DomainName=other)


def test_without_naming_cas(make, server, good):
    """The CA of the data directory is known, and those of the system are."""
    gateway = make()
    url = f"https://{gateway.domain}/orders"
    run_doctor(url, server.https, "--data-dir", server.data_dir, identity=good).only()
    report = run_doctor(url, server.https, identity=good)
    assert report.only("server-untrusted").first["severity"] == "warning" and report.code == 0


def test_fix_needs_settings(server):
    done = run_binary("doctor", "https://api.yourcompany.com", "--connect", server.https, "--fix", check=False)
    assert done.returncode == 2 and "--fix changes settings" in done.stderr


def test_an_address_is_no_name(make, server):
    make()
    report = run_doctor(f"https://{server.https}/", server.https, "--ca-file", server.ca_file).only("unknown-name")
    assert "an address is none" in report.first["seen"]


def test_a_wildcard_beside_it(make, ask, server, good):
    gateway = make(domain=f"api.{uuid.uuid4().hex[:8]}.example.com")
    wildcard = "*." + gateway.domain.partition(".")[2]
    arn = server.client("acm").request_certificate(DomainName=wildcard, ValidationMethod="DNS")["CertificateArn"]
    gateway.api.create_domain_name(DomainName=wildcard, DomainNameConfigurations=[
        {"CertificateArn": arn, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}])
    server.settle()
    ask(gateway, good).only("wildcard-overlap")
    gateway.api.delete_domain_name(DomainName=wildcard)


def test_no_mapping(make, ask, good):
    gateway = make()
    for mapping in gateway.api.get_api_mappings(DomainName=gateway.domain)["Items"]:
        gateway.api.delete_api_mapping(DomainName=gateway.domain, ApiMappingId=mapping["ApiMappingId"])
    gateway.wait_available()
    report = ask(gateway, good)
    assert report.first["id"] == "no-mapping", report.json
    assert report.grave() == ["no-mapping"]


def test_a_name_that_nobody_set_up(ask, good, make):
    class Nobody:
        domain = "nobody.yourcompany.com"

    make()
    report = ask(Nobody, good).only("unknown-name")
    assert "has no domain nobody.yourcompany.com" in report.first["seen"]


def test_a_truststore_with_something_wrong(make, ask, pki, good):
    ending = made(pki, "t-ending", days=(-300, 9), extensions=CA)
    report = ask(make(truststore=pki.ca().pem + ending.pem), good).only("truststore-lint")
    assert "CN=t-ending" in report.first["seen"]


def test_clients_that_end_soon(make, ask, pki, good):
    gateway = make()
    ending = made(pki, "t-client-ending", issuer=pki.ca(), days=(-300, 9), extensions=CLIENT)
    assert gateway.curl("/orders", ending).status == 200
    eventually(lambda: "CN=t-client-ending" in gateway.server.command("clients", "--domain", gateway.domain).stdout)
    report = ask(gateway, good).only("clients-expiring")
    assert "CN=t-client-ending" in report.first["seen"]


def test_a_service_that_is_down(make, ask, good, backend):
    ask(make(), good, path="/status?code=503").only("backend-failing")


def test_a_key_that_is_wrong_says_so(make, server, good):
    """The settings cannot be read; all else is looked at all the same."""
    gateway = make()
    env = server.env | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    report = run_doctor(f"https://{gateway.domain}/orders", server.https, "--ca-file", server.ca_file, env=env, identity=good)
    assert report.json["settingsError"] and report.json["seen"]["withCertificate"].startswith("answered 200")
    assert report.code == 0


def test_what_is_printed(make, server, good):
    """For people, and for pipelines."""
    gateway = make(closed=False)
    command = ["doctor", f"https://{gateway.domain}/orders", "--connect", server.https, "--ca-file", server.ca_file,
               "--data-dir", server.data_dir, "--cert", good.cert, "--key", good.key]
    text = run_binary(*command, check=False)
    assert text.returncode == 1
    assert "error[execute-api-open]: " in text.stdout and "--fix would mend 1 of these" in text.stdout
    assert text.stdout.splitlines()[0].startswith(f"https://{gateway.domain}/orders at {server.https}: 1 error")
    sarif(json.loads(run_binary(*command, "--format", "sarif", check=False).stdout))
    junit(run_binary(*command, "--format", "junit", check=False).stdout)
    assert run_binary(*command, "--fail-on", "never").returncode == 0


def sarif(log):
    """What the published schema of SARIF 2.1.0 (and its text) asks of the members that are there."""
    assert set(log) == {"$schema", "version", "runs"} and log["version"] == "2.1.0" and len(log["runs"]) == 1
    (run,) = log["runs"]
    assert set(run) <= {"tool", "columnKind", "results"} and run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    driver = run["tool"]["driver"]
    assert set(driver) <= {"name", "semanticVersion", "rules"} and driver["name"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids), "uniqueItems"
    for rule in driver["rules"]:
        assert set(rule) <= {"id", "name", "shortDescription", "fullDescription", "help", "defaultConfiguration"}
        for member in ("shortDescription", "fullDescription", "help"):
            assert set(rule[member]) == {"text"} and rule[member]["text"]
        assert rule["shortDescription"]["text"].endswith("."), "section 3.49.9: a sentence"
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
    assert run["results"]
    for result in run["results"]:
        assert set(result) <= {"ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints"}
        assert ids[result["ruleIndex"]] == result["ruleId"], "section 3.27.6"
        assert result["level"] in ("none", "note", "warning", "error") and result["message"]["text"]
        for location in result["locations"]:
            assert set(location) <= {"physicalLocation", "logicalLocations"}
            assert location["physicalLocation"]["artifactLocation"]["uri"].startswith("https://")
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())


def junit(text):
    suites = ElementTree.fromstring(text)
    assert suites.tag == "testsuites"
    (suite,) = suites
    cases = suite.findall("testcase")
    assert len(cases) == int(suite.get("tests")) and len({case.get("name") for case in cases}) == len(cases)
    failing = [case.get("name") for case in cases if case.find("failure") is not None]
    assert failing == ["execute-api-open"] and int(suite.get("failures")) == 1
    assert len([case for case in cases if case.find("skipped") is not None]) == int(suite.get("skipped"))


def test_it_is_quick_and_bounded(make, ask, good):
    """Under three seconds for everything on loopback, settings included (a debug build; the best of three, since the machine may be busy)."""
    gateway = make()
    seen = [ask(gateway, good).json["seen"] for _ in range(3)]
    assert min(one["milliseconds"] for one in seen) < 3_000 and all(one["connections"] <= 32 for one in seen)


def test_nothing_is_changed_without_fix(make, ask, good, server):
    gateway = make(closed=False)

    def revision():
        with urllib.request.urlopen(f"{server.control}/_countersign/health", timeout=10) as answer:
            return json.load(answer)["revision"]

    before = revision()
    ask(gateway, good)
    assert revision() == before


class Aws:
    """AWS's management APIs as far as the doctor reads them, with canned answers, and none of this server's own."""

    def __init__(self, answers):
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                found = answers.get(self.path.partition("?")[0])
                body = json.dumps(found or {"message": "Not Found"}).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_HEAD = do_POST = do_GET

        self.listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.listener.server_address[1]}"


def test_what_only_aws_says(make, server, good, pki):
    """States and formats that this server does not have; nor is there anything of its own API."""
    domain = make().domain
    stage = {"stageName": "prod", "autoDeploy": True, "accessLogSettings": {
        "destinationArn": "arn:aws:logs:us-east-1:123456789012:log-group:a", "format": "$context.identity.clientCert.subjectDN"}}
    health = {"status": "degraded", "faults": ["records"]}
    aws = Aws({
        f"/v2/domainnames/{domain}": {
            "domainName": domain, "tags": {},
            "mutualTlsAuthentication": {"truststoreUri": "s3://b/ca.pem", "truststoreVersion": "v1",
                                        "truststoreWarnings": ["A certificate of no use: CN=x"]},
            "domainNameConfigurations": [{
                "certificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/x", "endpointType": "REGIONAL",
                "domainNameStatus": "PENDING_OWNERSHIP_VERIFICATION", "securityPolicy": "TLS_1_2",
                "apiGatewayDomainName": "d-1.execute-api.us-east-1.localhost"}]},
        "/v2/domainnames": {"items": []},
        f"/v2/domainnames/{domain}/apimappings": {"items": [{"apiId": "a1", "stage": "prod", "apiMappingKey": ""}]},
        "/v2/apis/a1": {"apiId": "a1", "name": "orders", "disableExecuteApiEndpoint": True},
        "/v2/apis/a1/stages/prod": stage,
        "/": {"Certificate": {"Type": "AMAZON_ISSUED", "Status": "EXPIRED"}},
        "/_countersign/health": health,
    })
    env = server.env | {"AWS_ENDPOINT_URL": aws.url}
    report = run_doctor(f"https://{domain}/orders", server.https, "--ca-file", server.ca_file, env=env, identity=good)
    report.only("domain-not-available", "truststore-warnings", "certificate-status", "access-log-request-id", "server-faults")
    assert report.json["settingsError"] is None
    aws.listener.shutdown()


def test_records_without_a_witness(tmp_path, backend, pki, good):
    """Most servers of the tests have none; one that has does not hear of it."""
    def asked(name, *options):
        server = Server(tmp_path / name, *options).start()
        gateway = Gateway(server, backend, "witnessed.example.com", pki.ca().pem).create()
        arguments = ("--ca-file", server.ca_file, "--data-dir", server.data_dir)
        report = run_doctor(f"https://{gateway.domain}/orders", server.https, *arguments, identity=good)
        server.stop()
        return report.causes

    config = tmp_path / "countersign.toml"
    config.write_text(f'[audit]\nwitness = {{type = "file", path = "{tmp_path}/witness"}}\n')
    assert "records-without-witness" in asked("without")
    assert "records-without-witness" not in asked("with", "--config", config)


def test_every_finding_is_in_the_matrix():
    tests = "".join((ROOT / f"tests/{name}.py").read_text() for name in (
        "doctor", "test_doctor", "test_doctor_servers", "test_doctor_settings"))
    findings = [line[4:] for line in (ROOT / "docs/doctor.md").read_text().splitlines() if line.startswith("### ")]
    # Nothing that can be had off the shelf has this fault: crates/countersign/src/doctor/probe/tests.rs makes it.
    findings.remove("impostor-accepted")
    assert {finding for finding in findings if f'"{finding}"' not in tests} == set()
