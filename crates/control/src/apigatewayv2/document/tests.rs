//! What is exported makes the same API when it is imported.

use model::resource::Api;
use model::{State, VpcLinkTags};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{export, import, reimport};
use crate::apigatewayv2::draft::Draft;
use crate::apigatewayv2::{api, authorizer, integration, route, vpc_link};
use crate::control::tests::config;

const REGION: &str = "us-east-1";
const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:f";
const LISTENER: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/a/1/2";

/// An API: numbers choose what it has.
#[derive(Clone, Debug)]
struct Described {
    description: Option<String>,
    version: Option<String>,
    disabled: bool,
    cors: Option<i32>,
    tags: Vec<(String, String)>,
    integrations: Vec<(u8, u32)>,
    routes: Vec<(u8, u8, Option<usize>, u8)>,
}

fn some() -> impl Strategy<Value = Described> {
    let text = "[ -~]{1,20}|[a-zä€: #'\"\\\\-]{1,12}";
    (
        proptest::option::of(text),
        proptest::option::of("[0-9]\\.[0-9]|true|~|[a-z]{1,8}"),
        any::<bool>(),
        proptest::option::of(-1..86_400),
        proptest::collection::vec(("[a-zA-Z]{1,8}", "[a-z0-9 :.=]{0,8}"), 0..3),
        proptest::collection::vec((0..4_u8, 50..30_000_u32), 0..4),
        proptest::collection::vec((0..8_u8, 0..6_u8, proptest::option::of(0..4_usize), 0..4_u8), 0..10),
    )
        .prop_map(|(description, version, disabled, cors, tags, integrations, routes)| Described {
            description,
            version,
            disabled,
            cors,
            tags,
            integrations,
            routes,
        })
}

impl Described {
    /// Makes it, and answers its id.
    fn make(&self, draft: &mut Draft<'_>) -> String {
        let tags: serde_json::Map<String, Value> =
            self.tags.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let mut body = json!({"name": "some: api", "protocolType": "HTTP", "disableExecuteApiEndpoint": self.disabled, "tags": tags});
        body["description"] = json!(self.description);
        body["version"] = json!(self.version.clone().unwrap_or_else(|| "1".to_owned()));
        if let Some(age) = self.cors {
            body["corsConfiguration"] = json!({"allowOrigins": ["https://a.test"], "allowHeaders": ["*"], "maxAge": age, "allowCredentials": age > 9});
        }
        let id = api::create(draft, &input(body)).unwrap().api_id.unwrap();
        let link =
            json!({"name": "l", "subnetIds": ["subnet-1"], "tags": {(VpcLinkTags::UPSTREAM): "http://10.0.0.7"}});
        let link = vpc_link::create(draft, &input(link)).unwrap().vpc_link_id.unwrap();
        let integrations: Vec<String> =
            self.integrations.iter().map(|(kind, timeout)| integration(draft, &id, &link, *kind, *timeout)).collect();
        let authorizers = authorizers(draft, &id);
        for (method, path, target, authorization) in &self.routes {
            let mut body = authorization_of(*authorization, &authorizers);
            body["apiId"] = json!(id);
            body["routeKey"] = json!(key(*method, *path));
            if let Some(integration) = target.and_then(|index| integrations.get(index)) {
                body["target"] = json!(format!("integrations/{integration}"));
            }
            if *method % 2 == 0 {
                body["operationName"] = json!("Operation: one");
            }
            // Two may have the same key.
            let _ = route::create(draft, &input(body));
        }
        id
    }
}

fn integration(draft: &mut Draft<'_>, api_id: &str, link: &str, kind: u8, timeout: u32) -> String {
    let mut body = match kind {
        0 => {
            json!({"integrationType": "HTTP_PROXY", "integrationUri": "http://b.test:9000/{proxy}", "integrationMethod": "GET"})
        }
        1 => json!({
            "integrationType": "HTTP_PROXY", "integrationUri": "https://b.test/x", "integrationMethod": "ANY",
            "requestParameters": {"append:header.x": "$request.path", "overwrite:querystring.q": "a: 'b' #c"},
            "responseParameters": {"200": {"overwrite:statuscode": "201"}, "500": {"remove:header.server": "''"}},
            "tlsConfig": {"serverNameToVerify": "c.test"},
        }),
        2 => json!({"integrationType": "AWS_PROXY", "integrationUri": FUNCTION, "payloadFormatVersion": "2.0"}),
        _ => json!({
            "integrationType": "HTTP_PROXY", "integrationUri": LISTENER, "integrationMethod": "ANY",
            "connectionType": "VPC_LINK", "connectionId": link,
        }),
    };
    body["apiId"] = json!(api_id);
    body["timeoutInMillis"] = json!(timeout);
    integration::create(draft, &input(body)).unwrap().integration_id.unwrap()
}

