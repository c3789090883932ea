//! Authorizers: who may call the routes that name them. Tokens are looked at (JWT), or functions are asked (REQUEST).

use std::collections::BTreeSet;

use aws::Error;
use aws::apigatewayv2 as wire;
use model::mapping::identity_source;
use model::resource::{Authorizer, AuthorizerKind};
use model::snapshot::PayloadFormat;
use model::{IdentitySource, Issuer, State};

use super::check::{NO_ROLES, length, refuse};
use super::draft::Draft;
use super::integration::{checked_function, sample_variables};
use super::{deployment, page, web_socket};

const MAX_AUTHORIZERS: usize = 10;
const MAX_NAME_CHARS: usize = 128;
const MAX_AUDIENCES: usize = 50;
const MAX_AUDIENCE_CHARS: usize = 1024;
const MAX_TTL_SECONDS: u32 = 3600;
const MAX_IDENTITY_SOURCES: usize = 10;

pub(super) fn create(draft: &mut Draft<'_>, input: &wire::CreateAuthorizerRequest) -> Result<wire::Authorizer, Error> {
    let authorizer = add(draft, input.clone())?;
    deployment::auto_deploy(draft, &authorizer.api_id)?;
    Ok(show(&authorizer))
}

/// Makes an authorizer; nothing is deployed.
pub(super) fn add(draft: &mut Draft<'_>, input: wire::CreateAuthorizerRequest) -> Result<Authorizer, Error> {
    let api_id = draft.api(&input.api_id)?.id.clone();
    if State::of(&draft.state.authorizers, &api_id).count() >= MAX_AUTHORIZERS {
        let message = "Maximum number of Authorizers for this API has been reached.";
        return Err(Error::too_many_requests("MaxAuthorizers", message));
    }
    let taken = |state: &State, id: &str| State::one(&state.authorizers, &api_id, id).is_some();
    // To create is to update what is empty.
    let empty = Authorizer {
        id: draft.fresh_id(6, taken)?,
        api_id,
        name: String::new(),
        identity_source: Vec::new(),
        kind: match input.authorizer_type {
            wire::AuthorizerType::Jwt => AuthorizerKind::Jwt { issuer: String::new(), audience: Vec::new() },
            wire::AuthorizerType::Request => AuthorizerKind::Request {
                uri: String::new(),
                payload_format_version: String::new(),
                result_ttl_seconds: 0,
                simple_responses: false,
            },
        },
    };
    put(draft, empty, input.into())
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateAuthorizerRequest) -> Result<wire::Authorizer, Error> {
    let api = draft.api(&input.api_id)?;
    let authorizer = Authorizer::clone(&*draft.authorizer(&api.id, &input.authorizer_id)?);
    let authorizer = put(draft, authorizer, input.clone().into())?;
    deployment::auto_deploy(draft, &api.id)?;
    Ok(show(&authorizer))
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteAuthorizerRequest) -> Result<(), Error> {
    let api = draft.api(&input.api_id)?;
    let authorizer = draft.authorizer(&api.id, &input.authorizer_id)?;
    let routes = State::of(&draft.state.routes, &api.id)
        .filter(|route| route.authorization.authorizer_id() == Some(&authorizer.id))
        .map(|route| route.id.as_str());
    let connecting = State::of(&draft.state.web_socket_routes, &api.id)
        .filter(|route| route.authorization.authorizer_id() == Some(&authorizer.id))
        .map(|route| route.id.as_str());
    let routes: Vec<&str> = routes.chain(connecting).collect();
    if !routes.is_empty() {
        let routes = routes.join(", ");
        let message =
            format!("Cannot delete Authorizer because it is referenced by the following Routes with Ids: [{routes}]");
        return Err(Error::conflict(message));
    }
    draft.delete::<Authorizer>(&authorizer)?;
    deployment::auto_deploy(draft, &api.id)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetAuthorizerRequest) -> Result<wire::Authorizer, Error> {
    let api = draft.api(&input.api_id)?;
    Ok(show(&*draft.authorizer(&api.id, &input.authorizer_id)?))
}

pub(super) fn list(
    draft: &Draft<'_>,
    input: &wire::GetAuthorizersRequest,
) -> Result<wire::GetAuthorizersResponse, Error> {
    let api = draft.api(&input.api_id)?;
    let (items, next_token) = page::page(
        State::of(&draft.state.authorizers, &api.id),
        |authorizer| authorizer.id.clone(),
        |authorizer| show(authorizer),
        input.max_results.as_deref(),
        input.next_token.as_deref(),
    )?;
    Ok(wire::GetAuthorizersResponse { items, next_token })
}

/// A patch of an authorizer, and what is not served of it.
struct Patch {
    authorizer_type: Option<wire::AuthorizerType>,
    unavailable: [(bool, &'static str, &'static str); 2],
    name: Option<String>,
    identity_source: Option<Vec<String>>,
    jwt: Option<wire::JWTConfiguration>,
    uri: Option<String>,
    payload_format_version: Option<String>,
    result_ttl: Option<i32>,
    simple_responses: Option<bool>,
}

