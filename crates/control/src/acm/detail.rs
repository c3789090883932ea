//! Certificates as `DescribeCertificate` and `ListCertificates` show them.

use aws::Timestamp;
use aws::acm::*;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use model::resource::{self, Certificate, CertificateOrigin, CertificateValidation};
use model::{ApiTags, State, UnixMillis};
use x509_cert::der::Decode;
use x509_cert::ext::pkix;

use super::order::VALIDATION_TIME;

/// What is read from the leaf itself.
#[derive(Default)]
struct Leaf {
    serial: Option<String>,
    subject: Option<String>,
    issuer: Option<String>,
    signature_algorithm: Option<String>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    key_usages: Vec<KeyUsageName>,
    extended_key_usages: Vec<(ExtendedKeyUsageName, String)>,
}

/// All of it.
pub(super) fn detail(state: &State, certificate: &Certificate, now: UnixMillis) -> CertificateDetail {
    let leaf = Leaf::of(certificate);
    let issued = certificate.origin == CertificateOrigin::AmazonIssued;
    let in_use_by = in_use_by(state, &certificate.arn);
    let created = Timestamp(certificate.created);
    let extended = leaf.extended_key_usages.iter();
    let eligible = is_eligible(certificate, &in_use_by);
    CertificateDetail {
        certificate_arn: Some(certificate.arn.clone()),
        domain_name: Some(certificate.domain_name.clone()),
        subject_alternative_names: Some(certificate.alternative_names.clone()),
        domain_validation_options: issued.then(|| validations(certificate)),
        serial: leaf.serial.clone(),
        subject: leaf.subject.clone(),
        issuer: leaf.issuer.clone(),
        created_at: Some(created),
        issued_at: issued_at(certificate),
        failure_reason: match &certificate.life.validation {
            Some(CertificateValidation::Failed { reason }) => FailureReason::parse(reason),
            _ => None,
        },
        imported_at: (!issued).then_some(created),
        status: Some(leaf.status(certificate, now)),
        revoked_at: certificate.life.revoked.as_ref().map(|revoked| Timestamp(revoked.at)),
        revocation_reason: certificate
            .life
            .revoked
            .as_ref()
            .and_then(|revoked| RevocationReason::parse(&revoked.reason)),
        renewal_summary: renewal(state, certificate),
        certificate_key_pair_origin: Some(key_pair_origin(certificate)),
        not_before: leaf.not_before,
        not_after: leaf.not_after,
        key_algorithm: KeyAlgorithm::parse(&certificate.key_algorithm),
        signature_algorithm: leaf.signature_algorithm.clone(),
        in_use_by: Some(in_use_by),
        r#type: Some(if issued { CertificateType::AmazonIssued } else { CertificateType::Imported }),
        key_usages: Some(leaf.key_usages.iter().map(|name| KeyUsage { name: Some(*name) }).collect()),
        extended_key_usages: Some(
            extended.map(|(name, oid)| ExtendedKeyUsage { name: Some(*name), oid: Some(oid.clone()) }).collect(),
        ),
        renewal_eligibility: Some(if eligible { RenewalEligibility::Eligible } else { RenewalEligibility::Ineligible }),
        options: issued.then(|| CertificateOptions {
            certificate_transparency_logging_preference: Some(match certificate.life.logged {
                true => CertificateTransparencyLoggingPreference::Enabled,
                false => CertificateTransparencyLoggingPreference::Disabled,
            }),
            export: Some(export_option(certificate)),
        }),
        ..CertificateDetail::default()
    }
}

