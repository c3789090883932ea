//! What an OpenAPI document says of an HTTP API: the requests that make it.
//!
//! Source: "Working with OpenAPI definitions for HTTP APIs" and "OpenAPI extensions for API Gateway", API Gateway developer guide.

use std::collections::BTreeMap;

use aws::Error;
use aws::apigatewayv2 as wire;

use crate::openapi::{Document, Node, Operation, Version, credentials_ignored, disable_endpoint, operations, tags};

const INTEGRATION: &str = "x-amazon-apigateway-integration";
const INTEGRATIONS: &str = "x-amazon-apigateway-integrations";
const AUTHORIZER: &str = "x-amazon-apigateway-authorizer";
const DEFAULT_ROUTE: &str = "/$default";
const MAX_OPERATION_NAME_CHARS: usize = 64;
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Who may call an operation: the type, the authorizer's name, the scopes.
type Authorization = (Option<wire::AuthorizationType>, Option<String>, Vec<String>);

/// An HTTP API as a document describes it. What `api_id` stands in is filled in when there is one.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) api: wire::CreateApiRequest,
    pub(super) authorizers: Vec<wire::CreateAuthorizerRequest>,
    pub(super) integrations: Vec<wire::CreateIntegrationRequest>,
    pub(super) routes: Vec<DescribedRoute>,
    /// What HTTP APIs have not, and what makes no difference without.
    pub(super) ignored: Vec<String>,
    /// What is not as the document says.
    pub(super) warnings: Vec<String>,
}

/// A route, without the ids of what it names.
#[derive(Debug)]
pub(super) struct DescribedRoute {
    pub(super) route: wire::CreateRouteRequest,
    /// Of [`Definition::integrations`].
    pub(super) integration: Option<usize>,
    /// By name.
    pub(super) authorizer: Option<String>,
}

/// What has been read so far.
struct Reading<'d> {
    definition: Definition,
    /// By where they stand in the document: what is referred to twice is one integration.
    known: BTreeMap<*const serde_json::Value, usize>,
    schemes: BTreeMap<String, wire::AuthorizerType>,
    /// Security that holds where an operation says nothing of it.
    security: Option<Node<'d>>,
}

impl Definition {
    /// Reads a document. `prefix` stands before each path.
    pub(super) fn read(document: &Document, prefix: &str) -> Result<Self, Error> {
        if document.version() != Version::OpenApi3 {
            return Err(Error::bad_request(
                "Invalid OpenAPI input: HTTP APIs are imported from OpenAPI 3.0, not from Swagger 2.0.",
            ));
        }
        let root = document.node();
        let mut reading = Reading {
            known: BTreeMap::new(),
            schemes: BTreeMap::new(),
            security: root.get("security")?,
            definition: Self {
                api: api(&root)?,
                authorizers: Vec::new(),
                integrations: Vec::new(),
                routes: Vec::new(),
                ignored: Vec::new(),
                warnings: Vec::new(),
            },
        };
        reading.cors(&root)?;
        reading.components(&root)?;
        for operation in operations(document)? {
            let route = reading.route(&operation, prefix)?;
            reading.definition.routes.push(route);
        }
        for not_here in [
            "x-amazon-apigateway-policy",
            "x-amazon-apigateway-gateway-responses",
            "x-amazon-apigateway-binary-media-types",
            "x-amazon-apigateway-request-validators",
            "x-amazon-apigateway-api-key-source",
            "x-amazon-apigateway-minimum-compression-size",
        ] {
            if root.get(not_here)?.is_some() {
                reading.definition.warnings.push(format!("{not_here} is not supported for HTTP APIs, ignoring."));
            }
        }
        Ok(reading.definition)
    }
}

