//! Whole queries over a few events, and what is no query.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const EVENTS: [&str; 6] = [
    r#"{"status":200,"path":"/pets","latency":12,"client":{"subject":"CN=a"},"ok":true,"ip":"10.0.0.1"}"#,
    r#"{"status":"403","path":"/pets","latency":3,"client":{"subject":"CN=b"},"ok":false,"ip":"192.0.2.1"}"#,
    r#"{"status":200,"path":"/orders","latency":30,"client":{"subject":"CN=a"},"ok":true}"#,
    "plain text user=ann, method:GET, latency := 7",
    "ERROR Plain user=bob, method:PUT, latency := 9",
    r#"{"status":502,"path":"/pets","latency":"100","client":{"subject":"CN=c"},"x-y":"1"}"#,
];

/// Rows as `a|b`, of the events at 0 s, 60 s, 120 s, …
fn rows(query: &str) -> Vec<String> {
    let query = Query::parse(query).unwrap_or_else(|malformed| panic!("{query}: {malformed:?}"));
    let mut execution = Execution::new(Arc::new(query), 1_000_000, None);
    for (number, message) in (0..).zip(EVENTS) {
        let source = Source {
            time_ms: number * 60_000,
            ingestion_ms: number * 60_000 + 1,
            stream: format!("s{}", number % 2),
            log: "123456789012:g".into(),
            message: message.to_owned(),
            pointer: number.to_string(),
        };
        execution.push(source).unwrap();
    }
    let text = |row: ResultRow| {
        let values: Vec<String> = row.into_iter().filter(|(name, _)| name != "@ptr").map(|(_, value)| value).collect();
        values.join("|")
    };
    execution.finish().into_iter().map(text).collect()
}

#[test]
fn what_queries_find() {
    for (query, expected) in [
        ("fields path, status | sort latency desc | limit 2", &["/pets|502", "/orders|200"][..]),
        ("filter status = 200 | fields path | sort @timestamp", &["/pets", "/orders"]),
        ("filter status >= 400 and path like '/pets' | fields status", &["502", "403"]),
        ("filter status != 200 | display status", &["502", "403"]),
        ("filter not (status = 200) | stats count(*)", &["4"]),
        ("filter ispresent(status) | stats count(*) as n", &["4"]),
        ("filter @message like /(?i)error/ | parse @message 'user=*,' as user | display user", &["bob"]),
        ("filter @message =~ /^plain/ | fields strlen(@message) as n", &["45"]),
        ("filter @message not like /status/ | fields @logStream", &["s0", "s1"]),
        ("filter client.subject in [\"CN=b\", 'CN=c'] | fields client.subject as c", &["CN=c", "CN=b"]),
        ("filter client.subject not in ['CN=a'] and ispresent(path) | fields status", &["502", "403"]),
        ("filter ok = true | fields path", &["/orders", "/pets"]),
        ("filter ok = 0 | fields path", &["/pets"]),
        ("filter isIpv4InSubnet(ip, '10.0.0.0/8') | fields ip", &["10.0.0.1"]),
        ("filter `x-y` = 1 | fields `x-y`", &["1"]),
        ("stats count(*) as n, avg(latency) by path | sort n desc", &["/pets|3|38.3333", "2", "/orders|1|30"]),
        (
            "stats max(latency) - min(latency) as span, pct(latency, 50) by bin(2m)",
            &["1970-01-01 00:00:00.000|9|3", "1970-01-01 00:02:00.000|0|30", "1970-01-01 00:04:00.000|0|100"],
        ),
        ("stats count_distinct(client.subject) as clients, sum(latency)", &["3|145"]),
        ("stats earliest(status), latest(status)", &["200|502"]),
        ("stats count(*) as n by path | stats sum(n), count(*)", &["6|3"]),
        ("filter status = 999 | stats count(*), avg(latency)", &["0"]),
        ("filter status = 999 | stats count(*) by path", &[]),
        ("fields latency * 2 + 1 as twice | filter twice > 50 | display twice | sort twice", &["61", "201"]),
        ("parse 'latency := *' as ms | filter ms > 0 | stats avg(ms) as mean", &["8"]),
        ("parse @message /method:(?<verb>[A-Z]+)/ | stats count(*) by verb | sort verb desc", &["PUT|1", "GET|1", "4"]),
        (
            "parse @message /user=(\\w+), method:(\\w+)/ as who, how | filter ispresent(who) | display who, how",
            &["bob|PUT", "ann|GET"],
        ),
        ("fields path | dedup path | limit 10", &["/pets", "", "", "/orders"]),
        ("filter ispresent(path) | sort latency asc | dedup path | display path, latency", &["/pets|3", "/orders|30"]),
        (
            "fields datefloor(@timestamp, 1h) as h, fromMillis(latency) | limit 1",
            &["1970-01-01 00:00:00.000|1970-01-01 00:00:00.100"],
        ),
        ("fields coalesce(path, 'none') as p | stats count(*) by p", &["/orders|1", "/pets|3", "none|2"]),
        ("# a comment\nfields @log # another | limit 1\n| limit 1", &["123456789012:g"]),
        (
            "FIELDS toupper(concat(path, '!')) AS p | FILTER path LIKE /pets/ | SORT @timestamp DESC | LIMIT 1",
            &["/PETS!"],
        ),
        ("fields 2 ^ 3 ^ 2 % 100 - -1 as n | limit 1", &["13"]),
        ("fields 7 / 2 as half, 1 / 0 as nothing, 'a' + 1 as no | limit 1", &["3.5"]),
        (
            "limit 1",
            &[
                "1970-01-01 00:05:00.000|{\"status\":502,\"path\":\"/pets\",\"latency\":\"100\",\"client\":{\"subject\":\"CN=c\"},\"x-y\":\"1\"}",
            ],
        ),
        ("fields @timestamp | display path, 1 = 1 as yes | limit 1", &["/pets|1"]),
    ] {
        assert_eq!(rows(query), expected, "{query}");
    }
}

