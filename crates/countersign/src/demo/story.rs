//! The guide's steps, each shown with the command that a person would type, done by the same wire requests.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::backend::Backend;
use super::caller::Caller;
use super::narrator::Narrator;
use super::pki::{Authority, Identity};
use crate::answer::Failure;
use crate::client::{Client, Reply};
use crate::explain;

/// The demo on its way.
pub(super) struct Story {
    pub(super) tell: Narrator,
    pub(super) client: Client,
    pub(super) caller: Caller,
    pub(super) backend: Backend,
    /// Where the guide's files are.
    pub(super) files: PathBuf,
    /// Of the log group's ARN.
    pub(super) account: String,
    /// ` --data-dir DIR`
    pub(super) data_dir: String,
    /// The line that the server prints when it is ready.
    pub(super) ready: String,
}

/// What the chapters hand on.
pub(super) struct Names {
    certificate_arn: String,
    api_id: String,
    endpoint: String,
}

const DOMAIN: &str = "api.yourcompany.com";
const BUCKET: &str = "your-bucket";
const OBJECT: &str = "/your-bucket/ca.pem";
const TRUSTSTORE: &str = "s3://your-bucket/ca.pem";
const LOG_GROUP: &str = "/orders/prod";
const LOG_FORMAT: &str = r#"{"requestId":"$context.requestId","status":"$context.status","path":"$context.path","subject":"$context.identity.clientCert.subjectDN","validUntil":"$context.identity.clientCert.validity.notAfter","error":"$context.error.message"}"#;
/// Between two looks at something that is under way.
const PAUSE: Duration = Duration::from_millis(10);
/// Looks until something that is under way has failed: 10 s.
const PATIENCE: usize = 1_000;
/// No certificate, whatever it says.
const BROKEN: &str = "-----BEGIN CERTIFICATE-----\nTm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
/// What a stranger is answered.
const FORBIDDEN: &[u8] = br#"{"message":"Forbidden"}"#;

impl Story {
    /// From the first step to the last. What does not hold is told and remembered; a failure ends the story.
    pub(super) async fn tell(&mut self) -> Result<(), Failure> {
        self.server();
        let authority = Authority::new("Your Company Root CA")?;
        let client = authority.issue_v1("My Client")?;
        self.certificates(&authority, &client)?;
        let version = self.upload(&authority).await?;
        let mut names = self.api().await?;
        self.domain(&mut names).await?;
        self.mutual_tls(&names, &version).await?;
        self.calls(&client).await?;
        self.back_door(&names).await?;
        self.log().await?;
        self.stale_pin(&names, &authority).await?;
        self.broken_truststore(&names, &authority).await
    }

    fn server(&mut self) {
        self.tell.chapter("The server");
        self.tell.command(&format!("countersign up{}", self.data_dir));
        self.tell.output(&self.ready);
    }

    fn certificates(&mut self, authority: &Authority, client: &Identity) -> Result<(), Failure> {
        self.tell.chapter("A certificate authority, and a client certificate");
        self.tell.command("openssl genrsa -out ca.key 2048");
        self.tell.command("openssl req -new -x509 -days 3650 -key ca.key -out ca.pem -subj '/C=US/O=Your Company/CN=Your Company Root CA'");
        self.tell.command("openssl genrsa -out client.key 2048");
        self.tell.command("openssl req -new -key client.key -out client.csr -subj '/C=US/O=Your Company/CN=My Client'");
        self.tell.command("openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -set_serial 01 -out client.pem -days 365 -sha256");
        for (name, text) in
            [("ca.pem", &authority.pem), ("client.pem", &client.certificate_pem()), ("client.key", &client.key_pem())]
        {
            self.save(name, text.as_bytes())?;
        }
        self.tell.check(client.is_v1(), "client.pem is X.509 version 1, which is what OpenSSL makes of these commands");
        Ok(())
    }

