//! TLS: the only place with rustls types.

mod alpn_challenges;
mod domain;
mod handshake;
mod policy;
mod upstream;
mod verifier;

pub use alpn_challenges::{AlpnChallenges, AlpnProof};
pub(crate) use domain::{DomainTlsCache, SharedTls};
pub(crate) use handshake::{Failure, Hello, PlainAlert, Session, Stream, drain};
pub(crate) use upstream::{Alpn, failure as upstream_failure, late_failure as late_upstream_failure};
pub use upstream::{UpstreamStream, UpstreamTls};

use std::sync::Arc;

use model::SecurityPolicy;
use rustls::crypto::CryptoProvider;

/// What is used where no domain has a say: towards backends, and for the signatures of clients.
fn provider() -> &'static Arc<CryptoProvider> {
    policy::provider(SecurityPolicy::default())
}
