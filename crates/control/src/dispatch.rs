//! The way of a request: Host, then who signed it for which service, then the service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws::{Caller, Error, Operation, Protocol, Service};
use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, USER_AGENT, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use journal::Outcome;
use serde_json::{Map, Value};
use sigv4::Scope;

use crate::authentication::{Credentials, refuse_unsigned_body};
use crate::authorization::needs::Call;
use crate::authorization::{Authorization, Circumstances};
use crate::host::{Named, named};
use crate::metrics::{self, Unwelcome};
use crate::own_api::{self, OwnRequest};
use crate::trail::{Attempt, OfError as _, Stranger, resource};
use crate::{By, Control, console, ids, local_ca};

/// Body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The client's address.
    pub peer: SocketAddr,
    /// Whether it came over TLS.
    pub tls: bool,
}

/// Largest body of an operation; S3's objects have their own bound.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Largest body of an operation that takes a whole API's definition, as on AWS.
const MAX_DEFINITION_BYTES: usize = 6 * 1024 * 1024;
/// Time for a body to arrive.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The services that are served here, besides S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    ApiGateway,
    ApiGatewayV2,
    Acm,
    Iam,
    Logs,
    Route53,
    Sts,
}

/// Whom a request without a credential scope seems to be meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    LikeAnOperation(Protocol),
    LikeS3,
}

