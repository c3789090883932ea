//! Roles, and who may take them on.

use aws::iam as wire;
use aws::{Caller, Error, Timestamp};
use iam_policy::Kind;
use model::resource::{Attachments, Role, Tags};
use model::{Change, State};

use super::attachments::{checked_policy, encoded, is_attachable, shown_boundary, size};
use super::entity::{ADMINISTRATOR, arn, change, delete_conflict, find, is_free, path, quota};
use super::page::{Page, page};
use super::tags;
use crate::{Control, ids};

pub(super) const MAX_ROLES: usize = 1000;
pub(super) const MAX_TRUST: usize = 2048;
/// Seconds that sessions last at most, where a role says nothing else.
const SESSION_SECONDS: u32 = 3600;

pub(super) async fn create(
    control: &Control,
    caller: &Caller,
    input: wire::CreateRoleRequest,
) -> Result<wire::CreateRoleResponse, Error> {
    let role = Role {
        name: input.role_name,
        path: path(input.path)?,
        id: format!("AROA{}", ids::base32(17)?),
        created: control.now(),
        description: input.description,
        trust: input.assume_role_policy_document,
        max_session_seconds: input.max_session_duration.and_then(|s| u32::try_from(s).ok()).unwrap_or(SESSION_SECONDS),
        attachments: Attachments::default(),
        permissions_boundary: input.permissions_boundary,
        tags: tags::checked(Tags::new(), input.tags.unwrap_or_default())?,
    };
    let rule = |state: &State| {
        is_free::<Role>(state, &role.name)?;
        check_trust(state, caller, &role.trust)?;
        role.permissions_boundary.as_deref().map(|policy| is_attachable(state, policy)).transpose()?;
        match state.roles.len() >= MAX_ROLES {
            true => Err(quota("RolesPerAccount", MAX_ROLES)),
            false => Ok((vec![Change::put(&role)], ())),
        }
    };
    control.settings().change(caller, rule).await?;
    Ok(wire::CreateRoleResponse { role: Some(shown(control, &role)) })
}

pub(super) fn get(control: &Control, _: &Caller, input: wire::GetRoleRequest) -> Result<wire::GetRoleResponse, Error> {
    let role = find::<Role>(&control.settings().state(), &input.role_name)?;
    Ok(wire::GetRoleResponse { role: Some(shown(control, &role)) })
}

pub(super) fn list(
    control: &Control,
    _: &Caller,
    input: wire::ListRolesRequest,
) -> Result<wire::ListRolesResponse, Error> {
    let state = control.settings().state();
    let prefix = input.path_prefix.unwrap_or_default();
    let roles = state.roles.values().filter(|role| role.path.starts_with(&prefix));
    let roles = roles.map(|role| (role.name.clone(), wire::Role { tags: None, ..shown(control, role) })).collect();
    let Page { items, is_truncated, marker } = page(roles, input.marker, input.max_items)?;
    Ok(wire::ListRolesResponse { roles: Some(items), is_truncated, marker })
}

pub(super) async fn update(
    control: &Control,
    caller: &Caller,
    input: wire::UpdateRoleRequest,
) -> Result<wire::UpdateRoleResponse, Error> {
    let rule = |state: &State| {
        change::<Role>(state, &input.role_name, |role| {
            if let Some(description) = &input.description {
                role.description = Some(description.clone()).filter(|text| !text.is_empty());
            }
            if let Some(seconds) = input.max_session_duration.and_then(|seconds| u32::try_from(seconds).ok()) {
                role.max_session_seconds = seconds;
            }
            Ok(())
        })
    };
    control.settings().change(caller, rule).await?;
    Ok(wire::UpdateRoleResponse {})
}

