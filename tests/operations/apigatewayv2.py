"""HTTP APIs, custom domain names, and what belongs to them."""

from functions import invocations


def api(aws, **more):
    return aws.apigatewayv2.create_api(Name="an api", ProtocolType="HTTP", **more)["ApiId"]


def apis(aws):
    v2 = aws.apigatewayv2
    ids = [api(aws, Tags={"n": str(n)}) for n in range(3)]
    v2.update_api(ApiId=ids[0], Description="changed", CorsConfiguration={"AllowOrigins": ["https://example.com"], "MaxAge": 60})
    assert v2.get_api(ApiId=ids[0])["Description"] == "changed"
    assert {found["ApiId"] for found in aws.pages("apigatewayv2", "get_apis")} == set(ids)
    v2.delete_api(ApiId=ids[0])


def integrations_and_routes(aws):
    v2, id = aws.apigatewayv2, api(aws)
    integrations = [v2.create_integration(
        ApiId=id, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", IntegrationUri=aws.backend.url, PayloadFormatVersion="1.0",
        RequestParameters={"append:header.x": "$request.path"}, ResponseParameters={"200": {"overwrite:header.y": "z"}},
        TlsConfig={"ServerNameToVerify": "example.com"})["IntegrationId"] for _ in range(3)]
    v2.update_integration(ApiId=id, IntegrationId=integrations[0], Description="changed", TimeoutInMillis=1000)
    assert v2.get_integration(ApiId=id, IntegrationId=integrations[0])["TimeoutInMillis"] == 1000
    assert len(aws.pages("apigatewayv2", "get_integrations", ApiId=id)) == 3
    routes = [v2.create_route(ApiId=id, RouteKey=f"GET /{n}", Target=f"integrations/{integrations[0]}")["RouteId"] for n in range(3)]
    v2.update_route(ApiId=id, RouteId=routes[0], RouteKey="POST /0", AuthorizationType="AWS_IAM")
    assert v2.get_route(ApiId=id, RouteId=routes[0])["RouteKey"] == "POST /0"
    assert len(aws.pages("apigatewayv2", "get_routes", ApiId=id)) == 3
    v2.delete_route(ApiId=id, RouteId=routes[0])
    v2.delete_integration(ApiId=id, IntegrationId=integrations[1])


def authorizers(aws):
    v2, id = aws.apigatewayv2, api(aws)
    ids = [v2.create_authorizer(
        ApiId=id, AuthorizerType="REQUEST", Name=f"authorizer-{n}", AuthorizerUri=invocations("allow"), AuthorizerPayloadFormatVersion="2.0",
        EnableSimpleResponses=True, IdentitySource=["$request.header.authorization"], AuthorizerResultTtlInSeconds=60)["AuthorizerId"]
        for n in range(2)]
    ids.append(v2.create_authorizer(
        ApiId=id, AuthorizerType="JWT", Name="tokens", IdentitySource=["$request.header.authorization"],
        JwtConfiguration={"Audience": ["me"], "Issuer": "https://issuer.example.com"})["AuthorizerId"])
    v2.update_authorizer(ApiId=id, AuthorizerId=ids[0], AuthorizerResultTtlInSeconds=5)
    assert v2.get_authorizer(ApiId=id, AuthorizerId=ids[0])["AuthorizerResultTtlInSeconds"] == 5
    assert len(aws.pages("apigatewayv2", "get_authorizers", ApiId=id)) == 3
    v2.create_stage(ApiId=id, StageName="prod")
    v2.reset_authorizers_cache(ApiId=id, StageName="prod")
    v2.delete_authorizer(ApiId=id, AuthorizerId=ids[0])


