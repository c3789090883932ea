//! Requests as functions are told of them.
//!
//! Sources: "Create AWS Lambda proxy integrations for HTTP APIs" and "Input format of a Lambda function for proxy integration"
//! (REST APIs), API Gateway developer guide. Names of headers are lowercase, as HTTP APIs have them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use data_encoding::BASE64;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::UnixMillis;
use model::mapping::Mapping;
use model::snapshot::{Dialect, Paths, PayloadFormat, Stage};
use model::template::{Variable, value_of};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::{Map, Value, json};
use trust::ClientCert;

use crate::authorize::Authorized;
use crate::forward;
use crate::mapping;
use crate::record::Record;

/// A request, and what is known of it.
pub(crate) struct Asked<'a> {
    pub(crate) record: &'a Record,
    pub(crate) stage: &'a Stage,
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    /// See [`path`].
    pub(crate) path: &'a str,
    /// As it was sent; empty: there is none.
    pub(crate) query: &'a str,
    /// The route's path variables, percent-encoded as the client sent them.
    pub(crate) variables: &'a [(String, String)],
}

/// The path that an event names: in format 2.0 without the base path of a custom domain, but with the stage's name; in 1.0 as it
/// was sent, but for the stage of a REST API's own endpoint. `rest` is what is below base path or stage.
pub(crate) fn path(format: PayloadFormat, record: &Record, stage: &Stage, sent: &str, rest: &str) -> String {
    let rest = if rest.is_empty() { "/" } else { rest };
    let is_own_endpoint = matches!(record.domain.paths, Paths::Stages(_));
    match (format, stage.dialect) {
        (PayloadFormat::V2, _) if stage.name == "$default" => rest.to_owned(),
        (PayloadFormat::V2, _) => format!("/{}{rest}", stage.name),
        (PayloadFormat::V1, Dialect::Rest) if is_own_endpoint => rest.to_owned(),
        (PayloadFormat::V1, _) => sent.to_owned(),
    }
}

/// The headers that an event has: those of the request as far as they are not for us, where it comes from, and who the client is
/// where the domain's tags want it.
pub(crate) fn headers(parts: &Parts, mapping: &Mapping, record: &Record) -> HeaderMap {
    let mut headers = parts.headers.clone();
    forward::strip_request(&mut headers, parts.version, mapping);
    // HTTP/2 has it elsewhere.
    if let Some(authority) = parts.uri.authority().filter(|_| !headers.contains_key(HOST))
        && let Ok(host) = HeaderValue::try_from(authority.as_str())
    {
        headers.insert(HOST, host);
    }
    let connection = record.connection();
    if let Ok(client) = HeaderValue::try_from(connection.peer.ip().to_canonical().to_string()) {
        headers.insert("x-forwarded-for", client);
    }
    headers.insert("x-forwarded-port", HeaderValue::from(connection.local.port()));
    headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    for (name, value) in record.client.identity_headers() {
        headers.insert(name.clone(), value.clone());
    }
    headers
}

/// The event of an integration, as JSON.
pub(crate) fn of_integration(format: PayloadFormat, asked: &Asked<'_>, payload: &[u8]) -> serde_json::Result<Vec<u8>> {
    let content = Content::of(asked, payload);
    match format {
        PayloadFormat::V1 => serde_json::to_vec(&IntegrationV1 {
            version: (asked.stage.dialect == Dialect::Http).then_some("1.0"),
            request: RequestV1::of(asked),
            body: content.body,
            is_base64_encoded: content.is_base64_encoded,
        }),
        PayloadFormat::V2 => serde_json::to_vec(&IntegrationV2 {
            version: "2.0",
            request: RequestV2::of(asked),
            body: content.body,
            is_base64_encoded: content.is_base64_encoded,
        }),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IntegrationV1<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    #[serde(flatten)]
    request: RequestV1<'a>,
    body: Option<Cow<'a, str>>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IntegrationV2<'a> {
    version: &'static str,
    #[serde(flatten)]
    request: RequestV2<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    is_base64_encoded: bool,
}

/// The event of an authorizer that is told a token, as JSON.
pub(crate) fn of_token(method_arn: &str, token: &str) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&json!({"type": "TOKEN", "authorizationToken": token, "methodArn": method_arn}))
}

