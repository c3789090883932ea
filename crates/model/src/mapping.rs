//! Parameter mapping of integrations ("Transform API requests and responses for HTTP APIs", API Gateway developer guide).
//!
//! `append:header.x-client-dn` = `$context.identity.clientCert.subjectDN`: read once, when a snapshot is compiled.

mod json_path;
mod rest;

use std::collections::BTreeMap;

use http::{HeaderName, StatusCode};

use crate::template::Variable;

pub use json_path::{JsonPath, MAX_PAYLOAD_BYTES};
pub(crate) use rest::RESERVED;
pub use rest::{RestMapping, gateway_response_source, rest_identity_sources, rest_response_mapping};

/// `requestParameters`, or those of `responseParameters` for one status code, in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// A value is looked for in the payload, which has to be held for it.
    pub reads_payload: bool,
    /// Headers that say who the client is: lowercase, `-` for all punctuation.
    claims: Vec<Box<str>>,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// To what.
    pub place: Place,
    /// Pieces of the value, one behind the other. Of no meaning in [`Action::Remove`].
    pub value: Vec<Source>,
    /// The value says who the client is: there is `$context.identity` or `$context.authorizer` in it.
    pub is_identity: bool,
}

/// What a parameter does to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Adds a value to those that are there.
    Append,
    /// Replaces all values.
    Overwrite,
    /// Removes all values.
    Remove,
}

/// Part of a message that a parameter changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `header.NAME`
    Header(HeaderName),
    /// `querystring.NAME`
    Query(String),
    /// `path`
    Path,
    /// `statuscode`
    StatusCode,
}

/// Where a piece of a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Text of the setting itself, stage variables in it already replaced.
    Static(String),
    /// `$request.header.NAME` (or `$response.…` in a response): the values, with commas between.
    Header(HeaderName),
    /// `$request.querystring.NAME`: the values, decoded, with commas between.
    Query(String),
    /// `$request.path`: the path as it was sent.
    Path,
    /// `$request.path.NAME`: a path variable of the route.
    PathVariable(String),
    /// `$request.body.PATH`: a value in a payload that is JSON.
    Body(JsonPath),
    /// `$context.NAME`
    Context(Variable),
}

/// Not a mapping that is served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// The key names no action or no place.
    #[error("'{0}' is no parameter that can be mapped")]
    Key(String),
    /// The value names no source.
    #[error("'{0}' is no source of a value")]
    Source(String),
    /// The status cannot take the place of the backend's, whose payload goes with it.
    #[error("'{0}' is no status code from 200 to 599 of an answer that may have a payload")]
    Status(String),
}

impl Mapping {
    /// Reads `requestParameters`.
    pub fn of_request(
        parameters: &BTreeMap<String, String>,
        stage_variables: &BTreeMap<String, String>,
    ) -> Result<Self, MappingError> {
        Self::parse(parameters, "request.", stage_variables)
    }

    /// Reads the `responseParameters` of one status code.
    pub fn of_response(
        parameters: &BTreeMap<String, String>,
        stage_variables: &BTreeMap<String, String>,
    ) -> Result<Self, MappingError> {
        Self::parse(parameters, "response.", stage_variables)
    }

    /// Whether a client may not send the header `name` (lowercase), since a step says by it who the client is. Many backends
    /// read `_`, and some any punctuation, as `-`: a name with one is as good as with the other.
    pub fn claims(&self, name: &str) -> bool {
        let same = |claim: &str| claim.bytes().eq(name.bytes().map(plain));
        self.claims.iter().any(|claim| same(claim))
    }

    fn parse(
        parameters: &BTreeMap<String, String>,
        message: &str,
        stage_variables: &BTreeMap<String, String>,
    ) -> Result<Self, MappingError> {
        let mut mapping = Self::default();
        for (key, value) in parameters {
            mapping.push(Step::parse(key, value, message, stage_variables)?);
        }
        if message == "request." {
            mapping.drop_claims();
        }
        Ok(mapping)
    }

    fn push(&mut self, step: Step) {
        self.reads_payload |= step.value.iter().any(|source| matches!(source, Source::Body(_)));
        self.steps.push(step);
    }

    /// What the gateway says about the client is said by nobody else: it goes before what the client sent is looked at.
    fn drop_claims(&mut self) {
        let mut removals = Vec::new();
        for step in self.steps.iter().filter(|step| step.is_identity) {
            match &step.place {
                Place::Header(name) => {
                    self.claims.push(name.as_str().bytes().map(|byte| char::from(plain(byte))).collect())
                }
                Place::Query(_) => removals.push(Step {
                    action: Action::Remove,
                    place: step.place.clone(),
                    value: Vec::new(),
                    is_identity: true,
                }),
                Place::Path | Place::StatusCode => {}
            }
        }
        self.steps.splice(..0, removals);
    }
}

