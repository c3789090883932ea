//! APIs and what is in them.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::State;
use serde_json::{Value, json};

use crate::server::Server;

fn id<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// An API with an integration; its path and the integration's id.
async fn api(server: &Server) -> (String, String) {
    let api = server.ok("POST", "/v2/apis", json!({"name": "orders", "protocolType": "HTTP"})).await;
    let path = format!("/v2/apis/{}", id(&api, "apiId"));
    let proxy = json!({"integrationType": "HTTP_PROXY", "integrationMethod": "ANY", "integrationUri": "http://127.0.0.1:9000/{proxy}"});
    let integration = server.ok("POST", &format!("{path}/integrations"), proxy).await;
    (path, id(&integration, "integrationId").to_owned())
}

async fn route(server: &Server, api: &str, key: &str, integration: &str) -> Value {
    let route = json!({"routeKey": key, "target": format!("integrations/{integration}")});
    server.ok("POST", &format!("{api}/routes"), route).await
}

#[tokio::test]
async fn an_api_is_created_read_patched_listed_and_deleted() {
    let server = Server::start().await;
    let made = server
        .ok(
            "POST",
            "/v2/apis",
            json!({"name": "orders", "protocolType": "HTTP", "description": "d", "tags": {"a": "b"}}),
        )
        .await;
    let api_id = id(&made, "apiId");
    assert_eq!(api_id.len(), 10);
    assert_eq!(made["apiEndpoint"], format!("https://{api_id}.execute-api.us-east-1.localhost:8443"));
    assert_eq!(made["routeSelectionExpression"], "$request.method $request.path");
    assert_eq!(made["createdDate"], "2025-11-22T17:00:00Z");
    assert_eq!(made["disableExecuteApiEndpoint"], false);
    let path = format!("/v2/apis/{api_id}");
    let patched = server.ok("PATCH", &path, json!({"disableExecuteApiEndpoint": true, "description": ""})).await;
    assert_eq!((&patched["disableExecuteApiEndpoint"], &patched["name"]), (&json!(true), &json!("orders")));
    assert_eq!(patched["description"], Value::Null);
    assert_eq!(server.ok("GET", &path, Value::Null).await, patched);
    assert_eq!(server.ok("GET", "/v2/apis", Value::Null).await["items"], json!([patched]));
    let elsewhere = json!({"name": "orders", "protocolType": "HTTP"});
    let (_, made) = server.call_in("eu-west-1", "POST", "/v2/apis", elsewhere).await;
    assert!(made["apiEndpoint"].as_str().unwrap().ends_with(".execute-api.eu-west-1.localhost:8443"), "{made}");
    assert!(server.control.settings().state().endpoints.contains_key("eu-west-1"), "with its certificate");
    let (status, elsewhere) = server.call_in("eu-west-1", "GET", &path, Value::Null).await;
    assert_eq!(status, 404);
    assert_eq!(elsewhere["resourceType"], "Api");
    server.ok("DELETE", &path, Value::Null).await;
    let gone = server.refused("GET", &path, Value::Null).await;
    assert_eq!(gone, (404, format!("Invalid API identifier specified 123456789012:{api_id}")));
}

