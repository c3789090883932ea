//! CloudWatch Logs: PutLogEvents, within its limits
//! (docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html).

use http::Request;
use http::header::CONTENT_TYPE;
use journal::Line;
use serde_json::{Value, json};

use super::form::{numbered, time_ms};
use super::outgoing::{Outgoing, refused};
use super::sender::{Taken, Trouble};
use crate::config::Aws;
use crate::fetch::Answer;

#[derive(Clone)]
pub(super) struct Logs {
    pub(super) aws: Aws,
    pub(super) group: String,
    pub(super) stream: String,
    pub(super) outgoing: Outgoing,
}

/// Events of a request.
const MAX_EVENTS: usize = 10_000;
/// Bytes of a request: of messages, and so many more for each.
const MAX_BYTES: usize = 1_048_576;
const EVENT_BYTES: usize = 26;
/// Milliseconds from the first event of a request to the last.
const MAX_SPAN_MS: i64 = 24 * 60 * 60 * 1000;

/// What of some records goes into one request.
#[derive(Debug, PartialEq, Eq)]
struct Put {
    /// `(time in ms, message)`, in order of time.
    events: Vec<(i64, String)>,
    /// So many records are dealt with by it.
    records: usize,
    /// Of these do not fit any request.
    too_large: u64,
}

impl Logs {
    /// Makes the group and the stream, where they are not there.
    pub(super) async fn send(&self, records: &[Line]) -> Result<Taken, Trouble> {
        let Put { events, records, too_large } = request(records);
        let mut taken = Taken { records, rejected: too_large, why: String::new() };
        if too_large > 0 {
            taken.why = "an event has 1 MB at most".to_owned();
        }
        if events.is_empty() {
            return Ok(taken);
        }
        let sent = events.len();
        let events: Vec<Value> = events
            .into_iter()
            .map(|(timestamp, message)| json!({"timestamp": timestamp, "message": message}))
            .collect();
        let body = json!({"logGroupName": self.group, "logStreamName": self.stream, "logEvents": events});
        let mut answer = self.action("PutLogEvents", &body).await?;
        if code(&answer) == "ResourceNotFoundException" {
            self.create().await?;
            answer = self.action("PutLogEvents", &body).await?;
        }
        if !answer.status.is_success() && code(&answer) != "DataAlreadyAcceptedException" {
            return Err(refused(&answer));
        }
        let rejected = rejected(&answer, sent);
        if rejected > 0 {
            taken.rejected += rejected;
            taken.why = "they are too old or too new for the log group".to_owned();
        }
        Ok(taken)
    }

    async fn create(&self) -> Result<(), Trouble> {
        let group = json!({"logGroupName": self.group});
        let stream = json!({"logGroupName": self.group, "logStreamName": self.stream});
        for (operation, body) in [("CreateLogGroup", group), ("CreateLogStream", stream)] {
            let answer = self.action(operation, &body).await?;
            if !answer.status.is_success() && code(&answer) != "ResourceAlreadyExistsException" {
                return Err(refused(&answer));
            }
        }
        Ok(())
    }

