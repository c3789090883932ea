//! The domain name system: names, and what the hosted zones answer.

mod lookup;
mod name;

pub use lookup::{Answer, Found, RecordsOfOne, Resolver};
pub use name::{Name, NameError};
