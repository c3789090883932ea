//! The domains: whom they trust, what they show, what is to be said of them.

mod shown;
mod versions;

use std::sync::Arc;

use aws::{Caller, Error};
use model::State;
use model::resource::Domain;
use serde_json::{Value, json};
use trust::Truststore;

use super::{OwnRequest, not_found};
use crate::Control;
use crate::apigatewayv2::{Draft, warnings_of};
use crate::control::blocking;

/// Domains of a page.
const PAGE: usize = 50;
const MAX_PAGE: usize = 500;

/// `domains` in the order of their names, `next` (give it as `after`): those of the caller's region whose names contain `search`;
/// `total`: how many all regions have.
pub(super) async fn list(control: &Control, request: &OwnRequest) -> Result<Value, Error> {
    let limit = request.parameter::<usize>("limit", "a number")?.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let search = request.query.get("search").map(|text| text.trim().to_ascii_lowercase()).unwrap_or_default();
    let after = request.query.get("after").cloned().unwrap_or_default();
    let (control, caller) = (control.clone(), request.caller.clone());
    blocking(move || Ok(listed(&control, &caller, &search, &after, limit))).await
}

fn listed(control: &Control, caller: &Caller, search: &str, after: &str, limit: usize) -> Value {
    let (state, enforced) = (control.settings().state(), control.enforced());
    let draft = Draft::of(&state, control.config(), caller);
    let wanted = |domain: &&Arc<Domain>| {
        domain.region == caller.region && domain.name.as_str() > after && domain.name.contains(search)
    };
    let mut found = state.domains.at_or_after(after).map(|(_, domain)| domain).filter(wanted);
    let page: Vec<&Arc<Domain>> = found.by_ref().take(limit).collect();
    let next = found.next().and(page.last()).map(|last| last.name.as_str());
    let shown = page.iter().map(|domain| {
        let compiled = enforced.snapshot.domain(&domain.name).filter(|compiled| compiled.name == domain.name);
        let trust = compiled.and_then(|compiled| compiled.trust.as_ref());
        let certificate = state.certificates.get(&domain.certificate_arn);
        json!({
            "name": domain.name,
            "mutualTls": domain.mutual_tls.as_ref().map(|object| json!({
                "uri": object.uri,
                "version": object.read_version,
                "newer": object.newest.as_ref().map(|newest| &newest.version),
                "certificates": trust.map(|trust| trust.truststore.certificates().count()),
            })),
            "shadow": domain.shadow.is_some(),
            "certificateNotAfter": certificate.and_then(|found| shown::not_after(&found.certificate)),
            "status": if enforced.applied >= domain.revision { "AVAILABLE" } else { "UPDATING" },
            "warnings": warnings_of(&draft, domain, &enforced),
            "served": compiled.is_some(),
        })
    });
    json!({"domains": shown.collect::<Vec<_>>(), "next": next, "total": state.domains.len()})
}

/// One domain, with its truststore's certificates and their findings, the versions of the object, its certificate and mappings.
pub(super) async fn get(control: &Control, caller: &Caller, name: &str) -> Result<Value, Error> {
    let state = control.settings().state();
    let domain = find(&state, caller, name)?;
    let enforced = control.enforced();
    let draft = Draft::of(&state, control.config(), caller);
    let faults = enforced.snapshot.faults.iter().filter(|fault| fault.name == domain.name).map(|fault| &fault.what);
    let truststore = match &domain.mutual_tls {
        Some(object) => Some(shown::truststore(control, object).await?),
        None => None,
    };
    let shadow = match &domain.shadow {
        Some(object) => Some(shown::truststore(control, object).await?),
        None => None,
    };
    let applied = enforced.applied;
    Ok(json!({
        "name": domain.name,
        "region": domain.region,
        "arn": format!("arn:aws:apigateway:{}::/domainnames/{}", domain.region, domain.name),
        "status": if applied >= domain.revision { "AVAILABLE" } else { "UPDATING" },
        "warnings": warnings_of(&draft, &domain, &enforced),
        "faults": faults.collect::<Vec<_>>(),
        "securityPolicy": domain.security_policy.as_str(),
        "routingMode": domain.routing_mode,
        "certificate": state.certificates.get(&domain.certificate_arn).map(|found| shown::certificate(found)),
        "truststore": truststore,
        "shadow": shadow,
        "versions": versions::of(control, caller, &domain).await?,
        "mappings": shown::mappings(&state, &domain),
        "rules": state.routing_rules.get(&domain.name).map_or(0, |rules| rules.len()),
        "crls": domain.crls.iter().map(|crl| json!({"uri": crl.uri, "version": crl.read_version})).collect::<Vec<_>>(),
        "tags": domain.tags,
        "revision": domain.revision,
        "applied": applied,
        "served": enforced.snapshot.revision,
        "https": control.config().https_port,
    }))
}

/// `diff` from one version of the domain's truststore to another (`from-uri`, `to-uri`: of another object than the enforced one's).
pub(super) async fn diff(control: &Control, request: &OwnRequest, name: &str) -> Result<Value, Error> {
    let domain = find(&control.settings().state(), &request.caller, name)?;
    let given = |name: &str| {
        let given = request.query.get(name).cloned();
        given.ok_or_else(|| Error::bad_request(format!("Missing {name}: expected the version of a truststore")))
    };
    let (from, to) = (given("from")?, given("to")?);
    let uri = |name: &str| request.query.get(name).map(String::as_str);
    let before = versions::compiled(control, &request.caller, &domain, uri("from-uri"), &from).await?;
    let after = versions::compiled(control, &request.caller, &domain, uri("to-uri"), &to).await?;
    let at = control.now().div_euclid(1000);
    let diff = blocking(move || Ok(trust::Diff::of(&before, &after, at))).await?;
    Ok(json!({"from": from, "to": to, "diff": diff}))
}

/// A domain of the caller's region.
pub(super) fn find(state: &State, caller: &Caller, name: &str) -> Result<Arc<Domain>, Error> {
    let domain = state.domains.get(&name.to_ascii_lowercase()).filter(|domain| domain.region == caller.region);
    domain.cloned().ok_or_else(|| not_found("Invalid domain name identifier specified"))
}

/// Compiles bytes that were taken as a truststore before.
async fn compile(bytes: Vec<u8>, at: i64) -> Result<(Truststore, Vec<trust::Finding>), Error> {
    let compiled = move || Truststore::compile(&bytes, at).map_err(|error| Error::bad_request(error.to_string()));
    blocking(compiled).await
}
