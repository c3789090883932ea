"""REST APIs, custom domain names, API keys, and what belongs to them."""

from datetime import UTC, datetime

from functions import invocations
from rest_gateway import patches


def api(aws, **more):
    """A REST API; its id, and that of its root."""
    created = aws.apigateway.create_rest_api(name="an api", endpointConfiguration={"types": ["REGIONAL"]}, **more)
    return created["id"], created["rootResourceId"]


def deployed(aws, stage="prod"):
    """A REST API with a method at its root, deployed; its id and the deployment's."""
    v1, (id, root) = aws.apigateway, api(aws)
    place = {"restApiId": id, "resourceId": root, "httpMethod": "GET"}
    v1.put_method(**place, authorizationType="NONE")
    v1.put_integration(**place, type="HTTP_PROXY", integrationHttpMethod="GET", uri=aws.backend.url)
    return id, v1.create_deployment(restApiId=id, stageName=stage)["id"]


def apis(aws):
    v1 = aws.apigateway
    ids = [api(aws, tags={"n": str(n)})[0] for n in range(3)]
    v1.update_rest_api(restApiId=ids[0], patchOperations=patches(("replace", "/description", "changed")))
    assert v1.get_rest_api(restApiId=ids[0])["description"] == "changed"
    assert {found["id"] for found in aws.pages("apigateway", "get_rest_apis")} == set(ids)
    v1.delete_rest_api(restApiId=ids[0])


def resources_and_methods(aws):
    v1, (id, root) = aws.apigateway, api(aws)
    resources = [v1.create_resource(restApiId=id, parentId=root, pathPart=part)["id"] for part in ("a", "b", "c")]
    v1.update_resource(restApiId=id, resourceId=resources[0], patchOperations=patches(("replace", "/pathPart", "changed")))
    assert v1.get_resource(restApiId=id, resourceId=resources[0])["path"] == "/changed"
    place = {"restApiId": id, "resourceId": resources[0], "httpMethod": "GET"}
    v1.put_method(**place, authorizationType="NONE", requestParameters={"method.request.querystring.q": True})
    v1.update_method(**place, patchOperations=patches(("replace", "/operationName", "changed")))
    v1.put_integration(**place, type="HTTP_PROXY", integrationHttpMethod="GET", uri=aws.backend.url,
                       requestParameters={"integration.request.header.q": "method.request.querystring.q"})
    v1.update_integration(**place, patchOperations=patches(("replace", "/timeoutInMillis", "1000")))
    assert v1.get_integration(**place)["timeoutInMillis"] == 1000
    assert v1.get_method(**place)["operationName"] == "changed"
    assert len(aws.pages("apigateway", "get_resources", restApiId=id)) == 4
    v1.delete_integration(**place)
    v1.delete_method(**place)
    v1.delete_resource(restApiId=id, resourceId=resources[0])


def authorizers_and_validators(aws):
    v1, (id, _) = aws.apigateway, api(aws)
    ids = [v1.create_authorizer(
        restApiId=id, name=f"authorizer-{n}", type="TOKEN", authorizerUri=invocations("allow"), identitySource="method.request.header.Authorization",
        authorizerResultTtlInSeconds=60)["id"] for n in range(3)]
    v1.update_authorizer(restApiId=id, authorizerId=ids[0], patchOperations=patches(("replace", "/name", "changed")))
    assert v1.get_authorizer(restApiId=id, authorizerId=ids[0])["name"] == "changed"
    assert len(aws.pages("apigateway", "get_authorizers", restApiId=id)) == 3
    v1.delete_authorizer(restApiId=id, authorizerId=ids[0])
    ids = [v1.create_request_validator(restApiId=id, name=f"validator {n}", validateRequestParameters=True)["id"] for n in range(3)]
    v1.update_request_validator(restApiId=id, requestValidatorId=ids[0], patchOperations=patches(("replace", "/name", "changed")))
    assert v1.get_request_validator(restApiId=id, requestValidatorId=ids[0])["name"] == "changed"
    assert len(aws.pages("apigateway", "get_request_validators", restApiId=id)) == 3
    v1.delete_request_validator(restApiId=id, requestValidatorId=ids[0])


