//! Groups, and who is in them.

use std::sync::Arc;

use aws::iam as wire;
use aws::{Caller, Error, Timestamp};
use model::resource::{Attachments, Group, User};
use model::{Change, State};

use super::entity::{arn, change, delete_conflict, find, is_free, path, quota};
use super::page::{Page, page};
use super::user;
use crate::{Control, ids};

pub(super) const MAX_GROUPS: usize = 300;
pub(super) const MAX_GROUPS_OF_USER: usize = 10;

pub(super) async fn create(
    control: &Control,
    caller: &Caller,
    input: wire::CreateGroupRequest,
) -> Result<wire::CreateGroupResponse, Error> {
    let group = Group {
        name: input.group_name,
        path: path(input.path)?,
        id: format!("AGPA{}", ids::base32(17)?),
        created: control.now(),
        attachments: Attachments::default(),
    };
    let rule = |state: &State| {
        is_free::<Group>(state, &group.name)?;
        match state.groups.len() >= MAX_GROUPS {
            true => Err(quota("GroupsPerAccount", MAX_GROUPS)),
            false => Ok((vec![Change::put(&group)], ())),
        }
    };
    control.settings().change(caller, rule).await?;
    Ok(wire::CreateGroupResponse { group: Some(shown(control, &group)) })
}

pub(super) fn get(
    control: &Control,
    _: &Caller,
    input: wire::GetGroupRequest,
) -> Result<wire::GetGroupResponse, Error> {
    let state = control.settings().state();
    let group = find::<Group>(&state, &input.group_name)?;
    let users = members(&state, &group.name);
    let users = users.map(|user| (user.name.clone(), wire::User { tags: None, ..user::shown(control, user) }));
    let Page { items, is_truncated, marker } = page(users.collect(), input.marker, input.max_items)?;
    Ok(wire::GetGroupResponse { group: Some(shown(control, &group)), users: Some(items), is_truncated, marker })
}

pub(super) fn list(
    control: &Control,
    _: &Caller,
    input: wire::ListGroupsRequest,
) -> Result<wire::ListGroupsResponse, Error> {
    let state = control.settings().state();
    let prefix = input.path_prefix.unwrap_or_default();
    let groups = state.groups.values().filter(|group| group.path.starts_with(&prefix));
    let groups = groups.map(|group| (group.name.clone(), shown(control, group))).collect();
    let Page { items, is_truncated, marker } = page(groups, input.marker, input.max_items)?;
    Ok(wire::ListGroupsResponse { groups: Some(items), is_truncated, marker })
}

/// Another name or path: whoever is in it stays in it.
pub(super) async fn update(control: &Control, caller: &Caller, input: wire::UpdateGroupRequest) -> Result<(), Error> {
    let new_path = input.new_path.map(|new| path(Some(new))).transpose()?;
    let rule = |state: &State| {
        let before = find::<Group>(state, &input.group_name)?;
        let mut after = Group::clone(&before);
        let mut changes = Vec::new();
        if let Some(name) = input.new_group_name.as_ref().filter(|name| **name != before.name) {
            if !name.eq_ignore_ascii_case(&before.name) {
                is_free::<Group>(state, name)?;
            }
            after.name.clone_from(name);
            changes.push(Change::delete(&*before));
            for member in members(state, &before.name) {
                let mut member = User::clone(member);
                member.groups.remove(&before.name);
                member.groups.insert(after.name.clone());
                changes.push(Change::put(&member));
            }
        }
        after.path = new_path.clone().unwrap_or(after.path);
        changes.push(Change::put(&after));
        Ok((changes, ()))
    };
    control.settings().change(caller, rule).await
}

pub(super) async fn delete(control: &Control, caller: &Caller, input: wire::DeleteGroupRequest) -> Result<(), Error> {
    let rule = |state: &State| {
        let group = find::<Group>(state, &input.group_name)?;
        let left = [
            (members(state, &group.name).next().is_some(), "must remove users from group first."),
            (!group.attachments.managed.is_empty(), "must detach all policies first."),
            (!group.attachments.inline.is_empty(), "must delete policies first."),
        ];
        match left.iter().find(|(is_left, _)| *is_left) {
            Some((_, what)) => Err(delete_conflict(format!("Cannot delete entity, {what}"))),
            None => Ok((vec![Change::delete(&*group)], ())),
        }
    };
    control.settings().change(caller, rule).await
}

pub(super) async fn add(control: &Control, caller: &Caller, input: wire::AddUserToGroupRequest) -> Result<(), Error> {
    let rule = |state: &State| {
        find::<Group>(state, &input.group_name)?;
        change::<User>(state, &input.user_name, |user| {
            user.groups.insert(input.group_name.clone());
            match user.groups.len() > MAX_GROUPS_OF_USER {
                true => Err(quota("GroupsPerUser", MAX_GROUPS_OF_USER)),
                false => Ok(()),
            }
        })
    };
    control.settings().change(caller, rule).await
}

pub(super) async fn remove(
    control: &Control,
    caller: &Caller,
    input: wire::RemoveUserFromGroupRequest,
) -> Result<(), Error> {
    let rule = |state: &State| {
        find::<Group>(state, &input.group_name)?;
        change::<User>(state, &input.user_name, |user| {
            user.groups.remove(&input.group_name);
            Ok(())
        })
    };
    control.settings().change(caller, rule).await
}

fn members<'s>(state: &'s State, group: &str) -> impl Iterator<Item = &'s Arc<User>> {
    state.users.values().filter(move |user| user.groups.contains(group))
}

pub(super) fn shown(control: &Control, group: &Group) -> wire::Group {
    wire::Group {
        arn: Some(arn(&control.config().account, "group", &group.path, &group.name)),
        create_date: Some(Timestamp(group.created)),
        group_id: Some(group.id.clone()),
        group_name: Some(group.name.clone()),
        path: Some(group.path.clone()),
    }
}
