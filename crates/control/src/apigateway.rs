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
mod document;
mod documentation;
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
use crate::apigatewayv2::operations::may_set;
use crate::apigatewayv2::tags;
use crate::control::blocking;
use crate::{By, Control};
pub(crate) use models::sketched;

/// Operations that are a rule alone: what they change is committed.
macro_rules! changes {
    ($($name:ident($input:ty) -> $output:ty = $rule:path;)*) => {
        $(async fn $name(&self, caller: &Caller, input: $input) -> Result<$output, Error> {
            self.edit(caller, |draft| $rule(draft, &input)).await
        })*
    };
}

/// Operations that change nothing.
macro_rules! reads {
    ($($name:ident($input:ty) -> $output:ty = $rule:path;)*) => {
        $(async fn $name(&self, caller: &Caller, input: $input) -> Result<$output, Error> {
            $rule(&self.draft(caller), &input)
        })*
    };
}

impl ApiGateway for Control {
    changes! {
        update_rest_api(UpdateRestApiRequest) -> RestApi = rest_api::update;
        delete_rest_api(DeleteRestApiRequest) -> () = rest_api::delete;
        create_resource(CreateResourceRequest) -> Resource = resource::create;
        delete_resource(DeleteResourceRequest) -> () = resource::delete;
        put_method(PutMethodRequest) -> Method = method::put;
        delete_method(DeleteMethodRequest) -> () = method::delete;
        put_integration(PutIntegrationRequest) -> Integration = integration::put;
        delete_integration(DeleteIntegrationRequest) -> () = integration::delete;
        create_deployment(CreateDeploymentRequest) -> Deployment = deployment::create;
        delete_deployment(DeleteDeploymentRequest) -> () = deployment::delete;
        create_stage(CreateStageRequest) -> Stage = stage::create;
        update_stage(UpdateStageRequest) -> Stage = stage::update;
        delete_stage(DeleteStageRequest) -> () = stage::delete;
        update_client_certificate(UpdateClientCertificateRequest) -> ClientCertificate = client_certificate::update;
        delete_client_certificate(DeleteClientCertificateRequest) -> () = client_certificate::delete;
        create_base_path_mapping(CreateBasePathMappingRequest) -> BasePathMapping = base_path::create;
        update_base_path_mapping(UpdateBasePathMappingRequest) -> BasePathMapping = base_path::update;
        delete_base_path_mapping(DeleteBasePathMappingRequest) -> () = base_path::delete;
        delete_domain_name(DeleteDomainNameRequest) -> () = domain_name::delete;
        update_api_key(UpdateApiKeyRequest) -> ApiKey = api_key::update;
        delete_api_key(DeleteApiKeyRequest) -> () = api_key::delete;
        create_usage_plan(CreateUsagePlanRequest) -> UsagePlan = usage_plan::create;
        update_usage_plan(UpdateUsagePlanRequest) -> UsagePlan = usage_plan::update;
        delete_usage_plan(DeleteUsagePlanRequest) -> () = usage_plan::delete;
        delete_usage_plan_key(DeleteUsagePlanKeyRequest) -> () = usage_plan::delete_key;
        update_resource(UpdateResourceRequest) -> Resource = resource::update;
        update_method(UpdateMethodRequest) -> Method = method::update;
        update_integration(UpdateIntegrationRequest) -> Integration = integration::update;
        update_deployment(UpdateDeploymentRequest) -> Deployment = deployment::update;
        create_authorizer(CreateAuthorizerRequest) -> Authorizer = authorizer::create;
        update_authorizer(UpdateAuthorizerRequest) -> Authorizer = authorizer::update;
        delete_authorizer(DeleteAuthorizerRequest) -> () = authorizer::delete;
        flush_stage_authorizers_cache(FlushStageAuthorizersCacheRequest) -> () = stage::flush_authorizers;
        put_gateway_response(PutGatewayResponseRequest) -> GatewayResponse = gateway_response::put;
        update_gateway_response(UpdateGatewayResponseRequest) -> GatewayResponse = gateway_response::update;
        delete_gateway_response(DeleteGatewayResponseRequest) -> () = gateway_response::delete;
        update_account(UpdateAccountRequest) -> Account = account::update;
        create_request_validator(CreateRequestValidatorRequest) -> RequestValidator = request_validator::create;
        update_request_validator(UpdateRequestValidatorRequest) -> RequestValidator = request_validator::update;
        delete_request_validator(DeleteRequestValidatorRequest) -> () = request_validator::delete;
        put_method_response(PutMethodResponseRequest) -> MethodResponse = method_response::put;
        update_method_response(UpdateMethodResponseRequest) -> MethodResponse = method_response::update;
        delete_method_response(DeleteMethodResponseRequest) -> () = method_response::delete;
        put_integration_response(PutIntegrationResponseRequest) -> IntegrationResponse = integration_response::put;
        update_integration_response(UpdateIntegrationResponseRequest) -> IntegrationResponse = integration_response::update;
        delete_integration_response(DeleteIntegrationResponseRequest) -> () = integration_response::delete;
        create_model(CreateModelRequest) -> Model = models::create;
        update_model(UpdateModelRequest) -> Model = models::update;
        delete_model(DeleteModelRequest) -> () = models::delete;
        create_documentation_part(CreateDocumentationPartRequest) -> DocumentationPart = documentation::create;
        update_documentation_part(UpdateDocumentationPartRequest) -> DocumentationPart = documentation::update;
        delete_documentation_part(DeleteDocumentationPartRequest) -> () = documentation::delete;
        import_documentation_parts(ImportDocumentationPartsRequest) -> DocumentationPartIds = documentation::import;
        create_documentation_version(CreateDocumentationVersionRequest) -> DocumentationVersion = documentation::create_version;
        update_documentation_version(UpdateDocumentationVersionRequest) -> DocumentationVersion = documentation::update_version;
        delete_documentation_version(DeleteDocumentationVersionRequest) -> () = documentation::delete_version;
    }

