//! Parameter mapping of integrations: which keys there are ("Transform API requests and responses" in AWS's guide).

use std::collections::BTreeMap;

use aws::Error;
use model::mapping::{Mapping, MappingError};

const MAX_PARAMETERS: usize = 10;
/// Headers that a mapping may not touch; a trailing `*` stands for the rest of the name. AWS's, and those that say where a
/// message ends or what is to come in it.
const RESERVED_HEADERS: [&str; 23] = [
    "access-control-*",
    "apigw-*",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-location",
    "expect",
    "forwarded",
    "keep-alive",
    "origin",
    "proxy-*",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "x-amz-*",
    "x-amzn-*",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "via",
];

/// Checks `requestParameters`: `append|overwrite|remove:header.NAME`, the same of `querystring.NAME`, `overwrite:path`.
pub(super) fn check_request(parameters: &BTreeMap<String, String>) -> Result<(), Error> {
    check_count(parameters)?;
    parameters.keys().try_for_each(|key| {
        let known = match key.split_once(':') {
            Some(("overwrite", "path")) => true,
            Some((action @ ("append" | "overwrite" | "remove"), location)) => match location.split_once('.') {
                // A request has exactly one.
                Some(("header", name)) if name.eq_ignore_ascii_case("host") => action == "overwrite",
                Some(("header", name)) => is_free_header(name),
                Some(("querystring", name)) => !name.is_empty(),
                _ => false,
            },
            _ => false,
        };
        known_or_refused(known, key)
    })?;
    readable(Mapping::of_request(parameters, &BTreeMap::new()))
}

/// Checks `responseParameters`, by status code: `append|overwrite|remove:header.NAME`, `overwrite:statuscode`.
pub(super) fn check_response(by_status: &BTreeMap<String, BTreeMap<String, String>>) -> Result<(), Error> {
    for (status, parameters) in by_status {
        if !status.parse::<u16>().is_ok_and(|code| (200..600).contains(&code)) {
            return Err(Error::bad_request(format!("Invalid status code in responseParameters: {status}")));
        }
        check_count(parameters)?;
        parameters.keys().try_for_each(|key| {
            let known = match key.split_once(':') {
                Some(("overwrite", "statuscode")) => true,
                Some(("append" | "overwrite" | "remove", location)) => {
                    location.strip_prefix("header.").is_some_and(is_free_header)
                }
                _ => false,
            };
            known_or_refused(known, key)
        })?;
        readable(Mapping::of_response(parameters, &BTreeMap::new()))?;
    }
    Ok(())
}

/// What is stored is enforced: a value that the gateway could not fill in is refused. (Stage variables are not known yet.)
fn readable(read: Result<Mapping, MappingError>) -> Result<(), Error> {
    read.map(drop).map_err(|error| Error::bad_request(format!("Invalid mapping expression specified: {error}")))
}

fn check_count(parameters: &BTreeMap<String, String>) -> Result<(), Error> {
    if parameters.len() > MAX_PARAMETERS {
        return Err(Error::bad_request(format!("An integration maps at most {MAX_PARAMETERS} parameters")));
    }
    Ok(())
}

fn known_or_refused(known: bool, key: &str) -> Result<(), Error> {
    if known {
        Ok(())
    } else {
        Err(Error::bad_request(format!("Invalid mapping expression parameter specified: {key}")))
    }
}

pub(super) fn is_free_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // Many backends read the one as the other.
    let plain = name.replace('_', "-");
    let reserved = RESERVED_HEADERS.iter().any(|reserved| match reserved.strip_suffix('*') {
        Some(prefix) => plain.starts_with(prefix),
        None => plain == *reserved,
    });
    !reserved && http::HeaderName::try_from(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_keys() {
        for (key, good) in [
            ("append:header.x-client-dn", true),
            ("overwrite:querystring.a", true),
            ("remove:querystring.a", true),
            ("overwrite:path", true),
            ("append:path", false),
            ("overwrite:header.Forwarded", false),
            ("append:header.X-Amzn-Mtls", false),
            ("append:header.x_amzn_mtls", false),
            ("overwrite:header.transfer_encoding", false),
            ("append:header.expect", false),
            ("overwrite:header.Host", true),
            ("append:header.host", false),
            ("remove:header.HOST", false),
            ("append:header.", false),
            ("append:header.a b", false),
            ("header.x", false),
            ("", false),
        ] {
            let parameters = BTreeMap::from([(key.to_owned(), "$context.requestId".to_owned())]);
            assert_eq!(check_request(&parameters).is_ok(), good, "{key}");
        }
    }

    #[test]
    fn response_keys() {
        for (status, key, good) in [
            ("200", "overwrite:statuscode", true),
            ("599", "remove:header.server", true),
            ("199", "remove:header.server", false),
            ("default", "remove:header.server", false),
            ("200", "overwrite:path", false),
            ("200", "append:header.access-control-allow-origin", false),
        ] {
            let parameters = BTreeMap::from([(key.to_owned(), "403".to_owned())]);
            assert_eq!(
                check_response(&BTreeMap::from([(status.to_owned(), parameters)])).is_ok(),
                good,
                "{status} {key}"
            );
        }
    }

    #[test]
    fn values_that_could_never_be_filled_in_are_refused() {
        for (value, good) in [
            ("text of its own", true),
            ("''", true),
            ("$context.identity.clientCert.subjectDN", true),
            ("${request.path.id}-${stageVariables.any}", true),
            ("$request.querystring.q", true),
            ("$request.body.name", true),
            ("$request.body", false),
            ("$request.body.*", false),
            ("$response.body.name", false),
            ("$response.header.x", false),
            ("$context.identity.clientCert.subject", false),
            ("$context.authorizer.claims.sub", true),
            ("$context.authorizer.tenant", true),
            ("${request.header.x", false),
            ("$anything", false),
        ] {
            let parameters = BTreeMap::from([("append:header.x".to_owned(), value.to_owned())]);
            let checked = check_request(&parameters);
            assert_eq!(checked.is_ok(), good, "{value}: {checked:?}");
        }
        for (key, value, good) in [
            ("append:header.x", "$response.header.y", true),
            ("append:header.x", "$response.body.y", true),
            ("append:header.x", "$response.body..y", false),
            ("append:header.x", "$request.body.y", false),
            ("append:header.x", "$request.header.y", false),
            ("overwrite:statuscode", "403", true),
            ("overwrite:statuscode", "$stageVariables.status", true),
            ("overwrite:statuscode", "204", false),
            ("overwrite:statuscode", "teapot", false),
        ] {
            let parameters = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            let checked = check_response(&BTreeMap::from([("200".to_owned(), parameters)]));
            assert_eq!(checked.is_ok(), good, "{key} {value}: {checked:?}");
        }
    }
}
