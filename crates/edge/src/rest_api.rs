//! REST APIs: a path leads to a resource, the resource to a method, and the method's mapping to the backend's path.

use std::borrow::Cow;
use std::rc::Rc;

use http::Method;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use model::mapping::Source;
use model::snapshot::{Dialect, Integration, PayloadModels, Required, Route, Stage};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::admit;
use crate::answer::Answer;
use crate::body::Payload;
use crate::hold::hold_request;
use crate::lambda::event;
use crate::mapping::{Values, query_values};
use crate::record::Record;
use crate::runtime::Runtime;

/// Percent-encoded in a segment of a path (RFC 3986 section 3.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A route, and its path variables in order: name and value, percent-encoded as the client sent it.
pub(crate) type Found<'s, 'p> = (&'s Route, Vec<(&'s str, &'p str)>);

/// The route of a request, or the method of a REST API's resource. A resource takes all requests for its path: where it has
/// not the method, no other one is looked for.
pub(crate) fn find<'s, 'p>(stage: &'s Stage, method: &Method, path: &'p str) -> Result<Found<'s, 'p>, Answer> {
    match stage.dialect {
        Dialect::Http => {
            let router = stage.router.as_ref().ok_or(Answer::NotFound)?;
            let found = router.find(method.as_str(), path).ok_or(Answer::NotFound)?;
            Ok((found.route, found.variables))
        }
        Dialect::Rest => {
            let resources = stage.resources.as_ref().ok_or(Answer::NotFound)?;
            let found = resources.find(method.as_str(), path).ok_or(Answer::NoMethod)?;
            let route = found.route.method(method.as_str()).ok_or(Answer::NoMethod)?;
            Ok((route, found.variables))
        }
    }
}

/// The segments of a path that a route declares as variables, of whatever method: names and values in order.
pub(crate) fn declared<'s, 'p>(stage: &'s Stage, method: &Method, path: &'p str) -> Vec<(&'s str, &'p str)> {
    match (stage.dialect, &stage.router, &stage.resources) {
        (Dialect::Http, Some(router), _) => router.declared(method.as_str(), path),
        (Dialect::Rest, _, Some(resources)) => resources.declared(method.as_str(), path),
        _ => Vec::new(),
    }
}

/// Holds a request against what its method requires: there, and not blank. What is missing stands in the record.
pub(crate) fn check(required: &[Required], parts: &Parts, record: &mut Record) -> Result<(), Answer> {
    let is_there = |parameter: &&Required| match parameter {
        Required::Header(name) => {
            parts.headers.get_all(name).iter().any(|value| !value.as_bytes().trim_ascii().is_empty())
        }
        Required::Query(name) => query_values(parts, name).any(|value| !value.trim().is_empty()),
    };
    let missing: Vec<&str> = required.iter().filter(|one| !is_there(one)).map(Required::name).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(record.lacks(&missing)),
    }
}

/// Holds a payload against its media type's model.
pub(crate) async fn check_payload(
    runtime: &Rc<Runtime>,
    models: &PayloadModels,
    parts: &Parts,
    payload: &mut Payload,
    record: &mut Record,
) -> Result<(), Answer> {
    let Some(schema) = models.find(event::media_type(&parts.headers, CONTENT_TYPE)) else { return Ok(()) };
    let whole = hold_request(runtime, payload).await?;
    schema.check(&whole.bytes).map_err(|why| record.has_invalid_body("Invalid request body", &why))
}

/// Writes path and query for the backend. In REST APIs the URI's variables are what the integration's mapping says.
pub(crate) fn write_target(
    integration: &Integration,
    mapping: &[(String, Source)],
    query: Option<&str>,
    values: &Values<'_>,
    out: &mut String,
) -> Result<(), Answer> {
    let mapped: Vec<(&str, Cow<'_, str>)> = mapping
        .iter()
        .map(|(name, source)| {
            let value = values.piece(source, &integration.request_mapping);
            // A path variable is encoded as the client sent it.
            let is_encoded = matches!(source, Source::PathVariable(_));
            (name.as_str(), if is_encoded { value } else { utf8_percent_encode(&value, SEGMENT).to_string().into() })
        })
        .collect();
    let mapped: Vec<(&str, &str)> = mapped.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    integration.target.write_path(&mapped, None, query, out);
    match admit::has_dot_segments(out.split('?').next().unwrap_or_default()) {
        true => Err(Answer::BadRequest("the mapped path has dot segments")),
        false => Ok(()),
    }
}
