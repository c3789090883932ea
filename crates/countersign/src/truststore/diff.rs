//! `countersign truststore diff`: what changes from one truststore to another, and what that means for clients.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use trust::{Certificate, Truststore, UnixSeconds};

use super::hierarchy::{Hierarchy, authority, may_issue};
use super::history::History;
use super::{Shown, compile, counted, now};
use crate::answer::{self, Answer, Failure, Outcome, printable};
use crate::client::ServerArgs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The truststore before, PEM
    #[arg(required_unless_present = "domain")]
    before: Option<PathBuf>,
    /// The truststore after, PEM
    #[arg(required_unless_present = "domain")]
    after: Option<PathBuf>,
    /// Compare versions that this domain has or had, instead of files
    #[arg(long, value_name = "DOMAIN", conflicts_with_all = ["before", "after"], requires = "from")]
    domain: Option<String>,
    /// The version before
    #[arg(long, value_name = "VERSION", requires = "domain")]
    from: Option<String>,
    /// The version after [default: the enforced one]
    #[arg(long, value_name = "VERSION", requires = "domain")]
    to: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// What one truststore has and another has not.
#[derive(Debug, Serialize)]
pub(crate) struct Diff {
    /// Whether both have the same certificates; order and comments do not matter.
    same: bool,
    added: Vec<Shown>,
    removed: Vec<Shown>,
    renewed: Vec<Renewed>,
    /// What it means for clients, in sentences.
    meaning: Vec<String>,
}

/// A certificate in the place of another of the same subject.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Renewed {
    /// What the old one issued is accepted under the new one, too.
    same_key: bool,
    before: Shown,
    after: Shown,
}

pub(super) fn run(args: &Args) -> Outcome {
    let at = now();
    let (before, after) = args.truststores(at)?;
    let diff = Diff::of(&before, &after, at);
    match args.json {
        true => answer::print(&serde_json::to_string_pretty(&diff).expect("plain data with string keys")),
        false => answer::print(&diff.text()),
    }
    Ok(diff.answer())
}

impl Args {
    fn truststores(&self, at: UnixSeconds) -> Result<(Truststore, Truststore), Failure> {
        match (&self.before, &self.after, &self.domain, &self.from) {
            (Some(before), Some(after), ..) => Ok((compile(before, at)?.0, compile(after, at)?.0)),
            (.., Some(domain), Some(from)) => self.server.ask(async |client| {
                let history = History::of(client, domain).await?;
                let to = self.to.as_deref().or(history.enforced());
                let to =
                    to.ok_or_else(|| Failure::new(format!("{domain} has no truststore now: name a version by --to")))?;
                Ok((history.version(client, from, at).await?, history.version(client, to, at).await?))
            }),
            _ => Err(Failure::new("name two files, or --domain with --from")),
        }
    }
}

impl Diff {
    /// Of two truststores; validity counts as of `at`.
    pub(crate) fn of(before: &Truststore, after: &Truststore, at: UnixSeconds) -> Self {
        let (before, after) = (listed(before), listed(after));
        let mut removed = missing_in(&before, &after);
        let mut added = missing_in(&after, &before);
        let meaning = meaning(&before, &after, at);
        let renewed = take_renewed(&mut removed, &mut added);
        Self {
            same: removed.is_empty() && added.is_empty() && renewed.is_empty(),
            added: added.into_iter().map(Shown::of).collect(),
            removed: removed.into_iter().map(Shown::of).collect(),
            renewed,
            meaning,
        }
    }

    pub(crate) fn answer(&self) -> Answer {
        if self.same { Answer::Yes } else { Answer::No }
    }

    pub(crate) fn text(&self) -> String {
        if self.same {
            return "the same certificates".to_owned();
        }
        let counts = [(&self.added.len(), "added"), (&self.removed.len(), "removed"), (&self.renewed.len(), "renewed")];
        let counts = counts.map(|(count, what)| format!("{count} {what}")).join(", ");
        let mut lines = vec![counts];
        lines.extend(self.removed.iter().map(|one| format!("- {}", one.line())));
        lines.extend(self.added.iter().map(|one| format!("+ {}", one.line())));
        for Renewed { same_key, before, after } in &self.renewed {
            let key = if *same_key { "the same key" } else { "another key" };
            lines.push(format!("~ {}, {key}", printable(&after.subject)));
            lines.push(format!("  - {}", before.validity()));
            lines.push(format!("  + {}", after.validity()));
        }
        lines.extend(self.meaning.iter().map(|sentence| printable(sentence).into_owned()));
        lines.join("\n")
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
            renewed.push(Renewed { same_key, before: Shown::of(old), after: Shown::of(new) });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::truststore::tests::{Ca, NOW, store};

    fn of(before: &[&Ca], after: &[&Ca]) -> Diff {
        Diff::of(&store(before), &store(after), NOW)
    }

    #[test]
    fn the_same_in_another_order_is_the_same() {
        let (a, b) = (Ca::root("A"), Ca::root("B"));
        let diff = of(&[&a, &b], &[&b, &a, &a]);
        assert!(diff.same && diff.answer() == Answer::Yes, "{diff:?}");
        assert_eq!(diff.text(), "the same certificates");
    }

    #[test]
    fn who_loses_an_issuer_is_told() {
        let (a, b) = (Ca::root("A"), Ca::root("B"));
        let diff = of(&[&a], &[&b]);
        assert_eq!((diff.added[0].subject.as_str(), diff.removed[0].subject.as_str()), ("CN=B", "CN=A"));
        assert_eq!(diff.answer(), Answer::No);
        let text = diff.text();
        assert!(text.contains("Clients of CN=A lose their issuer and will be refused."), "{text}");
        assert!(text.contains("Clients of CN=B will be accepted."), "{text}");
        assert!(text.starts_with("1 added, 1 removed, 0 renewed\n- CN=A, SHA-256 "), "{text}");
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
}
