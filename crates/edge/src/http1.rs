//! HTTP/1.1 (RFC 9112) of our own, for clients and for backends: one task a connection, buffers only while something is
//! under way, and one meaning for every head.
//!
//! [`head`] reads heads, [`payload`] and [`chunked`] payloads, without input and output; [`outgoing`] writes messages. [`inbound`]
//! is what comes from a client, [`server`] answers it, [`tunnel`] is what an upgraded connection becomes. The side of the
//! backends is `upstream::http1`.
//!
//! What must not live here: what a request means (`exchange`), and where it goes (`forward`, `upstream`).

pub(crate) mod buffer;
pub(crate) mod chunked;
#[cfg(test)]
mod differential;
pub(crate) mod head;
pub(crate) mod inbound;
pub(crate) mod outgoing;
pub(crate) mod payload;
#[cfg(any(test, fuzzing))]
pub(crate) mod reading;
pub(crate) mod server;
pub(crate) mod tunnel;
