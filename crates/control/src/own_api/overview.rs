//! How it goes: traffic, who was refused and why, what somebody should look at.

use std::ops::ControlFlow;

use aws::Error;
use journal::ledger::{Entry, LedgerError};
use model::UnixMillis;
use serde::Serialize;
use serde_json::{Value, json};

use crate::Control;
use crate::control::blocking;

/// "Soon" is within this, in seconds.
const SOON: i64 = 30 * 24 * 60 * 60;
/// Clients whose certificates end soon that are named.
const NAMED: usize = 20;
/// Clients that are looked at for that.
const LOOKED_AT: usize = 10_000;

/// A client whose certificate ends soon, and who has shown no later one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndingClient {
    id: String,
    domain: String,
    subject: String,
    /// Seconds since 1970.
    not_after: i64,
    last_seen: UnixMillis,
}

/// `traffic`, `attention`, `endingClients` with their number, `settings`, `records`, `health`.
pub(super) async fn get(control: &Control) -> Result<Value, Error> {
    let it = control.clone();
    let (attention, clients, count) = blocking(move || {
        let (clients, count) = ending(&it).unwrap_or_default();
        Ok((it.attention(), clients, count))
    })
    .await?;
    let (_, health) = control.health();
    let (state, journal) = (control.settings().state(), control.journal().stats());
    Ok(json!({
        "at": control.now(),
        "traffic": control.shared.traffic.shown(),
        "attention": &*attention,
        "endingClients": clients,
        "endingClientCount": count,
        "settings": {
            "revision": state.revision,
            "applied": control.settings().applied(),
            "served": control.shared.snapshots.borrow().revision,
        },
        "records": {
            "waitingBytes": journal.waiting,
            "dropped": journal.dropped,
            "error": journal.error,
        },
        "health": health,
    }))
}

fn ending(control: &Control) -> Result<(Vec<EndingClient>, usize), LedgerError> {
    let now = control.now().div_euclid(1000);
    let (mut named, mut count, mut looked_at) = (Vec::new(), 0, 0);
    control.ledger().each_ending(now, now + SOON, |client: Entry| {
        looked_at += 1;
        if let Some(certificate) = client.certificate.as_ref().filter(|_| client.renewed_by.is_none()) {
            // Who gets a new one each day needs no reminder.
            if certificate.not_after.saturating_sub(certificate.not_before) > SOON {
                count += 1;
                if named.len() < NAMED {
                    named.push(EndingClient {
                        id: client.id.to_string(),
                        domain: client.domain.clone(),
                        subject: certificate.subject.clone(),
                        not_after: certificate.not_after,
                        last_seen: client.last_seen,
                    });
                }
            }
        }
        if looked_at == LOOKED_AT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok((named, count))
}
