//! The edge on real sockets.

mod authorizing;
mod client_limits;
mod clients;
mod connections;
mod cors;
mod desync;
mod http2;
mod http2_backends;
mod mapping;
mod openssl;
mod policies;
mod proxy_protocol;
mod recording;
mod refusals;
mod serving;
mod shadow;
mod statuses;
mod support;
mod throttling;
mod upstreams;
