//! The journal: opening, handing out writers, waiting for the disk, closing.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, Weak, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use crate::left;
use crate::note::{Signer, Verifier};
use crate::notice::Notice;
use crate::queue::{Queue, Reply, Wish};
use crate::read::Position;
use crate::record::{EventRecord, Record, SettingsRecord, bounded};
use crate::recorder::{Recorder, replace};
use crate::recovery;
use crate::segment::{Index, Segment};
use crate::writer::{Chunk, Writer};

/// What a reader waits for writers at most. They are to be flushed every 50 ms; on a machine with too much to do they are late.
const SETTLE: Duration = Duration::from_secs(1);

/// The file, beside the records, of the key that verifies what is signed for them.
pub const VERIFIER: &str = "verifier";

/// Records on disk. Cheap to clone; the last one to be dropped writes what waits, syncs and ends the writing thread.
#[derive(Clone, Debug)]
pub struct Journal {
    pub(crate) shared: Arc<Shared>,
    thread: Arc<Thread>,
}

/// When segments are complete and lines are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes after which the next segment begins.
    pub roll_bytes: u64,
    /// Time after which the next segment begins.
    pub roll_after: Duration,
    /// Time after which written lines are synced at the latest.
    pub sync_after: Duration,
    /// Time after which what was synced since is signed for; nothing is, where nobody signs.
    pub checkpoint_after: Duration,
    /// Bytes that may wait for a disk that is behind; what comes on top is dropped and counted.
    pub queue_bytes: usize,
}

/// How the journal is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Lines written since it was opened.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that were handed over and wait to be written.
    pub waiting: usize,
    /// Records that were lost because the disk did not keep up.
    pub dropped: u64,
    /// Pieces of segments that were to be read and could not: they were changed or damaged. Verifying names them.
    pub unreadable: u64,
    /// Why nothing can be written or synced at present; it is tried again and again.
    pub error: Option<String>,
}

impl Journal {
    /// Opens `data_dir/journal`, which is made if need be, and starts the thread that writes. The notices tell what was
    /// found damaged.
    ///
    /// Fails where the directory cannot be used or another process has it open.
    pub fn open(data_dir: &Path) -> io::Result<(Self, Vec<Notice>)> {
        Self::open_with(data_dir, Options::default(), None)
    }

    /// As [`open`](Self::open), with somebody who signs checkpoints.
    pub fn open_with(data_dir: &Path, options: Options, signer: Option<Signer>) -> io::Result<(Self, Vec<Notice>)> {
        let directory = data_dir.join("journal");
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let lock = lock(&directory)?;
        let mut recovered = recovery::recover(&directory, signer.as_ref().map(Signer::verifier))?;
        if let Some(growing) = &recovered.current {
            // What a process before wrote and did not sync is read, and therefore passed on, from now on.
            growing.file.sync_data()?;
        }
        let mut notices = std::mem::take(&mut recovered.notices);
        if let Some(signer) = &signer {
            notices.extend(publish(&directory.join(VERIFIER), signer.verifier())?);
        }
        let shared = Arc::new(Shared {
            directory,
            queue: Queue::new(options.queue_bytes),
            on_disk: watch::Sender::new(Position(recovered.tree.range().end)),
            index: RwLock::new(recovered.index()),
            checkpoint: watch::Sender::new(recovered.checkpoint.take()),
            verifier: signer.as_ref().map(|signer| signer.verifier().clone()),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            error: Mutex::default(),
            writers: Mutex::default(),
            flushed: Condvar::new(),
            waiting: AtomicUsize::new(0),
        });
        let recorder = Recorder::new(shared.clone(), options, recovered, signer);
        let thread = thread::Builder::new().name("journal".into()).spawn(move || recorder.run())?;
        let thread = Arc::new(Thread { shared: shared.clone(), handle: Mutex::new(Some(thread)), lock });
        let journal = Self { shared, thread };
        journal.take_what_is_left()?;
        Ok((journal, notices))
    }

    /// Lets another process open the journal, as if this one had closed it. What is appended from now on goes to a file beside
    /// the segments, whose lines the other one takes in by [`take_what_is_left`](Self::take_what_is_left) once this process has
    /// closed. Blocks.
    pub fn release(&self) -> io::Result<()> {
        self.wait(Wish::Release)?;
        self.thread.lock.unlock()
    }

    /// Takes back what was [released](Self::release), with the lines that were written meanwhile. Fails while another process
    /// has the journal open. Blocks.
    pub fn reclaim(&self) -> io::Result<()> {
        try_lock(&self.thread.lock, &self.shared.directory)?;
        self.wait(Wish::Reclaim)?;
        self.take_what_is_left().map(drop)
    }

