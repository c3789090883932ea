//! The control API as one value: what every operation stands on.

use std::sync::Arc;

use aws::Error;
use data_encoding::BASE64;
use journal::Journal;
use model::resource::AccessKey;
use model::{Change, Keyring, UnixMillis};
use zeroize::Zeroizing;

use crate::Settings;
use crate::authentication::OpenedKeys;
use crate::ids;

/// The control API. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
}

/// What the control API is made of.
pub struct ControlParts {
    /// Settings of the server itself.
    pub config: ControlConfig,
    /// What the operations read and change.
    pub settings: Settings,
    /// Opens and seals secrets.
    pub keyring: Arc<Keyring>,
    /// Where records are read from.
    pub journal: Journal,
}

/// Settings of the server itself: they come from its configuration, never from its API.
#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// Twelve digits.
    pub account: String,
    /// Region of a caller that names none (health, the local CA at start).
    pub default_region: String,
    /// Names besides `localhost` that `Host` may have, lowercase; `bucket.NAME` is taken too.
    pub host_names: Vec<String>,
    /// Port of the HTTPS address, for `ApiEndpoint`.
    pub https_port: u16,
    /// `{apiId}.execute-api.{region}.{suffix}`
    pub execute_api_suffix: String,
    /// AWS's own behaviour where it differs from the guide.
    pub aws_exact: bool,
    /// The time, in milliseconds since 1970.
    pub clock: fn() -> UnixMillis,
}

pub(crate) struct Shared {
    pub(crate) config: ControlConfig,
    pub(crate) settings: Settings,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) journal: Journal,
    pub(crate) keys: OpenedKeys,
}

/// An access key with its secret, to be handed to its owner.
pub struct AdminKey {
    /// `AKIA…`
    pub id: String,
    /// Forty characters.
    pub secret: Zeroizing<String>,
}

const SECRET_BYTES: usize = 30;

impl Control {
    /// Puts it together; nothing is read or written yet.
    pub fn new(parts: ControlParts) -> Self {
        let ControlParts { config, settings, keyring, journal } = parts;
        Self { shared: Arc::new(Shared { config, settings, keyring, journal, keys: OpenedKeys::default() }) }
    }

    /// What the operations read and change.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Settings of the server itself.
    pub fn config(&self) -> &ControlConfig {
        &self.shared.config
    }

    /// Opens and seals secrets.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.shared.keyring
    }

    /// Where records are read from.
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// The time.
    pub fn now(&self) -> UnixMillis {
        (self.shared.config.clock)()
    }

    /// The administrator's access key, which is made at the first start.
    pub async fn admin_key(&self) -> Result<AdminKey, Error> {
        let made = self.new_admin_key()?;
        let key = self
            .settings()
            .change(|state| match state.access_keys.values().min_by_key(|key| (key.created, key.id.clone())) {
                Some(first) => Ok((Vec::new(), AccessKey::clone(first))),
                None => Ok((vec![Change::put(&made)], made.clone())),
            })
            .await?;
        let secret = self.keyring().open(&sealed_for(&key.id), &key.secret).ok();
        let secret = secret.and_then(|secret| String::from_utf8(secret.to_vec()).ok());
        let secret = secret.ok_or_else(|| Error::internal("The administrator's access key does not open."))?;
        Ok(AdminKey { id: key.id, secret: Zeroizing::new(secret) })
    }

    fn new_admin_key(&self) -> Result<AccessKey, Error> {
        let id = format!("AKIA{}", ids::base32(16)?);
        let mut random = Zeroizing::new([0; SECRET_BYTES]);
        ids::fill(&mut *random)?;
        let secret = Zeroizing::new(BASE64.encode(&*random));
        let sealed = self.keyring().seal(&sealed_for(&id), secret.as_bytes());
        Ok(AccessKey {
            secret: sealed.map_err(|error| Error::internal(error.to_string()))?,
            principal_arn: format!("arn:aws:iam::{}:user/admin", self.config().account),
            user_id: format!("AIDA{}", ids::base32(16)?),
            created: self.now(),
            id,
        })
    }
}

/// The additional data that an access key's secret is sealed with.
pub(crate) fn sealed_for(access_key_id: &str) -> String {
    format!("access-keys/{access_key_id}")
}
