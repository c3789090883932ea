//! What is known of revocations beyond what the settings hold: lists and OCSP statuses where certificates name them, fetched,
//! checked and kept.

mod book;
mod cache;
mod directory;
mod fetcher;
mod metrics;

pub(crate) use directory::follow;
pub(crate) use fetcher::Fetcher;
pub(crate) use metrics::OfRevocations;
