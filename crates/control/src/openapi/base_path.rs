//! What an import does with a document's base path.
//!
//! Source: "Set the OpenAPI basePath property", API Gateway developer guide.

use aws::Error;

use super::{Document, Version};

/// `basepath` of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BasePath {
    /// It is no part of the API's paths.
    #[default]
    Ignore,
    /// All of it stands before each path.
    Prepend,
    /// All of it but its first segment stands before each path.
    Split,
}

impl BasePath {
    /// Reads the parameter, in whichever case.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, Error> {
        match text.map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "ignore") => Ok(Self::Ignore),
            Some("prepend") => Ok(Self::Prepend),
            Some("split") => Ok(Self::Split),
            Some(other) => Err(Error::bad_request(format!("Invalid basepath {other}: it is ignore, prepend or split"))),
        }
    }

    /// What stands before each path: nothing, or segments with a slash before each.
    pub(crate) fn prefix(self, document: &Document) -> Result<String, Error> {
        if self == Self::Ignore {
            return Ok(String::new());
        }
        let path = match document.version() {
            Version::Swagger2 => document.node().text_of("basePath")?.unwrap_or_default(),
            Version::OpenApi3 => of_server(document)?,
        };
        let segments = path.split('/').filter(|segment| !segment.is_empty()).skip(usize::from(self == Self::Split));
        Ok(segments.map(|segment| format!("/{segment}")).collect())
    }
}

/// The path of the first server's URL, with the defaults of its variables.
fn of_server(document: &Document) -> Result<String, Error> {
    let servers = document.node().get("servers")?.map(|servers| servers.items()).transpose()?.unwrap_or_default();
    let Some(server) = servers.first() else { return Ok(String::new()) };
    let mut url = server.text_of("url")?.unwrap_or_default();
    if let Some(variables) = server.get("variables")? {
        for (name, variable) in variables.entries()? {
            url = url.replace(&format!("{{{name}}}"), &variable.text_of("default")?.unwrap_or_default());
        }
    }
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => &url,
    };
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_both_versions() {
        let three = |url: &str| {
            format!(
                r#"{{"openapi": "3.0.1", "servers": [{{"url": "{url}", "variables": {{"basePath": {{"default": "/v1/pets"}}}}}}]}}"#
            )
        };
        let two = |path: &str| format!(r#"{{"swagger": "2.0", "basePath": "{path}"}}"#);
        for (text, mode, wanted) in [
            (three("https://a.test/{basePath}"), "ignore", ""),
            (three("https://a.test/{basePath}"), "prepend", "/v1/pets"),
            (three("https://a.test/{basePath}"), "SPLIT", "/pets"),
            (three("/a/b/c"), "split", "/b/c"),
            (three("https://a.test"), "prepend", ""),
            (two("/a/b"), "prepend", "/a/b"),
            (two("/a/b/"), "split", "/b"),
            (two("/"), "prepend", ""),
            (r#"{"openapi": "3.0.1"}"#.to_owned(), "prepend", ""),
        ] {
            let document = Document::parse(text.as_bytes()).unwrap();
            assert_eq!(BasePath::parse(Some(mode)).unwrap().prefix(&document).unwrap(), wanted, "{text} {mode}");
        }
        assert_eq!(BasePath::parse(None).unwrap(), BasePath::Ignore);
        assert!(BasePath::parse(Some("keep")).is_err());
    }
}
