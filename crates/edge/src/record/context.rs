//! What `$context` says of a request: what lines, mappings and templates find of its record.

use model::snapshot::Dialect;
use model::template::{Context, Value, Variable};

use super::Record;
use crate::authorize::Authorized;

/// A record as it is written into a line. Mappings see the request as it is.
pub(super) struct Recorded<'r> {
    pub(super) record: &'r Record,
    pub(super) path: &'r str,
}

impl Context for Recorded<'_> {
    fn value(&self, variable: &Variable, out: &mut Value<'_>) {
        match variable {
            Variable::Path => out.push_str(self.path),
            _ => self.record.value(variable, out),
        }
    }
}

impl Context for Record {
    fn value(&self, variable: &Variable, out: &mut Value<'_>) {
        let request = self.request.as_ref();
        match variable {
            Variable::RequestId => out.push_str(self.id.as_str()),
            Variable::ExtendedRequestId => out.push_str(self.extended_id().as_str()),
            Variable::RequestTime => self.runtime.time_text.with(self.at, |text| out.push_str(text)),
            Variable::RequestTimeEpoch => out.push_number(self.at.unsigned_abs()),
            Variable::AccountId => out.push_str(&self.runtime.config.account_id),
            Variable::ApiId => out.push_str(self.stage.as_ref().map_or("", |stage| &stage.api_id)),
            Variable::Stage => out.push_str(self.stage.as_ref().map_or("", |stage| &stage.name)),
            Variable::BasePathMatched => out.push_str(&self.base_path),
            Variable::RoutingRuleIdMatched => out.push_str(self.routing_rule.as_deref().unwrap_or_default()),
            Variable::DomainName => out.push_str(&self.connection.name),
            Variable::DomainPrefix => {
                out.push_str(self.connection.name.split_once('.').map_or(&*self.connection.name, |(first, _)| first));
            }
            Variable::RouteKey => out.push_str(self.route_key.as_deref().unwrap_or_default()),
            Variable::ResourceId => out.push_str(self.resource.as_ref().map_or("", |resource| &resource.id)),
            Variable::ResourcePath => out.push_str(self.resource.as_ref().map_or("", |resource| &resource.path)),
            Variable::DeploymentId => {
                let deployment = self.stage.as_ref().and_then(|stage| stage.deployment_id.as_deref());
                out.push_str(deployment.filter(|_| self.dialect() == Dialect::Rest).unwrap_or_default());
            }
            Variable::HttpMethod => out.push_str(request.map_or("", |request| request.method.as_str())),
            Variable::Path => out.push_str(request.map_or("", |request| request.uri.path())),
            // As on AWS, for HTTP/2 too.
            Variable::Protocol => out.push_str(request.map_or("", |_| "HTTP/1.1")),
            Variable::IdentitySourceIp => out.push_display(self.connection.peer.ip().to_canonical()),
            Variable::IdentityUserAgent => {
                out.push_bytes(request.and_then(|request| request.user_agent.as_ref()).map_or(b"", |v| v.as_bytes()));
            }
            Variable::TlsVersion => out.push_str(self.connection.facts.version.unwrap_or_default()),
            Variable::CipherSuite => out.push_str(self.connection.facts.cipher_suite.unwrap_or_default()),
            _ => self.outcome(variable, out),
        }
    }
}

impl Record {
    /// The variables that say what became of the request.
    fn outcome(&self, variable: &Variable, out: &mut Value<'_>) {
        let mut number = |number: Option<u64>| {
            if let Some(number) = number {
                out.push_number(number);
            }
        };
        match variable {
            Variable::Status => number(self.status.map(|status| status.as_u16().into())),
            Variable::ResponseLength => number(self.status.map(|_| self.sent)),
            Variable::ResponseLatency => number(Some(self.started.elapsed().as_millis() as u64)),
            Variable::DataProcessed => {
                number(Some(self.sent + self.upload.as_ref().map_or(0, |progress| progress.bytes())));
            }
            Variable::IntegrationLatency | Variable::IntegrationLatencyOf => number(self.integration_millis),
            Variable::IntegrationStatusOf => number(self.integration_status.map(|status| status.as_u16().into())),
            // Of a function this is the Invoke API's.
            Variable::IntegrationStatus | Variable::IntegrationIntegrationStatus => {
                let of_call = self.invocation.as_ref().map(|invocation| invocation.status);
                number(of_call.or(self.integration_status).map(|status| status.as_u16().into()));
            }
            Variable::IntegrationRequestId => {
                let id = self.invocation.as_ref().and_then(|invocation| invocation.request_id.as_ref());
                out.push_bytes(id.map_or(b"", |id| id.as_bytes()));
            }
            Variable::IntegrationError | Variable::IntegrationErrorMessage => {
                out.push_str(self.integration_error.as_deref().unwrap_or_default());
            }
            Variable::ErrorMessage => out.push_str(self.error_message().unwrap_or_default()),
            Variable::ErrorMessageString => {
                if let Some(message) = self.error_message() {
                    out.push_quoted(message);
                }
            }
            Variable::ErrorValidationErrorString => {
                out.push_str(self.invalid.as_ref().map_or("", |invalid| &*invalid.why));
            }
            Variable::ErrorResponseType => {
                out.push_str(self.answer.map_or("", |answer| answer.response_type(self.dialect())));
            }
            _ => self.authorization(variable, out),
        }
    }

    /// The variables that say by whom the request is, by what the route asked for.
    fn authorization(&self, variable: &Variable, out: &mut Value<'_>) {
        let key = self.authorized.as_ref().and_then(Authorized::key);
        match variable {
            Variable::AuthorizerClaim(name) => {
                if let Some(authorized) = &self.authorized {
                    authorized.write_claim(name, out);
                }
            }
            Variable::Authorizer(name) => {
                if let Some(authorized) = &self.authorized {
                    authorized.write_context(name, out);
                }
            }
            Variable::AuthorizerPrincipalId => {
                out.push_str(self.authorized.as_ref().and_then(Authorized::principal_id).unwrap_or_default());
            }
            Variable::AuthorizerError => out.push_str(self.why_denied()),
            // arn:aws:iam::{account}:…
            Variable::IdentityAccountId => {
                out.push_str(key.and_then(|key| key.principal_arn.split(':').nth(4)).unwrap_or_default());
            }
            Variable::IdentityCaller | Variable::IdentityUser => out.push_str(key.map_or("", |key| &key.user_id)),
            Variable::IdentityUserArn => out.push_str(key.map_or("", |key| &key.principal_arn)),
            Variable::IdentityApiKeyId => out.push_str(self.api_key.as_ref().map_or("", |key| key.id())),
            // What this gateway has no counterpart of, and the API key itself, which is a secret.
            _ => {}
        }
    }
}
