//! Records on disk: who connected, what was answered and why; and reading them back.
//!
//! Here live the records ([`AccessRecord`], [`ConnectionRecord`], [`AdmissionRecord`], [`RefusalsRecord`]), the way to disk ([`Writer`], one per core, without locks; one thread behind
//! them that writes and syncs), segments that tell when they were damaged ([`Notice`]), queries in the terms of
//! CloudWatch Logs ([`Query`], [`Page`]), its filter patterns ([`filter::Pattern`]) and its query language ([`insights`]); the [`ledger`] of the clients that
//! were seen, and the book of what API keys have used of their plans ([`usage`]).
//!
//! What must not live here: HTTP, AWS's wire forms, settings, and the decision what is to be recorded.
//!
//! # On disk
//!
//! In `DIR/journal`, by the number of a segment's first record (16 hexadecimal digits), beginning with 0:
//!
//! - `*.lines`, which grows: `check, SP, JSON, LF`, where each check covers the one before. What was synced survives any crash; what
//!   a crash left of a line is cut off and told when the journal is opened.
//! - `*.sealed`, which is complete: the same records in compressed columns, with an index, and the hashes that lead from what is
//!   before it to what is behind it.
//! - `*.pruned`: what is left where the records are not kept any longer.
//! - `checkpoint`: how many records there are, and the root of the hash tree over them, signed.
//! - `verifier`: the key that verifies that.

pub mod audit;
pub mod filter;
pub mod insights;
pub mod ledger;
pub mod note;
pub mod request_id;
pub mod tree;
pub mod usage;

mod columns;
mod follow;
mod journal;
mod json;
mod left;
mod legacy;
mod line;
mod notice;
mod queue;
mod read;
mod record;
mod recorder;
mod recovery;
mod search;
mod segment;
mod writer;

pub use follow::{Batch, BatchLimits, Complete};
pub use journal::{Journal, Options, Stats, VERIFIER};
pub use notice::Notice;
pub use read::{Event, Page, Position, PositionError, Query, StreamInfo, Streams};
pub use record::{
    AccessRecord, AdmissionRecord, Admitted, CONNECTIONS_GROUP, Client, ConnectionRecord, Denial, End,
    MAX_MESSAGE_BYTES, Outcome, Refusal, RefusalsRecord, RulesChange, SETTINGS_GROUP, SettingsRecord, Shadow,
    Truststore, TruststoreChange, Validity,
};
pub use search::{Found, Kind, Kinds, Line, Search};
pub use writer::{Keeping, Writer};

/// For the fuzzer: what is otherwise reached through files only.
#[cfg(fuzzing)]
pub mod fuzzing {
    use crate::columns::{Header, Table};
    use crate::note::Verifier;

    /// Reads the bytes as parts of a sealed segment, and writes them as its lines: these come back.
    pub fn columns(bytes: &[u8]) {
        let (length, rest) = bytes.split_first().unwrap_or((&0, &[]));
        let (header, block) = rest.split_at(rest.len().min(usize::from(*length)));
        if let Some(lines) = Header::read(header).and_then(|header| header.lines(block)) {
            assert!(lines.iter().map(|line| line.len() + 1).sum::<usize>() == lines.as_bytes().len());
        }
        let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
        let mut table = Table::new();
        lines.iter().for_each(|line| table.push(line));
        let mut coded = table.code();
        let header = Header::read(&coded.header()).expect("a header of ours");
        for lines in lines.chunks(usize::from(*length).max(1)) {
            let back = header.lines(&coded.block(lines.len())).expect("a block of ours");
            assert!(back.iter().eq(lines.iter().copied()));
        }
    }

    /// Reads a signed note.
    pub fn note(text: &str, verifier: &Verifier) {
        let _ = verifier.checkpoint(text);
        let _ = text.parse::<crate::audit::Proof>();
        let _ = text.parse::<Verifier>();
    }
}
