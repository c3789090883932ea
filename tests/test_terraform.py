"""What Terraform's AWS provider sends, replayed by boto3: the calls of its resources when they are created, read, changed one attribute at a time,
and removed, with exactly the parameters that it gives, and what it looks for in the answers. Every answer is held against AWS's model besides."""

import json

import botocore.exceptions
import pytest

from functions import invocations
from operations.session import Aws
from rest_gateway import patches
from server import error_code, eventually

# The provider takes these for "the bucket has no such configuration, or the service none of that kind".
NOT_ON_A_BUCKET = {"NotImplemented", "NoSuchBucketPolicy", "NoSuchCORSConfiguration", "NoSuchWebsiteConfiguration", "NoSuchLifecycleConfiguration",
                   "ReplicationConfigurationNotFoundError", "ServerSideEncryptionConfigurationNotFoundError", "ObjectLockConfigurationNotFoundError"}


@pytest.fixture
def aws(server, backend, pki):
    return Aws(server, backend, pki, set())


def gone(call, code="NotFoundException", status=404, **parameters):
    """The provider takes a resource out of its state when a read of it is answered so."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    assert (error_code(caught), caught.value.response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)


def truststore(aws, *names):
    """A bucket with one object, of which there is a version for each name of a CA; its URI and the versions."""
    bucket = aws.unique("tf-")
    aws.s3.create_bucket(Bucket=bucket)
    aws.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = [aws.s3.put_object(Bucket=bucket, Key="ca.pem", Body=aws.pki.ca(name).pem)["VersionId"] for name in names]
    return f"s3://{bucket}/ca.pem", versions


def certificate(aws, name):
    return aws.acm.request_certificate(DomainName=name, ValidationMethod="DNS")["CertificateArn"]


def available(read):
    """The wait of the provider after a change: `UPDATING` until `AVAILABLE`, nothing else."""
    def status():
        shown = read()
        found = (shown.get("DomainNameConfigurations") or [{}])[0].get("DomainNameStatus") or shown.get("domainNameStatus")
        assert found in ("UPDATING", "AVAILABLE"), found
        return shown if found == "AVAILABLE" else None

    return eventually(status, what="AVAILABLE")


def without_warnings(mutual_tls):
    """The provider does not read them."""
    return mutual_tls and {name: value for name, value in mutual_tls.items() if not name.lower().endswith("warnings")}


def test_apigatewayv2_domain_name(aws):
    v2, name = aws.apigatewayv2, f"{aws.unique()}.example.com"
    uri, (first, second) = truststore(aws, "tf-one", "tf-two")
    configuration = {"CertificateArn": certificate(aws, name), "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}
    v2.create_domain_name(DomainName=name, DomainNameConfigurations=[configuration], Tags={"Name": "x"},
                          MutualTlsAuthentication={"TruststoreUri": uri, "TruststoreVersion": first})

    def read():
        return available(lambda: v2.get_domain_name(DomainName=name))

    shown = read()
    [shown_configuration] = shown["DomainNameConfigurations"]
    assert configuration.items() <= shown_configuration.items()
    assert shown_configuration["IpAddressType"] == "ipv4" and shown_configuration["HostedZoneId"] and shown_configuration["ApiGatewayDomainName"]
    assert without_warnings(shown["MutualTlsAuthentication"]) == {"TruststoreUri": uri, "TruststoreVersion": first}
    assert (shown["ApiMappingSelectionExpression"], shown["RoutingMode"], shown["Tags"]) == ("$request.basepath", "API_MAPPING_ONLY", {"Name": "x"})

    # What it sends of its computed attributes comes back as it was read; of mutual TLS it sends only what differs.
    configuration |= {"IpAddressType": "ipv4"}
    for change, expected in [
        ({"TruststoreVersion": second}, {"TruststoreUri": uri, "TruststoreVersion": second}),
        ({"TruststoreVersion": ""}, {"TruststoreUri": uri}),
        ({"TruststoreVersion": first}, {"TruststoreUri": uri, "TruststoreVersion": first}),
        (None, {"TruststoreUri": uri, "TruststoreVersion": first}),
        ({"TruststoreUri": ""}, None),
        ({"TruststoreUri": uri, "TruststoreVersion": second}, {"TruststoreUri": uri, "TruststoreVersion": second}),
    ]:
        given = {"MutualTlsAuthentication": change} if change is not None else {}
        v2.update_domain_name(DomainName=name, DomainNameConfigurations=[configuration], **given)
        assert without_warnings(read().get("MutualTlsAuthentication")) == expected, change
    v2.update_domain_name(DomainName=name, DomainNameConfigurations=[configuration], RoutingMode="ROUTING_RULE_THEN_API_MAPPING")
    shown = read()
    assert shown["RoutingMode"] == "ROUTING_RULE_THEN_API_MAPPING" and shown["MutualTlsAuthentication"]["TruststoreVersion"] == second

    arn = aws.arn("apigateway", f"/domainnames/{name}", account="")
    v2.untag_resource(ResourceArn=arn, TagKeys=["Name"])
    v2.tag_resource(ResourceArn=arn, Tags={"Team": "y"})
    assert read()["Tags"] == v2.get_tags(ResourceArn=arn)["Tags"] == {"Team": "y"}
    v2.delete_domain_name(DomainName=name)
    gone(v2.get_domain_name, DomainName=name)
    gone(v2.delete_domain_name, DomainName=name)


def test_apigatewayv2_api_with_all_that_belongs_to_it(aws):
    v2 = aws.apigatewayv2
    cors = {"AllowCredentials": False, "AllowHeaders": ["a"], "AllowMethods": ["GET"], "AllowOrigins": ["https://example.com"], "ExposeHeaders": [], "MaxAge": 0}
    created = v2.create_api(Name="tf", ProtocolType="HTTP", Tags={"Name": "x"}, ApiKeySelectionExpression="$request.header.x-api-key",
                            RouteSelectionExpression="$request.method $request.path", CorsConfiguration=cors, Description="d", Version="v1")
    id = created["ApiId"]
    shown = v2.get_api(ApiId=id)
    assert shown["ApiKeySelectionExpression"] == "$request.header.x-api-key" and shown["RouteSelectionExpression"] == "$request.method $request.path"
    assert shown["DisableExecuteApiEndpoint"] is False and shown["IpAddressType"] == "ipv4" and shown["ApiEndpoint"].startswith("https://")
    assert shown["CorsConfiguration"]["AllowOrigins"] == ["https://example.com"]
    # An attribute that is taken out of the configuration is sent empty.
    v2.update_api(ApiId=id, Description="", Version="", DisableExecuteApiEndpoint=True)
    shown = v2.get_api(ApiId=id)
    assert not shown.get("Description") and not shown.get("Version") and shown["DisableExecuteApiEndpoint"] is True
    assert shown["CorsConfiguration"]["AllowMethods"] == ["GET"], "what is not named stays"

    integration = v2.create_integration(
        ApiId=id, IntegrationType="HTTP_PROXY", ConnectionType="INTERNET", IntegrationMethod="ANY", IntegrationUri=f"{aws.backend.url}/x",
        PayloadFormatVersion="1.0", RequestParameters={"append:header.a": "1", "append:header.b": "2"},
        ResponseParameters={"200": {"overwrite:header.c": "3"}, "404": {"overwrite:header.d": "4"}}, TimeoutInMillis=30000)["IntegrationId"]
    v2.update_integration(ApiId=id, IntegrationId=integration, IntegrationType="HTTP_PROXY", Description="changed",
                          RequestParameters={"append:header.a": "", "append:header.b": "2"},
                          ResponseParameters={"200": {"overwrite:header.c": "3"}, "404": {}})
    shown = v2.get_integration(ApiId=id, IntegrationId=integration)
    assert (shown["RequestParameters"], shown["ResponseParameters"]) == ({"append:header.b": "2"}, {"200": {"overwrite:header.c": "3"}})
    assert (shown["ConnectionType"], shown["TimeoutInMillis"], shown["Description"]) == ("INTERNET", 30000, "changed")

    authorizer = v2.create_authorizer(
        ApiId=id, AuthorizerType="JWT", Name="tokens", IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Audience": ["me"], "Issuer": "https://issuer.example.com"})["AuthorizerId"]
    v2.update_authorizer(ApiId=id, AuthorizerId=authorizer, Name="renamed")
    shown = v2.get_authorizer(ApiId=id, AuthorizerId=authorizer)
    assert shown["Name"] == "renamed" and shown["JwtConfiguration"]["Issuer"] == "https://issuer.example.com"

    route = v2.create_route(ApiId=id, RouteKey="GET /a", ApiKeyRequired=False, AuthorizationType="NONE", Target=f"integrations/{integration}")["RouteId"]
    v2.update_route(ApiId=id, RouteId=route, AuthorizationType="JWT", AuthorizerId=authorizer, AuthorizationScopes=["read"])
    v2.update_route(ApiId=id, RouteId=route, AuthorizationType="NONE", AuthorizerId="", AuthorizationScopes=[])
    shown = v2.get_route(ApiId=id, RouteId=route)
    assert (shown["AuthorizationType"], shown.get("AuthorizerId", ""), shown["Target"]) == ("NONE", "", f"integrations/{integration}")
    assert shown["ApiKeyRequired"] is False and not shown.get("AuthorizationScopes")

    deployment = v2.create_deployment(ApiId=id, Description="")["DeploymentId"]

    def deployed():
        shown = v2.get_deployment(ApiId=id, DeploymentId=deployment)
        assert shown["DeploymentStatus"] in ("PENDING", "DEPLOYED")
        return shown["DeploymentStatus"] == "DEPLOYED" and shown["AutoDeployed"] is False

    eventually(deployed)
    stage_of(aws, id, deployment)
    mapping_of(aws, id)

    v2.delete_route(ApiId=id, RouteId=route)
    gone(v2.get_route, ApiId=id, RouteId=route)
    v2.delete_integration(ApiId=id, IntegrationId=integration)
    gone(v2.get_integration, ApiId=id, IntegrationId=integration)
    v2.delete_authorizer(ApiId=id, AuthorizerId=authorizer)
    gone(v2.get_authorizer, ApiId=id, AuthorizerId=authorizer)
    v2.delete_deployment(ApiId=id, DeploymentId=deployment)
    gone(v2.get_deployment, ApiId=id, DeploymentId=deployment)
    v2.delete_api(ApiId=id)
    gone(v2.get_api, ApiId=id)


def stage_of(aws, id, deployment):
    v2, place = aws.apigatewayv2, {"ApiId": id, "StageName": "prod"}
    aws.logs.create_log_group(logGroupName="/tf/stage")
    logs = {"DestinationArn": aws.arn("logs", "log-group:/tf/stage"), "Format": "$context.requestId"}
    v2.create_stage(**place, AutoDeploy=False, Tags={"Name": "x"}, AccessLogSettings=logs, DeploymentId=deployment, StageVariables={"a": "1", "b": "2"},
                    DefaultRouteSettings={"DetailedMetricsEnabled": False, "ThrottlingBurstLimit": 5, "ThrottlingRateLimit": 10.0},
                    RouteSettings={"GET /a": {"DetailedMetricsEnabled": False, "ThrottlingBurstLimit": 1, "ThrottlingRateLimit": 2.0}})
    shown = v2.get_stage(**place)
    assert (shown["AccessLogSettings"], shown["DeploymentId"], shown["AutoDeploy"], shown["Tags"]) == (logs, deployment, False, {"Name": "x"})
    assert shown["RouteSettings"]["GET /a"]["ThrottlingBurstLimit"] == 1
    # A variable that is taken out is sent empty; so are the settings of the log.
    v2.update_stage(**place, StageVariables={"a": "", "b": "3"}, AccessLogSettings={}, Description="changed")
    shown = v2.get_stage(**place)
    assert shown["StageVariables"] == {"b": "3"} and shown["Description"] == "changed" and shown["DefaultRouteSettings"]["ThrottlingBurstLimit"] == 5
    v2.update_stage(**place, DefaultRouteSettings={"DetailedMetricsEnabled": False, "ThrottlingBurstLimit": 0, "ThrottlingRateLimit": 0.0})
    arn = aws.arn("apigateway", f"/apis/{id}/stages/prod", account="")
    v2.tag_resource(ResourceArn=arn, Tags={"Team": "y"})
    v2.untag_resource(ResourceArn=arn, TagKeys=["Name"])
    assert v2.get_stage(**place)["Tags"] == {"Team": "y"}
    v2.delete_stage(**place)
    gone(v2.get_stage, **place)


def mapping_of(aws, id):
    v2, name = aws.apigatewayv2, f"{aws.unique()}.example.com"
    v2.create_stage(ApiId=id, StageName="mapped", AutoDeploy=True)
    v2.create_domain_name(DomainName=name, DomainNameConfigurations=[
        {"CertificateArn": certificate(aws, name), "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}])
    mapping = v2.create_api_mapping(ApiId=id, DomainName=name, Stage="mapped", ApiMappingKey="v1")["ApiMappingId"]
    v2.update_api_mapping(ApiId=id, ApiMappingId=mapping, DomainName=name, ApiMappingKey="v2")
    shown = v2.get_api_mapping(ApiMappingId=mapping, DomainName=name)
    assert (shown["ApiMappingKey"], shown["ApiId"], shown["Stage"]) == ("v2", id, "mapped")
    v2.delete_api_mapping(ApiMappingId=mapping, DomainName=name)
    gone(v2.get_api_mapping, ApiMappingId=mapping, DomainName=name)
    v2.delete_domain_name(DomainName=name)


def test_api_gateway_domain_name(aws):
    v1, name, (id, stage) = aws.apigateway, f"{aws.unique()}.example.com", rest_api(aws)
    uri, (first, second) = truststore(aws, "tf-one", "tf-two")
    v1.create_domain_name(domainName=name, endpointConfiguration={"types": ["REGIONAL"]}, regionalCertificateArn=certificate(aws, name), securityPolicy="TLS_1_2",
                          mutualTlsAuthentication={"truststoreUri": uri, "truststoreVersion": first}, tags={"Name": "x"})

    def read():
        return available(lambda: v1.get_domain_name(domainName=name))

    shown = read()
    assert shown["endpointConfiguration"]["types"] == ["REGIONAL"] and shown["regionalDomainName"] and shown["regionalHostedZoneId"]
    assert (shown["securityPolicy"], shown["tags"]) == ("TLS_1_2", {"Name": "x"})
    version, uri_path = "/mutualTlsAuthentication/truststoreVersion", "/mutualTlsAuthentication/truststoreUri"
    for operations, expected in [
        ([(version, second)], {"truststoreUri": uri, "truststoreVersion": second}),
        ([(version, "")], {"truststoreUri": uri}),
        ([(uri_path, "")], None),
        ([(uri_path, uri), (version, first)], {"truststoreUri": uri, "truststoreVersion": first}),
    ]:
        v1.update_domain_name(domainName=name, patchOperations=patches(*(("replace", *operation) for operation in operations)))
        assert without_warnings(read().get("mutualTlsAuthentication")) == expected, operations
    arn = aws.arn("apigateway", f"/domainnames/{name}", account="")
    v1.tag_resource(resourceArn=arn, tags={"Team": "y"})
    v1.untag_resource(resourceArn=arn, tagKeys=["Name"])
    assert read()["tags"] == {"Team": "y"}

    v1.create_base_path_mapping(domainName=name, restApiId=id, stage=stage, basePath="")
    assert v1.get_base_path_mapping(domainName=name, basePath="(none)")["stage"] == stage
    v1.update_base_path_mapping(domainName=name, basePath="(none)", patchOperations=patches(("replace", "/basePath", "v1")))
    assert v1.get_base_path_mapping(domainName=name, basePath="v1")["restApiId"] == id
    v1.delete_base_path_mapping(domainName=name, basePath="v1")
    gone(v1.get_base_path_mapping, domainName=name, basePath="v1")
    v1.delete_domain_name(domainName=name)
    gone(v1.get_domain_name, domainName=name)


def rest_api(aws):
    """An API with one method, and its stage."""
    v1 = aws.apigateway
    id = v1.create_rest_api(name="tf", endpointConfiguration={"types": ["REGIONAL"]}, tags={"Name": "x"})["id"]
    [root] = [found for found in v1.get_resources(restApiId=id)["items"] if found["path"] == "/"]
    resource = v1.create_resource(restApiId=id, parentId=root["id"], pathPart="a")["id"]
    place = {"restApiId": id, "resourceId": resource, "httpMethod": "GET"}
    v1.put_method(**place, apiKeyRequired=False, authorizationType="NONE", requestParameters={"method.request.querystring.q": True})
    v1.put_integration(**place, type="HTTP_PROXY", integrationHttpMethod="GET", uri=f"{aws.backend.url}/x", connectionType="INTERNET", timeoutInMillis=29000,
                       requestParameters={"integration.request.header.q": "method.request.querystring.q", "integration.request.header.r": "'r'"})
    return id, v1.create_stage(restApiId=id, stageName="prod", deploymentId=v1.create_deployment(restApiId=id, description="")["id"])["stageName"]


def test_api_gateway_rest_api(aws):
    v1, (id, stage) = aws.apigateway, rest_api(aws)
    v1.update_rest_api(restApiId=id, patchOperations=[
        {"op": "replace", "path": "/description", "value": "changed"}, {"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "true"},
        {"op": "add", "path": "/binaryMediaTypes/image~1png"}, {"op": "replace", "path": "/name", "value": "renamed"}])
    v1.update_rest_api(restApiId=id, patchOperations=[
        {"op": "remove", "path": "/binaryMediaTypes/image~1png"}, {"op": "add", "path": "/binaryMediaTypes/image~1gif"}])
    shown = v1.get_rest_api(restApiId=id)
    assert (shown["name"], shown["binaryMediaTypes"], shown["disableExecuteApiEndpoint"]) == ("renamed", ["image/gif"], True)
    assert shown["apiKeySource"] == "HEADER" and shown["endpointConfiguration"]["types"] == ["REGIONAL"]

    [place] = [{"restApiId": id, "resourceId": found["id"], "httpMethod": "GET"} for found in v1.get_resources(restApiId=id)["items"] if found["path"] == "/a"]
    v1.update_integration(**place, patchOperations=[
        {"op": "remove", "path": "/requestParameters/integration.request.header.r"},
        {"op": "add", "path": "/requestParameters/integration.request.header.s", "value": "'s'"},
        {"op": "replace", "path": "/requestParameters/integration.request.header.q", "value": "'q'"},
        {"op": "replace", "path": "/uri", "value": f"{aws.backend.url}/y"}, {"op": "replace", "path": "/timeoutInMillis", "value": "1000"}])
    shown = v1.get_integration(**place)
    assert shown["requestParameters"] == {"integration.request.header.q": "'q'", "integration.request.header.s": "'s'"}
    assert (shown["uri"], shown["timeoutInMillis"], shown["connectionType"]) == (f"{aws.backend.url}/y", 1000, "INTERNET")
    v1.update_method(**place, patchOperations=[
        {"op": "replace", "path": "/apiKeyRequired", "value": "true"}, {"op": "remove", "path": "/requestParameters/method.request.querystring.q"},
        {"op": "add", "path": "/requestParameters/method.request.header.h", "value": "false"}])
    shown = v1.get_method(**place)
    assert (shown["apiKeyRequired"], shown["requestParameters"]) == (True, {"method.request.header.h": False})

    aws.logs.create_log_group(logGroupName="/tf/rest")
    logs, place_of_stage = aws.arn("logs", "log-group:/tf/rest"), {"restApiId": id, "stageName": stage}
    v1.update_stage(**place_of_stage, patchOperations=patches(
        ("replace", "/variables/a", "1"), ("replace", "/variables/b", "2"), ("replace", "/description", "changed"),
        ("replace", "/accessLogSettings/destinationArn", logs), ("replace", "/accessLogSettings/format", "$context.requestId")))
    shown = v1.get_stage(**place_of_stage)
    assert (shown["variables"], shown["accessLogSettings"]) == ({"a": "1", "b": "2"}, {"destinationArn": logs, "format": "$context.requestId"})
    v1.update_stage(**place_of_stage, patchOperations=[
        {"op": "remove", "path": "/variables/a"}, {"op": "remove", "path": "/accessLogSettings"}, {"op": "replace", "path": "/tracingEnabled", "value": "false"}])
    shown = v1.get_stage(**place_of_stage)
    assert shown["variables"] == {"b": "2"} and "accessLogSettings" not in shown

    for delete, get, of in [(v1.delete_stage, v1.get_stage, place_of_stage), (v1.delete_integration, v1.get_integration, place),
                            (v1.delete_method, v1.get_method, place), (v1.delete_rest_api, v1.get_rest_api, {"restApiId": id})]:
        delete(**of)
        gone(get, **of)


def test_api_gateway_usage_plan(aws):
    v1, (id, stage) = aws.apigateway, rest_api(aws)
    stages = [{"apiId": id, "stage": stage}]
    plan = v1.create_usage_plan(name="tf", description="d", apiStages=stages, tags={"Name": "x"}, throttle={"burstLimit": 5, "rateLimit": 10},
                                quota={"limit": 20, "offset": 0, "period": "DAY"})["id"]
    v1.update_usage_plan(usagePlanId=plan, patchOperations=patches(
        ("remove", "/apiStages", f"{id}:{stage}"), ("add", "/apiStages", f"{id}:{stage}"),
        ("replace", f"/apiStages/{id}:{stage}/throttle//a/GET/rateLimit", "3"), ("replace", f"/apiStages/{id}:{stage}/throttle//a/GET/burstLimit", "2"),
        ("replace", "/throttle/rateLimit", "11"), ("replace", "/throttle/burstLimit", "6"),
        ("replace", "/quota/limit", "30"), ("replace", "/quota/offset", "0"), ("replace", "/quota/period", "WEEK")))
    shown = v1.get_usage_plan(usagePlanId=plan)
    assert (shown["throttle"], shown["quota"]) == ({"burstLimit": 6, "rateLimit": 11.0}, {"limit": 30, "offset": 0, "period": "WEEK"})
    assert shown["apiStages"][0]["throttle"] == {"/a/GET": {"burstLimit": 2, "rateLimit": 3.0}}
    v1.update_usage_plan(usagePlanId=plan, patchOperations=[{"op": "remove", "path": "/throttle"}, {"op": "remove", "path": "/quota"}])
    shown = v1.get_usage_plan(usagePlanId=plan)
    assert "throttle" not in shown and "quota" not in shown

    key = v1.create_api_key(name="tf", description="Managed by Terraform", enabled=True)["id"]
    assert v1.get_api_key(apiKey=key, includeValue=True)["value"]
    v1.create_usage_plan_key(usagePlanId=plan, keyId=key, keyType="API_KEY")
    assert v1.get_usage_plan_key(usagePlanId=plan, keyId=key)["type"] == "API_KEY"
    v1.delete_usage_plan_key(usagePlanId=plan, keyId=key)
    gone(v1.get_usage_plan_key, usagePlanId=plan, keyId=key)
    v1.delete_api_key(apiKey=key)
    gone(v1.get_api_key, apiKey=key, includeValue=True)
    v1.update_usage_plan(usagePlanId=plan, patchOperations=patches(("remove", "/apiStages", f"{id}:{stage}")))
    v1.delete_usage_plan(usagePlanId=plan)
    gone(v1.get_usage_plan, usagePlanId=plan)


def test_api_gateway_authorizer_and_client_certificate(aws):
    v1, (id, _) = aws.apigateway, rest_api(aws)
    authorizer = v1.create_authorizer(restApiId=id, name="tf", type="TOKEN", identitySource="method.request.header.Authorization",
                                      authorizerResultTtlInSeconds=300, authorizerUri=invocations("allow"))["id"]
    v1.update_authorizer(restApiId=id, authorizerId=authorizer, patchOperations=patches(
        ("replace", "/authorizerResultTtlInSeconds", "5"), ("replace", "/identityValidationExpression", "Bearer .*")))
    shown = v1.get_authorizer(restApiId=id, authorizerId=authorizer)
    assert (shown["authorizerResultTtlInSeconds"], shown["identityValidationExpression"]) == (5, "Bearer .*")
    v1.delete_authorizer(restApiId=id, authorizerId=authorizer)
    gone(v1.get_authorizer, restApiId=id, authorizerId=authorizer)

    client = v1.generate_client_certificate(description="tf", tags={"Name": "x"})["clientCertificateId"]
    v1.update_client_certificate(clientCertificateId=client, patchOperations=patches(("replace", "/description", "changed")))
    shown = v1.get_client_certificate(clientCertificateId=client)
    assert shown["description"] == "changed" and shown["pemEncodedCertificate"] and shown["expirationDate"] > shown["createdDate"]
    v1.delete_client_certificate(clientCertificateId=client)
    gone(v1.get_client_certificate, clientCertificateId=client)


def test_acm_certificate(aws):
    acm = aws.acm
    arn = acm.request_certificate(DomainName="tf.example.com", IdempotencyToken="tf20261130000000000000000001", ValidationMethod="DNS",
                                  KeyAlgorithm="RSA_2048", SubjectAlternativeNames=["www.tf.example.com"], Tags=[{"Key": "Name", "Value": "x"}],
                                  Options={"CertificateTransparencyLoggingPreference": "ENABLED"})["CertificateArn"]

    def validated():
        options = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]
        return any("ResourceRecord" in option or option.get("ValidationStatus") == "SUCCESS" for option in options)

    eventually(validated)
    shown = eventually(lambda: (found := acm.describe_certificate(CertificateArn=arn)["Certificate"])["Status"] == "ISSUED" and found)
    assert (shown["DomainName"], shown["Type"], shown["KeyAlgorithm"].replace("-", "_")) == ("tf.example.com", "AMAZON_ISSUED", "RSA_2048")
    assert {option["ValidationMethod"] for option in shown["DomainValidationOptions"]} == {"DNS"} and shown["NotAfter"] > shown["NotBefore"]
    acm.add_tags_to_certificate(CertificateArn=arn, Tags=[{"Key": "Team", "Value": "y"}])
    acm.remove_tags_from_certificate(CertificateArn=arn, Tags=[{"Key": "Name"}])
    assert acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == [{"Key": "Team", "Value": "y"}]
    acm.delete_certificate(CertificateArn=arn)
    gone(acm.describe_certificate, "ResourceNotFoundException", 400, CertificateArn=arn)

    identity, other = aws.pki.server("tf-imported", "imported.example.com"), aws.pki.server("tf-other", "imported.example.com")
    arn = acm.import_certificate(Certificate=identity.cert.read_bytes(), PrivateKey=identity.key.read_bytes())["CertificateArn"]
    assert acm.import_certificate(Certificate=other.cert.read_bytes(), PrivateKey=other.key.read_bytes(), CertificateArn=arn)["CertificateArn"] == arn
    assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["Type"] == "IMPORTED"


def test_cloudwatch_log_group(aws):
    logs, name = aws.logs, "/tf/group"
    logs.create_log_group(logGroupName=name, tags={"Name": "x"})
    logs.create_log_group(logGroupName=f"{name}-of-another-resource")
    logs.put_retention_policy(logGroupName=name, retentionInDays=14)

    def read():
        """By prefix, which other groups have too."""
        pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
        return next((group for page in pages for group in page["logGroups"] if group["logGroupName"] == name), None)

    assert read()["retentionInDays"] == 14 and read()["logGroupClass"] == "STANDARD" and read()["arn"] == aws.arn("logs", f"log-group:{name}:*")
    logs.delete_retention_policy(logGroupName=name)
    assert "retentionInDays" not in read()
    arn = read()["arn"].removesuffix(":*")
    logs.tag_resource(resourceArn=arn, tags={"Team": "y"})
    logs.untag_resource(resourceArn=arn, tagKeys=["Name"])
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"Team": "y"}
    logs.delete_log_group(logGroupName=name)
    assert read() is None
    gone(logs.delete_log_group, "ResourceNotFoundException", 400, logGroupName=name)


def test_s3_bucket_and_object(aws):
    s3, name = aws.s3, aws.unique("tf-bucket-")
    s3.create_bucket(Bucket=name)
    s3.head_bucket(Bucket=name)
    for read in (s3.get_bucket_policy, s3.get_bucket_acl, s3.get_bucket_cors, s3.get_bucket_website, s3.get_bucket_accelerate_configuration,
                 s3.get_bucket_request_payment, s3.get_bucket_logging, s3.get_bucket_lifecycle_configuration, s3.get_bucket_replication,
                 s3.get_bucket_encryption, s3.get_object_lock_configuration):
        try:
            read(Bucket=name)
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] in NOT_ON_A_BUCKET, (read.__name__, error)
    gone(s3.get_bucket_tagging, "NoSuchTagSet", Bucket=name)
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "Name", "Value": "x"}]})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"

    version = s3.put_object(Bucket=name, Key="ca.pem", Body=b"one", ContentType="application/x-pem-file", ACL="private", ChecksumAlgorithm="CRC32")["VersionId"]
    shown = s3.head_object(Bucket=name, Key="ca.pem")
    assert (shown["VersionId"], shown["ContentType"], shown["ETag"]) == (version, "application/x-pem-file", '"f97c5d29941bfb1b2fdab0874906ab82"')
    for one in s3.list_object_versions(Bucket=name)["Versions"]:
        s3.delete_object(Bucket=name, Key=one["Key"], VersionId=one["VersionId"])
    gone(s3.head_object, "404", Bucket=name, Key="ca.pem")
    s3.delete_bucket(Bucket=name)
    gone(s3.head_bucket, "404", Bucket=name)
    gone(s3.delete_bucket, "NoSuchBucket", Bucket=name)


def test_the_caller_is_who_the_provider_configures_itself_for(aws):
    caller = aws.sts.get_caller_identity()
    assert caller["Arn"].split(":")[:3] == ["arn", "aws", "iam"] and json.dumps(caller["Account"]) == '"123456789012"'
