//! Who may call a route, compiled.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::PayloadFormat;
use crate::mapping::{Source, identity_source, rest_identity_sources};
use crate::resource::{self, AuthorizerKind, RestAuthorization, RestAuthorizerKind};
use crate::{Bearer, FunctionArn, Identities, IdentitySource, Issuer, Keyring, Session, WholePattern};

/// Who may call a route.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// Who has a token of an issuer.
    Jwt {
        /// Whose tokens.
        authorizer: Arc<JwtAuthorizer>,
        /// The token needs one of these, where there are some.
        scopes: Arc<[String]>,
    },
    /// Who has signed the request with an access key.
    AwsIam,
    /// Whom a function lets in.
    Function(Arc<FunctionAuthorizer>),
    /// Nobody: what decides about it cannot be used.
    Unusable,
}

/// Tokens that are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtAuthorizer {
    /// `authorizerId`
    pub id: String,
    /// Where the token is.
    pub source: IdentitySource,
    /// Who signs it.
    pub issuer: Issuer,
    /// For whom it may be.
    pub audience: Vec<String>,
}

/// A Lambda function that is asked (`REQUEST`).
#[derive(Clone, Debug)]
pub struct FunctionAuthorizer {
    /// `authorizerId`
    pub id: String,
    /// What is called.
    pub function: FunctionArn,
    /// Where what a client has to show is; stage variables are text already.
    pub sources: Vec<Source>,
    /// What it is told of the request.
    pub told: Told,
    /// For how long its answer holds; 0: for one request.
    pub ttl_seconds: u32,
    /// It answers yes or no, and not with a policy.
    pub simple_responses: bool,
}

/// What an authorizer is told.
#[derive(Clone, Debug)]
pub enum Told {
    /// All but the payload.
    Request(PayloadFormat),
    /// What stands at its identity source, if it has this form, and nothing else: `TOKEN` of REST APIs.
    Token(Option<WholePattern>),
}

/// An authorizer that can be used.
pub(super) enum Authorizer {
    Jwt(Arc<JwtAuthorizer>),
    Function(Arc<FunctionAuthorizer>),
}

/// An access key, opened: requests to routes with `AWS_IAM` are signed with it.
pub struct AccessKey {
    /// `AKIA…`
    pub id: String,
    /// ARN of whom it belongs to.
    pub principal_arn: String,
    /// `UserId`
    pub user_id: String,
    /// Overwritten when it is dropped.
    pub secret: Zeroizing<String>,
    /// None: it is a session's.
    source: Option<Arc<resource::AccessKey>>,
}

/// Access keys by id.
pub(super) type AccessKeys = super::Names<Arc<AccessKey>>;

/// The authorizers of a deployment by id, as far as they can be used. `unusable` is told about the others.
pub(super) fn authorizers<'d>(
    deployment: &'d resource::Deployment,
    stage: &resource::Stage,
    mut unusable: impl FnMut(&str, String),
) -> BTreeMap<&'d str, Authorizer> {
    let mut usable = BTreeMap::new();
    for authorizer in &deployment.authorizers {
        match Authorizer::of(authorizer, stage) {
            Ok(compiled) => drop(usable.insert(authorizer.id.as_str(), compiled)),
            Err(what) => unusable(&authorizer.id, what),
        }
    }
    usable
}

impl Authorization {
    /// `None`: everybody who is admitted.
    pub(super) fn of(
        authorization: &resource::Authorization,
        authorizers: &BTreeMap<&str, Authorizer>,
    ) -> Option<Self> {
        match authorization {
            resource::Authorization::None => None,
            resource::Authorization::AwsIam => Some(Self::AwsIam),
            resource::Authorization::Custom { authorizer_id } => Some(match authorizers.get(&**authorizer_id) {
                Some(Authorizer::Function(authorizer)) => Self::Function(authorizer.clone()),
                Some(Authorizer::Jwt(_)) | None => Self::Unusable,
            }),
            resource::Authorization::Jwt { authorizer_id, scopes } => Some(match authorizers.get(&**authorizer_id) {
                Some(Authorizer::Jwt(authorizer)) => {
                    Self::Jwt { authorizer: authorizer.clone(), scopes: scopes.as_slice().into() }
                }
                Some(Authorizer::Function(_)) | None => Self::Unusable,
            }),
        }
    }
}

impl Authorization {
    /// Of a method of a REST API.
    pub(super) fn of_rest(
        authorization: &RestAuthorization,
        authorizers: &BTreeMap<&str, Arc<FunctionAuthorizer>>,
    ) -> Option<Self> {
        match authorization {
            RestAuthorization::None => None,
            RestAuthorization::AwsIam => Some(Self::AwsIam),
            RestAuthorization::Custom { authorizer_id } => {
                Some(authorizers.get(&**authorizer_id).cloned().map_or(Self::Unusable, Self::Function))
            }
        }
    }
}