/// The event of an authorizer that is told of the request, as JSON.
pub(crate) fn of_authorizer(
    format: PayloadFormat,
    asked: &Asked<'_>,
    route_arn: &str,
    identity: &[String],
) -> serde_json::Result<Vec<u8>> {
    match format {
        PayloadFormat::V1 => {
            let mut request = RequestV1::of(asked);
            // Nobody has decided yet.
            request.request_context.authorizer = None;
            request.path_parameters.get_or_insert_default();
            let mut identity = Some(identity.join(","));
            if asked.stage.dialect == Dialect::Rest {
                // They say what there is none of by what is empty, and leave the identity to be found in the request.
                request.query_string_parameters.get_or_insert_default();
                request.multi_value_query_string_parameters.get_or_insert_default();
                request.stage_variables.get_or_insert(asked.stage.variables());
                identity = None;
            }
            serde_json::to_vec(&AuthorizerV1 {
                version: identity.is_some().then_some("1.0"),
                kind: "REQUEST",
                method_arn: route_arn,
                identity_source: identity.as_deref(),
                authorization_token: identity.as_deref(),
                request,
            })
        }
        PayloadFormat::V2 => serde_json::to_vec(&AuthorizerV2 {
            version: "2.0",
            kind: "REQUEST",
            route_arn,
            identity_source: Some(identity).filter(|identity| !identity.is_empty()),
            request: RequestV2::of(asked),
        }),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizerV1<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    #[serde(rename = "type")]
    kind: &'static str,
    method_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_token: Option<&'a str>,
    #[serde(flatten)]
    request: RequestV1<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizerV2<'a> {
    version: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    route_arn: &'a str,
    identity_source: Option<&'a [String]>,
    #[serde(flatten)]
    request: RequestV2<'a>,
}

type Parameters<'a> = BTreeMap<Cow<'a, str>, Cow<'a, str>>;
type Lists<'a> = BTreeMap<Cow<'a, str>, Vec<Cow<'a, str>>>;

/// What both kinds of events have in format 1.0.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestV1<'a> {
    resource: String,
    path: &'a str,
    http_method: &'a str,
    headers: Parameters<'a>,
    multi_value_headers: Lists<'a>,
    query_string_parameters: Option<Parameters<'a>>,
    multi_value_query_string_parameters: Option<Lists<'a>>,
    request_context: ContextV1<'a>,
    path_parameters: Option<Parameters<'a>>,
    stage_variables: Option<&'a BTreeMap<String, String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContextV1<'a> {
    account_id: String,
    api_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment_id: Option<&'a str>,
    domain_name: String,
    domain_prefix: String,
    extended_request_id: String,
    http_method: &'a str,
    identity: IdentityV1<'a>,
    path: String,
    protocol: String,
    request_id: String,
    request_time: String,
    request_time_epoch: UnixMillis,
    resource_id: Option<String>,
    resource_path: String,
    stage: &'a str,
}

/// What there is none of here is null, as on AWS.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IdentityV1<'a> {
    access_key: Option<String>,
    account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_id: Option<String>,
    caller: Option<String>,
    cognito_authentication_provider: (),
    cognito_authentication_type: (),
    cognito_identity_id: (),
    cognito_identity_pool_id: (),
    principal_org_id: (),
    source_ip: String,
    user: Option<String>,
    user_agent: Option<String>,
    user_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_cert: Option<&'a ClientCert>,
}

/// What both kinds of events have in format 2.0.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestV2<'a> {
    route_key: String,
    raw_path: &'a str,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: Parameters<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: Parameters<'a>,
    request_context: ContextV2<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    path_parameters: Parameters<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    stage_variables: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContextV2<'a> {
    account_id: String,
    api_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication: Option<Authentication<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer: Option<Value>,
    domain_name: String,
    domain_prefix: String,
    http: HttpV2<'a>,
    request_id: String,
    route_key: String,
    stage: &'a str,
    time: String,
    time_epoch: UnixMillis,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Authentication<'a> {
    client_cert: &'a ClientCert,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HttpV2<'a> {
    method: &'a str,
    path: &'a str,
    protocol: String,
    source_ip: String,
    user_agent: String,
}

impl<'a> RequestV1<'a> {
    fn of(asked: &Asked<'a>) -> Self {
        let headers = asked.lists_of_headers();
        let query = asked.lists_of_query();
        let last = |lists: &Lists<'a>| -> Parameters<'a> {
            lists.iter().filter_map(|(name, values)| Some((name.clone(), values.last()?.clone()))).collect()
        };
        let variables = asked.path_parameters();
        Self {
            resource: asked.resource_path(),
            path: asked.path,
            http_method: asked.method.as_str(),
            headers: last(&headers),
            multi_value_headers: headers,
            query_string_parameters: Some(last(&query)).filter(|query| !query.is_empty()),
            multi_value_query_string_parameters: Some(query).filter(|query| !query.is_empty()),
            request_context: ContextV1::of(asked),
            path_parameters: Some(variables).filter(|variables| !variables.is_empty()),
            stage_variables: Some(asked.stage.variables()).filter(|variables| !variables.is_empty()),
        }
    }
}

