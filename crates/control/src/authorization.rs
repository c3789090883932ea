//! What a caller may do. Every decision is made here.

use aws::{Caller, Error};

/// An action of a service, e.g. `apigateway:CreateApi`.
pub(crate) struct Action<'a> {
    /// Name in credential scopes and policies.
    pub service: &'a str,
    /// AWS's name of the operation.
    pub operation: &'a str,
}

/// Decides whether `caller` may take `action` on `resource` (an ARN, or `*` where the operation is on none).
///
/// The account's principals, of which there is the administrator, may do everything in it; nobody else may do anything.
pub(crate) fn authorize(caller: &Caller, action: &Action<'_>, resource: &str) -> Result<(), Error> {
    let principals = format!("arn:aws:iam::{}:", caller.account);
    if caller.arn.starts_with(&principals) {
        return Ok(());
    }
    let Action { service, operation } = action;
    let message = format!(
        "User: {} is not authorized to perform: {service}:{operation} on resource: {resource} because no \
         identity-based policy allows the {service}:{operation} action",
        caller.arn
    );
    Err(Error::access_denied(message))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn principals_of_the_account_may_all_others_may_not() {
        let mut caller = Caller {
            access_key_id: "AKIA".into(),
            arn: "arn:aws:iam::123456789012:user/admin".into(),
            user_id: "AIDA".into(),
            account: "123456789012".into(),
            region: "us-east-1".into(),
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            request_id: "r".into(),
            at: 0,
        };
        let action = Action { service: "apigateway", operation: "CreateApi" };
        assert_eq!(authorize(&caller, &action, "*"), Ok(()));
        caller.arn = "arn:aws:iam::999999999999:user/admin".into();
        let error = authorize(&caller, &action, "*").unwrap_err();
        assert!(error.message.contains("not authorized to perform: apigateway:CreateApi"), "{error}");
    }
}
