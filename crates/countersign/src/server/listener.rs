//! Sockets of the program's small servers, besides the gateway and the control API: the DNS responder, and who answers ACME challenges.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Connections at one time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 64;
/// Connections that wait.
const BACKLOG: i32 = 128;
/// After a socket has failed, e.g. because there are too many open files.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// A socket at an address that the next process binds while this one still has it.
pub(crate) fn reusable(address: SocketAddr, of: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), of, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if of == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Such a socket that listens for connections.
pub(crate) fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = reusable(address, Type::STREAM, Protocol::TCP)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves each connection on its own, for as long as it runs.
pub(crate) async fn each_connection<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        while open.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let served = serve(stream);
                open.spawn(async move {
                    let _place = place;
                    served.await;
                });
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}
