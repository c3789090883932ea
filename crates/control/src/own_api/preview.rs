//! `POST domains/NAME/preview`: which clients a change of whom a domain trusts would shut out, or let in.
//!
//! The change is made on a copy of the settings that nobody enforces, and compiled as it would be. Then every client that
//! was seen is judged as of now under what is enforced and under the copy.

mod comparison;

use std::sync::Arc;

use aws::apigatewayv2::MutualTlsAuthenticationInput;
use aws::{Caller, Error};
use journal::ledger::Completeness;
use model::resource::{Domain, NamedObject, Tags};
use model::snapshot::{Defaults, Trust};
use model::{Blob, Blobs, Change, Rejection, Snapshot, State, UnixMillis};
use serde::Deserialize;
use serde_json::{Value, json};
use trust::{Crl, Finding, Truststore};

use super::domains;
use crate::Control;
use crate::control::blocking;
pub(super) use comparison::Side;
use comparison::{Comparison, Sides};

/// Days that are looked back where the request does not say.
const DAYS: u32 = 30;
const MAX_DAYS: u32 = 3650;
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;
/// Name of the list of `crlPem` in the tag of the copy.
const GIVEN_CRL: &str = "file:given.crl";
const STATUS_NOT_FETCHED: &str = "The domain has the status of certificates fetched; nothing was fetched for this answer: who is on \
                                  no list that was given counts as not revoked.";

/// What is to be tried. What is not given stays as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Candidate {
    /// `s3://bucket/key`; the enforced one's where only a version is given.
    truststore_uri: Option<String>,
    truststore_version: Option<String>,
    /// The truststore itself.
    truststore_pem: Option<String>,
    /// Revocation lists in PEM: in the place of those that are set.
    crl_pem: Option<String>,
    /// Value of the tag `countersign:crl`.
    crl_uri: Option<String>,
    /// Value of the tag `countersign:crl-version`.
    crl_version: Option<String>,
    /// Value of the tag `countersign:profile`.
    profile: Option<String>,
    /// Value of the tag `countersign:eku`.
    eku: Option<String>,
    /// How far back clients are looked for.
    days: Option<u32>,
}

pub(super) async fn post(control: &Control, caller: &Caller, name: &str, candidate: Candidate) -> Result<Value, Error> {
    let days = candidate.days.unwrap_or(DAYS);
    if !(1..=MAX_DAYS).contains(&days) {
        return Err(Error::bad_request(format!("Invalid days: expected 1 to {MAX_DAYS}")));
    }
    let state = control.settings().state();
    let domain = &*domains::find(&state, caller, name)?;
    if domain.mutual_tls.is_none() {
        return Err(Error::bad_request(format!("{name} asks clients for no certificates: it has no truststore")));
    }
    // One at a time: it takes a core for a while, also where whoever asked has gone.
    let turn = Arc::clone(&control.shared.previews).lock_owned().await;
    let (changed, blobs) = candidate.applied_to(control, caller, domain).await?;
    let findings = findings(control, &changed, &blobs).await?;
    let sides = Sides {
        enforced: Side::new(compiled(control, &state, domain, &[]).await?),
        candidate: Side::new(compiled(control, &state, &changed, &blobs).await?),
    };
    let fetch = sides.fetch();
    let (ledger, at, name) = (control.ledger().clone(), control.now(), domain.name.clone());
    let since = at.saturating_sub(i64::from(days) * DAY_MILLIS);
    let unreadable = |error: journal::ledger::LedgerError| Error::internal(error.to_string());
    let (comparison, diff, completeness) = blocking(move || {
        let _turn = turn;
        let comparison = Comparison::of(&ledger, &name, since, &sides, at / 1000).map_err(unreadable)?;
        Ok((comparison, sides.diff(at / 1000), ledger.completeness(Some(&name)).map_err(unreadable)?))
    })
    .await?;
    let mut notes = notes(&comparison, &completeness, since);
    if fetch {
        notes.push(STATUS_NOT_FETCHED.to_owned());
    }
    Ok(json!({
        "domain": domain.name,
        "days": days,
        "since": since,
        "at": at,
        "enforced": shown(domain),
        "candidate": shown(&changed),
        "summary": comparison.summary(days),
        "notes": notes,
        "comparison": comparison,
        "lint": findings,
        "diff": diff,
        "ledger": completeness,
    }))
}

