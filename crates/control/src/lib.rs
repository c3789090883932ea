//! The control API: AWS's own management operations on the settings, and S3.
//!
//! Here live the way of a request to its service ([`Control`]: Host, signature, authorisation), the operations of API
//! Gateway, ACM, CloudWatch Logs, IAM, Route 53 and STS, S3 with its objects, and the local CA. All of them change the settings
//! through [`Settings::change`], with pure rules over a [`model::State`].
//!
//! What must not live here: the data plane (`edge`), the wire forms of AWS's operations (`aws`), storage of settings
//! (`store`).

mod acm;
mod apigateway;
mod apigatewayv2;
mod attention;
mod authentication;
mod authorization;
mod console;
mod control;
mod dispatch;
mod exchange;
mod health;
mod host;
mod iam;
mod ids;
pub mod local_ca;
mod logs;
pub mod metrics;
pub mod objects;
mod openapi;
mod own_api;
mod page_token;
pub mod route53;
pub mod s3;
mod server;
mod settings;
pub mod shell;
mod sts;
mod traffic;
mod trail;
pub mod usage;

pub use acm::{AcmeWork, ClaimedOrder, Failed, FileCertificate, Outcome};
pub use console::ConsoleAccess;
pub use control::{AdminKey, Control, ControlConfig, ControlParts};
pub use dispatch::{Body, Origin};
pub use exchange::exchange;
pub use own_api::Doctor;
pub use server::{serve, serve_connection, serve_tls};
pub use settings::{Edit, Settings};
pub use traffic::{ReadTraffic, TrafficTotals};
pub use trail::By;
