//! `countersign demo`: the guide from its first step to its last, on real sockets and a throw-away data directory.

mod backend;
mod caller;
mod narrator;
mod pki;
mod story;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::answer::{Answer, Failure, Outcome};
use crate::client::Client;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::inherited::Inherited;
use crate::server::Server;
use crate::up::{Signals, prepare};
use backend::Backend;
use caller::Caller;
use control::shell::quote;
use narrator::Narrator;
use story::Story;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// End after the last step instead of leaving the server up
    #[arg(long)]
    exit: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let runtime = prepare()?;
    let base = tempfile::Builder::new().prefix("countersign-demo-").tempdir();
    let base = base.map_err(|e| Failure::new(format!("cannot make a directory for the demo: {e}")))?;
    let told = runtime.block_on(demo(args, base.path()));
    runtime.shutdown_timeout(Duration::from_secs(5));
    told
}

async fn demo(args: &Args, base: &Path) -> Outcome {
    let started = Instant::now();
    let mut signals = Signals::listen()?;
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config { https_addr: any_port, control_addr: any_port, ..Config::default() };
    let dir = DataDir::find(Some(&base.join("data")))?;
    let files = base.join("guide");
    fs::create_dir(&files).map_err(|e| Failure::new(format!("cannot make {}: {e}", files.display())))?;
    let quiet = Arc::new(AtomicBool::new(true));
    let mut server = Server::start(&dir, &config, quiet.clone(), Inherited::default(), None).await?;
    server.serve(None)?;
    let mut story = story(&server, &dir, &config, &files).await?;
    story.tell.title("Countersign: API Gateway's mutual TLS on this machine");
    let told = tokio::select! {
        told = story.tell() => told,
        // Whoever interrupts does not want to hear the end.
        () = signals.stop() => Err(Failure::new("interrupted")),
    };
    if let Err(e) = told {
        story.tell.check(false, &e.to_string());
    }
    let held = !story.tell.failed;
    conclude(&story.tell, held, started.elapsed());
    if held && !args.exit {
        quiet.store(false, Ordering::Relaxed);
        go_on(&story.tell, &dir, &files);
        signals.stop().await;
    }
    server.drain(&mut signals).await;
    Ok(if held { Answer::Yes } else { Answer::No })
}

async fn story(server: &Server, dir: &DataDir, config: &Config, files: &Path) -> Result<Story, Failure> {
    let run = server.run();
    let https = run.https.parse().map_err(|_| Failure::new("the gateway has no address"))?;
    let ca =
        fs::read_to_string(dir.ca()).map_err(|e| Failure::new(format!("cannot read {}: {e}", dir.ca().display())))?;
    Ok(Story {
        tell: Narrator::new(),
        client: Client::new(&run.control, server.credentials(), &run.region, None)?,
        caller: Caller::new(https, &ca)?,
        backend: Backend::start().await?,
        files: files.to_owned(),
        account: config.account.clone(),
        data_dir: dir.explain_options(),
        ready: run.ready(),
    })
}

fn conclude(tell: &Narrator, held: bool, took: Duration) {
    tell.line("");
    let seconds = took.as_secs_f64();
    match held {
        true => tell.title(&format!("All of it held, in {seconds:.1} s.")),
        false => tell.title("Not all of it held: look for ✗ above."),
    }
}

fn go_on(tell: &Narrator, dir: &DataDir, files: &Path) {
    tell.line("The server stays up until Ctrl-C. Go on by hand in another terminal:");
    tell.line("");
    tell.command(&format!("cd {}", quote(&files.to_string_lossy())));
    tell.command(&format!("eval \"$(countersign env --data-dir {})\"", quote(&dir.path().to_string_lossy())));
    tell.command("alias curl='curl --cacert \"$COUNTERSIGN_CA_FILE\" --connect-to \"::$COUNTERSIGN_HTTPS_ADDR\"'");
    tell.command("curl --cert client.pem --key client.key https://api.yourcompany.com/hello");
}