/// Create and update take the same members, but as two types of the wire.
macro_rules! patch_from {
    ($input:ty, $some:expr) => {
        impl From<$input> for Patch {
            fn from(input: $input) -> Self {
                let (authorizer_type, name, identity_source) =
                    $some(input.authorizer_type, input.name, input.identity_source);
                let expression = input.identity_validation_expression.is_some_and(|text| !text.is_empty());
                Self {
                    authorizer_type,
                    unavailable: [
                        (input.authorizer_credentials_arn.is_some(), "authorizerCredentialsArn", NO_ROLES),
                        (expression, "identityValidationExpression", "is not supported for HTTP APIs"),
                    ],
                    name,
                    identity_source,
                    jwt: input.jwt_configuration,
                    uri: input.authorizer_uri,
                    payload_format_version: input.authorizer_payload_format_version,
                    result_ttl: input.authorizer_result_ttl_in_seconds,
                    simple_responses: input.enable_simple_responses,
                }
            }
        }
    };
}

patch_from!(wire::CreateAuthorizerRequest, |kind, name, source| (Some(kind), Some(name), Some(source)));
patch_from!(wire::UpdateAuthorizerRequest, |kind, name, source| (kind, name, source));

fn put(draft: &mut Draft<'_>, mut authorizer: Authorizer, mut patch: Patch) -> Result<Authorizer, Error> {
    let other = patch.authorizer_type.is_some_and(|kind| kind != authorizer_type(&authorizer));
    refuse(other, "authorizerType", "cannot be changed")?;
    patch.unavailable.iter().try_for_each(|(given, what, why)| refuse(*given, what, why))?;
    if let Some(name) = patch.name.take() {
        authorizer.name = checked_name(draft, &authorizer, name)?;
    }
    let sources = patch.identity_source.take();
    let is_web_socket = web_socket::is_one(draft, &authorizer.api_id)?;
    match authorizer.kind {
        AuthorizerKind::Jwt { .. } if is_web_socket => {
            refuse(true, "authorizerType JWT", "is not supported for WebSocket APIs")?
        }
        AuthorizerKind::Request { .. } if is_web_socket => put_web_socket(&mut authorizer, sources, patch)?,
        AuthorizerKind::Jwt { .. } => put_jwt(&mut authorizer, sources, patch)?,
        AuthorizerKind::Request { .. } => put_request(&mut authorizer, sources, patch)?,
    }
    draft.put(&authorizer)?;
    Ok(authorizer)
}

fn put_jwt(authorizer: &mut Authorizer, sources: Option<Vec<String>>, patch: Patch) -> Result<(), Error> {
    for (given, what) in [
        (patch.payload_format_version.is_some(), "authorizerPayloadFormatVersion"),
        (patch.result_ttl.is_some(), "authorizerResultTtlInSeconds"),
        (patch.uri.is_some(), "authorizerUri"),
        (patch.simple_responses.is_some(), "enableSimpleResponses"),
    ] {
        refuse(given, what, "is not supported for JWT authorizers")?;
    }
    if let Some(sources) = sources {
        authorizer.identity_source = checked_source(sources)?;
    }
    let AuthorizerKind::Jwt { issuer, audience } = &mut authorizer.kind else { return Ok(()) };
    if let Some(jwt) = patch.jwt {
        if let Some(given) = jwt.issuer {
            *issuer = given;
        }
        if let Some(given) = jwt.audience {
            *audience = given;
        }
    }
    check_jwt(issuer, audience)
}

fn put_request(authorizer: &mut Authorizer, sources: Option<Vec<String>>, patch: Patch) -> Result<(), Error> {
    refuse(patch.jwt.is_some(), "jwtConfiguration", "is not supported for REQUEST authorizers")?;
    if let Some(sources) = sources {
        authorizer.identity_source = checked_sources(sources)?;
    }
    let Authorizer { identity_source, kind, .. } = authorizer;
    let AuthorizerKind::Request { uri, payload_format_version, result_ttl_seconds, simple_responses } = kind else {
        return Ok(());
    };
    if let Some(given) = patch.uri {
        *uri = checked_function(&given)?;
    }
    if let Some(given) = patch.payload_format_version {
        *payload_format_version = given;
    }
    if let Some(given) = patch.result_ttl {
        let allowed = u32::try_from(given).ok().filter(|seconds| *seconds <= MAX_TTL_SECONDS);
        *result_ttl_seconds = allowed
            .ok_or_else(|| Error::bad_request("AuthorizerResultTtlInSeconds should be between 0 and 3600 seconds"))?;
    }
    if let Some(given) = patch.simple_responses {
        *simple_responses = given;
    }
    refuse(uri.is_empty(), "authorizerUri", "is required for REQUEST authorizers")?;
    let Some(format) = PayloadFormat::parse(payload_format_version) else {
        return Err(Error::bad_request(
            "AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizers: 1.0 or 2.0",
        ));
    };
    let simple_of_first = *simple_responses && format == PayloadFormat::V1;
    refuse(simple_of_first, "enableSimpleResponses", "is supported for authorizerPayloadFormatVersion 2.0 only")?;
    let remembers_all = *result_ttl_seconds > 0 && identity_source.is_empty();
    refuse(remembers_all, "authorizerResultTtlInSeconds", "needs at least one identitySource to remember answers by")
}

