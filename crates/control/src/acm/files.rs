//! Certificates that are kept in files on this machine's disk: imported under an ARN that stays, and again whenever they change.

use aws::Error;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use model::resource::{Certificate, CertificateLife, Tags};
use model::{Change, State};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::import::Material;
use super::{checked_tags, validation};
use crate::{By, Control};
use aws::acm::Tag;

/// What files hold.
pub struct FileCertificate<'a> {
    /// What the configuration calls it: its ARN is made of that.
    pub name: &'a str,
    /// Where it is listed.
    pub region: &'a str,
    /// PEM: the leaf, then the certificates above it.
    pub certificates: &'a [u8],
    /// PEM.
    pub private_key: &'a [u8],
    /// Tags that the configuration names.
    pub tags: &'a Tags,
}

impl Control {
    /// The ARN of the certificate that the configuration calls `name`.
    pub fn arn_of_file(&self, region: &str, name: &str) -> String {
        let mut hash = HEXLOWER.encode(&digest(&SHA256, format!("file\n{region}\n{name}").as_bytes()).as_ref()[..16]);
        hash.replace_range(12..13, "8");
        hash.replace_range(16..17, "8");
        let id = [&hash[..8], &hash[8..12], &hash[12..16], &hash[16..20], &hash[20..]].join("-");
        format!("arn:aws:acm:{region}:{}:certificate/{id}", self.config().account)
    }

    /// Imports what files hold, where it is another than before. What does not hold together changes nothing. The answer says
    /// whether something has changed.
    pub async fn keep_file_certificate(&self, file: &FileCertificate<'_>) -> Result<bool, Error> {
        let at = self.now();
        let (leaf, above) = apart(file.certificates)?;
        let material = Material::read(leaf.as_bytes(), file.private_key, above.as_deref().map(str::as_bytes), at)?;
        let wanted = file.tags.iter().map(|(key, value)| Tag { key: key.clone(), value: Some(value.clone()) });
        let tags = checked_tags(Tags::new(), wanted.collect())?;
        let arn = self.arn_of_file(file.region, file.name);
        let made = material.into_certificate(self.keyring(), arn, file.region.to_owned(), tags, at)?;
        let made = Certificate { life: CertificateLife { file: Some(file.name.to_owned()), ..made.life }, ..made };
        let rule = |state: &State| match state.certificates.get(&made.arn) {
            Some(there) if is_same(there, &made) => Ok((Vec::new(), false)),
            _ => Ok((vec![Change::put(&made)], true)),
        };
        self.settings().change(By::Server("ImportCertificateFiles"), rule).await
    }

    /// What the configuration names no more is a certificate like any other from then on.
    pub async fn keep_only_file_certificates(&self, arns: &[String]) -> Result<(), Error> {
        let rule = |state: &State| {
            let gone = state.certificates.values().filter(|c| c.life.file.is_some() && !arns.contains(&c.arn));
            let changes = gone.map(|gone| {
                let life = CertificateLife { file: None, ..gone.life.clone() };
                Change::put(&Certificate { life, ..Certificate::clone(gone) })
            });
            Ok((changes.collect(), ()))
        };
        self.settings().change(By::Server("ForgetCertificateFiles"), rule).await
    }
}

/// A certificate that is kept in files is changed there.
pub(super) fn is_not_of_files(certificate: &Certificate) -> Result<(), Error> {
    match &certificate.life.file {
        None => Ok(()),
        Some(name) => Err(validation(format!(
            "The certificate {} is kept in files, as {name} of the configuration's certificates: change these.",
            certificate.arn
        ))),
    }
}

/// The key may have been sealed anew, but belongs to the certificate.
fn is_same(there: &Certificate, made: &Certificate) -> bool {
    (&there.certificate, &there.chain, &there.tags, &there.life.file)
        == (&made.certificate, &made.chain, &made.tags, &made.life.file)
}

/// The leaf, and what is above it.
pub(super) fn apart(pem: &[u8]) -> Result<(String, Option<String>), Error> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect();
    let (leaf, above) = all.split_first().ok_or_else(|| validation("There is no certificate in PEM."))?;
    let pem = |der: &CertificateDer<'_>| {
        trust::Certificate::from_der(der)
            .map(|certificate| certificate.pem())
            .map_err(|_| validation("A certificate cannot be read."))
    };
    let chain: String = above.iter().map(pem).collect::<Result<_, _>>()?;
    Ok((pem(leaf)?, (!chain.is_empty()).then_some(chain)))
}
