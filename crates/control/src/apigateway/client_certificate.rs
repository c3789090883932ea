//! Certificates that stages show to their backends. API Gateway makes them; their keys never leave it.

use std::sync::Arc;

use aws::apigateway as wire;
use aws::{Error, Timestamp};
use model::resource::ClientCertificate;
use model::{Keyring, State, UnixMillis};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, RsaKeySize,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use super::Draft;
use super::patch::Patch;
use crate::apigatewayv2::check::{optional, other_tags};
use crate::apigatewayv2::page;
use crate::local_ca::random_serial;

/// As on AWS.
const LIFE: Duration = Duration::days(365);
const MAX_DESCRIPTION_CHARS: usize = 1024;
/// AWS's quota of an account and region.
const MAX_CERTIFICATES: usize = 60;
const ID_CHARS: usize = 6;

/// A certificate that signs itself, and its key.
pub(super) struct Made {
    certificate: String,
    key: Zeroizing<String>,
    expires: UnixMillis,
}

impl Made {
    /// A new one. Making its key takes a while.
    pub(super) fn new(at: UnixMillis) -> Result<Self, Error> {
        let failed = |error: rcgen::Error| Error::internal(format!("The certificate could not be made: {error}"));
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(failed)?;
        let now = OffsetDateTime::from_unix_timestamp(at.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let mut params = CertificateParams::default();
        params.not_before = now - Duration::minutes(5);
        params.not_after = now + LIFE;
        params.serial_number = Some(random_serial()?);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "ApiGateway");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        let expires = (now + LIFE).unix_timestamp() * 1000;
        Ok(Self { certificate, key: Zeroizing::new(key.serialize_pem()), expires })
    }
}

pub(super) fn generate(
    draft: &mut Draft<'_>,
    input: &wire::GenerateClientCertificateRequest,
    made: &Made,
    keyring: &Keyring,
) -> Result<wire::ClientCertificate, Error> {
    let tags = input.tags.clone().unwrap_or_default();
    other_tags(&tags)?;
    if in_region(&draft.state, draft.region).count() >= MAX_CERTIFICATES {
        let message = "Maximum number of client certificates for this account has been reached.";
        return Err(Error::too_many_requests("MaxClientCertificates", message));
    }
    let id = draft.fresh_id(ID_CHARS, |state, id| state.client_certificates.contains_key(id))?;
    let private_key = keyring.seal(&ClientCertificate::sealed_for(&id), made.key.as_bytes());
    let certificate = ClientCertificate {
        region: draft.region.to_owned(),
        description: optional("description", input.description.clone(), MAX_DESCRIPTION_CHARS)?,
        certificate: made.certificate.clone(),
        private_key: private_key.map_err(|error| Error::internal(error.to_string()))?,
        created: draft.at,
        expires: made.expires,
        tags,
        id,
    };
    draft.put(&certificate)?;
    Ok(show(&certificate))
}

pub(super) fn get(
    draft: &Draft<'_>,
    input: &wire::GetClientCertificateRequest,
) -> Result<wire::ClientCertificate, Error> {
    Ok(show(&*find(draft, &input.client_certificate_id)?))
}

pub(super) fn list(
    draft: &Draft<'_>,
    input: &wire::GetClientCertificatesRequest,
) -> Result<wire::ClientCertificates, Error> {
    let limit = input.limit.map(|limit| limit.to_string());
    let (items, position) = page::page(
        in_region(&draft.state, draft.region),
        |certificate| certificate.id.clone(),
        |certificate| show(certificate),
        limit.as_deref(),
        input.position.as_deref(),
    )?;
    Ok(wire::ClientCertificates { items, position })
}

pub(super) fn update(
    draft: &mut Draft<'_>,
    input: &wire::UpdateClientCertificateRequest,
) -> Result<wire::ClientCertificate, Error> {
    let mut certificate = ClientCertificate::clone(&*find(draft, &input.client_certificate_id)?);
    for patch in Patch::read(input.patch_operations.as_deref())? {
        match (patch.op, patch.segments.join("/").as_str()) {
            (wire::Op::Replace, "description") => {
                certificate.description = optional("description", Some(patch.value), MAX_DESCRIPTION_CHARS)?;
            }
            _ => return Err(patch.unknown("/description")),
        }
    }
    draft.put(&certificate)?;
    Ok(show(&certificate))
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteClientCertificateRequest) -> Result<(), Error> {
    let certificate = find(draft, &input.client_certificate_id)?;
    let mut stages = draft.state.stages.values().flat_map(|of_api| of_api.values());
    if stages.any(|stage| stage.client_certificate_id.as_deref() == Some(&certificate.id)) {
        return Err(Error::bad_request(format!("Client certificate {} is in use by a stage.", certificate.id)));
    }
    draft.delete::<ClientCertificate>(&certificate)
}

/// A certificate of the region.
pub(crate) fn find(draft: &Draft<'_>, id: &str) -> Result<Arc<ClientCertificate>, Error> {
    let found = draft.state.client_certificates.get(id).filter(|found| found.region == draft.region);
    found.cloned().ok_or_else(|| Error::not_found("Invalid client certificate identifier specified"))
}

fn in_region<'s>(state: &'s State, region: &str) -> impl Iterator<Item = &'s Arc<ClientCertificate>> {
    state.client_certificates.values().filter(move |certificate| certificate.region == region)
}

fn show(certificate: &ClientCertificate) -> wire::ClientCertificate {
    wire::ClientCertificate {
        client_certificate_id: Some(certificate.id.clone()),
        created_date: Some(Timestamp(certificate.created)),
        description: certificate.description.clone(),
        expiration_date: Some(Timestamp(certificate.expires)),
        pem_encoded_certificate: Some(certificate.certificate.clone()),
        tags: Some(certificate.tags.clone()),
    }
}
