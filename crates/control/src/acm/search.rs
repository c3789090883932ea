//! `SearchCertificates`: certificates by statements about them.

use std::cmp::Ordering;

use aws::acm::*;
use aws::{Caller, Error, Timestamp};
use model::resource::Certificate;
use model::{State, UnixMillis};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::Decode;
use x509_cert::name::Name;

use super::{after, detail, validation};
use crate::page_token::{self, Order};

/// Of a page, where nothing is said.
const USUAL_PAGE: usize = 100;
/// Statements and filters of one search, which each certificate is held against.
const MAX_STATEMENTS: usize = 100;

pub(super) fn search(
    state: &State,
    caller: &Caller,
    input: &SearchCertificatesRequest,
    now: UnixMillis,
) -> Result<SearchCertificatesResponse, Error> {
    if let Some(statement) = &input.filter_statement {
        check(statement, &mut 0)?;
    }
    let by = input.sort_by.unwrap_or(SearchCertificatesSortBy::CreatedAt);
    let descending = input.sort_order == Some(SearchCertificatesSortOrder::Descending);
    let of_region = state.certificates.values().filter(|certificate| certificate.region == caller.region);
    let found = of_region.map(|certificate| Found::new(state, certificate, now));
    let is_wanted = |found: &Found| input.filter_statement.as_ref().is_none_or(|wanted| found.is(wanted));
    let mut found: Vec<(String, Found)> = found.filter(is_wanted).map(|found| (found.place(by), found)).collect();
    found.sort_by(|(a, _), (b, _)| if descending { b.cmp(a) } else { a.cmp(b) });
    let size = input.max_results.and_then(|size| usize::try_from(size).ok()).unwrap_or(USUAL_PAGE).max(1);
    let after = after(input.next_token.as_deref())?;
    let name = |(place, _): &(String, Found)| place.clone();
    let (found, next_token) =
        page_token::cut_in(Order::descending(descending), found.into_iter(), name, after.as_deref(), size);
    let results = found.into_iter().map(|(_, found)| found.shown()).collect();
    Ok(SearchCertificatesResponse { results: Some(results), next_token })
}

/// A union has one member, and a search has an end.
fn check(statement: &CertificateFilterStatement, count: &mut usize) -> Result<(), Error> {
    *count += 1;
    if *count > MAX_STATEMENTS {
        return Err(validation(format!("A search has at most {MAX_STATEMENTS} filter statements.")));
    }
    let CertificateFilterStatement { and, filter, not, or } = statement;
    one_of("CertificateFilterStatement", &[and.is_some(), filter.is_some(), not.is_some(), or.is_some()])?;
    if let Some(filter) = filter {
        check_filter(filter)?;
    }
    not.as_ref().map_or(Ok(()), |not| check(not, count))?;
    [and, or].into_iter().flatten().flatten().try_for_each(|statement| check(statement, count))
}

fn check_filter(filter: &CertificateFilter) -> Result<(), Error> {
    let (x509, metadata) = (&filter.x509_attribute_filter, &filter.acm_certificate_metadata_filter);
    one_of("CertificateFilter", &[filter.certificate_arn.is_some(), x509.is_some(), metadata.is_some()])?;
    if let Some(x509) = x509 {
        let given = [
            x509.subject.is_some(),
            x509.subject_alternative_name.is_some(),
            x509.extended_key_usage.is_some(),
            x509.key_usage.is_some(),
            x509.key_algorithm.is_some(),
            x509.serial_number.is_some(),
            x509.not_after.is_some(),
            x509.not_before.is_some(),
        ];
        one_of("X509AttributeFilter", &given)?;
        let nothing = |wanted: bool| one_of("X509AttributeFilter", &[wanted]);
        x509.subject.as_ref().map_or(Ok(()), |subject| nothing(subject.common_name.is_some()))?;
        x509.subject_alternative_name.as_ref().map_or(Ok(()), |name| nothing(name.dns_name.is_some()))?;
    }
    metadata.as_ref().map_or(Ok(()), |wanted| {
        let given = [
            wanted.status.is_some(),
            wanted.renewal_status.is_some(),
            wanted.r#type.is_some(),
            wanted.in_use.is_some(),
            wanted.exported.is_some(),
            wanted.export_option.is_some(),
            wanted.managed_by.is_some(),
            wanted.validation_method.is_some(),
            wanted.certificate_key_pair_origin.is_some(),
            wanted.acme_endpoint_arn.is_some(),
            wanted.acme_account_id.is_some(),
        ];
        one_of("AcmCertificateMetadataFilter", &given)
    })
}

