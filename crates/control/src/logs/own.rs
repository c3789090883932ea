//! The gateway's own log groups: what it records of itself, in every region the same. Everybody who may read groups can read them,
//! and nobody change or delete them.

use std::sync::LazyLock;

use aws::Error;
use journal::{CONNECTIONS_GROUP, SETTINGS_GROUP};
use model::resource::LogGroup as Group;

use super::invalid;
use crate::own_api::DOCTOR_GROUP;

static GROUPS: LazyLock<[Group; 3]> = LazyLock::new(|| [CONNECTIONS_GROUP, DOCTOR_GROUP, SETTINGS_GROUP].map(made));

/// All of them.
pub(super) fn groups() -> &'static [Group] {
    &*GROUPS
}

/// That of this name.
pub(super) fn group(name: &str) -> Option<&'static Group> {
    groups().iter().find(|group| group.name == name)
}

/// Refuses what would change one of them.
pub(super) fn refuse(name: &str) -> Result<(), Error> {
    match group(name) {
        None => Ok(()),
        Some(_) => Err(invalid(format!(
            "The log group {name} is reserved: it shows what the gateway records of itself, and cannot be changed."
        ))),
    }
}

/// There since ever; its records are in no region.
fn made(name: &str) -> Group {
    Group::new("", name, 0)
}
