//! The client's certificate, or one above it, has a weak signature.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-weak-signature",
    severity: Severity::Error,
    about: "The client's certificate, or one above it, has a weak signature",
    why: "SHA-1 and MD5 can be forged.",
    needs: Need::Client,
    causes: &["client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertWeakSignature)
}
