//! Parameter mapping of integrations ("Transform API requests and responses for HTTP APIs", API Gateway developer guide).
//!
//! `append:header.x-client-dn` = `$context.identity.clientCert.subjectDN`: read once, when a snapshot is compiled.

use std::collections::BTreeMap;

use http::HeaderName;

use crate::template::Variable;

/// `requestParameters`, or those of `responseParameters` for one status code, in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// What is done, in order.
    pub steps: Vec<Step>,
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
    /// `$context.NAME`
    Context(Variable),
}

/// Not a mapping that is served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// The key names no action or no place.
    #[error("'{0}' is no parameter that can be mapped")]
    Key(String),
    /// The value names a source that is not served; payloads are not read.
    #[error("'{0}' is no source of a value; payloads ($request.body, $response.body) are not read")]
    Source(String),
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

    fn parse(
        parameters: &BTreeMap<String, String>,
        message: &str,
        stage_variables: &BTreeMap<String, String>,
    ) -> Result<Self, MappingError> {
        let step = |(key, value): (&String, &String)| {
            let (action, place) = target(key).ok_or_else(|| MappingError::Key(key.clone()))?;
            let value = match action {
                Action::Remove => Vec::new(),
                Action::Append | Action::Overwrite => sources(value, message, stage_variables)?,
            };
            Ok(Step { action, place, value })
        };
        Ok(Self { steps: parameters.iter().map(step).collect::<Result<_, _>>()? })
    }
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
        return Some(Source::Context(Variable::from_name(name)));
    }
    if let Some(name) = name.strip_prefix("stageVariables.") {
        return Some(Source::Static(stage_variables.get(name).cloned().unwrap_or_default()));
    }
    match name.strip_prefix(message)?.split_once('.') {
        Some(("header", name)) => HeaderName::try_from(name).ok().map(Source::Header),
        Some(("querystring", name)) if message == "request." => Some(Source::Query(name.to_owned())),
        Some(("path", name)) if message == "request." => Some(Source::PathVariable(name.to_owned())),
        None if name == "request.path" => Some(Source::Path),
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
            ("$request.path.id", vec![Source::PathVariable("id".into())]),
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
        let steps = Mapping::of_response(&response, &map(&[])).unwrap().steps;
        assert_eq!(steps[0].value, [Source::Header(header("y"))]);
        assert_eq!((steps[1].action, &steps[1].place), (Action::Overwrite, &Place::StatusCode));
    }

    #[test]
    fn refuses_the_rest() {
        for key in
            ["", "header.x", "append:path", "append:header.", "set:header.x", "append:body.x", "remove:statuscode"]
        {
            assert_eq!(request(key, "x"), Err(MappingError::Key(key.into())), "{key}");
        }
        for value in ["$request.body.x", "$response.header.x", "$x", "${request.header.x", "a${nothing}"] {
            assert!(matches!(request("append:header.x", value), Err(MappingError::Source(_))), "{value}");
        }
    }
}
