//! AWS Signature Version 4: sign and verify.

/// Why a request is not authentic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No signature at all.
    #[error("Missing Authentication Token")]
    MissingAuthenticationToken,
}