def gateway_responses(aws):
    v1, (id, _) = aws.apigateway, api(aws)
    v1.put_gateway_response(
        restApiId=id, responseType="ACCESS_DENIED", statusCode="404", responseParameters={"gatewayresponse.header.x": "'y'"},
        responseTemplates={"application/json": '{"message":$context.error.messageString}'})
    v1.update_gateway_response(restApiId=id, responseType="ACCESS_DENIED", patchOperations=patches(("replace", "/statusCode", "410")))
    assert v1.get_gateway_response(restApiId=id, responseType="ACCESS_DENIED")["statusCode"] == "410"
    aws.pages("apigateway", "get_gateway_responses", restApiId=id)
    v1.delete_gateway_response(restApiId=id, responseType="ACCESS_DENIED")


def models_and_responses(aws):
    v1, (id, root) = aws.apigateway, api(aws)
    v1.create_model(restApiId=id, name="Pet", contentType="application/json", description="a pet", schema='{"properties": {"n": {"type": "string"}}}')
    v1.update_model(restApiId=id, modelName="Pet", patchOperations=patches(("replace", "/description", "changed")))
    assert v1.get_model(restApiId=id, modelName="Pet", flatten=True)["description"] == "changed"
    assert "$inputRoot.n" in v1.get_model_template(restApiId=id, modelName="Pet")["value"]
    assert len(aws.pages("apigateway", "get_models", restApiId=id)) == 3
    place = {"restApiId": id, "resourceId": root, "httpMethod": "GET"}
    v1.put_method(**place, authorizationType="NONE", requestModels={"application/json": "Pet"})
    v1.put_method_response(**place, statusCode="200", responseModels={"application/json": "Pet"}, responseParameters={"method.response.header.x": True})
    v1.update_method_response(**place, statusCode="200", patchOperations=patches(("add", "/responseParameters/method.response.header.y", "false")))
    assert v1.get_method_response(**place, statusCode="200")["responseParameters"] == {"method.response.header.x": True, "method.response.header.y": False}
    v1.put_integration(**place, type="MOCK", passthroughBehavior="NEVER", requestTemplates={"application/json": '{"statusCode": 200}'})
    v1.put_integration_response(**place, statusCode="200", selectionPattern="2..", responseParameters={"method.response.header.x": "'y'"},
                                responseTemplates={"application/json": "{}"})
    v1.update_integration_response(**place, statusCode="200", patchOperations=patches(("replace", "/selectionPattern", "")))
    assert v1.get_integration_response(**place, statusCode="200")["responseTemplates"] == {"application/json": "{}"}
    v1.get_method(**place)
    v1.get_integration(**place)
    v1.delete_integration_response(**place, statusCode="200")
    v1.delete_method_response(**place, statusCode="200")
    v1.delete_method(**place)
    v1.delete_model(restApiId=id, modelName="Pet")


def deployments_and_stages(aws):
    v1, (id, deployment) = aws.apigateway, deployed(aws)
    more = [v1.create_deployment(restApiId=id, description=str(n))["id"] for n in range(2)]
    v1.update_deployment(restApiId=id, deploymentId=more[0], patchOperations=patches(("replace", "/description", "changed")))
    assert v1.get_deployment(restApiId=id, deploymentId=more[0])["description"] == "changed"
    assert len(aws.pages("apigateway", "get_deployments", restApiId=id)) == 3
    v1.create_stage(restApiId=id, stageName="other", deploymentId=deployment, variables={"a": "b"}, tags={"n": "1"})
    v1.update_stage(restApiId=id, stageName="other", patchOperations=patches(("replace", "/*/*/throttling/rateLimit", "5")))
    assert v1.get_stage(restApiId=id, stageName="other")["methodSettings"]["*/*"]["throttlingRateLimit"] == 5
    assert len(v1.get_stages(restApiId=id)["item"]) == 2
    v1.flush_stage_authorizers_cache(restApiId=id, stageName="other")
    v1.flush_stage_cache(restApiId=id, stageName="other")
    v1.delete_stage(restApiId=id, stageName="other")
    v1.delete_deployment(restApiId=id, deploymentId=more[0])


