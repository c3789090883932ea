//! Headers by which gateways tell a backend who the client is. Ours alone may set them: a client's are never passed on.

use http::HeaderMap;
use http::header::HeaderName;

/// Whole names, with `-` for `_`, in order.
const NAMES: [&str; 12] = [
    "client-cert",
    "client-cert-chain",
    "client-verify",
    "ssl-clientcert",
    "x-arr-clientcert",
    "x-client-dn",
    "x-client-issuer-dn",
    "x-client-serial",
    "x-client-verify",
    "x-forwarded-client-cert",
    "x-forwarded-client-cert-chain",
    "x-peer-certificate",
];

/// Beginnings of names, with `-` for `_`.
const PREFIXES: [&str; 10] = [
    "cf-cert-",
    "cf-client-cert",
    "ssl-client-",
    "x-amzn-mtls-",
    "x-client-cert",
    "x-forwarded-ssl-client",
    "x-forwarded-tls-client",
    "x-mtls-",
    "x-ssl-",
    "x-tls-client-",
];

/// Removes every one of them.
pub(crate) fn strip(headers: &mut HeaderMap) {
    while let Some(name) = headers.keys().find(|name| is_identity(name.as_str())) {
        let name: HeaderName = name.clone();
        headers.remove(name);
    }
}

/// Whether a (lowercase) name claims to say who the client is. Backends read `_` and `-` alike.
fn is_identity(name: &str) -> bool {
    if !matches!(name.as_bytes().first(), Some(b'c' | b's' | b'x')) {
        return false;
    }
    if name.contains('_') {
        return is_identity_in_dashes(&name.replace('_', "-"));
    }
    is_identity_in_dashes(name)
}

fn is_identity_in_dashes(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok() || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_every_usual_form_and_leaves_the_rest() {
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
            "X-Client-DN",
        ];
        let others =
            ["Cookie", "X-Client-Id", "X-Forwarded-Prefix", "Content-Type", "X_Request", "Authorization", "SSL"];
        let mut headers = HeaderMap::new();
        for name in claims.iter().chain(&others) {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name.clone(), "1".parse().unwrap());
            headers.append(name, "2".parse().unwrap());
        }
        strip(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        let mut wanted: Vec<String> = others.iter().map(|name| name.to_ascii_lowercase()).collect();
        left.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(left, wanted);
    }

    #[test]
    fn names_are_in_the_order_that_they_are_searched_by() {
        assert!(NAMES.is_sorted());
    }
}
