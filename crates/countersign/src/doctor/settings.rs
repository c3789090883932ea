//! What is set, read by the AWS APIs. They are the same on AWS; what only this server's own API knows is left out where there is
//! none.

use http::{Method, StatusCode};
use model::DomainTags;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use trust::{Code, Policy};

use super::files::TruststoreFile;
use super::probe::{Live, Visit};
use super::target::{Address, Target};
use crate::answer::Failure;
use crate::client::{Client, Reply};

/// Of one custom domain name.
pub(super) struct Settings {
    pub(super) domain: Domain,
    /// Other domains of the same server.
    pub(super) others: Vec<Domain>,
    /// The server's certificate in ACM.
    pub(super) certificate: Option<Certificate>,
    /// Those that the domain's mappings lead to.
    pub(super) apis: Vec<Api>,
    /// Whether routing rules may lead to others besides.
    pub(super) has_rules: bool,
    /// Name in S3 of the newest version of the truststore's object.
    pub(super) newest_version: Option<String>,
    /// Version that is enforced, where that is known.
    pub(super) version_in_force: Option<String>,
    /// What is enforced.
    pub(super) truststore: Option<TruststoreFile>,
    /// The object's newest version, where that is another one.
    pub(super) newest: Option<TruststoreFile>,
    /// Clients that were accepted once and whose certificate ends soon: subject, and when.
    pub(super) expiring: Vec<String>,
    /// What the server says is wrong with it.
    pub(super) faults: Vec<String>,
    /// Whether somebody else is told what its records are, where it says.
    pub(super) has_witness: Option<bool>,
    /// Why the server refused the given certificate, as it recorded it.
    pub(super) explained: Option<Explained>,
}

/// Of a custom domain name, what concerns trust.
#[derive(Clone, Debug)]
pub(super) struct Domain {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) status: String,
    pub(super) certificate_arn: String,
    pub(super) ownership_arn: Option<String>,
    pub(super) endpoint_type: String,
    pub(super) security_policy: String,
    /// Where its own name stands in DNS: `d-….execute-api.REGION.SUFFIX`.
    pub(super) regional_name: String,
    pub(super) truststore_uri: Option<String>,
    pub(super) truststore_version: Option<String>,
    pub(super) warnings: Vec<String>,
    pub(super) tags: std::collections::BTreeMap<String, String>,
}

/// Of the server's certificate in ACM.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    /// `AMAZON_ISSUED`, `IMPORTED`, `PRIVATE`.
    pub(super) kind: String,
    /// `ISSUED`, `EXPIRED`, …
    pub(super) status: String,
}

/// An API that the domain leads to.
#[derive(Clone, Debug)]
pub(super) struct Api {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) is_rest: bool,
    /// Its own endpoint is disabled by the settings, be that deployed or not.
    pub(super) is_closed: bool,
    /// Of those that the domain leads to.
    pub(super) stages: Vec<Stage>,
    /// Names of other domains that lead to it and ask for no certificate.
    pub(super) other_doors: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) name: String,
    /// Path on the domain.
    pub(super) mapping_key: String,
    pub(super) deploys_itself: bool,
    pub(super) log_destination: Option<String>,
    pub(super) log_format: Option<String>,
}

/// An API's own endpoint.
#[derive(Clone, Debug)]
pub(super) struct BackDoor {
    pub(super) api: String,
    pub(super) host: String,
    /// As the `Host` header has it.
    pub(super) authority: String,
    pub(super) path: String,
    /// Where it is; none: where the domain was said to be.
    pub(super) address: Option<Address>,
}

