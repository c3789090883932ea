//! What a profile asks of one certificate, wherever it stands.

use crate::key::{PublicKey, SignatureAlgorithm};
use crate::{Certificate, Policy, Profile, Purpose};

/// Why a certificate may not issue others, or `None` if it may. `self_signed` says that its own key signed it.
pub(crate) fn issuing_defect(certificate: &Certificate, self_signed: bool) -> Option<&'static str> {
    let extensions = certificate.extensions();
    if certificate.version() < 3 {
        // Before v3 a certificate could not say that it is a CA. A self-signed one in a truststore can be nothing
        // else, and `openssl req -x509` makes such roots when it is told to; an intermediate must say it.
        return (!self_signed).then_some("it is X.509 v1 and not self-signed, so nothing says that it is a CA");
    }
    if !certificate.is_ca() {
        return Some(match extensions.basic_constraints {
            None => "it has no basic constraints, so it is not a CA",
            Some(_) => "its basic constraints say that it is not a CA",
        });
    }
    match extensions.key_usage {
        Some(usage) if !usage.key_cert_sign() => Some("its key usage lacks keyCertSign"),
        _ => None,
    }
}

/// Why a key is not strong enough, or `None` if it is.
pub(crate) fn key_defect(certificate: &Certificate, profile: Profile) -> Option<String> {
    let wanted = match profile {
        Profile::Aws => "RSA of 2048 to 8192 bits, P-256 and P-384 are allowed",
        Profile::Rfc5280 => "RSA of 2048 to 8192 bits, P-256, P-384, P-521 and Ed25519 are allowed",
    };
    let allowed = match certificate.key() {
        PublicKey::Rsa { bits, .. } => (2048..=8192).contains(bits),
        PublicKey::P256 | PublicKey::P384 => true,
        PublicKey::P521 | PublicKey::Ed25519 => profile == Profile::Rfc5280,
        PublicKey::Other(_) => false,
    };
    (!allowed).then(|| format!("its key is {}; {wanted}", certificate.key()))
}

/// Why a signature algorithm is not allowed, or `None` if it is.
pub(crate) fn signature_defect(certificate: &Certificate) -> Option<String> {
    match certificate.signature_algorithm() {
        SignatureAlgorithm::Strong(_) => None,
        SignatureAlgorithm::Refused(name) => Some(format!("it is signed with {name}; SHA-256 or stronger is needed")),
    }
}

/// Why a critical extension stands in the way, or `None`.
pub(crate) fn extension_defect(certificate: &Certificate) -> Option<String> {
    let unknown = &certificate.extensions().unknown_critical;
    (!unknown.is_empty()).then(|| format!("it has a critical extension that is not understood: {}", unknown.join(", ")))
}

/// Why the extended key usage excludes the purpose, or `None`.
pub(crate) fn purpose_defect(certificate: &Certificate, policy: &Policy) -> Option<String> {
    if policy.any_eku {
        return None;
    }
    let wanted = policy.purpose.key_purpose();
    // RFC 8446 section 4.4.2.4: a client's key that may be used for TLS may make signatures.
    if policy.profile == Profile::Rfc5280
        && policy.purpose == Purpose::Client
        && !certificate.is_ca()
        && certificate.extensions().key_usage.is_some_and(|usage| !usage.digital_signature())
    {
        return Some("its key usage lacks digitalSignature".to_owned());
    }
    let Some(usage) = &certificate.extensions().extended_key_usage else {
        let required = policy.profile == Profile::Rfc5280 && policy.purpose == Purpose::Client && !certificate.is_ca();
        return required.then(|| format!("it has no extended key usage; the profile rfc5280 asks for {wanted}"));
    };
    let included = match policy.purpose {
        Purpose::Client => usage.client_auth,
        Purpose::Server => usage.server_auth,
    };
    (!included).then(|| format!("its extended key usage is {}, without {wanted}", usage.purposes.join(", ")))
}

impl Purpose {
    /// The name of the key purpose (RFC 5280 section 4.2.1.12).
    pub(crate) fn key_purpose(self) -> &'static str {
        match self {
            Self::Client => "clientAuth",
            Self::Server => "serverAuth",
        }
    }
}