impl<'a> ContextV1<'a> {
    fn of(asked: &Asked<'a>) -> Self {
        Self {
            account_id: asked.text(&Variable::AccountId),
            api_id: &asked.stage.api_id,
            authorizer: asked.authorizer_v1(),
            deployment_id: asked.stage.deployment_id.as_deref().filter(|_| asked.stage.dialect == Dialect::Rest),
            domain_name: asked.text(&Variable::DomainName),
            domain_prefix: asked.text(&Variable::DomainPrefix),
            extended_request_id: asked.text(&Variable::ExtendedRequestId),
            http_method: asked.method.as_str(),
            identity: IdentityV1 {
                access_key: asked.record.authorized.as_ref().and_then(Authorized::key).map(|key| key.id.clone()),
                account_id: asked.known(&Variable::IdentityAccountId),
                api_key_id: asked.known(&Variable::IdentityApiKeyId),
                caller: asked.known(&Variable::IdentityCaller),
                cognito_authentication_provider: (),
                cognito_authentication_type: (),
                cognito_identity_id: (),
                cognito_identity_pool_id: (),
                principal_org_id: (),
                source_ip: asked.text(&Variable::IdentitySourceIp),
                user: asked.known(&Variable::IdentityUser),
                user_agent: asked.known(&Variable::IdentityUserAgent),
                user_arn: asked.known(&Variable::IdentityUserArn),
                client_cert: asked.client_cert(),
            },
            path: asked.text(&Variable::Path),
            protocol: asked.text(&Variable::Protocol),
            request_id: asked.text(&Variable::RequestId),
            request_time: asked.text(&Variable::RequestTime),
            request_time_epoch: asked.record.at,
            resource_id: asked.known(&Variable::ResourceId),
            resource_path: asked.resource_path(),
            stage: &asked.stage.name,
        }
    }
}

impl<'a> RequestV2<'a> {
    fn of(asked: &Asked<'a>) -> Self {
        let joined = |lists: Lists<'a>| -> Parameters<'a> {
            lists.into_iter().map(|(name, values)| (name, values.join(",").into())).collect()
        };
        let mut headers = asked.lists_of_headers();
        headers.remove(COOKIE.as_str());
        Self {
            route_key: asked.text(&Variable::RouteKey),
            raw_path: asked.path,
            raw_query_string: asked.query,
            cookies: asked.cookies(),
            headers: joined(headers),
            query_string_parameters: joined(asked.lists_of_query()),
            request_context: ContextV2::of(asked),
            path_parameters: asked.path_parameters(),
            stage_variables: asked.stage.variables(),
        }
    }
}

impl<'a> ContextV2<'a> {
    fn of(asked: &Asked<'a>) -> Self {
        Self {
            account_id: asked.text(&Variable::AccountId),
            api_id: &asked.stage.api_id,
            authentication: asked.client_cert().map(|client_cert| Authentication { client_cert }),
            authorizer: asked.authorizer_v2(),
            domain_name: asked.text(&Variable::DomainName),
            domain_prefix: asked.text(&Variable::DomainPrefix),
            http: HttpV2 {
                method: asked.method.as_str(),
                path: asked.path,
                protocol: asked.text(&Variable::Protocol),
                source_ip: asked.text(&Variable::IdentitySourceIp),
                user_agent: asked.text(&Variable::IdentityUserAgent),
            },
            request_id: asked.text(&Variable::RequestId),
            route_key: asked.text(&Variable::RouteKey),
            stage: &asked.stage.name,
            time: asked.text(&Variable::RequestTime),
            time_epoch: asked.record.at,
        }
    }
}

impl<'a> Asked<'a> {
    /// A variable of `$context`; empty where it has no value.
    fn text(&self, variable: &Variable) -> String {
        self.known(variable).unwrap_or_default()
    }

    fn known(&self, variable: &Variable) -> Option<String> {
        value_of(variable, None, self.record)
    }

    /// The path of the route or resource, with its variables in braces.
    fn resource_path(&self) -> String {
        let resource = self.known(&Variable::ResourcePath);
        resource.unwrap_or_else(|| {
            let key = self.text(&Variable::RouteKey);
            key.split_once(' ').map_or(key.as_str(), |(_, path)| path).to_owned()
        })
    }