    async fn upload(&mut self, authority: &Authority) -> Result<String, Failure> {
        self.tell.chapter("The truststore, in a bucket that keeps versions");
        self.tell.command(&format!("aws s3api create-bucket --bucket {BUCKET}"));
        self.s3(&format!("/{BUCKET}"), Vec::new()).await?;
        self.tell.command(&format!(
            "aws s3api put-bucket-versioning --bucket {BUCKET} --versioning-configuration Status=Enabled"
        ));
        let enabled = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>";
        self.s3(&format!("/{BUCKET}?versioning="), enabled.into()).await?;
        self.put_truststore(authority.pem.clone()).await
    }

    async fn api(&mut self) -> Result<Names, Failure> {
        self.tell.chapter("An HTTP API in front of a backend, with an access log");
        let backend = self.backend.address;
        self.tell.command(&format!("BACKEND=http://{backend}"));
        self.tell.command(
            "API_ID=$(aws apigatewayv2 create-api --name orders --protocol-type HTTP --query ApiId --output text)",
        );
        let api = self.post("/v2/apis", &json!({"name": "orders", "protocolType": "HTTP"})).await?;
        let (api_id, endpoint) = (text(&api, "apiId")?, text(&api, "apiEndpoint")?);
        self.tell.command(
            "INTEGRATION_ID=$(aws apigatewayv2 create-integration --api-id $API_ID --integration-type HTTP_PROXY \\\n\
             --integration-method ANY --payload-format-version 1.0 --integration-uri \"$BACKEND/{proxy}\" \\\n\
             --query IntegrationId --output text)",
        );
        let integration = json!({
            "integrationType": "HTTP_PROXY", "integrationMethod": "ANY", "payloadFormatVersion": "1.0",
            "integrationUri": format!("http://{backend}/{{proxy}}"),
        });
        let integration = self.post(&format!("/v2/apis/{api_id}/integrations"), &integration).await?;
        let target = format!("integrations/{}", text(&integration, "integrationId")?);
        self.tell.command(
            "aws apigatewayv2 create-route --api-id $API_ID --route-key 'ANY /{proxy+}' --target integrations/$INTEGRATION_ID",
        );
        self.post(&format!("/v2/apis/{api_id}/routes"), &json!({"routeKey": "ANY /{proxy+}", "target": target}))
            .await?;
        self.stage(&api_id).await?;
        self.deploy(&api_id).await?;
        self.tell.check(true, &format!("deployed as {endpoint}/prod"));
        Ok(Names { certificate_arn: String::new(), api_id, endpoint })
    }

    async fn stage(&mut self, api_id: &str) -> Result<(), Failure> {
        self.tell.command(&format!("aws logs create-log-group --log-group-name {LOG_GROUP}"));
        self.client.action("logs", "Logs_20140328.CreateLogGroup", &json!({"logGroupName": LOG_GROUP})).await?;
        self.tell.command(
            "aws apigatewayv2 create-stage --api-id $API_ID --stage-name prod --access-log-settings file://access-log.json",
        );
        let arn = format!("arn:aws:logs:{}:{}:log-group:{LOG_GROUP}", self.client.region(), self.account);
        let log = json!({"destinationArn": arn, "format": LOG_FORMAT});
        // As the CLI reads it.
        let file = json!({"DestinationArn": arn, "Format": LOG_FORMAT});
        self.save("access-log.json", file.to_string().as_bytes())?;
        self.post(&format!("/v2/apis/{api_id}/stages"), &json!({"stageName": "prod", "accessLogSettings": log}))
            .await?;
        Ok(())
    }

