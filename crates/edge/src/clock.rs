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

/// Prints the time in one format, once a second.
pub(crate) struct TimeText {
    format: fn(i64) -> String,
    printed: RefCell<(i64, String)>,
}

impl TimeText {
    /// `dd/MMM/yyyy:HH:mm:ss +0000`: `$context.requestTime`.
    pub(crate) fn common_log() -> Self {
        Self { format: common_log_time, printed: RefCell::default() }
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`: `Date` (RFC 9110 section 5.6.7).
    pub(crate) fn http_date() -> Self {
        Self { format: http_date, printed: RefCell::default() }
    }

    /// Calls `write` with `at` as it is printed.
    pub(crate) fn with(&self, at: UnixMillis, write: impl FnOnce(&str)) {
        let second = at.div_euclid(1000);
        let mut printed = self.printed.borrow_mut();
        if printed.0 != second || printed.1.is_empty() {
            *printed = (second, (self.format)(second));
        }
        write(&printed.1);
    }
}

fn common_log_time(second: i64) -> String {
    let format = format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
    moment(second).format(format).unwrap_or_default()
}

fn http_date(second: i64) -> String {
    let format =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    moment(second).format(format).unwrap_or_default()
}

fn moment(second: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_the_common_log_format_does() {
        let text = TimeText::common_log();
        for (at, wanted) in [
            (0, "01/Jan/1970:00:00:00 +0000"),
            (999, "01/Jan/1970:00:00:00 +0000"),
            (1_735_689_599_000, "31/Dec/2024:23:59:59 +0000"),
        ] {
            text.with(at, |printed| assert_eq!(printed, wanted));
        }
        let date = TimeText::http_date();
        date.with(784_111_777_999, |printed| assert_eq!(printed, "Sun, 06 Nov 1994 08:49:37 GMT"));
    }
}
