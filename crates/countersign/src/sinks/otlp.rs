//! OpenTelemetry's protocol over HTTP, in its JSON encoding (OTLP 1.x; protobuf's JSON mapping, with ids in hexadecimal).

use std::time::{SystemTime, UNIX_EPOCH};

use journal::Line;
use serde_json::{Value, json};

use super::form::numbered;
use super::outgoing::{Outgoing, refused};
use super::sender::{Taken, Trouble};

#[derive(Clone)]
pub(super) struct Otlp {
    /// With its path.
    pub(super) url: String,
    /// This server's name among others.
    pub(super) instance: String,
    pub(super) outgoing: Outgoing,
}

/// Attributes by the names of OpenTelemetry's semantic conventions, and ours where it has none; where in a record they are.
const ATTRIBUTES: [(&str, &str); 21] = [
    ("http.request.method", "/method"),
    ("http.response.status_code", "/status"),
    ("http.route", "/route"),
    ("url.path", "/path"),
    ("server.address", "/domain"),
    ("tls.protocol.version", "/protocol"),
    ("tls.cipher", "/cipher"),
    ("tls.curve", "/key_exchange"),
    ("tls.resumed", "/resumed"),
    ("tls.client.subject", "/client/subject"),
    ("tls.client.issuer", "/client/issuer"),
    ("tls.client.hash.sha256", "/client/fingerprint"),
    ("countersign.client.serial", "/client/serial"),
    ("countersign.request_id", "/request_id"),
    ("countersign.connection", "/connection"),
    ("countersign.connection.id", "/id"),
    ("countersign.connection.end", "/end"),
    ("countersign.verdict", "/verdict"),
    ("countersign.refusal.code", "/refusal/code"),
    ("countersign.denial.code", "/denial/code"),
    ("countersign.revision", "/revision"),
];

impl Otlp {
    /// 429, 502, 503 and 504 are tried again, as is whatever else an operator can mend; of what the collector calls invalid (400)
    /// the record that is so is found and left out.
    pub(super) async fn send(&self, records: &[Line]) -> Result<Taken, Trouble> {
        let body = request(records, &self.instance, now_nanos()).to_string().into_bytes();
        let answer = self.outgoing.post(&self.url, "application/json", body).await?;
        match answer.status.as_u16() {
            200..=299 => Ok(taken(records.len(), &answer.body)),
            400 | 413 => Err(Trouble::TooMuch(format!("it answers {}", answer.status))),
            _ => Err(refused(&answer)),
        }
    }
}

/// What is rejected in a partial success is not to be sent again.
fn taken(records: usize, body: &[u8]) -> Taken {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let partial = &answer["partialSuccess"];
    let rejected = &partial["rejectedLogRecords"];
    // 64-bit integers are decimal text in protobuf's JSON, and may be numbers.
    let rejected = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or(0).min(records as u64);
    let said = partial["errorMessage"].as_str().unwrap_or_default();
    let why = if rejected > 0 { format!("the collector rejects them: {said}") } else { String::new() };
    Taken { records, rejected, why }
}

/// An `ExportLogsServiceRequest`.
fn request(records: &[Line], instance: &str, now_nanos: u128) -> Value {
    let records: Vec<Value> = records.iter().map(|record| log_record(record, now_nanos)).collect();
    let version = env!("CARGO_PKG_VERSION");
    let of_server = [("service.name", "countersign"), ("service.version", version), ("service.instance.id", instance)];
    let resource: Vec<Value> = of_server.iter().map(|(name, value)| attribute(name, &json!(value))).collect();
    json!({"resourceLogs": [{
        "resource": {"attributes": resource},
        "scopeLogs": [{"scope": {"name": "countersign", "version": version}, "logRecords": records}],
    }]})
}

fn log_record(line: &Line, now_nanos: u128) -> Value {
    let record: Value = serde_json::from_str(&line.json).unwrap_or_default();
    let kind = record["kind"].as_str().unwrap_or_default();
    let (number, text) = severity(kind, &record);
    let mut attributes = vec![
        attribute("countersign.record.number", &json!(line.position.number())),
        attribute("countersign.record.kind", &json!(kind)),
    ];
    let found = ATTRIBUTES.iter().filter_map(|(name, at)| Some(attribute(name, record.pointer(at)?)));
    attributes.extend(found);
    if let Some(source) = record["source"].as_str().and_then(|text| text.parse::<std::net::SocketAddr>().ok()) {
        attributes.push(attribute("client.address", &json!(source.ip().to_canonical().to_string())));
        attributes.push(attribute("client.port", &json!(source.port())));
    }
    let nanos = i128::from(record["time_ms"].as_i64().unwrap_or(0)).max(0) * 1_000_000;
    let mut out = json!({
        "timeUnixNano": nanos.to_string(),
        "observedTimeUnixNano": now_nanos.to_string(),
        "severityNumber": number,
        "severityText": text,
        "eventName": format!("countersign.{kind}"),
        "body": {"stringValue": numbered(line)},
        "attributes": attributes,
    });
    let trace = record["trace"].as_str().unwrap_or_default();
    let is_trace =
        trace.len() == 32 && trace.bytes().all(|b| b.is_ascii_hexdigit()) && trace.bytes().any(|b| b != b'0');
    if is_trace {
        out["traceId"] = json!(trace);
    }
    out
}

