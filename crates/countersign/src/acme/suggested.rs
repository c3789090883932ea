//! When the issuer suggests that a certificate is renewed (ACME Renewal Information, RFC 9773): it knows of revocations to come, and
//! spreads what would come at once. Where it does not say, a third of a certificate's life is left for its renewal.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use control::Control;
use data_encoding::BASE64URL_NOPAD;
use instant_acme::{Account, CertificateIdentifier, Error, SuggestedWindow};
use model::UnixMillis;
use model::resource::Certificate;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{changed, issuer::Issuer};

/// What the issuer says.
pub(super) struct Suggestions(watch::Sender<HashMap<String, Suggestion>>);

/// What it says of the certificate of an ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suggestion {
    /// PEM: a renewed one is another.
    certificate: String,
    at: UnixMillis,
}

/// Start and end of a time for renewal, and what was chosen in between.
type Window = (UnixMillis, UnixMillis, UnixMillis);

/// What was heard of one certificate.
struct Heard {
    certificate: Arc<Certificate>,
    window: Option<Window>,
    ask_again: Instant,
}

/// Between two questions, whatever the issuer says (RFC 9773 section 4.3.2).
const AT_LEAST: Duration = Duration::from_secs(60);
const AT_MOST: Duration = Duration::from_secs(24 * 60 * 60);
/// Where it does not say, or does not answer.
const LATER: Duration = Duration::from_secs(6 * 60 * 60);

impl Suggestions {
    /// When a certificate is to be renewed, in milliseconds since 1970.
    pub(super) fn of(&self, certificate: &Certificate) -> Option<UnixMillis> {
        let told = self.0.borrow();
        let told = told.get(&certificate.arn).filter(|told| told.certificate == certificate.certificate);
        told.map(|told| told.at)
    }

    /// Tells of changes.
    pub(super) fn changes(&self) -> watch::Receiver<HashMap<String, Suggestion>> {
        self.0.subscribe()
    }

    /// Asks, for as long as it runs.
    pub(super) async fn follow(&self, issuer: &Issuer, control: &Control) {
        let mut states = control.settings().states();
        let mut heard: HashMap<String, Heard> = HashMap::new();
        loop {
            let seen = states.borrow_and_update().clone();
            let mut before = std::mem::take(&mut heard);
            let mut account = None;
            for certificate in control.acme_certificates() {
                let known = before.remove(&certificate.arn);
                let known = known.filter(|known| known.certificate.certificate == certificate.certificate);
                let said = match known {
                    Some(known) if known.ask_again > Instant::now() => known,
                    known => {
                        if account.is_none() {
                            account = Some(issuer.account(control).await.ok());
                        }
                        ask(
                            account.as_ref().and_then(Option::as_ref),
                            &certificate,
                            known.and_then(|known| known.window),
                        )
                        .await
                    }
                };
                heard.insert(certificate.arn.clone(), said);
            }
            let told = heard.iter().filter_map(|(arn, heard)| Some((arn.clone(), heard.told()?))).collect();
            self.0.send_if_modified(|before| {
                let differs = *before != told;
                *before = told;
                differs
            });
            let next = heard.values().map(|heard| heard.ask_again).min().unwrap_or_else(|| Instant::now() + AT_MOST);
            tokio::select! {
                going_on = changed(&mut states, &seen) => if !going_on { return },
                () = sleep_until(next) => {}
            }
        }
    }
}

impl Heard {
    fn told(&self) -> Option<Suggestion> {
        Some(Suggestion { certificate: self.certificate.certificate.clone(), at: self.window?.2 })
    }
}

impl Default for Suggestions {
    fn default() -> Self {
        Self(watch::Sender::new(HashMap::new()))
    }
}

async fn ask(account: Option<&Account>, certificate: &Arc<Certificate>, before: Option<Window>) -> Heard {
    let heard =
        |window, after| Heard { certificate: Arc::clone(certificate), window, ask_again: Instant::now() + after };
    let (Some(account), Some(identifier)) = (account, identifier(certificate)) else { return heard(before, LATER) };
    match account.renewal_info(&identifier).await {
        Ok((info, after)) => heard(window(&info.suggested_window, before, random()), after.clamp(AT_LEAST, AT_MOST)),
        Err(Error::Unsupported(_)) => heard(None, LATER),
        // What was heard before holds.
        Err(_) => heard(before, LATER),
    }
}

/// A time in a window: the one that was chosen before, while the window is the same. None where it ends before it begins.
pub(super) fn window(suggested: &SuggestedWindow, before: Option<Window>, random: u64) -> Option<Window> {
    let [start, end] = [suggested.start, suggested.end].map(|at| at.unix_timestamp().saturating_mul(1000));
    let length = u64::try_from(end - start).ok()?;
    match before {
        Some(same) if (same.0, same.1) == (start, end) => Some(same),
        _ => {
            let offset = UnixMillis::try_from(random % length.saturating_add(1)).unwrap_or_default();
            Some((start, end, start + offset))
        }
    }
}

/// Where there is no randomness, the window's start does.
fn random() -> u64 {
    let mut bytes = [0; 8];
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}

/// By which an issuer knows a certificate that it has signed (RFC 9773 section 4.1).
pub(super) fn identifier(certificate: &Certificate) -> Option<CertificateIdentifier<'static>> {
    let leaf = trust::Certificate::first_of_pem(&certificate.certificate)?;
    Some(CertificateIdentifier {
        authority_key_identifier: Cow::Owned(BASE64URL_NOPAD.encode(leaf.authority_key_id()?)),
        serial: Cow::Owned(BASE64URL_NOPAD.encode(leaf.serial_bytes())),
    })
}
