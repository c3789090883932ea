//! The rules' names.

use std::fmt;

use serde::{Serialize, Serializer};

/// What is looked for; its name is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// A block, or what looks like one, is not PEM (RFC 7468).
    NotPem,
    /// The file is DER.
    Der,
    /// The file is UTF-16 text.
    Utf16,
    /// The file, or a block, is a PKCS#7 container.
    Pkcs7,
    /// The file, or a block, is a PKCS#12 container.
    Pkcs12,
    /// The file is a Java key store.
    JavaKeyStore,
    /// A private key is in the file.
    PrivateKey,
    /// The file has more than [`crate::MAX_BYTES`].
    TooLarge,
    /// The file has more than [`crate::MAX_CERTIFICATES`].
    TooMany,
    /// No certificate is in the file.
    Empty,
    /// Something stands after a certificate's end: in its block, or between blocks as if cut from one.
    TrailingGarbage,
    /// A block's content is no certificate.
    BadCertificate,
    /// OpenSSL's own format with trust settings.
    TrustedCertificate,
    /// A block holds something else.
    NotACertificate,
    /// The same certificate again.
    Duplicate,
    /// `notAfter` has passed.
    Expired,
    /// `notAfter` is near.
    ExpiresSoon,
    /// `notBefore` has not come.
    NotYetValid,
    /// A root of X.509 v1.
    X509V1,
    /// Basic constraints do not say that it is a CA.
    NotACa,
    /// Key usage without keyCertSign.
    NoKeyCertSign,
    /// A key that is not accepted.
    WeakKey,
    /// Signed with an algorithm that is not accepted.
    WeakSignature,
    /// A critical extension that is not understood.
    UnknownCriticalExtension,
    /// An intermediate from which no path leads to a root.
    IssuerMissing,
    /// Two authorities of one name.
    SameNameDifferentKey,
}

impl Rule {
    /// Every rule, in the order in which they are declared.
    pub const ALL: &[Self] = &[
        Self::NotPem,
        Self::Der,
        Self::Utf16,
        Self::Pkcs7,
        Self::Pkcs12,
        Self::JavaKeyStore,
        Self::PrivateKey,
        Self::TooLarge,
        Self::TooMany,
        Self::Empty,
        Self::TrailingGarbage,
        Self::BadCertificate,
        Self::TrustedCertificate,
        Self::NotACertificate,
        Self::Duplicate,
        Self::Expired,
        Self::ExpiresSoon,
        Self::NotYetValid,
        Self::X509V1,
        Self::NotACa,
        Self::NoKeyCertSign,
        Self::WeakKey,
        Self::WeakSignature,
        Self::UnknownCriticalExtension,
        Self::IssuerMissing,
        Self::SameNameDifferentKey,
    ];

    /// In kebab case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotPem => "not-pem",
            Self::Der => "der",
            Self::Utf16 => "utf-16",
            Self::Pkcs7 => "pkcs7",
            Self::Pkcs12 => "pkcs12",
            Self::JavaKeyStore => "java-key-store",
            Self::PrivateKey => "private-key",
            Self::TooLarge => "too-large",
            Self::TooMany => "too-many",
            Self::Empty => "empty",
            Self::TrailingGarbage => "trailing-garbage",
            Self::BadCertificate => "bad-certificate",
            Self::TrustedCertificate => "trusted-certificate",
            Self::NotACertificate => "not-a-certificate",
            Self::Duplicate => "duplicate",
            Self::Expired => "expired",
            Self::ExpiresSoon => "expires-soon",
            Self::NotYetValid => "not-yet-valid",
            Self::X509V1 => "x509-v1",
            Self::NotACa => "not-a-ca",
            Self::NoKeyCertSign => "no-key-cert-sign",
            Self::WeakKey => "weak-key",
            Self::WeakSignature => "weak-signature",
            Self::UnknownCriticalExtension => "unknown-critical-extension",
            Self::IssuerMissing => "issuer-missing",
            Self::SameNameDifferentKey => "same-name-different-key",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