impl Step {
    fn parse(
        key: &str,
        value: &str,
        message: &str,
        stage_variables: &BTreeMap<String, String>,
    ) -> Result<Self, MappingError> {
        let (action, place) = target(key).ok_or_else(|| MappingError::Key(key.to_owned()))?;
        if place == Place::StatusCode && !value.contains('$') && status_code(value).is_none() {
            return Err(MappingError::Status(value.to_owned()));
        }
        let value = match action {
            Action::Remove => Vec::new(),
            Action::Append | Action::Overwrite => sources(value, message, stage_variables)?,
        };
        let is_identity =
            value.iter().any(|source| matches!(source, Source::Context(variable) if variable.is_identity()));
        Ok(Self { action, place, value, is_identity })
    }
}

/// Reads the status code that an answer may be given: those that have no payload (RFC 9110 section 15) cannot be, since the
/// backend's goes with it.
pub fn status_code(text: &str) -> Option<StatusCode> {
    let status = StatusCode::from_bytes(text.as_bytes()).ok()?;
    let empty = matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    ((200..600).contains(&status.as_u16()) && !empty).then_some(status)
}

/// Whether a header says where a message ends, or what becomes of the connection: no setting says that.
pub fn is_reserved(name: &HeaderName) -> bool {
    RESERVED.contains(name)
}

/// A byte of a header's name as CGI and its like read it.
fn plain(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte } else { b'-' }
}

fn target(key: &str) -> Option<(Action, Place)> {
    let (action, place) = key.split_once(':')?;
    let action = match action {
        "append" => Action::Append,
        "overwrite" => Action::Overwrite,
        "remove" => Action::Remove,
        _ => return None,
    };
    let place = match place.split_once('.') {
        Some(("header", name)) => Place::Header(HeaderName::try_from(name).ok()?),
        Some(("querystring", name)) if !name.is_empty() => Place::Query(name.to_owned()),
        None if place == "path" && action == Action::Overwrite => Place::Path,
        None if place == "statuscode" && action == Action::Overwrite => Place::StatusCode,
        _ => return None,
    };
    Some((action, place))
}

/// Reads an entry of `identitySource` of an authorizer that is a function: `$request.header.NAME`, `$request.querystring.NAME`,
/// `$context.NAME` or `$stageVariables.NAME`. What authorizers themselves find is not known yet when they are asked.
pub fn identity_source(entry: &str, stage_variables: &BTreeMap<String, String>) -> Result<Source, MappingError> {
    let found = entry.strip_prefix('$').and_then(|name| source(name, "request.", stage_variables));
    match found {
        Some(Source::Context(Variable::Authorizer(_) | Variable::AuthorizerClaim(_))) => None,
        Some(Source::Path | Source::PathVariable(_) | Source::Body(_)) => None,
        found => found,
    }
    .ok_or_else(|| MappingError::Source(entry.to_owned()))
}

/// `$source` alone, or text with `${source}` in it.
fn sources(
    value: &str,
    message: &str,
    stage_variables: &BTreeMap<String, String>,
) -> Result<Vec<Source>, MappingError> {
    let source = |name: &str| source(name, message, stage_variables).ok_or_else(|| MappingError::Source(name.into()));
    if let Some(name) = value.strip_prefix('$').filter(|name| !name.starts_with('{')) {
        return Ok(vec![source(name)?]);
    }
    let mut pieces = Vec::new();
    let mut rest = value;
    while let Some(open) = rest.find("${") {
        let close = open + rest[open..].find('}').ok_or_else(|| MappingError::Source(rest[open..].into()))?;
        if open > 0 {
            pieces.push(Source::Static(rest[..open].to_owned()));
        }
        pieces.push(source(&rest[open + 2..close])?);
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Source::Static(rest.to_owned()));
    }
    Ok(pieces)
}

