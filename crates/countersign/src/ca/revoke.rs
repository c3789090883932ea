//! `countersign ca revoke`

use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use time::OffsetDateTime;

use super::authority::Authority;
use super::reason::Reason;
use super::register::{Event, Issued, Register, Revoked};
use super::{Place, files, instant};
use crate::answer::{self, Answer, Failure, Outcome};

#[derive(clap::Args)]
pub(super) struct Revoke {
    /// A file with the certificate, or the name that it was issued under, or its serial number in hexadecimal
    #[arg(value_name = "NAME|SERIAL|FILE")]
    pub(super) what: String,
    /// Why
    #[arg(long, value_enum, ignore_case = true, default_value_t = Reason::Unspecified)]
    pub(super) reason: Reason,
    #[command(flatten)]
    pub(super) place: Place,
}

impl Revoke {
    pub(super) fn run(&self, now: OffsetDateTime) -> Outcome {
        let (revoked, is_new) = self.enter(now)?;
        let Revoked { at, serial, subject, reason } = &revoked;
        answer::print(&match self.place.json {
            true => {
                json!({"serial": serial, "subject": subject, "reason": reason, "at": at, "new": is_new}).to_string()
            }
            false => {
                let already = if is_new { "" } else { "already " };
                let next = if is_new { "; `countersign ca crl` makes the list that says so" } else { "" };
                format!("{}, serial {serial}, {already}revoked at {at}{next}", answer::printable(subject))
            }
        });
        Ok(if is_new { Answer::Yes } else { Answer::No })
    }

    /// The revocation, and whether it is new.
    pub(super) fn enter(&self, now: OffsetDateTime) -> Result<(Revoked, bool), Failure> {
        let authority = Authority::read(&self.place.dir)?;
        let mut register = Register::open(&self.place.dir)?;
        let (serial, subject) = find(&self.what, &authority, &register)?;
        if let Some(revoked) = register.revocation_of(&serial) {
            return Ok((revoked.clone(), false));
        }
        let revoked = Revoked { at: instant(now), serial, subject, reason: self.reason };
        register.append(Event::Revoked(revoked.clone()))?;
        Ok((revoked, true))
    }
}

/// Serial number and subject.
fn find(what: &str, authority: &Authority, register: &Register) -> Result<(String, String), Failure> {
    if Path::new(what).is_file() {
        return of_file(Path::new(what), authority);
    }
    // By its name, those that are revoked already left out: it may have been issued again since.
    let is_named = |issued: &&Issued| issued.name == what || common_name(&issued.subject) == what;
    let named: Vec<&Issued> = register.issued().filter(is_named).collect();
    let is_standing = |issued: &&Issued| register.revocation_of(&issued.serial).is_none();
    let standing: Vec<&Issued> = named.iter().copied().filter(is_standing).collect();
    match (standing.as_slice(), named.last()) {
        ([issued], _) | ([], Some(issued)) => return Ok((issued.serial.clone(), issued.subject.clone())),
        ([], None) => {}
        (several, _) => {
            let serials: Vec<&str> = several.iter().map(|issued| issued.serial.as_str()).collect();
            return Err(Failure::new(format!(
                "several certificates have this name; give a serial number: {}",
                serials.join(", ")
            )));
        }
    }
    let serial: String = what.chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
    let found = register.issued().find(|issued| !serial.is_empty() && issued.serial == serial);
    found.map(|issued| (issued.serial.clone(), issued.subject.clone())).ok_or_else(|| {
        Failure::new(format!("{what} is no file, and nothing was issued here under this name or serial number"))
    })
}

/// A certificate of this authority need not be in the register: openssl may have issued it.
fn of_file(path: &Path, authority: &Authority) -> Result<(String, String), Failure> {
    let wrong = |why: String| Failure::new(format!("{}: {why}", path.display()));
    let pem = files::read(path)?;
    let der = CertificateDer::from_pem_slice(&pem).map_err(|e| wrong(e.to_string()))?;
    let certificate = trust::Certificate::from_der(&der).map_err(|e| wrong(e.to_string()))?;
    if certificate.issuer_der() != authority.certificate.subject_der()
        || !certificate.is_signed_by(&authority.certificate)
    {
        return Err(wrong("this authority did not issue it".to_owned()));
    }
    if certificate.der() == authority.certificate.der() {
        return Err(wrong("an authority cannot revoke itself: take it out of the truststores".to_owned()));
    }
    Ok((data_encoding::HEXLOWER.encode(certificate.serial_bytes()), certificate.subject().to_owned()))
}

/// Of a subject that is a common name alone.
fn common_name(subject: &str) -> &str {
    subject.strip_prefix("CN=").unwrap_or_default()
}
