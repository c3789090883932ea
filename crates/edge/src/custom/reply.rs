//! What a client is sent of an answer.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, response};
use model::mapping::Mapping;
use model::snapshot::CustomResponse;
use velocity::{Overrides, Side, Template};

use super::message::Message;
use super::request::set_header;
use super::{CustomCall, Said};
use crate::answer::{self, Answer};
use crate::lambda::event;
use crate::mapping::Values;
use crate::record::Record;

impl CustomCall {
    /// Head and payload for the client. Nothing of the answer's head passes but what is mapped.
    pub(super) fn reply(
        &self,
        record: &mut Record,
        parts: &Parts,
        said: Said,
    ) -> Result<(response::Parts, Bytes), Answer> {
        let Some(response) = self.integration.response(said.text.as_deref()) else {
            let said = said.text.unwrap_or_default();
            record.integration_failed(format!(
                "No match for output mapping and no default output mapping configured. Endpoint Response: {said}"
            ));
            return Err(Answer::NoResponse);
        };
        let (mut head, ()) = Response::new(()).into_parts();
        head.status = response.status;
        let (payload, mut overrides) = match template(response, parts) {
            Some((media_type, template)) => {
                head.headers.insert(CONTENT_TYPE, media_type);
                self.rendered(record, parts, &said.payload, template)?
            }
            None => {
                let own = said.headers.get(CONTENT_TYPE).cloned();
                head.headers.insert(CONTENT_TYPE, own.unwrap_or(HeaderValue::from_static("application/json")));
                (said.payload.clone(), Vec::new())
            }
        };
        let values = Values::of_response(&said.headers, record).with_payload(&said.payload);
        values.changes(&response.mapping).apply_to_headers(&mut head.headers);
        // What the answer's template says goes before what the request's has said.
        overrides.splice(..0, said.overrides);
        overrule(&mut head, &overrides);
        drop(said.held);
        record.answered_with(head.status);
        answer::identify(&mut head.headers, record);
        let has_payload = head.status != StatusCode::NO_CONTENT && head.status != StatusCode::NOT_MODIFIED;
        Ok((head, if has_payload { payload } else { Bytes::new() }))
    }

    fn rendered(
        &self,
        record: &mut Record,
        parts: &Parts,
        payload: &Bytes,
        template: &Template,
    ) -> Result<(Bytes, Vec<Overrides>), Answer> {
        let headers = event::headers(parts, &Mapping::default(), record);
        let (stage, variables) = (&*self.stage, &*self.variables);
        let message = Message { payload, parts, headers: &headers, variables, record, stage };
        let rendered = template.render(&message).map_err(|error| error.to_string());
        let rendered = rendered.map_err(|why| {
            record.integration_failed(why.replace("request body", "the integration's answer"));
            Answer::NoResponse
        })?;
        Ok((rendered.text.into(), rendered.overrides))
    }
}

/// That of the first media type that the client says it takes, else the usual one.
fn template<'r>(response: &'r CustomResponse, parts: &Parts) -> Option<(HeaderValue, &'r Template)> {
    let wanted = response.templates.of(event::media_type(&parts.headers, ACCEPT));
    let (media_type, template) = wanted.or_else(|| response.templates.usual())?;
    Some((HeaderValue::try_from(media_type).unwrap_or(HeaderValue::from_static("application/json")), template))
}

/// What templates have set of the answer. A status that there is not, or that is no answer's, is none.
fn overrule(head: &mut response::Parts, overrides: &[Overrides]) {
    for set in overrides {
        match set {
            Overrides::Status(status) => {
                let status = StatusCode::from_bytes(status.trim().as_bytes()).ok();
                head.status = status.filter(|status| (200..600).contains(&status.as_u16())).unwrap_or(head.status);
            }
            Overrides::Header(Side::Response, name, value) => set_header(&mut head.headers, name, value),
            Overrides::Header(Side::Request, ..) | Overrides::Path(..) | Overrides::Query(..) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_cannot_break_an_answer() {
        let (mut head, ()) = Response::new(()).into_parts();
        let header = |name: &str| Overrides::Header(Side::Response, name.into(), "1\r\nx: y".into());
        let set = [header("x-a"), header("content-length"), header("transfer-encoding"), header("a b")];
        overrule(&mut head, &set);
        assert_eq!(head.headers.len(), 1);
        assert_eq!(head.headers["x-a"], "1%0D%0Ax: y");
        for (status, wanted) in [("404", 404), ("100", 404), ("999", 404), ("x", 404), ("201", 201)] {
            overrule(&mut head, &[Overrides::Status(status.into())]);
            assert_eq!(head.status, wanted);
        }
    }
}
