//! Why a request is not authentic, and why one cannot be signed.

/// Why a request is not authentic. Its sender is to blame for each; AWS's codes are one to one with the variants, and their
/// names on the wire depend on the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No signature at all, neither in a header nor in the query string.
    #[error("Missing Authentication Token")]
    MissingAuthenticationToken,
    /// A signature that cannot be read: a part is missing, twice there, or malformed. Says which.
    #[error("{0}")]
    IncompleteSignature(String),
    /// No such access key.
    #[error("The security token included in the request is invalid.")]
    UnrecognizedClient,
    /// The session token that came with it has ended. Whoever made the token says so.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    /// The signature does not hold.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
         and signing method. Consult the service documentation for details."
    )]
    InvalidSignature,
    /// A header that must be signed is not; its name in quotes.
    #[error("{0} must be a 'SignedHeader' in the AWS Authorization.")]
    UnsignedHeader(String),
    /// Credential scope and date of the request name different days.
    #[error(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{scope}' != '{date}'."
    )]
    ScopeDate {
        /// Of the credential scope.
        scope: String,
        /// Of the request.
        date: String,
    },
    /// Signed too long ago. Times as `20261122T170000Z`.
    #[error("Signature expired: {signed} is now earlier than {limit} ({now} - {minutes} min.)")]
    Expired {
        /// When it was signed.
        signed: String,
        /// The earliest time that would do.
        limit: String,
        /// The time here.
        now: String,
        /// Allowed difference.
        minutes: i64,
    },
    /// Signed in the future. Times as `20261122T170000Z`.
    #[error("Signature not yet current: {signed} is still later than {limit} ({now} + {minutes} min.)")]
    NotYetCurrent {
        /// When it was signed.
        signed: String,
        /// The latest time that would do.
        limit: String,
        /// The time here.
        now: String,
        /// Allowed difference.
        minutes: i64,
    },
    /// A presigned request whose time is over.
    #[error("Request has expired")]
    PresignedExpired,
    /// The body is not what `x-amz-content-sha256` says.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    PayloadMismatch,
}

/// Why a request cannot be signed. Our own caller is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Neither a `Host` header nor an authority in the URI.
    #[error("the request names no host")]
    NoHost,
    /// A credential, region, service or time that a header or URI cannot carry.
    #[error("the {0} cannot be written into a request")]
    Unwritable(&'static str),
}
