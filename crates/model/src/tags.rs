//! Extensions that travel as tags: `countersign:NAME` on a custom domain.

mod vpc_link;

use serde::{Deserialize, Serialize};

use crate::resource::Tags;
use crate::{ClientKey, ClientRule, LogPaths, Recording, Records, SecurityPolicy};
use trust::{Fallback, Fetch, Policy, Profile, RevocationRules, Scope};

pub use vpc_link::VpcLinkTags;

/// What the `countersign:` tags of a domain say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DomainTags {
    /// `countersign:rejection`
    pub rejection: Option<Rejection>,
    /// `countersign:profile`: `aws` (default) or `rfc5280`.
    pub profile: Profile,
    /// `countersign:eku=any`
    pub any_eku: bool,
    /// `countersign:crl`
    pub crls: Vec<CrlSource>,
    /// `countersign:revocation-fetch`, `-scope`, `-on-missing`, `-on-stale`
    pub revocation: RevocationRules,
    /// `countersign:shadow-truststore`
    pub shadow: Option<ObjectTag>,
    /// `countersign:identity-headers`
    pub identity_headers: IdentityHeaders,
    /// `countersign:client-rate`, `-burst`, `-rate-by`, `-concurrency`
    pub client_rule: ClientRule,
    /// `countersign:bound-tokens`
    pub bound_tokens: Option<BoundTokens>,
    /// `countersign:security-policy`, which goes before the domain's own.
    pub security_policy: Option<SecurityPolicy>,
    /// `countersign:audit-event=fhir`: its records are exported as FHIR's AuditEvents.
    pub audit_events: bool,
    /// `countersign:records`, `-log-paths`, `-trace`
    pub recording: Recording,
}

/// What the tags of an API say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiTags {
    /// `countersign:bound-tokens`
    pub bound_tokens: Option<BoundTokens>,
    /// `countersign:policy`
    pub policy: Option<ObjectTag>,
    /// `countersign:upstream-protocol`
    pub upstream_protocol: UpstreamProtocol,
    /// `countersign:upstream-certificate`: ARN of the certificate that is shown to https backends.
    pub upstream_certificate: Option<String>,
    /// `countersign:upstream-ca`
    pub upstream_ca: Option<ObjectTag>,
}

/// In which HTTP an API's backends are spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1; gRPC in HTTP/2 where the backend is an https one.
    #[default]
    Auto,
    /// HTTP/2 to https backends.
    H2,
    /// HTTP/2 to all backends; those without TLS are known to understand it (RFC 9113 section 3.3).
    H2c,
}

/// Whether a token has to be bound to the client's certificate (RFC 8705 section 3). The later is the stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BoundTokens {
    /// As on AWS: what a token says about a certificate is not looked at.
    Off,
    /// A token that says to which certificate it is bound comes with that one; others come with any.
    #[default]
    WhenPresent,
    /// Every token is bound to the client's certificate.
    Required,
}

/// An object of S3, named by a tag and its sibling for the version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectTag {
    /// `s3://bucket/key`
    pub uri: String,
    /// None: the newest.
    pub version: Option<String>,
}

/// Where a revocation list comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrlSource {
    /// An object.
    Object(ObjectTag),
    /// `file:NAME`, below the directory that the server's configuration names.
    File(String),
}

/// How the backend is told who the client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IdentityHeaders {
    /// Not at all.
    #[default]
    None,
    /// `Client-Cert` and `Client-Cert-Chain` (RFC 9440).
    Rfc9440,
    /// Envoy's `X-Forwarded-Client-Cert`.
    Xfcc,
    /// `X-Amzn-Mtls-Clientcert-…`, as AWS's Application Load Balancer sets them.
    Amzn,
    /// `X-SSL-Client-…`, as nginx is commonly configured to set them.
    Nginx,
}

/// How a client without a trusted certificate is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rejection {
    /// HTTP 403 after the handshake.
    #[default]
    Respond,
    /// A TLS alert inside the handshake.
    Alert,
    /// The connection is reset once the handshake is done.
    Reset,
    /// As AWS does: reset when the certificate is missing, 403 otherwise.
    Aws,
}

