//! What a template and its rendering are bounded by.

/// Bytes of a template; AWS's limit.
pub const MAX_TEMPLATE_BYTES: usize = 300 * 1024;
/// Rounds of one `#foreach`; AWS's limit.
pub const MAX_ITERATIONS: usize = 1000;
/// Bytes of what a template renders, and of each text on the way: AWS's limit on payloads.
pub const MAX_OUTPUT_BYTES: usize = 10 * 1024 * 1024;
/// How deep directives, expressions and values may be nested. Each is a frame of the stack, or a few.
pub const MAX_DEPTH: usize = 64;
/// How much one rendering may do: one for each thing that is evaluated, and one for every [`BYTES_A_STEP`] that are moved.
pub const MAX_STEPS: usize = 4_000_000;
/// See [`MAX_STEPS`].
pub const BYTES_A_STEP: usize = 16;
/// Bytes that a compiled regular expression may take.
pub const MAX_PATTERN_BYTES: usize = 64 * 1024;
/// Steps that compiling a regular expression counts for, where it is not known before.
pub const STEPS_A_PATTERN: usize = 2_000;
