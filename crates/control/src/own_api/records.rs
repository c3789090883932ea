//! Records, by what they are about.

use aws::Error;
use journal::{Kind, Kinds, Position, Search};
use model::State;
use serde_json::{Map, Value, json};

use super::OwnRequest;
use super::requests::domain_of;
use crate::Control;
use crate::control::blocking;

/// Records in a page, and the most that may be asked for.
const LIMIT: usize = 1000;
const MAX_LIMIT: usize = 10_000;

/// `records`: each as it was written, with its `number`; `next`: where to continue, absent where nothing is left at present; `end`:
/// where the newest records will follow.
pub(super) async fn list(control: &Control, request: &OwnRequest) -> Result<Value, Error> {
    let limit = request.parameter::<usize>("limit", "a number")?.unwrap_or(LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Error::bad_request(format!("Invalid limit: expected 1 to {MAX_LIMIT}")));
    }
    let number = "the number of a record";
    let after = request.parameter::<u64>("after", number)?.map(|number| Position::from(u128::from(number)));
    let since_ms = request.parameter::<i64>("since", "milliseconds since 1970")?.unwrap_or(i64::MIN);
    let until_ms = request.parameter::<i64>("until", "milliseconds since 1970")?.unwrap_or(i64::MAX);
    let flag = |name| request.parameter::<bool>(name, "true or false").map(|flag| flag == Some(true));
    let (refused, newest_first) = (flag("refused")?, flag("newest-first")?);
    let kinds = kinds(request)?;
    let client = request.query.get("client").cloned();
    let domain = request.query.get("domain").map(|name| name.to_ascii_lowercase());
    let journal = control.journal().clone();
    let found = blocking(move || {
        let (client, domain) = (client.as_deref(), domain.as_deref());
        let search =
            Search { kinds, client, domain, api: None, refused, since_ms, until_ms, after, newest_first, limit };
        let unreadable = |error: std::io::Error| Error::internal(format!("The records cannot be read: {error}"));
        journal.search(&search).map_err(unreadable)
    })
    .await?;
    let tagged = match request.query.get("audit-event").map(String::as_str) {
        None => None,
        Some("fhir") => Some(control.settings().state()),
        Some(_) => return Err(Error::bad_request("Invalid audit-event: expected fhir")),
    };
    let is_wanted = |record: &Map<String, Value>| {
        let name = || record.get("domain").and_then(Value::as_str);
        let is_tagged = |state: &State| {
            let domain = name().and_then(|name| domain_of(state, name));
            domain.is_some_and(|domain| domain.tags.get("countersign:audit-event").is_some_and(|value| value == "fhir"))
        };
        tagged.as_ref().is_none_or(|state| is_tagged(state))
    };
    let records = found.lines.iter().filter_map(|line| {
        let mut record: Map<String, Value> = serde_json::from_str(&line.json).ok().filter(is_wanted)?;
        record.insert("number".to_owned(), number_of(line.position));
        Some(Value::Object(record))
    });
    let mut answer = json!({"records": records.collect::<Vec<_>>(), "end": number_of(found.end)});
    if let Some(next) = found.next {
        answer["next"] = number_of(next);
    }
    Ok(answer)
}

fn kinds(request: &OwnRequest) -> Result<Kinds, Error> {
    let Some(names) = request.query.get("kind") else { return Ok(Kinds::ALL) };
    let kind = |name: &str| {
        let kind = Kind::named(name);
        kind.ok_or_else(|| Error::bad_request(format!("Invalid kind: expected some of {}", Kind::NAMES.join(", "))))
    };
    let kinds = names.split(',').map(kind).collect::<Result<Vec<_>, _>>()?;
    Ok(Kinds::of(kinds))
}

fn number_of(position: Position) -> Value {
    // Numbers of records are 64 bits wide.
    json!(u128::from(position) as u64)
}
