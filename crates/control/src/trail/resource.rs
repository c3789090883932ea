//! What a request names, as an ARN.

use aws::{Protocol, Service};
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Members of a JSON request that name what it is about.
const ARNS: [&str; 4] = ["CertificateArn", "certificateArn", "resourceArn", "logGroupIdentifier"];
const GROUP: &str = "logGroupName";

/// The ARN of what a request is about; `*` where it names nothing.
pub(crate) fn of(service: &Service, parts: &Parts, body: &[u8], region: &str, account: &str) -> String {
    let named = match service.protocol {
        Protocol::RestJson => Some(of_path(parts.uri.path(), region)),
        Protocol::Json11 => of_json(body, region, account),
        Protocol::RestXml => of_zone(parts.uri.path()),
        Protocol::Query => of_form(body, account),
    };
    named.unwrap_or_else(|| "*".to_owned())
}

/// API Gateway's ARNs are paths, the same in both versions.
fn of_path(path: &str, region: &str) -> String {
    let path = path.strip_prefix("/v2").unwrap_or(path);
    match path.strip_prefix("/tags/") {
        Some(arn) => percent_decode_str(arn).decode_utf8_lossy().into_owned(),
        None => format!("arn:aws:apigateway:{region}::{path}"),
    }
}

/// Route 53's are global. A path is a version, what there is, and its id.
fn of_zone(path: &str) -> Option<String> {
    let path: Vec<&str> = path.split('/').skip(2).collect();
    match path[..] {
        ["hostedzone", id, ..] | ["tags", "hostedzone", id, ..] => Some(format!("arn:aws:route53:::hostedzone/{id}")),
        ["change", id] => Some(format!("arn:aws:route53:::change/{id}")),
        _ => None,
    }
}

fn of_json(body: &[u8], region: &str, account: &str) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = |name: &&str| body.get(*name)?.as_str().map(str::to_owned);
    let group = |name: String| format!("arn:aws:logs:{region}:{account}:log-group:{name}");
    ARNS.iter().find_map(text).or_else(|| text(&GROUP).map(group))
}

/// IAM's and STS's resources, without their paths.
fn of_form(body: &[u8], account: &str) -> Option<String> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let body = std::str::from_utf8(body).ok()?;
    let text = |name: &str| body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(decoded);
    let named = |kind: &str, name: String| format!("arn:aws:iam::{account}:{kind}/{name}");
    let by_name = [("group", "GroupName"), ("role", "RoleName"), ("user", "UserName")];
    let by_name = || by_name.iter().find_map(|(kind, name)| Some(named(kind, text(name)?)));
    by_name()
        .or_else(|| text("RoleArn"))
        .or_else(|| text("PolicyArn"))
        .or_else(|| text("PolicyName").map(|name| named("policy", name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_names() {
        let at = |uri: &str| http::Request::builder().uri(uri).body(()).unwrap().into_parts().0;
        let of = |service, uri: &str, body: &str| of(service, &at(uri), body.as_bytes(), "eu-west-1", "123456789012");
        let (v2, logs, acm) = (&aws::apigatewayv2::SERVICE, &aws::logs::SERVICE, &aws::acm::SERVICE);
        let (zones, iam) = (&aws::route53::SERVICE, &aws::iam::SERVICE);
        for (service, uri, body, expected) in [
            (v2, "/v2/domainnames/a.test?x=y", "", "arn:aws:apigateway:eu-west-1::/domainnames/a.test"),
            (v2, "/v2/tags/arn%3Aaws%3Ax%3A%2Fapis%2Fa", "", "arn:aws:x:/apis/a"),
            (logs, "/", r#"{"logGroupName":"g"}"#, "arn:aws:logs:eu-west-1:123456789012:log-group:g"),
            (acm, "/", r#"{"CertificateArn":"arn:aws:acm:x"}"#, "arn:aws:acm:x"),
            (zones, "/2013-04-01/hostedzone/Z1/rrset/", "<x/>", "arn:aws:route53:::hostedzone/Z1"),
            (zones, "/2013-04-01/tags/hostedzone/Z1", "", "arn:aws:route53:::hostedzone/Z1"),
            (zones, "/2013-04-01/hostedzonecount", "", "*"),
            (acm, "/", r#"{"CertificateArn":7}"#, "*"),
            (acm, "/", "[", "*"),
            (iam, "/", "Action=PutUserPolicy&UserName=al%40b&PolicyName=p", "arn:aws:iam::123456789012:user/al@b"),
            (iam, "/", "Action=CreatePolicy&PolicyName=p", "arn:aws:iam::123456789012:policy/p"),
            (iam, "/", "Action=ListUsers", "*"),
        ] {
            assert_eq!(of(service, uri, body), expected);
        }
    }
}
