//! Routing rules: which stage a custom domain's requests lead to by their headers and base path.
//!
//! On AWS they lead to REST APIs only; here to any API.

use aws::Error;
use aws::apigatewayv2 as wire;
use model::State;
use model::resource::{Domain, HeaderMatch, RoutingRule, RuleCondition};

use super::check::{length, refuse};
use super::domain::check_api;
use super::draft::{Draft, not_found};
use super::mapping::check_key;
use super::page;
use super::parameters::is_free_header;
use super::tags::domain_arn;

/// Quota of AWS for a domain name.
const MAX_RULES: usize = 50;
const MAX_HEADER_CONDITIONS: usize = 2;
const MAX_BASE_PATH_CONDITIONS: usize = 1;
/// Alternatives of one condition.
const MAX_ANY_OF: usize = 10;
const MAX_HEADER_CHARS: usize = 40;
const MAX_GLOB_CHARS: usize = 128;

pub(super) fn create(
    draft: &mut Draft<'_>,
    input: &wire::CreateRoutingRuleRequest,
) -> Result<wire::RoutingRule, Error> {
    let domain = found_domain(draft, &input.domain_name, input.domain_name_id.as_ref())?;
    if State::of(&draft.state.routing_rules, &domain.name).count() >= MAX_RULES {
        let message = "Maximum number of routing rules for this domain name has been reached.";
        return Err(Error::too_many_requests("MaxRoutingRules", message));
    }
    let taken = |state: &State, id: &str| State::one(&state.routing_rules, &domain.name, id).is_some();
    let id = draft.fresh_id(6, taken)?;
    put(draft, &domain, id, input.priority, &input.conditions, &input.actions)
}

/// Replaces a rule as a whole.
pub(super) fn replace(draft: &mut Draft<'_>, input: &wire::PutRoutingRuleRequest) -> Result<wire::RoutingRule, Error> {
    let domain = found_domain(draft, &input.domain_name, input.domain_name_id.as_ref())?;
    let id = find(draft, &domain, &input.routing_rule_id)?.id.clone();
    put(draft, &domain, id, input.priority, &input.conditions, &input.actions)
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteRoutingRuleRequest) -> Result<(), Error> {
    let domain = found_domain(draft, &input.domain_name, input.domain_name_id.as_ref())?;
    let rule = find(draft, &domain, &input.routing_rule_id)?.clone();
    draft.delete(&rule)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetRoutingRuleRequest) -> Result<wire::RoutingRule, Error> {
    let domain = found_domain(draft, &input.domain_name, input.domain_name_id.as_ref())?;
    Ok(show(&domain, find(draft, &domain, &input.routing_rule_id)?))
}

/// In the order in which they are asked.
pub(super) fn list(
    draft: &Draft<'_>,
    input: &wire::ListRoutingRulesRequest,
) -> Result<wire::ListRoutingRulesResponse, Error> {
    let domain = found_domain(draft, &input.domain_name, input.domain_name_id.as_ref())?;
    let mut rules: Vec<_> = State::of(&draft.state.routing_rules, &domain.name).collect();
    rules.sort_by_key(|rule| rule.priority);
    let (routing_rules, next_token) = page::page(
        rules.into_iter(),
        // Tokens are compared as texts.
        |rule| format!("{:07}", rule.priority),
        |rule| show(&domain, rule),
        input.max_results.map(|max| max.to_string()).as_deref(),
        input.next_token.as_deref(),
    )?;
    Ok(wire::ListRoutingRulesResponse { next_token, routing_rules })
}

/// `domainNameId` is for private custom domain names.
fn found_domain(draft: &Draft<'_>, name: &str, id: Option<&String>) -> Result<std::sync::Arc<Domain>, Error> {
    refuse(id.is_some_and(|id| !id.is_empty()), "domainNameId", "is for private custom domain names")?;
    draft.domain(name)
}

