//! The client's certificate is of an authority that is not trusted.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-untrusted",
    severity: Severity::Error,
    about: "The client's certificate is of an authority that is not trusted",
    why: "The truststore decides who is let in: an issuer that is not in it issues for strangers.",
    needs: Need::Client,
    causes: &["truststore-unusable", "truststore-stale", "client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertUntrusted)
}
