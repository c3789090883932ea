//! Fetching what others have: bounded in time, in bytes and in number, and not from anywhere.

mod address;
mod http;

pub(crate) use address::Listed;
pub(crate) use http::{Answer, Call, Http, MAX_CRL_BYTES, MAX_OCSP_BYTES};