impl Candidate {
    /// The domain as it would be, and the bytes that it would need.
    async fn applied_to(
        &self,
        control: &Control,
        caller: &Caller,
        domain: &Domain,
    ) -> Result<(Domain, Vec<Blob>), Error> {
        if self.is_empty() {
            let message =
                "Nothing to try: give truststoreUri, truststoreVersion, truststorePem, crlUri, crlPem, profile or eku.";
            return Err(Error::bad_request(message));
        }
        if self.truststore_pem.is_some() && (self.truststore_uri.is_some() || self.truststore_version.is_some()) {
            return Err(Error::bad_request("Give truststorePem or truststoreUri, not both."));
        }
        if self.crl_pem.is_some() && (self.crl_uri.is_some() || self.crl_version.is_some()) {
            return Err(Error::bad_request("Give crlPem or crlUri, not both."));
        }
        let input = MutualTlsAuthenticationInput {
            truststore_uri: self.truststore_uri.clone(),
            truststore_version: self.truststore_version.clone(),
        };
        let (mut changed, mut blobs) = control.domain_to_be(caller, domain, &input, &self.tags(domain)).await?;
        let at = control.now();
        if let Some(pem) = self.truststore_pem.clone() {
            let (blob, object) = blocking(move || {
                Truststore::compile(pem.as_bytes(), at / 1000)
                    .map_err(|error| Error::bad_request(format!("Invalid truststorePem: {error}")))?;
                Ok(given(&pem, "truststorePem", at))
            })
            .await?;
            changed.mutual_tls = Some(object);
            blobs.push(blob);
        }
        if let Some(pem) = self.crl_pem.clone() {
            let (blob, object) = blocking(move || {
                Crl::read(pem.as_bytes()).map_err(|error| Error::bad_request(format!("Invalid crlPem: {error}")))?;
                Ok(given(&pem, GIVEN_CRL, at))
            })
            .await?;
            changed.tags.insert("countersign:crl".to_owned(), GIVEN_CRL.to_owned());
            changed.tags.remove("countersign:crl-version");
            changed.crls = vec![object];
            blobs.push(blob);
        }
        Ok((changed, blobs))
    }

    /// The domain's tags as they would be.
    fn tags(&self, domain: &Domain) -> Tags {
        let mut tags = domain.tags.clone();
        if self.crl_uri.is_some() {
            // It was of the list before.
            tags.remove("countersign:crl-version");
        }
        for (tag, value) in [
            ("countersign:crl", &self.crl_uri),
            ("countersign:crl-version", &self.crl_version),
            ("countersign:profile", &self.profile),
            ("countersign:eku", &self.eku),
        ] {
            if let Some(value) = value {
                tags.insert(tag.to_owned(), value.clone());
            }
        }
        tags
    }

    fn is_empty(&self) -> bool {
        let Self {
            truststore_uri,
            truststore_version,
            truststore_pem,
            crl_pem,
            crl_uri,
            crl_version,
            profile,
            eku,
            days: _,
        } = self;
        let given = [truststore_uri, truststore_version, truststore_pem, crl_pem, crl_uri, crl_version, profile, eku];
        given.iter().all(|given| given.is_none())
    }
}

/// Bytes that came with the request, and as a domain names objects.
fn given(pem: &str, uri: &str, at: UnixMillis) -> (Blob, NamedObject) {
    let blob = Blob::of(pem.as_bytes());
    let object = NamedObject {
        uri: uri.to_owned(),
        version: None,
        read_version: String::new(),
        digest: blob.digest().to_owned(),
        read: at,
        warnings: Vec::new(),
        lists: Default::default(),
        newest: None,
    };
    (blob, object)
}

