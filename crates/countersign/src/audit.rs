//! `countersign audit`: whether the records are what they were.

use std::fs;
use std::path::{Path, PathBuf};

use http::Method;
use journal::audit::{Proof, Report};
use journal::note::{Checkpoint, Verifier};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::answer::{self, Answer, Failure, Outcome};
use crate::client::{Client, ServerArgs, fetch};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Verify all records, by their hashes and by checkpoints
    Verify(Verify),
    /// Print a checkpoint, signed, about all records that there are: keep it elsewhere
    Checkpoint(CheckpointArgs),
    /// Print a proof that a record is in the log, which can be checked offline
    Prove(Prove),
    /// Check a proof: print its record if it is in the log
    Check(Check),
    /// Write the log in the layout of c2sp.org/tlog-tiles, up to its newest checkpoint
    Export(Export),
}

#[derive(clap::Args)]
struct Verify {
    /// A data directory, or a copy of its `journal`, read without asking a server
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data_dir", "endpoint"])]
    dir: Option<PathBuf>,
    /// The verifier key of the log (NAME+HASH+KEY), or a file with it; without it what DIR says of itself is believed
    #[arg(long, value_name = "KEY", requires = "dir")]
    key: Option<String>,
    /// Checkpoints that are held elsewhere: a file, or an http(s) URL
    #[arg(long, value_name = "FILE|URL")]
    against: Vec<String>,
    #[command(flatten)]
    server: ServerArgs,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct CheckpointArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Answer in JSON, with the verifier key
    #[arg(long)]
    json: bool,
    /// Print the verifier key instead
    #[arg(long, conflicts_with = "json")]
    key: bool,
}

#[derive(clap::Args)]
struct Prove {
    /// The id of a request, or the number of a record
    id: String,
    #[command(flatten)]
    server: ServerArgs,
    /// Answer in JSON, with the verifier key
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Check {
    /// What `countersign audit prove` printed
    proof: PathBuf,
    /// The verifier key of the log (NAME+HASH+KEY), or a file with it
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Export {
    /// A data directory, or a copy of its `journal`; read without asking a server
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where it is written
    #[arg(long, value_name = "OUT")]
    output: PathBuf,
    /// The verifier key of the log (NAME+HASH+KEY), or a file with it; without it what DIR says of itself is believed
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Verify(args) => args.run(),
        Command::Checkpoint(args) => args.run(),
        Command::Prove(args) => args.run(),
        Command::Check(args) => args.run(),
        Command::Export(args) => args.run(),
    }
}

impl Verify {
    fn run(&self) -> Outcome {
        let notes = self.against.iter().map(|place| Ok((place, notes(&read(place)?))));
        let notes: Vec<(&String, Vec<String>)> = notes.collect::<Result<_, Failure>>()?;
        if let Some((place, _)) = notes.iter().find(|(_, notes)| notes.is_empty()) {
            return Err(Failure::new(format!("{place} holds no checkpoint")));
        }
        let notes: Vec<String> = notes.into_iter().flat_map(|(_, notes)| notes).collect();
        let report: Report = match &self.dir {
            Some(dir) => self.here(dir, &notes)?,
            None => {
                let body = json!({"against": notes});
                let path = "/_countersign/api/v1/audit/verify";
                let ask = async |client: &Client| client.json("countersign", Method::POST, path, &body).await;
                let report = self.server.ask(ask)?;
                serde_json::from_value(report)
                    .map_err(|e| Failure::new(format!("the server's answer cannot be read: {e}")))?
            }
        };
        answer::print(&if self.json { pretty(&report) } else { text(&report) });
        Ok(if report.findings.is_empty() { Answer::Yes } else { Answer::No })
    }

