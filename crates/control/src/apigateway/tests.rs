//! The rules of v1, each asked as a request asks it.

use aws::Error;
use model::State;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::control::tests::config;

fn input<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an input")
}

/// An API with `GET /pets/{id}`, its ids, and the state that it is in.
fn pets(draft: &mut Draft<'_>) -> (String, String) {
    let api = rest_api::create(draft, &input(json!({"name": "n"}))).unwrap();
    let (api, root) = (api.id.unwrap(), api.root_resource_id.unwrap());
    let pets = create_resource(draft, &api, &root, "pets").unwrap();
    let pet = create_resource(draft, &api, &pets, "{id}").unwrap();
    let put = json!({"restapi_id": api, "resource_id": pet, "http_method": "GET", "authorizationType": "NONE",
        "requestParameters": {"method.request.path.id": true}});
    method::put(draft, &input(put)).unwrap();
    (api, pet)
}

fn create_resource(draft: &mut Draft<'_>, api: &str, parent: &str, part: &str) -> Result<String, Error> {
    let body = json!({"restapi_id": api, "parent_id": parent, "pathPart": part});
    resource::create(draft, &input(body)).map(|made| made.id.unwrap())
}

fn put_integration(draft: &mut Draft<'_>, api: &str, pet: &str, more: Value) -> Result<Integration, Error> {
    let mut body = json!({"restapi_id": api, "resource_id": pet, "http_method": "GET", "type": "HTTP_PROXY",
        "httpMethod": "GET", "uri": "http://b/{id}"});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    integration::put(draft, &input(body))
}

#[test]
fn a_path_is_made_of_its_parts_and_is_there_once() {
    let (state, config) = (State::default(), config());
    let draft = &mut Draft::new(&state, &config, "us-east-1", 0);
    let api = rest_api::create(draft, &input(json!({"name": "n"}))).unwrap();
    let (api, root) = (api.id.unwrap(), api.root_resource_id.unwrap());
    let pets = create_resource(draft, &api, &root, "pets").unwrap();
    let greedy = create_resource(draft, &api, &pets, "{proxy+}").unwrap();
    let shown = resource::get(draft, &input(json!({"restapi_id": api, "resource_id": greedy}))).unwrap();
    assert_eq!(shown.path.as_deref(), Some("/pets/{proxy+}"));
    assert_eq!(create_resource(draft, &api, &root, "pets").unwrap_err().code, "ConflictException");
    for (parent, part) in [(&greedy, "x"), (&root, "a/b"), (&root, ""), (&root, "{"), (&root, "{a+}/x")] {
        assert_eq!(create_resource(draft, &api, parent, part).unwrap_err().code, "BadRequestException", "{part}");
    }
    assert_eq!(create_resource(draft, &api, "none", "x").unwrap_err().code, "NotFoundException");
    resource::delete(draft, &input(json!({"restapi_id": api, "resource_id": pets}))).unwrap();
    assert_eq!(State::of(&draft.state.rest_resources, &api).count(), 1, "what is below goes with it");
    assert!(resource::delete(draft, &input(json!({"restapi_id": api, "resource_id": root}))).is_err());
}

#[test]
fn an_integration_refers_to_what_its_method_has() {
    let (state, config) = (State::default(), config());
    let draft = &mut Draft::new(&state, &config, "us-east-1", 0);
    let (api, pet) = pets(draft);
    let of = |value: &str| json!({"requestParameters": {"integration.request.path.id": value}});
    assert!(put_integration(draft, &api, &pet, of("method.request.path.id")).is_ok());
    let error = put_integration(draft, &api, &pet, of("method.request.path.other")).unwrap_err();
    assert!(error.message.ends_with("[Invalid mapping expression parameter specified: method.request.path.other]"));
    for more in [
        of("method.request.body"),
        json!({"type": "HTTP", "requestTemplates": {"application/json": "#macro(x)"}}),
        json!({"type": "AWS"}),
        json!({"uri": "ftp://b"}),
        json!({"timeoutInMillis": 29_001}),
        json!({"httpMethod": "BREW"}),
        json!({"contentHandling": "CONVERT_TO_TEXT"}),
        json!({"passthroughBehavior": "SOMETIMES"}),
        json!({"tlsConfig": {"insecureSkipVerification": true}}),
    ] {
        let error = put_integration(draft, &api, &pet, more.clone()).unwrap_err();
        assert_eq!(error.code, "BadRequestException", "{more}");
    }
}

