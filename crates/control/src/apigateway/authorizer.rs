//! Authorizers: Lambda functions that decide who may call the methods that name them.

use aws::Error;
use aws::apigateway as wire;
use model::mapping::{Source, rest_identity_sources};
use model::resource::{RestApi, RestAuthorizer, RestAuthorizerKind, RestResource};
use model::{FunctionArn, State, WholePattern};

use super::patch::Patch;
use super::{Draft, rest_api};
use crate::apigatewayv2::check::{NO_ROLES, NOT_HERE, length, refuse};
use crate::apigatewayv2::integration::sample_variables;
use crate::apigatewayv2::page;

const MAX_AUTHORIZERS: usize = 10;
const MAX_NAME_CHARS: usize = 128;
const MAX_AUTH_TYPE_CHARS: usize = 128;
const MAX_URI_BYTES: usize = 2048;
const MAX_IDENTITY_SOURCES: usize = 10;
const MAX_TTL_SECONDS: i32 = 3600;
const DEFAULT_TTL_SECONDS: i32 = 300;
const PATHS: &str = "/authType, /authorizerResultTtlInSeconds, /authorizerUri, /identitySource, \
                     /identityValidationExpression, /name, /type";

pub(super) fn create(draft: &mut Draft<'_>, input: &wire::CreateAuthorizerRequest) -> Result<wire::Authorizer, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let authorizer = add(draft, &api, input)?;
    Ok(show(&authorizer))
}

/// Makes one of an API.
pub(super) fn add(
    draft: &mut Draft<'_>,
    api: &RestApi,
    input: &wire::CreateAuthorizerRequest,
) -> Result<RestAuthorizer, Error> {
    if State::of(&draft.state.rest_authorizers, &api.id).count() >= MAX_AUTHORIZERS {
        let message = "Maximum number of Authorizers for this API has been reached.";
        return Err(Error::too_many_requests("MaxAuthorizers", message));
    }
    let taken = |state: &State, id: &str| State::one(&state.rest_authorizers, &api.id, id).is_some();
    let id = draft.fresh_id(6, taken)?;
    set(draft, api, id, input)
}

/// Makes the one with an id what a request says.
pub(super) fn set(
    draft: &mut Draft<'_>,
    api: &RestApi,
    id: String,
    input: &wire::CreateAuthorizerRequest,
) -> Result<RestAuthorizer, Error> {
    refuse(input.authorizer_credentials.is_some(), "authorizerCredentials", NO_ROLES)?;
    refuse(input.provider_ar_ns.as_ref().is_some_and(|arns| !arns.is_empty()), "providerARNs", NOT_HERE)?;
    let authorizer = RestAuthorizer {
        id,
        api_id: api.id.clone(),
        name: input.name.clone(),
        kind: served(input.r#type)?,
        uri: input.authorizer_uri.clone().unwrap_or_default(),
        identity_source: text(input.identity_source.clone()),
        identity_validation_expression: text(input.identity_validation_expression.clone()),
        result_ttl_seconds: checked_ttl(input.authorizer_result_ttl_in_seconds.unwrap_or(DEFAULT_TTL_SECONDS))?,
        auth_type: text(input.auth_type.clone()).unwrap_or_else(|| "custom".to_owned()),
    };
    put(draft, &authorizer)?;
    Ok(authorizer)
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateAuthorizerRequest) -> Result<wire::Authorizer, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let mut authorizer = find(draft, &api, &input.authorizer_id)?.clone();
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["name"]) => authorizer.name = patch.value,
            (wire::Op::Replace, ["type"]) => {
                let known = [wire::AuthorizerType::Token, wire::AuthorizerType::Request];
                let parse = |text: &str| known.into_iter().find(|kind| kind.to_string() == text);
                authorizer.kind = served(patch.parse(parse)?)?;
            }
            (wire::Op::Replace, ["authorizerUri"]) => authorizer.uri = patch.value,
            (wire::Op::Replace, ["authType"]) => authorizer.auth_type = patch.value,
            (wire::Op::Replace, ["authorizerResultTtlInSeconds"]) => {
                authorizer.result_ttl_seconds = checked_ttl(patch.parse(|text| text.parse().ok())?)?;
            }
            (_, ["identitySource"]) => authorizer.identity_source = text(Some(patch.value_or_empty())),
            (_, ["identityValidationExpression"]) => {
                authorizer.identity_validation_expression = text(Some(patch.value_or_empty()));
            }
            (wire::Op::Replace, ["authorizerCredentials"]) => {
                refuse(!patch.value.is_empty(), "authorizerCredentials", NO_ROLES)?;
            }
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    put(draft, &authorizer)
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteAuthorizerRequest) -> Result<(), Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let authorizer = find(draft, &api, &input.authorizer_id)?.clone();
    let naming = |resource: &RestResource| {
        let mut methods = resource.methods.iter();
        let named = methods.find(|(_, method)| method.authorization.authorizer_id() == Some(authorizer.id.as_str()));
        named.map(|(method, _)| format!("{method} {}", resource.path))
    };
    if let Some(method) = State::of(&draft.state.rest_resources, &api.id).find_map(|resource| naming(resource)) {
        let message = format!("Cannot delete authorizer '{}', is referenced in method {method}", authorizer.name);
        return Err(Error::conflict(message));
    }
    draft.delete(&authorizer)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetAuthorizerRequest) -> Result<wire::Authorizer, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    find(draft, &api, &input.authorizer_id).map(show)
}

