//! Who enforces the settings.

use serde_json::{Value, json};

use crate::Control;

/// `nodes`, by name: the revision that each enforces (`revision`, since `appliedAt`), and since when it is there (`since`); `revision`:
/// the newest that is known here; `storeLostSince`: since when the store cannot be asked, where it cannot. Times are in milliseconds
/// since 1970.
pub(super) fn list(control: &Control) -> Value {
    let nodes = control.settings().nodes().into_iter().map(
        |node| json!({"name": node.name, "revision": node.revision, "appliedAt": node.applied, "since": node.since}),
    );
    let nodes: Vec<Value> = nodes.collect();
    let (revision, lost) = (control.settings().state().revision, control.settings().lost());
    json!({"nodes": nodes, "revision": revision, "storeLostSince": lost})
}
