//! The DNS responder's sockets: by UDP a message a packet, by TCP with a length before each (RFC 7766).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use control::Control;
use control::route53::{Transport, respond};
use socket2::{Protocol, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use super::listener::{PAUSE, each_connection, listen, reusable};
use crate::answer::{Failure, warn};

/// What listens for questions.
pub(super) struct Responder {
    udp: std::net::UdpSocket,
    tcp: std::net::TcpListener,
    address: SocketAddr,
}

/// No question is longer; one that is cut off is answered as what it is.
const MAX_PACKET_BYTES: usize = 4096;
/// For a message to arrive or an answer to leave, and for the next one to begin.
const IDLE: Duration = Duration::from_secs(5);
const MAX_QUESTIONS: usize = 100;
/// By port 0, the one that is free for UDP may be taken for TCP.
const TRIES: usize = 16;

impl Responder {
    /// Listens at an address, at the same port for both.
    pub(super) fn open(address: SocketAddr) -> Result<Self, Failure> {
        let mut opened = Self::bind(address);
        for _ in 1..TRIES {
            match &opened {
                Err(e) if address.port() == 0 && e.kind() == io::ErrorKind::AddrInUse => opened = Self::bind(address),
                _ => break,
            }
        }
        opened.map_err(|e| {
            Failure::new(format!("cannot listen on {address}: {e}; choose another address with dns.listen"))
        })
    }

    fn bind(address: SocketAddr) -> io::Result<Self> {
        let udp = reusable(address, Type::DGRAM, Protocol::UDP)?;
        let address = udp.local_addr()?.as_socket().unwrap_or(address);
        Ok(Self { udp: udp.into(), tcp: listen(address)?, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for as long as it runs.
    pub(super) async fn run(self, control: Control) {
        let (udp, tcp) = match (UdpSocket::from_std(self.udp), TcpListener::from_std(self.tcp)) {
            (Ok(udp), Ok(tcp)) => (udp, tcp),
            (Err(e), _) | (_, Err(e)) => return warn(&format!("no DNS is answered: {e}")),
        };
        let connections = each_connection(tcp, |stream| {
            let control = control.clone();
            async move { drop(connection(stream, &control).await) }
        });
        tokio::join!(packets(udp, control.clone()), connections);
    }
}

async fn packets(socket: UdpSocket, control: Control) {
    let mut packet = [0; MAX_PACKET_BYTES];
    loop {
        // What one sender did not take is said to whoever reads next: it is of no concern.
        let Ok((length, from)) = socket.recv_from(&mut packet).await else {
            sleep(PAUSE).await;
            continue;
        };
        if let Some(answer) = answer(&control, &packet[..length], Transport::Udp) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn connection(mut stream: TcpStream, control: &Control) -> io::Result<()> {
    let mut packet = Vec::new();
    for _ in 0..MAX_QUESTIONS {
        let length = usize::from(timeout(IDLE, stream.read_u16()).await??);
        if length > MAX_PACKET_BYTES {
            return Ok(());
        }
        packet.resize(length, 0);
        timeout(IDLE, stream.read_exact(&mut packet)).await??;
        let Some(answer) = answer(control, &packet, Transport::Tcp) else { return Ok(()) };
        let Ok(length) = u16::try_from(answer.len()) else { return Ok(()) };
        let framed = [&length.to_be_bytes()[..], &answer].concat();
        timeout(IDLE, stream.write_all(&framed)).await??;
    }
    Ok(())
}

fn answer(control: &Control, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let state = control.settings().state();
    respond(&control.resolver(&state), packet, transport)
}
