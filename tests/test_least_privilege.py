"""docs/policies/guide.json is what the guide needs, and no more: with it every step works, and without any part of it one does not."""

import contextlib
import copy
import json
import re
import socket
import subprocess

import pytest
from botocore.exceptions import ClientError

from aws_cli import AwsCli
from iam import User
from server import BINARY, ROOT
from shell import Shell

POLICY = json.loads((ROOT / "docs/policies/guide.json").read_text())
DOMAIN = "api.yourcompany.com"


def listed(value):
    return value if isinstance(value, list) else [value]


def parts():
    """Each action, and each resource, of each statement: where it is, and what it is."""
    for number, statement in enumerate(POLICY["Statement"]):
        for member in ("Action", "Resource"):
            for value in listed(statement[member]):
                yield number, member, value


def without(number, member, value):
    """The policy without one of its parts; a statement of which nothing is left is gone."""
    policy = copy.deepcopy(POLICY)
    statement = policy["Statement"][number]
    statement[member] = [other for other in listed(statement[member]) if other != value]
    if not statement[member]:
        del policy["Statement"][number]
    return policy


class Guide:
    """The calls of docs/guide.md, step by step, as one user; what was made is removed by the administrator."""

    def __init__(self, server, user, pem):
        self.server, self.user, self.pem = server, user, pem
        self.clients = {name: user.client(name) for name in ("s3", "acm", "apigatewayv2", "logs")}

    def walk(self):
        """Names each step before it is tried."""
        s3, acm, api, logs = self.clients.values()
        bucket = {"Bucket": "your-bucket"}
        yield "create the bucket"
        s3.create_bucket(**bucket)
        yield "version the bucket"
        s3.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Enabled"})
        yield "upload the truststore"
        s3.put_object(**bucket, Key="ca.pem", Body=self.pem)
        yield "look up its version"
        version = s3.head_object(**bucket, Key="ca.pem")["VersionId"]
        yield "request a certificate"
        certificate = acm.request_certificate(DomainName=DOMAIN, ValidationMethod="DNS")["CertificateArn"]
        yield "create the API"
        api_id = api.create_api(Name="orders", ProtocolType="HTTP")["ApiId"]
        yield "create the integration"
        integration = api.create_integration(
            ApiId=api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", IntegrationUri="http://127.0.0.1:9000/{proxy}",
            PayloadFormatVersion="1.0",
        )["IntegrationId"]
        api.create_route(ApiId=api_id, RouteKey="ANY /{proxy+}", Target=f"integrations/{integration}")
        yield "create the log group"
        logs.create_log_group(logGroupName="/orders/prod")
        yield "create the stage"
        api.create_stage(ApiId=api_id, StageName="prod")
        api.create_deployment(ApiId=api_id, StageName="prod")
        yield "create the domain"
        configurations = [{"CertificateArn": certificate, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}]
        api.create_domain_name(DomainName=DOMAIN, DomainNameConfigurations=configurations)
        yield "map the API to the domain"
        api.create_api_mapping(DomainName=DOMAIN, ApiId=api_id, Stage="prod")
        yield "turn mutual TLS on"
        mutual_tls = {"TruststoreUri": "s3://your-bucket/ca.pem", "TruststoreVersion": version}
        api.update_domain_name(DomainName=DOMAIN, DomainNameConfigurations=configurations, MutualTlsAuthentication=mutual_tls)
        yield "look at the domain"
        api.get_domain_name(DomainName=DOMAIN)
        yield "explain a request"
        self.explain()
        arn = f"arn:aws:apigateway:us-east-1::/domainnames/{DOMAIN}"
        yield "set how strangers are refused"
        api.tag_resource(ResourceArn=arn, Tags={"countersign:rejection": "alert"})
        yield "and back again"
        api.untag_resource(ResourceArn=arn, TagKeys=["countersign:rejection"])
        yield "look at the API"
        api.get_api(ApiId=api_id)
        yield "disable its endpoint"
        api.update_api(ApiId=api_id, DisableExecuteApiEndpoint=True)
        yield "read the access log"
        logs.filter_log_events(logGroupName="/orders/prod")
        yield "create an authorizer"
        api.create_authorizer(
            ApiId=api_id, Name="tokens", AuthorizerType="JWT", IdentitySource=["$request.header.Authorization"],
            JwtConfiguration={"Issuer": "https://id.yourcompany.com", "Audience": ["orders"]},
        )
        yield "ask for bound tokens"
        api.tag_resource(ResourceArn=f"arn:aws:apigateway:us-east-1::/apis/{api_id}", Tags={"countersign:bound-tokens": "required"})

    def explain(self):
        """As `countersign explain` asks; that there is no such request is for the caller to know."""
        command = [str(BINARY), "explain", "AAAAAAAAAAAAAAA=", "--endpoint", self.server.control]
        done = subprocess.run(command, env=self.user.env, capture_output=True, text=True, timeout=30)
        if "not authorized" in done.stdout + done.stderr:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": done.stderr}}, "GetRequest")

    def clean(self):
        """Removes whatever was made."""
        s3, api, logs = (self.server.client(name) for name in ("s3", "apigatewayv2", "logs"))
        for domain in api.get_domain_names()["Items"]:
            for mapping in api.get_api_mappings(DomainName=domain["DomainName"])["Items"]:
                api.delete_api_mapping(DomainName=domain["DomainName"], ApiMappingId=mapping["ApiMappingId"])
            api.delete_domain_name(DomainName=domain["DomainName"])
        for one in api.get_apis()["Items"]:
            api.delete_api(ApiId=one["ApiId"])
        with contextlib.suppress(ClientError):
            logs.delete_log_group(logGroupName="/orders/prod")
        for bucket in s3.list_buckets()["Buckets"]:
            for version in s3.list_object_versions(Bucket=bucket["Name"]).get("Versions", []):
                s3.delete_object(Bucket=bucket["Name"], Key=version["Key"], VersionId=version["VersionId"])
            s3.delete_bucket(Bucket=bucket["Name"])


