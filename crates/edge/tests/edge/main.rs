//! The edge on real sockets.

mod http2;
mod openssl;
mod refusals;
mod serving;
mod support;
mod throttling;
mod upstreams;
