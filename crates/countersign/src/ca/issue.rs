//! `countersign ca issue`

use std::path::PathBuf;

use rcgen::{
    Certificate, CertificateParams, ExtendedKeyUsagePurpose, KeyUsagePurpose, PublicKeyData, SignatureAlgorithm,
};
use serde_json::json;
use time::OffsetDateTime;

use super::authority::{Authority, params};
use super::files::Pair;
use super::key::{Key, Kind};
use super::register::{Event, Issued, Register};
use super::request::Request;
use super::{DAYS, Place, Urls, failed, instant, names};
use crate::answer::{self, Answer, Failure, Outcome};

#[derive(clap::Args)]
pub(super) struct Issue {
    /// Common name of the subject; with --csr, instead of the subject that is asked for
    #[arg(required_unless_present = "csr")]
    pub(super) name: Option<String>,
    /// For a server of this name or address; may be given several times
    #[arg(long = "server", value_name = "NAME")]
    pub(super) servers: Vec<String>,
    /// For a client, which it is too where no server is named
    #[arg(long)]
    pub(super) client: bool,
    /// Another name of the subject: dns:NAME, uri:URI, email:ADDRESS or ip:ADDRESS; may be given several times
    #[arg(long = "san", value_name = "KIND:NAME")]
    pub(super) alternatives: Vec<String>,
    /// For the key and the subject of this certificate signing request; whatever else it asks for is not granted
    #[arg(long, value_name = "FILE", conflicts_with = "rsa")]
    pub(super) csr: Option<PathBuf>,
    /// How long it is good for
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i64).range(DAYS))]
    pub(super) days: i64,
    #[command(flatten)]
    pub(super) kind: Kind,
    #[command(flatten)]
    pub(super) urls: Urls,
    #[command(flatten)]
    pub(super) place: Place,
}

/// What came of it.
pub(super) struct Made {
    pub(super) pair: Pair,
    pub(super) has_key: bool,
    pub(super) issued: Issued,
    /// What the request asked for besides.
    pub(super) not_granted: Vec<String>,
}

impl Issue {
    pub(super) fn run(&self, now: OffsetDateTime) -> Outcome {
        let made = self.make(now)?;
        let certificate = made.pair.certificate.display().to_string();
        let key = made.has_key.then(|| made.pair.key.display().to_string());
        for asked in &made.not_granted {
            answer::warn(&format!("the request asks for {}, which is not granted", answer::printable(asked)));
        }
        let Issued { serial, subject, not_after, sha256, .. } = made.issued;
        answer::print(&match self.place.json {
            true => json!({
                "certificate": certificate, "key": key, "serial": serial, "subject": subject, "notAfter": not_after,
                "sha256": sha256, "notGranted": made.not_granted,
            })
            .to_string(),
            false => [Some(certificate), key].into_iter().flatten().collect::<Vec<_>>().join("\n"),
        });
        Ok(Answer::Yes)
    }

    pub(super) fn make(&self, now: OffsetDateTime) -> Result<Made, Failure> {
        let authority = Authority::read(&self.place.dir)?;
        let mut register = Register::open(&self.place.dir)?;
        let request = self.csr.as_deref().map(Request::read).transpose()?;
        let mut params = self.params(now)?;
        let common_name = match (&self.name, &request) {
            (Some(name), _) => {
                params.distinguished_name = names::common(name)?;
                name.clone()
            }
            (None, Some(request)) => {
                params.distinguished_name = request.subject()?;
                request.common_name()?
            }
            (None, None) => return Err(Failure::new("give a NAME, or --csr FILE")),
        };
        let name = names::file(&common_name)?;
        let pair = Pair::free(&self.place.dir, &name, request.is_none())?;
        let holder = request
            .map_or_else(|| Key::generate(&self.kind).map(Holder::New), |it| Ok(Holder::Requesting(Box::new(it))))?;
        let certificate = authority.sign(params, &holder)?;
        if let (None, Holder::Requesting(request)) = (&self.name, &holder) {
            request.check_subject_of(&certificate)?;
        }
        let issued = issued(&certificate, name, now)?;
        register.append(Event::Issued(issued.clone()))?;
        pair.write(&authority.bundle(&certificate.pem()), holder.key())?;
        let has_key = holder.key().is_some();
        let not_granted = match holder {
            Holder::New(_) => Vec::new(),
            Holder::Requesting(request) => request.not_granted,
        };
        Ok(Made { pair, has_key, issued, not_granted })
    }

    fn params(&self, now: OffsetDateTime) -> Result<CertificateParams, Failure> {
        let mut params = params(self.days, now)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if !self.servers.is_empty() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if self.client || self.servers.is_empty() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        for name in &self.servers {
            params.subject_alt_names.push(names::server(name)?);
        }
        for name in &self.alternatives {
            params.subject_alt_names.push(names::alternative(name)?);
        }
        params.crl_distribution_points = self.urls.distribution_points();
        params.custom_extensions.extend(self.urls.information_access()?);
        Ok(params)
    }
}

/// Who has the private key.
enum Holder {
    /// It is made here, and given to whom it is for.
    New(Key),
    /// Whoever asks has kept it.
    Requesting(Box<Request>),
}

impl Holder {
    fn key(&self) -> Option<&Key> {
        match self {
            Self::New(key) => Some(key),
            Self::Requesting(_) => None,
        }
    }
}

impl PublicKeyData for Holder {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Self::New(key) => key.der_bytes(),
            Self::Requesting(request) => request.der_bytes(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            Self::New(key) => key.algorithm(),
            Self::Requesting(request) => request.algorithm(),
        }
    }
}

/// For the register.
pub(super) fn issued(certificate: &Certificate, name: String, now: OffsetDateTime) -> Result<Issued, Failure> {
    let certificate = trust::Certificate::from_der(certificate.der()).map_err(failed)?;
    let not_after = OffsetDateTime::from_unix_timestamp(certificate.not_after()).map_err(failed)?;
    Ok(Issued {
        at: instant(now),
        serial: data_encoding::HEXLOWER.encode(certificate.serial_bytes()),
        name,
        subject: certificate.subject().to_owned(),
        not_after: instant(not_after),
        sha256: certificate.fingerprint_hex(),
    })
}
