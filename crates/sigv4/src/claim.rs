//! The signature that a request carries, as it stands there.

use data_encoding::HEXLOWER;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::date::{Date, parameter};
use crate::{ALGORITHM, Error, TERMINATOR};

/// Longest lifetime of a presigned request, in seconds: a week.
const MAX_EXPIRES_SECONDS: i64 = 604_800;

/// What a signature is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `AKIA…`
    pub access_key_id: String,
    /// `20261122`
    pub date: String,
    /// `us-east-1`
    pub region: String,
    /// `apigateway`
    pub service: String,
}

/// A signature with all that it says. No `Debug`: it holds a session token.
pub(crate) struct Claim {
    pub scope: Scope,
    pub date: Date,
    /// Lowercase, in order.
    pub signed_headers: Vec<String>,
    pub signature: [u8; 32],
    pub session_token: Option<String>,
    pub form: Form,
}

/// Where a signature stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `Authorization`, with the header that holds the date.
    Header { date: &'static str },
    /// The query string, with the seconds that it is good for.
    Presigned { expires: i64 },
}

impl Scope {
    /// Reads the scope without verifying anything; `None` when the request is not signed.
    pub fn of(parts: &Parts) -> Result<Option<Self>, Error> {
        match Place::of(parts)? {
            None => Ok(None),
            Some(Place::Header(authorization)) => {
                let credential = Fields::parse(&authorization)?.credential;
                Self::parse(&credential).map(Some)
            }
            Some(Place::Query) => Self::parse(&required(parts, "X-Amz-Credential")?).map(Some),
        }
    }

    /// `20261122/us-east-1/apigateway/aws4_request`
    pub(crate) fn without_key(&self) -> String {
        format!("{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service)
    }

    fn parse(credential: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key_id, date, region, service, terminator] = parts.as_slice() else {
            return Err(Error::IncompleteSignature(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
            )));
        };
        if *terminator != TERMINATOR {
            return Err(Error::IncompleteSignature(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'."
            )));
        }
        let [access_key_id, date, region, service] =
            [access_key_id, date, region, service].map(|&part| part.to_owned());
        Ok(Self { access_key_id, date, region, service })
    }
}

impl Claim {
    /// Reads the signature of a request, wherever it stands.
    pub(crate) fn of(parts: &Parts) -> Result<Self, Error> {
        match Place::of(parts)? {
            None => Err(Error::MissingAuthenticationToken),
            Some(Place::Header(authorization)) => Self::of_header(parts, &authorization),
            Some(Place::Query) => Self::of_query(parts),
        }
    }

    fn of_header(parts: &Parts, authorization: &str) -> Result<Self, Error> {
        let fields = Fields::parse(authorization)?;
        let (date, date_header) = Date::of_headers(&parts.headers)?;
        let mut tokens = parts.headers.get_all("x-amz-security-token").iter();
        let (token, second) = (tokens.next(), tokens.next());
        if second.is_some() {
            return Err(Error::IncompleteSignature("'X-Amz-Security-Token' is there more than once.".to_owned()));
        }
        Ok(Self {
            scope: Scope::parse(&fields.credential)?,
            date,
            signed_headers: signed_headers(&fields.signed_headers)?,
            signature: signature(&fields.signature)?,
            session_token: token.map(|token| String::from_utf8_lossy(token.as_bytes()).into_owned()),
            form: Form::Header { date: date_header },
        })
    }

    fn of_query(parts: &Parts) -> Result<Self, Error> {
        let algorithm = required(parts, "X-Amz-Algorithm")?;
        supported(&algorithm)?;
        let date = required(parts, "X-Amz-Date")?;
        let malformed =
            || Error::IncompleteSignature(format!("X-Amz-Date must be in ISO-8601 'basic format'. Got '{date}'."));
        let expires = required(parts, "X-Amz-Expires")?;
        let expires =
            expires.parse().ok().filter(|seconds| (1..=MAX_EXPIRES_SECONDS).contains(seconds)).ok_or_else(|| {
                Error::IncompleteSignature(format!(
                    "X-Amz-Expires must be a number of seconds from 1 to {MAX_EXPIRES_SECONDS}."
                ))
            })?;
        Ok(Self {
            scope: Scope::parse(&required(parts, "X-Amz-Credential")?)?,
            date: Date::parse(&date).ok_or_else(malformed)?,
            signed_headers: signed_headers(&required(parts, "X-Amz-SignedHeaders")?)?,
            signature: signature(&required(parts, "X-Amz-Signature")?)?,
            session_token: parameter(&parts.uri, "X-Amz-Security-Token")?,
            form: Form::Presigned { expires },
        })
    }
}

