//! Who is signed in.
//!
//! In memory only: who was signed in before a restart runs `countersign console` again. Cookies and URLs are kept as digests, so that
//! finding one takes no longer the nearer a guess is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws::Error;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use http::StatusCode;
use model::UnixMillis;
use zeroize::Zeroizing;

use crate::ids;

/// All that are signed in, or invited to.
pub(crate) struct Sessions {
    known: Mutex<Known>,
    /// Browsers send a host's cookies to all of its ports: each server's has a name of its own.
    cookie: String,
}

#[derive(Default)]
struct Known {
    invitations: HashMap<Digest, Invitation>,
    sessions: HashMap<Digest, Arc<Session>>,
}

/// Whose rights a session has. They are looked up at each request: who loses them, or their key, loses them here as well.
#[derive(Clone)]
pub(super) struct Holder {
    pub(super) access_key_id: String,
    /// Of temporary credentials.
    pub(super) session_token: Option<String>,
    pub(super) region: String,
}

struct Invitation {
    holder: Holder,
    until: UnixMillis,
}

/// Somebody who is signed in.
pub(super) struct Session {
    pub(super) holder: Holder,
    /// Stands in each form.
    pub(super) csrf: Zeroizing<String>,
    digest: Digest,
    began: UnixMillis,
    seen: Mutex<UnixMillis>,
}

type Digest = [u8; 32];

/// Seconds that a session lasts at most.
pub(super) const LASTS_SECONDS: i64 = 12 * 60 * 60;
/// Milliseconds that it lasts without a request.
const IDLE: UnixMillis = 60 * 60 * 1000;
/// Milliseconds that an invitation lasts.
const INVITED: UnixMillis = 60 * 1000;
/// Of each, in all.
const MAX: usize = 256;
/// Of each, of one access key: more push out its oldest.
const MAX_OF_KEY: usize = 16;
const TOKEN_BYTES: usize = 32;