fn one_of(what: &str, given: &[bool]) -> Result<(), Error> {
    match given.iter().filter(|given| **given).count() {
        1 => Ok(()),
        _ => Err(validation(format!("A {what} has exactly one member."))),
    }
}

/// A certificate as a search sees it.
struct Found {
    arn: String,
    x509: X509Attributes,
    metadata: AcmCertificateMetadata,
}

impl Found {
    fn new(state: &State, certificate: &Certificate, now: UnixMillis) -> Self {
        let (detail, summary) = (detail::detail(state, certificate, now), detail::summary(state, certificate, now));
        let leaf = trust::Certificate::first_of_pem(&certificate.certificate);
        let parsed = leaf.and_then(|leaf| x509_cert::Certificate::from_der(leaf.der()).ok());
        let tbs = parsed.as_ref().map(x509_cert::Certificate::tbs_certificate);
        let names = detail.subject_alternative_names.unwrap_or_default();
        let validation = detail.domain_validation_options.as_ref().and_then(|options| options.first());
        Self {
            arn: certificate.arn.clone(),
            x509: X509Attributes {
                issuer: tbs.map(|tbs| distinguished_name(tbs.issuer())),
                subject: tbs.map(|tbs| distinguished_name(tbs.subject())),
                subject_alternative_names: Some(names.into_iter().map(general_name).collect()),
                extended_key_usages: summary.extended_key_usages,
                key_algorithm: detail.key_algorithm,
                key_usages: summary.key_usages,
                serial_number: detail.serial,
                not_after: detail.not_after,
                not_before: detail.not_before,
            },
            metadata: AcmCertificateMetadata {
                acme_account_id: None,
                acme_endpoint_arn: None,
                certificate_key_pair_origin: detail.certificate_key_pair_origin,
                created_at: detail.created_at,
                export_option: summary.export_option,
                exported: summary.exported,
                imported_at: detail.imported_at,
                in_use: summary.in_use,
                issued_at: detail.issued_at,
                managed_by: None,
                renewal_eligibility: detail.renewal_eligibility,
                renewal_status: detail.renewal_summary.and_then(|summary| summary.renewal_status),
                revoked_at: detail.revoked_at,
                status: detail.status,
                r#type: detail.r#type,
                validation_method: validation.and_then(|validation| validation.validation_method),
            },
        }
    }

    fn shown(self) -> CertificateSearchResult {
        CertificateSearchResult {
            certificate_arn: Some(self.arn),
            certificate_metadata: Some(CertificateMetadata { acm_certificate_metadata: Some(self.metadata) }),
            x509_attributes: Some(self.x509),
        }
    }

    fn is(&self, wanted: &CertificateFilterStatement) -> bool {
        let CertificateFilterStatement { and, filter, not, or } = wanted;
        and.as_ref().is_none_or(|all| all.iter().all(|one| self.is(one)))
            && or.as_ref().is_none_or(|any| any.iter().any(|one| self.is(one)))
            && not.as_ref().is_none_or(|not| !self.is(not))
            && filter.as_ref().is_none_or(|filter| self.fits(filter))
    }

