//! `ca.pem` and `ca.key`: who signs.

use std::path::{Path, PathBuf};

use rcgen::{Certificate, CertificateParams, Issuer, KeyIdMethod, PublicKeyData, SerialNumber};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::OffsetDateTime;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::{KeyUsage, SubjectKeyIdentifier};

use super::key::Key;
use super::{BACKDATED, DAY, failed, files, names};
use crate::answer::{self, Failure};

/// An authority that is able to sign.
pub(super) struct Authority {
    pub(super) dir: PathBuf,
    pub(super) issuer: Issuer<'static, Key>,
    pub(super) certificate: trust::Certificate,
    /// What stands below a leaf in its file: this authority and those above it, where it is an intermediate one.
    pub(super) chain: String,
    /// Method by which its key identifier comes into what it signs.
    pub(super) key_id: KeyIdMethod,
    may_sign_lists: bool,
}

impl Authority {
    pub(super) fn read(dir: &Path) -> Result<Self, Failure> {
        let missing = |e: Failure| Failure::new(format!("{e}; make an authority with `countersign ca init`"));
        let pem = files::read(&dir.join("ca.pem")).map_err(missing)?;
        let key = files::read(&dir.join("ca.key")).map_err(missing)?;
        let der = CertificateDer::from_pem_slice(&pem).map_err(|e| Failure::new(format!("ca.pem: {e}")))?;
        let certificate = trust::Certificate::from_der(&der).map_err(|e| Failure::new(format!("ca.pem: {e}")))?;
        let parsed = x509_cert::Certificate::from_der(&der).map_err(|e| Failure::new(format!("ca.pem: {e}")))?;
        let key = Key::from_pem(&key)
            .ok_or_else(|| Failure::new("ca.key has no private key that can be used; expected PEM, not encrypted"))?;
        let tbs = parsed.tbs_certificate();
        if tbs.subject_public_key_info().subject_public_key.raw_bytes() != key.der_bytes() {
            return Err(Failure::new("ca.key is not the key of ca.pem"));
        }
        let usage = tbs.get_extension::<KeyUsage>().ok().flatten().map(|(_, usage)| usage);
        if !certificate.is_ca() || usage.is_some_and(|usage| !usage.key_cert_sign()) {
            return Err(Failure::new("ca.pem is no certificate authority: nobody would trust what it issues"));
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = names::distinguished(tbs.subject()).ok_or_else(unwritable)?;
        if let Ok(Some((_, SubjectKeyIdentifier(id)))) = tbs.get_extension::<SubjectKeyIdentifier>() {
            params.key_identifier_method = KeyIdMethod::PreSpecified(id.into_bytes().into());
        }
        // Another file that is called so is not ours.
        let chain = std::fs::read_to_string(dir.join("chain.pem")).ok();
        let chain =
            chain.filter(|chain| CertificateDer::from_pem_slice(chain.as_bytes()).is_ok_and(|first| first == der));
        Ok(Self {
            dir: dir.to_owned(),
            key_id: params.key_identifier_method.clone(),
            issuer: Issuer::new(params, key),
            certificate,
            chain: chain.unwrap_or_default(),
            may_sign_lists: usage.is_none_or(|usage| usage.crl_sign()),
        })
    }

    /// Signs a certificate for `key`. It ends with the authority's own at the latest, since it would be worth nothing after.
    pub(super) fn sign(&self, mut params: CertificateParams, key: &impl PublicKeyData) -> Result<Certificate, Failure> {
        let end = OffsetDateTime::from_unix_timestamp(self.certificate.not_after()).unwrap_or(params.not_after);
        if end <= params.not_before + BACKDATED {
            return Err(Failure::new("ca.pem has expired: make a new authority"));
        }
        if end < params.not_after {
            answer::warn(&format!("it ends with the authority's own certificate, on {}", super::instant(end)));
            params.not_after = end;
        }
        params.use_authority_key_identifier_extension = true;
        let signed = params.signed_by(key, &self.issuer).map_err(failed)?;
        // Names are compared byte for byte: one that was not written as it was read would make the certificate useless.
        let issued = x509_cert::Certificate::from_der(signed.der()).map_err(failed)?;
        if issued.tbs_certificate().issuer().to_der().map_err(failed)? != self.certificate.subject_der() {
            return Err(unwritable());
        }
        Ok(signed)
    }

    /// The certificates that a file of one that it issued holds below it: none but the root's own clients' stand alone.
    pub(super) fn bundle(&self, certificate: &str) -> String {
        format!("{certificate}{}", self.chain)
    }

    pub(super) fn check_may_sign_lists(&self) -> Result<(), Failure> {
        match self.may_sign_lists {
            true => Ok(()),
            false => Err(Failure::new("the key usage of ca.pem lacks cRLSign: nobody would believe its list")),
        }
    }
}

/// What every certificate has: a random serial number of 126 bits, and a time.
pub(super) fn params(days: i64, now: OffsetDateTime) -> Result<CertificateParams, Failure> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| Failure::new("the system gives no random bytes"))?;
    // Positive, and without a leading zero byte.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = now - BACKDATED;
    params.not_after = days_after(now, days)?;
    Ok(params)
}

pub(super) fn days_after(now: OffsetDateTime, days: i64) -> Result<OffsetDateTime, Failure> {
    let days = u32::try_from(days).ok().and_then(|days| now.checked_add((DAY * days).try_into().ok()?));
    days.ok_or_else(|| Failure::new("--days is out of range"))
}

pub(super) fn unwritable() -> Failure {
    Failure::new("the name of the authority in ca.pem has a form that is not supported here: issue with openssl")
}
