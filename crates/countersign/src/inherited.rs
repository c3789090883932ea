//! Sockets that listened before this process began: the service manager's, or those of the process before.

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::config::Config;

/// Sockets that listen.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    /// Of the gateway.
    pub(crate) https: Vec<TcpListener>,
    /// Of the AWS APIs.
    pub(crate) control: Option<TcpListener>,
    pub(crate) managed: Managed,
}

/// Which of them a service manager has made. Where these listen is its affair: the configuration has no say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Managed {
    pub(crate) https: bool,
    pub(crate) control: bool,
}

impl Managed {
    /// Whether this key of the configuration means nothing, because the service manager has decided.
    pub(crate) fn decides(self, key: &str) -> bool {
        (self.https && key == "https_addr") || (self.control && key == "control_addr")
    }
}

impl Inherited {
    /// Those of `other` where there are none.
    pub(crate) fn or(self, other: Self) -> Self {
        let (https, https_is_managed) = match self.https.is_empty() {
            true => (other.https, other.managed.https),
            false => (self.https, self.managed.https),
        };
        let (control, control_is_managed) = match self.control {
            None => (other.control, other.managed.control),
            control => (control, self.managed.control),
        };
        Self { https, control, managed: Managed { https: https_is_managed, control: control_is_managed } }
    }

    /// The configuration, with the addresses of sockets that are managed.
    pub(crate) fn placed(&self, config: &Config) -> io::Result<Config> {
        let address = |socket: Option<&TcpListener>, is_managed, configured| match socket {
            Some(socket) if is_managed => socket.local_addr(),
            _ => Ok::<SocketAddr, io::Error>(configured),
        };
        let https_addr = address(self.https.first(), self.managed.https, config.https_addr)?;
        let control_addr = address(self.control.as_ref(), self.managed.control, config.control_addr)?;
        Ok(Config { https_addr, control_addr, ..config.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    #[test]
    fn what_is_managed_stays_where_it_is() {
        let configured = Config::default();
        let passed = |managed| Inherited { https: vec![socket(), socket()], control: Some(socket()), managed };
        let handed = passed(Managed::default());
        assert_eq!(handed.placed(&configured).unwrap(), configured);
        let managed = passed(Managed { https: true, control: false });
        let placed = managed.placed(&configured).unwrap();
        assert_eq!(placed.https_addr, managed.https[0].local_addr().unwrap());
        assert_eq!(placed.control_addr, configured.control_addr);
    }

    #[test]
    fn what_is_missing_comes_from_the_process_before() {
        let passed =
            Inherited { https: vec![socket()], control: None, managed: Managed { https: true, control: false } };
        let https = passed.https[0].local_addr().unwrap();
        let handed = Inherited { https: vec![socket()], control: Some(socket()), managed: Managed::default() };
        let control = handed.control.as_ref().unwrap().local_addr().unwrap();
        let both = passed.or(handed);
        assert_eq!(both.https[0].local_addr().unwrap(), https);
        assert_eq!(both.control.as_ref().unwrap().local_addr().unwrap(), control);
        assert_eq!(both.managed, Managed { https: true, control: false });
    }
}
