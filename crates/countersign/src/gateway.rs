//! `countersign up --domain …`: a gateway without a word of AWS. The resources underneath are those of the AWS APIs, and they are
//! made through them; each start makes them what the files and options say.

use std::fs;
use std::path::{Path, PathBuf};

use http::{Method, StatusCode};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use time::OffsetDateTime;
use trust::Truststore;
use zeroize::Zeroizing;

use crate::answer::{Failure, warn};
use crate::client::Client;

#[derive(Clone, Debug, clap::Args)]
#[group(id = "gateway")]
pub(crate) struct Args {
    /// Serve this domain with mutual TLS
    #[arg(long, value_name = "NAME", requires_all = ["truststore", "cert", "key", "upstream"])]
    domain: Option<String>,
    /// CAs whose clients come in, PEM
    #[arg(long, value_name = "FILE", requires = "domain")]
    truststore: Option<PathBuf>,
    /// The server's certificate, PEM, leaf first
    #[arg(long, value_name = "FILE", requires = "domain")]
    cert: Option<PathBuf>,
    /// The server's key, PEM
    #[arg(long, value_name = "FILE", requires = "domain")]
    key: Option<PathBuf>,
    /// Where requests go: http://HOST:PORT
    #[arg(long, value_name = "URL", requires = "domain")]
    upstream: Option<String>,
}

/// What a gateway is made of, read and checked.
pub(crate) struct Gateway {
    domain: String,
    truststore: Vec<u8>,
    certificate: Pem,
    /// PEM.
    key: Zeroizing<Vec<u8>>,
    upstream: String,
}

/// A certificate file, apart.
struct Pem {
    leaf: String,
    /// Empty where there is none.
    chain: String,
}

const BUCKET: &str = "countersign-gateways";
const STAGE: &str = "$default";
/// On the API of a gateway: its domain.
const TAG: &str = "countersign-up";
const LOG_FORMAT: &str = r#"{"requestId":"$context.requestId","time":"$context.requestTime","ip":"$context.identity.sourceIp","method":"$context.httpMethod","path":"$context.path","status":"$context.status","bytes":"$context.responseLength","subject":"$context.identity.clientCert.subjectDN","issuer":"$context.identity.clientCert.issuerDN","serial":"$context.identity.clientCert.serialNumber","validUntil":"$context.identity.clientCert.validity.notAfter","error":"$context.error.message"}"#;

impl Args {
    /// Reads and checks what the options name; `None` where no gateway is asked for.
    pub(crate) fn read(&self) -> Result<Option<Gateway>, Failure> {
        let (Some(domain), Some(truststore), Some(cert), Some(key), Some(upstream)) =
            (&self.domain, &self.truststore, &self.cert, &self.key, &self.upstream)
        else {
            return Ok(None);
        };
        if !is_domain(domain) {
            return Err(Failure::new(format!(
                "--domain {domain} is no domain name: expected api.example.com or *.example.com"
            )));
        }
        let gateway = Gateway {
            domain: domain.to_ascii_lowercase(),
            truststore: read(truststore)?,
            certificate: certificates(cert)?,
            key: Zeroizing::new(read(key)?),
            upstream: upstream.trim_end_matches('/').to_owned(),
        };
        gateway.check_truststore(truststore)?;
        gateway.check_key(cert, key)?;
        model::Target::parse(&gateway.upstream, &Default::default())
            .map_err(|_| Failure::new(format!("--upstream {upstream} is no URL: expected http://HOST:PORT")))?;
        Ok(Some(gateway))
    }
}

impl Gateway {
    fn check_truststore(&self, file: &Path) -> Result<(), Failure> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let (_, findings) = Truststore::compile(&self.truststore, now).map_err(|e| named(file, e))?;
        for finding in findings.iter().filter(|finding| finding.severity >= trust::Severity::Warning) {
            let subject = finding.subject.as_deref().unwrap_or("a certificate");
            warn(&format!("{}:{}: {subject}: {}", file.display(), finding.line, finding.explanation));
        }
        Ok(())
    }

    fn check_key(&self, cert: &Path, key: &Path) -> Result<(), Failure> {
        let der = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| {
            named(key, "no private key in it; expected PEM (-----BEGIN PRIVATE KEY-----), not encrypted")
        })?;
        let leaf = CertificateDer::from_pem_slice(self.certificate.leaf.as_bytes()).map_err(|e| named(cert, e))?;
        CertifiedKey::from_der(vec![leaf], der, &default_provider()).map(drop).map_err(|e| match e {
            rustls::Error::InconsistentKeys(_) => {
                named(key, format!("it is not the key of the certificate in {}", cert.display()))
            }
            rustls::Error::InvalidCertificate(why) => {
                named(cert, format!("a TLS server cannot use this certificate: {why:?}"))
            }
            _ => named(key, "a TLS server cannot use this key; RSA, P-256, P-384 and Ed25519 can be used"),
        })
    }

    /// Makes the resources what they should be; what is right already is left alone.
    pub(crate) async fn apply(&self, client: &Client, account: &str) -> Result<(), Failure> {
        let setting_up = Setup { gateway: self, client, account };
        setting_up.run().await.map_err(|e| Failure::new(format!("cannot set up {}: {e}", self.domain)))
    }
}

