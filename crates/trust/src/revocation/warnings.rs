//! What is wrong, or soon will be, with the lists that an operator gave.

use std::sync::Arc;

use super::{Fallback, Fetch, Revocations, Scope};
use crate::search::quoted;
use crate::{Certificate, Crl, Truststore, UnixSeconds, time};

/// A list that ends within this many seconds is worth a word, if it was made for four times as long.
const SOON: UnixSeconds = 24 * 3600;

impl Revocations {
    /// One sentence or two for each list that is out of date, or soon is, and each CA of `truststore` whose clients will be
    /// refused because nothing says who of them is revoked.
    pub fn warnings(&self, truststore: &Truststore, at: UnixSeconds) -> Vec<String> {
        let outdated = self.newest().filter_map(|list| self.age_warning(list, at));
        let refuses = self.rules.on_missing == Fallback::Deny && self.rules.fetch == Fetch::None;
        let uncovered = truststore.certificates().filter(|ca| refuses && self.is_uncovered(ca, truststore));
        outdated.chain(uncovered.map(|ca| uncovered_warning(ca))).collect()
    }

    /// Whether the newest list of an issuer is out of date.
    pub fn has_outdated(&self, at: UnixSeconds) -> bool {
        self.newest().filter_map(|list| list.next_update()).any(|until| at > until)
    }

    /// Of each issuer.
    fn newest(&self) -> impl Iterator<Item = &Arc<Crl>> {
        self.crls.iter().filter(|list| !self.crls.iter().any(|other| replaces(other, list)))
    }

    fn age_warning(&self, list: &Crl, at: UnixSeconds) -> Option<String> {
        let until = list.next_update()?;
        let (issuer, until_text) = (quoted(list.issuer()), time::rfc3339(until));
        let life = until.saturating_sub(list.this_update());
        if at > until {
            let consequence = match (self.rules.on_stale, self.rules.fetch) {
                (Fallback::Allow, _) => "who was revoked since then is still let in",
                (Fallback::Deny, Fetch::None) => "its clients are refused",
                (Fallback::Deny, _) => "its clients depend on what is fetched",
            };
            return Some(format!(
                "The revocation list of {issuer} is out of date since {until_text}: {consequence}. Give a newer one."
            ));
        }
        let soon = until.saturating_sub(at) < SOON.min(life / 4);
        soon.then(|| format!("The revocation list of {issuer} will be out of date on {until_text}. Give a newer one."))
    }

    /// Whether a CA's clients have no list.
    fn is_uncovered(&self, ca: &Arc<Certificate>, truststore: &Truststore) -> bool {
        let has_list = || self.crls.iter().any(|list| list.issuer_der() == ca.subject_der());
        // One that has CAs below it need not have clients of its own.
        let is_above = || {
            let mut others = truststore.certificates().filter(|other| !Arc::ptr_eq(other, ca));
            others.any(|other| other.issuer_der() == ca.subject_der())
        };
        ca.is_ca() && !has_list() && !(self.rules.scope == Scope::Leaf && is_above())
    }
}

/// Whether `other` is a newer list of the same issuer.
fn replaces(other: &Crl, list: &Crl) -> bool {
    other.issuer_der() == list.issuer_der() && other.this_update() > list.this_update()
}

fn uncovered_warning(ca: &Certificate) -> String {
    let name = quoted(ca.subject());
    format!(
        "There is no revocation list of {name}: its clients will be refused. Give one, or let them in \
         (tag countersign:revocation-on-missing=allow)."
    )
}
