//! AWS's service models as static tables: what routing, reading and validation need of them.

use crate::Protocol;

/// A service of AWS.
#[derive(Debug)]
pub struct Service {
    /// Name in botocore, e.g. `apigatewayv2`.
    pub name: &'static str,
    /// Name in the credential scope, e.g. `apigateway`.
    pub signing_name: &'static str,
    /// Version of the API, e.g. `2018-11-29`.
    pub api_version: &'static str,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Of `X-Amz-Target` (json 1.1), else empty.
    pub target_prefix: &'static str,
    /// Of the XML answers (query, rest-xml), else empty.
    pub xml_namespace: &'static str,
    /// Code of the error for input that breaks a constraint.
    pub validation_code: &'static str,
    /// All of AWS's operations, ordered by name.
    pub operations: &'static [Operation],
}

/// An operation of AWS.
#[derive(Debug)]
pub struct Operation {
    /// AWS's name, e.g. `CreateApi`.
    pub name: &'static str,
    /// How far we have it.
    pub level: Level,
    /// HTTP method.
    pub method: &'static str,
    /// Template of the path, e.g. `/v2/apis/{apiId}`.
    pub path: &'static str,
    /// HTTP status of success.
    pub status: u16,
    /// Of a served operation.
    pub(crate) input: &'static [Member],
    /// Of a served operation of a protocol with XML, whose answers are written from it.
    pub(crate) output: Option<Output>,
}

/// How far we have an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It does what AWS's does.
    Full,
    /// What it is told is checked, kept and read back, but not acted upon.
    Stored,
    /// We do not have it.
    Missing,
}

impl Operation {
    /// Whether we have it.
    pub fn is_served(&self) -> bool {
        self.level != Level::Missing
    }

    /// Whether it may change something. Those of which nobody knows better do.
    pub fn is_write(&self) -> bool {
        const READS: [&str; 6] = ["Describe", "Filter", "Get", "List", "Simulate", "Test"];
        // Who is given credentials is worth a record.
        if ["GetFederationToken", "GetSessionToken"].contains(&self.name) {
            return true;
        }
        // Log lines are what is recorded, not how; and a query over them only reads, however it is begun and ended.
        let reads = READS.iter().any(|verb| self.name.starts_with(verb));
        !reads && !matches!(self.name, "PutLogEvents" | "StartQuery" | "StopQuery")
    }
}

/// The answer of an operation in XML.
#[derive(Debug)]
pub(crate) struct Output {
    /// Element around the members.
    pub wrapper: &'static str,
    /// What is in it.
    pub members: &'static [Member],
}

/// A member of a structure.
#[derive(Debug)]
pub(crate) struct Member {
    /// As on the wire.
    pub name: &'static str,
    /// Where it is.
    pub location: Location,
    /// Whether it must be there.
    pub required: bool,
    /// What it is.
    pub shape: &'static Shape,
}

/// Where a member of the input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// In the body.
    Body,
    /// The body itself: bytes.
    Payload,
    /// A label of the path.
    Path,
    /// A parameter of the query string.
    Query,
    /// A header.
    Header,
}

/// A type of the model with its constraints. `min` and `max` count characters, bytes, elements or are the value's.
#[derive(Debug)]
pub(crate) enum Shape {
    Structure(&'static [Member]),
    List {
        of: &'static Shape,
        /// The element of an item in XML; empty where it has the list's own name.
        element: &'static str,
        min: Option<i64>,
        max: Option<i64>,
    },
    Map {
        key: &'static Shape,
        value: &'static Shape,
        min: Option<i64>,
        max: Option<i64>,
    },
    String {
        min: Option<i64>,
        max: Option<i64>,
        pattern: Option<&'static str>,
        values: &'static [&'static str],
        sensitive: bool,
    },
    Blob {
        min: Option<i64>,
        max: Option<i64>,
    },
    Boolean,
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    Long {
        min: Option<i64>,
        max: Option<i64>,
    },
    Double,
    Timestamp,
}

impl Service {
    /// The operation of that name.
    pub fn operation(&self, name: &str) -> Option<&'static Operation> {
        let index = self.operations.binary_search_by(|operation| operation.name.cmp(name)).ok()?;
        self.operations.get(index)
    }
}
