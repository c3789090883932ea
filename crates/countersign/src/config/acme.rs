//! `[acme]`: who issues the certificates that are requested, in the place of the local CA.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// `[acme]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Acme {
    /// URL of the directory (RFC 8555 section 7.1.1); the local CA issues unless this is set.
    pub(crate) directory: Option<String>,
    /// URLs by which the issuer reaches whoever is responsible, e.g. `mailto:ops@example.com`.
    pub(crate) contact: Vec<String>,
    /// Whether the issuer's terms of service are agreed to.
    pub(crate) terms_of_service_agreed: bool,
    /// PEM of CAs that the directory's own certificate may be of, besides the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Where HTTP-01 challenges are answered; without it TLS-ALPN-01 ones are, on the gateway's own address.
    pub(crate) http_addr: Option<SocketAddr>,
}

impl Acme {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let Some(directory) = &self.directory else {
            return match *self == Self::default() {
                true => Ok(()),
                false => Err("acme.directory: set the URL of the issuer's directory, or nothing of [acme]"),
            };
        };
        if !directory.starts_with("https://") {
            return Err("acme.directory: expected an https URL");
        }
        if !self.terms_of_service_agreed {
            return Err("acme.terms_of_service_agreed: read the issuer's terms of service, and set it to true if you agree");
        }
        Ok(())
    }
}