/// A tag that says nothing we know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// No such extension.
    #[error("Unknown tag {0}: tags that start with countersign: are reserved. Known: {KNOWN}")]
    Unknown(String),
    /// No such extension of an API.
    #[error(
        "Unknown tag {0} on an API: tags that start with countersign: are reserved. Known on APIs: {KNOWN_ON_APIS}; others belong on a custom domain name"
    )]
    UnknownOnApi(String),
    /// No such extension of a VPC link.
    #[error(
        "Unknown tag {0} on a VPC link: tags that start with countersign: are reserved. Known on VPC links: countersign:upstream"
    )]
    UnknownOnVpcLink(String),
    /// The extension has no such value.
    #[error("Invalid value '{value}' of tag {tag}. Expected: {expected}")]
    Value {
        /// The tag's name.
        tag: &'static str,
        /// What was given.
        value: String,
        /// What may be given.
        expected: &'static str,
    },
}

const PREFIX: &str = "countersign:";
const KNOWN: &str = "countersign:audit-event, countersign:bound-tokens, countersign:client-burst, countersign:client-concurrency, countersign:client-rate, \
                     countersign:client-rate-by, countersign:crl, countersign:crl-version, countersign:eku, countersign:identity-headers, \
                     countersign:log-paths, countersign:profile, countersign:records, countersign:rejection, countersign:revocation-fetch, \
                     countersign:revocation-on-missing, countersign:revocation-on-stale, \
                     countersign:revocation-scope, countersign:security-policy, countersign:shadow-truststore, \
                     countersign:shadow-truststore-version, countersign:trace";
const KNOWN_ON_APIS: &str = "countersign:bound-tokens, countersign:policy, countersign:policy-version, \
                             countersign:upstream-ca, countersign:upstream-ca-version, \
                             countersign:upstream-certificate, countersign:upstream-protocol";
const POLICY_VERSION: &str = "countersign:policy-version";
const UPSTREAM_CA_VERSION: &str = "countersign:upstream-ca-version";
const OBJECT: &str = "s3://bucket/key";
/// What `countersign:client-rate` may be, requests a second.
const CLIENT_RATES: std::ops::RangeInclusive<f64> = 0.001..=1_000_000.0;
/// The largest burst and concurrency of one client.
const MOST_REQUESTS: u32 = 1_000_000;
const COUNTS: &str = "1 to 1000000";
const SECURITY_POLICIES: &str =
    "the name of a security policy of REGIONAL endpoints, such as SecurityPolicy_TLS13_1_3_2025_09";

