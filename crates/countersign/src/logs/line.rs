//! A record in a line for people.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Time, kind, and what a person looks for first. What strangers wrote is in it as it is.
pub(super) fn text(record: &Value) -> String {
    let time = record["time_ms"].as_i64().unwrap_or_default();
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time) * 1_000_000).ok();
    let time = time.and_then(|time| time.format(TIME).ok()).unwrap_or_default();
    let kind = said(&record["kind"]);
    let what = match &*kind {
        "access" => access(record),
        "connection" => connection(record),
        "settings" => settings(record),
        "refusals" => refusals(record),
        "event" => words(record, &["group", "stream", "message"]),
        _ => record.to_string(),
    };
    format!("{time} {kind} {what}")
}

fn access(record: &Value) -> String {
    let mut line = words(record, &["status", "method", "domain", "path"]);
    line += &who(record);
    if let Some(took) = record["took_us"].as_u64() {
        line += &format!(" {:.1} ms", took as f64 / 1000.0);
    }
    line += &format!(" {}", said(&record["request_id"]));
    for why in ["refusal", "denial"] {
        if let Some(code) = record[why]["code"].as_str() {
            line += &format!(" {code}: {}", said(&record[why]["detail"]));
        }
    }
    line
}

fn connection(record: &Value) -> String {
    let name = if record["domain"].is_null() { &record["server_name"] } else { &record["domain"] };
    let mut line = format!("{} {}", said(&record["end"]), said(name));
    line += &who(record);
    line += &format!(
        " {} {} requests {}",
        said(&record["protocol"]),
        record["requests"].as_u64().unwrap_or_default(),
        said(&record["id"])
    );
    for why in ["verdict", "reason"] {
        if let Some(text) = record[why].as_str() {
            line += &format!(" {text}");
        }
    }
    line
}

fn settings(record: &Value) -> String {
    let mut line = words(record, &["outcome", "service", "operation", "resource", "principal", "source"]);
    line += &match (record["revision_before"].as_u64(), record["revision_after"].as_u64()) {
        (Some(before), Some(after)) => format!(" revision {before} to {after}"),
        (Some(before), None) => format!(" revision {before}"),
        _ => String::new(),
    };
    if let Some(code) = record["code"].as_str() {
        line += &format!(" {code}: {}", said(&record["message"]));
    }
    line
}

fn refusals(record: &Value) -> String {
    let count = |name: &str| record[name].as_u64().unwrap_or_default();
    let (requests, connections) = (count("requests"), count("connections"));
    format!(
        "{requests} requests and {connections} connections not recorded {}",
        words(record, &["reason", "network", "domain"])
    )
}

/// ` SUBJECT ADDRESS`
fn who(record: &Value) -> String {
    let subject = record["client"]["subject"].as_str().unwrap_or("no-certificate");
    format!(" {subject} {}", said(&record["source"]))
}

fn words(record: &Value, names: &[&str]) -> String {
    names.iter().map(|name| said(&record[*name])).collect::<Vec<_>>().join(" ")
}

/// A string as it is, a number by its digits, what is not there as `-`.
fn said(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_in_a_line() {
        let client = json!({"subject": "CN=x", "issuer": "CN=CA", "serial": "1", "fingerprint": "ab"});
        let access = json!({"kind": "access", "time_ms": 1_796_025_600_123_i64, "status": 403, "method": "GET", "domain": "d",
            "path": "/p", "client": client, "source": "192.0.2.1:5", "took_us": 1500, "request_id": "i",
            "refusal": {"code": "ClientCertExpired", "detail": "it ended"}});
        let table = [
            (
                access,
                "2026-11-30T08:00:00.123Z access 403 GET d /p CN=x 192.0.2.1:5 1.5 ms i ClientCertExpired: it ended",
            ),
            (
                json!({"kind": "connection", "time_ms": 0, "end": "unknown-name", "server_name": "other", "source": "[::1]:5",
                    "id": "c", "reason": "r"}),
                "1970-01-01T00:00:00.000Z connection unknown-name other no-certificate [::1]:5 - 0 requests c r",
            ),
            (
                json!({"kind": "settings", "time_ms": 0, "outcome": "denied", "service": "s3", "operation": "PutObject",
                    "resource": "*", "principal": "arn", "source": "::1", "revision_before": 7, "code": "AccessDenied",
                    "message": "m"}),
                "1970-01-01T00:00:00.000Z settings denied s3 PutObject * arn ::1 revision 7 AccessDenied: m",
            ),
            (
                json!({"kind": "refusals", "time_ms": 0, "network": "192.0.2.0/24", "reason": "ClientCertMissing", "domain": "d",
                    "requests": 3}),
                "1970-01-01T00:00:00.000Z refusals 3 requests and 0 connections not recorded ClientCertMissing 192.0.2.0/24 d",
            ),
            (json!({"kind": "new", "time_ms": 0}), r#"1970-01-01T00:00:00.000Z new {"kind":"new","time_ms":0}"#),
        ];
        for (record, line) in table {
            assert_eq!(text(&record), line);
        }
    }
}
