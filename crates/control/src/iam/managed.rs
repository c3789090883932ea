//! Managed policies and their versions: the account's own, and AWS's, which nobody can change.

use std::collections::BTreeMap;

use aws::iam as wire;
use aws::{Caller, Error, Timestamp};
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE32;
use http::StatusCode;
use iam_policy::Kind;
use model::resource::{ManagedPolicy, PolicyVersion, Tags};
use model::{AWS_POLICIES, AwsPolicy, Change, State};

use super::attachments::{checked_policy, count, encoded, size, uses};
use super::entity::{arn, change, delete_conflict, exists, find, invalid, no_such, path, quota};
use super::page::{Page, page};
use super::tags;
use crate::{Control, ids};

pub(super) const MAX_POLICIES: usize = 1500;
pub(super) const MAX_POLICY: usize = 6144;
pub(super) const MAX_VERSIONS: usize = 5;

pub(super) async fn create(
    control: &Control,
    caller: &Caller,
    input: wire::CreatePolicyRequest,
) -> Result<wire::CreatePolicyResponse, Error> {
    let (path, at) = (path(input.path)?, control.now());
    check(&input.policy_document)?;
    let first = PolicyVersion { document: input.policy_document, created: at };
    let policy = ManagedPolicy {
        arn: arn(&caller.account, "policy", &path, &input.policy_name),
        name: input.policy_name,
        path,
        id: format!("ANPA{}", ids::base32(17)?),
        description: input.description,
        created: at,
        updated: at,
        versions: BTreeMap::from([(1, first)]),
        default_version: 1,
        next_version: 2,
        tags: tags::checked(Tags::new(), input.tags.unwrap_or_default())?,
    };
    let rule = |state: &State| {
        if state.managed_policies.values().any(|known| known.name.eq_ignore_ascii_case(&policy.name)) {
            let message = format!("A policy called {} already exists. Duplicate names are not allowed.", policy.name);
            return Err(exists(message));
        }
        match state.managed_policies.len() >= MAX_POLICIES {
            true => Err(quota("PoliciesPerAccount", MAX_POLICIES)),
            false => Ok((vec![Change::put(&policy)], ())),
        }
    };
    control.settings().change(caller, rule).await?;
    Ok(wire::CreatePolicyResponse { policy: Some(shown(&control.settings().state(), &policy)) })
}

pub(super) fn get(
    control: &Control,
    _: &Caller,
    input: wire::GetPolicyRequest,
) -> Result<wire::GetPolicyResponse, Error> {
    let state = control.settings().state();
    let policy = match AwsPolicy::find(&input.policy_arn) {
        Some(policy) => shown_aws(&state, policy),
        None => shown(&state, &*find::<ManagedPolicy>(&state, &input.policy_arn)?),
    };
    Ok(wire::GetPolicyResponse { policy: Some(policy) })
}

pub(super) fn list(
    control: &Control,
    _: &Caller,
    input: wire::ListPoliciesRequest,
) -> Result<wire::ListPoliciesResponse, Error> {
    use wire::PolicyScopeType::{Aws, Local};
    let state = control.settings().state();
    let own = state.managed_policies.values().filter(|_| input.scope != Some(Aws));
    let own = own.map(|policy| wire::Policy { tags: None, description: None, ..shown(&state, policy) });
    let of_aws = AWS_POLICIES.iter().filter(|_| input.scope != Some(Local));
    let of_aws = of_aws.map(|policy| wire::Policy { description: None, ..shown_aws(&state, policy) });
    let prefix = input.path_prefix.unwrap_or_default();
    let bounds = input.policy_usage_filter == Some(wire::PolicyUsageType::PermissionsBoundary);
    let mut policies: Vec<(String, wire::Policy)> = own
        .chain(of_aws)
        .filter(|policy| policy.path.as_ref().is_some_and(|path| path.starts_with(&prefix)))
        .filter(|policy| !bounds || policy.permissions_boundary_usage_count > Some(0))
        .filter(|policy| input.only_attached != Some(true) || policy.attachment_count > Some(0))
        .map(|policy| (policy.arn.clone().unwrap_or_default(), policy))
        .collect();
    policies.sort_by(|a, b| a.0.cmp(&b.0));
    let Page { items, is_truncated, marker } = page(policies, input.marker, input.max_items)?;
    Ok(wire::ListPoliciesResponse { policies: Some(items), is_truncated, marker })
}

pub(super) async fn delete(control: &Control, caller: &Caller, input: wire::DeletePolicyRequest) -> Result<(), Error> {
    is_own(&input.policy_arn)?;
    let rule = |state: &State| {
        let policy = find::<ManagedPolicy>(state, &input.policy_arn)?;
        if uses(state, &policy) != (0, 0) {
            return Err(delete_conflict("Cannot delete a policy attached to entities."));
        }
        if policy.versions.len() > 1 {
            let message = "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.";
            return Err(delete_conflict(message));
        }
        Ok((vec![Change::delete(&*policy)], ()))
    };
    control.settings().change(caller, rule).await
}

