//! What was recorded of a request, and why it was refused as far as that is known by now.

mod commands;
mod explanation;

use aws::Error;
use model::State;
use model::resource::Domain;
use serde_json::{Value, json};

use super::not_found;
use crate::Control;
use crate::control::blocking;

/// `record`: what was recorded of a request; `domain`: what is set for its domain now; `explained`: the refusal explained
/// again, with all that is known now (null where it cannot be); `commands`: what mends it, for a shell.
pub(super) async fn get(control: &Control, id: &str) -> Result<Value, Error> {
    let (journal, id) = (control.journal().clone(), id.to_owned());
    let unreadable = |error: std::io::Error| Error::internal(format!("The records cannot be read: {error}"));
    let record = blocking(move || journal.find_request(&id).map_err(unreadable)).await?;
    let record = record.ok_or_else(|| not_found(UNKNOWN))?;
    let state = control.settings().state();
    let domain = domain_of(&state, &record.domain);
    let explained = match domain {
        Some(domain) => explanation::again(control, &state, domain, &record).await,
        None => None,
    };
    let found_in = explained.as_ref().and_then(|explained| explained.found_in.as_ref());
    let commands = domain.and_then(|domain| commands::of(domain, &record, found_in)).unwrap_or_default();
    let domain = domain.map(|domain| {
        json!({
            "name": domain.name,
            "certificateArn": domain.certificate_arn,
            "truststoreUri": domain.mutual_tls.as_ref().map(|mutual| &mutual.uri),
            "truststoreVersion": domain.mutual_tls.as_ref().map(|mutual| &mutual.read_version),
            "newestVersion": domain.mutual_tls.as_ref().and_then(|mutual| Some(&mutual.newest.as_ref()?.version)),
        })
    });
    Ok(json!({"record": record, "domain": domain, "explained": explained, "commands": commands}))
}

const UNKNOWN: &str = "No such request is recorded. Of strangers beyond limits.refusal_records there are only counts, by network, \
                       reason and domain.";

/// The domain that a server name leads to.
pub(super) fn domain_of<'a>(state: &'a State, name: &str) -> Option<&'a Domain> {
    let wildcard = || state.domains.get(&format!("*.{}", name.split_once('.')?.1));
    state.domains.get(name).or_else(wildcard).map(AsRef::as_ref)
}
