//! Amazon Route 53: hosted zones and what is in them. The program's DNS responder answers from them, where it is on.

mod batch;
mod listing;
mod record;
mod responder;
mod tags;
mod value;
mod zone;

use aws::route53::*;
use aws::{Caller, Error, Timestamp};
use http::StatusCode;
use model::dns::{Found, Name, Resolver};
use model::{Change as Put, State, resource};

use crate::{Control, ids};

pub use responder::{Transport, respond};

/// What the hosted zones say of the gateway and of themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsOptions {
    /// Addresses of the gateway's HTTPS: what an alias to a custom domain leads to.
    pub addresses: Vec<std::net::IpAddr>,
    /// Names of the name servers of zones that are made; without a dot at the end.
    pub name_servers: Vec<String>,
}

/// Of these changes `GetChange` tells; older ones are forgotten.
const MAX_CHANGES: usize = 1_000;
const MAX_ZONES: usize = 500;
const MAX_RECORD_SETS: usize = 10_000;

impl Route53 for Control {
    async fn create_hosted_zone(
        &self,
        caller: &Caller,
        input: CreateHostedZoneRequest,
    ) -> Result<CreateHostedZoneResponse, Error> {
        let change = self.new_change(caller, None)?;
        let made = zone::made(&input, &self.config().dns.name_servers, change.submitted)?;
        let changed = |state: &State| {
            let mut changes = zone::create(state, &made)?;
            changes.extend(noted(state, &change));
            Ok((changes, state.revision + 1))
        };
        let revision = self.settings().change(caller, changed).await?;
        let state = self.settings().state();
        Ok(CreateHostedZoneResponse {
            hosted_zone: Some(zone::shown(&state, &made)),
            change_info: Some(self.change_info(&resource::ZoneChange { revision, ..change })),
            delegation_set: Some(zone::delegation_set(&made)),
            location: Some(format!("https://route53.amazonaws.com/2013-04-01/hostedzone/{}", made.id)),
            vpc: None,
        })
    }

    async fn get_hosted_zone(&self, _: &Caller, input: GetHostedZoneRequest) -> Result<GetHostedZoneResponse, Error> {
        let state = self.settings().state();
        let zone = zone::find(&state, &input.id)?;
        Ok(GetHostedZoneResponse {
            hosted_zone: Some(zone::shown(&state, zone)),
            delegation_set: Some(zone::delegation_set(zone)),
            vp_cs: None,
        })
    }

    async fn update_hosted_zone_comment(
        &self,
        caller: &Caller,
        input: UpdateHostedZoneCommentRequest,
    ) -> Result<UpdateHostedZoneCommentResponse, Error> {
        let changed = |state: &State| {
            let comment = input.comment.clone().filter(|comment| !comment.is_empty());
            let zone = resource::HostedZone { comment, ..zone::find(state, &input.id)?.clone() };
            Ok((vec![Put::put(&zone)], zone))
        };
        let zone = self.settings().change(caller, changed).await?;
        let hosted_zone = Some(zone::shown(&self.settings().state(), &zone));
        Ok(UpdateHostedZoneCommentResponse { hosted_zone })
    }

    async fn delete_hosted_zone(
        &self,
        caller: &Caller,
        input: DeleteHostedZoneRequest,
    ) -> Result<DeleteHostedZoneResponse, Error> {
        self.noted(caller, None, |state| zone::delete(state, &input.id)).await
    }

    async fn list_hosted_zones(
        &self,
        _: &Caller,
        input: ListHostedZonesRequest,
    ) -> Result<ListHostedZonesResponse, Error> {
        listing::zones(&self.settings().state(), input)
    }

    async fn list_hosted_zones_by_name(
        &self,
        _: &Caller,
        input: ListHostedZonesByNameRequest,
    ) -> Result<ListHostedZonesByNameResponse, Error> {
        listing::zones_by_name(&self.settings().state(), input)
    }

    async fn get_hosted_zone_count(
        &self,
        _: &Caller,
        _: GetHostedZoneCountRequest,
    ) -> Result<GetHostedZoneCountResponse, Error> {
        Ok(GetHostedZoneCountResponse { hosted_zone_count: Some(count(self.settings().state().hosted_zones.len())) })
    }

