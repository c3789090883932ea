//! Single events, and what fields events have.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use aws::logs::*;
use aws::{Caller, Error};
use data_encoding::BASE64URL_NOPAD;
use journal::insights::discovered;
use journal::{Position, Query};

use super::events::unreadable;
use super::{blocking, invalid, named_view, viewed};
use crate::Control;

/// AWS's limit on the fields of an event.
const MAX_FIELDS: usize = 200;
/// Events that are looked at for the fields of a group.
const MAX_SAMPLE: usize = 10_000;
const MINUTE_MS: i64 = 60_000;

/// Names an event: `@ptr`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    pub(super) group: String,
    pub(super) position: Position,
}

/// What an event holds.
pub(super) async fn get(
    control: &Control,
    caller: &Caller,
    input: GetLogRecordRequest,
) -> Result<GetLogRecordResponse, Error> {
    let bad = || invalid("The specified logRecordPointer is invalid.");
    let pointer: Pointer = input.log_record_pointer.parse().map_err(|()| bad())?;
    let view = viewed(&control.settings().state(), caller, &pointer.group, control.now())?;
    let (journal, position) = (control.journal().clone(), pointer.position);
    let page = blocking(move || {
        let query = Query { after: Some(position), limit: 1, ..view.query() };
        view.read(&journal, &query).map_err(unreadable)
    })
    .await?;
    let event = page.events.into_iter().find(|event| event.position == position);
    let event = event.ok_or_else(|| Error::resource_not_found("The log record does not exist (any more)."))?;
    let mut record: BTreeMap<String, String> = discovered(&event.message, MAX_FIELDS).into_iter().collect();
    record.extend([
        ("@timestamp".to_owned(), event.time_ms.to_string()),
        ("@ingestionTime".to_owned(), event.ingestion_ms.to_string()),
        ("@log".to_owned(), format!("{}:{}", caller.account, pointer.group)),
        ("@logStream".to_owned(), event.stream),
        ("@message".to_owned(), event.message),
        ("@ptr".to_owned(), input.log_record_pointer),
    ]);
    Ok(GetLogRecordResponse { log_record: Some(record) })
}

/// The fields of the events of the last 15 minutes, or of 8 minutes before and after a time, and how many of a hundred have them.
pub(super) async fn fields(
    control: &Control,
    caller: &Caller,
    input: GetLogGroupFieldsRequest,
) -> Result<GetLogGroupFieldsResponse, Error> {
    let now = control.now();
    let (name, identifier) = (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
    let view = named_view(&control.settings().state(), caller, name, identifier, now)?;
    let (start_ms, end_ms) = match input.time {
        None => (now - 15 * MINUTE_MS, now),
        Some(seconds) => {
            let at = seconds.saturating_mul(1_000);
            (at.saturating_sub(8 * MINUTE_MS), at.saturating_add(8 * MINUTE_MS))
        }
    };
    let journal = control.journal().clone();
    let (events, counts) = blocking(move || {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let (mut events, mut after) = (0_usize, None);
        loop {
            let wanted = Query {
                start_ms,
                end_ms: end_ms.saturating_add(1),
                newest_first: true,
                after,
                limit: MAX_SAMPLE,
                ..view.query()
            };
            let page = view.read(&journal, &wanted).map_err(unreadable)?;
            for event in &page.events {
                events += 1;
                for (name, _) in discovered(&event.message, MAX_FIELDS) {
                    *counts.entry(name).or_default() += 1;
                }
            }
            after = page.next;
            if after.is_none() || events >= MAX_SAMPLE || counts.len() > MAX_SAMPLE {
                return Ok((events, counts));
            }
        }
    })
    .await?;
    if events == 0 {
        return Ok(GetLogGroupFieldsResponse { log_group_fields: Some(Vec::new()) });
    }
    let of_all = ["@timestamp", "@message", "@logStream", "@log", "@ingestionTime", "@ptr"];
    let mut fields: Vec<(String, usize)> = of_all.into_iter().map(|name| (name.to_owned(), events)).collect();
    fields.extend(counts);
    let shown = |(name, count): (String, usize)| LogGroupField {
        name: Some(name),
        percent: i32::try_from(count * 100 / events).ok(),
    };
    Ok(GetLogGroupFieldsResponse { log_group_fields: Some(fields.into_iter().map(shown).collect()) })
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(format!("{} {}", self.position, self.group).as_bytes()))
    }
}

impl FromStr for Pointer {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(drop)?;
        let text = String::from_utf8(bytes).map_err(drop)?;
        let (position, group) = text.split_once(' ').ok_or(())?;
        Ok(Self { group: group.to_owned(), position: position.parse().map_err(drop)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_read_as_they_were_written() {
        let pointer = Pointer { group: "/a b/ü".to_owned(), position: Position::from(77) };
        assert_eq!(pointer.to_string().parse(), Ok(pointer));
        for bad in ["", "x", "====", &BASE64URL_NOPAD.encode(b"77 group"), &BASE64URL_NOPAD.encode(&[0xff])] {
            assert!(bad.parse::<Pointer>().is_err(), "{bad}");
        }
    }
}