/// The session token that a request shows, of which nothing is verified; it goes with the access key of [`Scope::of`].
pub fn session_token(parts: &Parts) -> Option<String> {
    match Place::of(parts).ok()?? {
        Place::Header(_) => {
            let token = parts.headers.get("x-amz-security-token")?;
            Some(String::from_utf8_lossy(token.as_bytes()).into_owned())
        }
        Place::Query => parameter(&parts.uri, "X-Amz-Security-Token").ok()?,
    }
}

enum Place {
    Header(String),
    Query,
}

impl Place {
    fn of(parts: &Parts) -> Result<Option<Self>, Error> {
        let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
        let (header, second) = (headers.next(), headers.next());
        let query = crate::canonical::parameters(&parts.uri)
            .any(|(name, _)| ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"].contains(&name.as_str()));
        match (header, second, query) {
            (None, _, false) => Ok(None),
            (None, _, true) => Ok(Some(Self::Query)),
            (Some(header), None, false) => {
                let text = header.to_str();
                let text = text.map_err(|_| Error::IncompleteSignature("Authorization is not ASCII.".to_owned()))?;
                Ok(Some(Self::Header(text.to_owned())))
            }
            _ => Err(Error::IncompleteSignature("Only one auth mechanism allowed.".to_owned())),
        }
    }
}

/// The parts of an `Authorization` header.
struct Fields {
    credential: String,
    signed_headers: String,
    signature: String,
}

impl Fields {
    fn parse(authorization: &str) -> Result<Self, Error> {
        let (algorithm, rest) = authorization.trim().split_once(' ').unwrap_or((authorization.trim(), ""));
        supported(algorithm)?;
        let mut fields = [("Credential", None), ("SignedHeaders", None), ("Signature", None)];
        for field in rest.split(',').map(str::trim) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let known = fields.iter_mut().find(|(known, _)| *known == name);
            match known {
                Some((_, slot @ None)) => *slot = Some(value.to_owned()),
                _ => {
                    return Err(Error::IncompleteSignature(format!(
                        "Authorization header has an unexpected '{name}'."
                    )));
                }
            }
        }
        let [credential, signed_headers, signature] = fields.map(|(name, value)| {
            let missing = || Error::IncompleteSignature(format!("Authorization header requires '{name}' parameter."));
            value.filter(|value| !value.is_empty()).ok_or_else(missing)
        });
        Ok(Self { credential: credential?, signed_headers: signed_headers?, signature: signature? })
    }
}

fn required(parts: &Parts, name: &str) -> Result<String, Error> {
    let value = parameter(&parts.uri, name)?;
    value.ok_or_else(|| Error::IncompleteSignature(format!("AWS query-string parameters must include '{name}'.")))
}

fn supported(algorithm: &str) -> Result<(), Error> {
    match algorithm == ALGORITHM {
        true => Ok(()),
        false => Err(Error::IncompleteSignature(format!("Unsupported AWS 'algorithm': '{algorithm}'."))),
    }
}

fn signed_headers(list: &str) -> Result<Vec<String>, Error> {
    let names: Vec<String> = list.split(';').map(str::to_owned).collect();
    let lowercase = names.iter().all(|name| !name.is_empty() && !name.contains(|c: char| c.is_ascii_uppercase()));
    match lowercase && names.is_sorted_by(|a, b| a < b) {
        true => Ok(names),
        false => {
            Err(Error::IncompleteSignature("SignedHeaders must be lowercase, sorted, and each there once.".to_owned()))
        }
    }
}

fn signature(text: &str) -> Result<[u8; 32], Error> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    // Whatever it is, it is not the signature that we calculate.
    bytes.ok_or(Error::InvalidSignature)
}
