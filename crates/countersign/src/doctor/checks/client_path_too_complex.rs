//! The search for the client's path was given up.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-path-too-complex",
    severity: Severity::Error,
    about: "The search for the client's path was given up",
    why: "Many authorities of one name make many ways; a bounded number of them is tried.",
    needs: Need::Client,
    causes: &["truststore-stale", "client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertPathTooComplex)
}
