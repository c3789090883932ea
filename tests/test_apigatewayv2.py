"""API Gateway v2: create, read, list, change and delete each of its resources, and what AWS answers when it cannot be done."""

import uuid

import botocore.config
import botocore.exceptions
import pytest

from server import error_code, error_message, eventually


@pytest.fixture(scope="module")
def api(server):
    return server.client("apigatewayv2")


@pytest.fixture
def api_id(api):
    made = api.create_api(Name="orders", ProtocolType="HTTP")["ApiId"]
    yield made
    try:
        api.delete_api(ApiId=made)
    except api.exceptions.NotFoundException:
        pass


@pytest.fixture(scope="module")
def certificate_arn(server):
    return server.client("acm").request_certificate(DomainName="*.example.com", ValidationMethod="DNS")["CertificateArn"]


@pytest.fixture
def configuration(certificate_arn):
    return {"CertificateArn": certificate_arn, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}


@pytest.fixture
def domain(api, configuration):
    name = f"d{uuid.uuid4().hex[:8]}.example.com"
    api.create_domain_name(DomainName=name, DomainNameConfigurations=[configuration])
    yield name
    try:
        api.delete_domain_name(DomainName=name)
    except api.exceptions.NotFoundException:
        pass


@pytest.fixture
def bucket(server, pki):
    s3 = server.client("s3")
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=name, Key="ca.pem", Body=pki.ca().pem)
    return name


@pytest.fixture(scope="module")
def unchecked(server):
    """A client that leaves it to the server to say what is wrong with its parameters."""
    return server.client(
        "apigatewayv2", config=botocore.config.Config(parameter_validation=False, retries={"total_max_attempts": 1}))


