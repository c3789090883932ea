//! Who calls.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The authenticated origin of one request, and what it asks for.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The access key that signed the request.
    pub access_key_id: String,
    /// `arn:aws:iam::123456789012:user/name`, or the account's root.
    pub arn: String,
    /// What STS shows as `UserId`: `AIDA…` of a user, the account id of a root.
    pub user_id: String,
    /// Twelve digits.
    pub account: String,
    /// Of the credential scope; resources are per region.
    pub region: String,
    /// Of the connection.
    pub source_ip: IpAddr,
    /// In the form of a UUID v4; goes out as `x-amzn-RequestId`.
    pub request_id: String,
    /// When the request came, in seconds since 1970.
    pub at: i64,
    /// `User-Agent`; empty where there is none.
    pub user_agent: String,
    /// Name of the service in credential scopes.
    pub service: &'static str,
    /// AWS's name of the operation; empty where there is no such operation.
    pub operation: &'static str,
    /// What the request names: an ARN, or `*`.
    pub resource: String,
    /// Whether a record tells of the request already.
    pub recorded: Arc<AtomicBool>,
}
