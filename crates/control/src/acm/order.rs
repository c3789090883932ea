//! Certificates that an ACME issuer is asked for (RFC 8555), in the place of the local CA. Who talks to it is the program's affair:
//! here is what is to be tried when, and what becomes of it. All of it is in the settings, so that a restart loses nothing, one node
//! at a time is at an order, and every node answers an issuer that asks for a proof.

use std::sync::Arc;

use aws::Error;
use model::resource::{
    AcmeAccount, AcmeAnswer, AcmeClaim, AcmeFailure, AcmeOrder, Certificate, CertificateLife, CertificateValidation,
    PlacedOrder,
};
use model::{Change, State, UnixMillis};
use zeroize::Zeroizing;

use super::files::apart;
use super::import::Material;
use super::validation;
use crate::local_ca::KeyKind;
use crate::{By, Control};

/// For so long an issuer may take until a request is given up: ACM's 72 hours.
pub(super) const VALIDATION_TIME: UnixMillis = 72 * 60 * 60 * 1000;
/// After so many failures the time until the next try grows no more.
const MAX_DOUBLINGS: u32 = 16;
/// The longest time between two tries.
const LONGEST_PAUSE: UnixMillis = 6 * 60 * 60 * 1000;

/// What is to be done for an issuer.
#[derive(Debug, Default)]
pub struct AcmeWork {
    /// The certificates whose order is to be tried now.
    pub due: Vec<Arc<Certificate>>,
    /// When there will be more, in milliseconds since 1970.
    pub next: Option<UnixMillis>,
}

/// When an issuer suggests that a certificate is renewed.
type Suggested<'a> = &'a dyn Fn(&Certificate) -> Option<UnixMillis>;

/// An order that this node is at.
pub struct ClaimedOrder {
    /// The certificate as it is.
    pub certificate: Arc<Certificate>,
    /// The order as the issuer has it, with the key of the certificate to come (PEM), from an earlier try.
    pub placed: Option<(PlacedOrder, Zeroizing<String>)>,
    node: String,
}

/// What became of an order.
pub enum Outcome {
    /// The issuer has signed.
    Issued {
        /// PEM: the leaf, then what is above it.
        certificates: String,
        /// PEM, PKCS#8.
        private_key: Zeroizing<String>,
    },
    /// It came to nothing.
    Failed(Failed),
}

/// Why an order came to nothing, and what is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// ACM's `FailureReason`.
    pub reason: &'static str,
    /// For people.
    pub why: String,
    /// After how many milliseconds it is tried again, doubled with each failure; none: it would come to the same.
    pub again: Option<UnixMillis>,
    /// Whether the issuer's order may yet come to something.
    pub order_stands: bool,
}

impl Control {
    /// What `node` is to try. `suggested` says when the issuer suggests that a certificate is renewed (RFC 9773), in milliseconds since
    /// 1970.
    pub fn acme_work(&self, node: &str, suggested: Suggested<'_>) -> AcmeWork {
        work(&self.settings().state(), node, suggested, self.now())
    }

    /// The certificates that an issuer has signed and goes on to sign.
    pub fn acme_certificates(&self) -> Vec<Arc<Certificate>> {
        let state = self.settings().state();
        let signed = state.certificates.values().filter(|c| is_acme(c) && c.life.validation.is_none());
        signed.cloned().collect()
    }

    /// Has `node` be at an order for so many milliseconds, unless another is, or nothing is wanted any more.
    pub async fn claim_acme_order(
        &self,
        arn: &str,
        node: &str,
        millis: UnixMillis,
    ) -> Result<Option<ClaimedOrder>, Error> {
        let at = self.now();
        let until = at.saturating_add(millis);
        let rule = |state: &State| {
            let Some(certificate) = state.certificates.get(arn).filter(|c| is_acme(c)) else {
                return Ok((Vec::new(), None));
            };
            let order =
                state.acme_orders.get(arn).map_or_else(|| AcmeOrder::new(arn, at), |order| AcmeOrder::clone(order));
            if is_claimed_by_another(&order, node, at) {
                return Ok((Vec::new(), None));
            }
            let order = AcmeOrder { claim: Some(AcmeClaim { node: node.to_owned(), until }), ..order };
            Ok((vec![Change::put(&order)], Some((Arc::clone(certificate), order.placed))))
        };
        let claimed = self.settings().change(By::Server("ClaimAcmeOrder"), rule).await?;
        let Some((certificate, placed)) = claimed else { return Ok(None) };
        // What does not open is ordered anew.
        let placed = placed.and_then(|placed| {
            let key = self.keyring().open(&AcmeOrder::sealed_for(arn), &placed.private_key).ok()?;
            let key = Zeroizing::new(std::str::from_utf8(&key).ok()?.to_owned());
            Some((placed, key))
        });
        Ok(Some(ClaimedOrder { certificate, placed, node: node.to_owned() }))
    }

