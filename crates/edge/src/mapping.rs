//! Parameter mapping at work: values are looked up in the request as it came, and applied to what goes out.

use std::borrow::Cow;

use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, response};
use model::mapping::{Action, Mapping, Place, Source, Step, status_code};
use model::template::value_of;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::identity;
use crate::record::Record;

/// Percent-encoded in a path (RFC 3986 section 3.3); `%` is left, since values may be encoded already.
const PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}');
/// Percent-encoded in a name or value of a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encoded in a header, with all that is not ASCII: what could end it or be read in several ways. `%` is, so that
/// what was encoded can be told from what was not.
const HEADER: &AsciiSet = &CONTROLS.add(b'%');

/// What the steps of a mapping come to for one request. A step whose sources have no value does nothing, as on AWS.
#[derive(Default)]
pub(crate) struct Changes(Vec<Change>);

struct Change {
    action: Action,
    place: Place,
    value: String,
    is_identity: bool,
}

/// The values of one message.
pub(crate) struct Values<'a> {
    headers: &'a HeaderMap,
    /// Of the request; none in a response. The path is the one below the stage.
    path: &'a str,
    query: &'a str,
    variables: &'a [(&'a str, &'a str)],
    record: &'a Record,
    /// What was held of it: nothing where no value is looked for in it.
    payload: &'a [u8],
    /// A stranger made them.
    from_client: bool,
}

impl<'a> Values<'a> {
    /// `path` is the one below the stage or the base path.
    pub(crate) fn of_request(
        parts: &'a Parts,
        path: &'a str,
        variables: &'a [(&'a str, &'a str)],
        record: &'a Record,
    ) -> Self {
        let path = if path.is_empty() { "/" } else { path };
        let query = parts.uri.query().unwrap_or_default();
        Self { headers: &parts.headers, path, query, variables, record, payload: &[], from_client: true }
    }

    pub(crate) fn of_response(headers: &'a HeaderMap, record: &'a Record) -> Self {
        Self { headers, path: "", query: "", variables: &[], record, payload: &[], from_client: false }
    }

    /// With the payload.
    pub(crate) fn with_payload(self, payload: &'a [u8]) -> Self {
        Self { payload, ..self }
    }

    /// Looks everything up.
    pub(crate) fn changes(&self, mapping: &Mapping) -> Changes {
        let change = |step: &Step| {
            let value = step.value.iter().map(|source| self.piece(source, mapping)).collect();
            let Step { action, ref place, is_identity, .. } = *step;
            let change = Change { action, place: place.clone(), value, is_identity };
            (change.action == Action::Remove || !change.value.is_empty()).then_some(change)
        };
        Changes(mapping.steps.iter().filter_map(change).collect())
    }

    /// What a source is in this message.
    pub(crate) fn piece<'s>(&'s self, source: &'s Source, mapping: &Mapping) -> Cow<'s, str> {
        match source {
            Source::Static(text) => text.into(),
            Source::Header(name) if self.from_client && is_claim(name.as_str(), mapping) => "".into(),
            Source::Header(name) => {
                let values: Vec<Cow<'_, str>> =
                    self.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
                values.join(",").into()
            }
            Source::Query(name) => {
                let values: Vec<Cow<'_, str>> =
                    fields(self.query).filter(|(field, _)| field == name).map(|(_, value)| value).collect();
                values.join(",").into()
            }
            Source::Path => self.path.into(),
            Source::PathVariable(name) => {
                self.variables.iter().find(|(variable, _)| variable == name).map_or("", |(_, value)| value).into()
            }
            Source::Body(path) => path.find(self.payload).unwrap_or_default().into(),
            Source::Context(variable) => {
                let certificate = self.record.client.chain.identity().map(|identity| &identity.certificate);
                value_of(variable, certificate, self.record).unwrap_or_default().into()
            }
        }
    }
}

impl Changes {
    /// Changes path and query for the backend.
    pub(crate) fn apply_to_target(&self, target: &mut String) {
        for Change { action, place, value, .. } in &self.0 {
            match place {
                Place::Path => {
                    let query = target.find('?').map_or("", |at| &target[at..]);
                    let slash = if value.starts_with('/') { "" } else { "/" };
                    *target = format!("{slash}{}{query}", utf8_percent_encode(value, PATH));
                }
                Place::Query(name) => change_query(target, *action, name, value),
                Place::Header(_) | Place::StatusCode => {}
            }
        }
    }

    /// Whether the path is made of what a client sent: it was looked at before it was decoded.
    pub(crate) fn overwrites_path(&self) -> bool {
        self.0.iter().any(|change| change.place == Place::Path)
    }

    /// Changes headers, of either direction.
    pub(crate) fn apply_to_headers(&self, headers: &mut HeaderMap) {
        for Change { action, place, value, is_identity } in &self.0 {
            let Place::Header(name) = place else { continue };
            match (action, header_value(value, *is_identity)) {
                (Action::Remove, _) => drop(headers.remove(name)),
                (Action::Overwrite, Some(value)) => drop(headers.insert(name, value)),
                (Action::Append, Some(value)) => drop(headers.append(name, value)),
                (_, None) => {}
            }
        }
    }

    /// Changes the status of an answer.
    pub(crate) fn apply_to_status(&self, head: &mut response::Parts) {
        let mapped = self.0.iter().filter(|change| change.place == Place::StatusCode);
        let Some(status) = mapped.filter_map(|change| status_code(&change.value)).last() else { return };
        if head.status == StatusCode::NOT_MODIFIED {
            // The length of what was not sent (RFC 9110 section 8.6).
            head.headers.remove(CONTENT_LENGTH);
        }
        head.status = status;
    }
}

