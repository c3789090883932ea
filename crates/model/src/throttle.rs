//! Throttling of routes: a token bucket in one atomic number, shared by all threads without a lock.
//!
//! Source: "Throttle requests to your HTTP APIs", API Gateway developer guide.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::UnixMillis;
use crate::resource::RouteSettings;

/// Where only the burst is set: AWS's rate of an account, requests a second.
const DEFAULT_RATE: f64 = 10_000.0;
/// Where only the rate is set: AWS's burst of an account, requests.
const DEFAULT_BURST: u32 = 5_000;
/// The longest time for one token, so that sums of times cannot overflow: a month.
const LONGEST: u64 = 30 * 24 * 3_600 * NANOS_PER_SECOND;
/// The longest time for a whole bucket to fill: a year.
const LONGEST_FILL: u64 = 12 * LONGEST;
/// How much later than the times of others a time may be, in nanoseconds; beyond, the clock was set back.
const SKEW: u64 = NANOS_PER_SECOND;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// A token bucket: `burst` requests at once, `rate` a second for long.
///
/// Kept as the time at which the bucket will be full again (the generic cell rate algorithm), which a request moves on by
/// the time that one token takes.
#[derive(Debug)]
pub struct Throttle {
    limits: Limits,
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    full_at: AtomicU64,
}

/// What a bucket was made for; while these are the same, so is the bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Limits {
    /// Tokens a second; nothing passes at 0.
    rate: f64,
    /// Tokens in a full bucket; nothing passes at 0.
    burst: u32,
}

impl Throttle {
    /// The bucket of a route: each of its own settings goes before the stage's default. `None` where neither rate nor burst
    /// is set. `previous` goes on, with the tokens that are left in it, if its limits are these.
    pub fn of(route: Option<&RouteSettings>, stage: &RouteSettings, previous: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let rate = route.and_then(|route| route.throttling_rate_limit).or(stage.throttling_rate_limit);
        let burst = route.and_then(|route| route.throttling_burst_limit).or(stage.throttling_burst_limit);
        if rate.is_none() && burst.is_none() {
            return None;
        }
        let limits = Limits { rate: rate.unwrap_or(DEFAULT_RATE), burst: burst.unwrap_or(DEFAULT_BURST) };
        let kept = previous.filter(|previous| previous.limits == limits).cloned();
        Some(kept.unwrap_or_else(|| Arc::new(Self::new(limits.rate, limits.burst))))
    }

    /// A full bucket.
    pub(crate) fn new(rate: f64, burst: u32) -> Self {
        Self { limits: Limits { rate, burst }, full_at: AtomicU64::new(0) }
    }

    /// Takes a token; `false`: there is none. A clock that was set back costs no more than a bucket's tokens.
    pub fn admit(&self, at: UnixMillis) -> bool {
        let (token, fill) = self.limits.times();
        if fill == 0 {
            return false;
        }
        let now = nanos(at);
        // Where the bucket stands, by this clock: threads may differ a little, but not by more than that.
        let standing = |full_at: u64| match full_at > now + fill + SKEW {
            true => now + fill,
            false => full_at.max(now),
        };
        let mut admitted = false;
        let _ = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let standing = standing(full_at);
            admitted = standing + token <= now + fill;
            let next = if admitted { standing + token } else { standing };
            (next != full_at).then_some(next)
        });
        admitted
    }

    /// How long it takes from `at` until there is a token, if nobody takes one before.
    pub(crate) fn wait(&self, at: UnixMillis) -> Duration {
        let (token, fill) = self.limits.times();
        let full_at = self.full_at.load(Ordering::Relaxed);
        Duration::from_nanos((full_at + token).saturating_sub(nanos(at) + fill))
    }

    /// Whether no token is missing.
    pub(crate) fn is_full(&self, at: UnixMillis) -> bool {
        self.full_at.load(Ordering::Relaxed) <= nanos(at)
    }
}

/// Since 1970-01-01T00:00:00Z; leaves room for sums.
fn nanos(at: UnixMillis) -> u64 {
    u64::try_from(at).unwrap_or(0).saturating_mul(NANOS_PER_MILLI).min(u64::MAX - 2 * LONGEST_FILL)
}

