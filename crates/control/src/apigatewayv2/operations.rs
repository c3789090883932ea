//! The operations by name: each gets its caller, and what it changes is committed.

use aws::apigatewayv2::*;
use aws::{Caller, Error};
use model::resource::Tags;

use super::{
    api, authorizer, deployment, document, domain, integration, mapping, route, routing_rule, stage, tags, vpc_link,
    web_socket,
};
use crate::Control;
use crate::authorization::needs::{EXTENSION, SET_POLICY};

impl ApiGatewayV2 for Control {
    async fn create_api(&self, caller: &Caller, input: CreateApiRequest) -> Result<CreateApiResponse, Error> {
        self.edit(caller, |draft| {
            self.endpoint_certificate(draft)?;
            api::create(draft, &input)
        })
        .await
    }

    async fn update_api(&self, caller: &Caller, input: UpdateApiRequest) -> Result<UpdateApiResponse, Error> {
        self.edit(caller, |draft| api::update(draft, &input)).await
    }

    async fn delete_api(&self, caller: &Caller, input: DeleteApiRequest) -> Result<(), Error> {
        self.edit(caller, |draft| api::delete(draft, &input)).await
    }

    async fn delete_cors_configuration(
        &self,
        caller: &Caller,
        input: DeleteCorsConfigurationRequest,
    ) -> Result<(), Error> {
        self.edit(caller, |draft| api::delete_cors(draft, &input)).await
    }

    async fn import_api(&self, caller: &Caller, input: ImportApiRequest) -> Result<ImportApiResponse, Error> {
        self.edit(caller, |draft| {
            self.endpoint_certificate(draft)?;
            let made = document::import(draft, &input)?;
            may_set(caller, "/apis", &Tags::new(), made.tags.as_ref())?;
            Ok(made)
        })
        .await
    }

    async fn reimport_api(&self, caller: &Caller, input: ReimportApiRequest) -> Result<ReimportApiResponse, Error> {
        self.edit(caller, |draft| {
            let before = draft.state.apis.get(&input.api_id).map(|api| api.tags.clone()).unwrap_or_default();
            let made = document::reimport(draft, &input)?;
            may_set(caller, &format!("/apis/{}", input.api_id), &before, made.tags.as_ref())?;
            Ok(made)
        })
        .await
    }

    async fn export_api(&self, caller: &Caller, input: ExportApiRequest) -> Result<ExportApiResponse, Error> {
        document::export(&self.draft(caller), &input)
    }

    async fn create_vpc_link(
        &self,
        caller: &Caller,
        input: CreateVpcLinkRequest,
    ) -> Result<CreateVpcLinkResponse, Error> {
        self.edit(caller, |draft| vpc_link::create(draft, &input)).await
    }

    async fn update_vpc_link(
        &self,
        caller: &Caller,
        input: UpdateVpcLinkRequest,
    ) -> Result<UpdateVpcLinkResponse, Error> {
        self.edit(caller, |draft| vpc_link::update(draft, &input)).await
    }

    async fn delete_vpc_link(
        &self,
        caller: &Caller,
        input: DeleteVpcLinkRequest,
    ) -> Result<DeleteVpcLinkResponse, Error> {
        self.edit(caller, |draft| vpc_link::delete(draft, &input)).await?;
        Ok(DeleteVpcLinkResponse {})
    }

    async fn get_vpc_link(&self, caller: &Caller, input: GetVpcLinkRequest) -> Result<GetVpcLinkResponse, Error> {
        vpc_link::get(&self.draft(caller), &input)
    }

    async fn get_vpc_links(&self, caller: &Caller, input: GetVpcLinksRequest) -> Result<GetVpcLinksResponse, Error> {
        vpc_link::list(&self.draft(caller), &input)
    }

    async fn get_api(&self, caller: &Caller, input: GetApiRequest) -> Result<GetApiResponse, Error> {
        let draft = self.draft(caller);
        Ok(api::show(&draft, &*draft.api(&input.api_id)?))
    }

