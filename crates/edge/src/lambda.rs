//! Lambda functions: called through the Invoke API, of AWS or of whatever speaks it.
//!
//! A request becomes an event ([`event`]), a function is invoked with it, and what it returns becomes the answer ([`reply`]).

mod endpoint;
pub(crate) mod event;
pub(crate) mod proxy;
mod reply;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode, Uri, response};
use model::snapshot::Upstream;
use model::{FunctionArn, Target};
use sigv4::Credentials;
use tokio::time::timeout;

pub use endpoint::{LambdaEndpoint, LambdaEndpointError};

use crate::answer::Answer;
use crate::body::{Payload, RequestBody};
use crate::hold::{HoldError, Whole, hold};
use crate::record::Record;
use crate::runtime::Runtime;
use crate::upstream::{Asked, BackendBody, BackendError, Protocol, UpstreamError};
use endpoint::Naming;

/// Bytes of an event, and of what a function returns: AWS's limits for functions that are waited for.
pub(crate) const MAX_EVENT_BYTES: usize = 6 * 1024 * 1024;
const MAX_RETURNED_BYTES: u64 = 6_291_556;
/// Of a function's own words in the log.
const MAX_MESSAGE_CHARS: usize = 1000;

const SERVICE: &str = "lambda";
const REQUEST_ID: &str = "x-amzn-requestid";
const FUNCTION_ERROR: &str = "x-amz-function-error";

/// Where functions are called, and by whose right.
#[derive(Clone, Debug)]
pub struct Lambda {
    /// The Invoke API.
    pub endpoint: LambdaEndpoint,
    /// What calls are signed with; none for a local runtime that asks for nothing.
    pub credentials: Option<Credentials>,
}

/// How one runtime calls functions.
#[derive(Default)]
pub(crate) struct Caller {
    lambda: RefCell<Option<Arc<Lambda>>>,
    /// By region: connections are kept as long as these are.
    upstreams: RefCell<HashMap<String, Arc<Upstream>>>,
}

/// A call that was answered.
pub(crate) struct Invoked {
    /// The Invoke API's, not the function's.
    pub(crate) status: StatusCode,
    /// `x-amzn-requestid`
    pub(crate) request_id: Option<HeaderValue>,
    /// The function ended in an error, which is what it returned.
    has_failed: bool,
    payload: Whole,
}

/// Why a function did not answer, for the operator: `$context.integration.error`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InvokeError {
    /// Not in time.
    TimedOut,
    /// Nobody knows where to call it.
    NoEndpoint,
    /// Not at all.
    Failed(Cow<'static, str>),
}

/// Calls a function and waits for what it returns.
pub(crate) async fn invoke(
    runtime: &Rc<Runtime>,
    function: &FunctionArn,
    event: Bytes,
    time: Duration,
) -> Result<Invoked, InvokeError> {
    let lambda = runtime.caller.lambda().ok_or(InvokeError::NoEndpoint)?;
    let (target, request) = lambda.request(function, event, runtime.now_seconds())?;
    let upstream = runtime.caller.upstream(&function.region, &target);
    let answered = timeout(time, async {
        // One that takes too long is the function, and says nothing of the address.
        let sent = runtime.upstreams.send(&upstream, Protocol::Http1, request, &Asked::default()).await;
        let (head, body) = sent.map_err(InvokeError::unreachable)?;
        Invoked::read(runtime, head, body).await
    });
    answered.await.map_err(|_| InvokeError::TimedOut)?
}

impl Caller {
    pub(crate) fn new(lambda: Option<Arc<Lambda>>) -> Self {
        let caller = Self::default();
        caller.use_from_now_on(lambda);
        caller
    }

    /// None: there is nothing to call functions by.
    pub(crate) fn use_from_now_on(&self, lambda: Option<Arc<Lambda>>) {
        self.lambda.replace(lambda);
        self.upstreams.borrow_mut().clear();
    }

    fn lambda(&self) -> Option<Arc<Lambda>> {
        self.lambda.borrow().clone()
    }

    fn upstream(&self, region: &str, target: &Target) -> Arc<Upstream> {
        let mut upstreams = self.upstreams.borrow_mut();
        if let Some(known) = upstreams.get(region) {
            return known.clone();
        }
        upstreams.entry(region.to_owned()).or_insert_with(|| Arc::new(Upstream::of(target))).clone()
    }
}

