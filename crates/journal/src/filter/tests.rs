use proptest::prelude::*;

use super::*;

fn matches(pattern: &str, message: &str) -> bool {
    Pattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).matches(message)
}

const CLF: &str = "127.0.0.1 - - [22/Nov/2026:17:00:00 +0000] \"GET ANY /{proxy+} HTTP/1.1\" 403 23 Mc7UVioPPHcEKPA=";

#[test]
fn what_a_message_has_of_a_pattern() {
    for (pattern, message, expected) in [
        (
            "[ip, user, ..., status = 4*, size]",
            "1.2.3.4 ann x [y z] 404 12",
            &[("$ip", "1.2.3.4"), ("$size", "12"), ("$status", "404"), ("$user", "ann")][..],
        ),
        (
            "{ $.a.b = 1 || $.c[0] = \"x\" || $.d NOT EXISTS }",
            r#"{"a":{"b":1},"c":["y"]}"#,
            &[("$.a.b", "1"), ("$.c[0]", "y")],
        ),
        ("ERROR", "ERROR", &[]),
        ("[a, b]", "one", &[]),
    ] {
        let found = Pattern::parse(pattern).unwrap().extracted(message);
        let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected, "{pattern}");
    }
}

#[test]
fn terms() {
    for (pattern, message, expected) in [
        ("", "anything", true),
        ("  ", "", true),
        ("ERROR", "[ERROR 400] BAD REQUEST", true),
        ("error", "[ERROR 400] BAD REQUEST", false),
        ("ERROR REQUEST", "[ERROR 400] BAD REQUEST", true),
        ("ERROR missing", "[ERROR 400] BAD REQUEST", false),
        ("\"BAD REQUEST\"", "[ERROR 400] BAD REQUEST", true),
        ("\"REQUEST BAD\"", "[ERROR 400] BAD REQUEST", false),
        ("\"a \\\"b\\\"\"", "a \"b\"", true),
        ("ERROR -400", "[ERROR 400] BAD REQUEST", false),
        ("ERROR -401", "[ERROR 400] BAD REQUEST", true),
        ("-\"BAD REQUEST\"", "[ERROR 400] BAD REQUEST", false),
        ("?WARN ?ERROR", "[ERROR 400] BAD REQUEST", true),
        ("?WARN ?INFO", "[ERROR 400] BAD REQUEST", false),
        ("?WARN ERROR", "[ERROR 400] BAD REQUEST", true),
        ("?ERROR WARN", "[ERROR 400] BAD REQUEST", false),
    ] {
        assert_eq!(matches(pattern, message), expected, "{pattern} on {message}");
    }
}

#[test]
fn json() {
    let message = r#"{"status":403,"quoted":"403","ip":"10.0.0.7","none":null,"yes":true,"no":false,
        "user":{"name":"Ann","roles":["admin","dev"],"a.b":-1.5e3},"empty":""}"#;
    for (pattern, expected) in [
        ("{ $.status = 403 }", true),
        ("{$.status=403}", true),
        ("{ $.status = 403.0 }", true),
        ("{ $.status = 4* }", true),
        ("{ $.status = \"403\" }", true),
        ("{ $.quoted = 403 }", true),
        ("{ $.quoted >= 400 }", true),
        ("{ $.status != 403 }", false),
        ("{ $.status != 200 }", true),
        ("{ $.status < 403 }", false),
        ("{ $.status <= 403 }", true),
        ("{ $.status > 402 && $.status < 404 }", true),
        ("{ $.ip = \"10.*\" }", true),
        ("{ $.ip != 10.* }", false),
        ("{ $.ip = *.0.7 }", true),
        ("{ $.ip = 1*0*7 }", true),
        ("{ $.ip = 1*0*8 }", false),
        ("{ $.ip > 9 }", false),
        ("{ $.none IS NULL }", true),
        ("{ $.none is null }", true),
        ("{ $.status IS NULL }", false),
        ("{ $.missing IS NULL }", false),
        ("{ $.missing NOT EXISTS }", true),
        ("{ $.none NOT EXISTS }", false),
        ("{ $.missing != 1 }", false),
        ("{ $.yes IS TRUE }", true),
        ("{ $.no IS TRUE }", false),
        ("{ $.no IS FALSE }", true),
        ("{ $.yes = true }", true),
        ("{ $.empty = \"\" }", true),
        ("{ $.user.name = Ann }", true),
        ("{ $.user.roles[0] = \"admin\" }", true),
        ("{ $.user.roles[2] NOT EXISTS }", true),
        ("{ $[\"user\"]['a.b'] = -1500 }", true),
        ("{ $.status = 1 || $.status = 403 && $.user.name = \"Bob\" }", false),
        ("{ ($.status = 1 || $.status = 403) && ($.user.name = \"A*\") }", true),
        ("{ $.status = 403 && ($.ip = \"11.*\" || $.yes IS TRUE) }", true),
    ] {
        assert_eq!(matches(pattern, message), expected, "{pattern}");
    }
    assert!(!matches("{ $.missing NOT EXISTS }", CLF), "not JSON");
}

