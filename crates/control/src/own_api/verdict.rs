//! `POST domains/NAME/verdict`: what a certificate would meet at a domain now.

use aws::{Caller, Error};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::{Value, json};
use trust::{Certificate, Explanation, Judgment, Neighbour, NeighbourKind, Surroundings, Verdict};

use super::preview::Side;
use super::{domains, not_found, shown};
use crate::Control;
use crate::control::blocking;

/// Certificates that are taken.
const MAX_CHAIN: usize = 16;

/// What a client would send.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Candidate {
    /// PEM: the client's certificate, then those that it sends along.
    certificate_pem: String,
}

/// `verdict`: `accepted` or `refused`; why, and the steps of the judgement; `certificate`; `shadow`: what the shadow truststore says.
pub(super) async fn post(control: &Control, caller: &Caller, name: &str, candidate: Candidate) -> Result<Value, Error> {
    let domain = domains::find(&control.settings().state(), caller, name)?;
    let snapshot = control.shared.snapshots.borrow().clone();
    let compiled = snapshot.domain(&domain.name).ok_or_else(|| not_found("The domain is not served by this node."))?;
    let trust = compiled
        .trust
        .clone()
        .ok_or_else(|| Error::bad_request(format!("{name} asks clients for no certificates: it has no truststore")))?;
    let chain = chain(&candidate.certificate_pem)?;
    let (at, name) = (control.now().div_euclid(1000), domain.name.clone());
    blocking(move || {
        let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
        let side = Side::new(trust.clone());
        let judgment = side.judge(&chain, at);
        let newer = trust.newer.as_ref().map(|(version, truststore)| {
            (format!("version {version} of {}", trust.uri), truststore)
        });
        let neighbours: Vec<Neighbour<'_>> = newer
            .iter()
            .map(|(name, truststore)| Neighbour { name, kind: NeighbourKind::NewerVersion, truststore })
            .collect();
        let around = Surroundings { neighbours: &neighbours, seen: None };
        let explained = trust::explain(&judgment, &chain, &trust.truststore, &around, &trust.policy, at);
        let shadow = trust.shadow.as_ref().map(|shadow| {
            let judgment = shadow.truststore.judge(&chain, &trust.policy, &trust::Unrevoked, at);
            json!({"uri": shadow.uri, "version": shadow.version, "code": judgment.refusal().map(|refusal| refusal.code)})
        });
        let mut answer = told(&judgment, explained);
        answer["domain"] = json!(name);
        answer["truststore"] = json!({"uri": trust.uri, "version": trust.version});
        let leaf = chain.first().and_then(|der| Certificate::from_der(der).ok());
        answer["certificate"] = json!(leaf.as_ref().map(shown));
        answer["shadow"] = json!(shadow);
        answer["statusNotFetched"] = json!(side.fetches());
        Ok(answer)
    })
    .await
}

fn told(judgment: &Judgment, explained: Option<Explanation>) -> Value {
    let path = judgment.path().map(|path| path.0.iter().map(|one| one.subject().to_owned()).collect::<Vec<_>>());
    let refusal = judgment.refusal();
    json!({
        "verdict": if matches!(judgment.verdict, Verdict::Accepted(_)) { "accepted" } else { "refused" },
        "code": refusal.map(|refusal| refusal.code),
        "detail": refusal.map(|refusal| &refusal.detail),
        "path": path,
        "steps": judgment.trail,
        "explanation": explained.as_ref().map(|explained| &explained.explanation),
        "fix": explained.as_ref().map(|explained| &explained.fix),
        "evidence": explained.map(|explained| explained.evidence).unwrap_or_default(),
    })
}

fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    if pem.contains("PRIVATE KEY-----") {
        let message = "There is a private key among the certificates. It is not needed here, and not kept; it should not have left \
                       its owner.";
        return Err(Error::bad_request(message));
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).take(MAX_CHAIN + 1).collect();
    let invalid = |what: &str| Error::bad_request(format!("Invalid certificatePem: {what}"));
    match found {
        Ok(found) if found.is_empty() => Err(invalid("expected PEM (-----BEGIN CERTIFICATE-----)")),
        Ok(found) if found.len() > MAX_CHAIN => Err(invalid(&format!("expected {MAX_CHAIN} certificates at most"))),
        Ok(found) => Ok(found),
        Err(_) => Err(invalid("its PEM is broken")),
    }
}
