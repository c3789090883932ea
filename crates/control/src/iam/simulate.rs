//! What policies would say: simulations, by the very rule that decides about requests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws::iam as wire;
use aws::{Caller, Error};
use iam_policy::{Context, Decision, Effect, Kind, Policy, Request, Rights};
use model::State;
use model::resource::{Attachments, Group, Role, User};

use super::attachments::checked_policy;
use super::entity::{find, invalid};
use super::page::{Page, page};
use crate::Control;

/// A policy and where it comes from.
struct Source {
    id: String,
    kind: wire::PolicySourceType,
    policy: Arc<Policy>,
}

/// What is simulated.
struct Simulation {
    sources: Vec<Source>,
    /// Each has to allow it.
    boundaries: Vec<Arc<Policy>>,
    context: Given,
}

/// The context that a simulation was given.
#[derive(Default)]
struct Given(BTreeMap<String, Vec<String>>);

impl Context for Given {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        self.0.get(key).cloned()
    }
}

/// What is asked, as both operations say it.
struct Question {
    actions: Vec<String>,
    resources: Option<Vec<String>>,
    marker: Option<String>,
    max_items: Option<i32>,
}

pub(super) fn custom(
    _: &Control,
    _: &Caller,
    input: wire::SimulateCustomPolicyRequest,
) -> Result<wire::SimulatePolicyResponse, Error> {
    is_served(input.resource_policy.is_some() || input.ordered_organization_policy_input_list.is_some())?;
    let simulation = Simulation {
        sources: given(&input.policy_input_list)?,
        boundaries: boundaries(input.permissions_boundary_policy_input_list)?,
        context: Given::of(input.context_entries),
    };
    let (actions, resources) = (input.action_names, input.resource_arns);
    simulation.answer(Question { actions, resources, marker: input.marker, max_items: input.max_items })
}

pub(super) fn principal(
    control: &Control,
    _: &Caller,
    input: wire::SimulatePrincipalPolicyRequest,
) -> Result<wire::SimulatePolicyResponse, Error> {
    is_served(input.resource_policy.is_some() || input.policy_exclusion_list.is_some())?;
    let state = control.settings().state();
    let (mut sources, boundary, of_principal) = sources(control, &state, &input.policy_source_arn)?;
    sources.extend(given(&input.policy_input_list.unwrap_or_default())?);
    let mut boundaries = boundaries(input.permissions_boundary_policy_input_list)?;
    if boundaries.is_empty() {
        boundaries.extend(boundary);
    }
    let mut context = of_principal;
    context.0.extend(Given::of(input.context_entries).0);
    let simulation = Simulation { sources, boundaries, context };
    let (actions, resources) = (input.action_names, input.resource_arns);
    simulation.answer(Question { actions, resources, marker: input.marker, max_items: input.max_items })
}

pub(super) fn keys_of_custom(
    _: &Control,
    _: &Caller,
    input: wire::GetContextKeysForCustomPolicyRequest,
) -> Result<wire::GetContextKeysForPolicyResponse, Error> {
    Ok(keys(&given(&input.policy_input_list)?))
}

pub(super) fn keys_of_principal(
    control: &Control,
    _: &Caller,
    input: wire::GetContextKeysForPrincipalPolicyRequest,
) -> Result<wire::GetContextKeysForPolicyResponse, Error> {
    let (mut sources, ..) = sources(control, &control.settings().state(), &input.policy_source_arn)?;
    sources.extend(given(&input.policy_input_list.unwrap_or_default())?);
    Ok(keys(&sources))
}

impl Simulation {
    /// One result for each action on each resource.
    fn answer(&self, question: Question) -> Result<wire::SimulatePolicyResponse, Error> {
        let resources =
            question.resources.filter(|resources| !resources.is_empty()).unwrap_or_else(|| vec!["*".to_owned()]);
        let mut results = Vec::new();
        for action in &question.actions {
            if action.split_once(':').is_none_or(|(vendor, name)| vendor.is_empty() || name.is_empty())
                || action.contains('*')
            {
                return Err(Error::client(
                    "InvalidInput",
                    format!("Invalid action: {action}. An action is SERVICE:NAME."),
                ));
            }
            for resource in &resources {
                results.push((format!("{:06}", results.len()), self.result(action, resource)));
            }
        }
        let Page { items, is_truncated, marker } = page(results, question.marker, question.max_items)?;
        Ok(wire::SimulatePolicyResponse { evaluation_results: Some(items), is_truncated, marker })
    }

    fn result(&self, action: &str, resource: &str) -> wire::EvaluationResult {
        let names = [resource];
        let request = Request::new(action, &names, &self.context);
        let rights = Rights {
            identity: self.sources.iter().map(|source| Arc::clone(&source.policy)).collect(),
            boundary: None,
            session: None,
        };
        let bounded = self.boundaries.iter().all(|policy| policy.decide(&request) == Decision::Allowed);
        let denied_by_boundary = self.boundaries.iter().any(|policy| policy.decide(&request) == Decision::Denied);
        use wire::PolicyEvaluationDecisionType::{Allowed, ExplicitDeny, ImplicitDeny};
        let decision = match rights.decide(&request) {
            Err(refusal) if refusal.explicit => ExplicitDeny,
            _ if denied_by_boundary => ExplicitDeny,
            Ok(()) if bounded => Allowed,
            _ => ImplicitDeny,
        };
        let missing = self.sources.iter().flat_map(|source| source.policy.context_keys());
        let missing: BTreeSet<String> =
            missing.filter(|key| !self.context.0.contains_key(&key.to_ascii_lowercase())).map(str::to_owned).collect();
        wire::EvaluationResult {
            eval_action_name: Some(action.to_owned()),
            eval_resource_name: Some(resource.to_owned()),
            eval_decision: Some(decision),
            matched_statements: Some(self.matched(&request, decision == ExplicitDeny)),
            missing_context_values: Some(missing.into_iter().collect()),
            permissions_boundary_decision_detail: (!self.boundaries.is_empty())
                .then_some(wire::PermissionsBoundaryDecisionDetail { allowed_by_permissions_boundary: Some(bounded) }),
            ..Default::default()
        }
    }

