//! Usage plans: how many requests an API key may make, and has made. Counted in atomic numbers, without a lock.
//!
//! Source: "Usage plans and API keys for REST APIs", API Gateway developer guide: limits are of one key over all stages of
//! its plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use time::Date;

use crate::{Throttle, UnixMillis};

const MILLIS_PER_DAY: i64 = 24 * 60 * 60 * 1000;
const JULIAN_DAY_OF_1970: i64 = 2_440_588;

/// `quota` of a usage plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// `limit`: requests in a period; at most `i32::MAX`.
    pub limit: u32,
    /// `offset`: by how many days periods begin later.
    pub offset: u8,
    /// `period`
    pub period: Period,
}

/// `quota.period`, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Period {
    /// From midnight.
    Day,
    /// From Sunday.
    Week,
    /// From the first day.
    Month,
}

/// What one API key may do under one usage plan, and what it has done.
#[derive(Clone, Debug)]
pub struct Meter {
    /// `usagePlanId`
    pub plan_id: String,
    /// `apiKeyId`
    pub key_id: String,
    /// None: as many requests as come.
    pub throttle: Option<Arc<Throttle>>,
    /// None: as many requests as come.
    pub quota: Option<Quota>,
    counts: Arc<Counts>,
}

/// They go on when limits change.
#[derive(Debug, Default)]
struct Counts {
    /// A [`Spent`].
    spent: AtomicU64,
    /// The day of the last request, and how many it has: a [`DayOfUse`].
    today: AtomicU64,
    /// Something is not written down yet.
    changed: AtomicBool,
}

/// How much of a quota is spent: the period, and requests in it. Fewer than none, where more was granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent(u64);

/// Days since 1970-01-01, and requests on that day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayOfUse {
    /// Days since 1970-01-01 (UTC).
    pub day: u32,
    /// Requests.
    pub used: u32,
}

/// What is to be written down of a [`Meter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The last day on which it was used.
    pub today: DayOfUse,
    /// Of the quota.
    pub spent: Spent,
}

/// The day of a time, since 1970-01-01 (UTC).
pub fn day(at: UnixMillis) -> u32 {
    u32::try_from(at.div_euclid(MILLIS_PER_DAY)).unwrap_or(0)
}

impl Meter {
    /// `previous` goes on: what is used is used, whatever the limits are now.
    pub fn new(
        plan_id: &str,
        key_id: &str,
        throttle: Option<Arc<Throttle>>,
        quota: Option<Quota>,
        previous: Option<&Self>,
    ) -> Self {
        let counts = previous.map(|previous| previous.counts.clone()).unwrap_or_default();
        Self { plan_id: plan_id.to_owned(), key_id: key_id.to_owned(), throttle, quota, counts }
    }