pub(super) async fn create_version(
    control: &Control,
    caller: &Caller,
    input: wire::CreatePolicyVersionRequest,
) -> Result<wire::CreatePolicyVersionResponse, Error> {
    is_own(&input.policy_arn)?;
    check(&input.policy_document)?;
    let at = control.now();
    let rule = |state: &State| {
        let mut policy = ManagedPolicy::clone(&*find::<ManagedPolicy>(state, &input.policy_arn)?);
        if policy.versions.len() >= MAX_VERSIONS {
            let message = format!(
                "A managed policy can have up to {MAX_VERSIONS} versions. Before you create a new version, you must delete an existing version."
            );
            return Err(Error::new(StatusCode::CONFLICT, "LimitExceeded", message));
        }
        let (number, version) =
            (policy.next_version, PolicyVersion { document: input.policy_document.clone(), created: at });
        policy.versions.insert(number, version.clone());
        policy.next_version += 1;
        policy.updated = at;
        if input.set_as_default == Some(true) {
            policy.default_version = number;
        }
        let shown = wire::PolicyVersion { document: None, ..shown_version(&policy, number, &version) };
        Ok((vec![Change::put(&policy)], shown))
    };
    let version = control.settings().change(caller, rule).await?;
    Ok(wire::CreatePolicyVersionResponse { policy_version: Some(version) })
}

pub(super) async fn delete_version(
    control: &Control,
    caller: &Caller,
    input: wire::DeletePolicyVersionRequest,
) -> Result<(), Error> {
    is_own(&input.policy_arn)?;
    let rule = |state: &State| {
        change::<ManagedPolicy>(state, &input.policy_arn, |policy| {
            let number = number(&input.policy_arn, &input.version_id)?;
            if number == policy.default_version {
                return Err(delete_conflict("Cannot delete the default version of a policy."));
            }
            let removed = policy.versions.remove(&number);
            removed.map(drop).ok_or_else(|| no_version(&input.policy_arn, &input.version_id))
        })
    };
    control.settings().change(caller, rule).await
}

pub(super) fn version(
    control: &Control,
    _: &Caller,
    input: wire::GetPolicyVersionRequest,
) -> Result<wire::GetPolicyVersionResponse, Error> {
    let (arn, id) = (&input.policy_arn, &input.version_id);
    let number = number(arn, id)?;
    let version = match AwsPolicy::find(arn) {
        Some(policy) if number == 1 => Some(shown_aws_version(policy)),
        Some(_) => None,
        None => {
            let policy = find::<ManagedPolicy>(&control.settings().state(), arn)?;
            policy.versions.get(&number).map(|version| shown_version(&policy, number, version))
        }
    };
    Ok(wire::GetPolicyVersionResponse { policy_version: Some(version.ok_or_else(|| no_version(arn, id))?) })
}

pub(super) fn versions(
    control: &Control,
    _: &Caller,
    input: wire::ListPolicyVersionsRequest,
) -> Result<wire::ListPolicyVersionsResponse, Error> {
    // The newest is shown first.
    let named = |number: u32, version| {
        (format!("{:010}", u32::MAX - number), wire::PolicyVersion { document: None, ..version })
    };
    let versions = match AwsPolicy::find(&input.policy_arn) {
        Some(policy) => vec![named(1, shown_aws_version(policy))],
        None => {
            let policy = find::<ManagedPolicy>(&control.settings().state(), &input.policy_arn)?;
            let versions = policy.versions.iter().rev();
            versions.map(|(number, version)| named(*number, shown_version(&policy, *number, version))).collect()
        }
    };
    let Page { items, is_truncated, marker } = page(versions, input.marker, input.max_items)?;
    Ok(wire::ListPolicyVersionsResponse { versions: Some(items), is_truncated, marker })
}

pub(super) async fn set_default(
    control: &Control,
    caller: &Caller,
    input: wire::SetDefaultPolicyVersionRequest,
) -> Result<(), Error> {
    is_own(&input.policy_arn)?;
    let rule = |state: &State| {
        change::<ManagedPolicy>(state, &input.policy_arn, |policy| {
            let number = number(&input.policy_arn, &input.version_id)?;
            if !policy.versions.contains_key(&number) {
                return Err(no_version(&input.policy_arn, &input.version_id));
            }
            policy.default_version = number;
            Ok(())
        })
    };
    control.settings().change(caller, rule).await
}

