//! Custom domain names.

use std::sync::Arc;

use aws::apigatewayv2 as wire;
use aws::{Error, Timestamp};
use model::resource::{
    ApiMapping, Certificate, CertificateOrigin, Domain, EarlierTruststore, LogGroup, NamedObject, RoutingRule, Tags,
    domain_log_group,
};
use model::{EndpointAccessMode, SecurityPolicy, Snapshot};
use model::{Revision, State, UnixMillis};

use super::check::{NOT_HERE, domain_tags, refuse};
use super::domain_name::{DomainName, covers};
use super::draft::Draft;
use super::named::{Wanted, not_followed, read_tagged};
use super::page;
use super::tags::domain_arn;

/// Hosted zone that aliases to regional endpoints have on AWS (us-east-1), and name here.
pub(crate) const HOSTED_ZONE_ID: &str = "Z1UJRXOUMOOFQ8";
/// How long a truststore is kept after another took its place: 90 days.
const HISTORY_MILLIS: i64 = 90 * 24 * 60 * 60 * 1000;
/// How many of them are kept.
const HISTORY: usize = 100;
const MAPPING_SELECTION: &str = "$request.basepath";

/// Which TLS a domain name is to speak: what v1's API has beyond v2's.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tls {
    /// None: as it is, or `TLS_1_2`.
    pub(crate) security_policy: Option<SecurityPolicy>,
    /// None: as it is. Some none: taken away.
    pub(crate) endpoint_access_mode: Option<Option<EndpointAccessMode>>,
}

/// Makes a domain name.
pub(crate) fn create(draft: &mut Draft<'_>, input: &wire::CreateDomainNameRequest, tls: Tls) -> Result<Domain, Error> {
    let name = DomainName::parse(&input.domain_name, draft.config)?;
    let configuration = only(input.domain_name_configurations.as_deref())?.ok_or_else(one_expected)?;
    if draft.state.domains.contains_key(name.as_str()) {
        return Err(Error::bad_request("The domain name you provided already exists."));
    }
    let tags = input.tags.clone().unwrap_or_default();
    domain_tags(&tags)?;
    let taken = |state: &State, id: &str| state.domains.values().any(|other| other.target_id == format!("d-{id}"));
    let mut domain = Domain {
        name: name.as_str().to_owned(),
        region: draft.region.to_owned(),
        certificate_arn: String::new(),
        security_policy: SecurityPolicy::default(),
        endpoint_access_mode: None,
        endpoint_type: "REGIONAL".to_owned(),
        ownership_certificate_arn: None,
        hosted_zone_id: HOSTED_ZONE_ID.to_owned(),
        target_id: format!("d-{}", draft.fresh_id(10, taken)?),
        mutual_tls: None,
        history: Vec::new(),
        shadow: None,
        crls: Vec::new(),
        routing_mode: input.routing_mode.unwrap_or(wire::RoutingMode::ApiMappingOnly).to_string(),
        revision: 0,
        created: draft.at,
        tags,
    };
    configure(draft, &mut domain, configuration)?;
    tls.set(&mut domain);
    if domain.certificate_arn.is_empty() {
        return Err(Error::bad_request("A certificate was not provided for the endpoint type REGIONAL."));
    }
    let wanted = Wanted::of(&domain, input.mutual_tls_authentication.as_ref())?;
    put(draft, domain, &wanted)
}

/// Patches a domain name.
pub(crate) fn update(draft: &mut Draft<'_>, input: &wire::UpdateDomainNameRequest, tls: Tls) -> Result<Domain, Error> {
    let mut domain = Domain::clone(&*draft.domain(&input.domain_name)?);
    if input.mutual_tls_authentication.is_some() && only(input.domain_name_configurations.as_deref())?.is_none() {
        return Err(one_expected());
    }
    let wanted = Wanted::of(&domain, input.mutual_tls_authentication.as_ref())?;
    if let Some(mode) = input.routing_mode {
        domain.routing_mode = mode.to_string();
    }
    if let Some(configuration) = only(input.domain_name_configurations.as_deref())? {
        configure(draft, &mut domain, configuration)?;
    }
    tls.set(&mut domain);
    put(draft, domain, &wanted)
}

