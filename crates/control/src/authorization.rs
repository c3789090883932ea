//! What a caller may do. Every decision is made here.

use aws::Error;

/// An action of a service, e.g. `apigateway:CreateApi`.
pub(crate) struct Action<'a> {
    /// Name in credential scopes and policies.
    pub service: &'a str,
    /// AWS's name of the operation.
    pub operation: &'a str,
}

/// Decides whether the principal with that ARN may take `action` on `resource` of the account (an ARN, or `*` where the
/// operation is on none).
///
/// The account's principals, of which there is the administrator, may do everything in it; nobody else may do anything.
pub(crate) fn authorize(account: &str, principal: &str, action: &Action<'_>, resource: &str) -> Result<(), Error> {
    let principals = format!("arn:aws:iam::{account}:");
    if principal.starts_with(&principals) {
        return Ok(());
    }
    let Action { service, operation } = action;
    let message = format!(
        "User: {principal} is not authorized to perform: {service}:{operation} on resource: {resource} because no \
         identity-based policy allows the {service}:{operation} action"
    );
    Err(Error::access_denied(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_of_the_account_may_all_others_may_not() {
        let action = Action { service: "apigateway", operation: "CreateApi" };
        let decide = |principal| authorize("123456789012", principal, &action, "*");
        assert_eq!(decide("arn:aws:iam::123456789012:user/admin"), Ok(()));
        for stranger in ["arn:aws:iam::999999999999:user/admin", "arn:aws:iam::1234567890120:user/admin", ""] {
            let error = decide(stranger).unwrap_err();
            assert!(error.message.contains("not authorized to perform: apigateway:CreateApi"), "{error}");
        }
    }
}
