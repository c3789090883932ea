//! Models: what payloads look like.

use std::collections::{BTreeMap, BTreeSet};

use aws::Error;
use aws::apigateway as wire;
use model::State;
use model::resource::{Model, RestApi};
use model::schema::{Schema, model_of_reference};
use serde_json::Value;

use super::patch::Patch;
use super::{Draft, rest_api};
use crate::apigatewayv2::check::{length, optional};
use crate::apigatewayv2::page;

const MAX_MODELS: usize = 400;
const MAX_NAME_CHARS: usize = 128;
const MAX_DESCRIPTION_CHARS: usize = 1024;
const MAX_SCHEMA_BYTES: usize = 400 * 1024;
const PATHS: &str = "/description, /schema";

/// Those that every API has from the beginning.
const DEFAULTS: [(&str, &str, &str); 2] = [
    (
        "Empty",
        "This is a default empty schema model",
        "{\n  \"$schema\": \"http://json-schema.org/draft-04/schema#\",\n  \"title\" : \"Empty Schema\",\n  \"type\" : \"object\"\n}",
    ),
    (
        "Error",
        "This is a default error schema model",
        "{\n  \"$schema\" : \"http://json-schema.org/draft-04/schema#\",\n  \"title\" : \"Error Schema\",\n  \"type\" : \"object\",\n  \
         \"properties\" : {\n    \"message\" : { \"type\" : \"string\" }\n  }\n}",
    ),
];

pub(super) fn create(draft: &mut Draft<'_>, input: &wire::CreateModelRequest) -> Result<wire::Model, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    if State::one(&draft.state.models, &api.id, &input.name).is_some() {
        return Err(Error::conflict("Model name already exists for this REST API"));
    }
    let model = described(draft, &api, input)?;
    put(draft, &api, model)
}

/// Makes several at once, which may refer to one another; those that are there already become what is said.
pub(super) fn put_all(draft: &mut Draft<'_>, api: &RestApi, inputs: &[wire::CreateModelRequest]) -> Result<(), Error> {
    for input in inputs {
        let known = State::one(&draft.state.models, &api.id, &input.name).cloned();
        let about = |error: Error| Error { message: format!("{}: {}", input.name, error.message), ..error };
        let model = described(draft, api, input).and_then(bounded).map_err(about)?;
        let id = known.map_or(model.id, |known| known.id.clone());
        draft.put(&Model { id, ..model })?;
    }
    State::of(&draft.state.models, &api.id).try_for_each(|model| check(draft, model))
}

fn described(draft: &Draft<'_>, api: &RestApi, input: &wire::CreateModelRequest) -> Result<Model, Error> {
    length("name", &input.name, 1, MAX_NAME_CHARS)?;
    if !input.name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Error::bad_request(format!("Model name must be alphanumeric: {}", input.name)));
    }
    let is_new = State::one(&draft.state.models, &api.id, &input.name).is_none();
    if is_new && State::of(&draft.state.models, &api.id).count() >= MAX_MODELS {
        return Err(Error::too_many_requests("MaxModels", "Maximum number of Models for this API has been reached."));
    }
    Ok(Model {
        api_id: api.id.clone(),
        name: input.name.clone(),
        id: fresh_id(draft, api)?,
        description: input.description.clone(),
        content_type: input.content_type.clone(),
        schema: input.schema.clone().unwrap_or_default(),
    })
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateModelRequest) -> Result<wire::Model, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let mut model = find(draft, &api, &input.model_name)?.clone();
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["description"]) => model.description = Some(patch.value),
            (wire::Op::Replace, ["schema"]) => model.schema = patch.value,
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    put(draft, &api, model)
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteModelRequest) -> Result<(), Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let model = find(draft, &api, &input.model_name)?.clone();
    if let Some(user) = user(draft, &api, &model) {
        return Err(Error::conflict(format!("Cannot delete model '{}', is referenced in {user}", model.name)));
    }
    draft.delete(&model)
}

/// `flatten` has the models that it refers to put into the schema, as its `definitions`.
pub(super) fn get(draft: &Draft<'_>, input: &wire::GetModelRequest) -> Result<wire::Model, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let model = find(draft, &api, &input.model_name)?;
    let shown = show(model);
    Ok(match input.flatten == Some(true) && is_json(model) {
        true => wire::Model { schema: Some(flattened(draft, model)), ..shown },
        false => shown,
    })
}

/// A template to begin with: it writes what the model describes, taken from a payload that is so.
pub(super) fn template(draft: &Draft<'_>, input: &wire::GetModelTemplateRequest) -> Result<wire::Template, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let model = find(draft, &api, &input.model_name)?;
    Ok(wire::Template { value: Some(sketched(&flattened(draft, model))) })
}