impl Sessions {
    /// Name of the cookie.
    pub(super) fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Makes a token that signs in once, and says until when.
    pub(super) fn invite(&self, holder: Holder, now: UnixMillis) -> Result<(Zeroizing<String>, UnixMillis), Error> {
        let (token, until) = (token()?, now + INVITED);
        let mut known = self.lock();
        known.invitations.retain(|_, invitation| (now..=now + INVITED).contains(&invitation.until));
        let of_key = known.invitations.iter().filter(|(_, other)| other.holder.access_key_id == holder.access_key_id);
        let of_key: Vec<_> = of_key.map(|(digest, other)| (other.until, *digest)).collect();
        forget_oldest(of_key, &mut known.invitations);
        if known.invitations.len() >= MAX {
            let message = "Too many people are about to sign in: ask again in a minute.";
            return Err(Error::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", message));
        }
        known.invitations.insert(digest_of(&token), Invitation { holder, until });
        Ok((token, until))
    }

    /// Takes an invitation, and answers what the session's cookie is to be.
    pub(super) fn begin(&self, token_: &str, now: UnixMillis) -> Option<Zeroizing<String>> {
        let mut known = self.lock();
        let invitation = known.invitations.remove(&digest_of(token_))?;
        if !(now..=now + INVITED).contains(&invitation.until) {
            return None;
        }
        let (id, csrf) = (token().ok()?, token().ok()?);
        let digest = digest_of(&id);
        let session = Session { holder: invitation.holder, csrf, digest, began: now, seen: Mutex::new(now) };
        known.sessions.retain(|_, session| session.lasts(now));
        let of_key = known.sessions.values().filter(|other| other.holder.access_key_id == session.holder.access_key_id);
        let of_key: Vec<_> = of_key.map(|other| (other.began, other.digest)).collect();
        forget_oldest(of_key, &mut known.sessions);
        if known.sessions.len() >= MAX {
            return None;
        }
        known.sessions.insert(digest, Arc::new(session));
        Some(id)
    }

    /// The session of a cookie. It is in use from now on.
    pub(super) fn find(&self, id: &str, now: UnixMillis) -> Option<Arc<Session>> {
        let mut known = self.lock();
        let digest = digest_of(id);
        let session = known.sessions.get(&digest)?.clone();
        if !session.lasts(now) {
            known.sessions.remove(&digest);
            return None;
        }
        session.touch(now);
        Some(session)
    }

    /// Whether it has not ended; it is in use from now on.
    pub(super) fn goes_on(&self, session: &Session, now: UnixMillis) -> bool {
        let goes_on = session.lasts(now) && self.lock().sessions.contains_key(&session.digest);
        if goes_on {
            session.touch(now);
        }
        goes_on
    }

    pub(super) fn end(&self, session: &Session) {
        self.lock().sessions.remove(&session.digest);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Sessions {
    fn default() -> Self {
        // Without random bytes there are no sessions either.
        let own = ids::base32(8).unwrap_or_default().to_ascii_lowercase();
        Self { known: Mutex::default(), cookie: format!("countersign-console-{own}") }
    }
}

/// Makes room for one more of an access key's.
fn forget_oldest<T>(mut of_key: Vec<(UnixMillis, Digest)>, all: &mut HashMap<Digest, T>) {
    of_key.sort_unstable();
    for (_, digest) in of_key.iter().take((of_key.len() + 1).saturating_sub(MAX_OF_KEY)) {
        all.remove(digest);
    }
}

impl Session {
    /// Whether a form was made for this session.
    pub(super) fn is_its_form(&self, csrf: &str) -> bool {
        verify_slices_are_equal(csrf.as_bytes(), self.csrf.as_bytes()).is_ok()
    }

    fn touch(&self, now: UnixMillis) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn lasts(&self, now: UnixMillis) -> bool {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back ends it, too.
        (0..LASTS_SECONDS * 1000).contains(&(now - self.began)) && (-IDLE..IDLE).contains(&(now - seen))
    }
}

fn token() -> Result<Zeroizing<String>, Error> {
    let mut random = Zeroizing::new([0; TOKEN_BYTES]);
    ids::fill(&mut *random)?;
    Ok(Zeroizing::new(BASE64URL_NOPAD.encode(&*random)))
}

fn digest_of(token: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder() -> Holder {
        Holder { access_key_id: "AKIA".to_owned(), session_token: None, region: "us-east-1".to_owned() }
    }

    #[test]
    fn a_url_signs_in_once_and_within_a_minute() {
        let sessions = Sessions::default();
        let (token, until) = sessions.invite(holder(), 1_000).unwrap();
        assert_eq!(until, 61_000);
        let id = sessions.begin(&token, 61_000).unwrap();
        assert!(sessions.begin(&token, 61_000).is_none(), "twice");
        assert!(sessions.find(&id, 61_000).is_some());
        assert!(sessions.find(&token, 61_000).is_none(), "the URL's token is no cookie");
        let (late, _) = sessions.invite(holder(), 1_000).unwrap();
        assert!(sessions.begin(&late, 61_001).is_none(), "too late");
        assert!(sessions.begin("", 0).is_none());
    }

    #[test]
    fn a_session_ends() {
        let sessions = Sessions::default();
        let begin = || sessions.begin(&sessions.invite(holder(), 0).unwrap().0, 0).unwrap();
        let idle = begin();
        assert!(sessions.find(&idle, IDLE - 1).is_some());
        assert!(sessions.find(&idle, 2 * IDLE - 2).is_some(), "it was used meanwhile");
        assert!(sessions.find(&idle, 3 * IDLE).is_none());
        let long = begin();
        for hour in 1..24 {
            let lasts = sessions.find(&long, hour * IDLE - hour).is_some();
            assert_eq!(lasts, hour * IDLE - hour < LASTS_SECONDS * 1000, "{hour}");
        }
        let ended = begin();
        let session = sessions.find(&ended, 0).unwrap();
        sessions.end(&session);
        assert!(sessions.find(&ended, 0).is_none());
    }

    #[test]
    fn sessions_and_invitations_are_bounded() {
        let sessions = Sessions::default();
        for now in 0..2 * MAX_OF_KEY as i64 {
            let (token, _) = sessions.invite(holder(), now).unwrap();
            sessions.begin(&token, now).unwrap();
        }
        assert_eq!(sessions.lock().sessions.len(), MAX_OF_KEY);
        assert!(sessions.lock().sessions.values().all(|one| one.began >= MAX_OF_KEY as i64), "the oldest went");
        let of = |key: usize| Holder { access_key_id: key.to_string(), ..holder() };
        for key in 0..MAX {
            sessions.invite(of(key), 0).unwrap();
        }
        assert!(sessions.invite(of(MAX), 0).is_err(), "too many people");
        assert!(sessions.invite(of(0), 61_000).is_ok(), "a minute later");
    }

    #[test]
    fn forms_are_of_their_session() {
        let sessions = Sessions::default();
        let begin = || {
            let id = sessions.begin(&sessions.invite(holder(), 0).unwrap().0, 0).unwrap();
            sessions.find(&id, 0).unwrap()
        };
        let (one, other) = (begin(), begin());
        assert!(one.is_its_form(&one.csrf));
        assert!(!one.is_its_form(&other.csrf) && !one.is_its_form(""));
    }
}
