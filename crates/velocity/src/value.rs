//! What expressions come to.

use std::rc::Rc;

/// A value. Lists and maps are in the [`Heap`](crate::heap::Heap), since several values may be the same one.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(Rc<str>),
    List(usize),
    Map(usize),
    /// An entry of a map: its key, and what is there.
    Entry(Rc<str>, Box<Value>),
    /// `$context` down to here, e.g. `identity`.
    Context(Rc<str>),
    StageVariables,
    /// What `$foreach` says of the loop, so and so far out.
    Foreach(usize),
}

impl Value {
    pub(crate) fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().into())
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// As a number.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
}