    /// Appends the lines that processes before this one have left beside the segments, and are done with. They are on disk when
    /// it returns; how many there were. Blocks.
    pub fn take_what_is_left(&self) -> io::Result<u64> {
        let mut lines = 0;
        for left in left::all(&self.shared.directory)? {
            for chunk in left.chunks()? {
                let chunk = chunk?;
                lines += chunk.lines();
                self.push_in_turn(chunk)?;
            }
            self.sync()?;
            left.remove()?;
        }
        Ok(lines)
    }

    /// Waits for room.
    fn push_in_turn(&self, mut chunk: Chunk) -> io::Result<()> {
        while let Err(back) = self.shared.queue.push(chunk) {
            chunk = back;
            self.barrier()?;
        }
        Ok(())
    }

    /// One for each core or runtime.
    pub fn writer(&self) -> Writer {
        Writer::new(self.shared.clone())
    }

    /// Puts events into a log stream, as `PutLogEvents` does: `(time in ms, message)`, received `at_ms`. They are on disk
    /// when it returns. After an error they may come yet, once the disk takes them. Blocks: not for an async context.
    pub fn append_events(
        &self,
        region: &str,
        group: &str,
        stream: &str,
        events: &[(i64, &str)],
        at_ms: i64,
    ) -> io::Result<()> {
        let mut chunk = Chunk::default();
        for (time_ms, message) in events {
            let (message, ingested_ms) = (bounded(message), at_ms);
            let (time_ms, message) = (*time_ms, &*message);
            chunk.push(&Record::Event(EventRecord { time_ms, ingested_ms, region, group, stream, message }));
        }
        match self.shared.queue.push(chunk) {
            Ok(()) => self.sync(),
            Err(_) => Err(io::Error::new(io::ErrorKind::WouldBlock, "the disk is behind: too many records wait")),
        }
    }

    /// Records changes of settings; they are on disk when it returns. After an error they may come yet, once the disk takes them.
    pub async fn append_settings(&self, records: &[SettingsRecord<'_>]) -> io::Result<()> {
        self.note_settings(records)?;
        self.synced().await
    }

    /// As [`append_settings`](Self::append_settings), without waiting for the disk.
    pub fn note_settings(&self, records: &[SettingsRecord<'_>]) -> io::Result<()> {
        let mut chunk = Chunk::default();
        for record in records {
            chunk.push(&Record::Settings(&record.clone().bounded()));
        }
        let behind = |_| io::Error::new(io::ErrorKind::WouldBlock, "the disk is behind: too many records wait");
        self.shared.queue.push(chunk).map_err(behind)
    }

    /// Waits until everything handed over before is in the file and thereby visible to readers. Blocks: not for an async
    /// context.
    pub fn barrier(&self) -> io::Result<()> {
        self.wait(Wish::Nothing)
    }

    /// Waits until everything handed over before is on disk. Blocks: not for an async context.
    pub fn sync(&self) -> io::Result<()> {
        self.wait(Wish::Sync)
    }

    /// Waits until everything handed over before is on disk.
    pub async fn synced(&self) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        self.request(Wish::Sync, Box::new(|result| drop(sender.send(result))));
        receiver.await.unwrap_or_else(|_| Err(closed()))
    }

    /// How it is doing.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        Stats {
            records: shared.records.load(Ordering::Relaxed),
            bytes: shared.bytes.load(Ordering::Relaxed),
            waiting: shared.queue.waiting(),
            dropped: shared.dropped.load(Ordering::Relaxed),
            unreadable: shared.unreadable.load(Ordering::Relaxed),
            error: shared.error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// The newest checkpoint, a signed note: of what is on disk. None before there was one, and where nobody signs.
    pub fn checkpoint(&self) -> Option<Arc<str>> {
        self.shared.checkpoint.borrow().clone()
    }

    /// The same, to wait for the next one.
    pub fn checkpoints(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.shared.checkpoint.subscribe()
    }

    /// Who verifies checkpoints; none where nobody signs.
    pub fn verifier(&self) -> Option<&Verifier> {
        self.shared.verifier.as_ref()
    }

    /// Signs for all that was handed over before, once it is on disk. Blocks.
    pub fn checkpoint_now(&self) -> io::Result<Option<Arc<str>>> {
        self.wait(Wish::Checkpoint)?;
        Ok(self.checkpoint())
    }

    /// Writes and syncs what was handed over and ends the thread; also done when the last clone is dropped. What is
    /// appended afterwards is dropped and counted. Blocks for as long as the disk does.
    pub fn close(&self) {
        self.thread.end();
    }

    /// Removes sealed segments of which all records are older than `before_ms`, the oldest first. Their hashes stay, and a signed
    /// note that says so. Blocks.
    pub fn prune(&self, before_ms: i64) -> io::Result<()> {
        self.wait(Wish::Prune(before_ms))
    }

    /// The directory of its files.
    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    fn wait(&self, wish: Wish) -> io::Result<()> {
        let (sender, receiver) = mpsc::channel();
        self.request(wish, Box::new(move |result| drop(sender.send(result))));
        receiver.recv().unwrap_or_else(|_| Err(closed()))
    }

    fn request(&self, wish: Wish, reply: Reply) {
        self.shared.queue.request(wish, reply);
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            roll_bytes: 32 * 1024 * 1024,
            roll_after: Duration::from_secs(3600),
            sync_after: Duration::from_millis(100),
            checkpoint_after: Duration::from_secs(10),
            queue_bytes: 16 * 1024 * 1024,
        }
    }
}

