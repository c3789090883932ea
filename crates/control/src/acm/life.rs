//! What becomes of a certificate after it was issued: renewed, exported, revoked, its options and those of the account.

use std::sync::Arc;

use aws::acm::*;
use aws::{Caller, Error};
use model::resource::{self, Certificate, CertificateOrigin, CertificateRevocation, RevokedSerial};
use model::{Change, State, UnixMillis};
use zeroize::Zeroizing;

use super::{detail, export, find, validation};
use crate::local_ca::{self, LocalCa};
use crate::{Control, control::blocking};

impl Control {
    /// Signs again what the local CA has issued, before its time. The ARN stays; the next handshake shows the new one.
    pub(super) async fn renew_now(&self, caller: &Caller, arn: &str) -> Result<(), Error> {
        let (state, keyring, at) = (self.settings().state(), Arc::clone(self.keyring()), self.now());
        let old = Arc::clone(issued(&state, caller, arn, "renewed")?);
        if old.life.acme {
            return self.renew_by_acme(caller, &old).await;
        }
        let before = Arc::clone(&old);
        let renewed =
            blocking(move || local_ca::renewed(&old, &LocalCa::open(&state, &keyring)?, &keyring, at)).await?;
        let rule = |state: &State| match state.certificates.get(arn) {
            Some(now) if Arc::ptr_eq(now, &before) => Ok((vec![Change::put(&renewed)], ())),
            Some(_) => {
                Err(Error::client("RequestInProgressException", format!("The certificate {arn} is being changed.")))
            }
            None => find(state, caller, arn).map(|_| (Vec::new(), ())),
        };
        self.settings().change(caller, rule).await
    }

    /// The certificate with its private key, encrypted. From then on it is known to have been exported.
    pub(super) async fn export(
        &self,
        caller: &Caller,
        input: ExportCertificateRequest,
    ) -> Result<ExportCertificateResponse, Error> {
        let arn = &input.certificate_arn;
        let exported = |state: &State| {
            let found = issued(state, caller, arn, "exported")?;
            if !found.life.exportable {
                let message = format!(
                    "The certificate {arn} cannot be exported: it was not requested with the option Export=ENABLED."
                );
                return Err(validation(message));
            }
            let certificate = Certificate::clone(found);
            let life = resource::CertificateLife { exported: true, ..certificate.life.clone() };
            let certificate = Certificate { life, ..certificate };
            let changes = if found.life.exported { Vec::new() } else { vec![Change::put(&certificate)] };
            Ok((changes, certificate))
        };
        let found = self.settings().change(caller, exported).await?;
        let key = self.keyring().open(arn, &found.private_key);
        let key = Zeroizing::new(key.map_err(|_| Error::internal("The private key does not open."))?.to_vec());
        let passphrase = input.passphrase;
        let private_key = blocking(move || export::encrypted(&key, &passphrase.0.0)).await?;
        Ok(ExportCertificateResponse {
            certificate: Some(found.certificate),
            certificate_chain: found.chain,
            private_key: Some(aws::Sensitive(String::clone(&private_key))),
        })
    }

    /// Revokes: the local CA's list names it from now on, and it is shown nowhere.
    pub(super) async fn revoke(
        &self,
        caller: &Caller,
        arn: &str,
        reason: RevocationReason,
    ) -> Result<RevokeCertificateResponse, Error> {
        let at = self.now();
        self.settings().change(caller, |state| Ok((revocation(state, caller, arn, reason, at)?, ()))).await?;
        Ok(RevokeCertificateResponse { certificate_arn: Some(arn.to_owned()) })
    }

    /// Whether it may be exported is decided when it is requested; whether it is logged, nowhere: there is no log here.
    pub(super) async fn update_options(
        &self,
        caller: &Caller,
        input: UpdateCertificateOptionsRequest,
    ) -> Result<(), Error> {
        let arn = &input.certificate_arn;
        let rule = |state: &State| {
            let found = find(state, caller, arn)?;
            if found.origin != CertificateOrigin::AmazonIssued || found.life.revoked.is_some() {
                let message = format!("The certificate {arn} has no options: it is imported or revoked.");
                return Err(Error::client("InvalidStateException", message));
            }
            let mut certificate = Certificate::clone(found);
            if input
                .options
                .export
                .is_some_and(|export| (export == CertificateExport::Enabled) != found.life.exportable)
            {
                return Err(validation("The option Export cannot be changed after the certificate was requested."));
            }
            if let Some(preference) = input.options.certificate_transparency_logging_preference {
                certificate.life.logged = preference == CertificateTransparencyLoggingPreference::Enabled;
            }
            Ok((vec![Change::put(&certificate)], ()))
        };
        self.settings().change(caller, rule).await
    }
}

/// The changes that a revocation comes to. What is in use is not revoked, nor, as on AWS, what was never exported.
fn revocation(
    state: &State,
    caller: &Caller,
    arn: &str,
    reason: RevocationReason,
    at: UnixMillis,
) -> Result<Vec<Change>, Error> {
    let found = find(state, caller, arn)?;
    if found.life.revoked.is_some() {
        return Err(Error::client("ConflictException", format!("The certificate {arn} is revoked already.")));
    }
    let found = issued(state, caller, arn, "revoked")?;
    if found.life.acme {
        return Err(validation(format!(
            "The certificate {arn} is its ACME issuer's, who has to be asked to revoke it."
        )));
    }
    if !found.life.exported {
        return Err(validation(format!(
            "The certificate {arn} was never exported: only exported ones can be revoked."
        )));
    }
    if matches!(reason, RevocationReason::CertificateHold | RevocationReason::RemoveFromCrl) {
        return Err(validation(format!("{reason} is no reason for a revocation that cannot be taken back.")));
    }
    if !detail::in_use_by(state, arn).is_empty() {
        let message = format!("Certificate {arn} in account {} is in use.", caller.account);
        return Err(Error::client("ResourceInUseException", message));
    }
    let leaf = trust::Certificate::first_of_pem(&found.certificate)
        .ok_or_else(|| Error::internal("The certificate cannot be read."))?;
    let ca = state.local_ca.get(local_ca::ID).ok_or_else(|| Error::internal("There is no local CA."))?;
    let mut ca = resource::LocalCa::clone(ca);
    // What has expired is on no list any longer (RFC 5280 section 3.3).
    ca.revoked.retain(|revoked| revoked.until.saturating_mul(1000) >= at);
    ca.revoked.push(RevokedSerial {
        serial: data_encoding::HEXLOWER.encode(leaf.serial_bytes()),
        at,
        reason: reason.as_str().to_owned(),
        until: leaf.not_after(),
    });
    let mut certificate = Certificate::clone(found);
    certificate.life.revoked = Some(CertificateRevocation { at, reason: reason.as_str().to_owned() });
    Ok(vec![Change::put(&certificate), Change::put(&ca)])
}

/// A certificate of the local CA's that is not revoked.
fn issued<'s>(state: &'s State, caller: &Caller, arn: &str, what: &str) -> Result<&'s Arc<Certificate>, Error> {
    let found = find(state, caller, arn)?;
    if found.origin != CertificateOrigin::AmazonIssued {
        return Err(validation(format!("The certificate {arn} was imported, and cannot be {what}.")));
    }
    if found.life.revoked.is_some() {
        return Err(validation(format!("The certificate {arn} is revoked, and cannot be {what}.")));
    }
    if found.life.validation.is_some() {
        let message = format!("The certificate {arn} is not issued yet, and cannot be {what}.");
        return Err(Error::client("RequestInProgressException", message));
    }
    Ok(found)
}
