//! What listens there does not speak TLS.

use super::super::facts::Facts;
use super::super::probe::Ended;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "not-tls",
    severity: Severity::Error,
    about: "What listens there does not speak TLS",
    why: "Certificates are shown in TLS only; over plain HTTP everybody is let in, or nobody.",
    needs: Need::Nothing,
    causes: &["unreachable"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    match facts.live.anonymous.ended {
        Ended::NotTls => vec![Seen::new(
            format!("The answer of {} to a TLS ClientHello is no TLS.", facts.address),
            "Name the port on which the server speaks TLS (https), or switch TLS on there.",
        )],
        _ => Vec::new(),
    }
}
