//! `countersign truststore build`: one PEM file of what lies in many places.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use trust::hierarchy::{Hierarchy, may_issue};
use trust::{Certificate, Severity, UnixSeconds};

use super::endpoint::Endpoint;
use super::lint::Lint;
use super::{compile, counted, now, read};
use crate::answer::{self, Failure, Outcome, printable};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Certificates in PEM or DER, or directories with such files (.pem, .crt, .cer, .der; not those below)
    #[arg(value_name = "FILE|DIR")]
    inputs: Vec<PathBuf>,
    /// A TLS server whose chain's CA certificates are taken; may be given several times
    #[arg(long = "endpoint", value_name = "HOST:PORT", value_parser = Endpoint::parse)]
    endpoints: Vec<Endpoint>,
    /// The truststore; written over if it is there
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// What has been found so far.
#[derive(Default)]
struct Collection {
    certificates: Vec<Arc<Certificate>>,
    seen: HashSet<[u8; 32]>,
    notes: Notes,
}

/// What does not show in the truststore.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Notes {
    duplicates: usize,
    left_out: Vec<LeftOut>,
}

/// Something that is not in the truststore.
#[derive(Debug, Serialize)]
struct LeftOut {
    /// File or endpoint.
    source: String,
    what: String,
    why: String,
}

/// The answer in JSON.
#[derive(Serialize)]
struct Built<'a> {
    output: &'a Path,
    #[serde(flatten)]
    notes: &'a Notes,
    #[serde(flatten)]
    lint: &'a Lint,
}

/// Endings of the files that are taken from a directory.
const ENDINGS: [&str; 4] = ["pem", "crt", "cer", "der"];
/// Truststores are no secret.
const MODE: u32 = 0o644;

pub(super) fn run(args: &Args) -> Outcome {
    if args.inputs.is_empty() && args.endpoints.is_empty() {
        return Err(Failure::new("nothing to build from: name files, directories or --endpoint HOST:PORT"));
    }
    let at = now();
    let mut collection = Collection::default();
    for input in &args.inputs {
        match input.is_dir() {
            true => collection.directory(input, at)?,
            false => collection.file(input, at)?,
        }
    }
    args.endpoints.iter().try_for_each(|endpoint| collection.endpoint(endpoint))?;
    let pem = collection.pem();
    let lint = Lint::of(pem.as_bytes(), at);
    if let Some(error) = lint.error() {
        return Err(Failure::new(format!("{} is not written: {error}", args.output.display())));
    }
    write(&args.output, pem.as_bytes())
        .map_err(|e| Failure::new(format!("cannot write {}: {e}", args.output.display())))?;
    let notes = &collection.notes;
    answer::print(&match args.json {
        true => serde_json::to_string_pretty(&Built { output: &args.output, notes, lint: &lint })
            .expect("plain data with string keys"),
        false => notes.text() + &lint.text(&args.output.display().to_string()),
    });
    if !args.endpoints.is_empty() {
        answer::warn("compare the fingerprints of what an endpoint showed with those that its owner tells you");
    }
    Ok(lint.answer())
}

impl Collection {
    fn directory(&mut self, directory: &Path, at: UnixSeconds) -> Result<(), Failure> {
        let failed = |e: std::io::Error| Failure::new(format!("cannot read {}: {e}", directory.display()));
        let entries: Result<Vec<_>, _> = fs::read_dir(directory).map_err(failed)?.collect();
        let mut files: Vec<PathBuf> = entries.map_err(failed)?.into_iter().map(|entry| entry.path()).collect();
        let ending = |path: &Path| path.extension().and_then(|ending| Some(ending.to_str()?.to_ascii_lowercase()));
        files.retain(|path| path.is_file() && ending(path).is_some_and(|ending| ENDINGS.contains(&ending.as_str())));
        if files.is_empty() {
            let endings = ENDINGS.map(|ending| format!(".{ending}")).join(", ");
            return Err(Failure::new(format!("{}: no file with one of {endings} in it", directory.display())));
        }
        files.sort();
        files.iter().try_for_each(|file| self.file(file, at))
    }

    /// PEM or DER. A private key is refused, loudly: it does not belong among certificates.
    fn file(&mut self, file: &Path, at: UnixSeconds) -> Result<(), Failure> {
        let bytes = read(file)?;
        if !bytes.windows(MARKER.len()).any(|window| window == MARKER) {
            let certificate = Certificate::from_der(&bytes)
                .map_err(|e| Failure::new(format!("{}: neither PEM nor DER: {e}", file.display())))?;
            self.take(Arc::new(certificate));
            return Ok(());
        }
        let (truststore, findings) = compile(file, at)?;
        let unreadable = findings.into_iter().filter(|f| f.subject.is_none() && f.severity > Severity::Note);
        self.notes.left_out.extend(unreadable.map(|finding| LeftOut {
            source: format!("{}:{}", file.display(), finding.line),
            what: "a block".to_owned(),
            why: finding.explanation,
        }));
        truststore.certificates().for_each(|certificate| self.take(certificate.clone()));
        Ok(())
    }