    /// Counts a request; `false`: the quota is used up.
    pub fn spend(&self, at: UnixMillis) -> bool {
        let day = day(at);
        if self.quota.is_some_and(|quota| !self.spend_of(quota, day)) {
            return false;
        }
        let counts = &self.counts;
        let counted = |word| match DayOfUse::of(word) {
            now if now.day == day => DayOfUse { day, used: now.used.saturating_add(1) },
            _ => DayOfUse { day, used: 1 },
        };
        let _ = counts.today.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| Some(counted(word).word()));
        if !counts.changed.load(Ordering::Relaxed) {
            counts.changed.store(true, Ordering::Relaxed);
        }
        true
    }

    fn spend_of(&self, quota: Quota, day: u32) -> bool {
        let period = quota.period_of(day);
        let limit = i32::try_from(quota.limit).unwrap_or(i32::MAX);
        let spend = |word| {
            let spent = Spent(word).within(period);
            (spent < limit).then(|| Spent::new(period, spent + 1).0)
        };
        self.counts.spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }

    /// Requests that are left of the quota in the period of `day`; none without a quota.
    pub fn remaining(&self, day: u32) -> Option<u32> {
        self.quota.map(|quota| quota.remaining(Spent(self.counts.spent.load(Ordering::Relaxed)), day))
    }

    /// Leaves this many requests of the quota until the period ends. `false`: there is no quota.
    pub fn grant(&self, remaining: u32, at: UnixMillis) -> bool {
        let Some(quota) = self.quota else { return false };
        let spent = i64::from(quota.limit) - i64::from(remaining);
        let spent = i32::try_from(spent).unwrap_or(i32::MIN);
        self.counts.spent.store(Spent::new(quota.period_of(day(at)), spent).0, Ordering::Relaxed);
        // A day without requests has a line too, so that the grant is written down.
        let _ = self.counts.today.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let now = DayOfUse::of(word);
            (now.day != day(at)).then(|| DayOfUse { day: day(at), used: 0 }.word())
        });
        self.counts.changed.store(true, Ordering::Relaxed);
        true
    }

    /// As it stands.
    pub fn reading(&self) -> Reading {
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        Reading { today: DayOfUse::of(load(&self.counts.today)), spent: Spent(load(&self.counts.spent)) }
    }

    /// Whether something has changed since this was asked last.
    pub fn take_changed(&self) -> bool {
        self.counts.changed.swap(false, Ordering::Relaxed)
    }

    /// Something could not be written down.
    pub fn retry(&self) {
        self.counts.changed.store(true, Ordering::Relaxed);
    }

    /// Goes on from what was written down, unless it has counted already.
    pub fn restore(&self, today: DayOfUse, spent: Spent) {
        let fresh = |word: &AtomicU64, value: u64| {
            word.compare_exchange(0, value, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if fresh(&self.counts.today, today.word()) {
            fresh(&self.counts.spent, spent.0);
        }
    }
}

impl Quota {
    /// The number of the period that a day is in; its highest bits say what kind of period it is.
    fn period_of(self, day: u32) -> u32 {
        let day = i64::from(day) - i64::from(self.offset);
        let (kind, number) = match self.period {
            Period::Day => (1, day),
            // 1970-01-01 was a Thursday.
            Period::Week => (2, (day + 4).div_euclid(7)),
            Period::Month => (3, month(day)),
        };
        kind << 30 | u32::try_from(number).unwrap_or(0)
    }

    /// What is left on a day.
    pub fn remaining(self, spent: Spent, day: u32) -> u32 {
        let left = i64::from(self.limit) - i64::from(spent.within(self.period_of(day)));
        u32::try_from(left.max(0)).unwrap_or(u32::MAX)
    }
}

impl Spent {
    fn new(period: u32, requests: i32) -> Self {
        Self(u64::from(period) << 32 | u64::from(requests.cast_unsigned()))
    }

    /// Requests in a period: none, if it was another that something was spent in.
    fn within(self, period: u32) -> i32 {
        if self.0 >> 32 == u64::from(period) { (self.0 as u32).cast_signed() } else { 0 }
    }

    /// As a number, to be written down.
    pub fn word(self) -> u64 {
        self.0
    }
}

impl From<u64> for Spent {
    fn from(word: u64) -> Self {
        Self(word)
    }
}

impl DayOfUse {
    fn of(word: u64) -> Self {
        Self { day: (word >> 32) as u32, used: word as u32 }
    }

    fn word(self) -> u64 {
        u64::from(self.day) << 32 | u64::from(self.used)
    }
}

/// Months since the year 0, of a day since 1970-01-01.
fn month(day: i64) -> i64 {
    let date = i32::try_from(day + JULIAN_DAY_OF_1970).ok().and_then(|day| Date::from_julian_day(day).ok());
    date.map_or(0, |date| i64::from(date.year()) * 12 + i64::from(u8::from(date.month())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = MILLIS_PER_DAY;
    /// Monday, 2026-11-30.
    const MONDAY: i64 = 20_787 * DAY;

    fn quota(limit: u32, offset: u8, period: Period) -> Quota {
        Quota { limit, offset, period }
    }

    fn meter(quota: Quota) -> Meter {
        Meter::new("plan", "key", None, Some(quota), None)
    }

    fn passed(meter: &Meter, requests: usize, at: UnixMillis) -> usize {
        (0..requests).filter(|_| meter.spend(at)).count()
    }

    #[test]
    fn a_quota_is_of_a_period() {
        for (period, offset, last, first) in [
            (Period::Day, 0, MONDAY + DAY - 1, MONDAY + DAY),
            (Period::Week, 0, MONDAY + 6 * DAY - 1, MONDAY + 6 * DAY),
            (Period::Week, 1, MONDAY - 1, MONDAY),
            (Period::Month, 0, MONDAY + DAY - 1, MONDAY + DAY),
            (Period::Month, 5, MONDAY + 6 * DAY - 1, MONDAY + 6 * DAY),
        ] {
            let meter = meter(quota(3, offset, period));
            assert_eq!(passed(&meter, 5, last), 3, "{period:?} {offset}");
            assert_eq!(meter.remaining(day(last)), Some(0));
            assert_eq!(passed(&meter, 5, first), 3, "{period:?} {offset}");
        }
    }

    #[test]
    fn what_is_used_is_used_when_limits_change() {
        let first = meter(quota(3, 0, Period::Month));
        assert_eq!(passed(&first, 2, MONDAY), 2);
        let more = Meter::new("plan", "key", None, Some(quota(5, 0, Period::Month)), Some(&first));
        assert_eq!(more.remaining(day(MONDAY)), Some(3));
        let fewer = Meter::new("plan", "key", None, Some(quota(1, 0, Period::Month)), Some(&first));
        assert_eq!((fewer.remaining(day(MONDAY)), passed(&fewer, 1, MONDAY)), (Some(0), 0));
        let none = Meter::new("plan", "key", None, None, Some(&first));
        assert_eq!((none.remaining(day(MONDAY)), passed(&none, 9, MONDAY)), (None, 9));
    }

    #[test]
    fn more_can_be_granted_for_a_period() {
        let meter = meter(quota(2, 0, Period::Day));
        assert!(meter.grant(5, MONDAY));
        assert_eq!(passed(&meter, 9, MONDAY), 5);
        assert_eq!(passed(&meter, 9, MONDAY + DAY), 2);
        assert!(!Meter::new("plan", "key", None, None, None).grant(5, MONDAY));
    }

    #[test]
    fn days_are_counted_and_written_down() {
        let meter = meter(quota(100, 0, Period::Month));
        passed(&meter, 3, MONDAY);
        assert_eq!((meter.reading().today.used, meter.take_changed(), meter.take_changed()), (3, true, false));
        passed(&meter, 4, MONDAY + DAY);
        let reading = meter.reading();
        assert_eq!((reading.today.day, reading.today.used), (day(MONDAY) + 1, 4));
        let again = Meter::new("plan", "key", None, meter.quota, None);
        again.restore(reading.today, reading.spent.word().into());
        assert_eq!(again.remaining(day(MONDAY) + 1), Some(96));
        passed(&again, 1, MONDAY + DAY);
        again.restore(reading.today, reading.spent);
        assert_eq!(again.reading().today.used, 5, "what has counted already is not set back");
    }

    #[test]
    fn threads_share_one_quota() {
        let meter = meter(quota(1_000, 0, Period::Day));
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| passed(&meter, 500, MONDAY))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((passed, meter.reading().today.used), (1_000, 1_000));
    }

    proptest! {
        #[test]
        fn no_time_is_too_early_or_too_late(at in any::<i64>(), limit in any::<u32>(), offset in any::<u8>()) {
            let meter = meter(quota(limit, offset, Period::Month));
            meter.spend(at);
            meter.grant(limit, at);
            meter.remaining(day(at));
        }
    }
}
