//! AWS Security Token Service: who calls.

use aws::sts::{GetCallerIdentityRequest, GetCallerIdentityResponse, Sts};
use aws::{Caller, Error};

use crate::Control;

impl Sts for Control {
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
}
