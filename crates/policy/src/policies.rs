//! Policies that fit the schema, and what they say to a request.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::thread::Builder;

use cedar_policy::{
    AuthorizationError, Authorizer, Effect, Entities, EvaluationError, Policy, PolicyId, PolicySet, Request, Response,
    ValidationMode, ValidationResult,
};
use serde_json::Value;

use crate::bounds;
use crate::problem::{Problem, Problems};
use crate::question::Question;
use crate::vocabulary::VOCABULARY;

/// What reading and checking the deepest policies takes, several times over.
const STACK_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of policies that are read.
pub const MAX_BYTES: usize = 256 * 1024;
/// Policies in one text: every one is asked about every request.
const MAX_POLICIES: usize = 1000;
/// Characters of an `@id`, which stands in log lines.
const MAX_ID_CHARS: usize = 128;

/// Policies that were found to fit the [schema](crate::SCHEMA), in Cedar's strict mode: they ask for nothing that there is not.
pub struct Policies {
    set: PolicySet,
    uses: Uses,
}

/// What policies say to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it may go on.
    pub decision: Decision,
    /// Policies that could not be evaluated, and why, one sentence each. As in Cedar they have no say.
    pub errors: Vec<String>,
}

/// Whether a request may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A policy permits it, and none forbids it.
    Permitted,
    /// By these policies, by their ids, with commas between.
    Forbidden(String),
    /// No policy permits it.
    NotPermitted,
}

impl Policies {
    /// Reads policies and holds them against the schema. With them comes what is odd about them, though they can be used.
    ///
    /// A policy is named by its annotation `@id("…")`, or by its number.
    pub fn compile(bytes: &[u8]) -> Result<(Self, Vec<Problem>), Problems> {
        // Whose stack the caller's is, nobody knows.
        std::thread::scope(|scope| {
            let compiling = Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || Self::compile_here(bytes));
            let ended = compiling.map(|compiling| compiling.join());
            let failed = |why: &str| Problem::of_all(format!("the policies could not be read: {why}")).into();
            match ended {
                Ok(Ok(compiled)) => compiled,
                Ok(Err(_)) => Err(failed("Cedar could not cope with them")),
                Err(error) => Err(failed(&error.to_string())),
            }
        })
    }

    fn compile_here(bytes: &[u8]) -> Result<(Self, Vec<Problem>), Problems> {
        if bytes.len() > MAX_BYTES {
            return Err(Problem::of_all(format!("the policies have more than {MAX_BYTES} bytes")).into());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Problem::of_all("the policies are no text in UTF-8"))?;
        bounds::check(text)?;
        let parsed = PolicySet::from_str(text).map_err(|errors| Problems::of_parsing(text, &errors))?;
        if parsed.num_of_templates() > 0 {
            return Err(Problem::of_all("?principal and ?resource have no place here: nothing would fill them").into());
        }
        let set = named(&parsed)?;
        let validated = VOCABULARY.validator.validate(&set, ValidationMode::Strict);
        let odd = fitting(text, &validated)?;
        let uses = Uses::of(&set);
        let nobody = set.policies().all(|policy| policy.effect() == Effect::Forbid);
        let nobody = nobody.then(|| Problem::of_all("no policy permits anything: every request is refused"));
        Ok((Self { set, uses }, odd.into_iter().chain(nobody).collect()))
    }

    /// What they say to a request. Every one is asked.
    pub fn decide(&self, question: &Question<'_>) -> Outcome {
        match self.question(question) {
            Ok((request, entities)) => Outcome::of(&Authorizer::new().is_authorized(&request, &self.set, &entities)),
            Err(why) => Outcome { decision: Decision::NotPermitted, errors: vec![why] },
        }
    }

    pub(crate) fn question(&self, question: &Question<'_>) -> Result<(Request, Entities), String> {
        question.put(&self.uses)
    }
}