/// What the server itself says of a refusal.
#[derive(Clone, Debug)]
pub(super) struct Explained {
    /// Empty where the client is known by the ledger alone.
    pub(super) request_id: String,
    pub(super) code: Option<Code>,
    pub(super) explanation: String,
    pub(super) fix: String,
    /// The newer version of the truststore in which the issuer is.
    pub(super) newer_version: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Again {
    explanation: String,
    fix: String,
    found_in: Option<Place>,
}

#[derive(Default, Deserialize)]
struct Place {
    kind: String,
    version: String,
}

const MAX_APIS: usize = 10;
const MAX_DOORS: usize = 3;
const MAX_OTHERS: usize = 100;
const MAX_NEIGHBOURS: usize = 2;
const OWN: &str = "/_countersign/api/v1";

impl Settings {
    /// None: nobody can be asked, or there is no such domain.
    pub(super) async fn read(client: Option<&Client>, host: &str) -> Result<Option<Self>, Failure> {
        let Some(client) = client else { return Ok(None) };
        let wildcard = host.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        let mut found = None;
        for name in std::iter::once(host.to_owned()).chain(wildcard) {
            let path = format!("/v2/domainnames/{}", encoded(&name));
            if let (None, Some(domain)) = (&found, get(client, "apigateway", &path).await?) {
                found = Some(Domain::of(&domain));
            }
        }
        let Some(domain) = found else {
            return Err(Failure::new(format!("the server at {} has no domain {host}", client.endpoint())));
        };
        let mut settings = Self {
            others: others(client, &domain.name).await?,
            certificate: certificate(client, &domain.certificate_arn).await,
            apis: Vec::new(),
            has_rules: false,
            newest_version: None,
            version_in_force: domain.truststore_version.clone(),
            truststore: None,
            newest: None,
            expiring: Vec::new(),
            faults: Vec::new(),
            has_witness: None,
            explained: None,
            domain,
        };
        settings.read_apis(client).await?;
        settings.read_truststore(client).await;
        settings.read_own(client).await;
        Ok(Some(settings))
    }

    /// The rules that the domain's tags make.
    pub(super) fn policy(&self) -> Policy {
        self.tags().policy()
    }

    pub(super) fn tags(&self) -> DomainTags {
        DomainTags::parse(&self.domain.tags).unwrap_or_default()
    }

    /// Where the APIs are reached past the domain.
    /// `connect` says where, for all names.
    pub(super) fn back_doors(&self, target: &Target, connect: Option<&Address>) -> Vec<BackDoor> {
        let Some((_, suffix)) = self.domain.regional_name.split_once('.') else { return Vec::new() };
        let door = |api: &Api| {
            let stage = api.stages.first()?;
            let below = target.path.strip_prefix('/')?.strip_prefix(stage.mapping_key.as_str()).unwrap_or("");
            let below = below.trim_start_matches('/');
            let path = match stage.name.as_str() {
                "$default" => format!("/{below}"),
                name => format!("/{name}/{below}"),
            };
            let host = format!("{}.{suffix}", api.id);
            let address = Address { host: host.clone(), port: target.port };
            let authority = if target.port == 443 { host.clone() } else { address.to_string() };
            Some(BackDoor {
                api: api.id.clone(),
                host,
                authority,
                path,
                address: Some(address).filter(|_| connect.is_none()),
            })
        };
        self.apis.iter().filter_map(door).take(MAX_DOORS).collect()
    }

    /// Names of domains that ask for no certificate: sessions that are begun there must be worth nothing here.
    pub(super) fn open_names(&self) -> Vec<String> {
        let open = self.others.iter().filter(|other| other.truststore_uri.is_none() && !other.name.contains('*'));
        open.map(|other| other.name.clone()).take(MAX_NEIGHBOURS).collect()
    }