/// Whom `domain` would trust, compiled as it is when it is set.
async fn compiled(control: &Control, state: &State, domain: &Domain, given: &[Blob]) -> Result<Arc<Trust>, Error> {
    let certificate = state.certificates.get(&domain.certificate_arn);
    let mut alone = State::default();
    let changes = certificate.map(|certificate| Change::put(&**certificate)).into_iter().chain([Change::put(domain)]);
    let applied = alone.apply(state.revision, &changes.collect::<Vec<_>>());
    applied.map_err(|error| Error::internal(error.to_string()))?;
    let mut blobs: Blobs = given.iter().map(|blob| (blob.digest().to_owned(), blob.clone())).collect();
    for digest in Snapshot::missing(&alone, &Snapshot::default()) {
        if !blobs.contains_key(digest)
            && let Some(blob) = control.settings().blob(digest).await?
        {
            blobs.insert(digest.to_owned(), blob);
        }
    }
    let defaults =
        Defaults { execute_api_suffix: control.config().execute_api_suffix.clone(), rejection: Rejection::default() };
    let (keyring, at) = (control.keyring().clone(), control.now());
    let name = domain.name.clone();
    blocking(move || {
        let snapshot = Snapshot::compile(&alone, &Snapshot::default(), &blobs, &keyring, &defaults, at);
        let domain = snapshot.domains().find(|domain| domain.name == name);
        let fault = || snapshot.faults.first().map_or("it is not served", |fault| fault.what.as_str());
        let trust = domain.and_then(|domain| domain.trust.clone());
        trust.ok_or_else(|| Error::bad_request(format!("{name} could not be served so: {}", fault())))
    })
    .await
}

/// What is to be said of the candidate's truststore.
async fn findings(control: &Control, candidate: &Domain, given: &[Blob]) -> Result<Vec<Finding>, Error> {
    let Some(object) = &candidate.mutual_tls else { return Ok(Vec::new()) };
    let blob = match given.iter().find(|blob| blob.digest() == object.digest) {
        Some(blob) => Some(blob.clone()),
        None => control.settings().blob(&object.digest).await?,
    };
    let blob = blob.ok_or_else(|| Error::internal("The bytes of a truststore are not kept."))?;
    let at = control.now().div_euclid(1000);
    let compiled = blocking(move || {
        Truststore::compile(blob.bytes(), at)
            .map_err(|error| Error::bad_request(format!("Invalid truststore: {error}")))
    });
    Ok(compiled.await?.1)
}

fn shown(domain: &Domain) -> Value {
    let truststore = domain
        .mutual_tls
        .as_ref()
        .map(|object| json!({"uri": object.uri, "version": object.read_version, "digest": object.digest}));
    let crls: Vec<&str> = domain.crls.iter().map(|object| object.uri.as_str()).collect();
    let tag = |name: &str| domain.tags.get(name);
    json!({
        "truststore": truststore,
        "crls": crls,
        "profile": tag("countersign:profile"),
        "eku": tag("countersign:eku"),
    })
}

/// What whoever relies on the answer has to know of the ledger.
fn notes(comparison: &Comparison, completeness: &Completeness, since: UnixMillis) -> Vec<String> {
    let mut notes = Vec::new();
    if completeness.since > since {
        notes.push(format!(
            "Clients are known since {} only: the ledger was not kept before.",
            trust::rfc3339(completeness.since / 1000)
        ));
    }
    if let Some(lost) = &completeness.lost {
        notes.push(format!("{} accepted clients found no room in the ledger and are not among these.", lost.count));
    }
    if let Some(dropped) = &completeness.dropped {
        notes.push(format!(
            "{} sightings were lost because the disk did not keep up; a client that comes often is there all the same.",
            dropped.count
        ));
    }
    if completeness.sampled_out.is_some() {
        notes.push("Of clients that were never accepted only a sample is kept.".to_owned());
    }
    if !comparison.is_whole() {
        notes.push(
            "There are more clients than are judged for one answer; those that came last are among these.".to_owned(),
        );
    }
    if notes.is_empty() {
        notes.push("The ledger is complete for this time: every client that was let in is in it.".to_owned());
    }
    notes
}
