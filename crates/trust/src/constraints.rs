//! Name constraints (RFC 5280 section 4.2.1.10): which names a CA may certify.

use std::net::IpAddr;

use crate::certificate::SubjectAltName;
use crate::der::{self, Element, Malformed, Reader};
use crate::effort::Effort;
use crate::{Certificate, name};

/// What a CA's `nameConstraints` extension says.
#[derive(Debug, Default)]
pub(crate) struct NameConstraints {
    permitted: Vec<Subtree>,
    excluded: Vec<Subtree>,
    dotted_dns: bool,
}

#[derive(Debug)]
enum Subtree {
    Email(String),
    Dns(String),
    Uri(String),
    /// Address and mask, of equal length (4 or 16).
    Ip(Box<[u8]>, Box<[u8]>),
    /// Relative names, each in the form that [`comparable`] gives.
    Directory(Vec<Vec<u8>>),
    /// Another form, by its tag.
    Other(u8),
}

/// Why a certificate is outside of its CA's constraints.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// This name is not allowed.
    Name(String),
    /// A name or a constraint cannot be compared.
    Incomparable(&'static str),
    /// Too many names and constraints: a CA with thousands of subtrees and a leaf with thousands of names would cost
    /// minutes.
    TooMany,
}

impl NameConstraints {
    /// Reads the extension's value.
    pub(crate) fn parse(value: &[u8]) -> Result<Self, Malformed> {
        let mut fields = der::only(value, der::SEQUENCE)?.inside();
        let permitted = fields.optional(der::constructed(0))?;
        let excluded = fields.optional(der::constructed(1))?;
        fields.finish()?;
        // "Conforming CAs MUST NOT issue certificates where name constraints is an empty sequence."
        if permitted.is_none() && excluded.is_none() {
            return Err(Malformed);
        }
        let (permitted, excluded) = (subtrees(permitted)?, subtrees(excluded)?);
        let mut all = permitted.iter().chain(&excluded);
        let dotted_dns = all.any(|subtree| matches!(subtree, Subtree::Dns(base) if base.starts_with('.')));
        Ok(Self { permitted, excluded, dotted_dns })
    }

    /// Whether every name of `certificate` is allowed.
    pub(crate) fn allow(&self, certificate: &Certificate, effort: &mut Effort) -> Result<(), Violation> {
        let subject = certificate.subject_value();
        Violation::unless(effort.read_names(2 * subject.len()))?;
        if !subject.is_empty() {
            let name = Presented::Directory(relative_names(subject).map_err(|_| Violation::Incomparable("subject"))?);
            self.allow_name(&name, subject.len(), effort, || certificate.subject().to_owned())?;
        }
        let mut has_email = false;
        for alternative in certificate.subject_alt_names() {
            let presented = match alternative {
                SubjectAltName::Dns(name) => Presented::Dns(name),
                SubjectAltName::Email(name) => {
                    has_email = true;
                    Presented::Email(name)
                }
                SubjectAltName::Uri(name) => Presented::Uri(name),
                SubjectAltName::Ip(address) => Presented::Ip(*address),
                SubjectAltName::Directory(der) => {
                    Violation::unless(effort.read_names(der.len()))?;
                    let value = der::only(der, der::SEQUENCE).map_err(|_| Violation::Incomparable("directoryName"))?;
                    let names = relative_names(value.value).map_err(|_| Violation::Incomparable("directoryName"))?;
                    Presented::Directory(names)
                }
                SubjectAltName::Other(tag) => Presented::Other(*tag),
            };
            self.allow_name(&presented, alternative.octets(), effort, || alternative.to_string())?;
        }
        if !has_email {
            // "…applied to the attribute of type emailAddress in the subject distinguished name" when the
            // alternative names have none.
            for email in subject_emails(subject) {
                self.allow_name(&Presented::Email(&email), email.len(), effort, || email.clone())?;
            }
        }
        Ok(())
    }

    /// Whether a DNS base begins with a dot, which RFC 5280 does not have.
    pub(crate) fn has_dotted_dns(&self) -> bool {
        self.dotted_dns
    }

