//! What RFC 5280 section 4 has conforming CAs do, for the profile that insists on it.
//!
//! None of this is needed to find out who signed what; it keeps out certificates of software that got the profile
//! wrong, and with them the doubt how they were meant.

use crate::Certificate;
use crate::certificate::SubjectAltName;
use crate::extensions::Mark;

/// Where a certificate stands on a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its issuer is on the path as well.
    Below,
    /// The path ends with it.
    Anchor { self_signed: bool },
}

/// The first requirement that the certificate breaks, or `None`. Of an anchor, whose own issuer plays no part and which
/// may be decades old, a little less is asked.
pub(crate) fn defect(certificate: &Certificate, standing: Standing) -> Option<&'static str> {
    let is_anchor = standing != Standing::Below;
    fields(certificate, is_anchor)
        .or_else(|| key_identifiers(certificate, standing))
        .or_else(|| authority(certificate))
        .or_else(|| criticality(certificate))
        .or_else(|| names(certificate))
}

/// Section 4.1.2.
fn fields(certificate: &Certificate, is_anchor: bool) -> Option<&'static str> {
    let serial = certificate.serial_bytes();
    if serial[0] & 0x80 != 0 {
        return Some("its serial number is negative (RFC 5280 section 4.1.2.2)");
    }
    // Roots with the serial number zero are in every browser.
    if !is_anchor && (serial.len() > 20 || serial.iter().all(|&octet| octet == 0)) {
        return Some("its serial number is zero or longer than 20 octets (RFC 5280 section 4.1.2.2)");
    }
    if certificate.issuer().is_empty() {
        return Some("its issuer has no name (RFC 5280 section 4.1.2.4)");
    }
    if certificate.subject().is_empty() {
        if certificate.is_ca() {
            return Some("it is a CA and its subject has no name (RFC 5280 section 4.1.2.6)");
        }
        if certificate.extensions().marks.subject_alt_name != Some(Mark::Critical) {
            return Some(
                "its subject has no name, and its alternative names are not critical (RFC 5280 section 4.1.2.6)",
            );
        }
    }
    None
}

/// Sections 4.2.1.1 and 4.2.1.2.
fn key_identifiers(certificate: &Certificate, standing: Standing) -> Option<&'static str> {
    let may_lack = standing != Standing::Below && certificate.extensions().marks.authority_key_id.is_none();
    if certificate.authority_key_id().is_none() && !may_lack {
        return Some("it lacks the authority key identifier (RFC 5280 section 4.2.1.1)");
    }
    if certificate.is_ca() && certificate.subject_key_id().is_none() {
        return Some("it is a CA and lacks the subject key identifier (RFC 5280 section 4.2.1.2)");
    }
    // A CA that changes its key issues itself certificates whose identifiers do differ (section 3.2).
    let own = standing == Standing::Anchor { self_signed: true };
    if own && certificate.authority_key_id().is_some_and(|id| Some(id) != certificate.subject_key_id()) {
        return Some("it is self-signed and its two key identifiers differ (RFC 5280 section 4.2.1.1)");
    }
    None
}

/// Sections 4.2.1.3, 4.2.1.9 and 4.2.1.10.
fn authority(certificate: &Certificate) -> Option<&'static str> {
    let extensions = certificate.extensions();
    if certificate.is_ca() {
        return (extensions.marks.basic_constraints == Some(Mark::NonCritical))
            .then_some("it is a CA and its basic constraints are not critical (RFC 5280 section 4.2.1.9)");
    }
    if extensions.key_usage.is_some_and(|usage| usage.key_cert_sign()) {
        return Some("its key usage has keyCertSign, and it is not a CA (RFC 5280 section 4.2.1.9)");
    }
    extensions
        .name_constraints
        .is_some()
        .then_some("it has name constraints, and it is not a CA (RFC 5280 section 4.2.1.10)")
}

fn criticality(certificate: &Certificate) -> Option<&'static str> {
    let marks = certificate.extensions().marks;
    let critical = Some(Mark::Critical);
    if marks.authority_key_id == critical || marks.subject_key_id == critical || marks.authority_info_access == critical
    {
        return Some("an extension is critical that must not be (RFC 5280 sections 4.2.1.1, 4.2.1.2 and 4.2.2.1)");
    }
    let optional = Some(Mark::NonCritical);
    if marks.policy_constraints == optional {
        return Some("its policy constraints are not critical (RFC 5280 section 4.2.1.11)");
    }
    if marks.inhibit_any_policy == optional {
        return Some("its inhibition of anyPolicy is not critical (RFC 5280 section 4.2.1.14)");
    }
    if marks.name_constraints == optional {
        return Some("its name constraints are not critical (RFC 5280 section 4.2.1.10)");
    }
    certificate
        .extensions()
        .policies
        .malformed
        .then_some("an extension on certificate policies is malformed (RFC 5280 sections 4.2.1.4 to 4.2.1.14)")
}

/// Sections 4.2.1.6 and 4.2.1.10.
fn names(certificate: &Certificate) -> Option<&'static str> {
    // A stranger's intermediate may have thousands of names, and the search may come to it a thousand times.
    let bad_dns = certificate.extensions().bad_dns_name.get_or_init(|| {
        certificate.subject_alt_names().iter().any(|name| match name {
            SubjectAltName::Dns(name) => !is_preferred_name(name),
            _ => false,
        })
    });
    if *bad_dns {
        return Some("a DNS name of it is not in the preferred syntax (RFC 5280 section 4.2.1.6)");
    }
    certificate
        .name_constraints()
        .is_some_and(|constraints| constraints.has_dotted_dns())
        .then_some("a DNS name constraint of it begins with a dot (RFC 5280 section 4.2.1.10)")
}

/// RFC 1034 section 3.5 as amended by RFC 1123 section 2.1: letters, digits and inner hyphens, no address; the
/// left-most label may be the wildcard of RFC 6125.
fn is_preferred_name(name: &str) -> bool {
    let plain = name.strip_prefix("*.").unwrap_or(name);
    plain.len() <= 253
        && plain.parse::<std::net::IpAddr>().is_err()
        && plain.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferred_names() {
        for (name, good) in [
            ("example.com", true),
            ("*.example.com", true),
            ("xn--bcher-kva.example", true),
            ("localhost", true),
            ("a_b.example.com", false),
            ("10.0.0.1", false),
            ("*", false),
            ("a.*.example.com", false),
            ("*a.example.com", false),
            ("-a.example.com", false),
            ("a..example.com", false),
            ("", false),
            ("😜.example.com", false),
        ] {
            assert_eq!(is_preferred_name(name), good, "{name}");
        }
    }
}