fn api(root: &Node<'_>) -> Result<wire::CreateApiRequest, Error> {
    let info = root.get("info")?.ok_or_else(|| root.wrong("info is missing"))?;
    let name = info.text_of("title")?.filter(|title| !title.is_empty());
    Ok(wire::CreateApiRequest {
        api_key_selection_expression: None,
        cors_configuration: None,
        credentials_arn: None,
        description: info.text_of("description")?,
        disable_execute_api_endpoint: disable_endpoint(root)?,
        disable_schema_validation: None,
        ip_address_type: None,
        name: name.ok_or_else(|| info.wrong("title is missing, which is the API's name"))?,
        protocol_type: wire::ProtocolType::Http,
        route_key: None,
        route_selection_expression: None,
        tags: Some(tags(root)?).filter(|tags| !tags.is_empty()),
        target: None,
        version: info.text_of("version")?,
    })
}

impl<'d> Reading<'d> {
    fn cors(&mut self, root: &Node<'_>) -> Result<(), Error> {
        let Some(node) = root.get("x-amazon-apigateway-cors")? else { return Ok(()) };
        match node.parse::<wire::Cors>() {
            Ok(cors) => self.definition.api.cors_configuration = Some(cors),
            Err(_) => self.warn("CORS Scheme is malformed, ignoring.".to_owned()),
        }
        Ok(())
    }

    fn components(&mut self, root: &Node<'d>) -> Result<(), Error> {
        let Some(components) = root.get("components")? else { return Ok(()) };
        if let Some(schemes) = components.get("securitySchemes")? {
            for (name, scheme) in schemes.entries()? {
                if let Some(node) = scheme.get(AUTHORIZER)? {
                    let authorizer = self.authorizer(name, &scheme, &node)?;
                    self.schemes.insert(name.to_owned(), authorizer.authorizer_type);
                    self.definition.authorizers.push(authorizer);
                }
            }
        }
        if let Some(integrations) = components.get(INTEGRATIONS)? {
            for (_, node) in integrations.entries()? {
                self.integration(&node)?;
            }
        }
        Ok(())
    }

    fn route(&mut self, operation: &Operation<'d>, prefix: &str) -> Result<DescribedRoute, Error> {
        let node = &operation.node;
        let is_default = operation.path == DEFAULT_ROUTE;
        let route_key = match is_default {
            true => "$default".to_owned(),
            false => format!(
                "{} {prefix}{}",
                operation.method,
                if prefix.is_empty() || operation.path != "/" { operation.path } else { "" }
            ),
        };
        let integration = node.get(INTEGRATION)?;
        if integration.is_none() {
            self.warn(format!("No integration defined for {route_key}: the route has no target."));
        }
        for ignored in ["x-amazon-apigateway-request-validator", "requestBody"] {
            if node.get(ignored)?.is_some() {
                self.definition.ignored.push(format!("{}.{ignored}: requests are not validated, ignoring.", node.at()));
            }
        }
        let (authorization, authorizer, scopes) = self.authorization(node, &route_key)?;
        Ok(DescribedRoute {
            integration: integration.map(|node| self.integration(&node)).transpose()?,
            authorizer,
            route: wire::CreateRouteRequest {
                api_id: String::new(),
                api_key_required: None,
                authorization_scopes: Some(scopes).filter(|scopes| !scopes.is_empty()),
                authorization_type: authorization,
                authorizer_id: None,
                model_selection_expression: None,
                operation_name: self.operation_name(node)?,
                request_models: None,
                request_parameters: None,
                route_key,
                route_response_selection_expression: None,
                target: None,
            },
        })
    }

    fn operation_name(&mut self, node: &Node<'_>) -> Result<Option<String>, Error> {
        let name = node.text_of("operationId")?.filter(|name| !name.is_empty());
        let is_long = name.as_ref().is_some_and(|name| name.chars().count() > MAX_OPERATION_NAME_CHARS);
        if is_long {
            let at = node.at();
            self.definition
                .ignored
                .push(format!("{at}.operationId has more than {MAX_OPERATION_NAME_CHARS} characters, ignoring."));
        }
        Ok(name.filter(|_| !is_long))
    }

