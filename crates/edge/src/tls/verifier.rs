//! What is asked of a client's certificate in the handshake: that the client holds its key, and in `alert` that the judge
//! accepts it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use model::snapshot::Trust;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};
use trust::TlsAlert;
use webpki::RawPublicKeyEntity;

use super::provider;
use crate::StatusFetcher;
use crate::verdicts::{self, Chain, Client};

/// Asks for a certificate and checks possession of its key only; trust is judged when the handshake has ended.
#[derive(Debug)]
pub(super) struct PossessionVerifier;

/// Judges in the handshake.
#[derive(Debug)]
pub(super) struct JudgingVerifier {
    trust: Arc<Trust>,
    fetcher: Arc<dyn StatusFetcher>,
}

thread_local! {
    /// Whom [`JudgingVerifier`] refused last. It is called while a handshake is polled, which then fails at once, so that
    /// whoever polls finds here what its own handshake failed of.
    static REFUSED: RefCell<Option<Rc<Client>>> = const { RefCell::new(None) };
}

/// Whom the handshake that was just polled on this thread refused.
pub(super) fn take_refused() -> Option<Rc<Client>> {
    REFUSED.take()
}

impl JudgingVerifier {
    pub(super) fn new(trust: Arc<Trust>, fetcher: Arc<dyn StatusFetcher>) -> Self {
        Self { trust, fetcher }
    }
}

impl ClientCertVerifier for PossessionVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature_tls12(message, certificate, signed).or_else(|e| unless_unusable(certificate, e))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature_tls13(message, certificate, signed).or_else(|e| unless_unusable(certificate, e))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

impl ClientCertVerifier for JudgingVerifier {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain = Chain::new(std::iter::once(leaf).chain(others).map(AsRef::as_ref));
        let at = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        // Who has to wait for a status is judged when the handshake has ended: here nobody can wait, and nothing is proven yet.
        let Ok(client) = verdicts::judge(&self.trust, &Rc::new(chain), self.fetcher.known(), at) else {
            return Ok(ClientCertVerified::assertion());
        };
        let Some(refusal) = &client.refusal else { return Ok(ClientCertVerified::assertion()) };
        let error = error(refusal.code.alert());
        REFUSED.set(Some(client));
        Err(error)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature_tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature_tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// Against the public key itself: a certificate parser would refuse X.509 v1.
fn signature_tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let key = SubjectPublicKeyInfoDer::from(trust::public_key(certificate).ok_or(CertificateError::BadEncoding)?);
    verify_tls13_signature_with_raw_key(message, &key, signed, algorithms())
}

/// TLS 1.2 does not tie a scheme to a curve, so every algorithm of the scheme is tried that fits the key.
fn signature_tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let key = SubjectPublicKeyInfoDer::from(trust::public_key(certificate).ok_or(CertificateError::BadEncoding)?);
    let key = RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
    let mapped = algorithms().mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
    for algorithm in mapped.map_or(&[][..], |(_, algorithms)| algorithms) {
        match key.verify_signature(*algorithm, message, signed.signature()) {
            Ok(()) => return Ok(HandshakeSignatureValid::assertion()),
            Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
            Err(_) => break,
        }
    }
    Err(CertificateError::BadSignature.into())
}

/// Lets a handshake end whose client is refused right after it in any case: with a key that we cannot check, possession
/// can be no part of the answer. [`verdicts::judge`] never accepts such a chain.
fn unless_unusable(certificate: &CertificateDer<'_>, error: Error) -> Result<HandshakeSignatureValid, Error> {
    if verdicts::can_prove_possession(certificate) { Err(error) } else { Ok(HandshakeSignatureValid::assertion()) }
}

fn algorithms() -> &'static WebPkiSupportedAlgorithms {
    &provider().signature_verification_algorithms
}

/// The error for which rustls sends `alert`.
fn error(alert: TlsAlert) -> Error {
    match alert {
        TlsAlert::CertificateRequired => Error::NoCertificatesPresented,
        TlsAlert::BadCertificate => CertificateError::BadEncoding.into(),
        TlsAlert::UnsupportedCertificate => CertificateError::InvalidPurpose.into(),
        TlsAlert::CertificateRevoked => CertificateError::Revoked.into(),
        TlsAlert::CertificateExpired => CertificateError::Expired.into(),
        TlsAlert::CertificateUnknown => CertificateError::Other(OtherError(Arc::new(Unknown))).into(),
        TlsAlert::UnknownCa => CertificateError::UnknownIssuer.into(),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the certificate is not accepted")]
struct Unknown;