/// A line of the list.
pub(super) fn summary(state: &State, certificate: &Certificate, now: UnixMillis) -> CertificateSummary {
    let leaf = Leaf::of(certificate);
    let issued = certificate.origin == CertificateOrigin::AmazonIssued;
    let created = Timestamp(certificate.created);
    let in_use_by = in_use_by(state, &certificate.arn);
    let eligible = is_eligible(certificate, &in_use_by);
    CertificateSummary {
        certificate_arn: Some(certificate.arn.clone()),
        domain_name: Some(certificate.domain_name.clone()),
        subject_alternative_name_summaries: Some(certificate.alternative_names.clone()),
        has_additional_subject_alternative_names: Some(false),
        status: Some(leaf.status(certificate, now)),
        revoked_at: certificate.life.revoked.as_ref().map(|revoked| Timestamp(revoked.at)),
        export_option: issued.then(|| export_option(certificate)),
        certificate_key_pair_origin: Some(key_pair_origin(certificate)),
        r#type: Some(if issued { CertificateType::AmazonIssued } else { CertificateType::Imported }),
        key_algorithm: KeyAlgorithm::parse(&certificate.key_algorithm),
        key_usages: Some(leaf.key_usages.clone()),
        extended_key_usages: Some(leaf.extended_key_usages.iter().map(|(name, _)| *name).collect()),
        in_use: Some(!in_use_by.is_empty()),
        exported: Some(certificate.life.exported),
        renewal_eligibility: Some(if eligible { RenewalEligibility::Eligible } else { RenewalEligibility::Ineligible }),
        not_before: leaf.not_before,
        not_after: leaf.not_after,
        created_at: Some(created),
        issued_at: issued_at(certificate),
        imported_at: (!issued).then_some(created),
        ..CertificateSummary::default()
    }
}

/// None where it was imported, or is not signed yet.
fn issued_at(certificate: &Certificate) -> Option<Timestamp> {
    let life = &certificate.life;
    let signed = certificate.origin == CertificateOrigin::AmazonIssued && life.validation.is_none();
    signed.then(|| Timestamp(life.issued.unwrap_or(certificate.created)))
}

/// ACM renews what it has issued and what is in use, or was exported and so may be.
fn is_eligible(certificate: &Certificate, in_use_by: &[String]) -> bool {
    let life = &certificate.life;
    let issued = certificate.origin == CertificateOrigin::AmazonIssued && life.revoked.is_none();
    issued && life.validation.is_none() && (!in_use_by.is_empty() || life.exported)
}

fn export_option(certificate: &Certificate) -> CertificateExport {
    if certificate.life.exportable { CertificateExport::Enabled } else { CertificateExport::Disabled }
}

fn key_pair_origin(certificate: &Certificate) -> CertificateKeyPairOrigin {
    match certificate.origin {
        CertificateOrigin::AmazonIssued => CertificateKeyPairOrigin::AwsManaged,
        CertificateOrigin::Imported => CertificateKeyPairOrigin::CustomerProvided,
    }
}

/// Of the renewal that is under way, or of the last one; none before the first.
fn renewal(state: &State, certificate: &Certificate) -> Option<RenewalSummary> {
    let order = state.acme_orders.get(&certificate.arn).filter(|_| certificate.life.validation.is_none());
    let failure = order.and_then(|order| order.failure.as_ref());
    let (status, updated) = match (order, failure) {
        (_, Some(failure)) => (RenewalStatus::Failed, failure.at),
        (Some(order), None) => (RenewalStatus::PendingAutoRenewal, order.at),
        (None, None) => (RenewalStatus::Success, certificate.life.renewed?),
    };
    Some(RenewalSummary {
        renewal_status: Some(status),
        domain_validation_options: Some(validations(certificate)),
        updated_at: Some(Timestamp(updated)),
        renewal_status_reason: failure.and_then(|failure| FailureReason::parse(&failure.reason)),
    })
}

