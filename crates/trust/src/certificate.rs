//! One X.509 certificate, parsed once.

use crate::UnixSeconds;

/// A parsed certificate (X.509 v1 or v3). Holds its DER and what the judge and the log need of it.
#[derive(Debug)]
pub struct Certificate {
    der: Box<[u8]>,
}

/// What `$context.identity.clientCert` holds, in AWS's forms.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientCert {
    /// PEM with a line feed after each line.
    pub client_cert_pem: String,
    /// The certificate's own order, comma, no space, escaped: `C=US,ST=Washington,O=Acme\, Inc.,CN=My Client`.
    #[serde(rename = "subjectDN")]
    pub subject_dn: String,
    /// As `subject_dn`.
    #[serde(rename = "issuerDN")]
    pub issuer_dn: String,
    /// Decimal where it fits a signed 64-bit integer, else lowercase hexadecimal `a1:b2:…`.
    pub serial_number: String,
    /// `Aug  5 00:28:21 2120 GMT`
    pub validity: Validity,
}

/// Of a [`ClientCert`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Validity {
    /// `%b %e %H:%M:%S %Y GMT`
    pub not_before: String,
    /// `%b %e %H:%M:%S %Y GMT`
    pub not_after: String,
}

/// Bytes that are no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an X.509 certificate: {0}")]
pub struct CertificateError(pub String);

impl Certificate {
    /// Parses DER; trailing bytes are an error.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let _ = der;
        todo!()
    }

    /// The bytes it was parsed from.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Subject in AWS's form.
    pub fn subject(&self) -> &str {
        todo!()
    }

    /// Issuer in AWS's form.
    pub fn issuer(&self) -> &str {
        todo!()
    }

    /// SHA-256 of the DER.
    pub fn fingerprint(&self) -> [u8; 32] {
        todo!()
    }

    /// First second of its validity.
    pub fn not_before(&self) -> UnixSeconds {
        todo!()
    }

    /// Last second of its validity.
    pub fn not_after(&self) -> UnixSeconds {
        todo!()
    }

    /// In AWS's forms.
    pub fn client_cert(&self) -> ClientCert {
        todo!()
    }
}
