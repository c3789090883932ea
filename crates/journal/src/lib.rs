//! Records on disk: who connected, what was answered and why; and reading them back.
//!
//! Here live the records ([`AccessRecord`], [`ConnectionRecord`], [`AdmissionRecord`], [`RefusalsRecord`]), the way to disk ([`Writer`], one per core, without locks; one thread behind
//! them that writes and syncs), segments that tell when they were damaged ([`Notice`]), queries in the terms of
//! CloudWatch Logs ([`Query`], [`Page`]) and its filter patterns ([`filter::Pattern`]); the [`ledger`] of the clients that
//! were seen, and the book of what API keys have used of their plans ([`usage`]).
//!
//! What must not live here: HTTP, AWS's wire forms, settings, and the decision what is to be recorded.
//!
//! # On disk
//!
//! `DIR/journal/{first sequence, 16 hex digits}.ndjson` holds lines `crc32 of the JSON, 8 hex digits, SP, JSON, LF`. Beside
//! a segment that is complete stands `….seal`: its digest, its counts and an index. Of an incomplete one the lines that
//! were synced survive any crash; what a crash left of a line is cut off and told when the journal is opened.

pub mod filter;
pub mod ledger;
pub mod usage;

mod index;
mod journal;
mod json;
mod left;
mod line;
mod notice;
mod queue;
mod read;
mod record;
mod recorder;
mod recovery;
mod writer;

pub use journal::{Journal, Options, Stats};
pub use notice::Notice;
pub use read::{Event, Page, Position, PositionError, Query, StreamInfo, Streams};
pub use record::{
    AccessRecord, AdmissionRecord, Admitted, Client, ConnectionRecord, Denial, End, MAX_MESSAGE_BYTES, Refusal,
    RefusalsRecord, Shadow, Truststore, Validity,
};
pub use writer::Writer;
