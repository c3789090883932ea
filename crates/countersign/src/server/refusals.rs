//! One line for a person about each refusal.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use edge::RefusalLine;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::ration::Ration;
use crate::answer::{printable, warn};

/// Lines that may wait to be printed.
pub(super) const WAITING: usize = 256;

/// Prints refusals while `quiet` is not set.
pub(super) struct Printer {
    pub(super) lines: mpsc::Receiver<RefusalLine>,
    /// What `countersign explain` needs to find this server, e.g. ` --data-dir DIR`.
    pub(super) explain_options: String,
    pub(super) quiet: Arc<AtomicBool>,
}

impl Printer {
    /// Until the edge is gone.
    pub(super) async fn run(mut self) {
        let mut ration = Ration::new(Instant::now());
        loop {
            let next = tokio::time::timeout_at(ration.ends().into(), self.lines.recv()).await;
            if let Some(withheld) = ration.withheld(Instant::now()) {
                tell(format!("and {withheld} more refusals; the log has them all")).await;
            }
            match next {
                Ok(Some(line)) if !self.quiet.load(Ordering::Relaxed) && ration.admits() => {
                    tell(text(&line, &self.explain_options)).await;
                }
                Ok(Some(_)) | Err(_) => {}
                Ok(None) => return,
            }
        }
    }
}

/// A terminal that is held, or a pipe that is full, must not hold up the runtime.
async fn tell(line: String) {
    let _ = spawn_blocking(move || warn(&line)).await;
}

fn text(line: &RefusalLine, explain_options: &str) -> String {
    let RefusalLine { request_id, domain, source, subject, code, explanation } = line;
    let mut text = format!("refused {source} at {domain}");
    if let Some(subject) = subject {
        let _ = write!(text, " ({subject})");
    }
    let _ = write!(text, ": {code:?}: {explanation} Why: countersign explain {request_id}{explain_options}");
    printable(&text).into_owned()
}
