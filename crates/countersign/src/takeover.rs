//! A new process takes over from a running one without a moment in which nobody listens.
//!
//! The new one connects to `takeover.sock` in the data directory and says so. The old one ends what its control address has
//! under way, lets go of its files, and hands over its sockets and the lock of the data directory; its gateway goes on from the
//! settings that it knows. The new one opens the files, and says when it is ready: then the old one drains. If it ends before
//! that, the old one takes everything back. The sockets stay open throughout: who connects in between waits to be accepted.

use std::fs::{self, Permissions};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use rustix::process::getuid;
use tokio::net::UnixListener;

use crate::answer::{Failure, warn};
use crate::data_dir::DataDir;
use crate::inherited::{Inherited, Managed};

/// Where the next process may ask.
pub(crate) struct Door {
    listener: UnixListener,
    path: PathBuf,
}

/// A process that wants to take over.
pub(crate) struct Successor {
    stream: UnixStream,
}

/// The process that served before.
pub(crate) struct Predecessor {
    stream: UnixStream,
}

/// What a process hands over to the next.
pub(crate) struct Handed {
    /// That of the AWS APIs among them.
    pub(crate) sockets: Inherited,
    /// Of the data directory: the same lock, held by both.
    pub(crate) lock: OwnedFd,
}

const SOCKET: &str = "takeover.sock";
/// What the new process says first; another version of what follows has another number.
const ASKING: &[u8] = b"countersign takeover 2\n";
const READY: &[u8] = b"ready\n";
/// Bytes that come with the sockets: see [`handed_over`].
const HANDED: usize = 10;
/// File descriptors that the kernel passes at a time (SCM_MAX_FD).
const MAX_SOCKETS: usize = 253;
/// For the new process to say what it wants.
const ASKING_TIME: Duration = Duration::from_secs(5);
/// For the old one to end what its control address has under way.
const HANDING_TIME: Duration = Duration::from_secs(60);

impl Door {
    /// Whoever holds the lock of the data directory may; what a killed process left behind is taken away.
    pub(crate) fn open(dir: &DataDir) -> Result<Self, Failure> {
        let path = dir.path().join(SOCKET);
        let failed = |e: io::Error| Failure::new(format!("cannot listen on {}: {e}", path.display()));
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        let listener = reached(&path, |path| UnixListener::bind(path)).map_err(failed)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { listener, path })
    }

    /// The next process of this user that wants to take over.
    pub(crate) async fn knock(&self) -> Successor {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(ASKING_TIME).await;
                continue;
            };
            if stream.peer_cred().is_ok_and(|peer| peer.uid() == getuid().as_raw())
                && let Ok(stream) = stream.into_std()
                && let Ok(Some(successor)) = tokio::task::spawn_blocking(|| Successor::of(stream)).await
            {
                return successor;
            }
        }
    }

    /// Nobody can ask any more.
    pub(crate) fn close(&self) {
        // One that stays does no harm: nobody listens on it.
        let _ = fs::remove_file(&self.path);
    }
}

impl Successor {
    fn of(mut stream: UnixStream) -> Option<Self> {
        stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(ASKING_TIME))).ok()?;
        let mut asked = [0; ASKING.len()];
        stream.read_exact(&mut asked).ok()?;
        stream.set_read_timeout(None).ok()?;
        (asked == ASKING).then_some(Self { stream })
    }

    /// Hands everything over. Blocks.
    pub(crate) fn hand(&self, handed: &Handed) -> io::Result<()> {
        let Handed { sockets, lock } = handed;
        let mut descriptors: Vec<BorrowedFd<'_>> = vec![lock.as_fd()];
        descriptors.extend(sockets.control.iter().map(AsFd::as_fd));
        descriptors.extend(sockets.https.iter().map(AsFd::as_fd));
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if descriptors.len() > MAX_SOCKETS || !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other(format!("there are {} sockets, too many to pass on", descriptors.len())));
        }
        let said = handed_over(sockets.managed);
        let sent = rustix::net::sendmsg(&self.stream, &[IoSlice::new(&said)], &mut ancillary, SendFlags::NOSIGNAL)?;
        if sent == HANDED { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Waits until it is ready (`true`), or has ended before. Blocks.
    pub(crate) fn is_ready(&self) -> bool {
        let mut said = [0; READY.len()];
        (&self.stream).read_exact(&mut said).is_ok() && said == READY
    }

    /// Waits for it no more.
    pub(crate) fn leave(&self) {
        // It has gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// The same one.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()? })
    }
}

impl Predecessor {
    /// Asks the running server of the directory for all that it has; `None`: there is none. Blocks.
    pub(crate) fn ask(dir: &DataDir) -> Result<Option<(Self, Handed)>, Failure> {
        let path = dir.path().join(SOCKET);
        let stream = match reached(&path, |path| UnixStream::connect(path)) {
            Ok(stream) => stream,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(e) => return Err(Failure::new(format!("cannot connect to {}: {e}", path.display()))),
        };
        let handed = Self::take(&stream).map_err(|e| {
            Failure::new(format!("the running server did not hand over ({e}), and goes on: see what it says"))
        })?;
        Ok(Some((Self { stream }, handed)))
    }

    fn take(stream: &UnixStream) -> io::Result<Handed> {
        let mut writer = stream;
        writer.write_all(ASKING)?;
        stream.set_read_timeout(Some(HANDING_TIME))?;
        let mut said = [0; HANDED];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received =
            rustix::net::recvmsg(stream, &mut [IoSliceMut::new(&mut said)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        let mut descriptors = ancillary.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<_>>(),
            _ => Vec::new(),
        });
        let (Some(lock), Some(control)) = (descriptors.next(), descriptors.next()) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let https: Vec<_> = descriptors.map(TcpListener::from).collect();
        let managed = [false, true].map(|https| [false, true].map(|control| Managed { https, control }));
        let managed = managed.into_iter().flatten().find(|managed| handed_over(*managed) == said);
        let (HANDED, Some(managed), false) = (received.bytes, managed, https.is_empty()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        stream.set_read_timeout(None)?;
        Ok(Handed { sockets: Inherited { https, control: Some(control.into()), managed }, lock })
    }

    /// Says that this process serves: the one before ends. What it does until then is not waited for.
    pub(crate) fn ready(&mut self) {
        if let Err(e) = self.stream.write_all(READY) {
            warn(&format!("the process before cannot be told to end: {e}"));
        }
    }

    /// Waits until it has ended. Blocks.
    pub(crate) fn ended(mut self) {
        // Nothing comes but the end.
        let _ = self.stream.read(&mut [0]);
    }
}

/// What is said with the sockets: which of them are a service manager's.
fn handed_over(managed: Managed) -> [u8; HANDED] {
    let mut said = *b"handed --\n";
    if managed.https {
        said[7] = b'h';
    }
    if managed.control {
        said[8] = b'c';
    }
    said
}

/// Calls `of` with a path to the socket that fits into an address (107 bytes), however deep the directory lies.
fn reached<T>(path: &Path, of: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let directory = fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    of(&Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(SOCKET))
}