    fn fits(&self, filter: &CertificateFilter) -> bool {
        filter.certificate_arn.as_ref().is_none_or(|arn| *arn == self.arn)
            && filter.x509_attribute_filter.as_ref().is_none_or(|wanted| self.has_attributes(wanted))
            && filter.acm_certificate_metadata_filter.as_ref().is_none_or(|wanted| self.has_metadata(wanted))
    }

    fn has_attributes(&self, wanted: &X509AttributeFilter) -> bool {
        let x509 = &self.x509;
        let common_name = x509.subject.as_ref().and_then(|subject| subject.common_name.as_deref());
        let names = || x509.subject_alternative_names.iter().flatten().filter_map(|name| name.dns_name.as_deref());
        let usages = x509.extended_key_usages.as_deref().unwrap_or_default();
        wanted.subject.as_ref().and_then(|subject| subject.common_name.as_ref()).is_none_or(|filter| {
            common_name.is_some_and(|name| compares(name, filter.comparison_operator, &filter.value))
        }) && wanted
            .subject_alternative_name
            .as_ref()
            .and_then(|name| name.dns_name.as_ref())
            .is_none_or(|filter| names().any(|name| compares(name, filter.comparison_operator, &filter.value)))
            && wanted.extended_key_usage.is_none_or(|usage| match usage {
                ExtendedKeyUsageName::None => usages.is_empty(),
                _ => usages.contains(&usage),
            })
            && wanted.key_usage.is_none_or(|usage| x509.key_usages.iter().flatten().any(|has| *has == usage))
            && wanted.serial_number.as_ref().is_none_or(|serial| x509.serial_number.as_ref() == Some(serial))
            && same(wanted.key_algorithm, x509.key_algorithm)
            && wanted.not_after.as_ref().is_none_or(|range| is_within(x509.not_after, range))
            && wanted.not_before.as_ref().is_none_or(|range| is_within(x509.not_before, range))
    }

