//! etcd's v3 API in JSON, as its gateway has it: keys and values in base64, numbers of 64 bits in strings, and what is zero left
//! out.

use data_encoding::BASE64;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The value of `key` becomes this one, for as long as the lease lives; 0: for ever.
pub(super) fn put(key: &str, value: &[u8], lease: i64) -> Value {
    json!({ "request_put": put_request(key, value, lease) })
}

/// As [`put`], as a request of its own.
pub(super) fn put_request(key: &str, value: &[u8], lease: i64) -> Value {
    json!({ "key": encode(key), "value": BASE64.encode(value), "lease": lease.to_string() })
}

/// A key that is there, as a lease keeps it, stays for ever. Where it is gone, all of the transaction is refused.
pub(super) fn keep(key: &str) -> Value {
    json!({ "request_put": { "key": encode(key), "ignore_value": true } })
}

/// Reads one key.
pub(super) fn get(key: &str) -> Value {
    json!({ "request_range": get_request(key) })
}

/// As [`get`], as a request of its own.
pub(super) fn get_request(key: &str) -> Value {
    json!({ "key": encode(key) })
}

/// Reads keys from one on up to another, which is none of them, and no more of them than `limit` (0: all).
pub(super) fn range(from: &str, to: &str, limit: usize) -> Value {
    json!({ "request_range": range_request(from, to, limit) })
}

/// As [`range`], as a request of its own.
pub(super) fn range_request(from: &str, to: &str, limit: usize) -> Value {
    json!({ "key": encode(from), "range_end": encode(to), "limit": limit.to_string() })
}

/// Deletes one key.
pub(super) fn delete(key: &str) -> Value {
    json!({ "request_delete_range": { "key": encode(key) } })
}

/// Deletes keys from one on up to another, which is none of them.
pub(super) fn delete_range(from: &str, to: &str) -> Value {
    json!({ "request_delete_range": { "key": encode(from), "range_end": encode(to) } })
}

/// Holds where the key was changed last at etcd's revision `at`; 0: where it is not there.
pub(super) fn unchanged(key: &str, at: i64) -> Value {
    json!({ "target": "MOD", "key": encode(key), "mod_revision": at.to_string() })
}

/// Holds where the key is there, and kept by this lease.
pub(super) fn leased(key: &str, lease: i64) -> Value {
    json!({ "target": "LEASE", "key": encode(key), "lease": lease.to_string() })
}

/// Where all of `compare` holds, does all of `success`, else all of `failure`, at once.
pub(super) fn txn(compare: &[Value], success: &[Value], failure: &[Value]) -> Value {
    json!({ "compare": compare, "success": success, "failure": failure })
}

/// The keys that begin like this are those from it on up to the answer.
pub(super) fn after_prefix(prefix: &str) -> String {
    let mut end = prefix.as_bytes().to_vec();
    // Prefixes end in `/`, and the next is `0`.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    String::from_utf8_lossy(&end).into_owned()
}

fn encode(key: &str) -> String {
    BASE64.encode(key.as_bytes())
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Header {
    /// Of all of etcd: it grows with every change.
    #[serde(default, deserialize_with = "number")]
    pub(super) revision: i64,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Pair {
    #[serde(default, deserialize_with = "text")]
    pub(super) key: String,
    #[serde(default, deserialize_with = "bytes")]
    pub(super) value: Vec<u8>,
    #[serde(default, deserialize_with = "number")]
    pub(super) mod_revision: i64,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct RangeAnswer {
    #[serde(default)]
    pub(super) kvs: Vec<Pair>,
    #[serde(default)]
    pub(super) more: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct PutAnswer {
    pub(super) header: Header,
}

#[derive(Debug, Deserialize)]
pub(super) struct TxnAnswer {
    pub(super) header: Header,
    #[serde(default)]
    pub(super) succeeded: bool,
    #[serde(default)]
    responses: Vec<Response>,
}

#[derive(Debug, Deserialize)]
struct Response {
    response_range: Option<RangeAnswer>,
}

impl TxnAnswer {
    /// What the reads among the operations have found, in their order.
    pub(super) fn ranges(self) -> impl Iterator<Item = RangeAnswer> {
        self.responses.into_iter().filter_map(|response| response.response_range)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct LeaseAnswer {
    #[serde(rename = "ID", default, deserialize_with = "number")]
    pub(super) id: i64,
    /// Seconds; 0 where there is no such lease any more.
    #[serde(rename = "TTL", default, deserialize_with = "number")]
    pub(super) ttl: i64,
}

/// A line of an answer that is a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Streamed<T> {
    pub(super) result: Option<T>,
    pub(super) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct WatchAnswer {
    #[serde(default)]
    pub(super) canceled: bool,
    #[serde(default)]
    pub(super) events: Vec<WatchEvent>,
}

#[derive(Debug, Deserialize)]
pub(super) struct WatchEvent {
    #[serde(rename = "type", default)]
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) kv: Pair,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Kind {
    #[default]
    Put,
    Delete,
}

#[derive(Debug, Deserialize)]
pub(super) struct Token {
    pub(super) token: String,
}

/// What etcd says of a request that it does not serve.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    #[serde(default)]
    pub(super) error: String,
    /// Of gRPC.
    pub(super) code: i64,
}

/// Who asks.
#[derive(Serialize)]
pub(super) struct Login<'a> {
    pub(super) name: &'a str,
    pub(super) password: &'a str,
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Text(String),
        Plain(i64),
    }
    match Number::deserialize(deserializer)? {
        Number::Text(text) => text.parse().map_err(D::Error::custom),
        Number::Plain(number) => Ok(number),
    }
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    BASE64.decode(text.as_bytes()).map_err(D::Error::custom)
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    // Ours are text; others' are not asked for.
    Ok(String::from_utf8_lossy(&bytes(deserializer)?).into_owned())
}
