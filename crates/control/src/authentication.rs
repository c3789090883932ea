//! Who sent a request: its signature, held against the access keys of the settings.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws::Error;
use data_encoding::BASE64;
use http::StatusCode;
use http::request::Parts;
use model::resource::AccessKey;
use model::{Bearer, Keyring, State, TokenError};
use sigv4::{PayloadHash, Rules, Scope, SecretKey, Verified};
use zeroize::Zeroizing;

use crate::{Control, Origin, ids};

const SECRET_BYTES: usize = 30;

/// Secrets of access keys, opened: kept as long as the key itself is the same, overwritten when they are dropped.
#[derive(Default)]
pub(crate) struct OpenedKeys {
    by_id: Mutex<HashMap<String, OpenedKey>>,
}

struct OpenedKey {
    key: Arc<AccessKey>,
    secret: Zeroizing<String>,
}

impl OpenedKeys {
    /// The secret of an access key of `state`; `None` when there is no such key, or it does not open.
    pub(crate) fn secret(&self, state: &State, keyring: &Keyring, id: &str) -> Option<Zeroizing<String>> {
        let mut opened = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = state.access_keys.get(id) else {
            opened.remove(id);
            return None;
        };
        if let Some(same) = opened.get(id).filter(|opened| Arc::ptr_eq(&opened.key, key)) {
            return Some(same.secret.clone());
        }
        let secret = keyring.open(&AccessKey::sealed_for(id), &key.secret).ok()?;
        let secret = Zeroizing::new(std::str::from_utf8(&secret).ok()?.to_owned());
        opened.insert(id.to_owned(), OpenedKey { key: Arc::clone(key), secret: secret.clone() });
        Some(secret)
    }
}

/// Who has an access key, with what it takes to verify their signature. No `Debug`: it holds a secret.
pub(crate) struct Credentials {
    pub(crate) secret: Zeroizing<String>,
    pub(crate) bearer: Bearer,
}

impl Control {
    /// Who has an access key, and the session token that came with it, if it is one of temporary credentials.
    pub(crate) fn credentials(&self, access_key_id: &str, token: Option<&str>) -> Result<Credentials, sigv4::Error> {
        let state = self.settings().state();
        let identities = self.shared.identities.of(&state);
        let credentials = match token {
            None => {
                let secret = self.shared.keys.secret(&state, self.keyring(), access_key_id);
                let key = state.access_keys.get(access_key_id);
                let bearer = key.and_then(|key| Bearer::of_key(&identities, key));
                secret.zip(bearer).map(|(secret, bearer)| Credentials { secret, bearer })
            }
            Some(token) => {
                let session =
                    self.shared.tokens.open(access_key_id, token, self.now()).map_err(|error| match error {
                        TokenError::Expired => sigv4::Error::ExpiredToken,
                        TokenError::Invalid => sigv4::Error::UnrecognizedClient,
                    })?;
                let bearer = Bearer::of_session(&identities, &session);
                bearer.map(|bearer| Credentials { secret: Zeroizing::new(session.secret.clone()), bearer })
            }
        };
        credentials.ok_or(sigv4::Error::UnrecognizedClient)
    }

    /// Verifies the signature of a request whose body has been read.
    pub(crate) fn authenticate(
        &self,
        parts: &Parts,
        body: &[u8],
        credentials: &Credentials,
    ) -> Result<Verified, sigv4::Error> {
        // They were found by the key and the token that the request names.
        let keys = |_: &str| Some(SecretKey::new(credentials.secret.as_str()));
        let at = self.now().div_euclid(1000);
        let verified = sigv4::verify(parts, sigv4::Body::Bytes(body), keys, &Rules::default(), at)?;
        if !is_region(&verified.region) {
            let message = format!("Credential should be scoped to a valid region, not '{}'.", verified.region);
            return Err(sigv4::Error::IncompleteSignature(message));
        }
        Ok(verified)
    }