impl DomainTags {
    /// Reads a domain's tags; those of others are ignored.
    pub fn parse(tags: &Tags) -> Result<Self, TagError> {
        let mut parsed = Self::default();
        for (name, value) in tags.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            parsed.set(name, value)?;
        }
        parsed.set_versions(tags)?;
        parsed.client_rule_is_whole(tags)?;
        Ok(parsed)
    }

    /// Versions are in tags of their own: the values of AWS's tags have no question mark.
    fn set_versions(&mut self, tags: &Tags) -> Result<(), TagError> {
        let without = |tag, value: &String, expected| Err(TagError::Value { tag, value: value.clone(), expected });
        if let Some(version) = tags.get("countersign:shadow-truststore-version") {
            match &mut self.shadow {
                Some(object) => object.version = Some(version.clone()),
                None => {
                    let expected = "no version without countersign:shadow-truststore";
                    return without("countersign:shadow-truststore-version", version, expected);
                }
            }
        }
        if let Some(version) = tags.get("countersign:crl-version") {
            match &mut self.crls[..] {
                [CrlSource::Object(object)] => object.version = Some(version.clone()),
                _ => {
                    let expected = "no version unless countersign:crl names one object";
                    return without("countersign:crl-version", version, expected);
                }
            }
        }
        Ok(())
    }

    /// A limit that would have no effect is a mistake.
    fn client_rule_is_whole(&self, tags: &Tags) -> Result<(), TagError> {
        let rule = &self.client_rule;
        let checks = [
            ("countersign:client-burst", rule.rate.is_none(), "no burst without countersign:client-rate"),
            (
                "countersign:client-rate-by",
                !rule.is_set(),
                "nothing without countersign:client-rate or countersign:client-concurrency",
            ),
        ];
        for (tag, is_alone, expected) in checks {
            if let Some(value) = tags.get(tag).filter(|_| is_alone) {
                return Err(TagError::Value { tag, value: value.clone(), expected });
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), TagError> {
        let error = |tag, expected| Err(TagError::Value { tag, value: value.to_owned(), expected });
        match name {
            "countersign:rejection" => match Rejection::parse(value) {
                Some(rejection) => self.rejection = Some(rejection),
                None => return error("countersign:rejection", Rejection::VALUES),
            },
            "countersign:profile" => match value {
                "aws" => self.profile = Profile::Aws,
                "rfc5280" => self.profile = Profile::Rfc5280,
                _ => return error("countersign:profile", "aws, rfc5280"),
            },
            "countersign:eku" => match value {
                "any" => self.any_eku = true,
                "client" => self.any_eku = false,
                _ => return error("countersign:eku", "any, client"),
            },
            "countersign:crl" => match value.split_ascii_whitespace().map(CrlSource::parse).collect::<Option<Vec<_>>>()
            {
                Some(sources) if !sources.is_empty() => self.crls = sources,
                _ => return error("countersign:crl", "s3://bucket/key or file:NAME, several between blanks"),
            },
            "countersign:shadow-truststore" => match ObjectTag::parse(value) {
                Some(object) => self.shadow = Some(object),
                None => return error("countersign:shadow-truststore", OBJECT),
            },
            "countersign:identity-headers" => match IdentityHeaders::parse(value) {
                Some(headers) => self.identity_headers = headers,
                None => return error("countersign:identity-headers", IdentityHeaders::VALUES),
            },
            "countersign:bound-tokens" => match BoundTokens::parse(value) {
                Some(bound) => self.bound_tokens = Some(bound),
                None => return error("countersign:bound-tokens", BoundTokens::VALUES),
            },
            "countersign:security-policy" => match SecurityPolicy::parse(value).filter(|policy| policy.is_enhanced()) {
                Some(policy) => self.security_policy = Some(policy),
                None => return error("countersign:security-policy", SECURITY_POLICIES),
            },
            "countersign:records" => match Records::parse(value) {
                Some(records) => self.recording.records = records,
                None => return error("countersign:records", Records::VALUES),
            },
            "countersign:log-paths" => match LogPaths::parse(value) {
                Some(paths) => self.recording.paths = paths,
                None => return error("countersign:log-paths", LogPaths::VALUES),
            },
            "countersign:audit-event" => match value {
                "fhir" => self.audit_events = true,
                "none" => self.audit_events = false,
                _ => return error("countersign:audit-event", "fhir, none"),
            },
            "countersign:trace" => match value {
                "on" => self.recording.begins_traces = true,
                "off" => self.recording.begins_traces = false,
                _ => return error("countersign:trace", "on, off"),
            },
            "countersign:crl-version" | "countersign:shadow-truststore-version" => {}
            _ if name.starts_with("countersign:client-") => return self.set_client_rule(name, value),
            _ => return self.set_revocation(name, value),
        }
        Ok(())
    }

    fn set_revocation(&mut self, name: &str, value: &str) -> Result<(), TagError> {
        let rules = &mut self.revocation;
        let invalid = |tag, expected| TagError::Value { tag, value: value.to_owned(), expected };
        match name {
            "countersign:revocation-fetch" => {
                rules.fetch =
                    Fetch::parse(value).ok_or_else(|| invalid("countersign:revocation-fetch", Fetch::VALUES))?;
            }
            "countersign:revocation-scope" => {
                rules.scope =
                    Scope::parse(value).ok_or_else(|| invalid("countersign:revocation-scope", Scope::VALUES))?;
            }
            "countersign:revocation-on-missing" => {
                rules.on_missing = Fallback::parse(value)
                    .ok_or_else(|| invalid("countersign:revocation-on-missing", Fallback::VALUES))?;
            }
            "countersign:revocation-on-stale" => {
                rules.on_stale = Fallback::parse(value)
                    .ok_or_else(|| invalid("countersign:revocation-on-stale", Fallback::VALUES))?;
            }
            unknown => return Err(TagError::Unknown(unknown.to_owned())),
        }
        Ok(())
    }

    fn set_client_rule(&mut self, name: &str, value: &str) -> Result<(), TagError> {
        let rule = &mut self.client_rule;
        let invalid = |tag, expected| TagError::Value { tag, value: value.to_owned(), expected };
        match name {
            "countersign:client-rate" => {
                let rate = decimal(value).filter(|rate| CLIENT_RATES.contains(rate));
                rule.rate = Some(rate.ok_or_else(|| invalid("countersign:client-rate", "0.001 to 1000000"))?);
            }
            "countersign:client-burst" => {
                rule.burst = Some(count(value).ok_or_else(|| invalid("countersign:client-burst", COUNTS))?);
            }
            "countersign:client-concurrency" => {
                rule.concurrency = Some(count(value).ok_or_else(|| invalid("countersign:client-concurrency", COUNTS))?);
            }
            "countersign:client-rate-by" => {
                rule.by =
                    ClientKey::parse(value).ok_or_else(|| invalid("countersign:client-rate-by", ClientKey::VALUES))?;
            }
            unknown => return Err(TagError::Unknown(unknown.to_owned())),
        }
        Ok(())
    }

    /// Refuses `countersign:` tags on a resource that has none.
    pub fn refuse_on_other_resources(tags: &Tags) -> Result<(), TagError> {
        match tags.keys().find(|name| name.starts_with(PREFIX)) {
            Some(name) => {
                Err(TagError::Unknown(format!("{name} on this resource (it belongs on a custom domain name)")))
            }
            None => Ok(()),
        }
    }

    /// What is checked of revocations; none until a list or a way to fetch one is named.
    pub fn revocation(&self) -> Option<RevocationRules> {
        let is_on = !self.crls.is_empty() || self.revocation.fetch != Fetch::None;
        is_on.then_some(self.revocation)
    }

    /// The judge's rules.
    pub fn policy(&self) -> Policy {
        Policy { any_eku: self.any_eku, ..Policy::of(self.profile) }
    }
}

/// Digits, and a point with more of them: none of the other forms that a float may have.
fn decimal(value: &str) -> Option<f64> {
    value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then(|| value.parse().ok())?
}

fn count(value: &str) -> Option<u32> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|count| digits && (1..=MOST_REQUESTS).contains(count))
}

