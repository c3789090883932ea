//! The client's certificate is self-signed and not itself trusted.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-self-signed",
    severity: Severity::Error,
    about: "The client's certificate is self-signed and not itself trusted",
    why: "Nobody but the client vouches for it.",
    needs: Need::Client,
    causes: &["truststore-stale", "client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertSelfSigned)
}
