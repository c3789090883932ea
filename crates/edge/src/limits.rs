//! Limits keyed by certificate, on the path of a request.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use model::{Allowance, Beyond, ClientLimits, Permit, UnixMillis};

use crate::answer::Answer;
use crate::verdicts::Client;

/// What the client of one connection has left: its chain never changes, so that it is looked up only once for as long as the
/// domain's limits are these.
#[derive(Debug, Default)]
pub(crate) struct Looked(RefCell<Option<(Arc<ClientLimits>, Arc<Allowance>)>>);

impl Looked {
    /// Takes from `client` what one request costs; `None`: its domain sets no limits.
    pub(crate) fn admit(&self, client: &Client, at: UnixMillis) -> Result<Option<Permit>, Answer> {
        let Some(limits) = client.trust.as_ref().and_then(|trust| trust.client_limits.as_ref()) else {
            return Ok(None);
        };
        let mut looked = self.0.borrow_mut();
        let allowance = match &*looked {
            Some((of, allowance)) if Arc::ptr_eq(of, limits) => allowance,
            _ => {
                // Who was let in has a leaf that can be read.
                let Some(leaf) = client.chain.leaf() else { return Ok(None) };
                let allowance = limits.allowance(&leaf, at);
                &looked.insert((limits.clone(), allowance)).1
            }
        };
        allowance.admit(at).map(Some).map_err(Answer::from)
    }
}

impl From<Beyond> for Answer {
    fn from(beyond: Beyond) -> Self {
        match beyond {
            Beyond::Rate(wait) => Self::ClientRate(whole_seconds(wait)),
            Beyond::Concurrency => Self::ClientConcurrency,
        }
    }
}

/// As `Retry-After` has it (RFC 9110 section 10.2.3): never too early, and never none.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_back_too_early() {
        for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (59_999, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
