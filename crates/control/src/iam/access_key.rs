//! Access keys. The secret is shown once, when the key is made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws::iam as wire;
use aws::{Caller, Error, Sensitive, Timestamp};
use model::resource::{AccessKey, User};
use model::{Change, State, UnixMillis};

use super::entity::{ADMINISTRATOR, arn, find, no_such, quota};
use super::page::{Page, page};
use super::user::{administrator, keys, name_or_callers};
use crate::Control;
use crate::authentication::Owner;

const MAX_KEYS: usize = 2;

/// When each access key was used last, since this process started.
#[derive(Default)]
pub(crate) struct KeyUses(Mutex<HashMap<String, KeyUse>>);

#[derive(Clone)]
struct KeyUse {
    at: UnixMillis,
    service: &'static str,
    region: String,
}

impl KeyUses {
    /// A request was signed with the key.
    pub(crate) fn note(&self, id: &str, at: UnixMillis, service: &'static str, region: &str) {
        // Temporary ones come and go, and nobody can ask about them.
        if !id.starts_with("AKIA") {
            return;
        }
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match uses.get_mut(id) {
            Some(known) if known.region == region => (known.at, known.service) = (at, service),
            _ => drop(uses.insert(id.to_owned(), KeyUse { at, service, region: region.to_owned() })),
        }
    }

    fn of(&self, id: &str) -> Option<KeyUse> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

pub(super) async fn create(
    control: &Control,
    caller: &Caller,
    input: wire::CreateAccessKeyRequest,
) -> Result<wire::CreateAccessKeyResponse, Error> {
    let name = name_or_callers(caller, input.user_name)?;
    let owner = owner(&control.settings().state(), &caller.account, &name)?;
    let user_id = owner.user_id.clone();
    let (key, secret) = control.new_key(owner)?;
    let rule = |state: &State| {
        // Whoever has this name now is the one that the key was made for.
        if self::owner(state, &caller.account, &name)?.user_id != user_id {
            return Err(no_such(format!("The user with name {name} cannot be found.")));
        }
        match of_user(state, &name).count() >= MAX_KEYS {
            true => Err(quota("AccessKeysPerUser", MAX_KEYS)),
            false => Ok((vec![Change::put(&key)], ())),
        }
    };
    control.settings().change(caller, rule).await?;
    let shown = wire::AccessKey {
        access_key_id: Some(key.id.clone()),
        create_date: Some(Timestamp(key.created)),
        secret_access_key: Some(Sensitive(secret.to_string())),
        status: Some(wire::StatusType::Active),
        user_name: Some(name),
    };
    Ok(wire::CreateAccessKeyResponse { access_key: Some(shown) })
}

pub(super) async fn delete(
    control: &Control,
    caller: &Caller,
    input: wire::DeleteAccessKeyRequest,
) -> Result<(), Error> {
    let name = name_or_callers(caller, input.user_name)?;
    let rule = |state: &State| {
        let key = of_name(state, &caller.account, &name, &input.access_key_id)?;
        Ok((vec![Change::delete(&*key)], ()))
    };
    control.settings().change(caller, rule).await
}

pub(super) async fn update(
    control: &Control,
    caller: &Caller,
    input: wire::UpdateAccessKeyRequest,
) -> Result<(), Error> {
    let name = name_or_callers(caller, input.user_name)?;
    let inactive = match input.status {
        wire::StatusType::Active => false,
        wire::StatusType::Inactive => true,
        wire::StatusType::Expired => {
            return Err(super::entity::invalid("An access key is set to be Active or Inactive."));
        }
    };
    let rule = |state: &State| {
        let key = of_name(state, &caller.account, &name, &input.access_key_id)?;
        Ok((vec![Change::put(&AccessKey { inactive, ..AccessKey::clone(&key) })], ()))
    };
    control.settings().change(caller, rule).await
}

pub(super) fn list(
    control: &Control,
    caller: &Caller,
    input: wire::ListAccessKeysRequest,
) -> Result<wire::ListAccessKeysResponse, Error> {
    let name = name_or_callers(caller, input.user_name)?;
    let state = control.settings().state();
    owner(&state, &caller.account, &name)?;
    let shown = |key: &Arc<AccessKey>| wire::AccessKeyMetadata {
        access_key_id: Some(key.id.clone()),
        create_date: Some(Timestamp(key.created)),
        status: Some(if key.inactive { wire::StatusType::Inactive } else { wire::StatusType::Active }),
        user_name: Some(name.clone()),
    };
    let keys = of_user(&state, &name).map(|key| (key.id.clone(), shown(key))).collect();
    let Page { items, is_truncated, marker } = page(keys, input.marker, input.max_items)?;
    Ok(wire::ListAccessKeysResponse { access_key_metadata: Some(items), is_truncated, marker })
}

pub(super) fn last_used(
    control: &Control,
    _: &Caller,
    input: wire::GetAccessKeyLastUsedRequest,
) -> Result<wire::GetAccessKeyLastUsedResponse, Error> {
    let state = control.settings().state();
    let key = state.access_keys.get(&input.access_key_id);
    let key = key.ok_or_else(|| no_such(format!("The Access Key with id {} cannot be found", input.access_key_id)))?;
    let used = control.shared.key_uses.of(&key.id);
    let unknown = || "N/A".to_owned();
    Ok(wire::GetAccessKeyLastUsedResponse {
        user_name: Some(key.user.clone().unwrap_or_else(|| ADMINISTRATOR.to_owned())),
        access_key_last_used: Some(wire::AccessKeyLastUsed {
            last_used_date: used.as_ref().map(|used| Timestamp(used.at)),
            region: Some(used.as_ref().map_or_else(unknown, |used| used.region.clone())),
            service_name: Some(used.as_ref().map_or_else(unknown, |used| used.service.to_owned())),
        }),
    })
}

fn owner(state: &State, account: &str, name: &str) -> Result<Owner, Error> {
    match administrator(state) {
        Some(administrator) if name == ADMINISTRATOR => {
            Ok(Owner { arn: arn(account, "user", "/", name), user_id: administrator.id, user: None })
        }
        _ => {
            let user = find::<User>(state, name)?;
            let arn = arn(account, "user", &user.path, &user.name);
            Ok(Owner { arn, user_id: user.id.clone(), user: Some(user.name.clone()) })
        }
    }
}

fn of_user<'s>(state: &'s State, name: &str) -> Box<dyn Iterator<Item = &'s Arc<AccessKey>> + 's> {
    match name {
        ADMINISTRATOR => Box::new(state.access_keys.values().filter(|key| key.user.is_none())),
        name => Box::new(keys(state, name).collect::<Vec<_>>().into_iter()),
    }
}

fn of_name(state: &State, account: &str, name: &str, id: &str) -> Result<Arc<AccessKey>, Error> {
    owner(state, account, name)?;
    let key = of_user(state, name).find(|key| key.id == id).cloned();
    key.ok_or_else(|| no_such(format!("The Access Key with id {id} cannot be found.")))
}
