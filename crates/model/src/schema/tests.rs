//! Schemas as AWS's documentation and its users write them, and draft 4's rules.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn read(schema: &Value) -> Result<Schema, SchemaError> {
    Schema::read(&schema.to_string(), |name| match name {
        "Owner" => Some(
            r##"{"type":"object","required":["id"],"properties":{"id":{"type":"integer"},"pets":{"type":"array","items":{"$ref":"#/definitions/pet"}}},"definitions":{"pet":{"type":"string"}}}"##,
        ),
        "Loop" => Some(r#"{"$ref":"https://apigateway.amazonaws.com/restapis/a/models/Loop"}"#),
        _ => None,
    })
}

fn check(schema: &Value, payload: &Value) -> Result<(), String> {
    read(schema).unwrap_or_else(|error| panic!("{schema}: {error}")).check(payload.to_string().as_bytes())
}

#[test]
fn what_is_good_and_what_is_wrong() {
    let pet = json!({"$schema": "http://json-schema.org/draft-04/schema#", "title": "Pet", "type": "object", "required": ["name", "age"],
        "properties": {"name": {"type": "string", "minLength": 2}, "age": {"type": "integer", "minimum": 0}}});
    for (schema, payload, wrong) in [
        (&pet, json!({"name": "Rex", "age": 3, "more": 1}), None),
        (&pet, json!({"age": 3}), Some(r#"[object has missing required properties (["name"])]"#)),
        (
            &pet,
            json!({"age": -1, "name": "R"}),
            Some(
                r#"[numeric instance is lower than the required minimum (minimum: 0, found: -1), string "R" is too short (length: 1, required minimum: 2)]"#,
            ),
        ),
        (
            &pet,
            json!([]),
            Some(r#"[instance type (array) does not match any allowed primitive type (allowed: ["object"])]"#),
        ),
        (&json!({"enum": ["a", 1]}), json!(1.0), None),
        (
            &json!({"enum": ["a", 1]}),
            json!("b"),
            Some(r#"[instance value ("b") not found in enum (possible values: ["a",1])]"#),
        ),
        (&json!({"type": ["number", "null"]}), json!(null), None),
        (
            &json!({"type": "integer"}),
            json!(1.5),
            Some(r#"[instance type (number) does not match any allowed primitive type (allowed: ["integer"])]"#),
        ),
        (
            &json!({"additionalProperties": false, "properties": {"a": {}}, "patternProperties": {"^x-": {"type": "string"}}}),
            json!({"a": 1, "x-b": "c"}),
            None,
        ),
        (
            &json!({"additionalProperties": false}),
            json!({"a": 1}),
            Some(r#"[object instance has properties which are not allowed by the schema: ["a"]]"#),
        ),
        (
            &json!({"additionalProperties": {"type": "string"}}),
            json!({"a": 1}),
            Some(r#"[instance type (integer) does not match any allowed primitive type (allowed: ["string"])]"#),
        ),
        (
            &json!({"maximum": 3, "exclusiveMaximum": true}),
            json!(3),
            Some("[numeric instance is not strictly lower than the required maximum 3]"),
        ),
        (&json!({"multipleOf": 0.01}), json!(19.99), None),
        (&json!({"multipleOf": 2}), json!(7), Some("[remainder of division is not zero (7 / 2)]")),
        (&json!({"pattern": "b+"}), json!("abc"), None),
        (&json!({"pattern": "^b"}), json!("abc"), Some(r#"[ECMA 262 regex "^b" does not match input string "abc"]"#)),
        (
            &json!({"items": {"type": "string"}, "minItems": 1}),
            json!([]),
            Some("[array is too short: must have at least 1 elements but instance has 0 elements]"),
        ),
        (
            &json!({"items": [{"type": "string"}], "additionalItems": false}),
            json!(["a", 1]),
            Some("[array has more elements than allowed: at most 1, found 2]"),
        ),
        (
            &json!({"uniqueItems": true}),
            json!([{"a": 1, "b": 2}, {"b": 2, "a": 1.0}]),
            Some("[array must not contain duplicate elements]"),
        ),
        (&json!({"uniqueItems": true}), json!([1, "1"]), None),
        (
            &json!({"allOf": [{"type": "string"}, {"maxLength": 1}]}),
            json!("ab"),
            Some("[instance failed to match all required schemas (matched only 1 out of 2)]"),
        ),
        (
            &json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
            json!(1),
            Some("[instance failed to match at least one required schema among 2]"),
        ),
        (
            &json!({"oneOf": [{"type": "number"}, {"minimum": 3}]}),
            json!(4),
            Some("[instance failed to match exactly one schema (matched 2 out of 2)]"),
        ),
        (&json!({"not": {"type": "string"}}), json!("a"), Some("[instance matched a schema which it should not have]")),
        (
            &json!({"dependencies": {"a": ["b"]}}),
            json!({"a": 1}),
            Some(r#"[property "a" of object has missing property dependencies (missing: ["b"])]"#),
        ),
        (&json!({"dependencies": {"a": {"required": ["c"]}}}), json!({"a": 1, "c": 2}), None),
        (
            &json!({"maxProperties": 0}),
            json!({"a": 1}),
            Some("[object has too many properties (found 1 but schema requires at most 0)]"),
        ),
        (&json!({"format": "date-time"}), json!("2026-01-02T03:04:05Z"), None),
        (
            &json!({"format": "ipv4"}),
            json!("1.2.3"),
            Some(r#"[string "1.2.3" is invalid against requested format ipv4]"#),
        ),
        (
            &json!({"properties": {"x": {"$ref": "#/definitions/x"}}, "definitions": {"x": {"type": "null"}}}),
            json!({"x": null}),
            None,
        ),
        (
            &json!({"$ref": "https://apigateway.amazonaws.com/restapis/abc/models/Owner"}),
            json!({"id": 1, "pets": ["a"]}),
            None,
        ),
        (
            &json!({"items": {"$ref": "https://apigateway.amazonaws.com/restapis/abc/models/Owner#/definitions/pet"}}),
            json!([1]),
            Some(r#"[instance type (integer) does not match any allowed primitive type (allowed: ["string"])]"#),
        ),
        (&json!({"type": "object", "properties": {"next": {"$ref": "#"}}}), json!({"next": {"next": {}}}), None),
    ] {
        assert_eq!(check(schema, &payload).err().as_deref(), wrong, "{schema} {payload}");
    }
    let schema = read(&pet).unwrap();
    assert!(schema.check(b"").unwrap_err().starts_with("[Unable to parse"));
    assert!(schema.check(b"{").is_err());
}

#[test]
fn what_is_no_schema_is_refused() {
    for schema in [
        json!([]),
        json!({"type": "text"}),
        json!({"type": []}),
        json!({"required": "a"}),
        json!({"properties": {"a": 1}}),
        json!({"properties": {"a": {"minLength": -1}}}),
        json!({"exclusiveMinimum": 3}),
        json!({"const": 1}),
        json!({"items": {"if": {}}}),
        json!({"pattern": "(?=a)"}),
        json!({"multipleOf": 0}),
        json!({"enum": []}),
        json!({"$ref": "#/definitions/none"}),
        json!({"$ref": "#none"}),
        json!({"$ref": "http://elsewhere.test/schema"}),
        json!({"$ref": "https://apigateway.amazonaws.com/restapis/a/models/None"}),
    ] {
        assert!(read(&schema).is_err(), "{schema}");
    }
    assert!(Schema::read("{", |_| None).is_err());
    for endless in [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}]}),
        json!({"$ref": "https://apigateway.amazonaws.com/restapis/a/models/Loop"}),
        json!({"definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"not": {"$ref": "#/definitions/a"}}}, "items": {"$ref": "#/definitions/a"}}),
        json!({"dependencies": {"a": {"anyOf": [{}, {"$ref": "#"}]}}}),
    ] {
        assert!(matches!(read(&endless), Err(SchemaError::Endless(_))), "{endless}");
    }
    let twice = json!({"allOf": [{"$ref": "#/definitions/a"}, {"$ref": "#/definitions/a"}], "definitions": {"a": {"type": "object"}}});
    assert!(read(&twice).is_ok(), "to be referred to twice is no circle");
}

#[test]
fn a_payload_cannot_take_more_than_there_is() {
    // Twice as much at each level.
    let schema = json!({"properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}, "required": ["none"]});
    let mut payload = json!({});
    for _ in 0..100 {
        payload = json!({"a": payload});
    }
    assert!(check(&schema, &payload).unwrap_err().contains("more to be checked"));
}

proptest! {
    #[test]
    fn whatever_comes_does_not_panic(schema in "[\\[\\]{}\":,a-z$#/0-9 ]{0,60}", payload in any::<Vec<u8>>()) {
        if let Ok(schema) = Schema::read(&schema, |_| None) {
            let _ = schema.check(&payload);
        }
    }
}
