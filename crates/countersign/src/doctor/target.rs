//! What is examined, and where it is.

use std::fmt;

use http::Uri;
use rustls_pki_types::ServerName;

/// An https URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// As given.
    pub(super) url: String,
    /// Lowercase, without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    /// With its query; `/` at least.
    pub(super) path: String,
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Target {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected https://HOST[:PORT][/PATH]".to_owned();
        let url = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let uri: Uri = url.parse().map_err(|_| expected())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(expected)?;
        if uri.scheme_str() != Some("https") {
            return Err(expected());
        }
        let host = unbracketed(authority.host()).to_ascii_lowercase();
        ServerName::try_from(host.as_str()).map_err(|_| expected())?;
        let port = match authority.port() {
            Some(port) => port.as_str().parse().map_err(|_| expected())?,
            // A port that is none is left out by `port`.
            None if authority.as_str().len() > authority.host().len() => return Err(expected()),
            None => 443,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { url, host, port, path })
    }

    pub(super) fn address(&self) -> Address {
        Address { host: self.host.clone(), port: self.port }
    }

    /// As the `Host` header has it.
    pub(super) fn authority(&self) -> String {
        let host = bracketed(&self.host);
        if self.port == 443 { host } else { format!("{host}:{}", self.port) }
    }
}

/// `HOST:PORT`, `[IPV6]:PORT`.
pub(super) fn parse_address(text: &str) -> Result<Address, String> {
    let expected = || "expected HOST:PORT".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
    let host = unbracketed(host);
    ServerName::try_from(host).map_err(|_| expected())?;
    Ok(Address { host: host.to_owned(), port: port.parse().map_err(|_| expected())? })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", bracketed(&self.host), self.port)
    }
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, found) in [
            ("https://API.example.com", Some(("api.example.com", 443, "/"))),
            ("api.example.com", Some(("api.example.com", 443, "/"))),
            ("https://api.example.com:8443/orders?x=1", Some(("api.example.com", 8443, "/orders?x=1"))),
            ("https://[::1]:8443/", Some(("::1", 8443, "/"))),
            ("http://api.example.com", None),
            ("https://user@api.example.com", None),
            ("https://", None),
            ("https://a b", None),
            ("https://api.example.com:99999", None),
        ] {
            let parsed = Target::parse(text).ok();
            let parsed = parsed.as_ref().map(|t| (t.host.as_str(), t.port, t.path.as_str()));
            assert_eq!(parsed, found, "{text}");
        }
        assert_eq!(Target::parse("https://[::1]:8443/").unwrap().authority(), "[::1]:8443");
        assert_eq!(parse_address("[::1]:1").unwrap().to_string(), "[::1]:1");
        assert!(parse_address("example.com").is_err());
    }
}
