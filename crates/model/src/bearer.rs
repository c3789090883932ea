//! Who has credentials, and what they may do with them.

use std::sync::Arc;

use iam_policy::{Kind, Policy, Rights};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::resource::{AccessKey, Tags};
use crate::{Identities, Session, UnixMillis};

/// Whoever has signed a request, by the policies of one revision.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// What STS shows as `Arn`.
    pub arn: String,
    /// `aws:PrincipalArn`: as `arn`, but of a session that of its role.
    pub principal_arn: String,
    /// `aws:PrincipalType`
    pub kind: &'static str,
    /// `aws:username`: of users only.
    pub user_name: Option<String>,
    /// What STS shows as `UserId`.
    pub user_id: String,
    /// `aws:PrincipalTag/…`
    pub tags: Tags,
    /// `aws:TokenIssueTime`: of temporary credentials only.
    pub issued: Option<UnixMillis>,
    /// None: those of the administrator, who may do everything.
    pub rights: Option<Rights>,
}

const ADMINISTRATOR_ACCESS: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

impl Bearer {
    /// Of an access key. None: it is switched off, or its user is gone.
    pub fn of_key(identities: &Identities, key: &AccessKey) -> Option<Self> {
        let (rights, tags) = match &key.user {
            _ if key.inactive => return None,
            None => (None, Tags::new()),
            Some(name) => {
                let user = identities.user(name).filter(|user| user.resource.id == key.user_id)?;
                (Some(user.rights.clone()), user.resource.tags.clone())
            }
        };
        Some(Self {
            arn: key.principal_arn.clone(),
            principal_arn: key.principal_arn.clone(),
            kind: "User",
            user_name: Some(name_of(&key.principal_arn).to_owned()),
            user_id: key.user_id.clone(),
            tags,
            issued: None,
            rights,
        })
    }

    /// Of a session, which may do what its principal may now: who is gone, or has lost a right, has lent nothing.
    pub fn of_session(identities: &Identities, session: &Session) -> Option<Self> {
        let name = name_of(&session.principal_arn);
        let (kind, user) = match () {
            () if session.principal_arn.contains(":role/") => ("AssumedRole", None),
            () if session.arn.contains(":federated-user/") => ("FederatedUser", None),
            () => ("User", Some(name_of(&session.arn).to_owned())),
        };
        let (rights, mut tags) = match kind {
            _ if session.principal_arn.is_empty() => (None, Tags::new()),
            "AssumedRole" => {
                let role = identities.role(name).filter(|role| role.resource.id == session.principal_id)?;
                (Some(role.rights.clone()), role.resource.tags.clone())
            }
            _ => {
                let user = identities.user(name).filter(|user| user.resource.id == session.principal_id)?;
                (Some(user.rights.clone()), user.resource.tags.clone())
            }
        };
        tags.extend(session.tags.iter().cloned());
        let rights = match &session.policies {
            None => rights,
            Some(policies) => Some(bounded(identities, rights, policies)?),
        };
        Some(Self {
            arn: session.arn.clone(),
            principal_arn: if kind == "AssumedRole" { &session.principal_arn } else { &session.arn }.clone(),
            kind,
            user_name: user,
            user_id: session.user_id.clone(),
            tags,
            issued: Some(session.issued),
            rights,
        })
    }

    /// Twelve digits.
    pub fn account(&self) -> &str {
        self.arn.split(':').nth(4).unwrap_or_default()
    }

    /// What conditions find of who calls, by a lowercase key.
    pub fn value(&self, key: &str) -> Option<String> {
        if let Some(tag) = key.strip_prefix("aws:principaltag/") {
            let tag = self.tags.iter().find(|(name, _)| name.eq_ignore_ascii_case(tag));
            return tag.map(|(_, value)| value.clone());
        }
        match key {
            "aws:principalarn" => Some(self.principal_arn.clone()),
            "aws:principalaccount" | "aws:resourceaccount" => Some(self.account().to_owned()),
            "aws:principaltype" => Some(self.kind.to_owned()),
            "aws:username" => self.user_name.clone(),
            "aws:userid" => Some(self.user_id.clone()),
            "aws:tokenissuetime" => self.issued.map(rfc3339),
            // There are no second factors here.
            "aws:multifactorauthpresent" => self.issued.map(|_| "false".to_owned()),
            "aws:viaawsservice" | "aws:principalisawsservice" => Some("false".to_owned()),
            _ => None,
        }
    }
}

/// What conditions find of the time.
pub fn value_of_time(at: UnixMillis, key: &str) -> Option<String> {
    match key {
        "aws:currenttime" => Some(rfc3339(at)),
        "aws:epochtime" => Some(at.div_euclid(1000).to_string()),
        _ => None,
    }
}

/// Rights that session policies bound. None: one of them is gone.
fn bounded(identities: &Identities, rights: Option<Rights>, policies: &[String]) -> Option<Rights> {
    let read = |policy: &String| match policy.starts_with("arn:") {
        true => identities.managed(policy),
        false => Policy::parse(policy, Kind::Identity).ok().map(Arc::new),
    };
    let session = policies.iter().map(read).collect::<Option<Vec<_>>>()?;
    let everything =
        || Rights { identity: identities.managed(ADMINISTRATOR_ACCESS).into_iter().collect(), ..Rights::default() };
    Some(Rights { session: Some(session), ..rights.unwrap_or_else(everything) })
}

fn name_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

fn rfc3339(at: UnixMillis) -> String {
    let date = OffsetDateTime::from_unix_timestamp(at.div_euclid(1000)).ok();
    date.and_then(|date| date.format(&Rfc3339).ok()).unwrap_or_default()
}
