//! Requests and refusals as they come: what the data plane has counted, looked at once a second.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use trust::Code;

use crate::{ConsoleAccess, Control};

/// What the data plane of this node has counted since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrafficTotals {
    /// Requests of clients that were let in.
    pub requests: u64,
    /// Requests and handshakes of clients that were refused, by reason.
    pub refusals: BTreeMap<Code, u64>,
    /// Connections that are open now.
    pub connections: u64,
}

/// Reads them.
pub type ReadTraffic = Box<dyn Fn() -> TrafficTotals + Send + Sync>;

/// The last five minutes, second by second.
pub(crate) struct Traffic {
    read: ReadTraffic,
    seconds: Mutex<Seconds>,
    /// Tells of each second.
    ticks: watch::Sender<u64>,
}

#[derive(Default)]
struct Seconds {
    last: Option<TrafficTotals>,
    recent: VecDeque<Second>,
}

/// What happened in a second.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Second {
    requests: u64,
    refusals: BTreeMap<Code, u64>,
}

/// What is shown of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown {
    /// Mean of the last ten seconds.
    requests_per_second: f64,
    /// The same.
    refusals_per_second: f64,
    /// Open now.
    connections: u64,
    /// Of the last five minutes, the oldest first, one for each second: requests.
    requests: Vec<u64>,
    /// The same: refusals.
    refusals: Vec<u64>,
    /// Refusals of the last five minutes, the most frequent reason first.
    recent_reasons: Vec<Reason>,
    /// Since the start.
    total_requests: u64,
    /// Since the start, the most frequent reason first.
    total_reasons: Vec<Reason>,
}

#[derive(Debug, Serialize)]
struct Reason {
    code: Code,
    summary: &'static str,
    count: u64,
}

const SECOND: Duration = Duration::from_secs(1);
/// In seconds.
const MINUTE: u64 = 60;
/// Seconds that are kept.
const KEPT: usize = 300;
/// Seconds of which a rate is the mean.
const MEAN_OF: usize = 10;

impl Control {
    /// Looks once a second at what the data plane has counted, and once a minute for what somebody should look at, until it is
    /// aborted: whoever opens the console need not wait for that.
    pub async fn follow_traffic(self) {
        let mut seconds = tokio::time::interval(SECOND);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for second in 0_u64.. {
            seconds.tick().await;
            self.shared.traffic.look();
            if second.is_multiple_of(MINUTE) && self.config().console != ConsoleAccess::Off {
                let control = self.clone();
                // Nobody waits for it.
                drop(tokio::task::spawn_blocking(move || control.attention()));
            }
        }
    }
}

impl Traffic {
    pub(crate) fn new(read: ReadTraffic) -> Self {
        Self { read, seconds: Mutex::default(), ticks: watch::Sender::new(0) }
    }

    /// Changes with each second.
    pub(crate) fn ticks(&self) -> watch::Receiver<u64> {
        self.ticks.subscribe()
    }

    fn look(&self) {
        let totals = (self.read)();
        self.lock().add(totals);
        self.ticks.send_modify(|ticks| *ticks += 1);
    }

    pub(crate) fn shown(&self) -> Shown {
        let now = (self.read)();
        let seconds = self.lock();
        let refused = |second: &Second| second.refusals.values().sum::<u64>();
        let requests: Vec<u64> = seconds.recent.iter().map(|second| second.requests).collect();
        let refusals: Vec<u64> = seconds.recent.iter().map(refused).collect();
        let mut recent = BTreeMap::new();
        for (code, count) in seconds.recent.iter().flat_map(|second| &second.refusals) {
            *recent.entry(*code).or_default() += count;
        }
        Shown {
            requests_per_second: mean(&requests),
            refusals_per_second: mean(&refusals),
            connections: now.connections,
            requests,
            refusals,
            recent_reasons: reasons(&recent),
            total_requests: now.requests,
            total_reasons: reasons(&now.refusals),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seconds> {
        self.seconds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seconds {
    fn add(&mut self, totals: TrafficTotals) {
        if let Some(last) = &self.last {
            let grown = |code: &Code, count: &u64| count.saturating_sub(last.refusals.get(code).copied().unwrap_or(0));
            let refusals = totals.refusals.iter().map(|(code, count)| (*code, grown(code, count)));
            let second = Second {
                requests: totals.requests.saturating_sub(last.requests),
                refusals: refusals.filter(|(_, count)| *count > 0).collect(),
            };
            if self.recent.len() == KEPT {
                self.recent.pop_front();
            }
            self.recent.push_back(second);
        }
        self.last = Some(totals);
    }
}

fn mean(seconds: &[u64]) -> f64 {
    let last = &seconds[seconds.len().saturating_sub(MEAN_OF)..];
    if last.is_empty() { 0.0 } else { last.iter().sum::<u64>() as f64 / last.len() as f64 }
}

fn reasons(counts: &BTreeMap<Code, u64>) -> Vec<Reason> {
    let mut reasons: Vec<Reason> =
        counts.iter().map(|(&code, &count)| Reason { code, summary: code.summary(), count }).collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(requests: u64, expired: u64) -> TrafficTotals {
        let refusals = [(Code::ClientCertExpired, expired)].into();
        TrafficTotals { requests, refusals, connections: 3 }
    }

    #[test]
    fn a_second_is_what_the_totals_grew_by() {
        let traffic = Traffic::new(Box::new(|| totals(130, 7)));
        for (requests, expired) in [(100, 5), (110, 5), (130, 7)] {
            traffic.lock().add(totals(requests, expired));
        }
        let shown = traffic.shown();
        assert_eq!((shown.requests, shown.refusals), (vec![10, 20], vec![0, 2]));
        assert_eq!((shown.requests_per_second, shown.refusals_per_second), (15.0, 1.0));
        assert_eq!((shown.recent_reasons[0].count, shown.total_reasons[0].count), (2, 7));
        assert_eq!((shown.connections, shown.total_requests), (3, 130));
    }

    #[test]
    fn five_minutes_are_kept() {
        let traffic = Traffic::new(Box::new(TrafficTotals::default));
        for second in 0..=400_u64 {
            traffic.lock().add(totals(second * second, 0));
        }
        let seconds = traffic.lock();
        let first = 101 * 101 - 100 * 100;
        assert_eq!((seconds.recent.len(), seconds.recent[0].requests), (KEPT, first));
    }

    #[test]
    fn who_watches_is_told_of_each_second() {
        let traffic = Traffic::new(Box::new(TrafficTotals::default));
        let ticks = traffic.ticks();
        traffic.look();
        assert!(ticks.has_changed().unwrap());
    }
}
