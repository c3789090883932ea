//! One line for a person when an object that a domain names has a newer version than the one in force.

use std::sync::Arc;

use model::State;
use model::resource::{ApiPolicy, Domain, NamedObject};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::answer::{printable, warn};

const REVOCATION_LIST: &str = "revocation list";

/// Tells each newer version once, as long as it stays the newest.
pub(super) async fn tell(mut states: watch::Receiver<Arc<State>>) {
    let mut before = Arc::default();
    loop {
        let now = states.borrow_and_update().clone();
        let new = new_drifts(&before, &now);
        before = now;
        if !new.is_empty() {
            // A terminal that is held must not hold up the runtime.
            let _ = spawn_blocking(move || new.iter().for_each(|line| warn(line))).await;
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

/// What is to be told of `now` and was not of `before`: only what has changed is looked at.
fn new_drifts(before: &State, now: &State) -> Vec<String> {
    let domains = before.domains.differing(&now.domains).flat_map(|name| {
        let lines = |state: &State| state.domains.get(name).into_iter().flat_map(|domain| of_domain(domain)).collect();
        new_lines(lines(before), lines(now))
    });
    let policies = before.api_policies.differing(&now.api_policies).flat_map(|api_id| {
        let lines =
            |state: &State| state.api_policies.get(api_id).and_then(|policy| of_api(policy)).into_iter().collect();
        new_lines(lines(before), lines(now))
    });
    domains.chain(policies).collect()
}

fn new_lines(before: Vec<String>, now: Vec<String>) -> impl Iterator<Item = String> {
    now.into_iter().filter(move |line| !before.contains(line)).map(|line| printable(&line).into_owned())
}

fn of_domain(domain: &Domain) -> impl Iterator<Item = String> {
    let truststore = domain.mutual_tls.iter().map(|object| ("truststore", object));
    let shadow = domain.shadow.iter().map(|object| ("shadow truststore", object));
    let crls = domain.crls.iter().map(|object| (REVOCATION_LIST, object));
    truststore
        .chain(shadow)
        .chain(crls)
        .filter_map(|(what, object)| line(&domain.name, what, object, "the domain is updated"))
}

fn of_api(policy: &ApiPolicy) -> Option<String> {
    line(&format!("API {}", policy.api_id), "policy", &policy.object, "another is pinned")
}

/// `until`: how long the version in force stays so.
fn line(whose: &str, what: &str, object: &NamedObject, until: &str) -> Option<String> {
    let newest = object.newest.as_ref()?;
    let NamedObject { uri, read_version, .. } = object;
    let (version, enforced) = (&newest.version, format!("version {read_version} stays in force"));
    Some(match &newest.digest {
        Some(_) if object.version.is_none() && what == REVOCATION_LIST => {
            format!("the {what} of {whose} was replaced by an older one: {uri} version {version}; {enforced}")
        }
        Some(_) if version != read_version => {
            format!("the {what} of {whose} has a newer version: {uri} version {version}; {enforced} until {until}")
        }
        Some(_) => {
            format!("the {what} of {whose} has other content by now: {uri}; what was read stays in force until {until}")
        }
        None => format!(
            "the {what} of {whose} was deleted, or cannot be used any more: {uri} version {version}; {enforced}"
        ),
    })
}

#[cfg(test)]
mod tests {
    use model::resource::NewerVersion;

    use super::*;

    #[test]
    fn each_kind_of_drift_has_its_line() {
        let object = |version: &str, digest: Option<&str>| NamedObject {
            uri: "s3://b/ca.pem".into(),
            version: Some("v1".into()),
            read_version: "v1".into(),
            digest: "d1".into(),
            read: 0,
            warnings: vec![],
            lists: Default::default(),
            newest: Some(NewerVersion { version: version.into(), digest: digest.map(str::to_owned), seen: 0 }),
        };
        for (version, digest, said) in [
            ("v2", Some("d2"), "has a newer version: s3://b/ca.pem version v2; version v1 stays in force"),
            ("v1", Some("d2"), "has other content by now"),
            ("v2", None, "was deleted, or cannot be used any more"),
        ] {
            let line = line("api.example.com", "truststore", &object(version, digest), "…").unwrap();
            assert!(line.starts_with("the truststore of api.example.com ") && line.contains(said), "{line}");
        }
        assert_eq!(line("d", "truststore", &NamedObject { newest: None, ..object("v1", None) }, "…"), None);
    }
}