def documents(aws):
    v1, (id, _) = aws.apigateway, deployed(aws)
    for kind, accepts in (("oas30", "application/json"), ("swagger", "application/yaml")):
        body = v1.get_export(restApiId=id, stageName="prod", exportType=kind, parameters={"extensions": "apigateway"}, accepts=accepts)["body"].read()
        assert v1.import_rest_api(body=body, failOnWarnings=True, parameters={"endpointConfigurationTypes": "REGIONAL"})["name"] == "an api"
        assert v1.put_rest_api(restApiId=id, mode="overwrite", body=body, parameters={"basepath": "prepend"})["id"] == id


def documentation(aws):
    v1, (id, _) = aws.apigateway, deployed(aws)
    method = {"type": "METHOD", "path": "/", "method": "GET"}
    ids = [v1.create_documentation_part(restApiId=id, location=location, properties='{"description": "a"}')["id"]
           for location in ({"type": "API"}, method, {"type": "QUERY_PARAMETER", "path": "/", "name": "q"})]
    v1.update_documentation_part(restApiId=id, documentationPartId=ids[0], patchOperations=patches(("replace", "/properties", '{"description": "b"}')))
    assert v1.get_documentation_part(restApiId=id, documentationPartId=ids[0])["properties"] == '{"description": "b"}'
    assert {one["id"] for one in aws.pages("apigateway", "get_documentation_parts", restApiId=id)} == {*ids}
    assert [one["location"] for one in v1.get_documentation_parts(restApiId=id, type="METHOD", path="/")["items"]] == [method]
    for n in range(3):
        v1.create_documentation_version(restApiId=id, documentationVersion=f"v{n}", stageName="prod", description="a")
    assert v1.get_stage(restApiId=id, stageName="prod")["documentationVersion"] == "v2"
    v1.update_documentation_version(restApiId=id, documentationVersion="v1", patchOperations=patches(("replace", "/description", "b")))
    assert v1.get_documentation_version(restApiId=id, documentationVersion="v1")["description"] == "b"
    assert len(aws.pages("apigateway", "get_documentation_versions", restApiId=id)) == 3
    body = v1.get_export(restApiId=id, stageName="prod", exportType="oas30", parameters={"extensions": "documentation"})["body"].read()
    v1.delete_documentation_part(restApiId=id, documentationPartId=ids[0])
    v1.delete_documentation_version(restApiId=id, documentationVersion="v1")
    imported = v1.import_documentation_parts(restApiId=id, mode="merge", body=body)["ids"]
    assert len(imported) == 3 and {*ids[1:]} < {*imported}
    assert len(v1.import_documentation_parts(restApiId=id, mode="overwrite", body=body)["ids"]) == 3
    assert len(v1.get_documentation_parts(restApiId=id)["items"]) == 3


def domain_names(aws):
    v1, names, (id, _) = aws.apigateway, [f"{aws.unique()}.example.com" for _ in range(3)], deployed(aws)
    certificate = aws.acm.request_certificate(DomainName="*.example.com", ValidationMethod="DNS")["CertificateArn"]
    for name in names:
        v1.create_domain_name(domainName=name, regionalCertificateArn=certificate, endpointConfiguration={"types": ["REGIONAL"]}, tags={"n": "1"})
    v1.update_domain_name(domainName=names[0], patchOperations=patches(("replace", "/securityPolicy", "TLS_1_2")))
    assert v1.get_domain_name(domainName=names[0])["domainName"] == names[0]
    assert {found["domainName"] for found in aws.pages("apigateway", "get_domain_names")} == set(names)
    for key in ("a", "b", "c"):
        v1.create_base_path_mapping(domainName=names[0], restApiId=id, stage="prod", basePath=key)
    v1.update_base_path_mapping(domainName=names[0], basePath="a", patchOperations=patches(("replace", "/basePath", "changed")))
    assert v1.get_base_path_mapping(domainName=names[0], basePath="changed")["restApiId"] == id
    assert len(aws.pages("apigateway", "get_base_path_mappings", domainName=names[0])) == 3
    v1.delete_base_path_mapping(domainName=names[0], basePath="changed")
    v1.delete_domain_name(domainName=names[2])