#[test]
fn what_rows_are() {
    let query = Query::parse("fields path | limit 1").unwrap();
    assert_eq!((query.limit(), query.is_of_events()), (Some(1), true));
    let mut execution = Execution::new(Arc::new(query), 0, None);
    assert!(execution.push(Source { pointer: "p".into(), ..Source::default() }).unwrap());
    assert_eq!(execution.finish(), [[("@ptr".to_owned(), "p".to_owned())]]);
    let query = Query::parse("stats sum(x)/count(*) as mean, count(*) by bin(1h), y").unwrap();
    assert!(!query.is_of_events());
    let mut execution = Execution::new(Arc::new(query), 0, None);
    execution.push(Source { message: r#"{"x":3,"y":"b"}"#.into(), ..Source::default() }).unwrap();
    let names: Vec<String> = execution.finish().remove(0).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["bin(1h)", "y", "mean", "count(*)"]);
}

#[test]
fn rows_are_bounded() {
    let count = |query: &str, limit: Option<usize>| {
        let mut execution = Execution::new(Arc::new(Query::parse(query).unwrap()), 0, limit);
        for time_ms in 0..30_000 {
            execution.push(Source { time_ms, message: time_ms.to_string(), ..Source::default() }).unwrap();
        }
        let rows = execution.finish();
        (rows.len(), rows[0].iter().find(|(name, _)| name == "@message").map(|(_, value)| value.clone()))
    };
    let newest = Some("29999".to_owned());
    assert_eq!(count("fields @message", None), (MAX_ROWS, newest.clone()));
    assert_eq!(count("fields @message", Some(5)), (5, newest.clone()));
    assert_eq!(count("fields @message | limit 7", Some(5)), (7, newest));
    assert_eq!(count("fields @message | sort @timestamp asc | limit 7", None), (7, Some("0".to_owned())));
    assert_eq!(count("fields @message | dedup @message", None).0, MAX_ROWS);
    let mut execution = Execution::new(Arc::new(Query::parse("stats count(*) by @message").unwrap()), 0, None);
    let too_much = (0..2_000).map(|n| {
        let message = format!("{n}{}", "x".repeat(100_000));
        execution.push(Source { message, ..Source::default() })
    });
    assert!(too_much.into_iter().any(|result| result == Err(TooMuch)));
}

#[test]
fn what_is_no_query() {
    for (query, message, place) in [
        ("", "unexpected end", (0, 0)),
        ("fields @message |", "unexpected end", (17, 17)),
        ("felds @message", "unexpected symbol found felds", (0, 5)),
        ("fields a b", "unexpected symbol found b", (9, 10)),
        ("filter a = ", "unexpected end", (11, 11)),
        ("filter a = 'x", "no end", (11, 13)),
        ("filter a like /x", "no end", (14, 16)),
        ("filter a like /(/", "regular expression", (14, 17)),
        ("filter a like b", "unexpected symbol found b", (14, 15)),
        ("filter é = ;", "unexpected character", (11, 12)),
        ("filter nofunction(a)", "unknown function nofunction", (7, 17)),
        ("filter abs()", "takes 1 to 1", (7, 12)),
        ("filter count(*) > 1", "function of stats", (7, 12)),
        ("stats latency", "not counted", (6, 13)),
        ("stats 1 + 1", "needs a function", (6, 11)),
        ("stats avg(count(*))", "function of stats", (10, 15)),
        ("stats count(*) by bin(5)", "a period", (22, 23)),
        ("stats pct(a, 101)", "percentile", (13, 16)),
        ("limit 0", "a limit", (6, 7)),
        ("limit 10001", "a limit", (6, 11)),
        ("pattern @message", "not served here", (0, 7)),
        ("parse @message 'a*b*' as x", "gives 2 fields, and 1 are named", (14, 26)),
        ("parse @message /a(b)/", "name each", (14, 21)),
        ("filter a in 1", "unexpected symbol found 1", (12, 13)),
        ("filter a not b", "unexpected symbol found b", (13, 14)),
        ("fields 1x", "unexpected symbol found 1x", (7, 9)),
        ("fields 1.2.3", "not a number", (7, 12)),
    ] {
        let malformed = Query::parse(query).unwrap_err();
        assert!(malformed.message.contains(message), "{query}: {malformed}");
        assert_eq!((malformed.start, malformed.end), place, "{query}: {malformed}");
    }
    for (query, message) in [
        (format!("filter {}a{}", "(".repeat(100), ")".repeat(100)), "nested too deeply"),
        (format!("fields {}1", "-".repeat(100)), "nested too deeply"),
        (format!("fields 1{}", "^1".repeat(100)), "nested too deeply"),
        (format!("fields 1{}", "+1".repeat(2_000)), "too long"),
        (format!("filter a like /x/{}", " or a like /x/".repeat(40)), "at most 32 regular"),
        (format!("limit 1{}", " | limit 1".repeat(100)), "at most 64 commands"),
        (format!("fields {}", "x".repeat(MAX_QUERY_CHARS)), "more than 10000 characters"),
    ] {
        let malformed = Query::parse(&query).unwrap_err();
        assert!(malformed.message.contains(message), "{malformed}");
    }
}

proptest! {
    /// Words of the language in any order are read or refused, and what is read runs.
    #[test]
    fn any_words(words in proptest::collection::vec(proptest::sample::select(vec![
        "fields", "filter", "stats", "sort", "limit", "dedup", "parse", "display", "|", ",", "(", ")", "[", "]", "a", "@message",
        "count", "avg", "by", "bin", "5m", "1", "'x*'", "/x(y)/", "as", "like", "in", "not", "and", "or", "=", "!=", "<", "+",
        "-", "*", "/", "^", "%", "#c\n", "`q`", "=~", "desc", "strlen",
    ]), 0..24)) {
        if let Ok(query) = Query::parse(&words.join(" ")) {
            let mut execution = Execution::new(Arc::new(query), 0, None);
            for message in EVENTS {
                let _ = execution.push(Source { message: message.to_owned(), ..Source::default() });
            }
            execution.finish();
        }
    }

    #[test]
    fn any_text(text in ".{0,60}") {
        if let Err(malformed) = Query::parse(&text) {
            prop_assert!(malformed.start <= malformed.end && malformed.end <= text.chars().count());
        }
    }
}
