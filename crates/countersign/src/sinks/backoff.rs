//! How long to wait after a failure: longer each time, up to a bound, and never quite as long as somebody else.

use std::time::Duration;

/// After the first failure, on the average a bit less.
const FIRST: Duration = Duration::from_millis(500);
/// However often it fails.
const MOST: Duration = Duration::from_secs(30);
/// However long the other side wants to be left alone.
const MOST_ASKED: Duration = Duration::from_secs(300);

/// Failures that followed one another.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// After one failure more: how long to wait. The other side may have `asked` for more than that; `random` is any number.
    pub(super) fn pause(&mut self, asked: Option<Duration>, random: u8) -> Duration {
        let full = FIRST.saturating_mul(1_u32.checked_shl(self.failures.min(31)).unwrap_or(u32::MAX)).min(MOST);
        self.failures = self.failures.saturating_add(1);
        // Between a half of it and all of it.
        let pause = full / 2 + full * u32::from(random) / 510;
        pause.max(asked.unwrap_or_default().min(MOST_ASKED))
    }

    /// It has worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_are_spread() {
        let mut backoff = Backoff::default();
        let longest: Vec<_> = (0..9).map(|_| backoff.pause(None, 255).as_millis()).collect();
        assert_eq!(longest, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(backoff.pause(None, 0), MOST / 2);
        for _ in 0..100 {
            backoff.pause(None, 255);
        }
        assert_eq!(backoff.pause(None, 255), MOST);
        backoff.reset();
        assert_eq!(backoff.pause(None, 0), FIRST / 2);
    }

    #[test]
    fn who_asks_for_more_gets_it_up_to_a_bound() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.pause(Some(Duration::from_secs(7)), 255), Duration::from_secs(7));
        assert_eq!(backoff.pause(Some(Duration::ZERO), 255), 2 * FIRST);
        assert_eq!(backoff.pause(Some(Duration::from_secs(86_400)), 255), MOST_ASKED);
    }
}
