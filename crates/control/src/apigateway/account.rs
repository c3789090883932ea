//! What is set for the account in a region.

use aws::Error;
use aws::apigateway as wire;
use model::resource::Account;

use super::Draft;
use super::patch::Patch;

const PATHS: &str = "/cloudwatchRoleArn";

pub(super) fn get(draft: &Draft<'_>) -> wire::Account {
    let account = draft.state.accounts.get(draft.region);
    wire::Account {
        api_key_version: Some("4".to_owned()),
        cloudwatch_role_arn: account.and_then(|account| account.cloudwatch_role_arn.clone()),
        features: Some(vec!["UsagePlans".to_owned()]),
        // There are no limits of an account here.
        throttle_settings: None,
    }
}

/// The role is kept for those who ask for it; nothing here needs one to write to CloudWatch Logs.
pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateAccountRequest) -> Result<wire::Account, Error> {
    let region = draft.region.to_owned();
    let account = draft.state.accounts.get(&region).map(|account| Account::clone(account));
    let mut account = account.unwrap_or_else(|| Account::new(region));
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match &path[..] {
            ["cloudwatchRoleArn"] => {
                let arn = Some(patch.value_or_empty()).filter(|arn| !arn.is_empty());
                if arn.as_ref().is_some_and(|arn| !arn.starts_with("arn:aws:iam::")) {
                    return Err(Error::bad_request(format!("Invalid ARN specified in the request: {}", patch.value)));
                }
                account.cloudwatch_role_arn = arn;
            }
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    draft.put(&account)?;
    Ok(get(draft))
}