#[test]
fn a_deployment_is_a_copy_that_a_stage_points_at() {
    let (state, config) = (State::default(), config());
    let draft = &mut Draft::new(&state, &config, "us-east-1", 0);
    let (api, pet) = pets(draft);
    let deploy = json!({"restapi_id": api, "stageName": "prod"});
    let error = deployment::create(draft, &input(deploy.clone())).unwrap_err();
    assert_eq!(error.message, "No integration defined for method");
    put_integration(draft, &api, &pet, json!({})).unwrap();
    let first = deployment::create(draft, &input(deploy.clone())).unwrap().id.unwrap();
    method::delete(draft, &input(json!({"restapi_id": api, "resource_id": pet, "http_method": "GET"}))).unwrap();
    let kept = State::one(&draft.state.deployments, &api, &first).unwrap();
    assert!(kept.resources.iter().any(|resource| resource.methods.contains_key("GET")));
    let error = deployment::create(draft, &input(deploy)).unwrap_err();
    assert_eq!(error.message, "The REST API doesn't contain any methods");
    let gone = deployment::delete(draft, &input(json!({"restapi_id": api, "deployment_id": first})));
    assert_eq!(gone.unwrap_err().code, "BadRequestException", "the stage points at it");
}

#[test]
fn a_stage_is_patched() {
    let (state, config) = (State::default(), config());
    let draft = &mut Draft::new(&state, &config, "us-east-1", 0);
    let (api, pet) = pets(draft);
    put_integration(draft, &api, &pet, json!({})).unwrap();
    deployment::create(draft, &input(json!({"restapi_id": api, "stageName": "prod"}))).unwrap();
    let mut patch = |operations: &[(&str, &str, &str)]| {
        let operations: Vec<Value> =
            operations.iter().map(|(op, path, value)| json!({"op": op, "path": path, "value": value})).collect();
        let body = json!({"restapi_id": api, "stage_name": "prod", "patchOperations": operations});
        stage::update(draft, &input(body))
    };
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:g";
    let shown = patch(&[
        ("replace", "/*/*/throttling/rateLimit", "5"),
        ("replace", "/pets~1{id}/GET/throttling/burstLimit", "2"),
        ("replace", "/accessLogSettings/format", "$context.requestId"),
        ("replace", "/accessLogSettings/destinationArn", arn),
        ("replace", "/variables/a", "b"),
    ])
    .unwrap();
    let settings = shown.method_settings.unwrap();
    assert_eq!(settings["*/*"].throttling_rate_limit, Some(5.0));
    assert_eq!(settings["pets/{id}/GET"].throttling_burst_limit, Some(2));
    assert_eq!(shown.access_log_settings.unwrap().destination_arn.as_deref(), Some(arn));
    let shown = patch(&[("remove", "/*/*", ""), ("remove", "/accessLogSettings", "")]).unwrap();
    assert!(!shown.method_settings.unwrap().contains_key("*/*") && shown.access_log_settings.is_none());
    let error = patch(&[("replace", "/nothing", "x")]).unwrap_err();
    assert!(error.message.starts_with("Invalid patch path  '/nothing' specified for op 'replace'. Must be one of: ["));
    for (path, value) in [
        ("/*/*/throttling/rateLimit", "-2"),
        ("/*/*/throttling/burstLimit", "1.5"),
        ("/*/*/throttling/rateLimit", "NaN"),
        ("/accessLogSettings/format", "no id"),
        ("/deploymentId", "none"),
        ("/*/*/logging/loglevel", "LOUD"),
    ] {
        assert!(patch(&[("replace", path, value)]).is_err(), "{path} {value}");
    }
}