/// A gateway being set up.
struct Setup<'a> {
    gateway: &'a Gateway,
    client: &'a Client,
    account: &'a str,
}

impl Setup<'_> {
    async fn run(&self) -> Result<(), Failure> {
        let version = self.truststore().await?;
        let domain = self.get(&format!("/v2/domainnames/{}", self.gateway.domain)).await?;
        let certificate_arn = self.certificate(&domain).await?;
        let api_id = self.api().await?;
        self.access_log(&api_id).await?;
        let set = self.domain(&domain, &certificate_arn, &version).await;
        if set.is_err() && domain.is_none() {
            // It was imported for nothing, and so would the next one be.
            let _ = self.acm("DeleteCertificate", &json!({"CertificateArn": certificate_arn})).await;
        }
        set?;
        self.mapping(&api_id).await
    }

    /// Puts the truststore where it is another one than the newest version; returns the version's id.
    async fn truststore(&self) -> Result<String, Failure> {
        let bucket = format!("/{BUCKET}");
        if self.s3(Method::HEAD, &bucket, Vec::new()).await?.status == StatusCode::NOT_FOUND {
            self.s3(Method::PUT, &bucket, Vec::new()).await?.success()?;
        }
        let enabled = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>";
        self.s3(Method::PUT, &format!("{bucket}?versioning="), enabled.into()).await?.success()?;
        let path = format!("{bucket}/{}", self.object());
        let mut reply = self.s3(Method::GET, &path, Vec::new()).await?;
        if !reply.status.is_success() || reply.body != self.gateway.truststore {
            reply = self.s3(Method::PUT, &path, self.gateway.truststore.clone()).await?.success()?;
        }
        let version = reply.header("x-amz-version-id").map(str::to_owned);
        version.ok_or_else(|| Failure::new("the truststore's object has no version"))
    }

    /// Imports the certificate, over the one that the domain has.
    async fn certificate(&self, domain: &Option<Value>) -> Result<String, Failure> {
        let arn = domain.as_ref().and_then(|domain| domain["domainNameConfigurations"][0]["certificateArn"].as_str());
        if let Some(arn) = arn {
            let known = self.acm("GetCertificate", &json!({"CertificateArn": arn})).await?;
            if known["Certificate"].as_str().is_some_and(|leaf| leaf.trim() == self.gateway.certificate.leaf.trim()) {
                return Ok(arn.to_owned());
            }
        }
        let base64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
        let key = Zeroizing::new(base64(&self.gateway.key));
        let mut import = json!({
            "Certificate": base64(self.gateway.certificate.leaf.as_bytes()), "PrivateKey": key.as_str(),
        });
        if !self.gateway.certificate.chain.is_empty() {
            import["CertificateChain"] = base64(self.gateway.certificate.chain.as_bytes()).into();
        }
        if let Some(arn) = arn {
            import["CertificateArn"] = arn.into();
        }
        text(&self.acm("ImportCertificate", &import).await?, "CertificateArn")
    }

    /// The API, its backend set; made where there is none.
    async fn api(&self) -> Result<String, Failure> {
        let (domain, upstream) = (&self.gateway.domain, &self.gateway.upstream);
        let mut apis = self.list("/v2/apis").await?.into_iter();
        let Some(api) = apis.find(|api| api["tags"][TAG] == domain.as_str()) else {
            let create = json!({
                "name": domain, "protocolType": "HTTP", "target": upstream, "disableExecuteApiEndpoint": true,
                "tags": {TAG: domain},
            });
            return text(&self.send(Method::POST, "/v2/apis", &create).await?, "apiId");
        };
        let api_id = text(&api, "apiId")?;
        for integration in self.list(&format!("/v2/apis/{api_id}/integrations")).await? {
            if integration["integrationUri"] != upstream.as_str() {
                let path = format!("/v2/apis/{api_id}/integrations/{}", text(&integration, "integrationId")?);
                self.send(Method::PATCH, &path, &json!({"integrationUri": upstream})).await?;
            }
        }
        Ok(api_id)
    }

    async fn access_log(&self, api_id: &str) -> Result<(), Failure> {
        let group = format!("/countersign/{}", self.gateway.domain.replace('*', "_"));
        let groups = self.logs("DescribeLogGroups", &json!({"logGroupNamePrefix": group})).await?;
        let known =
            groups["logGroups"].as_array().is_some_and(|all| all.iter().any(|one| one["logGroupName"] == group));
        if !known {
            self.logs("CreateLogGroup", &json!({"logGroupName": group})).await?;
        }
        let arn = format!("arn:aws:logs:{}:{}:log-group:{group}", self.client.region(), self.account);
        let wanted = json!({"destinationArn": arn, "format": LOG_FORMAT});
        let path = format!("/v2/apis/{api_id}/stages/{}", STAGE.replace('$', "%24"));
        if self.get(&path).await?.is_none_or(|stage| stage["accessLogSettings"] != wanted) {
            self.send(Method::PATCH, &path, &json!({"accessLogSettings": wanted})).await?;
        }
        Ok(())
    }

    async fn domain(&self, known: &Option<Value>, certificate_arn: &str, version: &str) -> Result<(), Failure> {
        let configuration =
            json!([{"certificateArn": certificate_arn, "endpointType": "REGIONAL", "securityPolicy": "TLS_1_2"}]);
        let uri = format!("s3://{BUCKET}/{}", self.object());
        let mut wanted = json!({
            "domainNameConfigurations": configuration,
            "mutualTlsAuthentication": {"truststoreUri": uri, "truststoreVersion": version},
        });
        let Some(known) = known else {
            wanted["domainName"] = self.gateway.domain.as_str().into();
            return self.send(Method::POST, "/v2/domainnames", &wanted).await.map(drop);
        };
        let mutual = &known["mutualTlsAuthentication"];
        if mutual["truststoreUri"] != uri
            || mutual["truststoreVersion"] != version
            || known["domainNameConfigurations"][0]["certificateArn"] != certificate_arn
        {
            self.send(Method::PATCH, &format!("/v2/domainnames/{}", self.gateway.domain), &wanted).await?;
        }
        Ok(())
    }

    async fn mapping(&self, api_id: &str) -> Result<(), Failure> {
        let path = format!("/v2/domainnames/{}/apimappings", self.gateway.domain);
        let root = self
            .list(&path)
            .await?
            .into_iter()
            .find(|mapping| mapping["apiMappingKey"].as_str().is_none_or(str::is_empty));
        let wanted = json!({"apiId": api_id, "stage": STAGE});
        match root {
            None => self.send(Method::POST, &path, &wanted).await.map(drop),
            Some(mapping) if mapping["apiId"] == api_id && mapping["stage"] == STAGE => Ok(()),
            Some(mapping) => {
                let path = format!("{path}/{}", text(&mapping, "apiMappingId")?);
                self.send(Method::PATCH, &path, &wanted).await.map(drop)
            }
        }
    }

    fn object(&self) -> String {
        format!("{}/truststore.pem", self.gateway.domain.replace('*', "_"))
    }

    /// `None` where there is no such resource.
    async fn get(&self, path: &str) -> Result<Option<Value>, Failure> {
        let reply = self.client.send("apigateway", Method::GET, path, &[], Vec::new()).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        reply.into_json().map(Some)
    }

    async fn list(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut page = path.to_owned();
        loop {
            let answer = self.send(Method::GET, &page, &Value::Null).await?;
            items.extend(answer["items"].as_array().cloned().unwrap_or_default());
            let Some(token) = answer["nextToken"].as_str() else { return Ok(items) };
            page = format!("{path}?nextToken={}", percent_encode(token));
        }
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        self.client.json("apigateway", method, path, body).await
    }

    async fn acm(&self, operation: &str, body: &Value) -> Result<Value, Failure> {
        self.client.action("acm", &format!("CertificateManager.{operation}"), body).await
    }

    async fn logs(&self, operation: &str, body: &Value) -> Result<Value, Failure> {
        self.client.action("logs", &format!("Logs_20140328.{operation}"), body).await
    }

    async fn s3(&self, method: Method, path: &str, body: Vec<u8>) -> Result<crate::client::Reply, Failure> {
        self.client.send("s3", method, path, &[], body).await
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|e| Failure::new(format!("cannot read {}: {e}", file.display())))
}

