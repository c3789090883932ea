//! A template, parsed.

use crate::ast::Node;
use crate::parser;
use crate::render::{Message, RenderError, Rendered};

/// A template. Parsed once, rendered for each message.
#[derive(Debug)]
pub struct Template {
    nodes: Vec<Node>,
}

/// Why a text is no template that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct SyntaxError {
    /// From 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl Template {
    /// Parses a text of at most [`MAX_TEMPLATE_BYTES`](crate::bounds::MAX_TEMPLATE_BYTES).
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        parser::parse(text).map(|nodes| Self { nodes })
    }

    /// What it makes of a message. The same of the same message, always.
    pub fn render(&self, message: &dyn Message) -> Result<Rendered, RenderError> {
        crate::render::render(&self.nodes, message)
    }
}