/// Whether the filters of a list let a certificate through.
pub(super) fn wanted(
    summary: &CertificateSummary,
    statuses: Option<&[CertificateStatus]>,
    includes: Option<&Filters>,
) -> bool {
    fn any<T: PartialEq>(has: Option<&[T]>, asked: Option<&[T]>) -> bool {
        let has = has.unwrap_or_default();
        asked.is_none_or(|asked| asked.is_empty() || asked.iter().any(|value| has.contains(value)))
    }
    let one = |value: Option<KeyAlgorithm>| value.map(|value| vec![value]);
    let nothing = Filters::default();
    let includes = includes.unwrap_or(&nothing);
    any(summary.status.as_ref().map(std::slice::from_ref), statuses)
        && any(one(summary.key_algorithm).as_deref(), includes.key_types.as_deref())
        && any(summary.key_usages.as_deref(), includes.key_usage.as_deref())
        && any(summary.extended_key_usages.as_deref(), includes.extended_key_usage.as_deref())
        && includes.export_option.is_none_or(|option| summary.export_option == Some(option))
        && includes.managed_by.is_none()
}

/// ARNs of the domains that show a certificate, or prove their ownership by it, and of the APIs that show it to backends.
pub(super) fn in_use_by(state: &State, arn: &str) -> Vec<String> {
    let uses = state
        .domains
        .values()
        .filter(|domain| domain.certificate_arn == arn || domain.ownership_certificate_arn.as_deref() == Some(arn));
    let domains = uses.map(|domain| format!("arn:aws:apigateway:{}::/domainnames/{}", domain.region, domain.name));
    let names = |tags: &resource::Tags| {
        ApiTags::parse(tags).is_ok_and(|tags| tags.upstream_certificate.as_deref() == Some(arn))
    };
    let apis = state.apis.values().filter(|api| names(&api.tags));
    let apis = apis.map(|api| format!("arn:aws:apigateway:{}::/apis/{}", api.region, api.id));
    let rest_apis = state.rest_apis.values().filter(|api| names(&api.tags));
    let rest_apis = rest_apis.map(|api| format!("arn:aws:apigateway:{}::/restapis/{}", api.region, api.id));
    domains.chain(apis).chain(rest_apis).collect()
}

impl Leaf {
    fn of(certificate: &Certificate) -> Self {
        let Some(leaf) = trust::Certificate::first_of_pem(&certificate.certificate) else { return Self::default() };
        let parsed = x509_cert::Certificate::from_der(leaf.der()).ok();
        let tbs = parsed.as_ref().map(x509_cert::Certificate::tbs_certificate);
        let usage = tbs.and_then(|tbs| tbs.get_extension::<pkix::KeyUsage>().ok().flatten());
        let extended = tbs.and_then(|tbs| tbs.get_extension::<pkix::ExtendedKeyUsage>().ok().flatten());
        let issuer = tbs.map(x509_cert::certificate::TbsCertificateInner::issuer);
        let organization = issuer.and_then(|name| name.organization().ok().flatten());
        let common_name = issuer.and_then(|name| name.common_name().ok().flatten());
        Self {
            serial: Some(with_colons(leaf.serial_bytes())),
            subject: Some(leaf.subject().to_owned()),
            issuer: organization.or(common_name).map(|name| name.value().into_owned()),
            signature_algorithm: Some(signature_algorithm(&leaf.signature_name())),
            not_before: Some(Timestamp::from_seconds(leaf.not_before())),
            not_after: Some(Timestamp::from_seconds(leaf.not_after())),
            key_usages: usage.map_or_else(Vec::new, |(_, usage)| key_usages(&usage)),
            extended_key_usages: extended.map_or_else(Vec::new, |(_, extended)| {
                extended.0.iter().map(|oid| (extended_key_usage(&oid.to_string()), oid.to_string())).collect()
            }),
        }
    }

    fn status(&self, certificate: &Certificate, now: UnixMillis) -> CertificateStatus {
        match self.not_after {
            _ if certificate.life.revoked.is_some() => CertificateStatus::Revoked,
            _ if let Some(validation) = &certificate.life.validation => match validation {
                CertificateValidation::Failed { .. } => CertificateStatus::Failed,
                CertificateValidation::Pending if now - certificate.created >= VALIDATION_TIME => {
                    CertificateStatus::ValidationTimedOut
                }
                CertificateValidation::Pending => CertificateStatus::PendingValidation,
            },
            Some(Timestamp(end)) if now > end => CertificateStatus::Expired,
            _ => CertificateStatus::Issued,
        }
    }
}

