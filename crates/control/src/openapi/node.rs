//! A place in a document.

use aws::Error;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How many references may lead to one another.
const MAX_REFERENCES: usize = 16;

/// A value of a document, and where it is. A reference (`$ref`) to another place of the same document stands for what is there;
/// nothing outside of the document is ever read.
#[derive(Clone, Debug)]
pub(crate) struct Node<'d> {
    root: &'d Value,
    value: &'d Value,
    at: String,
}

impl<'d> Node<'d> {
    pub(super) fn root(root: &'d Value) -> Self {
        Self { root, value: root, at: String::new() }
    }

    /// A member of an object; none where there is none, or it is null.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Self>, Error> {
        match self.object()?.get(name).filter(|value| !value.is_null()) {
            Some(value) => self.below(name, value).map(Some),
            None => Ok(None),
        }
    }

    /// Where a member refers to, as it stands there: `#/components/schemas/Pet`.
    pub(crate) fn reference_of(&self, name: &str) -> Option<&'d str> {
        self.value.get(name)?.get("$ref")?.as_str()
    }

    /// The members of an object.
    pub(crate) fn entries(&self) -> Result<Vec<(&'d str, Self)>, Error> {
        let members = self.object()?.iter().filter(|(_, value)| !value.is_null());
        members.map(|(name, value)| Ok((name.as_str(), self.below(name, value)?))).collect()
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> Result<Vec<Self>, Error> {
        let items = self.value.as_array().ok_or_else(|| self.wrong("a list is expected"))?;
        items.iter().enumerate().map(|(index, value)| self.below(&index.to_string(), value)).collect()
    }

    /// A text. What YAML takes for a number or a boolean is one too.
    pub(crate) fn text(&self) -> Result<String, Error> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(truth) => Ok(truth.to_string()),
            _ => Err(self.wrong("a text is expected")),
        }
    }

    pub(crate) fn boolean(&self) -> Result<bool, Error> {
        match self.value {
            Value::Bool(truth) => Ok(*truth),
            Value::String(text) => text.parse().map_err(|_| self.wrong("true or false is expected")),
            _ => Err(self.wrong("true or false is expected")),
        }
    }

    pub(crate) fn integer(&self) -> Result<i32, Error> {
        let number = match self.value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.and_then(|number| i32::try_from(number).ok()).ok_or_else(|| self.wrong("a number is expected"))
    }

    /// Several texts.
    pub(crate) fn texts(&self) -> Result<Vec<String>, Error> {
        self.items()?.iter().map(Self::text).collect()
    }

    /// Texts by name.
    pub(crate) fn text_map<M: FromIterator<(String, String)>>(&self) -> Result<M, Error> {
        self.entries()?.into_iter().map(|(name, node)| Ok((name.to_owned(), node.text()?))).collect()
    }

    /// The text of a member, if it is there.
    pub(crate) fn text_of(&self, name: &str) -> Result<Option<String>, Error> {
        self.get(name)?.map(|node| node.text()).transpose()
    }

    /// As another type reads it.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_value(self.value.clone()).map_err(|error| self.wrong(&error.to_string()))
    }

    pub(crate) fn value(&self) -> &'d Value {
        self.value
    }

    /// An error that says where it lies.
    pub(crate) fn wrong(&self, why: &str) -> Error {
        let at = if self.at.is_empty() { "the document" } else { &self.at };
        Error::bad_request(format!("Invalid OpenAPI input at {at}: {why}."))
    }

    /// Where it is, for people: `paths./pets.get`.
    pub(crate) fn at(&self) -> &str {
        &self.at
    }

    fn object(&self) -> Result<&'d serde_json::Map<String, Value>, Error> {
        self.value.as_object().ok_or_else(|| self.wrong("an object is expected"))
    }

    fn below(&self, name: &str, value: &'d Value) -> Result<Self, Error> {
        let at = if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) };
        let node = Self { root: self.root, value, at };
        node.resolved()
    }

    /// Where references lead in the end.
    fn resolved(mut self) -> Result<Self, Error> {
        for _ in 0..MAX_REFERENCES {
            let Some(Value::String(reference)) = self.value.get("$ref") else { return Ok(self) };
            let Some(pointer) = reference.strip_prefix('#') else {
                return Err(self.wrong(&format!("{reference} leads out of the document, which is not followed")));
            };
            self.value = find(self.root, pointer)
                .ok_or_else(|| self.wrong(&format!("{reference} leads to nothing in the document")))?;
        }
        Err(self.wrong("its references lead in a circle, or through too many others"))
    }
}

/// A JSON pointer (RFC 6901), as it stands in a URL.
fn find<'d>(root: &'d Value, pointer: &str) -> Option<&'d Value> {
    let pointer = percent_encoding::percent_decode_str(pointer).decode_utf8().ok()?;
    root.pointer(&pointer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_lead_to_other_places() {
        let root = json!({
            "a": {"$ref": "#/b/x~1y"}, "b": {"x/y": {"$ref": "#/c"}, "t": 1}, "c": {"d": "end", "n": "7"},
            "self": {"$ref": "#/self"}, "to": {"$ref": "#/fro"}, "fro": {"$ref": "#/to"},
            "file": {"$ref": "other.yaml#/a"}, "net": {"$ref": "http://a.test/"}, "none": {"$ref": "#/nothing"},
            "property": {"$ref": 7}, "encoded": {"$ref": "#/b/x~1y/%24ref"},
        });
        let node = Node::root(&root);
        let a = node.get("a").unwrap().unwrap();
        assert_eq!(a.text_of("d").unwrap().as_deref(), Some("end"));
        assert_eq!(a.at(), "a");
        assert_eq!(a.get("n").unwrap().unwrap().integer().unwrap(), 7);
        for (name, said) in [
            ("self", "circle"),
            ("to", "circle"),
            ("file", "leads out of the document"),
            ("net", "leads out of the document"),
            ("none", "#/nothing leads to nothing"),
        ] {
            let error = node.get(name).unwrap_err().message;
            assert!(error.contains(said) && error.contains(&format!("at {name}:")), "{error}");
        }
        assert_eq!(node.get("property").unwrap().unwrap().entries().unwrap().len(), 1, "not a reference");
    }

    #[test]
    fn errors_say_where_they_lie() {
        let root = json!({"paths": {"/pets": {"get": {"timeout": "soon", "list": {}}}}});
        let get = Node::root(&root).get("paths").unwrap().unwrap().get("/pets").unwrap().unwrap().get("get").unwrap();
        let get = get.unwrap();
        let error = get.get("timeout").unwrap().unwrap().integer().unwrap_err();
        assert_eq!(error.message, "Invalid OpenAPI input at paths./pets.get.timeout: a number is expected.");
        assert!(get.get("list").unwrap().unwrap().items().unwrap_err().message.contains("a list is expected"));
        assert!(get.get("timeout").unwrap().unwrap().get("x").unwrap_err().message.contains("an object is expected"));
    }
}
