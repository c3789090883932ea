//! Headers by which gateways tell a backend who the client is. Ours alone may set them: a client's are never passed on.

mod headers;

use std::borrow::Cow;

pub(crate) use headers::{Headers, headers};

/// Whole names, in order.
const NAMES: [&str; 11] = [
    "client-cert",
    "client-cert-chain",
    "client-verify",
    "ssl-clientcert",
    "x-arr-clientcert",
    "x-client-dn",
    "x-client-issuer-dn",
    "x-client-serial",
    "x-client-subject-dn",
    "x-client-verify",
    "x-peer-certificate",
];

/// Beginnings of names.
const PREFIXES: [&str; 12] = [
    "cf-cert-",
    "cf-client-cert",
    "cloudfront-viewer-cert",
    "ssl-client-",
    "x-amzn-mtls-",
    "x-client-cert",
    "x-forwarded-client-cert",
    "x-forwarded-ssl-client",
    "x-forwarded-tls-client",
    "x-mtls-",
    "x-ssl-",
    "x-tls-client-",
];

/// Whether a name (as [`plain`] gives it) claims to say who the client is.
pub(crate) fn is_identity(name: &str) -> bool {
    if !matches!(name.as_bytes().first(), Some(b'c' | b's' | b'x')) {
        return false;
    }
    NAMES.binary_search(&name).is_ok() || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A header's name (lowercase) as backends may come to read it: those that make variables of headers, as CGI does, tell `_` and
/// other punctuation from `-` no more.
pub(crate) fn plain(name: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match name.bytes().all(is_plain) {
        true => name.into(),
        false => {
            name.bytes().map(|byte| if is_plain(byte) { char::from(byte) } else { '-' }).collect::<String>().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_every_usual_form_and_nothing_else() {
        let claims = [
            "Client-Cert",
            "Client-Cert-Chain",
            "X-Forwarded-Client-Cert",
            "X-Amzn-Mtls-Clientcert",
            "X-Amzn-Mtls-Clientcert-Leaf",
            "X-Amzn-Mtls-Clientcert-Serial-Number",
            "X-SSL-Client-Verify",
            "X-SSL-Client-S-DN",
            "X-Client-Cert",
            "X-Client-Certificate",
            "x_ssl_client_dn",
            "SSL_CLIENT_CERT",
            "Client_Cert",
            "X-Forwarded_Tls-Client_Cert-Info",
            "X.SSL.Client.Cert",
            "X!Forwarded~Client|Cert",
            "CloudFront-Viewer-Cert-Serial-Number",
            "X-Client-DN",
        ];
        let others =
            ["Cookie", "X-Client-Id", "X-Forwarded-Prefix", "Content-Type", "X_Request", "Authorization", "SSL"];
        for name in claims {
            assert!(is_identity(&plain(&name.to_ascii_lowercase())), "{name}");
        }
        for name in others {
            assert!(!is_identity(&plain(&name.to_ascii_lowercase())), "{name}");
        }
    }

    #[test]
    fn what_the_gateway_sets_is_never_taken_from_a_client() {
        for (style, names) in headers::NAMES_BY_STYLE {
            for name in *names {
                assert!(is_identity(name), "{style:?}: {name}");
            }
        }
    }

    #[test]
    fn names_are_in_the_order_that_they_are_searched_by() {
        assert!(NAMES.is_sorted());
    }
}
