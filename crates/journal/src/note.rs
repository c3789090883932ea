//! Signed notes (<https://c2sp.org/signed-note>) and the checkpoints in them (<https://c2sp.org/tlog-checkpoint>): what the log
//! says of itself, so that it can be held to it.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};
use zeroize::Zeroizing;

use crate::journal::private;
use crate::tree::{Hash, leaf_hash};

/// The only kind of signature here: Ed25519 over the text.
const ED25519_KIND: u8 = 1;
/// A note of ours has one; those that a witness adds are few.
const MAX_NOTE_BYTES: usize = 64 * 1024;
const PRIVATE_PREFIX: &str = "PRIVATE+KEY+";

/// The size of a log and the root of its tree, at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Records.
    pub size: u64,
    /// [`crate::tree::Run::root`]
    pub root: Hash,
    /// Lines that say more; ours say when it was made: `time RFC3339`.
    pub extensions: Vec<String>,
}

/// Signs for a log. The key is in a file that only its owner may read, in the form in which Go's `note` package prints it.
pub struct Signer {
    verifier: Verifier,
    pair: Ed25519KeyPair,
}

/// Verifies what a [`Signer`] signed. Prints as a `vkey`: `NAME+HASH+KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: [u8; 32],
}

/// What is wrong with a note.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It does not have the form of a signed note.
    #[error("this is no signed note")]
    Form,
    /// None of its signatures is of the expected key.
    #[error("no signature of {0} is on it")]
    Unsigned(String),
    /// A signature of the expected key is wrong.
    #[error("the signature of {0} is wrong: the note was changed")]
    Signature(String),
    /// A signed note, but its text is no checkpoint.
    #[error("this is no checkpoint")]
    NoCheckpoint,
    /// A verifier's key that cannot be read.
    #[error("this is no verifier key: NAME+HASH+KEY")]
    Key,
}

impl Checkpoint {
    /// The text that is signed.
    fn text(&self) -> String {
        let Self { origin, size, root, extensions } = self;
        let mut text = format!("{origin}\n{size}\n{}\n", BASE64.encode(root));
        for line in extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let origin = lines.next().filter(|origin| !origin.is_empty())?.to_owned();
        let size = lines.next()?;
        let canonical = size == "0" || !size.starts_with(['0', '+']);
        let size = size.parse().ok().filter(|_| canonical)?;
        let root = BASE64.decode(lines.next()?.as_bytes()).ok()?.try_into().ok()?;
        let extensions = lines.map(str::to_owned).collect::<Vec<_>>();
        extensions.iter().all(|line| !line.is_empty()).then_some(Self { origin, size, root, extensions })
    }
}

impl Signer {
    /// Reads the key of a file, or makes one of that name (no space, no `+`).
    pub fn open_or_create(path: &Path, name: &str) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => {
                let bytes = Zeroizing::new(bytes);
                let signer = std::str::from_utf8(&bytes).ok().and_then(|text| Self::parse(text.trim_end()));
                signer.ok_or_else(|| {
                    let what = "holds no key that signs: restore it, or remove it to have a new one made";
                    io::Error::new(io::ErrorKind::InvalidData, format!("{} {what}", path.display()))
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path, name),
            Err(error) => Err(error),
        }
    }

    fn create(path: &Path, name: &str) -> io::Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::fill(&mut *seed).map_err(|_| io::Error::other("there is no randomness"))?;
        let signer = Self::new(name, &*seed).ok_or_else(|| io::Error::other("a name has no space and no plus sign"))?;
        let kind_and_seed = Zeroizing::new([&[ED25519_KIND][..], &*seed].concat());
        let key = Zeroizing::new(BASE64.encode(&kind_and_seed));
        let hash = HEXLOWER.encode(&signer.verifier.key_hash());
        let line = Zeroizing::new(format!("{PRIVATE_PREFIX}{name}+{hash}+{}\n", *key));
        let mut file = private().create_new(true).open(path)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        Ok(signer)
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, rest) = line.strip_prefix(PRIVATE_PREFIX)?.split_once('+')?;
        let (hash, key) = rest.split_once('+')?;
        let key = Zeroizing::new(BASE64.decode(key.as_bytes()).ok()?);
        let signer = Self::new(name, key.strip_prefix(&[ED25519_KIND])?)?;
        (HEXLOWER.encode(&signer.verifier.key_hash()) == hash).then_some(signer)
    }

    fn new(name: &str, seed: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let key = pair.public_key().as_ref().try_into().ok()?;
        Some(Self { verifier: Verifier::new(name, key)?, pair })
    }

    /// Who verifies it.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// A signed note.
    pub fn sign(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let blob = BASE64.encode(&[&self.verifier.key_hash()[..], signature.as_ref()].concat());
        format!("{text}\n\u{2014} {} {blob}\n", self.verifier.name)
    }

    /// A signed checkpoint of the log that is named as the key is.
    pub fn checkpoint(&self, size: u64, root: Hash, extensions: Vec<String>) -> String {
        self.sign(&Checkpoint { origin: self.verifier.name.clone(), size, root, extensions }.text())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer of {}", self.verifier)
    }
}

