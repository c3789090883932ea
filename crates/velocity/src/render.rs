//! A template at work on a message.

mod evaluate;
mod reference;

use std::borrow::Cow;
use std::collections::HashMap;

use crate::ast::{Expression, Node, Reference, Root, Step};
use crate::bounds::{MAX_DEPTH, MAX_ITERATIONS, MAX_OUTPUT_BYTES};
use crate::heap::{Form, Heap};
use crate::value::Value;

/// What a template can ask of a message.
pub trait Message {
    /// `$input.body`
    fn payload(&self) -> &[u8];
    /// Parameters of the request by where they are: `path`, `querystring` or `header`. Of several values the last.
    fn parameters(&self, place: &str) -> Vec<(String, String)>;
    /// `$context.`NAME
    fn context(&self, name: &str) -> Option<Cow<'_, str>>;
    /// `$stageVariables`
    fn stage_variables(&self) -> Vec<(&str, &str)>;
}

/// What a template made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// What it set of `$context.requestOverride` and `$context.responseOverride`.
    pub overrides: Vec<Overrides>,
}

/// Something that a template sets beside its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overrides {
    /// `header.NAME`
    Header(Side, String, String),
    /// `requestOverride.path.NAME`
    Path(String, String),
    /// `requestOverride.querystring.NAME`
    Query(String, String),
    /// `responseOverride.status`
    Status(String),
}

/// Of which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `requestOverride`
    Request,
    /// `responseOverride`
    Response,
}

/// Why a template makes nothing of a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The payload is asked for what is in it, and is no JSON.
    #[error("Could not parse request body into json: {0}")]
    NotJson(String),
    /// It would do more than a rendering may.
    #[error("the template does too much with this message")]
    TooMuch,
    /// It makes more than a payload may be.
    #[error("what the template makes is larger than 10 MB")]
    TooLarge,
    /// Values refer to one another too deeply.
    #[error("values are nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// More rounds of a `#foreach` than there may be.
    #[error("a #foreach has more than {MAX_ITERATIONS} rounds")]
    TooManyRounds,
    /// A text that the template made is no regular expression.
    #[error("'{0}' is no regular expression that can be used")]
    Pattern(String),
    /// A text that the template made is no JSONPath.
    #[error("the JSONPath {0} is not available in Countersign")]
    Path(String),
}

/// Renders.
pub(crate) fn render(nodes: &[Node], message: &dyn Message) -> Result<Rendered, RenderError> {
    let mut rendering = Rendering {
        message,
        heap: Heap::default(),
        variables: HashMap::new(),
        loops: Vec::new(),
        payload: None,
        overrides: Vec::new(),
    };
    let mut text = String::new();
    rendering.nodes(nodes, &mut text)?;
    Ok(Rendered { text, overrides: rendering.overrides })
}

struct Rendering<'a> {
    message: &'a dyn Message,
    heap: Heap,
    variables: HashMap<&'a str, Value>,
    loops: Vec<Loop>,
    /// The payload as JSON, once somebody has asked.
    payload: Option<Value>,
    overrides: Vec<Overrides>,
}

#[derive(Clone, Copy)]
struct Loop {
    index: usize,
    size: usize,
}

/// How a block ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Stop,
}

type Evaluated = Result<Value, RenderError>;