pub(super) fn list(draft: &Draft<'_>, input: &wire::GetAuthorizersRequest) -> Result<wire::Authorizers, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let limit = input.limit.map(|limit| limit.to_string());
    let (items, position) = page::page(
        State::of(&draft.state.rest_authorizers, &api.id),
        |authorizer| authorizer.id.clone(),
        |authorizer| show(authorizer),
        limit.as_deref(),
        input.position.as_deref(),
    )?;
    Ok(wire::Authorizers { items, position })
}

fn find<'d>(draft: &'d Draft<'_>, api: &RestApi, id: &str) -> Result<&'d RestAuthorizer, Error> {
    let authorizer = State::one(&draft.state.rest_authorizers, &api.id, id);
    authorizer.map(|found| &**found).ok_or_else(|| Error::not_found("Invalid Authorizer identifier specified"))
}

/// Checks an authorizer as a whole.
fn put(draft: &mut Draft<'_>, authorizer: &RestAuthorizer) -> Result<wire::Authorizer, Error> {
    length("name", &authorizer.name, 1, MAX_NAME_CHARS)?;
    length("authType", &authorizer.auth_type, 0, MAX_AUTH_TYPE_CHARS)?;
    let is_other = |known: &RestAuthorizer| known.id != authorizer.id && known.name == authorizer.name;
    let is_taken = State::of(&draft.state.rest_authorizers, &authorizer.api_id).any(|known| is_other(known));
    if is_taken {
        return Err(Error::bad_request(format!(
            "Authorizer name must be unique. Authorizer {} already exists in this RestApi.",
            authorizer.name
        )));
    }
    check_uri(&authorizer.uri)?;
    let sources = check_sources(authorizer)?;
    let expression = authorizer.identity_validation_expression.as_deref();
    match authorizer.kind {
        RestAuthorizerKind::Token => {
            if !matches!(sources[..], [Source::Header(_)]) {
                let message = "Invalid identitySource: a TOKEN authorizer needs exactly one method.request.header.NAME";
                return Err(Error::bad_request(message));
            }
            let wrong = |error| Error::bad_request(format!("Invalid identityValidationExpression: {error}"));
            expression.map(WholePattern::parse).transpose().map_err(wrong)?;
        }
        RestAuthorizerKind::Request => {
            let only = "is for TOKEN authorizers only";
            refuse(expression.is_some(), "identityValidationExpression", only)?;
            if authorizer.result_ttl_seconds > 0 && sources.is_empty() {
                let message = "Identity source must be set if authorizer caching is enabled (TTL is greater than 0)";
                return Err(Error::bad_request(message));
            }
        }
    }
    draft.put(authorizer)?;
    Ok(show(authorizer))
}

/// Stage variables are not known yet, so they stand for a name here.
fn check_uri(uri: &str) -> Result<(), Error> {
    let is_gateways = uri.len() <= MAX_URI_BYTES && uri.split(':').nth(2) == Some("apigateway");
    match is_gateways && FunctionArn::parse(uri, &sample_variables(uri)).is_ok() {
        true => Ok(()),
        false => Err(Error::bad_request(format!(
            "Invalid Authorizer URI: {uri}. Authorizer URI should be a valid API Gateway ARN that represents a Lambda \
             function invocation."
        ))),
    }
}

fn check_sources(authorizer: &RestAuthorizer) -> Result<Vec<Source>, Error> {
    let Some(text) = &authorizer.identity_source else { return Ok(Vec::new()) };
    let sources = rest_identity_sources(text, &sample_variables(text)).map_err(|_| {
        Error::bad_request(format!(
            "Invalid mapping expression specified: {text}. Expected method.request.header.NAME, \
             method.request.querystring.NAME, context.NAME or stageVariables.NAME, with commas between them"
        ))
    })?;
    match sources.len() {
        0..=MAX_IDENTITY_SOURCES => Ok(sources),
        _ => Err(Error::bad_request(format!("An authorizer has at most {MAX_IDENTITY_SOURCES} identity sources"))),
    }
}

fn checked_ttl(seconds: i32) -> Result<u32, Error> {
    let allowed = Some(seconds).filter(|seconds| (0..=MAX_TTL_SECONDS).contains(seconds)).map(i32::cast_unsigned);
    allowed.ok_or_else(|| Error::bad_request("AuthorizerResultTtlInSeconds should be between 0 and 3600 seconds"))
}

fn served(kind: wire::AuthorizerType) -> Result<RestAuthorizerKind, Error> {
    match kind {
        wire::AuthorizerType::Token => Ok(RestAuthorizerKind::Token),
        wire::AuthorizerType::Request => Ok(RestAuthorizerKind::Request),
        other => {
            let message =
                format!("Authorizer type {other} {NOT_HERE}: TOKEN and REQUEST are the types that are served");
            Err(Error::bad_request(message))
        }
    }
}

/// What is empty is not there.
fn text(given: Option<String>) -> Option<String> {
    given.filter(|text| !text.is_empty())
}

pub(super) fn show(authorizer: &RestAuthorizer) -> wire::Authorizer {
    wire::Authorizer {
        auth_type: Some(authorizer.auth_type.clone()),
        authorizer_result_ttl_in_seconds: i32::try_from(authorizer.result_ttl_seconds).ok(),
        authorizer_uri: Some(authorizer.uri.clone()),
        id: Some(authorizer.id.clone()),
        identity_source: authorizer.identity_source.clone(),
        identity_validation_expression: authorizer.identity_validation_expression.clone(),
        name: Some(authorizer.name.clone()),
        r#type: Some(match authorizer.kind {
            RestAuthorizerKind::Token => wire::AuthorizerType::Token,
            RestAuthorizerKind::Request => wire::AuthorizerType::Request,
        }),
        ..Default::default()
    }
}
