//! What somebody who can write to the directory does to the records, and what is said about it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use journal::audit::{self, Proof, ProofError, Report};
use journal::note::{Checkpoint, Signer, Verifier};
use journal::{Journal, Options, Search};

const OPTIONS: Options = Options {
    roll_bytes: 1500,
    roll_after: Duration::from_secs(3600),
    sync_after: Duration::from_millis(100),
    checkpoint_after: Duration::from_secs(3600),
    queue_bytes: 1024 * 1024,
};

/// Thirty events, ten to a segment or so, of which the last grows; the newest checkpoint is about all.
struct Log {
    directory: tempfile::TempDir,
    verifier: Verifier,
    checkpoint: Checkpoint,
}

fn open(directory: &Path) -> Journal {
    let signer = Signer::open_or_create(&directory.join("audit.key"), "countersign/test").unwrap();
    Journal::open_with(directory, OPTIONS, Some(signer)).unwrap().0
}

impl Log {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let journal = open(directory.path());
        for number in 0..30 {
            let message = format!("event {number}");
            journal.append_events("us-east-1", "g", "s", &[(1_796_000_000_000 + number, &*message)], 1).unwrap();
        }
        let note = journal.checkpoint_now().unwrap().unwrap();
        drop(journal);
        let signer = Signer::open_or_create(&directory.path().join("audit.key"), "another").unwrap();
        let verifier = signer.verifier().clone();
        let checkpoint = verifier.checkpoint(&note).unwrap();
        assert_eq!(checkpoint.size, 30);
        Self { directory, verifier, checkpoint }
    }

    fn journal(&self) -> PathBuf {
        self.directory.path().join("journal")
    }

    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let files = fs::read_dir(self.journal()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
        files.sort();
        files
    }

    fn verify(&self, elsewhere: &[Checkpoint]) -> Report {
        audit::verify(&self.journal(), &self.verifier, elsewhere).unwrap()
    }

    fn findings(&self) -> Vec<(std::ops::Range<u64>, String)> {
        let report = self.verify(std::slice::from_ref(&self.checkpoint));
        report.findings.into_iter().map(|finding| (finding.records, finding.what)).collect()
    }

    /// Lines of the growing segment, with the number of the first.
    fn lines(&self) -> (PathBuf, u64, Vec<String>) {
        let path = self.files("lines").pop().unwrap();
        let first = u64::from_str_radix(path.file_stem().unwrap().to_str().unwrap(), 16).unwrap();
        let lines: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
        assert!(lines.len() > 3, "{lines:?}");
        (path, first, lines)
    }
}

/// Lines with checks that are right: what somebody writes who knows the form.
fn forge(path: &Path, lines: &[String]) {
    let (mut check, mut text) = (0_u32, String::new());
    for line in lines {
        let json = &line[9..];
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&check.to_be_bytes());
        hasher.update(json.as_bytes());
        check = hasher.finalize();
        text.push_str(&format!("{check:08x} {json}\n"));
    }
    fs::write(path, text).unwrap();
}

#[test]
fn what_was_not_touched_is_good() {
    let log = Log::new();
    assert!(log.files("sealed").len() >= 2);
    let alone = log.verify(&[]);
    assert_eq!((alone.records, alone.signed, alone.held_elsewhere), (30, Some(30), None));
    assert_eq!(alone.findings, []);
    let held = log.verify(std::slice::from_ref(&log.checkpoint));
    assert_eq!((held.held_elsewhere, held.findings), (Some(30), vec![]));
}

