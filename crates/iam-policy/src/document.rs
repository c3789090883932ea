//! A policy document, compiled.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::condition::Condition;
use crate::operator::Operator;
use crate::pattern::{Pattern, Reading};
use crate::principal::Principals;
use crate::{Context, Decision, Request, json};

/// A policy that was found well-formed.
#[derive(Clone, Debug)]
pub struct Policy {
    statements: Vec<Statement>,
}

/// What a policy is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who calls: it names resources, and no principal.
    Identity,
    /// A role: it names who may take it on, and no resource.
    Trust,
}

/// One statement.
#[derive(Clone, Debug)]
pub struct Statement {
    /// `Sid`
    pub sid: Option<String>,
    /// `Effect`
    pub effect: Effect,
    principals: Option<Principals>,
    actions: Named,
    resources: Option<Named>,
    conditions: Vec<Condition>,
}

/// `Effect`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It allows.
    Allow,
    /// It denies.
    Deny,
}

/// Why a text is no policy, in IAM's words where IAM has some, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

/// `Action`, `NotAction`, `Resource`, `NotResource`.
#[derive(Clone, Debug)]
struct Named {
    negated: bool,
    patterns: Vec<Pattern>,
}

const VERSIONS: [&str; 2] = ["2008-10-17", "2012-10-17"];
const MEMBERS: [&str; 9] =
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

impl Policy {
    /// Reads a document.
    pub fn parse(text: &str, kind: Kind) -> Result<Self, Malformed> {
        let value = json::parse(text).map_err(|error| syntax(&error))?;
        let document = value.as_object().ok_or_else(|| syntax("A policy is a JSON object"))?;
        if let Some(unknown) = document.keys().find(|name| !["Version", "Id", "Statement"].contains(&name.as_str())) {
            return Err(syntax(&format!("A policy has no element {unknown}")));
        }
        let version = match document.get("Version") {
            None => VERSIONS[0],
            Some(version) => version
                .as_str()
                .filter(|version| VERSIONS.contains(version))
                .ok_or_else(|| Malformed("Policy document must be version 2012-10-17 or greater.".to_owned()))?,
        };
        let statements = document.get("Statement").ok_or_else(|| syntax("A policy needs a Statement"))?;
        let statements = match statements {
            Value::Array(statements) => statements.iter().collect(),
            one => vec![one],
        };
        let reader = Reader { kind, variables: version == VERSIONS[1] };
        let mut read = Vec::with_capacity(statements.len());
        for (index, statement) in statements.into_iter().enumerate() {
            let statement = reader.statement(statement);
            read.push(statement.map_err(|Malformed(why)| Malformed(format!("{why} (Statement {})", index + 1)))?);
        }
        let mut sids = BTreeSet::new();
        if read.iter().filter_map(|statement| statement.sid.as_ref()).any(|sid| !sids.insert(sid)) {
            return Err(Malformed("Statement IDs (SID) in a single policy must be unique.".to_owned()));
        }
        Ok(Self { statements: read })
    }

    /// What it says to a request.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let mut decision = Decision::NotAllowed;
        for statement in self.about(request) {
            match statement.effect {
                Effect::Deny => return Decision::Denied,
                Effect::Allow => decision = Decision::Allowed,
            }
        }
        decision
    }

    /// The statements that are about a request.
    pub fn about(&self, request: &Request<'_>) -> impl Iterator<Item = &Statement> {
        self.statements.iter().filter(|statement| statement.is_about(request))
    }

    /// The ARNs of principals that it names.
    pub fn principals(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().filter_map(|statement| statement.principals.as_ref()).flat_map(Principals::named)
    }

    /// The keys that its conditions and variables look at, as they are written in conditions.
    pub fn context_keys(&self) -> BTreeSet<&str> {
        self.statements.iter().flat_map(Statement::context_keys).collect()
    }
}

impl Statement {
    fn is_about(&self, request: &Request<'_>) -> bool {
        let context = request.context();
        self.actions.hold(&[request.action()], context)
            && self.resources.as_ref().is_none_or(|named| named.hold(request.resources(), context))
            && self.principals.as_ref().is_none_or(|principals| principals.hold(request.principals()))
            && self.conditions.iter().all(|condition| condition.holds(context))
    }

    fn context_keys(&self) -> Vec<&str> {
        let in_resources = self.resources.iter().flat_map(|named| &named.patterns).flat_map(Pattern::keys);
        self.conditions.iter().flat_map(Condition::keys).chain(in_resources).collect()
    }
}

impl Named {
    /// Whether something with one of these names is meant.
    fn hold(&self, names: &[&str], context: &dyn Context) -> bool {
        let fits = |name: &&str| self.patterns.iter().any(|pattern| pattern.matches(name, context));
        names.iter().any(fits) != self.negated
    }
}

/// Reads statements of one document.
#[derive(Clone, Copy)]
struct Reader {
    kind: Kind,
    variables: bool,
}

