//! The client's certificate is not for clients.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-purpose",
    severity: Severity::Error,
    about: "The client's certificate is not for clients",
    why: "Its extended key usage leaves clientAuth out, or it is a CA's.",
    needs: Need::Client,
    causes: &["client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertPurposeInvalid)
}
