//! `countersign up`: the server, until it is told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

use crate::answer::{self, Answer, Failure, Outcome, warn};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::gateway::{self, Gateway};
use crate::server::{LAST_MOMENTS, Server};
use crate::systemd;
use crate::takeover::{Handed, Predecessor};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where everything is kept [default: $XDG_DATA_HOME/countersign]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the gateway listens; port 0 picks one [default: 127.0.0.1:8443]
    #[arg(long, value_name = "ADDR")]
    https_addr: Option<SocketAddr>,
    /// Where the AWS APIs listen; port 0 picks one [default: 127.0.0.1:4566]
    #[arg(long, value_name = "ADDR")]
    control_addr: Option<SocketAddr>,
    /// countersign.toml; SIGHUP reads it again
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take over from the server that runs on the data directory, without a moment in which nobody listens; where none runs,
    /// just start
    #[arg(long)]
    takeover: bool,
    #[command(flatten)]
    gateway: gateway::Args,
}

/// Signals that the server listens to.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user2: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Stop,
    Reread,
    /// Start the program anew, to take over from this process.
    Replace,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let passed = systemd::passed()?;
    let config = args.config()?;
    let gateway = args.gateway.read()?;
    let dir = DataDir::find(config.data_dir.as_deref())?;
    let runtime = prepare()?;
    // Later it may have been replaced, and the system would not name the new file.
    let program = std::env::current_exe().map_err(|e| Failure::new(format!("cannot find this program: {e}")))?;
    let served = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let before = if args.takeover { takeover(&dir).await? } else { None };
        let (predecessor, handed) = before.unzip();
        let (sockets, lock) = handed.map(|Handed { sockets, lock }| (sockets, lock)).unzip();
        let inherited = passed.or(sockets.unwrap_or_default());
        let mut server = Server::start(&dir, &config, Arc::new(AtomicBool::new(false)), inherited, lock).await?;
        if let Err(e) = begin(&mut server, gateway.as_ref(), predecessor).await {
            server.drain(&mut signals).await;
            return Err(e);
        }
        answer::print(&server.run().ready());
        serve(args, &program, &mut server, &mut signals).await;
        server.drain(&mut signals).await;
        Ok(Answer::Yes)
    });
    runtime.shutdown_timeout(LAST_MOMENTS);
    served
}

/// All that the server of the directory has; `None`: there is none.
async fn takeover(dir: &DataDir) -> Result<Option<(Predecessor, Handed)>, Failure> {
    let dir = dir.clone();
    let asked = spawn_blocking(move || Predecessor::ask(&dir)).await;
    asked.unwrap_or_else(|_| Err(Failure::new("the running server cannot be asked")))
}

/// What is still to be done before others can rely on it.
async fn begin(
    server: &mut Server,
    gateway: Option<&Gateway>,
    predecessor: Option<Predecessor>,
) -> Result<(), Failure> {
    if let Some(gateway) = gateway {
        server.apply(gateway).await?;
    }
    server.serve(predecessor)
}

/// Until it is to end.
async fn serve(args: &Args, program: &Path, server: &mut Server, signals: &mut Signals) {
    loop {
        let successor = tokio::select! {
            asked = signals.next() => match asked {
                Asked::Stop => return,
                Asked::Reread => {
                    reread(args, server).await;
                    continue;
                }
                Asked::Replace => {
                    replace(program);
                    continue;
                }
            },
            successor = server.successor() => successor,
        };
        if server.hand_over(successor, signals).await {
            return;
        }
    }
}

/// Starts the program as it lies on the disk now, as this process was started, to take over from it.
fn replace(program: &Path) {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--takeover") {
        arguments.push("--takeover".into());
    }
    let cannot = |e: std::io::Error| warn(&format!("cannot start {}: {e}", program.display()));
    let mut command = Command::new(program);
    for name in systemd::OURS {
        command.env_remove(name);
    }
    match command.args(arguments).spawn() {
        Ok(mut child) => {
            // It outlives this process, or it has failed.
            let waits = std::thread::Builder::new().name("successor".to_owned()).spawn(move || {
                if let Ok(status) = child.wait() {
                    warn(&format!("the process that was to take over has ended ({status})"));
                }
            });
            waits.map_or_else(cannot, drop);
        }
        Err(e) => cannot(e),
    }
}

/// Makes what this process writes its user's own, raises the limit of open files, and gives a runtime for everything but the
/// data plane.
pub(crate) fn prepare() -> Result<Runtime, Failure> {
    umask(Mode::RWXG | Mode::RWXO);
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        warn(&format!("the limit of open files stays low: {e}"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Failure::new(format!("cannot start: {e}")))
}

/// What was wrong before the signal stays; what is wrong now changes nothing.
async fn reread(args: &Args, server: &mut Server) {
    server.notifier().reloading();
    let again = async {
        server.reconfigure(&args.config()?).await?;
        match args.gateway.read()? {
            Some(gateway) => server.apply(&gateway).await,
            None => Ok(()),
        }
    };
    let (status, said) = match again.await {
        Ok(()) => (server.run().status(), "configuration read again".to_owned()),
        Err(e) => {
            let said = format!("the configuration stays as it was: {e}");
            (format!("{}; {said}", server.run().status()), said)
        }
    };
    warn(&said);
    server.notifier().ready(&status);
}

impl Args {
    /// The file's settings under the options.
    fn config(&self) -> Result<Config, Failure> {
        let mut config = Config::read(self.config.as_deref())?;
        config.https_addr = self.https_addr.unwrap_or(config.https_addr);
        config.control_addr = self.control_addr.unwrap_or(config.control_addr);
        config.data_dir = self.data_dir.clone().or(config.data_dir);
        Ok(config)
    }
}

impl Signals {
    /// From now on signals are kept for [`Self::next`].
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|e| Failure::new(format!("cannot listen to signals: {e}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            user2: listen(SignalKind::user_defined2())?,
        })
    }

    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reread,
            _ = self.user2.recv() => Asked::Replace,
        }
    }

    /// Until it is asked to stop.
    pub(crate) async fn stop(&mut self) {
        while self.next().await != Asked::Stop {}
    }
}
