//! What a REST API answers by itself where it is not AWS's default: gateway responses ("Gateway responses in API Gateway", REST
//! API developer guide).

use std::collections::BTreeMap;

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::mapping::{RESERVED, Source, gateway_response_source, status_code};
use crate::resource::GatewayResponse;
use crate::template::{Template, Variable};

/// One answer, compiled.
#[derive(Clone, Debug)]
pub struct GatewayAnswer {
    /// None: the status that it has anyway.
    pub status: Option<StatusCode>,
    /// Headers that are set, each to what its source is.
    pub headers: Vec<(HeaderName, Source)>,
    /// The payload with its media type; none: the payload that it has anyway.
    pub body: Option<(HeaderValue, Template)>,
}

/// All of a REST API, by response type.
#[derive(Clone, Debug, Default)]
pub struct GatewayAnswers(BTreeMap<String, GatewayAnswer>);

/// A gateway response that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayResponseError {
    /// None that an answer can have.
    #[error("Invalid statusCode {0}: expected 200 to 599, but none without payload (204, 205, 304)")]
    Status(u16),
    /// A parameter is no header that may be set, or its value is of no known form.
    #[error(
        "Invalid mapping expression specified: {0}. Expected gatewayresponse.header.NAME, and as its value 'text', context.NAME or \
         stageVariables.NAME"
    )]
    Parameter(String),
    /// A template has more in it than variables of `$context`.
    #[error(
        "Invalid response template for {0}: text and $context.NAME are available in Countersign, 3072 bytes at most; $input, $util, \
         $stageVariables and directives are not"
    )]
    Template(String),
}

/// Of several templates the one that is used: what the gateway says is JSON.
const JSON: &str = "application/json";

impl GatewayAnswers {
    /// Compiles all of an API. `unusable` is told about those that cannot be used.
    pub fn of<'r>(
        responses: impl IntoIterator<Item = &'r GatewayResponse>,
        stage_variables: &BTreeMap<String, String>,
        mut unusable: impl FnMut(&str, GatewayResponseError),
    ) -> Self {
        let mut usable = BTreeMap::new();
        for response in responses {
            match GatewayAnswer::of(response, stage_variables) {
                Ok(answer) => drop(usable.insert(response.response_type.clone(), answer)),
                Err(error) => unusable(&response.response_type, error),
            }
        }
        Self(usable)
    }

    /// What is answered in a case: its own answer, else the one for its kind of status.
    pub fn find(&self, response_type: &str, status: StatusCode) -> Option<&GatewayAnswer> {
        let of_kind = || match status.is_server_error() {
            true => self.0.get("DEFAULT_5XX"),
            false => self.0.get("DEFAULT_4XX"),
        };
        self.0.get(response_type).or_else(of_kind)
    }
}

impl GatewayAnswer {
    /// Reads what is set; also to see whether it can be used.
    pub fn of(
        response: &GatewayResponse,
        stage_variables: &BTreeMap<String, String>,
    ) -> Result<Self, GatewayResponseError> {
        let status =
            response.status_code.map(|code| status_code(&code.to_string()).ok_or(GatewayResponseError::Status(code)));
        let headers = response.response_parameters.iter().map(|(key, value)| {
            let wrong = || GatewayResponseError::Parameter(key.clone());
            let name = key.strip_prefix("gatewayresponse.header.").and_then(|name| HeaderName::try_from(name).ok());
            let name = name.filter(|name| !RESERVED.contains(name) && name != CONTENT_TYPE).ok_or_else(wrong)?;
            let source = gateway_response_source(value, stage_variables);
            Ok((name, source.map_err(|_| wrong())?))
        });
        let templates = &response.response_templates;
        let named = templates.get_key_value(JSON).or_else(|| templates.first_key_value());
        Ok(Self {
            status: status.transpose()?,
            headers: headers.collect::<Result<_, _>>()?,
            body: named.map(|(media_type, text)| body(media_type, text)).transpose()?,
        })
    }
}

