//! REST APIs from OpenAPI documents, and as such: `import-rest-api`, `put-rest-api`, `get-export`.

mod read;
mod schema;
mod write;

use std::collections::BTreeMap;

use aws::apigateway as wire;
use aws::{Blob, Error};
use model::State;
use model::resource::{RestApi, RestResource, Tags};

use self::read::{Definition, DescribedMethod};
use self::write::{Export, Extensions, Format};
use super::method::Found;
use super::{
    Draft, authorizer, deployment, documentation, gateway_response, integration, integration_response, method,
    method_response, models, request_validator, resource, rest_api, stage,
};
use crate::apigatewayv2::check::api_tags;
use crate::apigatewayv2::of_api;
use crate::openapi::{BasePath, Document, Form, fail_on};

const MERGE: Option<wire::PutMode> = Some(wire::PutMode::Merge);

/// `parameters` of a request.
type Parameters = Option<BTreeMap<String, String>>;

/// Makes an API of a document.
pub(super) fn import(draft: &mut Draft<'_>, input: &wire::ImportRestApiRequest) -> Result<wire::RestApi, Error> {
    let (document, definition) = read(&input.body, &input.parameters, input.fail_on_warnings)?;
    let api = rest_api::add(draft, &definition.api)?;
    fill(draft, &api, &definition)?;
    documented(draft, &api, &document, &input.parameters)?;
    Ok(told(draft, &api, definition))
}

/// Makes an API what a document says, or adds to it what a document says. Its stages and deployments stay; so do tags that the document
/// does not name, and `disableExecuteApiEndpoint` where it says nothing of it.
pub(super) fn put(draft: &mut Draft<'_>, input: &wire::PutRestApiRequest) -> Result<wire::RestApi, Error> {
    let now = RestApi::clone(&*rest_api::find(draft, &input.rest_api_id)?);
    let (document, definition) = read(&input.body, &input.parameters, input.fail_on_warnings)?;
    let merges = input.mode.is_none() || input.mode == MERGE;
    let mut api = rest_api::described(draft, &definition.api)?;
    if merges {
        let of_document = std::mem::replace(&mut api.binary_media_types, now.binary_media_types.clone());
        of_document.iter().try_for_each(|media_type| rest_api::add_binary(&mut api, media_type))?;
        api.description = api.description.take().or_else(|| now.description.clone());
    } else {
        rest_api::clear(draft, &now)?;
        clear_resources(draft, &now)?;
        documentation::clear(draft, &now)?;
    }
    let tags: Tags = now.tags.clone().into_iter().chain(api.tags).collect();
    api_tags(&tags)?;
    of_api::read_tagged(draft, &now.id, &tags)?;
    let disable = definition.api.disable_execute_api_endpoint.unwrap_or(now.disable_execute_api_endpoint);
    let api = RestApi { tags, disable_execute_api_endpoint: disable, created: now.created, ..api };
    let api = RestApi { id: now.id, root_resource_id: now.root_resource_id, region: now.region, ..api };
    draft.put(&api)?;
    fill(draft, &api, &definition)?;
    documented(draft, &api, &document, &input.parameters)?;
    Ok(told(draft, &api, definition))
}

/// Writes an API, as it is deployed to a stage, as a document.
pub(super) fn export(draft: &Draft<'_>, input: &wire::GetExportRequest) -> Result<wire::ExportResponse, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let stage = stage::find(draft, &api, &input.stage_name)?;
    let format = match input.export_type.as_str() {
        "oas30" => Format::OpenApi3,
        "swagger" => Format::Swagger2,
        other => {
            return Err(Error::bad_request(format!("Invalid export type '{other}'. Must be one of: [oas30, swagger]")));
        }
    };
    let (form, media_type) = match input.accepts.as_deref().unwrap_or("application/json") {
        "application/json" | "*/*" | "" => (Form::Json, "application/json"),
        "application/yaml" => (Form::Yaml, "application/yaml"),
        other => {
            let message = format!("Invalid Accept {other}: application/json or application/yaml is expected");
            return Err(Error::bad_request(message));
        }
    };
    let extensions = Extensions::parse(input.parameters.as_ref().and_then(|parameters| parameters.get("extensions")))?;
    let deployed = stage.deployment_id.as_deref().ok_or_else(|| Error::not_found("The stage has no deployment"))?;
    let deployed = deployment::find(draft, &api, deployed)?;
    let host = format!("{}.execute-api.{}.{}", api.id, api.region, draft.config.execute_api_suffix);
    let host = format!("{host}:{}", draft.config.https_port);
    let documentation = stage.documentation_version.as_deref();
    let documentation = documentation.map(|version| documentation::find_version(draft, &api, version)).transpose()?;
    let export = Export { api: &api, host, stage: &stage.name, deployed, documentation, format, extensions };
    let ending = if form == Form::Json { "json" } else { "yaml" };
    let file = format!("{}-{}-{}.{ending}", api.id, stage.name, input.export_type);
    Ok(wire::ExportResponse {
        body: Some(Blob(form.write(&export.document())?)),
        content_disposition: Some(format!("attachment; filename=\"{file}\"")),
        content_type: Some(media_type.to_owned()),
    })
}

/// Parts of the API's documentation, unless they are to be ignored.
fn documented(draft: &mut Draft<'_>, api: &RestApi, document: &Document, parameters: &Parameters) -> Result<(), Error> {
    let ignored = parameters.as_ref().and_then(|parameters| parameters.get("ignore"));
    match ignored.is_some_and(|what| what.split(',').any(|what| what == "documentation")) {
        true => Ok(()),
        false => documentation::import_from(draft, api, &document.node()).map(drop),
    }
}

