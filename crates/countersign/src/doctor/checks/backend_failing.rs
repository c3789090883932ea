//! The service behind fails.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "backend-failing",
    severity: Severity::Error,
    about: "The service behind fails",
    why: "The client is trusted; what it called does not work.",
    needs: Need::Tls,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let visits = [facts.given(), Some(&facts.live.anonymous)];
    let answer = visits.into_iter().flatten().filter_map(|visit| visit.answer()).find(|answer| answer.status >= 500);
    let Some(answer) = answer else { return Vec::new() };
    vec![Seen::new(
        format!("It answered {}.", answer.status),
        "Look at the service behind: whether it runs, and whether the server reaches it.",
    )]
}
