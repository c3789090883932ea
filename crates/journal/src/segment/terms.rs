//! Whose records are in which blocks of a segment: by the client's certificate and subject, by domain, and by kind.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher;
use std::sync::LazyLock;

use foldhash::quality::RandomState;
use memchr::memchr;
use memchr::memmem::{self, Finder};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::search::Kind;
use crate::tree::leaf_hash;

/// What may be looked for, by 32 bits of a hash: a block that is named needlessly is read needlessly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Term(u32);

/// Of each term the blocks in which it is, as bits.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    blocks: BTreeMap<Term, u64>,
    /// Blocks, and hashes of the parts of records that terms are made of: most records have what another one of their block had.
    noted: HashSet<(usize, u64)>,
    hasher: RandomState,
}

/// What a record has of what is looked for.
#[derive(Deserialize)]
pub(crate) struct About<'a> {
    pub kind: Kind,
    pub time_ms: i64,
    #[serde(borrow, default)]
    pub domain: Cow<'a, str>,
    #[serde(borrow)]
    pub client: Option<AboutClient<'a>>,
    #[serde(borrow)]
    api_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stage: Option<Cow<'a, str>>,
    refusal: Option<IgnoredAny>,
    verdict: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(crate) struct AboutClient<'a> {
    #[serde(borrow, default)]
    subject: Cow<'a, str>,
    #[serde(borrow, default)]
    fingerprint: Cow<'a, str>,
}

impl About<'_> {
    /// API and stage, empty where there are none.
    pub(crate) fn api(&self) -> (&str, &str) {
        (self.api_id.as_deref().unwrap_or_default(), self.stage.as_deref().unwrap_or_default())
    }

    /// Of a client that was not trusted, or of several.
    pub(crate) fn is_refused(&self) -> bool {
        self.refusal.is_some() || self.verdict.is_some() || self.kind == Kind::Refusals
    }
}

impl AboutClient<'_> {
    /// By its fingerprint, its subject, or one attribute of that.
    pub(crate) fn is(&self, wanted: &str) -> bool {
        self.names().any(|name| name == wanted)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        [&*self.fingerprint, &*self.subject].into_iter().chain(attributes(&self.subject))
    }
}

impl Term {
    /// Of a client: its fingerprint in lowercase hexadecimal, its subject, or one attribute of that (`CN=…`).
    pub(crate) fn client(text: &str) -> Self {
        Self::new("client", text)
    }

    pub(crate) fn domain(name: &str) -> Self {
        Self::new("domain", name)
    }

    /// Of records of clients that were not trusted.
    pub(crate) fn refused() -> Self {
        Self::new("refused", "")
    }

    /// Of records of a kind.
    pub(crate) fn kind(kind: Kind) -> Self {
        Self::new("kind", kind.as_str())
    }

    /// Of all records. Segments that do not have it are of a time when kinds were not noted.
    pub(crate) fn kinds() -> Self {
        Self::new("kinds", "")
    }

    fn new(kind: &str, text: &str) -> Self {
        let hash = leaf_hash(format!("{kind} {text}").as_bytes());
        Self(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]))
    }
}

impl Terms {
    /// A block, by number, has this record.
    pub(crate) fn note(&mut self, block: usize, json: &[u8]) {
        if !self.noted.insert((block, self.hasher.hash_one(Gist::of(json)))) {
            return;
        }
        let Ok(about) = serde_json::from_slice::<About<'_>>(json) else { return };
        let mut note = |term| *self.blocks.entry(term).or_default() |= bit(block);
        note(Term::kinds());
        note(Term::kind(about.kind));
        if !about.domain.is_empty() {
            note(Term::domain(&about.domain));
        }
        if about.is_refused() {
            note(Term::refused());
        }
        about.client.iter().flat_map(AboutClient::names).for_each(|name| note(Term::client(name)));
    }

    /// 12 bytes each, in order.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let entry = |(term, blocks): (&Term, &u64)| [&term.0.to_be_bytes()[..], &blocks.to_be_bytes()].concat();
        self.blocks.iter().flat_map(entry).collect()
    }

    /// The blocks of a term, of what [`to_bytes`](Self::to_bytes) gave.
    pub(crate) fn find(bytes: &[u8], term: Term) -> u64 {
        let (entries, _) = bytes.as_chunks::<12>();
        let found = entries.binary_search_by_key(&&term.0.to_be_bytes()[..], |entry| &entry[..4]);
        found.map_or(0, |at| entries[at][4..].iter().fold(0, |blocks, byte| blocks << 8 | u64::from(*byte)))
    }
}

