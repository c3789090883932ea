//! Parameters and payloads of operations.

use std::collections::BTreeMap;

use aws::Error;
use aws::apigateway as wire;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;

use super::super::schema;
use super::Reading;
use crate::openapi::{Node, Operation, Version};

/// Of a model that has no name in the document.
const UNNAMED: &str = "MODEL";
const JSON: &str = "application/json";

/// `requestParameters` and `requestModels`.
type Request = (BTreeMap<String, bool>, BTreeMap<String, String>);

/// A list of media types, as Swagger has them.
pub(super) fn media_types(node: &Node<'_>, name: &str) -> Result<Vec<String>, Error> {
    Ok(node.get(name)?.map(|types| types.texts()).transpose()?.unwrap_or_default())
}

impl<'d> Reading<'d> {
    /// Parameters of an operation go before those of its path.
    pub(super) fn request(&mut self, operation: &Operation<'d>) -> Result<Request, Error> {
        let mut parameters = BTreeMap::new();
        let mut models = BTreeMap::new();
        let of = |node: &Node<'d>| {
            Ok::<_, Error>(node.get("parameters")?.map(|list| list.items()).transpose()?.unwrap_or_default())
        };
        for parameter in of(&operation.item)?.into_iter().chain(of(&operation.node)?) {
            let place = parameter.text_of("in")?.unwrap_or_default();
            if place == "body" && self.version == Version::Swagger2 {
                let types = self.types_of(&operation.node, "consumes")?;
                let model = self.model(&parameter)?;
                models.extend(model.iter().flat_map(|name| types.iter().map(|kind| (kind.clone(), name.clone()))));
                continue;
            }
            let place = match place.as_str() {
                "query" => "querystring",
                "path" | "header" => &place,
                other => {
                    let at = parameter.at();
                    self.warn(format!("{at}: parameters in '{other}' are not supported, ignoring."));
                    continue;
                }
            };
            let name = parameter.text_of("name")?.ok_or_else(|| parameter.wrong("name is missing"))?;
            let required = parameter.get("required")?.map(|required| required.boolean()).transpose()?;
            parameters.insert(format!("method.request.{place}.{name}"), required.unwrap_or(place == "path"));
        }
        if let Some(body) = operation.node.get("requestBody")? {
            models.extend(self.content(&body)?);
        }
        Ok((parameters, models))
    }

    /// What an operation says of its answers. `default` is about what a method does not say, so that it says nothing here.
    pub(super) fn responses(&mut self, node: &Node<'d>) -> Result<Vec<wire::PutMethodResponseRequest>, Error> {
        let mut responses = Vec::new();
        for (status, response) in node.get("responses")?.map(|all| all.entries()).transpose()?.unwrap_or_default() {
            if status == "default" || status.starts_with("x-") {
                continue;
            }
            if status.parse::<u16>().is_err() {
                self.warn(format!("{}: {status} is no status code, ignoring.", response.at()));
                continue;
            }
            let mut parameters = BTreeMap::new();
            for (name, header) in response.get("headers")?.map(|all| all.entries()).transpose()?.unwrap_or_default() {
                let required = header.get("required")?.map(|required| required.boolean()).transpose()?;
                parameters.insert(format!("method.response.header.{name}"), required.unwrap_or(false));
            }
            let models = match self.version {
                Version::OpenApi3 => self.content(&response)?,
                Version::Swagger2 => {
                    let types = self.types_of(node, "produces")?;
                    let model = self.model(&response)?;
                    model.iter().flat_map(|name| types.iter().map(|kind| (kind.clone(), name.clone()))).collect()
                }
            };
            responses.push(wire::PutMethodResponseRequest {
                response_models: Some(models),
                response_parameters: Some(parameters),
                status_code: status.to_owned(),
                ..Default::default()
            });
        }
        Ok(responses)
    }

    /// Models by media type, as OpenAPI 3 has them.
    fn content(&mut self, node: &Node<'d>) -> Result<BTreeMap<String, String>, Error> {
        let mut models = BTreeMap::new();
        for (media_type, node) in node.get("content")?.map(|content| content.entries()).transpose()?.unwrap_or_default()
        {
            if let Some(model) = self.model(&node)? {
                models.insert(media_type.to_owned(), model);
            }
        }
        Ok(models)
    }

    /// The name of the model that is the `schema` of something. One that stands there itself becomes a model, whose name is made of
    /// what it says.
    fn model(&mut self, node: &Node<'d>) -> Result<Option<String>, Error> {
        let named = node.reference_of("schema").and_then(schema::referred).filter(|(_, pointer)| pointer.is_empty());
        if named.is_none() && node.get("schema")?.is_none() {
            return Ok(None);
        }
        let name = match named {
            Some((name, _)) => name,
            None => {
                // With its references, not with what they lead to.
                let schema = &node.value()["schema"];
                let hash = digest(&SHA256, schema.to_string().as_bytes());
                let name = format!("{UNNAMED}{}", &HEXLOWER.encode(hash.as_ref())[..12]);
                self.definition.schemas.insert(name.clone(), schema.clone());
                name
            }
        };
        Ok(Some(name))
    }

    /// The operation's own, those of the document, or JSON.
    fn types_of(&self, node: &Node<'d>, name: &str) -> Result<Vec<String>, Error> {
        let of_document = if name == "consumes" { &self.consumes } else { &self.produces };
        let own = media_types(node, name)?;
        let types = if own.is_empty() { of_document.clone() } else { own };
        Ok(if types.is_empty() { vec![JSON.to_owned()] } else { types })
    }
}
