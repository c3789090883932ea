//! Whether an API's Cedar policies let a request go on, once its route's authorizer has.

use ::policy::{Credential, Decision, Outcome, Question};
use model::snapshot::{Route, StagePolicy};

use super::{Authorized, Denial, Place};
use crate::answer::Answer;
use crate::record::Record;

/// Lets a request go on or ends it. Why stands in the record afterwards, and what could not be evaluated.
pub(crate) fn hold_against(
    policy: &StagePolicy,
    record: &mut Record,
    route: &Route,
    place: &Place<'_>,
    host: &str,
) -> Result<(), Answer> {
    let Some(Outcome { decision, errors }) = decide(policy, record, route, place, host) else {
        return Err(record.deny(Denial::PolicyUnusable));
    };
    let (uri, version) = policy.origin();
    let (denial, why) = match decision {
        Decision::Permitted => (None, String::new()),
        Decision::Forbidden(ids) => {
            (Some(Denial::PolicyForbids), format!("{ids} of {uri} version {version} forbids the request"))
        }
        Decision::NotPermitted => {
            (Some(Denial::PolicyDoesNotPermit), format!("no policy of {uri} version {version} permits the request"))
        }
    };
    if !errors.is_empty() {
        record.policies_failed(errors.len());
    }
    let why: Vec<String> = Some(why).filter(|why| !why.is_empty()).into_iter().chain(errors).collect();
    if !why.is_empty() {
        record.authorizer_says(&why.join("; "));
    }
    denial.map_or(Ok(()), |denial| Err(record.deny(denial)))
}

/// None where there is nobody to ask, or nobody whom they could be asked about.
fn decide(policy: &StagePolicy, record: &Record, route: &Route, place: &Place<'_>, host: &str) -> Option<Outcome> {
    let credential = match &record.authorized {
        None => Credential::None,
        Some(Authorized::Token(token)) => Credential::Token(&token.claims),
        Some(Authorized::Key(key)) => {
            Credential::Signer { access_key_id: &key.id, arn: &key.principal_arn, user: &key.user_id }
        }
        Some(Authorized::Function(verdict)) => {
            Credential::Verdict { principal_id: verdict.principal_id.as_deref(), context: &verdict.context }
        }
    };
    Some(policy.policies.as_ref()?.decide(&Question {
        principal: record.client.principal()?,
        api: &place.stage.api_id,
        stage: &place.stage.name,
        route: &route.key,
        parts: place.parts,
        host,
        path: place.rest,
        path_parameters: place.variables,
        source: record.connection().peer.ip(),
        at: record.at.div_euclid(1000),
        credential,
    }))
}
