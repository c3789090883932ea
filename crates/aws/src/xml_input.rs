//! The XML bodies of the rest-xml protocol, read by the shapes of the model.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};
use serde_json::{Map, Value};

use crate::Error;
use crate::receive::scalar;
use crate::schema::{Location, Member, Shape};

/// Deeper than any input of AWS's models.
const MAX_DEPTH: usize = 32;

/// The members that are in the body; none where the input has nothing there, or the body is empty. What the root element is called
/// does not matter, nor do attributes, namespaces, and elements that the model does not have.
pub(crate) fn structure(members: &[Member], body: &[u8]) -> Result<Map<String, Value>, Error> {
    let wanted = members.iter().any(|member| member.location == Location::Body);
    if !wanted || body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    let root = Element::read(body)?;
    root.members(members.iter().filter(|member| member.location == Location::Body))
}

/// An element: what it is called, what is in it.
struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// The root element of a document.
    fn read(body: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(body).map_err(|_| malformed("it is not UTF-8"))?;
        let mut reader = Reader::from_str(text);
        // Around the root is one more, so that there is always one to put things into.
        let mut open = vec![Self::new(String::new())];
        loop {
            match reader.read_event().map_err(malformed)? {
                Event::Start(_) if open.len() > MAX_DEPTH => return Err(malformed("elements are nested too deeply")),
                Event::Start(start) => open.push(Self::new(local(start.local_name().as_ref()))),
                Event::Empty(empty) => put(&mut open, Self::new(local(empty.local_name().as_ref()))),
                // The reader has made sure that it ends what was begun last.
                Event::End(_) => {
                    if let Some(done) = open.pop() {
                        put(&mut open, done);
                    }
                }
                Event::Text(text) => write(&mut open, &text.decode().map_err(malformed)?),
                Event::CData(data) => write(&mut open, &data.decode().map_err(malformed)?),
                Event::GeneralRef(reference) => write(&mut open, &referred(&reference)?),
                // Its entities would have to be expanded.
                Event::DocType(_) => return Err(malformed("a document type is not allowed")),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        let [around] = <[Self; 1]>::try_from(open).map_err(|_| malformed("an element is not ended"))?;
        let [root] = <[Self; 1]>::try_from(around.children).map_err(|_| malformed("it has not one root element"))?;
        Ok(root)
    }

    fn new(name: String) -> Self {
        Self { name, text: String::new(), children: Vec::new() }
    }

    fn members<'m>(&self, members: impl Iterator<Item = &'m Member>) -> Result<Map<String, Value>, Error> {
        let mut values = Map::new();
        for member in members {
            if let Shape::List { of, element: "", .. } = member.shape {
                let items: Vec<Value> =
                    self.named(member.name).map(|item| item.value(of, member.name)).collect::<Result<_, _>>()?;
                if !items.is_empty() {
                    values.insert(member.name.to_owned(), Value::Array(items));
                }
            } else if let Some(child) = self.named(member.name).next() {
                values.insert(member.name.to_owned(), child.value(member.shape, member.name)?);
            }
        }
        Ok(values)
    }

    fn value(&self, shape: &Shape, name: &str) -> Result<Value, Error> {
        match shape {
            Shape::Structure(members) => self.members(members.iter()).map(Value::Object),
            Shape::List { of, element, .. } => {
                self.named(element).map(|item| item.value(of, element)).collect::<Result<_, _>>().map(Value::Array)
            }
            Shape::Map { value, .. } => {
                let entries = self.named("entry").filter_map(|entry| {
                    let [key, of] = ["key", "value"].map(|part| entry.named(part).next());
                    Some(of?.value(value, name).map(|value| (key.map_or(String::new(), |k| k.text.clone()), value)))
                });
                entries.collect::<Result<_, _>>().map(Value::Object)
            }
            Shape::String { .. } => scalar(shape, name, &self.text),
            _ => scalar(shape, name, self.text.trim()),
        }
    }

    fn named<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

fn put(open: &mut [Element], done: Element) {
    if let Some(parent) = open.last_mut() {
        parent.children.push(done);
    }
}

fn write(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// What `&lt;` or `&#60;` stands for. XML has five names; others would have to be declared.
fn referred(reference: &BytesRef<'_>) -> Result<Cow<'static, str>, Error> {
    if let Some(character) = reference.resolve_char_ref().map_err(malformed)? {
        return Ok(Cow::Owned(character.to_string()));
    }
    let name = reference.decode().map_err(malformed)?;
    resolve_predefined_entity(&name).map(Cow::Borrowed).ok_or_else(|| malformed("an entity is not known"))
}

fn local(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn malformed(why: impl std::fmt::Display) -> Error {
    Error::client("MalformedInput", format!("The body is not XML: {why}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    static TEXT: Shape = Shape::String { min: None, max: None, pattern: None, values: &[], sensitive: false };
    static NUMBER: Shape = Shape::Long { min: None, max: None };
    static NAMED: Shape = Shape::List { of: &INNER, element: "Item", min: None, max: None };
    static FLAT: Shape = Shape::List { of: &TEXT, element: "", min: None, max: None };
    static MAP: Shape = Shape::Map { key: &TEXT, value: &NUMBER, min: None, max: None };
    static INNER: Shape = Shape::Structure(&[body("Number", &NUMBER), body("Again", &INNER)]);
    static MEMBERS: &[Member] = &[
        Member { name: "Id", location: Location::Path, required: true, shape: &TEXT },
        body("Text", &TEXT),
        body("Items", &NAMED),
        body("Flat", &FLAT),
        body("Map", &MAP),
    ];

    const fn body(name: &'static str, shape: &'static Shape) -> Member {
        Member { name, location: Location::Body, required: false, shape }
    }

    fn read(body: &str) -> Result<Value, Error> {
        structure(MEMBERS, body.as_bytes()).map(Value::Object)
    }

    #[test]
    fn by_the_shapes() {
        for (body, expected) in [
            ("", json!({})),
            ("<R/>", json!({})),
            (
                "<?xml version=\"1.0\"?>\n<R xmlns=\"urn:x\"><Text> a &lt;b&gt; &#x41;<!-- no --><![CDATA[&]]> </Text></R>\n",
                json!({"Text": " a <b> A& "}),
            ),
            ("<R><Text/><Id>not from here</Id><Other><Text>x</Text></Other></R>", json!({"Text": ""})),
            (
                "<R>\n <Items>\n  <Item><Number> 7 </Number></Item><Item><Again><Number>8</Number></Again></Item>\n </Items>\n</R>",
                json!({"Items": [{"Number": 7}, {"Again": {"Number": 8}}]}),
            ),
            ("<R><Items/></R>", json!({"Items": []})),
            ("<R><Flat>a</Flat><Text>t</Text><Flat>b</Flat></R>", json!({"Flat": ["a", "b"], "Text": "t"})),
            (
                "<n:R xmlns:n='u'><n:Map><n:entry><n:key>k</n:key><n:value>1</n:value></n:entry></n:Map></n:R>",
                json!({"Map": {"k": 1}}),
            ),
        ] {
            assert_eq!(read(body).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn what_is_no_xml_is_refused() {
        let deep = "<a>".repeat(100_000);
        for body in [
            "x",
            "<R>",
            "</R>",
            "<R></S>",
            "<R/><R/>",
            "<R>&unknown;</R>",
            "<R>&#xFFFFFFFF;</R>",
            "<!DOCTYPE R [<!ENTITY a \"b\">]><R><Text>&a;</Text></R>",
            "{}",
            deep.as_str(),
        ] {
            assert_eq!(read(body).unwrap_err().code, "MalformedInput", "{body:.40}");
        }
        assert_eq!(
            read("<R><Items><Item><Number>x</Number></Item></Items></R>").unwrap_err().code,
            "SerializationException"
        );
        assert_eq!(structure(MEMBERS, b"<R>\xff</R>").unwrap_err().code, "MalformedInput");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_makes_it_panic(bytes in any::<Vec<u8>>(), text in "(<(R|Items|Item|Number|/R|/Items|/Item|Text/|!--|\\?|!\\[CDATA\\[)>?|[a&;#x1<>]){0,20}") {
            let _ = structure(MEMBERS, &bytes);
            let _ = structure(MEMBERS, text.as_bytes());
        }
    }
}
