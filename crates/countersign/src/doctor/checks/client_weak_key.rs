//! The client's key, or one above it, is weak.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-weak-key",
    severity: Severity::Error,
    about: "The client's key, or one above it, is weak",
    why: "RSA below 2048 bits can be broken; other kinds are not accepted.",
    needs: Need::Client,
    causes: &["client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertWeakKey)
}
