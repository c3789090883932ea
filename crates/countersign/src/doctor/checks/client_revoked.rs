//! The client's certificate, or an authority above it, is revoked.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-revoked",
    severity: Severity::Error,
    about: "The client's certificate, or an authority above it, is revoked",
    why: "Who revoked it had a reason: a key that was stolen, a partner that left.",
    needs: Need::Client,
    causes: &["client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertCrlHit)
}
