//! From text to nodes, as Velocity 1.7 reads it: text, references, directives and comments.

use crate::ast::{Expression, Node, Reference, Root, Step};
use crate::bounds::{MAX_DEPTH, MAX_TEMPLATE_BYTES};
use crate::function::{InputFunction, UtilFunction};
use crate::method::Method;
use crate::pattern::Pattern;
use crate::template::SyntaxError;

/// Directives that Velocity has and API Gateway's templates here have not.
const REFUSED: [&str; 6] = ["define", "evaluate", "include", "macro", "parse", "literal"];

/// Parses a template.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let mut parser = Parser { text, at: 0, line: 1, depth: MAX_DEPTH, loops: 0 };
    if text.len() > MAX_TEMPLATE_BYTES {
        return Err(parser.error(format!("a template has at most {MAX_TEMPLATE_BYTES} bytes")));
    }
    let (nodes, end) = parser.nodes()?;
    match end {
        Close::Text => Ok(nodes),
        other => Err(parser.error(format!("{} without #if or #foreach", other.name()))),
    }
}

/// Reads from left to right. What is read once is read again never, but for a word or a blank.
pub(crate) struct Parser<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    /// How much deeper it may go.
    depth: usize,
    /// How many `#foreach` it is in.
    loops: usize,
}

/// What ends a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    Text,
    End,
    Else,
    ElseIf,
}

impl Close {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "the end of the template",
            Self::End => "#end",
            Self::Else => "#else",
            Self::ElseIf => "#elseif",
        }
    }
}

type Parsed<T> = Result<T, SyntaxError>;

/// Text and what is in it.
impl<'t> Parser<'t> {
    fn nodes(&mut self) -> Parsed<(Vec<Node>, Close)> {
        self.deeper(Self::block)
    }

    fn block(&mut self) -> Parsed<(Vec<Node>, Close)> {
        let (mut nodes, mut text) = (Vec::new(), String::new());
        loop {
            let plain = self.rest().find(['$', '#', '\\']).unwrap_or(self.rest().len());
            text.push_str(self.take(plain));
            match self.rest().as_bytes().first() {
                None => {
                    flush(&mut nodes, &mut text);
                    return Ok((nodes, Close::Text));
                }
                Some(b'\\') => self.escaped(&mut text),
                Some(b'$') => match self.reference()? {
                    Some(reference) => {
                        flush(&mut nodes, &mut text);
                        nodes.push(Node::Reference(reference));
                    }
                    None => text.push_str(self.take(1)),
                },
                Some(_) => {
                    if let Some(end) = self.hash(&mut nodes, &mut text)? {
                        flush(&mut nodes, &mut text);
                        return Ok((nodes, end));
                    }
                }
            }
        }
    }

    /// `\$x` and `\#if` are text; of other backslashes nothing is meant.
    fn escaped(&mut self, text: &mut String) {
        let slashes = self.rest().bytes().take_while(|byte| *byte == b'\\').count();
        let behind = &self.rest()[slashes..];
        let is_reference = behind.strip_prefix('$').is_some_and(|name| reference_begins(name).is_some());
        let is_directive = behind.strip_prefix('#').is_some_and(|name| directive(name).is_some());
        if !is_reference && !is_directive {
            text.push_str(self.take(slashes));
            return;
        }
        text.push_str(&self.take(slashes)[..slashes / 2]);
        if slashes % 2 == 1 {
            text.push_str(self.take(1));
        }
    }

    /// Whatever begins with `#`. Says how the block ends, where it does.
    fn hash(&mut self, nodes: &mut Vec<Node>, text: &mut String) -> Parsed<Option<Close>> {
        let behind = &self.rest()[1..];
        if behind.starts_with('#') {
            let end = self.rest().find('\n').map_or(self.rest().len(), |at| at + 1);
            self.take(end);
            return Ok(None);
        }
        if behind.starts_with('*') {
            let end = self.rest()[2..].find("*#").map(|at| at + 4);
            self.take(end.ok_or_else(|| self.error("#* without *#"))?);
            return Ok(None);
        }
        if let Some(raw) = behind.strip_prefix("[[") {
            let end = raw.find("]]#").ok_or_else(|| self.error("#[[ without ]]#"))?;
            text.push_str(&raw[..end]);
            self.take(end + 6);
            return Ok(None);
        }
        let Some((name, length)) = directive(behind) else {
            text.push_str(self.take(1));
            return Ok(None);
        };
        if REFUSED.contains(&name) {
            return Err(self.error(format!("#{name} is not available in Countersign")));
        }
        if name == "set" {
            // What stands before it on its line goes with it.
            text.truncate(text.trim_end_matches([' ', '\t']).len());
        }
        flush(nodes, text);
        self.take(1 + length);
        match name {
            "set" => nodes.push(self.set()?),
            "if" => nodes.push(self.condition()?),
            "foreach" => nodes.push(self.foreach()?),
            "break" if self.loops == 0 => return Err(self.error("#break outside of #foreach")),
            "break" => nodes.push(Node::Break),
            "stop" => nodes.push(Node::Stop),
            "elseif" => return Ok(Some(Close::ElseIf)),
            "else" => {
                self.line_end();
                return Ok(Some(Close::Else));
            }
            _ => {
                self.line_end();
                return Ok(Some(Close::End));
            }
        }
        Ok(None)
    }

