//! What a caller may do. Every decision is made here, by the policies of who calls; what is asked of them, [`needs`] says.

pub(crate) mod needs;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use aws::{Asked, Authority, Error};
use iam_policy::{Context, Refusal, Request};
use model::{Bearer, Identities, State, UnixMillis, value_of_time};

/// The rights of one request's caller, with what conditions look at.
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    pub(crate) bearer: Bearer,
    pub(crate) circumstances: Circumstances,
}

/// What conditions find of how somebody calls.
#[derive(Clone, Debug)]
pub(crate) struct Circumstances {
    /// `aws:SourceIp`
    pub(crate) source_ip: Option<IpAddr>,
    /// `aws:SecureTransport`
    pub(crate) tls: bool,
    /// `aws:UserAgent`
    pub(crate) user_agent: String,
    /// `aws:RequestedRegion`
    pub(crate) region: String,
    /// `aws:CurrentTime`
    pub(crate) at: UnixMillis,
}

/// The identities of the newest state that was asked for: compiled once a change, not once a call.
#[derive(Default)]
pub(crate) struct CompiledIdentities(Mutex<Arc<Identities>>);

impl CompiledIdentities {
    pub(crate) fn of(&self, state: &State) -> Arc<Identities> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !newest.are_of(state) {
            *newest = Arc::new(Identities::of(state, &newest));
        }
        Arc::clone(&newest)
    }
}

impl Authority for Authorization {
    fn authorize(&self, asked: &Asked<'_>) -> Result<(), Error> {
        let Asked { action, resources, .. } = *asked;
        self.decide(asked).map_err(|refusal| {
            let resource = resources.first().copied().unwrap_or("*");
            // S3 quotes what it names.
            let quote = if action.starts_with("s3:") { "\"" } else { "" };
            Error::access_denied(format!(
                "User: {} is not authorized to perform: {action} on resource: {quote}{resource}{quote} {}",
                self.bearer.arn,
                refusal.because(action)
            ))
        })
    }

    fn denies(&self, asked: &Asked<'_>) -> bool {
        self.decide(asked).is_err_and(|refusal| refusal.explicit)
    }

    fn value(&self, key: &str) -> Option<String> {
        let Self { bearer, circumstances } = self;
        match key {
            "aws:sourceip" => circumstances.source_ip.map(|address| address.to_canonical().to_string()),
            "aws:securetransport" => Some(circumstances.tls.to_string()),
            "aws:useragent" => Some(circumstances.user_agent.clone()).filter(|agent| !agent.is_empty()),
            "aws:requestedregion" => Some(circumstances.region.clone()),
            _ => bearer.value(key).or_else(|| value_of_time(circumstances.at, key)),
        }
    }
}

impl Authorization {
    fn decide(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let Some(rights) = &self.bearer.rights else { return Ok(()) };
        let context = Whole { authorization: self, of_request: asked.context };
        rights.decide(&Request::new(asked.action, asked.resources, &context))
    }
}

/// The context of one question.
struct Whole<'a> {
    authorization: &'a Authorization,
    of_request: &'a [(String, Vec<String>)],
}

impl Context for Whole<'_> {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        let of_request = self.of_request.iter().find(|(name, _)| name == key).map(|(_, values)| values.clone());
        of_request.or_else(|| self.authorization.value(key).map(|value| vec![value]))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use aws::Caller;
    use iam_policy::{Kind, Policy, Rights};
    use model::resource::Tags;

    use super::*;

    fn authorization(document: &str) -> Authorization {
        let policy = Policy::parse(document, Kind::Identity).unwrap();
        Authorization {
            bearer: Bearer {
                arn: "arn:aws:iam::123456789012:user/alice".to_owned(),
                principal_arn: "arn:aws:iam::123456789012:user/alice".to_owned(),
                kind: "User",
                user_name: Some("alice".to_owned()),
                user_id: "AIDA".to_owned(),
                tags: Tags::from([("Team".to_owned(), "blue".to_owned())]),
                issued: None,
                rights: Some(Rights { identity: vec![Arc::new(policy)], ..Rights::default() }),
            },
            circumstances: Circumstances {
                source_ip: Some([203, 0, 113, 7].into()),
                tls: false,
                user_agent: "aws-cli/1".to_owned(),
                region: "eu-west-1".to_owned(),
                at: 1_780_315_200_000,
            },
        }
    }

    /// The administrator, who calls in a region.
    pub(crate) fn caller(region: &str) -> Caller {
        let mut authority = authorization(r#"{"Statement": []}"#);
        authority.bearer.rights = None;
        Caller {
            access_key_id: "AKIA".to_owned(),
            arn: "arn:aws:iam::123456789012:user/admin".to_owned(),
            principal_arn: "arn:aws:iam::123456789012:user/admin".to_owned(),
            temporary: false,
            authority: Arc::new(authority),
            user_id: "AIDA".to_owned(),
            account: "123456789012".to_owned(),
            region: region.to_owned(),
            source_ip: [127, 0, 0, 1].into(),
            request_id: "r".to_owned(),
            at: 0,
            user_agent: String::new(),
            service: "acm",
            operation: "",
            resource: "*".to_owned(),
            recorded: Arc::default(),
        }
    }

    #[test]
    fn what_is_refused_is_told_in_awss_words() {
        let domain = "arn:aws:apigateway:eu-west-1::/domainnames/api.example.com";
        let asked = Asked { action: "apigateway:PATCH", resources: &[domain], context: &[] };
        let told = |document: &str| authorization(document).authorize(&asked).unwrap_err();
        let none = told(r#"{"Statement": []}"#);
        assert_eq!((none.code, none.status.as_u16()), ("AccessDeniedException", 403));
        assert_eq!(
            none.message,
            format!(
                "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: apigateway:PATCH on resource: {domain} because no identity-based policy allows the apigateway:PATCH action"
            )
        );
        let denied = told(r#"{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}"#);
        assert!(
            denied
                .message
                .ends_with(&format!("on resource: {domain} with an explicit deny in an identity-based policy"))
        );
        let mut administrator = authorization(r#"{"Statement": []}"#);
        administrator.bearer.rights = None;
        assert_eq!(administrator.authorize(&asked), Ok(()));
    }

    #[test]
    fn conditions_see_who_calls_and_how() {
        for (key, value) in [
            ("aws:SourceIp", "203.0.113.7"),
            ("aws:username", "alice"),
            ("aws:userid", "AIDA"),
            ("aws:PrincipalTag/team", "blue"),
            ("aws:PrincipalArn", "arn:aws:iam::123456789012:user/alice"),
            ("aws:PrincipalAccount", "123456789012"),
            ("aws:PrincipalType", "User"),
            ("aws:SecureTransport", "false"),
            ("aws:UserAgent", "aws-cli/1"),
            ("aws:RequestedRegion", "eu-west-1"),
            ("aws:CurrentTime", "2026-06-01T12:00:00Z"),
            ("aws:EpochTime", "1780315200"),
            ("aws:TagKeys", "env"),
        ] {
            let document = format!(
                r#"{{"Statement": {{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {{"StringEquals": {{"{key}": "{value}"}}}}}}}}"#
            );
            let context = [("aws:tagkeys".to_owned(), vec!["env".to_owned()])];
            let asked = Asked { action: "acm:ListCertificates", resources: &["*"], context: &context };
            assert_eq!(authorization(&document).authorize(&asked), Ok(()), "{key}");
        }
    }
}
