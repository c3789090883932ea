//! Custom domain names as v1 names them: the same ones as v2's.

use aws::Error;
use aws::apigateway as wire;
use aws::apigatewayv2 as v2;
use model::resource::Domain;
use model::{EndpointAccessMode, SecurityPolicy};

use super::Draft;
use super::patch::Patch;
use crate::apigatewayv2::check::{NOT_HERE, refuse};
use crate::apigatewayv2::{domain, page};

const PATHS: &str = "/endpointAccessMode, /endpointConfiguration/types, /endpointConfiguration/ipAddressType, \
                     /mutualTlsAuthentication/truststoreUri, /mutualTlsAuthentication/truststoreVersion, \
                     /ownershipVerificationCertificateArn, /regionalCertificateArn, /routingMode, /securityPolicy";

pub(super) fn create(draft: &mut Draft<'_>, input: &wire::CreateDomainNameRequest) -> Result<Domain, Error> {
    unsupported(input)?;
    let configuration = input.endpoint_configuration.clone().unwrap_or_default();
    // Who says nothing asks for EDGE.
    let types = configuration.types.unwrap_or_else(|| vec![wire::EndpointType::Edge]);
    check_endpoint(&types)?;
    let wanted = v2::DomainNameConfiguration {
        certificate_arn: input.regional_certificate_arn.clone(),
        ownership_verification_certificate_arn: input.ownership_verification_certificate_arn.clone(),
        ip_address_type: configuration.ip_address_type.map(ip_address_type),
        ..Default::default()
    };
    let mutual_tls = input.mutual_tls_authentication.as_ref();
    let request = v2::CreateDomainNameRequest {
        domain_name: input.domain_name.clone(),
        domain_name_configurations: Some(vec![wanted]),
        mutual_tls_authentication: mutual_tls.map(|given| v2::MutualTlsAuthenticationInput {
            truststore_uri: given.truststore_uri.clone(),
            truststore_version: given.truststore_version.clone(),
        }),
        routing_mode: input.routing_mode.map(routing_mode),
        tags: input.tags.clone(),
    };
    let tls = domain::Tls {
        security_policy: input.security_policy.map(security_policy).transpose()?,
        endpoint_access_mode: Some(input.endpoint_access_mode.map(access_mode)),
    };
    domain::create(draft, &request, tls)
}