/// The records that would prove ownership, as the clients that wait for them expect them. Nobody looks at them: the local CA asks for
/// no proof, and an ACME issuer for another.
fn validations(certificate: &Certificate) -> Vec<DomainValidation> {
    let status = match &certificate.life.validation {
        None => DomainStatus::Success,
        Some(CertificateValidation::Pending) => DomainStatus::PendingValidation,
        Some(CertificateValidation::Failed { .. }) => DomainStatus::Failed,
    };
    let one = |name: &String| {
        let domain = name.strip_prefix("*.").unwrap_or(name);
        let hash = HEXLOWER.encode(digest(&SHA256, domain.as_bytes()).as_ref());
        DomainValidation {
            domain_name: Some(name.clone()),
            validation_domain: Some(name.clone()),
            validation_status: Some(status),
            validation_method: Some(ValidationMethod::Dns),
            resource_record: Some(ResourceRecord {
                name: Some(format!("_{}.{domain}.", &hash[..32])),
                r#type: Some(RecordType::Cname),
                value: Some(format!("_{}.acm-validations.aws.", &hash[32..])),
            }),
            ..DomainValidation::default()
        }
    };
    certificate.alternative_names.iter().map(one).collect()
}

fn with_colons(bytes: &[u8]) -> String {
    let octets: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    octets.join(":")
}

/// `ecdsa-with-SHA256` is `SHA256WITHECDSA` here.
fn signature_algorithm(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    match (upper.strip_prefix("ECDSA-WITH-"), upper.strip_suffix("ENCRYPTION")) {
        (Some(hash), _) => format!("{hash}WITHECDSA"),
        (_, Some(with_rsa)) => with_rsa.to_owned(),
        _ => upper,
    }
}

fn key_usages(usage: &pkix::KeyUsage) -> Vec<KeyUsageName> {
    let bits = [
        (usage.digital_signature(), KeyUsageName::DigitalSignature),
        (usage.non_repudiation(), KeyUsageName::NonRepudiation),
        (usage.key_encipherment(), KeyUsageName::KeyEncipherment),
        (usage.data_encipherment(), KeyUsageName::DataEncipherment),
        (usage.key_agreement(), KeyUsageName::KeyAgreement),
        (usage.key_cert_sign(), KeyUsageName::CertificateSigning),
        (usage.crl_sign(), KeyUsageName::CrlSigning),
        (usage.encipher_only(), KeyUsageName::EncipherOnly),
        (usage.decipher_only(), KeyUsageName::DecipherOnly),
    ];
    bits.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect()
}

fn extended_key_usage(oid: &str) -> ExtendedKeyUsageName {
    match oid {
        "1.3.6.1.5.5.7.3.1" => ExtendedKeyUsageName::TlsWebServerAuthentication,
        "1.3.6.1.5.5.7.3.2" => ExtendedKeyUsageName::TlsWebClientAuthentication,
        "1.3.6.1.5.5.7.3.3" => ExtendedKeyUsageName::CodeSigning,
        "1.3.6.1.5.5.7.3.4" => ExtendedKeyUsageName::EmailProtection,
        "1.3.6.1.5.5.7.3.5" => ExtendedKeyUsageName::IpsecEndSystem,
        "1.3.6.1.5.5.7.3.6" => ExtendedKeyUsageName::IpsecTunnel,
        "1.3.6.1.5.5.7.3.7" => ExtendedKeyUsageName::IpsecUser,
        "1.3.6.1.5.5.7.3.8" => ExtendedKeyUsageName::TimeStamping,
        "1.3.6.1.5.5.7.3.9" => ExtendedKeyUsageName::OcspSigning,
        "2.5.29.37.0" => ExtendedKeyUsageName::Any,
        _ => ExtendedKeyUsageName::Custom,
    }
}
