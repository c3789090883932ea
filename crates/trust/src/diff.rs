//! What changes from one truststore to another, and what that means for clients.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;

use crate::hierarchy::{Hierarchy, authority, may_issue};
use crate::{Certificate, Truststore, UnixSeconds, time};

/// What one truststore has and another has not.
#[derive(Debug, Serialize)]
pub struct Diff {
    /// Whether both have the same certificates; order and comments do not matter.
    pub same: bool,
    /// In the second only.
    pub added: Vec<Named>,
    /// In the first only.
    pub removed: Vec<Named>,
    /// Of the same subject in both.
    pub renewed: Vec<Renewed>,
    /// What it means for clients, in sentences.
    pub meaning: Vec<String>,
}

/// A certificate in the place of another of the same subject.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Renewed {
    /// What the old one issued is accepted under the new one, too.
    pub same_key: bool,
    /// The old one.
    pub before: Named,
    /// The new one.
    pub after: Named,
}

/// A certificate, as it is named to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// In AWS's form.
    pub subject: String,
    /// The same.
    pub issuer: String,
    /// SHA-256, lowercase hexadecimal.
    pub fingerprint: String,
    /// RFC 3339
    pub not_before: String,
    /// RFC 3339
    pub not_after: String,
}

impl Diff {
    /// Of two truststores; validity counts as of `at`.
    pub fn of(before: &Truststore, after: &Truststore, at: UnixSeconds) -> Self {
        let (before, after) = (listed(before), listed(after));
        let mut removed = missing_in(&before, &after);
        let mut added = missing_in(&after, &before);
        let meaning = meaning(&before, &after, at);
        let renewed = take_renewed(&mut removed, &mut added);
        Self {
            same: removed.is_empty() && added.is_empty() && renewed.is_empty(),
            added: added.into_iter().map(Named::of).collect(),
            removed: removed.into_iter().map(Named::of).collect(),
            renewed,
            meaning,
        }
    }
}

impl Named {
    fn of(certificate: &Certificate) -> Self {
        Self {
            subject: certificate.subject().to_owned(),
            issuer: certificate.issuer().to_owned(),
            fingerprint: certificate.fingerprint_hex(),
            not_before: time::rfc3339(certificate.not_before()),
            not_after: time::rfc3339(certificate.not_after()),
        }
    }
}

fn listed(truststore: &Truststore) -> Vec<Arc<Certificate>> {
    truststore.certificates().cloned().collect()
}

fn missing_in<'a>(these: &'a [Arc<Certificate>], those: &[Arc<Certificate>]) -> Vec<&'a Certificate> {
    let those: HashSet<[u8; 32]> = those.iter().map(|one| one.fingerprint()).collect();
    these.iter().filter(|one| !those.contains(&one.fingerprint())).map(AsRef::as_ref).collect()
}

/// Takes out of both what is one authority's old and new certificate: those with the same key first.
fn take_renewed(removed: &mut Vec<&Certificate>, added: &mut Vec<&Certificate>) -> Vec<Renewed> {
    let mut renewed = Vec::new();
    for same_key in [true, false] {
        removed.retain(|old| {
            let is_successor = |new: &&Certificate| {
                new.subject_der() == old.subject_der() && (!same_key || new.public_key_der() == old.public_key_der())
            };
            let Some(place) = added.iter().position(is_successor) else { return true };
            let new = added.remove(place);
            renewed.push(Renewed { same_key, before: Named::of(old), after: Named::of(new) });
            false
        });
    }
    renewed
}

/// Who wins and who loses, authority by authority.
fn meaning(before: &[Arc<Certificate>], after: &[Arc<Certificate>], at: UnixSeconds) -> Vec<String> {
    let (of_before, of_after) = (Hierarchy::of(before), Hierarchy::of(after));
    let (had, has) = (of_before.authorities(at), of_after.authorities(at));
    let names: HashSet<&[u8]> = has.keys().map(|(subject, _)| *subject).collect();
    let known: HashSet<[u8; 32]> = after.iter().map(|one| one.fingerprint()).collect();
    let mut sentences = Vec::new();
    for certificate in before.iter().filter(|one| may_issue(one)) {
        let subject = certificate.subject();
        if has.contains_key(&authority(certificate)) || !had.contains_key(&authority(certificate)) {
            continue;
        }
        sentences.push(if known.contains(&certificate.fingerprint()) {
            format!("{subject} stays, but no path leads from it to a root any more: its clients will be refused.")
        } else if names.contains(certificate.subject_der()) {
            format!("Clients whose certificates {subject} signed with its old key will be refused.")
        } else {
            format!("Clients of {subject} lose their issuer and will be refused.")
        });
    }
    let lost = sentences.len();
    let gained = after.iter().filter(|one| may_issue(one) && has.contains_key(&authority(one)));
    let gained = gained.filter(|one| !had.contains_key(&authority(one)));
    sentences.extend(gained.map(|one| format!("Clients of {} will be accepted.", one.subject())));
    sentences.extend(listed_clients(before, after).map(|one| {
        format!(
            "The client {} is no longer listed itself: it will be refused unless its issuer is there.",
            one.subject()
        )
    }));
    sentences
        .extend(listed_clients(after, before).map(|one| format!("The client {} will be accepted.", one.subject())));
    if lost == 0 && !had.is_empty() {
        sentences.insert(0, format!("No client loses its issuer ({} kept).", counted(had.len(), "issuer")));
    }
    sentences.dedup();
    sentences
}