fn put(
    draft: &mut Draft<'_>,
    domain: &Domain,
    id: String,
    priority: i32,
    conditions: &[wire::RoutingRuleCondition],
    actions: &[wire::RoutingRuleAction],
) -> Result<wire::RoutingRule, Error> {
    let [action] = actions else {
        return Err(Error::bad_request("A routing rule has exactly one action"));
    };
    let invoke = &action.invoke_api;
    draft.any_api(&invoke.api_id)?;
    check_api(draft, domain, &invoke.api_id)?;
    if State::one(&draft.state.stages, &invoke.api_id, &invoke.stage).is_none() {
        return Err(Error::bad_request("Invalid stage identifier specified"));
    }
    let rule = RoutingRule {
        id,
        domain: domain.name.clone(),
        // The service's model bounds it.
        priority: u32::try_from(priority).map_err(|_| Error::bad_request("Invalid priority"))?,
        conditions: checked(conditions)?,
        api_id: invoke.api_id.clone(),
        stage: invoke.stage.clone(),
        strip_base_path: invoke.strip_base_path.unwrap_or_default(),
    };
    let same = |other: &RoutingRule| other.id != rule.id && other.priority == rule.priority;
    if State::of(&draft.state.routing_rules, &domain.name).any(|other| same(other)) {
        let message = format!("A routing rule with priority {priority} already exists for this domain name");
        return Err(Error::conflict(message));
    }
    draft.put(&rule)?;
    Ok(show(domain, &rule))
}

fn checked(conditions: &[wire::RoutingRuleCondition]) -> Result<Vec<RuleCondition>, Error> {
    let conditions = conditions.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
    let headers = conditions.iter().filter(|condition| matches!(condition, RuleCondition::Headers(_))).count();
    if headers > MAX_HEADER_CONDITIONS || conditions.len() - headers > MAX_BASE_PATH_CONDITIONS {
        let message = format!(
            "A routing rule has at most {MAX_HEADER_CONDITIONS} matchHeaders and {MAX_BASE_PATH_CONDITIONS} matchBasePaths conditions"
        );
        return Err(Error::bad_request(message));
    }
    Ok(conditions)
}

fn condition(condition: &wire::RoutingRuleCondition) -> Result<RuleCondition, Error> {
    let condition = match (&condition.match_base_paths, &condition.match_headers) {
        (Some(paths), None) => {
            paths.any_of.iter().try_for_each(|path| base_path(path))?;
            RuleCondition::BasePaths(paths.any_of.clone())
        }
        (None, Some(headers)) => {
            RuleCondition::Headers(headers.any_of.iter().map(header_match).collect::<Result<_, _>>()?)
        }
        _ => return Err(Error::bad_request("A condition is either matchBasePaths or matchHeaders")),
    };
    let any_of = match &condition {
        RuleCondition::BasePaths(any_of) => any_of.len(),
        RuleCondition::Headers(any_of) => any_of.len(),
    };
    match any_of {
        1..=MAX_ANY_OF => Ok(condition),
        _ => Err(Error::bad_request(format!("anyOf has from 1 to {MAX_ANY_OF} members"))),
    }
}

fn base_path(path: &str) -> Result<(), Error> {
    refuse(path.is_empty(), "A base path", "cannot be empty: a rule without matchBasePaths takes every path")?;
    check_key(path)
}

fn header_match(wanted: &wire::RoutingRuleMatchHeaderValue) -> Result<HeaderMatch, Error> {
    let wire::RoutingRuleMatchHeaderValue { header, value_glob } = wanted;
    length("header", header, 1, MAX_HEADER_CHARS)?;
    if !is_free_header(header) {
        return Err(Error::bad_request(format!("Routing rules cannot match the header {header}")));
    }
    length("valueGlob", value_glob, 1, MAX_GLOB_CHARS)?;
    let inner = value_glob.strip_prefix('*').unwrap_or(value_glob);
    let inner = inner.strip_suffix('*').unwrap_or(inner);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"?-!#$%&'.^_`|~".contains(&b);
    if !inner.bytes().all(plain) {
        let message = format!(
            "Invalid valueGlob {value_glob}: it has a-z, A-Z, 0-9, ?-!#$%&'.^_`|~ and * at its start, its end or both"
        );
        return Err(Error::bad_request(message));
    }
    Ok(HeaderMatch { header: header.clone(), value_glob: value_glob.clone() })
}

