//! What users, groups, roles and managed policies have in common.

use std::sync::Arc;

use aws::Error;
use http::StatusCode;
use model::resource::{Attachments, Group, ManagedPolicy, Role, User};
use model::{Change, Resource, State, Table};

/// The name of the user whose rights no policy limits.
pub(super) const ADMINISTRATOR: &str = "admin";

/// Something that is found by a name.
pub(super) trait Entity: Resource + Clone + Send + Sync {
    /// For people.
    const WHAT: &'static str;

    fn table(state: &State) -> &Table<Self>;
    fn key(&self) -> &str;
}

/// Something that policies are attached to.
pub(super) trait Holder: Entity {
    /// Characters of its inline policies together, or of one of them.
    const INLINE: (usize, &'static str);
    fn attachments(&mut self) -> &mut Attachments;
    fn attached(&self) -> &Attachments;
}

/// Something that a policy bounds.
pub(super) trait Bounded: Entity {
    fn boundary(&mut self) -> &mut Option<String>;
}

macro_rules! entities {
    ($($type:ty = $what:literal, $table:ident, $name:ident;)*) => {
        $(impl Entity for $type {
            const WHAT: &'static str = $what;

            fn table(state: &State) -> &Table<Self> {
                &state.$table
            }

            fn key(&self) -> &str {
                &self.$name
            }
        })*
    };
}

entities! {
    User = "user", users, name;
    Group = "group", groups, name;
    Role = "role", roles, name;
    ManagedPolicy = "policy", managed_policies, arn;
}

macro_rules! holders {
    ($($type:ty = $most:literal, $quota:literal;)*) => {
        $(impl Holder for $type {
            const INLINE: (usize, &'static str) = ($most, $quota);

            fn attachments(&mut self) -> &mut Attachments {
                &mut self.attachments
            }

            fn attached(&self) -> &Attachments {
                &self.attachments
            }
        })*
    };
}

holders! {
    User = 2048, "UserPolicySize";
    Group = 5120, "GroupPolicySize";
    Role = 10240, "RolePolicySize";
}

impl Bounded for User {
    fn boundary(&mut self) -> &mut Option<String> {
        &mut self.permissions_boundary
    }
}

impl Bounded for Role {
    fn boundary(&mut self) -> &mut Option<String> {
        &mut self.permissions_boundary
    }
}

/// The one of this name.
pub(super) fn find<E: Entity>(state: &State, name: &str) -> Result<Arc<E>, Error> {
    let found = E::table(state).get(name).cloned();
    found.ok_or_else(|| match (E::WHAT, name) {
        ("user", ADMINISTRATOR) => Error::client(
            "UnmodifiableEntity",
            "The user admin is this server's administrator, who may do everything: it cannot be changed.",
        ),
        ("policy", _) => no_such(format!("Policy {name} was not found.")),
        (what, _) => no_such(format!("The {what} with name {name} cannot be found.")),
    })
}

/// Changes the one of this name.
pub(super) fn change<E: Entity>(
    state: &State,
    name: &str,
    rule: impl FnOnce(&mut E) -> Result<(), Error>,
) -> Result<(Vec<Change>, ()), Error> {
    let before = find::<E>(state, name)?;
    let mut after = E::clone(&before);
    rule(&mut after)?;
    Ok((vec![Change::put(&after)], ()))
}

/// Refuses a name that is taken: case makes no difference.
pub(super) fn is_free<E: Entity>(state: &State, name: &str) -> Result<(), Error> {
    let taken = E::table(state).values().any(|entity| entity.key().eq_ignore_ascii_case(name));
    if taken || E::WHAT == "user" && name.eq_ignore_ascii_case(ADMINISTRATOR) {
        let what = capitalized(E::WHAT);
        return Err(exists(format!("{what} with name {name} already exists.")));
    }
    Ok(())
}

/// `arn:aws:iam::123456789012:user/path/name`
pub(super) fn arn(account: &str, kind: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:{kind}{path}{name}")
}

/// A path begins and ends with a slash.
pub(super) fn path(path: Option<String>) -> Result<String, Error> {
    let path = path.unwrap_or_else(|| "/".to_owned());
    let well_formed = path.starts_with('/') && path.ends_with('/') && path.len() <= 512;
    match well_formed && path.bytes().all(|b| (0x21..=0x7e).contains(&b)) {
        true => Ok(path),
        false => Err(invalid(
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.",
        )),
    }
}

/// 404
pub(super) fn no_such(message: impl Into<String>) -> Error {
    Error::new(StatusCode::NOT_FOUND, "NoSuchEntity", message)
}

/// 409: there is one already.
pub(super) fn exists(message: impl Into<String>) -> Error {
    Error::new(StatusCode::CONFLICT, "EntityAlreadyExists", message)
}

/// 409: something else needs it.
pub(super) fn delete_conflict(message: impl Into<String>) -> Error {
    Error::new(StatusCode::CONFLICT, "DeleteConflict", message)
}

/// 409: there are as many as there may be.
pub(super) fn quota(name: &str, most: usize) -> Error {
    Error::new(StatusCode::CONFLICT, "LimitExceeded", format!("Cannot exceed quota for {name}: {most}"))
}

/// 400
pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::client("ValidationError", message)
}

fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}