    /// Keeps an order that the issuer has, the key of the certificate to come (PEM), and what is answered for it. When this returns,
    /// the nodes that live answer it, or have had a second to.
    pub async fn keep_placed_order(
        &self,
        claimed: &ClaimedOrder,
        url: &str,
        private_key: &str,
        answers: Vec<AcmeAnswer>,
    ) -> Result<(), Error> {
        let arn = &claimed.certificate.arn;
        let sealed = self.keyring().seal(&AcmeOrder::sealed_for(arn), private_key.as_bytes());
        let private_key = sealed.map_err(|e| Error::internal(e.to_string()))?;
        let placed = PlacedOrder { url: url.to_owned(), private_key, answers };
        let rule = |state: &State| {
            let order = claimed.order_in(state).ok_or_else(|| claimed.is_lost())?;
            let order = AcmeOrder { placed: Some(placed.clone()), ..AcmeOrder::clone(order) };
            Ok((vec![Change::put(&order)], ()))
        };
        self.settings().change(By::Server("PlaceAcmeOrder"), rule).await
    }

    /// Keeps what became of a try, unless the certificate is gone, or another node is at it by now. A renewal that has failed
    /// leaves the certificate as it is, and is tried again.
    pub async fn settle_acme_order(&self, claimed: &ClaimedOrder, outcome: &Outcome) -> Result<(), Error> {
        let at = self.now();
        let issued = match outcome {
            Outcome::Issued { certificates, private_key } => {
                Some(self.issued_by(claimed, certificates, private_key)?)
            }
            Outcome::Failed(_) => None,
        };
        let rule = |state: &State| {
            let found = claimed.order_in(state).zip(state.certificates.get(&claimed.certificate.arn));
            let Some((order, certificate)) = found else { return Ok((Vec::new(), ())) };
            let changes = match (outcome, &issued) {
                (Outcome::Failed(failed), _) => failed_changes(certificate, order, failed, at),
                (_, Some(issued)) => {
                    // Tags and options may be others meanwhile.
                    let life = CertificateLife {
                        validation: None,
                        issued: certificate.life.issued.or(Some(at)),
                        renewed: certificate.life.validation.is_none().then_some(at),
                        validity: issued.life.validity,
                        ..certificate.life.clone()
                    };
                    let tags = certificate.tags.clone();
                    vec![Change::put(&Certificate { life, tags, ..issued.clone() }), Change::delete(order.as_ref())]
                }
                (Outcome::Issued { .. }, None) => Vec::new(),
            };
            Ok((changes, ()))
        };
        self.settings().change(By::Server("SettleAcmeOrder"), rule).await
    }

    fn issued_by(&self, claimed: &ClaimedOrder, certificates: &str, private_key: &str) -> Result<Certificate, Error> {
        let found = &claimed.certificate;
        let (leaf, above) = apart(certificates.as_bytes())?;
        let chain = above.as_deref().map(str::as_bytes);
        let material = Material::read(leaf.as_bytes(), private_key.as_bytes(), chain, self.now())?;
        if let Some(name) = found.alternative_names.iter().find(|name| !material.alternative_names.contains(name)) {
            return Err(validation(format!("The issuer's certificate does not name {name}.")));
        }
        let sealed = self.keyring().seal(&found.arn, material.private_key.as_bytes());
        let millis =
            |leaf: trust::Certificate| (leaf.not_before().saturating_mul(1000), leaf.not_after().saturating_mul(1000));
        let life = CertificateLife {
            validity: trust::Certificate::first_of_pem(&material.certificate).map(millis),
            ..found.life.clone()
        };
        Ok(Certificate {
            life,
            certificate: material.certificate,
            chain: material.chain,
            private_key: sealed.map_err(|e| Error::internal(e.to_string()))?,
            ..Certificate::clone(found)
        })
    }

    /// Has a certificate renewed now.
    pub(super) async fn renew_by_acme(&self, caller: &aws::Caller, certificate: &Certificate) -> Result<(), Error> {
        let at = self.now();
        let rule = |state: &State| {
            super::find(state, caller, &certificate.arn)?;
            let order = state.acme_orders.get(&certificate.arn);
            let order = order.map_or_else(|| AcmeOrder::new(&certificate.arn, at), |order| AcmeOrder::clone(order));
            Ok((vec![Change::put(&AcmeOrder { at, ..order })], ()))
        };
        self.settings().change(caller, rule).await
    }

    /// The credentials that were kept for an issuer's directory.
    pub fn acme_account(&self, directory: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let state = self.settings().state();
        let Some(account) = state.acme_accounts.get(directory) else { return Ok(None) };
        let opened = self.keyring().open(&AcmeAccount::sealed_for(directory), &account.credentials);
        let opened = opened.map_err(|_| Error::internal("The ACME account's key does not open."))?;
        Ok(Some(Zeroizing::new(opened.to_vec())))
    }

    /// Keeps them, sealed, unless another node was quicker.
    pub async fn keep_acme_account(&self, directory: &str, credentials: &[u8]) -> Result<(), Error> {
        let sealed = self.keyring().seal(&AcmeAccount::sealed_for(directory), credentials);
        let credentials = sealed.map_err(|e| Error::internal(e.to_string()))?;
        let account = AcmeAccount { directory: directory.to_owned(), credentials };
        let rule = |state: &State| match state.acme_accounts.contains_key(directory) {
            true => Ok((Vec::new(), ())),
            false => Ok((vec![Change::put(&account)], ())),
        };
        self.settings().change(By::Server("MakeAcmeAccount"), rule).await
    }