    async fn get_apis(&self, caller: &Caller, input: GetApisRequest) -> Result<GetApisResponse, Error> {
        api::list(&self.draft(caller), &input)
    }

    async fn create_authorizer(
        &self,
        caller: &Caller,
        input: CreateAuthorizerRequest,
    ) -> Result<CreateAuthorizerResponse, Error> {
        self.edit(caller, |draft| authorizer::create(draft, &input)).await
    }

    async fn update_authorizer(
        &self,
        caller: &Caller,
        input: UpdateAuthorizerRequest,
    ) -> Result<UpdateAuthorizerResponse, Error> {
        self.edit(caller, |draft| authorizer::update(draft, &input)).await
    }

    async fn delete_authorizer(&self, caller: &Caller, input: DeleteAuthorizerRequest) -> Result<(), Error> {
        self.edit(caller, |draft| authorizer::delete(draft, &input)).await
    }

    async fn get_authorizer(
        &self,
        caller: &Caller,
        input: GetAuthorizerRequest,
    ) -> Result<GetAuthorizerResponse, Error> {
        authorizer::get(&self.draft(caller), &input)
    }

    async fn get_authorizers(
        &self,
        caller: &Caller,
        input: GetAuthorizersRequest,
    ) -> Result<GetAuthorizersResponse, Error> {
        authorizer::list(&self.draft(caller), &input)
    }

    async fn create_integration(
        &self,
        caller: &Caller,
        input: CreateIntegrationRequest,
    ) -> Result<CreateIntegrationResult, Error> {
        self.edit(caller, |draft| integration::create(draft, &input)).await
    }

    async fn update_integration(
        &self,
        caller: &Caller,
        input: UpdateIntegrationRequest,
    ) -> Result<UpdateIntegrationResult, Error> {
        self.edit(caller, |draft| integration::update(draft, &input)).await
    }

    async fn delete_integration(&self, caller: &Caller, input: DeleteIntegrationRequest) -> Result<(), Error> {
        self.edit(caller, |draft| integration::delete(draft, &input)).await
    }

    async fn get_integration(
        &self,
        caller: &Caller,
        input: GetIntegrationRequest,
    ) -> Result<GetIntegrationResult, Error> {
        integration::get(&self.draft(caller), &input)
    }

    async fn get_integrations(
        &self,
        caller: &Caller,
        input: GetIntegrationsRequest,
    ) -> Result<GetIntegrationsResponse, Error> {
        integration::list(&self.draft(caller), &input)
    }

    async fn create_route(&self, caller: &Caller, input: CreateRouteRequest) -> Result<CreateRouteResult, Error> {
        self.edit(caller, |draft| route::create(draft, &input)).await
    }

    async fn update_route(&self, caller: &Caller, input: UpdateRouteRequest) -> Result<UpdateRouteResult, Error> {
        self.edit(caller, |draft| route::update(draft, &input)).await
    }

    async fn delete_route(&self, caller: &Caller, input: DeleteRouteRequest) -> Result<(), Error> {
        self.edit(caller, |draft| route::delete(draft, &input)).await
    }

    async fn get_route(&self, caller: &Caller, input: GetRouteRequest) -> Result<GetRouteResult, Error> {
        route::get(&self.draft(caller), &input)
    }

    async fn get_routes(&self, caller: &Caller, input: GetRoutesRequest) -> Result<GetRoutesResponse, Error> {
        route::list(&self.draft(caller), &input)
    }

    async fn create_model(&self, caller: &Caller, input: CreateModelRequest) -> Result<CreateModelResponse, Error> {
        self.edit(caller, |draft| web_socket::model::create(draft, &input)).await
    }

    async fn update_model(&self, caller: &Caller, input: UpdateModelRequest) -> Result<UpdateModelResponse, Error> {
        self.edit(caller, |draft| web_socket::model::update(draft, &input)).await
    }

