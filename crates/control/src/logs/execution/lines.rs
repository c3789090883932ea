//! The lines of one request, in AWS's words.

use journal::AccessRecord;
use model::resource::LogLevel;

/// What is logged of a request.
pub(super) fn of(record: &AccessRecord<'_>, level: LogLevel) -> Vec<String> {
    let failed = record.refusal.is_some() || record.denial.is_some() || record.status >= 500;
    let texts = match level {
        LogLevel::Off => return Vec::new(),
        LogLevel::Error if !failed => return Vec::new(),
        LogLevel::Error => why(record),
        LogLevel::Info => all(record),
    };
    texts.into_iter().map(|text| format!("({}) {text}", record.request_id)).collect()
}

fn all(record: &AccessRecord<'_>) -> Vec<String> {
    if record.refusal.is_some() {
        return why(record);
    }
    let id = &record.request_id;
    let mut texts = vec![format!("Starting execution for request: {id}")];
    texts.push(format!("HTTP Method: {}, Resource Path: {}", record.method, resource_path(record)));
    if !record.route.is_empty() {
        texts.push(format!("Method request path: {}", parameters(&record.route, resource_path(record))));
    }
    let why = why(record);
    if why.is_empty() {
        texts.push("Successfully completed execution".to_owned());
    }
    texts.extend(why);
    texts.push(format!("Method completed with status: {}", record.status));
    texts
}

/// Why it failed; nothing, where it did not.
fn why(record: &AccessRecord<'_>) -> Vec<String> {
    if let Some(refusal) = &record.refusal {
        return vec![refusal.code.message().to_owned()];
    }
    let id = &record.request_id;
    if let Some(denial) = &record.denial {
        let place = format!("{} {}", record.method, record.route);
        let text = match &*denial.code {
            "ApiKeyMissing" | "ApiKeyUnknown" => {
                format!("API Key not authorized because method '{place}' requires API Key and {}", denial.detail)
            }
            "AuthorizerFailed" | "AuthorizerUnusable" | "PolicyUnusable" => {
                format!("Execution failed due to configuration error: {}", denial.detail)
            }
            _ if record.status == 401 => format!("Unauthorized request: {id}"),
            _ => "The client is not authorized to perform this operation.".to_owned(),
        };
        return vec![text, format!("Reason: {} ({})", denial.detail, denial.code)];
    }
    match record.status {
        504 => vec!["Execution failed due to a timeout error".to_owned()],
        status @ 500.. => vec![format!("Execution failed with status {status}")],
        _ => Vec::new(),
    }
}

/// The path below the stage.
fn resource_path<'r>(record: &'r AccessRecord<'_>) -> &'r str {
    let stage = record.stage.as_deref().unwrap_or_default();
    let below = record.path.strip_prefix('/').and_then(|path| path.strip_prefix(stage));
    match below {
        Some("") => "/",
        Some(below) if below.starts_with('/') && !stage.is_empty() => below,
        _ => &record.path,
    }
}

/// `{id=1, proxy=a/b}`: what of a path is where its resource has names. What is kept out of records is not there.
fn parameters(resource: &str, path: &str) -> String {
    let mut rest = path.split('/');
    let mut found = Vec::new();
    for part in resource.split('/') {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        match name.map(|name| (name, name.strip_suffix('+'))) {
            Some((_, Some(greedy))) => {
                found.push(format!("{greedy}={}", rest.by_ref().collect::<Vec<_>>().join("/")));
            }
            Some((name, None)) => {
                let value = rest.next().unwrap_or_default();
                found.extend((value != part).then(|| format!("{name}={value}")));
            }
            None => drop(rest.next()),
        }
    }
    format!("{{{}}}", found.join(", "))
}

#[cfg(test)]
mod tests {
    use journal::{Denial, Refusal};

    use super::*;

    fn record(status: u16) -> AccessRecord<'static> {
        let json = format!(
            r#"{{"time_ms":1,"request_id":"ID","status":{status},"revision":0,"source":"[::1]:1","api_id":"a","stage":"prod",
                "method":"GET","route":"/pets/{{id}}","path":"/prod/pets/7"}}"#
        );
        let record: AccessRecord<'_> = serde_json::from_str(&json).unwrap();
        serde_json::from_value(serde_json::to_value(&record).unwrap()).unwrap()
    }

    #[test]
    fn a_request_that_succeeds() {
        assert_eq!(
            of(&record(200), LogLevel::Info),
            [
                "(ID) Starting execution for request: ID",
                "(ID) HTTP Method: GET, Resource Path: /pets/7",
                "(ID) Method request path: {id=7}",
                "(ID) Successfully completed execution",
                "(ID) Method completed with status: 200",
            ]
        );
        assert_eq!(of(&record(404), LogLevel::Error), [""; 0]);
        assert_eq!(of(&record(500), LogLevel::Off), [""; 0]);
    }

    #[test]
    fn requests_that_fail() {
        assert_eq!(of(&record(504), LogLevel::Error), ["(ID) Execution failed due to a timeout error"]);
        assert_eq!(
            of(&record(503), LogLevel::Info)[3..],
            ["(ID) Execution failed with status 503", "(ID) Method completed with status: 503",]
        );
        let denied = |code: &'static str, status| AccessRecord {
            denial: Some(Denial { code: code.into(), detail: "why".into() }),
            ..record(status)
        };
        for (code, status, text) in [
            ("TokenExpired", 401, "Unauthorized request: ID"),
            ("FunctionDenied", 403, "The client is not authorized to perform this operation."),
            ("ApiKeyMissing", 403, "API Key not authorized because method 'GET /pets/{id}' requires API Key and why"),
            ("AuthorizerFailed", 500, "Execution failed due to configuration error: why"),
        ] {
            let lines = of(&denied(code, status), LogLevel::Error);
            assert_eq!(lines, [format!("(ID) {text}"), format!("(ID) Reason: why ({code})")]);
            assert_eq!(of(&denied(code, status), LogLevel::Info)[3..5], lines);
        }
        let refused = AccessRecord {
            refusal: Some(Refusal {
                code: trust::Code::ClientCertUntrusted,
                detail: "".into(),
                explanation: "".into(),
                fix: "".into(),
                evidence: Vec::new(),
                chain_sha256: None,
            }),
            ..record(403)
        };
        let line = "(ID) Access denied. Reason: Could not find issuer for certificate";
        assert_eq!(
            (of(&refused, LogLevel::Info), of(&refused, LogLevel::Error)),
            (vec![line.into()], vec![line.into()])
        );
    }

    #[test]
    fn what_paths_say() {
        for (resource, path, expected) in [
            ("/", "/", "{}"),
            ("/pets/{id}", "/pets/7", "{id=7}"),
            ("/{a}/x/{b}", "/1/x/2", "{a=1, b=2}"),
            ("/x/{proxy+}", "/x/a/b", "{proxy=a/b}"),
            ("/pets/{id}", "/", "{id=}"),
            ("/pets/{id}/{b}", "/pets/{id}/7", "{b=7}"),
        ] {
            assert_eq!(parameters(resource, path), expected);
        }
        for (path, expected) in [("/prod", "/"), ("/prod/a", "/a"), ("/production", "/production"), ("/a", "/a")] {
            assert_eq!(resource_path(&AccessRecord { path: path.into(), ..record(200) }), expected);
        }
    }
}
