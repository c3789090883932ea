//! One vocabulary of reasons for the connection log, the access log, metrics, audit, console and doctor.

use serde::{Deserialize, Serialize};

/// Why a client was refused. The names extend those of AWS's load balancers
/// (`tls_verify_status` in the connection log of an Application Load Balancer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Code {
    /// The client sent no certificate.
    ClientCertMissing,
    /// The certificate cannot be parsed, or its fields contradict one another.
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
    /// The extended key usage excludes client authentication.
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
