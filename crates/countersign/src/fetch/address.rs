//! Where a fetcher may connect to. Whoever has a certificate signed can write any URL into it, and whoever answers can redirect
//! anywhere, so that none of them may lead into the networks that this machine is in.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// An address, or a network of them, that may be connected to although it is not a public one: `10.1.0.0/16`, `127.0.0.1`,
/// `127.0.0.1:8080`, `[fd00::1]:80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    network: IpAddr,
    prefix: u8,
    /// None: every port.
    port: Option<u16>,
}

/// Text that names no address and no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address: write 10.1.0.0/16, 127.0.0.1, 127.0.0.1:8080 or [fd00::1]:80")]
pub(crate) struct NoAddress(String);

/// Whether the fetcher may connect to `address`.
pub(super) fn may_connect(address: SocketAddr, listed: &[Listed]) -> bool {
    is_public(address.ip()) || listed.iter().any(|listed| listed.holds(address))
}

/// Whether an address is one of the internet's (IANA's special-purpose registries, RFC 6890): not this machine's, its link's or its
/// site's, no group's, none for documents or tests, and no IPv6 form of such an IPv4 address.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => is_public_v4(v4),
            None => is_public_v6(v6),
        },
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    const SPECIAL: [(Ipv4Addr, u8); 14] = [
        (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network
        (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
        (Ipv4Addr::new(100, 64, 0, 0), 10),   // behind a provider's NAT
        (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
        (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local; the metadata services of clouds
        (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
        (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
        (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
        (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays of old
        (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
        (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
        (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
        (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
        (Ipv4Addr::new(224, 0, 0, 0), 3),     // groups, reserved, broadcast
    ];
    !SPECIAL.iter().any(|&(network, prefix)| is_within(v4.into(), network.into(), prefix))
}

/// Only 2000::/3 was ever given out.
fn is_public_v6(v6: Ipv6Addr) -> bool {
    const SPECIAL: [(Ipv6Addr, u8); 3] = [
        (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments: Teredo, ORCHID, benchmarks
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
        (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
    ];
    let global = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0);
    is_within(v6.into(), global.into(), 3)
        && !SPECIAL.iter().any(|&(network, prefix)| is_within(v6.into(), network.into(), prefix))
}

/// The IPv4 address that a translator reaches by this one: NAT64's well-known prefix (RFC 6052), 6to4 (RFC 3056).
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = v6.to_bits();
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(Ipv4Addr::from_bits(bits as u32)),
        [0x2002, ..] => Some(Ipv4Addr::from_bits((bits >> 80) as u32)),
        _ => None,
    }
}

impl Listed {
    fn holds(&self, address: SocketAddr) -> bool {
        is_within(address.ip().to_canonical(), self.network, self.prefix)
            && self.port.is_none_or(|port| port == address.port())
    }
}

impl FromStr for Listed {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let wrong = || NoAddress(text.to_owned());
        let (address, prefix, port) = if let Ok(address) = text.parse::<IpAddr>() {
            (address, None, None)
        } else if let Ok(address) = text.parse::<SocketAddr>() {
            (address.ip(), None, Some(address.port()))
        } else {
            let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
            (address.parse().map_err(|_| wrong())?, Some(prefix.parse::<u8>().map_err(|_| wrong())?), None)
        };
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        if prefix > bits {
            return Err(wrong());
        }
        Ok(Self { network: address, prefix, port })
    }
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}", SocketAddr::new(self.network, port)),
            None => write!(f, "{}/{}", self.network, self.prefix),
        }
    }
}

fn is_within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let (differing, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits() ^ b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits(), 128),
        _ => return false,
    };
    differing.checked_shr(width - u32::from(prefix)).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_internet() {
        for address in [
            "8.8.8.8",
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.114.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:200::1",
            "3ffe::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn nothing_that_is_near() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.170",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "2001::1",
            "2001:10::1",
            "2001:20::1",
            "100::1",
            "5f00::1",
            "4000::1",
            // Other forms of the same.
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::10.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::8.8.8.8",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "2002:c0a8:1::1",
            "::ffff:0:127.0.0.1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn what_is_listed_may_be_connected_to() {
        for (listed, address, may) in [
            ("10.1.0.0/16", "10.1.255.1:80", true),
            ("10.1.0.0/16", "10.2.0.1:80", false),
            ("10.1.0.0/16", "[::ffff:10.1.0.1]:80", true),
            ("10.1.0.0/16", "[64:ff9b::10.1.0.1]:80", false),
            ("127.0.0.1", "127.0.0.1:1", true),
            ("127.0.0.1", "127.0.0.2:1", false),
            ("127.0.0.1:8080", "127.0.0.1:8080", true),
            ("127.0.0.1:8080", "127.0.0.1:8081", false),
            ("[fd00::1]:80", "[fd00::1]:80", true),
            ("[fd00::1]:80", "[fd00::2]:80", false),
            ("fd00::/8", "[fd12:3456::1]:443", true),
            ("::/0", "127.0.0.1:80", false),
            ("0.0.0.0/0", "127.0.0.1:80", true),
        ] {
            let listed = [listed.parse().unwrap()];
            assert_eq!(may_connect(address.parse().unwrap(), &listed), may, "{listed:?} {address}");
        }
        for wrong in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.1/16",
            "127.0.0.1:x",
            "::/129",
            "10.0.0.0/8:80",
        ] {
            assert!(wrong.parse::<Listed>().is_err(), "{wrong}");
        }
        assert_eq!("[fd00::1]:80".parse::<Listed>().unwrap().to_string(), "[fd00::1]:80");
        assert_eq!("10.0.0.0/8".parse::<Listed>().unwrap().to_string(), "10.0.0.0/8");
    }
}
