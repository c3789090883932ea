//! API Gateway v1: REST APIs.
//!
//! As in v2, an operation is a pure rule over a [`Draft`], in the file of its resource. Custom domain names, stages,
//! deployments and mappings are those of v2: both APIs see the same.

mod account;
pub(crate) mod api_key;
mod authorizer;
mod base_path;
pub(crate) mod client_certificate;
mod csv;
mod deployment;
mod domain_name;
mod gateway_response;
mod integration;
mod integration_response;
mod method;
mod method_response;
mod models;
mod patch;
mod request_validator;
mod resource;
pub(crate) mod rest_api;
mod stage;
#[cfg(test)]
mod tests;
pub(crate) mod usage;
pub(crate) mod usage_plan;

use aws::apigateway::*;
use aws::{Caller, Error};

use crate::apigatewayv2::draft::Draft;
use crate::apigatewayv2::tags;
use crate::control::blocking;
use crate::{By, Control};

impl ApiGateway for Control {
    async fn create_rest_api(&self, caller: &Caller, input: CreateRestApiRequest) -> Result<RestApi, Error> {
        self.edit(caller, |draft| {
            self.endpoint_certificate(draft)?;
            rest_api::create(draft, &input)
        })
        .await
    }

    async fn update_rest_api(&self, caller: &Caller, input: UpdateRestApiRequest) -> Result<RestApi, Error> {
        self.edit(caller, |draft| rest_api::update(draft, &input)).await
    }

    async fn delete_rest_api(&self, caller: &Caller, input: DeleteRestApiRequest) -> Result<(), Error> {
        self.edit(caller, |draft| rest_api::delete(draft, &input)).await
    }

    async fn get_rest_api(&self, caller: &Caller, input: GetRestApiRequest) -> Result<RestApi, Error> {
        rest_api::get(&self.draft(caller), &input)
    }

    async fn get_rest_apis(&self, caller: &Caller, input: GetRestApisRequest) -> Result<RestApis, Error> {
        rest_api::list(&self.draft(caller), &input)
    }

    async fn create_resource(&self, caller: &Caller, input: CreateResourceRequest) -> Result<Resource, Error> {
        self.edit(caller, |draft| resource::create(draft, &input)).await
    }

    async fn delete_resource(&self, caller: &Caller, input: DeleteResourceRequest) -> Result<(), Error> {
        self.edit(caller, |draft| resource::delete(draft, &input)).await
    }

    async fn get_resource(&self, caller: &Caller, input: GetResourceRequest) -> Result<Resource, Error> {
        resource::get(&self.draft(caller), &input)
    }

    async fn get_resources(&self, caller: &Caller, input: GetResourcesRequest) -> Result<Resources, Error> {
        resource::list(&self.draft(caller), &input)
    }

    async fn put_method(&self, caller: &Caller, input: PutMethodRequest) -> Result<Method, Error> {
        self.edit(caller, |draft| method::put(draft, &input)).await
    }

    async fn delete_method(&self, caller: &Caller, input: DeleteMethodRequest) -> Result<(), Error> {
        self.edit(caller, |draft| method::delete(draft, &input)).await
    }

    async fn get_method(&self, caller: &Caller, input: GetMethodRequest) -> Result<Method, Error> {
        method::get(&self.draft(caller), &input)
    }

    async fn put_integration(&self, caller: &Caller, input: PutIntegrationRequest) -> Result<Integration, Error> {
        self.edit(caller, |draft| integration::put(draft, &input)).await
    }

    async fn delete_integration(&self, caller: &Caller, input: DeleteIntegrationRequest) -> Result<(), Error> {
        self.edit(caller, |draft| integration::delete(draft, &input)).await
    }

    async fn get_integration(&self, caller: &Caller, input: GetIntegrationRequest) -> Result<Integration, Error> {
        integration::get(&self.draft(caller), &input)
    }

    async fn create_deployment(&self, caller: &Caller, input: CreateDeploymentRequest) -> Result<Deployment, Error> {
        self.edit(caller, |draft| deployment::create(draft, &input)).await
    }

    async fn delete_deployment(&self, caller: &Caller, input: DeleteDeploymentRequest) -> Result<(), Error> {
        self.edit(caller, |draft| deployment::delete(draft, &input)).await
    }

    async fn get_deployment(&self, caller: &Caller, input: GetDeploymentRequest) -> Result<Deployment, Error> {
        deployment::get(&self.draft(caller), &input)
    }

