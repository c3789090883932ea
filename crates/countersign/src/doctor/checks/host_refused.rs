//! The Host of the request is not the server name's domain.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "host-refused",
    severity: Severity::Error,
    about: "The Host of the request is not the server name's domain",
    why: "421: the server was reached under a name that is another domain's there.",
    needs: Need::ClientAndTls,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(answer) = facts.given().and_then(|given| given.answer()).filter(|answer| answer.status == 421) else {
        return Vec::new();
    };
    vec![Seen::new(format!("With the certificate it answered {}.", answer.status), "Use one name for both.")]
}
