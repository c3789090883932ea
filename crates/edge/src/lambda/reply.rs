//! What functions return, as answers.
//!
//! Sources: "Create AWS Lambda proxy integrations for HTTP APIs" and "Output format of a Lambda function for proxy integration"
//! (REST APIs), API Gateway developer guide.

use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use model::snapshot::{Dialect, PayloadFormat};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::forward::is_hop_by_hop;

/// An answer.
#[derive(Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// In what form an answer is returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) format: PayloadFormat,
    pub(super) dialect: Dialect,
    /// Whether a payload in base64 is decoded.
    pub(super) decodes: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Structured {
    status_code: Value,
    headers: Option<Map<String, Value>>,
    multi_value_headers: Option<Map<String, Value>>,
    cookies: Option<Vec<String>>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

impl Reply {
    /// Reads what a function has returned; none: it does not have the form that API Gateway expects.
    pub(super) fn read(form: Form, returned: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(returned).ok()?;
        let is_structured = value.get("statusCode").is_some();
        if form.format == PayloadFormat::V2 && !is_structured {
            return Some(Self::inferred(value, returned));
        }
        // serde takes a list for a structure, too.
        let object = Some(value).filter(Value::is_object)?;
        Self::structured(serde_json::from_value(object).ok()?, form)
    }

    /// Of format 2.0: what a function returns is the payload. A text is without its quotes.
    fn inferred(value: Value, returned: &[u8]) -> Self {
        let body = match value {
            Value::String(text) => text.into(),
            _ => Bytes::copy_from_slice(returned),
        };
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Self { status: StatusCode::OK, headers, body }
    }

    fn structured(returned: Structured, form: Form) -> Option<Self> {
        let status = status(&returned.status_code)?;
        let body = returned.body.unwrap_or_default();
        let body = match returned.is_base64_encoded {
            Some(true) if form.decodes => BASE64.decode(body.as_bytes()).ok()?.into(),
            _ => Bytes::from(body),
        };
        let mut headers = headers(returned.headers.unwrap_or_default())?;
        match form.format {
            PayloadFormat::V1 => merge(&mut headers, returned.multi_value_headers.unwrap_or_default())?,
            PayloadFormat::V2 => {
                for cookie in returned.cookies.unwrap_or_default() {
                    headers.append(SET_COOKIE, HeaderValue::from_bytes(cookie.as_bytes()).ok()?);
                }
            }
        }
        // Where the message ends is for us to say.
        let ours = |name: &HeaderName| is_hop_by_hop(name.as_str()) || name == CONTENT_LENGTH;
        let dropped: Vec<HeaderName> = headers.keys().filter(|name| ours(name)).cloned().collect();
        for name in dropped {
            headers.remove(name);
        }
        if !body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(default_type(form.dialect)));
        }
        Some(Self { status, headers, body })
    }
}

/// AWS's, where a function names none.
fn default_type(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Http => "text/plain;charset=UTF-8",
        Dialect::Rest => "application/json",
    }
}

