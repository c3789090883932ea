//! `countersign truststore`: truststores, as files and in the life of a domain.

mod build;
mod diff;
mod endpoint;
mod history;
mod lint;
mod preview;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;
use trust::{Finding, Truststore, UnixSeconds};

use crate::answer::{Failure, Outcome};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say what is wrong with a truststore; answers no when a certificate in it cannot be used
    Lint(lint::Args),
    /// Say what changes from one truststore to another, and for whom; answers no when something does
    Diff(diff::Args),
    /// Put a truststore together from files, directories and what servers show; answers as lint does
    Build(build::Args),
    /// Say which clients a change of whom a domain trusts would shut out; answers no when some would be
    Preview(preview::Args),
    /// List the truststores that a domain has and had; each can be set again
    History(history::Args),
}

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Lint(args) => lint::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Build(args) => build::run(args),
        Command::Preview(args) => preview::run(args),
        Command::History(args) => history::run(args),
    }
}

/// Reads a truststore that a command is about.
fn compile(file: &Path, at: UnixSeconds) -> Result<(Truststore, Vec<Finding>), Failure> {
    Truststore::compile(&read(file)?, at).map_err(|e| Failure::new(format!("{}: {e}", file.display())))
}

/// One byte more than a truststore may have is enough to see that it is too large.
fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(trust::MAX_BYTES as u64 + 1).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|e| Failure::new(format!("cannot read {}: {e}", file.display())))
}

/// Of a domain in the server's own API.
fn domain_path(domain: &str) -> String {
    format!("/_countersign/api/v1/domains/{}", utf8_percent_encode(domain, NON_ALPHANUMERIC))
}

fn now() -> UnixSeconds {
    OffsetDateTime::now_utc().unix_timestamp()
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

    use super::*;

    pub(super) const NOW: UnixSeconds = 1_763_830_800;

    /// An authority and its key.
    pub(super) struct Ca {
        issuer: Issuer<'static, KeyPair>,
        pub(super) pem: String,
    }

    impl Ca {
        pub(super) fn root(name: &str) -> Self {
            let (key, params) = (KeyPair::generate().unwrap(), params(name));
            let pem = params.self_signed(&key).unwrap().pem();
            Self { issuer: Issuer::new(params, key), pem }
        }

        pub(super) fn issue(&self, name: &str) -> Self {
            let (key, params) = (KeyPair::generate().unwrap(), params(name));
            let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
            Self { issuer: Issuer::new(params, key), pem }
        }
    }

    /// Of a CA that is valid for a year from [`NOW`] on.
    fn params(name: &str) -> CertificateParams {
        let at = |days: i64| OffsetDateTime::from_unix_timestamp(NOW + days * 86_400).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (at(-30), at(365));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
    }
}