    async fn action(&self, operation: &str, body: &Value) -> Result<Answer, Trouble> {
        let request = Request::post(format!("{}/", self.aws.endpoint.trim_end_matches('/')))
            .header(CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Logs_20140328.{operation}"))
            .body(());
        let request = request.map_err(|e| Trouble::later(e.to_string()))?;
        self.outgoing.signed(&self.aws, "logs", request, body.to_string().into_bytes()).await
    }
}

/// As many of the first as a request takes.
fn request(records: &[Line]) -> Put {
    let mut request = Put { events: Vec::new(), records: 0, too_large: 0 };
    let (mut bytes, mut first_ms, mut last_ms) = (0, i64::MAX, i64::MIN);
    for record in records {
        let (at, message) = (time_ms(&record.json).max(0), numbered(record));
        let more = message.len() + EVENT_BYTES;
        if more > MAX_BYTES {
            request.too_large += 1;
            request.records += 1;
            continue;
        }
        let (first, last) = (first_ms.min(at), last_ms.max(at));
        if request.events.len() == MAX_EVENTS || bytes + more > MAX_BYTES || last - first > MAX_SPAN_MS {
            break;
        }
        (bytes, first_ms, last_ms) = (bytes + more, first, last);
        request.events.push((at, message));
        request.records += 1;
    }
    // Those of one time stay in their order.
    request.events.sort_by_key(|(at, _)| *at);
    request
}

/// Of so many events in order of time.
fn rejected(answer: &Answer, events: usize) -> u64 {
    let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let info = &answer["rejectedLogEventsInfo"];
    let index = |name: &str| info[name].as_u64().map(|index| index.min(events as u64));
    let old = index("tooOldLogEventEndIndex").max(index("expiredLogEventEndIndex")).unwrap_or(0);
    let new = index("tooNewLogEventStartIndex").map_or(0, |start| events as u64 - start);
    (old + new).min(events as u64)
}

/// AWS's name of an error.
fn code(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let name = body["__type"].as_str().unwrap_or_default();
    name.rsplit_once('#').map_or(name, |(_, name)| name).to_owned()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use journal::Position;

    use super::*;

    fn line(number: u64, at_ms: i64, bytes: usize) -> Line {
        let json = format!(r#"{{"kind":"event","time_ms":{at_ms},"message":"{}"}}"#, "x".repeat(bytes));
        Line { position: Position::from(u128::from(number)), json: json.into() }
    }

    fn answer(body: &str) -> Answer {
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: body.to_owned().into() }
    }

    #[test]
    fn a_request_is_in_order_of_time() {
        let request = request(&[line(0, 7, 1), line(1, 5, 1), line(2, 7, 1)]);
        let starts: Vec<_> = request.events.iter().map(|(at, message)| (*at, &message[..11])).collect();
        assert_eq!(starts, [(5, "{\"number\":1"), (7, "{\"number\":0"), (7, "{\"number\":2")]);
        assert_eq!((request.records, request.too_large), (3, 0));
    }

    #[test]
    fn a_request_ends_at_each_limit() {
        let many: Vec<Line> = (0..MAX_EVENTS as u64 + 5).map(|number| line(number, 1, 0)).collect();
        assert_eq!(request(&many).records, MAX_EVENTS);
        let large: Vec<Line> = (0..5).map(|number| line(number, 1, 300_000)).collect();
        let some = request(&large);
        let bytes: usize = some.events.iter().map(|(_, message)| message.len() + EVENT_BYTES).sum();
        assert_eq!(some.records, 3);
        assert!(bytes <= MAX_BYTES);
        let day = [line(0, 1, 0), line(1, MAX_SPAN_MS + 1, 0), line(2, MAX_SPAN_MS + 2, 0)];
        assert_eq!(request(&day).records, 2);
        let huge = [line(0, 1, MAX_BYTES), line(1, 1, 0)];
        let rest = request(&huge);
        assert_eq!((rest.records, rest.too_large, rest.events.len()), (2, 1, 1));
        assert_eq!(request(&huge[..1]).records, 1);
    }

    #[test]
    fn what_is_too_old_or_too_new_is_counted() {
        for (info, expected) in [
            ("{}", 0),
            (r#"{"rejectedLogEventsInfo":{"tooOldLogEventEndIndex":2}}"#, 2),
            (
                r#"{"rejectedLogEventsInfo":{"tooOldLogEventEndIndex":1,"expiredLogEventEndIndex":2,"tooNewLogEventStartIndex":4}}"#,
                3,
            ),
            (r#"{"rejectedLogEventsInfo":{"tooOldLogEventEndIndex":99}}"#, 5),
        ] {
            assert_eq!(rejected(&answer(info), 5), expected, "{info}");
        }
        assert_eq!(code(&answer(r#"{"__type":"com.amazonaws.logs#ThrottlingException"}"#)), "ThrottlingException");
    }
}
