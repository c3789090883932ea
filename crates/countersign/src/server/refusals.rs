//! One line for a person about each refusal, and about clients that a shadow truststore would treat otherwise.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use edge::{Line, RefusalLine, ShadowLine};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::ration::Ration;
use crate::answer::{printable, warn};

/// Lines that may wait to be printed.
pub(super) const WAITING: usize = 256;

/// Characters of each text that the client had a hand in.
const MAX_TEXT: usize = 200;

/// Prints refusals while `quiet` is not set.
pub(super) struct Printer {
    pub(super) lines: mpsc::Receiver<Line>,
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
                tell(format!("and {withheld} more lines; the log has them all")).await;
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

fn text(line: &Line, explain_options: &str) -> String {
    let text = match line {
        Line::Refused(line) => refused(line, explain_options),
        Line::Shadow(line) => differs(line),
    };
    printable(&text).into_owned()
}

fn refused(line: &RefusalLine, explain_options: &str) -> String {
    let RefusalLine { request_id, domain, source, subject, code, explanation } = line;
    let mut text = format!("refused {source} at {domain}");
    if let Some(subject) = subject {
        let _ = write!(text, " ({})", short(subject));
    }
    let _ = write!(text, ": {code:?}: {} Why: countersign explain {request_id}{explain_options}", short(explanation));
    text
}

fn differs(line: &ShadowLine) -> String {
    let ShadowLine { domain, source, subject, uri, version, refusal } = line;
    let what = match refusal {
        Some((code, detail)) => format!("would refuse a client that is accepted: {code:?}: {}", short(detail)),
        None => "would accept a client that is refused".to_owned(),
    };
    format!("shadow truststore {uri} version {version} of {domain} {what} ({}, {source})", short(subject))
}

/// As much of a stranger's text as a person wants to see; `explain` has all of it.
fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_cannot_fill_the_terminal() {
        let line = Line::Refused(RefusalLine {
            request_id: "id".to_owned(),
            domain: "api.example.com".to_owned(),
            source: ([192, 0, 2, 1], 7).into(),
            subject: Some(format!("CN=é{}", "\u{1}".repeat(20_000))),
            code: trust::Code::ClientCertUntrusted,
            explanation: "x".repeat(20_000),
        });
        let text = text(&line, " --data-dir D");
        assert!(text.len() < 4 * MAX_TEXT + MAX_TEXT * 6, "{}", text.len());
        assert!(text.starts_with("refused 192.0.2.1:7 at api.example.com (CN=é\\u{1}"), "{text}");
        assert!(text.ends_with("x… Why: countersign explain id --data-dir D") && !text.contains('\n'), "{text}");
        assert_eq!(short("CN=a"), "CN=a");
    }

    #[test]
    fn a_difference_is_one_line() {
        let line = |refusal| {
            Line::Shadow(ShadowLine {
                domain: "api.example.com".to_owned(),
                source: ([192, 0, 2, 1], 7).into(),
                subject: "CN=a\nb".to_owned(),
                uri: "s3://b/next.pem".to_owned(),
                version: "v2".to_owned(),
                refusal,
            })
        };
        assert_eq!(
            text(&line(Some((trust::Code::ClientCertUntrusted, "no issuer".to_owned()))), ""),
            "shadow truststore s3://b/next.pem version v2 of api.example.com would refuse a client that is accepted: \
             ClientCertUntrusted: no issuer (CN=a\\nb, 192.0.2.1:7)"
        );
        assert!(text(&line(None), "").contains("would accept a client that is refused"));
    }
}
