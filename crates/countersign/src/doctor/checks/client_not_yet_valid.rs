//! The client's certificate is not valid yet.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-not-yet-valid",
    severity: Severity::Error,
    about: "The client's certificate is not valid yet",
    why: "It is refused until its time comes, by the server's clock.",
    needs: Need::Client,
    causes: &["client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertNotYetValid)
}