#[test]
fn fields() {
    for (pattern, expected) in [
        ("[ip, id, user, time, request, status, size, request_id]", true),
        ("[ip, id, user, time, request, status, size]", false),
        ("[ip, id, user, time, request, status=4*, size, ...]", true),
        ("[ip, id, user, time, request, status = 5*, ...]", false),
        ("[..., status=403, size, request_id]", true),
        ("[ip=127.0.0.1, ..., request_id=Mc7UVioPPHcEKPA*]", true),
        ("[ip, ..., size > 22, request_id]", true),
        ("[ip, ..., size > 23, request_id]", false),
        ("[..., status = 404 || status = 403, size, request_id]", true),
        ("[..., status >= 400 && status < 403, size, request_id]", false),
        ("[..., (status = 404 || status = 403) && status != 5*, size, request_id]", true),
        ("[ip, id, user, time = \"22/Nov/2026*\", request = \"GET *\", ...]", true),
        ("[ip, id, user, time, request = *proxy*, ...]", true),
        ("[ip, id, user, time, request != *proxy*, ...]", false),
        ("[...]", true),
        ("[ip, id, user, time, request, status, size, request_id, ...]", true),
        ("[a, b, c, d, e, f, g, h, i, ...]", false),
    ] {
        assert_eq!(matches(pattern, CLF), expected, "{pattern}");
    }
    assert!(matches("[a, b = \"[x\", c = \"\\\"y\"]", "a  [x \"y "), "what is not closed is a word");
    assert!(matches("[a = \"\", b = \"\", c]", "\"\" [] é"));
}

#[test]
fn errors_say_where() {
    for (pattern, error) in [
        ("{ $.status = }", "expected a value at character 14"),
        ("{ $.status 403 }", "expected an operator (=, !=, <, <=, >, >=) at character 12"),
        ("{ $.status = 403", "expected \"}\" at character 17"),
        ("{ status = 403 }", "expected \"$\" at character 2"),
        ("{ $.a IS 1 }", "expected NULL, TRUE or FALSE at character 10"),
        ("{ $.a NOT 1 }", "expected EXISTS at character 11"),
        ("{ $.a[x] = 1 }", "expected an index or a name in quotes at character 7"),
        ("{ $.a = %4.*% }", "regular expressions (%…%) are not supported at character 7"),
        ("{ $.a > b }", "expected a number before this at character 10"),
        ("{ $.a = \"b }", "a string has no end at character 9"),
        ("{ $.a = 1 } x", "expected the end at character 13"),
        ("[a, , b]", "expected the name of a field at character 5"),
        ("[a, ..., b, ...]", "a second ellipsis before this at character 16"),
        ("[a = 1 || b = 2]", "expected the field \"a\" before this at character 12"),
        ("[a", "expected an operator (=, !=, <, <=, >, >=) at character 3"),
        ("- a", "expected a term at character 2"),
        ("%a%", "regular expressions (%…%) are not supported at character 1"),
    ] {
        let found = Pattern::parse(pattern).expect_err(pattern).to_string();
        assert_eq!(found, format!("Invalid filter pattern: {error}"), "{pattern}");
    }
    let deep = format!("{{ {}$.a = 1{} }}", "(".repeat(33), ")".repeat(33));
    assert!(Pattern::parse(&deep).unwrap_err().to_string().contains("too many parentheses"));
    assert!(Pattern::parse(&deep.replacen('(', "", 1).replacen(')', "", 1)).is_ok());
    assert!(Pattern::parse(&"x".repeat(MAX_PATTERN_CHARS + 1)).is_err());
}

proptest! {
    #[test]
    fn nothing_panics(
        pattern in prop_oneof![any::<String>(), "[\\[{]([$.ab\\[\\]\"'(),=!<>&|*% 0-9é\\\\-]|IS|NOT|\\.\\.\\.){0,24}[\\]}]?"],
        message in prop_oneof![any::<String>(), "[\"\\[\\] a\\\\é]{0,16}"],
    ) {
        if let Ok(pattern) = Pattern::parse(&pattern) {
            pattern.matches(&message);
        }
    }

    #[test]
    fn a_value_matches_itself_and_with_stars(text in "[a-zA-Z0-9. é-]{0,20}", at in 0..20usize) {
        let message = serde_json::json!({ "a": text }).to_string();
        let equal = format!("{{ $.a = {text:?} }}");
        prop_assert!(matches(&equal, &message));
        prop_assert!(!matches(&equal.replace('=', "!="), &message));
        let at = text.floor_char_boundary(at.min(text.len()));
        let (before, behind) = text.split_at(at);
        let starred = format!("{{ $.a = \"{before}*{behind}\" }}");
        prop_assert!(matches(&starred, &message), "{}", starred);
    }
}
