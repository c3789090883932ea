//! What every operation asks of its input.

use std::collections::BTreeMap;

use aws::Error;
use model::resource::Tags;
use model::{ApiTags, DomainTags, VpcLinkTags};

const MAX_TAGS: usize = 50;
const MAX_TAG_NAME_CHARS: usize = 128;
const MAX_TAG_VALUE_CHARS: usize = 256;

/// Checks the length of a text, in characters.
pub(crate) fn length(name: &str, text: &str, min: usize, max: usize) -> Result<(), Error> {
    match text.chars().count() {
        length if length < min || length > max => {
            Err(Error::bad_request(format!("Invalid {name}: its length must be between {min} and {max} characters")))
        }
        _ => Ok(()),
    }
}

/// A text that may be left out, and is left out by an empty one.
pub(crate) fn optional(name: &str, text: Option<String>, max: usize) -> Result<Option<String>, Error> {
    let text = text.filter(|text| !text.is_empty());
    if let Some(text) = &text {
        length(name, text, 1, max)?;
    }
    Ok(text)
}

/// Refuses something that AWS has and Countersign does not (or that HTTP APIs do not have).
pub(crate) fn refuse(given: bool, what: &str, why: &str) -> Result<(), Error> {
    if given { Err(Error::bad_request(format!("{what} {why}"))) } else { Ok(()) }
}

/// Why a member that exists for WebSocket APIs only is refused.
pub(super) const NOT_FOR_HTTP: &str = "is not supported for HTTP APIs";
/// Why a member that exists for HTTP APIs only is refused.
pub(super) const NOT_FOR_WEB_SOCKETS: &str = "is not supported for WebSocket APIs";
/// Why a member that AWS would take is refused.
pub(crate) const NOT_HERE: &str = "is not available in Countersign";

/// Why the ARN of a role that calls a function is refused.
pub(crate) const NO_ROLES: &str =
    "is not available in Countersign: functions are called with the credentials of countersign.toml";

/// Merges the patch of a map: entries with an empty value are removed.
pub(super) fn merge(map: &mut BTreeMap<String, String>, patch: Option<BTreeMap<String, String>>) {
    for (name, value) in patch.unwrap_or_default() {
        if value.is_empty() {
            map.remove(&name);
        } else {
            map.insert(name, value);
        }
    }
}

/// Checks all tags of a custom domain name, extensions included.
pub(super) fn domain_tags(tags: &Tags) -> Result<(), Error> {
    common_tags(tags)?;
    DomainTags::parse(tags).map(drop).map_err(|error| Error::bad_request(error.to_string()))
}

/// Checks all tags of an API, extensions included.
pub(crate) fn api_tags(tags: &Tags) -> Result<(), Error> {
    common_tags(tags)?;
    ApiTags::parse(tags).map(drop).map_err(|error| Error::bad_request(error.to_string()))
}

/// Checks all tags of a VPC link, extensions included.
pub(super) fn vpc_link_tags(tags: &Tags) -> Result<(), Error> {
    common_tags(tags)?;
    VpcLinkTags::parse(tags).map(drop).map_err(|error| Error::bad_request(error.to_string()))
}

/// Checks all tags of another resource: it has no extensions.
pub(crate) fn other_tags(tags: &Tags) -> Result<(), Error> {
    common_tags(tags)?;
    DomainTags::refuse_on_other_resources(tags).map_err(|error| Error::bad_request(error.to_string()))
}

fn common_tags(tags: &Tags) -> Result<(), Error> {
    if tags.len() > MAX_TAGS {
        return Err(Error::bad_request(format!("A resource has at most {MAX_TAGS} tags")));
    }
    for (name, value) in tags {
        length("tag key", name, 1, MAX_TAG_NAME_CHARS)?;
        length("tag value", value, 0, MAX_TAG_VALUE_CHARS)?;
        if name.to_ascii_lowercase().starts_with("aws:") {
            return Err(Error::bad_request(format!("Invalid tag key {name}: aws: is reserved")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_of_a_map_keeps_what_it_does_not_name() {
        let of = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
        };
        let mut map = of(&[("a", "1"), ("b", "2"), ("c", "3")]);
        merge(&mut map, Some(of(&[("b", ""), ("c", "4"), ("d", "5")])));
        assert_eq!(map, of(&[("a", "1"), ("c", "4"), ("d", "5")]));
    }

    #[test]
    fn tags_have_bounds_and_extensions_belong_on_domains() {
        let of = |name: &str, value: &str| Tags::from([(name.to_owned(), value.to_owned())]);
        assert_eq!(domain_tags(&of("countersign:rejection", "alert")), Ok(()));
        assert!(other_tags(&of("countersign:rejection", "alert")).is_err());
        assert!(domain_tags(&of("countersign:rejection", "shrug")).is_err());
        assert_eq!(api_tags(&of("countersign:bound-tokens", "required")), Ok(()));
        assert!(api_tags(&of("countersign:rejection", "alert")).is_err());
        assert!(other_tags(&of("AWS:x", "")).is_err());
        assert!(other_tags(&of("", "x")).is_err());
        assert!(other_tags(&of("x", &"v".repeat(257))).is_err());
        let many = (0..51).map(|number| (number.to_string(), String::new())).collect();
        assert!(other_tags(&many).is_err());
    }
}
