//! Certificates that an ACME issuer is asked for (RFC 8555), in the place of the local CA. Who talks to it is the program's affair:
//! here is what is to be ordered, and what becomes of it.

use std::sync::Arc;

use aws::Error;
use model::resource::{AcmeAccount, Certificate, CertificateLife, CertificateValidation};
use model::{Change, State, UnixMillis};
use zeroize::Zeroizing;

use super::detail::VALIDATION_TIME;
use super::files::apart;
use super::import::Material;
use super::validation;
use crate::local_ca::{KeyKind, due_from, ends_soon};
use crate::{By, Control};

/// A certificate that is to be ordered.
pub struct Ordered {
    /// Its ARN.
    pub arn: String,
    /// Its names, the first of which is the domain's.
    pub names: Vec<String>,
    /// The key that it is to have.
    pub kind: KeyKind,
    /// As it was when it was found to be due.
    found: Arc<Certificate>,
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
    /// It will not sign.
    Failed {
        /// ACM's `FailureReason`.
        reason: &'static str,
        /// What the issuer said.
        why: String,
    },
}

impl Control {
    /// What waits for its issuer, and what is to be renewed since a third of its life is left.
    pub fn to_be_ordered(&self) -> Vec<Ordered> {
        let (state, at) = (self.settings().state(), self.now());
        let due = state.certificates.values().filter(|certificate| {
            let life = &certificate.life;
            life.acme && life.revoked.is_none() && match life.validation {
                Some(CertificateValidation::Pending) => at - certificate.created < VALIDATION_TIME,
                Some(CertificateValidation::Failed { .. }) => false,
                None => ends_soon(&certificate.certificate, at),
            }
        });
        let order = |found: &Arc<Certificate>| Ordered {
            arn: found.arn.clone(),
            names: found.alternative_names.clone(),
            kind: KeyKind::of(&found.key_algorithm).unwrap_or(KeyKind::Rsa2048),
            found: Arc::clone(found),
        };
        due.map(order).collect()
    }

    /// When the next certificate is to be renewed, in milliseconds since 1970.
    pub fn next_order_at(&self) -> Option<UnixMillis> {
        let state = self.settings().state();
        let issued = state.certificates.values().filter(|c| c.life.acme && c.life.validation.is_none());
        issued.filter_map(|c| due_from(&c.certificate)).min()
    }

    /// Keeps what became of an order, unless the certificate is gone or another one by now. A renewal that failed is an error: the
    /// certificate that is there goes on to be shown, and the order is made again.
    pub async fn settle_order(&self, order: &Ordered, outcome: Outcome) -> Result<(), Error> {
        let settled = match &outcome {
            Outcome::Issued { certificates, private_key } => self.issued_by(order, certificates, private_key)?,
            Outcome::Failed { reason, .. } => failed(&order.found, reason),
        };
        let rule = |state: &State| match state.certificates.get(&order.arn) {
            Some(now) if now.certificate == order.found.certificate && now.life.acme => {
                // Tags may be others meanwhile.
                Ok((vec![Change::put(&Certificate { tags: now.tags.clone(), ..settled.clone() })], ()))
            }
            _ => Ok((Vec::new(), ())),
        };
        self.settings().change(By::Server("SettleAcmeOrder"), rule).await?;
        match outcome {
            Outcome::Failed { why, .. } if order.found.life.validation.is_none() => Err(validation(why)),
            _ => Ok(()),
        }
    }

    fn issued_by(&self, order: &Ordered, certificates: &str, private_key: &str) -> Result<Certificate, Error> {
        let (leaf, above) = apart(certificates.as_bytes())?;
        let chain = above.as_deref().map(str::as_bytes);
        let material = Material::read(leaf.as_bytes(), private_key.as_bytes(), chain, self.now())?;
        let sealed = self.keyring().seal(&order.arn, material.private_key.as_bytes());
        let renewed = order.found.life.validation.is_none().then(|| self.now());
        let life = CertificateLife { validation: None, renewed, renewal_failure: None, ..order.found.life.clone() };
        Ok(Certificate {
            certificate: material.certificate,
            chain: material.chain,
            private_key: sealed.map_err(|e| Error::internal(e.to_string()))?,
            life,
            ..Certificate::clone(&order.found)
        })
    }

    /// The credentials that were kept for an issuer's directory.
    pub fn acme_account(&self, directory: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let state = self.settings().state();
        let Some(account) = state.acme_accounts.get(directory) else { return Ok(None) };
        let opened = self.keyring().open(&AcmeAccount::sealed_for(directory), &account.credentials);
        let opened = opened.map_err(|_| Error::internal("The ACME account's key does not open."))?;
        Ok(Some(Zeroizing::new(opened.to_vec())))
    }

    /// Keeps them, sealed.
    pub async fn keep_acme_account(&self, directory: &str, credentials: &[u8]) -> Result<(), Error> {
        let sealed = self.keyring().seal(&AcmeAccount::sealed_for(directory), credentials);
        let credentials = sealed.map_err(|e| Error::internal(e.to_string()))?;
        let account = AcmeAccount { directory: directory.to_owned(), credentials };
        self.settings().change(By::Server("MakeAcmeAccount"), |_| Ok((vec![Change::put(&account)], ()))).await
    }
}

/// A certificate of which the issuer wants nothing to know.
fn failed(found: &Certificate, reason: &str) -> Certificate {
    let mut life = found.life.clone();
    match life.validation {
        Some(_) => life.validation = Some(CertificateValidation::Failed { reason: reason.to_owned() }),
        None => life.renewal_failure = Some(reason.to_owned()),
    }
    Certificate { life, ..found.clone() }
}
