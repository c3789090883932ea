//! The thread that writes.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::journal::{Options, Shared, private};
use crate::left;
use crate::line::Chain;
use crate::note::Signer;
use crate::queue::{Item, Reply, Wish};
use crate::read::Position;
use crate::record::Record;
use crate::recovery::{self, Growing, Recovered};
use crate::segment::{Form, GROWING, Hashes, Segment, path};
use crate::tree::Run;
use crate::writer::{Chunk, Keeping};

/// Written bytes that are held until they are synced, so that they can be written again should that fail.
const UNSYNCED_BYTES: usize = 8 * 1024 * 1024;
/// A segment has few records that has not this part of the bytes of a whole one; it is complete after so many times the time.
const FEW: u64 = 32;
const FEW_TIMES: u32 = 24;
/// The file of the newest checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Between tries while the disk fails.
const RETRY: Duration = Duration::from_millis(200);

pub(crate) struct Recorder {
    shared: Arc<Shared>,
    options: Options,
    /// Of all records that are written.
    tree: Run,
    checkpoints: Option<Checkpoints>,
    current: Option<Current>,
    /// Another process writes segments: the current one is none, but what this process leaves to it.
    released: bool,
    /// Taken from the queue and not written, because the disk fails.
    pending: VecDeque<Chunk>,
    /// When to try again while it does.
    retry_at: Option<Instant>,
    /// Of the dropped records so many have a line that says so.
    dropped_told: u64,
    sealing: Option<JoinHandle<Vec<Unsealed>>>,
    /// Complete ones that could not be sealed.
    unsealed: Vec<Unsealed>,
}

/// Signing for what is on disk.
struct Checkpoints {
    signer: Signer,
    /// Records that the newest is about.
    size: u64,
    at: Instant,
}

/// A complete segment of lines.
type Unsealed = (Arc<Segment>, Hashes);

/// The segment that grows.
struct Current {
    file: File,
    first: u64,
    chain: Chain,
    hashes: Hashes,
    opened: Instant,
    written: u64,
    synced: u64,
    /// What was written and not synced, in pieces.
    unsynced: Vec<Vec<u8>>,
    /// When the first of it was written that is not to wait for long.
    dirty_since: Option<Instant>,
    /// A sync failed: the kernel may have forgotten what it was given.
    rewrite: bool,
}

