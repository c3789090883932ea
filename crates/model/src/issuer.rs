//! Issuers of tokens: URLs that name who signs, and lead to the keys (OpenID Connect Discovery 1.0).

use std::net::IpAddr;

use http::Uri;

/// Bytes of an issuer's URL.
const MAX_ISSUER_BYTES: usize = 1024;

/// The URL of an issuer. What it names is compared byte for byte with what tokens say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Issuer(String);

/// A URL that is no issuer's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Invalid issuer: {0}. Issuer must be a valid https URL (or http on a loopback address), without query, fragment and \
     credentials"
)]
pub struct IssuerError(String);

impl Issuer {
    /// Reads an issuer (OpenID Connect Discovery 1.0 section 3: https, no query, no fragment).
    pub fn parse(text: &str) -> Result<Self, IssuerError> {
        let issuer = text.len() <= MAX_ISSUER_BYTES && !text.contains(['?', '#', '@']) && may_name_keys(text);
        if issuer { Ok(Self(text.to_owned())) } else { Err(IssuerError(text.chars().take(MAX_ISSUER_BYTES).collect())) }
    }

    /// As it stands in tokens.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where it says where its keys are (OpenID Connect Discovery 1.0 section 4).
    pub fn configuration_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.0.trim_end_matches('/'))
    }
}

/// Whether keys may be believed that come from a URL: nobody on the way can change them, because it is https, or because
/// there is no way (http on a loopback address).
pub fn may_name_keys(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let Some(host) = uri.host().filter(|host| !host.is_empty()) else { return false };
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => is_loopback(host),
        _ => false,
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_https_or_on_this_machine() {
        for (issuer, configuration) in [
            ("https://id.example", "https://id.example/.well-known/openid-configuration"),
            ("https://id.example/", "https://id.example/.well-known/openid-configuration"),
            ("https://id.example:8443/realms/a", "https://id.example:8443/realms/a/.well-known/openid-configuration"),
            ("http://127.0.0.1:9", "http://127.0.0.1:9/.well-known/openid-configuration"),
            ("http://[::1]:9/x", "http://[::1]:9/x/.well-known/openid-configuration"),
            ("http://localhost", "http://localhost/.well-known/openid-configuration"),
        ] {
            assert_eq!(Issuer::parse(issuer).unwrap().configuration_url(), configuration);
        }
        for wrong in [
            "",
            "id.example",
            "http://id.example",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "http://10.0.0.1",
            "ftp://id.example",
            "file:///etc/passwd",
            "https://",
            "https://user@id.example",
            "https://id.example?x=1",
            "https://id.example#x",
            &format!("https://id.example/{}", "a".repeat(MAX_ISSUER_BYTES)),
        ] {
            assert!(Issuer::parse(wrong).is_err(), "{wrong}");
        }
    }
}
