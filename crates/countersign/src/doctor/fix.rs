//! The safe changes that findings offer, made. Nothing else in the doctor changes anything.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Value, json};

use super::checks::Remedy;
use super::diagnosis::Diagnosis;
use crate::answer::Failure;
use crate::client::Client;

/// A change that was tried.
#[derive(Debug, Serialize)]
pub(super) struct Fixed {
    /// Of the finding.
    pub(super) id: &'static str,
    pub(super) what: String,
    pub(super) error: Option<String>,
}

/// Makes each change once, in the order of the findings; one that fails keeps no other from being made.
pub(super) async fn apply(client: &Client, diagnosis: &Diagnosis) -> Vec<Fixed> {
    let mut done: Vec<Fixed> = Vec::new();
    for finding in diagnosis.findings() {
        let Some(remedy) = &finding.remedy else { continue };
        let error = remedy.apply(client).await.err().map(|failure| failure.to_string());
        done.push(Fixed { id: finding.id, what: remedy.what(), error });
    }
    done
}

impl Remedy {
    fn what(&self) -> String {
        match self {
            Self::Pin { domain, version } => format!("{domain} is pinned to version {version} of its truststore"),
            Self::CloseEndpoint { api, stages, .. } => {
                format!("the execute-api endpoint of {api} is disabled{}", deployed(stages))
            }
            Self::Deploy { api, stages, .. } => format!("{api}{}", deployed(stages).replace(" and", " has")),
            Self::LogFormat { api, stage, format, .. } => {
                format!("the access log of {api}/{stage} is written as {format}")
            }
        }
    }

    async fn apply(&self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::Pin { domain, version } => {
                let path = format!("/v2/domainnames/{}", encoded(domain));
                let now = client.json("apigateway", Method::GET, &path, &Value::Null).await?;
                let body = json!({
                    "domainNameConfigurations": [settable(&now["domainNameConfigurations"][0])],
                    "mutualTlsAuthentication": {
                        "truststoreUri": now["mutualTlsAuthentication"]["truststoreUri"],
                        "truststoreVersion": version,
                    },
                });
                client.json("apigateway", Method::PATCH, &path, &body).await.map(drop)
            }
            Self::CloseEndpoint { api, is_rest, stages } => {
                let (path, body) = match is_rest {
                    true => (
                        format!("/restapis/{}", encoded(api)),
                        json!({"patchOperations": [
                            {"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "true"},
                        ]}),
                    ),
                    false => (format!("/v2/apis/{}", encoded(api)), json!({"disableExecuteApiEndpoint": true})),
                };
                client.json("apigateway", Method::PATCH, &path, &body).await?;
                deploy(client, api, *is_rest, stages).await
            }
            Self::Deploy { api, is_rest, stages } => deploy(client, api, *is_rest, stages).await,
            Self::LogFormat { api, is_rest, stage, destination, format } => {
                let (path, body) = match is_rest {
                    true => (
                        format!("/restapis/{}/stages/{}", encoded(api), encoded(stage)),
                        json!({"patchOperations": [
                            {"op": "replace", "path": "/accessLogSettings/format", "value": format},
                        ]}),
                    ),
                    false => (
                        format!("/v2/apis/{}/stages/{}", encoded(api), encoded(stage)),
                        json!({"accessLogSettings": {"destinationArn": destination, "format": format}}),
                    ),
                };
                client.json("apigateway", Method::PATCH, &path, &body).await.map(drop)
            }
        }
    }
}

async fn deploy(client: &Client, api: &str, is_rest: bool, stages: &[String]) -> Result<(), Failure> {
    for stage in stages {
        let path = match is_rest {
            true => format!("/restapis/{}/deployments", encoded(api)),
            false => format!("/v2/apis/{}/deployments", encoded(api)),
        };
        client.json("apigateway", Method::POST, &path, &json!({"stageName": stage})).await?;
    }
    Ok(())
}

/// Of a configuration that was read, what may be set.
fn settable(configuration: &Value) -> Value {
    const MEMBERS: [&str; 4] =
        ["certificateArn", "endpointType", "securityPolicy", "ownershipVerificationCertificateArn"];
    let members = MEMBERS.iter().filter_map(|name| Some(((*name).to_owned(), configuration.get(name)?.clone())));
    Value::Object(members.filter(|(_, value)| !value.is_null()).collect())
}

fn deployed(stages: &[String]) -> String {
    match stages.is_empty() {
        true => String::new(),
        false => format!(" and deployed to {}", stages.join(", ")),
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
