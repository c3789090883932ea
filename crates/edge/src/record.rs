//! One record for every request and every refused connection, whatever becomes of it: it is written when it is dropped.

mod context;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use journal::Keeping;
use model::resource::domain_log_group;
use model::snapshot::{AccessLog, Dialect, Domain, ResourceName, Route, Stage, StageKey};
use model::template::Template;
use model::{BoundTokens, LogPaths, Permit, Records, Revision, UnixMillis};
use trust::Code;

use self::context::Recorded;
use crate::answer::Answer;
use crate::authorize::{Authorized, Denial};
use crate::body::Progress;
use crate::connection::Connection;
use crate::cors::CrossOrigin;
use crate::counters::{Limit, Stopped};
use crate::lambda::Invoked;
use crate::request_id::RequestId;
use crate::rest_api;
use crate::runtime::Runtime;
use crate::shadow::{Difference, ShadowLine};
use crate::sightings::Encounter;
use crate::strangers::Reason;
use crate::trace::Trace;
use crate::verdicts::{Chain, Client, Refusal};

/// Format of lines under a domain's own group ([`model::resource::domain_log_group`]): of requests and connections that are
/// refused before a stage is known.
pub const DOMAIN_LOG_FORMAT: &str = concat!(
    r#"{"requestId":"$context.requestId","requestTime":"$context.requestTime","domainName":"$context.domainName","#,
    r#""ip":"$context.identity.sourceIp","tlsVersion":"$context.tlsVersion","httpMethod":"$context.httpMethod","#,
    r#""path":"$context.path","status":"$context.status","errorMessage":"$context.error.message","#,
    r#""errorResponseType":"$context.error.responseType","subjectDN":"$context.identity.clientCert.subjectDN","#,
    r#""issuerDN":"$context.identity.clientCert.issuerDN","#,
    r#""serialNumber":"$context.identity.clientCert.serialNumber","#,
    r#""notBefore":"$context.identity.clientCert.validity.notBefore","#,
    r#""notAfter":"$context.identity.clientCert.validity.notAfter"}"#,
);

/// Bytes of a method that are recorded.
const MAX_METHOD_BYTES: usize = 32;
/// Bytes of a path that are recorded beside the line.
const MAX_PATH_BYTES: usize = 2 * 1024;
/// Bytes of what an authorizer says that are recorded beside the line.
const MAX_DETAIL_BYTES: usize = 1024;

/// For the person at the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A client was refused.
    Refused(RefusalLine),
    /// A shadow truststore would have done otherwise.
    Shadow(ShadowLine),
}

/// A refusal, for the person at the terminal. The request id leads to its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalLine {
    /// `$context.requestId`
    pub request_id: String,
    /// Domain that the client asked for.
    pub domain: String,
    /// The client's address and port.
    pub source: SocketAddr,
    /// Subject of the client's certificate, if it sent one that can be read.
    pub subject: Option<String>,
    /// The reason.
    pub code: Code,
    /// What the explainer says.
    pub explanation: String,
}

/// What is known so far of one request, or of a connection that came to none.
pub(crate) struct Record {
    pub(crate) id: RequestId,
    /// `$context.extendedRequestId`, where it is another one: in REST APIs.
    extended_id: Option<RequestId>,
    runtime: Rc<Runtime>,
    pub(crate) connection: Rc<Connection>,
    pub(crate) domain: Arc<Domain>,
    pub(crate) client: Rc<Client>,
    revision: Revision,
    /// When it began.
    pub(crate) at: UnixMillis,
    started: Instant,
    request: Option<Request>,
    stage: Option<Arc<Stage>>,
    base_path: Box<str>,
    /// Where the path below base path or stage begins.
    rest_at: usize,
    /// Id of the routing rule that led to the stage.
    routing_rule: Option<Arc<str>>,
    route_key: Option<Arc<str>>,
    resource: Option<Arc<ResourceName>>,
    /// Given back when the request has ended.
    pub(crate) permit: Option<Permit>,
    /// By whom the request is, where the route asks.
    pub(crate) authorized: Option<Authorized>,
    /// With what API key it came, where the method asks.
    pub(crate) api_key: Option<Arc<StageKey>>,
    denied: Option<Denial>,
    /// Why the authorizer gave no answer, or what the policies say.
    authorizer_error: Option<Box<str>>,
    /// What is said of a request that is not as its method wants it.
    invalid: Option<Box<Invalid>>,
    /// `authorizationScopes` of the route.
    scopes: Option<Arc<[String]>>,
    pub(crate) upload: Option<Rc<Progress>>,
    pub(crate) integration_started: Option<Instant>,
    integration_millis: Option<u64>,
    integration_status: Option<StatusCode>,
    integration_error: Option<Cow<'static, str>>,
    /// What the call of a function came to.
    invocation: Option<Box<Invocation>>,
    /// What the client was sent.
    status: Option<StatusCode>,
    answer: Option<Answer>,
    sent: u64,
    is_counted: bool,
    complete: bool,
    cut: Option<&'static str>,
    /// Of which trace it is a part, if of one.
    trace: Option<Box<Trace>>,
}