    fn allow_name(
        &self,
        name: &Presented<'_>,
        octets: usize,
        effort: &mut Effort,
        shown: impl Fn() -> String,
    ) -> Result<(), Violation> {
        for subtree in &self.excluded {
            Violation::unless(effort.compare(octets + subtree.octets()))?;
            if subtree.holds(name, true)? == Some(true) {
                return Err(Violation::Name(shown()));
            }
        }
        let mut concerned = false;
        for subtree in &self.permitted {
            Violation::unless(effort.compare(octets + subtree.octets()))?;
            match subtree.holds(name, false)? {
                Some(true) => return Ok(()),
                Some(false) => concerned = true,
                None => {}
            }
        }
        if concerned { Err(Violation::Name(shown())) } else { Ok(()) }
    }
}

impl Violation {
    fn unless(affordable: bool) -> Result<(), Self> {
        if affordable { Ok(()) } else { Err(Self::TooMany) }
    }
}

impl SubjectAltName {
    /// What comparing it costs.
    fn octets(&self) -> usize {
        match self {
            Self::Dns(name) | Self::Email(name) | Self::Uri(name) => name.len(),
            Self::Directory(der) => der.len(),
            Self::Ip(_) | Self::Other(_) => 16,
        }
    }
}

/// A name of the certificate under test.
enum Presented<'a> {
    Email(&'a str),
    Dns(&'a str),
    Uri(&'a str),
    Ip(IpAddr),
    Directory(Vec<Vec<u8>>),
    Other(u8),
}

impl Subtree {
    /// What comparing it costs.
    fn octets(&self) -> usize {
        match self {
            Self::Dns(base) | Self::Email(base) | Self::Uri(base) => base.len(),
            Self::Directory(names) => names.iter().map(Vec::len).sum(),
            Self::Ip(..) | Self::Other(_) => 16,
        }
    }

    /// Whether the name is within this subtree; `None` where they are of different forms.
    fn holds(&self, name: &Presented<'_>, excluding: bool) -> Result<Option<bool>, Violation> {
        Ok(Some(match (self, name) {
            (Self::Dns(base), Presented::Dns(name)) => dns_within(name, base, excluding)?,
            (Self::Email(base), Presented::Email(name)) => email_within(name, base)?,
            (Self::Uri(base), Presented::Uri(name)) => uri_within(name, base)?,
            (Self::Ip(base, mask), Presented::Ip(address)) => ip_within(*address, base, mask),
            (Self::Directory(base), Presented::Directory(name)) => name.starts_with(base),
            // A constraint on a form that is not understood: RFC 5280 has the certificate refused where a name of
            // that form appears.
            (Self::Other(base), Presented::Other(tag)) if base == tag => {
                return Err(Violation::Incomparable("a name of a form that is constrained but not understood"));
            }
            _ => return Ok(None),
        }))
    }
}

/// A DNS name is within a base when it is the base with zero or more labels added in front.
fn dns_within(name: &str, base: &str, excluding: bool) -> Result<bool, Violation> {
    let bad = Violation::Incomparable("a DNS name is malformed");
    let (wildcard, plain) = match name.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, name),
    };
    if !is_dns_name(plain) {
        return Err(bad);
    }
    // A base with a leading dot is not RFC 5280's, but some CAs write it, meaning "at least one label in front".
    let (base, proper) = match base.strip_prefix('.') {
        Some(base) => (base, true),
        None => (base, false),
    };
    if base.is_empty() {
        return Ok(true);
    }
    if !is_dns_name(base) {
        return Err(Violation::Incomparable("a DNS constraint is malformed"));
    }
    let within = ends_with_labels(plain, base, proper && !wildcard);
    // `*.example.com` may stand for a name that is excluded below it.
    let covers = excluding && wildcard && {
        base.len() > plain.len()
            && ends_with_labels(base, plain, true)
            && !base[..base.len() - plain.len() - 1].contains('.')
    };
    Ok(within || covers)
}

fn ends_with_labels(name: &str, base: &str, proper: bool) -> bool {
    let Some(split) = name.len().checked_sub(base.len()) else { return false };
    let (front, tail) = name.as_bytes().split_at(split);
    tail.eq_ignore_ascii_case(base.as_bytes()) && (front.last() == Some(&b'.') || (front.is_empty() && !proper))
}

