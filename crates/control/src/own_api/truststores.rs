//! The truststores that a domain has and had, and their bytes.

use aws::{Caller, Error};
use serde_json::{Value, json};

use super::{domains, not_found};
use crate::Control;

/// `items`: the truststore of a domain and those before, the latest first. Each can be set again by
/// `update-domain-name` with its URI and version, whatever S3 still has.
pub(super) fn of_domain(control: &Control, caller: &Caller, name: &str) -> Result<Value, Error> {
    let state = control.settings().state();
    let domain = domains::find(&state, caller, name)?;
    let now = domain.mutual_tls.iter().map(|now| {
        json!({
            "uri": now.uri, "version": now.read_version, "digest": now.digest, "since": now.read, "until": null,
            "newest": now.newest.as_ref().map(|newest| json!({"version": newest.version, "digest": newest.digest})),
        })
    });
    let before = domain.history.iter().map(|earlier| {
        json!({
            "uri": earlier.uri, "version": earlier.version, "digest": earlier.digest, "since": earlier.from,
            "until": earlier.until,
        })
    });
    let shadow = domain.shadow.as_ref().map(|shadow| {
        json!({"uri": shadow.uri, "version": shadow.read_version, "digest": shadow.digest, "since": shadow.read})
    });
    Ok(json!({"items": now.chain(before).collect::<Vec<_>>(), "shadow": shadow}))
}

/// `digest` and `pem` of a truststore that the domains name, or named.
pub(super) async fn get(control: &Control, digest: &str) -> Result<Value, Error> {
    let unknown = || not_found("No such truststore is kept.");
    let is_truststore = control.settings().state().domains.values().any(|domain| {
        let now = domain.mutual_tls.iter().chain(&domain.shadow);
        let digests = now.flat_map(|object| {
            let newest = object.newest.as_ref().and_then(|newest| newest.digest.as_deref());
            std::iter::once(object.digest.as_str()).chain(newest)
        });
        digests.chain(domain.history.iter().map(|earlier| earlier.digest.as_str())).any(|known| known == digest)
    });
    if !is_truststore {
        return Err(unknown());
    }
    let blob = control.settings().blob(digest).await?.ok_or_else(unknown)?;
    Ok(json!({"digest": digest, "pem": String::from_utf8_lossy(blob.bytes())}))
}
