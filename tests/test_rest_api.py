"""REST APIs (API Gateway v1) behind a domain with mutual TLS: set up by boto3 and by the CLIs, answered as AWS's REST APIs answer."""

import re
import uuid

import botocore.exceptions
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from authority import free_port
from gateway import curl
from rest_gateway import RestGateway

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def rest(server, backend, pki):
    return RestGateway(server, backend, f"r{uuid.uuid4().hex[:12]}.yourcompany.com", pki.ca().pem).create()


def test_a_client_with_a_certificate_is_served_and_one_without_is_not(rest, backend, pki):
    backend.clear()
    served = rest.curl("/pets/7%2f8?q=1", pki.client())
    assert served.status == 200
    [seen] = backend.seen
    assert seen.target.startswith("/animals/7%2f8?q=1&dn=") and seen.header("x-from") == ["gateway"]
    assert UUID.fullmatch(served.headers["x-amzn-requestid"]) and served.headers["x-amz-apigw-id"]
    assert "apigw-requestid" not in served.headers
    refused = rest.curl("/pets/7")
    assert refused.status == 403 and refused.body == '{"message":"Forbidden"}'
    assert refused.headers["x-amzn-errortype"] == "ForbiddenException" and UUID.fullmatch(refused.headers["x-amzn-requestid"])
    assert len(backend.seen) == 1


def test_what_has_no_method(rest, backend, pki):
    """A resource takes all requests for its path: no other one stands in for a method that it lacks."""
    backend.clear()
    for path, method in (("/nothing", "GET"), ("/pets/7", "POST"), ("/pets", "GET"), ("/", "GET")):
        answer = rest.curl(path, pki.client(), "--request", method)
        assert (answer.status, answer.body) == (403, '{"message":"Missing Authentication Token"}'), path
        assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
    assert backend.seen == []


def test_a_path_cannot_leave_the_backends(rest, backend, pki):
    backend.clear()
    assert rest.curl("/files/a/b%20c", pki.client()).json()["path"] == "/a/b%20c"
    for path in ("/files/..%2fsecret", "/files/%2e%2e/secret"):
        assert rest.curl(path, pki.client()).status == 400
    assert len(backend.seen) == 1


def test_the_access_log_has_what_rest_apis_add(rest, pki):
    answer = rest.curl("/pets/logged", pki.client())
    record = rest.record(requestId=answer.headers["x-amzn-requestid"])
    assert record["path"] == "/pets/{id}", "what a resource declares to be an id is not logged"
    assert record["extendedRequestId"] == answer.headers["x-amz-apigw-id"]
    assert (record["resourceId"], record["resourcePath"], record["routeKey"]) == (rest.pet, "/pets/{id}", "-")
    assert record["deploymentId"] == rest.deployment
    rest.curl("/nothing-logged", pki.client())
    record = rest.record(path="/nothing-logged")
    assert (record["error.responseType"], record["error.message"]) == ("MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token")


def test_a_method_is_throttled_by_the_stages_settings(rest, pki):
    rest.patch_stage(("replace", "/pets~1{id}/GET/throttling/rateLimit", "0.01"), ("replace", "/pets~1{id}/GET/throttling/burstLimit", "1"))
    assert rest.curl("/pets/1", pki.client()).status == 200
    throttled = rest.curl("/pets/1", pki.client())
    assert (throttled.status, throttled.body) == (429, '{"message":"Too Many Requests"}')
    assert rest.curl("/files/x", pki.client()).status == 200


def test_a_backend_that_is_away(rest, pki):
    rest.add("away", "GET", f"http://127.0.0.1:{free_port()}/", {})
    rest.rest.create_deployment(restApiId=rest.api_id, stageName="prod")
    rest.server.settle()
    away = rest.curl("/away", pki.client())
    assert (away.status, away.body) == (504, '{"message": "Network error communicating with endpoint"}')


def test_a_deployment_is_a_copy(rest, pki):
    rest.rest.delete_resource(restApiId=rest.api_id, resourceId=rest.pet)
    rest.server.settle()
    assert rest.curl("/pets/7", pki.client()).status == 200
    rest.rest.create_deployment(restApiId=rest.api_id, stageName="prod")
    rest.server.settle()
    assert rest.curl("/pets/7", pki.client()).status == 403


