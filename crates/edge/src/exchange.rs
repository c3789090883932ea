//! The path of a request, from its head to the head of its answer.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Version};
use http_body::Body;
use journal::End;
use model::Records;
use model::mapping::MAX_PAYLOAD_BYTES;
use model::snapshot::{Backend, Domain, Integration, Paths, Snapshot};

use crate::admission;
use crate::admit;
use crate::answer::{self, Answer};
use crate::api_keys;
use crate::authorize::{Place, authorize, hold_against};
use crate::body::{Payload, ResponseBody};
use crate::connection::{Close, Connection};
use crate::cors;
use crate::custom::CustomCall;
use crate::forward;
use crate::grpc;
use crate::hold::hold_request;
use crate::lambda::proxy::Call;
use crate::mapping::{Changes, Values};
use crate::record::Record;
use crate::rest_api;
use crate::runtime::Runtime;

/// Answers one request. Its record is written when the answer was sent, or the client went away.
pub(crate) async fn serve(
    runtime: Rc<Runtime>,
    connection: Rc<Connection>,
    request: Request<impl Into<Payload>>,
) -> Result<Response<ResponseBody>, Infallible> {
    let version = request.version();
    let (parts, payload) = request.into_parts();
    let mut payload = payload.into();
    let has_payload = !payload.is_end_stream();
    let is_head = parts.method == Method::HEAD;
    let mut record = Record::of_request(&runtime, &connection, &parts);
    let is_known = connection.reviewed(&runtime).await;
    let routed = match route(&runtime, &connection, &mut record, &parts, &mut payload, is_known).await {
        // In a box, so that requests to which it does not matter carry nothing of it.
        Ok(routed) if record.domain.recording.records == Records::Required => {
            Box::pin(admission::admit(&runtime, &mut record)).await.map(|()| routed)
        }
        routed => routed,
    };
    let cors = record.cross_origin(&parts);
    let outcome = match routed {
        Ok(Routed::Onward(onward)) => {
            let answered = forward::forward(&runtime, &mut record, onward, parts, payload).await;
            answered.map(|(head, body)| (head, Ok(body)))
        }
        // In a box, so that requests to which it does not matter carry nothing of it.
        Ok(Routed::Call(call)) => {
            let answered = Box::pin(call.answer(&runtime, &mut record, parts, payload)).await;
            answered.map(|(head, whole)| (head, Err(whole)))
        }
        // In a box, so that requests to which it does not matter carry nothing of it.
        Ok(Routed::Custom(call)) => {
            let answered = Box::pin(call.answer(&runtime, &mut record, parts, payload)).await;
            answered.map(|(head, whole)| (head, Err(whole)))
        }
        Err(answer) => Err(answer),
    };
    let mut response = match outcome {
        Ok((head, Ok(body))) => Response::from_parts(head, ResponseBody::backend(body, record)),
        Ok((head, Err(whole))) => Response::from_parts(head, ResponseBody::whole(whole, record)),
        Err(answer) => {
            if answer == Answer::Refused {
                connection.close(Close::Refused, End::NoLongerTrusted);
            }
            if answer.closes() || has_payload {
                // Something of the request may still be under way.
                connection.linger();
            }
            answer.response(version, record)
        }
    };
    if let Some(cors) = cors {
        cors.apply(&mut response);
    }
    if is_head && version == Version::HTTP_2 {
        answer::forget_payload(&mut response);
    }
    Ok(response)
}

/// Where a request goes.
enum Routed {
    /// To a backend.
    Onward(Onward),
    /// To a Lambda function.
    Call(Box<Call>),
    /// To a custom integration.
    Custom(Box<CustomCall>),
}

/// How a request goes to its backend.
pub(crate) struct Onward {
    pub(crate) integration: Arc<Integration>,
    /// Path and query for the backend.
    pub(crate) path: String,
    /// `Forwarded`
    pub(crate) forwarded: HeaderValue,
    /// What parameter mapping does to the headers.
    pub(crate) changes: Changes,
}

