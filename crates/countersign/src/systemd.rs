//! What a service manager and this process tell one another, by systemd's protocols: the sockets that it has listened on for us
//! (sd_listen_fds(3)); when we are ready, read the configuration again or stop (sd_notify(3)); that we live (sd_watchdog_enabled(3)).

use std::env;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use edge::Edge;
use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use rustix::time::{ClockId, clock_gettime};

use crate::answer::{Failure, printable, warn};
use crate::inherited::{Inherited, Managed};

/// Tells the service manager, where there is one.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// It wants to be told at least so often that this process lives.
    watchdog: Option<Duration>,
}

/// What they are called in `FileDescriptorName=`.
const HTTPS: &str = "https";
const CONTROL: &str = "control";
/// The service manager reads what it is told at once, or not at all.
const TELLING_TIME: Duration = Duration::from_secs(5);

/// Variables that are for this process only, and not for those that it starts.
pub(crate) const OURS: [&str; 4] = ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "WATCHDOG_PID"];

/// The sockets that were passed to this process. To be asked once, before there is another thread: it changes the environment.
pub(crate) fn passed() -> Result<Inherited, Failure> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut passed = ListenFd::from_env();
    let mut inherited = Inherited::default();
    let mut names = names.split(':');
    for number in 0..passed.len() {
        let name = names.next().unwrap_or_default();
        let socket = passed.take_tcp_listener(number).map_err(|e| unusable(name, &e.to_string()))?;
        take(&mut inherited, name, socket.ok_or_else(|| unusable(name, "it is gone"))?)?;
    }
    inherited.managed = Managed { https: !inherited.https.is_empty(), control: inherited.control.is_some() };
    Ok(inherited)
}

fn take(inherited: &mut Inherited, name: &str, socket: TcpListener) -> Result<(), Failure> {
    if !socket_acceptconn(&socket).unwrap_or_default() {
        return Err(unusable(name, "it does not listen; a socket unit must not have Accept=yes"));
    }
    match name {
        HTTPS => inherited.https.push(socket),
        CONTROL if inherited.control.is_none() => inherited.control = Some(socket),
        CONTROL => return Err(unusable(name, "it is the second of this name, and the AWS APIs have one address")),
        _ => {
            return Err(unusable(name, "nothing listens by that name: set FileDescriptorName= to https or to control"));
        }
    }
    Ok(())
}

fn unusable(name: &str, why: &str) -> Failure {
    Failure::new(format!("the socket {name:?} that was passed to this process cannot be used: {why}"))
}

impl Notifier {
    /// Of the service manager that `$NOTIFY_SOCKET` names.
    pub(crate) fn from_environment() -> Self {
        let Some(named) = env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        let address = match named.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            _ => SocketAddr::from_pathname(&named),
        };
        let opened = address.and_then(|address| {
            let socket = UnixDatagram::unbound()?;
            socket.set_write_timeout(Some(TELLING_TIME))?;
            Ok((socket, address))
        });
        match opened {
            Ok(to) => Self { to: Some(to), watchdog: watchdog() },
            Err(e) => {
                warn(&format!("the service manager at {} cannot be told anything: {e}", named.display()));
                Self::default()
            }
        }
    }

    /// It serves.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={}", printable(status)));
    }

    /// It serves, in the place of the process that was known before.
    pub(crate) fn ready_instead(&self, status: &str) {
        self.tell(&format!("MAINPID={}\nREADY=1\nWATCHDOG=1\nSTATUS={}", process::id(), printable(status)));
    }

    /// It reads its configuration again, until it is ready.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// It ends, `within` that time: no less than that is to be waited.
    pub(crate) fn stopping(&self, within: Duration) {
        let micros = within.as_micros();
        self.tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={micros}\nSTATUS=ending what was begun"));
    }

    /// Says that this process lives for as long as every runtime of the edge has its turn, and the one that this runs on. Ends
    /// where nobody wants to know.
    pub(crate) async fn live(self: Arc<Self>, edge: Arc<Edge>) {
        let Some(watchdog) = self.watchdog else { return };
        loop {
            tokio::time::sleep(watchdog / 2).await;
            edge.alive().await;
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, what: &str) {
        let Some((socket, address)) = &self.to else { return };
        if let Err(e) = socket.send_to_addr(what.as_bytes(), address) {
            warn(&format!("the service manager cannot be told: {e}"));
        }
    }
}

/// How often the service manager waits for a sign of life from this process.
fn watchdog() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let is_ours = env::var_os("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(process::id().into());
    number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0).map(Duration::from_micros)
}
