//! Custom integrations of REST APIs, as AWS calls those that are no proxies: what goes to the backend is made of the request,
//! and the answer of what the backend says.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use velocity::{SyntaxError, Template};

use super::Integration;
use super::upstream::Backends;
use crate::mapping::{Mapping, rest_response_mapping};
use crate::resource::{
    IntegrationResponse, Passthrough, RestIntegration, RestIntegrationKind, RestMethod, RestResource,
};
use crate::{FunctionArn, WholePattern};

/// An integration of type HTTP, AWS or MOCK.
#[derive(Debug)]
pub struct CustomIntegration {
    /// Whom it is with.
    pub endpoint: CustomEndpoint,
    /// Milliseconds until the answer must have come.
    pub timeout_ms: u32,
    /// `requestTemplates`
    pub request_templates: Templates,
    /// `passthroughBehavior`
    pub passthrough: Passthrough,
    /// Those with a pattern first, and the one of all others last.
    responses: Vec<CustomResponse>,
}

/// Who answers.
#[derive(Debug)]
pub enum CustomEndpoint {
    /// An HTTP service.
    Http(Arc<Integration>),
    /// A Lambda function, whose event is what the template makes.
    Function(FunctionArn),
    /// Nobody: the template says with which status.
    Mock,
}

/// What becomes of a backend's answer.
#[derive(Debug)]
pub struct CustomResponse {
    /// What the client is sent.
    pub status: StatusCode,
    /// None: of whatever no other one is for.
    pattern: Option<WholePattern>,
    /// Headers of the answer.
    pub mapping: Mapping,
    /// `responseTemplates`
    pub templates: Templates,
}

/// Templates by media type.
#[derive(Debug, Default)]
pub struct Templates(BTreeMap<String, Template>);

/// A template that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the template for {media_type} cannot be used: {error}")]
pub struct TemplateError {
    /// Which one.
    pub media_type: String,
    /// Why.
    pub error: SyntaxError,
}

impl CustomIntegration {
    /// The response for what a backend says: a status code, or how a function failed; none, where it did not.
    pub fn response(&self, said: Option<&str>) -> Option<&CustomResponse> {
        let fits = |pattern: &WholePattern| said.is_some_and(|said| pattern.fits(said));
        self.responses.iter().find(|response| response.pattern.as_ref().is_none_or(fits))
    }

    /// Whether payloads pass for whose media type there is no template.
    pub fn passes(&self) -> bool {
        match self.passthrough {
            Passthrough::WhenNoMatch => true,
            Passthrough::WhenNoTemplates => self.request_templates.is_empty(),
            Passthrough::Never => false,
        }
    }

    pub(super) fn of(
        resource: &RestResource,
        method: &RestMethod,
        integration: &RestIntegration,
        backends: &mut Backends<'_>,
    ) -> Result<Self, String> {
        let variables = &backends.stage.variables;
        // Nothing is answered that the method does not say.
        let declared = integration.responses.iter().filter(|(status, _)| method.responses.contains_key(*status));
        let responses = declared.map(|(status, response)| CustomResponse::of(status, response, variables));
        let mut responses = responses.collect::<Result<Vec<_>, _>>()?;
        responses.sort_by_key(|response| response.pattern.is_none());
        let uri = integration.uri.as_deref().unwrap_or_default();
        Ok(Self {
            endpoint: match integration.kind {
                RestIntegrationKind::Aws | RestIntegrationKind::AwsProxy => {
                    CustomEndpoint::Function(FunctionArn::parse(uri, variables).map_err(|error| error.to_string())?)
                }
                RestIntegrationKind::Mock => CustomEndpoint::Mock,
                RestIntegrationKind::Http | RestIntegrationKind::HttpProxy => {
                    CustomEndpoint::Http(Arc::new(Integration::of_rest(resource, integration, backends)?))
                }
            },
            timeout_ms: integration.timeout_ms,
            request_templates: Templates::parse(&integration.request_templates).map_err(|error| error.to_string())?,
            passthrough: integration.passthrough,
            responses,
        })
    }
}

impl CustomResponse {
    fn of(
        status: &str,
        response: &IntegrationResponse,
        stage_variables: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let pattern = response.selection_pattern.as_deref().map(WholePattern::parse).transpose();
        let mapping = rest_response_mapping(&response.parameters, stage_variables);
        Ok(Self {
            status: StatusCode::from_bytes(status.as_bytes()).map_err(|_| format!("{status} is no status code"))?,
            pattern: pattern.map_err(|error| format!("the selection pattern of {status}: {error}"))?,
            mapping: mapping.map_err(|error| error.to_string())?,
            templates: Templates::parse(&response.templates).map_err(|error| error.to_string())?,
        })
    }
}

impl Templates {
    /// Parses all of them; also to see whether they can be used.
    pub fn parse(templates: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let parsed = templates.iter().map(|(media_type, text)| match Template::parse(text) {
            Ok(template) => Ok((media_type.clone(), template)),
            Err(error) => Err(TemplateError { media_type: media_type.clone(), error }),
        });
        parsed.collect::<Result<_, _>>().map(Self)
    }

    /// That of a media type, in whichever case.
    pub fn of(&self, media_type: &str) -> Option<(&str, &Template)> {
        let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(media_type));
        found.map(|(known, template)| (known.as_str(), template))
    }

    /// That of JSON, else the first.
    pub fn usual(&self) -> Option<(&str, &Template)> {
        self.of("application/json").or_else(|| self.0.iter().next().map(|(known, template)| (known.as_str(), template)))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
