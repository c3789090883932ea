//! Looking for records by what they are about.

use std::io;
use std::sync::Arc;

use serde::Deserialize;

use crate::columns::Lines;
use crate::journal::Journal;
use crate::read::{Position, end, ordered};
use crate::segment::{About, Block, Open, Segment, Term, bit, may_be_refused};

/// Bytes of records at which a page is full.
const PAGE_BYTES: usize = 768 * 1024;
/// Bytes of lines that are read for one page. A page that ends here has a [`Found::next`], even where it is empty.
const SCAN_BYTES: u64 = 512 * 1024 * 1024;

/// What is looked for: records that fulfil all of it.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// Of these kinds.
    pub kinds: Kinds,
    /// Of a client: its certificate's fingerprint (64 hexadecimal digits), its subject, or one attribute of that (`CN=…`).
    pub client: Option<&'a str>,
    /// Of a domain.
    pub domain: Option<&'a str>,
    /// Of an API's stage.
    pub api: Option<(&'a str, &'a str)>,
    /// Of clients that were not trusted.
    pub refused: bool,
    /// First millisecond that is wanted.
    pub since_ms: i64,
    /// First millisecond that is no longer wanted.
    pub until_ms: i64,
    /// From here on: what lies behind it, or with `newest_first` what lies before it.
    pub after: Option<Position>,
    /// The newest come first.
    pub newest_first: bool,
    /// Records in a page.
    pub limit: usize,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A request and its answer.
    Access,
    /// A request that is about to be forwarded.
    Admission,
    /// A connection.
    Connection,
    /// A change of settings.
    Settings,
    /// What was put by `PutLogEvents`.
    Event,
    /// Refused connections that have no records of their own.
    Refusals,
    /// Records that were lost.
    Dropped,
    /// Records that are not kept any longer.
    Pruned,
    /// What this version does not know.
    #[serde(other)]
    Other,
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u16);

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// In the order that was asked for.
    pub lines: Vec<Line>,
    /// Where to continue; `None` when nothing is left there at present.
    pub next: Option<Position>,
    /// Behind the last record that there was.
    pub end: Position,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number; no other record has the same.
    pub position: Position,
    /// As it was written.
    pub json: Box<str>,
}

impl Default for Search<'_> {
    /// The oldest 1,000 records, whatever they are.
    fn default() -> Self {
        Self {
            kinds: Kinds::ALL,
            client: None,
            domain: None,
            api: None,
            refused: false,
            since_ms: i64::MIN,
            until_ms: i64::MAX,
            after: None,
            newest_first: false,
            limit: 1000,
        }
    }
}

impl Search<'_> {
    fn terms(&self) -> impl Iterator<Item = Term> {
        let client = self.client.map(Term::client);
        let refused = self.refused.then(Term::refused);
        [client, self.domain.map(Term::domain), refused].into_iter().flatten()
    }

    fn wants(&self, json: &[u8]) -> bool {
        let Ok(about) = serde_json::from_slice::<About<'_>>(json) else { return false };
        self.kinds.contain(about.kind)
            && (self.since_ms..self.until_ms).contains(&about.time_ms)
            && self.domain.is_none_or(|domain| about.domain == domain)
            && self.api.is_none_or(|api| about.api() == api)
            && (!self.refused || about.is_refused())
            && self.client.is_none_or(|wanted| about.client.is_some_and(|client| client.is(wanted)))
    }

    fn wants_block(&self, block: &Block) -> bool {
        block.last_ms() >= self.since_ms && block.first_ms() < self.until_ms
    }
}

impl Kind {
    /// Of all but [`Other`](Self::Other), as records have them.
    pub const NAMES: [&str; 8] =
        ["access", "admission", "connection", "settings", "event", "refusals", "dropped", "pruned"];

    /// As records have it.
    pub fn as_str(self) -> &'static str {
        // They are in the order of the kinds.
        Self::NAMES.get(self as usize).copied().unwrap_or("other")
    }

    /// The kind that records name so.
    pub fn named(name: &str) -> Option<Self> {
        use serde::de::IntoDeserializer;
        use serde::de::value::{Error, StrDeserializer};

        let text: StrDeserializer<'_, Error> = name.into_deserializer();
        Self::deserialize(text).ok().filter(|kind| *kind != Self::Other)
    }
}

impl Kinds {
    /// All of them.
    pub const ALL: Self = Self(u16::MAX);

    /// These.
    pub fn of(kinds: impl IntoIterator<Item = Kind>) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | 1 << kind as u8))
    }

    fn contain(self, kind: Kind) -> bool {
        self.0 >> kind as u8 & 1 == 1
    }
}

impl Journal {
    /// Looks for records, all that was appended by now among them: waits up to a second for writers to hand over. Reads at
    /// most 512 MiB of lines; blocks. Fails where a file cannot be read.
    pub fn search(&self, search: &Search<'_>) -> io::Result<Found> {
        self.catch_up();
        self.with_segments(|segments| self.found(search, segments))
    }

