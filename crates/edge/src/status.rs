//! The status of clients' certificates where it has to be fetched: by somebody else, while the connection waits.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use model::snapshot::Trust;
use tokio::time::{Instant, timeout_at};
use trust::{Fetched, NothingFetched, StatusRequest};

use crate::runtime::Runtime;
use crate::verdicts::{self, Chain, Client};

/// Until when a client is judged by what is known.
const WAIT: Duration = Duration::from_secs(2);

/// Finds out what certificates' distribution points and OCSP responders say. It is asked for certificates of paths that are good
/// otherwise, by clients that hold the key.
pub trait StatusFetcher: Debug + Send + Sync {
    /// What is known, for a client that can wait for more.
    fn known(&self) -> &dyn Fetched;

    /// What is known, for a client that has waited: what is not counts as failed, for a short time.
    fn so_far(&self) -> &dyn Fetched;

    /// Looks for all of it, each thing once however many ask for it. Ends when each was found, or failed.
    fn fetch(&self, requests: Vec<StatusRequest>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl StatusFetcher for NothingFetched {
    fn known(&self) -> &dyn Fetched {
        self
    }

    fn so_far(&self) -> &dyn Fetched {
        self
    }

    fn fetch(&self, _: Vec<StatusRequest>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

/// A client whose verdict waits for somebody.
#[must_use]
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) trust: Arc<Trust>,
    pub(crate) chain: Rc<Chain>,
    pub(crate) requests: Vec<StatusRequest>,
}

impl Pending {
    /// Waits for what has to be fetched, two seconds at most, and judges by what is known then.
    pub(crate) async fn settle(mut self, runtime: &Runtime) -> Rc<Client> {
        let fetcher = &runtime.config.status_fetcher;
        let deadline = Instant::now() + WAIT;
        while timeout_at(deadline, fetcher.fetch(self.requests.clone())).await.is_ok() {
            match verdicts::judge(&self.trust, &self.chain, fetcher.known(), runtime.now_seconds()) {
                Ok(client) => return client,
                // Nothing has come of it, and to ask again at once would be to ask without end.
                Err(pending) if pending.requests == self.requests => break,
                // An OCSP responder failed, and there is a list yet.
                Err(pending) => self = pending,
            }
        }
        verdicts::judge_so_far(&self.trust, &self.chain, fetcher.so_far(), runtime.now_seconds())
    }
}