def deployments_and_stages(aws):
    v2, id = aws.apigatewayv2, api(aws, Target=aws.backend.url)
    deployments = [v2.create_deployment(ApiId=id, Description=str(n))["DeploymentId"] for n in range(3)]
    v2.update_deployment(ApiId=id, DeploymentId=deployments[0], Description="changed")
    assert v2.get_deployment(ApiId=id, DeploymentId=deployments[0])["Description"] == "changed"
    assert len(aws.pages("apigatewayv2", "get_deployments", ApiId=id)) >= 3
    aws.logs.create_log_group(logGroupName="/access")
    for name in ("one", "other"):
        v2.create_stage(
            ApiId=id, StageName=name, DeploymentId=deployments[0], StageVariables={"a": "b"}, Tags={"n": name},
            AccessLogSettings={"DestinationArn": aws.arn("logs", "log-group:/access"), "Format": "$context.requestId"},
            DefaultRouteSettings={"ThrottlingBurstLimit": 5, "ThrottlingRateLimit": 10})
    v2.update_stage(ApiId=id, StageName="one", DeploymentId=deployments[1], Description="changed")
    assert v2.get_stage(ApiId=id, StageName="one")["DeploymentId"] == deployments[1]
    assert len(aws.pages("apigatewayv2", "get_stages", ApiId=id)) == 3
    v2.delete_access_log_settings(ApiId=id, StageName="one")
    assert "AccessLogSettings" not in v2.get_stage(ApiId=id, StageName="one")
    v2.delete_stage(ApiId=id, StageName="one")
    v2.delete_deployment(ApiId=id, DeploymentId=deployments[1])


def domain_names(aws):
    v2, names = aws.apigatewayv2, [f"{aws.unique()}.example.com" for _ in range(3)]
    certificate = aws.acm.request_certificate(DomainName="*.example.com", ValidationMethod="DNS")["CertificateArn"]
    configuration = {"CertificateArn": certificate, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}
    for name in names:
        v2.create_domain_name(DomainName=name, DomainNameConfigurations=[configuration], Tags={"n": "1"})
    v2.update_domain_name(DomainName=names[0], DomainNameConfigurations=[configuration])
    assert v2.get_domain_name(DomainName=names[0])["DomainName"] == names[0]
    assert {found["DomainName"] for found in aws.pages("apigatewayv2", "get_domain_names")} == set(names)
    id = api(aws, Target=aws.backend.url)
    mappings = [v2.create_api_mapping(DomainName=names[0], ApiId=id, Stage="$default", ApiMappingKey=f"key{n}")["ApiMappingId"] for n in range(3)]
    v2.update_api_mapping(DomainName=names[0], ApiId=id, ApiMappingId=mappings[0], ApiMappingKey="changed")
    assert v2.get_api_mapping(DomainName=names[0], ApiMappingId=mappings[0])["ApiMappingKey"] == "changed"
    assert len(aws.pages("apigatewayv2", "get_api_mappings", DomainName=names[0])) == 3
    v2.delete_api_mapping(DomainName=names[0], ApiMappingId=mappings[0])
    v2.delete_domain_name(DomainName=names[2])


def routing_rules(aws):
    v2, name, id = aws.apigatewayv2, f"{aws.unique()}.example.com", api(aws, Target=aws.backend.url)
    certificate = aws.acm.request_certificate(DomainName="*.example.com", ValidationMethod="DNS")["CertificateArn"]
    v2.create_domain_name(
        DomainName=name, RoutingMode="ROUTING_RULE_ONLY",
        DomainNameConfigurations=[{"CertificateArn": certificate, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}])
    actions = [{"InvokeApi": {"ApiId": id, "Stage": "$default", "StripBasePath": True}}]
    rules = [v2.create_routing_rule(
        DomainName=name, Priority=n, Actions=actions, Conditions=[{"MatchBasePaths": {"AnyOf": [f"p{n}"]}}])["RoutingRuleId"] for n in (1, 2, 3)]
    v2.put_routing_rule(DomainName=name, RoutingRuleId=rules[0], Priority=9, Actions=actions, Conditions=[])
    assert v2.get_routing_rule(DomainName=name, RoutingRuleId=rules[0])["Priority"] == 9
    assert len(aws.pages("apigatewayv2", "list_routing_rules", DomainName=name)) == 3
    v2.delete_routing_rule(DomainName=name, RoutingRuleId=rules[0])


