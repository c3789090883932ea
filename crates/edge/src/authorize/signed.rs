//! Requests that are signed with an access key (`AWS_IAM`): AWS Signature Version 4 for the service `execute-api`.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http_body::Body;
use model::snapshot::AccessKey;
use sigv4::{PayloadHash, Rules, Scope, SecretKey, Verified};

use super::denial::Denial;
use crate::answer::Answer;
use crate::body::Payload;
use crate::record::Record;
use crate::runtime::Runtime;

const SERVICE: &str = "execute-api";
const PAYLOAD_HASH: &str = "x-amz-content-sha256";
/// Bytes of payloads that one runtime holds until their signatures are verified.
const MAX_HELD_BYTES: u64 = 256 * 1024 * 1024;

/// Who signed a request. Where its payload is signed, that is read whole, and nothing of it goes on before it is found to be
/// what was signed.
pub(super) async fn authorize(
    runtime: &Rc<Runtime>,
    record: &mut Record,
    parts: &Parts,
    payload: &mut Payload,
) -> Result<Arc<AccessKey>, Answer> {
    let claim = claimed(parts).map_err(|denial| record.deny(denial))?;
    let key = known_key(runtime, parts).map_err(|denial| record.deny(denial))?;
    if let Some(claim) = claim {
        // The head is verified before anything of the payload is held.
        let checked = verify(runtime, record, parts, &key, sigv4::Body::Claimed);
        checked.map_err(|denial| record.deny(denial))?;
        if claim == PayloadHash::Unsigned {
            return Ok(key);
        }
    }
    let bytes = hold(runtime, payload).await?;
    let checked = verify(runtime, record, parts, &key, sigv4::Body::Bytes(&bytes));
    *payload = Payload::from(bytes);
    checked.map_err(|denial| record.deny(denial))?;
    Ok(key)
}

/// What the request says of its payload; none: nothing.
fn claimed(parts: &Parts) -> Result<Option<PayloadHash>, Denial> {
    let Some(claim) = parts.headers.get(PAYLOAD_HASH) else { return Ok(None) };
    match claim.to_str().ok().and_then(PayloadHash::parse) {
        Some(known @ (PayloadHash::Sha256(_) | PayloadHash::Unsigned)) => Ok(Some(known)),
        // Payloads in signed chunks are for S3.
        _ => Err(Denial::SignatureMalformed),
    }
}

/// The key that a request says it is signed with: without one nothing of it is held.
fn known_key(runtime: &Runtime, parts: &Parts) -> Result<Arc<AccessKey>, Denial> {
    let scope = Scope::of(parts).map_err(|error| denial(&error))?.ok_or(Denial::SignatureMissing)?;
    runtime.snapshot.borrow().access_key(&scope.access_key_id).cloned().ok_or(Denial::AccessKeyUnknown)
}

fn verify(
    runtime: &Runtime,
    record: &Record,
    parts: &Parts,
    key: &AccessKey,
    body: sigv4::Body<'_>,
) -> Result<(), Denial> {
    let secret = |id: &str| (id == key.id).then(|| SecretKey::new(key.secret.as_str()));
    let verified = sigv4::verify(parts, body, secret, &Rules::default(), runtime.now_seconds());
    let Verified { service, region, session_token, .. } = verified.map_err(|error| denial(&error))?;
    if session_token.is_some() {
        // Nobody is given temporary credentials here.
        return Err(Denial::AccessKeyUnknown);
    }
    match service == SERVICE && record.region() == Some(&*region) {
        true => Ok(()),
        false => Err(Denial::SignatureScope),
    }
}

fn denial(error: &sigv4::Error) -> Denial {
    use sigv4::Error::{
        Expired, InvalidSignature, MissingAuthenticationToken, NotYetCurrent, PayloadMismatch, PresignedExpired,
        UnrecognizedClient,
    };
    match error {
        MissingAuthenticationToken => Denial::SignatureMissing,
        UnrecognizedClient => Denial::AccessKeyUnknown,
        InvalidSignature => Denial::SignatureInvalid,
        Expired { .. } | NotYetCurrent { .. } | PresignedExpired => Denial::SignatureExpired,
        PayloadMismatch => Denial::PayloadMismatch,
        _ => Denial::SignatureMalformed,
    }
}

/// Reads a payload whole, within the limit on payloads and what the runtime may hold.
async fn hold(runtime: &Rc<Runtime>, payload: &mut Payload) -> Result<Bytes, Answer> {
    let mut held = Held { runtime, bytes: 0 };
    let mut whole = BytesMut::new();
    while !payload.is_end_stream() {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *payload).poll_frame(context));
        // Who sends nothing for long is cut off by the connection's watch.
        let Some(frame) = frame.await else { break };
        let frame = frame.map_err(|_| Answer::BadRequest("the payload ended early, or is not as it says"))?;
        let Ok(data) = frame.into_data() else { continue };
        held.grow(data.len() as u64)?;
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Counts what is held until it is dropped.
struct Held<'r> {
    runtime: &'r Runtime,
    bytes: u64,
}

impl Held<'_> {
    fn grow(&mut self, more: u64) -> Result<(), Answer> {
        self.bytes += more;
        let all = self.runtime.held_bytes.get() + more;
        self.runtime.held_bytes.set(all);
        match (self.bytes > self.runtime.limits().body_bytes, all > MAX_HELD_BYTES) {
            (true, _) => Err(Answer::PayloadTooLarge),
            (false, true) => Err(Answer::Throttled),
            (false, false) => Ok(()),
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.runtime.held_bytes.set(self.runtime.held_bytes.get() - self.bytes);
    }
}
