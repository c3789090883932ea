//! The policies of users, groups and roles: inline ones, those that are attached, and the permissions boundary.

use aws::iam::{AttachedPermissionsBoundary, AttachedPolicy, PermissionsBoundaryAttachmentType};
use aws::{Caller, Error};
use iam_policy::{Kind, Policy};
use model::resource::ManagedPolicy;
use model::{AwsPolicy, State};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::entity::{Bounded, Holder, change, find, no_such, quota};
use crate::Control;

const MAX_ATTACHED: usize = 10;
/// Documents are shown encoded (RFC 3986).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub(super) async fn put<H: Holder>(
    control: &Control,
    caller: &Caller,
    name: &str,
    policy: &str,
    document: &str,
) -> Result<(), Error> {
    checked_policy(document, Kind::Identity)?;
    let (most, quota_name) = H::INLINE;
    let rule = |state: &State| {
        change::<H>(state, name, |holder| {
            let inline = &mut holder.attachments().inline;
            inline.insert(policy.to_owned(), document.to_owned());
            match inline.values().map(|document| size(document)).sum::<usize>() > most {
                true => Err(quota(quota_name, most)),
                false => Ok(()),
            }
        })
    };
    control.settings().change(caller, rule).await
}

pub(super) async fn delete<H: Holder>(
    control: &Control,
    caller: &Caller,
    name: &str,
    policy: &str,
) -> Result<(), Error> {
    let rule = |state: &State| {
        change::<H>(state, name, |holder| {
            let removed = holder.attachments().inline.remove(policy);
            removed
                .map(drop)
                .ok_or_else(|| no_such(format!("The {} policy with name {policy} cannot be found.", H::WHAT)))
        })
    };
    control.settings().change(caller, rule).await
}

/// An inline policy, as it is shown.
pub(super) fn document<H: Holder>(state: &State, name: &str, policy: &str) -> Result<String, Error> {
    let holder = find::<H>(state, name)?;
    let document = holder.attached().inline.get(policy).map(|document| encoded(document));
    document.ok_or_else(|| no_such(format!("The {} policy with name {policy} cannot be found.", H::WHAT)))
}

/// The names of inline policies.
pub(super) fn names<H: Holder>(state: &State, name: &str) -> Result<Vec<(String, String)>, Error> {
    let holder = find::<H>(state, name)?;
    Ok(holder.attached().inline.keys().map(|name| (name.clone(), name.clone())).collect())
}

pub(super) async fn attach<H: Holder>(
    control: &Control,
    caller: &Caller,
    name: &str,
    policy: &str,
) -> Result<(), Error> {
    let rule = |state: &State| {
        is_attachable(state, policy)?;
        change::<H>(state, name, |holder| {
            let managed = &mut holder.attachments().managed;
            managed.insert(policy.to_owned());
            let what = match H::WHAT {
                "user" => "PoliciesPerUser",
                "group" => "PoliciesPerGroup",
                _ => "PoliciesPerRole",
            };
            if managed.len() > MAX_ATTACHED { Err(quota(what, MAX_ATTACHED)) } else { Ok(()) }
        })
    };
    control.settings().change(caller, rule).await
}

pub(super) async fn detach<H: Holder>(
    control: &Control,
    caller: &Caller,
    name: &str,
    policy: &str,
) -> Result<(), Error> {
    let rule = |state: &State| {
        change::<H>(state, name, |holder| match holder.attachments().managed.remove(policy) {
            true => Ok(()),
            false => Err(no_such(format!("Policy {policy} was not found."))),
        })
    };
    control.settings().change(caller, rule).await
}

/// The managed policies that are attached.
pub(super) fn attached<H: Holder>(
    state: &State,
    name: &str,
    prefix: Option<&str>,
) -> Result<Vec<(String, AttachedPolicy)>, Error> {
    let holder = find::<H>(state, name)?;
    let path = |arn: &str| arn.split_once(":policy").map(|(_, path)| path.to_owned()).unwrap_or_default();
    let managed = holder.attached().managed.iter().filter(|arn| path(arn).starts_with(prefix.unwrap_or_default()));
    let shown = managed.map(|arn| {
        let policy_name = arn.rsplit('/').next().unwrap_or_default().to_owned();
        (arn.clone(), AttachedPolicy { policy_arn: Some(arn.clone()), policy_name: Some(policy_name) })
    });
    Ok(shown.collect())
}

/// Sets the permissions boundary, or removes it.
pub(super) async fn bound<B: Bounded>(
    control: &Control,
    caller: &Caller,
    name: &str,
    policy: Option<&str>,
) -> Result<(), Error> {
    let rule = |state: &State| {
        policy.map(|policy| is_attachable(state, policy)).transpose()?;
        change::<B>(state, name, |bounded| {
            let boundary = bounded.boundary();
            if policy.is_none() && boundary.is_none() {
                return Err(no_such(format!("The {} with name {name} has no permissions boundary.", B::WHAT)));
            }
            *boundary = policy.map(str::to_owned);
            Ok(())
        })
    };
    control.settings().change(caller, rule).await
}

/// As a user or role shows it.
pub(super) fn shown_boundary(arn: Option<&String>) -> Option<AttachedPermissionsBoundary> {
    arn.map(|arn| AttachedPermissionsBoundary {
        permissions_boundary_arn: Some(arn.clone()),
        permissions_boundary_type: Some(PermissionsBoundaryAttachmentType::PermissionsBoundaryPolicy),
    })
}

/// Refuses an ARN that is no policy's.
pub(crate) fn is_attachable(state: &State, arn: &str) -> Result<(), Error> {
    match AwsPolicy::find(arn).is_some() || state.managed_policies.contains_key(arn) {
        true => Ok(()),
        false => Err(no_such(format!("Policy {arn} does not exist or is not attachable."))),
    }
}

/// Reads a document, or says what is wrong with it.
pub(crate) fn checked_policy(document: &str, kind: Kind) -> Result<Policy, Error> {
    Policy::parse(document, kind).map_err(|malformed| Error::client("MalformedPolicyDocument", malformed.to_string()))
}

/// Characters that count: white space does not.
pub(super) fn size(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
}

pub(super) fn encoded(document: &str) -> String {
    utf8_percent_encode(document, ENCODED).to_string()
}

/// How many hold a policy, and how many are bounded by it.
pub(super) fn uses(state: &State, policy: &ManagedPolicy) -> (usize, usize) {
    count(state, &policy.arn)
}

pub(super) fn count(state: &State, arn: &str) -> (usize, usize) {
    let users = state.users.values().filter(|user| user.attachments.managed.contains(arn)).count();
    let groups = state.groups.values().filter(|group| group.attachments.managed.contains(arn)).count();
    let roles = state.roles.values().filter(|role| role.attachments.managed.contains(arn)).count();
    let is_it = |boundary: &Option<String>| boundary.as_deref() == Some(arn);
    let bounded = state.users.values().filter(|user| is_it(&user.permissions_boundary)).count()
        + state.roles.values().filter(|role| is_it(&role.permissions_boundary)).count();
    (users + groups + roles, bounded)
}
