//! The server accepts a certificate that a trusted authority's name, but not its key, stands for.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "impostor-accepted",
    severity: Severity::Error,
    about: "The server accepts a certificate that a trusted authority's name, but not its key, stands for",
    why: "Whoever knows the name of a CA can then make certificates.",
    needs: Need::Tls,
    causes: &["mutual-tls-off", "no-client-auth", "stranger-accepted", "certificate-optional"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(impostor) = facts.live.impostor.as_ref().filter(|impostor| impostor.is_let_in()) else { return Vec::new() };
    let name = facts.live.impostor_of.clone().unwrap_or_default();
    vec![Seen::new(
        format!("To a certificate with the issuer {name}, signed by another key, it {}.", impostor.ended.words()),
        "Verify signatures, not names.",
    )]
}