    async fn delete_model(&self, caller: &Caller, input: DeleteModelRequest) -> Result<(), Error> {
        self.edit(caller, |draft| web_socket::model::delete(draft, &input)).await
    }

    async fn get_model(&self, caller: &Caller, input: GetModelRequest) -> Result<GetModelResponse, Error> {
        web_socket::model::get(&self.draft(caller), &input)
    }

    async fn get_model_template(
        &self,
        caller: &Caller,
        input: GetModelTemplateRequest,
    ) -> Result<GetModelTemplateResponse, Error> {
        web_socket::model::template(&self.draft(caller), &input)
    }

    async fn get_models(&self, caller: &Caller, input: GetModelsRequest) -> Result<GetModelsResponse, Error> {
        web_socket::model::list(&self.draft(caller), &input)
    }

    async fn create_route_response(
        &self,
        caller: &Caller,
        input: CreateRouteResponseRequest,
    ) -> Result<CreateRouteResponseResponse, Error> {
        self.edit(caller, |draft| web_socket::route_response::create(draft, input.clone())).await
    }

    async fn update_route_response(
        &self,
        caller: &Caller,
        input: UpdateRouteResponseRequest,
    ) -> Result<UpdateRouteResponseResponse, Error> {
        self.edit(caller, |draft| web_socket::route_response::update(draft, input.clone())).await
    }

    async fn delete_route_response(&self, caller: &Caller, input: DeleteRouteResponseRequest) -> Result<(), Error> {
        self.edit(caller, |draft| web_socket::route_response::delete(draft, &input)).await
    }

    async fn get_route_response(
        &self,
        caller: &Caller,
        input: GetRouteResponseRequest,
    ) -> Result<GetRouteResponseResponse, Error> {
        web_socket::route_response::get(&self.draft(caller), &input)
    }

    async fn get_route_responses(
        &self,
        caller: &Caller,
        input: GetRouteResponsesRequest,
    ) -> Result<GetRouteResponsesResponse, Error> {
        web_socket::route_response::list(&self.draft(caller), &input)
    }

    async fn create_integration_response(
        &self,
        caller: &Caller,
        input: CreateIntegrationResponseRequest,
    ) -> Result<CreateIntegrationResponseResponse, Error> {
        self.edit(caller, |draft| web_socket::integration_response::create(draft, input.clone())).await
    }

    async fn update_integration_response(
        &self,
        caller: &Caller,
        input: UpdateIntegrationResponseRequest,
    ) -> Result<UpdateIntegrationResponseResponse, Error> {
        self.edit(caller, |draft| web_socket::integration_response::update(draft, input.clone())).await
    }

    async fn delete_integration_response(
        &self,
        caller: &Caller,
        input: DeleteIntegrationResponseRequest,
    ) -> Result<(), Error> {
        self.edit(caller, |draft| web_socket::integration_response::delete(draft, &input)).await
    }

    async fn get_integration_response(
        &self,
        caller: &Caller,
        input: GetIntegrationResponseRequest,
    ) -> Result<GetIntegrationResponseResponse, Error> {
        web_socket::integration_response::get(&self.draft(caller), &input)
    }

    async fn get_integration_responses(
        &self,
        caller: &Caller,
        input: GetIntegrationResponsesRequest,
    ) -> Result<GetIntegrationResponsesResponse, Error> {
        web_socket::integration_response::list(&self.draft(caller), &input)
    }

    async fn delete_route_request_parameter(
        &self,
        caller: &Caller,
        input: DeleteRouteRequestParameterRequest,
    ) -> Result<(), Error> {
        self.edit(caller, |draft| web_socket::route::delete_parameter(draft, &input)).await
    }

    async fn create_stage(&self, caller: &Caller, input: CreateStageRequest) -> Result<CreateStageResponse, Error> {
        self.edit(caller, |draft| stage::create(draft, &input)).await
    }

