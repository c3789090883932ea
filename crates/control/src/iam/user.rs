//! Users.

use std::sync::Arc;

use aws::iam as wire;
use aws::{Caller, Error, Timestamp};
use model::resource::{AccessKey, Attachments, Tags, User};
use model::{Change, State};

use super::attachments::{is_attachable, shown_boundary};
use super::entity::{ADMINISTRATOR, arn, delete_conflict, find, invalid, is_free, path, quota};
use super::page::{Page, page};
use super::{group, tags};
use crate::{Control, ids};

pub(super) const MAX_USERS: usize = 5000;

pub(super) async fn create(
    control: &Control,
    caller: &Caller,
    input: wire::CreateUserRequest,
) -> Result<wire::CreateUserResponse, Error> {
    let user = User {
        name: input.user_name,
        path: path(input.path)?,
        id: format!("AIDA{}", ids::base32(17)?),
        created: control.now(),
        groups: Default::default(),
        attachments: Attachments::default(),
        permissions_boundary: input.permissions_boundary,
        tags: tags::checked(Tags::new(), input.tags.unwrap_or_default())?,
    };
    let rule = |state: &State| {
        is_free::<User>(state, &user.name)?;
        user.permissions_boundary.as_deref().map(|policy| is_attachable(state, policy)).transpose()?;
        match state.users.len() >= MAX_USERS {
            true => Err(quota("UsersPerAccount", MAX_USERS)),
            false => Ok((vec![Change::put(&user)], ())),
        }
    };
    control.settings().change(caller, rule).await?;
    Ok(wire::CreateUserResponse { user: Some(shown(control, &user)) })
}

pub(super) fn get(
    control: &Control,
    caller: &Caller,
    input: wire::GetUserRequest,
) -> Result<wire::GetUserResponse, Error> {
    let name = name_or_callers(caller, input.user_name)?;
    let state = control.settings().state();
    let user = match administrator(&state) {
        Some(administrator) if name == ADMINISTRATOR => Arc::new(administrator),
        _ => find::<User>(&state, &name)?,
    };
    Ok(wire::GetUserResponse { user: Some(shown(control, &user)) })
}

pub(super) fn list(
    control: &Control,
    _: &Caller,
    input: wire::ListUsersRequest,
) -> Result<wire::ListUsersResponse, Error> {
    let state = control.settings().state();
    let administrator = administrator(&state).map(Arc::new);
    let mut users: Vec<&Arc<User>> = state.users.values().chain(&administrator).collect();
    users.sort_by(|a, b| a.name.cmp(&b.name));
    users.retain(|user| user.path.starts_with(input.path_prefix.as_deref().unwrap_or_default()));
    let users = users.into_iter().map(|user| (user.name.clone(), wire::User { tags: None, ..shown(control, user) }));
    let Page { items, is_truncated, marker } = page(users.collect(), input.marker, input.max_items)?;
    Ok(wire::ListUsersResponse { users: Some(items), is_truncated, marker })
}

/// Another name or path: access keys and groups follow.
pub(super) async fn update(control: &Control, caller: &Caller, input: wire::UpdateUserRequest) -> Result<(), Error> {
    let new_path = input.new_path.map(|new| path(Some(new))).transpose()?;
    let rule = |state: &State| {
        let before = find::<User>(state, &input.user_name)?;
        let mut after = User::clone(&before);
        let mut changes = Vec::new();
        if let Some(name) = input.new_user_name.as_ref().filter(|name| **name != before.name) {
            if !name.eq_ignore_ascii_case(&before.name) {
                is_free::<User>(state, name)?;
            }
            after.name.clone_from(name);
            changes.push(Change::delete(&*before));
        }
        after.path = new_path.clone().unwrap_or(after.path);
        changes.push(Change::put(&after));
        for key in keys(state, &before.name) {
            let principal_arn = arn(&caller.account, "user", &after.path, &after.name);
            changes.push(Change::put(&AccessKey {
                principal_arn,
                user: Some(after.name.clone()),
                ..AccessKey::clone(key)
            }));
        }
        Ok((changes, ()))
    };
    control.settings().change(caller, rule).await
}

pub(super) async fn delete(control: &Control, caller: &Caller, input: wire::DeleteUserRequest) -> Result<(), Error> {
    let rule = |state: &State| {
        let user = find::<User>(state, &input.user_name)?;
        let left = [
            (keys(state, &user.name).next().is_some(), "must delete access keys first."),
            (!user.attachments.managed.is_empty(), "must detach all policies first."),
            (!user.attachments.inline.is_empty(), "must delete policies first."),
            (!user.groups.is_empty(), "must remove users from group first."),
        ];
        match left.iter().find(|(is_left, _)| *is_left) {
            Some((_, what)) => Err(delete_conflict(format!("Cannot delete entity, {what}"))),
            None => Ok((vec![Change::delete(&*user)], ())),
        }
    };
    control.settings().change(caller, rule).await
}

pub(super) fn groups(
    control: &Control,
    _: &Caller,
    input: wire::ListGroupsForUserRequest,
) -> Result<wire::ListGroupsForUserResponse, Error> {
    let state = control.settings().state();
    let user = find::<User>(&state, &input.user_name)?;
    let groups = user.groups.iter().filter_map(|name| state.groups.get(name));
    let groups = groups.map(|group| (group.name.clone(), group::shown(control, group))).collect();
    let Page { items, is_truncated, marker } = page(groups, input.marker, input.max_items)?;
    Ok(wire::ListGroupsForUserResponse { groups: Some(items), is_truncated, marker })
}

/// The access keys of a user.
pub(super) fn keys<'s>(state: &'s State, user: &str) -> impl Iterator<Item = &'s Arc<AccessKey>> {
    state.access_keys.values().filter(move |key| key.user.as_deref() == Some(user))
}

/// The user who was there first, made of its access keys: no policy limits it.
pub(super) fn administrator(state: &State) -> Option<User> {
    let keys = state.access_keys.values().filter(|key| key.user.is_none());
    let first = keys.min_by_key(|key| (key.created, &key.id))?;
    Some(User {
        name: ADMINISTRATOR.to_owned(),
        path: "/".to_owned(),
        id: first.user_id.clone(),
        created: first.created,
        groups: Default::default(),
        attachments: Attachments::default(),
        permissions_boundary: None,
        tags: Tags::new(),
    })
}

/// The user that is named, or else the one who calls.
pub(super) fn name_or_callers(caller: &Caller, name: Option<String>) -> Result<String, Error> {
    let own = caller.arn.split_once(":user/").and_then(|(_, name)| name.rsplit('/').next()).map(str::to_owned);
    name.or(own).ok_or_else(|| invalid("Must specify userName when calling with non-User credentials"))
}

pub(super) fn shown(control: &Control, user: &User) -> wire::User {
    wire::User {
        arn: Some(arn(&control.config().account, "user", &user.path, &user.name)),
        create_date: Some(Timestamp(user.created)),
        password_last_used: None,
        path: Some(user.path.clone()),
        permissions_boundary: shown_boundary(user.permissions_boundary.as_ref()),
        tags: tags::shown(&user.tags),
        user_id: Some(user.id.clone()),
        user_name: Some(user.name.clone()),
    }
}