impl Limits {
    /// Nanoseconds for one token, and for a full bucket; the latter is 0 where nothing passes.
    fn times(self) -> (u64, u64) {
        if self.rate <= 0.0 || self.burst == 0 {
            return (0, 0);
        }
        // A float that is too large for an integer becomes the largest.
        let token = ((NANOS_PER_SECOND as f64 / self.rate).round() as u64).clamp(1, LONGEST);
        (token, token.saturating_mul(self.burst.into()).clamp(token, LONGEST_FILL))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMillis = 1_795_305_600_000;

    fn settings(rate: Option<f64>, burst: Option<u32>) -> RouteSettings {
        RouteSettings { throttling_rate_limit: rate, throttling_burst_limit: burst, ..RouteSettings::default() }
    }

    fn throttle(rate: f64, burst: u32) -> Arc<Throttle> {
        Throttle::of(None, &settings(Some(rate), Some(burst)), None).unwrap()
    }

    /// How many of `requests` at one time pass.
    fn passed(throttle: &Throttle, requests: usize, at: UnixMillis) -> usize {
        (0..requests).filter(|_| throttle.admit(at)).count()
    }

    #[test]
    fn a_route_is_throttled_by_its_own_settings_else_by_the_stages() {
        let limits = |route: Option<(Option<f64>, Option<u32>)>, stage: (Option<f64>, Option<u32>)| {
            let route = route.map(|(rate, burst)| settings(rate, burst));
            let made = Throttle::of(route.as_ref(), &settings(stage.0, stage.1), None)?;
            Some((made.limits.rate, made.limits.burst))
        };
        for (route, stage, wanted) in [
            (None, (None, None), None),
            (Some((None, None)), (None, None), None),
            (None, (Some(5.0), Some(3)), Some((5.0, 3))),
            (Some((Some(1.0), Some(2))), (Some(5.0), Some(3)), Some((1.0, 2))),
            (Some((None, Some(2))), (Some(5.0), Some(3)), Some((5.0, 2))),
            (Some((Some(1.0), None)), (None, None), Some((1.0, 5_000))),
            (None, (None, Some(7)), Some((10_000.0, 7))),
        ] {
            assert_eq!(limits(route, stage), wanted, "{route:?} {stage:?}");
        }
    }

    #[test]
    fn a_burst_passes_at_once_and_the_rate_for_long() {
        let throttle = throttle(10.0, 5);
        assert_eq!(passed(&throttle, 20, NOW), 5);
        assert_eq!(passed(&throttle, 20, NOW + 99), 0);
        assert_eq!(passed(&throttle, 20, NOW + 100), 1);
        assert_eq!(passed(&throttle, 20, NOW + 350), 2);
        assert_eq!(passed(&throttle, 20, NOW + 60_000), 5, "never more than the burst");
    }

    #[test]
    fn nothing_passes_at_zero() {
        for (rate, burst) in [(0.0, 5), (5.0, 0), (0.0, 0)] {
            assert_eq!(passed(&throttle(rate, burst), 5, NOW), 0, "{rate} {burst}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_refuses_no_longer_than_a_bucket_takes_to_fill() {
        let throttle = throttle(10.0, 5);
        assert!(throttle.admit(NOW));
        let back = NOW - 86_400_000;
        assert_eq!(passed(&throttle, 9, back), 0);
        assert_eq!(passed(&throttle, 9, back + 500), 5);
    }

    #[test]
    fn times_that_differ_a_little_make_no_tokens() {
        let throttle = throttle(1_000.0, 5);
        assert_eq!(passed(&throttle, 5, NOW), 5);
        for _ in 0..100 {
            assert!(!throttle.admit(NOW - 1));
            assert!(!throttle.admit(NOW));
        }
    }

    #[test]
    fn tokens_outlive_settings_that_stay_the_same() {
        let limits = settings(Some(1.0), Some(2));
        let first = Throttle::of(None, &limits, None).unwrap();
        assert_eq!(passed(&first, 2, NOW), 2);
        let same = Throttle::of(Some(&settings(Some(1.0), None)), &limits, Some(&first)).unwrap();
        assert!(!same.admit(NOW));
        let other = Throttle::of(None, &settings(Some(1.0), Some(3)), Some(&first)).unwrap();
        assert_eq!(passed(&other, 9, NOW), 3);
    }

    #[test]
    fn threads_share_one_bucket() {
        let throttle = throttle(1.0, 1_000);
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| passed(&throttle, 500, NOW))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 1_000);
    }

    proptest! {
        /// Over any sequence of times no more pass than the bucket held and gained; none panics, whatever the numbers are.
        #[test]
        fn no_more_pass_than_burst_and_rate_allow(
            rate in prop_oneof![0.001f64..10_000.0, Just(f64::MIN_POSITIVE), Just(f64::MAX)],
            burst in prop_oneof![0u32..50, Just(u32::MAX)],
            steps in prop::collection::vec(0i64..2_000, 1..50),
        ) {
            let throttle = throttle(rate, burst);
            let mut at = NOW;
            let mut passed = 0.0;
            for step in steps {
                at += step;
                passed += if throttle.admit(at) { 1.0 } else { 0.0 };
            }
            let gained = rate * (at - NOW) as f64 / 1_000.0;
            prop_assert!(passed <= f64::from(burst) + gained * 1.001 + 0.001);
        }

        #[test]
        fn no_time_is_too_early_or_too_late(at in any::<i64>(), rate in any::<f64>(), burst in any::<u32>()) {
            throttle(rate, burst).admit(at);
        }
    }
}
