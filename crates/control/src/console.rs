//! The console under `/_countersign/console/`: pages of the crate `console`, made of what the server's own API and AWS's say to
//! whoever is signed in, and no more than that.
//!
//! Here live who is signed in ([`sessions`]), the calls of pages ([`calls`]), and what follows the traffic ([`streams`]). How pages
//! look is the crate's.

mod calls;
mod sessions;
mod streams;

use std::collections::BTreeMap;

use aws::{Caller, Error};
use bytes::Bytes;
use console::{Answer, Content, Page, Who};
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::dispatch::{BODY_TIMEOUT, Body, user_agent};
use crate::{Control, Origin, own_api};
use calls::InSession;
pub(crate) use sessions::Sessions;
use sessions::{Holder, Session};
pub(crate) use streams::Streams;

/// Where it is.
pub(crate) const PREFIX: &str = "/_countersign/console";

/// Who may open it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConsoleAccess {
    /// Nobody.
    Off,
    /// Browsers on this machine.
    #[default]
    Loopback,
    /// Browsers that reach the control address, too.
    Network,
}

/// Largest form: a truststore of 1 MB, encoded, and what goes with it.
const MAX_FORM_BYTES: usize = 4 * 1024 * 1024;
/// Nothing but the pages' own files runs or is shown, nobody frames them, and forms go nowhere else. `{assets}`: where the files
/// are; whatever else there is on this origin is none of them.
const POLICY: &str = "default-src 'none'; script-src {assets}; style-src {assets}; img-src {assets}; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A URL that signs in once, within a minute, for the rights of the access key that asked: `url`, `expires` (milliseconds since 1970).
pub(crate) fn sign_in_url(control: &Control, caller: &Caller, session_token: Option<String>) -> Result<Value, Error> {
    if control.config().console == ConsoleAccess::Off {
        return Err(Error::bad_request("The console is off: control.console says so."));
    }
    let holder = Holder { access_key_id: caller.access_key_id.clone(), session_token, region: caller.region.clone() };
    let (token, expires) = control.shared.sessions.invite(holder, control.now())?;
    Ok(json!({"path": format!("{PREFIX}/sign-in?token={}", &*token), "expires": expires}))
}

impl Control {
    /// Answers a request whose path begins with [`PREFIX`].
    pub(crate) async fn console(&self, parts: &Parts, body: Incoming, origin: &Origin) -> Response<Body> {
        let mut response = self.page(parts, body, origin).await;
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let scheme = if origin.tls { "https" } else { "http" };
        let policy = POLICY.replace("{assets}", &format!("{scheme}://{host}{PREFIX}/assets/"));
        // It is a name of this server, so that it has nothing in it that a policy gives a meaning to.
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    async fn page(&self, parts: &Parts, body: Incoming, origin: &Origin) -> Response<Body> {
        if !self.may_open_console(origin) {
            return page(console::not_here());
        }
        let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        if let Some(asset) = path.strip_prefix("/assets/").and_then(console::asset) {
            return file(asset.content_type, asset.body);
        }
        let query = pairs(parts.uri.query().unwrap_or_default());
        if path == "/sign-in" && parts.method == Method::GET {
            return self.sign_in(&query, origin);
        }
        let cookie = cookie(parts, self.shared.sessions.cookie());
        let Some(session) = cookie.and_then(|id| self.shared.sessions.find(&id, self.now())) else {
            return page(console::signed_out());
        };
        let Some(in_session) = InSession::of(self, &session.holder, origin, user_agent(parts)) else {
            self.shared.sessions.end(&session);
            return page(console::signed_out());
        };
        if !is_same_origin(parts) {
            return page(console::refused(StatusCode::FORBIDDEN, "This was not asked for by a page of this console."));
        }
        if let Some(stream) = self.stream(path, &query, &session, parts, origin) {
            return stream;
        }
        let form = match self.form(parts, body, &session).await {
            Ok(form) => form,
            Err(answer) => return page(answer),
        };
        if path == "/sign-out" && form.is_some() {
            self.shared.sessions.end(&session);
            return self.with_cookie(page(console::signed_out()), "", origin, 0);
        }
        let accept = parts.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let asked = Page {
            path: path.split('/').skip(1).filter(|part| !part.is_empty()).map(own_api::decoded).collect(),
            wants_json: query.get("format").is_some_and(|format| format == "json")
                || accept.starts_with("application/json"),
            query,
            form,
            who: Who {
                name: in_session.name().to_owned(),
                region: session.holder.region.clone(),
                csrf: session.csrf.to_string(),
            },
            at: self.now(),
        };
        page(console::answer(&asked, &in_session).await)
    }

    fn may_open_console(&self, origin: &Origin) -> bool {
        match self.config().console {
            ConsoleAccess::Off => false,
            ConsoleAccess::Loopback => origin.peer.ip().to_canonical().is_loopback(),
            ConsoleAccess::Network => true,
        }
    }

    /// Takes the token of a URL that was made for this, once.
    fn sign_in(&self, query: &BTreeMap<String, String>, origin: &Origin) -> Response<Body> {
        let token = query.get("token").map(String::as_str).unwrap_or_default();
        match self.shared.sessions.begin(token, self.now()) {
            // The page leads on by itself: a redirect would come from wherever the URL was clicked, and without the cookie then.
            Some(id) => self.with_cookie(page(console::signed_in()), &id, origin, sessions::LASTS_SECONDS),
            None => page(console::token_used()),
        }
    }

    fn with_cookie(&self, mut response: Response<Body>, id: &str, origin: &Origin, lasts: i64) -> Response<Body> {
        let (name, secure) = (self.shared.sessions.cookie(), if origin.tls { "; Secure" } else { "" });
        let cookie = format!("{name}={id}; Path={PREFIX}; HttpOnly; SameSite=Strict; Max-Age={lasts}{secure}");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        response
    }

    /// What a form sends, if one does; it has to come from a page of this session.
    async fn form(
        &self,
        parts: &Parts,
        body: Incoming,
        session: &Session,
    ) -> Result<Option<BTreeMap<String, String>>, Answer> {
        match parts.method {
            Method::GET | Method::HEAD => return Ok(None),
            Method::POST => {}
            _ => return Err(console::refused(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")),
        }
        let whole = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_FORM_BYTES).collect());
        let too_large =
            || console::refused(StatusCode::PAYLOAD_TOO_LARGE, "The form is too large: a truststore has 1 MB at most.");
        let whole = whole
            .await
            .map_err(|_| console::refused(StatusCode::REQUEST_TIMEOUT, "The form did not arrive in time."))?;
        let bytes = whole.map_err(|_| too_large())?.to_bytes();
        let form = pairs(&String::from_utf8_lossy(&bytes));
        let shown = form.get("csrf").map(String::as_str).unwrap_or_default();
        if !session.is_its_form(shown) {
            let what = "The form is of an earlier session: open the page again, and send it from there.";
            return Err(console::refused(StatusCode::FORBIDDEN, what));
        }
        Ok(Some(form))
    }
}

/// Browsers say where a request comes from; who says nothing of it is no browser, and has no cookie that it could be made to send.
/// What somebody typed, or keeps as a bookmark, comes from nowhere: a page, but no form.
fn is_same_origin(parts: &Parts) -> bool {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let is_page = parts.method == Method::GET || parts.method == Method::HEAD;
    let site = text("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none" && is_page);
    let origin = match (text("origin"), text("host")) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, from)| from == host),
        (Some(_), None) => false,
    };
    site && origin
}