/// What writers, readers and the writing thread have in common.
pub(crate) struct Shared {
    pub directory: PathBuf,
    pub queue: Queue,
    pub index: RwLock<Index>,
    /// Behind the last record that is synced.
    pub on_disk: watch::Sender<Position>,
    pub checkpoint: watch::Sender<Option<Arc<str>>>,
    pub verifier: Option<Verifier>,
    pub records: AtomicU64,
    pub bytes: AtomicU64,
    pub dropped: AtomicU64,
    pub unreadable: AtomicU64,
    pub error: Mutex<Option<String>>,
    /// Of each writer, whether it holds lines.
    writers: Mutex<Vec<Weak<AtomicBool>>>,
    flushed: Condvar,
    /// Readers that wait for writers.
    waiting: AtomicUsize,
}

impl Shared {
    /// There is one writer more.
    pub(crate) fn enlist(&self, holds_lines: &Arc<AtomicBool>) {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.retain(|writer| writer.strong_count() > 0);
        writers.push(Arc::downgrade(holds_lines));
    }

    /// Waits until every writer has handed over what it holds now, so that a reader sees the records of all cores up to
    /// one moment; [`SETTLE`] at most.
    pub(crate) fn settle(&self) {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut holding = writers.clone();
        let until = Instant::now() + SETTLE;
        self.waiting.fetch_add(1, Ordering::SeqCst);
        loop {
            holding.retain(|writer| writer.upgrade().is_some_and(|holds| holds.load(Ordering::SeqCst)));
            let left = until.saturating_duration_since(Instant::now());
            if holding.is_empty() || left.is_zero() {
                break;
            }
            writers = self.flushed.wait_timeout(writers, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Waits until some writer hands something over, or it is late.
    pub(crate) fn wait_for_writers(&self, until: Instant) {
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let left = until.saturating_duration_since(Instant::now());
        drop(self.flushed.wait_timeout(writers, left).unwrap_or_else(PoisonError::into_inner));
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// A writer has handed over what it held.
    pub(crate) fn writer_flushed(&self, holds_lines: &AtomicBool) {
        // Either a reader sees this, or it has said before that it waits.
        holds_lines.store(false, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            let _writers = self.writers.lock();
            self.flushed.notify_all();
        }
    }

    pub(crate) fn count_dropped(&self, records: u64) {
        self.dropped.fetch_add(records, Ordering::Relaxed);
    }

    /// All segments as they are now.
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).segments()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "journal in {}", self.directory.display())
    }
}

/// The thread that writes, and the lock that it holds on the directory.
#[derive(Debug)]
struct Thread {
    shared: Arc<Shared>,
    handle: Mutex<Option<JoinHandle<()>>>,
    lock: File,
}

impl Thread {
    fn end(&self) {
        self.shared.queue.close();
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            // It does not panic; if it did, there is nobody left to tell.
            let _ = handle.join();
            // By itself it would go on for as long as a process that was forked meanwhile has the file open.
            let _ = self.lock.unlock();
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.end();
    }
}

/// Puts the key that verifies beside the records. It never changes: one that is another one is told.
fn publish(path: &Path, verifier: &Verifier) -> io::Result<Option<Notice>> {
    let text = format!("{verifier}\n");
    let notice = match fs::read(path) {
        Ok(known) if known == text.as_bytes() => return Ok(None),
        Ok(_) => {
            Some(Notice::new(path, 0, "this is not the key that verifies what is signed here; it was put there again"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    replace(path, text.as_bytes())?;
    Ok(notice)
}

fn lock(directory: &Path) -> io::Result<File> {
    let path = directory.join("lock");
    let file = private().create(true).truncate(false).open(&path)?;
    try_lock(&file, directory)?;
    Ok(file)
}

fn try_lock(file: &File, directory: &Path) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            format!("another process has the journal open ({} is locked)", directory.join("lock").display()),
        )),
    }
}

/// To write files that only their owner may read.
pub(crate) fn private() -> OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn closed() -> io::Error {
    io::Error::other("the journal is closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessRecord, Query};

    fn append(journal: &Journal, id: &str) {
        let json = format!(
            r#"{{"time_ms":1,"region":"r","group":"g","message":"{id}","request_id":"{id}","status":200,"revision":1,
            "source":"127.0.0.1:1"}}"#
        );
        let record: AccessRecord<'_> = serde_json::from_str(&json).unwrap();
        let mut writer = journal.writer();
        writer.append(&record);
        writer.flush();
    }