    async fn domain(&mut self, names: &mut Names) -> Result<(), Failure> {
        self.tell.chapter("A domain of your own, still open to everybody");
        self.tell.command(&format!(
            "CERT_ARN=$(aws acm request-certificate --domain-name {DOMAIN} --query CertificateArn --output text)"
        ));
        let asked = json!({"DomainName": DOMAIN, "ValidationMethod": "DNS"});
        let issued = self.client.action("acm", "CertificateManager.RequestCertificate", &asked).await?;
        names.certificate_arn = text(&issued, "CertificateArn")?;
        self.tell.command(&format!(
            "aws apigatewayv2 create-domain-name --domain-name {DOMAIN} \\\n\
             --domain-name-configurations CertificateArn=$CERT_ARN,EndpointType=REGIONAL,SecurityPolicy=TLS_1_2"
        ));
        let domain = json!({"domainName": DOMAIN, "domainNameConfigurations": [names.configuration()]});
        self.post("/v2/domainnames", &domain).await?;
        self.tell.command(&format!(
            "aws apigatewayv2 create-api-mapping --domain-name {DOMAIN} --api-id $API_ID --stage prod"
        ));
        let mapping = json!({"apiId": names.api_id, "stage": "prod"});
        self.post(&format!("/v2/domainnames/{DOMAIN}/apimappings"), &mapping).await?;
        self.available().await?;
        let reply = self.call("/orders/1", None, "").await?;
        self.expect(&reply, StatusCode::OK, "anybody gets in");
        Ok(())
    }

    async fn mutual_tls(&mut self, names: &Names, version: &str) -> Result<(), Failure> {
        self.tell.chapter("Mutual TLS");
        self.update_truststore(names, version).await?;
        let shown = self.available().await?;
        let pinned = shown["mutualTlsAuthentication"]["truststoreVersion"] == version;
        self.tell.check(pinned, &format!("AVAILABLE: enforced by version {} of the truststore", short(version)));
        Ok(())
    }

    async fn calls(&mut self, client: &Identity) -> Result<(), Failure> {
        self.tell.chapter("With the certificate, without one, and with a wrong one");
        let before = self.backend.served();
        let reply = self.call("/orders/2", Some(client), " --cert client.pem --key client.key").await?;
        self.tell.output(&String::from_utf8_lossy(&reply.body));
        self.expect(&reply, StatusCode::OK, "the backend answers");
        let reply = self.call("/orders/3", None, "").await?;
        self.expect_forbidden(&reply, "no certificate");
        let stranger = Identity::self_signed("Somebody")?;
        let reply = self.call("/orders/4", Some(&stranger), " --cert wrong.pem --key wrong.key").await?;
        self.expect_forbidden(&reply, "nobody vouches for it");
        self.tell
            .check(self.backend.served() == before + 1, "the backend saw the first of these three, and nothing else");
        Ok(())
    }

    async fn back_door(&mut self, names: &Names) -> Result<(), Failure> {
        self.tell.chapter("The back door: the API's own endpoint knows no mutual TLS");
        let host = names.endpoint.trim_start_matches("https://");
        let host = host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned();
        self.tell.command(&format!("curl {}/prod/orders/5", names.endpoint));
        let reply = self.caller.get(&host, "/prod/orders/5", None).await?;
        self.expect(&reply, StatusCode::OK, "open");
        self.tell.command("aws apigatewayv2 update-api --api-id $API_ID --disable-execute-api-endpoint");
        let disable = json!({"disableExecuteApiEndpoint": true});
        self.client.json("apigateway", Method::PATCH, &format!("/v2/apis/{}", names.api_id), &disable).await?;
        self.deploy(&names.api_id).await?;
        self.tell.command(&format!("curl {}/prod/orders/5", names.endpoint));
        self.settled().await?;
        let reply = self.caller.get(&host, "/prod/orders/5", None).await?;
        self.expect_forbidden(&reply, "closed");
        Ok(())
    }

