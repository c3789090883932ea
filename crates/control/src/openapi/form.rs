//! How a document is written.

use aws::Error;
use serde_json::Value;

/// JSON or YAML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Yaml,
}

impl Form {
    /// A document in this form.
    pub(crate) fn write(self, document: &Value) -> Result<Vec<u8>, Error> {
        let text = match self {
            Self::Json => serde_json::to_string_pretty(document).ok(),
            Self::Yaml => serde_saphyr::to_string(document).ok(),
        };
        text.map(String::into_bytes).ok_or_else(|| Error::internal("The document could not be written."))
    }
}
