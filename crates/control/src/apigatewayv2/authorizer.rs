//! Authorizers: who may call the routes that name them. Tokens (JWT) are the kind that there is.

use std::collections::BTreeSet;

use aws::Error;
use aws::apigatewayv2 as wire;
use model::resource::{Authorizer, AuthorizerKind};
use model::{IdentitySource, Issuer, State};

use super::check::{NOT_HERE, length, refuse};
use super::draft::Draft;
use super::{deployment, page};

const MAX_AUTHORIZERS: usize = 10;
const MAX_NAME_CHARS: usize = 128;
const MAX_AUDIENCES: usize = 50;
const MAX_AUDIENCE_CHARS: usize = 1024;

pub(super) fn create(draft: &mut Draft<'_>, input: &wire::CreateAuthorizerRequest) -> Result<wire::Authorizer, Error> {
    let api_id = draft.api(&input.api_id)?.id.clone();
    if State::of(&draft.state.authorizers, &api_id).count() >= MAX_AUTHORIZERS {
        let message = "Maximum number of Authorizers for this API has been reached.";
        return Err(Error::too_many_requests("MaxAuthorizers", message));
    }
    let taken = |state: &State, id: &str| State::one(&state.authorizers, &api_id, id).is_some();
    // To create is to update what is empty.
    let empty = Authorizer {
        id: draft.fresh_id(6, taken)?,
        api_id: api_id.clone(),
        name: String::new(),
        identity_source: Vec::new(),
        kind: AuthorizerKind::Jwt { issuer: String::new(), audience: Vec::new() },
    };
    put(draft, empty, input.clone().into())
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateAuthorizerRequest) -> Result<wire::Authorizer, Error> {
    let api = draft.api(&input.api_id)?;
    let authorizer = Authorizer::clone(&*draft.authorizer(&api.id, &input.authorizer_id)?);
    put(draft, authorizer, input.clone().into())
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteAuthorizerRequest) -> Result<(), Error> {
    let api = draft.api(&input.api_id)?;
    let authorizer = draft.authorizer(&api.id, &input.authorizer_id)?;
    let routes = State::of(&draft.state.routes, &api.id)
        .filter(|route| route.authorization.authorizer_id() == Some(&authorizer.id))
        .map(|route| route.id.as_str());
    let routes: Vec<&str> = routes.collect();
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

/// A patch of an authorizer, and all that it may hold but belongs to functions.
struct Patch {
    authorizer_type: Option<wire::AuthorizerType>,
    of_functions: [(bool, &'static str); 6],
    name: Option<String>,
    identity_source: Option<Vec<String>>,
    jwt: Option<wire::JWTConfiguration>,
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
                    of_functions: [
                        (input.authorizer_credentials_arn.is_some(), "authorizerCredentialsArn"),
                        (input.authorizer_payload_format_version.is_some(), "authorizerPayloadFormatVersion"),
                        (input.authorizer_result_ttl_in_seconds.is_some(), "authorizerResultTtlInSeconds"),
                        (input.authorizer_uri.is_some(), "authorizerUri"),
                        (input.enable_simple_responses.is_some(), "enableSimpleResponses"),
                        (expression, "identityValidationExpression"),
                    ],
                    name,
                    identity_source,
                    jwt: input.jwt_configuration,
                }
            }
        }
    };
}

patch_from!(wire::CreateAuthorizerRequest, |kind, name, source| (Some(kind), Some(name), Some(source)));
patch_from!(wire::UpdateAuthorizerRequest, |kind, name, source| (kind, name, source));

fn put(draft: &mut Draft<'_>, mut authorizer: Authorizer, patch: Patch) -> Result<wire::Authorizer, Error> {
    let other = patch.authorizer_type.is_some_and(|kind| kind != wire::AuthorizerType::Jwt);
    refuse(other, "authorizerType REQUEST", NOT_HERE)?;
    let why = "is not supported for JWT authorizers";
    patch.of_functions.iter().try_for_each(|(given, what)| refuse(*given, what, why))?;
    if let Some(name) = patch.name {
        authorizer.name = checked_name(draft, &authorizer, name)?;
    }
    if let Some(sources) = patch.identity_source {
        authorizer.identity_source = checked_source(sources)?;
    }
    let AuthorizerKind::Jwt { issuer, audience } = &mut authorizer.kind else {
        return Err(Error::bad_request(format!("authorizerType REQUEST {NOT_HERE}")));
    };
    if let Some(jwt) = patch.jwt {
        if let Some(given) = jwt.issuer {
            *issuer = given;
        }
        if let Some(given) = jwt.audience {
            *audience = given;
        }
    }
    check_jwt(issuer, audience)?;
    draft.put(&authorizer)?;
    deployment::auto_deploy(draft, &authorizer.api_id)?;
    Ok(show(&authorizer))
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

fn show(authorizer: &Authorizer) -> wire::Authorizer {
    let mut shown = wire::Authorizer {
        authorizer_id: Some(authorizer.id.clone()),
        identity_source: Some(authorizer.identity_source.clone()),
        name: Some(authorizer.name.clone()),
        ..Default::default()
    };
    match &authorizer.kind {
        AuthorizerKind::Jwt { issuer, audience } => {
            shown.authorizer_type = Some(wire::AuthorizerType::Jwt);
            let (issuer, audience) = (Some(issuer.clone()), Some(audience.clone()));
            shown.jwt_configuration = Some(wire::JWTConfiguration { audience, issuer });
        }
        AuthorizerKind::Request { uri, payload_format_version, result_ttl_seconds, simple_responses } => {
            shown.authorizer_type = Some(wire::AuthorizerType::Request);
            shown.authorizer_uri = Some(uri.clone());
            shown.authorizer_payload_format_version = Some(payload_format_version.clone());
            shown.authorizer_result_ttl_in_seconds = i32::try_from(*result_ttl_seconds).ok();
            shown.enable_simple_responses = Some(*simple_responses);
        }
    }
    shown
}
