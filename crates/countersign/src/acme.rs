//! Certificates by ACME (RFC 8555): those that ACM was asked for are ordered, validated, fetched, and in good time ordered again.
//!
//! What is wanted, what the issuer has of it and what is answered when it asks for a proof are settings
//! ([`model::resource::AcmeOrder`]). Here is who works them off, on each node.

mod challenges;
mod failure;
mod issuer;
mod order;
mod suggested;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use control::{Control, Failed, Outcome};
use edge::AlpnChallenges;
use model::State;
use model::resource::Certificate;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::answer::{Failure, printable, warn};
use crate::config::Acme as Settings;
use challenges::{HttpChallenges, Proofs};
use issuer::Issuer;
use suggested::Suggestions;

/// Orders certificates from one issuer. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Acme(Arc<Parts>);

struct Parts {
    issuer: Issuer,
    proofs: Proofs,
    http: Option<HttpChallenges>,
    suggestions: Suggestions,
    node: String,
}

/// Orders that are tried at a time.
const AT_ONCE: usize = 8;
/// For a try.
const TRY: Duration = Duration::from_secs(4 * 60);
/// If nothing is heard of a try by then, another node may: more than [`TRY`], and than the settings take.
const CLAIM_MILLIS: i64 = 6 * 60 * 1000;
/// After the settings could not be changed.
const PAUSE: Duration = Duration::from_secs(10);
/// Between two looks at most: the clock may be set.
const LOOK: Duration = Duration::from_secs(60 * 60);

impl Acme {
    /// None where the configuration names no directory. Challenges by TLS are answered by whoever has the other end of `alpn`.
    /// `node` is this one's name.
    pub(crate) fn open(settings: &Settings, alpn: AlpnChallenges, node: &str) -> Result<Option<Self>, Failure> {
        let Some(directory) = &settings.directory else { return Ok(None) };
        let issuer = Issuer::open(settings, directory)?;
        let http = settings.http_addr.map(HttpChallenges::open).transpose()?;
        let suggestions = Suggestions::default();
        Ok(Some(Self(Arc::new(Parts { issuer, proofs: Proofs::new(alpn), http, suggestions, node: node.to_owned() }))))
    }

    /// Until it is aborted. It can be run again then.
    pub(crate) async fn run(self, control: Control) {
        let answering = async {
            match &self.0.http {
                Some(http) => http.serve(&control).await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(answering, self.0.suggestions.follow(&self.0.issuer, &control), self.order_all(&control));
    }

    async fn order_all(&self, control: &Control) {
        let mut states = control.settings().states();
        let mut suggested = self.0.suggestions.changes();
        let mut tries = Tries::default();
        loop {
            let seen = states.borrow_and_update().clone();
            suggested.borrow_and_update();
            if let Err(e) = self.0.proofs.show(&seen) {
                warn(&format!("a challenge of the ACME issuer cannot be answered: {e}"));
            }
            let work = control.acme_work(&self.0.node, &|certificate| self.0.suggestions.of(certificate));
            for certificate in work.due {
                tries.begin(certificate, |certificate| self.clone().attempt(control.clone(), certificate));
            }
            let next = work.next.and_then(|at| u64::try_from(at - control.now()).ok()).map(Duration::from_millis);
            let next = Instant::now() + next.map_or(LOOK, |next| next.min(LOOK));
            tokio::select! {
                going_on = changed(&mut states, &seen) => if !going_on { return },
                _ = suggested.changed() => {}
                () = tries.ended() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    /// Tries a certificate's order, and settles what became of it.
    async fn attempt(self, control: Control, certificate: Arc<Certificate>) {
        if let Err(e) = self.attempt_claimed(&control, &certificate.arn).await {
            // All that is known of the order is in the settings, or was not there before.
            warn(&format!("the order of the certificate {} is put off: {e}", certificate.arn));
            sleep(PAUSE).await;
        }
    }

    async fn attempt_claimed(&self, control: &Control, arn: &str) -> Result<(), String> {
        let claimed = control.claim_acme_order(arn, &self.0.node, CLAIM_MILLIS).await.map_err(|e| e.message)?;
        let Some(claimed) = claimed else { return Ok(()) };
        let tried = timeout(TRY, order::obtain(&self.0, control, &claimed)).await;
        let tried = tried.unwrap_or_else(|_| Err(failure::for_now("the issuer takes too long")));
        let failed = match tried {
            Ok(outcome) => match control.settle_acme_order(&claimed, &outcome).await {
                Ok(()) => {
                    self.tell_issued(&claimed.certificate);
                    return Ok(());
                }
                // What was issued is of no use. A new order may come to something else, and is no trouble to the issuer if not.
                Err(e) => failure::useless(e.message),
            },
            Err(failed) => failed,
        };
        tell_failed(&claimed.certificate, &failed);
        control.settle_acme_order(&claimed, &Outcome::Failed(failed)).await.map_err(|e| e.message)
    }

    fn tell_issued(&self, certificate: &Certificate) {
        let Certificate { arn, alternative_names, .. } = certificate;
        warn(&format!("the certificate {arn} of {} is issued by {}", alternative_names.join(", "), self.0.issuer));
    }
}

fn tell_failed(certificate: &Certificate, failed: &Failed) {
    let what = match (&certificate.life.validation, failed.again) {
        (None, _) => "is not renewed yet, and is ordered again",
        (Some(_), Some(_)) => "is not there yet, and is ordered again",
        (Some(_), None) => "is not issued",
    };
    warn(&format!("the certificate {} {what}: {}", certificate.arn, printable(&failed.why)));
}

/// The tries that are under way.
#[derive(Default)]
struct Tries {
    tasks: JoinSet<()>,
    certificates: HashMap<Id, Arc<Certificate>>,
}

impl Tries {
    /// Unless there are too many, or one for the same certificate, or for one with a name in common: an issuer can be shown one proof
    /// a name at a time (RFC 8737 section 3). What is not begun is due when another has ended.
    fn begin<F>(&mut self, certificate: Arc<Certificate>, attempt: impl FnOnce(Arc<Certificate>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let names = &certificate.alternative_names;
        let is_near = |other: &Arc<Certificate>| {
            other.arn == certificate.arn || other.alternative_names.iter().any(|n| names.contains(n))
        };
        if self.certificates.len() >= AT_ONCE || self.certificates.values().any(is_near) {
            return;
        }
        let task = self.tasks.spawn(attempt(certificate.clone()));
        self.certificates.insert(task.id(), certificate);
    }

    /// When one has. It can be dropped before.
    async fn ended(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(e)) => e.id(),
            None => return std::future::pending().await,
        };
        self.certificates.remove(&id);
    }
}

/// When certificates or orders are others than `seen`. `false`: there will be none.
async fn changed(states: &mut tokio::sync::watch::Receiver<Arc<State>>, seen: &State) -> bool {
    loop {
        if states.changed().await.is_err() {
            return false;
        }
        let now = states.borrow_and_update().clone();
        let differs = seen.certificates.differing(&now.certificates).next().is_some()
            || seen.acme_orders.differing(&now.acme_orders).next().is_some();
        if differs {
            return true;
        }
    }
}

/// What a file of the configuration holds; `key` names it.
fn read(key: &str, path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| Failure::new(format!("{key}: {}: {e}", path.display())))
}

#[cfg(test)]
mod tests;
