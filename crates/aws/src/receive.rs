//! From a request to a validated input, and from an output to a response.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::reply::Reply;
use crate::schema::{Location, Member, Shape};
use crate::validation::validate;
use crate::{Error, Operation, Protocol, Service, xml, xml_input};

impl Service {
    /// The operation that a request asks for, served or not; `None` when AWS has no such operation.
    pub fn find(&'static self, parts: &Parts, body: &[u8]) -> Option<&'static Operation> {
        self.route(parts, body).ok().map(|(operation, _)| operation)
    }

    /// Finds the operation, reads its input, asks whether that may be called, and holds it against the model.
    pub(crate) fn receive(
        &'static self,
        parts: &Parts,
        body: &[u8],
        authorize: impl FnOnce(&'static Operation, &Map<String, Value>) -> Result<(), Error>,
    ) -> Result<(&'static Operation, Value), Error> {
        let (operation, outside) = self.route(parts, body)?;
        if !operation.is_served() {
            return Err(self.lacking(operation));
        }
        let mut input = match self.protocol {
            Protocol::Query => form_structure(operation.input, "", &outside)?,
            Protocol::RestJson | Protocol::Json11 => json_object(operation.input, body)?,
            Protocol::RestXml => xml_input::structure(operation.input, body)?,
        };
        for member in operation.input.iter().filter(|member| member.location != Location::Body) {
            input.remove(member.name);
            let value = match (&member.location, member.shape) {
                (Location::Query, Shape::Map { .. }) => Some(other_parameters(operation.input, &outside)),
                _ => outside_value(member, parts, &outside, body)?,
            };
            if let Some(value) = value {
                input.insert(member.name.to_owned(), value);
            }
        }
        authorize(operation, &input)?;
        validate(operation.input, &input).map_err(|invalid| invalid.into_error(self))?;
        Ok((operation, Value::Object(input)))
    }

    /// Success (an operation and its output) or an error as a response.
    pub(crate) fn respond(
        &self,
        result: Result<(&'static Operation, Reply), Error>,
        request_id: &str,
    ) -> Response<Bytes> {
        let rendered = result.and_then(|(operation, reply)| {
            let status = StatusCode::from_u16(operation.status).map_err(|_| broken("status"))?;
            let Some(output) = &operation.output else {
                let mut response = self.protocol.response(status, Bytes::from(reply.body), request_id);
                response.headers_mut().extend(reply.headers);
                return Ok(response);
            };
            if reply.body.is_empty() {
                let done = xml::done(self, operation.name, request_id);
                return Ok(self.protocol.response(status, Bytes::from(done), request_id));
            }
            let value: Value = serde_json::from_slice(&reply.body).map_err(|_| broken("output"))?;
            let body = xml::answer(self, operation.name, output, &value, request_id);
            let mut response = self.protocol.response(status, Bytes::from(body), request_id);
            for member in output.members.iter().filter(|member| member.location == Location::Header) {
                let text = value.get(member.name).and_then(Value::as_str);
                if let Some(text) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
                    let name = HeaderName::try_from(member.name).map_err(|_| broken("header"))?;
                    response.headers_mut().insert(name, text);
                }
            }
            Ok(response)
        });
        rendered.unwrap_or_else(|error| self.render_error(&error, request_id))
    }

    /// What AWS answers when it has no such operation; the message says that it is we who lack it.
    fn lacking(&self, operation: &Operation) -> Error {
        let message = format!("Countersign does not have the operation {} of {}.", operation.name, self.name);
        match self.protocol {
            Protocol::Query => Error::client("InvalidAction", message),
            Protocol::Json11 => Error::client("UnknownOperationException", message),
            Protocol::RestJson | Protocol::RestXml => {
                Error::new(StatusCode::NOT_FOUND, "UnknownOperationException", message)
            }
        }
    }

    fn route(&'static self, parts: &Parts, body: &[u8]) -> Result<(&'static Operation, Outside), Error> {
        match self.protocol {
            Protocol::RestJson | Protocol::RestXml => self.route_by_path(parts),
            Protocol::Json11 => self.route_by_target(parts),
            Protocol::Query => self.route_by_action(parts, body),
        }
    }

    fn route_by_path(&'static self, parts: &Parts) -> Result<(&'static Operation, Outside), Error> {
        let mut path: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
        // Of Route 53's models, botocore's has a slash at the end of a path that others' have not.
        if self.protocol == Protocol::RestXml {
            path.pop_if(|last| last.is_empty());
        }
        let query = parts.uri.query();
        let candidates = self.operations.iter().filter(|operation| operation.method == parts.method.as_str());
        let (operation, labels, _) = candidates
            .filter_map(|operation| {
                let template = if self.protocol == Protocol::RestXml {
                    operation.path.trim_end_matches('/')
                } else {
                    operation.path
                };
                match_path(template, &path, query).map(|(labels, fixed)| (operation, labels, fixed))
            })
            .max_by_key(|(_, _, fixed)| *fixed)
            .ok_or_else(|| {
                Error::new(StatusCode::NOT_FOUND, "UnknownOperationException", "There is no such operation.")
            })?;
        let mut outside = query_parameters(parts.uri.query().unwrap_or_default().as_bytes());
        for (name, value) in labels {
            let value =
                percent_decode_str(value).decode_utf8().map_err(|_| Error::serialization("Path is not UTF-8"))?;
            outside.insert(label_key(name), vec![value.into_owned()]);
        }
        Ok((operation, outside))
    }

    fn route_by_target(&'static self, parts: &Parts) -> Result<(&'static Operation, Outside), Error> {
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let name = target.and_then(|target| target.strip_prefix(self.target_prefix)?.strip_prefix('.'));
        let operation = name.and_then(|name| self.operation(name)).ok_or_else(|| {
            let message = format!("There is no operation {}.", target.unwrap_or("without X-Amz-Target"));
            Error::client("UnknownOperationException", message)
        })?;
        Ok((operation, Outside::new()))
    }

    fn route_by_action(&'static self, parts: &Parts, body: &[u8]) -> Result<(&'static Operation, Outside), Error> {
        let mut parameters = query_parameters(parts.uri.query().unwrap_or_default().as_bytes());
        parameters.extend(query_parameters(body));
        let action =
            first(&parameters, "Action").ok_or_else(|| Error::client("MissingAction", "No Action was given"))?;
        let version = first(&parameters, "Version").unwrap_or("NO_VERSION_SPECIFIED");
        let operation = self.operation(action).ok_or_else(|| {
            Error::client("InvalidAction", format!("Could not find operation {action} for version {version}"))
        })?;
        Ok((operation, parameters))
    }
}

/// The typed form of a validated input.
pub(crate) fn parse<T: DeserializeOwned>(input: Value) -> Result<T, Error> {
    T::deserialize(input).map_err(|error| Error::serialization(error.to_string()))
}

/// For an operation that is marked as served but has no method, which code generation rules out.
pub(crate) fn broken(what: &str) -> Error {
    Error::internal(format!("The {what} of the operation could not be written."))
}

/// What a request says outside of a JSON body: parameters by name, labels of the path by `{name}`.
type Outside = BTreeMap<String, Vec<String>>;

fn label_key(name: &str) -> String {
    format!("{{{name}}}")
}

fn first<'a>(outside: &'a Outside, name: &str) -> Option<&'a str> {
    outside.get(name)?.first().map(String::as_str)
}