fn is_dns_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// A base is one mailbox (`a@host`), all mailboxes of a host (`host`), or those of all hosts below one (`.domain`).
fn email_within(name: &str, base: &str) -> Result<bool, Violation> {
    let bad = Violation::Incomparable("an e-mail address is malformed");
    let Some((local, host)) = name.rsplit_once('@') else { return Err(bad) };
    if local.is_empty() || local.contains('@') || !name.is_ascii() || !is_dns_name(host) {
        return Err(bad);
    }
    if let Some((base_local, base_host)) = base.rsplit_once('@') {
        return Ok(local == base_local && host.eq_ignore_ascii_case(base_host));
    }
    host_within(host, base).ok_or(Violation::Incomparable("an e-mail constraint is malformed"))
}

/// The host part of a URI against `host` or `.domain`.
fn uri_within(name: &str, base: &str) -> Result<bool, Violation> {
    let bad = Violation::Incomparable("a URI has no host that could be compared");
    let Some((_, rest)) = name.split_once("://") else { return Err(bad) };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.starts_with('[') {
        return Err(bad);
    }
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    if !is_dns_name(host) || host.parse::<IpAddr>().is_ok() {
        return Err(bad);
    }
    host_within(host, base).ok_or(Violation::Incomparable("a URI constraint is malformed"))
}

fn host_within(host: &str, base: &str) -> Option<bool> {
    if base.is_empty() {
        return Some(true);
    }
    match base.strip_prefix('.') {
        Some(domain) => is_dns_name(domain).then(|| ends_with_labels(host, domain, true)),
        None => is_dns_name(base).then(|| host.eq_ignore_ascii_case(base)),
    }
}

fn ip_within(address: IpAddr, base: &[u8], mask: &[u8]) -> bool {
    let within = |octets: &[u8]| {
        octets.len() == base.len() && octets.iter().zip(base).zip(mask).all(|((a, b), m)| a & m == b & m)
    };
    match address {
        IpAddr::V4(address) => within(&address.octets()),
        IpAddr::V6(address) => within(&address.octets()),
    }
}

fn subtrees(list: Option<Element<'_>>) -> Result<Vec<Subtree>, Malformed> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let mut reader = list.inside();
    let mut subtrees = Vec::new();
    while !reader.is_empty() {
        let mut fields = reader.expect(der::SEQUENCE)?.inside();
        subtrees.push(subtree(fields.any()?)?);
        // minimum is 0 and maximum absent in RFC 5280; zero should not be written, but is.
        if let Some(minimum) = fields.optional(der::context(0))?
            && minimum.value != [0]
        {
            return Err(Malformed);
        }
        fields.finish()?;
    }
    if subtrees.is_empty() { Err(Malformed) } else { Ok(subtrees) }
}

fn subtree(base: Element<'_>) -> Result<Subtree, Malformed> {
    const EMAIL: u8 = der::context(1);
    const DNS: u8 = der::context(2);
    const DIRECTORY: u8 = der::constructed(4);
    const URI: u8 = der::context(6);
    const IP: u8 = der::context(7);
    let ascii = || std::str::from_utf8(base.value).ok().filter(|s| s.is_ascii()).map(str::to_owned).ok_or(Malformed);
    Ok(match base.tag {
        EMAIL => Subtree::Email(ascii()?),
        DNS => Subtree::Dns(ascii()?),
        URI => Subtree::Uri(ascii()?),
        IP => {
            let half = base.value.len() / 2;
            if !matches!(base.value.len(), 8 | 32) || !is_prefix_mask(&base.value[half..]) {
                return Err(Malformed);
            }
            Subtree::Ip(base.value[..half].into(), base.value[half..].into())
        }
        DIRECTORY => Subtree::Directory(relative_names(der::only(base.value, der::SEQUENCE)?.value)?),
        tag => Subtree::Other(tag),
    })
}

/// RFC 4632: ones, then zeros.
fn is_prefix_mask(mask: &[u8]) -> bool {
    let ones = mask.iter().take_while(|&&b| b == 0xff).count();
    let rest = &mask[ones..];
    rest.first().is_none_or(|b| b.leading_ones() + b.trailing_zeros() >= 8) && rest.iter().skip(1).all(|&b| b == 0)
}

fn relative_names(name: &[u8]) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut reader = Reader::new(name);
    let mut names = Vec::new();
    while !reader.is_empty() {
        names.push(comparable(reader.expect(der::SET)?)?);
    }
    Ok(names)
}

