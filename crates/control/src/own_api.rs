//! The server's own API under `/_countersign/api/v1/`: requests signed as AWS's are, for the service `countersign`.

use aws::{Error, Protocol};
use http::request::Parts;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::Control;
use crate::authorization::{Action, authorize};

/// Where it is.
pub(crate) const PREFIX: &str = "/_countersign/api/v1/";

const SERVICE: &str = "countersign";
/// Answers have the form of API Gateway's.
pub(crate) const PROTOCOL: Protocol = Protocol::RestJson;

impl Control {
    /// Answers a request whose path begins with [`PREFIX`] and whose body is empty.
    pub(crate) async fn own_api(&self, parts: &Parts) -> Result<Value, Error> {
        let principal = self.principal(parts)?;
        let account = &self.config().account;
        let may = |operation| authorize(account, &principal, &Action { service: SERVICE, operation }, "*");
        let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        match (&parts.method, path.split_once('/')) {
            (&Method::GET, Some(("requests", id))) => {
                may("GetRequest")?;
                self.recorded_request(id).await
            }
            _ => Err(not_found("There is no such operation.")),
        }
    }

    /// ARN of who signed the request.
    fn principal(&self, parts: &Parts) -> Result<String, Error> {
        let verified = self.authenticate(parts, b"").map_err(|error| PROTOCOL.authentication_error(&error))?;
        if verified.service != SERVICE {
            return Err(Error::access_denied(format!("Credential should be scoped to correct service: '{SERVICE}'.")));
        }
        let state = self.settings().state();
        let key = state.access_keys.get(&verified.access_key_id);
        let key = key.ok_or_else(|| PROTOCOL.authentication_error(&sigv4::Error::UnrecognizedClient))?;
        Ok(key.principal_arn.clone())
    }

    /// `record`: what was recorded of a request; `domain`: what is set for its domain now.
    async fn recorded_request(&self, id: &str) -> Result<Value, Error> {
        let id = percent_decode_str(id).decode_utf8_lossy().into_owned();
        let journal = self.journal().clone();
        let found = tokio::task::spawn_blocking(move || journal.find_request(&id)).await;
        let found = found.map_err(|_| Error::internal("The records cannot be read."))?;
        let record = found.map_err(|error| Error::internal(format!("The records cannot be read: {error}")))?;
        let record = record.ok_or_else(|| not_found("No such request is recorded."))?;
        let state = self.settings().state();
        let domain = state.domains.get(record.domain.as_ref()).map(|domain| {
            json!({
                "name": domain.name,
                "certificateArn": domain.certificate_arn,
                "truststoreUri": domain.mutual_tls.as_ref().map(|mutual| &mutual.uri),
                "truststoreVersion": domain.mutual_tls.as_ref().map(|mutual| &mutual.read_version),
                "newestVersion": domain.mutual_tls.as_ref().and_then(|mutual| Some(&mutual.newest.as_ref()?.version)),
            })
        });
        Ok(json!({"record": record, "domain": domain}))
    }
}

fn not_found(message: &str) -> Error {
    Error::new(StatusCode::NOT_FOUND, "NotFoundException", message)
}