/// Labels of the template with their (encoded) values, and how many segments were literal. A template with a query, like
/// `/restapis?mode=import`, wants exactly that parameter, which counts as a segment.
fn match_path<'p>(
    template: &'static str,
    path: &[&'p str],
    query: Option<&str>,
) -> Option<(Vec<(&'static str, &'p str)>, usize)> {
    let mut labels = Vec::new();
    let mut fixed = 0;
    let (template, wanted) = template.split_once('?').map_or((template, None), |(path, pair)| (path, Some(pair)));
    if let Some(wanted) = wanted {
        query?.split('&').find(|pair| *pair == wanted)?;
        fixed += 1;
    }
    let mut segments = template.split('/').skip(1);
    for value in path {
        let segment = segments.next()?;
        match segment.strip_prefix('{').and_then(|label| label.strip_suffix('}')) {
            // A signature is over the path without these, so they must not choose another operation.
            Some(_) if matches!(*value, "" | "." | "..") => return None,
            Some(label) => labels.push((label, *value)),
            None if segment == *value => fixed += 1,
            None => return None,
        }
    }
    segments.next().is_none().then_some((labels, fixed))
}

/// `application/x-www-form-urlencoded`, of a query string or a body. Bytes that are not UTF-8 become U+FFFD.
fn query_parameters(bytes: &[u8]) -> Outside {
    let mut parameters = Outside::new();
    for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let [name, value] = [halves.next(), halves.next()].map(|half| decode_form(half.unwrap_or_default()));
        parameters.entry(name).or_default().push(value);
    }
    parameters
}