    async fn read_apis(&mut self, client: &Client) -> Result<(), Failure> {
        let mut mapped: Vec<(String, String, String)> = Vec::new();
        for item in items(client, &format!("{}/apimappings", path_of(&self.domain.name))).await? {
            mapped.push((text(&item, "apiId"), text(&item, "stage"), text(&item, "apiMappingKey")));
        }
        let rules = get(client, "apigateway", &format!("{}/routingrules", path_of(&self.domain.name))).await;
        for rule in rules.ok().flatten().iter().flat_map(|found| found["routingRules"].as_array()).flatten() {
            self.has_rules = true;
            for action in rule["actions"].as_array().into_iter().flatten() {
                let invoke = &action["invokeApi"];
                mapped.push((text(invoke, "apiId"), text(invoke, "stage"), String::new()));
            }
        }
        let mut open_doors: Vec<(String, String)> = Vec::new();
        for other in self.others.iter().filter(|other| other.truststore_uri.is_none()) {
            for item in items(client, &format!("{}/apimappings", path_of(&other.name))).await? {
                open_doors.push((text(&item, "apiId"), other.name.clone()));
            }
        }
        for (id, stage, key) in mapped {
            let place = match self.apis.iter().position(|api| api.id == id) {
                Some(place) => place,
                None if self.apis.len() < MAX_APIS => {
                    let Some(mut api) = Api::read(client, &id).await? else { continue };
                    let doors = open_doors.iter().filter(|(api, _)| *api == id).map(|(_, name)| name.clone());
                    api.other_doors = doors.collect();
                    self.apis.push(api);
                    self.apis.len() - 1
                }
                None => continue,
            };
            if let Some(stage) = Stage::read(client, &self.apis[place], &stage, key).await? {
                self.apis[place].stages.push(stage);
            }
        }
        Ok(())
    }

    async fn read_truststore(&mut self, client: &Client) {
        let Some(uri) = self.domain.truststore_uri.clone() else { return };
        let Some(object) = uri.strip_prefix("s3://") else { return };
        let path = format!("/{}", object.split('/').map(encoded).collect::<Vec<_>>().join("/"));
        if let Some(newest) = object_of(client, Method::HEAD, &path).await {
            self.newest_version = newest.header("x-amz-version-id").map(str::to_owned);
        }
        self.truststore = match self.kept(client, &uri).await {
            Some(kept) => Some(kept),
            None => {
                let pin = self.domain.truststore_version.as_ref();
                let version = pin.map(|version| format!("?versionId={}", encoded(version))).unwrap_or_default();
                let found = object_of(client, Method::GET, &format!("{path}{version}")).await;
                found.map(|found| TruststoreFile::of(self.named(&uri), &found.body))
            }
        };
        if let (Some(newest), Some(in_force)) = (&self.newest_version, &self.version_in_force)
            && newest != in_force
            && let Some(found) = object_of(client, Method::GET, &path).await
        {
            self.newest = Some(TruststoreFile::of(format!("{uri} version {newest}"), &found.body));
        }
    }

    /// The bytes in force, as this server keeps them, whatever S3 has by now.
    async fn kept(&mut self, client: &Client, uri: &str) -> Option<TruststoreFile> {
        let ask = async |path: String| client.json("countersign", Method::GET, &path, &Value::Null).await.ok();
        let history = ask(own_path(&["domains", &self.domain.name, "truststores"])).await?;
        let in_force = &history["items"][0];
        self.version_in_force = in_force["version"].as_str().map(str::to_owned);
        let kept = ask(own_path(&["truststores", in_force["digest"].as_str()?])).await?;
        Some(TruststoreFile::of(self.named(uri), kept["pem"].as_str()?.as_bytes()))
    }

    /// The truststore in force, for people.
    fn named(&self, uri: &str) -> String {
        let version = self.version_in_force.as_ref().map(|version| format!(" version {version}")).unwrap_or_default();
        format!("{uri}{version}")
    }

    /// What AWS has no operation for.
    async fn read_own(&mut self, client: &Client) {
        let query = format!("{}?domain={}&expiring-days=30", own_path(&["clients"]), encoded(&self.domain.name));
        if let Ok(found) = client.json("countersign", Method::GET, &query, &Value::Null).await {
            let ending = |client: &Value| {
                let renewed = client.get("renewedBy").is_some_and(|by| !by.is_null());
                let certificate = client.get("certificate").filter(|_| !renewed)?;
                Some(format!("{}, {}", certificate["subject"].as_str()?, certificate["notAfter"].as_str()?))
            };
            self.expiring = found["clients"].as_array().into_iter().flatten().filter_map(ending).collect();
        }
        if let Ok(audit) = client.json("countersign", Method::GET, &own_path(&["audit"]), &Value::Null).await {
            self.has_witness = audit["witness"].as_bool();
        }
        let health = client.send("countersign", Method::GET, "/_countersign/health", &[], Vec::new()).await;
        if let Some(health) = health.ok().and_then(|reply| serde_json::from_slice::<Value>(&reply.body).ok()) {
            let faults = health["faults"].as_array().into_iter().flatten();
            self.faults = faults.filter_map(|fault| Some(fault.as_str()?.to_owned())).collect();
        }
    }

