//! Requests that are signed with an access key (`AWS_IAM`): AWS Signature Version 4 for the service `execute-api`.

use std::rc::Rc;
use std::sync::Arc;

use http::request::Parts;
use model::snapshot::AccessKey;
use sigv4::{PayloadHash, Rules, Scope, SecretKey, Verified};

use super::denial::Denial;
use crate::answer::Answer;
use crate::body::Payload;
use crate::hold::hold_request;
use crate::record::Record;
use crate::runtime::Runtime;

const SERVICE: &str = "execute-api";
const PAYLOAD_HASH: &str = "x-amz-content-sha256";

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
    let whole = hold_request(runtime, payload).await?;
    let checked = verify(runtime, record, parts, &key, sigv4::Body::Bytes(&whole.bytes));
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