    /// Who may call an operation. Of several requirements the first holds, as on AWS.
    fn authorization(&mut self, node: &Node<'_>, route_key: &str) -> Result<Authorization, Error> {
        if let Some(auth) = node.get("x-amazon-apigateway-auth")? {
            return match auth.text_of("type")?.unwrap_or_default().to_ascii_uppercase().as_str() {
                "AWS_IAM" => Ok((Some(wire::AuthorizationType::AwsIam), None, Vec::new())),
                "NONE" => Ok((None, None, Vec::new())),
                _ => Err(auth.wrong("type is NONE or AWS_IAM")),
            };
        }
        let own = node.get("security")?;
        let Some(security) = own.as_ref().or(self.security.as_ref()) else { return Ok((None, None, Vec::new())) };
        let mut requirements = Vec::new();
        for requirement in security.items()? {
            requirements.extend(requirement.entries()?.into_iter().map(|(name, scopes)| (name.to_owned(), scopes)));
        }
        let chosen = requirements.iter().find_map(|(name, scopes)| Some((name, scopes, *self.schemes.get(name)?)));
        let Some((name, scopes, kind)) = chosen else {
            if let Some((name, _)) = requirements.first() {
                let name = name.clone();
                self.warn(format!(
                    "{route_key}: the security scheme {name} has no {AUTHORIZER}: the route is open to all."
                ));
            }
            return Ok((None, None, Vec::new()));
        };
        let (name, scopes) = (name.clone(), scopes.texts()?);
        if requirements.len() > 1 {
            self.warn(format!(
                "{route_key}: a route has one authorizer: of several security schemes only {name} holds."
            ));
        }
        Ok(match kind {
            wire::AuthorizerType::Jwt => (Some(wire::AuthorizationType::Jwt), Some(name), scopes),
            wire::AuthorizerType::Request => (Some(wire::AuthorizationType::Custom), Some(name), Vec::new()),
        })
    }

    /// The place of an integration in [`Definition::integrations`].
    fn integration(&mut self, node: &Node<'_>) -> Result<usize, Error> {
        let place = std::ptr::from_ref(node.value());
        if let Some(known) = self.known.get(&place) {
            return Ok(*known);
        }
        let integration = self.described_integration(node)?;
        let index = self.definition.integrations.len();
        self.known.insert(place, index);
        self.definition.integrations.push(integration);
        Ok(index)
    }

    fn described_integration(&mut self, node: &Node<'_>) -> Result<wire::CreateIntegrationRequest, Error> {
        if node.get("credentials")?.is_some() {
            let at = node.at();
            self.warn(format!(
                "{at}.credentials: functions are called with the credentials of countersign.toml, ignoring."
            ));
        }
        for (name, _) in node.entries()? {
            let of_rest_apis = [
                "cacheKeyParameters",
                "cacheNamespace",
                "contentHandling",
                "passthroughBehavior",
                "requestTemplates",
                "responses",
            ];
            if of_rest_apis.contains(&name) {
                self.definition.ignored.push(format!("{}.{name} is not supported for HTTP APIs, ignoring.", node.at()));
            }
        }
        let enumerated = |name: &str| Ok::<_, Error>(node.text_of(name)?.map(|text| text.to_ascii_uppercase()));
        let kind = enumerated("type")?.ok_or_else(|| node.wrong("type is missing"))?;
        let connection = enumerated("connectionType")?;
        let response_parameters = node.get("responseParameters")?.map(|node| by_status(&node)).transpose()?;
        let tls = node.get("tlsConfig")?.map(|tls| tls.text_of("serverNameToVerify")).transpose()?.flatten();
        Ok(wire::CreateIntegrationRequest {
            api_id: String::new(),
            connection_id: node.text_of("connectionId")?,
            connection_type: connection
                .map(|text| {
                    wire::ConnectionType::parse(&text)
                        .ok_or_else(|| node.wrong("connectionType is INTERNET or VPC_LINK"))
                })
                .transpose()?,
            content_handling_strategy: None,
            credentials_arn: None,
            description: None,
            integration_method: enumerated("httpMethod")?
                .map(|method| if method == "X-AMAZON-APIGATEWAY-ANY-METHOD" { "ANY".to_owned() } else { method }),
            integration_subtype: node.text_of("integrationSubtype")?,
            integration_type: wire::IntegrationType::parse(&kind)
                .ok_or_else(|| node.wrong(&format!("{kind} is no type of integrations")))?,
            integration_uri: node.text_of("uri")?,
            passthrough_behavior: None,
            payload_format_version: node.text_of("payloadFormatVersion")?,
            request_parameters: node.get("requestParameters")?.map(|node| node.text_map()).transpose()?,
            request_templates: None,
            response_parameters,
            template_selection_expression: None,
            timeout_in_millis: node.get("timeoutInMillis")?.map(|node| node.integer()).transpose()?,
            tls_config: tls.map(|name| wire::TlsConfigInput { server_name_to_verify: Some(name) }),
        })
    }