fn body(media_type: &str, text: &str) -> Result<(HeaderValue, Template), GatewayResponseError> {
    let wrong = || GatewayResponseError::Template(media_type.to_owned());
    let template = Template::parse(text).map_err(|_| wrong())?;
    let known = template.variables().all(|variable| !matches!(variable, Variable::Unknown(_)));
    let plain = text.replace("$context.", "");
    let has_more = plain.contains('$') || plain.lines().any(|line| line.trim_start().starts_with('#'));
    if !known || has_more {
        return Err(wrong());
    }
    Ok((HeaderValue::try_from(media_type).map_err(|_| wrong())?, template))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(parameters: &[(&str, &str)], templates: &[(&str, &str)]) -> GatewayResponse {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        GatewayResponse {
            api_id: "a".into(),
            response_type: "DEFAULT_4XX".into(),
            status_code: None,
            response_parameters: map(parameters),
            response_templates: map(templates),
        }
    }

    fn read(response: &GatewayResponse) -> Result<GatewayAnswer, GatewayResponseError> {
        GatewayAnswer::of(response, &BTreeMap::new())
    }

    #[test]
    fn reads_the_forms_that_aws_documents() {
        let parameters = [
            ("gatewayresponse.header.Access-Control-Allow-Origin", "'*'"),
            ("gatewayresponse.header.x-request-id", "context.requestId"),
        ];
        let templates = [("application/json", r#"{"message":$context.error.messageString}"#), ("a/b", "x")];
        let answer = read(&response(&parameters, &templates)).unwrap();
        assert_eq!(answer.headers[0].1, Source::Static("*".into()));
        assert_eq!(answer.body.unwrap().0, "application/json");
        assert_eq!(read(&response(&[], &[("a/b", "x")])).unwrap().body.unwrap().0, "a/b");
    }

    #[test]
    fn refuses_the_rest() {
        for (key, value) in [
            ("header.x", "'x'"),
            ("gatewayresponse.header.", "'x'"),
            ("gatewayresponse.header.Content-Length", "'1'"),
            ("gatewayresponse.header.Transfer-Encoding", "'chunked'"),
            ("gatewayresponse.header.x", "x"),
            ("gatewayresponse.header.x", "method.request.header.origin"),
            ("gatewayresponse.header.x", "context.nothing"),
        ] {
            let error = read(&response(&[(key, value)], &[])).unwrap_err();
            assert_eq!(error, GatewayResponseError::Parameter(key.into()), "{value}");
        }
        for template in
            ["$input.body", "$util.escapeJavaScript('x')", "#set($a = 1)", "$context.nothing", "${context.requestId}"]
        {
            let error = read(&response(&[], &[("a/b", template)])).unwrap_err();
            assert_eq!(error, GatewayResponseError::Template("a/b".into()), "{template}");
        }
        for status_code in [Some(100), Some(204), Some(304), Some(600)] {
            assert!(read(&GatewayResponse { status_code, ..response(&[], &[]) }).is_err(), "{status_code:?}");
        }
    }

    #[test]
    fn a_case_goes_before_its_kind() {
        let of = |response_type: &str, code: u16| GatewayResponse {
            response_type: response_type.into(),
            status_code: Some(code),
            ..response(&[], &[])
        };
        let all = [of("DEFAULT_4XX", 418), of("THROTTLED", 420), of("UNAUTHORIZED", 99)];
        let mut told = Vec::new();
        let answers = GatewayAnswers::of(&all, &BTreeMap::new(), |name, _| told.push(name.to_owned()));
        assert_eq!(told, ["UNAUTHORIZED"]);
        for (response_type, status, wanted) in [
            ("THROTTLED", StatusCode::TOO_MANY_REQUESTS, Some(420)),
            ("UNAUTHORIZED", StatusCode::UNAUTHORIZED, Some(418)),
            ("INTEGRATION_FAILURE", StatusCode::GATEWAY_TIMEOUT, None),
        ] {
            let found = answers.find(response_type, status).and_then(|answer| answer.status);
            assert_eq!(found.map(|status| status.as_u16()), wanted, "{response_type}");
        }
    }
}