@pytest.fixture(scope="module")
def user(server):
    return User(server)


def walk(server, user, policy, pem):
    """The name of the step that did not work; none: all did."""
    user.iam.put_user_policy(UserName=user.name, PolicyName="p", PolicyDocument=json.dumps(policy, separators=(",", ":")))
    guide, step = Guide(server, user, pem), None
    try:
        for step in guide.walk():
            pass
    except ClientError as error:
        code = error.response["Error"]["Code"]
        truststore = "Unable to access truststore" in error.response["Error"]["Message"]
        assert code in ("AccessDenied", "AccessDeniedException", "403") or truststore, error
        return step
    finally:
        guide.clean()
    return None


def test_the_policy_is_enough(server, user, pki):
    assert walk(server, user, POLICY, pki.ca().pem) is None


@pytest.mark.parametrize("number, member, value", parts(), ids=lambda value: str(value))
def test_every_part_of_it_is_needed(server, user, pki, number, member, value):
    assert walk(server, user, without(number, member, value), pki.ca().pem) is not None


@pytest.mark.timeout(600)
def test_the_guides_own_commands_work_with_it(start_server, tmp_path):
    """Every command of docs/guide.md, typed into a shell that has the user's credentials."""
    server = start_server()
    user = User(server)
    user.iam.put_user_policy(UserName=user.name, PolicyName="p", PolicyDocument=json.dumps(POLICY, separators=(",", ":")))
    text = (ROOT / "docs/guide.md").read_text()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    shell = Shell(scratch, user.env | {"PATH": AwsCli(server, "v1").environment()["PATH"], "HOME": str(tmp_path)})
    try:
        for block in re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S):
            lines = [line for line in block.strip().splitlines() if "countersign env" not in line]
            if lines:
                shell.type("\n".join(lines).replace("9000", port))
    finally:
        shell.close()
