//! `countersign truststore diff`: what changes from one truststore to another, and what that means for clients.

use std::path::PathBuf;

use trust::{Diff, Named, Renewed, Truststore, UnixSeconds};

use super::history::History;
use super::{compile, now};
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

pub(super) fn run(args: &Args) -> Outcome {
    let at = now();
    let (before, after) = args.truststores(at)?;
    let diff = Diff::of(&before, &after, at);
    match args.json {
        true => answer::print(&serde_json::to_string_pretty(&diff).expect("plain data with string keys")),
        false => answer::print(&text(&diff)),
    }
    Ok(answer_of(&diff))
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

fn answer_of(diff: &Diff) -> Answer {
    if diff.same { Answer::Yes } else { Answer::No }
}

fn text(diff: &Diff) -> String {
    if diff.same {
        return "the same certificates".to_owned();
    }
    let counts = [(&diff.added.len(), "added"), (&diff.removed.len(), "removed"), (&diff.renewed.len(), "renewed")];
    let counts = counts.map(|(count, what)| format!("{count} {what}")).join(", ");
    let mut lines = vec![counts];
    lines.extend(diff.removed.iter().map(|one| format!("- {}", line(one))));
    lines.extend(diff.added.iter().map(|one| format!("+ {}", line(one))));
    for Renewed { same_key, before, after } in &diff.renewed {
        let key = if *same_key { "the same key" } else { "another key" };
        lines.push(format!("~ {}, {key}", printable(&after.subject)));
        lines.push(format!("  - {}", validity(before)));
        lines.push(format!("  + {}", validity(after)));
    }
    lines.extend(diff.meaning.iter().map(|sentence| printable(sentence).into_owned()));
    lines.join("\n")
}

fn line(certificate: &Named) -> String {
    format!("{}, {}", printable(&certificate.subject), validity(certificate))
}

fn validity(Named { fingerprint, not_before, not_after, .. }: &Named) -> String {
    format!("SHA-256 {fingerprint}, valid {not_before} to {not_after}")
}
