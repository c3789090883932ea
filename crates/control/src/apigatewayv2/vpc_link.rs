//! VPC links. What integrations name behind one is an ARN of AWS's; where it leads here, its tag `countersign:upstream` says.

use std::sync::Arc;

use aws::apigatewayv2 as wire;
use aws::{Error, Timestamp};
use model::resource::VpcLink;
use model::{State, VpcLinkTags};

use super::check::{length, vpc_link_tags};
use super::draft::{Draft, not_found};
use super::page;

const MAX_NAME_CHARS: usize = 128;
const MAX_LINKS: usize = 100;
const MAX_IDS: usize = 100;

pub(super) fn create(draft: &mut Draft<'_>, input: &wire::CreateVpcLinkRequest) -> Result<wire::VpcLink, Error> {
    length("name", &input.name, 1, MAX_NAME_CHARS)?;
    if of_region(draft).count() >= MAX_LINKS {
        return Err(Error::too_many_requests(
            "MaxVpcLinks",
            "Maximum number of VPC links for this account was reached.",
        ));
    }
    if input.subnet_ids.is_empty() {
        return Err(Error::bad_request("Invalid subnetIds: a VPC link needs at least one subnet"));
    }
    let security_group_ids = input.security_group_ids.clone().unwrap_or_default();
    check_ids("subnetIds", "subnet-", &input.subnet_ids)?;
    check_ids("securityGroupIds", "sg-", &security_group_ids)?;
    let tags = input.tags.clone().unwrap_or_default();
    vpc_link_tags(&tags)?;
    let link = VpcLink {
        id: draft.fresh_id(6, |state, id| state.vpc_links.contains_key(id))?,
        region: draft.region.to_owned(),
        name: input.name.clone(),
        subnet_ids: input.subnet_ids.clone(),
        security_group_ids,
        created: draft.at,
        tags,
    };
    draft.put(&link)?;
    Ok(show(&link))
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateVpcLinkRequest) -> Result<wire::VpcLink, Error> {
    let mut link = VpcLink::clone(&*find(draft, &input.vpc_link_id)?);
    if let Some(name) = &input.name {
        length("name", name, 1, MAX_NAME_CHARS)?;
        link.name.clone_from(name);
    }
    draft.put(&link)?;
    Ok(show(&link))
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteVpcLinkRequest) -> Result<(), Error> {
    let link = find(draft, &input.vpc_link_id)?;
    if let Some(users) = users(&draft.state, &link.id) {
        return Err(Error::bad_request(format!("Cannot delete VPC link {}: it is used by {users}", link.id)));
    }
    draft.delete::<VpcLink>(&link)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetVpcLinkRequest) -> Result<wire::VpcLink, Error> {
    find(draft, &input.vpc_link_id).map(|link| show(&link))
}

pub(super) fn list(draft: &Draft<'_>, input: &wire::GetVpcLinksRequest) -> Result<wire::GetVpcLinksResponse, Error> {
    let (items, next_token) = page::page(
        of_region(draft),
        |link| link.id.clone(),
        |link| show(link),
        input.max_results.as_deref(),
        input.next_token.as_deref(),
    )?;
    Ok(wire::GetVpcLinksResponse { items, next_token })
}

/// A VPC link of the region.
pub(super) fn find(draft: &Draft<'_>, id: &str) -> Result<Arc<VpcLink>, Error> {
    let link = draft.state.vpc_links.get(id).filter(|link| link.region == draft.region);
    link.cloned().ok_or_else(|| not_found("VpcLink", "Invalid VpcLink identifier specified"))
}

/// Stores a link with other tags. One that integrations lead through leads somewhere.
pub(super) fn put_tagged(draft: &mut Draft<'_>, link: &VpcLink) -> Result<(), Error> {
    vpc_link_tags(&link.tags)?;
    if let Some(users) = users(&draft.state, &link.id).filter(|_| !link.tags.contains_key(VpcLinkTags::UPSTREAM)) {
        let message = format!(
            "The tag {} of VPC link {} cannot be removed: it says where {users} leads",
            VpcLinkTags::UPSTREAM,
            link.id
        );
        return Err(Error::bad_request(message));
    }
    draft.put(link)
}

