//! AWS Security Token Service: who calls, and credentials that end.
//!
//! Nothing of a session is stored: its token says what it is, sealed (`model::SessionTokens`).

mod assume_role;
mod issue;

use aws::sts::*;
use aws::{Caller, Error};
use http::StatusCode;
use iam_policy::Kind;
use model::{Session, State};

use crate::Control;
use crate::iam::{checked_policy, is_attachable};
use issue::{issue, seconds};

const HOUR: i64 = 3600;
const HALF_A_DAY: i64 = 12 * HOUR;
/// Characters of session policies together.
const MAX_POLICIES: usize = 2048;
/// Managed policies of a session.
const MAX_POLICY_ARNS: usize = 10;

impl Sts for Control {
    async fn assume_role(&self, caller: &Caller, input: AssumeRoleRequest) -> Result<AssumeRoleResponse, Error> {
        assume_role::assume_role(self, caller, input)
    }

    async fn get_access_key_info(
        &self,
        caller: &Caller,
        input: GetAccessKeyInfoRequest,
    ) -> Result<GetAccessKeyInfoResponse, Error> {
        let id = &input.access_key_id;
        // Whose a key of another account is, only AWS knows.
        match self.settings().state().access_keys.contains_key(id) || *id == caller.access_key_id {
            true => Ok(GetAccessKeyInfoResponse { account: Some(caller.account.clone()) }),
            false => Err(invalid(format!("The access key {id} is none of this account."))),
        }
    }

    async fn get_caller_identity(
        &self,
        caller: &Caller,
        _input: GetCallerIdentityRequest,
    ) -> Result<GetCallerIdentityResponse, Error> {
        Ok(GetCallerIdentityResponse {
            user_id: Some(caller.user_id.clone()),
            account: Some(caller.account.clone()),
            arn: Some(caller.arn.clone()),
        })
    }

    async fn get_federation_token(
        &self,
        caller: &Caller,
        input: GetFederationTokenRequest,
    ) -> Result<GetFederationTokenResponse, Error> {
        refuse_sessions(caller, "GetFederationToken")?;
        let state = self.settings().state();
        let lent = session_policies(&state, input.policy, input.policy_arns)?;
        let (account, name) = (&caller.account, &input.name);
        let arn = format!("arn:aws:sts::{account}:federated-user/{name}");
        let user_id = format!("{account}:{name}");
        let (now, lifetime) = (self.now(), seconds(input.duration_seconds, HALF_A_DAY));
        let (principal_arn, principal_id) = principal(&state, caller);
        let credentials = issue(self, |secret| Session {
            secret,
            arn: arn.clone(),
            user_id: user_id.clone(),
            principal_arn,
            principal_id,
            // Without a policy, such a session may do nothing.
            policies: Some(lent.policies.clone().unwrap_or_default()),
            tags: pairs(input.tags),
            chained: false,
            issued: now,
            expires: now + lifetime * 1000,
        })?;
        Ok(GetFederationTokenResponse {
            credentials: Some(credentials),
            federated_user: Some(FederatedUser { arn: Some(arn), federated_user_id: Some(user_id) }),
            packed_policy_size: lent.packed(),
        })
    }

    async fn get_session_token(
        &self,
        caller: &Caller,
        input: GetSessionTokenRequest,
    ) -> Result<GetSessionTokenResponse, Error> {
        refuse_sessions(caller, "GetSessionToken")?;
        refuse_second_factor(input.serial_number.is_some() || input.token_code.is_some())?;
        let (now, lifetime) = (self.now(), seconds(input.duration_seconds, HALF_A_DAY));
        let (principal_arn, principal_id) = principal(&self.settings().state(), caller);
        let credentials = issue(self, |secret| Session {
            secret,
            arn: caller.arn.clone(),
            user_id: caller.user_id.clone(),
            principal_arn,
            principal_id,
            policies: None,
            tags: Vec::new(),
            chained: false,
            issued: now,
            expires: now + lifetime * 1000,
        })?;
        Ok(GetSessionTokenResponse { credentials: Some(credentials) })
    }
}

/// What a session is lent less than all.
struct Lent {
    policies: Option<Vec<String>>,
    characters: usize,
}

impl Lent {
    /// Percent of what there may be.
    fn packed(&self) -> Option<i32> {
        let percent = self.characters.saturating_mul(100).div_ceil(MAX_POLICIES);
        self.policies.as_ref().and_then(|_| i32::try_from(percent).ok())
    }
}

fn session_policies(
    state: &State,
    policy: Option<String>,
    arns: Option<Vec<PolicyDescriptorType>>,
) -> Result<Lent, Error> {
    let arns: Vec<String> = arns.unwrap_or_default().into_iter().filter_map(|policy| policy.arn).collect();
    if arns.len() > MAX_POLICY_ARNS {
        return Err(invalid(format!("A session has at most {MAX_POLICY_ARNS} managed policies.")));
    }
    for arn in &arns {
        is_attachable(state, arn).map_err(|error| invalid(error.message))?;
    }
    if let Some(policy) = &policy {
        checked_policy(policy, Kind::Identity)?;
    }
    let characters = policy.iter().chain(&arns).map(String::len).sum();
    if characters > MAX_POLICIES {
        let message = format!("The session policies have more than {MAX_POLICIES} characters together.");
        return Err(Error::client("PackedPolicyTooLarge", message));
    }
    let all: Vec<String> = policy.into_iter().chain(arns).collect();
    Ok(Lent { policies: (!all.is_empty()).then_some(all), characters })
}

/// Whose rights a caller's sessions have: the user's ARN and id, nothing for the administrator.
fn principal(state: &State, caller: &Caller) -> (String, String) {
    let key = state.access_keys.get(&caller.access_key_id);
    match key.is_some_and(|key| key.user.is_none()) {
        true => (String::new(), String::new()),
        false => (caller.arn.clone(), caller.user_id.clone()),
    }
}

fn refuse_sessions(caller: &Caller, operation: &str) -> Result<(), Error> {
    match caller.temporary {
        true => Err(Error::access_denied(format!("Cannot call {operation} with session credentials"))),
        false => Ok(()),
    }
}

fn refuse_second_factor(given: bool) -> Result<(), Error> {
    let message = "MultiFactorAuthentication failed: there are no MFA devices here.";
    if given { Err(Error::access_denied(message)) } else { Ok(()) }
}

fn pairs(tags: Option<Vec<Tag>>) -> Vec<(String, String)> {
    tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect()
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(StatusCode::BAD_REQUEST, "ValidationError", message)
}
