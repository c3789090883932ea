//! What is exported makes the same API when it is imported.

use aws::apigateway as wire;
use model::State;
use model::resource::RestApi;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{export, import, put};
use crate::apigateway::{
    Draft, authorizer, deployment, gateway_response, integration, integration_response, method, method_response,
    models, request_validator, resource, rest_api,
};
use crate::control::tests::config;

const REGION: &str = "us-east-1";
const FUNCTION: &str = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:f/invocations";
const PATHS: [&str; 5] = ["/", "/pets", "/pets/{id}", "/pets/{id}/toys/{toy}", "/files/{proxy+}"];

/// An API: numbers choose what it has.
#[derive(Clone, Debug)]
struct Described {
    description: Option<String>,
    version: String,
    disabled: bool,
    tags: Vec<(String, String)>,
    binary: bool,
    validators: [bool; 2],
    gateway_status: Option<u16>,
    methods: Vec<Method>,
}

#[derive(Clone, Debug)]
struct Method {
    name: u8,
    path: usize,
    access: u8,
    key: bool,
    validates: bool,
    body: u8,
    integration: u8,
    timeout: u32,
    responses: Vec<(u8, u8)>,
    text: String,
}

fn some() -> impl Strategy<Value = Described> {
    let text = "[ -~]{1,20}|[a-zä€: #'\"\\\\-]{1,12}";
    let method = (
        (0..8_u8, 0..PATHS.len(), 0..4_u8, any::<bool>(), any::<bool>()),
        (0..3_u8, 0..6_u8, 50..29_000_u32, proptest::collection::vec((0..3_u8, 0..4_u8), 0..3), text),
    );
    let method =
        method.prop_map(|((name, path, access, key, validates), (body, integration, timeout, responses, text))| {
            Method { name, path, access, key, validates, body, integration, timeout, responses, text }
        });
    (
        proptest::option::of(text),
        "[0-9]\\.[0-9]|true|~|[a-z]{1,8}",
        any::<bool>(),
        proptest::collection::vec(("[a-zA-Z]{1,8}", "[a-z0-9 :.=]{0,8}"), 0..3),
        any::<bool>(),
        any::<[bool; 2]>(),
        proptest::option::of(200..204_u16),
        proptest::collection::vec(method, 1..8),
    )
        .prop_map(|(description, version, disabled, tags, binary, validators, gateway_status, methods)| {
            Described { description, version, disabled, tags, binary, validators, gateway_status, methods }
        })
}

impl Described {
    /// Makes it, deploys it to `prod`, and answers its id.
    fn make(&self, draft: &mut Draft<'_>) -> String {
        let tags: serde_json::Map<String, Value> =
            self.tags.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let types = if self.binary { json!(["image/png", "*/*"]) } else { json!([]) };
        let mut body = json!({"name": "some: api", "disableExecuteApiEndpoint": self.disabled, "tags": tags,
            "version": self.version, "binaryMediaTypes": types});
        body["description"] = json!(self.description);
        let id = rest_api::create(draft, &input(body)).unwrap().id.unwrap();
        for (name, schema) in [
            ("Owner", json!({"type": "object", "properties": {"name": {"type": ["string", "null"]}}})),
            (
                "Pet",
                json!({
                    "required": ["name"], "enum": [{"$ref": "#/definitions/no"}],
                    "properties": {
                        "owner": {"$ref": format!("https://apigateway.amazonaws.com/restapis/{id}/models/Owner")},
                        "name": {"$ref": "#/definitions/name"},
                        "next": {"$ref": "#"},
                    },
                    "definitions": {"name": {"type": "string", "minLength": 1}},
                }),
            ),
        ] {
            let body = json!({"restapi_id": id, "name": name, "contentType": "application/json", "schema": schema.to_string()});
            models::create(draft, &input(body)).unwrap();
        }
        let validator = json!({"restapi_id": id, "name": "all: of it", "validateRequestBody": self.validators[0],
            "validateRequestParameters": self.validators[1]});
        let validator = request_validator::create(draft, &input(validator)).unwrap().id.unwrap();
        let authorizers = authorizers(draft, &id);
        if let Some(status) = self.gateway_status {
            let body = json!({"restapi_id": id, "response_type": "DEFAULT_4XX", "statusCode": status.to_string(),
                "responseParameters": {"gatewayresponse.header.x": "'y'"},
                "responseTemplates": {"application/json": "{\"m\":$context.error.messageString}"}});
            gateway_response::put(draft, &input(body)).unwrap();
        }
        for method in &self.methods {
            method.make(draft, &id, &validator, &authorizers);
        }
        deployment::create(draft, &input(json!({"restapi_id": id, "stageName": "prod"}))).unwrap();
        id
    }
}

