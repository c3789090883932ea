//! AWS Signature Version 4: sign and verify HTTP requests.
//!
//! Source: "AWS Signature Version 4 for API requests" in AWS's IAM user guide. Only `AWS4-HMAC-SHA256`; a signature is in
//! the `Authorization` header or in the query string (presigned). A path is encoded once for S3, and normalized and
//! encoded twice for all other services.
//!
//! What must not live here: where keys come from, what a principal may do, clocks (every function is told the time).

mod canonical;
mod claim;
mod date;
mod error;
mod key;
mod payload;
mod sign;
mod verify;

pub use claim::{Scope, session_token};
pub use error::{Error, SignError};
pub use key::{Credentials, SecretKey};
pub use payload::{Body, PayloadHash};
pub use sign::{presign, sign};
pub use verify::{Rules, Verified, verify};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