    async fn update_stage(&self, caller: &Caller, input: UpdateStageRequest) -> Result<UpdateStageResponse, Error> {
        self.edit(caller, |draft| stage::update(draft, &input)).await
    }

    async fn delete_stage(&self, caller: &Caller, input: DeleteStageRequest) -> Result<(), Error> {
        self.edit(caller, |draft| stage::delete(draft, &input)).await
    }

    async fn reset_authorizers_cache(&self, caller: &Caller, input: ResetAuthorizersCacheRequest) -> Result<(), Error> {
        self.edit(caller, |draft| stage::reset_authorizers(draft, &input)).await
    }

    async fn delete_route_settings(&self, caller: &Caller, input: DeleteRouteSettingsRequest) -> Result<(), Error> {
        self.edit(caller, |draft| stage::delete_route_settings(draft, &input)).await
    }

    async fn delete_access_log_settings(
        &self,
        caller: &Caller,
        input: DeleteAccessLogSettingsRequest,
    ) -> Result<(), Error> {
        self.edit(caller, |draft| stage::delete_access_log(draft, &input)).await
    }

    async fn get_stage(&self, caller: &Caller, input: GetStageRequest) -> Result<GetStageResponse, Error> {
        stage::get(&self.draft(caller), &input)
    }

    async fn get_stages(&self, caller: &Caller, input: GetStagesRequest) -> Result<GetStagesResponse, Error> {
        stage::list(&self.draft(caller), &input)
    }

    async fn create_deployment(
        &self,
        caller: &Caller,
        input: CreateDeploymentRequest,
    ) -> Result<CreateDeploymentResponse, Error> {
        self.edit(caller, |draft| deployment::create(draft, &input)).await
    }

    async fn update_deployment(
        &self,
        caller: &Caller,
        input: UpdateDeploymentRequest,
    ) -> Result<UpdateDeploymentResponse, Error> {
        self.edit(caller, |draft| deployment::update(draft, &input)).await
    }

    async fn delete_deployment(&self, caller: &Caller, input: DeleteDeploymentRequest) -> Result<(), Error> {
        self.edit(caller, |draft| deployment::delete(draft, &input)).await
    }

    async fn get_deployment(
        &self,
        caller: &Caller,
        input: GetDeploymentRequest,
    ) -> Result<GetDeploymentResponse, Error> {
        deployment::get(&self.draft(caller), &input)
    }

    async fn get_deployments(
        &self,
        caller: &Caller,
        input: GetDeploymentsRequest,
    ) -> Result<GetDeploymentsResponse, Error> {
        deployment::list(&self.draft(caller), &input)
    }

    async fn create_domain_name(
        &self,
        caller: &Caller,
        input: CreateDomainNameRequest,
    ) -> Result<CreateDomainNameResponse, Error> {
        let domain = self.edit(caller, |draft| domain::create(draft, &input, Default::default())).await?;
        Ok(self.show_domain(caller, &domain))
    }

    async fn update_domain_name(
        &self,
        caller: &Caller,
        input: UpdateDomainNameRequest,
    ) -> Result<UpdateDomainNameResponse, Error> {
        let domain = self.edit(caller, |draft| domain::update(draft, &input, domain::Tls::of_v2(&input))).await?;
        Ok(self.show_domain(caller, &domain))
    }

    async fn delete_domain_name(&self, caller: &Caller, input: DeleteDomainNameRequest) -> Result<(), Error> {
        self.edit(caller, |draft| domain::delete(draft, &input)).await
    }

    async fn get_domain_name(
        &self,
        caller: &Caller,
        input: GetDomainNameRequest,
    ) -> Result<GetDomainNameResponse, Error> {
        let draft = self.draft(caller);
        Ok(domain::show(&draft, &*draft.domain(&input.domain_name)?, &self.enforced()))
    }

