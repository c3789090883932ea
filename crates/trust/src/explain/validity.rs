//! Too late, too early, and clocks that are wrong.

use super::{Case, Explanation, Seen, shown};
use crate::{Certificate, Code, UnixSeconds, time};

/// A validity that begins within this is rather a wrong clock than a plan.
const CLOCK_SKEW_SECONDS: UnixSeconds = 86_400;
/// A validity that ended within this may not have ended by the client's clock.
const JUST_EXPIRED_SECONDS: UnixSeconds = 3_600;
/// So many clients with certificates of the future are no accident.
const EARLY_CLIENTS: usize = 3;

impl Case<'_> {
    pub(super) fn expired(&self, leaf: &Certificate) -> Explanation {
        let ago = self.at.saturating_sub(leaf.not_after());
        let explanation = format!(
            "The certificate {} expired {} ago, on {}.",
            shown(leaf),
            time::span(ago),
            time::rfc3339(leaf.not_after())
        );
        let mut explanation = Explanation::new(explanation, Code::ClientCertExpired.fix())
            .with("not_after", &time::rfc3339(leaf.not_after()))
            .with("expired_for", &time::span(ago))
            .with("judged_at", &time::rfc3339(self.at));
        if let Some(renewed) = self.renewed(leaf) {
            return explanation.with_renewed(&renewed, self.at);
        }
        if ago <= JUST_EXPIRED_SECONDS {
            let lifetime = leaf.not_after().saturating_sub(leaf.not_before());
            explanation.explanation += &format!(
                " It was valid for {}, and ended so recently that the client is late with its renewal, or the clock \
                 here is ahead.",
                time::span(lifetime)
            );
            explanation.fix =
                "Renew the certificate; and see that this machine's clock is set by a time server.".to_owned();
        }
        explanation
    }

    /// The same client's certificate that ends last, if it ends later than `leaf`.
    pub(super) fn renewed(&self, leaf: &Certificate) -> Option<Seen> {
        let later = leaf.not_after().max(self.at);
        let seen = self.around.seen?.namesakes(leaf).into_iter();
        let seen = seen.filter(|seen| seen.not_after > later && seen.fingerprint != leaf.fingerprint_hex());
        seen.max_by_key(|seen| seen.not_after)
    }

    pub(super) fn not_yet_valid(&self, leaf: &Certificate) -> Explanation {
        let left = leaf.not_before().saturating_sub(self.at);
        let explanation = format!(
            "The certificate {} becomes valid in {}, on {}.",
            shown(leaf),
            time::span(left),
            time::rfc3339(leaf.not_before())
        );
        let mut explanation = Explanation::new(explanation, Code::ClientCertNotYetValid.fix())
            .with("not_before", &time::rfc3339(leaf.not_before()))
            .with("judged_at", &time::rfc3339(self.at));
        let early = self.around.seen.map_or(0, |seen| seen.not_yet_valid(self.at));
        if early >= EARLY_CLIENTS {
            explanation.explanation += &format!(
                " {early} clients came within the hour with certificates that were not valid yet, so the clock here is \
                 probably behind."
            );
            explanation.fix = format!(
                "Set this machine's clock by a time server; it was {} here when this was judged.",
                time::rfc3339(self.at)
            );
            return explanation.with("clients_not_yet_valid", &early.to_string());
        }
        if left <= CLOCK_SKEW_SECONDS {
            explanation.explanation += " That is so near that the clock here or at its authority is probably wrong.";
            explanation.fix =
                "Set the clocks of this machine and of the authority by a time server, then issue it again if needed."
                    .to_owned();
        }
        explanation
    }

    pub(super) fn issuer_expired(&self) -> Option<Explanation> {
        let subject = self.evidence("certificate")?;
        let ca = self
            .authorities()
            .find(|ca| ca.subject() == subject && !(ca.not_before()..=ca.not_after()).contains(&self.at))?;
        let (explanation, fix) = if self.at > ca.not_after() {
            let (ago, date) = (time::span(self.at.saturating_sub(ca.not_after())), time::rfc3339(ca.not_after()));
            (format!("The authority \"{subject}\" expired {ago} ago, on {date}."), Code::ClientCertIssuerExpired.fix())
        } else {
            let (left, date) = (time::span(ca.not_before().saturating_sub(self.at)), time::rfc3339(ca.not_before()));
            let fix = "Wait for its validity to begin, or correct the clock of whoever issued it.";
            (format!("The authority \"{subject}\" becomes valid in {left}, on {date}."), fix)
        };
        let explanation = Explanation::new(explanation, fix)
            .with("certificate", subject)
            .with("certificate_sha256", &ca.fingerprint_hex())
            .with("not_before", &time::rfc3339(ca.not_before()))
            .with("not_after", &time::rfc3339(ca.not_after()))
            .with("judged_at", &time::rfc3339(self.at));
        Some(explanation)
    }
}

impl Explanation {
    /// The client has a newer certificate than the one that it sent at `at`.
    pub(super) fn with_renewed(mut self, renewed: &Seen, at: UnixSeconds) -> Self {
        let (until, seen) = (time::rfc3339(renewed.not_after), time::rfc3339(renewed.last_seen));
        if renewed.not_before > at {
            self.explanation += &format!(
                " It was renewed since: a certificate of the same name, valid until {until}, was last seen on {seen}."
            );
            self.fix =
                "None, unless this client runs in more places: the old certificate may still be there.".to_owned();
        } else {
            self.explanation += &format!(
                " A renewed certificate of the same name, valid until {until}, was last seen on {seen}: the client has \
                 it, but did not send it this time."
            );
            self.fix =
                format!("Install the renewed certificate (SHA-256 {}) wherever this client runs.", renewed.fingerprint);
        }
        self.with("renewed_sha256", &renewed.fingerprint)
            .with("renewed_not_after", &until)
            .with("renewed_last_seen", &seen)
    }
}