    async fn get_deployments(&self, caller: &Caller, input: GetDeploymentsRequest) -> Result<Deployments, Error> {
        deployment::list(&self.draft(caller), &input)
    }

    async fn create_stage(&self, caller: &Caller, input: CreateStageRequest) -> Result<Stage, Error> {
        self.edit(caller, |draft| stage::create(draft, &input)).await
    }

    async fn update_stage(&self, caller: &Caller, input: UpdateStageRequest) -> Result<Stage, Error> {
        self.edit(caller, |draft| stage::update(draft, &input)).await
    }

    async fn delete_stage(&self, caller: &Caller, input: DeleteStageRequest) -> Result<(), Error> {
        self.edit(caller, |draft| stage::delete(draft, &input)).await
    }

    async fn get_stage(&self, caller: &Caller, input: GetStageRequest) -> Result<Stage, Error> {
        stage::get(&self.draft(caller), &input)
    }

    async fn get_stages(&self, caller: &Caller, input: GetStagesRequest) -> Result<Stages, Error> {
        stage::list(&self.draft(caller), &input)
    }

    async fn generate_client_certificate(
        &self,
        caller: &Caller,
        input: GenerateClientCertificateRequest,
    ) -> Result<ClientCertificate, Error> {
        let at = caller.at.saturating_mul(1000);
        let made = blocking(move || client_certificate::Made::new(at)).await?;
        self.edit(caller, |draft| client_certificate::generate(draft, &input, &made, self.keyring())).await
    }

    async fn get_client_certificate(
        &self,
        caller: &Caller,
        input: GetClientCertificateRequest,
    ) -> Result<ClientCertificate, Error> {
        client_certificate::get(&self.draft(caller), &input)
    }

    async fn get_client_certificates(
        &self,
        caller: &Caller,
        input: GetClientCertificatesRequest,
    ) -> Result<ClientCertificates, Error> {
        client_certificate::list(&self.draft(caller), &input)
    }

    async fn update_client_certificate(
        &self,
        caller: &Caller,
        input: UpdateClientCertificateRequest,
    ) -> Result<ClientCertificate, Error> {
        self.edit(caller, |draft| client_certificate::update(draft, &input)).await
    }

    async fn delete_client_certificate(
        &self,
        caller: &Caller,
        input: DeleteClientCertificateRequest,
    ) -> Result<(), Error> {
        self.edit(caller, |draft| client_certificate::delete(draft, &input)).await
    }

    async fn create_base_path_mapping(
        &self,
        caller: &Caller,
        input: CreateBasePathMappingRequest,
    ) -> Result<BasePathMapping, Error> {
        self.edit(caller, |draft| base_path::create(draft, &input)).await
    }

    async fn update_base_path_mapping(
        &self,
        caller: &Caller,
        input: UpdateBasePathMappingRequest,
    ) -> Result<BasePathMapping, Error> {
        self.edit(caller, |draft| base_path::update(draft, &input)).await
    }

    async fn delete_base_path_mapping(
        &self,
        caller: &Caller,
        input: DeleteBasePathMappingRequest,
    ) -> Result<(), Error> {
        self.edit(caller, |draft| base_path::delete(draft, &input)).await
    }

    async fn get_base_path_mapping(
        &self,
        caller: &Caller,
        input: GetBasePathMappingRequest,
    ) -> Result<BasePathMapping, Error> {
        base_path::get(&self.draft(caller), &input)
    }

    async fn get_base_path_mappings(
        &self,
        caller: &Caller,
        input: GetBasePathMappingsRequest,
    ) -> Result<BasePathMappings, Error> {
        base_path::list(&self.draft(caller), &input)
    }

    async fn create_domain_name(&self, caller: &Caller, input: CreateDomainNameRequest) -> Result<DomainName, Error> {
        let domain = self.edit(caller, |draft| domain_name::create(draft, &input)).await?;
        Ok(domain_name::show(&self.draft(caller), &domain, &self.enforced()))
    }

    async fn update_domain_name(&self, caller: &Caller, input: UpdateDomainNameRequest) -> Result<DomainName, Error> {
        let domain = self.edit(caller, |draft| domain_name::update(draft, &input)).await?;
        Ok(domain_name::show(&self.draft(caller), &domain, &self.enforced()))
    }

