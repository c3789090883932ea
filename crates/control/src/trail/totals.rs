//! How many changes there were, for the metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Services that can be told apart; whatever else somebody claims is `other`.
const SERVICES: [&str; 6] = ["acm", "apigateway", "countersign", "logs", "s3", "sts"];

/// By service and outcome.
#[derive(Debug, Default)]
pub(super) struct Totals(Mutex<BTreeMap<(&'static str, &'static str), u64>>);

impl Totals {
    pub(super) fn count(&self, service: &str, outcome: &'static str) {
        let service = SERVICES.into_iter().find(|known| *known == service).unwrap_or("other");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((service, outcome)).or_default() += 1;
    }

    pub(super) fn all(&self) -> Vec<((&'static str, &'static str), u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(labels, count)| (*labels, *count)).collect()
    }
}