    /// Finds what the server recorded of the visit with the given certificate.
    pub(super) async fn explain(&mut self, client: &Client, live: &Live, fingerprint: Option<&str>) {
        let Some(visit) = live.given.as_ref().filter(|visit| visit.is_refused()) else { return };
        self.explained = match request_id(visit) {
            Some(id) => explained(client, id).await,
            None => None,
        };
        if let (None, Some(fingerprint)) = (&self.explained, fingerprint) {
            self.explained = by_ledger(client, &self.domain.name, fingerprint).await;
        }
    }
}

fn request_id(visit: &Visit) -> Option<&str> {
    let answer = visit.answer()?;
    answer.header("apigw-requestid").or_else(|| answer.header("x-amzn-requestid"))
}

/// A record is there a moment after its answer.
async fn explained(client: &Client, id: &str) -> Option<Explained> {
    const TRIES: usize = 40;
    for _ in 0..TRIES {
        let reply =
            client.send("countersign", Method::GET, &own_path(&["requests", id]), &[], Vec::new()).await.ok()?;
        if reply.status == StatusCode::NOT_FOUND {
            let body = String::from_utf8_lossy(&reply.body);
            if !body.contains("No such request") {
                return None;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
            continue;
        }
        let found = reply.into_json().ok()?;
        let refusal = &found["record"]["refusal"];
        let code: Option<Code> = serde_json::from_value(refusal["code"].clone()).ok();
        let again: Option<Again> = serde_json::from_value(found["explained"].clone()).ok().flatten();
        let detail = refusal["detail"].as_str().unwrap_or_default().to_owned();
        let newer =
            again.as_ref().and_then(|again| again.found_in.as_ref()).filter(|place| place.kind == "newer-version");
        return Some(Explained {
            request_id: id.to_owned(),
            code,
            newer_version: newer.map(|place| place.version.clone()),
            explanation: again.as_ref().map_or(detail, |again| again.explanation.clone()),
            fix: again.map(|again| again.fix).or_else(|| Some(code?.fix().to_owned())).unwrap_or_default(),
        });
    }
    None
}

/// Where the handshake fails no request has an id; the ledger knows the certificate all the same.
async fn by_ledger(client: &Client, domain: &str, fingerprint: &str) -> Option<Explained> {
    let path = format!("{}?domain={}&search={fingerprint}", own_path(&["clients"]), encoded(domain));
    let found = client.json("countersign", Method::GET, &path, &Value::Null).await.ok()?;
    let seen = found["clients"].as_array()?.iter().find(|client| client["state"] == "refused")?;
    let code: Code = serde_json::from_value(seen["refusal"].clone()).ok()?;
    Some(Explained {
        request_id: String::new(),
        code: Some(code),
        explanation: code.summary().to_owned(),
        fix: code.fix().to_owned(),
        newer_version: None,
    })
}

impl Domain {
    fn of(json: &Value) -> Self {
        let configuration = &json["domainNameConfigurations"][0];
        let mutual = &json["mutualTlsAuthentication"];
        let some = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let strings = |value: &Value| {
            let strings = value.as_array().into_iter().flatten();
            strings.filter_map(|text| Some(text.as_str()?.to_owned())).collect()
        };
        Self {
            name: text(json, "domainName"),
            arn: text(json, "domainNameArn"),
            status: text(configuration, "domainNameStatus"),
            certificate_arn: text(configuration, "certificateArn"),
            ownership_arn: some(&configuration["ownershipVerificationCertificateArn"]),
            endpoint_type: text(configuration, "endpointType"),
            security_policy: text(configuration, "securityPolicy"),
            regional_name: text(configuration, "apiGatewayDomainName"),
            truststore_uri: some(&mutual["truststoreUri"]),
            truststore_version: some(&mutual["truststoreVersion"]),
            warnings: strings(&mutual["truststoreWarnings"]),
            tags: serde_json::from_value(json["tags"].clone()).unwrap_or_default(),
        }
    }

    /// `--domain-name-configurations` as they are, for commands.
    pub(super) fn configurations(&self) -> String {
        let ownership = self
            .ownership_arn
            .as_ref()
            .map(|arn| format!(",OwnershipVerificationCertificateArn={arn}"))
            .unwrap_or_default();
        format!(
            "CertificateArn={},EndpointType={},SecurityPolicy={}{ownership}",
            self.certificate_arn, self.endpoint_type, self.security_policy
        )
    }
}

impl Api {
    async fn read(client: &Client, id: &str) -> Result<Option<Self>, Failure> {
        let mut is_rest = false;
        let mut found = get(client, "apigateway", &format!("/v2/apis/{}", encoded(id))).await?;
        if found.is_none() {
            is_rest = true;
            found = get(client, "apigateway", &format!("/restapis/{}", encoded(id))).await?;
        }
        Ok(found.map(|found| Self {
            id: id.to_owned(),
            name: text(&found, "name"),
            is_rest,
            is_closed: found["disableExecuteApiEndpoint"].as_bool().unwrap_or(false),
            stages: Vec::new(),
            other_doors: Vec::new(),
        }))
    }
}

impl Stage {
    async fn read(client: &Client, api: &Api, name: &str, mapping_key: String) -> Result<Option<Self>, Failure> {
        let id = encoded(&api.id);
        let path = match api.is_rest {
            true => format!("/restapis/{id}/stages/{}", encoded(name)),
            false => format!("/v2/apis/{id}/stages/{}", encoded(name)),
        };
        let found = get(client, "apigateway", &path).await?;
        Ok(found.map(|found| {
            let log = |name: &str| found["accessLogSettings"][name].as_str().map(str::to_owned);
            Self {
                name: name.to_owned(),
                mapping_key: if mapping_key == "(none)" { String::new() } else { mapping_key },
                deploys_itself: found["autoDeploy"].as_bool().unwrap_or(false),
                log_destination: log("destinationArn"),
                log_format: log("format"),
            }
        }))
    }
}

async fn others(client: &Client, name: &str) -> Result<Vec<Domain>, Failure> {
    let found = items(client, "/v2/domainnames").await?;
    let others = found.iter().map(Domain::of).filter(|domain| domain.name != name);
    Ok(others.take(MAX_OTHERS).collect())
}

async fn certificate(client: &Client, arn: &str) -> Option<Certificate> {
    let asked = json!({"CertificateArn": arn});
    let found = client.action("acm", "CertificateManager.DescribeCertificate", &asked).await.ok()?;
    let found = &found["Certificate"];
    Some(Certificate { kind: text(found, "Type"), status: text(found, "Status") })
}

/// Of a list: its first page, which is long.
async fn items(client: &Client, path: &str) -> Result<Vec<Value>, Failure> {
    let found = get(client, "apigateway", path).await?.unwrap_or_default();
    let list = found["items"].as_array().or_else(|| found["item"].as_array());
    Ok(list.cloned().unwrap_or_default())
}

/// None: there is no such thing.
async fn get(client: &Client, service: &str, path: &str) -> Result<Option<Value>, Failure> {
    let reply = client.send(service, Method::GET, path, &[], Vec::new()).await?;
    if reply.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    reply.into_json().map(Some)
}

async fn object_of(client: &Client, method: Method, path: &str) -> Option<Reply> {
    let reply = client.send("s3", method, path, &[], Vec::new()).await.ok()?;
    Some(reply).filter(|reply| reply.status.is_success())
}

fn path_of(domain: &str) -> String {
    format!("/v2/domainnames/{}", encoded(domain))
}

fn own_path(parts: &[&str]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| encoded(part)).collect();
    format!("{OWN}/{}", parts.join("/"))
}

fn text(json: &Value, name: &str) -> String {
    json[name].as_str().unwrap_or_default().to_owned()
}

/// As S3 and SigV4 encode: what RFC 3986 leaves unreserved stays as it is.
fn encoded(text: &str) -> String {
    const RESERVED: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, RESERVED).to_string()
}