    async fn log(&mut self) -> Result<(), Failure> {
        self.tell.chapter("The access log knows who called");
        self.tell.command(&format!("aws logs filter-log-events --log-group-name {LOG_GROUP}"));
        let (accepted, refused) = ("/orders/2", "/orders/3");
        let mut found = Vec::new();
        for _ in 0..PATIENCE {
            found = self.records().await?;
            let about = |path: &str| found.iter().any(|(_, record)| record["path"] == path);
            if about(accepted) && about(refused) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let shown = |path: &str| found.iter().find(|(_, record)| record["path"] == path).cloned().unwrap_or_default();
        let ((accepted_line, accepted), (refused_line, refused)) = (shown(accepted), shown(refused));
        self.tell.output(&accepted_line);
        self.tell.output(&refused_line);
        let who = accepted["subject"] == "C=US,O=Your Company,CN=My Client" && accepted["status"] == "200";
        self.tell.check(who, "the client's certificate is in the line");
        let why = refused["status"] == "403" && refused["error"].as_str().is_some_and(|error| error.len() > 1);
        self.tell.check(why, "and so is the reason of a refusal");
        Ok(())
    }

    async fn stale_pin(&mut self, names: &Names, authority: &Authority) -> Result<(), Failure> {
        self.tell.chapter("A partner's CA is added to the file, and its client is still refused");
        let partner = Authority::new("Partner CA")?;
        let client = partner.issue_v1("Partner Client")?;
        let newer = self.put_truststore(authority.pem.clone() + &partner.pem).await?;
        let reply = self.call("/orders/6", Some(&client), " --cert partner.pem --key partner.key").await?;
        self.expect_forbidden(&reply, "why?");
        let request_id = reply.header("apigw-requestid").unwrap_or_default().to_owned();
        self.tell.command(&format!("countersign explain {request_id}{}", self.data_dir));
        let found = explain::find(&self.client, &request_id).await?;
        self.tell.output(&found.text());
        let named = found.text().contains(&newer);
        self.tell.check(named, "the domain is pinned to the version before; the fix names the new one");
        self.update_truststore(names, &newer).await?;
        self.available().await?;
        let reply = self.call("/orders/7", Some(&client), " --cert partner.pem --key partner.key").await?;
        self.expect(&reply, StatusCode::OK, "the partner gets in");
        Ok(())
    }

    async fn broken_truststore(&mut self, names: &Names, authority: &Authority) -> Result<(), Failure> {
        self.tell.chapter("A truststore with a broken certificate says so");
        let leaf = authority.issue_v1("Not An Authority")?;
        let broken = self.put_truststore(authority.pem.clone() + &leaf.certificate_pem() + BROKEN).await?;
        self.update_truststore(names, &broken).await?;
        let shown = self.available().await?;
        let warnings = shown["mutualTlsAuthentication"]["truststoreWarnings"].as_array().cloned().unwrap_or_default();
        for warning in &warnings {
            self.tell.output(warning.as_str().unwrap_or_default());
        }
        self.tell.check(!warnings.is_empty(), "truststoreWarnings name what is wrong; mutual TLS stays on");
        Ok(())
    }

    /// The lines of the access log, and what they say.
    async fn records(&self) -> Result<Vec<(String, Value)>, Failure> {
        let asked = json!({"logGroupName": LOG_GROUP});
        let page = self.client.action("logs", "Logs_20140328.FilterLogEvents", &asked).await?;
        let events = page["events"].as_array().cloned().unwrap_or_default();
        let line = |event: &Value| {
            let text = event["message"].as_str()?.to_owned();
            let record = serde_json::from_str(&text).ok()?;
            Some((text, record))
        };
        Ok(events.iter().filter_map(line).collect())
    }

    async fn put_truststore(&mut self, pem: String) -> Result<String, Failure> {
        self.save("ca.pem", pem.as_bytes())?;
        self.tell.command(&format!(
            "VERSION=$(aws s3api put-object --bucket {BUCKET} --key ca.pem --body ca.pem --query VersionId --output text)"
        ));
        let reply = self.s3(OBJECT, pem.into_bytes()).await?;
        let version = reply.header("x-amz-version-id").unwrap_or_default().to_owned();
        self.settled().await?;
        self.tell.check(!version.is_empty(), &format!("kept as version {version}"));
        Ok(version)
    }

    async fn update_truststore(&mut self, names: &Names, version: &str) -> Result<(), Failure> {
        self.tell.command(&format!(
            "aws apigatewayv2 update-domain-name --domain-name {DOMAIN} \\\n\
             --domain-name-configurations CertificateArn=$CERT_ARN,EndpointType=REGIONAL,SecurityPolicy=TLS_1_2 \\\n\
             --mutual-tls-authentication TruststoreUri={TRUSTSTORE},TruststoreVersion=$VERSION"
        ));
        let mutual = json!({"truststoreUri": TRUSTSTORE, "truststoreVersion": version});
        let update = json!({"domainNameConfigurations": [names.configuration()], "mutualTlsAuthentication": mutual});
        self.client.json("apigateway", Method::PATCH, &format!("/v2/domainnames/{DOMAIN}"), &update).await?;
        Ok(())
    }

    /// The guide's "wait a minute and rerun get-domain-name".
    async fn available(&self) -> Result<Value, Failure> {
        self.tell.command(&format!("aws apigatewayv2 get-domain-name --domain-name {DOMAIN}"));
        for _ in 0..PATIENCE {
            let path = format!("/v2/domainnames/{DOMAIN}");
            let shown = self.client.json("apigateway", Method::GET, &path, &Value::Null).await?;
            if shown["domainNameConfigurations"][0]["domainNameStatus"] == "AVAILABLE" {
                self.settled().await?;
                return Ok(shown);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(Failure::new(format!("{DOMAIN} does not become AVAILABLE")))
    }

    /// Until everything that is set is enforced. A person is never quick enough to need this.
    async fn settled(&self) -> Result<(), Failure> {
        for _ in 0..PATIENCE {
            let health = self.client.json("countersign", Method::GET, "/_countersign/health", &Value::Null).await?;
            if health["applied"] == health["revision"] {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(Failure::new("the settings are not enforced in time"))
    }

    async fn deploy(&mut self, api_id: &str) -> Result<(), Failure> {
        self.tell.command("aws apigatewayv2 create-deployment --api-id $API_ID --stage-name prod");
        self.post(&format!("/v2/apis/{api_id}/deployments"), &json!({"stageName": "prod"})).await.map(drop)
    }

    async fn call(&mut self, path: &str, identity: Option<&Identity>, options: &str) -> Result<Reply, Failure> {
        self.tell.command(&format!("curl{options} https://{DOMAIN}{path}"));
        self.caller.get(DOMAIN, path, identity).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.client.json("apigateway", Method::POST, path, body).await
    }

    async fn s3(&self, path: &str, body: Vec<u8>) -> Result<Reply, Failure> {
        self.client.send("s3", Method::PUT, path, &[], body).await?.success()
    }

    fn expect(&mut self, reply: &Reply, status: StatusCode, meaning: &str) {
        self.tell.check(reply.status == status, &format!("{}: {meaning}", reply.status.as_u16()));
    }

    fn expect_forbidden(&mut self, reply: &Reply, meaning: &str) {
        let held = reply.status == StatusCode::FORBIDDEN && reply.body == FORBIDDEN;
        let body = String::from_utf8_lossy(&reply.body);
        self.tell.check(held, &format!("{} {body}: {meaning}", reply.status.as_u16()));
    }

    fn save(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.files.join(name);
        fs::write(&path, bytes).map_err(|e| Failure::new(format!("cannot write {}: {e}", path.display())))
    }
}

impl Names {
    fn configuration(&self) -> Value {
        json!({"certificateArn": self.certificate_arn, "endpointType": "REGIONAL", "securityPolicy": "TLS_1_2"})
    }
}

fn text(answer: &Value, member: &str) -> Result<String, Failure> {
    let value = answer[member].as_str().map(str::to_owned);
    value.ok_or_else(|| Failure::new(format!("the server's answer has no {member}")))
}

fn short(version: &str) -> &str {
    version.get(..8).unwrap_or(version)
}
