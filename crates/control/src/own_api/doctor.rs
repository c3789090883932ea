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
/// How far back they are looked for, in milliseconds.
const BACK: i64 = 30 * 24 * 60 * 60 * 1000;

/// Looks at an endpoint from outside.
#[async_trait]
pub trait Doctor: Send + Sync {
    /// What it finds of a domain of this server, in the JSON of `countersign doctor`; an error says why it could not look.
    async fn examine(&self, control: &Control, domain: &Domain) -> Result<Value, String>;
}

/// `run`: what it found, and is kept with the records.
pub(super) async fn post(control: &Control, caller: &Caller, name: &str) -> Result<Value, Error> {
    let domain = domains::find(control, caller, name)?;
    let turn = control.shared.examinations.try_lock().map_err(|_| {
        Error::new(
            http::StatusCode::CONFLICT,
            "ConflictException",
            "The doctor is looking at another domain: ask again.",
        )
    })?;
    let diagnosis = control.shared.doctor.examine(control, &domain).await;
    let diagnosis = diagnosis.map_err(|why| Error::bad_request(format!("The doctor could not look: {why}")))?;
    drop(turn);
    let run = json!({
        "id": caller.request_id, "at": control.now(), "region": domain.region, "domain": domain.name, "by": caller.arn, "diagnosis": diagnosis,
    });
    let (journal, at) = (control.journal().clone(), control.now());
    let (line, stream) = (run.to_string(), domain.name.replace('*', "_"));
    blocking(move || {
        let appended = journal.append_events("", GROUP, &stream, &[(at, &line)], at);
        appended.map_err(|error| Error::internal(format!("What it found cannot be recorded: {error}")))
    })
    .await?;
    Ok(json!({ "run": run }))
}

/// `runs`, the newest first: of `domain`, else of all of the caller's region.
pub(super) async fn list(control: &Control, request: &OwnRequest) -> Result<Value, Error> {
    let domain = request.query.get("domain").cloned();
    let wanted = |run: &Value| domain.as_deref().is_none_or(|domain| run["domain"] == domain);
    let mut runs = runs(control, &request.caller).await?;
    runs.retain(wanted);
    runs.truncate(LISTED);
    Ok(json!({ "runs": runs }))
}

/// `run`, by its id.
pub(super) async fn get(control: &Control, caller: &Caller, id: &str) -> Result<Value, Error> {
    let run = runs(control, caller).await?.into_iter().find(|run| run["id"] == id);
    run.map(|run| json!({ "run": run })).ok_or_else(|| not_found("No such run of the doctor is kept."))
}

async fn runs(control: &Control, caller: &Caller) -> Result<Vec<Value>, Error> {
    let (journal, region, since) = (control.journal().clone(), caller.region.clone(), control.now() - BACK);
    let is_here = move |run: &Value| run["region"] == region;
    blocking(move || {
        let query = Query { start_ms: since, newest_first: true, ..Query::new("", GROUP) };
        let page =
            journal.read(&query).map_err(|error| Error::internal(format!("The records cannot be read: {error}")))?;
        // A page is in order of time, though it has the newest.
        let runs = page.events.iter().rev().filter_map(|event| serde_json::from_str(&event.message).ok());
        Ok(runs.filter(is_here).collect())
    })
    .await
}
