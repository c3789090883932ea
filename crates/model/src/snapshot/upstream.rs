//! Backends as connections see them: whatever requests may share connections for is one object, from one compilation to the next.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::UpstreamProtocol;
use crate::target::Target;

/// A backend. Integrations whose requests may go over the same connections have the same one, so that it can be told by its address.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// `https`
    pub tls: bool,
    /// Name, or address without brackets; lowercase.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The name that an https backend's certificate must have: `tlsConfig.serverNameToVerify`, or the host.
    pub server_name: String,
    /// `countersign:upstream-protocol` of the API.
    pub protocol: UpstreamProtocol,
}

/// The backends of one snapshot and, until nobody uses them any more, those of the ones before.
#[derive(Clone, Debug, Default)]
pub(super) struct Upstreams(Arc<HashMap<Arc<str>, Weak<Upstream>>>);

/// What an API says about its backends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UpstreamSettings {
    pub(super) protocol: UpstreamProtocol,
}

impl Upstream {
    /// Whether a request is sent in HTTP/2. Only an API's tag lets that be tried without TLS: a backend that takes the first bytes
    /// for HTTP/1.1 could take those behind them for requests of somebody else.
    pub fn speaks_http2(&self, is_grpc: bool) -> bool {
        match self.protocol {
            UpstreamProtocol::Auto => self.tls && is_grpc,
            UpstreamProtocol::H2 => self.tls,
            UpstreamProtocol::H2c => true,
        }
    }

    fn new(target: &Target, server_name: Option<&str>, settings: &UpstreamSettings) -> Self {
        let (host, port) = host_and_port(&target.authority, target.tls);
        let server_name = server_name.filter(|_| target.tls).unwrap_or(host).to_owned();
        Self { tls: target.tls, host: host.to_owned(), port, server_name, protocol: settings.protocol }
    }

    /// Everything that tells it from others.
    fn key(&self) -> String {
        let Self { tls, host, port, server_name, protocol } = self;
        // Neither hosts nor names have blanks in them.
        format!("{tls} {host} {port} {server_name} {protocol:?}")
    }
}

impl Upstreams {
    /// Those of `previous` that are still in use.
    pub(super) fn after(previous: &Self) -> Self {
        let used = previous.0.iter().filter(|(_, upstream)| upstream.strong_count() > 0);
        Self(Arc::new(used.map(|(key, upstream)| (key.clone(), upstream.clone())).collect()))
    }

    /// The backend of a target: the one that is there already, where it is the same.
    pub(super) fn of(
        &mut self,
        target: &Target,
        server_name: Option<&str>,
        settings: &UpstreamSettings,
    ) -> Arc<Upstream> {
        let upstream = Upstream::new(target, server_name, settings);
        let key = upstream.key();
        if let Some(known) = self.0.get(key.as_str()).and_then(Weak::upgrade) {
            return known;
        }
        let upstream = Arc::new(upstream);
        Arc::make_mut(&mut self.0).insert(key.into(), Arc::downgrade(&upstream));
        upstream
    }
}

fn host_and_port(authority: &str, tls: bool) -> (&str, u16) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (host, port.unwrap_or(if tls { 443 } else { 80 }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn reads_authorities() {
        for (authority, tls, wanted) in [
            ("b.test", false, ("b.test", 80)),
            ("b.test", true, ("b.test", 443)),
            ("b.test:9000", true, ("b.test", 9000)),
            ("[::1]", false, ("::1", 80)),
            ("[::1]:9000", false, ("::1", 9000)),
        ] {
            assert_eq!(host_and_port(authority, tls), wanted, "{authority}");
        }
    }

    #[test]
    fn what_may_share_connections_is_one_object() {
        let target = |uri| Target::parse(uri, &BTreeMap::new()).unwrap();
        let auto = UpstreamSettings::default();
        let h2 = UpstreamSettings { protocol: UpstreamProtocol::H2 };
        let mut first = Upstreams::default();
        let one = first.of(&target("https://b.test/x"), None, &auto);
        let mut second = Upstreams::after(&first);
        assert!(Arc::ptr_eq(&one, &second.of(&target("https://B.test:443/y"), Some("b.test"), &auto)));
        for (uri, name, settings) in [
            ("http://b.test:443/x", None, &auto),
            ("https://b.test/x", Some("other.test"), &auto),
            ("https://b.test/x", None, &h2),
            ("https://b.test:444/x", None, &auto),
        ] {
            assert!(!Arc::ptr_eq(&one, &second.of(&target(uri), name, settings)), "{uri} {name:?}");
        }
        drop(one);
        assert_eq!(Upstreams::after(&second).0.len(), 0, "what nobody uses is forgotten");
    }

    #[test]
    fn http2_is_spoken_where_it_is_known_to_be_understood() {
        use UpstreamProtocol::{Auto, H2, H2c};
        for (protocol, tls, is_grpc, wanted) in [
            (Auto, true, false, false),
            (Auto, true, true, true),
            (Auto, false, true, false),
            (H2, true, false, true),
            (H2, false, true, false),
            (H2c, false, false, true),
            (H2c, true, false, true),
        ] {
            let target = if tls { "https://b.test" } else { "http://b.test" };
            let target = Target::parse(target, &BTreeMap::new()).unwrap();
            let upstream = Upstream::new(&target, None, &UpstreamSettings { protocol });
            assert_eq!(upstream.speaks_http2(is_grpc), wanted, "{protocol:?} {tls} {is_grpc}");
        }
    }
}