/// Letters, digits and hyphens between dots; the first label may be `*`.
fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let rest = name.strip_prefix("*.").unwrap_or(name);
    name.len() <= 253 && rest.split('.').all(label)
}

fn certificates(file: &Path) -> Result<Pem, Failure> {
    let bytes = read(file)?;
    let none = || named(file, "no certificate in it; expected PEM (-----BEGIN CERTIFICATE-----)");
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|_| named(file, "its PEM is broken"))?;
    let (leaf, chain) = all.split_first().ok_or_else(none)?;
    let pem = |der: &CertificateDer<'_>| crate::pem::write("CERTIFICATE", der);
    Ok(Pem { leaf: pem(leaf), chain: chain.iter().map(pem).collect() })
}

fn named(file: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {why}", file.display()))
}

fn text(answer: &Value, member: &str) -> Result<String, Failure> {
    let value = answer[member].as_str().map(str::to_owned);
    value.ok_or_else(|| Failure::new(format!("the answer has no {member}")))
}

fn percent_encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_of_domains() {
        for name in ["api.example.com", "*.example.com", "API.x", "a-b.c1", "localhost"] {
            assert!(super::is_domain(name), "{name}");
        }
        for name in ["", "*", "a..b", ".a", "a.", "a b", "a/b", "*.*.a", "a.*.b", "ü.de", "a?b", &"a".repeat(64)] {
            assert!(!super::is_domain(name), "{name}");
        }
    }
}
