//! The thread that writes.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::index::{Index, Segment};
use crate::journal::{Options, Shared, private};
use crate::left;
use crate::queue::{Item, Reply, Wish};
use crate::record::Record;
use crate::recovery;
use crate::writer::Chunk;

/// Written bytes that are held until they are synced, so that they can be written again should that fail.
const UNSYNCED_BYTES: usize = 8 * 1024 * 1024;
/// Between tries while the disk fails.
const RETRY: Duration = Duration::from_millis(200);

pub(crate) struct Recorder {
    shared: Arc<Shared>,
    options: Options,
    /// Sequence number of the next line.
    next: u64,
    current: Option<Current>,
    /// Another process writes segments: the current one is none, but what this process leaves to it.
    released: bool,
    /// Taken from the queue and not written, because the disk fails.
    pending: VecDeque<Chunk>,
    /// When to try again while it does.
    retry_at: Option<Instant>,
    /// Of the dropped records so many have a line that says so.
    dropped_told: u64,
    sealing: Option<JoinHandle<()>>,
}

/// The segment that grows.
struct Current {
    file: File,
    first: u64,
    opened: Instant,
    written: u64,
    synced: u64,
    /// What was written and not synced, in pieces.
    unsynced: Vec<Vec<u8>>,
    /// When the first of it was written.
    dirty_since: Option<Instant>,
    /// A sync failed: the kernel may have forgotten what it was given.
    rewrite: bool,
}

impl Recorder {
    pub(crate) fn new(shared: Arc<Shared>, options: Options, next: u64) -> Self {
        let (current, pending, retry_at, sealing) = (None, VecDeque::new(), None, None);
        Self { shared, options, next, current, released: false, pending, retry_at, dropped_told: 0, sealing }
    }

