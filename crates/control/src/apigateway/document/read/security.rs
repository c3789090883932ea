//! Who may call a method.

use aws::Error;
use aws::apigateway as wire;

use super::Reading;
use crate::openapi::{Node, Version, credentials_ignored};

const AUTHORIZER: &str = "x-amazon-apigateway-authorizer";
const AUTH_TYPE: &str = "x-amazon-apigateway-authtype";
const SIGNATURE: &str = "awsSigv4";
const API_KEY_HEADER: &str = "x-api-key";

/// What a security scheme means here.
pub(super) enum Scheme {
    /// A function says who.
    Authorizer,
    /// An API key in `x-api-key`.
    ApiKey,
    /// A signature with an access key.
    Signature,
    /// Nothing.
    Other,
}

/// What a method asks of its callers.
pub(super) struct Access {
    /// `authorizationType`
    pub(super) authorization: &'static str,
    /// By name.
    pub(super) authorizer: Option<String>,
    pub(super) api_key: bool,
}

impl<'d> Reading<'d> {
    pub(super) fn schemes(&mut self, root: &Node<'d>) -> Result<(), Error> {
        let schemes = match self.version {
            Version::Swagger2 => root.get("securityDefinitions")?,
            Version::OpenApi3 => {
                root.get("components")?.map(|components| components.get("securitySchemes")).transpose()?.flatten()
            }
        };
        for (name, scheme) in schemes.map(|schemes| schemes.entries()).transpose()?.unwrap_or_default() {
            let text = |member: &str| Ok::<_, Error>(scheme.text_of(member)?.unwrap_or_default());
            let kind = if let Some(node) = scheme.get(AUTHORIZER)? {
                let authorizer = self.authorizer(name, &scheme, &node)?;
                self.definition.authorizers.push(authorizer);
                Scheme::Authorizer
            } else if text(AUTH_TYPE)?.eq_ignore_ascii_case(SIGNATURE) {
                Scheme::Signature
            } else if text("type")? == "apiKey"
                && text("in")? == "header"
                && text("name")?.eq_ignore_ascii_case(API_KEY_HEADER)
            {
                Scheme::ApiKey
            } else {
                Scheme::Other
            };
            self.schemes.insert(name.to_owned(), kind);
        }
        Ok(())
    }

    /// All requirements of an operation hold together, as on AWS: an API key beside an authorizer or a signature, of which there is
    /// one. `method` names it for people.
    pub(super) fn access(&mut self, node: &Node<'d>, method: &str) -> Result<Access, Error> {
        let mut access = Access { authorization: "NONE", authorizer: None, api_key: false };
        let own = node.get("security")?;
        let requirements = own.as_ref().or(self.security.as_ref()).map(|security| security.items()).transpose()?;
        let mut without_meaning = None;
        for requirement in requirements.unwrap_or_default() {
            for (name, _) in requirement.entries()? {
                let is_second = access.authorization != "NONE";
                match self.schemes.get(name) {
                    Some(Scheme::ApiKey) => access.api_key = true,
                    Some(Scheme::Authorizer | Scheme::Signature) if is_second => self.warn(format!(
                        "{method}: a method has one authorizer: of several security schemes {name} does not hold."
                    )),
                    Some(Scheme::Authorizer) => {
                        access.authorization = "CUSTOM";
                        access.authorizer = Some(name.to_owned());
                    }
                    Some(Scheme::Signature) => access.authorization = "AWS_IAM",
                    Some(Scheme::Other) | None => without_meaning = Some(name.to_owned()),
                }
            }
        }
        if let Some(auth) = node.get("x-amazon-apigateway-auth")? {
            access.authorization = match auth.text_of("type")?.unwrap_or_default().to_ascii_uppercase().as_str() {
                "AWS_IAM" => "AWS_IAM",
                "NONE" => "NONE",
                _ => return Err(auth.wrong("type is NONE or AWS_IAM")),
            };
            access.authorizer = None;
        }
        if let Some(name) = without_meaning.filter(|_| access.authorization == "NONE") {
            self.warn(format!("{method}: the security scheme {name} has no {AUTHORIZER}: the method is open to all."));
        }
        Ok(access)
    }

    fn authorizer(
        &mut self,
        name: &str,
        scheme: &Node<'_>,
        node: &Node<'_>,
    ) -> Result<wire::CreateAuthorizerRequest, Error> {
        if node.get("authorizerCredentials")?.is_some() {
            self.warn(credentials_ignored(node));
        }
        let kind = node.text_of("type")?.unwrap_or_default().to_ascii_uppercase();
        let kind = wire::AuthorizerType::parse(&kind)
            .ok_or_else(|| node.wrong(&format!("'{kind}' is no type of authorizers: token and request are")))?;
        // The scheme itself says where a token is.
        let header = scheme.text_of("name")?.filter(|_| kind == wire::AuthorizerType::Token);
        let of_scheme = header.map(|name| format!("method.request.header.{name}"));
        let ttl = node.get("authorizerResultTtlInSeconds")?;
        Ok(wire::CreateAuthorizerRequest {
            auth_type: scheme.text_of(AUTH_TYPE)?,
            authorizer_credentials: None,
            authorizer_result_ttl_in_seconds: ttl.map(|ttl| ttl.integer()).transpose()?,
            authorizer_uri: node.text_of("authorizerUri")?,
            identity_source: node.text_of("identitySource")?.or(of_scheme),
            identity_validation_expression: node.text_of("identityValidationExpression")?,
            name: name.to_owned(),
            provider_ar_ns: node.get("providerARNs")?.map(|arns| arns.texts()).transpose()?,
            rest_api_id: String::new(),
            r#type: kind,
        })
    }
}
