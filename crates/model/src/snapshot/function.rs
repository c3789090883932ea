//! Lambda functions that answer requests, compiled.

use std::collections::BTreeMap;

use super::stages::response_mappings;
use crate::mapping::Mapping;
use crate::{FunctionArn, resource};

/// An AWS_PROXY integration with a Lambda function.
#[derive(Debug)]
pub struct FunctionIntegration {
    /// `integrationId`
    pub id: String,
    /// What is called.
    pub function: FunctionArn,
    /// How it is told of the request, and answers.
    pub payload_format: PayloadFormat,
    /// Milliseconds until its answer must have come.
    pub timeout_ms: u32,
    /// Parameter mapping of the request.
    pub request_mapping: Mapping,
    /// Parameter mapping of the response, by the status code that the function returns.
    pub response_mappings: BTreeMap<u16, Mapping>,
}

/// `payloadFormatVersion`, `authorizerPayloadFormatVersion`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadFormat {
    /// `1.0`, that of REST APIs too.
    V1,
    /// `2.0`
    V2,
}

impl PayloadFormat {
    /// Reads `1.0` or `2.0`.
    pub fn parse(version: &str) -> Option<Self> {
        match version {
            "1.0" => Some(Self::V1),
            "2.0" => Some(Self::V2),
            _ => None,
        }
    }
}

impl FunctionIntegration {
    pub(super) fn of(integration: &resource::Integration, stage: &resource::Stage) -> Result<Self, String> {
        let format = PayloadFormat::parse(&integration.payload_format_version);
        Ok(Self {
            id: integration.id.clone(),
            function: FunctionArn::parse(&integration.uri, &stage.variables).map_err(|e| e.to_string())?,
            payload_format: format
                .ok_or_else(|| format!("{} is no payload format", integration.payload_format_version))?,
            timeout_ms: integration.timeout_ms,
            request_mapping: Mapping::of_request(&integration.request_parameters, &stage.variables)
                .map_err(|e| e.to_string())?,
            response_mappings: response_mappings(integration, stage)?,
        })
    }

    /// Of a REST API's method. As on AWS its event is the request as it came, and its answer goes out as it is: parameter mapping
    /// is for integrations that are not with functions.
    pub(super) fn of_rest(
        resource: &resource::RestResource,
        integration: &resource::RestIntegration,
        stage: &resource::Stage,
    ) -> Result<Self, String> {
        Ok(Self {
            id: resource.id.clone(),
            function: FunctionArn::parse(integration.uri.as_deref().unwrap_or_default(), &stage.variables)
                .map_err(|e| e.to_string())?,
            payload_format: PayloadFormat::V1,
            timeout_ms: integration.timeout_ms,
            request_mapping: Mapping::default(),
            response_mappings: BTreeMap::new(),
        })
    }
}
