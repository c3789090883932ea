//! Making temporary credentials.

use aws::sts::Credentials;
use aws::{Error, Sensitive, Timestamp};
use model::Session;

use crate::authentication::new_secret;
use crate::{Control, ids};

/// Credentials of a session, which is given its secret.
pub(super) fn issue(control: &Control, session: impl FnOnce(String) -> Session) -> Result<Credentials, Error> {
    let access_key_id = format!("ASIA{}", ids::base32(16)?);
    let secret = new_secret()?;
    let session = session(secret.to_string());
    let token = control.shared.tokens.seal(&access_key_id, &session);
    Ok(Credentials {
        access_key_id: Some(access_key_id),
        secret_access_key: Some(Sensitive(secret.to_string())),
        session_token: Some(token.map_err(|error| Error::internal(error.to_string()))?),
        expiration: Some(Timestamp(session.expires)),
    })
}

/// How long a session is to last; the model has bounded it.
pub(super) fn seconds(wanted: Option<i32>, default: i64) -> i64 {
    wanted.map_or(default, i64::from)
}