struct Request {
    method: Method,
    uri: Uri,
    user_agent: Option<HeaderValue>,
}

/// What is wrong with a request: for its client, and `$context.error.validationErrorString`.
struct Invalid {
    message: Box<str>,
    why: Box<str>,
}

/// The Invoke API's answer to the call of a function.
struct Invocation {
    status: StatusCode,
    request_id: Option<HeaderValue>,
}

impl Record {
    /// Of a request that has come on `connection`; counts as being served until it is dropped.
    pub(crate) fn of_request(runtime: &Rc<Runtime>, connection: &Rc<Connection>, parts: &Parts) -> Box<Self> {
        connection.activity.begin();
        let mut record = Self::of_connection(runtime, connection);
        record.request = Some(Request {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            user_agent: parts.headers.get(USER_AGENT).cloned(),
        });
        record
    }

    /// Of a connection that comes to no request.
    pub(crate) fn of_connection(runtime: &Rc<Runtime>, connection: &Rc<Connection>) -> Box<Self> {
        let (domain, client, revision) = connection.standing();
        let at = runtime.config.clock.now();
        let mut record = Box::new(Self {
            id: runtime.ids.next(at),
            extended_id: None,
            runtime: runtime.clone(),
            connection: connection.clone(),
            domain,
            client,
            revision,
            at,
            started: Instant::now(),
            request: None,
            stage: None,
            base_path: Box::default(),
            rest_at: 0,
            routing_rule: None,
            route_key: None,
            permit: None,
            authorized: None,
            api_key: None,
            denied: None,
            authorizer_error: None,
            invalid: None,
            scopes: None,
            resource: None,
            upload: None,
            integration_started: None,
            integration_millis: None,
            integration_status: None,
            integration_error: None,
            invocation: None,
            status: None,
            answer: None,
            sent: 0,
            is_counted: false,
            complete: false,
            cut: None,
            trace: None,
        });
        record.choose_ids();
        record
    }

    /// REST APIs have an id in the form of a UUID besides the one that all have.
    fn choose_ids(&mut self) {
        if self.dialect() == Dialect::Rest && self.extended_id.is_none() {
            self.extended_id = Some(std::mem::replace(&mut self.id, self.runtime.ids.next_uuid(self.at)));
        }
    }

    /// How the API answers for itself; where no stage is found, as the domain's APIs do.
    pub(crate) fn dialect(&self) -> Dialect {
        self.stage.as_ref().map_or(self.domain.dialect, |stage| stage.dialect)
    }

    /// `$context.extendedRequestId`
    pub(crate) fn extended_id(&self) -> &RequestId {
        self.extended_id.as_ref().unwrap_or(&self.id)
    }

    /// The connection's domain and client were looked at again.
    pub(crate) fn stands(&mut self) {
        (self.domain, self.client, self.revision) = self.connection.standing();
    }

