//! The clients that were seen.

use aws::Error;
use journal::ledger::{Entry, Id, LedgerError, Query, State};
use model::UnixMillis;
use serde_json::{Value, json};
use trust::Certificate;

use super::{OwnRequest, not_found, shown};
use crate::Control;
use crate::control::blocking;

/// Clients of a page, where the request does not say.
const PAGE: usize = 100;
/// Days that can be asked for: as far as the ledger remembers.
const MAX_DAYS: u32 = 400;
const DAY_MS: UnixMillis = 24 * 60 * 60 * 1000;

/// `clients`, those first that were seen last (with `expiring-days`: whose certificates end first), `nextToken`, `completeness`.
pub(super) async fn list(control: &Control, request: &OwnRequest) -> Result<Value, Error> {
    let query = query(request, control.now())?;
    let (ledger, settings) = (control.ledger().clone(), control.settings().state());
    blocking(move || {
        // Who was seen just now is to be there. Where nothing can be written, what is there is shown.
        let _ = ledger.sync();
        let mut page = ledger.clients(&query).map_err(unreadable)?;
        page.clients.iter_mut().for_each(|client| forget_old_shadow(client, &settings));
        page.clients.retain(|client| !query.shadow_differs || client.shadow.is_some());
        let completeness = ledger.completeness(query.domain.as_deref()).map_err(unreadable)?;
        Ok(json!({"clients": page.clients, "nextToken": page.token, "completeness": completeness}))
    })
    .await
}

/// `client`, and `chain`: its certificates in PEM, leaf first; `certificates`: what those say that can be read.
pub(super) async fn get(control: &Control, id: &str) -> Result<Value, Error> {
    let none = || not_found("No such client was seen.");
    let id: Id = id.parse().map_err(|_| none())?;
    let (ledger, settings) = (control.ledger().clone(), control.settings().state());
    blocking(move || {
        let _ = ledger.sync();
        let mut client = ledger.client(id).map_err(unreadable)?.ok_or_else(none)?;
        forget_old_shadow(&mut client, &settings);
        let chain = ledger.chain_of(&client).map_err(unreadable)?.ok_or_else(none)?;
        let pem: Vec<String> = chain.certificates().map(pem).collect();
        let read = chain.certificates().filter_map(|der| Certificate::from_der(der).ok());
        let certificates: Vec<Value> = read.map(|one| shown(&one)).collect();
        Ok(json!({"client": client, "chain": pem, "certificates": certificates}))
    })
    .await
}

fn query(request: &OwnRequest, now: UnixMillis) -> Result<Query, Error> {
    let days = |name| -> Result<Option<UnixMillis>, Error> {
        let days = request.parameter::<u32>(name, "a number of days")?;
        match days.filter(|days| !(1..=MAX_DAYS).contains(days)) {
            Some(_) => Err(Error::bad_request(format!("Invalid {name}: expected 1 to {MAX_DAYS}"))),
            None => Ok(days.map(|days| UnixMillis::from(days) * DAY_MS)),
        }
    };
    let state = match request.query.get("state").map(String::as_str) {
        None | Some("all") => None,
        Some("accepted") => Some(State::Accepted),
        Some("refused") => Some(State::Refused),
        Some(_) => return Err(Error::bad_request("Invalid state: expected accepted, refused or all")),
    };
    let shadow_differs = match request.query.get("shadow").map(String::as_str) {
        None => false,
        Some("differs") => true,
        Some(_) => return Err(Error::bad_request("Invalid shadow: expected differs")),
    };
    let seconds = now.div_euclid(1000);
    Ok(Query {
        domain: request.query.get("domain").map(|domain| domain.to_ascii_lowercase()),
        search: request.query.get("search").cloned(),
        state,
        seen_since: days("days")?.map(|days| now - days),
        ending: days("expiring-days")?.map(|days| (seconds, seconds + days / 1000)),
        shadow_differs,
        limit: request.parameter("maxResults", "a number")?.unwrap_or(PAGE).clamp(1, Query::MAX_PAGE),
        token: request.query.get("nextToken").cloned(),
    })
}

/// What was said under a shadow truststore that the domain has no more says nothing.
fn forget_old_shadow(client: &mut Entry, settings: &model::State) {
    let shadow = settings.domains.get(&client.domain).and_then(|domain| domain.shadow.as_ref());
    client.shadow = client.shadow.take().filter(|seen| shadow.is_some_and(|shadow| shadow.digest == seen.truststore));
}

fn pem(der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n");
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>())
}

fn unreadable(error: LedgerError) -> Error {
    match error {
        LedgerError::Token => Error::bad_request("Invalid nextToken"),
        error => Error::internal(error.to_string()),
    }
}