    /// Until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        loop {
            let (items, closed) = self.shared.queue.take(self.deadline());
            let ended = closed && items.is_empty();
            self.handle(items);
            if ended {
                self.finish();
                return;
            }
        }
    }

    /// When there is something to do though nothing comes.
    fn deadline(&self) -> Option<Instant> {
        if self.retry_at.is_some() {
            return self.retry_at;
        }
        let current = self.current.as_ref()?;
        let roll_at = (!self.released).then(|| current.opened + self.options.roll_after);
        let sync_at = current.dirty_since.map(|since| since + self.options.sync_after);
        [roll_at, sync_at].into_iter().flatten().min()
    }

    fn handle(&mut self, items: VecDeque<Item>) {
        let mut requests: Vec<(Wish, Reply)> = Vec::new();
        for item in items {
            match item {
                Item::Chunk(chunk) => self.accept(chunk),
                Item::Request { wish, reply } => requests.push((wish, reply)),
            }
        }
        // While the disk fails it is tried at intervals, or when somebody asks.
        let waiting = self.retry_at.is_some_and(|at| Instant::now() < at);
        if waiting && requests.is_empty() {
            return;
        }
        let wants_sync = requests.iter().any(|(wish, _)| *wish != Wish::Nothing);
        let written = self.write();
        let synced = match &written {
            Ok(()) if wants_sync || self.is_sync_due() => self.sync(),
            Ok(()) => Ok(()),
            Err(error) => Err(again(error)),
        };
        let rolled = if synced.is_ok() { self.roll_if_due() } else { Ok(()) };
        self.report([&written, &synced, &rolled]);
        for (wish, reply) in requests {
            let synced = synced.as_ref().copied().map_err(again);
            reply(match wish {
                Wish::Nothing => written.as_ref().copied().map_err(again),
                Wish::Sync => synced,
                Wish::Release => synced.and_then(|()| self.release()),
                Wish::Reclaim => synced.and_then(|()| self.reclaim()),
            });
        }
    }

    /// Everything is written and synced. The segment is left unsealed: who opens the journal next seals it.
    fn release(&mut self) -> io::Result<()> {
        if self.released {
            return Ok(());
        }
        // There before anybody else can look for it.
        self.current = Some(Current::new(left::create(&self.shared.directory)?, 0));
        self.join_sealing();
        self.released = true;
        Ok(())
    }

    /// What others have written meanwhile is ours now.
    fn reclaim(&mut self) -> io::Result<()> {
        if !self.released {
            return Ok(());
        }
        let recovered = recovery::recover(&self.shared.directory)?;
        self.current = None;
        self.next = recovered.next;
        self.released = false;
        let index = Index { complete: recovered.segments, current: None };
        *self.shared.index.write().unwrap_or_else(PoisonError::into_inner) = index;
        Ok(())
    }

    fn accept(&mut self, chunk: Chunk) {
        let held: usize = self.pending.iter().map(|chunk| chunk.bytes.len()).sum();
        if self.retry_at.is_some() && held >= self.options.queue_bytes {
            self.shared.count_dropped(chunk.lines);
        } else {
            self.pending.push_back(chunk);
        }
    }

    /// Writes what is pending.
    fn write(&mut self) -> io::Result<()> {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        if dropped > self.dropped_told && !self.pending.is_empty() {
            let mut chunk = Chunk::default();
            chunk.push(&Record::Dropped { time_ms: now_ms(), records: dropped - self.dropped_told });
            self.pending.push_back(chunk);
            self.dropped_told = dropped;
        }
        while let Some(chunk) = self.pending.pop_front() {
            if let Err(error) = self.write_chunk(&chunk) {
                self.pending.push_front(chunk);
                return Err(error);
            }
            self.index(&chunk);
            if let Some(current) = &mut self.current {
                current.unsynced.push(chunk.bytes);
            }
            self.roll_if_due()?;
        }
        Ok(())
    }

    fn write_chunk(&mut self, chunk: &Chunk) -> io::Result<()> {
        let current = match &mut self.current {
            Some(current) => current,
            none => none.insert(Current::create(&self.shared, self.next)?),
        };
        // A part that an earlier try wrote is written over.
        current.file.write_all_at(&chunk.bytes, current.written)?;
        current.written += chunk.bytes.len() as u64;
        current.dirty_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn index(&mut self, chunk: &Chunk) {
        let Some(current) = &self.current else { return };
        if !self.released {
            self.next += chunk.lines;
            self.shared.index.write().unwrap_or_else(PoisonError::into_inner).extend(current.first, chunk);
        }
        self.shared.records.fetch_add(chunk.lines, Ordering::Relaxed);
        self.shared.bytes.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
    }

    fn is_sync_due(&self) -> bool {
        self.current.as_ref().is_some_and(|current| {
            let held: usize = current.unsynced.iter().map(Vec::len).sum();
            let due = current.dirty_since.is_some_and(|since| since.elapsed() >= self.options.sync_after);
            due || held >= UNSYNCED_BYTES
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current.as_mut().map_or(Ok(()), Current::sync)
    }

    fn roll_if_due(&mut self) -> io::Result<()> {
        let Some(current) = self.current.as_mut().filter(|_| !self.released) else { return Ok(()) };
        let aged = current.opened.elapsed() >= self.options.roll_after;
        if current.written < self.options.roll_bytes && !aged {
            return Ok(());
        }
        current.sync()?;
        self.current = None;
        let rolled = self.shared.index.write().unwrap_or_else(PoisonError::into_inner).roll();
        if let Some(segment) = rolled {
            self.seal(segment);
        }
        Ok(())
    }

    /// Beside this thread: reading a whole segment takes longer than a sync may wait. Where that fails the segment is
    /// sealed at the next start.
    fn seal(&mut self, segment: Arc<Segment>) {
        self.join_sealing();
        let shared = self.shared.clone();
        self.sealing = std::thread::Builder::new()
            .name("journal-seal".into())
            // A failure is made up for at the next start, which seals what has no seal.
            .spawn(move || drop(segment.seal(&shared.directory)))
            .ok();
    }

    fn join_sealing(&mut self) {
        if let Some(sealing) = self.sealing.take() {
            let _ = sealing.join();
        }
    }

    fn report(&mut self, results: [&io::Result<()>; 3]) {
        let error = results.into_iter().find_map(|result| result.as_ref().err());
        self.retry_at = error.map(|_| Instant::now() + RETRY);
        let told = error.map(|error| format!("cannot write to {}: {error}", self.shared.directory.display()));
        *self.shared.error.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }

    fn finish(&mut self) {
        let result = self.write().and_then(|()| self.sync());
        if result.is_err() {
            let lost = self.pending.iter().map(|chunk| chunk.lines).sum();
            self.shared.count_dropped(lost);
        }
        self.report([&result, &Ok(()), &Ok(())]);
        self.join_sealing();
    }
}

impl Current {
    fn create(shared: &Shared, first: u64) -> io::Result<Self> {
        let path = Segment::path(&shared.directory, first);
        // An earlier try may have made it, and failed then.
        let file = private().create(true).truncate(false).open(&path)?;
        if file.metadata()?.len() > 0 {
            let what = format!("{} is there already, and not of this process", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
        File::open(&shared.directory)?.sync_all()?;
        Ok(Self::new(file, first))
    }

    /// Of an empty file.
    fn new(file: File, first: u64) -> Self {
        let (opened, unsynced) = (Instant::now(), Vec::new());
        Self { file, first, opened, written: 0, synced: 0, unsynced, dirty_since: None, rewrite: false }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.dirty_since.is_none() {
            return Ok(());
        }
        if self.rewrite {
            let mut at = self.synced;
            for bytes in &self.unsynced {
                self.file.write_all_at(bytes, at)?;
                at += bytes.len() as u64;
            }
        }
        self.rewrite = true;
        self.file.sync_data()?;
        self.rewrite = false;
        self.synced = self.written;
        self.unsynced.clear();
        self.dirty_since = None;
        Ok(())
    }
}

/// The same error, for one more who asked.
fn again(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