    fn read(journal: &Journal) -> Vec<String> {
        journal.barrier().unwrap();
        let events = journal.read(&Query::new("r", "g")).unwrap().events;
        let mut messages: Vec<_> = events.into_iter().map(|event| event.message.to_string()).collect();
        messages.sort();
        messages
    }

    #[test]
    fn a_record_on_its_way_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(directory.path()).unwrap();
        append(&journal, "1");
        let asking = {
            let journal = journal.clone();
            thread::spawn(move || journal.find_request("2").unwrap())
        };
        while journal.shared.waiting.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        append(&journal, "2");
        assert_eq!(asking.join().unwrap().unwrap().request_id, "2");
    }

    #[test]
    fn what_comes_after_a_release_is_found_by_who_took_over() {
        let directory = tempfile::tempdir().unwrap();
        let (old, _) = Journal::open(directory.path()).unwrap();
        append(&old, "1");
        old.release().unwrap();
        append(&old, "2");
        let (new, notices) = Journal::open(directory.path()).unwrap();
        assert_eq!(notices, []);
        append(&new, "3");
        old.barrier().unwrap();
        assert_eq!(new.take_what_is_left().unwrap(), 0, "it is being written");
        assert_eq!(read(&new), ["1", "3"]);
        old.close();
        assert_eq!(new.take_what_is_left().unwrap(), 1);
        assert_eq!(read(&new), ["1", "2", "3"]);
        new.close();
        let (again, notices) = Journal::open(directory.path()).unwrap();
        assert_eq!((read(&again).len(), notices), (3, Vec::new()), "once, and nothing is missing");
    }

    #[test]
    fn what_was_released_can_be_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let (old, _) = Journal::open(directory.path()).unwrap();
        append(&old, "1");
        old.release().unwrap();
        append(&old, "2");
        let (new, _) = Journal::open(directory.path()).unwrap();
        append(&new, "3");
        assert!(old.reclaim().is_err(), "it is in use");
        append(&old, "4");
        new.close();
        old.reclaim().unwrap();
        append(&old, "5");
        assert_eq!(read(&old), ["1", "2", "3", "4", "5"]);
        old.close();
        let (again, notices) = Journal::open(directory.path()).unwrap();
        assert_eq!((read(&again).len(), notices), (5, Vec::new()));
    }

    #[test]
    fn what_a_killed_process_has_left_is_taken_in_at_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let (old, _) = Journal::open(directory.path()).unwrap();
        old.release().unwrap();
        append(&old, "1");
        old.sync().unwrap();
        let whole = left::paths(&directory.path().join("journal")).unwrap().pop().unwrap();
        let mut bytes = fs::read(&whole).unwrap();
        bytes.extend_from_slice(b"torn");
        old.close();
        fs::write(&whole, bytes).unwrap();
        let (new, _) = Journal::open(directory.path()).unwrap();
        assert_eq!(read(&new), ["1"]);
        assert!(!whole.exists());
    }

    /// Without this, who polls for what is newer than the newest seen, as `aws logs tail` does, would miss what another
    /// core holds and recorded before that.
    #[test]
    fn a_reader_waits_for_what_cores_hold() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(directory.path()).unwrap();
        let json = r#"{"time_ms":1,"region":"r","group":"g","message":"m","request_id":"i","status":200,"revision":1,
            "source":"127.0.0.1:1"}"#;
        let record: AccessRecord<'_> = serde_json::from_str(json).unwrap();
        let (mut one, mut other) = (journal.writer(), journal.writer());
        one.append(&record);
        other.append(&record);
        other.flush();
        thread::scope(|scope| {
            let reader = scope.spawn(|| journal.read(&Query::new("r", "g")).unwrap());
            while journal.shared.waiting.load(Ordering::SeqCst) == 0 && !reader.is_finished() {
                thread::yield_now();
            }
            one.flush();
            assert_eq!(reader.join().unwrap().events.len(), 2);
        });
    }
}
