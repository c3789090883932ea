//! Who may call a route: the step between the route's being found and its backend's being asked.
//!
//! Nothing here decides whether a client is trusted: that was decided before. A token is looked for, its signature verified
//! with the issuer's keys (which somebody else fetches, [`IssuerKeys`]) and its claims are held against the authorizer's and
//! the client's certificate; or the request's own signature is verified; or a Lambda function is asked. After that the API's
//! Cedar policies are asked about it all ([`hold_against`]).

mod cedar;
mod denial;
mod function;
mod keys;
mod policy;
mod remembered;
mod signed;
mod token;
mod verdict;
mod verified;

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use model::snapshot::{AccessKey, Authorization, JwtAuthorizer, Stage};
use model::template::Value;
use model::{BoundTokens, IdentitySource};
use tokio::time::timeout;

pub(crate) use cedar::hold_against;
pub(crate) use denial::Denial;
pub use keys::{IssuerKeys, KeySet, KeySetError, NoIssuers};
pub(crate) use remembered::RememberedVerdicts;
pub(crate) use token::Token;
pub(crate) use verdict::Verdict;
pub(crate) use verified::VerifiedTokens;

use crate::answer::Answer;
use crate::body::Payload;
use crate::mapping::query_values;
use crate::record::Record;
use crate::runtime::Runtime;
use token::Signed;

/// How long a request waits for its issuer's keys.
const WAIT_FOR_KEYS: Duration = Duration::from_secs(5);

/// Who was authorized, by what it showed.
#[derive(Clone)]
pub(crate) enum Authorized {
    Token(Rc<Token>),
    Key(Arc<AccessKey>),
    Function(Rc<Verdict>),
}

/// A request whose route was found.
pub(crate) struct Place<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) parts: &'a Parts,
    /// The path below base path or stage.
    pub(crate) rest: &'a str,
    /// The route's path variables.
    pub(crate) variables: &'a [(&'a str, &'a str)],
}

/// Lets a request on or ends it. What was found stands in the record afterwards.
pub(crate) async fn authorize(
    runtime: &Rc<Runtime>,
    record: &mut Record,
    authorization: &Authorization,
    place: &Place<'_>,
    payload: &mut Payload,
) -> Result<(), Answer> {
    let parts = place.parts;
    let authorized = match authorization {
        Authorization::Jwt { authorizer, scopes } => {
            record.asked_for_scopes(scopes);
            let token = by_token(runtime, record, authorizer, scopes, parts).await;
            Authorized::Token(token.map_err(|denial| record.deny(denial))?)
        }
        Authorization::AwsIam => Authorized::Key(signed::authorize(runtime, record, place, payload).await?),
        Authorization::Function(authorizer) => {
            Authorized::Function(function::authorize(runtime, record, authorizer, place).await?)
        }
        Authorization::Unusable => return Err(record.deny(Denial::AuthorizerUnusable)),
    };
    record.authorized = Some(authorized);
    Ok(())
}

async fn by_token(
    runtime: &Runtime,
    record: &Record,
    authorizer: &JwtAuthorizer,
    scopes: &[String],
    parts: &Parts,
) -> Result<Rc<Token>, Denial> {
    let text = shown(&authorizer.source, parts)?;
    let at = runtime.now_seconds();
    let digest = VerifiedTokens::digest(&authorizer.issuer, &text);
    let token = match runtime.tokens.find(&digest, at) {
        Some(token) => token,
        None => {
            let token = Rc::new(verify(runtime, authorizer, &Signed::parse(&text)?).await?);
            runtime.tokens.remember(digest, &token, at);
            token
        }
    };
    token.check(authorizer, scopes, at)?;
    let rule = record.bound_tokens();
    if rule != BoundTokens::Off {
        token.check_binding(rule, record.client.chain.leaf_sha256().as_ref())?;
    }
    Ok(token)
}

/// With the keys that are known, or with those that are fetched for it: because there are none, or none of that name, which may
/// be a new one.
async fn verify(runtime: &Runtime, authorizer: &JwtAuthorizer, signed: &Signed<'_>) -> Result<Token, Denial> {
    let (known, issuer) = (&runtime.config.issuer_keys, &authorizer.issuer);
    if let Some(keys) = known.known(issuer).filter(|keys| keys.has(&signed.kid)) {
        return signed.verify(&keys);
    }
    // Whether it came in time is seen by what is known then.
    let _ = timeout(WAIT_FOR_KEYS, known.fetch(issuer)).await;
    signed.verify(&*known.known(issuer).ok_or(Denial::IssuerUnreachable)?)
}