#[test]
fn each_record_that_is_changed_taken_out_or_moved_is_named() {
    let log = Log::new();
    let (path, first, lines) = log.lines();
    let write =
        |lines: &[String]| fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    for at in 0..lines.len() {
        let mut changed = lines.clone();
        changed[at] = changed[at].replace("event ", "evens ");
        write(&changed);
        let (records, what) = log.findings().remove(0);
        let number = first + at as u64;
        assert_eq!(records, number..number + 1);
        assert!(
            what.contains("the record was changed, or records before it are gone or elsewhere: event of 2026"),
            "{what}"
        );

        let mut without = lines.clone();
        without.remove(at);
        write(&without);
        let (records, what) = log.findings().remove(0);
        // Where the last one is gone nothing behind it misses it, but the checkpoint does.
        assert_eq!(records, number..number + 1, "{what}");

        if at > 0 {
            let mut moved = lines.clone();
            moved.swap(at - 1, at);
            write(&moved);
            assert_eq!(log.findings()[0].0, number - 1..number);
        }
    }
    write(&lines);
    assert_eq!(log.findings(), []);
}

#[test]
fn who_forges_the_checks_is_found_by_the_checkpoint() {
    let log = Log::new();
    let (path, first, lines) = log.lines();
    let before = fs::read(&path).unwrap();
    forge(&path, &lines);
    assert_eq!(fs::read(&path).unwrap(), before, "this is how checks are made");
    let mut changed = lines.clone();
    changed[1] = changed[1].replace("event ", "evens ");
    forge(&path, &changed);
    let findings = log.findings();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(
        findings[0].0.contains(&(first + 1)) && findings[0].1.contains("not those of the checkpoint"),
        "{findings:?}"
    );
    let mut moved = lines.clone();
    moved.swap(1, 2);
    forge(&path, &moved);
    assert_eq!(log.findings().len(), 1);
    forge(&path, &lines[..2]);
    let findings = log.findings();
    assert!(findings[0].1.contains("the last records are gone: a checkpoint is about 30 of them"), "{findings:?}");
    assert_eq!(findings[0].0, first + 2..30);
}

#[test]
fn who_has_the_key_is_found_by_what_is_held_elsewhere() {
    let log = Log::new();
    let (path, _, mut lines) = log.lines();
    lines[1] = lines[1].replace("event ", "evens ");
    forge(&path, &lines);
    fs::remove_file(log.journal().join("checkpoint")).unwrap();
    // With the key, they have all of it signed again.
    let journal = open(log.directory.path());
    journal.append_events("us-east-1", "g", "s", &[(1, "one more")], 1).unwrap();
    journal.checkpoint_now().unwrap();
    drop(journal);
    let alone = log.verify(&[]);
    assert_eq!((alone.findings, alone.signed, alone.held_elsewhere), (vec![], Some(31), None), "self-consistent only");
    let findings = log.findings();
    assert!(findings[0].1.contains("not those of the checkpoint that is held elsewhere"), "{findings:?}");
}

#[test]
fn sealed_segments() {
    let log = Log::new();
    let sealed = log.files("sealed");
    let original = fs::read(&sealed[1]).unwrap();
    let records = open(log.directory.path()).search(&Search::default()).unwrap();
    let mut findings_by_byte = Vec::new();
    for at in 0..original.len() {
        let mut bytes = original.clone();
        bytes[at] ^= 0x10;
        fs::write(&sealed[1], bytes).unwrap();
        match log.findings().first() {
            Some((records, _)) => findings_by_byte.push(records.clone()),
            // A bit that zstd leaves unused.
            None => assert_eq!(open(log.directory.path()).search(&Search::default()).unwrap(), records, "byte {at}"),
        }
    }
    assert!(findings_by_byte.len() + 10 > original.len(), "{} of {}", findings_by_byte.len(), original.len());
    let first = u64::from_str_radix(sealed[1].file_stem().unwrap().to_str().unwrap(), 16).unwrap();
    assert!(findings_by_byte.iter().all(|records| records.start == first), "{findings_by_byte:?}");
    fs::remove_file(&sealed[1]).unwrap();
    let findings = log.findings();
    assert_eq!((findings.len(), &*findings[0].1, findings[0].0.start), (1, "these records are missing", first));
    // One in the place of another.
    fs::copy(&sealed[0], &sealed[1]).unwrap();
    assert!(!log.findings().is_empty());
    fs::write(&sealed[1], &original).unwrap();
    assert_eq!(log.findings(), []);
}

