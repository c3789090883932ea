//! The control API over real HTTP, with signed requests.

mod acm;
mod apis;
mod connections;
mod domains;
mod logs;
mod requests;
mod s3;
mod server;