/// The one token that a request shows. The scheme before it may be left out, as on AWS.
fn shown<'p>(source: &'p IdentitySource, parts: &'p Parts) -> Result<Cow<'p, str>, Denial> {
    let mut found = Vec::new();
    match source {
        IdentitySource::Header(name) => {
            for value in parts.headers.get_all(name) {
                found.push(Cow::Borrowed(value.to_str().map_err(|_| Denial::TokenMalformed)?));
            }
        }
        IdentitySource::Query(name) => found.extend(query_values(parts, name)),
    }
    // Two would be two claims, and a backend might believe the other.
    let one = match (found.pop(), found.is_empty()) {
        (None, _) => return Err(Denial::TokenMissing),
        (Some(_), false) => return Err(Denial::TokenMalformed),
        (Some(one), true) => one,
    };
    let token = match one {
        Cow::Borrowed(text) => Cow::Borrowed(without_scheme(text)),
        Cow::Owned(text) => Cow::Owned(without_scheme(&text).to_owned()),
    };
    if token.is_empty() { Err(Denial::TokenMissing) } else { Ok(token) }
}

fn without_scheme(text: &str) -> &str {
    let text = text.trim_matches([' ', '\t']);
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => token.trim_start_matches(' '),
        None if text.eq_ignore_ascii_case("Bearer") => "",
        _ => text,
    }
}

impl Authorized {
    /// `$context.authorizer.claims.NAME`: text as it is, lists in brackets as AWS writes them, and everything else as JSON.
    pub(crate) fn write_claim(&self, name: &str, out: &mut Value<'_>) {
        use serde_json::Value as Json;
        let Self::Token(token) = self else { return };
        match token.claims.get(name) {
            Some(Json::Array(all)) if all.iter().all(Json::is_string) => {
                out.push_str("[");
                for (number, text) in all.iter().filter_map(Json::as_str).enumerate() {
                    out.push_str(if number == 0 { "" } else { " " });
                    out.push_str(text);
                }
                out.push_str("]");
            }
            Some(other) => write_json(other, out),
            None => {}
        }
    }

    /// `$context.authorizer.NAME`: text as it is, and everything else as JSON.
    pub(crate) fn write_context(&self, name: &str, out: &mut Value<'_>) {
        if let Self::Function(verdict) = self
            && let Some(value) = verdict.context.get(name)
        {
            write_json(value, out);
        }
    }

    /// `$context.authorizer.principalId`
    pub(crate) fn principal_id(&self) -> Option<&str> {
        match self {
            Self::Function(verdict) => verdict.principal_id.as_deref(),
            Self::Token(_) | Self::Key(_) => None,
        }
    }

    /// Whose access key signed the request.
    pub(crate) fn key(&self) -> Option<&AccessKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Token(_) | Self::Function(_) => None,
        }
    }
}

fn write_json(value: &serde_json::Value, out: &mut Value<'_>) {
    match value {
        serde_json::Value::Null => {}
        serde_json::Value::String(text) => out.push_str(text),
        other => out.push_display(other),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn one_token_with_or_without_its_scheme() {
        let header = IdentitySource::parse("$request.header.Authorization").unwrap();
        let query = IdentitySource::parse("$request.querystring.token").unwrap();
        let parts = |uri: &str, values: &[&str]| {
            let mut request = Request::get(uri);
            for value in values {
                request = request.header("authorization", *value);
            }
            request.body(()).unwrap().into_parts().0
        };
        let malformed = Err(Denial::TokenMalformed);
        for (values, wanted) in [
            (&["Bearer a.b.c"][..], Ok("a.b.c")),
            (&["bearer  a.b.c "], Ok("a.b.c")),
            (&["a.b.c"], Ok("a.b.c")),
            (&["Basic a.b.c"], Ok("Basic a.b.c")),
            (&[], Err(Denial::TokenMissing)),
            (&[""], Err(Denial::TokenMissing)),
            (&["Bearer"], Err(Denial::TokenMissing)),
            (&["Bearer "], Err(Denial::TokenMissing)),
            (&["a.b.c", "a.b.c"], malformed),
        ] {
            assert_eq!(shown(&header, &parts("/", values)).as_deref().map_err(|denial| *denial), wanted, "{values:?}");
        }
        for (uri, wanted) in [
            ("/?token=a.b.c", Ok("a.b.c")),
            ("/?x=1&%74oken=a.b.c", Ok("a.b.c")),
            ("/?token=a&token=b", malformed),
            ("/?token=", Err(Denial::TokenMissing)),
            ("/", Err(Denial::TokenMissing)),
        ] {
            let parts = parts(uri, &["Bearer x.y.z"]);
            assert_eq!(shown(&query, &parts).as_deref().map_err(|denial| *denial), wanted, "{uri}");
        }
    }
}
