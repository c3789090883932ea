//! One order, from its names to its certificate.

use control::{Ordered, Outcome};
use edge::AlpnChallenges;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName};
use std::time::Duration;

use super::challenges::{Answering, HttpChallenges};

/// What is answered while an order waits for its validation.
enum Answers {
    Http(#[expect(dead_code, reason = "held for as long as it is to be answered")] Answering),
    Alpn(#[expect(dead_code, reason = "held for as long as it is to be answered")] edge::AlpnAnswer),
}

/// For the issuer to look, and to sign.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(90));

/// An error is one that may pass.
pub(super) async fn obtain(
    account: &Account,
    ordered: &Ordered,
    http: Option<&HttpChallenges>,
    alpn: &AlpnChallenges,
) -> Result<Outcome, String> {
    let names: Vec<Identifier> = ordered.names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = match account.new_order(&NewOrder::new(&names)).await {
        Ok(order) => order,
        Err(Error::Api(problem)) if is_final(&problem) => return Ok(failed(&problem)),
        Err(e) => return Err(e.to_string()),
    };
    let answers = answer_all(&mut order, http, alpn).await?;
    let status = order.poll_ready(&PATIENCE).await.map_err(|e| e.to_string())?;
    drop(answers);
    if status == OrderStatus::Invalid {
        return Ok(why_invalid(&mut order).await);
    }
    let key = ordered.kind.generate().map_err(|e| e.to_string())?;
    let mut params = CertificateParams::new(ordered.names.clone()).map_err(|e| e.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(|e| e.to_string())?;
    match order.finalize_csr(request.der()).await {
        Err(Error::Api(problem)) if is_final(&problem) => return Ok(failed(&problem)),
        finalized => finalized.map_err(|e| e.to_string())?,
    }
    let certificates = order.poll_certificate(&PATIENCE).await.map_err(|e| e.to_string())?;
    Ok(Outcome::Issued { certificates, private_key: zeroize::Zeroizing::new(key.serialize_pem()) })
}

/// Says to the issuer that it may look, for each name that it has not validated lately.
async fn answer_all(
    order: &mut Order,
    http: Option<&HttpChallenges>,
    alpn: &AlpnChallenges,
) -> Result<Vec<Answers>, String> {
    let mut answers = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(|e| e.to_string())?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let of = if http.is_some() { ChallengeType::Http01 } else { ChallengeType::TlsAlpn01 };
        let missing = || format!("the issuer offers no challenge of the type {of:?}");
        let mut challenge = authorization.challenge(of.clone()).ok_or_else(missing)?;
        let proof = challenge.key_authorization();
        answers.push(match http {
            Some(http) => Answers::Http(http.answer(&challenge.token, proof.as_str())),
            None => {
                let Identifier::Dns(name) = challenge.identifier().identifier else { continue };
                let (certificate, key) = proving(name, proof.digest().as_ref())?;
                Answers::Alpn(alpn.answer(name, &certificate, &key)?)
            }
        });
        challenge.set_ready().await.map_err(|e| e.to_string())?;
    }
    Ok(answers)
}

/// The certificate that proves an authority over a name to the issuer, and nothing to anybody else (RFC 8737 section 3): DER.
fn proving(name: &str, digest: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
    let key = rcgen::KeyPair::generate().map_err(|e| e.to_string())?;
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(|e| e.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key).map_err(|e| e.to_string())?;
    Ok((certificate.der().to_vec(), key.serialize_der()))
}

/// What the issuer says of the first name that it did not find as it should be.
async fn why_invalid(order: &mut Order) -> Outcome {
    let whole = order.state().error.as_ref().map(failed);
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() {
            continue;
        }
        let name = authorization.identifier().to_string();
        if let Some(problem) = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            let Outcome::Failed { reason, why } = failed(problem) else { continue };
            return Outcome::Failed { reason, why: format!("{name}: {why}") };
        }
    }
    let unknown = || Outcome::Failed { reason: "OTHER", why: "the issuer does not say why".to_owned() };
    whole.unwrap_or_else(unknown)
}

/// Whether the same order would come to the same.
fn is_final(problem: &Problem) -> bool {
    matches!(kind(problem), "caa" | "rejectedIdentifier" | "unsupportedIdentifier" | "badCSR" | "badPublicKey" | "unauthorized")
}

/// ACM's reason for a problem of RFC 8555 section 6.7.
fn failed(problem: &Problem) -> Outcome {
    let reason = match kind(problem) {
        "caa" => "CAA_ERROR",
        "rejectedIdentifier" | "unsupportedIdentifier" => "DOMAIN_NOT_ALLOWED",
        "unauthorized" | "incorrectResponse" | "connection" | "dns" | "tls" => "DOMAIN_VALIDATION_DENIED",
        _ => "OTHER",
    };
    Outcome::Failed { reason, why: problem.to_string() }
}

fn kind(problem: &Problem) -> &str {
    problem.r#type.as_deref().and_then(|of| of.rsplit(':').next()).unwrap_or_default()
}
