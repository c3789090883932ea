//! The truststore has the client's issuer, but not the way up to a root.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-chain-incomplete",
    severity: Severity::Error,
    about: "The truststore has the client's issuer, but not the way up to a root",
    why: "The path is built from the truststore alone, as on AWS: what the client sends along does not count.",
    needs: Need::Client,
    causes: &["truststore-stale", "client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertChainIncomplete)
}
