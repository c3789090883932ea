//! The control API over real HTTP, with signed requests.

mod apis;
mod connections;
mod domains;
mod requests;
mod server;
