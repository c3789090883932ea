//! The XML that answers and errors are written in: the query protocol's and rest-xml's.

use std::fmt::Write;

use serde_json::Value;

use crate::schema::{Location, Member, Output, Shape};
use crate::{Error, Protocol, Service};

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// The answer of an operation: its members within the wrapper, which rest-xml has alone; then, in the query protocol, the
/// request's id.
pub(crate) fn answer(service: &Service, operation: &str, output: &Output, value: &Value, request_id: &str) -> String {
    if service.protocol == Protocol::RestXml {
        let mut xml = format!("{DECLARATION}<{} xmlns=\"{}\">", output.wrapper, service.xml_namespace);
        members(&mut xml, output.members, value);
        let _ = write!(xml, "</{}>", output.wrapper);
        return xml;
    }
    let mut xml = format!("<{operation}Response xmlns=\"{}\"><{}>", service.xml_namespace, output.wrapper);
    members(&mut xml, output.members, value);
    let _ = write!(xml, "</{}>", output.wrapper);
    end(&mut xml, operation, request_id);
    xml
}

/// The answer of an operation that has nothing to say but that it was done.
pub(crate) fn done(service: &Service, operation: &str, request_id: &str) -> String {
    let mut xml = format!("<{operation}Response xmlns=\"{}\">", service.xml_namespace);
    end(&mut xml, operation, request_id);
    xml
}

fn end(xml: &mut String, operation: &str, request_id: &str) {
    xml.push_str("<ResponseMetadata>");
    element(xml, "RequestId", request_id);
    let _ = write!(xml, "</ResponseMetadata></{operation}Response>");
}

/// `<ErrorResponse>` with `Sender` for errors of the caller, `Receiver` for ours. The namespace may be empty.
pub(crate) fn error(namespace: &str, error: &Error, request_id: &str) -> String {
    let mut xml = String::from("<ErrorResponse");
    if !namespace.is_empty() {
        let _ = write!(xml, " xmlns=\"{namespace}\"");
    }
    xml.push_str("><Error><Type>");
    xml.push_str(if error.status.is_client_error() { "Sender" } else { "Receiver" });
    xml.push_str("</Type>");
    // The query protocol's codes have no suffix: `AccessDenied`, not `AccessDeniedException`.
    element(&mut xml, "Code", error.code.strip_suffix("Exception").unwrap_or(error.code));
    element(&mut xml, "Message", &error.message);
    xml.push_str("</Error>");
    element(&mut xml, "RequestId", request_id);
    xml.push_str("</ErrorResponse>");
    xml
}

fn members(xml: &mut String, members: &[Member], value: &Value) {
    for member in members.iter().filter(|member| member.location == Location::Body) {
        if let Some(value) = value.get(member.name).filter(|value| !value.is_null()) {
            write_value(xml, member.name, member.shape, value);
        }
    }
}

fn write_value(xml: &mut String, name: &str, shape: &Shape, value: &Value) {
    match (shape, value) {
        (Shape::Structure(inner), _) => {
            let _ = write!(xml, "<{name}>");
            members(xml, inner, value);
            let _ = write!(xml, "</{name}>");
        }
        (Shape::List { of, element: "", .. }, Value::Array(items)) => {
            items.iter().for_each(|item| write_value(xml, name, of, item));
        }
        (Shape::List { of, element, .. }, Value::Array(items)) => {
            let _ = write!(xml, "<{name}>");
            items.iter().for_each(|item| write_value(xml, element, of, item));
            let _ = write!(xml, "</{name}>");
        }
        (Shape::Map { value: of, .. }, Value::Object(entries)) => {
            let _ = write!(xml, "<{name}>");
            for (key, item) in entries {
                xml.push_str("<entry>");
                element(xml, "key", key);
                write_value(xml, "value", of, item);
                xml.push_str("</entry>");
            }
            let _ = write!(xml, "</{name}>");
        }
        (_, Value::String(text)) => element(xml, name, text),
        _ => element(xml, name, &value.to_string()),
    }
}

fn element(xml: &mut String, name: &str, text: &str) {
    let _ = write!(xml, "<{name}>");
    escape(xml, text);
    let _ = write!(xml, "</{name}>");
}

/// XML 1.0 has no way to write most control characters; they become U+FFFD.
fn escape(xml: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '&' => xml.push_str("&amp;"),
            '"' => xml.push_str("&quot;"),
            '\r' => xml.push_str("&#13;"),
            '\t' | '\n' => xml.push(c),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => xml.push('\u{fffd}'),
            _ => xml.push(c),
        }
    }
}
