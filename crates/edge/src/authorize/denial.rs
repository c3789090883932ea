//! Why somebody who was admitted may not call a route.

use http::HeaderValue;

use crate::answer::Answer;

macro_rules! denials {
    ($($(#[$doc:meta])* $variant:ident = $answer:ident, $error:literal, $description:literal;)*) => {
        /// Why a request is not authorized.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Denial {
            $($(#[$doc])* $variant,)*
        }

        impl Denial {
            /// Every one.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in records and metrics.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            pub(crate) fn answer(self) -> Answer {
                match self { $(Self::$variant => Answer::$answer,)* }
            }

            /// `error` of RFC 6750 section 3.1; empty where the client is told no more than that it needs a token.
            fn error(self) -> &'static str {
                match self { $(Self::$variant => $error,)* }
            }

            /// `error_description`; `$context.authorizer.error`.
            pub(crate) fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)* }
            }
        }
    };
}

denials! {
    /// There is nothing where the token should be.
    TokenMissing = Unauthorized, "", "there is no token";
    /// What is there is no JWT in compact form (RFC 7519).
    TokenMalformed = Unauthorized, "invalid_token", "the token is malformed";
    /// `alg` is none that a key of an issuer is for.
    TokenAlgorithm = Unauthorized, "invalid_token", "the token's signing method is not supported";
    /// The issuer has no key of that name.
    TokenKeyUnknown = Unauthorized, "invalid_token", "the token's key is not one of the issuer";
    /// The issuer's keys are not known, because it does not answer.
    IssuerUnreachable = Unauthorized, "invalid_token", "the issuer's keys cannot be fetched";
    /// The signature does not hold.
    TokenSignature = Unauthorized, "invalid_token", "the token's signature is invalid";
    /// `iss` is another.
    TokenIssuer = Unauthorized, "invalid_token", "the token does not have a valid issuer";
    /// `aud`, or `client_id` where there is none, is another.
    TokenAudience = Unauthorized, "invalid_token", "the token does not have a valid audience";
    /// `exp` is over, or there is none.
    TokenExpired = Unauthorized, "invalid_token", "the token has expired";
    /// `nbf` or `iat` is still to come.
    TokenNotYetValid = Unauthorized, "invalid_token", "the token is not valid yet";
    /// It has none of the route's scopes.
    TokenScope = Forbidden, "insufficient_scope", "the token does not have any of the required scopes";
    /// It is bound to no certificate, and has to be (RFC 8705 section 3).
    TokenUnbound = Unauthorized, "invalid_token", "the token is not bound to a client certificate";
    /// It is bound to another certificate than the client's, or the client has shown none.
    TokenBoundElsewhere = Unauthorized, "invalid_token", "the token is bound to another client certificate";
    /// The request is not signed.
    SignatureMissing = Unsigned, "", "the request is not signed";
    /// Its signature cannot be read, or leaves out what has to be signed.
    SignatureMalformed = SignatureBad, "", "the request's signature is malformed";
    /// There is no such access key, it is switched off, or its session token is none of ours.
    AccessKeyUnknown = KeyUnknown, "", "there is no such access key";
    /// Its session has ended.
    SessionExpired = KeyUnknown, "", "the session token has expired";
    /// A policy of who signed it denies it.
    CallerDenied = Denied, "", "a policy of the caller denies the request";
    /// No policy of who signed it allows it.
    CallerNotAllowed = NotAllowed, "", "no policy of the caller allows the request";
    /// The signature is for another service or region.
    SignatureScope = SignatureBad, "", "the request is signed for another service or region";
    /// The signature does not hold.
    SignatureInvalid = SignatureBad, "", "the request's signature does not match";
    /// It was made too long ago, or is still to come.
    SignatureExpired = SignatureBad, "", "the request's signature has expired, or is not valid yet";
    /// The payload is not the one that was signed.
    PayloadMismatch = SignatureBad, "", "the payload is not the one that was signed";
    /// The method asks for an API key, and there is none.
    ApiKeyMissing = ApiKeyInvalid, "", "there is no API key";
    /// It is none that is enabled and of a usage plan of the stage, or there are several.
    ApiKeyUnknown = ApiKeyInvalid, "", "the API key is not one of the stage's usage plans";
    /// There is nothing where an authorizer's identity source should be.
    IdentityMissing = Unauthorized, "", "the request does not have all identity sources";
    /// What is there is not what the authorizer takes for a token.
    IdentityMalformed = Unauthorized, "", "the token does not match identityValidationExpression";
    /// The authorizer's function does not let it through.
    FunctionDenied = Denied, "", "the authorizer denied the request";
    /// Nothing in its policy lets it through.
    FunctionNotAllowed = NotAllowed, "", "the authorizer's policy does not allow the request";
    /// It said that the client has to show something else.
    FunctionUnauthorized = Unauthorized, "", "the authorizer answered Unauthorized";
    /// The authorizer's function gave no answer, or none that can be read.
    AuthorizerFailed = AuthorizerUnusable, "", "the authorizer gave no answer";
    /// A policy of the API forbids it.
    PolicyForbids = Forbidden, "", "a policy forbids the request";
    /// No policy of the API permits it.
    PolicyDoesNotPermit = Forbidden, "", "no policy permits the request";
    /// The API's policies cannot be used.
    PolicyUnusable = AuthorizerUnusable, "", "the policies cannot be used";
    /// What decides cannot be used.
    AuthorizerUnusable = AuthorizerUnusable, "", "the authorizer cannot be used";
}

impl Denial {
    /// Of the metrics' counters.
    pub(crate) fn place(self) -> usize {
        self as usize
    }

    /// `WWW-Authenticate` (RFC 6750 section 3), in AWS's form; none where no token would help.
    pub(crate) fn challenge(self, scopes: &[String]) -> Option<HeaderValue> {
        let (error, description) = (self.error(), self.description());
        if self == Self::TokenMissing {
            return Some(HeaderValue::from_static("Bearer"));
        }
        if error.is_empty() {
            return None;
        }
        let scopes = scopes.join(" ");
        let text = format!(r#"Bearer scope="{scopes}" error="{error}" error_description="{description}""#);
        // Scopes were checked to be visible characters when they were set.
        HeaderValue::try_from(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_as_aws_writes_them() {
        let audience =
            r#"Bearer scope="" error="invalid_token" error_description="the token does not have a valid audience""#;
        assert_eq!(Denial::TokenAudience.challenge(&[]).unwrap(), audience);
        let scopes = ["a".to_owned(), "b:c".to_owned()];
        let scope = r#"Bearer scope="a b:c" error="insufficient_scope" error_description="the token does not have any of the required scopes""#;
        assert_eq!(Denial::TokenScope.challenge(&scopes).unwrap(), scope);
        assert_eq!(Denial::TokenMissing.challenge(&scopes).unwrap(), "Bearer");
        assert_eq!(Denial::SignatureMissing.challenge(&[]), None);
        assert!(Denial::ALL.iter().enumerate().all(|(place, denial)| denial.place() == place));
    }
}
