//! What users and roles may do: their policies, compiled when the settings change.

use std::collections::HashMap;
use std::sync::Arc;

use iam_policy::{Kind, Policy, Rights};

use crate::resource::{Attachments, Group, ManagedPolicy, Role, User};
use crate::{AwsPolicy, Same, State, Table};

/// The users and roles of one state. What a change does not touch is the same as before.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    users: HashMap<String, Arc<Identity<User>>>,
    roles: HashMap<String, Arc<Identity<Role>>>,
    managed: HashMap<String, (Arc<ManagedPolicy>, Option<Arc<Policy>>)>,
    of: Sources,
}

/// A user or a role with what it may do.
#[derive(Clone, Debug)]
pub struct Identity<R> {
    /// As it is set.
    pub resource: Arc<R>,
    /// Nothing, where one of its policies cannot be read: it might be the one that denies.
    pub rights: Rights,
}

/// The tables that identities were made of.
#[derive(Clone, Debug, Default)]
struct Sources {
    users: Table<User>,
    groups: Table<Group>,
    roles: Table<Role>,
    managed: Table<ManagedPolicy>,
}

impl Identities {
    /// Of a state; `previous` is of one before.
    pub fn of(state: &State, previous: &Self) -> Self {
        let managed = state.managed_policies.iter().map(|(arn, policy)| {
            let same = previous.managed.get(arn).filter(|(source, _)| Arc::ptr_eq(source, policy));
            let compiled = same.map_or_else(|| policy.document().and_then(compiled), |(_, compiled)| compiled.clone());
            (arn.to_owned(), (Arc::clone(policy), compiled))
        });
        let mut next = Self { managed: managed.collect(), of: Sources::of(state), ..Self::default() };
        let is_shared_same =
            next.of.managed.is_same(&previous.of.managed) && next.of.groups.is_same(&previous.of.groups);
        next.users = identities(&state.users, previous.users.iter().filter(|_| is_shared_same), |user| {
            let groups = user.groups.iter().filter_map(|name| state.groups.get(name)).map(|group| &group.attachments);
            next.rights(groups.chain([&user.attachments]), user.permissions_boundary.as_deref())
        });
        next.roles = identities(&state.roles, previous.roles.iter().filter(|_| is_shared_same), |role| {
            next.rights([&role.attachments], role.permissions_boundary.as_deref())
        });
        next
    }

    /// Whether these are those of a state.
    pub fn are_of(&self, state: &State) -> bool {
        let Sources { users, groups, roles, managed } = &self.of;
        users.is_same(&state.users)
            && groups.is_same(&state.groups)
            && roles.is_same(&state.roles)
            && managed.is_same(&state.managed_policies)
    }

    /// A user by name.
    pub fn user(&self, name: &str) -> Option<&Arc<Identity<User>>> {
        self.users.get(name)
    }

    /// A role by name.
    pub fn role(&self, name: &str) -> Option<&Arc<Identity<Role>>> {
        self.roles.get(name)
    }

    /// A managed policy, AWS's or the account's.
    pub fn managed(&self, arn: &str) -> Option<Arc<Policy>> {
        AwsPolicy::compiled(arn).or_else(|| self.managed.get(arn)?.1.clone())
    }

    fn rights<'a>(&self, attached: impl IntoIterator<Item = &'a Attachments>, boundary: Option<&str>) -> Rights {
        self.readable(attached, boundary).unwrap_or_default()
    }

    /// None: something of it cannot be read.
    fn readable<'a>(
        &self,
        attached: impl IntoIterator<Item = &'a Attachments>,
        boundary: Option<&str>,
    ) -> Option<Rights> {
        let mut identity = Vec::new();
        for attachments in attached {
            for document in attachments.inline.values() {
                identity.push(compiled(document)?);
            }
            for arn in &attachments.managed {
                identity.push(self.managed(arn)?);
            }
        }
        let boundary = match boundary {
            Some(arn) => Some(self.managed(arn)?),
            None => None,
        };
        Some(Rights { identity, boundary, session: None })
    }
}

impl Sources {
    fn of(state: &State) -> Self {
        Self {
            users: state.users.clone(),
            groups: state.groups.clone(),
            roles: state.roles.clone(),
            managed: state.managed_policies.clone(),
        }
    }
}

fn identities<'p, R: 'p>(
    table: &Table<R>,
    previous: impl Iterator<Item = (&'p String, &'p Arc<Identity<R>>)>,
    rights: impl Fn(&R) -> Rights,
) -> HashMap<String, Arc<Identity<R>>> {
    let previous: HashMap<&str, &Arc<Identity<R>>> =
        previous.map(|(name, identity)| (name.as_str(), identity)).collect();
    let identity = |name: &str, resource: &Arc<R>| {
        let same = previous.get(name).filter(|identity| Arc::ptr_eq(&identity.resource, resource));
        same.map_or_else(
            || Arc::new(Identity { resource: Arc::clone(resource), rights: rights(resource) }),
            |same| Arc::clone(same),
        )
    };
    table.iter().map(|(name, resource)| (name.to_owned(), identity(name, resource))).collect()
}

/// None: it was written by a newer version.
fn compiled(document: &str) -> Option<Arc<Policy>> {
    Policy::parse(document, Kind::Identity).ok().map(Arc::new)
}