fn put_web_socket(authorizer: &mut Authorizer, sources: Option<Vec<String>>, patch: Patch) -> Result<(), Error> {
    for (given, what) in [
        (patch.jwt.is_some(), "jwtConfiguration"),
        (patch.payload_format_version.is_some(), "authorizerPayloadFormatVersion"),
        (patch.result_ttl.is_some_and(|seconds| seconds != 0), "authorizerResultTtlInSeconds"),
        (patch.simple_responses == Some(true), "enableSimpleResponses"),
    ] {
        refuse(given, what, "is not supported for WebSocket APIs")?;
    }
    if let Some(sources) = sources {
        authorizer.identity_source = web_socket::authorizer::checked_sources(sources)?;
    }
    let AuthorizerKind::Request { uri, .. } = &mut authorizer.kind else { return Ok(()) };
    if let Some(given) = patch.uri {
        *uri = checked_function(&given)?;
    }
    refuse(uri.is_empty(), "authorizerUri", "is required for REQUEST authorizers")
}

fn checked_name(draft: &Draft<'_>, authorizer: &Authorizer, name: String) -> Result<String, Error> {
    length("name", &name, 1, MAX_NAME_CHARS)?;
    let mut others = State::of(&draft.state.authorizers, &authorizer.api_id).filter(|other| other.id != authorizer.id);
    match others.any(|other| other.name == name) {
        true => Err(Error::bad_request(format!("Authorizer name must be unique. Authorizer {name} already exists."))),
        false => Ok(name),
    }
}

/// A token is in one place.
fn checked_source(sources: Vec<String>) -> Result<Vec<String>, Error> {
    match &sources[..] {
        [source] => IdentitySource::parse(source).map_err(|error| Error::bad_request(error.to_string()))?,
        _ => return Err(Error::bad_request("JWT authorizers need exactly one identitySource")),
    };
    Ok(sources)
}

/// None, or several, all of which a request has to have.
fn checked_sources(sources: Vec<String>) -> Result<Vec<String>, Error> {
    if sources.len() > MAX_IDENTITY_SOURCES {
        return Err(Error::bad_request(format!("An authorizer has at most {MAX_IDENTITY_SOURCES} identity sources")));
    }
    for source in &sources {
        identity_source(source, &sample_variables(source)).map_err(|_| {
            Error::bad_request(format!(
                "Invalid mapping expression specified: {source}. Expected $request.header.NAME, $request.querystring.NAME, \
                 $context.NAME or $stageVariables.NAME"
            ))
        })?;
    }
    Ok(sources)
}

fn authorizer_type(authorizer: &Authorizer) -> wire::AuthorizerType {
    match authorizer.kind {
        AuthorizerKind::Jwt { .. } => wire::AuthorizerType::Jwt,
        AuthorizerKind::Request { .. } => wire::AuthorizerType::Request,
    }
}

fn check_jwt(issuer: &str, audience: &[String]) -> Result<(), Error> {
    if issuer.is_empty() {
        return Err(Error::bad_request("Issuer is required for JWT authorizers"));
    }
    Issuer::parse(issuer).map_err(|error| Error::bad_request(error.to_string()))?;
    if audience.is_empty() {
        return Err(Error::bad_request("Audience is required for JWT authorizers"));
    }
    if audience.len() > MAX_AUDIENCES {
        return Err(Error::bad_request(format!("A JWT authorizer has at most {MAX_AUDIENCES} audiences")));
    }
    audience.iter().try_for_each(|audience| length("audience", audience, 1, MAX_AUDIENCE_CHARS))?;
    match audience.iter().collect::<BTreeSet<_>>().len() == audience.len() {
        true => Ok(()),
        false => Err(Error::bad_request("Audiences must be unique")),
    }
}

pub(super) fn show(authorizer: &Authorizer) -> wire::Authorizer {
    let mut shown = wire::Authorizer {
        authorizer_id: Some(authorizer.id.clone()),
        authorizer_type: Some(authorizer_type(authorizer)),
        identity_source: Some(authorizer.identity_source.clone()),
        name: Some(authorizer.name.clone()),
        ..Default::default()
    };
    match &authorizer.kind {
        AuthorizerKind::Jwt { issuer, audience } => {
            let (issuer, audience) = (Some(issuer.clone()), Some(audience.clone()));
            shown.jwt_configuration = Some(wire::JWTConfiguration { audience, issuer });
        }
        AuthorizerKind::Request { uri, payload_format_version, result_ttl_seconds, simple_responses } => {
            shown.authorizer_uri = Some(uri.clone());
            // Those of WebSocket APIs have none, and nothing that belongs to it.
            if !payload_format_version.is_empty() {
                shown.authorizer_payload_format_version = Some(payload_format_version.clone());
                shown.authorizer_result_ttl_in_seconds = i32::try_from(*result_ttl_seconds).ok();
                shown.enable_simple_responses = Some(*simple_responses);
            }
        }
    }
    shown
}