/// One relative name in a form in which equal names are equal bytes: string types, letter case and runs of blanks do
/// not count (RFC 5280 section 7.1).
fn comparable(set: Element<'_>) -> Result<Vec<u8>, Malformed> {
    let mut attributes = Vec::new();
    let mut reader = set.inside();
    while !reader.is_empty() {
        let mut parts = reader.expect(der::SEQUENCE)?.inside();
        let kind = parts.expect(der::OID)?.whole;
        let value = parts.any()?;
        parts.finish()?;
        let mut attribute = kind.to_vec();
        match name::string(value) {
            Some(text) => {
                attribute.push(0);
                let folded = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
                attribute.extend((folded.len() as u64).to_be_bytes());
                attribute.extend(folded.into_bytes());
            }
            None => {
                attribute.push(1);
                attribute.extend(value.whole);
            }
        }
        attributes.push(attribute);
    }
    attributes.sort();
    Ok(attributes.concat())
}

/// Whether two names (contents of the SEQUENCE) are the same but for string types, case and blanks.
pub(crate) fn same_name(a: &[u8], b: &[u8]) -> bool {
    matches!((relative_names(a), relative_names(b)), (Ok(a), Ok(b)) if a == b)
}

fn subject_emails(subject: &[u8]) -> Vec<String> {
    const EMAIL_ADDRESS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];
    let mut emails = Vec::new();
    let mut names = Reader::new(subject);
    while let Ok(set) = names.expect(der::SET) {
        let mut attributes = set.inside();
        while let Ok(attribute) = attributes.expect(der::SEQUENCE) {
            let mut parts = attribute.inside();
            if parts.expect(der::OID).is_ok_and(|kind| kind.value == EMAIL_ADDRESS)
                && let Some(email) = parts.any().ok().and_then(name::string)
            {
                emails.push(email);
            }
        }
    }
    emails
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns() {
        for (name, base, excluding, within) in [
            ("example.com", "example.com", false, Some(true)),
            ("a.b.EXAMPLE.com", "example.COM", false, Some(true)),
            ("badexample.com", "example.com", false, Some(false)),
            ("com", "example.com", false, Some(false)),
            ("example.com", ".example.com", false, Some(false)),
            ("a.example.com", ".example.com", false, Some(true)),
            ("anything.org", "", false, Some(true)),
            ("*.example.com", "example.com", false, Some(true)),
            ("*.example.com", "a.example.com", false, Some(false)),
            ("*.example.com", "a.example.com", true, Some(true)),
            ("*.example.com", "a.b.example.com", true, Some(false)),
            ("a b.example.com", "example.com", false, None),
            ("example.com", "*.example.com", false, None),
        ] {
            assert_eq!(dns_within(name, base, excluding).ok(), within, "{name} {base}");
        }
    }

    #[test]
    fn email() {
        for (name, base, within) in [
            ("a@example.com", "example.com", Some(true)),
            ("a@example.com", "a@EXAMPLE.com", Some(true)),
            ("A@example.com", "a@example.com", Some(false)),
            ("a@b.example.com", "example.com", Some(false)),
            ("a@b.example.com", ".example.com", Some(true)),
            ("a@example.com", ".example.com", Some(false)),
            ("*@example.com", "*@example.com", Some(true)),
            ("b@example.com", "*@example.com", Some(false)),
            ("example.com", "example.com", None),
            ("a@b@example.com", "example.com", None),
        ] {
            assert_eq!(email_within(name, base).ok(), within, "{name} {base}");
        }
    }

    #[test]
    fn uri() {
        for (name, base, within) in [
            ("https://host.example.com/x", "host.example.com", Some(true)),
            ("https://user@host.example.com:8/x", ".example.com", Some(true)),
            ("spiffe://trust.example/workload", "trust.example", Some(true)),
            ("spiffe://other.example/trust.example", "trust.example", Some(false)),
            ("https://example.com", ".example.com", Some(false)),
            ("urn:uuid:1", "example.com", None),
            ("https://10.0.0.1/", "example.com", None),
            ("https://[::1]/", "example.com", None),
        ] {
            assert_eq!(uri_within(name, base).ok(), within, "{name} {base}");
        }
    }

    #[test]
    fn masks() {
        for (mask, good) in [
            (&[255, 255, 0, 0][..], true),
            (&[255, 254, 0, 0], true),
            (&[0, 0, 0, 0], true),
            (&[255, 255, 255, 255], true),
            (&[255, 0, 255, 0], false),
            (&[253, 0, 0, 0], false),
        ] {
            assert_eq!(is_prefix_mask(mask), good, "{mask:?}");
        }
    }
}
