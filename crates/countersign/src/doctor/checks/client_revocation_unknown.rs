//! Whether the client's certificate is revoked is not known, and the server refuses then.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-revocation-unknown",
    severity: Severity::Error,
    about: "Whether the client's certificate is revoked is not known, and the server refuses then",
    why: "A list that is missing or out of date shuts out every client of its authority.",
    needs: Need::Client,
    causes: &["client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertCrlProcessingError)
}
