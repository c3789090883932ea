//! Tags of users, roles and policies.

use aws::iam::Tag;
use aws::{Caller, Error};
use model::State;
use model::resource::{ManagedPolicy, Role, Tags, User};

use super::entity::{Entity, change, find, quota};
use crate::Control;

const MAX_TAGS: usize = 50;

/// Something that has tags.
pub(super) trait Tagged: Entity {
    fn tags(&mut self) -> &mut Tags;
}

macro_rules! tagged {
    ($($type:ty),*) => {
        $(impl Tagged for $type {
            fn tags(&mut self) -> &mut Tags {
                &mut self.tags
            }
        })*
    };
}

tagged!(User, Role, ManagedPolicy);

pub(super) async fn tag<T: Tagged>(
    control: &Control,
    caller: &Caller,
    name: &str,
    tags: Vec<Tag>,
) -> Result<(), Error> {
    let rule = |state: &State| {
        change::<T>(state, name, |tagged| {
            let now = std::mem::take(tagged.tags());
            *tagged.tags() = checked(now, tags.clone())?;
            Ok(())
        })
    };
    control.settings().change(caller, rule).await
}

pub(super) async fn untag<T: Tagged>(
    control: &Control,
    caller: &Caller,
    name: &str,
    keys: &[String],
) -> Result<(), Error> {
    let rule = |state: &State| {
        change::<T>(state, name, |tagged| {
            tagged.tags().retain(|known, _| !keys.iter().any(|key| key.eq_ignore_ascii_case(known)));
            Ok(())
        })
    };
    control.settings().change(caller, rule).await
}

pub(super) fn list<T: Tagged>(state: &State, name: &str) -> Result<Vec<(String, Tag)>, Error> {
    let mut tagged = T::clone(&*find::<T>(state, name)?);
    Ok(std::mem::take(tagged.tags()).into_iter().map(|(key, value)| (key.clone(), Tag { key, value })).collect())
}

/// Tags with others added. Keys that differ in case are one; the one that was there first stays as it is written.
pub(super) fn checked(mut tags: Tags, added: Vec<Tag>) -> Result<Tags, Error> {
    let mut seen = Vec::new();
    for Tag { key, value } in added {
        let folded = key.to_lowercase();
        if folded.starts_with("aws:") {
            let message = "Tag keys beginning with aws: are reserved for internal use.";
            return Err(Error::client("InvalidInput", message));
        }
        if seen.contains(&folded) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(Error::client("InvalidInput", message));
        }
        let known = tags.keys().find(|known| known.to_lowercase() == folded).cloned();
        tags.insert(known.unwrap_or(key), value);
        seen.push(folded);
    }
    if tags.len() > MAX_TAGS { Err(quota("TagsPerResource", MAX_TAGS)) } else { Ok(tags) }
}

/// As they are shown; nothing where there are none.
pub(super) fn shown(tags: &Tags) -> Option<Vec<Tag>> {
    let list: Vec<Tag> = tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect();
    (!list.is_empty()).then_some(list)
}
