//! The wire of AWS's management APIs: protocols, and the operations generated from AWS's service models.
//!
//! Each served service is a module with its types, a trait with one method an operation, and `serve`, which finds the
//! operation of a request, authorizes, parses and validates, calls the trait and renders the answer or the error in the
//! service's protocol.
//!
//! What must not live here: signatures (`sigv4`), what an operation does (`control`), sockets, clocks.

mod caller;
mod error;
mod generated;
mod pattern;
mod protocol;
mod receive;
mod reply;
mod schema;
mod validation;
mod value;
mod xml;
mod xml_input;

pub use caller::{Asked, Authority, Caller};
pub use error::Error;
pub use generated::{acm, apigateway, apigatewayv2, iam, logs, route53, sts};
pub use protocol::Protocol;
pub use schema::{Level, Operation, Service};
pub use value::{Blob, Sensitive, Timestamp};
