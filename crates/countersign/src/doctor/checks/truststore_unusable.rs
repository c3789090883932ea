//! The truststore cannot be used at all.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "truststore-unusable",
    severity: Severity::Error,
    about: "The truststore cannot be used at all",
    why: "A truststore of which nothing can be read lets nobody in, and AWS refuses it.",
    needs: Need::Truststore,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(file) = facts.truststore() else { return Vec::new() };
    match &file.compiled {
        Ok(_) => Vec::new(),
        Err(why) => vec![
            Seen::new(format!("{}: {why}.", file.name), "Make it PEM with the certificates of the CAs, and nothing else.")
                .command("countersign truststore lint FILE"),
        ],
    }
}
