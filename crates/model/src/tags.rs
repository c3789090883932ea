//! Extensions that travel as tags: `countersign:NAME` on a custom domain.

use serde::{Deserialize, Serialize};

use crate::resource::Tags;
use trust::{Policy, Profile};

/// What the `countersign:` tags of a domain say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainTags {
    /// `countersign:rejection`
    pub rejection: Option<Rejection>,
    /// `countersign:profile`: `aws` (default) or `rfc5280`.
    pub profile: Profile,
    /// `countersign:eku=any`
    pub any_eku: bool,
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
const KNOWN: &str = "countersign:eku, countersign:profile, countersign:rejection";

impl DomainTags {
    /// Reads a domain's tags; those of others are ignored.
    pub fn parse(tags: &Tags) -> Result<Self, TagError> {
        let mut parsed = Self::default();
        for (name, value) in tags.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            parsed.set(name, value)?;
        }
        Ok(parsed)
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

    /// The judge's rules.
    pub fn policy(&self) -> Policy {
        Policy { any_eku: self.any_eku, ..Policy::of(self.profile) }
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
            ("team", "edge"),
        ]));
        let wanted = DomainTags { rejection: Some(Rejection::Alert), profile: Profile::Rfc5280, any_eku: true };
        assert_eq!(read, Ok(wanted));
    }

    #[test]
    fn unknown_names_and_values_are_told() {
        for (name, value, said) in [
            ("countersign:rejektion", "alert", "Unknown tag countersign:rejektion"),
            ("countersign:rejection", "Alert", "Invalid value 'Alert'"),
            ("countersign:eku", "", "Expected: any, client"),
        ] {
            let error = DomainTags::parse(&tags(&[(name, value)])).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(DomainTags::refuse_on_other_resources(&tags(&[("countersign:eku", "any")])).is_err());
    }
}
