//! `RequestCertificate`: issued at once by the local CA, or ordered from an ACME issuer.

use std::sync::Arc;

use aws::acm::{CertificateExport, CertificateTransparencyLoggingPreference, RequestCertificateRequest};
use aws::{Caller, Error};
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use model::resource::{AcmeOrder, Certificate, CertificateLife, CertificateOrigin, CertificateValidation, Tags};
use model::{Change, State, UnixMillis};

use super::{certificate_arn, checked_tags, validation};
use crate::Control;
use crate::local_ca::{KeyKind, LocalCa};

/// How long a token stands for the same request.
const IDEMPOTENT: UnixMillis = 3_600_000;
const DEFAULT_KEY: &str = "RSA_2048";

impl Control {
    /// Issues a certificate; the answer is its ARN.
    pub(super) async fn issue_certificate(
        &self,
        caller: &Caller,
        input: RequestCertificateRequest,
    ) -> Result<String, Error> {
        if let Some(arn) = input.certificate_authority_arn {
            return Err(Error::client("InvalidArnException", format!("There is no certificate authority {arn}.")));
        }
        let names = names(input.domain_name, input.subject_alternative_names.unwrap_or_default());
        let algorithm = input.key_algorithm.map_or(DEFAULT_KEY, |algorithm| algorithm.as_str());
        let kind = KeyKind::of(algorithm).ok_or_else(|| {
            validation(format!("The key algorithm {algorithm} is not supported for certificates that are requested."))
        })?;
        let options = input.options.clone().unwrap_or_default();
        // What is not said is wanted, as on AWS: Terraform makes a certificate anew that says otherwise.
        let unlogged = CertificateTransparencyLoggingPreference::Disabled;
        let life = CertificateLife {
            exportable: options.export == Some(CertificateExport::Enabled),
            logged: options.certificate_transparency_logging_preference != Some(unlogged),
            ..CertificateLife::default()
        };
        let tags = checked_tags(Tags::new(), input.tags.unwrap_or_default())?;
        let at = self.now();
        let mut arn = self.new_certificate_arn(caller)?;
        if let Some(token) = &input.idempotency_token {
            let same = certificate_arn(caller, &id_of(token, &names, algorithm));
            match self.settings().state().certificates.get(&same) {
                Some(made) if at - made.created < IDEMPOTENT => return Ok(same),
                Some(_) => {}
                None => arn = same,
            }
        }
        if self.config().acme {
            return self.order_certificate(caller, Wanted { arn, names, algorithm, life, tags }).await;
        }
        let (state, keyring) = (self.settings().state(), Arc::clone(self.keyring()));
        let (subjects, sealed_for) = (names.clone(), arn.clone());
        // RSA keys take a while to be found.
        let issued = tokio::task::spawn_blocking(move || {
            let issued = LocalCa::open(&state, &keyring)?.issue(&subjects, kind, at)?;
            let sealed = keyring.seal(&sealed_for, issued.private_key.as_bytes());
            Ok::<_, Error>((sealed.map_err(|e| Error::internal(e.to_string()))?, issued))
        });
        let (private_key, issued) =
            issued.await.map_err(|_| Error::internal("The certificate could not be issued."))??;
        let made = Certificate {
            region: caller.region.clone(),
            domain_name: names.first().cloned().unwrap_or_default(),
            alternative_names: names,
            certificate: issued.certificate,
            chain: Some(issued.chain),
            private_key,
            origin: CertificateOrigin::AmazonIssued,
            key_algorithm: algorithm.to_owned(),
            created: at,
            life,
            tags,
            arn: arn.clone(),
        };
        // Of two requests with one token the first one counts.
        let rule = |state: &State| match state.certificates.contains_key(&made.arn) {
            true => Ok((Vec::new(), ())),
            false => Ok((vec![Change::put(&made)], ())),
        };
        self.settings().change(caller, rule).await?;
        Ok(arn)
    }
}

/// A certificate that an issuer is to be asked for.
struct Wanted {
    arn: String,
    names: Vec<String>,
    algorithm: &'static str,
    life: CertificateLife,
    tags: Tags,
}

impl Control {
    /// Keeps a request, for whoever talks to the issuer.
    async fn order_certificate(&self, caller: &Caller, wanted: Wanted) -> Result<String, Error> {
        let Wanted { arn, names, algorithm, life, tags } = wanted;
        if let Some(name) = names.iter().find(|name| name.starts_with("*.")) {
            // RFC 8555 section 8.3, RFC 8737 section 3.
            return Err(validation(format!(
                "The wildcard {name} cannot be validated: ACME issuers give wildcards for DNS records only. Name the hosts."
            )));
        }
        let at = self.now();
        let none = self.keyring().seal(&arn, b"").map_err(|e| Error::internal(e.to_string()))?;
        let pending = Certificate {
            region: caller.region.clone(),
            domain_name: names.first().cloned().unwrap_or_default(),
            alternative_names: names,
            certificate: String::new(),
            chain: None,
            private_key: none,
            origin: CertificateOrigin::AmazonIssued,
            key_algorithm: algorithm.to_owned(),
            created: at,
            life: CertificateLife { acme: true, validation: Some(CertificateValidation::Pending), ..life },
            tags,
            arn,
        };
        let rule = |state: &State| match state.certificates.contains_key(&pending.arn) {
            true => Ok((Vec::new(), ())),
            false => Ok((vec![Change::put(&pending), Change::put(&AcmeOrder::new(&pending.arn, at))], ())),
        };
        self.settings().change(caller, rule).await?;
        Ok(pending.arn)
    }
}

/// The domain first, each name once, lowercase.
fn names(domain: String, alternative: Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in std::iter::once(domain).chain(alternative) {
        let name = name.to_ascii_lowercase();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// An id in the form of a UUID that the same request leads to again, after a restart too.
fn id_of(token: &str, names: &[String], algorithm: &str) -> String {
    let request = format!("{token}\n{algorithm}\n{}", names.join("\n"));
    let mut hash = HEXLOWER.encode(&digest(&SHA256, request.as_bytes()).as_ref()[..16]);
    hash.replace_range(12..13, "8");
    hash.replace_range(16..17, "8");
    [&hash[..8], &hash[8..12], &hash[12..16], &hash[16..20], &hash[20..]].join("-")
}
