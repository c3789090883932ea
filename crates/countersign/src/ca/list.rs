//! `countersign ca crl`

use std::path::PathBuf;

use data_encoding::HEXLOWER_PERMISSIVE;
use rcgen::{CertificateRevocationListParams, RevokedCertParams, SerialNumber};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_cert::crl::CertificateList;
use x509_cert::der::{Decode, Encode};

use super::authority::{Authority, days_after, unwritable};
use super::register::{Crl, Event, Register, Revoked};
use super::{BACKDATED, DAYS, Place, failed, files, instant};
use crate::answer::{self, Answer, Failure, Outcome};
use crate::pem;

#[derive(clap::Args)]
pub(super) struct List {
    /// Until when the next one is there
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(DAYS))]
    pub(super) days: i64,
    /// Where the list goes; it takes the place of the one before [default: ca.crl beside ca.pem]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// DER instead of PEM: what the URL that certificates name has to serve
    #[arg(long)]
    pub(super) der: bool,
    #[command(flatten)]
    pub(super) place: Place,
}

impl List {
    pub(super) fn run(&self, now: OffsetDateTime) -> Outcome {
        let (path, crl) = self.make(now)?;
        let path = path.display().to_string();
        answer::print(&match self.place.json {
            true => json!({
                "crl": path, "number": crl.number, "revoked": crl.revoked, "thisUpdate": crl.at, "nextUpdate": crl.next_update,
            })
            .to_string(),
            false => path,
        });
        Ok(Answer::Yes)
    }

    pub(super) fn make(&self, now: OffsetDateTime) -> Result<(PathBuf, Crl), Failure> {
        let authority = Authority::read(&self.place.dir)?;
        authority.check_may_sign_lists()?;
        let mut register = Register::open(&self.place.dir)?;
        let number = register.next_crl_number();
        let this_update = now - BACKDATED;
        let next_update = days_after(now, self.days)?;
        let list = CertificateRevocationListParams {
            this_update,
            next_update,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: register.revoked().map(entry).collect::<Result<_, _>>()?,
            key_identifier_method: authority.key_id.clone(),
        };
        let signed = list.signed_by(&authority.issuer).map_err(failed)?;
        let read = <CertificateList>::from_der(signed.der()).map_err(failed)?;
        if read.tbs_cert_list.issuer.to_der().map_err(failed)? != authority.certificate.subject_der() {
            return Err(unwritable());
        }
        let revoked = list.revoked_certs.len();
        let crl = Crl { at: instant(this_update), number, next_update: instant(next_update), revoked };
        register.append(Event::Crl(crl.clone()))?;
        let path = self.out.clone().unwrap_or_else(|| self.place.dir.join("ca.crl"));
        let bytes = if self.der { signed.der().to_vec() } else { pem::write("X509 CRL", signed.der()).into_bytes() };
        files::replace(&path, &bytes)?;
        Ok((path, crl))
    }
}

fn entry(revoked: &Revoked) -> Result<RevokedCertParams, Failure> {
    let unreadable = || Failure::new(format!("ca.jsonl: the revocation of {} cannot be read", revoked.serial));
    let serial = HEXLOWER_PERMISSIVE.decode(revoked.serial.as_bytes()).map_err(|_| unreadable())?;
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from_slice(&serial),
        revocation_time: OffsetDateTime::parse(&revoked.at, &Rfc3339).map_err(|_| unreadable())?,
        reason_code: revoked.reason.on_list(),
        invalidity_date: None,
    })
}