/// The parts of a record that its terms are made of, found without reading it. What strangers write cannot look like them: a quote
/// of theirs has a backslash before it.
#[derive(Hash)]
struct Gist<'a> {
    kind: Option<&'a [u8]>,
    domain: Option<&'a [u8]>,
    client: Option<&'a [u8]>,
    is_refused: bool,
}

impl<'a> Gist<'a> {
    fn of(json: &'a [u8]) -> Self {
        let [kind, domain, client, ..] = &*MARKS;
        let behind = |mark: &Finder<'_>| mark.find(json).map(|at| &json[at + mark.needle().len()..]);
        let word = |text: &'a [u8]| &text[..memchr(b'"', text).unwrap_or(text.len())];
        Self {
            kind: behind(kind).map(word),
            domain: behind(domain).map(word),
            client: behind(client).map(|text| &text[..memmem::find(text, b"\"}").unwrap_or(text.len())]),
            is_refused: may_be_refused(json),
        }
    }
}

/// Whether a record may be of a client that was not trusted, found without reading it.
pub(crate) fn may_be_refused(json: &[u8]) -> bool {
    let [_, _, _, refused @ ..] = &*MARKS;
    refused.iter().any(|mark| mark.find(json).is_some())
}

/// What the parts of a record that terms are made of begin with.
static MARKS: LazyLock<[Finder<'static>; 6]> = LazyLock::new(|| {
    let marks =
        [r#""kind":""#, r#""domain":""#, r#""client":{"#, r#""refusal":{"#, r#""verdict":""#, r#""kind":"refusals""#];
    marks.map(Finder::new)
});

/// A segment has more blocks than there are bits only where its records are huge: the last bit stands for the rest.
pub(crate) fn bit(block: usize) -> u64 {
    1 << block.min(63)
}

/// Attributes of a subject that is written in AWS's form: `CN=a,O=b\,c`.
pub(crate) fn attributes(subject: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(subject);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut escaped = false;
        let end = text.bytes().position(|byte| {
            let ends = byte == b',' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_taken_apart() {
        let parts = |text| attributes(text).collect::<Vec<_>>();
        assert_eq!(parts("CN=a,O=b\\,c,C=GB"), ["CN=a", "O=b\\,c", "C=GB"]);
        assert_eq!(parts("CN=a\\\\,O=b"), ["CN=a\\\\", "O=b"]);
        assert_eq!(parts(""), [""]);
    }

    #[test]
    fn terms_lead_to_blocks() {
        let mut terms = Terms::default();
        let json = |domain, subject| {
            serde_json::json!({"kind": "access", "time_ms": 1, "domain": domain, "client": {"subject": subject, "fingerprint": "ab"}}).to_string()
        };
        terms.note(0, json("a.example", "CN=x,O=y").as_bytes());
        terms.note(5, json("b.example", "CN=x").as_bytes());
        terms.note(70, json("b.example", "CN=z").as_bytes());
        terms.note(3, br#"{"kind":"access","time_ms":1,"refusal":{"code":"x"}}"#);
        // Of the same domain and client, and of another kind.
        terms.note(4, br#"{"kind":"event","time_ms":1,"message":"{\"kind\":\"access\"}"}"#);
        let bytes = terms.to_bytes();
        let find = |term| Terms::find(&bytes, term);
        assert_eq!(find(Term::domain("a.example")), 1);
        assert_eq!(find(Term::domain("b.example")), bit(5) | bit(63));
        assert_eq!(find(Term::client("CN=x")), bit(0) | bit(5));
        assert_eq!(find(Term::client("CN=x,O=y")), 1);
        assert_eq!(find(Term::client("O=y")), 1);
        assert_eq!(find(Term::client("ab")), bit(0) | bit(5) | bit(63));
        assert_eq!(find(Term::refused()), bit(3));
        assert_eq!(find(Term::kind(Kind::Access)), bit(0) | bit(3) | bit(5) | bit(63));
        assert_eq!(
            (find(Term::kind(Kind::Event)), find(Term::kinds())),
            (bit(4), find(Term::kind(Kind::Access)) | bit(4))
        );
        assert_eq!(find(Term::client("nobody")), 0);
    }
}