    fn set(&mut self) -> Parsed<Node> {
        self.expect('(')?;
        self.blanks();
        let target = self.reference()?.ok_or_else(|| self.error("#set needs a reference, as in #set($x = 1)"))?;
        self.check_target(&target)?;
        self.expect('=')?;
        let value = self.expression()?;
        self.expect(')')?;
        self.line_end();
        Ok(Node::Set(target, value))
    }

    fn check_target(&self, target: &Reference) -> Parsed<()> {
        let is_place = |step: &Step| matches!(step, Step::Property(_) | Step::Index(_));
        let names: Vec<&str> = target
            .steps
            .iter()
            .map_while(|step| if let Step::Property(name) = step { Some(&**name) } else { None })
            .collect();
        let is_good = match &target.root {
            Root::Variable(_) => target.steps.last().is_none_or(is_place),
            Root::Context => {
                let last = target.steps.last().is_some_and(is_place);
                let name = matches!(
                    (names.as_slice(), target.steps.len()),
                    (["responseOverride", "status"], 2)
                        | (["responseOverride" | "requestOverride", "header", ..], 3)
                        | (["requestOverride", "path" | "querystring", ..], 3)
                );
                last && name
            }
            _ => false,
        };
        match is_good {
            true => Ok(()),
            false => Err(self.error(
                "#set sets variables, what is in them, $context.requestOverride.header|path|querystring.NAME, \
                 $context.responseOverride.header.NAME and $context.responseOverride.status",
            )),
        }
    }

    /// Behind `#if`.
    fn condition(&mut self) -> Parsed<Node> {
        let line = self.line;
        let mut branches = Vec::new();
        loop {
            self.expect('(')?;
            let condition = self.expression()?;
            self.expect(')')?;
            self.line_end();
            let (nodes, end) = self.nodes()?;
            branches.push((condition, nodes));
            match end {
                Close::ElseIf => continue,
                Close::End => return Ok(Node::If(branches)),
                Close::Text => return Err(SyntaxError { line, what: "#if without #end".to_owned() }),
                Close::Else => break,
            }
        }
        let (nodes, end) = self.nodes()?;
        branches.push((Expression::Boolean(true), nodes));
        match end {
            Close::End => Ok(Node::If(branches)),
            Close::Text => Err(SyntaxError { line, what: "#if without #end".to_owned() }),
            other => Err(self.error(format!("{} behind #else", other.name()))),
        }
    }

    /// Behind `#foreach`.
    fn foreach(&mut self) -> Parsed<Node> {
        let line = self.line;
        self.expect('(')?;
        self.blanks();
        let variable = self.reference()?;
        let Some(Reference { root: Root::Variable(name), steps }) = variable.filter(|found| found.steps.is_empty())
        else {
            return Err(self.error("#foreach needs a variable, as in #foreach($x in $list)"));
        };
        drop(steps);
        self.blanks();
        if self.word() != Some("in") {
            return Err(self.error("expected `in`, as in #foreach($x in $list)"));
        }
        self.take(2);
        let list = self.expression()?;
        self.expect(')')?;
        self.line_end();
        self.loops += 1;
        let (body, end) = self.nodes()?;
        self.loops -= 1;
        match end {
            Close::End => Ok(Node::Foreach(name, list, body)),
            Close::Text => Err(SyntaxError { line, what: "#foreach without #end".to_owned() }),
            other => Err(self.error(format!("{} in #foreach", other.name()))),
        }
    }
}