#[test]
fn what_retention_removed_is_pruned_not_damaged() {
    let log = Log::new();
    let journal = open(log.directory.path());
    let sealed = log.files("sealed");
    let (_, _, lines) = log.lines();
    journal.prune(1_796_000_000_000 + 5).unwrap();
    assert_eq!(log.files("sealed"), sealed, "some of its records are newer");
    journal.prune(1_796_000_000_000 + 1000).unwrap();
    assert_eq!(log.files("pruned").len(), sealed.len());
    assert_eq!(log.files("sealed"), Vec::<PathBuf>::new());
    let found = journal.search(&Search::default()).unwrap();
    assert_eq!(found.lines.len(), lines.len() + 1, "what grows stays, and a record says what was pruned");
    let last = &found.lines.last().unwrap().json;
    assert!(last.contains(r#""kind":"pruned""#) && last.contains(&format!(r#""end":{}"#, 30 - lines.len())), "{last}");
    drop(journal);
    let report = log.verify(std::slice::from_ref(&log.checkpoint));
    assert_eq!((report.findings, report.pruned), (vec![], 30 - lines.len() as u64));
    assert_eq!(report.held_elsewhere, Some(30), "hashes are enough for that");
    // It goes on at the next start, and what nobody signed for is damage.
    drop(open(log.directory.path()));
    let pruned = log.files("pruned").remove(0);
    let text = fs::read_to_string(&pruned).unwrap();
    fs::write(&pruned, text.replace("\"note\"", "\"nota\"")).unwrap();
    assert!(log.findings()[0].1.contains("nobody signs for it"));
    fs::write(&pruned, text.replace("older than", "newer than")).unwrap();
    assert!(log.findings()[0].1.contains("the note was changed"), "{:?}", log.findings());
    fs::write(&pruned, "{}").unwrap();
    assert!(!log.findings().is_empty());
}

#[test]
fn every_record_is_proved() {
    let log = Log::new();
    let journal = open(log.directory.path());
    let found = journal.search(&Search::default()).unwrap();
    assert_eq!(found.lines.len(), 30);
    for line in &found.lines {
        let proof = audit::prove(journal.directory(), &log.verifier, line.position).unwrap().unwrap();
        let proof: Proof = proof.to_string().parse().unwrap();
        assert_eq!(proof.record, line.json.as_bytes());
        assert_eq!(proof.verify(&log.verifier).unwrap().size, 30);
        let other = Proof { record: b"{}".to_vec(), ..proof.clone() };
        assert_eq!(other.verify(&log.verifier), Err(ProofError::Root));
        let other = Proof { index: (proof.index + 1) % 30, ..proof.clone() };
        assert_eq!(other.verify(&log.verifier), Err(ProofError::Root));
        let other = Proof { checkpoint: proof.checkpoint.replace("\n30\n", "\n31\n"), ..proof };
        assert!(matches!(other.verify(&log.verifier), Err(ProofError::Note(_))));
    }
    let behind = journal::Position::from(30_u128);
    assert_eq!(audit::prove(journal.directory(), &log.verifier, behind).unwrap(), None);
    // Those that are left can be proved when others are pruned.
    journal.prune(1_796_000_001_000).unwrap();
    journal.checkpoint_now().unwrap();
    let left = found.lines.last().unwrap().position;
    assert!(audit::prove(journal.directory(), &log.verifier, left).unwrap().is_some());
    let gone = found.lines[0].position;
    assert_eq!(audit::prove(journal.directory(), &log.verifier, gone).unwrap(), None);
}

#[test]
fn what_is_no_proof() {
    for text in [
        "",
        "c2sp.org/tlog-proof@v1\n\n",
        "c2sp.org/tlog-proof@v1\nextra AA==\nindex x\n\n",
        "c2sp.org/tlog-proof@v1\nextra AA==\nindex 1\nAA==\n\n",
    ] {
        assert_eq!(text.parse::<Proof>(), Err(ProofError::Form), "{text}");
    }
}
