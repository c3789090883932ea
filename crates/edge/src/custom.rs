//! Custom integrations of REST APIs: a request is made anew for whoever answers it ([`request`]), and so is the answer
//! ([`reply`]), both by parameter mapping and templates.

mod message;
mod reply;
mod request;

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode, response};
use model::snapshot::{CustomEndpoint, CustomIntegration, Integration, Stage};
use tokio::time::timeout;
use velocity::Overrides;

use crate::answer::Answer;
use crate::body::{Payload, RequestBody};
use crate::forward::hold_response;
use crate::hold::Whole;
use crate::lambda::{MAX_EVENT_BYTES, invoke, proxy};
use crate::record::Record;
use crate::runtime::Runtime;
use crate::upstream::{Asked, Protocol};
use request::Made;

/// A request on its way to a custom integration.
pub(crate) struct CustomCall {
    integration: Arc<CustomIntegration>,
    stage: Arc<Stage>,
    /// The path below base path or stage.
    rest: String,
    /// Percent-encoded, as the client sent them.
    variables: Vec<(String, String)>,
}

/// What whoever it is has answered.
struct Said {
    /// What an integration response is chosen by.
    text: Option<String>,
    headers: HeaderMap,
    payload: Bytes,
    /// Counts as held as long as this is there.
    held: Option<Whole>,
    /// What the request's template has said of the answer.
    overrides: Vec<Overrides>,
}

impl CustomCall {
    /// `rest` is the path below base path or stage.
    pub(crate) fn new(
        integration: &Arc<CustomIntegration>,
        stage: &Arc<Stage>,
        rest: &str,
        variables: &[(&str, &str)],
    ) -> Self {
        Self {
            integration: integration.clone(),
            stage: stage.clone(),
            rest: rest.to_owned(),
            variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    /// The head to answer with, and the payload.
    pub(crate) async fn answer(
        self,
        runtime: &Rc<Runtime>,
        record: &mut Record,
        parts: Parts,
        payload: Payload,
    ) -> Result<(response::Parts, Bytes), Answer> {
        let mut payload = proxy::whole(runtime, record, payload).await?;
        let made = self.made(record, &parts, &payload.bytes)?;
        payload.grow(made.payload.len()).ok_or(Answer::Throttled)?;
        record.integration_started = Some(Instant::now());
        let said = match &self.integration.endpoint {
            CustomEndpoint::Http(integration) => self.ask(runtime, record, integration, made).await?,
            CustomEndpoint::Function(function) => {
                if made.payload.len() > MAX_EVENT_BYTES {
                    record.integration_failed("the event is larger than the 6 MB that Lambda takes");
                    return Err(Answer::PayloadTooLarge);
                }
                let time = Duration::from_millis(self.integration.timeout_ms.into());
                let invoked = invoke(runtime, function, made.payload, time).await;
                let invoked = invoked.map_err(|error| error.answer(record))?;
                record.invoked(&invoked);
                let said = invoked.said().map_err(|why| {
                    record.integration_failed(why);
                    Answer::FunctionUnreachable
                })?;
                let (payload, text) = (said.0.clone(), said.1.map(Cow::into_owned));
                record.integrated(StatusCode::OK);
                Said { text, headers: HeaderMap::new(), payload, held: None, overrides: made.overrides }
            }
            CustomEndpoint::Mock => mock(record, made)?,
        };
        self.reply(record, &parts, said)
    }

    /// Sends a request to an HTTP service and waits for all of its answer.
    async fn ask(
        &self,
        runtime: &Rc<Runtime>,
        record: &mut Record,
        integration: &Arc<Integration>,
        made: Made,
    ) -> Result<Said, Answer> {
        let protocol = if integration.upstream.speaks_http2(false) { Protocol::Http2 } else { Protocol::Http1 };
        let (request, overrides) = made.request(integration)?;
        let request = request.map(|payload| RequestBody::new(Payload::from(payload), u64::MAX).0);
        let time = Duration::from_millis(integration.timeout_ms.into());
        let asked = Asked::default();
        let sent = timeout(time, runtime.upstreams.send(&integration.upstream, protocol, request, &asked)).await;
        let Ok(sent) = sent else {
            runtime.upstreams.timed_out(&integration.upstream, &asked);
            return Err(Answer::IntegrationTimeout);
        };
        let (head, mut body) = sent.map_err(|error| {
            record.integration_failed(error.reason());
            Answer::IntegrationFailure
        })?;
        if head.status.is_informational() {
            // Nobody asked for it.
            return Err(Answer::IntegrationFailure);
        }
        record.integrated(head.status);
        let held = hold_response(runtime, record, &mut body, time).await?;
        let (text, payload) = (Some(head.status.as_str().to_owned()), held.bytes.clone());
        Ok(Said { text, headers: head.headers, payload, held: Some(held), overrides })
    }
}

/// What the gateway says in the place of a backend: a JSON text says with which status.
fn mock(record: &mut Record, made: Made) -> Result<Said, Answer> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Mocked {
        status_code: serde_json::Number,
    }
    let mocked: Result<Mocked, _> = serde_json::from_slice(&made.payload);
    let status = mocked.ok().and_then(|mocked| u16::try_from(mocked.status_code.as_u64()?).ok());
    let Some(status) = status.and_then(|status| StatusCode::from_u16(status).ok()) else {
        record
            .integration_failed("Unable to parse statusCode. It should be an integer and defined in request template.");
        return Err(Answer::NoIntegration);
    };
    record.integrated(status);
    Ok(Said {
        text: Some(status.as_str().to_owned()),
        headers: HeaderMap::new(),
        payload: Bytes::new(),
        held: None,
        overrides: made.overrides,
    })
}