/// What a domain would become by another truststore and other tags.
pub(super) fn to_be(
    draft: &mut Draft<'_>,
    domain: &Domain,
    truststore: &wire::MutualTlsAuthenticationInput,
    tags: &Tags,
) -> Result<Domain, Error> {
    let mut domain = domain.clone();
    if let Wanted::From(object) = Wanted::of(&domain, Some(truststore))? {
        domain.mutual_tls = Some(draft.read(&object)?);
    }
    domain_tags(tags)?;
    domain.tags = tags.clone();
    read_tagged(draft, &mut domain)?;
    Ok(domain)
}

pub(crate) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteDomainNameRequest) -> Result<(), Error> {
    let domain = draft.domain(&input.domain_name)?;
    let state = draft.state.clone();
    State::of(&state.mappings, &domain.name).try_for_each(|mapping| draft.delete::<ApiMapping>(mapping))?;
    State::of(&state.routing_rules, &domain.name).try_for_each(|rule| draft.delete::<RoutingRule>(rule))?;
    draft.delete::<Domain>(&domain)
}

pub(super) fn list(
    draft: &Draft<'_>,
    input: &wire::GetDomainNamesRequest,
    enforced: &Enforced,
) -> Result<wire::GetDomainNamesResponse, Error> {
    let domains = draft.state.domains.values().filter(|domain| domain.region == draft.region);
    let (items, next_token) = page::page(
        domains,
        |domain| domain.name.clone(),
        |domain| show(draft, domain, enforced),
        input.max_results.as_deref(),
        input.next_token.as_deref(),
    )?;
    Ok(wire::GetDomainNamesResponse { items, next_token })
}

/// What the data plane does by now.
pub(crate) struct Enforced {
    /// The revision that every live node enforces.
    pub(crate) applied: Revision,
    /// What this one enforces.
    pub(crate) snapshot: Arc<Snapshot>,
}

pub(crate) fn show(draft: &Draft<'_>, domain: &Domain, enforced: &Enforced) -> wire::DomainName {
    let certificate = draft.state.certificates.get(&domain.certificate_arn);
    let unfit = certificate.and_then(|found| unfit(found, &domain.name, draft.at));
    let status = match (enforced.applied >= domain.revision, &unfit) {
        (true, None) => wire::DomainNameStatus::Available,
        (true, Some(_)) => wire::DomainNameStatus::PendingCertificateReimport,
        (false, _) => wire::DomainNameStatus::Updating,
    };
    let uploaded = certificate.map(|found| Timestamp(found.created));
    let suffix = &draft.config.execute_api_suffix;
    let configuration = wire::DomainNameConfiguration {
        api_gateway_domain_name: Some(format!("{}.execute-api.{}.{suffix}", domain.target_id, domain.region)),
        certificate_arn: Some(domain.certificate_arn.clone()),
        certificate_name: None,
        certificate_upload_date: uploaded,
        domain_name_status: Some(status),
        domain_name_status_message: unfit,
        endpoint_type: wire::EndpointType::parse(&domain.endpoint_type),
        hosted_zone_id: Some(domain.hosted_zone_id.clone()),
        ip_address_type: Some(wire::IpAddressType::Ipv4),
        ownership_verification_certificate_arn: domain.ownership_certificate_arn.clone(),
        // v2 has no name for others.
        security_policy: wire::SecurityPolicy::parse(domain.security_policy.as_str()),
    };
    wire::DomainName {
        api_mapping_selection_expression: Some(MAPPING_SELECTION.to_owned()),
        domain_name: Some(domain.name.clone()),
        domain_name_arn: Some(domain_arn(domain)),
        domain_name_configurations: Some(vec![configuration]),
        mutual_tls_authentication: domain.mutual_tls.as_ref().map(|set| show_mutual_tls(set, domain, draft, enforced)),
        routing_mode: wire::RoutingMode::parse(&domain.routing_mode),
        tags: Some(domain.tags.clone()),
    }
}