pub(super) async fn describe(
    control: &Control,
    caller: &Caller,
    input: wire::UpdateRoleDescriptionRequest,
) -> Result<wire::UpdateRoleDescriptionResponse, Error> {
    let rule = |state: &State| {
        change::<Role>(state, &input.role_name, |role| {
            role.description = Some(input.description.clone()).filter(|text| !text.is_empty());
            Ok(())
        })
    };
    control.settings().change(caller, rule).await?;
    let role = find::<Role>(&control.settings().state(), &input.role_name)?;
    Ok(wire::UpdateRoleDescriptionResponse { role: Some(shown(control, &role)) })
}

pub(super) async fn trust(
    control: &Control,
    caller: &Caller,
    input: wire::UpdateAssumeRolePolicyRequest,
) -> Result<(), Error> {
    let rule = |state: &State| {
        check_trust(state, caller, &input.policy_document)?;
        change::<Role>(state, &input.role_name, |role| {
            role.trust.clone_from(&input.policy_document);
            Ok(())
        })
    };
    control.settings().change(caller, rule).await
}

pub(super) async fn delete(control: &Control, caller: &Caller, input: wire::DeleteRoleRequest) -> Result<(), Error> {
    let rule = |state: &State| {
        let role = find::<Role>(state, &input.role_name)?;
        let left = [
            (!role.attachments.managed.is_empty(), "must detach all policies first."),
            (!role.attachments.inline.is_empty(), "must delete policies first."),
        ];
        match left.iter().find(|(is_left, _)| *is_left) {
            Some((_, what)) => Err(delete_conflict(format!("Cannot delete entity, {what}"))),
            None => Ok((vec![Change::delete(&*role)], ())),
        }
    };
    control.settings().change(caller, rule).await
}

/// There are no instances here, so no role is in a profile of one; Terraform asks before it deletes a role.
pub(super) fn instance_profiles(
    control: &Control,
    _: &Caller,
    input: wire::ListInstanceProfilesForRoleRequest,
) -> Result<wire::ListInstanceProfilesForRoleResponse, Error> {
    find::<Role>(&control.settings().state(), &input.role_name)?;
    let Page { items, is_truncated, marker } = page(Vec::new(), input.marker, input.max_items)?;
    Ok(wire::ListInstanceProfilesForRoleResponse { instance_profiles: Some(items), is_truncated, marker })
}

/// Whom a trust policy names has to be there, if it is of this account.
fn check_trust(state: &State, caller: &Caller, document: &str) -> Result<(), Error> {
    let policy = checked_policy(document, Kind::Trust)?;
    if size(document) > MAX_TRUST {
        return Err(quota("ACLSizePerRole", MAX_TRUST));
    }
    let account = &caller.account;
    for named in policy.principals() {
        let Some(resource) = named.strip_prefix(&format!("arn:aws:iam::{account}:")) else { continue };
        let name = resource.rsplit('/').next().unwrap_or_default();
        let is_it = |kind: &str, path: &str| arn(account, kind, path, name) == named;
        let is_there = resource == "root"
            || state.users.get(name).is_some_and(|user| is_it("user", &user.path))
            || state.roles.get(name).is_some_and(|role| is_it("role", &role.path))
            || name == ADMINISTRATOR && is_it("user", "/");
        if !is_there {
            let message = format!("Invalid principal in policy: \"AWS\":\"{named}\"");
            return Err(Error::client("MalformedPolicyDocument", message));
        }
    }
    Ok(())
}

fn shown(control: &Control, role: &Role) -> wire::Role {
    wire::Role {
        arn: Some(arn(&control.config().account, "role", &role.path, &role.name)),
        assume_role_policy_document: Some(encoded(&role.trust)),
        create_date: Some(Timestamp(role.created)),
        description: role.description.clone(),
        max_session_duration: i32::try_from(role.max_session_seconds).ok(),
        path: Some(role.path.clone()),
        permissions_boundary: shown_boundary(role.permissions_boundary.as_ref()),
        role_id: Some(role.id.clone()),
        role_last_used: None,
        role_name: Some(role.name.clone()),
        tags: tags::shown(&role.tags),
    }
}
