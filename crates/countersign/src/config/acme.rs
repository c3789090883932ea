//! `[acme]`: who issues the certificates that are requested, in the place of the local CA.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

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
    /// An account that the issuer knows the operator by (RFC 8555 section 7.3.4).
    pub(crate) external_account: Option<ExternalAccount>,
    /// Where HTTP-01 challenges are answered; without it TLS-ALPN-01 ones are, on the gateway's own address.
    pub(crate) http_addr: Option<SocketAddr>,
}

/// `[acme.external_account]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExternalAccount {
    /// As the issuer calls it.
    pub(crate) key_id: String,
    /// The key that belongs to it, in base64url.
    pub(crate) key_file: PathBuf,
}

impl Acme {
    /// Makes relative paths those of files in `base`.
    pub(super) fn place(&mut self, base: &Path) {
        let key_file = self.external_account.as_mut().map(|external| &mut external.key_file);
        for path in self.ca_file.iter_mut().chain(key_file) {
            *path = base.join(&*path);
        }
    }

    pub(super) fn check(&self) -> Result<(), &'static str> {
        let Some(directory) = &self.directory else {
            return match *self == Self::default() {
                true => Ok(()),
                false => Err("acme.directory: set the URL of the issuer's directory, or nothing of [acme]"),
            };
        };
        let has_host = directory.parse::<http::Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()));
        if !has_host || !directory.starts_with("https://") {
            return Err("acme.directory: expected an https URL");
        }
        if self.contact.iter().any(|contact| !contact.contains(':')) {
            return Err("acme.contact: expected URLs, e.g. mailto:ops@example.com");
        }
        if !self.terms_of_service_agreed {
            return Err(
                "acme.terms_of_service_agreed: read the issuer's terms of service, and set it to true if you agree",
            );
        }
        Ok(())
    }
}