    /// The statements that decided: those that deny, where some do.
    fn matched(&self, request: &Request<'_>, denied: bool) -> Vec<wire::Statement> {
        let wanted = if denied { Effect::Deny } else { Effect::Allow };
        let of = |source: &Source| {
            let decisive = source.policy.about(request).filter(|statement| statement.effect == wanted).count();
            let shown = wire::Statement {
                source_policy_id: Some(source.id.clone()),
                source_policy_type: Some(source.kind),
                ..Default::default()
            };
            vec![shown; decisive]
        };
        self.sources.iter().flat_map(of).collect()
    }
}

impl Given {
    fn of(entries: Option<Vec<wire::ContextEntry>>) -> Self {
        let pair = |entry: wire::ContextEntry| {
            Some((entry.context_key_name?.to_ascii_lowercase(), entry.context_key_values.unwrap_or_default()))
        };
        Self(entries.unwrap_or_default().into_iter().filter_map(pair).collect())
    }
}

/// The policies of a user, group or role, its boundary, and what is known of it.
type Sources = (Vec<Source>, Option<Arc<Policy>>, Given);

fn sources(control: &Control, state: &State, arn: &str) -> Result<Sources, Error> {
    let account = &control.config().account;
    let resource = arn.strip_prefix(&format!("arn:aws:iam::{account}:"));
    let (kind, path) = resource.and_then(|resource| resource.split_once('/')).unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let identities = control.shared.identities.of(state);
    let mut found = Vec::new();
    let mut add = |kind: &str, name: &str, attachments: &Attachments| -> Result<(), Error> {
        let source = match kind {
            "user" => wire::PolicySourceType::User,
            "group" => wire::PolicySourceType::Group,
            _ => wire::PolicySourceType::Role,
        };
        for (policy, document) in &attachments.inline {
            let policy_read = Arc::new(checked_policy(document, Kind::Identity)?);
            found.push(Source { id: format!("{kind}_{name}_{policy}"), kind: source, policy: policy_read });
        }
        for arn in &attachments.managed {
            let of_aws = arn.starts_with("arn:aws:iam::aws:");
            let kind = if of_aws { wire::PolicySourceType::AwsManaged } else { wire::PolicySourceType::UserManaged };
            found.extend(identities.managed(arn).map(|policy| Source { id: arn.clone(), kind, policy }));
        }
        Ok(())
    };
    let mut known = BTreeMap::from([("aws:principalarn".to_owned(), vec![arn.to_owned()])]);
    let mut know = |key: &str, value: &str| drop(known.insert(key.to_owned(), vec![value.to_owned()]));
    let boundary = match kind {
        "user" => {
            let user = find::<User>(state, name)?;
            add("user", name, &user.attachments)?;
            for group in user.groups.iter().filter_map(|group| state.groups.get(group)) {
                add("group", &group.name, &group.attachments)?;
            }
            know("aws:username", name);
            know("aws:userid", &user.id);
            user.tags.iter().for_each(|(tag, value)| know(&format!("aws:principaltag/{}", tag.to_lowercase()), value));
            user.permissions_boundary.clone()
        }
        "role" => {
            let role = find::<Role>(state, name)?;
            add("role", name, &role.attachments)?;
            role.tags.iter().for_each(|(tag, value)| know(&format!("aws:principaltag/{}", tag.to_lowercase()), value));
            role.permissions_boundary.clone()
        }
        "group" => {
            let group = find::<Group>(state, name)?;
            add("group", name, &group.attachments)?;
            None
        }
        _ => {
            return Err(Error::client(
                "InvalidInput",
                format!("Invalid Entity Arn: {arn} does not clearly define entity type and name."),
            ));
        }
    };
    Ok((found, boundary.and_then(|arn| identities.managed(&arn)), Given(known)))
}

fn given(documents: &[String]) -> Result<Vec<Source>, Error> {
    let read = |(index, document): (usize, &String)| {
        let policy = checked_policy(document, Kind::Identity).map_err(|error| {
            Error::client("InvalidInput", format!("Invalid input policy document: {}", error.message))
        })?;
        let id = format!("PolicyInputList.{}", index + 1);
        Ok(Source { id, kind: wire::PolicySourceType::None, policy: Arc::new(policy) })
    };
    documents.iter().enumerate().map(read).collect()
}

fn boundaries(documents: Option<Vec<String>>) -> Result<Vec<Arc<Policy>>, Error> {
    let documents = documents.unwrap_or_default();
    if documents.len() > 1 {
        return Err(invalid("PermissionsBoundaryPolicyInputList takes one policy."));
    }
    Ok(given(&documents)?.into_iter().map(|source| source.policy).collect())
}

fn is_served(asked_for_more: bool) -> Result<(), Error> {
    match asked_for_more {
        true => Err(Error::client(
            "InvalidInput",
            "Resource-based policies, policies of organizations and exclusions are not served.",
        )),
        false => Ok(()),
    }
}

fn keys(sources: &[Source]) -> wire::GetContextKeysForPolicyResponse {
    let names: BTreeSet<&str> = sources.iter().flat_map(|source| source.policy.context_keys()).collect();
    wire::GetContextKeysForPolicyResponse { context_key_names: Some(names.into_iter().map(str::to_owned).collect()) }
}