    async fn delete_domain_name(&self, caller: &Caller, input: DeleteDomainNameRequest) -> Result<(), Error> {
        self.edit(caller, |draft| domain_name::delete(draft, &input)).await
    }

    async fn get_domain_name(&self, caller: &Caller, input: GetDomainNameRequest) -> Result<DomainName, Error> {
        domain_name::get(&self.draft(caller), &input, &self.enforced())
    }

    async fn get_domain_names(&self, caller: &Caller, input: GetDomainNamesRequest) -> Result<DomainNames, Error> {
        domain_name::list(&self.draft(caller), &input, &self.enforced())
    }

    async fn get_tags(&self, caller: &Caller, input: GetTagsRequest) -> Result<Tags, Error> {
        Ok(Tags { tags: Some(tags::get(&self.draft(caller), &input.resource_arn)?) })
    }

    async fn tag_resource(&self, caller: &Caller, input: TagResourceRequest) -> Result<(), Error> {
        self.edit(caller, |draft| tags::tag(draft, &input.resource_arn, &input.tags)).await
    }

    async fn untag_resource(&self, caller: &Caller, input: UntagResourceRequest) -> Result<(), Error> {
        self.edit(caller, |draft| tags::untag(draft, &input.resource_arn, &input.tag_keys)).await
    }

    async fn create_api_key(&self, caller: &Caller, input: CreateApiKeyRequest) -> Result<ApiKey, Error> {
        self.edit(caller, |draft| api_key::create(draft, self.keyring(), &input)).await
    }

    async fn import_api_keys(&self, caller: &Caller, input: ImportApiKeysRequest) -> Result<ApiKeyIds, Error> {
        self.edit(caller, |draft| api_key::import(draft, self.keyring(), &input)).await
    }

    async fn update_api_key(&self, caller: &Caller, input: UpdateApiKeyRequest) -> Result<ApiKey, Error> {
        self.edit(caller, |draft| api_key::update(draft, &input)).await
    }

    async fn delete_api_key(&self, caller: &Caller, input: DeleteApiKeyRequest) -> Result<(), Error> {
        self.edit(caller, |draft| api_key::delete(draft, &input)).await
    }

    async fn get_api_key(&self, caller: &Caller, input: GetApiKeyRequest) -> Result<ApiKey, Error> {
        api_key::get(&self.draft(caller), self.keyring(), &input)
    }

    async fn get_api_keys(&self, caller: &Caller, input: GetApiKeysRequest) -> Result<ApiKeys, Error> {
        api_key::list(&self.draft(caller), self.keyring(), &input)
    }

    async fn create_usage_plan(&self, caller: &Caller, input: CreateUsagePlanRequest) -> Result<UsagePlan, Error> {
        self.edit(caller, |draft| usage_plan::create(draft, &input)).await
    }

    async fn update_usage_plan(&self, caller: &Caller, input: UpdateUsagePlanRequest) -> Result<UsagePlan, Error> {
        self.edit(caller, |draft| usage_plan::update(draft, &input)).await
    }

    async fn delete_usage_plan(&self, caller: &Caller, input: DeleteUsagePlanRequest) -> Result<(), Error> {
        self.edit(caller, |draft| usage_plan::delete(draft, &input)).await
    }

    async fn get_usage_plan(&self, caller: &Caller, input: GetUsagePlanRequest) -> Result<UsagePlan, Error> {
        usage_plan::get(&self.draft(caller), &input)
    }

    async fn get_usage_plans(&self, caller: &Caller, input: GetUsagePlansRequest) -> Result<UsagePlans, Error> {
        usage_plan::list(&self.draft(caller), &input)
    }

    async fn create_usage_plan_key(
        &self,
        caller: &Caller,
        input: CreateUsagePlanKeyRequest,
    ) -> Result<UsagePlanKey, Error> {
        self.edit(caller, |draft| usage_plan::create_key(draft, self.keyring(), &input)).await
    }

    async fn delete_usage_plan_key(&self, caller: &Caller, input: DeleteUsagePlanKeyRequest) -> Result<(), Error> {
        self.edit(caller, |draft| usage_plan::delete_key(draft, &input)).await
    }

    async fn get_usage_plan_key(&self, caller: &Caller, input: GetUsagePlanKeyRequest) -> Result<UsagePlanKey, Error> {
        usage_plan::get_key(&self.draft(caller), self.keyring(), &input)
    }