/// References.
impl<'t> Parser<'t> {
    /// A reference, if there is one here: `$x`, `$!x`, `${x}`, `$!{x}` and what is behind it.
    pub(crate) fn reference(&mut self) -> Parsed<Option<Reference>> {
        let behind = self.rest().strip_prefix('$');
        let Some((prefix, braced)) = behind.and_then(reference_begins) else { return Ok(None) };
        self.take(1 + prefix);
        let name = self.identifier();
        let root = match name {
            "context" => Root::Context,
            "foreach" => Root::Foreach,
            "input" => Root::Input,
            "stageVariables" => Root::StageVariables,
            "util" => Root::Util,
            name => Root::Variable(name.into()),
        };
        let steps = self.deeper(|parser| parser.steps(&root))?;
        if braced {
            match self.rest().starts_with('}') {
                true => drop(self.take(1)),
                false => return Err(self.error(format!("${{{name}… without }}"))),
            }
        }
        Ok(Some(Reference { root, steps }))
    }

    fn steps(&mut self, root: &Root) -> Parsed<Vec<Step>> {
        let mut steps = Vec::new();
        loop {
            let rest = self.rest();
            if rest.starts_with('.') && rest[1..].starts_with(is_first) {
                self.take(1);
                let name = self.identifier();
                let step = match self.rest().starts_with('(') {
                    true => self.call(root, steps.is_empty(), name)?,
                    false => self.property(root, steps.is_empty(), name)?,
                };
                steps.push(step);
            } else if rest.starts_with('[') && !(steps.is_empty() && matches!(root, Root::Input | Root::Util)) {
                self.take(1);
                let index = self.expression()?;
                self.expect(']')?;
                steps.push(Step::Index(index));
            } else {
                break;
            }
            if steps.len() > MAX_DEPTH {
                return Err(self.error(format!("a reference has at most {MAX_DEPTH} steps")));
            }
        }
        match (root, steps.is_empty()) {
            (Root::Input, true) => {
                Err(self.error("$input alone is nothing: $input.body, .json(…), .path(…), .params(…)"))
            }
            (Root::Util, true) => Err(self.error("$util alone is nothing: $util.escapeJavaScript(…) and others")),
            _ => Ok(steps),
        }
    }

    fn property(&mut self, root: &Root, is_first: bool, name: &str) -> Parsed<Step> {
        match root {
            Root::Input if is_first && name == "body" => Ok(Step::Input(InputFunction::Body, Vec::new())),
            Root::Input if is_first => Err(self.error(format!("$input.{name} is nothing that there is"))),
            Root::Util if is_first => Err(self.error(format!("$util.{name} is nothing that there is"))),
            Root::Foreach if is_first && !FOREACH.contains(&name) => {
                Err(self.error(format!("$foreach.{name} is nothing that there is: {}", FOREACH.join(", "))))
            }
            _ => Ok(Step::Property(name.into())),
        }
    }

    fn call(&mut self, root: &Root, is_first: bool, name: &str) -> Parsed<Step> {
        let arguments = self.arguments()?;
        let unknown = |whose: &str| self.error(format!("{whose}{name}() is not available in Countersign"));
        match root {
            Root::Input if is_first => {
                let (function, wanted) = InputFunction::find(name).ok_or_else(|| unknown("$input."))?;
                self.check_count(name, arguments.len(), &wanted)?;
                self.check_path(function, &arguments)?;
                Ok(Step::Input(function, arguments))
            }
            Root::Util if is_first => {
                let function = UtilFunction::find(name).ok_or_else(|| unknown("$util."))?;
                self.check_count(name, arguments.len(), &(1..=1))?;
                Ok(Step::Util(function, arguments))
            }
            _ => {
                let (method, wanted) = Method::find(name).ok_or_else(|| unknown("."))?;
                self.check_count(name, arguments.len(), &wanted)?;
                self.with_pattern(method, arguments)
            }
        }
    }

    /// A regular expression that stands in the template is compiled now.
    fn with_pattern(&self, method: Method, mut arguments: Vec<Expression>) -> Parsed<Step> {
        if let Some(Expression::Text(text)) = arguments.first().filter(|_| method.takes_pattern()) {
            let pattern = Pattern::parse(text).ok_or_else(|| {
                self.error(format!(
                    "'{text}' is no regular expression that can be used: look-around and backreferences cannot"
                ))
            })?;
            arguments[0] = Expression::Pattern(Box::new(pattern));
        }
        Ok(Step::Call(method, arguments))
    }

    /// A path that stands in the template is looked at now.
    fn check_path(&self, function: InputFunction, arguments: &[Expression]) -> Parsed<()> {
        let is_path = matches!(function, InputFunction::Json | InputFunction::Path);
        match arguments.first() {
            Some(Expression::Text(path)) if is_path && crate::json_path::JsonPath::parse(path).is_none() => {
                Err(self.error(format!(
                    "the JSONPath {path} is not available in Countersign: $, .name, ['name'], [0], [*], .* and ..name are"
                )))
            }
            _ => Ok(()),
        }
    }

