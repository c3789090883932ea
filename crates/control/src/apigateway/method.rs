//! Methods of resources: who may make which requests.

use std::collections::BTreeMap;

use aws::Error;
use aws::apigateway as wire;
use model::State;
use model::resource::{RestApi, RestAuthorization, RestMethod, RestResource};

use super::patch::Patch;
use super::{Draft, integration, method_response, models, request_validator, resource, rest_api};
use crate::apigatewayv2::check::{NOT_HERE, refuse};

const METHODS: [&str; 8] = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
pub(super) const MAX_PARAMETERS: usize = 100;
const PATHS: &str = "/authorizationType, /authorizerId, /apiKeyRequired, /operationName, /requestValidatorId, \
                     /requestParameters/{requestParameter}, /requestModels/{mediaType}";

pub(super) fn put(draft: &mut Draft<'_>, input: &wire::PutMethodRequest) -> Result<wire::Method, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let resource = resource::find(draft, &api, &input.resource_id)?.clone();
    if resource.methods.contains_key(&input.http_method) {
        check_method(&input.http_method)?;
        return Err(Error::conflict("Method already exists for this resource"));
    }
    let found = Found { resource, method: described(draft, &api, input)? };
    let shown = show(&found.resource, &input.http_method, &found.method);
    found.put(draft, &input.http_method)?;
    Ok(shown)
}

/// The method that a request describes, if it can be.
pub(super) fn described(draft: &Draft<'_>, api: &RestApi, input: &wire::PutMethodRequest) -> Result<RestMethod, Error> {
    check_method(&input.http_method)?;
    refuse(
        input.authorization_scopes.as_ref().is_some_and(|scopes| !scopes.is_empty()),
        "authorizationScopes",
        NOT_HERE,
    )?;
    let method = RestMethod {
        operation_name: input.operation_name.clone(),
        request_parameters: input.request_parameters.clone().unwrap_or_default(),
        authorization: authorization(draft, api, &input.authorization_type, input.authorizer_id.as_deref())?,
        api_key_required: input.api_key_required.unwrap_or(false),
        request_validator_id: input.request_validator_id.clone().filter(|id| !id.is_empty()),
        asks_for_parameters: false,
        request_models: input.request_models.clone().unwrap_or_default(),
        asks_for_body: false,
        responses: BTreeMap::new(),
        integration: None,
    };
    check(draft, api, &method)?;
    Ok(method)
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateMethodRequest) -> Result<wire::Method, Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let method = &mut found.method;
    // Both may come as operations of one update: they are looked at together.
    let mut kind = method.authorization.as_str().to_owned();
    let mut authorizer_id = method.authorization.authorizer_id().map(str::to_owned);
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["authorizationType"]) => kind = patch.value,
            (_, ["authorizerId"]) => authorizer_id = Some(patch.value_or_empty()),
            (wire::Op::Replace, ["apiKeyRequired"]) => method.api_key_required = patch.flag()?,
            (_, ["operationName"]) => {
                method.operation_name = Some(patch.value_or_empty()).filter(|name| !name.is_empty());
            }
            (_, ["requestValidatorId"]) => {
                method.request_validator_id = Some(patch.value_or_empty()).filter(|id| !id.is_empty());
            }
            (wire::Op::Remove, ["requestParameters", name]) => drop(method.request_parameters.remove(*name)),
            (_, ["requestParameters", name]) => {
                let required = !patch.value.is_empty() && patch.flag()?;
                method.request_parameters.insert((*name).to_owned(), required);
            }
            (wire::Op::Remove, ["requestModels", media_type]) => drop(method.request_models.remove(*media_type)),
            (_, ["requestModels", media_type]) => {
                method.request_models.insert((*media_type).to_owned(), patch.value.clone());
            }
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    method.authorization = authorization(draft, &api, &kind, authorizer_id.as_deref())?;
    check(draft, &api, &found.method)?;
    if let Some(integration) = &found.method.integration {
        integration::check_mapping(&found.method, integration)?;
    }
    let shown = show(&found.resource, &input.http_method, &found.method);
    found.put(draft, &input.http_method)?;
    Ok(shown)
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteMethodRequest) -> Result<(), Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    found.resource.methods.remove(&input.http_method);
    draft.put(&found.resource)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetMethodRequest) -> Result<wire::Method, Error> {
    let found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    Ok(show(&found.resource, &input.http_method, &found.method))
}