def documents(aws):
    v2, id = aws.apigatewayv2, api(aws, Target=aws.backend.url, CorsConfiguration={"AllowOrigins": ["*"]})
    exported = v2.export_api(ApiId=id, OutputType="YAML", Specification="OAS30")["body"].read().decode()
    made = v2.import_api(Body=exported)["ApiId"]
    assert v2.reimport_api(ApiId=made, Body=exported, FailOnWarnings=True)["CorsConfiguration"] == {"AllowOrigins": ["*"]}
    v2.delete_cors_configuration(ApiId=made)
    v2.update_stage(ApiId=id, StageName="$default", RouteSettings={"$default": {"ThrottlingBurstLimit": 1}})
    v2.delete_route_settings(ApiId=id, StageName="$default", RouteKey="$default")
    assert v2.get_stage(ApiId=id, StageName="$default")["RouteSettings"] == {}


def vpc_links(aws):
    v2 = aws.apigatewayv2
    links = [v2.create_vpc_link(
        Name=f"link {n}", SubnetIds=["subnet-1"], SecurityGroupIds=["sg-1"], Tags={"countersign:upstream": aws.backend.url})["VpcLinkId"] for n in range(3)]
    v2.update_vpc_link(VpcLinkId=links[0], Name="changed")
    assert v2.get_vpc_link(VpcLinkId=links[0])["Name"] == "changed"
    assert len(aws.pages("apigatewayv2", "get_vpc_links")) == 3
    v2.delete_vpc_link(VpcLinkId=links[0])


def web_socket_apis(aws):
    v2 = aws.apigatewayv2
    id = v2.create_api(Name="chat", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")["ApiId"]
    models = [v2.create_model(ApiId=id, Name=f"Model{n}", ContentType="application/json", Schema="{}")["ModelId"] for n in range(3)]
    v2.update_model(ApiId=id, ModelId=models[0], Description="changed")
    assert v2.get_model(ApiId=id, ModelId=models[0])["Description"] == "changed"
    assert "$input.path('$')" in v2.get_model_template(ApiId=id, ModelId=models[0])["Value"]
    assert len(aws.pages("apigatewayv2", "get_models", ApiId=id)) == 3
    integration = v2.create_integration(ApiId=id, IntegrationType="MOCK", RequestTemplates={"200": "{}"}, TemplateSelectionExpression="200")["IntegrationId"]
    place = {"ApiId": id, "IntegrationId": integration}
    responses = [v2.create_integration_response(**place, IntegrationResponseKey=key)["IntegrationResponseId"] for key in ("$default", "/200/", "/4../")]
    v2.update_integration_response(**place, IntegrationResponseId=responses[0], ResponseTemplates={"$default": "{}"})
    assert v2.get_integration_response(**place, IntegrationResponseId=responses[0])["ResponseTemplates"] == {"$default": "{}"}
    assert len(aws.pages("apigatewayv2", "get_integration_responses", **place)) == 3
    v2.delete_integration_response(**place, IntegrationResponseId=responses[0])
    route = v2.create_route(
        ApiId=id, RouteKey="$connect", Target=f"integrations/{integration}", RequestModels={"$default": "Model0"},
        RequestParameters={"route.request.header.x": {"Required": True}})["RouteId"]
    v2.delete_route_request_parameter(ApiId=id, RouteId=route, RequestParameterKey="route.request.header.x")
    place = {"ApiId": id, "RouteId": route}
    response = v2.create_route_response(**place, RouteResponseKey="$default", ResponseModels={"$default": "Model1"})["RouteResponseId"]
    v2.update_route_response(**place, RouteResponseId=response, ResponseParameters={"route.response.header.x": {"Required": False}})
    assert v2.get_route_response(**place, RouteResponseId=response)["ResponseModels"] == {"$default": "Model1"}
    assert len(aws.pages("apigatewayv2", "get_route_responses", at_least=1, **place)) == 1
    v2.delete_route_response(**place, RouteResponseId=response)
    v2.delete_model(ApiId=id, ModelId=models[2])


def tags(aws):
    v2, id = aws.apigatewayv2, api(aws)
    arn = aws.arn("apigateway", f"/apis/{id}", account="")
    v2.tag_resource(ResourceArn=arn, Tags={"a": "1", "b": "2"})
    v2.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert v2.get_tags(ResourceArn=arn)["Tags"] == {"b": "2"}
