//! What a domain shows and asks for in the handshake, made once and kept while its certificate is the same.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::snapshot::{Domain, ServerCertificate, Snapshot, Trust};
use model::{Rejection, SecurityPolicy};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WantsServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{ConfigBuilder, ServerConfig};

use super::verifier::{JudgingVerifier, PossessionVerifier};
use super::{policy, provider};
use crate::{Clock, StatusFetcher};

/// One domain's configuration, shared by all runtimes.
#[derive(Clone)]
pub(crate) struct DomainTls {
    pub(super) config: Arc<ServerConfig>,
}

/// The configurations of all domains that were asked for since their certificates came. Locked only when a runtime needs
/// one for the first time.
pub(crate) struct SharedTls {
    clock: Clock,
    fetcher: Arc<dyn StatusFetcher>,
    domains: Mutex<HashMap<String, Made>>,
}

/// What one runtime has taken from [`SharedTls`].
#[derive(Default)]
pub(crate) struct DomainTlsCache(RefCell<HashMap<String, Made>>);

/// What is made of a domain, and of what.
#[derive(Clone)]
struct Made {
    certificate: Arc<ServerCertificate>,
    policy: SecurityPolicy,
    asks: Asks,
    key: Arc<dyn ResolvesServerCert>,
    ticketer: Arc<dyn ProducesTickets>,
    tls: DomainTls,
}

/// Whether clients are asked for certificates, and by whom these are judged in the handshake.
#[derive(Clone)]
enum Asks {
    No,
    Possession,
    Judged(Arc<Trust>),
}

impl DomainTlsCache {
    /// The configuration of `domain`; the error says what is wrong with its certificate or key.
    pub(crate) fn of(&self, domain: &Domain, shared: &SharedTls) -> Result<DomainTls, String> {
        let asks = Asks::of(domain);
        let mut cache = self.0.borrow_mut();
        if let Some(made) = cache.get(&domain.name).filter(|made| made.is_of(domain, &asks)) {
            return Ok(made.tls.clone());
        }
        let made = shared.of(domain, asks)?;
        let tls = made.tls.clone();
        cache.insert(domain.name.clone(), made);
        Ok(tls)
    }

    /// Forgets domains that are no more.
    pub(crate) fn retain(&self, snapshot: &Snapshot) {
        self.0.borrow_mut().retain(|name, made| is_current(snapshot, name, made));
    }
}

impl SharedTls {
    pub(crate) fn new(clock: Clock, fetcher: Arc<dyn StatusFetcher>) -> Self {
        Self { clock, fetcher, domains: Mutex::default() }
    }

    /// Forgets domains that are no more.
    pub(crate) fn retain(&self, snapshot: &Snapshot) {
        self.lock().retain(|name, made| is_current(snapshot, name, made));
    }

    fn of(&self, domain: &Domain, asks: Asks) -> Result<Made, String> {
        let mut domains = self.lock();
        let old = domains.get(&domain.name).filter(|made| made.is_basis_of(domain));
        let made = match old {
            Some(made) if made.asks.same(&asks) => return Ok(made.clone()),
            // Another truststore or way of refusing is no reason to forget tickets: each resumed session is judged. But
            // tickets of sessions that were never asked for a certificate would come back without one.
            Some(made) if made.asks.asks() == asks.asks() => {
                Made { tls: self.configure(made.policy, &asks, &made.key, &made.ticketer)?, asks, ..made.clone() }
            }
            _ => self.make(domain, asks)?,
        };
        domains.insert(domain.name.clone(), made.clone());
        Ok(made)
    }

    fn make(&self, domain: &Domain, asks: Asks) -> Result<Made, String> {
        let key: Arc<dyn ResolvesServerCert> = Arc::new(SingleCertAndKey::from(certified_key(&domain.certificate)?));
        let ticketer = Ticketer::new().map_err(|e| e.to_string())?;
        let policy = domain.security_policy;
        let tls = self.configure(policy, &asks, &key, &ticketer)?;
        Ok(Made { certificate: domain.certificate.clone(), policy, asks, key, ticketer, tls })
    }

    fn configure(
        &self,
        policy: SecurityPolicy,
        asks: &Asks,
        key: &Arc<dyn ResolvesServerCert>,
        ticketer: &Arc<dyn ProducesTickets>,
    ) -> Result<DomainTls, String> {
        let provider = policy::provider(policy).clone();
        let builder = ServerConfig::builder_with_details(provider, Arc::new(Time(self.clock.clone())))
            .with_protocol_versions(policy::versions(policy))
            .map_err(|e| e.to_string())?;
        let builder: ConfigBuilder<ServerConfig, WantsServerCert> = match asks {
            Asks::No => builder.with_no_client_auth(),
            Asks::Possession => builder.with_client_cert_verifier(Arc::new(PossessionVerifier)),
            Asks::Judged(trust) => {
                let verifier = JudgingVerifier::new(trust.clone(), self.fetcher.clone());
                builder.with_client_cert_verifier(Arc::new(verifier))
            }
        };
        let mut config = builder.with_cert_resolver(key.clone());
        config.ticketer = ticketer.clone();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 1;
        config.max_early_data_size = 0;
        config.require_ems = true;
        config.ignore_client_order = true;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(DomainTls { config: Arc::new(config) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Made>> {
        // Entries are whole before they are inserted.
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Made {
    fn is_of(&self, domain: &Domain, asks: &Asks) -> bool {
        self.is_basis_of(domain) && self.asks.same(asks)
    }

    /// Whether its key and its tickets are good for the domain: those of another certificate or security policy are not.
    fn is_basis_of(&self, domain: &Domain) -> bool {
        Arc::ptr_eq(&self.certificate, &domain.certificate) && self.policy == domain.security_policy
    }
}

impl Asks {
    fn of(domain: &Domain) -> Self {
        match &domain.trust {
            None => Self::No,
            Some(trust) if trust.rejection == Rejection::Alert => Self::Judged(trust.clone()),
            Some(_) => Self::Possession,
        }
    }

    fn asks(&self) -> bool {
        !matches!(self, Self::No)
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::No, Self::No) | (Self::Possession, Self::Possession) => true,
            (Self::Judged(a), Self::Judged(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

fn is_current(snapshot: &Snapshot, name: &str, made: &Made) -> bool {
    snapshot.domain(name).is_some_and(|domain| domain.name == name && made.is_basis_of(domain))
}

fn certified_key(certificate: &ServerCertificate) -> Result<CertifiedKey, String> {
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| format!("its certificate cannot be read: {e}"))?;
    let key = PrivateKeyDer::from_pem_slice(&certificate.key).map_err(|e| format!("its key cannot be read: {e}"))?;
    CertifiedKey::from_der(chain, key, provider()).map_err(|e| format!("its certificate and key cannot be used: {e}"))
}

/// The edge's clock for rustls.
struct Time(Clock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.now()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}