/// A JWT authorizer and one that is a function.
fn authorizers(draft: &mut Draft<'_>, api_id: &str) -> [String; 2] {
    let jwt = json!({
        "apiId": api_id, "name": "jwt one", "authorizerType": "JWT", "identitySource": ["$request.header.Authorization"],
        "jwtConfiguration": {"issuer": "https://issuer.test", "audience": ["a", "b"]},
    });
    let function = json!({
        "apiId": api_id, "name": "function", "authorizerType": "REQUEST", "authorizerUri": FUNCTION,
        "identitySource": ["$request.header.x", "$context.identity.sourceIp"], "authorizerPayloadFormatVersion": "2.0",
        "authorizerResultTtlInSeconds": 60, "enableSimpleResponses": true,
    });
    [jwt, function].map(|body| authorizer::create(draft, &input(body)).unwrap().authorizer_id.unwrap())
}

fn authorization_of(kind: u8, [jwt, function]: &[String; 2]) -> Value {
    match kind {
        0 => json!({"authorizationType": "NONE"}),
        1 => json!({"authorizationType": "JWT", "authorizerId": jwt, "authorizationScopes": ["read", "a/b.c"]}),
        2 => json!({"authorizationType": "CUSTOM", "authorizerId": function}),
        _ => json!({"authorizationType": "AWS_IAM"}),
    }
}

fn key(method: u8, path: u8) -> String {
    let method = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"][usize::from(method)];
    match path {
        0 => "$default".to_owned(),
        1 => format!("{method} /"),
        2 => format!("{method} /pets"),
        3 => format!("{method} /pets/{{id}}"),
        4 => format!("{method} /pets/{{id}}/toys/{{toy}}"),
        _ => format!("{method} /files/{{proxy+}}"),
    }
}

/// All that there is of an API, without ids.
fn told(draft: &Draft<'_>, id: &str) -> (Value, Vec<String>) {
    let state = &draft.state;
    let mut told = Vec::new();
    let integrations = State::of(&state.integrations, id);
    let integrations: std::collections::BTreeMap<String, String> = integrations
        .map(|of| {
            let shown = integration::show(of);
            (of.id.clone(), format!("{:?}", aws::apigatewayv2::Integration { integration_id: None, ..shown }))
        })
        .collect();
    told.extend(integrations.values().cloned());
    for authorizer in State::of(&state.authorizers, id) {
        let shown = authorizer::show(authorizer);
        told.push(format!("{:?}", aws::apigatewayv2::Authorizer { authorizer_id: None, ..shown }));
    }
    for of in State::of(&state.routes, id) {
        let shown = route::show(of);
        let target = of.integration_id.as_ref().and_then(|id| integrations.get(id));
        let authorizer = of.authorization.authorizer_id().and_then(|named| State::one(&state.authorizers, id, named));
        let named = authorizer.map(|authorizer| &authorizer.name);
        let shown = aws::apigatewayv2::Route { route_id: None, target: None, authorizer_id: None, ..shown };
        told.push(format!("{shown:?} {target:?} {named:?}"));
    }
    told.sort();
    let api = Api::clone(&*draft.api(id).unwrap());
    let api = json!([api.name, api.description, api.version, api.disable_execute_api_endpoint, api.cors, api.tags]);
    (api, told)
}

fn input<T: DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn an_export_makes_the_same_api(some in some(), other in some(), yaml in any::<bool>()) {
        let (state, config) = (State::default(), config());
        let mut draft = Draft::new(&state, &config, REGION, 1_763_830_800_000);
        let id = some.make(&mut draft);
        let form = if yaml { "YAML" } else { "JSON" };
        let exported = export(&draft, &input(json!({"apiId": id, "outputType": form, "specification": "OAS30"}))).unwrap();
        let text = String::from_utf8(exported.body.unwrap().0).unwrap();
        let made = import(&mut draft, &input(json!({"body": text}))).unwrap().api_id.unwrap();
        prop_assert_eq!(told(&draft, &made), told(&draft, &id), "{}", text);
        // Over another one; its tags stay.
        let other = Described { tags: Vec::new(), ..other }.make(&mut draft);
        reimport(&mut draft, &input(json!({"apiId": other, "body": text}))).unwrap();
        prop_assert_eq!(told(&draft, &other), told(&draft, &id), "{}", text);
    }

    #[test]
    fn no_document_is_a_reason_to_panic(text in "(openapi: 3.0.1\n)?[ -~\n]{0,200}") {
        let (state, config) = (State::default(), config());
        let mut draft = Draft::new(&state, &config, REGION, 0);
        let _ = import(&mut draft, &input(json!({"body": text})));
    }
}
