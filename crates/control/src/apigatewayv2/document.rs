//! HTTP APIs from OpenAPI documents, and as such: `import-api`, `reimport-api`, `export-api`.

mod read;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws::apigatewayv2 as wire;
use aws::{Blob, Error};
use model::State;
use model::resource::{Api, Authorizer, Integration, Route, Tags};

use self::read::Definition;
use self::write::Export;
use super::check::{NOT_FOR_WEB_SOCKETS, api_tags, refuse};
use super::draft::{Draft, not_found};
use super::{api, authorizer, deployment, integration, of_api, route};
use crate::openapi::{BasePath, Document, Form, fail_on};

/// Makes an API of a document.
pub(super) fn import(draft: &mut Draft<'_>, input: &wire::ImportApiRequest) -> Result<wire::Api, Error> {
    let definition = read(&input.body, input.basepath.as_deref(), input.fail_on_warnings)?;
    let made = api::create(draft, &definition.api)?;
    let made = Api::clone(&*draft.api(made.api_id.as_deref().unwrap_or_default())?);
    fill(draft, made, definition)
}

/// Makes an API what a document says. Its stages and deployments stay; so do tags that the document does not name, and
/// `disableExecuteApiEndpoint` where it says nothing of it.
pub(super) fn reimport(draft: &mut Draft<'_>, input: &wire::ReimportApiRequest) -> Result<wire::Api, Error> {
    let now = Api::clone(&*http_api(draft, &input.api_id)?);
    let definition = read(&input.body, input.basepath.as_deref(), input.fail_on_warnings)?;
    let state = draft.state.clone();
    State::of(&state.routes, &now.id).try_for_each(|route| draft.delete::<Route>(route))?;
    State::of(&state.integrations, &now.id).try_for_each(|integration| draft.delete::<Integration>(integration))?;
    State::of(&state.authorizers, &now.id).try_for_each(|authorizer| draft.delete::<Authorizer>(authorizer))?;
    let tags: Tags = now.tags.into_iter().chain(definition.api.tags.clone().unwrap_or_default()).collect();
    api_tags(&tags)?;
    of_api::read_tagged(draft, &now.id, &tags)?;
    let described = api::described(&definition.api)?;
    let disable = definition.api.disable_execute_api_endpoint.unwrap_or(now.disable_execute_api_endpoint);
    let imported = Api {
        id: now.id,
        region: now.region,
        created: now.created,
        tags,
        disable_execute_api_endpoint: disable,
        ..described
    };
    fill(draft, imported, definition)
}

/// Writes an API, as it is or as it is deployed to a stage, as a document.
pub(super) fn export(draft: &Draft<'_>, input: &wire::ExportApiRequest) -> Result<wire::ExportApiResponse, Error> {
    let api = http_api(draft, &input.api_id)?;
    if let Some(other) = input.export_version.as_deref().filter(|version| !["", "1.0"].contains(version)) {
        return Err(Error::bad_request(format!("Invalid exportVersion {other}: 1.0 is the only one")));
    }
    let form = if input.output_type == "JSON" { Form::Json } else { Form::Yaml };
    let stage = input.stage_name.as_deref().filter(|name| !name.is_empty());
    let deployed = stage.map(|name| deployed(draft, &api, name)).transpose()?;
    let parts = match deployed {
        Some(deployed) => deployed,
        None => deployment::snapshot(draft, &api)?,
    };
    let shown = api::show(draft, &api);
    let extensions = input.include_extensions != Some(false);
    let export =
        Export { api: &api, endpoint: shown.api_endpoint.unwrap_or_default(), stage, parts: &parts, extensions };
    Ok(wire::ExportApiResponse { body: Some(Blob(form.write(&export.document())?)) })
}

fn http_api(draft: &Draft<'_>, id: &str) -> Result<Arc<Api>, Error> {
    let api = draft.api(id)?;
    refuse(api.web_socket.is_some(), "OpenAPI", NOT_FOR_WEB_SOCKETS)?;
    Ok(api)
}

fn deployed(draft: &Draft<'_>, api: &Api, stage: &str) -> Result<model::resource::Deployment, Error> {
    let stage = draft.stage(&api.id, stage)?;
    let id = stage.deployment_id.as_deref();
    let id = id.ok_or_else(|| not_found("Deployment", format!("The stage {} has no deployment", stage.name)))?;
    deployment::find(draft, &api.id, id).cloned()
}

fn read(body: &str, basepath: Option<&str>, fail_on_warnings: Option<bool>) -> Result<Definition, Error> {
    let base_path = BasePath::parse(basepath)?;
    let document = Document::parse(body.as_bytes())?;
    let definition = Definition::read(&document, &base_path.prefix(&document)?)?;
    fail_on(&definition.warnings, fail_on_warnings)?;
    Ok(definition)
}

/// Gives an API without any of them what a document says of routes, integrations and authorizers.
fn fill(draft: &mut Draft<'_>, api: Api, definition: Definition) -> Result<wire::Api, Error> {
    let api = Api { import_info: definition.ignored, import_warnings: definition.warnings, ..api };
    draft.put(&api)?;
    let mut authorizers = BTreeMap::new();
    for input in definition.authorizers {
        let name = input.name.clone();
        let made = authorizer::add(draft, wire::CreateAuthorizerRequest { api_id: api.id.clone(), ..input })?;
        authorizers.insert(name, made.id);
    }
    let mut integrations = Vec::new();
    for input in definition.integrations {
        let input = wire::CreateIntegrationRequest { api_id: api.id.clone(), ..input };
        integrations.push(integration::add(draft, input)?.id);
    }
    for described in definition.routes {
        let integration = described.integration.and_then(|index| integrations.get(index));
        let input = wire::CreateRouteRequest {
            api_id: api.id.clone(),
            target: integration.map(|id| format!("integrations/{id}")),
            authorizer_id: described.authorizer.and_then(|name| authorizers.get(&name).cloned()),
            ..described.route
        };
        let key = input.route_key.clone();
        route::add(draft, input).map_err(|error| Error { message: format!("{key}: {}", error.message), ..error })?;
    }
    deployment::auto_deploy(draft, &api.id)?;
    Ok(api::show(draft, &api))
}

#[cfg(test)]
mod tests;