impl Authorizer {
    fn of(authorizer: &resource::Authorizer, stage: &resource::Stage) -> Result<Self, String> {
        match &authorizer.kind {
            AuthorizerKind::Jwt { issuer, audience } => {
                JwtAuthorizer::of(authorizer, issuer, audience).map(Arc::new).map(Self::Jwt)
            }
            AuthorizerKind::Request { uri, payload_format_version, result_ttl_seconds, simple_responses } => {
                let format = PayloadFormat::parse(payload_format_version);
                let sources = authorizer.identity_source.iter().map(|source| identity_source(source, &stage.variables));
                Ok(Self::Function(Arc::new(FunctionAuthorizer {
                    id: authorizer.id.clone(),
                    function: FunctionArn::parse(uri, &stage.variables).map_err(|error| error.to_string())?,
                    sources: sources.collect::<Result<_, _>>().map_err(|error| error.to_string())?,
                    told: Told::Request(
                        format.ok_or_else(|| format!("{payload_format_version} is no payload format"))?,
                    ),
                    ttl_seconds: *result_ttl_seconds,
                    simple_responses: *simple_responses,
                })))
            }
        }
    }
}

impl FunctionAuthorizer {
    /// Of a REST API.
    pub(super) fn of_rest(authorizer: &resource::RestAuthorizer, stage: &resource::Stage) -> Result<Self, String> {
        let sources = authorizer.identity_source.iter().map(|text| rest_identity_sources(text, &stage.variables));
        let sources: Vec<Vec<Source>> = sources.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        let expression = authorizer.identity_validation_expression.as_deref();
        let pattern = expression.map(WholePattern::parse).transpose().map_err(|error| error.to_string())?;
        Ok(Self {
            id: authorizer.id.clone(),
            function: FunctionArn::parse(&authorizer.uri, &stage.variables).map_err(|error| error.to_string())?,
            sources: sources.concat(),
            told: match authorizer.kind {
                RestAuthorizerKind::Token => Told::Token(pattern),
                RestAuthorizerKind::Request => Told::Request(PayloadFormat::V1),
            },
            ttl_seconds: authorizer.result_ttl_seconds,
            simple_responses: false,
        })
    }

    /// Whether its answers hold for longer than one request.
    pub fn remembers(&self) -> bool {
        self.ttl_seconds > 0 && !self.sources.is_empty()
    }
}

impl JwtAuthorizer {
    fn of(authorizer: &resource::Authorizer, issuer: &str, audience: &[String]) -> Result<Self, String> {
        let source = authorizer.identity_source.first().ok_or("it has no identitySource")?;
        Ok(Self {
            id: authorizer.id.clone(),
            source: IdentitySource::parse(source).map_err(|error| error.to_string())?,
            issuer: Issuer::parse(issuer).map_err(|error| error.to_string())?,
            audience: audience.to_vec(),
        })
    }
}

impl AccessKey {
    /// Opens a key, unless `old` is of the same.
    pub(super) fn of(
        key: &Arc<resource::AccessKey>,
        old: Option<&Arc<Self>>,
        keyring: &Keyring,
    ) -> Result<Arc<Self>, String> {
        if let Some(old) = old.filter(|old| old.source.as_ref().is_some_and(|source| Arc::ptr_eq(source, key))) {
            return Ok(old.clone());
        }
        let secret =
            keyring.open(&resource::AccessKey::sealed_for(&key.id), &key.secret).map_err(|error| error.to_string())?;
        let secret = std::str::from_utf8(&secret).map_err(|_| "its secret is no text".to_owned())?;
        Ok(Arc::new(Self {
            id: key.id.clone(),
            principal_arn: key.principal_arn.clone(),
            user_id: key.user_id.clone(),
            secret: Zeroizing::new(secret.to_owned()),
            source: Some(key.clone()),
        }))
    }

    /// Of a session.
    pub(super) fn of_session(id: &str, session: &Session) -> Self {
        Self {
            id: id.to_owned(),
            principal_arn: session.arn.clone(),
            user_id: session.user_id.clone(),
            secret: Zeroizing::new(session.secret.clone()),
            source: None,
        }
    }

    /// Who has it; none: it is switched off, or its user is gone.
    pub(super) fn bearer(&self, identities: &Identities) -> Option<Bearer> {
        Bearer::of_key(identities, self.source.as_deref()?)
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}
