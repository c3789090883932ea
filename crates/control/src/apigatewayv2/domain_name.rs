//! Names of custom domains.

use aws::Error;
use model::resource::Certificate;

use crate::ControlConfig;

const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// A name that can be a custom domain's: lowercase, at least two labels, the first of which may be `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DomainName(String);

impl DomainName {
    pub(super) fn parse(text: &str, config: &ControlConfig) -> Result<Self, Error> {
        let name = text.to_ascii_lowercase();
        let rest = name.strip_prefix("*.").unwrap_or(&name);
        if name.len() > MAX_NAME_BYTES || !rest.contains('.') || !rest.split('.').all(is_label) {
            return Err(Error::bad_request(format!("Invalid domain name specified: {text}")));
        }
        // The endpoints of the APIs have such names.
        if name.ends_with(&format!(".{}", config.execute_api_suffix)) && name.contains("execute-api.") {
            return Err(Error::bad_request(format!("The domain name {text} is an execute-api endpoint's")));
        }
        Ok(Self(name))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a certificate is for a domain name: by name, or by a wildcard for its first label.
pub(super) fn covers(certificate: &Certificate, name: &str) -> bool {
    let names = std::iter::once(&certificate.domain_name).chain(&certificate.alternative_names);
    let parent = name.split_once('.').map(|(_, parent)| parent);
    names.map(|own| own.to_ascii_lowercase()).any(|own| {
        own == name || own.strip_prefix("*.").is_some_and(|suffix| Some(suffix) == parent && !name.starts_with("*."))
    })
}

fn is_label(label: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let inner = !label.starts_with('-') && !label.ends_with('-');
    (1..=MAX_LABEL_BYTES).contains(&label.len()) && inner && label.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use model::Keyring;
    use model::resource::CertificateOrigin;

    use super::*;
    use crate::control::tests::config;

    #[test]
    fn names() {
        for (text, name) in [
            ("API.Example.com", Some("api.example.com")),
            ("*.example.com", Some("*.example.com")),
            ("a-1.b.co", Some("a-1.b.co")),
            ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("example", None),
            ("*.com", None),
            ("a.*.com", None),
            ("-a.example.com", None),
            ("a-.example.com", None),
            ("a..example.com", None),
            ("a.example.com.", None),
            ("a_b.example.com", None),
            ("ä.example.com", None),
            ("abc.execute-api.us-east-1.localhost", None),
            ("api.localhost", Some("api.localhost")),
        ] {
            let parsed = DomainName::parse(text, &config()).ok();
            assert_eq!(parsed.as_ref().map(DomainName::as_str), name, "{text}");
        }
        assert!(DomainName::parse(&format!("{}.com", "a".repeat(64)), &config()).is_err());
    }

    #[test]
    fn a_certificate_covers_its_names() {
        let sealed = Keyring::new(&[7; 32]).unwrap().seal("arn", b"key").unwrap();
        let certificate = Certificate {
            arn: "arn".into(),
            region: "us-east-1".into(),
            domain_name: "api.example.com".into(),
            alternative_names: vec!["*.Example.org".into()],
            certificate: String::new(),
            chain: None,
            private_key: sealed,
            origin: CertificateOrigin::Imported,
            key_algorithm: "RSA_2048".into(),
            created: 0,
            life: Default::default(),
            tags: Default::default(),
        };
        for (name, covered) in [
            ("api.example.com", true),
            ("www.example.com", false),
            ("a.example.org", true),
            ("a.b.example.org", false),
            ("example.org", false),
            ("*.example.org", true),
            ("*.a.example.org", false),
            ("*.example.com", false),
        ] {
            assert_eq!(covers(&certificate, name), covered, "{name}");
        }
    }
}