    /// The issuer does not know it any more.
    pub async fn forget_acme_account(&self, directory: &str) -> Result<(), Error> {
        let rule = |state: &State| {
            let gone = state.acme_accounts.get(directory);
            Ok((gone.map(|account| Change::delete(account.as_ref())).into_iter().collect(), ()))
        };
        self.settings().change(By::Server("ForgetAcmeAccount"), rule).await
    }
}

impl ClaimedOrder {
    /// ACM's key algorithm.
    pub fn key_kind(&self) -> KeyKind {
        KeyKind::of(&self.certificate.key_algorithm).unwrap_or(KeyKind::Rsa2048)
    }

    fn order_in<'s>(&self, state: &'s State) -> Option<&'s Arc<AcmeOrder>> {
        let order = state.acme_orders.get(&self.certificate.arn)?;
        order.claim.as_ref().is_some_and(|claim| claim.node == self.node).then_some(order)
    }

    fn is_lost(&self) -> Error {
        validation(format!("The certificate {} is gone, or another node is at its order.", self.certificate.arn))
    }
}

/// Whether the certificate of an order is there, and goes on to be shown while it is not renewed.
pub(crate) fn is_failing_renewal(state: &State, order: &AcmeOrder) -> bool {
    let certificate = state.certificates.get(&order.arn);
    order.failure.is_some() && certificate.is_some_and(|certificate| certificate.life.validation.is_none())
}

fn is_acme(certificate: &Certificate) -> bool {
    certificate.life.acme && certificate.life.revoked.is_none()
}

fn is_claimed_by_another(order: &AcmeOrder, node: &str, now: UnixMillis) -> bool {
    order.claim.as_ref().is_some_and(|claim| claim.node != node && claim.until > now)
}

fn work(state: &State, node: &str, suggested: Suggested<'_>, now: UnixMillis) -> AcmeWork {
    let mut work = AcmeWork::default();
    for certificate in state.certificates.values().filter(|certificate| is_acme(certificate)) {
        let order = state.acme_orders.get(&certificate.arn);
        match try_at(certificate, order, node, suggested, now) {
            Some(at) if at <= now => work.due.push(Arc::clone(certificate)),
            Some(at) => work.next = Some(work.next.map_or(at, |next| next.min(at))),
            None => {}
        }
    }
    work
}

/// When a certificate's order is to be tried by `node`.
fn try_at(
    certificate: &Certificate,
    order: Option<&Arc<AcmeOrder>>,
    node: &str,
    suggested: Suggested<'_>,
    now: UnixMillis,
) -> Option<UnixMillis> {
    match (&certificate.life.validation, order) {
        (Some(CertificateValidation::Failed { .. }), _) => None,
        (Some(CertificateValidation::Pending), _) if now - certificate.created >= VALIDATION_TIME => None,
        (_, Some(order)) => {
            let claim = order.claim.as_ref().filter(|_| is_claimed_by_another(order, node, now));
            Some(claim.map_or(order.at, |claim| order.at.max(claim.until)))
        }
        (Some(CertificateValidation::Pending), None) => Some(certificate.created),
        (None, None) => Some(renewal_at(certificate.life.validity, suggested(certificate))),
    }
}

/// With a third of its life left, or when the issuer suggests; but never so late that a failure could not be mended, nor so early that
/// one would follow the other.
fn renewal_at(validity: Option<(UnixMillis, UnixMillis)>, suggested: Option<UnixMillis>) -> UnixMillis {
    // What nothing is known of is ordered anew.
    let Some((start, end)) = validity else { return 0 };
    let life = end - start;
    suggested.map_or(end - life / 3, |suggested| suggested.min(end - life / 10).max(start + life / 1000))
}

/// What a failure comes to: a request fails where trying again would come to the same, a renewal is tried on and on.
fn failed_changes(certificate: &Certificate, order: &AcmeOrder, failed: &Failed, at: UnixMillis) -> Vec<Change> {
    let is_request = certificate.life.validation.is_some();
    if is_request && failed.again.is_none() {
        let validation = Some(CertificateValidation::Failed { reason: failed.reason.to_owned() });
        let life = CertificateLife { validation, ..certificate.life.clone() };
        return vec![Change::put(&Certificate { life, ..certificate.clone() }), Change::delete(order)];
    }
    let next = at + pause(failed.again.unwrap_or(LONGEST_PAUSE), order.failures);
    let failure = AcmeFailure { reason: failed.reason.to_owned(), why: failed.why.clone(), at };
    vec![Change::put(&AcmeOrder {
        at: next,
        claim: None,
        placed: order.placed.clone().filter(|_| failed.order_stands),
        failures: order.failures.saturating_add(1),
        failure: Some(failure),
        ..order.clone()
    })]
}

/// Until the next try after so many failures before.
fn pause(first: UnixMillis, failures: u32) -> UnixMillis {
    first.saturating_mul(1 << failures.min(MAX_DOUBLINGS)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
