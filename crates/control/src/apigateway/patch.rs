//! Patch operations: `op=replace,path=/name,value=x`.

use aws::Error;
use aws::apigateway::{Op, PatchOperation};

/// One operation, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) op: Op,
    path: String,
    /// Segments of the path, decoded (RFC 6901 section 4).
    pub(super) segments: Vec<String>,
    /// Empty where none was given.
    pub(super) value: String,
}

/// How many operations one update may have.
const MAX_OPERATIONS: usize = 20;

impl Patch {
    pub(super) fn read(operations: Option<&[PatchOperation]>) -> Result<Vec<Self>, Error> {
        let operations = operations.unwrap_or_default();
        if operations.len() > MAX_OPERATIONS {
            return Err(Error::bad_request(format!("An update has at most {MAX_OPERATIONS} patch operations")));
        }
        operations.iter().map(Self::of).collect()
    }

    fn of(operation: &PatchOperation) -> Result<Self, Error> {
        let op = operation.op.ok_or_else(|| Error::bad_request("Patch operation must have an op"))?;
        if !matches!(op, Op::Add | Op::Remove | Op::Replace) {
            return Err(Error::bad_request(
                "Invalid patch operation specified. Must be one of: [add, remove, replace]",
            ));
        }
        let path = operation.path.clone().unwrap_or_default();
        let segments = path.strip_prefix('/').map(|path| path.split('/').map(decode).collect());
        let segments = segments.ok_or_else(|| Error::bad_request(format!("Invalid patch path: {path}")))?;
        Ok(Self { op, path, segments, value: operation.value.clone().unwrap_or_default() })
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Result<bool, Error> {
        match self.value.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            other => {
                Err(Error::bad_request(format!("Invalid value '{other}' for {}: a boolean is expected", self.path)))
            }
        }
    }

    /// A member of an enumeration.
    pub(super) fn parse<T>(&self, parse: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
        let wrong = || Error::bad_request(format!("Invalid value '{}' for {}", self.value, self.path));
        parse(&self.value).ok_or_else(wrong)
    }

    /// What an optional text becomes: nothing, where it is removed.
    pub(super) fn value_or_empty(&self) -> String {
        if self.op == Op::Remove { String::new() } else { self.value.clone() }
    }

    /// AWS's error for a path that cannot be patched so.
    pub(super) fn unknown(&self, paths: &str) -> Error {
        Error::bad_request(format!(
            "Invalid patch path  '{}' specified for op '{}'. Must be one of: [{paths}]",
            self.path, self.op
        ))
    }
}

fn decode(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}
