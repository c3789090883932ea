//! Parameter mapping of REST APIs ("Parameter mapping in API Gateway", REST API developer guide): other words for the same
//! steps, and path variables of the integration's URI besides.

use std::collections::BTreeMap;

use http::HeaderName;
use http::header::{CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};

use super::{Action, Mapping, MappingError, Place, Source, Step, source};
use crate::template::Variable;

/// Where a message ends, and what becomes of the connection: headers that no setting says.
pub(crate) const RESERVED: [HeaderName; 6] = [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// `requestParameters` of a REST API's integration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestMapping {
    /// What is done to headers and query.
    pub mapping: Mapping,
    /// What the variables of the integration's URI become.
    pub path: Vec<(String, Source)>,
}

impl RestMapping {
    /// Reads `integration.request.LOCATION.NAME` = `method.request.LOCATION.NAME`, `context.NAME`, `stageVariables.NAME` or
    /// `'text'`.
    pub fn parse(
        parameters: &BTreeMap<String, String>,
        stage_variables: &BTreeMap<String, String>,
    ) -> Result<Self, MappingError> {
        let mut read = Self::default();
        for (key, value) in parameters {
            let wrong = || MappingError::Key(key.clone());
            let (location, name) =
                key.strip_prefix("integration.request.").and_then(|key| key.split_once('.')).ok_or_else(wrong)?;
            let source = rest_source(value, stage_variables).ok_or_else(|| MappingError::Source(value.clone()))?;
            let place = match location {
                "path" if !name.is_empty() => {
                    read.mapping.reads_payload |= matches!(source, Source::Body(_));
                    read.path.push((name.to_owned(), source));
                    continue;
                }
                "header" => Place::Header(HeaderName::try_from(name).map_err(|_| wrong())?),
                "querystring" if !name.is_empty() => Place::Query(name.to_owned()),
                _ => return Err(wrong()),
            };
            let is_identity = matches!(&source, Source::Context(variable) if variable.is_identity());
            read.mapping.push(Step { action: Action::Overwrite, place, value: vec![source], is_identity });
        }
        read.mapping.drop_claims();
        Ok(read)
    }
}

/// Reads `identitySource` of a REST API's authorizer: `method.request.header.NAME`, `method.request.querystring.NAME`, `context.NAME`
/// and `stageVariables.NAME`, with commas between them. What authorizers themselves find is not known yet when they are asked.
pub fn rest_identity_sources(
    sources: &str,
    stage_variables: &BTreeMap<String, String>,
) -> Result<Vec<Source>, MappingError> {
    let read = |entry: &str| {
        let found = rest_source(entry, stage_variables).filter(|_| !entry.starts_with('\''));
        match found {
            Some(
                Source::Context(Variable::Authorizer(_) | Variable::AuthorizerClaim(_))
                | Source::PathVariable(_)
                | Source::Body(_),
            ) => None,
            found => found,
        }
        .ok_or_else(|| MappingError::Source(entry.to_owned()))
    };
    sources.split(',').map(str::trim).map(read).collect()
}

/// Reads a value of a gateway response's header: `'text'`, `context.NAME` or `stageVariables.NAME`.
pub fn gateway_response_source(
    value: &str,
    stage_variables: &BTreeMap<String, String>,
) -> Result<Source, MappingError> {
    let found = rest_source(value, stage_variables);
    let found = found.filter(|source| matches!(source, Source::Static(_) | Source::Context(_)));
    found.ok_or_else(|| MappingError::Source(value.to_owned()))
}

/// Reads `responseParameters` of an integration response: `method.response.header.NAME` = `integration.response.header.NAME`,
/// `integration.response.body.PATH`, `context.NAME`, `stageVariables.NAME` or `'text'`.
pub fn rest_response_mapping(
    parameters: &BTreeMap<String, String>,
    stage_variables: &BTreeMap<String, String>,
) -> Result<Mapping, MappingError> {
    let mut mapping = Mapping::default();
    for (key, value) in parameters {
        let name = key.strip_prefix("method.response.header.").and_then(|name| HeaderName::try_from(name).ok());
        let name = name.filter(|name| !RESERVED.contains(name)).ok_or_else(|| MappingError::Key(key.clone()))?;
        let source = match value.strip_prefix("integration.") {
            Some(name) => source(name, "response.", stage_variables),
            None => rest_source(value, stage_variables).filter(|_| !value.starts_with("method.")),
        };
        let source = source.ok_or_else(|| MappingError::Source(value.clone()))?;
        let is_identity = matches!(&source, Source::Context(variable) if variable.is_identity());
        let (action, place) = (Action::Overwrite, Place::Header(name));
        mapping.push(Step { action, place, value: vec![source], is_identity });
    }
    Ok(mapping)
}

