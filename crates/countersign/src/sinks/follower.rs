//! One sink at work: what is on disk goes to the other side, batch by batch, and the cursor follows what was taken.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use journal::{BatchLimits, Complete, Journal, Line, Position};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::backoff::Backoff;
use super::cursor::Cursor;
use super::form::time_ms;
use super::objects::Objects;
use super::progress::Progress;
use super::sender::{Sender, Trouble};
use crate::answer::warn;
use crate::config::Filter;

/// What is sent at a time.
const BATCH: BatchLimits = BatchLimits { records: 2000, bytes: 512 * 1024 };
/// Until an attempt is given up.
const ATTEMPT: Duration = Duration::from_secs(60);
/// The same of a segment, which may be some megabytes.
const UPLOAD: Duration = Duration::from_secs(300);
/// Records that nobody wants after which the cursor is written all the same.
const UNWANTED: u64 = 10_000;

/// A sink, and what it works with.
#[derive(Clone)]
pub(super) struct Follower {
    pub(super) journal: Journal,
    pub(super) filter: Arc<Filter>,
    pub(super) progress: Arc<Progress>,
    pub(super) cursor: Cursor,
    pub(super) sender: Sender,
    /// Set when it is to end, as soon as it has come to the end or the other side fails.
    pub(super) ending: watch::Receiver<bool>,
}

/// The cursor as it is on disk, and as it should be.
struct Kept {
    cursor: Cursor,
    written: u64,
    failing: bool,
}

impl Follower {
    /// Until it is to end, or the journal is closed.
    pub(super) async fn run(mut self) {
        let mut on_disk = self.journal.on_disk();
        let next = self.progress.state().next;
        let mut kept = Kept { cursor: self.cursor.clone(), written: next.number(), failing: false };
        let mut backoff = Backoff::default();
        loop {
            if self.has_more(*on_disk.borrow_and_update()) {
                if self.pass_on(&mut kept, &mut backoff).await.is_none() {
                    break;
                }
                continue;
            }
            if *self.ending.borrow_and_update() {
                break;
            }
            tokio::select! {
                changed = on_disk.changed() => match changed {
                    Ok(()) => self.pause(self.sender.gathers_for()).await,
                    Err(_) => break,
                },
                changed = self.ending.changed() => if changed.is_err() { break },
            }
        }
        kept.write(self.progress.state().next).await;
    }

    fn has_more(&self, on_disk: Position) -> bool {
        let next = self.progress.state().next;
        if self.sender.takes_segments() { self.journal.complete_behind(next).is_some() } else { next < on_disk }
    }

    /// One segment, with what is signed for it. `None`: it is to end.
    async fn upload(&mut self, objects: &Objects, kept: &mut Kept, backoff: &mut Backoff) -> Option<()> {
        let next = self.progress.state().next;
        let (path, end) = match self.journal.complete_behind(next) {
            None => return Some(()),
            Some(Complete::Pruned(end)) => {
                self.progress.misses(end.number() - next.number());
                self.progress.passes(end);
                kept.write(end).await;
                return Some(());
            }
            Some(Complete::Sealed(path, end)) => (path, end),
        };
        let read = spawn_blocking(move || Segment::read(&path)).await;
        let segment = match read.unwrap_or_else(|e| Err(io::Error::other(e))) {
            Ok(segment) => segment,
            Err(e) => return self.failed(&format!("a segment cannot be read: {e}"), None, backoff).await,
        };
        self.progress.waits(Some(segment.sealed_ms));
        let checkpoint = self.journal.checkpoint();
        let put = async {
            objects.put(&segment.name, segment.bytes).await?;
            match checkpoint {
                Some(note) => objects.put("checkpoint", note.as_bytes().to_vec()).await,
                None => Ok(()),
            }
        };
        match timeout(UPLOAD, put).await {
            Ok(Ok(())) => {}
            Ok(Err(Trouble::Later { why, after })) => return self.failed(&why, after, backoff).await,
            Ok(Err(Trouble::TooMuch(why))) => return self.failed(&why, None, backoff).await,
            Err(_) => return self.failed("an upload takes too long", None, backoff).await,
        }
        self.progress.waits(None);
        self.progress.takes(end, end.number() - next.number());
        kept.write(end).await;
        backoff.reset();
        Some(())
    }