impl Reader {
    fn statement(self, value: &Value) -> Result<Statement, Malformed> {
        let members = value.as_object().ok_or_else(|| syntax("A statement is a JSON object"))?;
        if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
            return Err(syntax(&format!("A statement has no element {unknown}")));
        }
        let effect = match members.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err(syntax("Effect must be Allow or Deny")),
        };
        Ok(Statement {
            sid: sid(members)?,
            effect,
            principals: self.principals(members)?,
            actions: self.actions(members)?,
            resources: self.resources(members)?,
            conditions: members.get("Condition").map_or(Ok(Vec::new()), |value| self.conditions(value))?,
        })
    }

    fn principals(self, members: &Map<String, Value>) -> Result<Option<Principals>, Malformed> {
        let named = one_of(members, "Principal", "NotPrincipal")?;
        match (self.kind, named) {
            (Kind::Identity, None) => Ok(None),
            (Kind::Identity, Some(_)) => Err(Malformed("Policy document should not specify a principal.".to_owned())),
            (Kind::Trust, None) => Err(Malformed("Missing required field Principal".to_owned())),
            (Kind::Trust, Some((value, negated))) => Principals::parse(value, negated).map(Some).map_err(Malformed),
        }
    }

    fn actions(self, members: &Map<String, Value>) -> Result<Named, Malformed> {
        let named = one_of(members, "Action", "NotAction")?;
        let (value, negated) = named.ok_or_else(|| Malformed("Policy statement must contain actions.".to_owned()))?;
        let read = |text: &str| {
            check_action(text)?;
            // Variables are for resources and conditions.
            let reading = Reading { wildcards: true, variables: false, folded: true };
            Pattern::parse(text, reading).map_err(|why| syntax(&why))
        };
        Ok(Named { negated, patterns: texts(value, "Action")?.into_iter().map(read).collect::<Result<_, _>>()? })
    }

    fn resources(self, members: &Map<String, Value>) -> Result<Option<Named>, Malformed> {
        let named = one_of(members, "Resource", "NotResource")?;
        let (value, negated) = match (self.kind, named) {
            (Kind::Trust, None) => return Ok(None),
            (Kind::Trust, Some(_)) => return Err(Malformed("Has prohibited field Resource".to_owned())),
            (Kind::Identity, None) => return Err(Malformed("Policy statement must contain resources.".to_owned())),
            (Kind::Identity, Some(named)) => named,
        };
        let read = |text: &str| {
            if text != "*" && !(text.starts_with("arn:") && text.split(':').count() >= 4) {
                return Err(Malformed(format!("Resource {text} must be in ARN format or \"*\".")));
            }
            let reading = Reading { wildcards: true, variables: self.variables, folded: false };
            Pattern::parse(text, reading).map_err(|why| syntax(&why))
        };
        let patterns = texts(value, "Resource")?.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Some(Named { negated, patterns }))
    }

    fn conditions(self, value: &Value) -> Result<Vec<Condition>, Malformed> {
        let operators = value.as_object().ok_or_else(|| syntax("Condition is a JSON object"))?;
        let mut conditions = Vec::new();
        for (name, keys) in operators {
            let operator =
                Operator::parse(name).ok_or_else(|| syntax(&format!("There is no condition operator {name}")))?;
            let keys = keys.as_object().ok_or_else(|| syntax(&format!("{name} is no object of keys and values")))?;
            for (key, values) in keys {
                if !key.contains(':') {
                    let text =
                        format!("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.: {key}");
                    return Err(Malformed(text));
                }
                let values = match values {
                    Value::Array(values) => values.iter().collect(),
                    one => vec![one],
                };
                let test = operator.test(&values, self.variables);
                conditions.push(Condition {
                    key: key.to_ascii_lowercase(),
                    name: key.clone(),
                    quantifier: operator.quantifier,
                    if_exists: operator.if_exists,
                    negated: operator.negated,
                    test: test.map_err(|why| syntax(&format!("{name} of {key}: {why}")))?,
                });
            }
        }
        Ok(conditions)
    }
}

/// One of two members that say the same of what is named and of all else; which one is told by `true` for the latter.
fn one_of<'v>(members: &'v Map<String, Value>, is: &str, is_not: &str) -> Result<Option<(&'v Value, bool)>, Malformed> {
    match (members.get(is), members.get(is_not)) {
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some((value, false))),
        (None, Some(value)) => Ok(Some((value, true))),
        (Some(_), Some(_)) => Err(syntax(&format!("A statement has {is} or {is_not}, not both"))),
    }
}

/// A text, or several.
fn texts<'v>(value: &'v Value, what: &str) -> Result<Vec<&'v str>, Malformed> {
    let wrong = || syntax(&format!("{what} is a text or a list of texts"));
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(items) if !items.is_empty() => items.iter().map(|item| item.as_str().ok_or_else(wrong)).collect(),
        _ => Err(wrong()),
    }
}

fn sid(members: &Map<String, Value>) -> Result<Option<String>, Malformed> {
    let Some(value) = members.get("Sid") else { return Ok(None) };
    let sid = value.as_str().filter(|sid| sid.bytes().all(|b| b.is_ascii_alphanumeric()));
    let wrong = || {
        Malformed("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*".to_owned())
    };
    Ok(Some(sid.ok_or_else(wrong)?.to_owned()).filter(|sid| !sid.is_empty()))
}

fn check_action(action: &str) -> Result<(), Malformed> {
    if action == "*" {
        return Ok(());
    }
    let Some((vendor, name)) = action.split_once(':') else {
        let text = format!("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.: {action}");
        return Err(Malformed(text));
    };
    if vendor.is_empty() || !vendor.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(Malformed(format!("Vendor {vendor} is not valid")));
    }
    match !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'*' | b'?')) {
        true => Ok(()),
        false => Err(Malformed(format!("Action {action} is not valid"))),
    }
}

fn syntax(why: &str) -> Malformed {
    Malformed(format!("Syntax errors in policy. {why}"))
}
