//! Listening sockets: one per runtime on the same address; the kernel spreads connections over them.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the kernel's own limit (net.core.somaxconn) also holds.
pub(crate) const BACKLOG: i32 = 4096;

/// Binds `count` sockets to `address` and listens on them. With port 0 the first picks a port and the others take the same.
/// Fails where somebody else listens there.
pub fn sockets(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // Alone, and so an error where another process listens there: sockets that share would quietly take turns with it.
    let alone = socket(address, false)?;
    if count == 1 {
        return Ok(vec![alone]);
    }
    let address = alone.local_addr()?;
    drop(alone);
    (0..count).map(|_| socket(address, true)).collect()
}

/// Who accepts on which of `sockets`: every runtime on one at least, every socket by one at least.
pub(crate) fn spread(sockets: Vec<TcpListener>, runtimes: usize) -> io::Result<Vec<Vec<TcpListener>>> {
    let mut spread: Vec<Vec<TcpListener>> = (0..runtimes).map(|_| Vec::new()).collect();
    for number in sockets.len()..runtimes {
        spread[number].push(sockets[number % sockets.len()].try_clone()?);
    }
    for (number, socket) in sockets.into_iter().enumerate() {
        socket.set_nonblocking(true)?;
        spread[number % runtimes].push(socket);
    }
    Ok(spread)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtime_and_every_socket_has_its_part() {
        for (count, runtimes, parts) in [(2, 2, vec![1, 1]), (3, 2, vec![2, 1]), (1, 3, vec![1, 1, 1]), (2, 1, vec![2])]
        {
            let sockets = sockets(SocketAddr::from(([127, 0, 0, 1], 0)), count).unwrap();
            let address = sockets[0].local_addr().unwrap();
            let spread = spread(sockets, runtimes).unwrap();
            assert_eq!(spread.iter().map(Vec::len).collect::<Vec<_>>(), parts);
            assert!(spread.iter().flatten().all(|socket| socket.local_addr().unwrap() == address));
        }
    }
}
