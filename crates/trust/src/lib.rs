//! The decision whether a client is trusted, and everything needed to explain it.
//!
//! Here live certificates ([`Certificate`]), truststores ([`Truststore`]), the judge
//! ([`Truststore::judge`], the only function that decides), what it is told of revocations ([`Revocations`]), its
//! vocabulary of reasons ([`Code`]) and the explainer, which finds what was nearly right about a refused chain.
//!
//! What must not live here: input and output, clocks (every function is told the time), async, TLS.

mod certificate;
mod code;
mod conformance;
mod constraints;
mod crl;
mod der;
mod diff;
mod effort;
mod explain;
mod extensions;
mod form;
pub mod hierarchy;
mod judge;
mod key;
mod lint;
mod name;
mod ocsp;
mod pem;
mod policies;
mod revocation;
mod rules;
mod search;
mod time;
mod truststore;

pub use certificate::{Certificate, CertificateError, ClientCert, SubjectAltName, Validity, public_key};
pub use code::{Code, TlsAlert};
pub use crl::{Crl, CrlError, CrlFault, MAX_CRL_BYTES, Reason, Revoked};
pub use diff::{Diff, Named, Renewed};
pub use effort::Cost;
pub use explain::{ClientsSeen, Explanation, Neighbour, NeighbourKind, Seen, Surroundings, explain};
pub use form::Form;
pub use judge::{Judgment, Path, Policy, Profile, Purpose, Refusal, Step, Verdict};
pub use lint::{Finding, Rule, Severity};
pub use ocsp::{CertId, CertStatus, MAX_OCSP_BYTES, OcspError, OcspStatus};
pub use revocation::{
    Fallback, Fetch, Fetched, Inquiry, Lookup, NothingFetched, Revocation, RevocationRules, Revocations, Scope, Status,
    StatusRequest, Unrevoked, View,
};
pub use time::rfc3339;
pub use truststore::{Digest, MAX_BYTES, MAX_CERTIFICATES, Truststore, TruststoreError};

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
pub type UnixSeconds = i64;
