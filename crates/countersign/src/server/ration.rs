//! Lines for people, so many a second: a flood of refusals must not become a flood of text.

use std::time::{Duration, Instant};

/// Lines that may be printed in one window.
const LINES: u32 = 10;
/// How long a window is.
const WINDOW: Duration = Duration::from_secs(1);

/// Decides which lines are printed.
#[derive(Debug)]
pub(super) struct Ration {
    window: Instant,
    printed: u32,
    withheld: u64,
}

impl Ration {
    pub(super) fn new(now: Instant) -> Self {
        Self { window: now, printed: 0, withheld: 0 }
    }

    /// Whether another line may be printed now.
    pub(super) fn admits(&mut self) -> bool {
        if self.printed < LINES {
            self.printed += 1;
            return true;
        }
        self.withheld += 1;
        false
    }

    /// How many lines were withheld in the window that has ended, if one has ended and there were some.
    pub(super) fn withheld(&mut self, now: Instant) -> Option<u64> {
        if now < self.ends() {
            return None;
        }
        let withheld = self.withheld;
        *self = Self::new(now);
        (withheld > 0).then_some(withheld)
    }

    /// When the window ends.
    pub(super) fn ends(&self) -> Instant {
        self.window + WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_a_second_then_a_count() {
        let start = Instant::now();
        let mut ration = Ration::new(start);
        assert_eq!((0..25).filter(|_| ration.admits()).count(), 10);
        assert_eq!(ration.withheld(start + WINDOW / 2), None, "the window has not ended");
        assert!(!ration.admits());
        assert_eq!(ration.withheld(start + WINDOW), Some(16));
        assert!(ration.admits());
        assert_eq!(ration.withheld(start + 2 * WINDOW), None, "nothing was withheld");
    }
}