    /// The stage that the path leads to, if any, and the path below it: it is in its format that the request is logged.
    pub(crate) fn find_stage<'p>(&mut self, parts: &'p Parts) -> Option<(Arc<Stage>, &'p str)> {
        let path = parts.uri.path();
        let found = self.domain.paths.find(path, &parts.headers).filter(|_| path.starts_with('/'))?;
        let (stage, rest) = (found.stage.clone(), found.rest);
        self.base_path = found.base_path.into();
        // An empty rest is given as a slash that may not be there.
        self.rest_at = path.len() - if path.ends_with(rest) { rest.len() } else { 0 };
        self.routing_rule = found.rule.cloned();
        self.stage = Some(stage.clone());
        self.choose_ids();
        Some((stage, rest))
    }

    /// The route that takes the request. `$context.routeKey` is of HTTP APIs.
    pub(crate) fn route(&mut self, route: &Route) {
        self.resource = route.resource.clone();
        self.route_key = Some(route.key.clone()).filter(|_| self.resource.is_none());
    }

    /// The key of the route, or the path of the REST API's resource, that takes the request; empty where none does.
    pub(crate) fn route_named(&self) -> &str {
        let of_resource = self.resource.as_ref().map(|resource| &*resource.path);
        of_resource.or(self.route_key.as_deref()).unwrap_or_default()
    }

    /// The request's method, as it is recorded.
    pub(crate) fn method(&self) -> &str {
        let method = self.request.as_ref().map_or("", |request| request.method.as_str());
        &method[..method.floor_char_boundary(MAX_METHOD_BYTES)]
    }

    /// That of the settings under which its client and domain were looked at.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// Finds out of which trace the request is a part, and tells the backend by its headers.
    pub(crate) fn carry_trace(&mut self, headers: &mut HeaderMap) {
        let trace = Trace::carry(headers, self.domain.recording.begins_traces, || self.runtime.ids.random());
        self.trace = trace.map(Box::new);
    }

    /// The path as it is recorded: of a segment that a route declares as a variable, with the name of that.
    fn recorded_path(&self) -> Cow<'_, str> {
        let Some(request) = &self.request else { return Cow::Borrowed("") };
        let path = request.uri.path();
        let route = self.route_named();
        // Where another method's route could declare more, or this one's does.
        let may_declare = route.is_empty() || route.starts_with('$') || route.contains('{');
        let stage = self.stage.as_ref().filter(|_| may_declare && self.domain.recording.paths == LogPaths::Redacted);
        let declared = stage.map(|stage| rest_api::declared(stage, &request.method, &path[self.rest_at..]));
        let declared = declared.filter(|declared| !declared.is_empty());
        declared.map_or(Cow::Borrowed(path), |declared| redacted(path, &declared).into())
    }

    /// What the stage's settings about other origins have to say of the answer, if there are some.
    pub(crate) fn cross_origin(&self, parts: &Parts) -> Option<CrossOrigin> {
        self.stage.as_ref().filter(|stage| stage.cors.is_some()).map(|stage| CrossOrigin::new(stage.clone(), parts))
    }

    /// The route asks for one of these.
    pub(crate) fn asked_for_scopes(&mut self, scopes: &Arc<[String]>) {
        self.scopes = Some(scopes.clone());
    }

    /// The request is not authorized, and answered so.
    pub(crate) fn deny(&mut self, denial: Denial) -> Answer {
        self.denied = Some(denial);
        denial.answer()
    }

    /// `scopes` of events: those of the route that the token has; none where the route asks for none.
    pub(crate) fn granted_scopes(&self) -> Option<Vec<&str>> {
        let scopes = self.scopes.as_deref().filter(|scopes| !scopes.is_empty())?;
        let Some(Authorized::Token(token)) = &self.authorized else { return None };
        Some(scopes.iter().map(String::as_str).filter(|scope| token.has_scope(scope)).collect())
    }

    /// On which it has come.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The authorizer gave no answer; it is answered so.
    pub(crate) fn authorizer_failed(&mut self, why: &str) -> Answer {
        self.authorizer_error = Some(why.into());
        self.deny(Denial::AuthorizerFailed)
    }

    /// For `$context.authorizer.error`.
    pub(crate) fn authorizer_says(&mut self, why: &str) {
        self.authorizer_error = Some(why.into());
    }

    /// So many policies could not be evaluated.
    pub(crate) fn policies_failed(&self, count: usize) {
        self.connection.count_policy_errors(count);
    }

    /// `$context.authorizer.error`
    fn why_denied(&self) -> &str {
        self.authorizer_error.as_deref().unwrap_or_else(|| self.denied.map_or("", Denial::description))
    }

    /// The same, as it is recorded.
    fn why_denied_in_short(&self) -> &str {
        let why = self.why_denied();
        &why[..why.floor_char_boundary(MAX_DETAIL_BYTES)]
    }

    /// The request lacks these parameters, and is answered so.
    pub(crate) fn lacks(&mut self, parameters: &[&str]) -> Answer {
        let message: Box<str> = format!("Missing required request parameters: [{}]", parameters.join(", ")).into();
        self.invalid = Some(Box::new(Invalid { why: message.clone(), message }));
        Answer::ParametersMissing
    }

    /// The payload is not as it has to be, and the request is answered so.
    pub(crate) fn has_invalid_body(&mut self, message: &str, why: &str) -> Answer {
        let why = &why[..why.floor_char_boundary(MAX_DETAIL_BYTES)];
        let message = &message[..message.floor_char_boundary(MAX_DETAIL_BYTES)];
        self.invalid = Some(Box::new(Invalid { message: message.into(), why: why.into() }));
        Answer::BodyInvalid
    }

    /// What the client is told of a request that is not as it has to be.
    pub(crate) fn invalid(&self) -> Option<&str> {
        self.invalid.as_ref().map(|invalid| &*invalid.message)
    }

    /// `WWW-Authenticate` of the answer.
    pub(crate) fn challenge(&self) -> Option<HeaderValue> {
        self.denied?.challenge(self.scopes.as_deref().unwrap_or_default())
    }

    /// Whether tokens have to be bound to the client's certificate.
    pub(crate) fn bound_tokens(&self) -> BoundTokens {
        BoundTokens::stricter(self.domain.bound_tokens, self.stage.as_ref().and_then(|stage| stage.bound_tokens))
    }

    /// Where it leads to, if that is known.
    pub(crate) fn stage(&self) -> Option<&Arc<Stage>> {
        self.stage.as_ref()
    }

    /// Region of the API.
    pub(crate) fn region(&self) -> Option<&str> {
        self.stage.as_ref().map(|stage| &*stage.region)
    }

    /// The gateway answers itself.
    pub(crate) fn answered(&mut self, answer: Answer) {
        if let Some(bound) = answer.bound() {
            self.runtime.counters.met(bound);
        }
        self.answer = Some(answer);
        self.status = Some(answer.status(self.dialect()));
        if matches!(answer, Answer::IntegrationFailure | Answer::IntegrationTimeout) {
            let message = answer.message(self.dialect());
            self.integration_error.get_or_insert(message.into());
        }
        self.integration_ended();
    }

    /// The backend gave no answer, and why.
    pub(crate) fn integration_failed(&mut self, reason: impl Into<Cow<'static, str>>) {
        self.integration_error = Some(reason.into());
    }

    /// A function was called.
    pub(crate) fn invoked(&mut self, invoked: &Invoked) {
        let (status, request_id) = (invoked.status, invoked.request_id.clone());
        self.invocation = Some(Box::new(Invocation { status, request_id }));
        self.integration_ended();
    }

    /// The gateway refuses without an answer.
    pub(crate) fn refused(&mut self) {
        self.answer = Some(Answer::Refused);
        self.complete = true;
    }

    /// The backend's head has come, and is passed on.
    pub(crate) fn integrated(&mut self, status: StatusCode) {
        self.integration_status = Some(status);
        self.status = Some(status);
        self.integration_ended();
    }

    /// The client is sent this status, whatever the backend's was.
    pub(crate) fn answered_with(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    fn integration_ended(&mut self) {
        self.count();
        self.integration_millis =
            self.integration_millis.or(self.integration_started.map(|at| at.elapsed().as_millis() as u64));
    }

    /// Bytes of the payload went out.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    /// The payload ended too early.
    pub(crate) fn cut(&mut self, why: &'static str) {
        self.cut = Some(why);
    }

    /// Everything was sent.
    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }

    fn refusal(&self) -> Option<&Refusal> {
        self.client.refusal.as_ref().filter(|_| self.answer == Some(Answer::Refused))
    }

    /// `$context.error.message`
    fn error_message(&self) -> Option<&str> {
        match (self.answer, self.refusal()) {
            (_, Some(refusal)) => Some(refusal.code.message()),
            (Some(answer), None) => Some(self.invalid().unwrap_or_else(|| answer.message(self.dialect()))),
            (None, None) if self.cut.is_some() => self.cut,
            (None, None) if self.complete || self.is_head() => None,
            (None, None) => Some("the client closed the connection"),
        }
    }

    fn is_head(&self) -> bool {
        self.status.is_some_and(|status| status == StatusCode::NOT_MODIFIED || status == StatusCode::NO_CONTENT)
            || self.request.as_ref().is_some_and(|request| request.method == Method::HEAD)
    }

    /// Where the line goes; `None`: nobody asked for it.
    fn log(&self) -> Option<(Cow<'_, str>, Cow<'_, str>, &Template)> {
        match &self.stage {
            Some(stage) => {
                let AccessLog { region, group, format } = stage.access_log.as_ref()?;
                Some((region.as_str().into(), group.as_str().into(), format))
            }
            None => {
                let group = domain_log_group(&self.domain.name).into();
                Some((self.domain.region.as_str().into(), group, &self.runtime.domain_log))
            }
        }
    }

    /// Tells who was seen, once: before the client has its answer, so that it is counted when the client knows. Of a connection that is
    /// only found unreadable nothing new is known.
    fn count(&mut self) {
        if std::mem::replace(&mut self.is_counted, true) {
            return;
        }
        let encounter = match self.refusal() {
            Some(_) => Encounter::Refusal,
            None if self.request.is_some() && self.client.refusal.is_none() => Encounter::Request,
            None => return,
        };
        self.runtime.sightings.count(&self.client, &self.domain, self.connection.peer, encounter);
        let code = self.refusal().map(|refusal| refusal.code);
        self.connection.count(code, self.client.shadow.is_some(), self.stopped());
    }

    /// What kept a trusted client's request from its backend, as far as it is counted.
    fn stopped(&self) -> Option<Stopped> {
        match (self.denied, self.answer?) {
            (Some(denial), _) => Some(Stopped::Denied(denial)),
            (None, Answer::ClientRate(_)) => Some(Stopped::Beyond(Limit::Rate)),
            (None, Answer::ClientConcurrency) => Some(Stopped::Beyond(Limit::Concurrency)),
            (None, _) => None,
        }
    }

    /// Of strangers beyond their share there is only a count.
    fn write(&self) {
        match self.refusal() {
            Some(refusal) if !self.connection.has_records(&self.runtime) => {
                let (source, reason) = (self.connection.peer.ip(), Reason::Refused(refusal.code));
                self.runtime.strangers.count_request(&self.runtime, source, reason, &self.domain.name);
            }
            _ => self.append(),
        }
        let identity = self.client.chain.identity();
        if let Some(refusal) = self.refusal() {
            self.tell(Line::Refused(RefusalLine {
                request_id: self.id.as_str().to_owned(),
                domain: self.connection.name.clone(),
                source: self.connection.peer,
                subject: identity.map(|identity| identity.certificate.subject_dn.clone()),
                code: refusal.code,
                explanation: refusal.explanation.clone(),
            }));
        }
        if let Some(difference) = self.client.shadow.as_ref().filter(|shadow| shadow.is_to_be_told(self.at / 1000)) {
            let subject = identity.map_or("", |identity| &identity.certificate.subject_dn);
            self.tell(Line::Shadow(difference.line(&self.connection, subject)));
        }
    }

    /// Appends it to the journal.
    fn append(&self) {
        let mut message = self.runtime.line.take();
        message.clear();
        let path = self.recorded_path();
        let recorded = Recorded { record: self, path: &path };
        let (region, group) = match self.log() {
            Some((region, group, template)) => {
                self.client.chain.with_line(template, |line| line.render(&recorded, &mut message));
                (region, group)
            }
            None => (Cow::Borrowed(""), Cow::Borrowed("")),
        };
        let stream = if group.is_empty() { "" } else { self.runtime.log_stream.as_str() };
        let record = journal::AccessRecord {
            time_ms: self.runtime.config.clock.now(),
            took_us: self.started.elapsed().as_micros() as u64,
            region,
            group,
            stream: stream.into(),
            message: message.as_str().into(),
            request_id: self.id.as_str().into(),
            connection: self.connection.id.as_str().into(),
            trace: self.trace.as_ref().map_or("", |trace| trace.id()).into(),
            span: self.trace.as_ref().map_or("", |trace| trace.span()).into(),
            parent_span: self.trace.as_ref().map_or("", |trace| trace.parent()).into(),
            domain: self.connection.name.as_str().into(),
            api_id: self.stage.as_ref().map(|stage| stage.api_id.as_str().into()),
            stage: self.stage.as_ref().map(|stage| stage.name.as_str().into()),
            method: self.method().into(),
            route: self.route_named().into(),
            path: path[..path.floor_char_boundary(MAX_PATH_BYTES)].into(),
            status: self.status.map_or(0, |status| status.as_u16()),
            bytes_in: self.upload.as_ref().map_or(0, |progress| progress.bytes()),
            bytes_out: self.sent,
            refusal: self.refusal().map(|refusal| refusal.to_record(&self.client.chain)),
            denial: self.denied.map(|denial| journal::Denial {
                code: denial.as_str().into(),
                detail: self.why_denied_in_short().into(),
            }),
            revision: self.revision,
            truststore: self.client.truststore_named(),
            client: self.client.chain.named(),
            shadow: self.client.shadow.as_ref().map(Difference::to_record),
            source: self.connection.peer,
        };
        self.runtime.writer.borrow_mut().append_as(&record, keeping(&self.domain));
        drop(record);
        self.runtime.line.replace(message);
    }

    /// A full channel loses the line for the person; the record is kept.
    fn tell(&self, line: Line) {
        let _ = self.runtime.lines.try_send(line);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.count();
        if self.request.is_some() {
            self.connection.activity.end(self.complete || self.status.is_some());
        }
        // Whoever has the answer may ask again at once; writing takes longer.
        self.permit = None;
        self.write();
    }
}

