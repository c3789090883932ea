//! What is set for the account. There are no events here that could be sent, so that it is only kept.

use aws::acm::*;
use aws::{Caller, Error};
use model::resource::Account;
use model::{Change, State};

use super::validation;

/// AWS's default.
const DAYS_BEFORE_EXPIRY: u32 = 45;

pub(super) fn get(state: &State, caller: &Caller) -> GetAccountConfigurationResponse {
    let days = state.accounts.get(&caller.region).and_then(|account| account.days_before_expiry);
    let days_before_expiry = i32::try_from(days.unwrap_or(DAYS_BEFORE_EXPIRY)).ok();
    GetAccountConfigurationResponse { expiry_events: Some(ExpiryEventsConfiguration { days_before_expiry }) }
}

/// Nothing happens where nothing is said. The token of a repetition needs no looking at: it says the same again.
pub(super) fn put(
    state: &State,
    caller: &Caller,
    input: &PutAccountConfigurationRequest,
) -> Result<(Vec<Change>, ()), Error> {
    let Some(days) = input.expiry_events.as_ref().and_then(|events| events.days_before_expiry) else {
        return Ok((Vec::new(), ()));
    };
    let days = u32::try_from(days).map_err(|_| validation("DaysBeforeExpiry is a number of days."))?;
    let account = state.accounts.get(&caller.region).map(|account| Account::clone(account));
    let account = account.unwrap_or_else(|| Account::new(caller.region.clone()));
    Ok((vec![Change::put(&Account { days_before_expiry: Some(days), ..account })], ()))
}