/// A method with the resource that it is of.
pub(super) struct Found {
    pub(super) resource: RestResource,
    pub(super) method: RestMethod,
}

impl Found {
    pub(super) fn find(draft: &Draft<'_>, api_id: &str, resource_id: &str, name: &str) -> Result<Self, Error> {
        let api: &RestApi = &*rest_api::find(draft, api_id)?;
        let resource = resource::find(draft, api, resource_id)?.clone();
        let method = resource.methods.get(name).cloned();
        let method = method.ok_or_else(|| Error::not_found("Invalid Method identifier specified"))?;
        Ok(Self { resource, method })
    }

    /// Puts the method back as it is now.
    pub(super) fn put(self, draft: &mut Draft<'_>, name: &str) -> Result<(), Error> {
        draft.put(&self.into_resource(name))
    }

    /// The resource with the method as it is now.
    pub(super) fn into_resource(mut self, name: &str) -> RestResource {
        self.resource.methods.insert(name.to_owned(), self.method);
        self.resource
    }
}

/// Of those that are served. What is no authorizer's type forgets the authorizer.
fn authorization(
    draft: &Draft<'_>,
    api: &RestApi,
    kind: &str,
    authorizer_id: Option<&str>,
) -> Result<RestAuthorization, Error> {
    match kind {
        "NONE" => Ok(RestAuthorization::None),
        "AWS_IAM" => Ok(RestAuthorization::AwsIam),
        "CUSTOM" => {
            let known = authorizer_id.and_then(|id| State::one(&draft.state.rest_authorizers, &api.id, id));
            let invalid = "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or \
                           COGNITO_USER_POOLS requires a valid authorizer.";
            let authorizer = known.ok_or_else(|| Error::bad_request(invalid))?;
            Ok(RestAuthorization::Custom { authorizer_id: authorizer.id.clone() })
        }
        other => Err(Error::bad_request(format!("authorizationType {other} {NOT_HERE}"))),
    }
}

fn check(draft: &Draft<'_>, api: &RestApi, method: &RestMethod) -> Result<(), Error> {
    if method.request_parameters.len() > MAX_PARAMETERS {
        return Err(Error::bad_request(format!("A method has at most {MAX_PARAMETERS} request parameters")));
    }
    if let Some(wrong) = method.request_parameters.keys().find(|name| !is_parameter(name)) {
        return Err(mapping_error(wrong));
    }
    models::check_named(draft, api, &method.request_models)?;
    let validator = method.request_validator_id.as_deref();
    validator.map_or(Ok(()), |id| request_validator::find(draft, api, id).map(drop))
}

pub(super) fn check_method(name: &str) -> Result<(), Error> {
    match METHODS.contains(&name) {
        true => Ok(()),
        false => Err(Error::bad_request(
            "Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY",
        )),
    }
}

/// `method.request.LOCATION.NAME`
fn is_parameter(name: &str) -> bool {
    let location = name.strip_prefix("method.request.").and_then(|name| name.split_once('.'));
    location.is_some_and(|(location, name)| matches!(location, "header" | "querystring" | "path") && !name.is_empty())
}

pub(super) fn mapping_error(parameter: &str) -> Error {
    Error::bad_request(format!(
        "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression \
         parameter specified: {parameter}]"
    ))
}

pub(super) fn show(resource: &RestResource, name: &str, method: &RestMethod) -> wire::Method {
    let responses =
        method.responses.iter().map(|(status, found)| (status.clone(), method_response::show(status, found)));
    wire::Method {
        api_key_required: Some(method.api_key_required),
        authorization_type: Some(method.authorization.as_str().to_owned()),
        authorizer_id: method.authorization.authorizer_id().map(str::to_owned),
        http_method: Some(name.to_owned()),
        method_integration: method.integration.as_ref().map(|integration| integration::show(resource, integration)),
        method_responses: Some(responses.collect()).filter(|_| !method.responses.is_empty()),
        operation_name: method.operation_name.clone(),
        request_models: Some(method.request_models.clone()).filter(|models| !models.is_empty()),
        request_validator_id: method.request_validator_id.clone(),
        request_parameters: Some(method.request_parameters.clone()).filter(|parameters| !parameters.is_empty()),
        ..Default::default()
    }
}