    async fn get_hosted_zone_limit(
        &self,
        _: &Caller,
        input: GetHostedZoneLimitRequest,
    ) -> Result<GetHostedZoneLimitResponse, Error> {
        let state = self.settings().state();
        let zone = zone::find(&state, &input.hosted_zone_id)?;
        if input.r#type == HostedZoneLimitType::MaxVpcsAssociatedByZone {
            let message = "MAX_VPCS_ASSOCIATED_BY_ZONE is a limit of private hosted zones.";
            return Err(Error::client("HostedZoneNotPrivate", message));
        }
        let limit = HostedZoneLimit { r#type: Some(input.r#type), value: Some(count(MAX_RECORD_SETS)) };
        let has = State::of(&state.record_sets, &zone.id).count();
        Ok(GetHostedZoneLimitResponse { limit: Some(limit), count: Some(count(has)) })
    }

    async fn get_account_limit(
        &self,
        _: &Caller,
        input: GetAccountLimitRequest,
    ) -> Result<GetAccountLimitResponse, Error> {
        let (limit, has) = match input.r#type {
            AccountLimitType::MaxHostedZonesByOwner => (MAX_ZONES, self.settings().state().hosted_zones.len()),
            // There are none of them here.
            _ => (0, 0),
        };
        let limit = AccountLimit { r#type: Some(input.r#type), value: Some(count(limit)) };
        Ok(GetAccountLimitResponse { limit: Some(limit), count: Some(count(has)) })
    }

    /// Zones are not signed.
    async fn get_dnssec(&self, _: &Caller, input: GetDNSSECRequest) -> Result<GetDNSSECResponse, Error> {
        zone::find(&self.settings().state(), &input.hosted_zone_id)?;
        let status = DNSSECStatus { serve_signature: Some("NOT_SIGNING".to_owned()), status_message: None };
        Ok(GetDNSSECResponse { status: Some(status), key_signing_keys: Some(Vec::new()) })
    }

    async fn change_resource_record_sets(
        &self,
        caller: &Caller,
        input: ChangeResourceRecordSetsRequest,
    ) -> Result<ChangeResourceRecordSetsResponse, Error> {
        let ChangeBatch { changes, comment } = input.change_batch;
        let suffix = &self.config().execute_api_suffix;
        self.noted(caller, comment, |state| batch::changes(state, &input.hosted_zone_id, &changes, suffix)).await
    }

    async fn list_resource_record_sets(
        &self,
        _: &Caller,
        input: ListResourceRecordSetsRequest,
    ) -> Result<ListResourceRecordSetsResponse, Error> {
        listing::record_sets(&self.settings().state(), input)
    }

    async fn get_change(&self, _: &Caller, input: GetChangeRequest) -> Result<GetChangeResponse, Error> {
        let state = self.settings().state();
        let id = input.id.strip_prefix("/change/").unwrap_or(&input.id);
        let change = state.zone_changes.get(id).ok_or_else(|| {
            Error::new(StatusCode::NOT_FOUND, "NoSuchChange", format!("Could not find resource with ID: {id}"))
        })?;
        Ok(GetChangeResponse { change_info: Some(self.change_info(change)) })
    }

    async fn change_tags_for_resource(
        &self,
        caller: &Caller,
        input: ChangeTagsForResourceRequest,
    ) -> Result<ChangeTagsForResourceResponse, Error> {
        let changed = |state: &State| Ok((vec![tags::change(state, &input)?], ()));
        self.settings().change(caller, changed).await?;
        Ok(ChangeTagsForResourceResponse {})
    }

    async fn list_tags_for_resource(
        &self,
        _: &Caller,
        input: ListTagsForResourceRequest,
    ) -> Result<ListTagsForResourceResponse, Error> {
        let set = tags::of(&self.settings().state(), input.resource_type, &input.resource_id)?;
        Ok(ListTagsForResourceResponse { resource_tag_set: Some(set) })
    }

    async fn list_tags_for_resources(
        &self,
        _: &Caller,
        input: ListTagsForResourcesRequest,
    ) -> Result<ListTagsForResourcesResponse, Error> {
        let state = self.settings().state();
        let sets = input.resource_ids.iter().map(|id| tags::of(&state, input.resource_type, id));
        Ok(ListTagsForResourcesResponse { resource_tag_sets: Some(sets.collect::<Result<_, _>>()?) })
    }

