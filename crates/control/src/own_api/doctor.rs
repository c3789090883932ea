//! The doctor: having it look at a domain, and what it found before.

use async_trait::async_trait;
use aws::{Caller, Error};
use journal::Query;
use model::resource::Domain;
use serde_json::{Value, json};

use super::{OwnRequest, domains, not_found};
use crate::Control;
use crate::control::blocking;

/// Log group of what it found, which is the server's own: nobody else writes there.
pub(crate) const GROUP: &str = "/countersign/doctor";
/// Runs that are listed.
const LISTED: usize = 50;
/// Bytes of a run that is kept: a record has room for more.
const MAX_RUN_BYTES: usize = 200 * 1024;
/// Pages of records that are read for one answer.
const MAX_PAGES: usize = 50;
/// How far back they are looked for, in milliseconds.
const BACK: i64 = 30 * 24 * 60 * 60 * 1000;

/// Looks at an endpoint from outside.
#[async_trait]
pub trait Doctor: Send + Sync {
    /// What it finds of a domain of this server, in the JSON of `countersign doctor`; an error says why it could not look.
    /// Settings are read with the rights of `asks`.
    async fn examine(&self, control: &Control, domain: &Domain, asks: sigv4::Credentials) -> Result<Value, String>;
}

/// `run`: what it found, and is kept with the records.
pub(super) async fn post(control: &Control, request: &OwnRequest, name: &str) -> Result<Value, Error> {
    let caller = &request.caller;
    let domain = domains::find(&control.settings().state(), caller, name)?;
    let turn = control.shared.examinations.try_lock().map_err(|_| {
        let message = "The doctor is looking at something already: ask again.";
        Error::new(http::StatusCode::CONFLICT, "ConflictException", message)
    })?;
    let diagnosis = control.shared.doctor.examine(control, &domain, credentials(control, request)?).await;
    let diagnosis = diagnosis.map_err(|why| Error::bad_request(format!("The doctor could not look: {why}")))?;
    drop(turn);
    let mut run = json!({
        "id": caller.request_id, "at": control.now(), "region": domain.region, "domain": domain.name, "by": caller.arn,
        "diagnosis": diagnosis,
    });
    let line = bounded(&mut run);
    let (journal, at, stream) = (control.journal().clone(), control.now(), domain.name.replace('*', "_"));
    blocking(move || {
        let appended = journal.append_events("", GROUP, &stream, &[(at, &line)], at);
        appended.map_err(|error| Error::internal(format!("What it found cannot be recorded: {error}")))
    })
    .await?;
    Ok(json!({ "run": run }))
}

/// Those with which somebody asks: the doctor reads settings with them.
fn credentials(control: &Control, request: &OwnRequest) -> Result<sigv4::Credentials, Error> {
    let (id, token) = (&request.caller.access_key_id, &request.session_token);
    let found = control.credentials(id, token.as_deref()).map_err(|error| Error::access_denied(error.to_string()))?;
    let secret = sigv4::SecretKey::new(found.secret.as_str());
    Ok(sigv4::Credentials { access_key_id: id.clone(), secret, session_token: token.clone() })
}

/// Leaves findings out, the last first, until a record has room for it.
fn bounded(run: &mut Value) -> String {
    loop {
        let line = run.to_string();
        let findings = run["diagnosis"]["findings"].as_array_mut().filter(|_| line.len() > MAX_RUN_BYTES);
        match findings.and_then(Vec::pop) {
            Some(_) => run["diagnosis"]["leftOut"] = json!(run["diagnosis"]["leftOut"].as_u64().unwrap_or(0) + 1),
            None => return line,
        }
    }
}

/// `runs`, the newest first: of `domain`, else of all domains of the caller's region whose runs they may see.
pub(super) async fn list(control: &Control, request: &OwnRequest) -> Result<Value, Error> {
    let domain = request.query.get("domain").cloned();
    let wanted = move |run: &Value| domain.as_deref().is_none_or(|domain| run["domain"] == domain);
    Ok(json!({ "runs": runs(control, &request.caller, LISTED, wanted).await? }))
}

/// `run`, by its id.
pub(super) async fn get(control: &Control, caller: &Caller, id: &str) -> Result<Value, Error> {
    let id = id.to_owned();
    let found = runs(control, caller, 1, move |run| run["id"] == id.as_str()).await?;
    let run = found.into_iter().next();
    run.map(|run| json!({ "run": run })).ok_or_else(|| not_found("No such run of the doctor is kept."))
}

async fn runs(
    control: &Control,
    caller: &Caller,
    limit: usize,
    wanted: impl Fn(&Value) -> bool + Send + 'static,
) -> Result<Vec<Value>, Error> {
    let (journal, since, caller) = (control.journal().clone(), control.now() - BACK, caller.clone());
    let may_see = move |run: &Value| {
        let name = run["domain"].as_str().unwrap_or_default();
        let domain = format!("arn:aws:apigateway:{}::/domainnames/{name}", caller.region);
        run["region"] == caller.region.as_str() && caller.may("countersign:GetDoctorRun", &domain).is_ok()
    };
    blocking(move || {
        let mut query = Query { start_ms: since, newest_first: true, ..Query::new("", GROUP) };
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            let page = journal.read(&query);
            let page = page.map_err(|error| Error::internal(format!("The records cannot be read: {error}")))?;
            // A page is in order of time, though it has the newest.
            let runs = page.events.iter().rev().filter_map(|event| serde_json::from_str(&event.message).ok());
            found.extend(runs.filter(|run| wanted(run) && may_see(run)).take(limit - found.len()));
            match page.next {
                Some(next) if found.len() < limit => query.after = Some(next),
                _ => break,
            }
        }
        Ok(found)
    })
    .await
}