/// A template that writes what a schema describes.
pub(crate) fn sketched(schema: &str) -> String {
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let mut text = "#set($inputRoot = $input.path('$'))\n".to_owned();
    Sketch { whole: &schema, out: &mut text }.write(&schema, "$inputRoot", 0);
    text
}

pub(super) fn list(draft: &Draft<'_>, input: &wire::GetModelsRequest) -> Result<wire::Models, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let limit = input.limit.map(|limit| limit.to_string());
    let (items, position) = page::page(
        State::of(&draft.state.models, &api.id),
        |model| model.name.clone(),
        |model| show(model),
        limit.as_deref(),
        input.position.as_deref(),
    )?;
    Ok(wire::Models { items, position })
}

/// The models that every API has.
pub(super) fn put_defaults(draft: &mut Draft<'_>, api: &RestApi) -> Result<(), Error> {
    for (name, description, schema) in DEFAULTS {
        let model = Model {
            api_id: api.id.clone(),
            name: name.to_owned(),
            id: fresh_id(draft, api)?,
            description: Some(description.to_owned()),
            content_type: "application/json".to_owned(),
            schema: schema.to_owned(),
        };
        draft.put(&model)?;
    }
    Ok(())
}

/// What names models, by media type, names some that there are.
pub(super) fn check_named(draft: &Draft<'_>, api: &RestApi, models: &BTreeMap<String, String>) -> Result<(), Error> {
    let unknown = models.values().find(|name| State::one(&draft.state.models, &api.id, name).is_none());
    unknown.map_or(Ok(()), |name| Err(Error::bad_request(format!("Invalid model identifier specified: {name}"))))
}

fn find<'d>(draft: &'d Draft<'_>, api: &RestApi, name: &str) -> Result<&'d Model, Error> {
    let model = State::one(&draft.state.models, &api.id, name);
    model.map(|found| &**found).ok_or_else(|| Error::not_found(format!("Invalid model name specified: {name}")))
}

fn fresh_id(draft: &Draft<'_>, api: &RestApi) -> Result<String, Error> {
    draft.fresh_id(6, |state, id| State::of(&state.models, &api.id).any(|model| model.id == id))
}

/// A model that is not too large.
fn bounded(mut model: Model) -> Result<Model, Error> {
    model.description = optional("description", model.description.take(), MAX_DESCRIPTION_CHARS)?;
    match model.schema.len() > MAX_SCHEMA_BYTES {
        true => Err(Error::bad_request(format!("A model's schema has at most {MAX_SCHEMA_BYTES} bytes"))),
        false => Ok(model),
    }
}

fn put(draft: &mut Draft<'_>, api: &RestApi, model: Model) -> Result<wire::Model, Error> {
    let model = bounded(model)?;
    draft.put(&model)?;
    check(draft, &model)?;
    let refers = |other: &&std::sync::Arc<Model>| other.name != model.name && references(other).contains(&model.name);
    State::of(&draft.state.models, &api.id).filter(refers).try_for_each(|other| check(draft, other))?;
    Ok(show(&model))
}

/// Whether its schema can be used, and all that it refers to is there.
fn check(draft: &Draft<'_>, model: &Model) -> Result<(), Error> {
    if !is_json(model) {
        return Ok(());
    }
    let models = &draft.state.models;
    let read =
        Schema::read(&model.schema, |name| State::one(models, &model.api_id, name).map(|other| other.schema.as_str()));
    read.map(drop).map_err(|error| {
        Error::bad_request(format!(
            "Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified. {}: {error}]",
            model.name
        ))
    })
}

fn is_json(model: &Model) -> bool {
    model.content_type.to_ascii_lowercase().contains("json")
}

/// Names of the models that a schema refers to.
fn references(model: &Model) -> BTreeSet<String> {
    fn collect(value: &Value, names: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                let named = members.get("$ref").and_then(Value::as_str).and_then(model_of_reference);
                names.extend(named.map(str::to_owned));
                members.values().for_each(|member| collect(member, names));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
            _ => {}
        }
    }
    let mut names = BTreeSet::new();
    // serde_json bounds how deep a text may be.
    let schema: Value = serde_json::from_str(&model.schema).unwrap_or_default();
    collect(&schema, &mut names);
    names
}