    fn client_cert(&self) -> Option<&'a ClientCert> {
        self.record.client.chain.identity().map(|identity| &identity.certificate)
    }

    fn lists_of_headers(&self) -> Lists<'a> {
        let headers = self.headers;
        let values =
            |name| headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        headers.keys().map(|name| (name.as_str().into(), values(name))).collect()
    }

    fn lists_of_query(&self) -> Lists<'a> {
        let mut lists = Lists::new();
        for (name, value) in mapping::fields(self.query).filter(|_| !self.query.is_empty()) {
            lists.entry(name).or_default().push(value);
        }
        lists
    }

    fn path_parameters(&self) -> Parameters<'a> {
        let decoded = |text: &'a str| percent_decode_str(text).decode_utf8_lossy();
        self.variables.iter().map(|(name, value)| (name.as_str().into(), decoded(value))).collect()
    }

    fn cookies(&self) -> Vec<String> {
        let values = self.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
        let cookies = values.flat_map(|value| value.split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
        cookies.filter(|cookie| !cookie.is_empty()).map(|cookie| String::from_utf8_lossy(cookie).into_owned()).collect()
    }

    fn authorizer_v1(&self) -> Option<Value> {
        let none = || json!({"claims": null, "scopes": null});
        match &self.record.authorized {
            Some(Authorized::Token(token)) => {
                Some(json!({"claims": self.claims(&token.claims), "scopes": self.record.granted_scopes()}))
            }
            Some(Authorized::Function(verdict)) => {
                let mut told = verdict.context.clone();
                if let Some(principal) = &verdict.principal_id {
                    told.insert("principalId".to_owned(), principal.as_str().into());
                }
                Some(told.into())
            }
            // The one who signed is in `identity`.
            Some(Authorized::Key(_)) | None => (self.stage.dialect == Dialect::Http).then(none),
        }
    }

    fn authorizer_v2(&self) -> Option<Value> {
        Some(match self.record.authorized.as_ref()? {
            Authorized::Token(token) => {
                json!({"jwt": {"claims": self.claims(&token.claims), "scopes": self.record.granted_scopes()}})
            }
            Authorized::Function(verdict) => {
                json!({"lambda": Some(&verdict.context).filter(|context| !context.is_empty())})
            }
            Authorized::Key(key) => json!({"iam": {
                "accessKey": key.id,
                "accountId": self.text(&Variable::IdentityAccountId),
                "callerId": key.user_id,
                "cognitoIdentity": null,
                "principalOrgId": null,
                "userArn": key.principal_arn,
                "userId": key.user_id,
            }}),
        })
    }

    /// Each as the text that it is in `$context.authorizer.claims`.
    fn claims(&self, claims: &Map<String, Value>) -> BTreeMap<String, String> {
        let text = |name: &String| self.text(&Variable::AuthorizerClaim(name.as_str().into()));
        claims.keys().map(|name| (name.clone(), text(name))).collect()
    }
}

/// A payload, as JSON can hold it.
struct Content<'a> {
    body: Option<Cow<'a, str>>,
    is_base64_encoded: bool,
}

impl<'a> Content<'a> {
    /// HTTP APIs take for text what its type says is text, and encode everything else. REST APIs take everything for text but
    /// their binary media types.
    fn of(asked: &Asked<'_>, payload: &'a [u8]) -> Self {
        if payload.is_empty() {
            return Self { body: None, is_base64_encoded: false };
        }
        let text = match asked.stage.dialect {
            Dialect::Rest if asked.stage.is_binary(media_type(asked.headers, CONTENT_TYPE)) => None,
            Dialect::Rest => Some(String::from_utf8_lossy(payload)),
            Dialect::Http => std::str::from_utf8(payload).ok().filter(|_| is_text(asked.headers)).map(Cow::Borrowed),
        };
        match text {
            Some(text) => Self { body: Some(text), is_base64_encoded: false },
            None => Self { body: Some(BASE64.encode(payload).into()), is_base64_encoded: true },
        }
    }
}

/// The first media type of `Content-Type` or `Accept`, without parameters; what says nothing means JSON, as on AWS.
pub(crate) fn media_type(headers: &HeaderMap, name: HeaderName) -> &str {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    value.split([',', ';']).next().unwrap_or_default().trim()
}

/// Whether the type of a payload is one of text; one without a type may be.
fn is_text(headers: &HeaderMap) -> bool {
    if headers.contains_key(CONTENT_ENCODING) {
        return false;
    }
    let Some(content_type) = headers.get(CONTENT_TYPE) else { return true };
    let content_type = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let content_type = content_type.trim().to_ascii_lowercase();
    content_type.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"].contains(&content_type.as_str())
        || content_type.ends_with("+json")
        || content_type.ends_with("+xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_its_type_says() {
        for (content_type, encoding, wanted) in [
            (None, None, true),
            (Some("text/plain"), None, true),
            (Some("Application/JSON; charset=utf-8"), None, true),
            (Some("application/fhir+json"), None, true),
            (Some("application/soap+xml"), None, true),
            (Some("application/json"), Some("gzip"), false),
            (Some("application/x-www-form-urlencoded"), None, false),
            (Some("application/octet-stream"), None, false),
            (Some("image/svg+xml"), None, true),
            (Some("multipart/form-data; boundary=x"), None, false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(CONTENT_TYPE, content_type), (CONTENT_ENCODING, encoding)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            assert_eq!(is_text(&headers), wanted, "{content_type:?} {encoding:?}");
        }
    }
}