/// Why a certificate that was imported has to be imported again: it is shown to clients all the same.
fn unfit(certificate: &Certificate, name: &str, at: UnixMillis) -> Option<String> {
    let arn = &certificate.arn;
    let leaf = trust::Certificate::first_of_pem(&certificate.certificate)
        .filter(|_| certificate.origin == CertificateOrigin::Imported)?;
    if at.div_euclid(1000) > leaf.not_after() {
        return Some(format!("The certificate {arn} has expired: import it again under its ARN."));
    }
    let message =
        format!("The certificate {arn} was imported again, and is not for {name} any more: import one that is.");
    (!covers(certificate, name)).then_some(message)
}

/// With its truststore, its log group and its revision.
fn put(draft: &mut Draft<'_>, mut domain: Domain, wanted: &Wanted) -> Result<Domain, Error> {
    let before = match wanted {
        Wanted::AsIs => None,
        Wanted::Off => domain.mutual_tls.take(),
        Wanted::From(object) => domain.mutual_tls.replace(draft.read(object)?),
    };
    remember(&mut domain, before, draft.at);
    check_tls(draft, &domain)?;
    read_tagged(draft, &mut domain)?;
    domain.revision = draft.next_revision();
    check_ownership(draft, &domain)?;
    draft.put(&domain)?;
    let group = domain_log_group(&domain.name);
    if State::one(&draft.state.log_groups, &domain.region, &group).is_none() {
        draft.put(&LogGroup::new(domain.region.as_str(), group, draft.at))?;
    }
    Ok(domain)
}

impl Tls {
    /// v2's API knows one policy, which has no access mode: who names it asks for that.
    pub(super) fn of_v2(input: &wire::UpdateDomainNameRequest) -> Self {
        let configurations = input.domain_name_configurations.iter().flatten();
        match configurations.into_iter().any(|one| one.security_policy == Some(wire::SecurityPolicy::Tls12)) {
            true => Self { security_policy: Some(SecurityPolicy::Tls12), endpoint_access_mode: Some(None) },
            false => Self::default(),
        }
    }

    fn set(self, domain: &mut Domain) {
        domain.security_policy = self.security_policy.unwrap_or(domain.security_policy);
        domain.endpoint_access_mode = self.endpoint_access_mode.unwrap_or(domain.endpoint_access_mode);
    }
}

/// AWS's constraints on security policies that start with `SecurityPolicy_`.
fn check_tls(draft: &Draft<'_>, domain: &Domain) -> Result<(), Error> {
    let policy = domain.security_policy;
    match (policy.is_enhanced(), domain.endpoint_access_mode) {
        (true, None) => Err(Error::bad_request("Endpoint access mode is required for the specified security policy")),
        (false, Some(_)) => Err(Error::bad_request(format!(
            "An endpoint access mode needs a security policy that starts with SecurityPolicy_; with {} it has to be empty",
            policy.as_str()
        ))),
        (true, Some(_)) if domain.mutual_tls.is_some() => Err(Error::bad_request(format!(
            "Mutual TLS cannot be used with the security policy {0}: keep TLS_1_2, and set the tag countersign:security-policy={0} to \
             have it here all the same",
            policy.as_str()
        ))),
        (true, Some(_)) => leads_to_rest_apis(draft, domain),
        (false, None) => Ok(()),
    }
}

fn leads_to_rest_apis(draft: &Draft<'_>, domain: &Domain) -> Result<(), Error> {
    let mapped = State::of(&draft.state.mappings, &domain.name).map(|mapping| &mapping.api_id);
    let ruled = State::of(&draft.state.routing_rules, &domain.name).map(|rule| &rule.api_id);
    mapped.chain(ruled).try_for_each(|api_id| check_api(draft, domain, api_id))
}