    fn authorizer(
        &mut self,
        name: &str,
        scheme: &Node<'_>,
        node: &Node<'_>,
    ) -> Result<wire::CreateAuthorizerRequest, Error> {
        if node.get("authorizerCredentials")?.is_some() || node.get("authorizerCredentialsArn")?.is_some() {
            self.warn(credentials_ignored(node));
        }
        let kind = match node.text_of("type")?.unwrap_or_default().to_ascii_lowercase().as_str() {
            "jwt" => wire::AuthorizerType::Jwt,
            "request" => wire::AuthorizerType::Request,
            other => {
                return Err(node.wrong(&format!("'{other}' is no type of HTTP APIs' authorizers: jwt and request are")));
            }
        };
        let jwt = node.get("jwtConfiguration")?.map(|jwt| jwt_configuration(scheme, &jwt)).transpose()?;
        Ok(wire::CreateAuthorizerRequest {
            api_id: String::new(),
            authorizer_credentials_arn: None,
            authorizer_payload_format_version: node.text_of("authorizerPayloadFormatVersion")?,
            authorizer_result_ttl_in_seconds: node
                .get("authorizerResultTtlInSeconds")?
                .map(|ttl| ttl.integer())
                .transpose()?,
            authorizer_type: kind,
            authorizer_uri: node.text_of("authorizerUri")?,
            enable_simple_responses: node.get("enableSimpleResponses")?.map(|simple| simple.boolean()).transpose()?,
            identity_source: identity_sources(node)?,
            identity_validation_expression: node.text_of("identityValidationExpression")?,
            jwt_configuration: jwt,
            name: name.to_owned(),
        })
    }

    fn warn(&mut self, warning: String) {
        self.definition.warnings.push(warning);
    }
}

/// A list, or one text with commas.
fn identity_sources(node: &Node<'_>) -> Result<Vec<String>, Error> {
    let Some(sources) = node.get("identitySource")? else { return Ok(Vec::new()) };
    if sources.value().is_array() {
        return sources.texts();
    }
    let text = sources.text()?;
    Ok(text.split(',').map(str::trim).filter(|source| !source.is_empty()).map(str::to_owned).collect())
}

/// The issuer may also be said by the scheme's `openIdConnectUrl`.
fn jwt_configuration(scheme: &Node<'_>, node: &Node<'_>) -> Result<wire::JWTConfiguration, Error> {
    let discovered = scheme.text_of("openIdConnectUrl")?.and_then(|url| url.strip_suffix(DISCOVERY).map(str::to_owned));
    let audience = node.get("audience")?;
    let audience =
        audience.map(|node| if node.value().is_array() { node.texts() } else { node.text().map(|one| vec![one]) });
    Ok(wire::JWTConfiguration { audience: audience.transpose()?, issuer: node.text_of("issuer")?.or(discovered) })
}

fn by_status(node: &Node<'_>) -> Result<BTreeMap<String, BTreeMap<String, String>>, Error> {
    node.entries()?.into_iter().map(|(status, node)| Ok((status.to_owned(), node.text_map()?))).collect()
}
