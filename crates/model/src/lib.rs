//! What users set, the rules for it, and the immutable snapshot that is enforced.
//!
//! Here live the resources ([`resource`]), the revisioned value that they make up ([`State`]), its changes
//! ([`Change`]) and the bytes that it names ([`Blob`]), and the compilation of one revision into what the data plane reads ([`Snapshot`]); access log formats
//! and the lines that they make ([`template`]).
//!
//! What must not live here: input and output, clocks, async, TLS libraries, AWS's wire forms.

mod bearer;
mod blob;
mod change;
mod client_limits;
pub mod dns;
mod function;
mod gateway_response;
mod identities;
mod identity_source;
mod issuer;
mod keyring;
mod managed_policies;
mod map;
pub mod mapping;
mod pattern;
mod recording;
pub mod resource;
pub mod router;
pub mod schema;
mod security_policy;
mod session;
pub mod snapshot;
mod state;
mod tags;
mod target;
pub mod template;
mod throttle;
pub mod usage;
mod whole_pattern;

pub use bearer::{Bearer, value_of_time};
pub use blob::{Blob, Blobs};
pub use change::{Change, Key, Resource};
pub use client_limits::{Allowance, Beyond, ClientKey, ClientLimits, ClientRule, Permit};
pub use function::{FunctionArn, FunctionArnError};
pub use gateway_response::{GatewayAnswer, GatewayAnswers, GatewayResponseError};
pub use identities::{Identities, Identity};
pub use identity_source::{IdentitySource, IdentitySourceError};
pub use issuer::{Issuer, IssuerError, may_name_keys};
pub use keyring::{Keyring, KeyringError, Sealed};
pub use managed_policies::{AWS_POLICIES, AwsPolicy};
pub use map::{Map, Same};
pub use pattern::{PathPattern, RouteKey, RouteKeyError};
pub use recording::{LogPaths, Recording, Records};
pub use security_policy::{EndpointAccessMode, SecurityPolicy};
pub use session::{Session, SessionTokens, TokenError};
pub use snapshot::Snapshot;
pub use state::{Corrupt, State, Table};
pub use tags::{
    ApiTags, BoundTokens, CrlSource, DomainTags, IdentityHeaders, ObjectTag, Rejection, TagError, UpstreamProtocol,
    VpcLinkTags,
};
pub use target::{Target, TargetError};
pub use throttle::Throttle;
pub use usage::{Meter, Quota};
pub use whole_pattern::{WholePattern, WholePatternError};

/// Counts the commits of settings, from 1; 0 is the empty state.
pub type Revision = u64;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type UnixMillis = i64;
