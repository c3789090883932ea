//! CloudWatch Logs over HTTP.

use serde_json::{Value, json};

use crate::server::{NOW, REGION, Server};

async fn logs(server: &Server, operation: &str, body: Value) -> Result<Value, String> {
    server.json("logs", &format!("Logs_20140328.{operation}"), body).await
}

/// A group with a stream that holds `count` events, `m0` and so on, a millisecond apart.
async fn filled(count: i64) -> Server {
    let server = Server::start().await;
    logs(&server, "CreateLogGroup", json!({"logGroupName": "g"})).await.unwrap();
    logs(&server, "CreateLogStream", json!({"logGroupName": "g", "logStreamName": "s"})).await.unwrap();
    let events: Vec<Value> = (0..count).map(|n| json!({"timestamp": NOW + n, "message": format!("m{n}")})).collect();
    put(&server, events).await.unwrap();
    server
}

async fn put(server: &Server, events: Vec<Value>) -> Result<Value, String> {
    logs(server, "PutLogEvents", json!({"logGroupName": "g", "logStreamName": "s", "logEvents": events})).await
}

fn messages(page: &Value) -> Vec<String> {
    page["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn groups() {
    let server = Server::start().await;
    for name in ["/b", "/a/One", "/a/two"] {
        logs(&server, "CreateLogGroup", json!({"logGroupName": name, "tags": {"k": "v"}})).await.unwrap();
    }
    let again = logs(&server, "CreateLogGroup", json!({"logGroupName": "/b"})).await;
    assert_eq!(again.unwrap_err(), "ResourceAlreadyExistsException");
    let names = |answer: Value| -> Vec<String> {
        let groups = answer["logGroups"].as_array().unwrap().iter();
        groups.map(|group| group["logGroupName"].as_str().unwrap().to_owned()).collect()
    };
    for (body, wanted) in [
        (
            json!({}),
            &["/a/One", "/a/two", "/b", "/countersign/connections", "/countersign/doctor", "/countersign/settings"][..],
        ),
        (json!({"logGroupNamePrefix": "/a"}), &["/a/One", "/a/two"]),
        (json!({"logGroupNamePattern": "ONE"}), &["/a/One"]),
        (json!({"limit": 2}), &["/a/One", "/a/two"]),
    ] {
        assert_eq!(names(logs(&server, "DescribeLogGroups", body.clone()).await.unwrap()), wanted, "{body}");
    }
    let token = logs(&server, "DescribeLogGroups", json!({"limit": 2})).await.unwrap()["nextToken"].clone();
    let next = logs(&server, "DescribeLogGroups", json!({"nextToken": token, "limit": 1})).await.unwrap();
    assert_eq!(names(next), ["/b"]);
    for body in [json!({"nextToken": "x"}), json!({"logGroupNamePrefix": "a", "logGroupNamePattern": "aaa"})] {
        assert_eq!(logs(&server, "DescribeLogGroups", body).await.unwrap_err(), "InvalidParameterException");
    }
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:/b";
    logs(&server, "PutRetentionPolicy", json!({"logGroupName": "/b", "retentionInDays": 7})).await.unwrap();
    let odd = logs(&server, "PutRetentionPolicy", json!({"logGroupName": "/b", "retentionInDays": 8})).await;
    assert_eq!(odd.unwrap_err(), "InvalidParameterException");
    let shown = logs(&server, "DescribeLogGroups", json!({"logGroupNamePrefix": "/b"})).await.unwrap();
    let group = &shown["logGroups"][0];
    assert_eq!((&group["retentionInDays"], &group["creationTime"]), (&json!(7), &json!(NOW)));
    assert_eq!((&group["arn"], &group["logGroupArn"]), (&json!(format!("{arn}:*")), &json!(arn)));
    logs(&server, "TagResource", json!({"resourceArn": arn, "tags": {"x": "y"}})).await.unwrap();
    logs(&server, "UntagResource", json!({"resourceArn": arn, "tagKeys": ["k"]})).await.unwrap();
    let tags = logs(&server, "ListTagsForResource", json!({"resourceArn": arn})).await.unwrap();
    assert_eq!(tags["tags"], json!({"x": "y"}));
    logs(&server, "DeleteLogGroup", json!({"logGroupName": "/b"})).await.unwrap();
    let gone = logs(&server, "FilterLogEvents", json!({"logGroupName": "/b"})).await;
    assert_eq!(gone.unwrap_err(), "ResourceNotFoundException");
}

#[tokio::test]
async fn a_stream_is_read_forth_and_back_to_its_ends() {
    let server = filled(5).await;
    let get = |more: Value| {
        let mut body = json!({"logGroupName": "g", "logStreamName": "s", "limit": 2});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let server = &server;
        async move { logs(server, "GetLogEvents", body).await.unwrap() }
    };
    let mut page = get(json!({"startFromHead": true})).await;
    let mut found = messages(&page);
    loop {
        // Others' records come in all the time: the end of this stream is where it is all the same.
        server.control.journal().append_events(REGION, "other", "s", &[(NOW, "noise")], NOW).unwrap();
        let token = page["nextForwardToken"].clone();
        page = get(json!({"startFromHead": true, "nextToken": token})).await;
        found.extend(messages(&page));
        if page["nextForwardToken"] == token {
            break;
        }
    }
    assert_eq!(found, ["m0", "m1", "m2", "m3", "m4"]);
    assert!(messages(&page).is_empty());

    put(&server, vec![json!({"timestamp": NOW + 5, "message": "m5"})]).await.unwrap();
    let later = get(json!({"nextToken": page["nextForwardToken"]})).await;
    assert_eq!(messages(&later), ["m5"], "the token of the end leads on");

    let last = get(json!({})).await;
    assert_eq!(messages(&last), ["m4", "m5"], "the newest, in order of time");
    let before = get(json!({"nextToken": last["nextBackwardToken"]})).await;
    assert_eq!(messages(&before), ["m2", "m3"]);
    let first = get(json!({"nextToken": before["nextBackwardToken"]})).await;
    assert_eq!(messages(&first), ["m0", "m1"]);
    let end = get(json!({"nextToken": first["nextBackwardToken"]})).await;
    assert!(messages(&end).is_empty());
    assert_eq!(end["nextBackwardToken"], first["nextBackwardToken"]);

    let some = get(json!({"startTime": NOW + 1, "endTime": NOW + 3, "startFromHead": true})).await;
    assert_eq!(messages(&some), ["m1", "m2"], "the end is not included");
    for token in ["x", "f/1", "g/00000000000000000000000000000000"] {
        let body = json!({"logGroupName": "g", "logStreamName": "s", "nextToken": token});
        assert_eq!(logs(&server, "GetLogEvents", body).await.unwrap_err(), "InvalidParameterException", "{token}");
    }
}

#[tokio::test]
async fn filtered_over_the_group() {
    let server = filled(5).await;
    let filter = |more: Value| {
        let mut body = json!({"logGroupName": "g"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let server = &server;
        async move { logs(server, "FilterLogEvents", body).await }
    };
    assert_eq!(messages(&filter(json!({"filterPattern": "m3"})).await.unwrap()), ["m3"]);
    assert_eq!(messages(&filter(json!({"filterPattern": ""})).await.unwrap()).len(), 5);
    assert_eq!(messages(&filter(json!({"startTime": NOW + 3, "endTime": NOW + 4})).await.unwrap()), ["m3", "m4"]);
    assert_eq!(messages(&filter(json!({"logStreamNames": ["s"]})).await.unwrap()).len(), 5);
    assert!(messages(&filter(json!({"logStreamNamePrefix": "t"})).await.unwrap()).is_empty());
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:g";
    let by_arn = logs(&server, "FilterLogEvents", json!({"logGroupIdentifier": arn})).await.unwrap();
    assert_eq!(messages(&by_arn).len(), 5);
    for (more, code) in [
        (json!({"filterPattern": "{ $.a ="}), "InvalidParameterException"),
        (json!({"logStreamNames": ["none"]}), "ResourceNotFoundException"),
        (json!({"logStreamNames": ["s"], "logStreamNamePrefix": "s"}), "InvalidParameterException"),
        (json!({"logGroupIdentifier": "g"}), "InvalidParameterException"),
        (json!({"nextToken": "x"}), "InvalidParameterException"),
    ] {
        assert_eq!(filter(more.clone()).await.unwrap_err(), code, "{more}");
    }
    let (mut found, mut token, mut ids) = (Vec::new(), None::<String>, std::collections::BTreeSet::new());
    loop {
        let more = token.map_or(json!({"limit": 2}), |token| json!({"limit": 2, "nextToken": token}));
        let page = filter(more).await.unwrap();
        found.extend(messages(&page));
        ids.extend(page["events"].as_array().unwrap().iter().map(|e| e["eventId"].as_str().unwrap().to_owned()));
        token = page["nextToken"].as_str().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(found, ["m0", "m1", "m2", "m3", "m4"]);
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn streams() {
    let server = filled(2).await;
    let other = json!({"logGroupName": "g", "logStreamName": "made"});
    logs(&server, "CreateLogStream", other.clone()).await.unwrap();
    assert_eq!(logs(&server, "CreateLogStream", other).await.unwrap_err(), "ResourceAlreadyExistsException");
    server.control.journal().append_events(REGION, "g", "access", &[(NOW + 9, "a request")], NOW).unwrap();
    let names = |body: Value| {
        let server = &server;
        async move {
            let answer = logs(server, "DescribeLogStreams", body).await.unwrap();
            let streams = answer["logStreams"].as_array().unwrap().clone();
            streams.iter().map(|s| s["logStreamName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    assert_eq!(names(json!({"logGroupName": "g"})).await, ["access", "made", "s"]);
    assert_eq!(names(json!({"logGroupName": "g", "logStreamNamePrefix": "m"})).await, ["made"]);
    let by_time = json!({"logGroupName": "g", "orderBy": "LastEventTime", "descending": true});
    assert_eq!(names(by_time).await, ["access", "s", "made"]);
    let first = logs(&server, "DescribeLogStreams", json!({"logGroupName": "g", "limit": 1})).await.unwrap();
    let next = json!({"logGroupName": "g", "limit": 1, "nextToken": first["nextToken"]});
    assert_eq!(names(next).await, ["made"]);

    let forged =
        json!({"logGroupName": "g", "logStreamName": "access", "logEvents": [{"timestamp": NOW, "message": "x"}]});
    let forged = logs(&server, "PutLogEvents", forged).await;
    assert_eq!(forged.unwrap_err(), "ResourceNotFoundException", "nobody writes into the gateway's own records");

    logs(&server, "DeleteLogStream", json!({"logGroupName": "g", "logStreamName": "s"})).await.unwrap();
    assert_eq!(names(json!({"logGroupName": "g"})).await, ["access", "made"]);
    let left = logs(&server, "FilterLogEvents", json!({"logGroupName": "g"})).await.unwrap();
    assert_eq!(messages(&left), ["a request"]);
    let gone = logs(&server, "GetLogEvents", json!({"logGroupName": "g", "logStreamName": "s"})).await;
    assert_eq!(gone.unwrap_err(), "ResourceNotFoundException");
}

#[tokio::test]
async fn a_batch_has_rules() {
    let server = filled(1).await;
    let event = |at: i64| json!({"timestamp": at, "message": "x"});
    let hour = 3_600_000;
    for events in [
        vec![event(NOW + 1), event(NOW)],
        vec![event(NOW), event(NOW + 25 * hour)],
        vec![
            json!({"timestamp": NOW, "message": "x".repeat(600_000)}),
            json!({"timestamp": NOW, "message": "y".repeat(448_600)}),
        ],
    ] {
        let answer = put(&server, events).await;
        assert!(
            matches!(
                answer.as_ref().map_err(String::as_str),
                Err("InvalidParameterException" | "RequestEntityTooLargeException")
            ),
            "{answer:?}"
        );
    }
    let partly = put(&server, vec![event(NOW - 1), event(NOW + 1), event(NOW + 3 * hour)]).await.unwrap();
    let rejected = json!({"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2});
    assert_eq!(partly["rejectedLogEventsInfo"], rejected, "it is older than its group, or of tomorrow");
    let all = logs(&server, "FilterLogEvents", json!({"logGroupName": "g"})).await.unwrap();
    assert_eq!(messages(&all), ["m0", "x"]);
}

#[tokio::test]
async fn a_group_made_again_shows_nothing_of_before() {
    let server = filled(3).await;
    logs(&server, "DeleteLogGroup", json!({"logGroupName": "g"})).await.unwrap();
    // The clock of this test stands still: made again a second later.
    let later = model::resource::LogGroup::new(REGION, "g", NOW + 1000);
    server
        .control
        .settings()
        .change(control::By::Server("Test"), |_| Ok((vec![model::Change::put(&later)], ())))
        .await
        .unwrap();
    let events = logs(&server, "FilterLogEvents", json!({"logGroupName": "g"})).await.unwrap();
    assert!(messages(&events).is_empty());
    let streams = logs(&server, "DescribeLogStreams", json!({"logGroupName": "g"})).await.unwrap();
    assert_eq!(streams["logStreams"], json!([]));
}
