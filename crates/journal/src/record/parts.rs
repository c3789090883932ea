//! What several kinds of records have: whom they are about, and why something was not let through.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::json::Object;

/// Why a client was not trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal<'a> {
    /// In the common vocabulary.
    pub code: trust::Code,
    /// The judge's sentence.
    pub detail: Cow<'a, str>,
    /// The explainer's: what was nearly right.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub explanation: Cow<'a, str>,
    /// What to do.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub fix: Cow<'a, str>,
    /// Facts by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// What the client sent, as the ledger knows it ([`crate::ledger::ClientChain::digest_hex`]); none where it sent nothing, or
    /// too much to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_sha256: Option<Cow<'a, str>>,
}

/// Why a trusted client's request was not authorized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial<'a> {
    /// E.g. `TokenExpired`.
    pub code: Cow<'a, str>,
    /// The same in a sentence.
    pub detail: Cow<'a, str>,
}

/// The shadow truststore came to another verdict than the one that was enforced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow<'a> {
    /// The shadow truststore.
    pub truststore: Truststore<'a>,
    /// Why it would have refused; none: it would have accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<trust::Code>,
    /// The judge's sentence.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub detail: Cow<'a, str>,
}

/// Names the bytes of a truststore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truststore<'a> {
    /// SHA-256, lowercase hexadecimal.
    pub digest: Cow<'a, str>,
    /// Version of the S3 object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Cow<'a, str>>,
}

/// Names a client's certificate, in AWS's forms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client<'a> {
    /// Subject.
    pub subject: Cow<'a, str>,
    /// Issuer.
    pub issuer: Cow<'a, str>,
    /// Serial number.
    pub serial: Cow<'a, str>,
    /// SHA-256 of the DER, lowercase hexadecimal.
    pub fingerprint: Cow<'a, str>,
}

impl Truststore<'_> {
    /// As the member of that name.
    pub(super) fn write(&self, record: &mut Object<'_>) {
        let mut object = record.object("truststore");
        object.string("digest", &self.digest);
        object.optional("version", self.version.as_deref());
        object.end();
    }
}

impl Client<'_> {
    /// As the member of that name.
    pub(super) fn write(&self, record: &mut Object<'_>) {
        let mut object = record.object("client");
        object.string("subject", &self.subject);
        object.string("issuer", &self.issuer);
        object.string("serial", &self.serial);
        object.string("fingerprint", &self.fingerprint);
        object.end();
    }
}
