//! The names of `$context`.

use std::fmt;

macro_rules! variables {
    ($($variant:ident = $name:literal,)*) => {
        /// Something of a request that an access log format can name: `$context.`NAME, where NAME is what `Display`
        /// prints.
        ///
        /// The variables of HTTP APIs ("Customize HTTP API access logs" in AWS's developer guide) and those that REST
        /// APIs add.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Variable {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// `identity.clientCert`, whole or one member of it.
            ClientCert(CertificateField),
            /// `authorizer.claims.` and this: a claim of the JWT.
            AuthorizerClaim(Box<str>),
            /// `authorizer.` and this: a member of a Lambda authorizer's context.
            Authorizer(Box<str>),
            /// A name that is none of these.
            Unknown(Box<str>),
        }

        impl Variable {
            /// Every variable that is one name, those of the certificate left out.
            #[cfg(test)]
            pub(super) const FIXED: &[Self] = &[$(Self::$variant,)*];

            fn fixed(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for Variable {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($name),)*
                    Self::ClientCert(field) => f.write_str(field.name()),
                    Self::AuthorizerClaim(claim) => write!(f, "{CLAIMS}{claim}"),
                    Self::Authorizer(member) => write!(f, "{AUTHORIZER}{member}"),
                    Self::Unknown(name) => f.write_str(name),
                }
            }
        }
    };
}

variables! {
    AccountId = "accountId",
    ApiId = "apiId",
    AuthenticateError = "authenticate.error",
    AuthenticateLatency = "authenticate.latency",
    AuthenticateStatus = "authenticate.status",
    AuthorizeError = "authorize.error",
    AuthorizeLatency = "authorize.latency",
    AuthorizeStatus = "authorize.status",
    AuthorizerError = "authorizer.error",
    AuthorizerIntegrationLatency = "authorizer.integrationLatency",
    AuthorizerIntegrationStatus = "authorizer.integrationStatus",
    AuthorizerLatency = "authorizer.latency",
    AuthorizerPrincipalId = "authorizer.principalId",
    AuthorizerRequestId = "authorizer.requestId",
    AuthorizerStatus = "authorizer.status",
    AwsEndpointRequestId = "awsEndpointRequestId",
    AwsEndpointRequestId2 = "awsEndpointRequestId2",
    CipherSuite = "cipherSuite",
    BasePathMatched = "customDomain.basePathMatched",
    RoutingRuleIdMatched = "customDomain.routingRuleIdMatched",
    DataProcessed = "dataProcessed",
    DeploymentId = "deploymentId",
    DomainName = "domainName",
    DomainPrefix = "domainPrefix",
    ErrorMessage = "error.message",
    ErrorMessageString = "error.messageString",
    ErrorResponseType = "error.responseType",
    ErrorValidationErrorString = "error.validationErrorString",
    ExtendedRequestId = "extendedRequestId",
    HttpMethod = "httpMethod",
    IdentityAccountId = "identity.accountId",
    IdentityApiKey = "identity.apiKey",
    IdentityApiKeyId = "identity.apiKeyId",
    IdentityCaller = "identity.caller",
    IdentityPrincipalOrgId = "identity.principalOrgId",
    IdentitySourceIp = "identity.sourceIp",
    IdentityUser = "identity.user",
    IdentityUserAgent = "identity.userAgent",
    IdentityUserArn = "identity.userArn",
    IntegrationError = "integration.error",
    IntegrationIntegrationStatus = "integration.integrationStatus",
    IntegrationLatencyOf = "integration.latency",
    IntegrationRequestId = "integration.requestId",
    IntegrationStatusOf = "integration.status",
    IntegrationErrorMessage = "integrationErrorMessage",
    IntegrationLatency = "integrationLatency",
    IntegrationStatus = "integrationStatus",
    Path = "path",
    Protocol = "protocol",
    RequestId = "requestId",
    RequestTime = "requestTime",
    RequestTimeEpoch = "requestTimeEpoch",
    ResourceId = "resourceId",
    ResourcePath = "resourcePath",
    ResponseLatency = "responseLatency",
    ResponseLength = "responseLength",
    ResponseOverrideStatus = "responseOverride.status",
    RouteKey = "routeKey",
    Stage = "stage",
    Status = "status",
    TlsVersion = "tlsVersion",
    WafResponseCode = "wafResponseCode",
    XrayTraceId = "xrayTraceId",
}