fn decode_form(bytes: &[u8]) -> String {
    let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_encoding::percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

/// A body with JSON; none where the input has nothing in the body, or the body is empty.
fn json_object(members: &[Member], body: &[u8]) -> Result<Map<String, Value>, Error> {
    let wanted = members.iter().any(|member| member.location == Location::Body);
    if !wanted || body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Error::serialization("The body is not a JSON object.")),
        Err(error) => Err(Error::serialization(format!("The body is not JSON: {error}"))),
    }
}

fn outside_value(member: &Member, parts: &Parts, outside: &Outside, body: &[u8]) -> Result<Option<Value>, Error> {
    let values = match member.location {
        Location::Payload => return Ok(Some(Value::String(BASE64.encode(body)))),
        Location::Header => {
            let text = parts.headers.get(member.name).and_then(|value| value.to_str().ok());
            return text.map(|text| scalar(member.shape, member.name, text)).transpose();
        }
        Location::Path => outside.get(&label_key(member.name)),
        Location::Query | Location::Body => outside.get(member.name),
    };
    match (member.shape, values) {
        (_, None) => Ok(None),
        (Shape::List { of, .. }, Some(values)) => {
            let items: Result<Vec<_>, _> = values.iter().map(|text| scalar(of, member.name, text)).collect();
            items.map(Value::Array).map(Some)
        }
        (shape, Some(values)) => values.first().map(|text| scalar(shape, member.name, text)).transpose(),
    }
}

/// A map in a query string: all that is no other member's.
fn other_parameters(members: &[Member], outside: &Outside) -> Value {
    let is_members = |name: &str| members.iter().any(|member| member.name == name && !is_map(member));
    let others = outside.iter().filter(|(name, _)| !name.starts_with('{') && !is_members(name));
    let first = |(name, values): (&String, &Vec<String>)| {
        (name.clone(), Value::String(values.first().cloned().unwrap_or_default()))
    };
    Value::Object(others.map(first).collect())
}

fn is_map(member: &Member) -> bool {
    matches!(member.shape, Shape::Map { .. })
}

/// Text as the type that the model says.
pub(crate) fn scalar(shape: &Shape, name: &str, text: &str) -> Result<Value, Error> {
    let value: Cow<'_, str> = match shape {
        Shape::Boolean | Shape::Integer { .. } | Shape::Long { .. } | Shape::Double => Cow::Borrowed(text),
        _ => return Ok(Value::String(text.to_owned())),
    };
    match serde_json::from_str(&value) {
        Ok(value @ (Value::Bool(_) | Value::Number(_))) => Ok(value),
        _ => Err(Error::serialization(format!("'{text}' is no value for {name}"))),
    }
}

/// `Name=…`, `List.member.1=…`, `Map.entry.1.key=…`, `Structure.Name=…`.
fn form_structure(members: &[Member], prefix: &str, form: &Outside) -> Result<Map<String, Value>, Error> {
    let mut structure = Map::new();
    for member in members {
        if let Some(value) = form_value(member.shape, &format!("{prefix}{}", member.name), form)? {
            structure.insert(member.name.to_owned(), value);
        }
    }
    Ok(structure)
}