impl Refusal {
    fn to_record(&self, chain: &Chain) -> journal::Refusal<'_> {
        let evidence = self.evidence.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        journal::Refusal {
            code: self.code,
            detail: self.detail.as_str().into(),
            explanation: self.explanation.as_str().into(),
            fix: self.fix.as_str().into(),
            evidence: evidence.collect(),
            chain_sha256: chain.can_be_kept().then(|| chain.sent().digest_hex().into()),
        }
    }
}

/// What becomes of records of a domain when the disk is behind.
pub(crate) fn keeping(domain: &Domain) -> Keeping {
    match domain.recording.records {
        Records::BestEffort => Keeping::BestEffort,
        Records::Durable | Records::Required => Keeping::Durable,
    }
}

/// `path` with the names of variables in the place of their values, which are parts of it, in their order.
fn redacted(path: &str, declared: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(path.len());
    let mut end = 0;
    for (name, value) in declared {
        let at = value.as_ptr().addr() - path.as_ptr().addr();
        out.push_str(&path[end..at]);
        out.extend(["{", name, "}"]);
        end = at + value.len();
    }
    out.push_str(&path[end..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_the_place_of_values() {
        let path = "/v1/Patient/1/Observation/2";
        let declared = [("id", &path[12..13]), ("other", &path[26..])];
        assert_eq!(redacted(path, &declared), "/v1/Patient/{id}/Observation/{other}");
        assert_eq!(redacted(path, &[]), path);
    }
}
