//! The clients of a ledger, judged under two settings.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::ledger::{ClientChain, Entry, Id, Ledger, LedgerError};
use model::UnixMillis;
use model::snapshot::Trust;
use serde::Serialize;
use trust::{
    Code, Diff, Fallback, Fetch, Judgment, NothingFetched, Revocation, RevocationRules, Revocations, Surroundings,
    UnixSeconds, Unrevoked,
};

/// Clients of each list in an answer; all are counted.
const MAX_LISTED: usize = 1_000;
/// Clients that are judged for one answer.
const MAX_JUDGED: u64 = 200_000;
/// Time that they are judged for.
const MAX_TIME: Duration = Duration::from_secs(20);

/// What is enforced, and what might be.
pub(super) struct Sides {
    pub(super) enforced: Side,
    pub(super) candidate: Side,
}

/// Settings to judge by.
pub(in crate::own_api) struct Side {
    trust: Arc<Trust>,
    /// Without what would have to be fetched.
    revocations: Option<Revocations>,
}

/// What becomes of whom.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Comparison {
    /// Clients that the enforced settings accept now.
    accepted: u64,
    /// Clients that the enforced settings refuse now.
    refused: u64,
    would_be_refused: Changed,
    would_be_accepted: Changed,
    /// Not all clients were judged: there are too many.
    cut_short: bool,
}

/// Clients of one kind, those first that were seen last.
#[derive(Debug, Default, Serialize)]
struct Changed {
    count: u64,
    clients: Vec<ChangedClient>,
}

/// A client that would be treated otherwise.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangedClient {
    id: Id,
    subject: String,
    /// SHA-256 of its certificate, lowercase hexadecimal.
    fingerprint: String,
    last_seen: UnixMillis,
    /// Requests that were let in, and refused ones.
    requests: u64,
    /// Why it would be refused, or is refused now.
    code: Code,
    explanation: String,
    fix: String,
}

impl Sides {
    /// Whether either would have the status of certificates fetched.
    pub(super) fn fetch(&self) -> bool {
        [&self.enforced, &self.candidate].iter().any(|side| side.fetches())
    }

    /// What the candidate's truststore has that the enforced one has not, and the other way round; validity counts as of `at`.
    pub(super) fn diff(&self, at: UnixSeconds) -> Diff {
        Diff::of(&self.enforced.trust.truststore, &self.candidate.trust.truststore, at)
    }
}

impl Side {
    pub(in crate::own_api) fn new(trust: Arc<Trust>) -> Self {
        let revocations = trust.revocations.clone().map(|given| match given.rules.fetch {
            Fetch::None => given,
            _ => {
                let rules = RevocationRules { fetch: Fetch::None, on_missing: Fallback::Allow, ..given.rules };
                Revocations { rules, ..given }
            }
        });
        Self { trust, revocations }
    }

    /// Whether it would have the status of certificates fetched.
    pub(in crate::own_api) fn fetches(&self) -> bool {
        self.trust.revocations.as_ref().is_some_and(|revocations| revocations.rules.fetch != Fetch::None)
    }

    pub(in crate::own_api) fn judge(&self, certificates: &[&[u8]], at: UnixSeconds) -> Judgment {
        let view = self.revocations.as_ref().map(|revocations| revocations.view(&NothingFetched));
        let revocation: &dyn Revocation = view.as_ref().map_or(&Unrevoked, |view| view);
        self.trust.truststore.judge(certificates, &self.trust.policy, revocation, at)
    }
}

impl Comparison {
    /// Of the clients that came to `domain` at `since` or later. Blocks.
    pub(super) fn of(
        ledger: &Ledger,
        domain: &str,
        since: UnixMillis,
        sides: &Sides,
        at: UnixSeconds,
    ) -> Result<Self, LedgerError> {
        let mut comparison = Self::default();
        let began = Instant::now();
        ledger.each_seen_since(domain, since, |entry, chain| {
            if comparison.accepted + comparison.refused >= MAX_JUDGED || began.elapsed() > MAX_TIME {
                comparison.cut_short = true;
                return ControlFlow::Break(());
            }
            comparison.add(&entry, &chain, sides, at);
            ControlFlow::Continue(())
        })?;
        Ok(comparison)
    }

    /// Whether all clients were judged.
    pub(super) fn is_whole(&self) -> bool {
        !self.cut_short
    }

    /// In one sentence.
    pub(super) fn summary(&self, days: u32) -> String {
        let seen = format!("seen in the last {}", counted(days.into(), "day"));
        let (accepted, lost, won) = (self.accepted, self.would_be_refused.count, self.would_be_accepted.count);
        let mut summary = match (accepted, lost) {
            (0, _) => format!("no client that is accepted now was {seen}"),
            (_, 0) => format!("none of {} {seen} would be refused", counted(accepted, "client")),
            _ => format!("{lost} of {} {seen} would be refused", counted(accepted, "client")),
        };
        if won > 0 {
            summary += &format!("; {won} of {} that are refused now would be accepted", self.refused);
        }
        summary
    }

    fn add(&mut self, entry: &Entry, chain: &ClientChain, sides: &Sides, at: UnixSeconds) {
        let certificates: Vec<&[u8]> = chain.certificates().collect();
        let enforced = sides.enforced.judge(&certificates, at);
        let candidate = sides.candidate.judge(&certificates, at);
        match (enforced.refusal(), candidate.refusal()) {
            (None, None) => self.accepted += 1,
            (Some(_), Some(_)) => self.refused += 1,
            (None, Some(refusal)) => {
                self.accepted += 1;
                let explained = Explained::of(&candidate, &certificates, &sides.candidate.trust, at);
                self.would_be_refused.add(entry, refusal.code, explained);
            }
            (Some(refusal), None) => {
                self.refused += 1;
                let explained = Explained::of(&enforced, &certificates, &sides.enforced.trust, at);
                self.would_be_accepted.add(entry, refusal.code, explained);
            }
        }
    }
}

impl Changed {
    fn add(&mut self, entry: &Entry, code: Code, explained: impl FnOnce() -> Explained) {
        self.count += 1;
        if self.clients.len() == MAX_LISTED {
            return;
        }
        let Explained { explanation, fix } = explained();
        let certificate = entry.certificate.as_ref();
        self.clients.push(ChangedClient {
            id: entry.id,
            subject: certificate.map_or_else(String::new, |certificate| certificate.subject.clone()),
            fingerprint: certificate.map_or_else(String::new, |certificate| certificate.fingerprint.clone()),
            last_seen: entry.last_seen,
            requests: entry.accepted.saturating_add(entry.refused),
            code,
            explanation,
            fix,
        });
    }
}

struct Explained {
    explanation: String,
    fix: String,
}

impl Explained {
    fn of(judgment: &Judgment, certificates: &[&[u8]], trust: &Trust, at: UnixSeconds) -> impl FnOnce() -> Self {
        move || {
            let around = Surroundings::default();
            let explained = trust::explain(judgment, certificates, &trust.truststore, &around, &trust.policy, at);
            let explained = explained.map(|explained| Self { explanation: explained.explanation, fix: explained.fix });
            explained.unwrap_or_else(|| Self { explanation: String::new(), fix: String::new() })
        }
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