def client_certificates(aws):
    v1 = aws.apigateway
    ids = [v1.generate_client_certificate(description=str(n), tags={"n": "1"})["clientCertificateId"] for n in range(3)]
    v1.update_client_certificate(clientCertificateId=ids[0], patchOperations=patches(("replace", "/description", "changed")))
    assert v1.get_client_certificate(clientCertificateId=ids[0])["description"] == "changed"
    assert {found["clientCertificateId"] for found in aws.pages("apigateway", "get_client_certificates")} == set(ids)
    v1.delete_client_certificate(clientCertificateId=ids[0])


def api_keys_and_usage_plans(aws):
    v1, (id, _) = aws.apigateway, deployed(aws)
    keys = [v1.create_api_key(name=f"key {n}", enabled=True, tags={"n": "1"})["id"] for n in range(2)]
    keys += v1.import_api_keys(body=f"name,key,enabled\nimported,{aws.unique('k' * 20)},true\n".encode(), format="csv")["ids"]
    v1.update_api_key(apiKey=keys[0], patchOperations=patches(("replace", "/description", "changed")))
    assert v1.get_api_key(apiKey=keys[0], includeValue=True)["description"] == "changed"
    assert {found["id"] for found in aws.pages("apigateway", "get_api_keys")} == set(keys)
    plans = [v1.create_usage_plan(
        name=f"plan {n}", apiStages=[{"apiId": id, "stage": "prod"}], throttle={"rateLimit": 5, "burstLimit": 5},
        quota={"limit": 100, "period": "DAY"}, tags={"n": "1"})["id"] for n in range(3)]
    v1.update_usage_plan(usagePlanId=plans[0], patchOperations=patches(("replace", "/description", "changed")))
    assert v1.get_usage_plan(usagePlanId=plans[0])["description"] == "changed"
    assert {found["id"] for found in aws.pages("apigateway", "get_usage_plans")} == set(plans)
    for key in keys:
        v1.create_usage_plan_key(usagePlanId=plans[0], keyId=key, keyType="API_KEY")
    assert v1.get_usage_plan_key(usagePlanId=plans[0], keyId=keys[0])["id"] == keys[0]
    assert {found["id"] for found in aws.pages("apigateway", "get_usage_plan_keys", usagePlanId=plans[0])} == set(keys)
    today = datetime.now(UTC).date().isoformat()
    for key in keys:
        v1.update_usage(usagePlanId=plans[0], keyId=key, patchOperations=patches(("replace", "/remaining", "50")))
    aws.pages("apigateway", "get_usage", usagePlanId=plans[0], startDate=today, endDate=today)
    v1.delete_usage_plan_key(usagePlanId=plans[0], keyId=keys[0])
    v1.update_usage_plan(usagePlanId=plans[2], patchOperations=patches(("remove", "/apiStages", f"{id}:prod")))
    v1.delete_usage_plan(usagePlanId=plans[2])
    v1.delete_api_key(apiKey=keys[0])


def account(aws):
    v1 = aws.apigateway
    v1.update_account(patchOperations=[])
    v1.get_account()


def tags(aws):
    v1, (id, _) = aws.apigateway, api(aws)
    arn = aws.arn("apigateway", f"/restapis/{id}", account="")
    v1.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
    v1.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert v1.get_tags(resourceArn=arn)["tags"] == {"b": "2"}
