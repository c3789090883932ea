//! IAM policies in JSON: read once, then asked of every request.
//!
//! [`Policy::parse`] refuses what IAM refuses, and says where; what it returns is compiled. [`decide`] is the whole of
//! the rule: a statement that denies outweighs all that allow, and what nothing allows is denied.
//!
//! Source: "IAM JSON policy elements reference" and "Policy evaluation logic", IAM user guide.
//!
//! What must not live here: I/O, clocks, who has which policies, what a service's actions and resources are called.

mod condition;
mod document;
mod json;
mod operator;
mod pattern;
mod principal;
mod request;
mod rights;

pub use document::{Effect, Kind, Malformed, Policy, Statement};
pub use request::{Context, Decision, Request, decide};
pub use rights::{Layer, Refusal, Rights};
