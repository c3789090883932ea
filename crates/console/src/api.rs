//! What pages are made of.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The server's APIs, with the rights of whoever is signed in.
#[async_trait]
pub trait Api: Send + Sync {
    /// A request of the server's own API: `path` is below its prefix, not encoded; null is no body.
    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: BTreeMap<String, String>,
        body: Value,
    ) -> Result<Value, Problem>;

    /// A request of one of AWS's APIs; answers that are no success are problems.
    async fn aws(&self, call: Call) -> Result<Reply, Problem>;
}

/// A request of one of AWS's APIs.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name in credential scopes.
    pub service: &'static str,
    /// Of HTTP.
    pub method: Method,
    /// Encoded, with its query.
    pub path: String,
    /// Besides those that are signed anyway.
    pub headers: Vec<(&'static str, String)>,
    /// The payload.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Of HTTP.
    pub status: StatusCode,
    /// The same.
    pub headers: HeaderMap,
    /// Read to its end.
    pub body: Bytes,
}

/// Why something could not be shown or done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Of HTTP.
    pub status: StatusCode,
    /// AWS's code.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Problem {
    /// What an answer that is no success says: in JSON, or in S3's XML.
    pub fn of(reply: &Reply) -> Self {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let text = String::from_utf8_lossy(&reply.body);
        let told = |names: &[&str], tag: &str| {
            let json = names.iter().find_map(|name| body.get(name)?.as_str().map(str::to_owned));
            json.or_else(|| Some(between(&text, &format!("<{tag}>"), &format!("</{tag}>"))?.to_owned()))
        };
        let code = reply.headers.get("x-amzn-errortype").and_then(|code| code.to_str().ok()).map(str::to_owned);
        Self {
            status: reply.status,
            code: code.or_else(|| told(&["__type", "code"], "Code")).unwrap_or_default(),
            message: told(&["message", "Message"], "Message").unwrap_or_else(|| reply.status.to_string()),
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "BadRequestException".to_owned(), message: message.into() }
    }

    pub(crate) fn not_found() -> Self {
        let message = "There is no such page.".to_owned();
        Self { status: StatusCode::NOT_FOUND, code: "NotFoundException".to_owned(), message }
    }

    /// Whether whoever is signed in lacks the right.
    pub(crate) fn is_denied(&self) -> bool {
        self.status == StatusCode::FORBIDDEN
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

/// `GET` of the server's own API.
pub(crate) async fn get(api: &dyn Api, path: &[&str], query: BTreeMap<String, String>) -> Result<Value, Problem> {
    api.ask(Method::GET, path, query, Value::Null).await
}

/// The view of an answer.
pub(crate) fn view<T: DeserializeOwned>(answer: &Value) -> Result<T, Problem> {
    T::deserialize(answer).map_err(|error| Problem {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "InternalServerErrorException".to_owned(),
        message: format!("What the server says cannot be shown: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(body: &'static str) -> Reply {
        Reply { status: StatusCode::FORBIDDEN, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn problems_are_read_in_both_forms() {
        for (body, code, message) in [
            (r#"{"__type":"AccessDeniedException","Message":"no"}"#, "AccessDeniedException", "no"),
            (r#"{"message":"no"}"#, "", "no"),
            (
                "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
                "AccessDenied",
                "Access Denied",
            ),
            ("", "", "403 Forbidden"),
        ] {
            let problem = Problem::of(&reply(body));
            assert_eq!((problem.code.as_str(), problem.message.as_str()), (code, message), "{body}");
        }
    }
}
