//! Whether a request was signed by who it says.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::request::Parts;

use crate::canonical::string_to_sign;
use crate::claim::{Claim, Form};
use crate::date::Date;
use crate::payload::{Body, PayloadHash};
use crate::{Error, SecretKey};

/// Headers that AWS's own signers leave out of a presigned request, though their name is one of AWS's.
const UNSIGNED_WHEN_PRESIGNED: [&str; 2] = ["x-amz-user-agent", "x-amz-checksum-mode"];

/// What a deployment may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Allowed difference between the sender's clock and ours.
    pub max_skew_seconds: i64,
}

impl Default for Rules {
    /// AWS's five minutes.
    fn default() -> Self {
        Self { max_skew_seconds: 300 }
    }
}

/// What is certain of an authentic request. `Debug` does not print the session token.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose key signed it.
    pub access_key_id: String,
    /// Of the credential scope.
    pub region: String,
    /// Of the credential scope. The caller compares it with the service that it dispatches to.
    pub service: String,
    /// Of temporary credentials. The caller compares it with the one that it issued for the key.
    pub session_token: Option<String>,
    /// Lowercase, in order. Other headers may have been changed on the way.
    pub signed_headers: Vec<String>,
    /// What the signature says of the body.
    pub payload: PayloadHash,
    /// Whether the signature was in the query string.
    pub presigned: bool,
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("access_key_id", &self.access_key_id)
            .field("region", &self.region)
            .field("service", &self.service)
            .field("signed_headers", &self.signed_headers)
            .field("payload", &self.payload)
            .field("presigned", &self.presigned)
            .finish_non_exhaustive()
    }
}

/// Verifies the signature of a request at a time (seconds since 1970).
///
/// `keys` gives the secret of an access key, `None` when there is no such key (or it is switched off). `Host`, the date and
/// all `x-amz-*` headers that are present must be signed.
pub fn verify(
    parts: &Parts,
    body: Body<'_>,
    keys: impl Fn(&str) -> Option<SecretKey>,
    rules: &Rules,
    at: i64,
) -> Result<Verified, Error> {
    let claim = Claim::of(parts)?;
    let key = keys(&claim.scope.access_key_id).ok_or(Error::UnrecognizedClient)?;
    all_signed(parts, &claim)?;
    timely(&claim, rules, at)?;
    let presigned = matches!(claim.form, Form::Presigned { .. });
    let payload = PayloadHash::of_request(&parts.headers, body, presigned && claim.scope.service == "s3")?;
    let names: Vec<&str> = claim.signed_headers.iter().map(String::as_str).collect();
    let text = string_to_sign(parts, &names, payload, &claim.scope, &claim.date).ok_or(Error::InvalidSignature)?;
    let expected = key.signature(&claim.scope, &text);
    verify_slices_are_equal(&expected, &claim.signature).map_err(|_| Error::InvalidSignature)?;
    Ok(Verified {
        access_key_id: claim.scope.access_key_id,
        region: claim.scope.region,
        service: claim.scope.service,
        session_token: claim.session_token,
        signed_headers: claim.signed_headers,
        payload,
        presigned,
    })
}

fn all_signed(parts: &Parts, claim: &Claim) -> Result<(), Error> {
    let is_signed = |name: &str| claim.signed_headers.iter().any(|signed| signed == name);
    if !is_signed("host") {
        return Err(Error::UnsignedHeader("'Host' or ':authority'".to_owned()));
    }
    let date = match claim.form {
        Form::Header { date } => Some(date),
        Form::Presigned { .. } => None,
    };
    let aws = parts.headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("x-amz-"));
    let mut aws = aws.filter(|name| date.is_some() || !UNSIGNED_WHEN_PRESIGNED.contains(name)).chain(date);
    match aws.find(|name| !is_signed(name)) {
        Some(unsigned) => Err(Error::UnsignedHeader(format!("'{unsigned}'"))),
        None => Ok(()),
    }
}

fn timely(claim: &Claim, rules: &Rules, at: i64) -> Result<(), Error> {
    let (scope, date) = (&claim.scope.date, claim.date.day());
    if scope != date {
        return Err(Error::ScopeDate { scope: scope.clone(), date: date.to_owned() });
    }
    let skew = rules.max_skew_seconds;
    let (earliest, latest) = (at.saturating_sub(skew), at.saturating_add(skew));
    let signed = claim.date.text.clone();
    let [now, earliest_text, latest_text] =
        [at, earliest, latest].map(|at| Date::of(at).map_or_else(|| at.to_string(), |date| date.text));
    if claim.date.at > latest {
        return Err(Error::NotYetCurrent { signed, limit: latest_text, now, minutes: skew / 60 });
    }
    match claim.form {
        Form::Presigned { expires } if claim.date.at.saturating_add(expires) < at => Err(Error::PresignedExpired),
        Form::Header { .. } if claim.date.at < earliest => {
            Err(Error::Expired { signed, limit: earliest_text, now, minutes: skew / 60 })
        }
        _ => Ok(()),
    }
}