    reads! {
        get_export(GetExportRequest) -> ExportResponse = document::export;
        get_rest_api(GetRestApiRequest) -> RestApi = rest_api::get;
        get_rest_apis(GetRestApisRequest) -> RestApis = rest_api::list;
        get_resource(GetResourceRequest) -> Resource = resource::get;
        get_resources(GetResourcesRequest) -> Resources = resource::list;
        get_method(GetMethodRequest) -> Method = method::get;
        get_integration(GetIntegrationRequest) -> Integration = integration::get;
        get_deployment(GetDeploymentRequest) -> Deployment = deployment::get;
        get_deployments(GetDeploymentsRequest) -> Deployments = deployment::list;
        get_stage(GetStageRequest) -> Stage = stage::get;
        get_stages(GetStagesRequest) -> Stages = stage::list;
        get_client_certificate(GetClientCertificateRequest) -> ClientCertificate = client_certificate::get;
        get_client_certificates(GetClientCertificatesRequest) -> ClientCertificates = client_certificate::list;
        get_base_path_mapping(GetBasePathMappingRequest) -> BasePathMapping = base_path::get;
        get_base_path_mappings(GetBasePathMappingsRequest) -> BasePathMappings = base_path::list;
        get_usage_plan(GetUsagePlanRequest) -> UsagePlan = usage_plan::get;
        get_usage_plans(GetUsagePlansRequest) -> UsagePlans = usage_plan::list;
        get_authorizer(GetAuthorizerRequest) -> Authorizer = authorizer::get;
        get_authorizers(GetAuthorizersRequest) -> Authorizers = authorizer::list;
        flush_stage_cache(FlushStageCacheRequest) -> () = stage::flush;
        get_gateway_response(GetGatewayResponseRequest) -> GatewayResponse = gateway_response::get;
        get_gateway_responses(GetGatewayResponsesRequest) -> GatewayResponses = gateway_response::list;
        get_request_validator(GetRequestValidatorRequest) -> RequestValidator = request_validator::get;
        get_request_validators(GetRequestValidatorsRequest) -> RequestValidators = request_validator::list;
        get_method_response(GetMethodResponseRequest) -> MethodResponse = method_response::get;
        get_integration_response(GetIntegrationResponseRequest) -> IntegrationResponse = integration_response::get;
        get_model(GetModelRequest) -> Model = models::get;
        get_models(GetModelsRequest) -> Models = models::list;
        get_model_template(GetModelTemplateRequest) -> Template = models::template;
        get_documentation_part(GetDocumentationPartRequest) -> DocumentationPart = documentation::get;
        get_documentation_parts(GetDocumentationPartsRequest) -> DocumentationParts = documentation::list;
        get_documentation_version(GetDocumentationVersionRequest) -> DocumentationVersion = documentation::get_version;
        get_documentation_versions(GetDocumentationVersionsRequest) -> DocumentationVersions = documentation::list_versions;
    }

    async fn create_rest_api(&self, caller: &Caller, input: CreateRestApiRequest) -> Result<RestApi, Error> {
        self.edit(caller, |draft| {
            self.endpoint_certificate(draft)?;
            rest_api::create(draft, &input)
        })
        .await
    }

    async fn import_rest_api(&self, caller: &Caller, input: ImportRestApiRequest) -> Result<RestApi, Error> {
        self.edit(caller, |draft| {
            self.endpoint_certificate(draft)?;
            let made = document::import(draft, &input)?;
            may_set(caller, "/restapis", &model::resource::Tags::new(), made.tags.as_ref())?;
            Ok(made)
        })
        .await
    }

    async fn put_rest_api(&self, caller: &Caller, input: PutRestApiRequest) -> Result<RestApi, Error> {
        self.edit(caller, |draft| {
            let before = draft.state.rest_apis.get(&input.rest_api_id).map(|api| api.tags.clone()).unwrap_or_default();
            let made = document::put(draft, &input)?;
            may_set(caller, &format!("/restapis/{}", input.rest_api_id), &before, made.tags.as_ref())?;
            Ok(made)
        })
        .await
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

    async fn create_domain_name(&self, caller: &Caller, input: CreateDomainNameRequest) -> Result<DomainName, Error> {
        let domain = self.edit(caller, |draft| domain_name::create(draft, &input)).await?;
        Ok(domain_name::show(&self.draft(caller), &domain, &self.enforced()))
    }

    async fn update_domain_name(&self, caller: &Caller, input: UpdateDomainNameRequest) -> Result<DomainName, Error> {
        let domain = self.edit(caller, |draft| domain_name::update(draft, &input)).await?;
        Ok(domain_name::show(&self.draft(caller), &domain, &self.enforced()))
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

    async fn get_api_key(&self, caller: &Caller, input: GetApiKeyRequest) -> Result<ApiKey, Error> {
        api_key::get(&self.draft(caller), self.keyring(), &input)
    }

    async fn get_api_keys(&self, caller: &Caller, input: GetApiKeysRequest) -> Result<ApiKeys, Error> {
        api_key::list(&self.draft(caller), self.keyring(), &input)
    }

    async fn create_usage_plan_key(
        &self,
        caller: &Caller,
        input: CreateUsagePlanKeyRequest,
    ) -> Result<UsagePlanKey, Error> {
        self.edit(caller, |draft| usage_plan::create_key(draft, self.keyring(), &input)).await
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

    async fn get_account(&self, caller: &Caller, _: GetAccountRequest) -> Result<Account, Error> {
        Ok(account::get(&self.draft(caller)))
    }
}
