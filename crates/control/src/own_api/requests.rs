//! What was recorded of a request.

use aws::Error;
use serde_json::{Value, json};

use super::{blocking, not_found};
use crate::Control;

/// `record`: what was recorded of a request; `domain`: what is set for its domain now.
pub(super) async fn get(control: &Control, id: &str) -> Result<Value, Error> {
    let (journal, id) = (control.journal().clone(), id.to_owned());
    let unreadable = |error: std::io::Error| Error::internal(format!("The records cannot be read: {error}"));
    let record = blocking(move || journal.find_request(&id).map_err(unreadable)).await?;
    let record = record.ok_or_else(|| not_found("No such request is recorded."))?;
    let state = control.settings().state();
    let domain = state.domains.get(record.domain.as_ref()).map(|domain| {
        json!({
            "name": domain.name,
            "certificateArn": domain.certificate_arn,
            "truststoreUri": domain.mutual_tls.as_ref().map(|mutual| &mutual.uri),
            "truststoreVersion": domain.mutual_tls.as_ref().map(|mutual| &mutual.read_version),
            "newestVersion": domain.mutual_tls.as_ref().and_then(|mutual| Some(&mutual.newest.as_ref()?.version)),
        })
    });
    Ok(json!({"record": record, "domain": domain}))
}
