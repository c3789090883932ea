//! Requests that are signed with an access key (`AWS_IAM`): AWS Signature Version 4 for the service `execute-api`.

use std::rc::Rc;
use std::sync::Arc;

use http::header::USER_AGENT;
use http::request::Parts;
use iam_policy::{Context, Request};
use model::snapshot::AccessKey;
use model::{Bearer, TokenError, value_of_time};
use sigv4::{PayloadHash, Rules, Scope, SecretKey, Verified};

use super::Place;
use super::denial::Denial;
use super::function::route_arn;
use crate::answer::Answer;
use crate::body::Payload;
use crate::hold::hold_request;
use crate::record::Record;
use crate::runtime::Runtime;

const SERVICE: &str = "execute-api";
/// What the policies of who signed are asked.
const INVOKE: &str = "execute-api:Invoke";
const PAYLOAD_HASH: &str = "x-amz-content-sha256";

/// Who signed a request, if their policies allow it. Where its payload is signed, that is read whole, and nothing of it goes on before
/// it is found to be what was signed.
pub(super) async fn authorize(
    runtime: &Rc<Runtime>,
    record: &mut Record,
    place: &Place<'_>,
    payload: &mut Payload,
) -> Result<Arc<AccessKey>, Answer> {
    let parts = place.parts;
    let claim = claimed(parts).map_err(|denial| record.deny(denial))?;
    let (key, bearer) = known_key(runtime, parts).map_err(|denial| record.deny(denial))?;
    if let Some(claim) = claim {
        // The head is verified before anything of the payload is held.
        let checked = verify(runtime, record, parts, &key, sigv4::Body::Claimed);
        checked.map_err(|denial| record.deny(denial))?;
        if claim == PayloadHash::Unsigned {
            return may_invoke(runtime, record, place, &bearer).map(|()| key).map_err(|denial| record.deny(denial));
        }
    }
    let whole = hold_request(runtime, payload).await?;
    let checked = verify(runtime, record, parts, &key, sigv4::Body::Bytes(&whole.bytes));
    let allowed = checked.and_then(|()| may_invoke(runtime, record, place, &bearer));
    allowed.map(|()| key).map_err(|denial| record.deny(denial))
}

/// What the policies of who signed say.
fn may_invoke(runtime: &Runtime, record: &Record, place: &Place<'_>, bearer: &Bearer) -> Result<(), Denial> {
    let Some(rights) = &bearer.rights else { return Ok(()) };
    let arn = route_arn(record, place);
    let context = Circumstances { runtime, record, place, bearer };
    let decision = rights.decide(&Request::new(INVOKE, &[arn.as_str()], &context));
    decision.map_err(|refusal| if refusal.explicit { Denial::CallerDenied } else { Denial::CallerNotAllowed })
}

/// What conditions find of a request.
struct Circumstances<'a> {
    runtime: &'a Runtime,
    record: &'a Record,
    place: &'a Place<'a>,
    bearer: &'a Bearer,
}

impl Context for Circumstances<'_> {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        let value = match key {
            "aws:sourceip" => Some(self.record.connection.peer.ip().to_canonical().to_string()),
            "aws:securetransport" => Some("true".to_owned()),
            "aws:requestedregion" => Some(self.place.stage.region.clone()),
            "aws:useragent" => self.place.parts.headers.get(USER_AGENT)?.to_str().ok().map(str::to_owned),
            _ => {
                let at = self.runtime.now_seconds().saturating_mul(1000);
                self.bearer.value(key).or_else(|| value_of_time(at, key))
            }
        };
        value.map(|value| vec![value])
    }
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
fn known_key(runtime: &Runtime, parts: &Parts) -> Result<(Arc<AccessKey>, Bearer), Denial> {
    let scope = Scope::of(parts).map_err(|error| denial(&error))?.ok_or(Denial::SignatureMissing)?;
    let (snapshot, now) = (runtime.snapshot.borrow(), runtime.now_seconds().saturating_mul(1000));
    match sigv4::session_token(parts) {
        None => snapshot.access_key(&scope.access_key_id).ok_or(Denial::AccessKeyUnknown),
        Some(token) => snapshot.session(&scope.access_key_id, &token, now).map_err(|error| match error {
            TokenError::Expired => Denial::SessionExpired,
            TokenError::Invalid => Denial::AccessKeyUnknown,
        }),
    }
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
    let Verified { service, region, .. } = verified.map_err(|error| denial(&error))?;
    match service == SERVICE && record.region() == Some(&*region) {
        true => Ok(()),
        false => Err(Denial::SignatureScope),
    }
}

fn denial(error: &sigv4::Error) -> Denial {
    use sigv4::Error::{
        Expired, ExpiredToken, InvalidSignature, MissingAuthenticationToken, NotYetCurrent, PayloadMismatch,
        PresignedExpired, UnrecognizedClient,
    };
    match error {
        MissingAuthenticationToken => Denial::SignatureMissing,
        UnrecognizedClient => Denial::AccessKeyUnknown,
        ExpiredToken => Denial::SessionExpired,
        InvalidSignature => Denial::SignatureInvalid,
        Expired { .. } | NotYetCurrent { .. } | PresignedExpired => Denial::SignatureExpired,
        PayloadMismatch => Denial::PayloadMismatch,
        _ => Denial::SignatureMalformed,
    }
}
