//! Certificates by ACME (RFC 8555): those that ACM was asked for are ordered, validated, fetched, and in good time ordered again.

mod challenges;
mod http;
mod order;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use control::{Control, Ordered, Outcome};
use edge::{AlpnChallenges, UpstreamTls};
use instant_acme::{Account, AccountCredentials, NewAccount};
use socket2::{Protocol, Type};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::answer::{Failure, warn};
use crate::config::Acme as Settings;
use crate::fetch::Http;
use crate::server::reusable;
use challenges::HttpChallenges;
use http::Client;

/// Orders certificates from one issuer.
pub(crate) struct Acme {
    settings: Settings,
    directory: String,
    client: Client,
    alpn: AlpnChallenges,
    http: Option<HttpChallenges>,
}

/// After an order that came to nothing although nobody was refused anything, doubled each time.
const RETRY: Duration = Duration::from_secs(10);
const LONGEST_RETRY: Duration = Duration::from_secs(6 * 60 * 60);
/// Between two looks at least, and at most.
const PAUSE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_secs(60 * 60);

/// When an order is tried again, and after how long the time after that.
struct Retry {
    at: Instant,
    after: Duration,
}

impl Acme {
    /// None where the configuration names no directory. Challenges by TLS are answered by whoever has the other end of `alpn`.
    pub(crate) fn open(settings: &Settings, alpn: AlpnChallenges) -> Result<Option<Self>, Failure> {
        let Some(directory) = settings.directory.clone() else { return Ok(None) };
        let extra = settings.ca_file.as_deref().map(read).transpose()?;
        let tls = UpstreamTls::new(extra.as_slice());
        let tls = tls.map_err(|e| Failure::new(format!("acme.ca_file cannot be used: {e}")))?;
        let http = settings.http_addr.map(listen).transpose()?;
        let client = Client(Http::new(tls, &[]));
        Ok(Some(Self { settings: settings.clone(), directory, client, alpn, http }))
    }

    /// Until it is aborted.
    pub(crate) async fn run(self, control: Control) {
        let answering = async {
            match &self.http {
                Some(http) => http.serve().await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(answering, self.order_all(&control));
    }

    async fn order_all(&self, control: &Control) {
        let mut states = control.settings().states();
        let mut retries: HashMap<String, Retry> = HashMap::new();
        loop {
            states.borrow_and_update();
            let work = control.to_be_ordered();
            retries.retain(|arn, _| work.iter().any(|order| order.arn == *arn));
            for order in work {
                if retries.get(&order.arn).is_some_and(|retry| retry.at > Instant::now()) {
                    continue;
                }
                match self.obtain(control, &order).await {
                    Ok(()) => drop(retries.remove(&order.arn)),
                    Err(why) => {
                        warn(&format!("the certificate {} is not there yet, and is ordered again: {why}", order.arn));
                        let after = retries.get(&order.arn).map_or(RETRY, |retry| (retry.after * 2).min(LONGEST_RETRY));
                        retries.insert(order.arn, Retry { at: Instant::now() + after, after });
                    }
                }
            }
            let due = control.next_order_at().and_then(|at| u64::try_from(at - control.now()).ok());
            let due = due.map(|millis| Instant::now() + Duration::from_millis(millis).min(LOOK));
            let next = retries.values().map(|retry| retry.at).chain(due).min().unwrap_or_else(|| Instant::now() + LOOK);
            tokio::select! {
                changed = states.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(next.max(Instant::now() + PAUSE)) => {}
            }
        }
    }

    /// An error is one that may pass; what the issuer has refused is settled.
    async fn obtain(&self, control: &Control, order: &Ordered) -> Result<(), String> {
        let account = self.account(control).await?;
        let outcome = order::obtain(&account, order, self.http.as_ref(), &self.alpn).await?;
        if let Outcome::Failed { why, .. } = &outcome {
            warn(&format!("the certificate {} is not issued: {why}", order.arn));
        }
        control.settle_order(order, outcome).await.map_err(|e| e.message)
    }

    /// The account of this gateway with the issuer, made at first.
    async fn account(&self, control: &Control) -> Result<Account, String> {
        let builder = || Account::builder_with_http(Box::new(self.client.clone()));
        if let Some(kept) = control.acme_account(&self.directory).map_err(|e| e.message)? {
            let credentials: AccountCredentials = serde_json::from_slice(&kept).map_err(|e| e.to_string())?;
            return builder().from_credentials(credentials).await.map_err(|e| e.to_string());
        }
        let contact: Vec<&str> = self.settings.contact.iter().map(String::as_str).collect();
        let wanted = NewAccount {
            contact: &contact,
            terms_of_service_agreed: self.settings.terms_of_service_agreed,
            only_return_existing: false,
        };
        let made = builder().create(&wanted, self.directory.clone(), None).await;
        let (account, credentials) = made.map_err(|e| format!("no account at {}: {e}", self.directory))?;
        let kept = zeroize::Zeroizing::new(serde_json::to_vec(&credentials).map_err(|e| e.to_string())?);
        control.keep_acme_account(&self.directory, &kept).await.map_err(|e| e.message)?;
        Ok(account)
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| Failure::new(format!("acme.ca_file: {}: {e}", path.display())))
}

fn listen(address: SocketAddr) -> Result<HttpChallenges, Failure> {
    // As the responder's: the next process listens there before this one has ended.
    let listener = reusable(address, Type::STREAM, Protocol::TCP).and_then(|socket| {
        socket.listen(128)?;
        TcpListener::from_std(socket.into())
    });
    let listener = listener.map_err(|e| Failure::new(format!("cannot listen on {address}: {e}; choose another acme.http_addr")))?;
    Ok(HttpChallenges::new(Arc::new(listener)))
}
