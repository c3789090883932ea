//! JSON schemas between OpenAPI documents, where they stand together, and models, each of which stands alone.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// Where a document has its schemas.
const PLACES: [&str; 2] = ["#/components/schemas/", "#/definitions/"];
/// How one model refers to another; the API's id, `/models/`, and the model's name follow.
const MODELS: &str = "https://apigateway.amazonaws.com/restapis/";

/// The name of the schema that a reference names, and what in it; none where it leads elsewhere.
pub(super) fn referred(reference: &str) -> Option<(String, &str)> {
    let rest = PLACES.iter().find_map(|place| reference.strip_prefix(place))?;
    let (name, pointer) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let name = percent_decode_str(name).decode_utf8().ok()?.replace("~1", "/").replace("~0", "~");
    Some((name, pointer))
}

/// A schema of a document as that of a model: with references to other models, and `null` among its types where it is `nullable`,
/// which draft 4 does not know.
pub(super) fn to_model(schema: &Value, api_id: &str, own: &str) -> Value {
    each(schema, &|members| {
        if let Some((name, pointer)) = members.get("$ref").and_then(Value::as_str).and_then(referred) {
            let reference = match name == own {
                true => format!("#{pointer}"),
                false if pointer.is_empty() => format!("{MODELS}{api_id}/models/{name}"),
                false => format!("{MODELS}{api_id}/models/{name}#{pointer}"),
            };
            members.insert("$ref".to_owned(), Value::String(reference));
        }
        if members.get("nullable") == Some(&Value::Bool(true))
            && let Some(Value::String(kind)) = members.get("type").cloned()
        {
            members.remove("nullable");
            members.insert("type".to_owned(), Value::from(vec![kind, "null".to_owned()]));
        }
    })
}

/// The schema of a model as it stands in a document, whose schemas are at `place`. Swagger has no `nullable`.
pub(super) fn of_model(schema: &Value, place: &str, own: &str, nullable: bool) -> Value {
    each(schema, &|members| {
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            let (_, pointer) = reference.split_once('#').unwrap_or((reference, ""));
            let name = model::schema::model_of_reference(reference).or(reference.starts_with('#').then_some(own));
            if let Some(name) = name {
                let reference = format!("{place}{name}{pointer}");
                members.insert("$ref".to_owned(), Value::String(reference));
            }
        }
        if nullable
            && let Some(Value::Array(kinds)) = members.get("type")
            && let [Value::String(kind), Value::String(null)] = &kinds[..]
            && null == "null"
        {
            let kind = kind.clone();
            members.insert("type".to_owned(), Value::String(kind));
            members.insert("nullable".to_owned(), Value::Bool(true));
        }
    })
}

/// A schema with something done to it and to all below. What is no schema (`enum`, `default`, …) stays as it is. serde_json bounds
/// how deep it may be.
fn each(schema: &Value, change: &dyn Fn(&mut Map<String, Value>)) -> Value {
    let list = |items: &[Value]| Value::Array(items.iter().map(|item| each(item, change)).collect());
    match schema {
        Value::Array(items) => list(items),
        Value::Object(members) => {
            let below = |(name, value): (&String, &Value)| {
                let changed = match (name.as_str(), value) {
                    ("properties" | "patternProperties" | "definitions" | "dependencies", Value::Object(named)) => {
                        Value::Object(named.iter().map(|(name, one)| (name.clone(), each(one, change))).collect())
                    }
                    ("items" | "allOf" | "anyOf" | "oneOf", Value::Array(items)) => list(items),
                    ("items" | "additionalItems" | "additionalProperties" | "not", one) => each(one, change),
                    _ => value.clone(),
                };
                (name.clone(), changed)
            };
            let mut members = members.iter().map(below).collect();
            change(&mut members);
            Value::Object(members)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_lead_to_the_same_in_both() {
        let of_document = json!({
            "type": "object",
            "properties": {
                "owner": {"$ref": "#/components/schemas/Owner"},
                "name": {"$ref": "#/components/schemas/Owner/properties/name"},
                "next": {"$ref": "#/components/schemas/Pet"},
                "own": {"$ref": "#/components/schemas/Pet/properties/name"},
                "$ref": {"type": "string", "nullable": true},
                "nullable": {"type": "boolean"},
            },
            "example": {"$ref": "#/components/schemas/Owner", "nullable": true, "type": "x"},
        });
        let of_model_ = json!({
            "type": "object",
            "properties": {
                "owner": {"$ref": "https://apigateway.amazonaws.com/restapis/a1/models/Owner"},
                "name": {"$ref": "https://apigateway.amazonaws.com/restapis/a1/models/Owner#/properties/name"},
                "next": {"$ref": "#"},
                "own": {"$ref": "#/properties/name"},
                "$ref": {"type": ["string", "null"]},
                "nullable": {"type": "boolean"},
            },
            "example": {"$ref": "#/components/schemas/Owner", "nullable": true, "type": "x"},
        });
        assert_eq!(to_model(&of_document, "a1", "Pet"), of_model_);
        assert_eq!(of_model(&of_model_, "#/components/schemas/", "Pet", true), of_document);
        let of_swagger = of_model(&of_model_, "#/definitions/", "Pet", false);
        assert_eq!(of_swagger["properties"]["owner"]["$ref"], "#/definitions/Owner");
        assert_eq!(to_model(&of_swagger, "a1", "Pet"), of_model_);
    }

    #[test]
    fn what_is_referred_to() {
        for (reference, wanted) in [
            ("#/definitions/Pet", Some(("Pet", ""))),
            ("#/components/schemas/a~1b%20c", Some(("a/b c", ""))),
            ("#/components/schemas/Pet/properties/x", Some(("Pet", "/properties/x"))),
            ("#/components/responses/Pet", None),
            ("other.yaml#/definitions/Pet", None),
        ] {
            assert_eq!(referred(reference), wanted.map(|(name, pointer)| (name.to_owned(), pointer)), "{reference}");
        }
    }
}