    async fn get_usage_plan_keys(
        &self,
        caller: &Caller,
        input: GetUsagePlanKeysRequest,
    ) -> Result<UsagePlanKeys, Error> {
        usage_plan::list_keys(&self.draft(caller), self.keyring(), &input)
    }

    async fn get_usage(&self, caller: &Caller, input: GetUsageRequest) -> Result<Usage, Error> {
        let (control, caller) = (self.clone(), caller.clone());
        blocking(move || {
            let snapshot = control.shared.snapshots.borrow().clone();
            usage::get(&control.draft(&caller), &input, &control.shared.usage, &snapshot)
        })
        .await
    }

    async fn update_usage(&self, caller: &Caller, input: UpdateUsageRequest) -> Result<Usage, Error> {
        let (control, of) = (self.clone(), caller.clone());
        let update = async move {
            let snapshot = control.shared.snapshots.borrow().clone();
            usage::update(&control.draft(&of), &input, &snapshot)
        };
        self.settings().recorded(By::Caller(caller), update).await
    }

    async fn update_resource(&self, caller: &Caller, input: UpdateResourceRequest) -> Result<Resource, Error> {
        self.edit(caller, |draft| resource::update(draft, &input)).await
    }

    async fn update_method(&self, caller: &Caller, input: UpdateMethodRequest) -> Result<Method, Error> {
        self.edit(caller, |draft| method::update(draft, &input)).await
    }

    async fn update_integration(&self, caller: &Caller, input: UpdateIntegrationRequest) -> Result<Integration, Error> {
        self.edit(caller, |draft| integration::update(draft, &input)).await
    }

    async fn update_deployment(&self, caller: &Caller, input: UpdateDeploymentRequest) -> Result<Deployment, Error> {
        self.edit(caller, |draft| deployment::update(draft, &input)).await
    }

    async fn create_authorizer(&self, caller: &Caller, input: CreateAuthorizerRequest) -> Result<Authorizer, Error> {
        self.edit(caller, |draft| authorizer::create(draft, &input)).await
    }

    async fn update_authorizer(&self, caller: &Caller, input: UpdateAuthorizerRequest) -> Result<Authorizer, Error> {
        self.edit(caller, |draft| authorizer::update(draft, &input)).await
    }

    async fn delete_authorizer(&self, caller: &Caller, input: DeleteAuthorizerRequest) -> Result<(), Error> {
        self.edit(caller, |draft| authorizer::delete(draft, &input)).await
    }

    async fn get_authorizer(&self, caller: &Caller, input: GetAuthorizerRequest) -> Result<Authorizer, Error> {
        authorizer::get(&self.draft(caller), &input)
    }

    async fn get_authorizers(&self, caller: &Caller, input: GetAuthorizersRequest) -> Result<Authorizers, Error> {
        authorizer::list(&self.draft(caller), &input)
    }

    async fn flush_stage_authorizers_cache(
        &self,
        caller: &Caller,
        input: FlushStageAuthorizersCacheRequest,
    ) -> Result<(), Error> {
        self.edit(caller, |draft| stage::flush_authorizers(draft, &input)).await
    }

    async fn put_gateway_response(
        &self,
        caller: &Caller,
        input: PutGatewayResponseRequest,
    ) -> Result<GatewayResponse, Error> {
        self.edit(caller, |draft| gateway_response::put(draft, &input)).await
    }

    async fn update_gateway_response(
        &self,
        caller: &Caller,
        input: UpdateGatewayResponseRequest,
    ) -> Result<GatewayResponse, Error> {
        self.edit(caller, |draft| gateway_response::update(draft, &input)).await
    }

    async fn delete_gateway_response(&self, caller: &Caller, input: DeleteGatewayResponseRequest) -> Result<(), Error> {
        self.edit(caller, |draft| gateway_response::delete(draft, &input)).await
    }

    async fn get_gateway_response(
        &self,
        caller: &Caller,
        input: GetGatewayResponseRequest,
    ) -> Result<GatewayResponse, Error> {
        gateway_response::get(&self.draft(caller), &input)
    }

    async fn get_gateway_responses(
        &self,
        caller: &Caller,
        input: GetGatewayResponsesRequest,
    ) -> Result<GatewayResponses, Error> {
        gateway_response::list(&self.draft(caller), &input)
    }

