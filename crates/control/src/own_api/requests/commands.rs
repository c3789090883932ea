//! What puts right what a request was refused for, as commands for a shell.

use journal::AccessRecord;
use model::resource::{Domain, NamedObject};
use trust::Code;

use super::explanation::Place;
use crate::shell::quote;

/// Of an object whose bucket keeps no versions.
const NO_VERSION: &str = "null";

/// What lets the client in that was refused, where that is a change of the truststore. `found_in`: where its issuer was found.
pub(super) fn of(domain: &Domain, record: &AccessRecord<'_>, found_in: Option<&Place>) -> Option<Vec<String>> {
    let refusal = record.refusal.as_ref()?;
    match found_in {
        Some(place) if place.kind == "enforced-now" => return None,
        Some(place) if place.domain == domain.name => {
            return Some(vec![pin(domain, &place.uri, &quote(&place.version))]);
        }
        _ => {}
    }
    let NamedObject { uri, read_version, newest, .. } = domain.mutual_tls.as_ref()?;
    let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
    let (bucket, key) = (quote(bucket), quote(key));
    let found_in_version =
        |version: &str| refusal.evidence.iter().any(|(name, value)| name == "found_in" && value.contains(version));
    if let Some(newest) = newest.as_ref().filter(|newest| found_in_version(&newest.version)) {
        return Some(vec![pin(domain, uri, &quote(&newest.version))]);
    }
    let file = match refusal.code {
        Code::ClientCertUntrusted | Code::ClientCertSignatureInvalid | Code::ClientCertChainIncomplete => "issuer.pem",
        Code::ClientCertSelfSigned => "client.pem",
        _ => return None,
    };
    let version = Some(read_version).filter(|version| *version != NO_VERSION);
    let version = version.map(|version| format!(" --version-id {}", quote(version))).unwrap_or_default();
    Some(vec![
        format!("aws s3api get-object --bucket {bucket} --key {key}{version} truststore.pem"),
        format!("cat {file} >> truststore.pem"),
        "countersign truststore lint truststore.pem".to_owned(),
        format!(
            "VERSION=$(aws s3api put-object --bucket {bucket} --key {key} --body truststore.pem --query VersionId --output text)"
        ),
        pin(domain, uri, "\"$VERSION\""),
    ])
}

/// `version` is quoted already.
fn pin(domain: &Domain, uri: &str, version: &str) -> String {
    format!(
        "aws apigatewayv2 update-domain-name --domain-name {} --domain-name-configurations CertificateArn={} \
         --mutual-tls-authentication TruststoreUri={},TruststoreVersion={version}",
        quote(&domain.name),
        quote(&domain.certificate_arn),
        quote(uri)
    )
}

#[cfg(test)]
mod tests {
    use model::resource::NewerVersion;
    use serde_json::json;

    use super::*;

    fn record(code: &str, found_in: Option<&str>) -> AccessRecord<'static> {
        let evidence: Vec<(&str, &str)> = found_in.map(|place| ("found_in", place)).into_iter().collect();
        let record = json!({
            "time_ms": 1_800_000_000_000_i64, "request_id": "Mc7UVioPPHcEKPA=", "status": 403, "revision": 7,
            "source": "127.0.0.1:5", "refusal": {"code": code, "detail": "the reason", "evidence": evidence},
        });
        serde_json::from_value(record).unwrap()
    }

    fn domain() -> Domain {
        let mut domain = crate::apigatewayv2::tests_domain();
        domain.name = "api.example.com".to_owned();
        domain.certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1".to_owned();
        let object = domain.mutual_tls.as_mut().unwrap();
        object.uri = "s3://bucket/a b.pem".to_owned();
        object.read_version = "v1".to_owned();
        object.newest = Some(NewerVersion { version: "v2".to_owned(), digest: None, seen: 0 });
        domain
    }

    #[test]
    fn a_stale_pin_is_one_command() {
        let stale = record("ClientCertUntrusted", Some("version v2 of s3://bucket/a b.pem"));
        let commands = of(&domain(), &stale, None).unwrap();
        assert_eq!(
            commands,
            ["aws apigatewayv2 update-domain-name --domain-name api.example.com --domain-name-configurations \
              CertificateArn=arn:aws:acm:us-east-1:123456789012:certificate/1 --mutual-tls-authentication \
              TruststoreUri='s3://bucket/a b.pem',TruststoreVersion=v2"]
        );
    }

    #[test]
    fn a_missing_issuer_is_added() {
        let commands = of(&domain(), &record("ClientCertUntrusted", None), None).unwrap();
        assert!(commands[0].contains("--key 'a b.pem' --version-id v1 truststore.pem"), "{commands:?}");
        assert!(commands[4].ends_with("TruststoreVersion=\"$VERSION\""), "{commands:?}");
        assert_eq!(of(&domain(), &record("ClientCertExpired", None), None), None, "no truststore helps");
        let open = Domain { mutual_tls: None, ..domain() };
        assert_eq!(of(&open, &record("ClientCertUntrusted", None), None), None);
    }

    #[test]
    fn an_earlier_version_is_one_command_too() {
        let refused = record("ClientCertUntrusted", None);
        let found_in = |kind, domain| Place::somewhere(kind, domain, "s3://bucket/old.pem", "v0");
        let older = of(&domain(), &refused, Some(&found_in("older-version", "api.example.com"))).unwrap();
        assert!(older[0].ends_with("TruststoreUri=s3://bucket/old.pem,TruststoreVersion=v0"), "{older:?}");
        assert_eq!(older.len(), 1);
        assert_eq!(of(&domain(), &refused, Some(&found_in("enforced-now", "api.example.com"))), None);
        let others = of(&domain(), &refused, Some(&found_in("other-domain", "b.example.com"))).unwrap();
        assert_eq!(others.len(), 5, "what another domain trusts is not taken over as a whole: {others:?}");
    }
}
