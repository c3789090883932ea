//! From a backend's name to a connection.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use super::UpstreamError;

/// How long an address may take to accept a connection before the next one is tried.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// How long all of them may.
const DIAL_TIME: Duration = Duration::from_secs(10);
/// Addresses of a name that are tried for one request.
const ATTEMPTS: usize = 8;
/// Names whose next address is remembered.
const NAMES: usize = 1024;

/// Takes turns among the addresses of a name.
#[derive(Default)]
pub(super) struct Dialer {
    turns: RefCell<HashMap<Box<str>, usize>>,
}

impl Dialer {
    /// Connects to an address of `host`; what does not accept is passed over. Nothing of a request was sent when it fails.
    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, UpstreamError> {
        let stream = match host.parse::<IpAddr>() {
            Ok(address) => connect_to(SocketAddr::new(address, port), DIAL_TIME).await?,
            Err(_) => self.connect_by_name(host, port).await?,
        };
        stream.set_nodelay(true).map_err(UpstreamError::Connect)?;
        Ok(stream)
    }

    async fn connect_by_name(&self, host: &str, port: u16) -> Result<TcpStream, UpstreamError> {
        let deadline = Instant::now() + DIAL_TIME;
        let found = timeout_at(deadline, lookup_host((host, port))).await;
        let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(UpstreamError::Resolve)?;
        let mut addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() {
            return Err(UpstreamError::Resolve(io::ErrorKind::NotFound.into()));
        }
        let turn = self.turn(host) % addresses.len();
        addresses.rotate_left(turn);
        connect_to_any(&addresses, deadline).await
    }

    /// How often the name was connected to before.
    fn turn(&self, host: &str) -> usize {
        let mut turns = self.turns.borrow_mut();
        if let Some(turn) = turns.get_mut(host) {
            *turn = turn.wrapping_add(1);
            return *turn;
        }
        if turns.len() >= NAMES {
            turns.clear();
        }
        turns.insert(host.into(), 0);
        0
    }
}

/// The first that accepts; else why the last one did not.
async fn connect_to_any(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, UpstreamError> {
    let mut last = UpstreamError::ConnectTimeout;
    let addresses = &addresses[..addresses.len().min(ATTEMPTS)];
    for (number, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let is_last = number + 1 == addresses.len();
        match connect_to(*address, if is_last { left } else { CONNECT_TIME.min(left) }).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_to(address: SocketAddr, time: Duration) -> Result<TcpStream, UpstreamError> {
    match timeout(time, TcpStream::connect(address)).await {
        Ok(connected) => connected.map_err(UpstreamError::Connect),
        Err(_) => Err(UpstreamError::ConnectTimeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_turns_and_are_bounded() {
        let dialer = Dialer::default();
        assert_eq!([dialer.turn("a.test"), dialer.turn("a.test"), dialer.turn("b.test")], [0, 1, 0]);
        for name in 0..3 * NAMES {
            dialer.turn(&format!("{name}.test"));
        }
        assert!(dialer.turns.borrow().len() <= NAMES);
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over() {
        let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let refusing = SocketAddr::new([127, 0, 0, 3].into(), there.port());
        let deadline = Instant::now() + DIAL_TIME;
        let stream = connect_to_any(&[refusing, there], deadline).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), there);
        let error = connect_to_any(&[refusing], deadline).await.unwrap_err();
        assert_eq!(error.reason(), "the backend refused the connection");
    }
}
