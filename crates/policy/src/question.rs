//! A request, as policies are asked about it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

use cedar_policy::{Context, Entities, Entity, EntityUid, Request, RestrictedExpression};
use http::HeaderMap;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::path::{normalized, segments};
use crate::policies::Uses;
use crate::principal::Principal;
use crate::values::{address, datetime, set, text};
use crate::vocabulary::{VOCABULARY, uid};

/// A request that was let in and authorized, and whose route was found.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// Id of the API, of either kind.
    pub api: &'a str,
    /// Name of the stage.
    pub stage: &'a str,
    /// Key of the route.
    pub route: &'a str,
    /// The request's head.
    pub parts: &'a Parts,
    /// Lowercase, without port.
    pub host: &'a str,
    /// The path below stage or base path, as it was sent.
    pub path: &'a str,
    /// Names and values of the route's path variables, as they were sent.
    pub path_parameters: &'a [(&'a str, &'a str)],
    /// The client's address.
    pub source: IpAddr,
    /// Seconds since 1970.
    pub at: i64,
    /// What the route's authorizer has found.
    pub credential: Credential<'a>,
}

/// What the route's authorizer has found.
#[derive(Clone, Copy, Debug)]
pub enum Credential<'a> {
    /// The route has none.
    None,
    /// The claims of a token.
    Token(&'a Map<String, Value>),
    /// Who signed the request.
    Signer {
        /// `AKIA…`
        access_key_id: &'a str,
        /// `arn:aws:iam::{account}:…`
        arn: &'a str,
        /// `UserId`
        user: &'a str,
    },
    /// What a Lambda authorizer said.
    Verdict {
        /// `principalId` of its answer.
        principal_id: Option<&'a str>,
        /// `context` of its answer.
        context: &'a Map<String, Value>,
    },
}

/// Names of attributes or tags with their values.
type Members = Vec<(String, RestrictedExpression)>;

impl Question<'_> {
    /// As Cedar has it, with as much in it as the policies use; or why not.
    pub(crate) fn put(&self, uses: &Uses) -> Result<(Request, Entities), String> {
        let vocabulary = &*VOCABULARY;
        let route = uid(&vocabulary.route, &format!("{}/{}/{}", self.api, self.stage, self.route));
        let mut asked = Asked { uses, context: Vec::with_capacity(8), entities: Vec::with_capacity(4) };
        let of_route = [("api", self.api), ("stage", self.stage), ("key", self.route)];
        asked.entity(route.clone(), of_route.map(member), [])?;
        self.about_the_request(&mut asked)?;
        self.about_the_path(&mut asked)?;
        self.about_the_credential(&mut asked)?;
        let context = Context::from_pairs(asked.context).map_err(|error| error.to_string())?;
        let entities = self.principal.entities.clone().add_entities(asked.entities, None);
        let entities = entities.map_err(|error| error.to_string())?;
        let action = vocabulary.action(&self.parts.method);
        let request = Request::new(self.principal.uid.clone(), action, route, context, None);
        Ok((request.map_err(|error| error.to_string())?, entities))
    }

    fn about_the_request(&self, asked: &mut Asked<'_>) -> Result<(), String> {
        asked.attribute("method", || text(self.parts.method.as_str()));
        asked.attribute("host", || text(self.host));
        asked.attribute("sourceIp", || address(self.source));
        asked.attribute("time", || datetime(self.at));
        asked.texts("headers", || headers(&self.parts.headers))?;
        asked.texts("query", || query(self.parts.uri.query().unwrap_or_default()))
    }

    fn about_the_path(&self, asked: &mut Asked<'_>) -> Result<(), String> {
        asked.attribute("path", || text(normalized(self.path)));
        asked.attribute("segments", || set(segments(self.path)));
        asked.attribute("firstSegment", || text(segments(self.path).into_iter().next().unwrap_or_default()));
        asked.texts("pathParameters", || {
            let decoded = |(name, value): &(&str, &str)| ((*name).to_owned(), decoded(value));
            self.path_parameters.iter().map(decoded).collect()
        })
    }

    fn about_the_credential(&self, asked: &mut Asked<'_>) -> Result<(), String> {
        match self.credential {
            Credential::Token(claims) if asked.uses.has("token") => asked.token(claims),
            Credential::Signer { access_key_id, arn, user } if asked.uses.has("signer") => {
                let account = arn.split(':').nth(4).unwrap_or_default();
                let members = [("accessKeyId", access_key_id), ("account", account), ("user", user), ("arn", arn)];
                asked.record("signer", members.map(member).into())
            }
            Credential::Verdict { principal_id, context } if asked.uses.has("authorizer") => {
                let said = context.iter().filter_map(|(name, value)| Some((name.clone(), scalar(value)?)));
                let mut members = vec![("context".to_owned(), asked.texts_of("authorizer", said)?)];
                members.extend(principal_id.map(|id| member(("principalId", id))));
                asked.record("authorizer", members)
            }
            _ => Ok(()),
        }
    }
}