    /// Of what a server shows, authorities only: its own certificate proves nothing about clients.
    fn endpoint(&mut self, endpoint: &Endpoint) -> Result<(), Failure> {
        let named = |why: String| Failure::new(format!("{endpoint}: {why}"));
        let shown = endpoint.certificates().map_err(named)?;
        let (authorities, others): (Vec<_>, Vec<_>) = shown.into_iter().partition(may_issue);
        if authorities.is_empty() {
            let issuer = others.first().map_or("nobody", Certificate::issuer);
            let url = others.first().and_then(|leaf| leaf.issuer_urls().first());
            let url = url.map(|url| format!(", to be had from {url}")).unwrap_or_default();
            let why = format!("it shows no CA certificate, only its own; the issuer is {issuer}{url}");
            return Err(named(printable(&why).into_owned()));
        }
        self.notes.left_out.extend(others.iter().map(|certificate| LeftOut {
            source: endpoint.to_string(),
            what: certificate.subject().to_owned(),
            why: "It is the server's own certificate, not an authority's.".to_owned(),
        }));
        authorities.into_iter().for_each(|certificate| self.take(Arc::new(certificate)));
        Ok(())
    }

    fn take(&mut self, certificate: Arc<Certificate>) {
        match self.seen.insert(certificate.fingerprint()) {
            true => self.certificates.push(certificate),
            false => self.notes.duplicates += 1,
        }
    }

    /// Roots first, each certificate under a line that says what it is.
    fn pem(&self) -> String {
        let places = Hierarchy::of(&self.certificates).roots_first();
        let certificates = places.into_iter().map(|place| &self.certificates[place]);
        let blocks = certificates.map(|certificate| format!("# {}\n{}", comment(certificate), certificate.pem()));
        blocks.collect::<Vec<_>>().join("\n")
    }
}

const MARKER: &[u8] = b"-----BEGIN ";

/// One line of ASCII, whatever the subject holds.
fn comment(certificate: &Certificate) -> String {
    let expires = trust::rfc3339(certificate.not_after());
    let subject = certificate.subject().chars();
    let subject: String =
        subject.flat_map(|c| if c.is_ascii() { vec![c] } else { c.escape_default().collect() }).collect();
    // What looks like a marker would be taken for a broken one.
    let subject = printable(&subject).replace("-BEGIN ", "- BEGIN ");
    format!("{subject}, expires {}", expires.split('T').next().unwrap_or_default())
}

/// Whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(MODE)).tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|e| e.error)
}

impl Notes {
    fn text(&self) -> String {
        let mut text = String::new();
        for LeftOut { source, what, why } in &self.left_out {
            text += &format!("{source}: left out: {}: {}\n", printable(what), printable(why));
        }
        if self.duplicates > 0 {
            text += &format!("{} left out\n", counted(self.duplicates, "duplicate"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use trust::Truststore;

    use super::*;
    use crate::answer::Answer;
    use crate::truststore::tests::{Ca, NOW};

    fn collect(files: &[(&str, &[u8])]) -> Result<(Collection, String), String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        let mut collection = Collection::default();
        collection.directory(dir.path(), NOW).map_err(|e| e.to_string())?;
        let pem = collection.pem();
        Ok((collection, pem))
    }

    fn der(pem: &str) -> Vec<u8> {
        let (truststore, _) = Truststore::compile(pem.as_bytes(), NOW).unwrap();
        truststore.certificates().next().unwrap().der().to_vec()
    }

    #[test]
    fn roots_come_first_and_duplicates_once() {
        let root = Ca::root("Z root");
        let below = root.issue("A below");
        let files: [(&str, &[u8]); 4] = [
            ("1.PEM", below.pem.as_bytes()),
            ("2.der", &der(&root.pem)),
            ("3.crt", root.pem.as_bytes()),
            ("x.key", b"k"),
        ];
        let (collection, pem) = collect(&files).unwrap();
        let comments: Vec<&str> = pem.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(comments, ["# CN=Z root, expires 2026-11-22", "# CN=A below, expires 2026-11-22"]);
        assert_eq!(collection.notes.duplicates, 1);
        let lint = Lint::of(pem.as_bytes(), NOW);
        assert_eq!((lint.error(), lint.answer()), (None, Answer::Yes));
    }

    #[test]
    fn what_does_not_belong_is_refused_or_told() {
        let root = Ca::root("Root");
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let refused = |name: &str, bytes: &[u8]| collect(&[(name, bytes)]).map(drop).unwrap_err();
        assert!(refused("ca.pem", format!("{}{key}", root.pem).as_bytes()).contains("private key"));
        assert!(refused("ca.der", b"\x30\x00").contains("neither PEM nor DER"));
        assert!(refused("ca.txt", root.pem.as_bytes()).contains("no file with one of .pem"));
        let broken = format!("{}-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", root.pem);
        let (collection, _) = collect(&[("ca.pem", broken.as_bytes())]).unwrap();
        assert!(collection.notes.text().contains("left out: a block: The block's content is not base64"));
    }

    #[test]
    fn a_subject_cannot_leave_its_comment() {
        let root = Ca::root("a\n-----BEGIN CERTIFICATE-----\né");
        let (_, pem) = collect(&[("ca.pem", root.pem.as_bytes())]).unwrap();
        assert!(pem.is_ascii() && pem.starts_with("# CN=a"), "{pem}");
        let (truststore, findings) = Truststore::compile(pem.as_bytes(), NOW).unwrap();
        assert_eq!((truststore.certificates().count(), findings.len()), (1, 0), "{findings:?}");
    }
}