impl Recorder {
    pub(crate) fn new(shared: Arc<Shared>, options: Options, recovered: Recovered, signer: Option<Signer>) -> Self {
        let (tree, size) = (recovered.tree, recovered.checkpoint_size);
        let checkpoints = signer.map(|signer| Checkpoints { signer, size, at: Instant::now() });
        let (pending, retry_at, sealing, unsealed) = (VecDeque::new(), None, None, Vec::new());
        let current = recovered.current.map(Current::of);
        let mut recorder = Self {
            shared,
            options,
            tree,
            checkpoints,
            current,
            released: false,
            pending,
            retry_at,
            dropped_told: 0,
            sealing,
            unsealed,
        };
        recorder.seal(recovered.unsealed);
        recorder
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
        let roll_at = (!self.released).then(|| self.roll_at(current));
        let sync_at = current.dirty_since.map(|since| since + self.options.sync_after);
        let sign_at = self.checkpoints.as_ref().filter(|checkpoints| checkpoints.size < self.tree.range().end);
        let sign_at = sign_at.map(|checkpoints| checkpoints.at + self.options.checkpoint_after);
        [roll_at, sync_at, sign_at].into_iter().flatten().min()
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
            Ok(()) if wants_sync || self.is_sync_due() || self.is_checkpoint_due() => self.sync(),
            Ok(()) => Ok(()),
            Err(error) => Err(again(error)),
        };
        let rolled = if synced.is_ok() { self.roll_if_due() } else { Ok(()) };
        let wants_checkpoint = requests.iter().any(|(wish, _)| *wish == Wish::Checkpoint);
        let signed = match rolled.is_ok() && synced.is_ok() && (wants_checkpoint || self.is_checkpoint_due()) {
            true => self.sign(),
            false => Ok(()),
        };
        self.report([&written, &synced, &rolled, &signed]);
        for (wish, reply) in requests {
            let synced = synced.as_ref().copied().map_err(again);
            reply(match wish {
                Wish::Nothing => written.as_ref().copied().map_err(again),
                Wish::Sync => synced,
                Wish::Checkpoint => synced.and_then(|()| signed.as_ref().copied().map_err(again)),
                Wish::Prune(before_ms) => synced.and_then(|()| self.prune(before_ms)),
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
        self.sign()?;
        // There before anybody else can look for it.
        self.current = Some(Current::new(left::create(&self.shared.directory)?, Run::default()));
        self.join_sealing();
        self.released = true;
        Ok(())
    }

    /// What others have written meanwhile is ours now.
    fn reclaim(&mut self) -> io::Result<()> {
        if !self.released {
            return Ok(());
        }
        let verifier = self.checkpoints.as_ref().map(|checkpoints| checkpoints.signer.verifier());
        let mut recovered = recovery::recover(&self.shared.directory, verifier)?;
        self.released = false;
        *self.shared.index.write().unwrap_or_else(PoisonError::into_inner) = recovered.index();
        self.shared.checkpoint.send_replace(recovered.checkpoint.take());
        self.tree = recovered.tree;
        self.tell_on_disk();
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.size = recovered.checkpoint_size;
        }
        self.current = recovered.current.map(Current::of);
        self.unsealed.clear();
        self.seal(recovered.unsealed);
        Ok(())
    }

    fn accept(&mut self, chunk: Chunk) {
        let held: usize = self.pending.iter().map(|chunk| chunk.bytes.len()).sum();
        if self.retry_at.is_some() && held >= self.options.queue_bytes {
            self.shared.count_dropped(chunk.lines());
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
        while let Some(mut chunk) = self.pending.pop_front() {
            if let Err(error) = self.write_chunk(&mut chunk) {
                self.pending.push_front(chunk);
                return Err(error);
            }
            if let Some(current) = &mut self.current {
                current.unsynced.push(chunk.bytes);
            }
            self.roll_if_due()?;
        }
        Ok(())
    }

    fn write_chunk(&mut self, chunk: &mut Chunk) -> io::Result<()> {
        let current = match &mut self.current {
            Some(current) => current,
            none => none.insert(Current::create(&self.shared, &self.tree)?),
        };
        let (before, mut chain) = (current.chain, current.chain);
        chunk.link(&mut chain);
        // A part that an earlier try wrote is written over.
        current.file.write_all_at(&chunk.bytes, current.written)?;
        current.chain = chain;
        current.written += chunk.bytes.len() as u64;
        if chunk.keeping == Keeping::Durable {
            current.dirty_since.get_or_insert_with(Instant::now);
        }
        if !self.released {
            for leaf in chunk.leaves() {
                self.tree.append(leaf);
                current.hashes.append(leaf);
            }
            let mut index = self.shared.index.write().unwrap_or_else(PoisonError::into_inner);
            index.extend(current.first, chunk, before);
        }
        self.shared.records.fetch_add(chunk.lines(), Ordering::Relaxed);
        self.shared.bytes.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn is_sync_due(&self) -> bool {
        self.current.as_ref().is_some_and(|current| {
            let held: usize = current.unsynced.iter().map(Vec::len).sum();
            let due = current.dirty_since.is_some_and(|since| since.elapsed() >= self.options.sync_after);
            due || held >= UNSYNCED_BYTES
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current.as_mut().map_or(Ok(()), Current::sync)?;
        self.tell_on_disk();
        Ok(())
    }

    /// Everything that is written is synced.
    fn tell_on_disk(&self) {
        let end = Position(self.tree.range().end);
        let tell = |on_disk: &mut Position| std::mem::replace(on_disk, end) != end;
        if !self.released {
            self.shared.on_disk.send_if_modified(tell);
        }
    }

    /// A segment of few records is given more time, lest there be many.
    fn roll_at(&self, current: &Current) -> Instant {
        let few = current.written < self.options.roll_bytes / FEW;
        current.opened + self.options.roll_after * if few { FEW_TIMES } else { 1 }
    }

    fn roll_if_due(&mut self) -> io::Result<()> {
        let Some(roll_at) = self.current.as_ref().map(|current| self.roll_at(current)) else { return Ok(()) };
        let Some(current) = self.current.as_mut().filter(|_| !self.released) else { return Ok(()) };
        if current.written < self.options.roll_bytes && Instant::now() < roll_at {
            return Ok(());
        }
        current.sync()?;
        let complete = self.current.take();
        self.tell_on_disk();
        let rolled = self.shared.index.write().unwrap_or_else(PoisonError::into_inner).roll();
        if let Some((segment, Current { hashes, .. })) = rolled.zip(complete) {
            self.seal(vec![(segment, hashes)]);
        }
        // So the newest checkpoint is about all of the segments that nobody reads at the next start.
        self.sign()
    }

    fn is_checkpoint_due(&self) -> bool {
        let size = self.tree.range().end;
        let due = |of: &Checkpoints| of.size < size && of.at.elapsed() >= self.options.checkpoint_after;
        !self.released && self.checkpoints.as_ref().is_some_and(due)
    }

    /// Signs for what is written, which is synced.
    fn sign(&mut self) -> io::Result<()> {
        let Some(checkpoints) = self.checkpoints.as_mut().filter(|_| !self.released) else { return Ok(()) };
        checkpoints.at = Instant::now();
        let size = self.tree.range().end;
        if checkpoints.size == size && self.shared.checkpoint.borrow().is_some() {
            return Ok(());
        }
        let time = OffsetDateTime::now_utc().replace_nanosecond(0).ok().and_then(|now| now.format(&Rfc3339).ok());
        let time = format!("time {}", time.unwrap_or_default());
        let note: Arc<str> = checkpoints.signer.checkpoint(size, self.tree.root(), vec![time]).into();
        let path = self.shared.directory.join(CHECKPOINT);
        replace(&path, note.as_bytes())?;
        checkpoints.size = size;
        self.shared.checkpoint.send_replace(Some(note));
        Ok(())
    }

    fn prune(&mut self, before_ms: i64) -> io::Result<()> {
        self.join_sealing();
        let shared = self.shared.clone();
        let complete = shared.index.read().unwrap_or_else(PoisonError::into_inner).complete.clone();
        let signer = self.checkpoints.as_ref().map(|checkpoints| &checkpoints.signer);
        let why = OffsetDateTime::from_unix_timestamp_nanos(i128::from(before_ms) * 1_000_000);
        let why = why.ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
        let mut pruned: Option<Range<u64>> = None;
        for segment in complete {
            let run = match &segment.form {
                Form::Pruned(_) => continue,
                Form::Sealed(sealed) if segment.last_ms() < before_ms => &sealed.run,
                Form::Sealed(_) | Form::Growing => break,
            };
            let left = segment.prune(&shared.directory, run, signer, &format!("older than {why}"))?;
            shared.index.write().unwrap_or_else(PoisonError::into_inner).replace(left);
            fs::remove_file(segment.path(&shared.directory))?;
            pruned.get_or_insert(run.range()).end = run.range().end;
        }
        if let Some(Range { start: first, end }) = pruned {
            let mut chunk = Chunk::default();
            chunk.push(&Record::Pruned { time_ms: now_ms(), first, end });
            self.pending.push_back(chunk);
            self.write()?;
        }
        Ok(())
    }

    /// Beside this thread: it takes longer than a sync may wait. What fails is sealed with the next one, or at the next start.
    fn seal(&mut self, segments: Vec<Unsealed>) {
        self.join_sealing();
        let mut segments: Vec<Unsealed> = self.unsealed.drain(..).chain(segments).collect();
        if segments.is_empty() {
            return;
        }
        let shared = self.shared.clone();
        let seal = move || {
            segments.retain(|(segment, hashes)| {
                let Ok(sealed) = segment.seal(&shared.directory, hashes) else { return true };
                shared.index.write().unwrap_or_else(PoisonError::into_inner).replace(sealed);
                shared.on_disk.send_modify(|_| {});
                // Where it stays, the next start removes it.
                let _ = fs::remove_file(segment.path(&shared.directory));
                false
            });
            segments
        };
        self.sealing = std::thread::Builder::new().name("journal-seal".into()).spawn(seal).ok();
    }

    fn join_sealing(&mut self) {
        if let Some(Ok(failed)) = self.sealing.take().map(JoinHandle::join) {
            self.unsealed = failed;
        }
    }

    fn report(&mut self, results: [&io::Result<()>; 4]) {
        let error = results.into_iter().find_map(|result| result.as_ref().err());
        self.retry_at = error.map(|_| Instant::now() + RETRY);
        let told = error.map(|error| format!("cannot write to {}: {error}", self.shared.directory.display()));
        *self.shared.error.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }

    fn finish(&mut self) {
        let result = self.write().and_then(|()| self.sync()).and_then(|()| self.sign());
        if result.is_err() {
            let lost = self.pending.iter().map(Chunk::lines).sum();
            self.shared.count_dropped(lost);
        }
        self.report([&result, &Ok(()), &Ok(()), &Ok(())]);
        self.join_sealing();
    }
}

impl Current {
    fn create(shared: &Shared, tree: &Run) -> io::Result<Self> {
        let path = path(&shared.directory, tree.range().end, GROWING);
        // An earlier try may have made it, and failed then.
        let file = private().create(true).truncate(false).open(&path)?;
        if file.metadata()?.len() > 0 {
            let what = format!("{} is there already, and not of this process", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
        File::open(&shared.directory)?.sync_all()?;
        Ok(Self::new(file, tree.clone()))
    }

    /// Of an empty file.
    fn new(file: File, before: Run) -> Self {
        let (first, opened) = (before.range().end, Instant::now());
        let (chain, hashes, unsynced) = (Chain::default(), Hashes::behind(before), Vec::new());
        Self { file, first, chain, hashes, opened, written: 0, synced: 0, unsynced, dirty_since: None, rewrite: false }
    }

    /// What an earlier process wrote.
    fn of(growing: Growing) -> Self {
        let Growing { file, segment, chain, hashes, .. } = growing;
        let (written, before) = (segment.bytes, hashes.before.clone());
        Self { chain, hashes, written, synced: written, ..Self::new(file, before) }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.written == self.synced {
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

/// Puts a file in the place of another, whole or not at all.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = private().create(true).truncate(true).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&temporary, path)
}

/// The same error, for one more who asked.
fn again(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