#[tokio::test]
async fn what_is_not_here_or_makes_no_sense_is_refused() {
    let server = Server::start().await;
    let (path, integration) = api(&server).await;
    route(&server, &path, "GET /pets", &integration).await;
    let proxy = |more: Value| {
        let mut body = json!({"integrationType": "HTTP_PROXY", "integrationUri": "http://b/"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let log = |arn: &str, format: &str| json!({"stageName": "p", "accessLogSettings": {"destinationArn": arn, "format": format}});
    let group = "arn:aws:logs:us-east-1:123456789012:log-group:g";
    for (at, body, status, said) in [
        ("", json!({"name": "x", "protocolType": "WEBSOCKET"}), 400, "routeSelectionExpression is required"),
        ("", json!({"name": "", "protocolType": "HTTP"}), 400, "name"),
        (
            "",
            json!({"name": "x", "protocolType": "HTTP", "tags": {"countersign:eku": "any"}}),
            400,
            "custom domain name",
        ),
        ("", json!({"name": "x", "protocolType": "HTTP", "routeKey": "GET /"}), 400, "target"),
        (
            "/integrations",
            json!({"integrationType": "AWS_PROXY", "integrationUri": "arn:x"}),
            400,
            "Invalid function ARN",
        ),
        ("/integrations", json!({"integrationType": "HTTP_PROXY"}), 400, "integrationUri"),
        ("/integrations", proxy(json!({"integrationUri": "ftp://b/"})), 400, "Invalid HTTP endpoint"),
        ("/integrations", proxy(json!({"timeoutInMillis": 49})), 400, "greater than or equal to 50"),
        ("/integrations", proxy(json!({"connectionType": "VPC_LINK"})), 400, "VPC_LINK"),
        ("/integrations", proxy(json!({"payloadFormatVersion": "2.0"})), 400, "payloadFormatVersion"),
        ("/integrations", proxy(json!({"requestParameters": {"header.x": "y"}})), 400, "header.x"),
        ("/routes", json!({"routeKey": "GET pets"}), 400, "not formatted properly"),
        ("/routes", json!({"routeKey": "GET /pets"}), 409, "Route with key GET /pets already exists for this API"),
        ("/routes", json!({"routeKey": "GET /x", "target": "lambda/x"}), 400, "integrations/{id}"),
        ("/routes", json!({"routeKey": "GET /x", "target": "integrations/nope"}), 404, "Integration"),
        ("/routes", json!({"routeKey": "GET /x", "authorizationType": "JWT"}), 400, "authorization"),
        ("/stages", json!({"stageName": "a b"}), 400, "Stage name"),
        ("/stages", log(group, "$context.status"), 400, "$context.requestId"),
        ("/stages", log("arn:aws:s3:::b", "$context.requestId"), 400, "log group"),
        ("/stages", log(group, &format!("$context.requestId{}", "x".repeat(3072))), 400, "3072"),
        ("/stages", json!({"stageName": "p", "stageVariables": {"a-b": "x"}}), 400, "stage variable"),
        ("/stages", json!({"stageName": "p", "deploymentId": "nope"}), 404, "Deployment"),
        (
            "/stages",
            json!({"stageName": "p", "routeSettings": {"GET /x": {}}}),
            404,
            "Unable to find Route by key GET /x",
        ),
        ("/deployments", json!({"stageName": "nope"}), 404, "stage"),
    ] {
        let path = if at.is_empty() { "/v2/apis".to_owned() } else { format!("{path}{at}") };
        let refused = server.refused("POST", &path, body.clone()).await;
        assert!(refused.0 == status && refused.1.contains(said), "{at} {body}: {refused:?}");
    }
    let revision = server.control.settings().state().revision;
    let not_here = server.refused("POST", "/v2/portals", json!({})).await;
    assert!(not_here.0 == 404 && not_here.1.contains("CreatePortal"), "{not_here:?}");
    assert_eq!(server.control.settings().state().revision, revision);
}

#[tokio::test]
async fn a_stage_serves_its_deployment_until_the_next() {
    let server = Server::start().await;
    let (path, integration) = api(&server).await;
    let no_routes = server.refused("POST", &format!("{path}/deployments"), json!({})).await;
    assert_eq!(no_routes, (400, "Unable to deploy API because no routes exist in this API".to_owned()));
    route(&server, &path, "ANY /{proxy+}", &integration).await;
    let stage = format!("{path}/stages/prod");
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:/access";
    let log = json!({"destinationArn": format!("{arn}:*"), "format": "$context.requestId $context.status"});
    let made =
        server.ok("POST", &format!("{path}/stages"), json!({"stageName": "prod", "accessLogSettings": log})).await;
    assert_eq!((&made["deploymentId"], &made["autoDeploy"]), (&Value::Null, &json!(false)));
    assert_eq!(made["accessLogSettings"]["destinationArn"], arn);
    let deployment = server.ok("POST", &format!("{path}/deployments"), json!({"stageName": "prod"})).await;
    let first = id(&deployment, "deploymentId");
    assert_eq!(server.ok("GET", &stage, Value::Null).await["deploymentId"], first);

    server.ok("PATCH", &path, json!({"disableExecuteApiEndpoint": true})).await;
    let state = server.control.settings().state();
    let api_id = path.rsplit('/').next().unwrap();
    assert!(!State::one(&state.deployments, api_id, first).unwrap().disable_execute_api_endpoint);
    let second = server.ok("POST", &format!("{path}/deployments"), json!({"stageName": "prod"})).await;
    let state = server.control.settings().state();
    assert!(State::one(&state.deployments, api_id, id(&second, "deploymentId")).unwrap().disable_execute_api_endpoint);

    let in_use =
        server.refused("DELETE", &format!("{path}/deployments/{}", id(&second, "deploymentId")), Value::Null).await;
    assert_eq!(in_use, (400, "Active stages pointing to this deployment must be moved or deleted".to_owned()));
    server.ok("PATCH", &stage, json!({"deploymentId": first, "description": "back"})).await;
    server.ok("DELETE", &format!("{path}/deployments/{}", id(&second, "deploymentId")), Value::Null).await;
    assert_eq!(
        server.ok("GET", &format!("{path}/deployments"), Value::Null).await["items"].as_array().unwrap().len(),
        1
    );
    server.ok("DELETE", &format!("{stage}/accesslogsettings"), Value::Null).await;
    assert_eq!(server.ok("GET", &stage, Value::Null).await["accessLogSettings"], Value::Null);
}

#[tokio::test]
async fn an_auto_deploying_stage_follows_every_change_in_the_same_commit() {
    let server = Server::start().await;
    let (path, integration) = api(&server).await;
    let api_id = path.rsplit('/').next().unwrap().to_owned();
    let stage =
        server.ok("POST", &format!("{path}/stages"), json!({"stageName": "$default", "autoDeploy": true})).await;
    assert!(id(&stage, "lastDeploymentStatusMessage").contains("no routes exist"), "{stage}");
    let served = || {
        let state = server.control.settings().state();
        let stage = State::one(&state.stages, &api_id, "$default").unwrap().clone();
        let deployment = State::one(&state.deployments, &api_id, stage.deployment_id.as_ref().unwrap()).unwrap();
        assert_eq!(State::of(&state.deployments, &api_id).count(), 1, "the old ones are gone");
        Arc::clone(deployment)
    };
    let made = route(&server, &path, "GET /a", &integration).await;
    assert_eq!(served().routes[0].route_key, "GET /a");
    assert!(served().auto_deployed);
    let revision = server.control.settings().state().revision;
    server.ok("PATCH", &format!("{path}/routes/{}", id(&made, "routeId")), json!({"routeKey": "GET /b"})).await;
    assert_eq!(server.control.settings().state().revision, revision + 1, "one commit");
    assert_eq!(served().routes[0].route_key, "GET /b");
    server.ok("PATCH", &format!("{path}/integrations/{integration}"), json!({"timeoutInMillis": 1000})).await;
    assert_eq!(served().integrations[0].timeout_ms, 1000);
    server.ok("PATCH", &path, json!({"disableExecuteApiEndpoint": true})).await;
    assert!(served().disable_execute_api_endpoint);
    let before = served().id.clone();
    server.ok("PATCH", &path, json!({"description": "nothing that is served"})).await;
    assert_eq!(served().id, before);
    let set = server.refused("PATCH", &format!("{path}/stages/$default"), json!({"deploymentId": before})).await;
    assert_eq!(set, (400, "Deployment ID cannot be set on stage with AutoDeploy enabled".to_owned()));
    let status = server.ok("GET", &format!("{path}/stages/$default"), Value::Null).await;
    assert_eq!(
        status["lastDeploymentStatusMessage"],
        format!("Successfully deployed stage with deployment ID '{}'", served().id)
    );
}

#[tokio::test]
async fn quick_create_makes_an_api_that_serves() {
    let server = Server::start().await;
    let body = json!({"name": "q", "protocolType": "HTTP", "target": "http://127.0.0.1:9000", "routeKey": "GET /x"});
    let revision = server.control.settings().state().revision;
    let api = server.ok("POST", "/v2/apis", body).await;
    let path = format!("/v2/apis/{}", id(&api, "apiId"));
    assert_eq!(server.control.settings().state().revision, revision + 1, "one commit");
    let stage = server.ok("GET", &format!("{path}/stages/$default"), Value::Null).await;
    assert_eq!((&stage["autoDeploy"], &stage["apiGatewayManaged"]), (&json!(true), &json!(true)));
    let deployment = id(&stage, "deploymentId").to_owned();
    let routes = server.ok("GET", &format!("{path}/routes"), Value::Null).await;
    assert_eq!(routes["items"][0]["routeKey"], "GET /x");
    server.ok("PATCH", &path, json!({"target": "http://127.0.0.1:9001", "routeKey": "$default"})).await;
    let integrations = server.ok("GET", &format!("{path}/integrations"), Value::Null).await;
    assert_eq!(integrations["items"][0]["integrationUri"], "http://127.0.0.1:9001");
    let stage = server.ok("GET", &format!("{path}/stages/$default"), Value::Null).await;
    assert_ne!(id(&stage, "deploymentId"), deployment);
}

#[tokio::test]
async fn patches_keep_what_they_do_not_name() {
    let server = Server::start().await;
    let (path, integration) = api(&server).await;
    let at = format!("{path}/integrations/{integration}");
    server
        .ok(
            "PATCH",
            &at,
            json!({"requestParameters": {"append:header.a": "1", "append:header.b": "2"}, "timeoutInMillis": 700}),
        )
        .await;
    let patched = server.ok("PATCH", &at, json!({"requestParameters": {"append:header.a": ""}})).await;
    assert_eq!(patched["requestParameters"], json!({"append:header.b": "2"}));
    assert_eq!((&patched["timeoutInMillis"], &patched["integrationMethod"]), (&json!(700), &json!("ANY")));
    let made = route(&server, &path, "GET /a", &integration).await;
    let at = format!("{path}/routes/{}", id(&made, "routeId"));
    let patched = server.ok("PATCH", &at, json!({"operationName": "list"})).await;
    assert_eq!(patched["target"], format!("integrations/{integration}"));
    let stages = format!("{path}/stages");
    let settings = json!({"throttlingRateLimit": 10.5, "throttlingBurstLimit": 20});
    server
        .ok(
            "POST",
            &stages,
            json!({"stageName": "p", "stageVariables": {"a": "1", "b": "2"}, "defaultRouteSettings": settings}),
        )
        .await;
    let patched =
        server.ok("PATCH", &format!("{stages}/p"), json!({"stageVariables": {"a": ""}, "autoDeploy": true})).await;
    assert_eq!(patched["stageVariables"], json!({"b": "2"}));
    assert_eq!(patched["defaultRouteSettings"]["throttlingRateLimit"], 10.5);
    assert!(patched["deploymentId"].is_string(), "switching auto deploy on deploys: {patched}");
    let in_use = server.refused("DELETE", &format!("{path}/integrations/{integration}"), Value::Null).await;
    let message = "Cannot delete Integration because it is referenced by the following Routes with Ids";
    assert_eq!(in_use, (409, format!("{message}: [{}]", id(&made, "routeId"))));
    server.ok("DELETE", &path, Value::Null).await;
    let state = server.control.settings().state();
    assert!(state.routes.is_empty() && state.integrations.is_empty() && state.stages.is_empty());
    assert!(state.deployments.is_empty());
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = Server::start().await;
    let (path, integration) = api(&server).await;
    for number in 0..5 {
        route(&server, &path, &format!("GET /{number}"), &integration).await;
    }
    let mut seen = BTreeSet::new();
    let mut query = String::new();
    for page in 0..3 {
        let answer = server.ok("GET", &format!("{path}/routes?maxResults=2{query}"), Value::Null).await;
        let items = answer["items"].as_array().unwrap();
        seen.extend(items.iter().map(|route| route["routeKey"].to_string()));
        assert_eq!(answer["nextToken"].is_string(), page < 2);
        query = format!("&nextToken={}", answer["nextToken"].as_str().unwrap_or_default());
    }
    assert_eq!(seen.len(), 5);
    assert_eq!(server.refused("GET", &format!("{path}/routes?maxResults=no"), Value::Null).await.0, 400);
}

#[tokio::test]
async fn concurrent_changes_never_lose_one_another() {
    let server = Arc::new(Server::start().await);
    let (path, integration) = api(&server).await;
    server.ok("POST", &format!("{path}/stages"), json!({"stageName": "auto", "autoDeploy": true})).await;
    let tasks = (0..60).map(|number| {
        let (server, path, integration) = (Arc::clone(&server), path.clone(), integration.clone());
        tokio::spawn(async move {
            // Ten keys, six tasks each: one wins, five conflict.
            let key = format!("GET /{}", number % 10);
            let body = json!({"routeKey": key, "target": format!("integrations/{integration}")});
            let (status, _) = server.call("POST", &format!("{path}/routes"), body).await;
            let tag = json!({"tags": {format!("t{number}"): "x"}});
            let arn = format!("arn:aws:apigateway:us-east-1::/apis/{}", path.rsplit('/').next().unwrap());
            let arn = arn.replace(':', "%3A").replace('/', "%2F");
            if number < 40 {
                server.ok("POST", &format!("/v2/tags/{arn}"), tag).await;
            }
            status.as_u16()
        })
    });
    let mut statuses = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        statuses.push(task.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 10);
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 50);
    let api_id = path.rsplit('/').next().unwrap();
    let state = server.control.settings().state();
    assert_eq!(state.apis[api_id].tags.len(), 40);
    let stage = State::one(&state.stages, api_id, "auto").unwrap();
    let served = State::one(&state.deployments, api_id, stage.deployment_id.as_ref().unwrap()).unwrap();
    assert_eq!(served.routes.len(), 10);
}
