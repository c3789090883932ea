//! `[dns]`: the responder that answers from Route 53's hosted zones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use control::route53::DnsOptions;
use serde::Deserialize;

/// `[dns]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Dns {
    /// Where it listens, by UDP and TCP; it does not unless this is set.
    pub(crate) listen: Option<SocketAddr>,
    /// What an alias to a custom domain leads to; the address of the gateway's HTTPS by default, or loopback where that is every address.
    pub(crate) addresses: Vec<IpAddr>,
    /// Names of the name servers of zones that are made from now on.
    pub(crate) name_servers: Vec<String>,
}

impl Dns {
    pub(super) fn check(&self) -> Result<(), String> {
        let is_name = |name: &String| {
            model::dns::Name::parse(name).is_ok_and(|parsed| parsed.labels().len() > 1) && !name.ends_with('.')
        };
        match self.name_servers.iter().find(|name| !is_name(name)) {
            _ if self.name_servers.is_empty() => Err("dns.name_servers: a hosted zone needs one at least".to_owned()),
            Some(name) => Err(format!("dns.name_servers: {name} is no name of a host, e.g. ns1.example.com")),
            None => Ok(()),
        }
    }

    /// For a gateway that listens there.
    pub(crate) fn options(&self, https: IpAddr) -> DnsOptions {
        let listened = match https {
            ip if !ip.is_unspecified() => vec![ip],
            _ => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        };
        let addresses = if self.addresses.is_empty() { listened } else { self.addresses.clone() };
        DnsOptions { addresses, name_servers: self.name_servers.clone() }
    }
}

impl Default for Dns {
    /// As many name servers as AWS's zones have: templates count on four.
    fn default() -> Self {
        let name_servers = (1..=4).map(|number| format!("ns-{number}.countersign.internal")).collect();
        Self { listen: None, addresses: Vec::new(), name_servers }
    }
}
