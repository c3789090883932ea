//! One try of an order: from its names to its certificate, or from where an earlier try got.

use std::time::Duration;

use control::{ClaimedOrder, Control, Failed, Outcome};
use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeStatus, ChallengeType, Error, Identifier, NewOrder,
    Order, OrderStatus, RetryPolicy,
};
use model::resource::AcmeAnswer;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use zeroize::Zeroizing;

use super::suggested::identifier;
use super::{Parts, failure};

/// For the issuer to look, and to sign.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(90));

/// The issuer's order, and the key of the certificate to come (PEM).
struct Placed {
    order: Order,
    private_key: Zeroizing<String>,
    answers: Vec<AcmeAnswer>,
}

/// Gets the certificate.
pub(super) async fn obtain(parts: &Parts, control: &Control, claimed: &ClaimedOrder) -> Result<Outcome, Failed> {
    let account = parts.issuer.account(control).await?;
    let mut placed = match taken_up(&account, claimed).await? {
        Some(placed) => placed,
        None => place(parts, control, claimed, &account).await?,
    };
    let order = &mut placed.order;
    if order.state().status == OrderStatus::Pending {
        parts.proofs.show(&control.settings().state()).map_err(failure::for_now)?;
        offer_all(parts, order, &placed.answers).await?;
        let polled = order.poll_ready(&PATIENCE).await;
        // What is wrong with one that is invalid is asked for below.
        if let Some(e) = polled.err().filter(|_| order.state().status != OrderStatus::Invalid) {
            return Err(failure::of_request(&e));
        }
    }
    if order.state().status == OrderStatus::Invalid {
        return Err(why_invalid(order).await);
    }
    if order.state().status == OrderStatus::Ready {
        let key = KeyPair::from_pem(&placed.private_key).map_err(|e| failure::useless(e.to_string()))?;
        let mut params = CertificateParams::new(claimed.certificate.alternative_names.clone())
            .map_err(|e| failure::useless(e.to_string()))?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(|e| failure::useless(e.to_string()))?;
        order.finalize_csr(request.der()).await.map_err(|e| failure::of_request(&e))?;
    }
    let certificates = order.poll_certificate(&PATIENCE).await.map_err(|e| failure::of_request(&e))?;
    Ok(Outcome::Issued { certificates, private_key: placed.private_key })
}

/// The order of an earlier try, if the issuer still has it.
async fn taken_up(account: &Account, claimed: &ClaimedOrder) -> Result<Option<Placed>, Failed> {
    let Some((placed, private_key)) = &claimed.placed else { return Ok(None) };
    match account.order(placed.url.clone()).await {
        Ok(order) => Ok(Some(Placed { order, private_key: private_key.clone(), answers: placed.answers.clone() })),
        Err(Error::Api(_)) => Ok(None),
        Err(e) => Err(failure::of_request(&e)),
    }
}

/// Places an order, and keeps all that is needed to go on with it before the issuer looks for a proof.
async fn place(parts: &Parts, control: &Control, claimed: &ClaimedOrder, account: &Account) -> Result<Placed, Failed> {
    let names: Vec<_> = claimed.certificate.alternative_names.iter().cloned().map(Identifier::Dns).collect();
    let replaced = identifier(&claimed.certificate);
    let mut order = match replaced {
        // An issuer that says when to renew prefers who tells what is renewed (RFC 9773 section 5), but may know nothing of it.
        Some(replaced) => account.new_order(&NewOrder::new(&names).replaces(replaced)).await,
        None => Err(Error::Str("nothing is replaced")),
    };
    if order.is_err() {
        order = account.new_order(&NewOrder::new(&names)).await;
    }
    let mut order = match order {
        Ok(order) => order,
        Err(e) => {
            parts.issuer.settle_account(control, &e).await?;
            return Err(failure::of_request(&e));
        }
    };
    let kind = claimed.key_kind();
    // RSA keys take a while to be found.
    let key = tokio::task::spawn_blocking(move || kind.generate().map(|key| Zeroizing::new(key.serialize_pem())));
    let key = key.await.map_err(|e| failure::for_now(e.to_string()))?;
    let private_key = key.map_err(|e| failure::useless(e.to_string()))?;
    let answers = answers(parts, &mut order).await?;
    let kept = control.keep_placed_order(claimed, order.url(), &private_key, answers.clone()).await;
    kept.map_err(|e| failure::for_now(e.message))?;
    Ok(Placed { order, private_key, answers })
}

/// What is to be answered for each name that the issuer has not validated lately.
async fn answers(parts: &Parts, order: &mut Order) -> Result<Vec<AcmeAnswer>, Failed> {
    let mut answers = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(|e| failure::of_request(&e))?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let kind = kind_of_challenge(parts, &authorization)?;
        let Identifier::Dns(name) = authorization.identifier().identifier.clone() else { continue };
        let Some(challenge) = authorization.challenge(kind) else { continue };
        answers.push(AcmeAnswer {
            name: name.to_ascii_lowercase(),
            token: challenge.token.clone(),
            key_authorization: challenge.key_authorization().as_str().to_owned(),
        });
    }
    Ok(answers)
}

/// Says to the issuer that it may look.
async fn offer_all(parts: &Parts, order: &mut Order, answers: &[AcmeAnswer]) -> Result<(), Failed> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(|e| failure::of_request(&e))?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let kind = kind_of_challenge(parts, &authorization)?;
        let Some(mut challenge) = authorization.challenge(kind) else { continue };
        if !answers.iter().any(|answer| answer.token == challenge.token) {
            return Err(Failed { order_stands: false, ..failure::for_now("the issuer asks for another proof by now") });
        }
        if challenge.status == ChallengeStatus::Pending {
            // What it found wrong at once is asked for with the rest.
            match challenge.set_ready().await {
                Ok(()) | Err(Error::Api(_)) => {}
                Err(e) => return Err(failure::of_request(&e)),
            }
        }
    }
    Ok(())
}

/// By HTTP where somebody listens for that, else by TLS.
fn kind_of_challenge(parts: &Parts, authorization: &AuthorizationHandle<'_>) -> Result<ChallengeType, Failed> {
    let http = parts.http.is_some().then_some(ChallengeType::Http01);
    let mut kinds = http.into_iter().chain([ChallengeType::TlsAlpn01]);
    let offered = |kind: &ChallengeType| authorization.challenges.iter().any(|challenge| challenge.r#type == *kind);
    kinds.find(offered).ok_or_else(|| {
        let by = if parts.http.is_some() { "" } else { ", and without acme.http_addr HTTP-01 is not answered" };
        failure::useless(format!("the issuer offers no challenge that is answered here{by}"))
    })
}

/// What the issuer says of the first name whose proof it did not find, or of the whole order.
async fn why_invalid(order: &mut Order) -> Failed {
    let whole = order.state().error.clone();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let Ok(mut authorization) = authorization else { continue };
        if authorization.refresh().await.is_err() {
            continue;
        }
        let name = authorization.identifier().to_string();
        if let Some(problem) = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            let failed = failure::of_validation(problem);
            return Failed { why: format!("{name}: {}", failed.why), ..failed };
        }
    }
    match whole {
        Some(problem) => failure::of_validation(&problem),
        None => failure::useless("the issuer has given the order up, and does not say why"),
    }
}
