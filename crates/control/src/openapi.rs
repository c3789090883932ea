//! OpenAPI documents as API Gateway imports and exports them: what is the same for HTTP APIs and REST APIs.
//!
//! What stands here knows neither settings nor operations. A [`Document`] is read by [`Node`]s, each of which knows where it
//! is, so that an error says where it lies.

mod base_path;
mod document;
mod form;
mod node;

use std::collections::BTreeMap;

use aws::Error;
use model::UnixMillis;
use time::OffsetDateTime;
use time::macros::format_description;

pub(crate) use base_path::BasePath;
pub(crate) use document::{Document, Version};
pub(crate) use form::Form;
pub(crate) use node::Node;

/// The methods that a path item of OpenAPI has, as HTTP has them, and what stands for all of them.
const METHODS: [(&str, &str); 8] = [
    ("delete", "DELETE"),
    ("get", "GET"),
    ("head", "HEAD"),
    ("options", "OPTIONS"),
    ("patch", "PATCH"),
    ("post", "POST"),
    ("put", "PUT"),
    (ANY_METHOD, "ANY"),
];
/// `ANY` of a path item.
const ANY_METHOD: &str = "x-amazon-apigateway-any-method";

/// One operation of a document.
pub(crate) struct Operation<'d> {
    /// As it stands in the document.
    pub(crate) path: &'d str,
    /// `GET`, …, `ANY`
    pub(crate) method: &'static str,
    pub(crate) node: Node<'d>,
    /// The path item that it is of.
    pub(crate) item: Node<'d>,
}

/// All operations, by path.
pub(crate) fn operations(document: &Document) -> Result<Vec<Operation<'_>>, Error> {
    let mut found = Vec::new();
    let Some(paths) = document.node().get("paths")? else { return Ok(found) };
    for (path, item) in paths.entries()?.into_iter().filter(|(path, _)| path.starts_with('/')) {
        for (key, method) in METHODS {
            if let Some(node) = item.get(key)? {
                found.push(Operation { path, method, node, item: item.clone() });
            }
        }
    }
    Ok(found)
}

/// The method as a member of a path item.
pub(crate) fn method_key(method: &str) -> &'static str {
    METHODS.iter().find(|(_, name)| *name == method).map_or(ANY_METHOD, |(key, _)| key)
}

/// What stands for an API's version, which a document has to have, where it has none: when it was made.
pub(crate) fn created(at: UnixMillis) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]UTC");
    let at = OffsetDateTime::from_unix_timestamp(at.div_euclid(1000)).ok();
    at.and_then(|at| at.format(format).ok()).unwrap_or_default()
}

/// Names of the variables in a path: `id` and `proxy+` of `/a/{id}/{proxy+}`.
pub(crate) fn path_variables(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// `disableExecuteApiEndpoint`: at the root, or of a server.
pub(crate) fn disable_endpoint(root: &Node<'_>) -> Result<Option<bool>, Error> {
    let servers = root.get("servers")?.map(|servers| servers.items()).transpose()?.unwrap_or_default();
    for place in std::iter::once(root).chain(&servers) {
        if let Some(configuration) = place.get("x-amazon-apigateway-endpoint-configuration")?
            && let Some(disable) = configuration.get("disableExecuteApiEndpoint")?
        {
            return disable.boolean().map(Some);
        }
    }
    Ok(None)
}

/// Tags of the API: those of OpenAPI that have a value.
pub(crate) fn tags(root: &Node<'_>) -> Result<BTreeMap<String, String>, Error> {
    let mut tags = BTreeMap::new();
    for tag in root.get("tags")?.map(|tags| tags.items()).transpose()?.unwrap_or_default() {
        if let (Some(name), Some(value)) = (tag.text_of("name")?, tag.text_of("x-amazon-apigateway-tag-value")?) {
            tags.insert(name, value);
        }
    }
    Ok(tags)
}

/// What is said of an authorizer that names a role: nobody assumes it.
pub(crate) fn credentials_ignored(authorizer: &Node<'_>) -> String {
    let at = authorizer.at();
    format!("{at}.authorizerCredentials: functions are called with the credentials of countersign.toml, ignoring.")
}

/// Refuses what was found where the caller wants it to be refused.
pub(crate) fn fail_on(warnings: &[String], fail_on_warnings: Option<bool>) -> Result<(), Error> {
    match warnings.is_empty() || fail_on_warnings != Some(true) {
        true => Ok(()),
        false => Err(Error::bad_request(format!("Warnings found during import:\n\t{}", warnings.join("\n\t")))),
    }
}
