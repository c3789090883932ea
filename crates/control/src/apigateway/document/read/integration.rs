//! `x-amazon-apigateway-integration`.

use aws::Error;
use aws::apigateway as wire;

use super::Reading;
use crate::openapi::Node;

/// The integration response that is for all that no pattern fits.
pub(in crate::apigateway::document) const OTHERS: &str = "default";

type Integration = (Option<wire::PutIntegrationRequest>, Vec<wire::PutIntegrationResponseRequest>);

impl Reading<'_> {
    /// An operation's, with what is made of answers. `responses` are the method's.
    pub(super) fn integration(
        &mut self,
        node: &Node<'_>,
        responses: &[wire::PutMethodResponseRequest],
    ) -> Result<Integration, Error> {
        let Some(node) = node.get("x-amazon-apigateway-integration")? else { return Ok((None, Vec::new())) };
        let upper = |name: &str| Ok::<_, Error>(node.text_of(name)?.map(|text| text.to_ascii_uppercase()));
        let map = |name: &str| node.get(name)?.map(|map| map.text_map()).transpose();
        let kind = upper("type")?.ok_or_else(|| node.wrong("type is missing"))?;
        let kind = wire::IntegrationType::parse(&kind)
            .ok_or_else(|| node.wrong(&format!("{kind} is no type of integrations")))?;
        let is_function = matches!(kind, wire::IntegrationType::Aws | wire::IntegrationType::AwsProxy);
        let credentials = node.text_of("credentials")?;
        if is_function && credentials.is_some() {
            let at = node.at();
            self.warn(format!(
                "{at}.credentials: functions are called with the credentials of countersign.toml, ignoring."
            ));
        }
        let connection = upper("connectionType")?.map(|text| {
            wire::ConnectionType::parse(&text).ok_or_else(|| node.wrong("connectionType is INTERNET or VPC_LINK"))
        });
        let method = upper("httpMethod")?;
        let tls = node.get("tlsConfig")?.map(|tls| tls.get("insecureSkipVerification")).transpose()?.flatten();
        let insecure = tls.map(|insecure| insecure.boolean()).transpose()?;
        let cache_keys = node.get("cacheKeyParameters")?.map(|keys| keys.texts()).transpose()?;
        let integration = wire::PutIntegrationRequest {
            cache_key_parameters: cache_keys,
            cache_namespace: node.text_of("cacheNamespace")?,
            connection_id: node.text_of("connectionId")?,
            connection_type: connection.transpose()?,
            content_handling: content_handling(&node)?,
            credentials: credentials.filter(|_| !is_function),
            http_method: String::new(),
            integration_http_method: method
                .map(|method| if method == "X-AMAZON-APIGATEWAY-ANY-METHOD" { "ANY".to_owned() } else { method }),
            integration_target: node.text_of("integrationTarget")?,
            passthrough_behavior: upper("passthroughBehavior")?,
            request_parameters: map("requestParameters")?,
            request_templates: map("requestTemplates")?,
            resource_id: String::new(),
            response_transfer_mode: upper("responseTransferMode")?
                .map(|text| {
                    let mode = wire::ResponseTransferMode::parse(&text);
                    mode.ok_or_else(|| node.wrong("responseTransferMode is BUFFERED or STREAM"))
                })
                .transpose()?,
            rest_api_id: String::new(),
            timeout_in_millis: node.get("timeoutInMillis")?.map(|timeout| timeout.integer()).transpose()?,
            tls_config: insecure.map(|insecure| wire::TlsConfig { insecure_skip_verification: Some(insecure) }),
            r#type: kind,
            uri: node.text_of("uri")?,
        };
        let is_proxy = matches!(kind, wire::IntegrationType::HttpProxy | wire::IntegrationType::AwsProxy);
        let mut described = integration_responses(&node)?;
        // Of a proxy they mean nothing, and are often there without what they are about.
        let is_declared = |status: &str| responses.iter().any(|declared| declared.status_code == status);
        described.retain(|response| !is_proxy || is_declared(&response.status_code));
        Ok((Some(integration), described))
    }
}

fn integration_responses(node: &Node<'_>) -> Result<Vec<wire::PutIntegrationResponseRequest>, Error> {
    let response = |(pattern, node): (&str, Node<'_>)| {
        let map = |name: &str| node.get(name)?.map(|map| map.text_map()).transpose();
        Ok(wire::PutIntegrationResponseRequest {
            content_handling: content_handling(&node)?,
            response_parameters: map("responseParameters")?,
            response_templates: map("responseTemplates")?,
            selection_pattern: Some(pattern.to_owned()).filter(|pattern| pattern != OTHERS),
            status_code: node.text_of("statusCode")?.ok_or_else(|| node.wrong("statusCode is missing"))?,
            ..Default::default()
        })
    };
    let responses = node.get("responses")?.map(|responses| responses.entries()).transpose()?;
    responses.unwrap_or_default().into_iter().map(response).collect()
}

fn content_handling(node: &Node<'_>) -> Result<Option<wire::ContentHandlingStrategy>, Error> {
    let handling = node.text_of("contentHandling")?.map(|text| {
        let found = wire::ContentHandlingStrategy::parse(&text.to_ascii_uppercase());
        found.ok_or_else(|| node.wrong("contentHandling is CONVERT_TO_BINARY or CONVERT_TO_TEXT"))
    });
    handling.transpose()
}
