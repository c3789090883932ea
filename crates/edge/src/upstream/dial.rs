//! From a backend's addresses to a connection.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::UpstreamError;

/// How long an address may take to accept a connection before the next one is tried.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// How long all of them may.
const DIAL_TIME: Duration = Duration::from_secs(10);
/// Addresses that are tried for one request.
const ATTEMPTS: usize = 8;

/// Connects to the first address that accepts, else says why the last one did not; `failed` is told of each that did not. Nothing of
/// a request was sent when it fails.
pub(super) async fn connect(
    addresses: &[SocketAddr],
    mut failed: impl FnMut(SocketAddr),
) -> Result<(TcpStream, SocketAddr), UpstreamError> {
    let deadline = Instant::now() + DIAL_TIME;
    let mut last = UpstreamError::ConnectTimeout;
    let addresses = &addresses[..addresses.len().min(ATTEMPTS)];
    for (number, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let is_last = number + 1 == addresses.len();
        match connect_to(*address, if is_last { left } else { CONNECT_TIME.min(left) }).await {
            Ok(stream) => return Ok((stream, *address)),
            Err(error) => {
                failed(*address);
                last = error;
            }
        }
    }
    Err(last)
}

async fn connect_to(address: SocketAddr, time: Duration) -> Result<TcpStream, UpstreamError> {
    let connected = timeout(time, TcpStream::connect(address)).await;
    let stream = connected.map_err(|_| UpstreamError::ConnectTimeout)?.map_err(UpstreamError::Connect)?;
    stream.set_nodelay(true).map_err(UpstreamError::Connect)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over() {
        let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let refusing = SocketAddr::new([127, 0, 0, 3].into(), there.port());
        let mut refused = Vec::new();
        let (_, at) = connect(&[refusing, there], |at| refused.push(at)).await.unwrap();
        assert_eq!((at, refused), (there, vec![refusing]));
        let error = connect(&[refusing], |_| ()).await.unwrap_err();
        assert_eq!(error.reason(), "the backend refused the connection");
    }
}
