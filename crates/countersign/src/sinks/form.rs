//! Which records a sink wants, and what becomes of them.

use std::borrow::Cow;

use journal::{ConnectionRecord, Line};
use serde::Deserialize;

use crate::config::{Filter, Format};

/// What a filter looks at.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    domain: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Time {
    time_ms: i64,
}

impl Filter {
    pub(super) fn wants(&self, json: &str) -> bool {
        let Ok(parts) = serde_json::from_str::<Parts<'_>>(json) else { return false };
        self.kinds.contains(&*parts.kind) && (self.domains.is_empty() || self.domains.contains(&*parts.domain))
    }
}

impl Format {
    /// A record's line, without its end; none where the record cannot have one.
    pub(super) fn line(self, line: &Line) -> Option<String> {
        match self {
            Self::Json | Self::JsonArray => Some(numbered(line)),
            Self::Alb => Some(serde_json::from_str::<ConnectionRecord<'_>>(&line.json).ok()?.alb_line()),
        }
    }

    /// The lines of records, and how many of these have none.
    pub(super) fn lines(self, records: &[Line]) -> (Vec<u8>, u64) {
        let (mut out, mut left_out) = (Vec::with_capacity(records.iter().map(|line| line.json.len() + 32).sum()), 0);
        for record in records {
            match self.line(record) {
                Some(line) => {
                    out.extend_from_slice(line.as_bytes());
                    out.push(b'\n');
                }
                None => left_out += 1,
            }
        }
        (out, left_out)
    }
}

/// The JSON, with the record's number in front: by that whoever gets a record twice can tell.
pub(super) fn numbered(line: &Line) -> String {
    let members = line.json.strip_prefix('{').unwrap_or_default();
    format!("{{\"number\":{},{members}", line.position.number())
}

/// When a record is from, in milliseconds since 1970; 0 where it does not say.
pub(super) fn time_ms(json: &str) -> i64 {
    serde_json::from_str::<Time>(json).map_or(0, |time| time.time_ms)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use journal::Position;

    use super::*;

    fn line(number: u128, json: &str) -> Line {
        Line { position: Position::from(number), json: json.into() }
    }

    #[test]
    fn a_filter_wants_kinds_of_domains() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let all = Filter { kinds: set(&["access", "dropped"]), domains: set(&[]) };
        let one = Filter { domains: set(&["a\"b"]), ..all.clone() };
        for (json, in_all, in_one) in [
            (r#"{"kind":"access","time_ms":1,"domain":"a\"b"}"#, true, true),
            (r#"{"kind":"access","time_ms":1,"domain":"other"}"#, true, false),
            (r#"{"kind":"dropped","time_ms":1}"#, true, false),
            (r#"{"kind":"event","time_ms":1,"domain":"a\"b"}"#, false, false),
            ("{", false, false),
        ] {
            assert_eq!((all.wants(json), one.wants(json)), (in_all, in_one), "{json}");
        }
    }

    #[test]
    fn lines_have_numbers_or_the_load_balancers_form() {
        let connection = r#"{"kind":"connection","time_ms":2,"began_ms":1,"id":"c","source":"192.0.2.1:36280","local":"[::1]:443",
            "revision":0,"end":"handshake-failed"}"#;
        let records = [line(17, r#"{"kind":"dropped","time_ms":5}"#), line(18, connection)];
        let (json, left_out) = Format::Json.lines(&records[..1]);
        assert_eq!(
            (String::from_utf8(json).unwrap(), left_out),
            ("{\"number\":17,\"kind\":\"dropped\",\"time_ms\":5}\n".to_owned(), 0)
        );
        let (alb, left_out) = Format::Alb.lines(&records);
        assert_eq!(
            String::from_utf8(alb).unwrap(),
            "1970-01-01T00:00:00.001000Z 192.0.2.1 36280 443 - - - - - - - TID_c -\n"
        );
        assert_eq!(left_out, 1);
        assert_eq!((time_ms(&records[0].json), time_ms("")), (5, 0));
    }
}