    fn has_metadata(&self, wanted: &AcmCertificateMetadataFilter) -> bool {
        let has = &self.metadata;
        same(wanted.status, has.status)
            && same(wanted.renewal_status, has.renewal_status)
            && same(wanted.r#type, has.r#type)
            && same(wanted.in_use, has.in_use)
            && same(wanted.exported, has.exported)
            && same(wanted.export_option, has.export_option)
            && same(wanted.managed_by, has.managed_by)
            && same(wanted.validation_method, has.validation_method)
            && same(wanted.certificate_key_pair_origin, has.certificate_key_pair_origin)
            && same(wanted.acme_endpoint_arn.as_ref(), has.acme_endpoint_arn.as_ref())
            && same(wanted.acme_account_id.as_ref(), has.acme_account_id.as_ref())
    }

    /// Where it stands in an order. What has not what is sorted by comes first; what has the same goes by ARN.
    fn place(&self, by: SearchCertificatesSortBy) -> String {
        use SearchCertificatesSortBy as By;
        let at = |time: Option<Timestamp>| time.map(|time| format!("{:020}", time.0.max(0)));
        let text = |value: Option<&dyn ToString>| value.map(ToString::to_string);
        let (x509, has) = (&self.x509, &self.metadata);
        let value = match by {
            By::CreatedAt => at(has.created_at),
            By::NotAfter => at(x509.not_after),
            By::NotBefore => at(x509.not_before),
            By::RevokedAt => at(has.revoked_at),
            By::IssuedAt => at(has.issued_at),
            By::ImportedAt => at(has.imported_at),
            By::Status => text(has.status.as_ref().map(|value| value as _)),
            By::RenewalStatus => text(has.renewal_status.as_ref().map(|value| value as _)),
            By::Exported => text(has.exported.as_ref().map(|value| value as _)),
            By::InUse => text(has.in_use.as_ref().map(|value| value as _)),
            By::KeyAlgorithm => text(x509.key_algorithm.as_ref().map(|value| value as _)),
            By::Type => text(has.r#type.as_ref().map(|value| value as _)),
            By::CertificateArn => None,
            By::CommonName => x509.subject.as_ref().and_then(|subject| subject.common_name.clone()),
            By::RenewalEligibility => text(has.renewal_eligibility.as_ref().map(|value| value as _)),
            By::ManagedBy => text(has.managed_by.as_ref().map(|value| value as _)),
            By::ExportOption => text(has.export_option.as_ref().map(|value| value as _)),
            By::ValidationMethod => text(has.validation_method.as_ref().map(|value| value as _)),
            By::AcmeEndpointArn => has.acme_endpoint_arn.clone(),
            By::AcmeAccountId => has.acme_account_id.clone(),
            By::CertificateKeyPairOrigin => text(has.certificate_key_pair_origin.as_ref().map(|value| value as _)),
        };
        format!("{}\0{}", value.unwrap_or_default(), self.arn)
    }
}

fn same<T: PartialEq>(wanted: Option<T>, has: Option<T>) -> bool {
    wanted.is_none() || wanted == has
}

/// Both ends are within.
fn is_within(time: Option<Timestamp>, range: &TimestampRange) -> bool {
    let compared = |end: Option<Timestamp>| Some(time?.0.cmp(&end?.0));
    time.is_some() && compared(range.start) != Some(Ordering::Less) && compared(range.end) != Some(Ordering::Greater)
}

/// Names of hosts have no case.
fn compares(name: &str, how: ComparisonOperator, value: &str) -> bool {
    let (name, value) = (name.to_lowercase(), value.to_lowercase());
    match how {
        ComparisonOperator::Contains => name.contains(&value),
        ComparisonOperator::Equals => name == value,
    }
}

fn general_name(name: String) -> GeneralName {
    match name.parse::<std::net::IpAddr>() {
        Ok(_) => GeneralName { ip_address: Some(name), ..GeneralName::default() },
        Err(_) => GeneralName { dns_name: Some(name), ..GeneralName::default() },
    }
}

/// RFC 5280, section 4.1.2.4 and appendix A. Of an attribute that is there twice the first is shown.
fn distinguished_name(name: &Name) -> DistinguishedName {
    let mut shown = DistinguishedName::default();
    for attribute in name.iter() {
        let (oid, value) = (attribute.oid.to_string(), text(attribute));
        let place = match oid.as_str() {
            "2.5.4.3" => &mut shown.common_name,
            "2.5.4.4" => &mut shown.surname,
            "2.5.4.5" => &mut shown.serial_number,
            "2.5.4.6" => &mut shown.country,
            "2.5.4.7" => &mut shown.locality,
            "2.5.4.8" => &mut shown.state,
            "2.5.4.10" => &mut shown.organization,
            "2.5.4.11" => &mut shown.organizational_unit,
            "2.5.4.12" => &mut shown.title,
            "2.5.4.42" => &mut shown.given_name,
            "2.5.4.43" => &mut shown.initials,
            "2.5.4.44" => &mut shown.generation_qualifier,
            "2.5.4.46" => &mut shown.distinguished_name_qualifier,
            "2.5.4.65" => &mut shown.pseudonym,
            "0.9.2342.19200300.100.1.25" => {
                shown.domain_components.get_or_insert_default().push(value);
                continue;
            }
            _ => {
                let attribute = CustomAttribute { object_identifier: Some(oid), value: Some(value) };
                shown.custom_attributes.get_or_insert_default().push(attribute);
                continue;
            }
        };
        place.get_or_insert(value);
    }
    shown
}

/// BMPString is UTF-16; what all others have is UTF-8, or nearly.
fn text(attribute: &AttributeTypeAndValue) -> String {
    use x509_cert::der::{Tag, Tagged};
    let bytes = attribute.value.value();
    match attribute.value.tag() {
        Tag::BmpString => {
            let (units, _) = bytes.as_chunks::<2>();
            String::from_utf16_lossy(&units.iter().map(|unit| u16::from_be_bytes(*unit)).collect::<Vec<_>>())
        }
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}