fn read(body: &Blob, parameters: &Parameters, fail_on_warnings: Option<bool>) -> Result<(Document, Definition), Error> {
    let parameter = |name: &str| parameters.as_ref().and_then(|parameters| parameters.get(name)).map(String::as_str);
    let base_path = BasePath::parse(parameter("basepath"))?;
    let document = Document::parse(&body.0)?;
    let mut definition = Definition::read(&document, &base_path.prefix(&document)?)?;
    definition.api.endpoint_configuration = parameter("endpointConfigurationTypes").map(endpoint).transpose()?;
    fail_on(&definition.warnings, fail_on_warnings)?;
    Ok((document, definition))
}

fn endpoint(kinds: &str) -> Result<wire::EndpointConfiguration, Error> {
    let wrong = || Error::bad_request(format!("Invalid endpointConfigurationTypes {kinds}: REGIONAL is expected"));
    let kinds = kinds.split(',').map(|kind| wire::EndpointType::parse(kind).ok_or_else(wrong));
    Ok(wire::EndpointConfiguration { types: Some(kinds.collect::<Result<_, _>>()?), ..Default::default() })
}

/// All resources but the root, and its methods.
fn clear_resources(draft: &mut Draft<'_>, api: &RestApi) -> Result<(), Error> {
    for known in State::of(&draft.state.clone().rest_resources, &api.id) {
        match known.parent_id {
            Some(_) => draft.delete::<RestResource>(known)?,
            None => draft.put(&RestResource { methods: BTreeMap::new(), ..RestResource::clone(known) })?,
        }
    }
    Ok(())
}

fn told(draft: &Draft<'_>, api: &RestApi, definition: Definition) -> wire::RestApi {
    let shown = rest_api::show(draft, api);
    let warnings: Vec<String> = definition.warnings.into_iter().chain(shown.warnings.into_iter().flatten()).collect();
    wire::RestApi { warnings: Some(warnings).filter(|warnings| !warnings.is_empty()), ..shown }
}

/// AWS's words around what is wrong with a part of a document. What a part names and there is not is the document's fault.
fn unable(to: &str, error: Error) -> Error {
    let message = format!("Errors found during import:\n\tUnable to {to}: {}", error.message);
    match error.code {
        "NotFoundException" => Error::bad_request(message),
        _ => Error { message, ..error },
    }
}

/// Ids by name.
#[derive(Default)]
struct Named {
    validators: BTreeMap<String, String>,
    authorizers: BTreeMap<String, String>,
}

/// Gives an API all that a document says. What is there by the same name becomes what is said.
fn fill(draft: &mut Draft<'_>, api: &RestApi, definition: &Definition) -> Result<(), Error> {
    models::put_all(draft, api, &definition.models(api)).map_err(|error| unable("create models", error))?;
    let mut named = Named::default();
    for input in &definition.validators {
        let name = input.name.clone().unwrap_or_default();
        let known = State::of(&draft.state.request_validators, &api.id).find(|known| known.name == name);
        let made = match known.map(|known| known.id.clone()) {
            Some(id) => request_validator::set(draft, api, id, input),
            None => request_validator::add(draft, api, input),
        };
        let made = made.map_err(|error| unable(&format!("create request validator '{name}'"), error))?;
        named.validators.insert(name, made.id);
    }
    for input in &definition.authorizers {
        let known = State::of(&draft.state.rest_authorizers, &api.id).find(|known| known.name == input.name);
        let made = match known.map(|known| known.id.clone()) {
            Some(id) => authorizer::set(draft, api, id, input),
            None => authorizer::add(draft, api, input),
        };
        let made = made.map_err(|error| unable(&format!("create authorizer '{}'", input.name), error))?;
        named.authorizers.insert(input.name.clone(), made.id);
    }
    for input in &definition.gateway_responses {
        let input = wire::PutGatewayResponseRequest { rest_api_id: api.id.clone(), ..input.clone() };
        let put = gateway_response::put(draft, &input);
        put.map_err(|error| unable(&format!("put gateway response '{}'", input.response_type), error))?;
    }
    for (path, methods) in &definition.methods {
        let at = resource::at(draft, api, path);
        let mut resource = at.map_err(|error| unable(&format!("create resource at path '{path}'"), error))?;
        for described in methods {
            resource = with_method(draft, api, resource, described, &named)?;
        }
        draft.put(&resource)?;
    }
    Ok(())
}

/// A resource with a method, in the place of the one that may be there.
fn with_method(
    draft: &Draft<'_>,
    api: &RestApi,
    resource: RestResource,
    described: &DescribedMethod,
    named: &Named,
) -> Result<RestResource, Error> {
    let of =
        |ids: &BTreeMap<String, String>, name: &Option<String>| name.as_ref().and_then(|name| ids.get(name).cloned());
    let input = wire::PutMethodRequest {
        authorizer_id: of(&named.authorizers, &described.authorizer),
        request_validator_id: of(&named.validators, &described.validator),
        ..described.method.clone()
    };
    let (name, path) = (&input.http_method, resource.path.clone());
    let on = |what: &str| format!("put {what} on '{name}' for resource at path '{path}'");
    let method = method::described(draft, api, &input)
        .map_err(|error| unable(&format!("put method '{name}' on resource at path '{path}'"), error))?;
    let mut found = Found { resource, method };
    for response in &described.responses {
        let added = method_response::add(draft, &mut found, response);
        added.map_err(|error| unable(&on(&format!("method response '{}'", response.status_code)), error))?;
    }
    if let Some(input) = &described.integration {
        integration::add(&mut found, input).map_err(|error| unable(&on("integration"), error))?;
    }
    for response in &described.integration_responses {
        let added = integration_response::add(&mut found, response);
        added.map_err(|error| unable(&on("integration response"), error))?;
    }
    Ok(found.into_resource(name))
}

#[cfg(test)]
mod tests;