    fn found(&self, search: &Search<'_>, segments: &[Arc<Segment>]) -> io::Result<Found> {
        let back = search.newest_first;
        let mut page = Filling { search, lines: Vec::new(), bytes: 0, scanned: 0 };
        for segment in ordered(segments.iter(), back) {
            let in_time = segment.blocks.iter().any(|block| search.wants_block(block));
            if !in_time || !page.is_ahead(segment.first, segment.end()) {
                continue;
            }
            let open = segment.open(&self.shared)?;
            let mut may_have = search.kinds.blocks_in(&open)?;
            for term in search.terms() {
                may_have &= open.blocks_with(term)?;
            }
            for (number, block) in ordered(segment.blocks.iter().enumerate(), back) {
                let wanted = bit(number) & may_have != 0 && search.wants_block(block);
                if !wanted || !page.is_ahead(block.first, block.last()) {
                    continue;
                }
                if let Some(stop) = page.read(block, &open.block(block)?) {
                    let end = end(segments);
                    let left = if back { stop.0 > segments[0].first } else { stop < end };
                    return Ok(Found { lines: page.lines, next: left.then_some(stop), end });
                }
            }
        }
        Ok(Found { lines: page.lines, next: None, end: end(segments) })
    }
}

impl Kinds {
    /// Blocks that may have one of them.
    fn blocks_in(self, segment: &Open<'_>) -> io::Result<u64> {
        let has_no_term = self == Self::ALL || self.contain(Kind::Other);
        if has_no_term || segment.blocks_with(Term::kinds())? == 0 {
            return Ok(u64::MAX);
        }
        let of_kind = |blocks, name: &&str| match Kind::named(name).filter(|kind| self.contain(*kind)) {
            Some(kind) => Ok(blocks | segment.blocks_with(Term::kind(kind))?),
            None => Ok(blocks),
        };
        Kind::NAMES.iter().try_fold(0, of_kind)
    }
}

/// A page that is being filled.
struct Filling<'a> {
    search: &'a Search<'a>,
    lines: Vec<Line>,
    bytes: usize,
    scanned: u64,
}

impl Filling<'_> {
    /// Whether some of these lines lie where the search goes on.
    fn is_ahead(&self, first: u64, end: u64) -> bool {
        self.search.after.is_none_or(|after| if self.search.newest_first { first < after.0 } else { end > after.0 })
    }

    /// Where the page was full, if so.
    fn read(&mut self, block: &Block, lines: &Lines) -> Option<Position> {
        let back = self.search.newest_first;
        let api = self.search.api.map(|(api, _)| api);
        let needle = self.search.client.or(self.search.domain).or(api).filter(|needle| needle.bytes().all(is_plain));
        let finder = needle.map(memchr::memmem::Finder::new);
        for (number, json) in ordered(lines.iter().enumerate(), back) {
            let position = Position(block.first + number as u64);
            if !self.is_ahead(position.0, position.0 + 1) {
                continue;
            }
            // Most records of most blocks are others': looks at the bytes spare reading them.
            let is_other = finder.as_ref().is_some_and(|finder| finder.find(json).is_none())
                || kind_of(json).is_some_and(|kind| !self.search.kinds.contain(kind))
                || (self.search.refused && !may_be_refused(json));
            if is_other || !self.search.wants(json) {
                continue;
            }
            // Records are JSON, and were parsed.
            let json: Box<str> = String::from_utf8_lossy(json).into();
            self.bytes += json.len();
            self.lines.push(Line { position, json });
            if self.lines.len() >= self.search.limit || self.bytes >= PAGE_BYTES {
                return Some(if back { position } else { Position(position.0 + 1) });
            }
        }
        self.scanned += lines.as_bytes().len() as u64;
        let edge = if back { block.first } else { block.last() };
        (self.scanned >= SCAN_BYTES).then_some(Position(edge))
    }
}

/// What a record says first.
fn kind_of(json: &[u8]) -> Option<Kind> {
    let name = json.strip_prefix(br#"{"kind":""#)?;
    let name = &name[..memchr::memchr(b'"', name)?];
    Kind::named(std::str::from_utf8(name).ok()?)
}

/// Whether JSON has it as it is.
fn is_plain(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_names() {
        for name in Kind::NAMES {
            let kind = Kind::named(name).unwrap();
            assert_eq!((format!("{kind:?}").to_ascii_lowercase().as_str(), kind.as_str()), (name, name));
            assert!(Kinds::of([kind]).contain(kind) && !Kinds::of([kind]).contain(Kind::Other));
        }
        assert_eq!((Kind::named("other"), Kind::named("x")), (None, None));
        assert_eq!(kind_of(br#"{"kind":"event","message":"x"}"#), Some(Kind::Event));
        assert_eq!((kind_of(br#"{"kind":"x"}"#), kind_of(br#"{"time_ms":1,"kind":"event"}"#)), (None, None));
    }
}
