//! The sockets that the server listens on: inherited, or bound anew.

use std::net::{SocketAddr, TcpListener};

use edge::EdgeConfig;

use crate::answer::Failure;
use crate::config::Config;
use crate::inherited::Inherited;

/// Sockets that listen.
pub(super) struct Sockets {
    /// Of the gateway, one at least.
    pub(super) https: Vec<TcpListener>,
    /// Of the AWS APIs.
    pub(super) control: TcpListener,
}

impl Sockets {
    /// Those that are inherited, where they are at the configured addresses; what is missing is bound.
    pub(super) fn open(config: &Config, inherited: Inherited) -> Result<Self, Failure> {
        let Inherited { https, control, .. } = inherited;
        let control = match control.filter(|socket| is_at(socket, config.control_addr)) {
            Some(socket) => socket,
            None => TcpListener::bind(config.control_addr)
                .map_err(|e| cannot_listen(config.control_addr, "--control-addr", &e))?,
        };
        let https = match https.iter().any(|socket| is_at(socket, config.https_addr)) {
            true => https,
            false => edge::listen(config.https_addr, EdgeConfig::default().runtimes)
                .map_err(|e| cannot_listen(config.https_addr, "--https-addr", &e))?,
        };
        let sockets = Self { https, control };
        sockets.control.set_nonblocking(true).map_err(|e| Failure::new(format!("cannot listen: {e}")))?;
        Ok(sockets)
    }

    pub(super) fn https_addr(&self) -> Result<SocketAddr, Failure> {
        address(self.https.first())
    }

    pub(super) fn control_addr(&self) -> Result<SocketAddr, Failure> {
        address(Some(&self.control))
    }
}

/// Port 0 is every port.
fn is_at(socket: &TcpListener, configured: SocketAddr) -> bool {
    socket.local_addr().is_ok_and(|address| {
        address.ip() == configured.ip() && (configured.port() == 0 || address.port() == configured.port())
    })
}

fn address(socket: Option<&TcpListener>) -> Result<SocketAddr, Failure> {
    let address = socket.map(TcpListener::local_addr).transpose();
    let address = address.map_err(|e| Failure::new(format!("cannot listen: {e}")))?;
    address.ok_or_else(|| Failure::new("there is no socket to listen on"))
}

fn cannot_listen(address: SocketAddr, option: &str, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot listen on {address}: {error}; choose another address with {option}"))
}