#[test]
fn a_domain_names_patches_are_one_change() {
    let (state, config) = (State::default(), config());
    let draft = &mut Draft::new(&state, &config, "us-east-1", 0);
    let mut domain = crate::acm::tests::domain("arn");
    domain.region = "us-east-1".to_owned();
    draft.put(&domain).unwrap();
    let mut patch = |operations: Value| {
        let body = json!({"domain_name": domain.name, "patchOperations": operations});
        domain_name::update(draft, &input(body)).map_err(|error| error.message)
    };
    let replace = |path: &str, value: &str| json!({"op": "replace", "path": path, "value": value});
    let mode = patch(json!([replace("/routingMode", "ROUTING_RULE_THEN_BASE_PATH_MAPPING")])).unwrap().routing_mode;
    assert_eq!(mode, "ROUTING_RULE_THEN_API_MAPPING");
    patch(json!([replace("/endpointConfiguration/types/0", "REGIONAL"), replace("/securityPolicy", "TLS_1_2")]))
        .unwrap();
    for (path, value, error) in [
        ("/mutualTlsAuthentication/truststoreVersion", "v", "A truststoreVersion needs a truststoreUri"),
        ("/mutualTlsAuthentication/truststoreUri", "s3://b", "Invalid truststoreUri s3://b: expected s3://bucket/key"),
        ("/securityPolicy", "TLS_9", "Invalid value 'TLS_9' for /securityPolicy"),
        ("/endpointConfiguration/types/0", "EDGE", "An endpoint type other than REGIONAL"),
        ("/certificateArn", "arn", "Invalid patch path  '/certificateArn' specified for op 'replace'"),
    ] {
        assert!(patch(json!([replace(path, value)])).unwrap_err().starts_with(error), "{path}");
    }
}

#[test]
fn a_security_policy_and_its_access_mode_go_together() {
    let (state, config) = (State::default(), config());
    let draft = &mut Draft::new(&state, &config, "us-east-1", 0);
    let mut domain = crate::acm::tests::domain("arn");
    domain.region = "us-east-1".to_owned();
    draft.put(&domain).unwrap();
    let mut patch = |operations: &[(&str, &str)]| {
        let operations: Vec<Value> =
            operations.iter().map(|(path, value)| json!({"op": "replace", "path": path, "value": value})).collect();
        let body = json!({"domain_name": domain.name, "patchOperations": operations});
        let patched = domain_name::update(draft, &input(body)).map_err(|error| error.message)?;
        Ok::<_, String>((patched.security_policy.as_str(), patched.endpoint_access_mode))
    };
    let (policy, mode) = ("/securityPolicy", "/endpointAccessMode");
    let tls13 = "SecurityPolicy_TLS13_1_3_2025_09";
    let strict = Some(model::EndpointAccessMode::Strict);
    for (operations, result) in [
        (vec![(policy, tls13)], Err("Endpoint access mode is required for the specified security policy")),
        (
            vec![(mode, "STRICT")],
            Err("An endpoint access mode needs a security policy that starts with SecurityPolicy_"),
        ),
        (vec![(policy, tls13), (mode, "STRICT")], Ok((tls13, strict))),
        (vec![(policy, "SecurityPolicy_TLS13_1_2_PQ_2025_09")], Ok(("SecurityPolicy_TLS13_1_2_PQ_2025_09", strict))),
        (vec![(mode, "LAX")], Err("Invalid value 'LAX' for /endpointAccessMode")),
        (
            vec![(policy, "TLS_1_0"), (mode, "")],
            Err("securityPolicy TLS_1_0 is not available in Countersign: nothing older"),
        ),
        (
            vec![(policy, "SecurityPolicy_TLS13_2025_EDGE")],
            Err("securityPolicy SecurityPolicy_TLS13_2025_EDGE is not available"),
        ),
        (vec![(policy, "TLS_1_2")], Err("An endpoint access mode needs")),
        (vec![(policy, "TLS_1_2"), (mode, "")], Ok(("TLS_1_2", None))),
    ] {
        match (patch(&operations), result) {
            (Err(error), Err(begin)) => assert!(error.starts_with(begin), "{error}"),
            (patched, result) => assert_eq!(patched, result.map_err(str::to_owned), "{operations:?}"),
        }
    }
}