impl ApiTags {
    /// Reads an API's tags; those of others are ignored.
    pub fn parse(tags: &Tags) -> Result<Self, TagError> {
        let mut parsed = Self::default();
        for (name, value) in tags.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            parsed.set(name, value)?;
        }
        let versions = [
            (UPSTREAM_CA_VERSION, &mut parsed.upstream_ca, "no version without countersign:upstream-ca"),
            (POLICY_VERSION, &mut parsed.policy, "no version without countersign:policy"),
        ];
        for (tag, object, expected) in versions {
            if let Some(version) = tags.get(tag) {
                let alone = || TagError::Value { tag, value: version.clone(), expected };
                object.as_mut().ok_or_else(alone)?.version = Some(version.clone());
            }
        }
        Ok(parsed)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), TagError> {
        let invalid = |tag, expected| TagError::Value { tag, value: value.to_owned(), expected };
        match name {
            "countersign:bound-tokens" => {
                let bound = BoundTokens::parse(value);
                self.bound_tokens =
                    Some(bound.ok_or_else(|| invalid("countersign:bound-tokens", BoundTokens::VALUES))?);
            }
            "countersign:upstream-protocol" => {
                let protocol = UpstreamProtocol::parse(value);
                self.upstream_protocol =
                    protocol.ok_or_else(|| invalid("countersign:upstream-protocol", UpstreamProtocol::VALUES))?;
            }
            "countersign:upstream-certificate" => {
                let arn = Some(value).filter(|value| value.starts_with("arn:"));
                let arn =
                    arn.ok_or_else(|| invalid("countersign:upstream-certificate", "the ARN of a certificate in ACM"));
                self.upstream_certificate = Some(arn?.to_owned());
            }
            "countersign:upstream-ca" => {
                let object = ObjectTag::parse(value);
                self.upstream_ca = Some(object.ok_or_else(|| invalid("countersign:upstream-ca", OBJECT))?);
            }
            "countersign:policy" => {
                let object = ObjectTag::parse(value);
                self.policy = Some(object.ok_or_else(|| invalid("countersign:policy", OBJECT))?);
            }
            UPSTREAM_CA_VERSION | POLICY_VERSION => {}
            other => return Err(TagError::UnknownOnApi(other.to_owned())),
        }
        Ok(())
    }
}

