//! One vocabulary of reasons for the connection log, the access log, metrics, audit, console and doctor.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a client was refused. The names extend those of AWS's load balancers
/// (`tls_verify_status` in the connection log of an Application Load Balancer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Code {
    /// The client sent no certificate.
    ClientCertMissing,
    /// The certificate cannot be parsed, its fields contradict one another, or it breaks a must of the profile.
    ClientCertInvalid,
    /// No CA of the truststore has the name that the certificate gives as its issuer.
    ClientCertUntrusted,
    /// A CA with the issuer's name is in the truststore, but its key did not sign the certificate.
    ClientCertSignatureInvalid,
    /// The certificate is self-signed and is not itself an entry of the truststore.
    ClientCertSelfSigned,
    /// The issuer is in the truststore, but no path from it reaches a root there.
    ClientCertChainIncomplete,
    /// `notAfter` has passed.
    ClientCertExpired,
    /// `notBefore` has not come yet.
    ClientCertNotYetValid,
    /// A CA of the path is outside its own validity.
    ClientCertIssuerExpired,
    /// The signature of a certificate of the path uses SHA-1, MD5 or another algorithm that is not allowed.
    ClientCertWeakSignature,
    /// RSA below 2048 bits, or a curve that is not allowed.
    ClientCertWeakKey,
    /// The extended key usage excludes client authentication, or the certificate is a CA's and not a client's.
    ClientCertPurposeInvalid,
    /// The path has more CAs than the four that are allowed.
    ClientCertMaxChainDepthExceeded,
    /// The chain that was sent is larger than the gateway reads.
    ClientCertMaxSizeExceeded,
    /// A critical extension is not understood, or a CA of the path may not issue this certificate
    /// (not a CA, no keyCertSign, path length, name constraints).
    ClientCertPathInvalid,
    /// The search for a path was ended after 64 signature checks.
    ClientCertPathTooComplex,
    /// The profile wants X.509 v3.
    ClientCertTypeUnsupported,
    /// The certificate, or a CA of its path, is revoked.
    ClientCertCrlHit,
    /// The revocation status could not be established, and the domain says to refuse then.
    ClientCertCrlProcessingError,
}

impl Code {
    /// Every reason, in the order in which they are declared.
    pub const ALL: &[Self] = &[
        Self::ClientCertMissing,
        Self::ClientCertInvalid,
        Self::ClientCertUntrusted,
        Self::ClientCertSignatureInvalid,
        Self::ClientCertSelfSigned,
        Self::ClientCertChainIncomplete,
        Self::ClientCertExpired,
        Self::ClientCertNotYetValid,
        Self::ClientCertIssuerExpired,
        Self::ClientCertWeakSignature,
        Self::ClientCertWeakKey,
        Self::ClientCertPurposeInvalid,
        Self::ClientCertMaxChainDepthExceeded,
        Self::ClientCertMaxSizeExceeded,
        Self::ClientCertPathInvalid,
        Self::ClientCertPathTooComplex,
        Self::ClientCertTypeUnsupported,
        Self::ClientCertCrlHit,
        Self::ClientCertCrlProcessingError,
    ];

