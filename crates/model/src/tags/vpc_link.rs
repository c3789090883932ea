//! Where a VPC link leads.

use std::collections::BTreeMap;

use super::{PREFIX, TagError};
use crate::Target;
use crate::resource::Tags;

/// What the tags of a VPC link say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VpcLinkTags {
    /// `countersign:upstream`: what stands behind the link, in the place of the listener or service that integrations name.
    pub upstream: Option<Target>,
}

impl VpcLinkTags {
    /// The tag's name.
    pub const UPSTREAM: &str = "countersign:upstream";

    /// Reads the tags of a VPC link; those of others are ignored.
    pub fn parse(tags: &Tags) -> Result<Self, TagError> {
        let mut parsed = Self::default();
        for (name, value) in tags.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            if name != Self::UPSTREAM {
                return Err(TagError::UnknownOnVpcLink(name.clone()));
            }
            parsed.upstream = Some(upstream(value)?);
        }
        Ok(parsed)
    }
}

/// A URL as it is: the request's path comes behind it, and nothing is filled in.
fn upstream(value: &str) -> Result<Target, TagError> {
    let is_plain = !value.contains(['{', '}', '$', '?']);
    let target = Target::parse(value, &BTreeMap::new()).ok().filter(|_| is_plain);
    target.ok_or_else(|| TagError::Value {
        tag: VpcLinkTags::UPSTREAM,
        value: value.to_owned(),
        expected: "http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_url() {
        let read = |name: &str, value: &str| VpcLinkTags::parse(&Tags::from([(name.to_owned(), value.to_owned())]));
        let of = |value: &str| read("countersign:upstream", value).map(|tags| tags.upstream.map(|at| at.authority));
        assert_eq!(of("http://127.0.0.1:9000"), Ok(Some("127.0.0.1:9000".to_owned())));
        assert_eq!(of("https://orders.internal/base"), Ok(Some("orders.internal".to_owned())));
        for value in ["", "orders.internal", "ftp://a", "http://a/{x}", "http://a/?q", "http://${stageVariables.a}"] {
            assert!(of(value).unwrap_err().to_string().contains("Expected: http://HOST"), "{value}");
        }
        assert_eq!(read("team", "edge"), Ok(VpcLinkTags::default()));
        assert!(read("countersign:policy", "s3://a/b").unwrap_err().to_string().contains("on a VPC link"));
    }
}
