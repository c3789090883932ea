//! Backends as connections see them: whatever requests may share connections for is one object, from one compilation to the next.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use trust::Digest;
use zeroize::Zeroizing;

use crate::resource::{Certificate, ClientCertificate, Stage, VpcLink};
use crate::target::Target;
use crate::{Keyring, UpstreamProtocol, VpcLinkTags};

/// A backend. Integrations whose requests may go over the same connections have the same one, so that it can be told by its address.
#[derive(Debug)]
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
    /// What is shown to an https backend that asks for a certificate.
    pub identity: Option<Arc<UpstreamIdentity>>,
    /// PEM of the CAs that certify an https backend, in the place of those that certify all others.
    pub ca: Option<Arc<[u8]>>,
}

/// A certificate with which the gateway is a client.
pub struct UpstreamIdentity {
    /// PEM, leaf first.
    pub chain: String,
    /// PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: Zeroizing<Vec<u8>>,
}

/// The backends of one snapshot and, until nobody uses them any more, those of the ones before.
#[derive(Clone, Debug, Default)]
pub(super) struct Upstreams(Arc<HashMap<Arc<str>, Weak<Upstream>>>);

/// What an API, or a stage of it, says about its backends.
#[derive(Clone, Debug, Default)]
pub(super) struct UpstreamSettings {
    pub(super) protocol: UpstreamProtocol,
    pub(super) certificate: Option<ClientSource>,
    /// Digest of the CAs' PEM.
    pub(super) ca: Option<String>,
    /// Why requests must not be sent to https backends: what is named for them is not there.
    pub(super) fault: Option<String>,
}

/// Where a client certificate comes from.
#[derive(Clone, Debug)]
pub(super) enum ClientSource {
    Acm(Arc<Certificate>),
    ApiGateway(Arc<ClientCertificate>),
}

/// [`UpstreamSettings`], opened.
#[derive(Clone, Debug, Default)]
pub(super) struct UpstreamTrust {
    pub(super) identity: Option<Arc<UpstreamIdentity>>,
    pub(super) ca: Option<Arc<[u8]>>,
}

/// What integrations of a stage are sent by.
pub(super) struct Backends<'a> {
    pub(super) known: &'a mut Upstreams,
    pub(super) settings: &'a UpstreamSettings,
    pub(super) trust: &'a Result<UpstreamTrust, String>,
    pub(super) stage: &'a Stage,
    /// Those that integrations of the stage name, as far as they are there.
    pub(super) links: &'a [Arc<VpcLink>],
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

    /// One that no integration names: an API of AWS's, say.
    pub fn of(target: &Target) -> Self {
        Self::new(target, None, UpstreamProtocol::default(), UpstreamTrust::default())
    }

    fn new(target: &Target, server_name: Option<&str>, protocol: UpstreamProtocol, trust: UpstreamTrust) -> Self {
        let (host, port) = host_and_port(&target.authority, target.tls);
        let server_name = server_name.filter(|_| target.tls).unwrap_or(host).to_owned();
        let UpstreamTrust { identity, ca } = trust;
        Self { tls: target.tls, host: host.to_owned(), port, server_name, protocol, identity, ca }
    }

    /// Everything that tells it from others.
    fn key(&self, settings: &UpstreamSettings) -> String {
        let Self { tls, host, port, server_name, protocol, identity, ca: _ } = self;
        // Neither hosts nor names have blanks in them.
        let mut key = format!("{tls} {host} {port} {server_name} {protocol:?}");
        if let Some(identity) = identity {
            key.push_str(&format!(" shows {}", Digest::of(identity.chain.as_bytes())));
        }
        if let Some(ca) = settings.ca.as_ref().filter(|_| *tls) {
            key.push_str(&format!(" by {ca}"));
        }
        key
    }
}

impl Upstreams {
    /// Those of `previous` that are still in use.
    pub(super) fn after(previous: &Self) -> Self {
        let in_use = previous.0.iter().filter(|(_, upstream)| upstream.strong_count() > 0);
        Self(Arc::new(in_use.map(|(key, upstream)| (key.clone(), upstream.clone())).collect()))
    }
}

impl Backends<'_> {
    /// The backend of a target: the one that is there already, where it is the same.
    pub(super) fn of(&mut self, target: &Target, server_name: Option<&str>) -> Result<Arc<Upstream>, String> {
        let trust = if target.tls { self.trust.clone()? } else { UpstreamTrust::default() };
        let upstream = Upstream::new(target, server_name, self.settings.protocol, trust);
        let key = upstream.key(self.settings);
        if let Some(known) = self.known.0.get(key.as_str()).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let upstream = Arc::new(upstream);
        Arc::make_mut(&mut self.known.0).insert(key.into(), Arc::downgrade(&upstream));
        Ok(upstream)
    }
}

impl Backends<'_> {
    /// Where a VPC link leads.
    pub(super) fn behind(&self, link_id: &str) -> Result<Target, String> {
        let link = self.links.iter().find(|link| link.id == link_id);
        let link = link.ok_or_else(|| format!("the VPC link {link_id} does not exist"))?;
        let tags = VpcLinkTags::parse(&link.tags).map_err(|error| error.to_string())?;
        tags.upstream.ok_or_else(|| format!("the VPC link {link_id} has no tag {}", VpcLinkTags::UPSTREAM))
    }
}

