//! What is told of sinks at `/_countersign/metrics`.

use std::fmt;
use std::sync::Arc;

use control::metrics::{Collector, DescriptorEncoder, counter, gauge};
use journal::Journal;

use super::progress::{Progress, State};

pub(super) struct OfSinks {
    pub(super) sinks: Vec<Arc<Progress>>,
    pub(super) journal: Journal,
    pub(super) now_ms: fn() -> i64,
}

impl Collector for OfSinks {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if self.sinks.is_empty() {
            return Ok(());
        }
        let (on_disk, complete) = (*self.journal.on_disk().borrow(), self.journal.complete_end());
        let states: Vec<(&Progress, State)> = self.sinks.iter().map(|sink| (&**sink, sink.state())).collect();
        let labelled =
            |value: fn(&State) -> u64| states.iter().map(move |(sink, state)| ([("sink", sink.name())], value(state)));
        let lag = states.iter().map(|(sink, state)| {
            let end = if sink.takes_segments() { complete } else { on_disk };
            ([("sink", sink.name())], end.number().saturating_sub(state.next.number()) as f64)
        });
        let help = "Records that are on disk, and that the sink has not come to.";
        gauge(&mut encoder, "sink_lag_records", help, lag)?;
        let now = (self.now_ms)();
        let age = states.iter().map(|(sink, state)| {
            let age = state.oldest_ms.map_or(0, |oldest| now.saturating_sub(oldest).max(0));
            ([("sink", sink.name())], age as f64 / 1000.0)
        });
        gauge(&mut encoder, "sink_lag_seconds", "Age of the oldest record that waits for the sink.", age)?;
        counter(&mut encoder, "sink_sent", "Records that the sink has taken.", labelled(|state| state.sent))?;
        let help = "Attempts to send that failed; what was to be sent is sent again.";
        counter(&mut encoder, "sink_failures", help, labelled(|state| state.failures))?;
        let help = "Records that the sink does not take, whatever is done.";
        counter(&mut encoder, "sink_rejected", help, labelled(|state| state.rejected))?;
        let help = "Records that were removed, or damaged, before the sink had taken them.";
        counter(&mut encoder, "sink_missed", help, labelled(|state| state.missed))
    }
}

impl fmt::Debug for OfSinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfSinks")
    }
}
