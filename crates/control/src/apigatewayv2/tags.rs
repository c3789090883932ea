//! Tags, by the ARN of a resource of v1 or v2.

use aws::Error;
use model::State;
use model::resource::{Api, ApiKey, ClientCertificate, Domain, RestApi, Stage, Tags, UsagePlan, VpcLink};

use super::check::{api_tags, domain_tags, other_tags};
use super::draft::{Draft, not_found};
use super::named::read_tagged;
use super::{of_api, vpc_link};
use crate::apigateway::{api_key, client_certificate, rest_api, usage_plan};

/// A resource that can have tags.
enum Tagged {
    Api(Api),
    ClientCertificate(Box<ClientCertificate>),
    Domain(Box<Domain>),
    ApiKey(Box<ApiKey>),
    RestApi(RestApi),
    Stage(Stage),
    UsagePlan(UsagePlan),
    VpcLink(VpcLink),
}

pub(crate) fn get(draft: &Draft<'_>, arn: &str) -> Result<Tags, Error> {
    let mut resource = Tagged::find(draft, arn)?;
    Ok(std::mem::take(resource.tags()))
}

pub(crate) fn tag(draft: &mut Draft<'_>, arn: &str, tags: &Tags) -> Result<(), Error> {
    let mut resource = Tagged::find(draft, arn)?;
    resource.tags().extend(tags.clone());
    resource.put(draft)
}

pub(crate) fn untag(draft: &mut Draft<'_>, arn: &str, names: &[String]) -> Result<(), Error> {
    let mut resource = Tagged::find(draft, arn)?;
    resource.tags().retain(|name, _| !names.contains(name));
    resource.put(draft)
}

/// `arn:aws:apigateway:{region}::/domainnames/{name}`
pub(super) fn domain_arn(domain: &Domain) -> String {
    format!("arn:aws:apigateway:{}::/domainnames/{}", domain.region, domain.name)
}

impl Tagged {
    fn find(draft: &Draft<'_>, arn: &str) -> Result<Self, Error> {
        let path = arn.strip_prefix("arn:aws:apigateway:").and_then(|rest| rest.split_once("::/"));
        let (region, path) = path.ok_or_else(|| invalid(arn))?;
        if region != draft.region {
            return Err(not_found("Resource", "Invalid resource identifier specified"));
        }
        match path.split('/').collect::<Vec<_>>()[..] {
            ["apis", id] => Ok(Self::Api(Api::clone(&*draft.api(id)?))),
            ["apis", id, "stages", name] => {
                let api = draft.api(id)?;
                Ok(Self::Stage(Stage::clone(&*draft.stage(&api.id, name)?)))
            }
            ["restapis", id] => Ok(Self::RestApi(RestApi::clone(&*rest_api::find(draft, id)?))),
            ["restapis", id, "stages", name] => {
                let api = rest_api::find(draft, id)?;
                Ok(Self::Stage(Stage::clone(&*draft.stage(&api.id, name)?)))
            }
            ["clientcertificates", id] => {
                let certificate = client_certificate::find(draft, id)?;
                Ok(Self::ClientCertificate(Box::new(ClientCertificate::clone(&certificate))))
            }
            ["apikeys", id] => Ok(Self::ApiKey(Box::new(api_key::find(draft, id)?.clone()))),
            ["usageplans", id] => Ok(Self::UsagePlan(usage_plan::find(draft, id)?.clone())),
            ["vpclinks", id] => Ok(Self::VpcLink(VpcLink::clone(&*vpc_link::find(draft, id)?))),
            ["domainnames", name] => Ok(Self::Domain(Box::new(Domain::clone(&*draft.domain(name)?)))),
            _ => Err(invalid(arn)),
        }
    }

    fn tags(&mut self) -> &mut Tags {
        match self {
            Self::Api(api) => &mut api.tags,
            Self::ClientCertificate(certificate) => &mut certificate.tags,
            Self::Domain(domain) => &mut domain.tags,
            Self::ApiKey(key) => &mut key.tags,
            Self::RestApi(api) => &mut api.tags,
            Self::UsagePlan(plan) => &mut plan.tags,
            Self::Stage(stage) => &mut stage.tags,
            Self::VpcLink(link) => &mut link.tags,
        }
    }

    /// Stores the resource, if it is not as it was.
    fn put(self, draft: &mut Draft<'_>) -> Result<(), Error> {
        let state: &State = &draft.state;
        match self {
            Self::Api(api) if state.apis.get(&api.id).is_some_and(|now| **now == api) => Ok(()),
            Self::Api(api) => {
                api_tags(&api.tags)?;
                of_api::read_tagged(draft, &api.id, &api.tags)?;
                draft.put(&api)
            }
            Self::ApiKey(key) => {
                other_tags(&key.tags)?;
                draft.put(&*key)
            }
            Self::UsagePlan(plan) => {
                other_tags(&plan.tags)?;
                draft.put(&plan)
            }
            Self::RestApi(api) => {
                api_tags(&api.tags)?;
                of_api::read_tagged(draft, &api.id, &api.tags)?;
                draft.put(&api)
            }
            Self::ClientCertificate(certificate) => {
                other_tags(&certificate.tags)?;
                draft.put(&*certificate)
            }
            Self::Stage(stage) => {
                other_tags(&stage.tags)?;
                draft.put(&stage)
            }
            Self::VpcLink(link) => vpc_link::put_tagged(draft, &link),
            Self::Domain(domain) if state.domains.get(&domain.name).is_some_and(|now| **now == *domain) => Ok(()),
            Self::Domain(mut domain) => {
                domain_tags(&domain.tags)?;
                read_tagged(draft, &mut domain)?;
                // An extension changes what is enforced: the domain is updating until it is.
                draft.put(&Domain { revision: draft.next_revision(), ..*domain })
            }
        }
    }
}

fn invalid(arn: &str) -> Error {
    Error::bad_request(format!("Invalid resource ARN specified in the request: {arn}"))
}