#[test]
fn api_keys_are_sealed_and_none_is_there_twice() {
    let (state, config) = (State::default(), config());
    let keyring = model::Keyring::new(&[7; 32]).unwrap();
    let draft = &mut Draft::new(&state, &config, "us-east-1", 0);
    let value = "a-value-of-twenty-characters";
    let made = api_key::create(draft, &keyring, &input(json!({"name": "a", "value": value, "enabled": true}))).unwrap();
    let id = made.id.unwrap();
    assert!(!serde_json::to_string(&*draft.state.api_keys[&id]).unwrap().contains(value));
    let get = |draft: &Draft<'_>, with: bool| {
        api_key::get(draft, &keyring, &input(json!({"api_Key": id, "includeValue": with}))).unwrap().value
    };
    assert_eq!((get(draft, true).as_deref(), get(draft, false)), (Some(value), None));
    for (body, code) in [
        (json!({"value": value}), "ConflictException"),
        (json!({"value": "short"}), "BadRequestException"),
        (json!({"value": "twenty characters and a space"}), "BadRequestException"),
        (json!({"generateDistinctId": false}), "BadRequestException"),
    ] {
        assert_eq!(api_key::create(draft, &keyring, &input(body.clone())).unwrap_err().code, code, "{body}");
    }
    assert_eq!(api_key::create(draft, &keyring, &input(json!({}))).unwrap().value.unwrap().len(), 40);
}

#[test]
fn a_usage_plan_is_patched() {
    let (state, config) = (State::default(), config());
    let draft = &mut Draft::new(&state, &config, "us-east-1", 0);
    let (api, pet) = pets(draft);
    put_integration(draft, &api, &pet, json!({})).unwrap();
    deployment::create(draft, &input(json!({"restapi_id": api, "stageName": "prod"}))).unwrap();
    let id = usage_plan::create(draft, &input(json!({"name": "p"}))).unwrap().id.unwrap();
    let mut patch = |op: &str, path: &str, value: &str| {
        let operations = json!([{"op": op, "path": path, "value": value}]);
        usage_plan::update(draft, &input(json!({"usageplanId": id, "patchOperations": operations})))
    };
    let stage = format!("{api}:prod");
    assert!(patch("replace", "/quota/limit", "5").is_err(), "a quota needs a period");
    patch("add", "/apiStages", &stage).unwrap();
    assert_eq!(patch("add", "/apiStages", &stage).unwrap_err().code, "ConflictException");
    for path in ["//pets/{id}/GET/rateLimit", "/~1pets~1{id}/GET/burstLimit"] {
        patch("replace", &format!("/apiStages/{stage}/throttle{path}"), "2").unwrap();
    }
    let shown = patch("replace", "/throttle/rateLimit", "1.5").unwrap();
    let limits = shown.api_stages.unwrap().remove(0).throttle.unwrap();
    assert_eq!(limits["/pets/{id}/GET"], ThrottleSettings { burst_limit: Some(2), rate_limit: Some(2.0) });
    let shown = patch("remove", &format!("/apiStages/{stage}/throttle//pets/{{id}}/GET"), "").unwrap();
    assert!(shown.api_stages.unwrap().remove(0).throttle.is_none());
    assert!(patch("remove", "/throttle", "").unwrap().throttle.is_none());
    for (op, path, value) in [
        ("replace", "/throttle/rateLimit", "-1"),
        ("replace", "/throttle/burstLimit", "0.5"),
        ("remove", "/apiStages", "none:prod"),
        ("add", "/apiStages", "prod"),
        ("replace", "/nothing", "x"),
    ] {
        assert!(patch(op, path, value).is_err(), "{op} {path} {value}");
    }
    let operations = json!([{"op": "add", "path": "/quota/limit", "value": "5"}, {"op": "add", "path": "/quota/period", "value": "WEEK"},
        {"op": "add", "path": "/quota/offset", "value": "6"}]);
    let shown = usage_plan::update(draft, &input(json!({"usageplanId": id, "patchOperations": operations}))).unwrap();
    let week = QuotaSettings { limit: Some(5), offset: Some(6), period: Some(QuotaPeriodType::Week) };
    assert_eq!(shown.quota, Some(week));
    stage::delete(draft, &input(json!({"restapi_id": api, "stage_name": "prod"}))).unwrap();
    let left = usage_plan::get(draft, &input(json!({"usageplanId": id}))).unwrap();
    assert_eq!(left.api_stages, Some(Vec::new()), "a stage that is deleted leaves its plans");
}