/// Checks what an integration of connection type VPC_LINK names: the link leads somewhere, and the URI is what AWS takes.
pub(super) fn check_use(draft: &Draft<'_>, link_id: &str, uri: &str) -> Result<(), Error> {
    let link =
        find(draft, link_id).map_err(|_| Error::bad_request(format!("Invalid VpcLink ID {link_id} specified")))?;
    if !is_resource_behind_link(uri) {
        return Err(Error::bad_request(format!(
            "Invalid integrationUri {uri}: for VPC_LINK it is the ARN of a load balancer's listener or of a Cloud Map service"
        )));
    }
    match link.tags.contains_key(VpcLinkTags::UPSTREAM) {
        true => Ok(()),
        false => Err(Error::bad_request(format!(
            "Countersign cannot look up {uri}. Say where VPC link {link_id} leads by its tag {}: tag-resource --resource-arn \
             {} --tags {}=http://HOST:PORT",
            VpcLinkTags::UPSTREAM,
            arn(&link),
            VpcLinkTags::UPSTREAM,
        ))),
    }
}

/// `arn:aws:apigateway:{region}::/vpclinks/{id}`
fn arn(link: &VpcLink) -> String {
    format!("arn:aws:apigateway:{}::/vpclinks/{}", link.region, link.id)
}

fn of_region<'d>(draft: &'d Draft<'_>) -> impl Iterator<Item = &'d Arc<VpcLink>> {
    draft.state.vpc_links.values().filter(|link| link.region == draft.region)
}

/// The first integration that leads through a link, of an API as it is or as it was deployed.
fn users(state: &State, link_id: &str) -> Option<String> {
    let now = state.integrations.values().flat_map(|of_api| of_api.values()).map(|integration| &**integration);
    let deployed = state.deployments.values().flat_map(|of_api| of_api.values());
    let mut all = now.chain(deployed.flat_map(|deployment| &deployment.integrations));
    let user = all.find(|integration| integration.vpc_link_id.as_deref() == Some(link_id))?;
    Some(format!("the integration {} of API {}", user.id, user.api_id))
}

fn check_ids(what: &str, prefix: &str, ids: &[String]) -> Result<(), Error> {
    let plain = |id: &String| {
        let rest = id.strip_prefix(prefix).unwrap_or_default();
        (1..=64).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if ids.len() > MAX_IDS {
        return Err(Error::bad_request(format!("Invalid {what}: a VPC link has at most {MAX_IDS}")));
    }
    match ids.iter().find(|id| !plain(id)) {
        Some(id) => Err(Error::bad_request(format!("Invalid {what}: {id} does not look like {prefix}…"))),
        None => Ok(()),
    }
}

/// `arn:aws:elasticloadbalancing:{region}:{account}:listener/…` or `arn:aws:servicediscovery:{region}:{account}:service/…`
fn is_resource_behind_link(uri: &str) -> bool {
    let parts: Vec<&str> = uri.splitn(6, ':').collect();
    let ["arn", _, service, region, account, resource] = parts[..] else { return false };
    let known = match service {
        "elasticloadbalancing" => resource.starts_with("listener/"),
        "servicediscovery" => resource.starts_with("service/"),
        _ => false,
    };
    known && !region.is_empty() && !account.is_empty()
}

fn show(link: &VpcLink) -> wire::VpcLink {
    wire::VpcLink {
        created_date: Some(Timestamp(link.created)),
        name: Some(link.name.clone()),
        security_group_ids: Some(link.security_group_ids.clone()),
        subnet_ids: Some(link.subnet_ids.clone()),
        tags: Some(link.tags.clone()),
        vpc_link_id: Some(link.id.clone()),
        vpc_link_status: Some(wire::VpcLinkStatus::Available),
        vpc_link_status_message: Some("VPC link is ready to route traffic".to_owned()),
        vpc_link_version: Some(wire::VpcLinkVersion::V2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_behind_a_link() {
        for (uri, good) in [
            (
                "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/my/50dc6c495c0c9188/f2f7dc8efc522ab2",
                true,
            ),
            ("arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/net/my/1/2", true),
            ("arn:aws-cn:servicediscovery:cn-north-1:123456789012:service/srv-id?stage=prod", true),
            ("arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/my/1", false),
            ("arn:aws:lambda:us-east-1:123456789012:function:x", false),
            ("http://127.0.0.1:9000", false),
            ("", false),
        ] {
            assert_eq!(is_resource_behind_link(uri), good, "{uri}");
        }
    }
}