/// A member of `$context.identity.clientCert`, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateField {
    /// `identity.clientCert`: all members that AWS has, as one JSON object.
    All,
    /// `identity.clientCert.clientCertPem`
    ClientCertPem,
    /// `identity.clientCert.subjectDN`
    SubjectDn,
    /// `identity.clientCert.issuerDN`
    IssuerDn,
    /// `identity.clientCert.serialNumber`
    SerialNumber,
    /// `identity.clientCert.validity.notBefore`
    NotBefore,
    /// `identity.clientCert.validity.notAfter`
    NotAfter,
    /// `identity.clientCert.sha256Fingerprint`, which AWS does not have.
    Sha256Fingerprint,
    /// `identity.clientCert.subjectAlternativeNames`, which AWS does not have.
    SubjectAlternativeNames,
}

const CLAIMS: &str = "authorizer.claims.";
const AUTHORIZER: &str = "authorizer.";

impl Variable {
    /// Of the name behind `$context.`.
    pub fn from_name(name: &str) -> Self {
        if let Some(field) = CertificateField::ALL.into_iter().find(|field| field.name() == name) {
            return Self::ClientCert(field);
        }
        if let Some(variable) = Self::fixed(name) {
            return variable;
        }
        if let Some(claim) = name.strip_prefix(CLAIMS) {
            return Self::AuthorizerClaim(claim.into());
        }
        match name.strip_prefix(AUTHORIZER) {
            Some(member) => Self::Authorizer(member.into()),
            None => Self::Unknown(name.into()),
        }
    }
}

impl Variable {
    /// Whether it says who the client is, by its certificate, its address or an authorizer: `identity.`SOMETHING or
    /// `authorizer.`SOMETHING.
    pub fn is_identity(&self) -> bool {
        matches!(
            self,
            Self::ClientCert(_)
                | Self::Authorizer(_)
                | Self::AuthorizerClaim(_)
                | Self::AuthorizerError
                | Self::AuthorizerIntegrationLatency
                | Self::AuthorizerIntegrationStatus
                | Self::AuthorizerLatency
                | Self::AuthorizerPrincipalId
                | Self::AuthorizerRequestId
                | Self::AuthorizerStatus
                | Self::IdentityAccountId
                | Self::IdentityApiKey
                | Self::IdentityApiKeyId
                | Self::IdentityCaller
                | Self::IdentityPrincipalOrgId
                | Self::IdentitySourceIp
                | Self::IdentityUser
                | Self::IdentityUserAgent
                | Self::IdentityUserArn
        )
    }
}

impl CertificateField {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::All,
        Self::ClientCertPem,
        Self::SubjectDn,
        Self::IssuerDn,
        Self::SerialNumber,
        Self::NotBefore,
        Self::NotAfter,
        Self::Sha256Fingerprint,
        Self::SubjectAlternativeNames,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::All => "identity.clientCert",
            Self::ClientCertPem => "identity.clientCert.clientCertPem",
            Self::SubjectDn => "identity.clientCert.subjectDN",
            Self::IssuerDn => "identity.clientCert.issuerDN",
            Self::SerialNumber => "identity.clientCert.serialNumber",
            Self::NotBefore => "identity.clientCert.validity.notBefore",
            Self::NotAfter => "identity.clientCert.validity.notAfter",
            Self::Sha256Fingerprint => "identity.clientCert.sha256Fingerprint",
            Self::SubjectAlternativeNames => "identity.clientCert.subjectAlternativeNames",
        }
    }
}
