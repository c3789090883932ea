//! Calls of those who have not proved who they are. Anybody can make them, as fast as they like: they are counted by source and
//! reason, and a count is one record.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use journal::{Outcome, SettingsRecord};
use model::UnixMillis;

use super::blank;

/// Time over which calls are counted.
const WINDOW_MS: UnixMillis = 5 * 60 * 1000;
/// Sources and reasons that are counted by themselves in one window; what comes on top is counted by its reason. With a record at the
/// begin and one at the end of each, strangers can have a hundred records in five minutes.
const MAX_COUNTED: usize = 32;
/// Reasons that can be told apart.
const MAX_REASONS: usize = 16;

/// A call that was not let in.
pub struct Stranger<'a> {
    /// Where it came from.
    pub source: IpAddr,
    /// That the call was for.
    pub service: &'a str,
    /// That it claims.
    pub access_key_id: &'a str,
    /// `User-Agent`
    pub user_agent: &'a str,
    /// Its path.
    pub resource: &'a str,
    /// The id that it has of the answer.
    pub request_id: &'a str,
    /// AWS's code.
    pub code: &'a str,
    /// What it was told.
    pub message: &'a str,
}

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<BTreeMap<(Option<IpAddr>, String), Counted>>);

#[derive(Debug)]
struct Counted {
    since: UnixMillis,
    /// Calls that no record tells of yet.
    calls: u64,
    /// Of the last of them.
    record: SettingsRecord<'static>,
}

impl Strangers {
    /// The records that are due now: of what has ended, and of the first of its kind.
    pub(super) fn refuse(&self, stranger: &Stranger<'_>, now: UnixMillis) -> Vec<SettingsRecord<'static>> {
        let mut told = self.ended(now, now);
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (Some(stranger.source), stranger.code.to_owned());
        if !counted.contains_key(&key) && counted.len() >= MAX_COUNTED {
            key.0 = None;
            if !counted.contains_key(&key) && counted.len() >= MAX_COUNTED + MAX_REASONS {
                key.1 = "other".to_owned();
            }
        }
        let record = stranger.record(key.0, now);
        match counted.get_mut(&key) {
            Some(counted) => {
                counted.calls += 1;
                counted.record = record;
            }
            None => {
                told.push(record.clone());
                counted.insert(key, Counted { since: now, calls: 0, record });
            }
        }
        told
    }

    /// Of what was counted longer than a window ago.
    pub(super) fn ended(&self, until: UnixMillis, now: UnixMillis) -> Vec<SettingsRecord<'static>> {
        let mut told = Vec::new();
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.retain(|_, Counted { since, calls, record }| {
            let open = since.saturating_add(WINDOW_MS) > until;
            if !open && *calls > 0 {
                told.push(SettingsRecord { time_ms: now, calls: Some(*calls), ..record.clone() });
            }
            open
        });
        told
    }
}

impl Stranger<'_> {
    /// Where several are counted together, none of them is named.
    fn record(&self, source: Option<IpAddr>, now: UnixMillis) -> SettingsRecord<'static> {
        let owned = |text: &str| text.chars().take(256).collect::<String>().into();
        SettingsRecord {
            time_ms: now,
            outcome: Outcome::Denied { code: owned(self.code), message: owned(self.message) },
            source,
            stream: "unauthenticated".into(),
            service: owned(self.service),
            access_key_id: owned(self.access_key_id),
            user_agent: owned(self.user_agent),
            resource: owned(self.resource),
            request_id: owned(self.request_id),
            ..blank(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(source: u32, code: &str) -> Stranger<'_> {
        Stranger {
            source: IpAddr::V4(source.into()),
            service: "acm",
            access_key_id: "AKIA",
            user_agent: "",
            resource: "/",
            request_id: "i",
            code,
            message: "m",
        }
    }

    #[test]
    fn a_source_has_one_record_at_first_and_one_with_the_count() {
        let strangers = Strangers::default();
        assert_eq!(strangers.refuse(&stranger(1, "a"), 0).len(), 1);
        for at in 1..100 {
            assert!(strangers.refuse(&stranger(1, "a"), at).is_empty());
        }
        assert_eq!(strangers.refuse(&stranger(2, "a"), 100).len(), 1);
        let told = strangers.ended(WINDOW_MS, WINDOW_MS);
        assert_eq!(told.iter().map(|record| record.calls).collect::<Vec<_>>(), [Some(99)]);
        assert!(strangers.ended(WINDOW_MS + 100, 0).is_empty(), "one call has its record");
        assert_eq!(strangers.refuse(&stranger(1, "a"), WINDOW_MS + 100).len(), 1, "it begins anew");
    }

    #[test]
    fn however_many_there_are_their_records_are_few() {
        let strangers = Strangers::default();
        let codes: Vec<String> = (0..100).map(|code| format!("c{code}")).collect();
        let mut told = 0;
        for source in 0..100_000_u32 {
            told += strangers.refuse(&stranger(source, &codes[source as usize % 100]), 0).len();
        }
        let ended = strangers.ended(WINDOW_MS, 0);
        told += ended.len();
        let most = MAX_COUNTED + MAX_REASONS + 1;
        assert!(told <= 2 * most, "{told}");
        let counted: u64 = ended.iter().filter_map(|record| record.calls).sum();
        assert_eq!(counted + most as u64, 100_000, "none is lost");
        assert!(ended.iter().any(|record| record.source.is_none()));
    }
}
