//! Nothing is served at the path.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "path-not-found",
    severity: Severity::Info,
    about: "Nothing is served at the path",
    why: "Trust is fine; path, stage or route are not, if something was meant to be there.",
    needs: Need::Tls,
    causes: &["no-mapping"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let visits = [facts.given(), Some(&facts.live.anonymous)];
    let found = visits.into_iter().flatten().filter_map(|visit| visit.answer()).any(|answer| answer.status == 404);
    if !found {
        return Vec::new();
    }
    vec![Seen::new(format!("{} answered 404.", facts.target.path), "Give a URL with a path that the API has.")]
}
