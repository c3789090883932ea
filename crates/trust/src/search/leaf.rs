//! The leaf: its own rules, and webpki's check of it and of its signature.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, Der, TrustAnchor, UnixTime};
use webpki::{
    EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext,
};

use super::{Search, When, shown};
use crate::conformance::Standing;
use crate::judge::{Policy, Profile, Purpose, Refusal};
use crate::{Certificate, Code, UnixSeconds, conformance, key, rules, time};

/// Why a leaf is not its issuer's.
#[derive(Clone)]
pub(super) enum LeafFault {
    /// The key did not make the signature.
    Signature,
    /// webpki refuses the leaf whoever issued it.
    Unfit(Code, String),
}

impl Search<'_> {
    /// The rules that a leaf must keep whoever issued it. They come before any search, so that the plainest reason is
    /// given and a stranger's bad certificate costs no signature check.
    pub(super) fn check_leaf(&mut self, leaf: &Certificate) -> Result<(), Refusal> {
        let Some((check, refusal)) = self.leaf_defect(leaf) else {
            self.step(leaf, "leaf", true, &"is within its validity, and its key and algorithms are allowed");
            return Ok(());
        };
        self.step(leaf, check, false, &refusal.detail);
        Err(refusal)
    }

    fn leaf_defect(&mut self, leaf: &Certificate) -> Option<(&'static str, Refusal)> {
        let strict = self.policy.profile == Profile::Rfc5280;
        let refuse = |code, defect: &str| Refusal::new(code, format!("{}: {defect}", shown(leaf)));
        if strict && leaf.version() < 3 {
            let defect = format!("it is X.509 v{}; the profile rfc5280 asks for v3", leaf.version());
            let refusal = refuse(Code::ClientCertTypeUnsupported, &defect);
            return Some(("version", refusal.with("version", leaf.version().to_string())));
        }
        match self.when(leaf) {
            When::Within => {}
            When::After => {
                let not_after = time::rfc3339(leaf.not_after());
                let refusal = refuse(Code::ClientCertExpired, &format!("it expired on {not_after}"));
                return Some(("validity", refusal.with("not_after", not_after)));
            }
            When::Before => {
                let not_before = time::rfc3339(leaf.not_before());
                let refusal = refuse(Code::ClientCertNotYetValid, &format!("it is valid from {not_before} on"));
                return Some(("validity", refusal.with("not_before", not_before)));
            }
        }
        if let Some(defect) = rules::signature_defect(leaf) {
            let refusal = refuse(Code::ClientCertWeakSignature, &defect);
            return Some(("signature algorithm", refusal.with("signature_algorithm", leaf.signature_name())));
        }
        if let Some(defect) = rules::key_defect(leaf, self.policy.profile) {
            return Some(("key", refuse(Code::ClientCertWeakKey, &defect).with("key", leaf.key_name())));
        }
        if let Some(defect) = rules::extension_defect(leaf) {
            return Some(("extensions", refuse(Code::ClientCertPathInvalid, &defect)));
        }
        if let Some(defect) = rules::purpose_defect(leaf, self.policy) {
            let usage = leaf.extensions().extended_key_usage.as_ref();
            let purposes = usage.map_or_else(|| "none".to_owned(), |usage| usage.purposes.join(","));
            let refusal = refuse(Code::ClientCertPurposeInvalid, &defect);
            return Some(("extended key usage", refusal.with("extended_key_usage", purposes)));
        }
        let standing = || match self.truststore.listed(leaf.der()) {
            Some(place) => Standing::Anchor { self_signed: self.truststore.entry(place).self_signed },
            None => Standing::Below,
        };
        let defect = strict.then(|| conformance::defect(leaf, standing())).flatten()?;
        Some(("RFC 5280", refuse(Code::ClientCertInvalid, defect)))
    }
}

/// Whether `issuer` issued this leaf. For X.509 v3 by webpki with the issuer as its only anchor, so that its check of
/// the leaf is the one signature check; webpki does not read v1, which has nothing but a signature to check.
pub(super) fn verify(
    leaf: &Certificate,
    issuer: &Certificate,
    policy: &Policy,
    at: UnixSeconds,
) -> Result<(), LeafFault> {
    if leaf.version() == 1 {
        return if key::signed_by(leaf, issuer) { Ok(()) } else { Err(LeafFault::Signature) };
    }
    let der = CertificateDer::from(leaf.der());
    let leaf = EndEntityCert::try_from(&der).map_err(fault)?;
    // Name constraints are left out because webpki refuses e-mail constraints whatever they say; they are judged on
    // the whole path.
    let anchors = [TrustAnchor {
        subject: Der::from_slice(issuer.subject_value()),
        subject_public_key_info: Der::from_slice(issuer.public_key_value()),
        name_constraints: None,
    }];
    let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at).unwrap_or(0)));
    let usage = Usage(if policy.any_eku { None } else { Some(policy.purpose) });
    leaf.verify_for_usage(key::ALGORITHMS, &anchors, &[], time, usage, None, None).map(|_| ()).map_err(fault)
}

/// The key purpose that has to be among those of a leaf that has any.
struct Usage(Option<Purpose>);

impl ExtendedKeyUsageValidator for Usage {
    /// As webpki's own, which for its error keeps what it finds besides: slow where a stranger's leaf has thousands.
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let (oid, required) = match self.0 {
            None => return Ok(()),
            Some(Purpose::Client) => (&[0x2b, 6, 1, 5, 5, 7, 3, 2], KeyUsage::client_auth()),
            Some(Purpose::Server) => (&[0x2b, 6, 1, 5, 5, 7, 3, 1], KeyUsage::server_auth()),
        };
        let wanted = KeyPurposeId::new(oid);
        let mut has_any = false;
        for purpose in purposes {
            has_any = true;
            if purpose? == wanted {
                return Ok(());
            }
        }
        let context = RequiredEkuNotFoundContext { required, present: Vec::new() };
        if has_any { Err(Error::RequiredEkuNotFoundContext(context)) } else { Ok(()) }
    }
}

/// What webpki's refusal of a leaf means here. The rules that ours has too were applied before.
fn fault(error: Error) -> LeafFault {
    let code = match error {
        Error::InvalidSignatureForPublicKey
        | Error::UnknownIssuer
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => return LeafFault::Signature,
        Error::UnsupportedCertVersion => Code::ClientCertTypeUnsupported,
        Error::CaUsedAsEndEntity | Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            Code::ClientCertPurposeInvalid
        }
        Error::UnsupportedCriticalExtension => Code::ClientCertPathInvalid,
        Error::UnsupportedSignatureAlgorithmContext(_) => Code::ClientCertWeakSignature,
        _ => Code::ClientCertInvalid,
    };
    LeafFault::Unfit(code, format!("webpki refuses its form ({error})"))
}
