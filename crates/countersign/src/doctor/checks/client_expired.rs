//! The client's certificate has expired.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-expired",
    severity: Severity::Error,
    about: "The client's certificate has expired",
    why: "An expired certificate is refused whoever issued it.",
    needs: Need::Client,
    causes: &["client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertExpired)
}