impl Lambda {
    /// Whom to ask, and what.
    fn request(
        &self,
        function: &FunctionArn,
        event: Bytes,
        at: i64,
    ) -> Result<(Target, Request<RequestBody>), InvokeError> {
        let unusable = || InvokeError::failed("lambda.endpoint of countersign.toml cannot be used for this function");
        let naming = if self.credentials.is_some() { Naming::Arn } else { Naming::Name };
        let (target, path) = self.endpoint.of(function, naming).map_err(|_| unusable())?;
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::try_from(path).map_err(|_| unusable())?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::try_from(&target.authority).map_err(|_| unusable())?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-amz-invocation-type", HeaderValue::from_static("RequestResponse"));
        if let Some(credentials) = &self.credentials {
            let unsigned = "the call cannot be signed with the credentials of countersign.toml";
            sigv4::sign(&mut request, &event, credentials, &function.region, SERVICE, at)
                .map_err(|_| InvokeError::failed(unsigned))?;
        }
        Ok((target, request.map(|()| RequestBody::new(Payload::from(event), u64::MAX).0)))
    }
}

impl Invoked {
    async fn read(
        runtime: &Rc<Runtime>,
        mut head: response::Parts,
        mut body: BackendBody,
    ) -> Result<Self, InvokeError> {
        let payload =
            hold(runtime, &mut body, MAX_RETURNED_BYTES).await.map_err(|error: HoldError<BackendError>| {
                InvokeError::failed(match error {
                    HoldError::Broken(_) => "the answer of the Lambda endpoint broke off",
                    HoldError::TooLarge => "the function returned more than 6 MB",
                    HoldError::Full => "the gateway holds as many payloads as it may",
                })
            })?;
        Ok(Self {
            status: head.status,
            request_id: head.headers.remove(REQUEST_ID),
            has_failed: head.headers.contains_key(FUNCTION_ERROR),
            payload,
        })
    }

    /// What the function returned, or why it did not.
    pub(crate) fn returned(&self) -> Result<&[u8], Cow<'static, str>> {
        let why = match self.status {
            StatusCode::OK if self.has_failed => return Err(self.error_of_function().into()),
            StatusCode::OK => return Ok(&self.payload.bytes),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "the Lambda endpoint refused the call: the credentials of countersign.toml may not invoke the function"
            }
            StatusCode::NOT_FOUND => "the Lambda endpoint has no such function",
            StatusCode::TOO_MANY_REQUESTS => "the Lambda endpoint throttled the call",
            StatusCode::PAYLOAD_TOO_LARGE => "the event is larger than the Lambda endpoint takes",
            status => return Err(format!("the Lambda endpoint answered {}", status.as_u16()).into()),
        };
        Err(why.into())
    }

    /// What the function returned, and how it failed, where it did.
    pub(crate) fn said(&self) -> Result<(&Bytes, Option<Cow<'_, str>>), Cow<'static, str>> {
        match self.has_failed && self.status == StatusCode::OK {
            true => Ok((&self.payload.bytes, Some(self.error_message()))),
            false => self.returned().map(|_| (&self.payload.bytes, None)),
        }
    }

    /// Whether the function ended in this error.
    pub(crate) fn has_failed_with(&self, message: &str) -> bool {
        self.status == StatusCode::OK && self.has_failed && self.error_message() == message
    }

    /// What the function said when it ended in an error.
    fn error_message(&self) -> Cow<'_, str> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct FunctionError {
            error_message: String,
        }
        match serde_json::from_slice(&self.payload.bytes) {
            Ok(FunctionError { error_message }) => Cow::Owned(error_message),
            Err(_) => String::from_utf8_lossy(&self.payload.bytes),
        }
    }

    /// AWS's words for it.
    fn error_of_function(&self) -> String {
        let said: String = self.error_message().chars().take(MAX_MESSAGE_CHARS).collect();
        format!(
            "The Lambda function returned the following error: {said}. Check your Lambda function code and try again."
        )
    }
}

impl InvokeError {
    /// What is said of [`Self::NoEndpoint`].
    pub(crate) const NO_ENDPOINT: &str = "there is no Lambda endpoint: set lambda.endpoint in countersign.toml";

    /// What the client is told; the reason goes into the record.
    pub(crate) fn answer(self, record: &mut Record) -> Answer {
        match self {
            Self::TimedOut => Answer::IntegrationTimeout,
            Self::NoEndpoint => {
                record.integration_failed(Self::NO_ENDPOINT);
                Answer::NoIntegration
            }
            Self::Failed(why) => {
                record.integration_failed(why);
                Answer::FunctionUnreachable
            }
        }
    }

    pub(crate) fn failed(why: &'static str) -> Self {
        Self::Failed(why.into())
    }

    fn unreachable(error: UpstreamError) -> Self {
        Self::Failed(format!("the Lambda endpoint cannot be called: {}", error.reason()).into())
    }
}
