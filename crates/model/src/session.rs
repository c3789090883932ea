//! Temporary credentials: a token that says who has them, sealed, so that nothing of it is stored.

use aws_lc_rs::aead::NONCE_LEN;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Keyring, KeyringError, UnixMillis};

/// What a session token says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Session {
    /// What requests of the session are signed with.
    pub secret: String,
    /// `arn:aws:sts::{account}:assumed-role/{role}/{session}`; the user's own for GetSessionToken.
    pub arn: String,
    /// What STS shows as `UserId`, e.g. `AROA…:session`.
    pub user_id: String,
    /// ARN of the role, or of the user, whose rights the session has; empty: the administrator's.
    pub principal_arn: String,
    /// The id of that role or user: another one of the same name has not lent anything.
    pub principal_id: String,
    /// Session policies, documents or ARNs of managed policies; none: the session may do all that its principal may.
    pub policies: Option<Vec<String>>,
    /// Session tags.
    pub tags: Vec<(String, String)>,
    /// `AssumeRole` of a session that was itself assumed.
    pub chained: bool,
    /// When it began.
    #[zeroize(skip)]
    pub issued: UnixMillis,
    /// When it ends.
    #[zeroize(skip)]
    pub expires: UnixMillis,
}

/// Makes session tokens and reads them. They hold across restarts, and on every node with the same sealing key.
#[derive(Debug)]
pub struct SessionTokens {
    keyring: Keyring,
}

/// Why a session token is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was not made here, or not for this access key.
    #[error("The security token included in the request is invalid.")]
    Invalid,
    /// Its time is up.
    #[error("The security token included in the request is expired")]
    Expired,
}

/// A longer token is none of ours: session policies and tags have bounds.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Where a token begins that this version makes.
const MARK: &str = "Cs1";

impl SessionTokens {
    /// Under a key that is derived from the one that secrets are sealed with.
    pub fn new(keyring: &Keyring) -> Result<Self, KeyringError> {
        Ok(Self { keyring: keyring.derived("session tokens")? })
    }

    /// The token of a session, which holds for one access key.
    pub fn seal(&self, access_key_id: &str, session: &Session) -> Result<String, KeyringError> {
        let text = Zeroizing::new(serde_json::to_vec(session).expect("a session is plain data"));
        Ok(format!("{MARK}{}", self.keyring.seal(access_key_id, &text)?.as_str()))
    }

    /// What a token says that came with an access key.
    pub fn open(&self, access_key_id: &str, token: &str, now: UnixMillis) -> Result<Session, TokenError> {
        let sealed = token.strip_prefix(MARK).filter(|sealed| sealed.len() <= MAX_TOKEN_BYTES);
        let sealed = sealed.filter(|sealed| BASE64.decode_len(sealed.len()).is_ok_and(|length| length > NONCE_LEN));
        let sealed = sealed.ok_or(TokenError::Invalid)?.to_owned();
        let text = self.keyring.open(access_key_id, &sealed.into()).map_err(|_| TokenError::Invalid)?;
        let session: Session = serde_json::from_slice(&text).map_err(|_| TokenError::Invalid)?;
        if session.expires <= now { Err(TokenError::Expired) } else { Ok(session) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_for_its_key_and_time() {
        let session = Session {
            secret: "s".repeat(40),
            arn: "arn:aws:sts::123456789012:assumed-role/r/s".to_owned(),
            user_id: "AROA:s".to_owned(),
            principal_arn: "arn:aws:iam::123456789012:role/r".to_owned(),
            principal_id: "AROA".to_owned(),
            policies: None,
            tags: vec![("a".to_owned(), "b".to_owned())],
            chained: false,
            issued: 0,
            expires: 1000,
        };
        let tokens = SessionTokens::new(&Keyring::new(&[7; 32]).unwrap()).unwrap();
        let token = tokens.seal("ASIA1", &session).unwrap();
        assert!(tokens.open("ASIA1", &token, 999).is_ok_and(|opened| opened == session));
        assert_eq!(tokens.open("ASIA1", &token, 1000).err(), Some(TokenError::Expired));
        assert_eq!(tokens.open("ASIA2", &token, 0).err(), Some(TokenError::Invalid));
        // The same key seals secrets under another one.
        let keyring = Keyring::new(&[7; 32]).unwrap();
        let other = keyring.seal("ASIA1", &serde_json::to_vec(&session).unwrap()).unwrap();
        for wrong in ["", "Cs1", "x", &token[..token.len() - 4], &token[3..], &format!("{MARK}{}", other.as_str())] {
            assert_eq!(tokens.open("ASIA1", wrong, 0).err(), Some(TokenError::Invalid), "{wrong}");
        }
        let after_a_restart = SessionTokens::new(&keyring).unwrap();
        assert!(after_a_restart.open("ASIA1", &token, 0).is_ok());
    }
}