    async fn get_domain_names(
        &self,
        caller: &Caller,
        input: GetDomainNamesRequest,
    ) -> Result<GetDomainNamesResponse, Error> {
        domain::list(&self.draft(caller), &input, &self.enforced())
    }

    async fn create_api_mapping(
        &self,
        caller: &Caller,
        input: CreateApiMappingRequest,
    ) -> Result<CreateApiMappingResponse, Error> {
        self.edit(caller, |draft| mapping::create(draft, &input)).await
    }

    async fn update_api_mapping(
        &self,
        caller: &Caller,
        input: UpdateApiMappingRequest,
    ) -> Result<UpdateApiMappingResponse, Error> {
        self.edit(caller, |draft| mapping::update(draft, &input)).await
    }

    async fn delete_api_mapping(&self, caller: &Caller, input: DeleteApiMappingRequest) -> Result<(), Error> {
        self.edit(caller, |draft| mapping::delete(draft, &input)).await
    }

    async fn get_api_mapping(
        &self,
        caller: &Caller,
        input: GetApiMappingRequest,
    ) -> Result<GetApiMappingResponse, Error> {
        mapping::get(&self.draft(caller), &input)
    }

    async fn get_api_mappings(
        &self,
        caller: &Caller,
        input: GetApiMappingsRequest,
    ) -> Result<GetApiMappingsResponse, Error> {
        mapping::list(&self.draft(caller), &input)
    }

    async fn create_routing_rule(
        &self,
        caller: &Caller,
        input: CreateRoutingRuleRequest,
    ) -> Result<CreateRoutingRuleResponse, Error> {
        self.edit(caller, |draft| routing_rule::create(draft, &input)).await
    }

    async fn put_routing_rule(
        &self,
        caller: &Caller,
        input: PutRoutingRuleRequest,
    ) -> Result<PutRoutingRuleResponse, Error> {
        self.edit(caller, |draft| routing_rule::replace(draft, &input)).await
    }

    async fn delete_routing_rule(&self, caller: &Caller, input: DeleteRoutingRuleRequest) -> Result<(), Error> {
        self.edit(caller, |draft| routing_rule::delete(draft, &input)).await
    }

    async fn get_routing_rule(
        &self,
        caller: &Caller,
        input: GetRoutingRuleRequest,
    ) -> Result<GetRoutingRuleResponse, Error> {
        routing_rule::get(&self.draft(caller), &input)
    }

    async fn list_routing_rules(
        &self,
        caller: &Caller,
        input: ListRoutingRulesRequest,
    ) -> Result<ListRoutingRulesResponse, Error> {
        routing_rule::list(&self.draft(caller), &input)
    }

    async fn get_tags(&self, caller: &Caller, input: GetTagsRequest) -> Result<GetTagsResponse, Error> {
        let tags = tags::get(&self.draft(caller), &input.resource_arn)?;
        Ok(GetTagsResponse { tags: Some(tags) })
    }

    async fn tag_resource(&self, caller: &Caller, input: TagResourceRequest) -> Result<TagResourceResponse, Error> {
        let tags = input.tags.unwrap_or_default();
        self.edit(caller, |draft| tags::tag(draft, &input.resource_arn, &tags)).await?;
        Ok(TagResourceResponse {})
    }

    async fn untag_resource(&self, caller: &Caller, input: UntagResourceRequest) -> Result<(), Error> {
        self.edit(caller, |draft| tags::untag(draft, &input.resource_arn, &input.tag_keys)).await
    }
}

/// Refuses who may not set what a document's tags set: authorization reads no documents.
pub(crate) fn may_set(caller: &Caller, path: &str, before: &Tags, after: Option<&Tags>) -> Result<(), Error> {
    let after = after.unwrap_or(before);
    match after.iter().any(|(name, value)| name.starts_with(EXTENSION) && before.get(name) != Some(value)) {
        true => caller.may(SET_POLICY, &format!("arn:aws:apigateway:{}::{path}", caller.region)),
        false => Ok(()),
    }
}