    /// One batch. `None`: it is to end.
    async fn pass_on(&mut self, kept: &mut Kept, backoff: &mut Backoff) -> Option<()> {
        if let Sender::S3(objects) = self.sender.clone() {
            return self.upload(&objects, kept, backoff).await;
        }
        let (journal, filter, next) = (self.journal.clone(), self.filter.clone(), self.progress.state().next);
        let read = spawn_blocking(move || journal.follow(next, BATCH, &|json| filter.wants(json))).await;
        let batch = match read.unwrap_or_else(|e| Err(io::Error::other(e))) {
            Ok(batch) => batch,
            Err(e) => return self.failed(&format!("the records cannot be read: {e}"), None, backoff).await,
        };
        self.progress.misses(batch.missing);
        let mut lines: Arc<[Line]> = batch.lines.into();
        let mut at_most = lines.len();
        while !lines.is_empty() {
            self.progress.waits(Some(time_ms(&lines[0].json)));
            let some: Arc<[Line]> = lines[..at_most.min(lines.len())].into();
            let sent = timeout(ATTEMPT, self.sender.send(some)).await;
            let late = || Trouble::later(format!("no answer within {} s", ATTEMPT.as_secs()));
            let taken = match sent.unwrap_or_else(|_| Err(late())) {
                Ok(taken) => taken,
                Err(Trouble::TooMuch(_)) if at_most > 1 && lines.len() > 1 => {
                    at_most = at_most.min(lines.len()) / 2;
                    continue;
                }
                Err(Trouble::TooMuch(why)) => {
                    self.progress.rejects(1, &format!("{why} (record {})", lines[0].position.number()));
                    super::sender::Taken { records: 1, rejected: 1, why: String::new() }
                }
                Err(Trouble::Later { why, after }) => {
                    self.failed(&why, after, backoff).await?;
                    continue;
                }
            };
            if !taken.why.is_empty() {
                self.progress.rejects(taken.rejected, &taken.why);
            }
            let rest: Arc<[Line]> = lines[taken.records.clamp(1, lines.len())..].into();
            let next = rest.first().map_or(batch.next, |line| line.position);
            self.progress.takes(next, (taken.records as u64).saturating_sub(taken.rejected));
            kept.write(next).await;
            backoff.reset();
            lines = rest;
        }
        self.progress.waits(None);
        self.progress.passes(batch.next);
        if batch.next.number() - kept.written >= UNWANTED {
            kept.write(batch.next).await;
        }
        Some(())
    }

    async fn failed(&mut self, why: &str, after: Option<Duration>, backoff: &mut Backoff) -> Option<()> {
        self.progress.fails(why);
        let mut random = [0];
        // Without randomness it is the shortest pause.
        let _ = aws_lc_rs::rand::fill(&mut random);
        self.pause(backoff.pause(after, random[0])).await;
        (!*self.ending.borrow()).then_some(())
    }

    /// Shorter, where it is to end.
    async fn pause(&mut self, time: Duration) {
        if !*self.ending.borrow() && !time.is_zero() {
            let _ = timeout(time, self.ending.wait_for(|ending| *ending)).await;
        }
    }
}

/// A sealed segment, read whole.
struct Segment {
    /// Of its file.
    name: String,
    bytes: Vec<u8>,
    /// In milliseconds since 1970.
    sealed_ms: i64,
}

impl Segment {
    fn read(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let sealed = fs::metadata(path)?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { name, bytes: fs::read(path)?, sealed_ms: sealed.as_millis().try_into().unwrap_or(i64::MAX) })
    }
}

impl Kept {
    /// Where that fails, what was sent since is sent again after a restart.
    async fn write(&mut self, next: Position) {
        let (cursor, next) = (self.cursor.clone(), next.number());
        if next == self.written {
            return;
        }
        let written = spawn_blocking(move || cursor.write(next)).await.unwrap_or_else(|e| Err(io::Error::other(e)));
        match written {
            Ok(()) => (self.written, self.failing) = (next, false),
            Err(e) if !self.failing => {
                warn(&format!("{}: {e}; records may be sent twice", self.cursor.path().display()));
                self.failing = true;
            }
            Err(_) => {}
        }
    }
}
