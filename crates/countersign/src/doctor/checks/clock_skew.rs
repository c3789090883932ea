//! The server's clock and this machine's differ.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

/// Seconds that say nothing.
const TOLERATED_S: i64 = 60;

pub(super) const CHECK: Check = Check {
    id: "clock-skew",
    severity: Severity::Warning,
    about: "The server's clock and this machine's differ",
    why: "Certificates begin and end by the clock: one that is good here may not be there yet, or not any more.",
    needs: Need::Tls,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let visits = [facts.given(), Some(&facts.live.anonymous), facts.live.stranger.as_ref()];
    let date = visits.into_iter().flatten().find_map(|visit| visit.answer()?.header("date"));
    let Some(server) = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok()) else { return Vec::new() };
    let ahead = server.unix_timestamp() - facts.now;
    if ahead.abs() <= TOLERATED_S {
        return Vec::new();
    }
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    vec![Seen::new(
        format!("By its Date header the server is {} s {direction} this machine.", ahead.abs()),
        "Let both synchronize their clocks (NTP).",
    )]
}
