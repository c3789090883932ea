//! Who calls.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::Error;

/// The authenticated origin of one request, and what it asks for.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The access key that signed the request.
    pub access_key_id: String,
    /// `arn:aws:iam::123456789012:user/name`, or that of a session.
    pub arn: String,
    /// `aws:PrincipalArn`: as `arn`, but of a session that of the role.
    pub principal_arn: String,
    /// What they signed with ends, and came with a session token.
    pub temporary: bool,
    /// Decides what they may do.
    pub authority: Arc<dyn Authority>,
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

/// Decides what a caller may do.
pub trait Authority: fmt::Debug + Send + Sync {
    /// Refuses what may not be done, in AWS's words.
    fn authorize(&self, asked: &Asked<'_>) -> Result<(), Error>;

    /// Whether something says that it may not be done, which outweighs that somebody else allows it.
    fn denies(&self, asked: &Asked<'_>) -> bool;

    /// What conditions find of who calls and how, by a lowercase key.
    fn value(&self, key: &str) -> Option<String>;
}

/// What somebody wants to do.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// `s3:GetObject`
    pub action: &'a str,
    /// The resource by all names that policies may call it by; the first is shown to people.
    pub resources: &'a [&'a str],
    /// Values that conditions look at, by lowercase keys, besides those that all requests have.
    pub context: &'a [(String, Vec<String>)],
}

impl Caller {
    /// Refuses who may not take an action on the resource with this ARN (or `*`).
    pub fn may(&self, action: &str, resource: &str) -> Result<(), Error> {
        self.authority.authorize(&Asked { action, resources: &[resource], context: &[] })
    }
}