/// All operations are one change: the truststore's URI and its version are read together.
pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateDomainNameRequest) -> Result<Domain, Error> {
    refuse_private(input.domain_name_id.as_ref())?;
    let mut request = v2::UpdateDomainNameRequest { domain_name: input.domain_name.clone(), ..Default::default() };
    let mut wanted = v2::DomainNameConfiguration::default();
    let mut tls = domain::Tls::default();
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        let mutual_tls = &mut request.mutual_tls_authentication;
        match (patch.op, &path[..]) {
            (_, ["mutualTlsAuthentication", "truststoreUri"]) => {
                mutual_tls.get_or_insert_default().truststore_uri = Some(patch.value_or_empty());
            }
            (_, ["mutualTlsAuthentication", "truststoreVersion"]) => {
                mutual_tls.get_or_insert_default().truststore_version = Some(patch.value_or_empty());
            }
            (_, ["ownershipVerificationCertificateArn"]) => {
                wanted.ownership_verification_certificate_arn = Some(patch.value_or_empty());
            }
            (wire::Op::Replace, ["regionalCertificateArn"]) => wanted.certificate_arn = Some(patch.value),
            (wire::Op::Replace, ["securityPolicy"]) => {
                tls.security_policy = Some(security_policy(patch.parse(wire::SecurityPolicy::parse)?)?);
            }
            (_, ["endpointAccessMode"]) if patch.value.is_empty() || patch.op == wire::Op::Remove => {
                tls.endpoint_access_mode = Some(None);
            }
            (_, ["endpointAccessMode"]) => {
                tls.endpoint_access_mode = Some(Some(access_mode(patch.parse(wire::EndpointAccessMode::parse)?)));
            }
            (wire::Op::Replace, ["routingMode"]) => {
                request.routing_mode = Some(routing_mode(patch.parse(wire::RoutingMode::parse)?));
            }
            // To what it is.
            (wire::Op::Replace, ["endpointConfiguration", "types", ..]) => {
                check_endpoint(&[patch.parse(wire::EndpointType::parse)?])?;
            }
            (wire::Op::Replace, ["endpointConfiguration", "ipAddressType"]) => {
                wanted.ip_address_type = Some(ip_address_type(patch.parse(wire::IpAddressType::parse)?));
            }
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    request.domain_name_configurations = Some(vec![wanted]);
    domain::update(draft, &request, tls)
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteDomainNameRequest) -> Result<(), Error> {
    refuse_private(input.domain_name_id.as_ref())?;
    domain::delete(draft, &v2::DeleteDomainNameRequest { domain_name: input.domain_name.clone() })
}

pub(super) fn get(
    draft: &Draft<'_>,
    input: &wire::GetDomainNameRequest,
    enforced: &domain::Enforced,
) -> Result<wire::DomainName, Error> {
    refuse_private(input.domain_name_id.as_ref())?;
    Ok(show(draft, &*draft.domain(&input.domain_name)?, enforced))
}

pub(super) fn list(
    draft: &Draft<'_>,
    input: &wire::GetDomainNamesRequest,
    enforced: &domain::Enforced,
) -> Result<wire::DomainNames, Error> {
    let of_others = input.resource_owner == Some(wire::ResourceOwner::OtherAccounts);
    let domains = draft.state.domains.values().filter(|domain| domain.region == draft.region && !of_others);
    let limit = input.limit.map(|limit| limit.to_string());
    let (items, position) = page::page(
        domains,
        |domain| domain.name.clone(),
        |domain| show(draft, domain, enforced),
        limit.as_deref(),
        input.position.as_deref(),
    )?;
    Ok(wire::DomainNames { items, position })
}

pub(super) fn show(draft: &Draft<'_>, domain: &Domain, enforced: &domain::Enforced) -> wire::DomainName {
    let shown = domain::show(draft, domain, enforced);
    let configuration = shown.domain_name_configurations.and_then(|mut all| all.pop()).unwrap_or_default();
    let status = configuration.domain_name_status.map(|status| status.to_string());
    wire::DomainName {
        domain_name: shown.domain_name,
        domain_name_arn: shown.domain_name_arn,
        domain_name_status: status.and_then(|status| wire::DomainNameStatus::parse(&status)),
        endpoint_configuration: Some(wire::EndpointConfiguration {
            types: Some(vec![wire::EndpointType::Regional]),
            ip_address_type: Some(wire::IpAddressType::Ipv4),
            vpc_endpoint_ids: None,
        }),
        // v1 has no member for the day that a regional certificate was uploaded.
        certificate_upload_date: None,
        mutual_tls_authentication: shown.mutual_tls_authentication.map(|set| wire::MutualTlsAuthentication {
            truststore_uri: set.truststore_uri,
            truststore_version: set.truststore_version,
            truststore_warnings: set.truststore_warnings,
        }),
        ownership_verification_certificate_arn: configuration.ownership_verification_certificate_arn,
        regional_certificate_arn: configuration.certificate_arn,
        regional_domain_name: configuration.api_gateway_domain_name,
        regional_hosted_zone_id: configuration.hosted_zone_id,
        routing_mode: Some(match shown.routing_mode {
            Some(v2::RoutingMode::RoutingRuleOnly) => wire::RoutingMode::RoutingRuleOnly,
            Some(v2::RoutingMode::RoutingRuleThenApiMapping) => wire::RoutingMode::RoutingRuleThenBasePathMapping,
            Some(v2::RoutingMode::ApiMappingOnly) | None => wire::RoutingMode::BasePathMappingOnly,
        }),
        security_policy: wire::SecurityPolicy::parse(domain.security_policy.as_str()),
        endpoint_access_mode: domain.endpoint_access_mode.map(|mode| match mode {
            EndpointAccessMode::Basic => wire::EndpointAccessMode::Basic,
            EndpointAccessMode::Strict => wire::EndpointAccessMode::Strict,
        }),
        tags: shown.tags,
        ..Default::default()
    }
}

fn unsupported(input: &wire::CreateDomainNameRequest) -> Result<(), Error> {
    [
        (input.certificate_arn.is_some(), "certificateArn, which is of EDGE endpoints,"),
        (input.certificate_name.is_some(), "certificateName, which is of EDGE endpoints,"),
        (input.certificate_body.is_some(), "certificateBody, which is of EDGE endpoints,"),
        (input.certificate_chain.is_some(), "certificateChain, which is of EDGE endpoints,"),
        (input.certificate_private_key.is_some(), "certificatePrivateKey, which is of EDGE endpoints,"),
        (input.regional_certificate_name.is_some(), "regionalCertificateName, a certificate that is not in ACM,"),
        (input.policy.is_some(), "A resource policy"),
    ]
    .iter()
    .try_for_each(|(given, what)| refuse(*given, what, NOT_HERE))
}

/// A domain name has one endpoint, and it is a regional one.
fn check_endpoint(types: &[wire::EndpointType]) -> Result<(), Error> {
    match types {
        [wire::EndpointType::Regional] => Ok(()),
        [_] => refuse(true, "An endpoint type other than REGIONAL (the default is EDGE)", NOT_HERE),
        _ => Err(Error::bad_request("Invalid endpoint configuration: one endpoint type is expected")),
    }
}

/// Those of REGIONAL endpoints, but the one with what is older than TLS 1.2.
fn security_policy(policy: wire::SecurityPolicy) -> Result<SecurityPolicy, Error> {
    let name = policy.to_string();
    SecurityPolicy::parse(&name).ok_or_else(|| {
        let why = match name.ends_with("_EDGE") {
            true => "it is of EDGE endpoints; of REGIONAL ones there are",
            false => "nothing older than TLS 1.2 is spoken; there are",
        };
        let known = SecurityPolicy::ALL.map(SecurityPolicy::as_str).join(", ");
        Error::bad_request(format!("securityPolicy {name} {NOT_HERE}: {why} {known}"))
    })
}

fn access_mode(mode: wire::EndpointAccessMode) -> EndpointAccessMode {
    match mode {
        wire::EndpointAccessMode::Basic => EndpointAccessMode::Basic,
        wire::EndpointAccessMode::Strict => EndpointAccessMode::Strict,
    }
}

fn routing_mode(mode: wire::RoutingMode) -> v2::RoutingMode {
    match mode {
        wire::RoutingMode::BasePathMappingOnly => v2::RoutingMode::ApiMappingOnly,
        wire::RoutingMode::RoutingRuleOnly => v2::RoutingMode::RoutingRuleOnly,
        wire::RoutingMode::RoutingRuleThenBasePathMapping => v2::RoutingMode::RoutingRuleThenApiMapping,
    }
}

fn ip_address_type(kind: wire::IpAddressType) -> v2::IpAddressType {
    match kind {
        wire::IpAddressType::Ipv4 => v2::IpAddressType::Ipv4,
        wire::IpAddressType::Dualstack => v2::IpAddressType::Dualstack,
    }
}

fn refuse_private(id: Option<&String>) -> Result<(), Error> {
    refuse(id.is_some(), "domainNameId", "is of private domain names, which are not available in Countersign")
}
