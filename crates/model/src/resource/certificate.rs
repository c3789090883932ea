//! Certificates that the gateway shows, and the CA that signs some of them.

use serde::{Deserialize, Serialize};

use super::Tags;
use crate::{Sealed, UnixMillis};

/// A certificate in ACM, with its private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// `arn:aws:acm:{region}:{account}:certificate/{uuid}`
    pub arn: String,
    /// Where it is listed.
    pub region: String,
    /// `DomainName`: the first name, lowercase.
    pub domain_name: String,
    /// `SubjectAlternativeNames`
    pub alternative_names: Vec<String>,
    /// The leaf, PEM.
    pub certificate: String,
    /// The certificates above it, PEM.
    pub chain: Option<String>,
    /// PKCS#8 (or as imported), PEM; sealed with `arn` as additional data.
    pub private_key: Sealed,
    /// `IMPORTED` or `AMAZON_ISSUED` (issued by the local CA).
    pub origin: CertificateOrigin,
    /// `KeyAlgorithm`, e.g. `RSA_2048`, `EC_prime256v1`.
    pub key_algorithm: String,
    /// When it was imported or issued.
    pub created: UnixMillis,
    /// What has become of it since.
    #[serde(default)]
    pub life: CertificateLife,
    /// `tags`
    #[serde(default)]
    pub tags: Tags,
}

/// What has become of a certificate since it was issued.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CertificateLife {
    /// `Options.Export`: whether it may leave with its key.
    pub exportable: bool,
    /// Whether it has.
    pub exported: bool,
    /// `Options.CertificateTransparencyLoggingPreference`; there is no log that it could be in.
    pub logged: bool,
    /// `RevokedAt`, `RevocationReason`
    pub revoked: Option<CertificateRevocation>,
    /// When it was issued first, where that was not when it was requested.
    pub issued: Option<UnixMillis>,
    /// When it was renewed last.
    pub renewed: Option<UnixMillis>,
    /// What the configuration calls the files that it is kept in.
    pub file: Option<String>,
    /// Whether an ACME issuer signs it, and not the local CA.
    pub acme: bool,
    /// Then from when to when what is signed is valid, in milliseconds since 1970.
    pub validity: Option<(UnixMillis, UnixMillis)>,
    /// Where the issuer has not signed it yet.
    pub validation: Option<CertificateValidation>,
}

/// What has become of a request that an ACME issuer has to validate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CertificateValidation {
    /// `PENDING_VALIDATION`
    Pending,
    /// `FAILED`
    Failed {
        /// `FailureReason`
        reason: String,
    },
}

/// When and why a certificate was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRevocation {
    /// `RevokedAt`
    pub at: UnixMillis,
    /// `RevocationReason`
    pub reason: String,
}

/// A certificate that API Gateway has made, which a stage of a REST API shows to its backends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// `clientCertificateId`: six lowercase letters and digits.
    pub id: String,
    /// Where it is listed.
    pub region: String,
    /// `description`
    pub description: Option<String>,
    /// `pemEncodedCertificate`
    pub certificate: String,
    /// PKCS#8 PEM, sealed with `client-certificates/{id}`.
    pub private_key: Sealed,
    /// `createdDate`
    pub created: UnixMillis,
    /// `expirationDate`
    pub expires: UnixMillis,
    /// `tags`
    #[serde(default)]
    pub tags: Tags,
}

impl ClientCertificate {
    /// The additional data that the key of the certificate with this id is sealed with.
    pub fn sealed_for(id: &str) -> String {
        format!("client-certificates/{id}")
    }
}

impl Certificate {
    /// PEM of the leaf and what is above it.
    pub fn whole_chain(&self) -> String {
        format!("{}\n{}", self.certificate.trim_end(), self.chain.as_deref().unwrap_or_default())
    }
}

/// Where a certificate of ACM comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CertificateOrigin {
    /// `import-certificate`
    Imported,
    /// `request-certificate`
    AmazonIssued,
}

/// The CA that signs what `request-certificate` asks for, and the execute-api endpoints' certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalCa {
    /// `default`
    pub id: String,
    /// The root, PEM.
    pub certificate: String,
    /// PKCS#8 PEM, sealed with `local-ca/{id}`.
    pub private_key: Sealed,
    /// What its revocation list names.
    #[serde(default)]
    pub revoked: Vec<RevokedSerial>,
}

/// An entry of the local CA's revocation list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedSerial {
    /// Serial number, lowercase hex.
    pub serial: String,
    /// When.
    pub at: UnixMillis,
    /// ACM's `RevocationReason`.
    pub reason: String,
    /// Seconds since 1970: the certificate's end, after which the entry is not needed.
    pub until: i64,
}

/// Certificate of a region's execute-api endpoints (`*.execute-api.{region}.{suffix}`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its region.
    pub region: String,
    /// Leaf and the certificates above it, PEM.
    pub certificate: String,
    /// PKCS#8 PEM, sealed with `endpoints/{region}`.
    pub private_key: Sealed,
}