    fn here(&self, dir: &Path, notes: &[String]) -> Result<Report, Failure> {
        let (journal, verifier) = log(dir, self.key.as_deref())?;
        let checkpoint = |note: &String| {
            verifier.checkpoint(note).map_err(|e| Failure::new(format!("a checkpoint that is held elsewhere: {e}")))
        };
        let against = notes.iter().map(checkpoint).collect::<Result<Vec<Checkpoint>, _>>()?;
        journal::audit::verify(&journal, &verifier, &against)
            .map_err(|e| Failure::new(format!("cannot read the records in {}: {e}", journal.display())))
    }
}

impl CheckpointArgs {
    fn run(&self) -> Outcome {
        let path = "/_countersign/api/v1/audit/checkpoint";
        let ask = async |client: &Client| client.json("countersign", Method::GET, path, &Value::Null).await;
        let found = self.server.ask(ask)?;
        let text = |name: &str| found[name].as_str().unwrap_or_default().trim_end().to_owned();
        match (self.json, self.key) {
            (true, _) => answer::print(&pretty(&found)),
            (_, true) => answer::print(&text("verifier")),
            _ => answer::print(&text("checkpoint")),
        }
        Ok(Answer::Yes)
    }
}

impl Prove {
    fn run(&self) -> Outcome {
        let path = format!("/_countersign/api/v1/audit/proofs/{}", utf8_percent_encode(&self.id, NON_ALPHANUMERIC));
        let ask = async |client: &Client| client.json("countersign", Method::GET, &path, &Value::Null).await;
        let found = self.server.ask(ask)?;
        let proof = found["proof"].as_str().unwrap_or_default().trim_end();
        answer::print(&if self.json { pretty(&found) } else { proof.to_owned() });
        Ok(Answer::Yes)
    }
}

impl Check {
    fn run(&self) -> Outcome {
        let verifier = verifier(&self.key)?;
        let text = read(&self.proof.to_string_lossy())?;
        let proof = text.parse::<Proof>().map_err(|e| Failure::new(format!("{}: {e}", self.proof.display())))?;
        let checked = proof.verify(&verifier);
        let record = String::from_utf8_lossy(&proof.record);
        match (self.json, &checked) {
            (false, Ok(_)) => answer::print(&answer::printable(&record)),
            (false, Err(error)) => answer::warn(&error.to_string()),
            (true, _) => answer::print(&pretty(&json!({
                "proved": checked.is_ok(),
                "record": serde_json::from_str::<Value>(&record).unwrap_or_default(),
                "index": proof.index,
                "size": checked.as_ref().ok().map(|checkpoint| checkpoint.size),
                "error": checked.as_ref().err().map(ToString::to_string),
            }))),
        }
        Ok(if checked.is_ok() { Answer::Yes } else { Answer::No })
    }
}

impl Export {
    fn run(&self) -> Outcome {
        let (journal, verifier) = log(&self.dir, self.key.as_deref())?;
        let failed = |e: &dyn std::fmt::Display| Failure::new(format!("cannot export {}: {e}", journal.display()));
        let exported = journal::audit::export(&journal, &verifier, &self.output).map_err(|e| failed(&e))?;
        let exported = exported.ok_or_else(|| failed(&"there is no checkpoint of this key"))?;
        let journal::audit::Exported { size, without } = exported;
        answer::print(&match self.json {
            true => pretty(&json!({"records": size, "bundlesLeftOut": without})),
            false if without > 0 => format!(
                "{size} records; {without} bundles of 256 are left out, of which records are not kept any longer"
            ),
            false => format!("{size} records"),
        });
        Ok(Answer::Yes)
    }
}

/// Where the records are, and who verifies them.
fn log(dir: &Path, key: Option<&str>) -> Result<(PathBuf, Verifier), Failure> {
    let journal = dir.join("journal");
    let journal = if journal.is_dir() { journal } else { dir.to_owned() };
    let beside = journal.join(journal::VERIFIER);
    let verifier = verifier(key.unwrap_or(&beside.to_string_lossy()))?;
    Ok((journal, verifier))
}

/// For people.
fn text(report: &Report) -> String {
    let mut lines: Vec<String> =
        report.findings.iter().map(|finding| answer::printable(&finding.to_string()).into_owned()).collect();
    if report.more > 0 {
        lines.push(format!("and {} findings more", report.more));
    }
    let pruned = match report.pruned {
        0 => String::new(),
        pruned => format!(", {pruned} of which are not kept any longer and were pruned by who signs for the log"),
    };
    lines.push(format!("{} records{pruned}", report.records));
    lines.push(match (report.findings.is_empty(), report.held_elsewhere) {
        (false, _) => "they are not what they were".to_owned(),
        (true, Some(size)) => format!("the first {size} are those of a checkpoint that is held elsewhere"),
        (true, None) => {
            "self-consistent only: no checkpoint that is held elsewhere says that they are what they were (--against)"
                .to_owned()
        }
    });
    lines.join("\n")
}

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).expect("plain data with string keys")
}

/// A key, or a file with one.
fn verifier(key: &str) -> Result<Verifier, Failure> {
    if let Ok(verifier) = key.parse() {
        return Ok(verifier);
    }
    let text =
        fs::read_to_string(key).map_err(|e| Failure::new(format!("cannot read the verifier key in {key}: {e}")))?;
    text.trim().parse().map_err(|e| Failure::new(format!("{key}: {e}")))
}

/// A file, or what a URL answers with.
fn read(place: &str) -> Result<String, Failure> {
    let named = |why: &dyn std::fmt::Display| Failure::new(format!("cannot read {place}: {why}"));
    if !place.starts_with("http://") && !place.starts_with("https://") {
        return fs::read_to_string(place).map_err(|e| named(&e));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| named(&e))?;
    let bytes = runtime.block_on(fetch(place)).map_err(|e| named(&e))?;
    String::from_utf8(bytes.to_vec()).map_err(|e| named(&e))
}

/// Signed notes, one behind the other with empty lines between them.
fn notes(text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = String::new();
    let mut signed = false;
    for line in text.lines() {
        let is_signature = line.starts_with("\u{2014} ");
        if signed && !is_signature {
            notes.push(std::mem::take(&mut note));
            signed = false;
            if line.is_empty() {
                continue;
            }
        }
        signed |= is_signature;
        note.push_str(line);
        note.push('\n');
    }
    if signed {
        notes.push(note);
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_told_apart() {
        let note = |number| format!("log\n{number}\nAAAA\ntime x\n\n\u{2014} log sig\n");
        assert_eq!(notes(""), Vec::<String>::new());
        assert_eq!(notes(&note(1)), [note(1)]);
        assert_eq!(notes(note(1).trim_end()), [note(1)]);
        assert_eq!(notes(&format!("{}\n{}\n", note(1), note(2))), [note(1), note(2)]);
        assert_eq!(notes(&format!("{}{}", note(1), note(2))), [note(1), note(2)]);
        let cosigned = format!("{}\u{2014} witness sig\n", note(1));
        assert_eq!(notes(&format!("{cosigned}\n{}", note(2))), [cosigned, note(2)]);
    }
}