/// Sets the headers of a gateway response; one without a value is not set.
pub(crate) fn set_headers(set: &[(HeaderName, Source)], record: &Record, headers: &mut HeaderMap) {
    let none = Mapping::default();
    for (name, source) in set {
        let is_identity = matches!(source, Source::Context(variable) if variable.is_identity());
        let no_headers = HeaderMap::new();
        let values = Values::of_response(&no_headers, record);
        let value = values.piece(source, &none);
        if let Some(value) = header_value(&value, is_identity).filter(|value| !value.is_empty()) {
            headers.insert(name, value);
        }
    }
}

/// Whether a client's header says who the client is, which is not for the client to say.
fn is_claim(name: &str, mapping: &Mapping) -> bool {
    identity::is_identity(&identity::plain(name)) || mapping.claims(name)
}

/// Control characters, as in a PEM text, and what is not ASCII are percent-encoded: a header cannot hold them, or not so that
/// everybody reads the same. What says who the client is has `%` encoded always, so that no two clients are told alike.
pub(crate) fn header_value(text: &str, is_identity: bool) -> Option<HeaderValue> {
    let encodes = |byte: u8| !(b' '..=b'~').contains(&byte) || is_identity && byte == b'%';
    let encoded: Cow<'_, str> = match text.bytes().any(encodes) {
        true => utf8_percent_encode(text, HEADER).to_string().into(),
        false => text.into(),
    };
    HeaderValue::from_bytes(encoded.as_bytes()).ok()
}

pub(crate) fn change_query(target: &mut String, action: Action, name: &str, value: &str) {
    if action != Action::Append
        && let Some(at) = target.find('?')
    {
        let query = target.split_off(at);
        let kept = query[1..].split('&').filter(|field| decoded(field.split('=').next().unwrap_or_default()) != name);
        let kept: Vec<&str> = kept.collect();
        if !kept.is_empty() {
            target.push('?');
            target.push_str(&kept.join("&"));
        }
    }
    if action != Action::Remove {
        target.push(if target.contains('?') { '&' } else { '?' });
        target.extend(utf8_percent_encode(name, QUERY));
        target.push('=');
        target.extend(utf8_percent_encode(value, QUERY));
    }
}

/// The values of a name in a request's query string, decoded.
pub(crate) fn query_values<'p>(parts: &'p Parts, name: &'p str) -> impl Iterator<Item = Cow<'p, str>> {
    fields(parts.uri.query().unwrap_or_default()).filter(move |(field, _)| field == name).map(|(_, value)| value)
}

/// Names and values of a query string, decoded.
pub(crate) fn fields(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').map(|field| {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &str) -> Cow<'_, str> {
    match text.contains('+') {
        true => percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned().into(),
        false => percent_decode_str(text).decode_utf8_lossy(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_header_holds_whatever_there_is_and_no_two_are_alike(text in any::<String>()) {
            for is_identity in [false, true] {
                let value = header_value(&text, is_identity).unwrap();
                prop_assert!(value.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)));
            }
            let read = header_value(&text, true).unwrap();
            let decoded = percent_decode_str(read.to_str().unwrap()).decode_utf8().unwrap();
            prop_assert_eq!(decoded, text.as_str());
        }
    }

    #[test]
    fn changes_a_query_by_decoded_names() {
        for (target, action, name, wanted) in [
            ("/x", Action::Append, "a", "/x?a=1%20%26"),
            ("/x?a=0", Action::Append, "a", "/x?a=0&a=1%20%26"),
            ("/x?a=0&%61=2&b=3", Action::Overwrite, "a", "/x?b=3&a=1%20%26"),
            ("/x?a=0&b", Action::Remove, "a", "/x?b"),
            ("/x?a", Action::Remove, "a", "/x"),
            ("/x", Action::Remove, "a", "/x"),
        ] {
            let mut changed = target.to_owned();
            change_query(&mut changed, action, name, "1 &");
            assert_eq!(changed, wanted, "{target} {action:?}");
        }
    }

    #[test]
    fn header_values_cannot_break_out() {
        for (text, wanted, as_identity) in [
            ("CN=a\\, b", "CN=a\\, b", "CN=a\\, b"),
            ("-----BEGIN\nQ%==\r\n", "-----BEGIN%0AQ%25==%0D%0A", "-----BEGIN%0AQ%25==%0D%0A"),
            ("a\0b\tc\x7f", "a%00b%09c%7F", "a%00b%09c%7F"),
            ("CN=Zo\u{eb}", "CN=Zo%C3%AB", "CN=Zo%C3%AB"),
            ("100%", "100%", "100%25"),
            ("CN=%C3%AB", "CN=%C3%AB", "CN=%25C3%25AB"),
            ("\u{85}\u{2028}", "%C2%85%E2%80%A8", "%C2%85%E2%80%A8"),
        ] {
            assert_eq!(header_value(text, false).unwrap(), wanted);
            assert_eq!(header_value(text, true).unwrap(), as_identity);
        }
    }

    #[test]
    fn query_fields_are_decoded() {
        let read: Vec<(String, String)> =
            fields("a=1+2&b=%26&c").map(|(name, value)| (name.into(), value.into())).collect();
        let wanted = [("a", "1 2"), ("b", "&"), ("c", "")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(read, wanted);
    }
}
