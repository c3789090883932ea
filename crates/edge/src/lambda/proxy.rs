//! AWS_PROXY integrations: a function answers in the place of a backend.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::ACCEPT;
use http::request::Parts;
use http::{Response, StatusCode, response};
use model::snapshot::{Dialect, FunctionIntegration, Stage};

use super::event::{self, Asked};
use super::reply::{Form, Reply};
use super::{Invoked, MAX_EVENT_BYTES, invoke};
use crate::answer::{self, Answer};
use crate::body::{Payload, RequestBody};
use crate::hold::{Whole, hold};
use crate::mapping::{Changes, Values};
use crate::record::Record;
use crate::runtime::Runtime;

/// A request on its way to a function.
pub(crate) struct Call {
    integration: Arc<FunctionIntegration>,
    stage: Arc<Stage>,
    path: String,
    query: String,
    variables: Vec<(String, String)>,
    /// What parameter mapping does to the headers.
    changes: Changes,
    /// Whether what a function returns in base64 is decoded.
    decodes: bool,
}

impl Call {
    /// `rest` is the path below base path or stage.
    pub(crate) fn new(
        integration: &Arc<FunctionIntegration>,
        stage: &Arc<Stage>,
        parts: &Parts,
        rest: &str,
        variables: &[(&str, &str)],
        record: &Record,
        values: &Values<'_>,
    ) -> Self {
        let mut target = event::path(integration.payload_format, record, stage, parts.uri.path(), rest);
        if let Some(query) = parts.uri.query() {
            target.push('?');
            target.push_str(query);
        }
        let changes = values.changes(&integration.request_mapping);
        changes.apply_to_target(&mut target);
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        Self {
            integration: integration.clone(),
            stage: stage.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            changes,
            // Of REST APIs by what the client says it takes first.
            decodes: stage.dialect == Dialect::Http || stage.is_binary(event::media_type(&parts.headers, ACCEPT)),
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
        let payload = whole(runtime, record, payload).await?;
        let event = self.event(record, &parts, payload)?;
        record.integration_started = Some(Instant::now());
        let time = Duration::from_millis(self.integration.timeout_ms.into());
        let invoked = invoke(runtime, &self.integration.function, event.bytes, time).await;
        let invoked = invoked.map_err(|error| error.answer(record))?;
        self.read(record, &invoked)
    }

    fn event(&self, record: &mut Record, parts: &Parts, mut payload: Whole) -> Result<Whole, Answer> {
        let mut headers = event::headers(parts, &self.integration.request_mapping, record);
        record.carry_trace(&mut headers);
        self.changes.apply_to_headers(&mut headers);
        let asked = Asked {
            record,
            stage: &self.stage,
            method: &parts.method,
            headers: &headers,
            path: &self.path,
            query: &self.query,
            variables: &self.variables,
        };
        let too_large = payload.bytes.len() > MAX_EVENT_BYTES;
        let event = if too_large {
            None
        } else {
            event::of_integration(self.integration.payload_format, &asked, &payload.bytes).ok()
        };
        let Some(event) = event.filter(|event| event.len() <= MAX_EVENT_BYTES) else {
            record.integration_failed("the event is larger than the 6 MB that Lambda takes");
            return Err(Answer::PayloadTooLarge);
        };
        payload.grow(event.len()).ok_or(Answer::Throttled)?;
        payload.bytes = event.into();
        Ok(payload)
    }

    fn read(&self, record: &mut Record, invoked: &Invoked) -> Result<(response::Parts, Bytes), Answer> {
        record.invoked(invoked);
        let returned = invoked.returned().map_err(|why| {
            record.integration_failed(why);
            if invoked.status == StatusCode::OK { Answer::FunctionFailed } else { Answer::FunctionUnreachable }
        })?;
        let form = Form { format: self.integration.payload_format, dialect: self.stage.dialect, decodes: self.decodes };
        let reply = Reply::read(form, returned).ok_or_else(|| {
            record.integration_failed(MALFORMED);
            Answer::FunctionFailed
        })?;
        record.integrated(reply.status);
        let (mut head, ()) = Response::new(()).into_parts();
        (head.status, head.headers) = (reply.status, reply.headers);
        if let Some(mapping) = self.integration.response_mappings.get(&head.status.as_u16()) {
            let changes = Values::of_response(&head.headers, record).with_payload(&reply.body).changes(mapping);
            changes.apply_to_headers(&mut head.headers);
            changes.apply_to_status(&mut head);
            record.answered_with(head.status);
        }
        answer::identify(&mut head.headers, record);
        let has_payload = head.status != StatusCode::NO_CONTENT && head.status != StatusCode::NOT_MODIFIED;
        Ok((head, if has_payload { reply.body } else { Bytes::new() }))
    }
}

/// AWS's words for an answer of another form than it has to have.
const MALFORMED: &str = "The response from the Lambda function doesn't match the format that API Gateway expects.";

/// The client's payload, within the limit on payloads.
pub(crate) async fn whole(runtime: &Rc<Runtime>, record: &mut Record, payload: Payload) -> Result<Whole, Answer> {
    let limit = runtime.limits().body_bytes;
    let (mut body, progress) = RequestBody::new(payload, limit);
    record.upload = Some(progress.clone());
    let held = hold(runtime, &mut body, limit).await;
    held.map_err(|error| if progress.is_too_large() { Answer::PayloadTooLarge } else { error.into() })
}
