//! Who may call a route, compiled.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::resource::{self, AuthorizerKind};
use crate::{IdentitySource, Issuer, Keyring};

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
    source: Arc<resource::AccessKey>,
}

/// Access keys by id.
pub(super) type AccessKeys = HashMap<Arc<str>, Arc<AccessKey>>;

/// The authorizers of a deployment by id, as far as they can be used. `unusable` is told about the others.
pub(super) fn authorizers(
    deployment: &resource::Deployment,
    mut unusable: impl FnMut(&str, String),
) -> BTreeMap<&str, Arc<JwtAuthorizer>> {
    let mut usable = BTreeMap::new();
    for authorizer in &deployment.authorizers {
        match JwtAuthorizer::of(authorizer) {
            Ok(compiled) => drop(usable.insert(authorizer.id.as_str(), Arc::new(compiled))),
            Err(what) => unusable(&authorizer.id, what),
        }
    }
    usable
}

impl Authorization {
    /// `None`: everybody who is admitted.
    pub(super) fn of(
        authorization: &resource::Authorization,
        authorizers: &BTreeMap<&str, Arc<JwtAuthorizer>>,
    ) -> Option<Self> {
        match authorization {
            resource::Authorization::None => None,
            resource::Authorization::AwsIam => Some(Self::AwsIam),
            resource::Authorization::Custom { .. } => Some(Self::Unusable),
            resource::Authorization::Jwt { authorizer_id, scopes } => Some(match authorizers.get(&**authorizer_id) {
                Some(authorizer) => Self::Jwt { authorizer: authorizer.clone(), scopes: scopes.as_slice().into() },
                None => Self::Unusable,
            }),
        }
    }
}

impl JwtAuthorizer {
    fn of(authorizer: &resource::Authorizer) -> Result<Self, String> {
        let AuthorizerKind::Jwt { issuer, audience } = &authorizer.kind else {
            return Err("authorizers of type REQUEST are not served".to_owned());
        };
        let source = authorizer.identity_source.first().ok_or("it has no identitySource")?;
        Ok(Self {
            id: authorizer.id.clone(),
            source: IdentitySource::parse(source).map_err(|error| error.to_string())?,
            issuer: Issuer::parse(issuer).map_err(|error| error.to_string())?,
            audience: audience.clone(),
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
        if let Some(old) = old.filter(|old| Arc::ptr_eq(&old.source, key)) {
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
            source: key.clone(),
        }))
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}
