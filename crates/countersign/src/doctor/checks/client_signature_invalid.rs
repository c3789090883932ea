//! The client's certificate was not signed by the trusted authority of its issuer's name.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-signature-invalid",
    severity: Severity::Error,
    about: "The client's certificate was not signed by the trusted authority of its issuer's name",
    why: "Names can be chosen, keys cannot: an authority that was made anew has the old name and another key.",
    needs: Need::Client,
    causes: &["truststore-stale", "client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertSignatureInvalid)
}
