//! What the client sends is too large.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-chain-too-large",
    severity: Severity::Error,
    about: "What the client sends is too large",
    why: "Nobody reads a chain of any size before knowing whose it is.",
    needs: Need::Client,
    causes: &["client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertMaxSizeExceeded)
}
