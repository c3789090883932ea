//! The data plane: accept, judge, admit, route, forward, record.
//!
//! An [`Edge`] listens on one address with one thread and one current-thread runtime per core, each with its own
//! socket. What a request needs belongs to its runtime; the only things shared between runtimes are the snapshot, the
//! TLS configuration of each domain (so that tickets are good on every core), the count of connections per address and
//! the list of counters, none of them locked on the path of a request.
//!
//! What must not live here: the store, the AWS APIs, the decision whether a client is trusted (that is
//! [`trust::Truststore::judge`]), and rustls types outside `tls`.

mod addresses;
mod admission;
mod admit;
mod answer;
mod api_keys;
mod authorize;
mod body;
mod clock;
mod config;
mod connection;
mod cork;
mod cors;
mod counters;
mod custom;
mod edge;
mod exchange;
mod forward;
mod grpc;
mod hold;
mod http1;
mod identity;
mod lambda;
mod limits;
mod listen;
mod mapping;
mod network;
pub mod proxy_protocol;
mod record;
mod refuse;
mod request_id;
mod rest_api;
mod runtime;
mod shadow;
mod sightings;
mod socket;
mod status;
mod strangers;
mod tls;
mod trace;
mod upstream;
mod verdicts;

pub use addresses::Connections;
pub use authorize::{IssuerKeys, KeySet, KeySetError, NoIssuers};
pub use clock::Clock;
pub use config::{EdgeConfig, Limits};
pub use counters::{Bound, Counters, Totals, UpstreamTotals};
pub use edge::Edge;
#[cfg(fuzzing)]
pub use http1::reading::read_twice;
pub use lambda::{Lambda, LambdaEndpoint, LambdaEndpointError};
pub use listen::sockets as listen;
pub use network::{Network, NoNetwork};
pub use record::{DOMAIN_LOG_FORMAT, Line, RefusalLine};
pub use shadow::ShadowLine;
pub use status::StatusFetcher;
pub use tls::{AlpnChallenges, AlpnProof, UpstreamStream, UpstreamTls};
