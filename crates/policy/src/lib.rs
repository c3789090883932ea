//! Cedar policies over clients and their requests: whether a request that was let in may go on.
//!
//! Here live the schema that policies are written against ([`SCHEMA`]), policies that were found to fit it ([`Policies`]), and
//! what they are asked ([`Question`], about a [`Principal`]).
//!
//! What must not live here: input and output, clocks, where policies are kept, and whom a domain trusts: that is `trust`'s.

mod bounds;
mod path;
mod policies;
mod principal;
mod problem;
mod question;
mod values;
mod vocabulary;

pub use policies::{Decision, MAX_BYTES, Outcome, Policies};
pub use principal::Principal;
pub use problem::{Problem, Problems};
pub use question::{Credential, Question};
pub use vocabulary::SCHEMA;