/// The schema with all models that it refers to among its `definitions`.
fn flattened(draft: &Draft<'_>, model: &Model) -> String {
    fn redirect(value: &mut Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get_mut("$ref")
                    && let Some(name) = model_of_reference(reference)
                {
                    let pointer = reference.split_once('#').map_or("", |(_, pointer)| pointer);
                    *reference = format!("#/definitions/{name}{pointer}");
                }
                members.values_mut().for_each(redirect);
            }
            Value::Array(items) => items.iter_mut().for_each(redirect),
            _ => {}
        }
    }
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    let mut todo = references(model);
    while let Some(name) = todo.pop_first() {
        let Some(other) = State::one(&draft.state.models, &model.api_id, &name) else { continue };
        let Ok(mut schema) = serde_json::from_str::<Value>(&other.schema) else { continue };
        redirect(&mut schema);
        all.insert(name, schema);
        todo.extend(references(other).into_iter().filter(|name| !all.contains_key(name)));
    }
    let Ok(mut schema) = serde_json::from_str::<Value>(&model.schema) else { return model.schema.clone() };
    if all.is_empty() {
        return model.schema.clone();
    }
    redirect(&mut schema);
    if let Some(members) = schema.as_object_mut() {
        let definitions = members.entry("definitions").or_insert_with(|| Value::Object(serde_json::Map::new()));
        if let Some(definitions) = definitions.as_object_mut() {
            definitions.extend(all);
        }
    }
    serde_json::to_string_pretty(&schema).unwrap_or_else(|_| model.schema.clone())
}

/// What of an API needs a model, for people.
fn user(draft: &Draft<'_>, api: &RestApi, model: &Model) -> Option<String> {
    let refers = |other: &&std::sync::Arc<Model>| other.name != model.name && references(other).contains(&model.name);
    if let Some(other) = State::of(&draft.state.models, &api.id).find(refers) {
        return Some(format!("model: {}", other.name));
    }
    let names = |models: &BTreeMap<String, String>| models.values().any(|name| *name == model.name);
    State::of(&draft.state.rest_resources, &api.id).find_map(|resource| {
        resource.methods.iter().find_map(|(name, method)| {
            let place = format!("{name} {}", resource.path);
            if names(&method.request_models) {
                return Some(format!("method request: {place}"));
            }
            let (status, _) = method.responses.iter().find(|(_, response)| names(&response.models))?;
            Some(format!("method response: {place} {status}"))
        })
    })
}

fn show(model: &Model) -> wire::Model {
    wire::Model {
        content_type: Some(model.content_type.clone()),
        description: model.description.clone(),
        id: Some(model.id.clone()),
        name: Some(model.name.clone()),
        schema: Some(model.schema.clone()),
    }
}

/// Writes what a schema describes.
struct Sketch<'s> {
    whole: &'s Value,
    out: &'s mut String,
}

/// How deep a template goes: schemas may refer to themselves.
const MAX_SKETCH_DEPTH: usize = 8;

impl Sketch<'_> {
    /// `from` is the reference to the value, `depth` how far it is in.
    fn write(&mut self, schema: &Value, from: &str, depth: usize) {
        let schema = self.followed(schema);
        let line = |depth: usize| format!("\n{}", "  ".repeat(depth));
        let kind = schema["type"].as_str().unwrap_or(if schema["properties"].is_object() { "object" } else { "" });
        match kind {
            _ if depth > MAX_SKETCH_DEPTH => self.out.push_str("null"),
            "object" => {
                let names: Vec<(String, Value)> = schema["properties"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, below)| (name.clone(), below.clone()))
                    .collect();
                self.out.push('{');
                for (place, (name, below)) in names.iter().enumerate() {
                    self.out.push_str(if place > 0 { "," } else { "" });
                    self.out.push_str(&format!("{}{} : ", line(depth + 1), Value::from(name.as_str())));
                    self.write(below, &format!("{from}{}", member(name)), depth + 1);
                }
                self.out.push_str(&if names.is_empty() { " }".to_owned() } else { format!("{}}}", line(depth)) });
            }
            "array" => {
                let one = format!("$elem{}", if depth == 0 { String::new() } else { depth.to_string() });
                self.out.push_str(&format!("[{}#foreach({one} in {from}){}", line(depth), line(depth + 1)));
                self.write(&schema["items"].clone(), &one, depth + 1);
                self.out.push_str(&format!("#if($foreach.hasNext),#end{}#end{}]", line(depth), line(depth)));
            }
            "integer" | "number" | "boolean" => self.out.push_str(from),
            _ => self.out.push_str(&format!("\"{from}\"")),
        }
    }

    /// Where a schema refers to another one of the same text, that one.
    fn followed(&self, schema: &Value) -> Value {
        let mut schema = schema;
        for _ in 0..MAX_SKETCH_DEPTH {
            let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
            match pointer.and_then(|pointer| self.whole.pointer(pointer)) {
                Some(next) => schema = next,
                None => break,
            }
        }
        schema.clone()
    }
}

/// How a template names a member.
fn member(name: &str) -> String {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name { format!(".{name}") } else { format!("[{}]", quoted(name)) }
}

fn quoted(name: &str) -> String {
    format!("'{}'", name.replace('\'', "''"))
}
