//! Why an order came to nothing: what ACM calls it, and when it is worth another try.

use control::Failed;
use instant_acme::{Error, Problem};

/// Of what has nothing to do with the order, e.g. an issuer that does not answer.
const RETRY: i64 = 10_000;
/// Of a validation, which issuers allow few of in an hour.
const VALIDATE_AGAIN: i64 = 5 * 60_000;
/// Where somebody has to see to it first.
const ATTEND: i64 = 60 * 60_000;

/// The account that was kept is none of the issuer's any more.
pub(super) fn is_account_gone(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if kind(problem) == "accountDoesNotExist")
}

/// What passes, most likely; the order, if there is one, is gone on with.
pub(super) fn for_now(why: impl Into<String>) -> Failed {
    Failed { reason: "OTHER", why: why.into(), again: Some(RETRY), order_stands: true }
}

/// An order that cannot be gone on with, for no fault of the names.
pub(super) fn useless(why: impl Into<String>) -> Failed {
    Failed { again: Some(ATTEND), order_stands: false, ..for_now(why) }
}

/// What is wrong with the order by what the issuer says of it, or did not.
pub(super) fn of_request(error: &Error) -> Failed {
    let Error::Api(problem) = error else { return for_now(error.to_string()) };
    let (reason, again) = match kind(problem) {
        "caa" => ("CAA_ERROR", None),
        "rejectedIdentifier" | "unsupportedIdentifier" => ("DOMAIN_NOT_ALLOWED", None),
        "badCSR" | "badPublicKey" => ("OTHER", None),
        "rateLimited"
        | "unauthorized"
        | "userActionRequired"
        | "externalAccountRequired"
        | "invalidContact"
        | "unsupportedContact" => ("OTHER", Some(ATTEND)),
        _ => ("OTHER", Some(RETRY)),
    };
    Failed { reason, why: text(problem), again, order_stands: false }
}

/// What is wrong with a name by what the issuer found where it looked for the proof (RFC 8555 section 6.7). What it could not reach may
/// be set up yet; who answers something else is somebody else.
pub(super) fn of_validation(problem: &Problem) -> Failed {
    let (reason, again) = match kind(problem) {
        "unauthorized" | "incorrectResponse" | "malformed" => ("DOMAIN_VALIDATION_DENIED", None),
        "connection" | "dns" | "tls" => ("DOMAIN_VALIDATION_DENIED", Some(VALIDATE_AGAIN)),
        _ => return of_request(&Error::Api(problem.clone())),
    };
    Failed { reason, why: text(problem), again, order_stands: false }
}

/// For people.
fn text(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or("a problem without a type");
    let names = problem.subproblems.iter().filter_map(|problem| problem.detail.as_deref());
    let details: Vec<&str> = problem.detail.as_deref().into_iter().chain(names).collect();
    format!("{} ({kind})", details.join("; "))
}

fn kind(problem: &Problem) -> &str {
    problem.r#type.as_deref().and_then(|of| of.strip_prefix("urn:ietf:params:acme:error:")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &str) -> Problem {
        Problem {
            r#type: Some(format!("urn:ietf:params:acme:error:{kind}")),
            detail: None,
            status: None,
            subproblems: Vec::new(),
        }
    }

    #[test]
    fn what_somebody_else_answers_is_final_and_what_nobody_answers_is_not() {
        for (kind, reason, is_final) in [
            ("unauthorized", "DOMAIN_VALIDATION_DENIED", true),
            ("incorrectResponse", "DOMAIN_VALIDATION_DENIED", true),
            ("connection", "DOMAIN_VALIDATION_DENIED", false),
            ("dns", "DOMAIN_VALIDATION_DENIED", false),
            ("tls", "DOMAIN_VALIDATION_DENIED", false),
            ("caa", "CAA_ERROR", true),
            ("rateLimited", "OTHER", false),
            ("serverInternal", "OTHER", false),
            ("neverHeardOf", "OTHER", false),
        ] {
            let failed = of_validation(&problem(kind));
            assert_eq!((failed.reason, failed.again.is_none()), (reason, is_final), "{kind}");
            assert!(!failed.order_stands, "{kind}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_account_is_not_the_names_fault() {
        for (kind, reason, again) in [
            ("unauthorized", "OTHER", Some(ATTEND)),
            ("externalAccountRequired", "OTHER", Some(ATTEND)),
            ("rejectedIdentifier", "DOMAIN_NOT_ALLOWED", None),
            ("badCSR", "OTHER", None),
            ("serverInternal", "OTHER", Some(RETRY)),
        ] {
            let failed = of_request(&Error::Api(problem(kind)));
            assert_eq!((failed.reason, failed.again), (reason, again), "{kind}");
        }
        assert!(is_account_gone(&Error::Api(problem("accountDoesNotExist"))));
        assert!(!is_account_gone(&Error::Api(problem("unauthorized"))));
    }

    #[test]
    fn an_issuer_that_does_not_answer_is_gone_on_with() {
        let failed = of_request(&Error::Str("no answer"));
        assert_eq!((failed.again, failed.order_stands), (Some(RETRY), true));
    }
}