impl UpstreamSettings {
    /// Whether nothing has changed.
    pub(super) fn same(&self, other: &Self) -> bool {
        let same_certificate = match (&self.certificate, &other.certificate) {
            (None, None) => true,
            (Some(ClientSource::Acm(a)), Some(ClientSource::Acm(b))) => Arc::ptr_eq(a, b),
            (Some(ClientSource::ApiGateway(a)), Some(ClientSource::ApiGateway(b))) => Arc::ptr_eq(a, b),
            _ => false,
        };
        same_certificate && (self.protocol, &self.ca, &self.fault) == (other.protocol, &other.ca, &other.fault)
    }
}

impl ClientSource {
    /// Opens the private key.
    pub(super) fn open(&self, keyring: &Keyring) -> Result<UpstreamIdentity, String> {
        let (resource, sealed, chain) = match self {
            Self::Acm(certificate) => (certificate.arn.clone(), &certificate.private_key, certificate.whole_chain()),
            Self::ApiGateway(certificate) => {
                let resource = ClientCertificate::sealed_for(&certificate.id);
                (resource, &certificate.private_key, certificate.certificate.clone())
            }
        };
        let key = keyring.open(&resource, sealed).map_err(|e| format!("the private key of {resource}: {e}"))?;
        Ok(UpstreamIdentity { chain, key })
    }
}

impl fmt::Debug for UpstreamIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamIdentity").field("chain", &self.chain).finish_non_exhaustive()
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

    fn target(uri: &str) -> Target {
        Target::parse(uri, &BTreeMap::new()).unwrap()
    }

    fn stage() -> Stage {
        let json =
            r#"{"api_id":"a","name":"s","auto_deploy":false,"created":0,"updated":0,"api_gateway_managed":false}"#;
        serde_json::from_str(json).unwrap()
    }

    fn identity(chain: &str) -> UpstreamTrust {
        let identity = UpstreamIdentity { chain: chain.to_owned(), key: Zeroizing::new(b"key".to_vec()) };
        UpstreamTrust { identity: Some(Arc::new(identity)), ca: None }
    }

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
        let of = |known: &mut Upstreams, uri: &str, name, settings: &UpstreamSettings, trust: UpstreamTrust| {
            Backends { known, settings, trust: &Ok(trust), stage: &stage(), links: &[] }.of(&target(uri), name).unwrap()
        };
        let auto = UpstreamSettings::default();
        let h2 = UpstreamSettings { protocol: UpstreamProtocol::H2, ..auto.clone() };
        let ca = UpstreamSettings { ca: Some("digest".to_owned()), ..auto.clone() };
        let none = UpstreamTrust::default;
        let mut first = Upstreams::default();
        let one = of(&mut first, "https://b.test/x", None, &auto, none());
        let clear = of(&mut first, "http://b.test/x", None, &auto, none());
        let mut second = Upstreams::after(&first);
        assert!(Arc::ptr_eq(&one, &of(&mut second, "https://B.test:443/y", Some("b.test"), &auto, none())));
        for (uri, name, settings, trust) in [
            ("http://b.test:443/x", None, &auto, none()),
            ("https://b.test/x", Some("other.test"), &auto, none()),
            ("https://b.test/x", None, &h2, none()),
            ("https://b.test:444/x", None, &auto, none()),
            ("https://b.test/x", None, &auto, identity("A")),
            ("https://b.test/x", None, &ca, none()),
        ] {
            assert!(!Arc::ptr_eq(&one, &of(&mut second, uri, name, settings, trust)), "{uri} {name:?} {settings:?}");
        }
        let shown = of(&mut second, "https://b.test/x", None, &auto, identity("A"));
        assert!(Arc::ptr_eq(&shown, &of(&mut second, "https://b.test/y", None, &auto, identity("A"))));
        assert!(!Arc::ptr_eq(&shown, &of(&mut second, "https://b.test/x", None, &auto, identity("B"))));
        let same = of(&mut second, "http://b.test/x", None, &ca, identity("A"));
        assert!(Arc::ptr_eq(&clear, &same), "what is for TLS makes no difference without it");
        let broken = Err("there is no certificate".to_owned());
        let stage = stage();
        let mut backends = Backends { known: &mut second, settings: &auto, trust: &broken, stage: &stage, links: &[] };
        assert!(backends.of(&target("https://b.test"), None).is_err());
        assert!(backends.of(&target("http://b.test"), None).is_ok());
        drop((one, clear, shown, same));
        assert_eq!(Upstreams::after(&second).0.len(), 0, "what nobody uses is forgotten");
    }

    #[test]
    fn http2_is_spoken_where_it_is_known_to_be_understood() {
        use UpstreamProtocol::{Auto, H2, H2c};
        for (protocol, uri, is_grpc, wanted) in [
            (Auto, "https://b.test", false, false),
            (Auto, "https://b.test", true, true),
            (Auto, "http://b.test", true, false),
            (H2, "https://b.test", false, true),
            (H2, "http://b.test", true, false),
            (H2c, "http://b.test", false, true),
            (H2c, "https://b.test", false, true),
        ] {
            let settings = UpstreamSettings { protocol, ..UpstreamSettings::default() };
            let trust = Ok(UpstreamTrust::default());
            let mut known = Upstreams::default();
            let stage = stage();
            let mut backends =
                Backends { known: &mut known, settings: &settings, trust: &trust, stage: &stage, links: &[] };
            let upstream = backends.of(&target(uri), None);
            assert_eq!(upstream.unwrap().speaks_http2(is_grpc), wanted, "{protocol:?} {uri} {is_grpc}");
        }
    }
}
