//! How the server is: whether it is about to stop, and what is wrong with it while it serves all the same.

use std::fmt;
use std::sync::atomic::Ordering;

use http::StatusCode;

use crate::Control;
use crate::acm::is_failing_renewal;
use crate::metrics::{Collector, DescriptorEncoder, counter, gauge};

/// A part that does not do what it is there for. Requests of clients are served meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A certificate cannot be taken from the files that it is kept in, or was not renewed by its ACME issuer.
    Certificates,
    /// Clients that are seen are not noted in the ledger.
    Clients,
    /// A domain or an API cannot be served as it is set.
    Domains,
    /// Records are not written, only kept in memory while there is room.
    Records,
    /// A revocation list that a domain names is out of date.
    RevocationLists,
    /// The last change of the settings could not be stored.
    Settings,
    /// A sink has not been taking records for a minute.
    Sinks,
    /// The store of the settings cannot be asked; what was set before is enforced.
    Store,
    /// What API keys have used is not written down.
    Usage,
    /// The witness was not told of checkpoints for a minute.
    Witness,
}

impl Fault {
    const ALL: [Self; 10] = [
        Self::Certificates,
        Self::Clients,
        Self::Domains,
        Self::Records,
        Self::RevocationLists,
        Self::Settings,
        Self::Sinks,
        Self::Store,
        Self::Usage,
        Self::Witness,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Certificates => "certificates",
            Self::Clients => "clients",
            Self::Domains => "domains",
            Self::Records => "records",
            Self::RevocationLists => "revocation_lists",
            Self::Settings => "settings",
            Self::Sinks => "sinks",
            Self::Store => "store",
            Self::Usage => "usage",
            Self::Witness => "witness",
        }
    }

    fn is_in(self, control: &Control) -> bool {
        let shared = &control.shared;
        match self {
            Self::Certificates => shared.certificate_files_fail.load(Ordering::Relaxed) || has_failing_renewal(control),
            Self::Clients => shared.ledger.stats().error.is_some(),
            Self::Domains => !shared.snapshots.borrow().faults.is_empty(),
            Self::Records => shared.journal.stats().error.is_some(),
            Self::RevocationLists => has_outdated_list(control),
            Self::Settings => shared.settings.is_failing(),
            Self::Sinks => (shared.sinks_fail)(),
            Self::Store => shared.settings.lost().is_some(),
            Self::Usage => shared.usage.is_failing(),
            Self::Witness => shared.witness_fails.as_ref().is_some_and(|fails| fails()),
        }
    }
}

impl Control {
    /// `GET /_countersign/health`. Who balances asks for the status: faults leave it as it is, since another server would serve
    /// nobody better.
    pub(crate) fn health(&self) -> (StatusCode, serde_json::Value) {
        let faults: Vec<&str> =
            Fault::ALL.into_iter().filter(|fault| fault.is_in(self)).map(|fault| fault.as_str()).collect();
        let (status, word) = match (self.is_draining(), faults.is_empty()) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            (false, false) => (StatusCode::OK, "degraded"),
            (false, true) => (StatusCode::OK, "ok"),
        };
        let mut health = serde_json::json!({
            "status": word,
            "faults": faults,
            "revision": self.settings().state().revision,
            "applied": self.settings().applied(),
            "version": env!("CARGO_PKG_VERSION"),
        });
        if let Some(since) = self.settings().lost() {
            health["store_lost_since"] = since.into();
        }
        (status, health)
    }
}

/// Whether an ACME issuer was asked for a renewal in vain.
fn has_failing_renewal(control: &Control) -> bool {
    let state = control.settings().state();
    state.acme_orders.values().any(|order| is_failing_renewal(&state, order))
}

/// Whether the newest list of an issuer that a domain names is out of date.
fn has_outdated_list(control: &Control) -> bool {
    let (snapshot, now) = (control.shared.snapshots.borrow().clone(), control.now().div_euclid(1000));
    let trusts = snapshot.domains().filter_map(|domain| domain.trust.as_ref());
    trusts.filter_map(|trust| trust.revocations.as_ref()).any(|revocations| revocations.has_outdated(now))
}

/// Tells the faults as metrics.
pub(crate) struct OfHealth(pub(crate) std::sync::Weak<crate::control::Shared>);

impl Collector for OfHealth {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(shared) = self.0.upgrade() else { return Ok(()) };
        let control = Control { shared };
        let faults = Fault::ALL.map(|fault| ([("part", fault.as_str())], f64::from(u8::from(fault.is_in(&control)))));
        gauge(&mut encoder, "fault", "1 where a part of the server does not do what it is there for.", faults)?;
        let dropped = control.shared.journal.stats().dropped;
        let help = "Records that were lost because the disk did not keep up or failed.";
        counter(&mut encoder, "records_dropped", help, [([], dropped)])
    }
}

impl fmt::Debug for OfHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfHealth")
    }
}