impl UpstreamProtocol {
    /// What may be given.
    pub const VALUES: &str = "auto, h2, h2c";

    fn parse(value: &str) -> Option<Self> {
        Some(match value {
            "auto" => Self::Auto,
            "h2" => Self::H2,
            "h2c" => Self::H2c,
            _ => return None,
        })
    }
}

impl BoundTokens {
    /// What may be given.
    pub const VALUES: &str = "off, when-present, required";

    /// The stricter of what a domain's and an API's tags say, or the default where neither says anything.
    pub fn stricter(of_domain: Option<Self>, of_api: Option<Self>) -> Self {
        of_domain.max(of_api).unwrap_or_default()
    }

    fn parse(value: &str) -> Option<Self> {
        Some(match value {
            "off" => Self::Off,
            "when-present" => Self::WhenPresent,
            "required" => Self::Required,
            _ => return None,
        })
    }
}

impl ObjectTag {
    fn parse(uri: &str) -> Option<Self> {
        let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
        (!bucket.is_empty() && !key.is_empty()).then(|| Self { uri: uri.to_owned(), version: None })
    }
}

impl CrlSource {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("file:") {
            // One name below the directory, no way out of it.
            Some(name) => {
                let plain = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
                plain.then(|| Self::File(name.to_owned()))
            }
            None => ObjectTag::parse(text).map(Self::Object),
        }
    }
}

impl IdentityHeaders {
    /// What may be given.
    pub const VALUES: &str = "none, rfc9440, xfcc, amzn, nginx";

    fn parse(value: &str) -> Option<Self> {
        Some(match value {
            "none" => Self::None,
            "rfc9440" => Self::Rfc9440,
            "xfcc" => Self::Xfcc,
            "amzn" => Self::Amzn,
            "nginx" => Self::Nginx,
            _ => return None,
        })
    }
}

impl Rejection {
    /// What [`Rejection::parse`] takes.
    pub const VALUES: &str = "respond, alert, reset, aws";