    async fn get_account(&self, caller: &Caller, _: GetAccountRequest) -> Result<Account, Error> {
        Ok(account::get(&self.draft(caller)))
    }

    async fn update_account(&self, caller: &Caller, input: UpdateAccountRequest) -> Result<Account, Error> {
        self.edit(caller, |draft| account::update(draft, &input)).await
    }

    async fn create_request_validator(
        &self,
        caller: &Caller,
        input: CreateRequestValidatorRequest,
    ) -> Result<RequestValidator, Error> {
        self.edit(caller, |draft| request_validator::create(draft, &input)).await
    }

    async fn update_request_validator(
        &self,
        caller: &Caller,
        input: UpdateRequestValidatorRequest,
    ) -> Result<RequestValidator, Error> {
        self.edit(caller, |draft| request_validator::update(draft, &input)).await
    }

    async fn delete_request_validator(
        &self,
        caller: &Caller,
        input: DeleteRequestValidatorRequest,
    ) -> Result<(), Error> {
        self.edit(caller, |draft| request_validator::delete(draft, &input)).await
    }

    async fn get_request_validator(
        &self,
        caller: &Caller,
        input: GetRequestValidatorRequest,
    ) -> Result<RequestValidator, Error> {
        request_validator::get(&self.draft(caller), &input)
    }

    async fn get_request_validators(
        &self,
        caller: &Caller,
        input: GetRequestValidatorsRequest,
    ) -> Result<RequestValidators, Error> {
        request_validator::list(&self.draft(caller), &input)
    }

    async fn put_method_response(
        &self,
        caller: &Caller,
        input: PutMethodResponseRequest,
    ) -> Result<MethodResponse, Error> {
        self.edit(caller, |draft| method_response::put(draft, &input)).await
    }

    async fn update_method_response(
        &self,
        caller: &Caller,
        input: UpdateMethodResponseRequest,
    ) -> Result<MethodResponse, Error> {
        self.edit(caller, |draft| method_response::update(draft, &input)).await
    }

    async fn delete_method_response(&self, caller: &Caller, input: DeleteMethodResponseRequest) -> Result<(), Error> {
        self.edit(caller, |draft| method_response::delete(draft, &input)).await
    }

    async fn get_method_response(
        &self,
        caller: &Caller,
        input: GetMethodResponseRequest,
    ) -> Result<MethodResponse, Error> {
        method_response::get(&self.draft(caller), &input)
    }

    async fn put_integration_response(
        &self,
        caller: &Caller,
        input: PutIntegrationResponseRequest,
    ) -> Result<IntegrationResponse, Error> {
        self.edit(caller, |draft| integration_response::put(draft, &input)).await
    }

    async fn update_integration_response(
        &self,
        caller: &Caller,
        input: UpdateIntegrationResponseRequest,
    ) -> Result<IntegrationResponse, Error> {
        self.edit(caller, |draft| integration_response::update(draft, &input)).await
    }

    async fn delete_integration_response(
        &self,
        caller: &Caller,
        input: DeleteIntegrationResponseRequest,
    ) -> Result<(), Error> {
        self.edit(caller, |draft| integration_response::delete(draft, &input)).await
    }

    async fn get_integration_response(
        &self,
        caller: &Caller,
        input: GetIntegrationResponseRequest,
    ) -> Result<IntegrationResponse, Error> {
        integration_response::get(&self.draft(caller), &input)
    }

    async fn create_model(&self, caller: &Caller, input: CreateModelRequest) -> Result<Model, Error> {
        self.edit(caller, |draft| models::create(draft, &input)).await
    }

    async fn update_model(&self, caller: &Caller, input: UpdateModelRequest) -> Result<Model, Error> {
        self.edit(caller, |draft| models::update(draft, &input)).await
    }

    async fn delete_model(&self, caller: &Caller, input: DeleteModelRequest) -> Result<(), Error> {
        self.edit(caller, |draft| models::delete(draft, &input)).await
    }

    async fn get_model(&self, caller: &Caller, input: GetModelRequest) -> Result<Model, Error> {
        models::get(&self.draft(caller), &input)
    }

    async fn get_models(&self, caller: &Caller, input: GetModelsRequest) -> Result<Models, Error> {
        models::list(&self.draft(caller), &input)
    }

    async fn get_model_template(&self, caller: &Caller, input: GetModelTemplateRequest) -> Result<Template, Error> {
        models::template(&self.draft(caller), &input)
    }
}
