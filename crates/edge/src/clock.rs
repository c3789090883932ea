//! The time, and how the access log prints it.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use model::UnixMillis;
use time::OffsetDateTime;
use time::macros::format_description;

/// Tells the time of day; another one than the system's is for tests.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> UnixMillis + Send + Sync>);

impl Clock {
    /// The system's.
    pub fn system() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            since.as_millis().try_into().unwrap_or(UnixMillis::MAX)
        })
    }

    /// Of a function that gives the milliseconds since 1970-01-01T00:00:00Z.
    pub fn new(now: impl Fn() -> UnixMillis + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn now(&self) -> UnixMillis {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Prints `$context.requestTime`, formatted once a second.
#[derive(Default)]
pub(crate) struct TimeText(RefCell<(i64, String)>);

impl TimeText {
    /// Calls `write` with `at` as `dd/MMM/yyyy:HH:mm:ss +0000`.
    pub(crate) fn with(&self, at: UnixMillis, write: impl FnOnce(&str)) {
        let second = at.div_euclid(1000);
        let mut cached = self.0.borrow_mut();
        if cached.0 != second || cached.1.is_empty() {
            *cached = (second, common_log_time(second));
        }
        write(&cached.1);
    }
}

fn common_log_time(second: i64) -> String {
    let format = format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
    let at = OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_the_common_log_format_does() {
        let text = TimeText::default();
        for (at, wanted) in [
            (0, "01/Jan/1970:00:00:00 +0000"),
            (999, "01/Jan/1970:00:00:00 +0000"),
            (1_735_689_599_000, "31/Dec/2024:23:59:59 +0000"),
        ] {
            text.with(at, |printed| assert_eq!(printed, wanted));
        }
    }
}
