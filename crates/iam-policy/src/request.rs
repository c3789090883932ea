//! A request as policies see it, and what they say to it.

use crate::Policy;

/// What is asked of policies.
pub struct Request<'a> {
    /// Lowercase: actions are compared without regard to case.
    action: String,
    resources: &'a [&'a str],
    principals: &'a [&'a str],
    context: &'a dyn Context,
}

/// The values that conditions and variables look at.
pub trait Context {
    /// The values of a key, which is lowercase, e.g. `aws:sourceip`; none where the request has no such key.
    fn values(&self, key: &str) -> Option<Vec<String>>;
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it, and none denies it.
    Allowed,
    /// A statement denies it.
    Denied,
    /// No statement is about it.
    NotAllowed,
}

impl<'a> Request<'a> {
    /// An action (`s3:GetObject`) on a resource, given by all names that policies may call it by.
    pub fn new(action: &str, resources: &'a [&'a str], context: &'a dyn Context) -> Self {
        Self { action: action.to_ascii_lowercase(), resources, principals: &[], context }
    }

    /// Of somebody whom a trust policy may name by any of these ARNs.
    #[must_use]
    pub fn by(self, principals: &'a [&'a str]) -> Self {
        Self { principals, ..self }
    }

    pub(crate) fn action(&self) -> &str {
        &self.action
    }

    pub(crate) fn resources(&self) -> &[&'a str] {
        self.resources
    }

    pub(crate) fn principals(&self) -> &[&'a str] {
        self.principals
    }

    pub(crate) fn context(&self) -> &'a dyn Context {
        self.context
    }
}

/// What policies say together to a request.
pub fn decide<'p>(policies: impl IntoIterator<Item = &'p Policy>, request: &Request<'_>) -> Decision {
    let mut decision = Decision::NotAllowed;
    for policy in policies {
        match policy.decide(request) {
            Decision::Denied => return Decision::Denied,
            Decision::Allowed => decision = Decision::Allowed,
            Decision::NotAllowed => {}
        }
    }
    decision
}
