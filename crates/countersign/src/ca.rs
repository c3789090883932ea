//! `countersign ca`: a small certificate authority in a directory, for tests and small shops.
//!
//! `ca.pem` and `ca.key` are the authority, `chain.pem` what is above an intermediate one, `ca.jsonl` the register of what it
//! has done, `ca.crl` its last list of revoked certificates.

mod authority;
mod files;
mod init;
mod issue;
mod key;
mod list;
mod names;
mod reason;
mod register;
mod request;
mod revoke;

use std::path::PathBuf;
use std::time::Duration;

use rcgen::{CrlDistributionPoint, CustomExtension};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_cert::der::Encode;
use x509_cert::der::asn1::Ia5String;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::oid::db::rfc5280::{ID_AD_CA_ISSUERS, ID_AD_OCSP};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AccessDescription, AuthorityInfoAccessSyntax};

use crate::answer::{Failure, Outcome};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make a certificate authority: ca.pem and ca.key
    Init(init::Init),
    /// Issue a certificate for a client, for a server, or for a request: NAME.pem, and NAME.key unless the key is the request's
    Issue(issue::Issue),
    /// Revoke a certificate; the next `ca crl` lists it
    Revoke(revoke::Revoke),
    /// Make the list of revoked certificates: ca.crl
    Crl(list::List),
}

/// Of all four.
#[derive(clap::Args)]
struct Place {
    /// The authority's directory
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Addresses that a certificate names.
#[derive(Default, clap::Args)]
struct Urls {
    /// Where the list of revoked certificates can be had; may be given several times
    #[arg(long = "crl-url", value_name = "URL", value_parser = url)]
    crl: Vec<String>,
    /// Where the status of the certificate can be asked; may be given several times
    #[arg(long = "ocsp-url", value_name = "URL", value_parser = url)]
    ocsp: Vec<String>,
    /// Where the issuer's certificate can be had; may be given several times
    #[arg(long = "issuer-url", value_name = "URL", value_parser = url)]
    issuer: Vec<String>,
}

/// How long something is good for. A century is more than any clock here has to count.
const DAYS: std::ops::RangeInclusive<i64> = 1..=36_500;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Others' clocks may be a little behind.
const BACKDATED: Duration = Duration::from_secs(5 * 60);

pub(crate) fn run(args: &Args) -> Outcome {
    let now = now();
    match &args.command {
        Command::Init(init) => init.run(now),
        Command::Issue(issue) => issue.run(now),
        Command::Revoke(revoke) => revoke.run(now),
        Command::Crl(list) => list.run(now),
    }
}

/// To the second: certificates know no fractions.
fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now)
}

impl Urls {
    fn distribution_points(&self) -> Vec<CrlDistributionPoint> {
        self.crl.iter().map(|url| CrlDistributionPoint { uris: vec![url.clone()] }).collect()
    }

    /// Authority information access (RFC 5280 section 4.2.2.1), if there is something to say.
    fn information_access(&self) -> Result<Option<CustomExtension>, Failure> {
        let describe = |method: ObjectIdentifier, url: &String| {
            let location = GeneralName::UniformResourceIdentifier(Ia5String::new(url).map_err(failed)?);
            Ok(AccessDescription { access_method: method, access_location: location })
        };
        let ocsp = self.ocsp.iter().map(|url| describe(ID_AD_OCSP, url));
        let issuer = self.issuer.iter().map(|url| describe(ID_AD_CA_ISSUERS, url));
        let descriptions = ocsp.chain(issuer).collect::<Result<Vec<_>, Failure>>()?;
        if descriptions.is_empty() {
            return Ok(None);
        }
        let value = AuthorityInfoAccessSyntax(descriptions).to_der().map_err(failed)?;
        Ok(Some(CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], value)))
    }
}

fn url(text: &str) -> Result<String, String> {
    match text.contains("://") && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("expected a URL such as http://ca.example.com/ca.crl".to_owned()),
    }
}

/// `2026-11-22T20:40:00Z`
fn instant(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| at.unix_timestamp().to_string())
}

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("cannot make it: {why}"))
}

#[cfg(test)]
mod tests;
