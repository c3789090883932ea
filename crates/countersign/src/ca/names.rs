//! Names as certificates hold them.

use rcgen::string::{Ia5String, PrintableString};
use rcgen::{DistinguishedName, DnType, DnValue, SanType};
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::name::Name;

use crate::answer::Failure;

/// Characters of a common name (RFC 5280 appendix A.1, ub-common-name).
const MAX_COMMON_NAME: usize = 64;

/// A name that is a common name alone.
pub(super) fn common(name: &str) -> Result<DistinguishedName, Failure> {
    if name.is_empty() || name.chars().count() > MAX_COMMON_NAME {
        return Err(Failure::new(format!("a common name has 1 to {MAX_COMMON_NAME} characters")));
    }
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    Ok(distinguished)
}

/// The name as rcgen writes it; `None` where it cannot. Whoever uses it has to compare what was written: of attributes of one
/// kind only one is left.
pub(super) fn distinguished(name: &Name) -> Option<DistinguishedName> {
    let mut distinguished = DistinguishedName::new();
    for attribute in name.iter() {
        let kind = DnType::CustomDnType(attribute.oid.arcs().map(u64::from).collect());
        let value = &attribute.value;
        let value = if let Ok(text) = value.decode_as::<Utf8StringRef<'_>>() {
            DnValue::Utf8String(text.as_str().to_owned())
        } else if let Ok(text) = value.decode_as::<PrintableStringRef<'_>>() {
            DnValue::PrintableString(PrintableString::try_from(text.as_str()).ok()?)
        } else if let Ok(text) = value.decode_as::<Ia5StringRef<'_>>() {
            DnValue::Ia5String(Ia5String::try_from(text.as_str()).ok()?)
        } else {
            return None;
        };
        distinguished.push(kind, value);
    }
    Some(distinguished)
}

/// An address or a DNS name.
pub(super) fn server(name: &str) -> Result<SanType, Failure> {
    match name.parse() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => dns(name),
    }
}

/// `dns:api.example.com`, `uri:spiffe://example.org/a`, `email:a@example.com`, `ip:192.0.2.1`
pub(super) fn alternative(text: &str) -> Result<SanType, Failure> {
    let wrong = || {
        Failure::new(format!("{text} is no alternative name: expected dns:NAME, uri:URI, email:ADDRESS or ip:ADDRESS"))
    };
    let (kind, value) = text.split_once(':').ok_or_else(wrong)?;
    match kind.to_ascii_lowercase().as_str() {
        "dns" => dns(value),
        "uri" if value.contains(':') => ia5(value).map(SanType::URI).ok_or_else(wrong),
        "email" if value.contains('@') => ia5(value).map(SanType::Rfc822Name).ok_or_else(wrong),
        "ip" => value.parse().map(SanType::IpAddress).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// What the files of a certificate are called.
pub(super) fn file(name: &str) -> Result<String, Failure> {
    let plain = |c: char| c.is_alphanumeric() || "-_.@".contains(c);
    let file: String = name.chars().map(|c| if plain(c) { c } else { '-' }).collect();
    if file.starts_with('.') || file.is_empty() {
        return Err(Failure::new("the name must not begin with a dot, because the files are named after it"));
    }
    Ok(file)
}

fn dns(name: &str) -> Result<SanType, Failure> {
    let wrong = || Failure::new(format!("{name} is no DNS name"));
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let labels = name.strip_prefix("*.").unwrap_or(name);
    if name.len() > 253 || !labels.split('.').all(is_label) {
        return Err(wrong());
    }
    ia5(name).map(SanType::DnsName).ok_or_else(wrong)
}

fn ia5(text: &str) -> Option<Ia5String> {
    text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| Ia5String::try_from(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternative_names_are_read_or_told() {
        for good in
            ["dns:a.test", "DNS:*.a.test", "uri:spiffe://a/b", "URI:urn:x", "email:a@b", "ip:::1", "IP:192.0.2.1"]
        {
            assert!(alternative(good).is_ok(), "{good}");
        }
        for bad in [
            "", "a.test", "dns:", "dns:a..b", "dns:a b", "dns:a\n", "dns:ä", "uri:x", "uri:a:\r", "email:x", "ip:a",
            "oid:1",
        ] {
            assert!(alternative(bad).is_err(), "{bad}");
        }
    }
}