fn form_value(shape: &Shape, name: &str, form: &Outside) -> Result<Option<Value>, Error> {
    let inside = format!("{name}.");
    let nested = form.range(inside.clone()..).next().is_some_and(|(key, _)| key.starts_with(&inside));
    match shape {
        Shape::Structure(members) if nested => form_structure(members, &inside, form).map(Value::Object).map(Some),
        Shape::List { of, .. } if nested => {
            let mut items = Vec::new();
            while let Some(item) = form_value(of, &format!("{name}.member.{}", items.len() + 1), form)? {
                items.push(item);
            }
            Ok(Some(Value::Array(items)))
        }
        // A list of nothing.
        Shape::List { .. } if first(form, name) == Some("") => Ok(Some(Value::Array(Vec::new()))),
        Shape::Map { value, .. } if nested => {
            let mut entries = Map::new();
            for index in 1.. {
                let Some(key) = first(form, &format!("{name}.entry.{index}.key")) else { break };
                let value = form_value(value, &format!("{name}.entry.{index}.value"), form)?;
                entries.insert(key.to_owned(), value.unwrap_or_default());
            }
            Ok(Some(Value::Object(entries)))
        }
        Shape::Structure(_) | Shape::List { .. } | Shape::Map { .. } => Ok(None),
        _ => first(form, name).map(|text| scalar(shape, name, text)).transpose(),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use serde_json::json;

    use super::*;
    use crate::apigatewayv2::{self, Api, CreateApiRequest, GetTagsRequest, ProtocolType, UntagResourceRequest};
    use crate::schema::Output;
    use crate::{Timestamp, logs};

    #[test]
    fn routes_by_path() {
        for (method, path, expected) in [
            ("POST", "/v2/apis", Some("CreateApi")),
            ("GET", "/v2/apis", Some("GetApis")),
            ("GET", "/v2/apis/abc", Some("GetApi")),
            ("GET", "/v2/apis/abc/", None),
            ("GET", "/v2/apis//routes", None),
            ("GET", "/v2/apis/../routes", None),
            ("DELETE", "/v2/apis/.", None),
            ("GET", "/v2/apis/abc/routes", Some("GetRoutes")),
            ("DELETE", "/v2/apis/abc/stages/%24default/accesslogsettings", Some("DeleteAccessLogSettings")),
            ("GET", "/v2/vpclinks", Some("GetVpcLinks")),
            ("GET", "/v1/apis", None),
            ("BREW", "/v2/apis", None),
            ("GET", "*", None),
        ] {
            let found = apigatewayv2::SERVICE.find(&parts(method, path), b"");
            assert_eq!(found.map(|operation| operation.name), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_parameter_tells_operations_of_one_path_apart() {
        for (method, path, expected) in [
            ("POST", "/restapis", Some("CreateRestApi")),
            ("POST", "/restapis?mode=import", Some("ImportRestApi")),
            ("POST", "/restapis?failonwarnings=true&mode=import", Some("ImportRestApi")),
            ("POST", "/apikeys?mode=export", Some("CreateApiKey")),
            ("POST", "/apikeys?format=csv&mode=import", Some("ImportApiKeys")),
            ("GET", "/restapis/a/resources/b?embed=methods", Some("GetResource")),
            ("PUT", "/restapis/a/resources/b/methods/GET/integration", Some("PutIntegration")),
        ] {
            let found = crate::apigateway::SERVICE.find(&parts(method, path), b"");
            assert_eq!(found.map(|operation| operation.name), expected, "{method} {path}");
        }
    }

    #[test]
    fn labels_and_parameters_are_decoded() {
        let uri = "/v2/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Fapis%2Fa";
        let input: GetTagsRequest = rest("GET", uri, "").expect("an input");
        assert_eq!(input.resource_arn, "arn:aws:apigateway:us-east-1::/apis/a");
        let uri = format!("{uri}?tagKeys=a%20b&tagKeys=c%2Bd&tagKeys=e+f&other=1");
        let input: UntagResourceRequest = rest("DELETE", &uri, "").expect("an input");
        assert_eq!(input.tag_keys, ["a b", "c+d", "e f"]);
        assert!(rest::<GetTagsRequest>("GET", "/v2/tags/%ff", "").is_err());
        // A label is not taken from the body, nor from a parameter of its name.
        let error = rest::<UntagResourceRequest>("DELETE", "/v2/tags/a?resource-arn=b", r#"{"tagKeys":["x"]}"#);
        let message = error.expect_err("no tag keys").message;
        assert!(message.contains("Value null at 'tagKeys'"), "{message}");
    }

    #[test]
    fn bodies_are_read_by_their_names_on_the_wire() {
        let body = json!({
            "name": "n", "protocolType": "HTTP", "unknown": {"a": 1}, "version": null, "tags": {"a": "b"},
            "corsConfiguration": {"maxAge": 86_400, "allowOrigins": ["*"]},
        });
        let input: CreateApiRequest = rest("POST", "/v2/apis", &body.to_string()).expect("an input");
        assert_eq!((input.name.as_str(), input.protocol_type, input.version), ("n", ProtocolType::Http, None));
        assert_eq!(input.cors_configuration.and_then(|cors| cors.max_age), Some(86_400));
        assert_eq!(input.tags, Some(BTreeMap::from([("a".to_owned(), "b".to_owned())])));
    }

    #[test]
    fn what_breaks_the_model_is_a_bad_request() {
        for (body, code, expected) in [
            (
                json!({}),
                "BadRequestException",
                "2 validation errors detected: Value null at 'name' failed to satisfy constraint: Member must not be null; Value null at 'protocolType' ",
            ),
            (
                json!({"name": "n", "protocolType": "X"}),
                "BadRequestException",
                "1 validation error detected: Value 'X' at 'protocolType' failed to satisfy constraint: Member must satisfy enum value set: [WEBSOCKET, HTTP]",
            ),
            (
                json!({"name": "n", "protocolType": "HTTP", "corsConfiguration": {"maxAge": 86_401}}),
                "BadRequestException",
                "1 validation error detected: Value '86401' at 'corsConfiguration.maxAge' failed to satisfy constraint: Member must have value less than or equal to 86400",
            ),
            (
                json!({"name": ["n"], "protocolType": "HTTP"}),
                "SerializationException",
                "'name' has a value of the wrong type",
            ),
            (
                json!({"name": "n", "protocolType": "HTTP", "tags": {"a": null}}),
                "SerializationException",
                "'tags.a.member' has a value of the wrong type",
            ),
            (json!("name"), "SerializationException", "The body is not a JSON object."),
        ] {
            let error =
                rest::<CreateApiRequest>("POST", "/v2/apis", &body.to_string()).expect_err("it breaks the model");
            assert_eq!((error.code, error.status.as_u16()), (code, 400), "{body}");
            assert!(error.message.starts_with(expected), "{body}: {}", error.message);
        }
    }

    #[test]
    fn rest_answers() {
        let api =
            Api { api_id: Some("abc".to_owned()), created_date: Some(Timestamp(1_795_366_800_999)), ..Api::default() };
        let operation = apigatewayv2::SERVICE.operation("CreateApi").expect("a name of the model");
        let response = apigatewayv2::SERVICE.respond(Reply::json(&api).map(|reply| (operation, reply)), "id");
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (201, &"application/json".parse().expect("a value"))
        );
        assert_eq!(response.body().as_ref(), br#"{"apiId":"abc","createdDate":"2026-11-22T17:00:00Z"}"#);

        let operation = apigatewayv2::SERVICE.operation("DeleteApi").expect("a name of the model");
        let response = apigatewayv2::SERVICE.respond(Ok((operation, Reply::default())), "id");
        assert_eq!((response.status().as_u16(), response.body().len()), (204, 0));
        assert_eq!(response.headers().len(), 1, "{response:?}");

        let error = Error::not_found("Invalid API identifier specified").with("resourceType", "Api");
        let response = apigatewayv2::SERVICE.respond(Err(error), "id");
        assert_eq!(
            (response.status().as_u16(), &response.headers()["x-amzn-errortype"]),
            (404, &"NotFoundException".parse().expect("a value"))
        );
        assert_eq!(response.body().as_ref(), br#"{"message":"Invalid API identifier specified","resourceType":"Api"}"#);
    }

    #[test]
    fn authentication_errors_by_protocol() {
        use sigv4::Error as Signature;
        for (error, json, query, status) in [
            (
                Signature::MissingAuthenticationToken,
                "MissingAuthenticationTokenException",
                "MissingAuthenticationToken",
                403,
            ),
            (Signature::UnrecognizedClient, "UnrecognizedClientException", "InvalidClientTokenId", 403),
            (Signature::InvalidSignature, "InvalidSignatureException", "SignatureDoesNotMatch", 403),
            (Signature::PresignedExpired, "InvalidSignatureException", "SignatureDoesNotMatch", 403),
            (
                Signature::IncompleteSignature("x".to_owned()),
                "IncompleteSignatureException",
                "IncompleteSignature",
                400,
            ),
        ] {
            for (protocol, code) in [(Protocol::RestJson, json), (Protocol::Json11, json), (Protocol::Query, query)] {
                let found = protocol.authentication_error(&error);
                assert_eq!((found.code, found.status.as_u16(), &found.message), (code, status, &error.to_string()));
                let rendered = protocol.render_error(&found, "id");
                assert!(String::from_utf8_lossy(rendered.body()).contains(&error.to_string()), "{rendered:?}");
            }
        }
    }

    #[test]
    fn forms_are_read_by_the_shape() {
        static TEXT: Shape = Shape::String { min: None, max: None, pattern: None, values: &[], sensitive: false };
        static NUMBER: Shape = Shape::Integer { min: None, max: None };
        static LIST: Shape = Shape::List { of: &TEXT, element: "member", min: None, max: None };
        static MAP: Shape = Shape::Map { key: &TEXT, value: &NUMBER, min: None, max: None };
        static INNER: Shape = Shape::Structure(&[member("Number", &NUMBER), member("Again", &INNER)]);
        const fn member(name: &'static str, shape: &'static Shape) -> Member {
            Member { name, location: Location::Body, required: false, shape }
        }
        static MEMBERS: &[Member] =
            &[member("Text", &TEXT), member("List", &LIST), member("Map", &MAP), member("Inner", &INNER)];
        let form = "Text=a+b&List.member.1=x&List.member.2=y&List.member.4=z&Map.entry.1.key=k&Map.entry.1.value=7\
                    &Inner.Number=1&Inner.Again.Number=2&Action=A";
        let value = form_structure(MEMBERS, "", &query_parameters(form.as_bytes())).expect("readable");
        let expected = json!({
            "Text": "a b", "List": ["x", "y"], "Map": {"k": 7}, "Inner": {"Number": 1, "Again": {"Number": 2}},
        });
        assert_eq!(Value::Object(value), expected);
        assert!(form_structure(MEMBERS, "", &query_parameters(b"Inner.Number=x")).is_err());
        let nothing = form_structure(MEMBERS, "", &query_parameters(b"List=&Map=")).expect("readable");
        assert_eq!(Value::Object(nothing), json!({"List": []}));

        let output = Output { wrapper: "XResult", members: MEMBERS };
        let xml = xml::answer(&crate::sts::SERVICE, "X", &output, &expected, "id<");
        let inside = "<Text>a b</Text><List><member>x</member><member>y</member></List>\
                      <Map><entry><key>k</key><value>7</value></entry></Map>\
                      <Inner><Number>1</Number><Again><Number>2</Number></Again></Inner>";
        assert!(xml.contains(&format!("<XResult>{inside}</XResult>")), "{xml}");
        assert!(xml.contains("<RequestId>id&lt;</RequestId>"), "{xml}");
    }

    #[test]
    fn xml_in_and_out() {
        use crate::route53::{ChangeResourceRecordSetsRequest, CreateHostedZoneResponse, HostedZone, SERVICE};
        let body = "<?xml version=\"1.0\"?><ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
            <ChangeBatch><Changes><Change><Action>UPSERT</Action><ResourceRecordSet><Name>a&amp;b</Name><Type>TXT</Type><TTL>60</TTL>\
            <ResourceRecords><ResourceRecord><Value>\"x\"</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change></Changes>\
            </ChangeBatch></ChangeResourceRecordSetsRequest>";
        for path in ["/2013-04-01/hostedzone/Z1/rrset", "/2013-04-01/hostedzone/Z1/rrset/"] {
            let received = SERVICE.receive(&parts("POST", path), body.as_bytes(), |_, _| Ok(()));
            let input: ChangeResourceRecordSetsRequest =
                received.and_then(|(_, input)| parse(input)).expect("an input");
            let set = &input.change_batch.changes[0].resource_record_set;
            assert_eq!((input.hosted_zone_id.as_str(), set.name.as_str(), set.ttl), ("Z1", "a&b", Some(60)));
            assert_eq!(set.resource_records.as_ref().map(|records| records[0].value.as_str()), Some("\"x\""));
        }
        for (path, body, code, text) in [
            ("/2013-04-01/hostedzone/Z1/rrset", "<x/>", "InvalidInput", "Value null at 'changeBatch'"),
            ("/2013-04-01/hostedzone/Z1/rrset", "{}", "MalformedInput", "not XML"),
            ("/2013-04-01/healthcheck", "", "UnknownOperationException", "CreateHealthCheck"),
        ] {
            let error = SERVICE.receive(&parts("POST", path), body.as_bytes(), |_, _| Ok(())).expect_err("no input");
            assert!(error.code == code && error.message.contains(text), "{error}");
            let shown = SERVICE.respond(Err(error), "id");
            let expected =
                format!("<ErrorResponse xmlns=\"{}\"><Error><Type>Sender</Type><Code>", SERVICE.xml_namespace);
            assert!(String::from_utf8_lossy(shown.body()).starts_with(&expected), "{shown:?}");
        }
        let output = CreateHostedZoneResponse {
            hosted_zone: Some(HostedZone { name: Some("<a>".to_owned()), ..HostedZone::default() }),
            location: Some("https://x/Z1".to_owned()),
            ..CreateHostedZoneResponse::default()
        };
        let operation = SERVICE.operation("CreateHostedZone").expect("a name of the model");
        let response = SERVICE.respond(Reply::json(&output).map(|reply| (operation, reply)), "id");
        assert_eq!(
            (response.status().as_u16(), &response.headers()["location"]),
            (201, &HeaderValue::from_static("https://x/Z1"))
        );
        assert_eq!(
            String::from_utf8_lossy(response.body()),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CreateHostedZoneResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
             <HostedZone><Name>&lt;a&gt;</Name></HostedZone></CreateHostedZoneResponse>"
        );
    }

    #[test]
    fn every_served_operation_is_in_order_and_can_be_found() {
        for service in [&apigatewayv2::SERVICE, &logs::SERVICE, &crate::acm::SERVICE, &crate::sts::SERVICE] {
            assert!(service.operations.is_sorted_by(|a, b| a.name < b.name), "{}", service.name);
            for operation in service.operations {
                let mut parts = parts(operation.method, &operation.path.replace(['{', '}', '+'], ""));
                let target = format!("{}.{}", service.target_prefix, operation.name);
                parts.headers.insert("x-amz-target", target.parse().expect("a header's value"));
                let found = service.find(&parts, format!("Action={}", operation.name).as_bytes());
                assert_eq!(found.map(|found| found.name), Some(operation.name));
            }
        }
    }

    fn parts(method: &str, uri: &str) -> Parts {
        Request::builder().method(method).uri(uri).body(()).expect("a request").into_parts().0
    }

    fn rest<T: DeserializeOwned>(method: &str, uri: &str, body: &str) -> Result<T, Error> {
        let received = apigatewayv2::SERVICE.receive(&parts(method, uri), body.as_bytes(), |_, _| Ok(()));
        received.and_then(|(_, input)| parse(input))
    }
}
