//! What a request becomes for whoever answers it.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use model::mapping::{Action, Mapping, Source};
use model::snapshot::{CustomEndpoint, Integration};
use velocity::{Overrides, RenderError, Rendered, Side};

use super::CustomCall;
use super::message::Message;
use crate::answer::Answer;
use crate::lambda::event;
use crate::mapping::{Values, change_query, header_value};
use crate::record::Record;
use crate::rest_api;

const API_ID: HeaderName = HeaderName::from_static("x-amzn-apigateway-api-id");

/// A request, made anew.
pub(super) struct Made {
    pub(super) payload: Bytes,
    method: Method,
    headers: HeaderMap,
    /// Path and query; of HTTP services.
    target: String,
    /// What the template has set, all of it.
    pub(super) overrides: Vec<Overrides>,
}

impl CustomCall {
    pub(super) fn made(&self, record: &mut Record, parts: &Parts, payload: &Bytes) -> Result<Made, Answer> {
        let media_type = event::media_type(&parts.headers, CONTENT_TYPE);
        let template = self.integration.request_templates.of(media_type);
        if template.is_none() && !self.integration.passes() {
            return Err(Answer::MediaTypeUnsupported);
        }
        let seen = event::headers(parts, &Mapping::default(), record);
        let rendered = template.map(|(_, template)| {
            let (record, stage, variables) = (&*record, &*self.stage, &*self.variables);
            template.render(&Message { payload, parts, headers: &seen, variables, record, stage })
        });
        let rendered = rendered.transpose().map_err(|error| match error {
            RenderError::NotJson(_) => record.has_invalid_body(&error.to_string(), &error.to_string()),
            error => {
                record.integration_failed(error.to_string());
                Answer::NoIntegration
            }
        })?;
        let (payload, overrides) = match rendered {
            Some(Rendered { text, overrides }) => (text.into(), overrides),
            None => (payload.clone(), Vec::new()),
        };
        let CustomEndpoint::Http(integration) = &self.integration.endpoint else {
            let (method, headers, target) = (parts.method.clone(), HeaderMap::new(), String::new());
            return Ok(Made { payload, method, headers, target, overrides });
        };
        let content_type = match template {
            Some((media_type, _)) => HeaderValue::try_from(media_type).ok(),
            None => parts.headers.get(CONTENT_TYPE).cloned().filter(|_| !payload.is_empty()),
        };
        self.to_http(record, parts, integration, Outgoing { payload, content_type, overrides })
    }

    /// Nothing of the request goes to an HTTP service but what is mapped.
    fn to_http(
        &self,
        record: &mut Record,
        parts: &Parts,
        integration: &Integration,
        outgoing: Outgoing,
    ) -> Result<Made, Answer> {
        let Outgoing { payload, content_type, overrides } = outgoing;
        let variables: Vec<(&str, &str)> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Ok(agent) = HeaderValue::try_from(format!("AmazonAPIGateway_{}", self.stage.api_id)) {
            headers.insert(USER_AGENT, agent);
        }
        if let Ok(api_id) = HeaderValue::try_from(&self.stage.api_id) {
            headers.insert(API_ID, api_id);
        }
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        record.carry_trace(&mut headers);
        for (name, value) in record.client.identity_headers() {
            headers.insert(name.clone(), value.clone());
        }
        let values = Values::of_request(parts, &self.rest, &variables, record).with_payload(&payload);
        let mut path = integration.path_mapping.clone().unwrap_or_default();
        for set in &overrides {
            if let Overrides::Path(name, value) = set {
                path.retain(|(known, _)| known != name);
                path.push((name.clone(), Source::Static(value.clone())));
            }
        }
        let mut target = String::new();
        rest_api::write_target(integration, &path, None, &values, &mut target)?;
        let changes = values.changes(&integration.request_mapping);
        changes.apply_to_target(&mut target);
        changes.apply_to_headers(&mut headers);
        for set in &overrides {
            match set {
                Overrides::Header(Side::Request, name, value) => set_header(&mut headers, name, value),
                Overrides::Query(name, value) => change_query(&mut target, Action::Overwrite, name, value),
                Overrides::Header(Side::Response, ..) | Overrides::Path(..) | Overrides::Status(_) => {}
            }
        }
        let method = match &integration.method {
            Some(method) => Method::from_bytes(method.as_bytes()).map_err(|_| Answer::NoIntegration)?,
            None => parts.method.clone(),
        };
        Ok(Made { payload, method, headers, target, overrides })
    }
}

/// What a template, or nobody, has made of a payload.
struct Outgoing {
    payload: Bytes,
    content_type: Option<HeaderValue>,
    overrides: Vec<Overrides>,
}

impl Made {
    /// As it goes out, and what the template has set.
    pub(super) fn request(self, integration: &Integration) -> Result<(Request<Bytes>, Vec<Overrides>), Answer> {
        let mut request = Request::new(self.payload);
        *request.method_mut() = self.method;
        *request.uri_mut() = Uri::try_from(self.target).map_err(|_| Answer::NoIntegration)?;
        *request.headers_mut() = self.headers;
        let authority = HeaderValue::from_str(&integration.target.authority).map_err(|_| Answer::NoIntegration)?;
        request.headers_mut().insert(HOST, authority);
        Ok((request, self.overrides))
    }
}

/// Sets a header that a template names, if there can be one of that name; those that say where a message ends are ours.
pub(super) fn set_header(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::try_from(name).ok().filter(|name| !model::mapping::is_reserved(name));
    if let Some((name, value)) = name.zip(header_value(value, false)) {
        headers.insert(name, value);
    }
}
