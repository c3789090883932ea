//! Taking on a role: its trust policy has to let the caller, and one of the two sides has to name the other.

use aws::sts::*;
use aws::{Asked, Caller, Error};
use iam_policy::{Context, Decision, Kind, Policy, Request};
use model::Session;
use model::resource::Role;

use super::issue::{issue, seconds};
use super::{HOUR, invalid, pairs, refuse_second_factor, session_policies};
use crate::Control;

const MAX_TAGS: usize = 50;

pub(super) fn assume_role(
    control: &Control,
    caller: &Caller,
    input: AssumeRoleRequest,
) -> Result<AssumeRoleResponse, Error> {
    refuse_second_factor(input.serial_number.is_some() || input.token_code.is_some())?;
    if input.transitive_tag_keys.is_some() || input.provided_contexts.is_some() || input.source_identity.is_some() {
        return Err(invalid("TransitiveTagKeys, ProvidedContexts and SourceIdentity are not served."));
    }
    let tags = pairs(input.tags);
    check_tags(&tags)?;
    let state = control.settings().state();
    let name = input.role_arn.rsplit('/').next().unwrap_or_default();
    let is_it = |role: &&std::sync::Arc<Role>| {
        format!("arn:aws:iam::{}:role{}{}", caller.account, role.path, role.name) == input.role_arn
    };
    // Whether there is such a role, nobody is told who may not take it on.
    let role = state.roles.get(name).filter(is_it).ok_or_else(|| denied(caller, "sts:AssumeRole", &input.role_arn))?;
    let asking = Asking {
        caller,
        role,
        arn: &input.role_arn,
        context: OfRequest {
            caller,
            external_id: input.external_id,
            session_name: input.role_session_name.clone(),
            tags: &tags,
        },
    };
    asking.may("sts:AssumeRole")?;
    if !tags.is_empty() {
        asking.may("sts:TagSession")?;
    }
    let lifetime = lifetime(caller, role, input.duration_seconds)?;
    let lent = session_policies(&state, input.policy, input.policy_arns)?;
    let (session_name, now) = (input.role_session_name, control.now());
    let arn = format!("arn:aws:sts::{}:assumed-role/{}/{session_name}", caller.account, role.name);
    let user_id = format!("{}:{session_name}", role.id);
    let credentials = issue(control, |secret| Session {
        secret,
        arn: arn.clone(),
        user_id: user_id.clone(),
        principal_arn: input.role_arn.clone(),
        principal_id: role.id.clone(),
        policies: lent.policies.clone(),
        tags: tags.clone(),
        chained: is_session_of_role(caller),
        issued: now,
        expires: now + lifetime * 1000,
    })?;
    Ok(AssumeRoleResponse {
        credentials: Some(credentials),
        assumed_role_user: Some(AssumedRoleUser { arn: Some(arn), assumed_role_id: Some(user_id) }),
        packed_policy_size: lent.packed(),
        source_identity: None,
    })
}

/// Somebody who wants to take on a role.
struct Asking<'a> {
    caller: &'a Caller,
    role: &'a Role,
    arn: &'a str,
    context: OfRequest<'a>,
}

impl Asking<'_> {
    /// A trust policy that names the caller is enough; one that names the account leaves it to the caller's own policies. What either
    /// side denies is denied.
    fn may(&self, action: &str) -> Result<(), Error> {
        let denied = || denied(self.caller, action, self.arn);
        let trust = Policy::parse(&self.role.trust, Kind::Trust).map_err(|_| denied())?;
        let root = format!("arn:aws:iam::{}:root", self.caller.account);
        let own = [self.caller.arn.as_str(), self.caller.principal_arn.as_str()];
        let all = [own[0], own[1], root.as_str()];
        let asked = |names| trust.decide(&Request::new(action, &[], &self.context).by(names));
        if asked(&all) != Decision::Allowed {
            return Err(denied());
        }
        let wanted = Asked { action, resources: &[self.arn], context: &[] };
        let named = trust.principals().any(|name| own.contains(&name)) && asked(&own) == Decision::Allowed;
        match named {
            true if self.caller.authority.denies(&wanted) => Err(denied()),
            true => Ok(()),
            false => self.caller.authority.authorize(&wanted).map_err(|_| denied()),
        }
    }
}

/// What a trust policy's conditions find.
struct OfRequest<'a> {
    caller: &'a Caller,
    external_id: Option<String>,
    session_name: String,
    tags: &'a [(String, String)],
}

impl Context for OfRequest<'_> {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        if let Some(tag) = key.strip_prefix("aws:requesttag/") {
            let tag = self.tags.iter().find(|(name, _)| name.eq_ignore_ascii_case(tag));
            return tag.map(|(_, value)| vec![value.clone()]);
        }
        match key {
            "sts:externalid" => self.external_id.clone().map(|id| vec![id]),
            "sts:rolesessionname" => Some(vec![self.session_name.clone()]),
            "aws:tagkeys" => (!self.tags.is_empty()).then(|| self.tags.iter().map(|(name, _)| name.clone()).collect()),
            _ => self.caller.authority.value(key).map(|value| vec![value]),
        }
    }
}

fn lifetime(caller: &Caller, role: &Role, wanted: Option<i32>) -> Result<i64, Error> {
    let lifetime = seconds(wanted, HOUR);
    if lifetime > i64::from(role.max_session_seconds) && wanted.is_some() {
        return Err(invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role."));
    }
    if is_session_of_role(caller) && lifetime > HOUR {
        let message =
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        return Err(invalid(message));
    }
    Ok(lifetime)
}

fn is_session_of_role(caller: &Caller) -> bool {
    caller.arn.contains(":assumed-role/")
}

fn check_tags(tags: &[(String, String)]) -> Result<(), Error> {
    let mut names: Vec<String> = tags.iter().map(|(name, _)| name.to_lowercase()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Error::client(
            "InvalidParameterValue",
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        ));
    }
    match names.len() > MAX_TAGS || names.iter().any(|name| name.starts_with("aws:")) {
        true => Err(invalid(format!("A session has at most {MAX_TAGS} tags, and none that begins with aws:."))),
        false => Ok(()),
    }
}

fn denied(caller: &Caller, action: &str, role: &str) -> Error {
    let message = format!("User: {} is not authorized to perform: {action} on resource: {role}", caller.arn);
    Error::access_denied(message)
}