/// A domain name with such a policy leads to REST APIs only.
pub(super) fn check_api(draft: &Draft<'_>, domain: &Domain, api_id: &str) -> Result<(), Error> {
    if !domain.security_policy.is_enhanced() || draft.state.rest_apis.contains_key(api_id) {
        return Ok(());
    }
    Err(Error::bad_request(format!(
        "HTTP APIs cannot be mapped to a domain name with the security policy {0}: {api_id} is one. Keep TLS_1_2, and set the tag \
         countersign:security-policy={0} to have it here all the same",
        domain.security_policy.as_str()
    )))
}

/// Keeps what the truststore was before, so that it can be had again, and refusals of that time be explained.
fn remember(domain: &mut Domain, before: Option<NamedObject>, at: UnixMillis) {
    let now = domain.mutual_tls.as_ref().map(|now| (&now.uri, &now.read_version, &now.digest));
    if let Some(before) = before
        && now != Some((&before.uri, &before.read_version, &before.digest))
    {
        let NamedObject { uri, read_version: version, digest, read: from, .. } = before;
        domain.history.insert(0, EarlierTruststore { uri, version, digest, from, until: at });
    }
    domain.history.retain(|earlier| at.saturating_sub(earlier.until) <= HISTORY_MILLIS);
    domain.history.truncate(HISTORY);
}

fn configure(
    draft: &Draft<'_>,
    domain: &mut Domain,
    configuration: &wire::DomainNameConfiguration,
) -> Result<(), Error> {
    if configuration.endpoint_type == Some(wire::EndpointType::Edge) {
        let message = "Only REGIONAL domain names can be managed through the API Gateway V2 API. For EDGE domain names, please use \
                       the API Gateway V1 API. Also note that only REST APIs can be attached to EDGE domain names.";
        return Err(Error::bad_request(message));
    }
    if configuration.security_policy == Some(wire::SecurityPolicy::Tls10) {
        let message = "Only REGIONAL domain names with a security policy of TLS 1.2 can be managed through the API Gateway V2 API.";
        return Err(Error::bad_request(message));
    }
    let dualstack = configuration.ip_address_type == Some(wire::IpAddressType::Dualstack);
    refuse(dualstack, "ipAddressType dualstack", NOT_HERE)?;
    if let Some(arn) = configuration.certificate_arn.as_ref().filter(|arn| !arn.is_empty()) {
        let certificate = certificate(draft, arn)?;
        if !covers(&certificate, &domain.name) {
            let message = format!(
                "The domain name to be created is not covered by the provided certificate. {arn} is for {}, not for {}.",
                certificate.domain_name, domain.name
            );
            return Err(Error::bad_request(message));
        }
        domain.certificate_arn = arn.clone();
    }
    if let Some(arn) = &configuration.ownership_verification_certificate_arn {
        let arn = Some(arn).filter(|arn| !arn.is_empty());
        domain.ownership_certificate_arn = arn.map(|arn| certificate(draft, arn).map(|_| arn.clone())).transpose()?;
    }
    Ok(())
}

pub(super) fn certificate(draft: &Draft<'_>, arn: &str) -> Result<Arc<Certificate>, Error> {
    let region = draft.region;
    if !arn.starts_with(&format!("arn:aws:acm:{region}:")) {
        let message = format!("Invalid certificate ARN: {arn}. Certificate must be in '{region}'.");
        return Err(Error::bad_request(message));
    }
    let found = draft.state.certificates.get(arn).filter(|found| found.region == region);
    let found = found.cloned().ok_or_else(|| {
        Error::bad_request(format!("Invalid certificate ARN: {arn}. There is no such certificate in ACM."))
    })?;
    match (&found.life.revoked, &found.life.validation) {
        (None, None) => Ok(found),
        (Some(_), _) => Err(Error::bad_request(format!("Invalid certificate ARN: {arn}. The certificate is revoked."))),
        (None, Some(_)) => {
            Err(Error::bad_request(format!("Invalid certificate ARN: {arn}. The certificate is not issued yet.")))
        }
    }
}

