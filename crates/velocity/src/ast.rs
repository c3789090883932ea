//! What a template is parsed into.

use crate::function::{InputFunction, UtilFunction};
use crate::method::Method;
use crate::pattern::Pattern;

/// A piece of a template.
#[derive(Debug)]
pub(crate) enum Node {
    /// As it stands.
    Text(Box<str>),
    /// `$x.y`: its value; nothing where there is none, as in API Gateway.
    Reference(Reference),
    /// `#set($x = 1)`
    Set(Reference, Expression),
    /// `#if … #elseif …`: conditions with what they lead to. `#else` is a condition that always holds.
    If(Vec<(Expression, Vec<Node>)>),
    /// `#foreach($x in …)`
    Foreach(Box<str>, Expression, Vec<Node>),
    /// `#break`
    Break,
    /// `#stop`
    Stop,
}

/// `$root` and what is behind it.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) root: Root,
    pub(crate) steps: Vec<Step>,
}

/// What a reference begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    Context,
    Foreach,
    Input,
    StageVariables,
    Util,
    Variable(Box<str>),
}

/// One step of a reference.
#[derive(Debug)]
pub(crate) enum Step {
    /// `.name`
    Property(Box<str>),
    /// `[0]`, `['name']`
    Index(Expression),
    /// `.size()`
    Call(Method, Vec<Expression>),
    /// `$input.json('$')`
    Input(InputFunction, Vec<Expression>),
    /// `$util.urlEncode($x)`
    Util(UtilFunction, Vec<Expression>),
}

#[derive(Debug)]
pub(crate) enum Expression {
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(Box<str>),
    /// A text in single quotes that is where a regular expression has to be.
    Pattern(Box<Pattern>),
    /// A text in double quotes with more in it than text.
    Interpolated(Vec<Node>),
    List(Vec<Expression>),
    Map(Vec<(Expression, Expression)>),
    /// `[1..5]`
    Range(Box<(Expression, Expression)>),
    Reference(Box<Reference>),
    Not(Box<Expression>),
    Negative(Box<Expression>),
    /// `a + b - c`: of one precedence, from the left. Flat, so that nothing is as deep as it is long.
    Chain(Box<Expression>, Vec<(Operator, Expression)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}
