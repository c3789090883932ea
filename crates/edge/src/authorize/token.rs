//! Tokens: signed JWTs in compact form (RFC 7519, RFC 7515), and what an authorizer asks of them.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use data_encoding::BASE64URL_NOPAD;
use model::BoundTokens;
use model::snapshot::JwtAuthorizer;
use serde::Deserialize;
use serde_json::{Map, Value};
use trust::UnixSeconds;

use super::denial::Denial;
use super::keys::{Algorithm, KeySet};

/// How far an issuer's clock may be ahead of ours.
const CLOCK_AHEAD_SECONDS: i64 = 60;

/// A token that is signed, not verified yet.
pub(super) struct Signed<'t> {
    pub(super) kid: String,
    algorithm: Algorithm,
    /// Header and payload as they were sent.
    message: &'t str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// A token whose signature holds. Whether it is good for a request is asked each time.
#[derive(Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) claims: Map<String, Value>,
    expires: UnixSeconds,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl<'t> Signed<'t> {
    /// Reads a token; nothing in it is believed yet.
    pub(super) fn parse(text: &'t str) -> Result<Self, Denial> {
        let malformed = Denial::TokenMalformed;
        let (message, signature) = text.rsplit_once('.').ok_or(malformed)?;
        let (header, payload) = message.split_once('.').ok_or(malformed)?;
        if payload.contains('.') {
            return Err(malformed);
        }
        let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| malformed);
        let header = decode(header)?;
        if header.trim_ascii_start().first() != Some(&b'{') {
            // serde takes a list for a structure, too.
            return Err(malformed);
        }
        let header: Header = serde_json::from_slice(&header).map_err(|_| malformed)?;
        if header.crit.is_some() {
            // RFC 7515 section 4.1.11: who does not know an extension may not ignore it, and none is known here.
            return Err(malformed);
        }
        Ok(Self {
            algorithm: Algorithm::parse(&header.alg).ok_or(Denial::TokenAlgorithm)?,
            kid: header.kid.ok_or(Denial::TokenKeyUnknown)?,
            message,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    /// Verifies the signature. Only then are the claims read.
    pub(super) fn verify(&self, keys: &KeySet) -> Result<Token, Denial> {
        let key = keys.find(&self.kid, self.algorithm);
        let key = key.ok_or(if keys.has(&self.kid) { Denial::TokenAlgorithm } else { Denial::TokenKeyUnknown })?;
        if !key.verifies(self.algorithm, self.message.as_bytes(), &self.signature) {
            return Err(Denial::TokenSignature);
        }
        Token::of(&self.payload)
    }
}

impl Token {
    /// Reads the claims, which are somebody's once the signature was verified.
    pub(super) fn of(payload: &[u8]) -> Result<Self, Denial> {
        let claims: Map<String, Value> = serde_json::from_slice(payload).map_err(|_| Denial::TokenMalformed)?;
        let expires = seconds(claims.get("exp").ok_or(Denial::TokenExpired)?)?;
        Ok(Self { claims, expires })
    }

    /// When it ends.
    pub(super) fn expires(&self) -> UnixSeconds {
        self.expires
    }

    /// About how much it takes to keep.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.claims.iter().map(|(name, value)| name.len() + weight(value)).sum::<usize>()
    }

    /// What AWS asks of a token ("Control access to HTTP APIs with JWT authorizers", API Gateway developer guide).
    pub(super) fn check(&self, authorizer: &JwtAuthorizer, scopes: &[String], at: UnixSeconds) -> Result<(), Denial> {
        if self.text("iss") != Some(authorizer.issuer.as_str()) {
            return Err(Denial::TokenIssuer);
        }
        if !self.is_for(&authorizer.audience) {
            return Err(Denial::TokenAudience);
        }
        if self.expires <= at {
            return Err(Denial::TokenExpired);
        }
        for name in ["nbf", "iat"] {
            let from = self.claims.get(name).map(seconds).transpose()?;
            if from.is_some_and(|from| from > at.saturating_add(CLOCK_AHEAD_SECONDS)) {
                return Err(Denial::TokenNotYetValid);
            }
        }
        if !scopes.is_empty() && !scopes.iter().any(|scope| self.has_scope(scope)) {
            return Err(Denial::TokenScope);
        }
        Ok(())
    }

    /// RFC 8705 section 3: a token that says to which certificate it is bound comes with that one. `leaf` is the SHA-256 of
    /// the client's.
    pub(super) fn check_binding(&self, rule: BoundTokens, leaf: Option<&[u8; 32]>) -> Result<(), Denial> {
        let claimed = self.claims.get("cnf").and_then(|cnf| cnf.get("x5t#S256"));
        match (rule, claimed) {
            (BoundTokens::Off, _) | (BoundTokens::WhenPresent, None) => Ok(()),
            (BoundTokens::Required, None) => Err(Denial::TokenUnbound),
            (_, Some(claimed)) => {
                let elsewhere = Denial::TokenBoundElsewhere;
                let claimed = claimed.as_str().and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok());
                let (claimed, leaf) = claimed.zip(leaf).ok_or(elsewhere)?;
                verify_slices_are_equal(&claimed, leaf).map_err(|_| elsewhere)
            }
        }
    }

    /// `aud` names one of them; `client_id` only where there is no `aud`.
    fn is_for(&self, audience: &[String]) -> bool {
        let is_one = |name: &Value| name.as_str().is_some_and(|name| audience.iter().any(|one| one == name));
        match (self.claims.get("aud"), self.claims.get("client_id")) {
            (Some(Value::Array(names)), _) => names.iter().any(is_one),
            (Some(name), _) => is_one(name),
            (None, Some(name)) => is_one(name),
            (None, None) => false,
        }
    }

    /// `scope` (RFC 8693 section 4.2) is text with spaces, `scp` of some issuers text or a list.
    pub(crate) fn has_scope(&self, wanted: &str) -> bool {
        ["scope", "scp"].iter().filter_map(|name| self.claims.get(*name)).any(|value| match value {
            Value::String(text) => text.split(' ').any(|scope| scope == wanted),
            Value::Array(all) => all.iter().any(|scope| scope == wanted),
            _ => false,
        })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }
}

/// NumericDate (RFC 7519 section 2): seconds, perhaps with a fraction, which is left out.
fn seconds(value: &Value) -> Result<UnixSeconds, Denial> {
    let whole = value.as_i64().or_else(|| {
        let float = value.as_f64().filter(|float| float.is_finite())?;
        // What does not fit saturates: it is far in the past or the future, and stays there.
        Some(float.floor() as i64)
    });
    whole.ok_or(Denial::TokenMalformed)
}

fn weight(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(all) => all.iter().map(weight).sum(),
            Value::Object(all) => all.iter().map(|(name, value)| name.len() + weight(value)).sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

#[cfg(test)]
mod tests;
