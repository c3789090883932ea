//! `countersign console`: a URL that opens the console in a browser.

use std::process::{Command, Stdio};

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::{self, Answer, Failure, Outcome};
use crate::client::ServerArgs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Open it in a browser, too
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    server: ServerArgs,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Invited {
    path: String,
    /// Milliseconds since 1970.
    expires: i64,
}

#[derive(Serialize)]
struct Told {
    url: String,
    /// Milliseconds since 1970.
    expires: i64,
}

const PATH: &str = "/_countersign/api/v1/console/sign-in";

pub(crate) fn run(args: &Args) -> Outcome {
    let told = args.server.ask(async |client| {
        let answer = client.json("countersign", Method::POST, PATH, &Value::Null).await?;
        let Invited { path, expires } = serde_json::from_value(answer)
            .map_err(|error| Failure::new(format!("the server's answer cannot be read: {error}")))?;
        Ok(Told { url: format!("{}{path}", client.base()), expires })
    })?;
    match args.json {
        true => answer::print(&serde_json::to_string_pretty(&told).expect("plain data with string keys")),
        false => answer::print(&told.url),
    }
    if args.open && !open(&told.url) {
        return Err(Failure::new("no browser could be started: open the URL yourself"));
    }
    Ok(Answer::Yes)
}

/// With whatever opens URLs on this system.
fn open(url: &str) -> bool {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started =
        Command::new(opener).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    started.is_ok_and(|status| status.success())
}