    /// Who says that they sent a request; a stranger's is refused before anything of its body is kept: they send as much as they like.
    pub(crate) fn claimed(&self, parts: &Parts) -> Result<Credentials, sigv4::Error> {
        let scope = Scope::of(parts)?.ok_or(sigv4::Error::MissingAuthenticationToken)?;
        self.credentials(&scope.access_key_id, sigv4::session_token(parts).as_deref())
    }

    /// A new access key, and its secret.
    pub(crate) fn new_key(&self, owner: Owner) -> Result<(AccessKey, Zeroizing<String>), Error> {
        let id = format!("AKIA{}", ids::base32(16)?);
        let secret = new_secret()?;
        let sealed = self.keyring().seal(&AccessKey::sealed_for(&id), secret.as_bytes());
        let Owner { arn, user_id, user } = owner;
        let key = AccessKey {
            secret: sealed.map_err(|error| Error::internal(error.to_string()))?,
            principal_arn: arn,
            user_id,
            created: self.now(),
            user,
            inactive: false,
            id,
        };
        Ok((key, secret))
    }
}

/// Whose an access key is to be.
pub(crate) struct Owner {
    pub(crate) arn: String,
    pub(crate) user_id: String,
    /// None: the administrator.
    pub(crate) user: Option<String>,
}

/// Forty characters.
pub(crate) fn new_secret() -> Result<Zeroizing<String>, Error> {
    let mut random = Zeroizing::new([0; SECRET_BYTES]);
    ids::fill(&mut *random)?;
    Ok(Zeroizing::new(BASE64.encode(&*random)))
}

/// Names of regions stand in ARNs, host names and certificates: letters, digits and hyphens, as in `us-gov-east-1`.
fn is_region(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-') && !name.ends_with('-')
}

/// A body that is not signed can be changed on its way: it is taken over TLS, or from this machine.
pub(crate) fn refuse_unsigned_body(parts: &Parts, origin: &Origin) -> Result<(), Error> {
    let claimed = parts.headers.get("x-amz-content-sha256").and_then(|value| PayloadHash::parse(value.to_str().ok()?));
    let unsigned = matches!(claimed, Some(PayloadHash::Unsigned | PayloadHash::StreamingUnsignedTrailer));
    if unsigned && !origin.tls && !origin.peer.ip().to_canonical().is_loopback() {
        let message = "A payload that is not signed is taken over TLS or from this machine only.";
        return Err(Error::new(StatusCode::FORBIDDEN, "AccessDeniedException", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn regions_are_names() {
        for name in ["us-east-1", "us-gov-west-1", "eu", "local"] {
            assert!(is_region(name), "{name}");
        }
        for name in ["", "*", "us east", "US-EAST-1", "a.b", "a\\b", "-a", "a-", "a:b", &"a".repeat(33)] {
            assert!(!is_region(name), "{name}");
        }
    }

    #[test]
    fn an_unsigned_body_needs_tls_or_this_machine() {
        for (payload, peer, tls, taken) in [
            ("UNSIGNED-PAYLOAD", "127.0.0.1:1", false, true),
            ("UNSIGNED-PAYLOAD", "[::1]:1", false, true),
            ("UNSIGNED-PAYLOAD", "[::ffff:127.0.0.1]:1", false, true),
            ("UNSIGNED-PAYLOAD", "192.0.2.1:1", false, false),
            ("UNSIGNED-PAYLOAD", "192.0.2.1:1", true, true),
            ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", "192.0.2.1:1", false, false),
            ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "192.0.2.1:1", false, true),
        ] {
            let request = Request::builder().header("x-amz-content-sha256", payload).body(()).unwrap();
            let origin = Origin { peer: peer.parse().unwrap(), tls };
            let answer = refuse_unsigned_body(&request.into_parts().0, &origin);
            assert_eq!(answer.is_ok(), taken, "{payload} {peer} {tls}");
        }
    }
}
