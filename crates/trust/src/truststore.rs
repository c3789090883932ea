//! A truststore: the certificates of one PEM object, compiled for judging.

use std::fmt;
use std::sync::Arc;

use crate::{Certificate, Finding, UnixSeconds};

/// AWS's limit on a truststore's size.
pub const MAX_BYTES: usize = 1024 * 1024;
/// AWS's limit on a truststore's certificates.
pub const MAX_CERTIFICATES: usize = 1000;

/// A compiled truststore: the paths between its CAs are found and checked when it is made, so judging a chain costs one
/// signature check.
#[derive(Clone)]
pub struct Truststore(Arc<Inner>);

struct Inner {
    digest: Digest,
}

/// SHA-256 of a truststore's bytes; prints as lowercase hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

/// Bytes that cannot be a truststore at all. Certificates that are merely bad become [`Finding`]s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TruststoreError {
    /// More than [`MAX_BYTES`].
    #[error("the truststore has {0} bytes; at most 1048576 are allowed")]
    TooLarge(usize),
    /// More than [`MAX_CERTIFICATES`].
    #[error("the truststore has {0} certificates; at most 1000 are allowed")]
    TooMany(usize),
    /// A private key is in the file.
    #[error("the truststore contains a private key (line {line}); remove it, and treat the key as leaked")]
    PrivateKey {
        /// Line of its BEGIN marker, from 1.
        line: usize,
    },
    /// No usable certificate.
    #[error("the truststore contains no usable certificate")]
    Empty,
}

impl Truststore {
    /// Reads PEM. Bad certificates are left out and told in the findings; `at` is for "expired" and "expires soon".
    pub fn compile(pem: &[u8], at: UnixSeconds) -> Result<(Self, Vec<Finding>), TruststoreError> {
        let _ = (pem, at);
        todo!()
    }

    /// Digest of the bytes that it was compiled from.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// Its certificates in the file's order.
    pub fn certificates(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        std::iter::empty()
    }
}

impl fmt::Debug for Truststore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Truststore({})", self.digest())
    }
}

impl Digest {
    /// Of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let _ = bytes;
        todo!()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        todo!()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