def refused(call, **arguments):
    """The error that `call` must end in."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return caught


def ids(items, key):
    return {item[key] for item in items}


def test_api(api):
    made = api.create_api(Name="orders", ProtocolType="HTTP", Description="first", Tags={"team": "a"})
    assert made["ApiEndpoint"].startswith(f"https://{made['ApiId']}.execute-api.us-east-1.")
    assert made["RouteSelectionExpression"] == "$request.method $request.path"
    assert made["ApiKeySelectionExpression"] == "$request.header.x-api-key"
    assert made["DisableExecuteApiEndpoint"] is False
    assert made["CreatedDate"].year >= 2026

    changed = api.update_api(ApiId=made["ApiId"], Name="invoices", DisableExecuteApiEndpoint=True)
    assert (changed["Name"], changed["Description"]) == ("invoices", "first"), "what is not given stays"
    got = api.get_api(ApiId=made["ApiId"])
    assert got["DisableExecuteApiEndpoint"] is True and got["Tags"] == {"team": "a"}
    assert made["ApiId"] in ids(api.get_apis()["Items"], "ApiId")
    api.delete_api(ApiId=made["ApiId"])
    assert error_code(refused(api.get_api, ApiId=made["ApiId"])) == "NotFoundException"
    assert made["ApiId"] not in ids(api.get_apis()["Items"], "ApiId")


def test_quick_create(api, backend):
    made = api.create_api(Name="quick", ProtocolType="HTTP", Target=backend.url)
    [route] = api.get_routes(ApiId=made["ApiId"])["Items"]
    [stage] = api.get_stages(ApiId=made["ApiId"])["Items"]
    [integration] = api.get_integrations(ApiId=made["ApiId"])["Items"]
    assert route["RouteKey"] == "$default" and route["ApiGatewayManaged"] is True
    assert route["Target"] == f"integrations/{integration['IntegrationId']}"
    assert stage["StageName"] == "$default" and stage["AutoDeploy"] is True
    assert integration["IntegrationType"] == "HTTP_PROXY" and integration["IntegrationUri"] == backend.url


def test_integration(api, api_id):
    made = api.create_integration(
        ApiId=api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="GET", IntegrationUri="http://127.0.0.1:9000/a",
        PayloadFormatVersion="1.0", TimeoutInMillis=2000)
    key = {"ApiId": api_id, "IntegrationId": made["IntegrationId"]}
    assert made["ConnectionType"] == "INTERNET"
    changed = api.update_integration(**key, IntegrationUri="http://127.0.0.1:9000/b")
    assert (changed["IntegrationUri"], changed["TimeoutInMillis"]) == ("http://127.0.0.1:9000/b", 2000)
    assert api.get_integration(**key)["IntegrationMethod"] == "GET"
    assert ids(api.get_integrations(ApiId=api_id)["Items"], "IntegrationId") == {made["IntegrationId"]}
    api.delete_integration(**key)
    assert error_code(refused(api.get_integration, **key)) == "NotFoundException"


@pytest.mark.parametrize("timeout_ms", [49, 30_001])
def test_a_timeout_outside_its_bounds(unchecked, api_id, timeout_ms):
    caught = refused(
        unchecked.create_integration, ApiId=api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="GET",
        IntegrationUri="http://127.0.0.1:9000", PayloadFormatVersion="1.0", TimeoutInMillis=timeout_ms)
    assert error_code(caught) == "BadRequestException"


def test_route(api, api_id):
    integration = api.create_integration(
        ApiId=api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", IntegrationUri="http://127.0.0.1:9000",
        PayloadFormatVersion="1.0")["IntegrationId"]
    made = api.create_route(ApiId=api_id, RouteKey="GET /orders/{id}", Target=f"integrations/{integration}")
    key = {"ApiId": api_id, "RouteId": made["RouteId"]}
    assert made["AuthorizationType"] == "NONE" and made["ApiKeyRequired"] is False
    assert error_code(refused(api.create_route, ApiId=api_id, RouteKey="GET /orders/{id}")) == "ConflictException"
    assert api.update_route(**key, RouteKey="POST /orders")["RouteKey"] == "POST /orders"
    assert api.get_route(**key)["Target"] == f"integrations/{integration}"
    assert ids(api.get_routes(ApiId=api_id)["Items"], "RouteId") == {made["RouteId"]}
    assert error_code(refused(api.delete_integration, ApiId=api_id, IntegrationId=integration)) == "ConflictException"
    api.delete_route(**key)
    assert error_code(refused(api.get_route, **key)) == "NotFoundException"


@pytest.mark.parametrize("route_key", ["orders", "GET orders", "FETCH /orders", "GET /orders/{id", ""])
def test_a_bad_route_key(api, api_id, route_key):
    assert error_code(refused(api.create_route, ApiId=api_id, RouteKey=route_key)) == "BadRequestException"


def test_stage(api, api_id, server):
    group = f"/stage/{api_id}"
    server.client("logs").create_log_group(logGroupName=group)
    settings = {"DestinationArn": f"arn:aws:logs:us-east-1:123456789012:log-group:{group}", "Format": "$context.requestId"}
    made = api.create_stage(ApiId=api_id, StageName="prod", AccessLogSettings=settings, StageVariables={"colour": "blue"})
    key = {"ApiId": api_id, "StageName": "prod"}
    assert made["AutoDeploy"] is False and made["AccessLogSettings"] == settings
    assert error_code(refused(api.create_stage, **key)) == "ConflictException"
    changed = api.update_stage(**key, AutoDeploy=True)
    assert changed["AutoDeploy"] is True and changed["StageVariables"] == {"colour": "blue"}
    assert api.get_stage(**key)["AccessLogSettings"] == settings
    assert ids(api.get_stages(ApiId=api_id)["Items"], "StageName") == {"prod"}
    api.delete_access_log_settings(**key)
    assert "AccessLogSettings" not in api.get_stage(**key)
    api.delete_stage(**key)
    assert error_code(refused(api.get_stage, **key)) == "NotFoundException"


def test_an_access_log_needs_the_request_id(api, api_id, server):
    caught = refused(api.create_stage, ApiId=api_id, StageName="prod", AccessLogSettings={
        "DestinationArn": "arn:aws:logs:us-east-1:123456789012:log-group:x", "Format": "$context.status"})
    assert error_code(caught) == "BadRequestException"
    assert "requestId" in error_message(caught)


def test_deployment(api, api_id):
    api.create_stage(ApiId=api_id, StageName="prod")
    nothing = refused(api.create_deployment, ApiId=api_id, StageName="prod")
    assert "Unable to deploy API because no routes exist in this API" in error_message(nothing)
    integration = api.create_integration(
        ApiId=api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", IntegrationUri="http://127.0.0.1:9000",
        PayloadFormatVersion="1.0")["IntegrationId"]
    api.create_route(ApiId=api_id, RouteKey="$default", Target=f"integrations/{integration}")
    made = api.create_deployment(ApiId=api_id, StageName="prod", Description="first")
    key = {"ApiId": api_id, "DeploymentId": made["DeploymentId"]}
    assert made["DeploymentStatus"] == "DEPLOYED"
    assert api.get_stage(ApiId=api_id, StageName="prod")["DeploymentId"] == made["DeploymentId"]
    assert api.update_deployment(**key, Description="still first")["Description"] == "still first"
    assert api.get_deployment(**key)["Description"] == "still first"
    second = api.create_deployment(ApiId=api_id, StageName="prod")["DeploymentId"]
    assert ids(api.get_deployments(ApiId=api_id)["Items"], "DeploymentId") == {made["DeploymentId"], second}
    api.delete_deployment(**key)
    assert error_code(refused(api.get_deployment, **key)) == "NotFoundException"


def test_domain_name(api, domain, configuration, bucket):
    got = api.get_domain_name(DomainName=domain)
    [shown] = got["DomainNameConfigurations"]
    assert shown["EndpointType"] == "REGIONAL" and shown["SecurityPolicy"] == "TLS_1_2"
    assert shown["ApiGatewayDomainName"] and shown["HostedZoneId"]
    assert got["ApiMappingSelectionExpression"] == "$request.basepath"
    assert domain in ids(api.get_domain_names()["Items"], "DomainName")
    again = refused(api.create_domain_name, DomainName=domain, DomainNameConfigurations=[configuration])
    assert error_message(again) == "The domain name you provided already exists."

    uri = f"s3://{bucket}/ca.pem"
    updated = api.update_domain_name(
        DomainName=domain, DomainNameConfigurations=[configuration], MutualTlsAuthentication={"TruststoreUri": uri})
    assert updated["MutualTlsAuthentication"]["TruststoreUri"] == uri
    assert updated["DomainNameConfigurations"][0]["DomainNameStatus"] in ("UPDATING", "AVAILABLE")
    eventually(lambda: api.get_domain_name(DomainName=domain)["DomainNameConfigurations"][0]["DomainNameStatus"] == "AVAILABLE")
    api.update_domain_name(DomainName=domain, DomainNameConfigurations=[configuration])
    assert api.get_domain_name(DomainName=domain)["MutualTlsAuthentication"]["TruststoreUri"] == uri, "what is not given stays"
    api.update_domain_name(
        DomainName=domain, DomainNameConfigurations=[configuration], MutualTlsAuthentication={"TruststoreUri": ""})
    assert "MutualTlsAuthentication" not in api.get_domain_name(DomainName=domain)

    api.delete_domain_name(DomainName=domain)
    missing = refused(api.get_domain_name, DomainName=domain)
    assert error_code(missing) == "NotFoundException"
    assert "Invalid domain name identifier specified" in error_message(missing)


def test_a_version_alone_keeps_the_uri(api, domain, configuration, bucket, server, pki):
    uri = f"s3://{bucket}/ca.pem"
    api.update_domain_name(
        DomainName=domain, DomainNameConfigurations=[configuration], MutualTlsAuthentication={"TruststoreUri": uri})
    version = server.client("s3").put_object(Bucket=bucket, Key="ca.pem", Body=pki.ca("second-ca").pem)["VersionId"]
    updated = api.update_domain_name(
        DomainName=domain, DomainNameConfigurations=[configuration], MutualTlsAuthentication={"TruststoreVersion": version})
    assert updated["MutualTlsAuthentication"] == {"TruststoreUri": uri, "TruststoreVersion": version}


@pytest.mark.parametrize("uri, version, said", [
    ("s3://no-such-bucket/ca.pem", None, "Unable to access truststore URI s3://no-such-bucket/ca.pem version N/A."),
    ("s3://{bucket}/missing.pem", None, "Unable to access truststore URI s3://{bucket}/missing.pem version N/A."),
    ("s3://{bucket}/ca.pem", "nosuchversion", "Unable to access truststore URI s3://{bucket}/ca.pem version nosuchversion."),
])
def test_a_truststore_that_cannot_be_read(api, domain, configuration, bucket, uri, version, said):
    wanted = {"TruststoreUri": uri.format(bucket=bucket)} | ({"TruststoreVersion": version} if version else {})
    caught = refused(
        api.update_domain_name, DomainName=domain, DomainNameConfigurations=[configuration], MutualTlsAuthentication=wanted)
    assert error_code(caught) == "BadRequestException"
    assert said.format(bucket=bucket) in error_message(caught)
    assert "MutualTlsAuthentication" not in api.get_domain_name(DomainName=domain)


@pytest.mark.parametrize("uri", ["https://bucket/ca.pem", "s3://", "s3://bucket", "ca.pem"])
def test_a_truststore_uri_that_is_none(api, domain, configuration, uri):
    caught = refused(
        api.update_domain_name, DomainName=domain, DomainNameConfigurations=[configuration],
        MutualTlsAuthentication={"TruststoreUri": uri})
    assert error_code(caught) == "BadRequestException"


def test_mutual_tls_without_configurations(api, domain, bucket):
    caught = refused(
        api.update_domain_name, DomainName=domain, MutualTlsAuthentication={"TruststoreUri": f"s3://{bucket}/ca.pem"})
    assert error_code(caught) == "BadRequestException"
    assert "Invalid input. Expected one domain name configuration" in error_message(caught)


def test_mutual_tls_needs_regional(api, certificate_arn, bucket):
    caught = refused(
        api.create_domain_name, DomainName="edge.example.com",
        DomainNameConfigurations=[{"CertificateArn": certificate_arn, "EndpointType": "EDGE", "SecurityPolicy": "TLS_1_2"}],
        MutualTlsAuthentication={"TruststoreUri": f"s3://{bucket}/ca.pem"})
    assert error_code(caught) == "BadRequestException"


def test_a_certificate_that_is_not_there(api, configuration):
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
    caught = refused(
        api.create_domain_name, DomainName="nocert.example.com", DomainNameConfigurations=[configuration | {"CertificateArn": arn}])
    assert error_code(caught) == "BadRequestException"


def test_api_mapping(api, api_id, domain):
    api.create_stage(ApiId=api_id, StageName="prod")
    made = api.create_api_mapping(DomainName=domain, ApiId=api_id, Stage="prod", ApiMappingKey="orders")
    key = {"DomainName": domain, "ApiMappingId": made["ApiMappingId"]}
    again = refused(api.create_api_mapping, DomainName=domain, ApiId=api_id, Stage="prod", ApiMappingKey="orders")
    assert error_code(again) == "ConflictException"
    changed = api.update_api_mapping(**key, ApiId=api_id, ApiMappingKey="invoices")
    assert (changed["ApiMappingKey"], changed["Stage"]) == ("invoices", "prod")
    assert api.get_api_mapping(**key)["ApiId"] == api_id
    assert ids(api.get_api_mappings(DomainName=domain)["Items"], "ApiMappingId") == {made["ApiMappingId"]}
    api.delete_api_mapping(**key)
    assert error_code(refused(api.get_api_mapping, **key)) == "NotFoundException"


def test_a_mapping_to_a_stage_that_is_not_there(api, api_id, domain):
    caught = refused(api.create_api_mapping, DomainName=domain, ApiId=api_id, Stage="missing")
    assert error_code(caught) in ("BadRequestException", "NotFoundException")


def test_pages(api):
    made = {api.create_api(Name=f"page-{n}", ProtocolType="HTTP")["ApiId"] for n in range(5)}
    first = api.get_apis(MaxResults="2")
    assert len(first["Items"]) == 2 and first["NextToken"]
    pages = api.get_paginator("get_apis").paginate(PaginationConfig={"PageSize": 2})
    seen = [item["ApiId"] for page in pages for item in page["Items"]]
    assert made <= set(seen) and len(seen) == len(set(seen))
    for one in made:
        api.delete_api(ApiId=one)
    assert error_code(refused(api.get_apis, NextToken="not-a-token")) == "BadRequestException"


def test_tags(api, api_id, domain):
    for arn in (f"arn:aws:apigateway:us-east-1::/apis/{api_id}", f"arn:aws:apigateway:us-east-1::/domainnames/{domain}"):
        api.tag_resource(ResourceArn=arn, Tags={"team": "a", "env": "prod"})
        assert api.get_tags(ResourceArn=arn)["Tags"] == {"team": "a", "env": "prod"}
        api.untag_resource(ResourceArn=arn, TagKeys=["env"])
        assert api.get_tags(ResourceArn=arn)["Tags"] == {"team": "a"}


def test_an_unknown_tag_of_ours(api, api_id, domain):
    arn = f"arn:aws:apigateway:us-east-1::/domainnames/{domain}"
    caught = refused(api.tag_resource, ResourceArn=arn, Tags={"countersign:colour": "blue"})
    assert error_code(caught) == "BadRequestException"
    assert "countersign:colour" in error_message(caught)


def test_resources_are_per_region(server, api, api_id):
    elsewhere = server.client("apigatewayv2", region_name="eu-central-1")
    assert error_code(refused(elsewhere.get_api, ApiId=api_id)) == "NotFoundException"
    assert api_id not in ids(elsewhere.get_apis()["Items"], "ApiId")


def test_a_domain_name_is_unique_over_regions(server, domain):
    arn = server.client("acm", region_name="eu-central-1").request_certificate(DomainName=domain)["CertificateArn"]
    caught = refused(
        server.client("apigatewayv2", region_name="eu-central-1").create_domain_name, DomainName=domain,
        DomainNameConfigurations=[{"CertificateArn": arn, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}])
    assert error_message(caught) == "The domain name you provided already exists."


@pytest.mark.parametrize("given", [
    {"Name": "x" * 129, "ProtocolType": "HTTP"}, {"Name": "x", "ProtocolType": "SMTP"}, {"Name": "x"}, {"ProtocolType": "HTTP"},
    {"Name": ["x"], "ProtocolType": "HTTP"},
], ids=["long name", "protocol", "no protocol", "no name", "type"])
def test_what_is_wrong_with_a_request_is_said(unchecked, given):
    caught = refused(unchecked.create_api, **given)
    assert error_code(caught) in ("BadRequestException", "SerializationException")
    assert error_message(caught)
