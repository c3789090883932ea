//! The exported log, read by other implementations of its formats: <https://c2sp.org/signed-note>, <https://c2sp.org/tlog-checkpoint>
//! and <https://c2sp.org/tlog-tiles>.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use journal::audit::{self, Exported};
use journal::note::Signer;
use journal::{Journal, Options, Search};
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{Checkpoint, Hash, Tile, TileHashReader, TileReader};

const OPTIONS: Options = Options {
    roll_bytes: 40_000,
    roll_after: Duration::from_secs(3600),
    sync_after: Duration::from_secs(3600),
    checkpoint_after: Duration::from_secs(3600),
    queue_bytes: 16 * 1024 * 1024,
};

fn open(directory: &Path) -> Journal {
    let signer = Signer::open_or_create(&directory.join("audit.key"), "example.com/gateway").unwrap();
    Journal::open_with(directory, OPTIONS, Some(signer)).unwrap().0
}

/// Events, some at a time.
fn put(journal: &Journal, numbers: std::ops::Range<i64>) {
    let numbers: Vec<i64> = numbers.collect();
    for numbers in numbers.chunks(150) {
        let messages: Vec<(i64, String)> = numbers.iter().map(|number| (*number, format!("event {number}"))).collect();
        let events: Vec<(i64, &str)> = messages.iter().map(|(number, message)| (*number, &**message)).collect();
        journal.append_events("r", "g", "s", &events, 1).unwrap();
    }
    journal.checkpoint_now().unwrap();
}

/// Theirs, of our files.
struct Files(PathBuf);

impl TileReader for Files {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &Tile| {
            let path = tile.path().replace("tile/8/", "tile/");
            Ok(fs::read(self.0.join(&path)).unwrap_or_else(|error| panic!("{path}: {error}")))
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

impl Files {
    fn checkpoint(&self, key: &str) -> Checkpoint {
        let note = Note::from_bytes(&fs::read(self.0.join("checkpoint")).unwrap()).unwrap();
        let verifiers = VerifierList::new(vec![Box::new(StandardVerifier::new(key).unwrap())]);
        assert_eq!(note.verify(&verifiers).unwrap().0.len(), 1);
        Checkpoint::from_bytes(note.text()).unwrap()
    }

    fn prove(&self, checkpoint: &Checkpoint, number: u64, record: &[u8]) {
        let reader = TileHashReader::new(checkpoint.size(), *checkpoint.hash(), self);
        let proof = tlog_tiles::prove_record(checkpoint.size(), number, &reader).unwrap();
        let leaf = tlog_tiles::record_hash(record);
        tlog_tiles::check_record(&proof, checkpoint.size(), *checkpoint.hash(), number, leaf).unwrap();
    }

    fn bundle(&self, path: &str) -> Vec<Vec<u8>> {
        let bytes = fs::read(self.0.join("tile/entries").join(path)).unwrap();
        let (mut records, mut rest) = (Vec::new(), &bytes[..]);
        while let Some((length, behind)) = rest.split_first_chunk::<2>() {
            let (record, behind) = behind.split_at(u16::from_be_bytes(*length).into());
            records.push(record.to_vec());
            rest = behind;
        }
        records
    }
}

#[test]
fn other_implementations_agree() {
    let (directory, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let journal = open(directory.path());
    put(&journal, 0..1000);
    let verifier = journal.verifier().unwrap().clone();
    let export = || audit::export(journal.directory(), &verifier, out.path()).unwrap();
    let files = Files(out.path().to_owned());
    assert_eq!(export(), Some(Exported { size: 1000, without: 0 }));
    let before = files.checkpoint(&verifier.to_string());
    assert_eq!((before.size(), before.origin()), (1000, "example.com/gateway"));
    let records = journal.search(&Search::default()).unwrap().lines;
    for number in [0, 1, 255, 256, 511, 700, 999] {
        files.prove(&before, number, records[number as usize].json.as_bytes());
    }
    let bundled: Vec<_> = ["000", "001", "002", "003.p/232"].into_iter().flat_map(|path| files.bundle(path)).collect();
    assert!(bundled.iter().map(Vec::as_slice).eq(records.iter().map(|record| record.json.as_bytes())));

    // What was signed for then is what is signed for now, and more.
    put(&journal, 1000..70_000);
    assert_eq!(export(), Some(Exported { size: 70_000, without: 0 }));
    let after = files.checkpoint(&verifier.to_string());
    let consistent = |from: &Checkpoint, to: &Checkpoint| {
        let reader = TileHashReader::new(to.size(), *to.hash(), &files);
        let proof = tlog_tiles::prove_tree(to.size(), from.size(), &reader).unwrap();
        tlog_tiles::check_tree(&proof, to.size(), *to.hash(), from.size(), *from.hash())
    };
    consistent(&before, &after).unwrap();

    // Hashes are enough for all of that.
    journal.prune(60_000).unwrap();
    put(&journal, 70_000..70_100);
    let pruned = tempfile::tempdir().unwrap();
    let exported = audit::export(journal.directory(), &verifier, pruned.path()).unwrap().unwrap();
    assert!(exported.size == 70_101 && exported.without > 200, "{exported:?}, the record that tells of it among them");
    let files = Files(pruned.path().to_owned());
    let last = files.checkpoint(&verifier.to_string());
    let newest = journal.search(&Search { newest_first: true, limit: 1, ..Search::default() }).unwrap();
    files.prove(&last, 70_100, newest.lines[0].json.as_bytes());
    let reader = TileHashReader::new(last.size(), *last.hash(), &files);
    let proof = tlog_tiles::prove_tree(last.size(), after.size(), &reader).unwrap();
    tlog_tiles::check_tree(&proof, last.size(), *last.hash(), after.size(), *after.hash()).unwrap();
    let wrong = Hash([7; 32]);
    assert!(tlog_tiles::check_tree(&proof, last.size(), *last.hash(), after.size(), wrong).is_err());
}

#[test]
fn what_is_missing_is_not_exported() {
    let (directory, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let journal = open(directory.path());
    let verifier = journal.verifier().unwrap().clone();
    assert_eq!(audit::export(journal.directory(), &verifier, out.path()).unwrap(), None, "nothing was signed for");
    put(&journal, 0..1000);
    let sealed = fs::read_dir(journal.directory()).unwrap().map(|entry| entry.unwrap().path());
    let sealed = sealed.filter(|path| path.extension().is_some_and(|extension| extension == "sealed")).max().unwrap();
    fs::remove_file(sealed).unwrap();
    let error = audit::export(journal.directory(), &verifier, out.path()).unwrap_err();
    assert!(error.to_string().contains("countersign audit verify names them"), "{error}");
    assert!(!out.path().join("checkpoint").exists());
}