/// `is_known`: client and domain were just looked at, and the domain is there.
async fn route(
    runtime: &Rc<Runtime>,
    connection: &Connection,
    record: &mut Record,
    parts: &Parts,
    payload: &mut Payload,
    is_known: bool,
) -> Result<Routed, Answer> {
    if !is_known {
        return Err(Answer::Misdirected);
    }
    record.stands();
    let stage = record.find_stage(parts);
    if record.client.refusal.is_some() {
        return Err(Answer::Refused);
    }
    admit::check(parts)?;
    if admit::head_bytes(parts) > runtime.limits().header_bytes {
        return Err(Answer::HeadersTooLarge);
    }
    let host = admit::host(parts)?;
    if *host != connection.name && !is_same_domain(&runtime.snapshot.borrow(), &host, &record.domain) {
        return Err(Answer::Misdirected);
    }
    record.permit = connection.limits.admit(&record.client, record.at)?;
    let (stage, rest) = stage.ok_or(Answer::NotFound)?;
    if stage.endpoint_disabled && matches!(record.domain.paths, Paths::Stages(_)) {
        return Err(if runtime.config.aws_exact { Answer::EndpointDisabledAsAws } else { Answer::EndpointDisabled });
    }
    if stage.cors.is_some() && cors::is_preflight(parts) {
        return Err(Answer::Preflight);
    }
    let (route, variables) = rest_api::find(&stage, &parts.method, rest)?;
    record.route(route);
    if route.api_key_required {
        api_keys::admit(&stage, route, parts, record)?;
    }
    if route.throttle.as_ref().is_some_and(|throttle| !throttle.admit(record.at)) {
        return Err(Answer::Throttled);
    }
    if declared_length(parts).is_some_and(|length| length > runtime.limits().body_bytes) {
        return Err(Answer::PayloadTooLarge);
    }
    let place = Place { stage: &stage, parts, rest, variables: &variables };
    if let Some(authorization) = &route.authorization {
        // In a box, so that requests to which it does not matter carry nothing of it.
        Box::pin(authorize(runtime, record, authorization, &place, payload)).await?;
    }
    if let Some(policy) = &stage.policy {
        hold_against(policy, record, route, &place, &host)?;
    }
    if let Some(required) = &route.required {
        rest_api::check(required, parts, record)?;
    }
    if let Some(models) = &route.models {
        // In a box, so that requests to which it does not matter carry nothing of it.
        Box::pin(rest_api::check_payload(runtime, models, parts, payload, record)).await?;
    }
    let backend = route.backend.as_ref().ok_or(Answer::NoIntegration)?;
    if let Some(key) = &record.api_key {
        // Last, so that only what reaches the backend counts.
        api_keys::spend(key, record.at)?;
    }
    let held = match backend.reads_payload() && is_looked_into(parts) {
        // In a box, so that requests to which it does not matter carry nothing of it.
        true => Some(Box::pin(hold_request(runtime, payload)).await?),
        false => None,
    };
    let values = Values::of_request(parts, rest, &variables, record);
    let values = values.with_payload(held.as_ref().map_or(&[], |held| &held.bytes));
    let integration = match backend {
        Backend::Http(integration) => integration.clone(),
        Backend::Custom(custom) => {
            return Ok(Routed::Custom(Box::new(CustomCall::new(custom, &stage, rest, &variables))));
        }
        Backend::Function(function) => {
            return Ok(Routed::Call(Box::new(Call::new(function, &stage, parts, rest, &variables, record, &values))));
        }
    };
    let mut target = String::with_capacity(parts.uri.path().len() + 16);
    let query = parts.uri.query();
    let appended = if integration.passes_path { Some(parts.uri.path()) } else { route.is_default.then_some(rest) };
    match &integration.path_mapping {
        Some(mapping) => rest_api::write_target(&integration, mapping, query, &values, &mut target)?,
        None => integration.target.write_path(&variables, appended, query, &mut target),
    }
    let mut changes = Changes::default();
    if !integration.request_mapping.steps.is_empty() {
        changes = values.changes(&integration.request_mapping);
        changes.apply_to_target(&mut target);
        if changes.overwrites_path() && admit::has_dot_segments(target.split('?').next().unwrap_or_default()) {
            return Err(Answer::BadRequest("the mapped path has dot segments"));
        }
    }
    Ok(Routed::Onward(Onward { integration, path: target, forwarded: connection.forwarded(&host), changes }))
}

/// With `*.example.com` and `api.example.com`, `x.example.com` and `api.example.com` are not the same.
fn is_same_domain(snapshot: &Snapshot, host: &str, domain: &Arc<Domain>) -> bool {
    snapshot.domain(host).is_some_and(|found| Arc::ptr_eq(found, domain))
}

/// Whether values are looked for in the payload: a stream of messages is no JSON, and never ends.
fn is_looked_into(parts: &Parts) -> bool {
    !grpc::is_grpc(parts) && declared_length(parts).is_none_or(|length| length <= MAX_PAYLOAD_BYTES as u64)
}

fn declared_length(parts: &Parts) -> Option<u64> {
    parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