/// What a request is put together of.
struct Asked<'u> {
    uses: &'u Uses,
    context: Members,
    entities: Vec<Entity>,
}

impl Asked<'_> {
    /// An attribute of the context.
    fn attribute(&mut self, name: &str, value: impl FnOnce() -> RestrictedExpression) {
        if self.uses.has(name) {
            self.context.push((name.to_owned(), value()));
        }
    }

    fn record(&mut self, name: &str, members: Members) -> Result<(), String> {
        let record = RestrictedExpression::new_record(members).map_err(|error| error.to_string())?;
        self.context.push((name.to_owned(), record));
        Ok(())
    }

    /// An attribute of the context that is `Texts`.
    fn texts(&mut self, name: &str, texts: impl FnOnce() -> BTreeMap<String, String>) -> Result<(), String> {
        if self.uses.has(name) {
            let texts = self.texts_of(name, texts())?;
            self.context.push((name.to_owned(), texts));
        }
        Ok(())
    }

    /// A token (RFC 9068 section 2.2 for its scopes, besides `scp`, which other issuers have).
    fn token(&mut self, claims: &Map<String, Value>) -> Result<(), String> {
        let of_claim = |name: &str| claims.get(name).and_then(list).unwrap_or_default();
        let scopes: Vec<String> = [of_claim("scope"), of_claim("scp")].concat();
        let scopes = scopes.iter().flat_map(|scopes| scopes.split(' ')).filter(|scope| !scope.is_empty());
        let texts = claims.iter().filter_map(|(name, value)| Some((name.clone(), scalar(value)?)));
        let lists = claims.iter().filter_map(|(name, value)| Some((name.clone(), set(list(value)?))));
        let of_lists = uid(&VOCABULARY.lists, "token");
        self.entity(of_lists.clone(), [], lists)?;
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        let mut members = vec![
            member(("issuer", issuer)),
            ("scopes".to_owned(), set(scopes)),
            ("claims".to_owned(), self.texts_of("token", texts)?),
            ("lists".to_owned(), RestrictedExpression::new_entity_uid(of_lists)),
        ];
        members.extend(claims.get("sub").and_then(Value::as_str).map(|subject| member(("subject", subject))));
        self.record("token", members)
    }

    /// The entity `Texts` of that name.
    fn texts_of(
        &mut self,
        name: &str,
        texts: impl IntoIterator<Item = (String, String)>,
    ) -> Result<RestrictedExpression, String> {
        let uid = uid(&VOCABULARY.texts, name);
        self.entity(uid.clone(), [], texts.into_iter().map(|(name, value)| (name, text(value))))?;
        Ok(RestrictedExpression::new_entity_uid(uid))
    }

    fn entity(
        &mut self,
        uid: EntityUid,
        attributes: impl IntoIterator<Item = (String, RestrictedExpression)>,
        tags: impl IntoIterator<Item = (String, RestrictedExpression)>,
    ) -> Result<(), String> {
        let entity = Entity::new_with_tags(uid, attributes, [], tags);
        self.entities.push(entity.map_err(|error| error.to_string())?);
        Ok(())
    }
}