fn source(name: &str, message: &str, stage_variables: &BTreeMap<String, String>) -> Option<Source> {
    if let Some(name) = name.strip_prefix("context.") {
        return match Variable::from_name(name) {
            Variable::Unknown(_) => None,
            variable => Some(Source::Context(variable)),
        };
    }
    if let Some(name) = name.strip_prefix("stageVariables.") {
        return Some(Source::Static(stage_variables.get(name).cloned().unwrap_or_default()));
    }
    let name = name.strip_prefix(message)?;
    if let Some(path) = name.strip_prefix("body") {
        return JsonPath::parse(path).map(Source::Body);
    }
    match name.split_once('.') {
        Some(("header", name)) => HeaderName::try_from(name).ok().map(Source::Header),
        Some((_, "")) => None,
        Some(("querystring", name)) if message == "request." => Some(Source::Query(name.to_owned())),
        Some(("path", name)) if message == "request." => Some(Source::PathVariable(name.to_owned())),
        None if name == "path" && message == "request." => Some(Source::Path),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn request(key: &str, value: &str) -> Result<Step, MappingError> {
        let stage = map(&[("env", "prod")]);
        Mapping::of_request(&map(&[(key, value)]), &stage).map(|mut mapping| mapping.steps.remove(0))
    }

    #[test]
    fn reads_the_forms_that_aws_documents() {
        let header = |name: &'static str| HeaderName::from_static(name);
        for (value, wanted) in [
            ("plain text", vec![Source::Static("plain text".into())]),
            ("", vec![]),
            ("$request.header.X-A", vec![Source::Header(header("x-a"))]),
            ("${request.header.X-A}", vec![Source::Header(header("x-a"))]),
            ("$request.querystring.q", vec![Source::Query("q".into())]),
            ("$request.path", vec![Source::Path]),
            ("$context.authorizer.claims.sub", vec![Source::Context(Variable::AuthorizerClaim("sub".into()))]),
            ("$context.authorizer.tenant", vec![Source::Context(Variable::Authorizer("tenant".into()))]),
            ("$request.path.id", vec![Source::PathVariable("id".into())]),
            ("$request.body.user.ids[0]", vec![Source::Body(JsonPath::parse(".user.ids[0]").unwrap())]),
            ("$stageVariables.env", vec![Source::Static("prod".into())]),
            ("$context.requestId", vec![Source::Context(Variable::RequestId)]),
            (
                "a-${request.path.id}-${context.stage}b",
                vec![
                    Source::Static("a-".into()),
                    Source::PathVariable("id".into()),
                    Source::Static("-".into()),
                    Source::Context(Variable::Stage),
                    Source::Static("b".into()),
                ],
            ),
        ] {
            assert_eq!(request("append:header.x", value).unwrap().value, wanted, "{value}");
        }
        assert_eq!(request("overwrite:path", "/x").unwrap().place, Place::Path);
        assert_eq!(request("remove:querystring.a", "").unwrap().place, Place::Query("a".into()));
        let response = map(&[("overwrite:statuscode", "403"), ("append:header.x", "$response.header.y")]);
        let mapping = Mapping::of_response(&response, &map(&[])).unwrap();
        assert!(!mapping.reads_payload);
        let steps = mapping.steps;
        assert_eq!(steps[0].value, [Source::Header(header("y"))]);
        assert_eq!((steps[1].action, &steps[1].place), (Action::Overwrite, &Place::StatusCode));
        let response = map(&[("append:header.x", "id ${response.body.id}")]);
        assert!(Mapping::of_response(&response, &map(&[])).unwrap().reads_payload);
    }

    #[test]
    fn refuses_the_rest() {
        for key in
            ["", "header.x", "append:path", "append:header.", "set:header.x", "append:body.x", "remove:statuscode"]
        {
            assert_eq!(request(key, "x"), Err(MappingError::Key(key.into())), "{key}");
        }
        for value in [
            "$request.body",
            "$request.body.*",
            "$request.body..x",
            "$request.body.x[?(@.y)]",
            "$response.body.x",
            "$response.header.x",
            "$x",
            "${request.header.x",
            "a${nothing}",
            "$request.path.",
            "$context.nothing",
            "$context.identity.clientCert.subjectDn",
        ] {
            assert!(matches!(request("append:header.x", value), Err(MappingError::Source(_))), "{value}");
        }
        for status in ["", "199", "204", "304", "600", "20", "abc"] {
            let response = map(&[("overwrite:statuscode", status)]);
            let read = Mapping::of_response(&response, &map(&[]));
            assert_eq!(read, Err(MappingError::Status(status.into())), "{status}");
        }
        let response = map(&[("overwrite:statuscode", "$stageVariables.status")]);
        assert!(Mapping::of_response(&response, &map(&[])).is_ok());
    }

    #[test]
    fn what_says_who_the_client_is_is_said_by_the_gateway_alone() {
        let dn = "$context.identity.clientCert.subjectDN";
        let parameters = map(&[
            ("append:header.X_User-Name", dn),
            ("append:querystring.user", "user ${context.identity.sourceIp}"),
            ("overwrite:header.x-id", "$context.requestId"),
            ("overwrite:header.x-principal", "$context.authorizer.principalId"),
        ]);
        let mapping = Mapping::of_request(&parameters, &map(&[])).unwrap();
        for (name, wanted) in [
            ("x-user-name", true),
            ("x_user_name", true),
            ("x-user_name", true),
            ("x.user~name", true),
            ("x-principal", true),
            ("x-user", false),
            ("x-user-name-2", false),
            ("x-id", false),
        ] {
            assert_eq!(mapping.claims(name), wanted, "{name}");
        }
        let first = &mapping.steps[0];
        assert_eq!((first.action, &first.place), (Action::Remove, &Place::Query("user".into())));
        assert_eq!(mapping.steps.len(), 5);
        let response = Mapping::of_response(&map(&[("append:header.x-user", dn)]), &map(&[])).unwrap();
        assert!(!response.claims("x-user"), "a backend is believed");
    }
}
