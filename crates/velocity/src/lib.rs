//! Templates in Velocity's language, as API Gateway's REST APIs have them ("Mapping template transformations", REST API
//! developer guide): a text is parsed once into a [`Template`], and rendered for each message.
//!
//! Whoever sends a message decides what a template works on, so that rendering is bounded in all it does: [`bounds`]. What is not
//! understood is refused when a template is parsed, with its line, never when it is rendered.
//!
//! What must not live here: input and output, clocks, HTTP, where templates are kept.

mod ast;
pub mod bounds;
mod expression;
mod function;
mod heap;
mod json;
mod json_path;
mod method;
mod parser;
mod pattern;
mod render;
mod template;
#[cfg(test)]
mod tests;
mod value;

pub use render::{Message, Overrides, RenderError, Rendered, Side};
pub use template::{SyntaxError, Template};