    /// The name, as the logs carry it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientCertMissing => "ClientCertMissing",
            Self::ClientCertInvalid => "ClientCertInvalid",
            Self::ClientCertUntrusted => "ClientCertUntrusted",
            Self::ClientCertSignatureInvalid => "ClientCertSignatureInvalid",
            Self::ClientCertSelfSigned => "ClientCertSelfSigned",
            Self::ClientCertChainIncomplete => "ClientCertChainIncomplete",
            Self::ClientCertExpired => "ClientCertExpired",
            Self::ClientCertNotYetValid => "ClientCertNotYetValid",
            Self::ClientCertIssuerExpired => "ClientCertIssuerExpired",
            Self::ClientCertWeakSignature => "ClientCertWeakSignature",
            Self::ClientCertWeakKey => "ClientCertWeakKey",
            Self::ClientCertPurposeInvalid => "ClientCertPurposeInvalid",
            Self::ClientCertMaxChainDepthExceeded => "ClientCertMaxChainDepthExceeded",
            Self::ClientCertMaxSizeExceeded => "ClientCertMaxSizeExceeded",
            Self::ClientCertPathInvalid => "ClientCertPathInvalid",
            Self::ClientCertPathTooComplex => "ClientCertPathTooComplex",
            Self::ClientCertTypeUnsupported => "ClientCertTypeUnsupported",
            Self::ClientCertCrlHit => "ClientCertCrlHit",
            Self::ClientCertCrlProcessingError => "ClientCertCrlProcessingError",
        }
    }

    /// What AWS's REST APIs write into the execution log and `$context.error.message`, where that is known.
    pub fn aws_text(self) -> Option<&'static str> {
        let is_known = matches!(
            self,
            Self::ClientCertUntrusted
                | Self::ClientCertSignatureInvalid
                | Self::ClientCertChainIncomplete
                | Self::ClientCertWeakSignature
                | Self::ClientCertSelfSigned
        );
        is_known.then(|| self.message())
    }

    /// The text for `$context.error.message`: AWS's where there is one, else ours in the same style.
    pub fn message(self) -> &'static str {
        match self {
            Self::ClientCertUntrusted | Self::ClientCertSignatureInvalid | Self::ClientCertChainIncomplete => {
                "Access denied. Reason: Could not find issuer for certificate"
            }
            Self::ClientCertWeakSignature => "Access denied. Reason: Client cert using an insecure Signature Algorithm",
            Self::ClientCertSelfSigned => "Access denied. Reason: self signed certificate",
            Self::ClientCertMissing => "Access denied. Reason: No client certificate was sent",
            Self::ClientCertInvalid => "Access denied. Reason: Client cert cannot be parsed",
            Self::ClientCertExpired => "Access denied. Reason: Client cert has expired",
            Self::ClientCertNotYetValid => "Access denied. Reason: Client cert is not yet valid",
            Self::ClientCertIssuerExpired => {
                "Access denied. Reason: A certificate authority of the client cert is outside its validity"
            }
            Self::ClientCertWeakKey => "Access denied. Reason: Client cert using an insecure key",
            Self::ClientCertPurposeInvalid => "Access denied. Reason: Client cert is not for client authentication",
            Self::ClientCertMaxChainDepthExceeded => "Access denied. Reason: Client cert chain is too long",
            Self::ClientCertMaxSizeExceeded => "Access denied. Reason: Client cert chain is too large",
            Self::ClientCertPathInvalid => {
                "Access denied. Reason: Client cert violates a constraint of its certification path"
            }
            Self::ClientCertPathTooComplex => {
                "Access denied. Reason: The search for the client cert's certification path took too long"
            }
            Self::ClientCertTypeUnsupported => "Access denied. Reason: Client cert is not X.509 v3",
            Self::ClientCertCrlHit => "Access denied. Reason: Client cert is revoked",
            Self::ClientCertCrlProcessingError => {
                "Access denied. Reason: The revocation status of the client cert could not be established"
            }
        }
    }

    /// What it means, in one plain sentence.
    pub fn summary(self) -> &'static str {
        match self {
            Self::ClientCertMissing => "The client sent no certificate.",
            Self::ClientCertInvalid => "What the client sent cannot be parsed as an X.509 certificate.",
            Self::ClientCertUntrusted => {
                "No certificate authority in the truststore has the name that the certificate gives as its issuer."
            }
            Self::ClientCertSignatureInvalid => {
                "The truststore has a certificate authority with the issuer's name, but its key did not sign the \
                 certificate."
            }
            Self::ClientCertSelfSigned => "The certificate is self-signed and is not itself in the truststore.",
            Self::ClientCertChainIncomplete => {
                "The issuer is in the truststore, but the path from it to a self-signed root is not."
            }
            Self::ClientCertExpired => "The certificate has expired.",
            Self::ClientCertNotYetValid => "The certificate's validity has not begun.",
            Self::ClientCertIssuerExpired => {
                "A certificate authority between the certificate and the root, or the root, is outside its validity."
            }
            Self::ClientCertWeakSignature => {
                "A certificate of the path is signed with SHA-1, MD5 or another algorithm that is not allowed."
            }
            Self::ClientCertWeakKey => {
                "A key of the path is RSA with fewer than 2048 bits, or of a kind that is not allowed."
            }
            Self::ClientCertPurposeInvalid => "The certificate is not meant for TLS client authentication.",
            Self::ClientCertMaxChainDepthExceeded => {
                "More certificate authorities stand above the certificate than are allowed."
            }
            Self::ClientCertMaxSizeExceeded => "The client sent more certificates, or larger ones, than are read.",
            Self::ClientCertPathInvalid => {
                "A certificate of the path may not do what it does there: it is no CA, its constraints forbid it, or it \
                 has a critical extension that is not understood."
            }
            Self::ClientCertPathTooComplex => {
                "The search for a path to a root was ended because it took too many steps."
            }
            Self::ClientCertTypeUnsupported => "The certificate is not X.509 v3, which the domain's profile asks for.",
            Self::ClientCertCrlHit => "The certificate, or a certificate authority above it, is revoked.",
            Self::ClientCertCrlProcessingError => {
                "Whether the certificate is revoked could not be established, and the domain refuses then."
            }
        }
    }

    /// What to do about it, in one sentence.
    pub fn fix(self) -> &'static str {
        match self {
            Self::ClientCertMissing => "Configure the client with a certificate and its key (curl: --cert and --key).",
            Self::ClientCertInvalid => "Issue the certificate again, and send it in the right format.",
            Self::ClientCertUntrusted => {
                "Add the issuer, and every authority above it up to the root, to the truststore and update the domain; \
                 or use a certificate of an authority that is there."
            }
            Self::ClientCertSignatureInvalid => {
                "Add the authority's certificate with the key that really signed, and update the domain; or have the \
                 certificate issued again."
            }
            Self::ClientCertSelfSigned => {
                "Use a certificate issued by an authority in the truststore, or add this very certificate to it."
            }
            Self::ClientCertChainIncomplete => {
                "Add the missing authorities up to and including the self-signed root to the truststore, and update the \
                 domain."
            }
            Self::ClientCertExpired => "Renew the certificate.",
            Self::ClientCertNotYetValid => "Wait for its validity to begin, or correct the clock of whoever issued it.",
            Self::ClientCertIssuerExpired => "Replace the authority's certificate in the truststore by a renewed one.",
            Self::ClientCertWeakSignature => "Have the certificate issued again with SHA-256 or stronger.",
            Self::ClientCertWeakKey => "Use a key of RSA 2048 bits or more, P-256 or P-384.",
            Self::ClientCertPurposeInvalid => {
                "Have the certificate issued with the extended key usage clientAuth, or set the tag countersign:eku=any."
            }
            Self::ClientCertMaxChainDepthExceeded => "Use a certificate with at most four authorities above it.",
            Self::ClientCertMaxSizeExceeded => "Send only the certificate and the authorities that it needs.",
            Self::ClientCertPathInvalid => {
                "Have the certificate, or the authority that is named, issued again within its constraints."
            }
            Self::ClientCertPathTooComplex => {
                "Remove needless authorities of the same name from the truststore or from what the client sends."
            }
            Self::ClientCertTypeUnsupported => {
                "Issue the certificate with extensions (openssl x509 -req -extfile …), or use the profile aws."
            }
            Self::ClientCertCrlHit => "Use a certificate that is not revoked.",
            Self::ClientCertCrlProcessingError => "Make the revocation list available and current.",
        }
    }

    /// The alert for it inside the handshake.
    pub fn alert(self) -> TlsAlert {
        match self {
            Self::ClientCertMissing => TlsAlert::CertificateRequired,
            Self::ClientCertUntrusted | Self::ClientCertSelfSigned | Self::ClientCertChainIncomplete => {
                TlsAlert::UnknownCa
            }
            Self::ClientCertExpired | Self::ClientCertNotYetValid | Self::ClientCertIssuerExpired => {
                TlsAlert::CertificateExpired
            }
            Self::ClientCertWeakSignature
            | Self::ClientCertWeakKey
            | Self::ClientCertPurposeInvalid
            | Self::ClientCertTypeUnsupported => TlsAlert::UnsupportedCertificate,
            Self::ClientCertCrlHit => TlsAlert::CertificateRevoked,
            Self::ClientCertInvalid
            | Self::ClientCertSignatureInvalid
            | Self::ClientCertPathInvalid
            | Self::ClientCertMaxChainDepthExceeded
            | Self::ClientCertMaxSizeExceeded => TlsAlert::BadCertificate,
            Self::ClientCertPathTooComplex | Self::ClientCertCrlProcessingError => TlsAlert::CertificateUnknown,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The TLS alert (RFC 8446 section 6.2) that says the same as a [`Code`] inside the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsAlert {
    /// 116
    CertificateRequired,
    /// 42
    BadCertificate,
    /// 43
    UnsupportedCertificate,
    /// 44
    CertificateRevoked,
    /// 45
    CertificateExpired,
    /// 46
    CertificateUnknown,
    /// 48
    UnknownCa,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_texts() {
        for (index, &code) in Code::ALL.iter().enumerate() {
            assert_eq!(code as usize, index, "{code} is listed where it is declared");
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{code}\""));
            assert!(code.message().starts_with("Access denied. Reason: "), "{code}");
            assert!(code.summary().ends_with('.') && code.fix().ends_with('.'), "{code}");
        }
        let messages: std::collections::HashSet<_> = Code::ALL.iter().map(|code| code.summary()).collect();
        assert_eq!(messages.len(), Code::ALL.len(), "no two mean the same");
    }

    #[test]
    fn aws_texts_are_aws() {
        for (code, text) in [
            (Code::ClientCertUntrusted, "Access denied. Reason: Could not find issuer for certificate"),
            (Code::ClientCertWeakSignature, "Access denied. Reason: Client cert using an insecure Signature Algorithm"),
            (Code::ClientCertSelfSigned, "Access denied. Reason: self signed certificate"),
        ] {
            assert_eq!(code.aws_text(), Some(text));
            assert_eq!(code.message(), text);
        }
        assert_eq!(Code::ClientCertExpired.aws_text(), None);
    }
}