fn find<'d>(draft: &'d Draft<'_>, domain: &Domain, id: &str) -> Result<&'d RoutingRule, Error> {
    let rule = State::one(&draft.state.routing_rules, &domain.name, id);
    rule.map(|found| &**found).ok_or_else(|| not_found("RoutingRule", "Invalid routing rule identifier specified"))
}

fn show(domain: &Domain, rule: &RoutingRule) -> wire::RoutingRule {
    let condition = |condition: &RuleCondition| match condition {
        RuleCondition::BasePaths(any_of) => wire::RoutingRuleCondition {
            match_base_paths: Some(wire::RoutingRuleMatchBasePaths { any_of: any_of.clone() }),
            match_headers: None,
        },
        RuleCondition::Headers(any_of) => {
            let any_of = any_of.iter().map(|HeaderMatch { header, value_glob }| wire::RoutingRuleMatchHeaderValue {
                header: header.clone(),
                value_glob: value_glob.clone(),
            });
            let match_headers = Some(wire::RoutingRuleMatchHeaders { any_of: any_of.collect() });
            wire::RoutingRuleCondition { match_base_paths: None, match_headers }
        }
    };
    wire::RoutingRule {
        actions: Some(vec![wire::RoutingRuleAction {
            invoke_api: wire::RoutingRuleActionInvokeApi {
                api_id: rule.api_id.clone(),
                stage: rule.stage.clone(),
                strip_base_path: Some(rule.strip_base_path),
            },
        }]),
        conditions: Some(rule.conditions.iter().map(condition).collect()),
        priority: i32::try_from(rule.priority).ok(),
        routing_rule_arn: Some(format!("{}/routingrules/{}", domain_arn(domain), rule.id)),
        routing_rule_id: Some(rule.id.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, glob: &str) -> wire::RoutingRuleCondition {
        let any_of = vec![wire::RoutingRuleMatchHeaderValue { header: name.into(), value_glob: glob.into() }];
        let match_headers = Some(wire::RoutingRuleMatchHeaders { any_of });
        wire::RoutingRuleCondition { match_headers, match_base_paths: None }
    }

    fn path(path: &str) -> wire::RoutingRuleCondition {
        let match_base_paths = Some(wire::RoutingRuleMatchBasePaths { any_of: vec![path.into()] });
        wire::RoutingRuleCondition { match_headers: None, match_base_paths }
    }

    #[test]
    fn conditions_have_bounds() {
        for (conditions, good) in [
            (vec![], true),
            (vec![header("a", "1"), header("b", "2"), path("v1/users")], true),
            (vec![header("a", "1"), header("b", "2"), header("c", "3")], false),
            (vec![path("a"), path("b")], false),
            (vec![path("")], false),
            (vec![path("/a")], false),
            (vec![header("a", "*")], true),
            (vec![header("a", "*mid*")], true),
            (vec![header("a", "mid*dle")], false),
            (vec![header("a", "")], false),
            (vec![header("a", "two words")], false),
            (vec![header("", "1")], false),
            (vec![header("X-Amz-Date", "1")], false),
            (vec![header("Authorization", "1")], false),
            (vec![header(&"h".repeat(41), "1")], false),
            (vec![header("a", &"v".repeat(129))], false),
            (vec![wire::RoutingRuleCondition::default()], false),
        ] {
            assert_eq!(checked(&conditions).is_ok(), good, "{conditions:?}");
        }
    }
}
