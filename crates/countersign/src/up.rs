//! `countersign up`: the server, until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::answer::{self, Answer, Failure, Outcome, warn};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::gateway;
use crate::server::Server;

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
    #[command(flatten)]
    gateway: gateway::Args,
}

/// Signals that the server listens to.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Stop,
    Reread,
}

/// Time for what blocks to end after the server has.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &Args) -> Outcome {
    let config = args.config()?;
    let gateway = args.gateway.read()?;
    let dir = DataDir::find(config.data_dir.as_deref())?;
    let runtime = prepare()?;
    let served = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let mut server = Server::start(&dir, &config, Arc::new(AtomicBool::new(false))).await?;
        if let Some(gateway) = &gateway {
            server.apply(gateway).await?;
        }
        answer::print(&server.run().ready());
        while signals.next().await == Asked::Reread {
            reread(args, &mut server).await;
        }
        server.drain(&mut signals).await;
        Ok(Answer::Yes)
    });
    runtime.shutdown_timeout(LAST_MOMENTS);
    served
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
    let again = async {
        server.reconfigure(&args.config()?)?;
        match args.gateway.read()? {
            Some(gateway) => server.apply(&gateway).await,
            None => Ok(()),
        }
    };
    match again.await {
        Ok(()) => warn("configuration read again"),
        Err(e) => warn(&format!("the configuration stays as it was: {e}")),
    }
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
        })
    }

    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reread,
        }
    }

    /// Until it is asked to stop.
    pub(crate) async fn stop(&mut self) {
        while self.next().await != Asked::Stop {}
    }
}
