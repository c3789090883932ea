//! How truststores, certificates and mappings are shown.

use std::collections::HashMap;

use aws::Error;
use model::State;
use model::resource::{Certificate, Domain, NamedObject};
use serde_json::{Value, json};
use trust::hierarchy::Hierarchy;
use trust::{Finding, Truststore};

use super::compile;
use crate::Control;
use crate::control::blocking;

/// Certificates of a truststore that are shown one by one.
const MAX_SHOWN: usize = 1_000;

/// Whom a domain trusts: where it is from, `certificates` as a tree in which roots come first, `findings` that are about no one of them.
pub(super) async fn truststore(control: &Control, object: &NamedObject) -> Result<Value, Error> {
    let at = control.now().div_euclid(1000);
    let shown = match control.settings().blob(&object.digest).await? {
        Some(blob) => match compile(blob.bytes().to_vec(), at).await {
            Ok((truststore, findings)) => blocking(move || Ok(certificates(&truststore, findings))).await?,
            Err(error) => json!({"error": error.message}),
        },
        None => json!({"error": "Its bytes are not kept any more."}),
    };
    let mut shown = shown;
    shown["uri"] = json!(object.uri);
    shown["pinned"] = json!(object.version);
    shown["version"] = json!(object.read_version);
    shown["digest"] = json!(object.digest);
    shown["since"] = json!(object.read);
    Ok(shown)
}

fn certificates(truststore: &Truststore, findings: Vec<Finding>) -> Value {
    let all: Vec<_> = truststore.certificates().cloned().collect();
    let hierarchy = Hierarchy::of(&all);
    let (parents, levels) = (hierarchy.parents(), hierarchy.levels());
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
    for (place, parent) in parents.iter().enumerate() {
        if let Some(parent) = parent {
            children[*parent].push(place);
        }
    }
    // A tree in the order in which it is drawn: each certificate before those below it.
    let tops = hierarchy.roots_first().into_iter().filter(|&place| parents[place].is_none());
    let mut waiting: Vec<(usize, usize)> = tops.map(|place| (place, 0)).collect();
    waiting.reverse();
    let mut by_subject: HashMap<String, Vec<Finding>> = HashMap::new();
    let mut rest = Vec::new();
    for finding in findings {
        match finding.subject.clone() {
            Some(subject) => by_subject.entry(subject).or_default().push(finding),
            None => rest.push(finding),
        }
    }
    let mut shown = Vec::new();
    while let Some((place, depth)) = waiting.pop() {
        waiting.extend(children[place].iter().rev().map(|&child| (child, depth + 1)));
        if shown.len() == MAX_SHOWN {
            continue;
        }
        let one = &all[place];
        let own = by_subject.remove(one.subject()).unwrap_or_default();
        let mut told = super::super::shown(one);
        told["signature"] = json!(one.signature_name());
        told["depth"] = json!(depth);
        told["kind"] = json!(match (levels[place], one.is_ca() || one.version() < 3) {
            (Some(1), _) => "root",
            (Some(_), true) => "intermediate",
            (_, true) => "no root",
            (_, false) => "client",
        });
        told["findings"] = json!(own);
        shown.push(told);
    }
    rest.extend(by_subject.into_values().flatten());
    json!({"certificates": shown, "count": all.len(), "findings": rest})
}

/// What a domain shows to its clients.
pub(super) fn certificate(found: &Certificate) -> Value {
    let leaf = trust::Certificate::first_of_pem(&found.certificate);
    json!({
        "arn": found.arn,
        "domainName": found.domain_name,
        "names": found.alternative_names,
        "subject": leaf.as_ref().map(|leaf| leaf.subject()),
        "issuer": leaf.as_ref().map(|leaf| leaf.issuer()),
        "notBefore": leaf.as_ref().map(|leaf| leaf.not_before()),
        "notAfter": leaf.as_ref().map(|leaf| leaf.not_after()),
        "key": found.key_algorithm,
        "origin": found.origin,
    })
}

/// Last second of a certificate's validity.
pub(super) fn not_after(pem: &str) -> Option<i64> {
    trust::Certificate::first_of_pem(pem).map(|leaf| leaf.not_after())
}

pub(super) fn mappings(state: &State, domain: &Domain) -> Vec<Value> {
    let mappings = state.mappings.get(&domain.name);
    let mappings = mappings.into_iter().flat_map(|mappings| mappings.values());
    let name = |id: &str| {
        let http = state.apis.get(id).map(|api| api.name.clone());
        http.or_else(|| state.rest_apis.get(id).map(|api| api.name.clone()))
    };
    mappings
        .map(|mapping| {
            json!({
                "path": mapping.key, "apiId": mapping.api_id, "stage": mapping.stage, "api": name(&mapping.api_id),
            })
        })
        .collect()
}