/// With the names that they are told by.
fn named(parsed: &PolicySet) -> Result<PolicySet, Problems> {
    // Cedar names them `policy0` and so on, as they come.
    let number =
        |policy: &Policy| policy.id().to_string().trim_start_matches("policy").parse::<usize>().unwrap_or_default();
    let mut policies: Vec<&Policy> = parsed.policies().collect();
    policies.sort_by_key(|policy| number(policy));
    if policies.len() > MAX_POLICIES {
        return Err(Problem::of_all(format!("there are more than {MAX_POLICIES} policies")).into());
    }
    let mut names = BTreeSet::new();
    let mut set = PolicySet::new();
    for policy in policies {
        let place = number(policy) + 1;
        let name = match policy.annotation("id") {
            Some(id) if is_id(id) => id.to_owned(),
            Some(_) => {
                let what = format!("the @id of policy {place} has to have 1 to {MAX_ID_CHARS} visible characters");
                return Err(Problem::of_all(what).into());
            }
            None => format!("policy {place}"),
        };
        set.add(policy.new_id(PolicyId::new(&name))).map_err(|error| Problem::of_all(error.to_string()))?;
        if !names.insert(name.clone()) {
            return Err(Problem::of_all(format!("there are two policies of the @id {name}")).into());
        }
    }
    Ok(set)
}

fn is_id(id: &str) -> bool {
    (1..=MAX_ID_CHARS).contains(&id.chars().count()) && !id.chars().any(char::is_control)
}

/// What is odd; or an error, where something does not fit.
fn fitting(text: &str, validated: &ValidationResult) -> Result<Vec<Problem>, Problems> {
    let errors = validated.validation_errors().map(|error| Problem::of_cedar(text, error)).collect();
    let errors = once_each(errors);
    match errors.is_empty() {
        true => Ok(once_each(validated.validation_warnings().map(|odd| Problem::of_cedar(text, odd)).collect())),
        false => Err(Problems(errors)),
    }
}

/// What is found for several actions is told of the first.
fn once_each(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by(|a, b| (a.place, &a.what).cmp(&(b.place, &b.what)));
    problems.dedup_by(|later, earlier| later.place.is_some() && later.place == earlier.place);
    problems
}

impl Outcome {
    fn of(response: &Response) -> Self {
        let diagnostics = response.diagnostics();
        // That is an error of the thread's, and not of a policy, which may be one that forbids.
        let lacks_stack = diagnostics.errors().any(|AuthorizationError::PolicyEvaluationError(error)| {
            matches!(error.inner(), EvaluationError::RecursionLimit(_))
        });
        let decision = match response.decision() {
            _ if lacks_stack => Decision::NotPermitted,
            cedar_policy::Decision::Allow => Decision::Permitted,
            cedar_policy::Decision::Deny => {
                let by: BTreeSet<&str> = diagnostics.reason().map(AsRef::as_ref).collect();
                match by.is_empty() {
                    true => Decision::NotPermitted,
                    false => Decision::Forbidden(Vec::from_iter(by).join(", ")),
                }
            }
        };
        let told = |error: &AuthorizationError| error.to_string().replace(['\n', '\r'], " ");
        Self { decision, errors: diagnostics.errors().map(told).collect() }
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: BTreeSet<&str> = self.set.policies().map(|policy| policy.id().as_ref()).collect();
        f.debug_tuple("Policies").field(&names).finish()
    }
}

/// Which attributes of the context any policy asks for: only those are made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    /// The context as a whole.
    all: bool,
    names: BTreeSet<String>,
}

impl Uses {
    fn of(set: &PolicySet) -> Self {
        let mut uses = Self::default();
        for policy in set.policies() {
            match policy.to_json() {
                Ok(json) => uses.find(&json),
                Err(_) => uses.all = true,
            }
        }
        uses
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.all || self.names.contains(name)
    }

