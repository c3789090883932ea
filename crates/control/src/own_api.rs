//! The server's own API under `/_countersign/api/v1/`: requests signed as AWS's are, for the service `countersign`, answered
//! with JSON in the form of API Gateway's. Each resource has a file.

mod audit;
mod clients;
mod doctor;
mod domains;
mod nodes;
mod overview;
mod preview;
mod records;
mod requests;
mod truststores;
mod verdict;

use std::collections::BTreeMap;

use aws::{Caller, Error, Protocol};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use trust::Certificate;

use crate::{Control, console};
pub use doctor::Doctor;
pub(crate) use doctor::GROUP as DOCTOR_GROUP;

/// Where it is.
pub(crate) const PREFIX: &str = "/_countersign/api/v1/";
/// Its name in credential scopes and policies.
pub(crate) const SERVICE: &str = "countersign";
/// Largest body: a truststore of 1 MB in JSON, and what goes with it.
pub(crate) const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Answers have the form of API Gateway's.
pub(crate) const PROTOCOL: Protocol = Protocol::RestJson;

/// A request of somebody who proved who they are.
pub(crate) struct OwnRequest {
    caller: Caller,
    /// What came with temporary credentials.
    session_token: Option<String>,
    method: Method,
    /// Below [`PREFIX`], decoded.
    path: Vec<String>,
    query: BTreeMap<String, String>,
    body: Bytes,
}

impl Control {
    /// Answers a request whose path begins with [`PREFIX`].
    pub(crate) async fn own_api(&self, request: &OwnRequest) -> Result<Value, Error> {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        match (&request.method, &path[..]) {
            (&Method::GET, ["audit"]) => {
                request.may("GetAudit")?;
                audit::get(self)
            }
            (&Method::GET, ["audit", "checkpoint"]) => {
                request.may("GetCheckpoint")?;
                audit::checkpoint(self).await
            }
            (&Method::POST, ["audit", "verify"]) => {
                request.may("VerifyRecords")?;
                audit::verify(self, request.json()?).await
            }
            (&Method::GET, ["audit", "proofs", id]) => {
                request.may("ProveRecord")?;
                audit::prove(self, (*id).to_owned()).await
            }
            (&Method::GET, ["clients"]) => {
                request.may("ListClients")?;
                clients::list(self, request).await
            }
            (&Method::GET, ["clients", id]) => {
                request.may("GetClient")?;
                clients::get(self, id).await
            }
            (&Method::GET, ["nodes"]) => {
                request.may("ListNodes")?;
                Ok(nodes::list(self))
            }
            (&Method::POST, ["console", "sign-in"]) => {
                request.may("GetConsoleUrl")?;
                console::sign_in_url(self, &request.caller, request.session_token.clone())
            }
            (&Method::GET, ["overview"]) => {
                request.may("GetOverview")?;
                overview::get(self, &request.caller).await
            }
            (&Method::GET, ["domains"]) => {
                request.may("ListDomains")?;
                domains::list(self, request).await
            }
            (&Method::GET, ["domains", name]) => {
                request.may("GetDomain")?;
                domains::get(self, &request.caller, name).await
            }
            (&Method::GET, ["domains", name, "diff"]) => {
                request.may("GetTruststoreDiff")?;
                domains::diff(self, request, name).await
            }
            (&Method::POST, ["domains", name, "verdict"]) => {
                request.may("GetVerdict")?;
                verdict::post(self, &request.caller, name, request.json()?).await
            }
            (&Method::POST, ["domains", name, "doctor"]) => {
                request.may("RunDoctor")?;
                doctor::post(self, request, name).await
            }
            (&Method::GET, ["doctor"]) => {
                request.may("ListDoctorRuns")?;
                doctor::list(self, request).await
            }
            (&Method::GET, ["doctor", id]) => {
                request.may("GetDoctorRun")?;
                doctor::get(self, &request.caller, id).await
            }
            (&Method::GET, ["records"]) => {
                request.may("ListRecords")?;
                records::list(self, request).await
            }
            (&Method::GET, ["requests", id]) => {
                request.may("GetRequest")?;
                requests::get(self, id).await
            }
            (&Method::GET, ["domains", name, "truststores"]) => {
                request.may("GetTruststores")?;
                truststores::of_domain(self, &request.caller, name)
            }
            (&Method::POST, ["domains", name, "preview"]) => {
                request.may("PreviewDomain")?;
                preview::post(self, &request.caller, name, request.json()?).await
            }
            (&Method::GET, ["truststores", digest]) => {
                request.may("GetTruststore")?;
                truststores::get(self, digest).await
            }
            _ => Err(not_found("There is no such operation.")),
        }
    }
}

impl OwnRequest {
    pub(crate) fn new(caller: Caller, parts: &Parts, body: Bytes) -> Self {
        let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        Self {
            caller,
            session_token: sigv4::session_token(parts),
            method: parts.method.clone(),
            path: path.split('/').map(decoded).collect(),
            query: pairs(parts.uri.query().unwrap_or_default()),
            body,
        }
    }

    /// Of somebody who is signed in to the console.
    pub(crate) fn of(
        caller: Caller,
        session_token: Option<String>,
        method: Method,
        path: Vec<String>,
        query: BTreeMap<String, String>,
        body: Bytes,
    ) -> Self {
        Self { caller, session_token, method, path, query, body }
    }

    /// Who asks.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether it may change something. Those of which nobody knows better do.
    pub(crate) fn is_write(&self) -> bool {
        let only_asks = self.path.last().is_some_and(|last| ["preview", "verify", "verdict"].contains(&last.as_str()));
        self.method != Method::GET && !(self.method == Method::POST && only_asks)
    }

    /// Refuses a caller who may not take that action.
    fn may(&self, operation: &str) -> Result<(), Error> {
        self.caller.may(&format!("{SERVICE}:{operation}"), &self.resource())
    }

    /// A domain is called what API Gateway calls it.
    fn resource(&self) -> String {
        match &self.path[..] {
            [kind, name, ..] if kind == "domains" => {
                format!("arn:aws:apigateway:{}::/domainnames/{name}", self.caller.region)
            }
            _ => "*".to_owned(),
        }
    }

    /// A parameter of the query, parsed; `what` says what it has to be.
    fn parameter<T: std::str::FromStr>(&self, name: &str, what: &str) -> Result<Option<T>, Error> {
        let Some(value) = self.query.get(name) else { return Ok(None) };
        let invalid = |_| Error::bad_request(format!("Invalid {name}: expected {what}"));
        value.parse().map(Some).map_err(invalid)
    }

    /// The body's JSON.
    fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::bad_request(format!("Invalid body: {error}")))
    }
}

/// What people want to know of a certificate.
fn shown(certificate: &Certificate) -> Value {
    json!({
        "subject": certificate.subject(),
        "issuer": certificate.issuer(),
        "serialNumber": certificate.serial_number(),
        "fingerprint": certificate.fingerprint_hex(),
        "notBefore": certificate.not_before(),
        "notAfter": certificate.not_after(),
        "key": certificate.key_name(),
    })
}

/// `a=1&b=2`, decoded.
pub(crate) fn pairs(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

pub(crate) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn not_found(message: &str) -> Error {
    Error::new(StatusCode::NOT_FOUND, "NotFoundException", message)
}