/// Who has a policy attached, or is bounded by it.
pub(super) fn entities(
    control: &Control,
    _: &Caller,
    input: wire::ListEntitiesForPolicyRequest,
) -> Result<wire::ListEntitiesForPolicyResponse, Error> {
    use wire::{EntityType, PolicyUsageType};
    let (state, arn) = (control.settings().state(), &input.policy_arn);
    super::is_attachable(&state, arn)?;
    let prefix = input.path_prefix.as_deref().unwrap_or_default();
    let wanted = |kind: EntityType| input.entity_filter.is_none_or(|filter| filter == kind);
    let of = |managed: &std::collections::BTreeSet<String>, boundary: Option<&String>, path: &str| {
        let attached = managed.contains(arn) && input.policy_usage_filter != Some(PolicyUsageType::PermissionsBoundary);
        let bounds = boundary == Some(arn) && input.policy_usage_filter != Some(PolicyUsageType::PermissionsPolicy);
        path.starts_with(prefix) && (attached || bounds)
    };
    let groups =
        state.groups.values().filter(|g| wanted(EntityType::Group) && of(&g.attachments.managed, None, &g.path));
    let roles = state
        .roles
        .values()
        .filter(|r| wanted(EntityType::Role) && of(&r.attachments.managed, r.permissions_boundary.as_ref(), &r.path));
    let users = state
        .users
        .values()
        .filter(|u| wanted(EntityType::User) && of(&u.attachments.managed, u.permissions_boundary.as_ref(), &u.path));
    // Clients go through the pages in this order.
    let groups = groups.map(|group| ("0-group", &group.name, &group.id));
    let users = users.map(|user| ("1-user", &user.name, &user.id));
    let roles = roles.map(|role| ("2-role", &role.name, &role.id));
    let all = groups.chain(users).chain(roles);
    let all = all.map(|(kind, name, id)| (format!("{kind}/{name}"), (kind, Some(name.clone()), Some(id.clone()))));
    let Page { items, is_truncated, marker } = page(all.collect(), input.marker, input.max_items)?;
    let mut response = wire::ListEntitiesForPolicyResponse { is_truncated, marker, ..Default::default() };
    let (mut groups, mut roles, mut users) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, name, id) in items {
        match kind {
            "0-group" => groups.push(wire::PolicyGroup { group_name: name, group_id: id }),
            "2-role" => roles.push(wire::PolicyRole { role_name: name, role_id: id }),
            _ => users.push(wire::PolicyUser { user_name: name, user_id: id }),
        }
    }
    (response.policy_groups, response.policy_roles, response.policy_users) = (Some(groups), Some(roles), Some(users));
    Ok(response)
}

fn check(document: &str) -> Result<(), Error> {
    checked_policy(document, Kind::Identity)?;
    if size(document) > MAX_POLICY { Err(quota("PolicySize", MAX_POLICY)) } else { Ok(()) }
}

fn is_own(arn: &str) -> Result<(), Error> {
    match AwsPolicy::find(arn) {
        Some(_) => Err(Error::access_denied(format!("The policy {arn} is AWS's: it can be attached, not changed."))),
        None => Ok(()),
    }
}

fn number(arn: &str, id: &str) -> Result<u32, Error> {
    let number = id.strip_prefix('v').ok_or_else(|| invalid(format!("Invalid version id: {id}")))?;
    number.split('.').next().and_then(|number| number.parse().ok()).ok_or_else(|| no_version(arn, id))
}

fn no_version(arn: &str, id: &str) -> Error {
    no_such(format!("Policy {arn} version {id} does not exist or is not attachable."))
}

fn shown(state: &State, policy: &ManagedPolicy) -> wire::Policy {
    let (attached, bounding) = uses(state, policy);
    wire::Policy {
        arn: Some(policy.arn.clone()),
        attachment_count: i32::try_from(attached).ok(),
        create_date: Some(Timestamp(policy.created)),
        default_version_id: Some(format!("v{}", policy.default_version)),
        description: policy.description.clone(),
        is_attachable: Some(true),
        path: Some(policy.path.clone()),
        permissions_boundary_usage_count: i32::try_from(bounding).ok(),
        policy_id: Some(policy.id.clone()),
        policy_name: Some(policy.name.clone()),
        tags: tags::shown(&policy.tags),
        update_date: Some(Timestamp(policy.updated)),
    }
}

fn shown_version(policy: &ManagedPolicy, number: u32, version: &PolicyVersion) -> wire::PolicyVersion {
    wire::PolicyVersion {
        create_date: Some(Timestamp(version.created)),
        document: Some(encoded(&version.document)),
        is_default_version: Some(number == policy.default_version),
        version_id: Some(format!("v{number}")),
    }
}

/// AWS's are as old as the clock.
fn shown_aws(state: &State, policy: &AwsPolicy) -> wire::Policy {
    let (attached, bounding) = count(state, policy.arn);
    let id = BASE32.encode(digest(&SHA256, policy.arn.as_bytes()).as_ref());
    wire::Policy {
        arn: Some(policy.arn.to_owned()),
        attachment_count: i32::try_from(attached).ok(),
        create_date: Some(Timestamp(0)),
        default_version_id: Some("v1".to_owned()),
        description: Some(policy.description.to_owned()),
        is_attachable: Some(true),
        path: Some("/".to_owned()),
        permissions_boundary_usage_count: i32::try_from(bounding).ok(),
        policy_id: Some(format!("ANPA{}", &id[..17])),
        policy_name: Some(policy.name().to_owned()),
        tags: None,
        update_date: Some(Timestamp(0)),
    }
}

fn shown_aws_version(policy: &AwsPolicy) -> wire::PolicyVersion {
    wire::PolicyVersion {
        create_date: Some(Timestamp(0)),
        document: Some(encoded(policy.document)),
        is_default_version: Some(true),
        version_id: Some("v1".to_owned()),
    }
}