    /// In an expression in Cedar's JSON: `{".": {"left": {"Var": "context"}, "attr": "path"}}`, and the same with `has`, where the
    /// attribute may be the first of several.
    fn find(&mut self, json: &Value) {
        match json {
            Value::Object(members) => {
                for (name, value) in members {
                    let is_context = |value: &Value| value.get("Var").is_some_and(|var| var == "context");
                    let attribute = value.get("attr").map(|attr| attr.get(0).unwrap_or(attr));
                    match attribute.and_then(Value::as_str) {
                        Some(attribute) if matches!(&**name, "." | "has") && is_context(&value["left"]) => {
                            self.names.insert(attribute.to_owned());
                        }
                        _ if name == "Var" && value == "context" => self.all = true,
                        _ => self.find(value),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.find(value)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compile(text: &str) -> Result<(Policies, Vec<String>), String> {
        let compiled = Policies::compile(text.as_bytes());
        compiled
            .map(|(policies, odd)| (policies, odd.iter().map(Problem::to_string).collect()))
            .map_err(|e| e.to_string())
    }

    fn when(condition: &str) -> String {
        format!("permit(principal is Client, action, resource)\nwhen {{ {condition} }};")
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (text, said) in [
            ("permit(principal, action, resource)", "line 1, column "),
            ("\n\npermit(principal, action);", "line 3, column "),
            (&*when("principal.isuer == \"x\""), "line 2, column 8: for policy `policy 1`, attribute `isuer`"),
            (&when("context.token.scopes.contains(\"x\")"), "line 2, column 8: "),
            (&when("context.headers.getTag(\"x\") == \"y\""), "line 2, column 8: "),
            (&when("context.sourceIp.isInRange(ip(\"10.0.0.0/33\"))"), "line 2, column "),
            (&when("principal.organization == \"Acme\""), "line 2, column "),
            ("permit(principal, action == Action::\"FETCH\", resource);", "FETCH"),
            ("permit(principal == ?principal, action, resource);", "?principal and ?resource have no place"),
            ("@id(\"\")permit(principal, action, resource);", "@id of policy 1 has to have 1 to 128"),
            ("@id(\"a\")permit(principal, action, resource);@id(\"a\")forbid(principal, action, resource);", "`a`"),
            // Whoever calls an API's own endpoint has no certificate.
            ("permit(principal, action, resource) when { principal.issuer == \"x\" };", "attribute `issuer`"),
        ] {
            let error = compile(text).err().unwrap_or_default();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(Policies::compile(&[0xff]).is_err());
        assert!(Policies::compile(&vec![b' '; MAX_BYTES + 1]).is_err());
        let many = "forbid(principal, action, resource);\n".repeat(MAX_POLICIES + 1);
        assert!(compile(&many).err().unwrap().contains("more than 1000 policies"));
    }

    #[test]
    fn what_is_odd_is_told_and_used() {
        let (_, odd) = compile("forbid(principal, action, resource);").unwrap();
        assert_eq!(odd, ["no policy permits anything: every request is refused"]);
        let (_, odd) =
            compile("permit(principal is Client, action, resource) when { principal is Anonymous };").unwrap();
        assert!(odd[0].contains("impossible"), "{odd:?}");
        let (_, odd) = compile(&when("principal.organization.contains(\"Acme\")")).unwrap();
        assert_eq!(odd, [""; 0]);
    }

    #[test]
    fn only_what_policies_ask_for_is_made() {
        let uses = |condition: &str| compile(&when(condition)).unwrap().0.uses;
        let names = |uses: Uses| (uses.all, uses.names.into_iter().collect::<Vec<_>>().join(" "));
        assert_eq!(names(uses("true")), (false, String::new()));
        assert_eq!(names(uses("principal.serial == \"path\"")), (false, String::new()));
        assert_eq!(names(uses("context[\"pa\\u{74}h\"] == context.host")), (false, "host path".into()));
        assert_eq!(names(uses("context has token && context.token.issuer == \"x\"")), (false, "token".into()));
        assert_eq!(names(uses("context has token.subject")), (false, "token".into()));
        assert!(names(uses("(if context.path == \"/\" then context else context).host == \"\"")).0);
    }

    /// What Cedar's grammar is made of, in any order.
    const PIECES: &[&str] = &[
        "permit",
        "forbid",
        "(",
        ")",
        "principal",
        "action",
        "resource",
        ",",
        ";",
        "when",
        "unless",
        "{",
        "}",
        "==",
        "in",
        "is",
        "has",
        "like",
        "Client",
        "::",
        "\"x\"",
        "\"\\u{1}*\"",
        "context",
        ".",
        "path",
        "token",
        "hasTag",
        "[",
        "]",
        "&&",
        "||",
        "!",
        "-",
        "1",
        "9223372036854775808",
        "if",
        "then",
        "else",
        "ip",
        "datetime",
        "@id",
        "?principal",
        "//",
        "\n",
        "é",
        "\"",
    ];

    proptest! {
        /// Whatever is in an object, the control plane outlives it, and says something of it.
        #[test]
        fn no_text_is_too_much(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40), bytes: Vec<u8>) {
            let body = pieces.join(" ");
            for text in [&body, &format!("permit(principal, action, resource) when {{ {body} }};")] {
                let said = Policies::compile(text.as_bytes()).err().map(|e| e.to_string());
                prop_assert!(said.is_none_or(|said| !said.is_empty() && !said.contains("could not")), "{text}");
            }
            let _ = Policies::compile(&bytes);
        }
    }
}