/// AWS wants to see a public certificate where the server's own was imported and clients are asked for theirs. Nobody
/// but you can prove ownership to your own machine, so this is asked for only where AWS is to be followed exactly.
fn check_ownership(draft: &Draft<'_>, domain: &Domain) -> Result<(), Error> {
    let imported = draft.state.certificates.get(&domain.certificate_arn);
    let imported = imported.is_some_and(|found| found.origin == CertificateOrigin::Imported);
    let missing = domain.mutual_tls.is_some() && imported && domain.ownership_certificate_arn.is_none();
    if draft.config.aws_exact && missing {
        return Err(Error::bad_request("Missing ownershipVerificationCertificate."));
    }
    Ok(())
}

/// The one configuration, if there is one.
fn only(
    configurations: Option<&[wire::DomainNameConfiguration]>,
) -> Result<Option<&wire::DomainNameConfiguration>, Error> {
    match configurations {
        None => Ok(None),
        Some([configuration]) => Ok(Some(configuration)),
        Some(_) => Err(one_expected()),
    }
}

fn one_expected() -> Error {
    Error::bad_request("Invalid input. Expected one domain name configuration")
}

fn show_mutual_tls(
    mutual_tls: &NamedObject,
    domain: &Domain,
    draft: &Draft<'_>,
    enforced: &Enforced,
) -> wire::MutualTlsAuthentication {
    let warnings = truststore_warnings(mutual_tls, domain, draft, enforced);
    wire::MutualTlsAuthentication {
        truststore_uri: Some(mutual_tls.uri.clone()),
        truststore_version: mutual_tls.version.clone(),
        truststore_warnings: (!warnings.is_empty()).then_some(warnings),
    }
}

/// Everything that is to be said of a domain: what its status says, and what its truststore's warnings are.
pub(crate) fn warnings_of(draft: &Draft<'_>, domain: &Domain, enforced: &Enforced) -> Vec<String> {
    let certificate = draft.state.certificates.get(&domain.certificate_arn);
    let unfit = certificate.and_then(|found| unfit(found, &domain.name, draft.at));
    let of_truststore = |set| truststore_warnings(set, domain, draft, enforced);
    unfit.into_iter().chain(domain.mutual_tls.iter().flat_map(of_truststore)).collect()
}

fn truststore_warnings(
    mutual_tls: &NamedObject,
    domain: &Domain,
    draft: &Draft<'_>,
    enforced: &Enforced,
) -> Vec<String> {
    let mut warnings = mutual_tls.warnings.clone();
    if let Some(newest) = &mutual_tls.newest {
        let uri = &mutual_tls.uri;
        let (newer, enforced) = (&newest.version, &mutual_tls.read_version);
        warnings.push(match (&newest.digest, newer == enforced) {
            (Some(_), false) => format!(
                "{uri} has version {newer}, which is newer than the enforced version {enforced}: update the domain name to use it."
            ),
            (Some(_), true) => {
                format!("{uri} has other content than is enforced: update the domain name to use it.")
            }
            (None, _) => format!(
                "{uri} was deleted, or is no truststore any more (version {newer}); version {enforced} is still enforced."
            ),
        });
    }
    let list = |list| not_followed(list, "revocation list", "countersign:crl-version");
    warnings.extend(domain.crls.iter().filter_map(list));
    if let Some(shadow) = &domain.shadow {
        warnings.extend(shadow.warnings.iter().map(|warning| format!("Shadow truststore: {warning}")));
        warnings.extend(not_followed(shadow, "truststore", "countersign:shadow-truststore-version"));
    }
    let trust = enforced.snapshot.domain(&domain.name).and_then(|domain| domain.trust.as_ref());
    if let Some((trust, revocations)) = trust.and_then(|trust| Some((trust, trust.revocations.as_ref()?))) {
        warnings.extend(revocations.warnings(&trust.truststore, draft.at.div_euclid(1000)));
    }
    warnings
}
