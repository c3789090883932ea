//! Security policies: which TLS a domain name speaks, by AWS's names.

use serde::{Deserialize, Serialize};

/// `securityPolicy` of a regional domain name. What each has of versions and cipher suites is AWS's table ("Supported security
/// policies" in the developer guide), as far as there is nothing weak in it: key exchanges are ephemeral and ciphers are AEADs in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SecurityPolicy {
    /// TLS 1.2 and 1.3.
    #[default]
    #[serde(rename = "TLS_1_2")]
    Tls12,
    /// TLS 1.2 and 1.3.
    #[serde(rename = "SecurityPolicy_TLS13_1_2_2021_06")]
    Tls12And13,
    /// The same, with hybrid key exchanges.
    #[serde(rename = "SecurityPolicy_TLS13_1_2_PQ_2025_09")]
    Tls12And13Pq,
    /// The same as [`Self::Tls12And13Pq`] here: there is no key exchange without forward secrecy in any.
    #[serde(rename = "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09")]
    Tls12And13PfsPq,
    /// With hybrid key exchanges, and with FIPS 140's algorithms only.
    #[serde(rename = "SecurityPolicy_TLS13_1_2_FIPS_PQ_2025_09")]
    Tls12And13FipsPq,
    /// The same as [`Self::Tls12And13FipsPq`] here.
    #[serde(rename = "SecurityPolicy_TLS13_1_2_FIPS_PFS_PQ_2025_09")]
    Tls12And13FipsPfsPq,
    /// TLS 1.3.
    #[serde(rename = "SecurityPolicy_TLS13_1_3_2025_09")]
    Tls13,
    /// TLS 1.3, with FIPS 140's algorithms only.
    #[serde(rename = "SecurityPolicy_TLS13_1_3_FIPS_2025_09")]
    Tls13Fips,
}

impl SecurityPolicy {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Tls12,
        Self::Tls12And13,
        Self::Tls12And13Pq,
        Self::Tls12And13PfsPq,
        Self::Tls12And13FipsPq,
        Self::Tls12And13FipsPfsPq,
        Self::Tls13,
        Self::Tls13Fips,
    ];

    /// By AWS's name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == name)
    }

    /// AWS's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "TLS_1_2",
            Self::Tls12And13 => "SecurityPolicy_TLS13_1_2_2021_06",
            Self::Tls12And13Pq => "SecurityPolicy_TLS13_1_2_PQ_2025_09",
            Self::Tls12And13PfsPq => "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09",
            Self::Tls12And13FipsPq => "SecurityPolicy_TLS13_1_2_FIPS_PQ_2025_09",
            Self::Tls12And13FipsPfsPq => "SecurityPolicy_TLS13_1_2_FIPS_PFS_PQ_2025_09",
            Self::Tls13 => "SecurityPolicy_TLS13_1_3_2025_09",
            Self::Tls13Fips => "SecurityPolicy_TLS13_1_3_FIPS_2025_09",
        }
    }

    /// What AWS calls enhanced: it comes with an endpoint access mode, and not with mutual TLS or HTTP APIs.
    pub fn is_enhanced(self) -> bool {
        self != Self::Tls12
    }

    /// Whether TLS 1.2 is spoken besides 1.3.
    pub fn speaks_tls12(self) -> bool {
        !matches!(self, Self::Tls13 | Self::Tls13Fips)
    }

    /// Whether only FIPS 140's algorithms are used.
    pub fn is_fips(self) -> bool {
        matches!(self, Self::Tls12And13FipsPq | Self::Tls12And13FipsPfsPq | Self::Tls13Fips)
    }

    /// Whether key exchanges may be hybrid ones, with ML-KEM. `TLS_1_2` has them here, as it has all that is good.
    pub fn is_post_quantum(self) -> bool {
        !matches!(self, Self::Tls12And13 | Self::Tls13 | Self::Tls13Fips)
    }
}

/// `endpointAccessMode` of a domain name. A request's host has to be that of the handshake (SNI) with either of them here, as with
/// any policy; AWS asks for that with [`Self::Strict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EndpointAccessMode {
    /// `BASIC`
    Basic,
    /// `STRICT`
    Strict,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_and_stored_alike() {
        for policy in SecurityPolicy::ALL {
            assert_eq!(SecurityPolicy::parse(policy.as_str()), Some(policy));
            assert_eq!(serde_json::to_value(policy).unwrap(), policy.as_str());
        }
        assert_eq!(SecurityPolicy::parse("TLS_1_0"), None);
        assert_eq!(SecurityPolicy::parse("SecurityPolicy_TLS13_2025_EDGE"), None);
    }

    #[test]
    fn a_name_says_what_is_in_it() {
        for policy in SecurityPolicy::ALL.into_iter().filter(|policy| policy.is_enhanced()) {
            let name = policy.as_str();
            assert_eq!(policy.is_fips(), name.contains("_FIPS_"), "{name}");
            assert_eq!(policy.is_post_quantum(), name.contains("_PQ_"), "{name}");
            assert_eq!(policy.speaks_tls12(), name.contains("TLS13_1_2_"), "{name}");
        }
    }
}