impl<'a> Rendering<'a> {
    fn nodes(&mut self, nodes: &'a [Node], out: &mut String) -> Result<Flow, RenderError> {
        for node in nodes {
            self.heap.step()?;
            let flow = match node {
                Node::Text(text) => {
                    self.heap.bytes(text.len())?;
                    out.push_str(text);
                    Flow::On
                }
                Node::Reference(reference) => {
                    let value = self.reference(reference)?;
                    self.write(&value, out)?;
                    Flow::On
                }
                Node::Set(target, value) => {
                    self.set(target, value)?;
                    Flow::On
                }
                Node::If(branches) => self.branch(branches, out)?,
                Node::Foreach(name, list, body) => self.foreach(name, list, body, out)?,
                Node::Break => Flow::Break,
                Node::Stop => Flow::Stop,
            };
            if out.len() > MAX_OUTPUT_BYTES {
                return Err(RenderError::TooLarge);
            }
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    /// What has no value leaves nothing, as in API Gateway.
    fn write(&mut self, value: &Value, out: &mut String) -> Result<(), RenderError> {
        match self.settled(value) {
            Value::Null => Ok(()),
            value => self.heap.write(&value, Form::Java, out),
        }
    }

    fn branch(&mut self, branches: &'a [(Expression, Vec<Node>)], out: &mut String) -> Result<Flow, RenderError> {
        for (condition, nodes) in branches {
            if self.holds(condition)? {
                return self.nodes(nodes, out);
            }
        }
        Ok(Flow::On)
    }

    fn foreach(
        &mut self,
        name: &'a str,
        list: &'a Expression,
        body: &'a [Node],
        out: &mut String,
    ) -> Result<Flow, RenderError> {
        let list = self.expression(list)?;
        let items = match self.settled(&list) {
            Value::List(id) => {
                self.heap.spend(self.heap.list(id).len())?;
                self.heap.list(id).to_vec()
            }
            Value::Map(id) => {
                self.heap.spend(self.heap.map(id).len())?;
                self.heap.map(id).values().cloned().collect()
            }
            _ => return Ok(Flow::On),
        };
        if items.len() > MAX_ITERATIONS {
            return Err(RenderError::TooManyRounds);
        }
        let before = self.variables.remove(name);
        self.loops.push(Loop { index: 0, size: items.len() });
        let mut ended = Flow::On;
        for (index, item) in items.into_iter().enumerate() {
            self.variables.insert(name, item);
            if let Some(this) = self.loops.last_mut() {
                this.index = index;
            }
            ended = self.nodes(body, out)?;
            if ended != Flow::On {
                break;
            }
        }
        self.loops.pop();
        match before {
            Some(before) => drop(self.variables.insert(name, before)),
            None => drop(self.variables.remove(name)),
        }
        Ok(if ended == Flow::Stop { Flow::Stop } else { Flow::On })
    }

    fn set(&mut self, target: &'a Reference, value: &'a Expression) -> Result<(), RenderError> {
        let value = self.expression(value)?;
        let Some((last, before)) = target.steps.split_last() else {
            if let Root::Variable(name) = &target.root {
                self.variables.insert(name, value);
            }
            return Ok(());
        };
        let key = match last {
            Step::Property(name) => Value::text(name),
            Step::Index(index) => self.expression(index)?,
            Step::Call(..) | Step::Input(..) | Step::Util(..) => return Ok(()),
        };
        if target.root == Root::Context {
            return self.overrule(before, &key, &value);
        }
        let container = self.steps(&target.root, before)?;
        match (container, &key) {
            (Value::Map(id), _) => {
                let mut name = String::new();
                self.heap.write(&key, Form::Java, &mut name)?;
                self.heap.map_mut(id).insert(name.into(), value);
            }
            (Value::List(id), Value::Integer(at)) => {
                let place = usize::try_from(*at).ok();
                if let Some(item) = place.and_then(|at| self.heap.list_mut(id).get_mut(at)) {
                    *item = value;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// `#set($context.requestOverride.header.x = "y")`
    fn overrule(&mut self, before: &[Step], key: &Value, value: &Value) -> Result<(), RenderError> {
        let names: Vec<&str> = before
            .iter()
            .filter_map(|step| if let Step::Property(name) = step { Some(&**name) } else { None })
            .collect();
        let (mut name, mut text) = (String::new(), String::new());
        self.write(key, &mut name)?;
        self.write(value, &mut text)?;
        self.heap.bytes(name.len() + text.len())?;
        self.overrides.push(match names.as_slice() {
            ["requestOverride", "header"] => Overrides::Header(Side::Request, name, text),
            ["responseOverride", "header"] => Overrides::Header(Side::Response, name, text),
            ["requestOverride", "path"] => Overrides::Path(name, text),
            ["requestOverride", "querystring"] => Overrides::Query(name, text),
            // The parser lets nothing else through.
            _ => Overrides::Status(text),
        });
        Ok(())
    }
}
