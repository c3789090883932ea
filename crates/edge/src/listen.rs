//! Listening sockets: one per runtime on the same address; the kernel spreads connections over them.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the kernel's own limit (net.core.somaxconn) also holds.
const BACKLOG: i32 = 4096;

/// Binds `count` sockets to `address`. With port 0 the first picks a port and the others take the same.
pub(crate) fn sockets(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // Alone, and so an error where another process listens there: sockets that share would quietly take turns with it.
    let alone = socket(address, false)?;
    if count == 1 {
        return Ok(vec![alone]);
    }
    let address = alone.local_addr()?;
    drop(alone);
    (0..count).map(|_| socket(address, true)).collect()
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
