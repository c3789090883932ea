//! Too many authorities are above the client.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-chain-too-long",
    severity: Severity::Error,
    about: "Too many authorities are above the client",
    why: "AWS accepts four, the root counted.",
    needs: Need::Client,
    causes: &["client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertMaxChainDepthExceeded)
}