/// `SeverityNumber`, and its name.
fn severity(kind: &str, record: &Value) -> (u8, &'static str) {
    let is_refused = ["refusal", "denial", "verdict"].iter().any(|member| record.get(member).is_some());
    match (kind, record["status"].as_u64()) {
        ("access", Some(500..)) => (17, "ERROR"),
        ("dropped", _) => (17, "ERROR"),
        ("refusals", _) => (13, "WARN"),
        _ if is_refused => (13, "WARN"),
        _ => (9, "INFO"),
    }
}

/// A `KeyValue`.
fn attribute(name: &str, value: &Value) -> Value {
    let value = match value {
        Value::Bool(flag) => json!({"boolValue": flag}),
        Value::Number(number) if number.is_i64() || number.is_u64() => json!({"intValue": number.to_string()}),
        Value::Number(number) => json!({"doubleValue": number}),
        Value::String(text) => json!({"stringValue": text}),
        other => json!({"stringValue": other.to_string()}),
    };
    json!({"key": name, "value": value})
}

fn now_nanos() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

#[cfg(test)]
mod tests {
    use journal::Position;

    use super::*;

    fn line(json: &str) -> Line {
        Line { position: Position::from(7), json: json.into() }
    }

    #[test]
    fn a_record_has_the_fields_of_the_protocol() {
        let record = r#"{"kind":"access","time_ms":1696439115900,"request_id":"i","trace":"0af7651916cd43dd8448eb211c80319c",
            "domain":"d","method":"GET","status":403,"refusal":{"code":"ClientCertExpired"},"revision":7,"source":"[::ffff:192.0.2.1]:443"}"#;
        let request = request(&[line(record)], "example.com/gateway", 5);
        let log = &request["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        assert_eq!(log["timeUnixNano"], "1696439115900000000");
        assert_eq!(log["observedTimeUnixNano"], "5");
        assert_eq!((&log["severityNumber"], &log["severityText"]), (&json!(13), &json!("WARN")));
        assert_eq!(log["traceId"], "0af7651916cd43dd8448eb211c80319c");
        assert!(log["body"]["stringValue"].as_str().unwrap().starts_with("{\"number\":7,\"kind\":\"access\""));
        let attributes = log["attributes"].as_array().unwrap();
        let of = |key: &str| attributes.iter().find(|attribute| attribute["key"] == key).map(|found| &found["value"]);
        assert_eq!(of("http.response.status_code"), Some(&json!({"intValue": "403"})));
        assert_eq!(of("client.address"), Some(&json!({"stringValue": "192.0.2.1"})));
        assert_eq!(of("countersign.refusal.code"), Some(&json!({"stringValue": "ClientCertExpired"})));
        assert_eq!(of("http.route"), None);
        assert_eq!(
            request["resourceLogs"][0]["resource"]["attributes"][2]["value"]["stringValue"],
            "example.com/gateway"
        );
    }

    #[test]
    fn only_a_trace_is_one() {
        for trace in ["", "00000000000000000000000000000000", "xyz7651916cd43dd8448eb211c80319c"] {
            let record = line(&json!({"kind": "access", "time_ms": 1, "trace": trace, "status": 500}).to_string());
            let log = log_record(&record, 0);
            assert_eq!((log.get("traceId"), &log["severityNumber"]), (None, &json!(17)));
        }
    }

    #[test]
    fn partial_success_is_no_failure() {
        let some = |body: &str| taken(3, body.as_bytes()).rejected;
        assert_eq!(some("{}"), 0);
        assert_eq!(some(""), 0);
        assert_eq!(some(r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"old"}}"#), 2);
        assert_eq!(some(r#"{"partialSuccess":{"rejectedLogRecords":9}}"#), 3);
        assert_eq!(some(r#"{"partialSuccess":{"errorMessage":"a warning"}}"#), 0);
    }
}
