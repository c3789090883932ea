//! What templates see of a request, and of the answer to it.

use std::borrow::Cow;

use http::HeaderMap;
use http::request::Parts;
use model::snapshot::Stage;
use model::template::{Variable, value_of};
use percent_encoding::percent_decode_str;

use crate::mapping::fields;
use crate::record::Record;

/// A request with the payload that a template works on: its own, or that of the answer.
pub(super) struct Message<'a> {
    pub(super) payload: &'a [u8],
    pub(super) parts: &'a Parts,
    /// As whoever answers may see them.
    pub(super) headers: &'a HeaderMap,
    pub(super) variables: &'a [(String, String)],
    pub(super) record: &'a Record,
    pub(super) stage: &'a Stage,
}

impl velocity::Message for Message<'_> {
    fn payload(&self) -> &[u8] {
        self.payload
    }

    fn parameters(&self, place: &str) -> Vec<(String, String)> {
        match place {
            "path" => {
                let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
                self.variables.iter().map(|(name, value)| (name.clone(), decoded(value))).collect()
            }
            "querystring" => {
                let query = self.parts.uri.query().filter(|query| !query.is_empty());
                let all = query.into_iter().flat_map(fields);
                all.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
            }
            _ => {
                let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
                self.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
            }
        }
    }

    fn context(&self, name: &str) -> Option<Cow<'_, str>> {
        let certificate = self.record.client.chain.identity().map(|identity| &identity.certificate);
        value_of(&Variable::from_name(name), certificate, self.record).map(Cow::Owned)
    }

    fn stage_variables(&self) -> Vec<(&str, &str)> {
        self.stage.variables().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}