impl Method {
    fn make(&self, draft: &mut Draft<'_>, api_id: &str, validator: &str, authorizers: &[String; 2]) {
        let api = RestApi::clone(&*rest_api::find(draft, api_id).unwrap());
        let made = resource::at(draft, &api, PATHS[self.path]).unwrap();
        let name = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"][usize::from(self.name)];
        let place = |more: Value| {
            let mut body = json!({"restapi_id": api_id, "resource_id": made.id, "http_method": name});
            body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
            body
        };
        let mut body = json!({"authorizationType": "NONE", "apiKeyRequired": self.key, "operationName": self.text,
            "requestParameters": {"method.request.path.id": true, "method.request.querystring.q q": self.key, "method.request.header.h": false}});
        match self.access {
            0 => {}
            1 => body["authorizationType"] = json!("AWS_IAM"),
            kind => {
                body["authorizationType"] = json!("CUSTOM");
                body["authorizerId"] = json!(authorizers[usize::from(kind - 2)]);
            }
        }
        if self.validates {
            body["requestValidatorId"] = json!(validator);
        }
        match self.body {
            0 => {}
            1 => body["requestModels"] = json!({"application/json": "Pet"}),
            _ => body["requestModels"] = json!({"application/json": "Pet", "a/b": "Owner"}),
        }
        // Two may be the same.
        if method::put(draft, &input(place(body))).is_err() {
            return;
        }
        for (status, models) in &self.responses {
            let status = 200 + 100 * u16::from(*status);
            let models = if *models % 2 == 0 { json!({"application/json": "Owner"}) } else { json!({}) };
            let body = json!({"status_code": status.to_string(), "responseModels": models,
                "responseParameters": {"method.response.header.x": true, "method.response.header.y": false}});
            let _ = method_response::put(draft, &input(place(body)));
        }
        integration::put(draft, &input(place(self.integration()))).unwrap();
        for (status, pattern) in &self.responses {
            let pattern = [None, Some("4\\d{2}"), Some("default: .*"), Some("(\\n|.)*")][usize::from(*pattern)];
            let status = (200 + 100 * u16::from(*status)).to_string();
            // Two with the same pattern would be one in a document.
            let integration = integration::get(draft, &input(place(json!({})))).unwrap();
            let mut known = integration.integration_responses.unwrap_or_default().into_iter();
            if known.any(|(other, found)| other != status && found.selection_pattern.as_deref() == pattern) {
                continue;
            }
            let body = json!({"status_code": status, "selectionPattern": pattern,
                "responseParameters": {"method.response.header.x": "integration.response.header.z", "method.response.header.y": "'*'"},
                "responseTemplates": {"application/json": "#set($r = $input.path('$'))\n{\"a\": $r.b}", "a/b": self.text.replace(['#', '$'], "")}});
            integration_response::put(draft, &input(place(body))).unwrap();
        }
    }

    fn integration(&self) -> Value {
        let mut body = match self.integration {
            0 => json!({"type": "HTTP_PROXY", "httpMethod": "ANY", "uri": "http://b.test:9000/{id}",
                "requestParameters": {"integration.request.path.id": "method.request.path.id"}}),
            1 => json!({"type": "HTTP", "httpMethod": "GET", "uri": "https://b.test/x", "passthroughBehavior": "NEVER",
                "requestTemplates": {"application/json": "{\"a\": \"$input.params('q')\"}"},
                "cacheNamespace": "n s", "cacheKeyParameters": ["method.request.path.id"]}),
            2 => json!({"type": "AWS_PROXY", "httpMethod": "POST", "uri": FUNCTION}),
            3 => {
                json!({"type": "AWS", "httpMethod": "POST", "uri": FUNCTION, "passthroughBehavior": "WHEN_NO_TEMPLATES",
                "requestTemplates": {"application/json": "$input.json('$')"}})
            }
            4 => json!({"type": "MOCK", "requestTemplates": {"application/json": "{\"statusCode\": 200}"}}),
            _ => json!({"type": "HTTP", "httpMethod": "ANY", "uri": "http://b.test",
                "requestParameters": {"integration.request.header.x": "'a: b #c'", "integration.request.querystring.q": "context.requestId"}}),
        };
        body["timeoutInMillis"] = json!(self.timeout);
        body
    }
}

/// One that is told a token, and one that is told the request; their names are those of other schemes.
fn authorizers(draft: &mut Draft<'_>, api_id: &str) -> [String; 2] {
    let token = json!({"name": "api_key", "type": "TOKEN", "identitySource": "method.request.header.Authorization",
        "identityValidationExpression": "Bearer .+", "authorizerResultTtlInSeconds": 0});
    let request = json!({"name": "of: requests", "type": "REQUEST", "authType": "made up",
        "identitySource": "method.request.header.x, context.stage", "authorizerResultTtlInSeconds": 60});
    [token, request].map(|mut body| {
        body["restapi_id"] = json!(api_id);
        body["authorizerUri"] = json!(FUNCTION);
        authorizer::create(draft, &input(body)).unwrap().id.unwrap()
    })
}

