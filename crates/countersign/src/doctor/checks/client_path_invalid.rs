//! A certificate of the client's path may not do what it does there.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-path-invalid",
    severity: Severity::Error,
    about: "A certificate of the client's path may not do what it does there",
    why: "It is no CA, its constraints forbid it, or it has a critical extension that is not understood.",
    needs: Need::Client,
    causes: &["truststore-stale", "client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertPathInvalid)
}