fn member((name, value): (&str, &str)) -> (String, RestrictedExpression) {
    (name.to_owned(), text(value))
}

/// Several lines of a name are one (RFC 9110 section 5.3).
fn headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for (name, value) in headers {
        join(&mut texts, name.as_str().into(), String::from_utf8_lossy(value.as_bytes()), ", ");
    }
    texts
}

fn query(query: &str) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for field in query.split('&').filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let blank = |text: &str| decoded(&text.replace('+', " "));
        join(&mut texts, blank(name), blank(value).into(), ",");
    }
    texts
}

fn join(texts: &mut BTreeMap<String, String>, name: String, value: Cow<'_, str>, separator: &str) {
    match texts.entry(name) {
        Entry::Vacant(vacant) => drop(vacant.insert(value.into_owned())),
        Entry::Occupied(mut known) => {
            known.get_mut().push_str(separator);
            known.get_mut().push_str(&value);
        }
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// What can be said in one word.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A list of such, or one alone. An empty list is none: it would be the same as a certificate's that names nothing.
fn list(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(values) => values.iter().map(scalar).collect::<Option<Vec<_>>>().filter(|list| !list.is_empty()),
        one => scalar(one).map(|one| vec![one]),
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy::Entities;
    use http::Request as HttpRequest;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::policies::Policies;

    /// Uses every attribute, as the context as a whole.
    const ALL: &str = "permit(principal, action, resource) when { (if true then context else context).path == \"\" };";

    fn some_json() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        scalar.prop_recursive(2, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        /// Policies are validated against the schema, so that what they are asked about has to be as it says.
        #[test]
        fn every_question_fits_the_schema(
            method in "[A-Z]{1,8}|GET|PUT",
            path in "/[!-~&&[^#?]]{0,20}|",
            query in "[!-~&&[^#]]{0,20}",
            header in "[ -~]{0,20}",
            source: IpAddr,
            at: i64,
            claims in prop::collection::btree_map("iss|sub|scope|scp|.*", some_json(), 0..6),
            kind in 0..4_u8,
        ) {
            let Ok(request) = HttpRequest::builder().method(&*method).uri(format!("/?{query}")).header("x", header).body(()) else {
                return Ok(());
            };
            let claims: Map<String, Value> = claims.into_iter().collect();
            let credential = match kind {
                0 => Credential::None,
                1 => Credential::Token(&claims),
                2 => Credential::Signer { access_key_id: &path, arn: &query, user: &path },
                _ => Credential::Verdict { principal_id: Some(&path).filter(|id| !id.is_empty()).map(|id| &**id), context: &claims },
            };
            let question = Question {
                principal: &Principal::anonymous(),
                api: &path, stage: &query, route: &path, host: &path, path: &path,
                parts: &request.into_parts().0,
                path_parameters: &[("a", &path), ("a", &query)],
                source, at, credential,
            };
            let (policies, _) = Policies::compile(ALL.as_bytes()).unwrap();
            let (request, entities) = policies.question(&question).unwrap();
            let schema = VOCABULARY.validator.schema();
            let known = entities.iter().filter(|entity| entity.uid().type_name().basename() != "Action").cloned();
            prop_assert!(Entities::from_entities(known, Some(schema)).is_ok());
            let [principal, action, resource] = [request.principal(), request.action(), request.resource()].map(|uid| uid.unwrap().clone());
            let fits = Request::new(principal, action, resource, request.context().unwrap().clone(), Some(schema));
            prop_assert!(fits.is_ok(), "{:?}", fits.err().map(|e| e.to_string()));
        }
    }
}