/// All that there is of an API, without ids.
fn told(draft: &Draft<'_>, id: &str) -> Value {
    let state = &draft.state;
    let api = rest_api::find(draft, id).unwrap();
    let mut types = api.binary_media_types.clone();
    types.sort();
    let named = |id: Option<&str>, names: &[(String, String)]| {
        id.and_then(|id| names.iter().find(|(known, _)| known == id)).map(|(_, name)| name.clone())
    };
    let authorizers: Vec<_> =
        State::of(&state.rest_authorizers, id).map(|found| (found.id.clone(), found.name.clone())).collect();
    let validators: Vec<_> =
        State::of(&state.request_validators, id).map(|found| (found.id.clone(), found.name.clone())).collect();
    let without = |mut shown: Value| {
        shown.as_object_mut().unwrap().remove("id");
        shown
    };
    let methods =
        State::of(&state.rest_resources, id).flat_map(|found| found.methods.iter().map(move |one| (found, one)));
    let methods: std::collections::BTreeMap<String, Value> = methods
        .map(|(found, (name, one))| {
            let mut shown = json!(method::show(found, name, one));
            shown["authorizerId"] = json!(named(one.authorization.authorizer_id(), &authorizers));
            shown["requestValidatorId"] = json!(named(one.request_validator_id.as_deref(), &validators));
            if one.integration.as_ref().is_some_and(|integration| integration.cache_namespace.is_none()) {
                shown["methodIntegration"]["cacheNamespace"] = Value::Null;
            }
            (format!("{name} {}", found.path), shown)
        })
        .collect();
    let models: std::collections::BTreeMap<String, Value> = State::of(&state.models, id)
        .map(|found| {
            let own = found.schema.replace(id, "API");
            (found.name.clone(), serde_json::from_str(&own).unwrap())
        })
        .collect();
    let mut others: Vec<String> = State::of(&state.rest_authorizers, id)
        .map(|found| without(json!(authorizer::show(found))).to_string())
        .chain(
            State::of(&state.request_validators, id)
                .map(|found| without(json!(request_validator::show(found))).to_string()),
        )
        .chain(State::of(&state.gateway_responses, id).map(|found| {
            json!([found.response_type, found.status_code, found.response_parameters, found.response_templates])
                .to_string()
        }))
        .collect();
    others.sort();
    json!([
        api.name,
        api.description,
        api.version,
        api.disable_execute_api_endpoint,
        api.tags,
        types,
        methods,
        models,
        others
    ])
}

fn input<T: DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

fn document_of(draft: &Draft<'_>, id: &str, accepts: &str) -> String {
    let wanted = json!({"restapi_id": id, "stage_name": "prod", "export_type": "oas30", "Accept": accepts,
        "parameters": {"extensions": "apigateway"}});
    String::from_utf8(export(draft, &input(wanted)).unwrap().body.unwrap().0).unwrap()
}

fn body(text: &str) -> aws::Blob {
    aws::Blob(text.as_bytes().to_vec())
}

fn importing(text: &str) -> wire::ImportRestApiRequest {
    wire::ImportRestApiRequest { body: body(text), ..Default::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn an_export_makes_the_same_api(some in some(), other in some(), yaml in any::<bool>()) {
        let (state, config) = (State::default(), config());
        let mut draft = Draft::new(&state, &config, REGION, 1_763_830_800_000);
        let id = some.make(&mut draft);
        let text = document_of(&draft, &id, if yaml { "application/yaml" } else { "application/json" });
        let made = import(&mut draft, &importing(&text)).unwrap();
        prop_assert_eq!(&made.warnings, &None);
        let made = made.id.unwrap();
        prop_assert_eq!(told(&draft, &made), told(&draft, &id), "{}", text);
        // Over another one; its tags stay.
        let other = Described { tags: Vec::new(), ..other }.make(&mut draft);
        let root = rest_api::find(&draft, &other).unwrap().root_resource_id.clone();
        let over = |mode| wire::PutRestApiRequest {
            rest_api_id: other.clone(), mode, body: body(&text), fail_on_warnings: Some(true), parameters: None,
        };
        put(&mut draft, &over(Some(wire::PutMode::Overwrite))).unwrap();
        prop_assert_eq!(told(&draft, &other), told(&draft, &id), "{}", text);
        prop_assert_eq!(&rest_api::find(&draft, &other).unwrap().root_resource_id, &root);
        // What is there already is merged with itself.
        put(&mut draft, &over(None)).unwrap();
        prop_assert_eq!(told(&draft, &other), told(&draft, &id), "{}", text);
    }

    #[test]
    fn no_document_is_a_reason_to_panic(text in "((openapi: 3.0.1|swagger: '2.0')\n)?[ -~\n]{0,200}") {
        let (state, config) = (State::default(), config());
        let mut draft = Draft::new(&state, &config, REGION, 0);
        let _ = import(&mut draft, &importing(&text));
    }
}
