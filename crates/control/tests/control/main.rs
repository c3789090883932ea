//! The control API over real HTTP, with signed requests.

mod acm;
mod apis;
mod connections;
mod domains;
mod logs;
mod preview;
mod requests;
mod s3;
mod server;
mod trail;
