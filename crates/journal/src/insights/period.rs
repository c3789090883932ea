//! Periods of time, as `bin` and its relatives round to them.

use time::{Date, Month, OffsetDateTime, Time};

/// `5m`: of fixed length, or of the calendar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Period {
    Millis(i64),
    Months(i32),
}

const SECOND_MS: i64 = 1_000;
const DAY_MS: i64 = 86_400 * SECOND_MS;
/// 1970-01-01 was a Thursday; weeks begin on Mondays.
const FIRST_MONDAY_MS: i64 = 4 * DAY_MS;
/// Longer periods are of no use, and must not overflow.
const MAX_YEARS: i64 = 1_000;

impl Period {
    /// A count and a unit, in any of AWS's spellings.
    pub(super) fn of(count: f64, unit: &str) -> Option<Self> {
        let count = super::value::whole(count).filter(|whole| *whole >= 1 && count.fract() == 0.0)?;
        let millis = match unit {
            "ms" | "msec" => 1,
            "s" | "sec" => SECOND_MS,
            "m" | "min" => 60 * SECOND_MS,
            "h" | "hr" => 3_600 * SECOND_MS,
            "d" => DAY_MS,
            "w" => 7 * DAY_MS,
            "mo" | "mon" | "q" | "qtr" | "y" | "yr" => {
                let months = match unit {
                    "mo" | "mon" => 1,
                    "q" | "qtr" => 3,
                    _ => 12,
                };
                let months = count.checked_mul(months).filter(|months| *months <= 12 * MAX_YEARS)?;
                return i32::try_from(months).ok().map(Self::Months);
            }
            _ => return None,
        };
        count.checked_mul(millis).filter(|millis| *millis <= 366 * MAX_YEARS * DAY_MS).map(Self::Millis)
    }

    /// The beginning of the period in which a time lies.
    pub(super) fn floor(self, ms: i64) -> Option<i64> {
        match self {
            Self::Millis(length) => {
                let origin = if length % (7 * DAY_MS) == 0 { FIRST_MONDAY_MS } else { 0 };
                ms.checked_sub(origin)?.div_euclid(length).checked_mul(length)?.checked_add(origin)
            }
            Self::Months(length) => {
                let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok()?;
                let months = (at.year() - 1970) * 12 + i32::from(u8::from(at.month())) - 1;
                beginning(months.div_euclid(length) * length)
            }
        }
    }

    /// The end of the period in which a time lies, or the time, where a period begins there.
    pub(super) fn ceil(self, ms: i64) -> Option<i64> {
        let floor = self.floor(ms)?;
        if floor == ms {
            return Some(ms);
        }
        match self {
            Self::Millis(length) => floor.checked_add(length),
            Self::Months(length) => {
                let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(floor) * 1_000_000).ok()?;
                beginning((at.year() - 1970) * 12 + i32::from(u8::from(at.month())) - 1 + length)
            }
        }
    }
}

/// Of a month, counted from January 1970.
fn beginning(months: i32) -> Option<i64> {
    let month = Month::try_from(u8::try_from(months.rem_euclid(12)).ok()? + 1).ok()?;
    let date = Date::from_calendar_date(1970 + months.div_euclid(12), month, 1).ok()?;
    date.with_time(Time::MIDNIGHT).assume_utc().unix_timestamp().checked_mul(SECOND_MS)
}

#[cfg(test)]
mod tests {
    use super::super::value::shown_time;
    use super::*;

    #[test]
    fn periods_have_beginnings_and_ends() {
        // 2019-04-30 15:52:02.500, a Tuesday.
        let at = 1_556_639_522_500;
        for (count, unit, floor, ceil) in [
            (1.0, "s", "2019-04-30 15:52:02.000", "2019-04-30 15:52:03.000"),
            (5.0, "m", "2019-04-30 15:50:00.000", "2019-04-30 15:55:00.000"),
            (1.0, "h", "2019-04-30 15:00:00.000", "2019-04-30 16:00:00.000"),
            (1.0, "d", "2019-04-30 00:00:00.000", "2019-05-01 00:00:00.000"),
            (1.0, "w", "2019-04-29 00:00:00.000", "2019-05-06 00:00:00.000"),
            (1.0, "mo", "2019-04-01 00:00:00.000", "2019-05-01 00:00:00.000"),
            (1.0, "q", "2019-04-01 00:00:00.000", "2019-07-01 00:00:00.000"),
            (1.0, "y", "2019-01-01 00:00:00.000", "2020-01-01 00:00:00.000"),
        ] {
            let period = Period::of(count, unit).unwrap();
            assert_eq!(shown_time(period.floor(at).unwrap()), floor, "{unit}");
            assert_eq!(shown_time(period.ceil(at).unwrap()), ceil, "{unit}");
            let floor = period.floor(at).unwrap();
            assert_eq!(period.ceil(floor), Some(floor));
        }
        for (count, unit) in [(0.0, "m"), (1.5, "m"), (1.0, "x"), (1e18, "d"), (1e18, "y"), (f64::MAX, "ms")] {
            assert_eq!(Period::of(count, unit), None);
        }
        for period in [Period::Millis(1), Period::Months(12)] {
            let _ = (period.floor(i64::MIN), period.ceil(i64::MAX));
        }
    }
}
