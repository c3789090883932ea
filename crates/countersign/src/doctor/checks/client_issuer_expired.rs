//! An authority above the client is outside its validity.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-issuer-expired",
    severity: Severity::Error,
    about: "An authority above the client is outside its validity",
    why: "All clients of that authority are refused at once.",
    needs: Need::Client,
    causes: &["truststore-stale", "client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertIssuerExpired)
}