impl Control {
    /// Answers a request. It never fails: what cannot be answered is an error in the form of the request's protocol.
    pub async fn handle(&self, request: Request<Incoming>, origin: Origin) -> Response<Body> {
        let mut response = self.answer(request, origin).await;
        // Objects are whatever somebody put, and share their origin with the console: a browser is to run none of them.
        let headers = response.headers_mut();
        headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static("sandbox; default-src 'none'"));
        headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
        response
    }

    async fn answer(&self, request: Request<Incoming>, origin: Origin) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let Ok(request_id) = ids::uuid() else { return plain(StatusCode::INTERNAL_SERVER_ERROR, "no random bytes") };
        let looks = Looks::at(&parts);
        match named(&parts, &self.config().host_names) {
            None => return looks.refuse(&wrong_host(), &request_id),
            Some(Named::Server) if parts.uri.path().starts_with(own_api::PREFIX) => {
                return match self.serve_own_api(&parts, body, &origin, &request_id).await {
                    Ok(answer) => json(StatusCode::OK, &answer),
                    Err(error) => own_api::PROTOCOL.render_error(&error, &request_id).map(full),
                };
            }
            Some(Named::Server) if is_console(parts.uri.path()) => return self.console(&parts, body, &origin).await,
            Some(Named::Server) if parts.uri.path().starts_with("/_countersign/") => {
                return self.own(&parts, &origin).await;
            }
            Some(Named::Server | Named::Bucket) => {}
        }
        if let Err(error) = refuse_unsigned_body(&parts, &origin) {
            return looks.refuse(&error, &request_id);
        }
        match (Scope::of(&parts), looks) {
            (Ok(Some(scope)), _) if scope.service == "s3" => self.s3(parts, body, origin).await,
            (Ok(Some(scope)), _) => match Served::named_by(&scope, &parts) {
                Some(served) => match Served::addressed_by(&parts).filter(|addressed| *addressed != served) {
                    None => self.operation(served, parts, body, &origin, request_id).await,
                    Some(addressed) => looks.refuse(&wrong_service(addressed), &request_id),
                },
                None => looks.an_operation().refuse(&unknown_service(&scope), &request_id),
            },
            (Ok(None) | Err(_), Looks::LikeS3) => self.s3(parts, body, origin).await,
            (Ok(None), Looks::LikeAnOperation(protocol)) => {
                let error = protocol.authentication_error(&sigv4::Error::MissingAuthenticationToken);
                self.record_stranger("", &parts, &origin, &request_id, &error);
                looks.refuse(&error, &request_id)
            }
            (Err(error), Looks::LikeAnOperation(protocol)) => {
                let error = protocol.authentication_error(&error);
                self.record_stranger("", &parts, &origin, &request_id, &error);
                looks.refuse(&error, &request_id)
            }
        }
    }

    /// S3 reads bodies and verifies signatures by itself.
    async fn s3(&self, parts: Parts, body: Incoming, origin: Origin) -> Response<Body> {
        let answer = self.shared.s3.handle(Request::from_parts(parts, body), Some(origin)).await;
        answer.map(|body| body.map_err(Into::into).boxed_unsync())
    }

    async fn operation(
        &self,
        served: Served,
        parts: Parts,
        body: Incoming,
        origin: &Origin,
        request_id: String,
    ) -> Response<Body> {
        let service = served.service();
        let identified = self.identify(service.protocol, service.signing_name, &parts, body, origin, &request_id);
        let answer = match identified.await {
            Ok((mut caller, body)) => {
                let operation = service.find(&parts, &body);
                caller.operation = operation.map_or("", |operation| operation.name);
                caller.resource = resource::of(service, &parts, &body, &caller.region, &caller.account);
                let answer = self.serve_operation(served, &caller, &parts, &body).await;
                if operation.is_some_and(Operation::is_write) {
                    self.record_answer(&caller, answer.extensions().get()).await;
                }
                answer
            }
            Err(error) => service.protocol.render_error(&error, &request_id),
        };
        answer.map(full)
    }

    /// Records what became of a call that might have changed something, unless the change that it made is recorded.
    async fn record_answer(&self, caller: &Caller, error: Option<&Error>) {
        if !caller.recorded.load(Ordering::Relaxed) {
            let attempt = Attempt::new(By::Caller(caller), self.settings().state().revision);
            self.settings().trail().note(&attempt, error.map_or(Outcome::Allowed, Outcome::of)).await;
        }
    }

    fn record_stranger(&self, service: &str, parts: &Parts, origin: &Origin, request_id: &str, error: &Error) {
        let scope = Scope::of(parts).ok().flatten();
        self.settings().trail().refuse(Stranger {
            source: origin.peer.ip(),
            service: scope.as_ref().map_or(service, |scope| &scope.service),
            access_key_id: scope.as_ref().map_or("", |scope| &scope.access_key_id),
            user_agent: user_agent(parts),
            resource: parts.uri.path(),
            request_id,
            code: error.code,
            message: &error.message,
        });
    }

    /// Reads the body and finds out who signed it.
    async fn identify(
        &self,
        protocol: Protocol,
        service: &'static str,
        parts: &Parts,
        body: Incoming,
        origin: &Origin,
        request_id: &str,
    ) -> Result<(Caller, Bytes), Error> {
        let refused = |error: sigv4::Error| {
            let error = protocol.authentication_error(&error);
            self.record_stranger(service, parts, origin, request_id, &error);
            error
        };
        let credentials = self.claimed(parts).map_err(refused)?;
        let body = read(parts, body).await?;
        let verified = self.authenticate(parts, &body, &credentials).map_err(refused)?;
        self.shared.key_uses.note(&verified.access_key_id, self.now(), service, &verified.region);
        let Credentials { bearer, .. } = credentials;
        let circumstances = Circumstances {
            source_ip: Some(origin.peer.ip()),
            tls: origin.tls,
            user_agent: user_agent(parts).to_owned(),
            region: verified.region.clone(),
            at: self.now(),
        };
        let authority = Arc::new(Authorization { bearer, circumstances });
        let caller = self.caller(authority, &verified.access_key_id, origin, request_id);
        Ok((Caller { service, ..caller }, body))
    }

    /// Somebody who has proved who they are.
    pub(crate) fn caller(
        &self,
        authority: Arc<Authorization>,
        access_key_id: &str,
        origin: &Origin,
        request_id: &str,
    ) -> Caller {
        let Authorization { bearer, circumstances } = &*authority;
        Caller {
            arn: bearer.arn.clone(),
            principal_arn: bearer.principal_arn.clone(),
            user_id: bearer.user_id.clone(),
            temporary: bearer.issued.is_some(),
            account: self.config().account.clone(),
            access_key_id: access_key_id.to_owned(),
            region: circumstances.region.clone(),
            source_ip: origin.peer.ip(),
            request_id: request_id.to_owned(),
            at: circumstances.at.div_euclid(1000),
            user_agent: circumstances.user_agent.clone(),
            service: "",
            operation: "",
            resource: "*".to_owned(),
            recorded: Arc::default(),
            authority,
        }
    }

    async fn serve_operation(&self, served: Served, caller: &Caller, parts: &Parts, body: &[u8]) -> Response<Bytes> {
        let service = served.service();
        let state = self.settings().state();
        let may = |operation: &'static Operation, input: &Map<String, Value>| {
            Call { service, operation, input, caller, state: &state }.authorize()
        };
        match served {
            Served::ApiGateway => aws::apigateway::serve(self, caller, parts, body, may).await,
            Served::ApiGatewayV2 => aws::apigatewayv2::serve(self, caller, parts, body, may).await,
            Served::Acm => aws::acm::serve(self, caller, parts, body, may).await,
            Served::Iam => aws::iam::serve(self, caller, parts, body, may).await,
            Served::Logs => aws::logs::serve(self, caller, parts, body, may).await,
            Served::Route53 => aws::route53::serve(self, caller, parts, body, may).await,
            Served::Sts => aws::sts::serve(self, caller, parts, body, may).await,
        }
    }

    async fn serve_own_api(
        &self,
        parts: &Parts,
        body: Incoming,
        origin: &Origin,
        request_id: &str,
    ) -> Result<Value, Error> {
        refuse_unsigned_body(parts, origin)?;
        let identified = self.identify(own_api::PROTOCOL, own_api::SERVICE, parts, body, origin, request_id);
        let (mut caller, body) = identified.await?;
        caller.resource = parts.uri.path().to_owned();
        if Scope::of(parts).ok().flatten().is_none_or(|scope| scope.service != own_api::SERVICE) {
            let message = format!("Credential should be scoped to correct service: '{}'.", own_api::SERVICE);
            return Err(Error::access_denied(message));
        }
        self.answer_own(&OwnRequest::new(caller, parts, body)).await
    }

    /// Answers a request of the server's own API, and records it if it may change something.
    pub(crate) async fn answer_own(&self, request: &OwnRequest) -> Result<Value, Error> {
        let answer = self.own_api(request).await;
        if request.is_write() {
            self.record_answer(request.caller(), answer.as_ref().err()).await;
        }
        answer
    }

    /// The server's own addresses, under `/_countersign/`.
    async fn own(&self, parts: &Parts, origin: &Origin) -> Response<Body> {
        match (parts.method.clone(), parts.uri.path()) {
            (Method::GET | Method::HEAD, "/_countersign/health") => {
                let (status, health) = self.health();
                json(status, &health)
            }
            (Method::GET | Method::HEAD, "/_countersign/metrics") => match self.shared.metrics.admit(parts, origin) {
                Ok(()) => self.told().await,
                Err(unwelcome) => unwelcome.answer(),
            },
            (Method::GET | Method::HEAD, "/_countersign/local-ca.crl") => self.revocation_list(),
            (_, "/_countersign/health" | "/_countersign/metrics" | "/_countersign/local-ca.crl") => {
                json(StatusCode::METHOD_NOT_ALLOWED, &message("Method Not Allowed"))
            }
            _ => json(StatusCode::NOT_FOUND, &message("Not Found")),
        }
    }

    /// The local CA's revocation list, as of now (RFC 5280 section 4.2.1.13).
    fn revocation_list(&self) -> Response<Body> {
        let list = local_ca::revocation_list(&self.settings().state(), self.keyring(), self.now());
        let Ok(list) = list else { return plain(StatusCode::INTERNAL_SERVER_ERROR, "the list cannot be signed") };
        let mut response = Response::new(full(Bytes::from(list)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/pkix-crl"));
        response
    }

    /// The metrics, as of now.
    async fn told(&self) -> Response<Body> {
        let control = self.clone();
        let told = tokio::task::spawn_blocking(move || control.shared.metrics.text()).await;
        let Ok(Ok(text)) = told else { return plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be read") };
        let mut response = Response::new(full(Bytes::from(text)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
        response
    }
}

impl Unwelcome {
    fn answer(self) -> Response<Body> {
        match self {
            Self::NoToken => {
                let why = "Metrics are told to this machine, or for the token of control.metrics_token_file.";
                json(StatusCode::FORBIDDEN, &message(why))
            }
            Self::WrongToken => {
                let mut response = json(StatusCode::UNAUTHORIZED, &message("The metrics need their token."));
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                response
            }
        }
    }
}

impl Served {
    /// The service that a request is for, whatever it was signed for; `None` where that does not show.
    fn addressed_by(parts: &Parts) -> Option<Self> {
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok()?.split('.').next());
        match target {
            Some(prefix) => [Self::Acm, Self::Logs].into_iter().find(|served| served.service().target_prefix == prefix),
            None => parts.uri.path().starts_with("/v2/").then_some(Self::ApiGatewayV2),
        }
    }

    /// The service that a scope names. API Gateway's two versions share a name and differ by path.
    fn named_by(scope: &Scope, parts: &Parts) -> Option<Self> {
        match scope.service.as_str() {
            "apigateway" if parts.uri.path().starts_with("/v2/") => Some(Self::ApiGatewayV2),
            "apigateway" => Some(Self::ApiGateway),
            "acm" => Some(Self::Acm),
            "iam" => Some(Self::Iam),
            "logs" => Some(Self::Logs),
            "route53" => Some(Self::Route53),
            "sts" => Some(Self::Sts),
            _ => None,
        }
    }

    fn service(self) -> &'static Service {
        match self {
            Self::ApiGateway => &aws::apigateway::SERVICE,
            Self::ApiGatewayV2 => &aws::apigatewayv2::SERVICE,
            Self::Acm => &aws::acm::SERVICE,
            Self::Iam => &aws::iam::SERVICE,
            Self::Logs => &aws::logs::SERVICE,
            Self::Route53 => &aws::route53::SERVICE,
            Self::Sts => &aws::sts::SERVICE,
        }
    }
}

fn is_console(path: &str) -> bool {
    path.strip_prefix(console::PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn wrong_service(addressed: Served) -> Error {
    let message = format!("Credential should be scoped to correct service: '{}'.", addressed.service().signing_name);
    Error::new(StatusCode::FORBIDDEN, "InvalidSignatureException", message)
}

fn unknown_service(scope: &Scope) -> Error {
    let message = format!("Countersign does not have the service {}.", scope.service);
    Error::client("UnknownOperationException", message)
}

fn wrong_host() -> Error {
    let message = "The Host of the request is not a name of this server. Its address and localhost are; others are set by control.names.";
    Error::new(StatusCode::MISDIRECTED_REQUEST, "MisdirectedRequestException", message)
}

pub(crate) fn user_agent(parts: &Parts) -> &str {
    parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn read(parts: &Parts, body: Incoming) -> Result<Bytes, Error> {
    let limit = match parts.uri.path() {
        path if path.starts_with(own_api::PREFIX) => own_api::MAX_BODY_BYTES,
        _ if takes_definition(parts) => MAX_DEFINITION_BYTES,
        _ => MAX_BODY_BYTES,
    };
    let too_large = || {
        let message = format!("The body has more than {limit} bytes.");
        Error::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", message)
    };
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let timeout =
        Error::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException", "The body did not arrive in time.");
    let whole = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, limit).collect());
    match whole.await.map_err(|_| timeout)? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Error::client("SerializationException", format!("The body could not be read: {error}"))),
    }
}

/// Whether an API is imported.
fn takes_definition(parts: &Parts) -> bool {
    let path: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
    matches!(
        (parts.method.as_str(), &path[..]),
        ("PUT", ["v2", "apis"] | ["v2", "apis", _] | ["restapis", _]) | ("POST", ["restapis"])
    )
}

impl Looks {
    fn at(parts: &Parts) -> Self {
        let form = parts.headers.get(CONTENT_TYPE).is_some_and(|value| {
            value.as_bytes().to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded")
        });
        let action = parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("Action=")));
        if parts.headers.contains_key("x-amz-target") {
            Self::LikeAnOperation(Protocol::Json11)
        } else if parts.uri.path().starts_with("/v2/") {
            Self::LikeAnOperation(Protocol::RestJson)
        } else if action || form && parts.method == Method::POST {
            Self::LikeAnOperation(Protocol::Query)
        } else {
            Self::LikeS3
        }
    }

    /// A signature for another service than S3 is no request to S3, whatever it looks like.
    fn an_operation(self) -> Self {
        match self {
            Self::LikeAnOperation(_) => self,
            Self::LikeS3 => Self::LikeAnOperation(Protocol::RestJson),
        }
    }

    fn refuse(self, error: &Error, request_id: &str) -> Response<Body> {
        match self {
            Self::LikeAnOperation(protocol) => protocol.render_error(error, request_id).map(full),
            Self::LikeS3 => s3_error(error, request_id),
        }
    }
}

/// S3's form: the code without `Exception`. The text is ours, but may hold a part of the request.
fn s3_error(error: &Error, request_id: &str) -> Response<Body> {
    let code = error.code.strip_suffix("Exception").unwrap_or(error.code);
    let message = error.message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <RequestId>{request_id}</RequestId></Error>"
    );
    let mut response = Response::new(full(Bytes::from(body)));
    *response.status_mut() = error.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-amz-request-id", id);
    }
    response
}

fn message(text: &str) -> Value {
    serde_json::json!({ "message": text })
}

fn json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(full(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(full(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
