//! What an ACME issuer (RFC 8555) is asked for, and who asks it.

use serde::{Deserialize, Serialize};

use crate::{Sealed, UnixMillis};

/// This gateway's account with an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeAccount {
    /// URL of the issuer's directory.
    pub directory: String,
    /// Its id and key; sealed with [`sealed_for`](Self::sealed_for) as additional data.
    pub credentials: Sealed,
}

/// A certificate that is wanted of an issuer, until it is there or will not be. It is made with the request, and when the time for a
/// renewal has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeOrder {
    /// ARN of the certificate.
    pub arn: String,
    /// It is not tried before.
    pub at: UnixMillis,
    /// Who is at it.
    pub claim: Option<AcmeClaim>,
    /// The issuer's order, if there is one that may yet come to something.
    pub placed: Option<PlacedOrder>,
    /// Tries that came to nothing.
    pub failures: u32,
    /// The last of them.
    pub failure: Option<AcmeFailure>,
}

/// A node that tries, which no other does at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeClaim {
    /// Its name.
    pub node: String,
    /// If nothing was heard of it by then, others may.
    pub until: UnixMillis,
}

/// An order as the issuer has it, and what is needed to go on with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedOrder {
    /// Its URL.
    pub url: String,
    /// Of the certificate to come: PKCS#8, PEM; sealed with [`AcmeOrder::sealed_for`] as additional data.
    pub private_key: Sealed,
    /// What every node answers who is asked for a proof. It is no secret.
    pub answers: Vec<AcmeAnswer>,
}

/// The proof for one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeAnswer {
    /// Lowercase.
    pub name: String,
    /// By which it is asked for.
    pub token: String,
    /// RFC 8555 section 8.1.
    pub key_authorization: String,
}

/// Why a try came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeFailure {
    /// ACM's `FailureReason`.
    pub reason: String,
    /// For people.
    pub why: String,
    /// When.
    pub at: UnixMillis,
}

impl AcmeAccount {
    /// The additional data that the credentials for a directory are sealed with.
    pub fn sealed_for(directory: &str) -> String {
        format!("acme-accounts/{directory}")
    }
}

impl AcmeOrder {
    /// One that is to be tried from a time on.
    pub fn new(arn: &str, at: UnixMillis) -> Self {
        Self { arn: arn.to_owned(), at, claim: None, placed: None, failures: 0, failure: None }
    }

    /// The additional data that the key of a certificate to come is sealed with.
    pub fn sealed_for(arn: &str) -> String {
        format!("acme-orders/{arn}")
    }
}