def test_both_apis_see_the_same_mappings(rest, server, pki):
    rest.rest.create_base_path_mapping(domainName=rest.domain, basePath="v1", restApiId=rest.api_id, stage="prod")
    server.settle()
    assert rest.curl("/v1/pets/7", pki.client()).json()["path"].startswith("/animals/7?")
    of_v1 = {item["basePath"]: item["restApiId"] for item in rest.rest.get_base_path_mappings(domainName=rest.domain)["items"]}
    of_v2 = {item["ApiMappingKey"]: item["ApiId"] for item in rest.api.get_api_mappings(DomainName=rest.domain)["Items"]}
    assert of_v1 == {"(none)": rest.api_id, "v1": rest.api_id} and of_v2 == {"": rest.api_id, "v1": rest.api_id}
    with pytest.raises(botocore.exceptions.ClientError, match="Please remove all base path mappings"):
        rest.rest.delete_rest_api(restApiId=rest.api_id)
    rest.rest.delete_base_path_mapping(domainName=rest.domain, basePath="v1")
    server.settle()
    assert rest.curl("/v1/pets/7", pki.client()).status == 403


def test_the_apis_own_endpoint_can_be_closed(rest, server):
    url = f"https://{rest.api_id}.execute-api.us-east-1.localhost"
    assert curl(server, f"{url}/prod/files/open").status == 200
    unknown = curl(server, f"{url}/none/files/open")
    assert (unknown.status, unknown.body) == (403, '{"message":"Forbidden"}')
    operations = [{"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "true"}]
    rest.rest.update_rest_api(restApiId=rest.api_id, patchOperations=operations)
    rest.rest.create_deployment(restApiId=rest.api_id, stageName="prod")
    server.settle()
    assert curl(server, f"{url}/prod/files/open").status == 403


def test_the_cli_sets_it_up(aws, server, backend):
    """`put-method`, `put-integration`, `create-deployment`, as AWS's own walkthroughs type them."""
    api = aws("apigateway", "create-rest-api", "--name", "cli")
    rest = ("--rest-api-id", api["id"])
    # CLI v2.9 does not know rootResourceId yet.
    [root] = aws("apigateway", "get-resources", *rest)["items"]
    part = aws("apigateway", "create-resource", *rest, "--parent-id", root["id"], "--path-part", "{proxy+}")
    place = (*rest, "--resource-id", part["id"], "--http-method", "ANY")
    aws("apigateway", "put-method", *place, "--authorization-type", "NONE", "--request-parameters", "method.request.path.proxy=true")
    aws("apigateway", "put-integration", *place, "--type", "HTTP_PROXY", "--integration-http-method", "ANY", "--uri", f"{backend.url}/cli/{{proxy}}",
        "--request-parameters", "integration.request.path.proxy=method.request.path.proxy")
    aws("apigateway", "create-deployment", *rest, "--stage-name", "dev")
    aws("apigateway", "update-stage", *rest, "--stage-name", "dev", "--patch-operations", "op=replace,path=/description,value=seen")
    assert aws("apigateway", "get-stages", *rest)["item"][0]["description"] == "seen"
    server.settle()
    assert curl(server, f"https://{api['id']}.execute-api.us-east-1.localhost/dev/a/b").json()["path"] == "/cli/a/b"
    refused = aws("apigateway", "get-sdk-types", check=False)
    assert refused.returncode and "UnknownOperationException" in refused.stderr and "GetSdkTypes" in refused.stderr
    refused = aws("apigateway", "update-rest-api", *rest, "--patch-operations", "op=replace,path=/nothing,value=x", check=False)
    assert "Invalid patch path  '/nothing' specified for op 'replace'" in refused.stderr
    aws("apigateway", "delete-rest-api", *rest)


def test_a_domain_name_of_v1_has_mutual_tls(aws, rest, server, pki):
    """`create-domain-name` of v1 as AWS's guide types it, over the same domain names as v2."""
    name, other = f"v{uuid.uuid4().hex[:12]}.yourcompany.com", pki.ca("of-v1")
    arn = server.client("acm").request_certificate(DomainName=name, ValidationMethod="DNS")["CertificateArn"]
    made = aws("apigateway", "create-domain-name", "--domain-name", name, "--regional-certificate-arn", arn, "--endpoint-configuration", "types=REGIONAL",
               "--security-policy", "TLS_1_2", "--mutual-tls-authentication", f"truststoreUri={rest.truststore_uri}", "--tags", "team=edge")
    assert made["regionalCertificateArn"] == arn and made["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert made["mutualTlsAuthentication"] == {"truststoreUri": rest.truststore_uri} and made["regionalDomainName"].startswith("d-")
    aws("apigateway", "create-base-path-mapping", "--domain-name", name, "--rest-api-id", rest.api_id, "--stage", "prod")
    server.settle()
    assert aws("apigateway", "get-domain-name", "--domain-name", name)["domainNameStatus"] == "AVAILABLE"
    assert rest.curl("/pets/7", pki.client(), host=name).status == 200
    assert rest.curl("/pets/7", host=name).status == 403
    version = rest.put_truststore(other.pem)
    patched = aws("apigateway", "update-domain-name", "--domain-name", name, "--patch-operations",
                  f"op=replace,path=/mutualTlsAuthentication/truststoreUri,value={rest.truststore_uri}",
                  f"op=replace,path=/mutualTlsAuthentication/truststoreVersion,value={version}")
    assert patched["mutualTlsAuthentication"]["truststoreVersion"] == version
    server.settle()
    assert rest.curl("/pets/7", pki.client(), host=name).status == 403
    off = aws("apigateway", "update-domain-name", "--domain-name", name, "--patch-operations", "op=replace,path=/mutualTlsAuthentication/truststoreUri,value=")
    assert "mutualTlsAuthentication" not in off
    server.settle()
    assert rest.curl("/pets/7", host=name).status == 200
    assert name in [item["domainName"] for item in aws("apigateway", "get-domain-names")["items"]]
    aws("apigateway", "delete-domain-name", "--domain-name", name)
    gone = aws("apigateway", "get-domain-name", "--domain-name", name, check=False)
    assert "NotFoundException" in gone.stderr and "Invalid domain name identifier specified" in gone.stderr


def test_what_v1_has_of_domain_names_and_countersign_has_not(rest):
    with pytest.raises(botocore.exceptions.ClientError, match="An endpoint type other than REGIONAL"):
        rest.rest.create_domain_name(domainName="edge.yourcompany.com", regionalCertificateArn=rest.certificate_arn)
    for patch in ({"path": "/securityPolicy", "value": "TLS_1_0"}, {"path": "/endpointConfiguration/types/REGIONAL", "value": "EDGE"}, {"path": "/x", "value": "y"}):
        with pytest.raises(botocore.exceptions.ClientError, match="BadRequestException"):
            rest.rest.update_domain_name(domainName=rest.domain, patchOperations=[{"op": "replace", **patch}])


def test_a_base_path_mapping_is_patched(rest, server, pki):
    rest.rest.create_base_path_mapping(domainName=rest.domain, basePath="v1", restApiId=rest.api_id, stage="prod")
    patch = lambda path, value: rest.rest.update_base_path_mapping(
        domainName=rest.domain, basePath="v1", patchOperations=[{"op": "replace", "path": path, "value": value}])
    for path, value in (("/basePath", "(none)"), ("/stage", "none"), ("/basePath", "a/b"), ("/restapiId", "none")):
        with pytest.raises(botocore.exceptions.ClientError):
            patch(path, value)
    assert patch("/basePath", "v2")["basePath"] == "v2"
    server.settle()
    assert rest.curl("/v2/pets/7", pki.client()).status == 200 and rest.curl("/v1/pets/7", pki.client()).status == 403


def test_tags_of_v1(rest):
    for arn in (f"/restapis/{rest.api_id}", f"/restapis/{rest.api_id}/stages/prod", f"/domainnames/{rest.domain}"):
        arn = f"arn:aws:apigateway:us-east-1::{arn}"
        rest.rest.tag_resource(resourceArn=arn, tags={"team": "edge", "cost": "1"})
        rest.rest.untag_resource(resourceArn=arn, tagKeys=["cost"])
        assert rest.rest.get_tags(resourceArn=arn)["tags"] == {"team": "edge"}
    assert rest.rest.get_rest_api(restApiId=rest.api_id)["tags"] == {"team": "edge"}


def test_required_parameters_are_asked_for_where_a_validator_says_so(rest, backend, pki):
    validator = rest.rest.create_request_validator(restApiId=rest.api_id, name="parameters", validateRequestParameters=True)["id"]
    resource = rest.add("strict", "GET", f"{backend.url}/strict", {
        "integration.request.querystring.q": "method.request.querystring.q", "integration.request.header.x-b": "method.request.header.X-B"})
    method = {"restApiId": rest.api_id, "resourceId": resource, "httpMethod": "GET"}
    rest.deploy()
    assert rest.curl("/strict", pki.client()).status == 200
    patched = rest.rest.update_method(**method, patchOperations=[{"op": "replace", "path": "/requestValidatorId", "value": validator}])
    assert patched["requestValidatorId"] == validator
    rest.deploy()
    backend.clear()
    lacking = rest.curl("/strict?q=%20", pki.client())
    assert (lacking.status, lacking.json()) == (400, {"message": "Missing required request parameters: [X-B, q]"})
    assert lacking.headers["x-amzn-errortype"] == "BadRequestException" and backend.seen == []
    assert rest.curl("/strict?q=1", pki.client(), "--header", "x-b: 2").status == 200
    record = rest.record(path="/strict", status="400")
    assert (record["error.responseType"], record["error.message"]) == ("BAD_REQUEST_PARAMETERS", lacking.json()["message"])
    with pytest.raises(botocore.exceptions.ClientError, match="ConflictException"):
        rest.rest.delete_request_validator(restApiId=rest.api_id, requestValidatorId=validator)
    rest.rest.update_method(**method, patchOperations=[{"op": "replace", "path": "/requestParameters/method.request.header.X-B", "value": "false"}])
    rest.deploy()
    assert rest.curl("/strict?q=1", pki.client()).status == 200


def test_a_method_may_ask_for_a_signature(rest, backend, server, pki):
    resource = rest.add("signed", "GET", f"{backend.url}/signed", {})
    rest.rest.update_method(restApiId=rest.api_id, resourceId=resource, httpMethod="GET",
                            patchOperations=[{"op": "replace", "path": "/authorizationType", "value": "AWS_IAM"}])
    rest.deploy()
    backend.clear()

    def signed(secret, key=server.env["AWS_ACCESS_KEY_ID"]):
        request = AWSRequest(method="GET", url=f"https://{rest.domain}/signed")
        SigV4Auth(Credentials(key, secret), "execute-api", "us-east-1").add_auth(request)
        headers = [f"{name}: {value}" for name, value in request.headers.items()]
        return rest.curl("/signed", pki.client(), *(part for header in headers for part in ("--header", header)))

    unsigned = rest.curl("/signed", pki.client())
    assert (unsigned.status, unsigned.body) == (403, '{"message":"Missing Authentication Token"}')
    forged, stranger = signed("x" * 40), signed("x" * 40, "AKIAIOSFODNN7EXAMPLE")
    assert (forged.status, forged.headers["x-amzn-errortype"]) == (403, "InvalidSignatureException")
    assert stranger.json() == {"message": "The security token included in the request is invalid."}
    assert backend.seen == []
    assert signed(server.env["AWS_SECRET_ACCESS_KEY"]).status == 200


def test_resources_and_integrations_are_patched(rest, backend, pki):
    patch = lambda path, value: [{"op": "replace", "path": path, "value": value}]
    place = {"restApiId": rest.api_id, "resourceId": rest.pet}
    pets = rest.rest.get_resource(**place)["parentId"]
    rest.rest.update_resource(restApiId=rest.api_id, resourceId=pets, patchOperations=patch("/pathPart", "animals"))
    assert rest.rest.get_resource(**place)["path"] == "/animals/{id}"
    for path, value in (("/parentId", rest.pet), ("/pathPart", "files"), ("/pathPart", "a/b"), ("/x", "y")):
        with pytest.raises(botocore.exceptions.ClientError):
            rest.rest.update_resource(restApiId=rest.api_id, resourceId=pets, patchOperations=patch(path, value))
    shown = rest.rest.update_integration(**place, httpMethod="GET", patchOperations=[
        *patch("/uri", f"{backend.url}/moved/{{name}}"), {"op": "remove", "path": "/requestParameters/integration.request.querystring.dn"}])
    assert "integration.request.querystring.dn" not in shown["requestParameters"]
    rest.deploy()
    assert rest.curl("/animals/7", pki.client()).json()["path"] == "/moved/7" and rest.curl("/pets/7", pki.client()).status == 403
    described = rest.rest.update_deployment(restApiId=rest.api_id, deploymentId=rest.deployment, patchOperations=patch("/description", "first"))
    assert described["description"] == "first"


def test_the_account_has_a_role(rest):
    role = "arn:aws:iam::123456789012:role/logs"
    rest.rest.update_account(patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": role}])
    account = rest.rest.get_account()
    assert (account["cloudwatchRoleArn"], account["features"]) == (role, ["UsagePlans"])
    rest.rest.update_account(patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": ""}])
    assert "cloudwatchRoleArn" not in rest.rest.get_account()