fn rest_source(value: &str, stage_variables: &BTreeMap<String, String>) -> Option<Source> {
    if let Some(text) = value.strip_prefix('\'') {
        return text.strip_suffix('\'').map(|text| Source::Static(text.to_owned()));
    }
    match value.strip_prefix("method.") {
        // The path as a whole is no parameter of a REST API's method.
        Some("request.path") => None,
        Some(name) => source(name, "request.", stage_variables),
        None if value.starts_with("context.") || value.starts_with("stageVariables.") => {
            source(value, "request.", stage_variables)
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::JsonPath;
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn reads_the_forms_that_aws_documents() {
        let parameters = map(&[
            ("integration.request.header.x-dn", "context.identity.clientCert.subjectDN"),
            ("integration.request.header.x-static", "'one, two'"),
            ("integration.request.path.proxy", "method.request.path.proxy"),
            ("integration.request.querystring.env", "stageVariables.env"),
            ("integration.request.querystring.q", "method.request.header.X-Q"),
        ]);
        let read = RestMapping::parse(&parameters, &map(&[("env", "prod")])).unwrap();
        assert_eq!(read.path, [("proxy".to_owned(), Source::PathVariable("proxy".into()))]);
        let values: Vec<&Source> = read.mapping.steps.iter().map(|step| &step.value[0]).collect();
        assert!(matches!(values[0], Source::Context(Variable::ClientCert(_))));
        assert_eq!(values[1], &Source::Static("one, two".into()));
        assert_eq!(values[2], &Source::Static("prod".into()));
        assert_eq!(values[3], &Source::Header(HeaderName::from_static("x-q")));
        assert!(read.mapping.claims("x_dn"), "a client cannot say what the gateway says of it");
        assert!(!read.mapping.reads_payload);
        for key in ["integration.request.header.x", "integration.request.path.x"] {
            let read = RestMapping::parse(&map(&[(key, "method.request.body.user.id")]), &map(&[])).unwrap();
            assert!(read.mapping.reads_payload, "{key}");
        }
    }

    #[test]
    fn identity_sources_stand_between_commas() {
        let read = |sources: &str| rest_identity_sources(sources, &map(&[("env", "prod")])).ok();
        let (header, query) = (Source::Header(HeaderName::from_static("x-a")), Source::Query("q".to_owned()));
        assert_eq!(read("method.request.header.X-A, method.request.querystring.q"), Some(vec![header, query]));
        let known = vec![Source::Static("prod".to_owned()), Source::Context(Variable::RequestId)];
        assert_eq!(read("stageVariables.env,context.requestId"), Some(known));
        for wrong in [
            "",
            "method.request.header.X-A,",
            "'x'",
            "method.request.path.id",
            "method.request.body.x",
            "$request.header.X-A",
            "context.authorizer.tenant",
            "context.nothing",
            "method.request.header.a b",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_answers_get() {
        let read = |key: &str, value: &str| rest_response_mapping(&map(&[(key, value)]), &map(&[("env", "prod")]));
        for (value, wanted) in [
            ("'a, b'", Source::Static("a, b".into())),
            ("integration.response.header.X-Y", Source::Header(HeaderName::from_static("x-y"))),
            ("integration.response.body.a[0].b", Source::Body(JsonPath::parse(".a[0].b").unwrap())),
            ("context.requestId", Source::Context(Variable::RequestId)),
            ("stageVariables.env", Source::Static("prod".into())),
        ] {
            let mapping = read("method.response.header.x", value).unwrap();
            assert_eq!(mapping.steps[0].value, [wanted], "{value}");
            assert_eq!(mapping.reads_payload, value.contains("body"));
        }
        for (key, value) in [
            ("method.response.header.", "'x'"),
            ("method.response.header.Transfer-Encoding", "'chunked'"),
            ("integration.response.header.x", "'x'"),
            ("method.response.header.x", "x"),
            ("method.response.header.x", "method.request.header.x"),
            ("method.response.header.x", "integration.response.querystring.x"),
            ("method.response.header.x", "integration.request.header.x"),
            ("method.response.header.x", "context.nothing"),
        ] {
            assert!(read(key, value).is_err(), "{key} {value}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for (key, value) in [
            ("header.x", "'x'"),
            ("integration.request.header.", "'x'"),
            ("integration.request.path.", "'x'"),
            ("integration.request.body.x", "'x'"),
            ("integration.request.multivalueheader.x", "'x'"),
            ("integration.request.header.x", "x"),
            ("integration.request.header.x", "'x"),
            ("integration.request.header.x", "'"),
            ("integration.request.header.x", "method.request.body"),
            ("integration.request.header.x", "method.request.path"),
            ("integration.request.header.x", "method.request.body..x"),
            ("integration.request.header.x", "integration.response.header.x"),
            ("integration.request.header.x", "context.nothing"),
        ] {
            assert!(RestMapping::parse(&map(&[(key, value)]), &map(&[])).is_err(), "{key} {value}");
        }
    }
}
