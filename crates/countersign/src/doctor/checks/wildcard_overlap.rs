//! A wildcard domain beside this one trusts others.

use super::super::facts::Facts;
use super::super::settings::Domain;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "wildcard-overlap",
    severity: Severity::Warning,
    about: "A wildcard domain beside this one trusts others",
    why: "Which domain answers goes by the most specific name: a name that is mistyped, or not set up yet, falls \
        to the wildcard with its own truststore or none.",
    needs: Need::Settings,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    let domain = &settings.domain;
    let covers = |wildcard: &str, name: &str| {
        wildcard.strip_prefix("*.").is_some_and(|parent| name.split_once('.').is_some_and(|(_, rest)| rest == parent))
    };
    let overlaps = |other: &&Domain| covers(&other.name, &domain.name) || covers(&domain.name, &other.name);
    let differs = |other: &&Domain| other.truststore_uri != domain.truststore_uri;
    let seen = |other: &Domain| {
        let trust = |domain: &Domain| domain.truststore_uri.clone().unwrap_or_else(|| "no truststore".to_owned());
        Seen::new(
            format!("{} has {}, {} has {}.", domain.name, trust(domain), other.name, trust(other)),
            "Give both the same truststore, or be sure that the difference is meant.",
        )
    };
    settings.others.iter().filter(overlaps).filter(differs).map(seen).collect()
}
