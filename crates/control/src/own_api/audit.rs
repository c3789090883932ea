//! Whether the records are what they were: checkpoints, verifying all of them, proving one.

use std::io;

use aws::Error;
use http::StatusCode;
use journal::note::Verifier;
use journal::{Journal, Position, audit};
use serde::Deserialize;
use serde_json::{Value, json};

use super::not_found;
use crate::Control;
use crate::control::blocking;

/// Checkpoints that records are held to at a time.
const MAX_CHECKPOINTS: usize = 10_000;

/// What is held elsewhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeldElsewhere {
    /// Checkpoints: signed notes.
    #[serde(default)]
    against: Vec<String>,
}

/// `verifier`: the key that verifies checkpoints; `checkpoint`: the newest; `witness`: whether somebody is told of each.
pub(super) fn get(control: &Control) -> Result<Value, Error> {
    let journal = control.journal();
    let verifier = verifier(journal)?.to_string();
    let witness = control.shared.witness_fails.is_some();
    Ok(json!({"verifier": verifier, "checkpoint": journal.checkpoint().as_deref(), "witness": witness}))
}

/// `checkpoint`: a signed note about all records that there are; `verifier`: the key that verifies it.
pub(super) async fn checkpoint(control: &Control) -> Result<Value, Error> {
    let journal = control.journal().clone();
    blocking(move || {
        let verifier = verifier(&journal)?;
        let checkpoint = journal.checkpoint_now().map_err(unwritable)?;
        Ok(json!({"checkpoint": checkpoint.as_deref(), "verifier": verifier.to_string()}))
    })
    .await
}

/// What [`audit::verify`] reports. Reads all records.
pub(super) async fn verify(control: &Control, held: HeldElsewhere) -> Result<Value, Error> {
    let journal = control.journal().clone();
    if held.against.len() > MAX_CHECKPOINTS {
        return Err(Error::bad_request(format!("Invalid against: at most {MAX_CHECKPOINTS} checkpoints")));
    }
    blocking(move || {
        let verifier = verifier(&journal)?;
        let note = |note: &String| {
            verifier.checkpoint(note).map_err(|error| Error::bad_request(format!("Invalid against: {error}")))
        };
        let against = held.against.iter().map(note).collect::<Result<Vec<_>, _>>()?;
        let report = audit::verify(journal.directory(), &verifier, &against).map_err(unreadable)?;
        serde_json::to_value(report).map_err(|error| Error::internal(error.to_string()))
    })
    .await
}

/// `proof`: that a record is in the log, by its number or the id of the request that it is of.
pub(super) async fn prove(control: &Control, id: String) -> Result<Value, Error> {
    let journal = control.journal().clone();
    blocking(move || {
        let verifier = verifier(&journal)?;
        let position = match id.parse::<u64>() {
            Ok(number) => Some(Position::from(u128::from(number))),
            Err(_) => journal.position_of_request(&id).map_err(unreadable)?,
        };
        let position = position.ok_or_else(|| not_found("No such request is recorded."))?;
        journal.checkpoint_now().map_err(unwritable)?;
        let proof = audit::prove(journal.directory(), &verifier, position).map_err(unreadable)?;
        let proof = proof.ok_or_else(|| not_found("No such record is kept."))?;
        Ok(json!({"proof": proof.to_string(), "verifier": verifier.to_string()}))
    })
    .await
}

fn verifier(journal: &Journal) -> Result<Verifier, Error> {
    journal.verifier().cloned().ok_or_else(|| not_found("Records are not signed for here."))
}

fn unreadable(error: io::Error) -> Error {
    Error::internal(format!("The records cannot be read: {error}"))
}

fn unwritable(error: io::Error) -> Error {
    let what = format!("Records cannot be written: {error}");
    Error::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", what)
}
