//! The client's certificate file holds no certificate that can be sent.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "client-file-unusable",
    severity: Severity::Error,
    about: "The client's certificate file holds no certificate that can be sent",
    why: "Without one the client is a stranger.",
    needs: Need::Client,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(client) = &facts.files.client else { return Vec::new() };
    match &client.chain {
        Err(why) => {
            let what = format!("{}: {why}.", client.cert_file);
            vec![Seen::new(what, "Convert it to PEM, the client's own certificate first.")]
        }
        Ok(chain) if client.certificates.len() < chain.len() => {
            let bad = (0..chain.len()).find(|place| client.certificates.iter().all(|(known, _)| known != place));
            vec![Seen::new(
                format!("{}: certificate {} of {} cannot be read.", client.cert_file, bad.unwrap_or(0) + 1, chain.len()),
                "Take it out, or export it again.",
            )]
        }
        Ok(_) => Vec::new(),
    }
}
