//! How it goes: traffic, who was refused and why, what somebody should look at.

use aws::{Caller, Error};
use serde_json::{Value, json};

use crate::Control;
use crate::control::blocking;

/// `traffic` of this node; `attention`: of the caller's region, what somebody should look at; `settings`, `records`, `health`.
pub(super) async fn get(control: &Control, caller: &Caller) -> Result<Value, Error> {
    let (it, region) = (control.clone(), caller.region.clone());
    let attention = blocking(move || Ok(it.attention().get(&region).cloned().unwrap_or_default())).await?;
    let (_, health) = control.health();
    let (state, journal) = (control.settings().state(), control.journal().stats());
    Ok(json!({
        "at": control.now(),
        "traffic": control.shared.traffic.shown(),
        "attention": attention,
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
