//! The client's certificate cannot be parsed, or contradicts itself.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-invalid",
    severity: Severity::Error,
    about: "The client's certificate cannot be parsed, or contradicts itself",
    why: "A server refuses what it cannot read.",
    needs: Need::Client,
    causes: &["client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertInvalid)
}