    /// As the responder would answer. Who asks makes no difference to it.
    async fn test_dns_answer(&self, _: &Caller, input: TestDNSAnswerRequest) -> Result<TestDNSAnswerResponse, Error> {
        let state = self.settings().state();
        let zone = zone::find(&state, &input.hosted_zone_id)?;
        let name = Name::parse(&input.record_name).map_err(|error| invalid_name(&input.record_name, error))?;
        if !Name::parse(&zone.name).is_ok_and(|apex| name.is_within(&apex)) {
            let message = format!("The name {name} is not in the hosted zone {}", zone.name);
            return Err(Error::client("InvalidInput", message));
        }
        let answer = self.resolver(&state).answer(&name, input.record_type.as_str());
        let code = match answer.found {
            Found::Records | Found::NoData | Found::Elsewhere => "NOERROR",
            Found::NoName => "NXDOMAIN",
            Found::NoZone => "REFUSED",
        };
        let asked = |records: &&model::dns::RecordsOfOne| records.record_type == input.record_type.as_str();
        let data = answer.answers.iter().filter(asked).flat_map(|records| records.values.clone()).collect();
        Ok(TestDNSAnswerResponse {
            nameserver: zone.name_servers.first().cloned(),
            record_name: Some(name.to_string()),
            record_type: Some(input.record_type),
            record_data: Some(data),
            response_code: Some(code.to_owned()),
            protocol: Some("UDP".to_owned()),
        })
    }
}

impl Control {
    /// Answers from the hosted zones of a state.
    pub fn resolver<'a>(&'a self, state: &'a State) -> Resolver<'a> {
        let config = self.config();
        Resolver { state, addresses: &config.dns.addresses, suffix: &config.execute_api_suffix }
    }

    /// Changes zones, and tells of it as of a change that `GetChange` knows.
    async fn noted(
        &self,
        caller: &Caller,
        comment: Option<String>,
        rule: impl Fn(&State) -> Result<Vec<Put>, Error> + Send + Sync,
    ) -> Result<ChangeResourceRecordSetsResponse, Error> {
        let change = self.new_change(caller, comment)?;
        let changed = |state: &State| {
            let mut changes = rule(state)?;
            changes.extend(noted(state, &change));
            Ok((changes, state.revision + 1))
        };
        let revision = self.settings().change(caller, changed).await?;
        let change_info = Some(self.change_info(&resource::ZoneChange { revision, ..change }));
        Ok(ChangeResourceRecordSetsResponse { change_info })
    }

    fn new_change(&self, caller: &Caller, comment: Option<String>) -> Result<resource::ZoneChange, Error> {
        let id = format!("C{}", ids::base32(20)?);
        Ok(resource::ZoneChange { id, revision: 0, submitted: caller.at.saturating_mul(1000), comment })
    }

    fn change_info(&self, change: &resource::ZoneChange) -> ChangeInfo {
        let served = self.settings().applied() >= change.revision;
        ChangeInfo {
            id: Some(format!("/change/{}", change.id)),
            status: Some(if served { ChangeStatus::Insync } else { ChangeStatus::Pending }),
            submitted_at: Some(Timestamp(change.submitted)),
            comment: change.comment.clone(),
        }
    }
}

/// Puts a change among those that `GetChange` tells of, and takes away what is too old.
fn noted(state: &State, change: &resource::ZoneChange) -> Vec<Put> {
    let mut known: Vec<_> = state.zone_changes.values().collect();
    known.sort_by_key(|change| (change.revision, &change.id));
    let surplus = (known.len() + 1).saturating_sub(MAX_CHANGES);
    let mut changes: Vec<Put> = known.into_iter().take(surplus).map(|old| Put::delete(old.as_ref())).collect();
    changes.push(Put::put(&resource::ZoneChange { revision: state.revision + 1, ..change.clone() }));
    changes
}

fn invalid_name(text: &str, why: model::dns::NameError) -> Error {
    Error::client("InvalidDomainName", format!("{text} is not a valid domain name: {why}"))
}

fn invalid_input(message: impl Into<String>) -> Error {
    Error::client("InvalidInput", message)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