impl Verifier {
    fn new(name: &str, key: [u8; 32]) -> Option<Self> {
        let fits = !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace() || c.is_control());
        fits.then(|| Self { name: name.to_owned(), key })
    }

    /// The name of the key, and of the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn key_hash(&self) -> [u8; 4] {
        let text = [self.name.as_bytes(), b"\n", &[ED25519_KIND], &self.key].concat();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &text);
        let mut hash = [0; 4];
        hash.copy_from_slice(&digest.as_ref()[..4]);
        hash
    }

    /// The text of a note that has this key's signature; others' are left alone.
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        let (text, signatures) = split(note)?;
        for line in signatures.lines() {
            let (name, blob) =
                line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' ')).ok_or(NoteError::Form)?;
            let blob = BASE64.decode(blob.as_bytes()).map_err(|_| NoteError::Form)?;
            let (hash, signature) = blob.split_first_chunk::<4>().ok_or(NoteError::Form)?;
            if name == self.name && *hash == self.key_hash() {
                let key = UnparsedPublicKey::new(&ED25519, self.key);
                let wrong = |_| NoteError::Signature(self.name.clone());
                return key.verify(text.as_bytes(), signature).map(|()| text).map_err(wrong);
            }
        }
        Err(NoteError::Unsigned(self.name.clone()))
    }

    /// The checkpoint of this key's log in a note that has its signature.
    pub fn checkpoint(&self, note: &str) -> Result<Checkpoint, NoteError> {
        let checkpoint = Checkpoint::parse(self.open(note)?).ok_or(NoteError::NoCheckpoint)?;
        if checkpoint.origin == self.name { Ok(checkpoint) } else { Err(NoteError::NoCheckpoint) }
    }
}

/// Text, with its last newline, and signature lines.
fn split(note: &str) -> Result<(&str, &str), NoteError> {
    let at =
        note.rfind("\n\n").filter(|_| note.len() <= MAX_NOTE_BYTES && note.ends_with('\n')).ok_or(NoteError::Form)?;
    let (text, signatures) = (&note[..=at], &note[at + 2..]);
    let control = |c: char| c.is_control() && c != '\n';
    if signatures.is_empty() || note.contains(control) { Err(NoteError::Form) } else { Ok((text, signatures)) }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64.encode(&[&[ED25519_KIND][..], &self.key].concat());
        write!(f, "{}+{}+{key}", self.name, HEXLOWER.encode(&self.key_hash()))
    }
}

impl FromStr for Verifier {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let parse = || {
            let (name, rest) = text.split_once('+')?;
            let (hash, key) = rest.split_once('+')?;
            let key = BASE64.decode(key.as_bytes()).ok()?;
            let verifier = Self::new(name, key.strip_prefix(&[ED25519_KIND])?.try_into().ok()?)?;
            (HEXLOWER.encode(&verifier.key_hash()) == hash).then_some(verifier)
        };
        parse().ok_or(NoteError::Key)
    }
}

/// A log is named by whoever starts it first, unless its operator names it: unlike any other's.
pub fn random_name() -> io::Result<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("there is no randomness"))?;
    Ok(format!("countersign/{}", HEXLOWER.encode(&leaf_hash(&bytes)[..6])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Go's `golang.org/x/mod/sumdb/note`, whose form this is.
    const GO_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn the_published_example_verifies() {
        let verifier: Verifier = GO_VKEY.parse().unwrap();
        assert_eq!(verifier.to_string(), GO_VKEY);
        assert!(verifier.open(GO_NOTE).unwrap().starts_with("If you think"));
        let changed = GO_NOTE.replace("your problem is", "my problem is");
        assert_eq!(verifier.open(&changed), Err(NoteError::Signature("PeterNeumann".into())));
    }

    #[test]
    fn a_checkpoint_comes_back_and_a_changed_one_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.key");
        let signer = Signer::open_or_create(&path, "countersign/test").unwrap();
        let verifier: Verifier = signer.verifier().to_string().parse().unwrap();
        let note = signer.checkpoint(7, [3; 32], vec!["time 2026-11-30T00:00:00Z".into()]);
        let checkpoint = verifier.checkpoint(&note).unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), (7, [3; 32]));
        let again = Signer::open_or_create(&path, "another").unwrap();
        assert_eq!(again.verifier(), &verifier, "the key is kept");
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(verifier.checkpoint(&changed).is_err(), "byte {at}\n{changed}");
            }
        }
        let other = Signer::open_or_create(&directory.path().join("other.key"), "countersign/test").unwrap();
        assert_eq!(other.verifier().checkpoint(&note), Err(NoteError::Unsigned("countersign/test".into())));
    }

    #[test]
    fn what_is_none_is_told() {
        let verifier: Verifier = GO_VKEY.parse().unwrap();
        for text in ["", "\n\n", "a\n\n", "a\nb\n", "a\n\n\u{2014} x\n", "a\n\n\u{2014} PeterNeumann !!\n"] {
            assert_eq!(verifier.open(text), Err(NoteError::Form), "{text:?}");
        }
        for text in ["", "a", "a+b", "a+b+c", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"] {
            assert_eq!(text.parse::<Verifier>(), Err(NoteError::Key), "{text}");
        }
        assert_eq!(verifier.checkpoint(GO_NOTE), Err(NoteError::NoCheckpoint));
        for text in ["o\n01\nAAAA\n", "o\n+1\nAAAA\n", "\n1\n\n", "o\n1\n", "o\n1\nAAAA\n"] {
            assert_eq!(Checkpoint::parse(text), None, "{text:?}");
        }
    }
}
