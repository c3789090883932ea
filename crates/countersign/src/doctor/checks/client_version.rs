//! The client's certificate is X.509 v1, and the server wants v3.

use trust::Code;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, refused_for};

pub(super) const CHECK: Check = Check {
    id: "client-version",
    severity: Severity::Error,
    about: "The client's certificate is X.509 v1, and the server wants v3",
    why: "`openssl x509 -req` without extensions makes v1. AWS accepts it; the profile rfc5280 and many servers do \
        not.",
    needs: Need::Client,
    causes: &["client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    refused_for(facts, Code::ClientCertTypeUnsupported)
}