/// A number, or a text that is one.
fn status(value: &Value) -> Option<StatusCode> {
    let code = match value {
        Value::Number(number) => u16::try_from(number.as_u64()?).ok()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    // An interim answer would be none.
    StatusCode::from_u16(code).ok().filter(|_| (200..600).contains(&code))
}

/// One value a name.
fn headers(returned: Map<String, Value>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in &returned {
        if !value.is_null() {
            headers.append(HeaderName::try_from(name).ok()?, text(value)?);
        }
    }
    Some(headers)
}

/// Adds several values a name; what both have is there once.
fn merge(headers: &mut HeaderMap, returned: Map<String, Value>) -> Option<()> {
    for (name, values) in &returned {
        let name = HeaderName::try_from(name).ok()?;
        let single: Vec<HeaderValue> = headers.get_all(&name).iter().cloned().collect();
        let values: Vec<HeaderValue> = values.as_array()?.iter().map(text).collect::<Option<_>>()?;
        headers.remove(&name);
        for value in single.into_iter().filter(|value| !values.contains(value)).chain(values.iter().cloned()) {
            headers.append(&name, value);
        }
    }
    Some(())
}

fn text(value: &Value) -> Option<HeaderValue> {
    match value {
        Value::String(text) => HeaderValue::from_bytes(text.as_bytes()).ok(),
        Value::Number(number) => HeaderValue::try_from(number.to_string()).ok(),
        Value::Bool(flag) => Some(HeaderValue::from_static(if *flag { "true" } else { "false" })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(format: PayloadFormat, returned: &str) -> Option<(u16, Vec<String>, String)> {
        read_in(Form { format, dialect: Dialect::Http, decodes: true }, returned)
    }

    fn read_in(form: Form, returned: &str) -> Option<(u16, Vec<String>, String)> {
        let Reply { status, headers, body } = Reply::read(form, returned.as_bytes())?;
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        lines.sort_unstable();
        Some((status.as_u16(), lines, String::from_utf8_lossy(&body).into_owned()))
    }

    #[test]
    fn format_2_infers_what_is_not_said() {
        for (returned, body) in [
            (r#""Hello from Lambda!""#, "Hello from Lambda!"),
            (r#"{ "message": "Hello from Lambda!" }"#, r#"{ "message": "Hello from Lambda!" }"#),
            ("[1, 2]", "[1, 2]"),
            ("null", "null"),
            ("7", "7"),
        ] {
            let wanted = Some((200, vec!["content-type: application/json".to_owned()], body.to_owned()));
            assert_eq!(read(PayloadFormat::V2, returned), wanted, "{returned}");
            assert_eq!(read(PayloadFormat::V1, returned), None, "{returned}");
        }
        assert_eq!(read(PayloadFormat::V2, "no JSON"), None);
        assert_eq!(read(PayloadFormat::V2, ""), None);
    }

    #[test]
    fn format_2_has_cookies_and_base64() {
        let returned = json!({
            "statusCode": 201, "headers": {"X-A": "b", "x-n": 7, "x-t": true, "x-0": null, "Content-Length": "99", "Connection": "close"},
            "cookies": ["a=1; Path=/", "b=2"], "body": "AAH/", "isBase64Encoded": true, "multiValueHeaders": {"x-ignored": ["1"]},
        });
        let (status, headers, body) = read(PayloadFormat::V2, &returned.to_string()).unwrap();
        assert_eq!((status, body.as_str()), (201, "\0\u{1}\u{fffd}"));
        assert_eq!(
            headers,
            [
                "content-type: text/plain;charset=UTF-8",
                "set-cookie: a=1; Path=/",
                "set-cookie: b=2",
                "x-a: b",
                "x-n: 7",
                "x-t: true"
            ]
        );
    }

    #[test]
    fn format_1_merges_lists() {
        let returned = json!({
            "statusCode": "200", "body": "{}", "headers": {"content-type": "application/json", "x-a": "1", "x-b": "2"},
            "multiValueHeaders": {"X-A": ["1", "3"], "set-cookie": ["a", "b"]}, "cookies": ["ignored"],
        });
        let (_, headers, _) = read(PayloadFormat::V1, &returned.to_string()).unwrap();
        assert_eq!(
            headers,
            ["content-type: application/json", "set-cookie: a", "set-cookie: b", "x-a: 1", "x-a: 3", "x-b: 2"]
        );
        let empty = read(PayloadFormat::V1, r#"{"statusCode": 204}"#);
        assert_eq!(empty, Some((204, Vec::new(), String::new())));
    }

    #[test]
    fn rest_apis_decode_for_who_takes_it() {
        let returned = r#"{"statusCode": 200, "body": "aGk=", "isBase64Encoded": true}"#;
        for (decodes, body) in [(true, "hi"), (false, "aGk=")] {
            let form = Form { format: PayloadFormat::V1, dialect: Dialect::Rest, decodes };
            let wanted = (200, vec!["content-type: application/json".to_owned()], body.to_owned());
            assert_eq!(read_in(form, returned), Some(wanted));
        }
    }

    #[test]
    fn what_is_malformed_is_no_answer() {
        for returned in [
            json!({"statusCode": 99}),
            json!({"statusCode": 101}),
            json!({"statusCode": 600}),
            json!({"statusCode": -1}),
            json!({"statusCode": 200.5}),
            json!({"statusCode": null}),
            json!({"statusCode": "ok"}),
            json!({"statusCode": 200, "body": {"a": 1}}),
            json!({"statusCode": 200, "body": "%", "isBase64Encoded": true}),
            json!({"statusCode": 200, "headers": {"a b": "c"}}),
            json!({"statusCode": 200, "headers": {"a": "b\r\nc: d"}}),
            json!({"statusCode": 200, "headers": {"a": ["b"]}}),
            json!({"statusCode": 200, "headers": []}),
            json!({"statusCode": 200, "isBase64Encoded": "true"}),
        ] {
            for format in [PayloadFormat::V1, PayloadFormat::V2] {
                assert_eq!(read(format, &returned.to_string()), None, "{format:?} {returned}");
            }
        }
        assert_eq!(read(PayloadFormat::V2, r#"{"statusCode": 200, "cookies": ["a\nb"]}"#), None);
        assert_eq!(read(PayloadFormat::V1, r#"{"statusCode": 200, "multiValueHeaders": {"a": "b"}}"#), None);
        assert_eq!(read(PayloadFormat::V1, r#"{"body": "x"}"#), None);
        assert_eq!(read(PayloadFormat::V1, r#"[200, null, null, null, "x", false]"#), None);
    }
}
