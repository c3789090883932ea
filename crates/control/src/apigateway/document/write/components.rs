//! Models and authorizers, as a document has them beside its paths.

use model::resource::{RestAuthorizer, RestAuthorizerKind};
use serde_json::{Map, Value, json};

use super::super::schema;
use super::{Export, Format};

/// The security scheme of API keys.
pub(super) const API_KEY: &str = "api_key";
/// The security scheme of signed requests.
pub(super) const SIGNATURE: &str = "sigv4";

impl Export<'_> {
    pub(super) fn components(&self) -> Value {
        json!({"schemas": self.schemas(), "securitySchemes": self.schemes()})
    }

    /// Where the document has its schemas.
    pub(super) fn schemas_at(&self) -> &'static str {
        match self.format {
            Format::OpenApi3 => "#/components/schemas/",
            Format::Swagger2 => "#/definitions/",
        }
    }

    /// Models that are JSON schemas: a document has no place for others.
    pub(super) fn schemas(&self) -> Value {
        let schema = |model: &model::resource::Model| {
            let read: Value = serde_json::from_str(&model.schema).ok()?;
            let nullable = self.format == Format::OpenApi3;
            Some((model.name.clone(), schema::of_model(&read, self.schemas_at(), &model.name, nullable)))
        };
        Value::Object(self.deployed.models.iter().filter_map(schema).collect())
    }

    /// What methods ask of their callers.
    pub(super) fn schemes(&self) -> Value {
        let all = &self.deployed.rest_authorizers;
        let mut schemes: Map<String, Value> =
            all.iter().map(|authorizer| (authorizer.name.clone(), self.scheme(authorizer))).collect();
        let mut methods = self.deployed.resources.iter().flat_map(|resource| resource.methods.values());
        let (mut keys, mut signatures) = (false, false);
        for method in methods.by_ref() {
            keys |= method.api_key_required;
            signatures |= method.authorization == model::resource::RestAuthorization::AwsIam;
        }
        if keys {
            schemes.insert(self.own_scheme(API_KEY), json!({"type": "apiKey", "name": "x-api-key", "in": "header"}));
        }
        if signatures {
            let mut scheme = json!({"type": "apiKey", "name": "Authorization", "in": "header"});
            scheme["x-amazon-apigateway-authtype"] = json!("awsSigv4");
            schemes.insert(self.own_scheme(SIGNATURE), scheme);
        }
        Value::Object(schemes)
    }

    /// The name of a scheme that is no authorizer, which may have any name.
    pub(super) fn own_scheme(&self, name: &str) -> String {
        let is_taken = |name: &str| self.deployed.rest_authorizers.iter().any(|authorizer| authorizer.name == name);
        let mut name = name.to_owned();
        while is_taken(&name) {
            name.push('_');
        }
        name
    }

    fn scheme(&self, authorizer: &RestAuthorizer) -> Value {
        let source = authorizer.identity_source.as_deref().unwrap_or_default();
        let is_token = authorizer.kind == RestAuthorizerKind::Token;
        let header = source.strip_prefix("method.request.header.").filter(|_| is_token).unwrap_or("Unused");
        let mut scheme = json!({"type": "apiKey", "name": header, "in": "header"});
        if !self.extensions.authorizers {
            return scheme;
        }
        scheme["x-amazon-apigateway-authtype"] = json!(authorizer.auth_type);
        let mut described = json!({
            "type": if is_token { "token" } else { "request" },
            "authorizerUri": authorizer.uri,
            "authorizerResultTtlInSeconds": authorizer.result_ttl_seconds,
        });
        if let Some(source) = &authorizer.identity_source {
            described["identitySource"] = json!(source);
        }
        if let Some(expression) = &authorizer.identity_validation_expression {
            described["identityValidationExpression"] = json!(expression);
        }
        scheme["x-amazon-apigateway-authorizer"] = described;
        scheme
    }
}