/// Certificates that are there for themselves, and not in `those`.
fn listed_clients<'a>(
    these: &'a [Arc<Certificate>],
    those: &'a [Arc<Certificate>],
) -> impl Iterator<Item = &'a Certificate> {
    missing_in(these, those).into_iter().filter(|one| !may_issue(one))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    use ::time::OffsetDateTime;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

    fn of(before: &[&Ca], after: &[&Ca]) -> Diff {
        Diff::of(&store(before), &store(after), NOW)
    }

    #[test]
    fn the_same_in_another_order_is_the_same() {
        let (a, b) = (Ca::root("A"), Ca::root("B"));
        let diff = of(&[&a, &b], &[&b, &a, &a]);
        assert!(diff.same, "{diff:?}");
    }

    #[test]
    fn who_loses_an_issuer_is_told() {
        let (a, b) = (Ca::root("A"), Ca::root("B"));
        let diff = of(&[&a], &[&b]);
        assert_eq!((diff.added[0].subject.as_str(), diff.removed[0].subject.as_str()), ("CN=B", "CN=A"));
        let text = diff.meaning.join("\n");
        assert!(text.contains("Clients of CN=A lose their issuer and will be refused."), "{text}");
        assert!(text.contains("Clients of CN=B will be accepted."), "{text}");
    }

    #[test]
    fn a_renewed_certificate_with_the_same_key_loses_nobody() {
        let old = Ca::root("A");
        let new = old.renewed(900);
        let diff = of(&[&old], &[&new]);
        assert!(diff.added.is_empty() && diff.removed.is_empty() && diff.renewed[0].same_key, "{diff:?}");
        assert_eq!(diff.meaning, ["No client loses its issuer (1 issuer kept)."]);
    }

    #[test]
    fn a_new_key_under_the_old_name_loses_the_old_clients() {
        let diff = of(&[&Ca::root("A")], &[&Ca::root("A")]);
        assert!(!diff.renewed[0].same_key, "{diff:?}");
        let said = [
            "Clients whose certificates CN=A signed with its old key will be refused.",
            "Clients of CN=A will be accepted.",
        ];
        assert_eq!(diff.meaning, said);
    }

    #[test]
    fn an_intermediate_that_loses_its_root_loses_its_clients() {
        let root = Ca::root("Root");
        let below = root.issue("Below");
        let diff = of(&[&root, &below], &[&below]);
        assert_eq!(diff.removed.len(), 1);
        assert!(diff.meaning.iter().any(|said| said.starts_with("CN=Below stays, but no path")), "{diff:?}");
    }

    #[test]
    fn a_client_that_is_listed_itself_is_told() {
        let ca = Ca::root("A");
        let both = Truststore::compile(format!("{}{}", ca.pem, ca.client("me")).as_bytes(), NOW).unwrap().0;
        let diff = Diff::of(&both, &store(&[&ca]), NOW);
        assert!(diff.meaning.iter().any(|said| said.starts_with("The client CN=me is no longer listed")), "{diff:?}");
        let diff = Diff::of(&store(&[&ca]), &both, NOW);
        assert!(diff.meaning.contains(&"The client CN=me will be accepted.".to_owned()), "{diff:?}");
    }

    #[test]
    fn an_expired_issuer_was_lost_before() {
        let old = Ca::root("A").renewed(-1);
        let other = Ca::root("B");
        assert_eq!(of(&[&old, &other], &[&other]).meaning, ["No client loses its issuer (1 issuer kept)."]);
    }

    const NOW: UnixSeconds = 1_763_830_800;
    const DAY: i64 = 86_400;

    /// An authority and its key.
    struct Ca {
        issuer: Issuer<'static, KeyPair>,
        params: CertificateParams,
        pem: String,
    }

    impl Ca {
        fn root(name: &str) -> Self {
            let key = KeyPair::generate().unwrap();
            let params = params(name, true, 365);
            let pem = params.self_signed(&key).unwrap().pem();
            Self { issuer: Issuer::new(params.clone(), key), params, pem }
        }

        fn issue(&self, name: &str) -> Self {
            let key = KeyPair::generate().unwrap();
            let params = params(name, true, 365);
            let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
            Self { issuer: Issuer::new(params.clone(), key), params, pem }
        }

        fn client(&self, name: &str) -> String {
            params(name, false, 30).signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().pem()
        }

        /// Self-signed again with the same key, until so many days after [`NOW`].
        fn renewed(&self, days: i64) -> Self {
            let key = KeyPair::from_pem(&self.issuer.key().serialize_pem()).unwrap();
            let mut params = self.params.clone();
            params.not_after = at(NOW + days * DAY);
            let pem = params.self_signed(&key).unwrap().pem();
            Self { issuer: Issuer::new(params.clone(), key), params, pem }
        }
    }

    fn store(all: &[&Ca]) -> Truststore {
        let pem: String = all.iter().map(|ca| ca.pem.as_str()).collect();
        Truststore::compile(pem.as_bytes(), NOW).unwrap().0
    }

    fn params(name: &str, ca: bool, days: i64) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (at(NOW - 30 * DAY), at(NOW + days * DAY));
        if ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        }
        params
    }

    fn at(seconds: UnixSeconds) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }
}