    fn check_count(&self, name: &str, count: usize, wanted: &std::ops::RangeInclusive<usize>) -> Parsed<()> {
        match wanted.contains(&count) {
            true => Ok(()),
            false => Err(self.error(format!("{name}() is called with {count} arguments"))),
        }
    }

    fn arguments(&mut self) -> Parsed<Vec<Expression>> {
        self.expect('(')?;
        self.expressions(')')
    }
}

/// What a `#foreach` says of itself.
const FOREACH: [&str; 7] = ["count", "first", "hasNext", "index", "last", "parent", "topmost"];

/// Pieces.
impl<'t> Parser<'t> {
    pub(crate) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Goes on by so many bytes.
    pub(crate) fn take(&mut self, bytes: usize) -> &'t str {
        let taken = &self.text[self.at..self.at + bytes];
        self.line += taken.bytes().filter(|byte| *byte == b'\n').count();
        self.at += bytes;
        taken
    }

    pub(crate) fn blanks(&mut self) {
        let blanks = self.rest().len() - self.rest().trim_start().len();
        self.take(blanks);
    }

    /// A character, with blanks before it.
    pub(crate) fn expect(&mut self, wanted: char) -> Parsed<()> {
        self.blanks();
        match self.rest().starts_with(wanted) {
            true => {
                self.take(wanted.len_utf8());
                Ok(())
            }
            false => {
                let found: String = self.rest().chars().take(1).collect();
                let found = if found.is_empty() { "the end".to_owned() } else { format!("'{found}'") };
                Err(self.error(format!("expected '{wanted}', found {found}")))
            }
        }
    }

    /// The word that is next, which is not taken.
    pub(crate) fn word(&self) -> Option<&'t str> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        (end > 0).then(|| &rest[..end])
    }

    fn identifier(&mut self) -> &'t str {
        let end = self.rest().find(|c| !is_next(c)).unwrap_or(self.rest().len());
        self.take(end)
    }

    /// A directive takes the end of its line with it, where nothing else stands there.
    fn line_end(&mut self) {
        let rest = self.rest();
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let behind = &rest[blanks..];
        if behind.starts_with('\n') {
            self.take(blanks + 1);
        } else if behind.starts_with("\r\n") {
            self.take(blanks + 2);
        }
    }

    pub(crate) fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth =
            self.depth.checked_sub(1).ok_or_else(|| self.error(format!("nested deeper than {MAX_DEPTH} levels")))?;
        let parsed = parse(self);
        self.depth += 1;
        parsed
    }

    /// A text with references and directives in it, as it stands in double quotes.
    pub(crate) fn interpolated(&mut self, text: &str) -> Parsed<Vec<Node>> {
        let mut inner = Parser { text, at: 0, line: self.line, depth: self.depth, loops: self.loops };
        match inner.nodes()? {
            (nodes, Close::Text) => Ok(nodes),
            (_, other) => Err(inner.error(format!("{} without #if or #foreach", other.name()))),
        }
    }

    pub(crate) fn error(&self, what: impl Into<String>) -> SyntaxError {
        SyntaxError { line: self.line, what: what.into() }
    }
}

fn flush(nodes: &mut Vec<Node>, text: &mut String) {
    if !text.is_empty() {
        nodes.push(Node::Text(std::mem::take(text).into()));
    }
}

/// Behind `$`: how many bytes come before the name, and whether it is in braces.
fn reference_begins(behind: &str) -> Option<(usize, bool)> {
    let quiet = usize::from(behind.starts_with('!'));
    let braced = behind[quiet..].starts_with('{');
    let prefix = quiet + usize::from(braced);
    behind[prefix..].starts_with(is_first).then_some((prefix, braced))
}

/// Behind `#`: a directive's name, in braces or not, and how many bytes it takes.
fn directive(behind: &str) -> Option<(&str, usize)> {
    let (inside, braces) = match behind.strip_prefix('{') {
        Some(inside) => (inside, 1),
        None => (behind, 0),
    };
    let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
    let name = &inside[..end];
    let is_closed = braces == 0 || inside[end..].starts_with('}');
    let is_known = matches!(name, "set" | "if" | "elseif" | "else" | "end" | "foreach" | "break" | "stop");
    (is_closed && (is_known || REFUSED.contains(&name))).then_some((name, end + 2 * braces))
}

fn is_first(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_next(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}