    /// By its name in tags and configuration.
    pub fn parse(value: &str) -> Option<Self> {
        Some(match value {
            "respond" => Self::Respond,
            "alert" => Self::Alert,
            "reset" => Self::Reset,
            "aws" => Self::Aws,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn known_tags_are_read_and_foreign_ones_ignored() {
        let read = DomainTags::parse(&tags(&[
            ("countersign:rejection", "alert"),
            ("countersign:profile", "rfc5280"),
            ("countersign:eku", "any"),
            ("countersign:crl", "s3://b/a.crl"),
            ("countersign:crl-version", "v1"),
            ("countersign:revocation-fetch", "ocsp+crl"),
            ("countersign:revocation-scope", "leaf"),
            ("countersign:revocation-on-missing", "allow"),
            ("countersign:revocation-on-stale", "deny"),
            ("countersign:shadow-truststore", "s3://b/next.pem"),
            ("countersign:identity-headers", "xfcc"),
            ("countersign:client-rate", "2.5"),
            ("countersign:client-burst", "10"),
            ("countersign:client-rate-by", "san-uri"),
            ("countersign:client-concurrency", "3"),
            ("countersign:bound-tokens", "required"),
            ("countersign:security-policy", "SecurityPolicy_TLS13_1_3_2025_09"),
            ("countersign:records", "required"),
            ("countersign:log-paths", "full"),
            ("countersign:trace", "on"),
            ("countersign:audit-event", "fhir"),
            ("team", "edge"),
        ]));
        let object = |uri: &str, version: Option<&str>| ObjectTag { uri: uri.into(), version: version.map(Into::into) };
        let wanted = DomainTags {
            rejection: Some(Rejection::Alert),
            profile: Profile::Rfc5280,
            any_eku: true,
            crls: vec![CrlSource::Object(object("s3://b/a.crl", Some("v1")))],
            revocation: RevocationRules {
                scope: Scope::Leaf,
                on_missing: Fallback::Allow,
                on_stale: Fallback::Deny,
                fetch: Fetch::OcspThenCrl,
            },
            shadow: Some(object("s3://b/next.pem", None)),
            identity_headers: IdentityHeaders::Xfcc,
            client_rule: ClientRule { rate: Some(2.5), burst: Some(10), concurrency: Some(3), by: ClientKey::SanUri },
            bound_tokens: Some(BoundTokens::Required),
            security_policy: Some(SecurityPolicy::Tls13),
            audit_events: true,
            recording: Recording { records: Records::Required, paths: LogPaths::Full, begins_traces: true },
        };
        assert_eq!(read, Ok(wanted));
    }

    #[test]
    fn revocation_is_checked_once_there_is_something_to_check_by() {
        let rules = |pairs: &[(&str, &str)]| DomainTags::parse(&tags(pairs)).unwrap().revocation();
        assert_eq!(rules(&[]), None);
        assert_eq!(rules(&[("countersign:revocation-fetch", "none"), ("countersign:revocation-scope", "leaf")]), None);
        assert_eq!(rules(&[("countersign:crl", "file:ca.crl")]), Some(RevocationRules::default()));
        let fetched = RevocationRules { fetch: Fetch::Crl, ..RevocationRules::default() };
        assert_eq!(rules(&[("countersign:revocation-fetch", "crl")]), Some(fetched));
    }

    #[test]
    fn unknown_names_and_values_are_told() {
        for (name, value, said) in [
            ("countersign:rejektion", "alert", "Unknown tag countersign:rejektion"),
            ("countersign:rejection", "Alert", "Invalid value 'Alert'"),
            ("countersign:eku", "", "Expected: any, client"),
            ("countersign:crl", " ", "Expected: s3://"),
            ("countersign:crl", "s3://b/a.crl file:../secret", "Expected: s3://"),
            ("countersign:crl", "file:.hidden", "Expected: s3://"),
            ("countersign:crl-version", "v1", "no version unless"),
            ("countersign:revocation-fetch", "all", "Expected: none, crl, ocsp, ocsp+crl"),
            ("countersign:revocation-scope", "", "Expected: chain, leaf"),
            ("countersign:revocation-on-missing", "reject", "Expected: deny, allow"),
            ("countersign:revocation-on-stale", "Deny", "Expected: deny, allow"),
            ("countersign:revocation", "on", "Unknown tag"),
            ("countersign:shadow-truststore", "s3://b", "Expected: s3://bucket/key"),
            ("countersign:shadow-truststore-version", "v1", "no version without"),
            ("countersign:identity-headers", "all", "Expected: none"),
            ("countersign:client-rate", "0", "Expected: 0.001 to 1000000"),
            ("countersign:client-rate", "-1", "Expected: 0.001"),
            ("countersign:client-rate", "NaN", "Expected: 0.001"),
            ("countersign:client-rate", "inf", "Expected: 0.001"),
            ("countersign:client-rate", "1e3", "Expected: 0.001"),
            ("countersign:client-rate", "", "Expected: 0.001"),
            ("countersign:client-burst", "5", "no burst without countersign:client-rate"),
            ("countersign:client-burst", "0", "Expected: 1 to 1000000"),
            ("countersign:client-concurrency", "+1", "Expected: 1 to 1000000"),
            ("countersign:client-concurrency", "1000001", "Expected: 1 to 1000000"),
            ("countersign:client-rate-by", "subject", "nothing without"),
            ("countersign:client-rate-by", "ip", "Expected: fingerprint"),
            ("countersign:client-rates", "1", "Unknown tag"),
            ("countersign:bound-tokens", "on", "Expected: off, when-present, required"),
            ("countersign:security-policy", "TLS_1_2", "such as SecurityPolicy_TLS13_1_3_2025_09"),
            ("countersign:security-policy", "SecurityPolicy_TLS13_2025_EDGE", "of REGIONAL endpoints"),
        ] {
            let error = DomainTags::parse(&tags(&[(name, value)])).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(DomainTags::refuse_on_other_resources(&tags(&[("countersign:eku", "any")])).is_err());
    }
    #[test]
    fn the_stricter_of_domain_and_api_holds() {
        use BoundTokens::{Off, Required, WhenPresent};
        for (of_domain, of_api, holds) in [
            (None, None, WhenPresent),
            (Some(Off), None, Off),
            (None, Some(Off), Off),
            (Some(Off), Some(WhenPresent), WhenPresent),
            (Some(Required), Some(Off), Required),
            (Some(Off), Some(Required), Required),
        ] {
            assert_eq!(BoundTokens::stricter(of_domain, of_api), holds, "{of_domain:?} {of_api:?}");
        }
        let of_api = |name, value| ApiTags::parse(&tags(&[(name, value), ("team", "edge")]));
        assert_eq!(
            of_api("countersign:bound-tokens", "off"),
            Ok(ApiTags { bound_tokens: Some(Off), ..ApiTags::default() })
        );
        let protocol = of_api("countersign:upstream-protocol", "h2c").map(|tags| tags.upstream_protocol);
        assert_eq!(protocol, Ok(UpstreamProtocol::H2c));
        assert!(
            of_api("countersign:upstream-ca-version", "v1").unwrap_err().to_string().contains("no version without")
        );
        assert!(of_api("countersign:policy-version", "v1").unwrap_err().to_string().contains("no version without"));
        assert!(of_api("countersign:policy", "policy.cedar").unwrap_err().to_string().contains("Expected: s3://"));
        assert!(of_api("countersign:upstream-certificate", "mine").unwrap_err().to_string().contains("the ARN"));
        let ca = ApiTags::parse(&tags(&[
            ("countersign:upstream-ca", "s3://b/ca.pem"),
            ("countersign:upstream-ca-version", "v1"),
            ("countersign:upstream-certificate", "arn:aws:acm:r:1:certificate/x"),
            ("countersign:policy", "s3://b/p.cedar"),
            ("countersign:policy-version", "v2"),
        ]));
        let ca = ca.unwrap();
        assert_eq!(ca.policy, Some(ObjectTag { uri: "s3://b/p.cedar".into(), version: Some("v2".into()) }));
        assert_eq!(ca.upstream_ca, Some(ObjectTag { uri: "s3://b/ca.pem".into(), version: Some("v1".into()) }));
        assert_eq!(ca.upstream_certificate.as_deref(), Some("arn:aws:acm:r:1:certificate/x"));
        assert!(of_api("countersign:upstream-protocol", "http/2").unwrap_err().to_string().contains("auto, h2, h2c"));
        assert!(of_api("countersign:bound-tokens", "").is_err());
        assert!(of_api("countersign:crl", "file:a").unwrap_err().to_string().contains("custom domain name"));
    }
}