fn cookie(parts: &Parts, wanted: &str) -> Option<String> {
    let cookies = parts.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned()).next()
}

/// What a form, or a query that a form makes, says: blanks are plus signs there.
fn pairs(text: &str) -> BTreeMap<String, String> {
    own_api::pairs(&text.replace('+', "%20"))
}

fn page(answer: Answer) -> Response<Body> {
    let (content_type, body) = match answer.content {
        Content::Html(html) => ("text/html; charset=utf-8", html),
        Content::Json(value) => ("application/json", value.to_string()),
        Content::Text(text) => ("text/plain; charset=utf-8", text),
    };
    let mut response = file(content_type, Bytes::from(body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let text = |text: &str| HeaderValue::from_str(text).ok();
    if let Some(location) = answer.location.as_deref().and_then(text) {
        headers.insert(header::LOCATION, location);
    }
    if let Some(name) = answer.file_name.as_deref().and_then(|name| text(&format!("attachment; filename=\"{name}\""))) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

/// With the headers that keep strangers out of a page.
fn file(content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    secured(content_type, Full::new(body.into()).map_err(|never| match never {}).boxed_unsync())
}

fn secured(content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With none at all, browsers would not say where forms come from.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        // Names of files have their digest in them.
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn forms_come_from_the_pages_of_this_console() {
        for (headers, is_same) in [
            (&[("host", "127.0.0.1:4566"), ("origin", "http://127.0.0.1:4566")][..], true),
            (&[("host", "127.0.0.1:4566"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "127.0.0.1:4566")], true),
            (&[("host", "127.0.0.1:4566"), ("origin", "http://127.0.0.1:9999")], false),
            (&[("host", "127.0.0.1:4566"), ("origin", "null")], false),
            (
                &[("host", "127.0.0.1:4566"), ("origin", "http://127.0.0.1:4566"), ("sec-fetch-site", "cross-site")],
                false,
            ),
            (&[("origin", "http://127.0.0.1:4566")], false),
            (&[("host", "127.0.0.1:4566"), ("sec-fetch-site", "none")], false),
            (&[("host", "127.0.0.1:4566"), ("sec-fetch-site", "same-site")], false),
        ] {
            let mut request = Request::builder().method("POST");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            assert_eq!(is_same_origin(&request.body(()).unwrap().into_parts().0), is_same, "{headers:?}");
        }
    }

    #[test]
    fn pairs_are_decoded() {
        let pairs = pairs("a=1+2&b=%2B%3D&c&=x");
        assert_eq!(pairs["a"], "1 2");
        assert_eq!(pairs["b"], "+=");
        assert_eq!((pairs["c"].as_str(), pairs[""].as_str()), ("", "x"));
    }
}
