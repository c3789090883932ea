//! `countersign ca init`

use std::path::PathBuf;

use rcgen::{BasicConstraints, IsCa, KeyUsagePurpose};
use serde_json::json;
use time::OffsetDateTime;

use super::authority::{Authority, params};
use super::files::{self, Pair};
use super::issue::issued;
use super::key::{Key, Kind};
use super::register::{Event, Register};
use super::{DAYS, Place, Urls, failed, instant, names};
use crate::answer::{self, Answer, Failure, Outcome};

#[derive(clap::Args)]
pub(super) struct Init {
    /// Common name of the authority
    pub(super) name: String,
    /// The authority in DIR signs it, instead of itself
    #[arg(long, value_name = "DIR")]
    pub(super) intermediate_of: Option<PathBuf>,
    /// Authorities that may stand below it, one under the other [default: as many as one likes]
    #[arg(long, value_name = "N")]
    pub(super) path_length: Option<u8>,
    /// How long it is good for
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(i64).range(DAYS))]
    pub(super) days: i64,
    #[command(flatten)]
    pub(super) kind: Kind,
    #[command(flatten)]
    pub(super) urls: Urls,
    #[command(flatten)]
    pub(super) place: Place,
}

impl Init {
    pub(super) fn run(&self, now: OffsetDateTime) -> Outcome {
        let (pair, not_after) = self.make(now)?;
        let [certificate, key] = [&pair.certificate, &pair.key].map(|path| path.display().to_string());
        answer::print(&match self.place.json {
            true => json!({"certificate": certificate, "key": key, "notAfter": not_after}).to_string(),
            false => format!("{certificate}\n{key}"),
        });
        Ok(Answer::Yes)
    }

    pub(super) fn make(&self, now: OffsetDateTime) -> Result<(Pair, String), Failure> {
        let dir = &self.place.dir;
        std::fs::create_dir_all(dir).map_err(|e| Failure::new(format!("cannot make {}: {e}", dir.display())))?;
        let pair = Pair::free(dir, "ca", true)?;
        let chain = dir.join("chain.pem");
        files::free(&chain)?;
        let key = Key::generate(&self.kind)?;
        let mut params = params(self.days, now)?;
        params.distinguished_name = names::common(&self.name)?;
        params.is_ca =
            IsCa::Ca(self.path_length.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.crl_distribution_points = self.urls.distribution_points();
        params.custom_extensions.extend(self.urls.information_access()?);
        let Some(above) = &self.intermediate_of else {
            let certificate = params.self_signed(&key).map_err(failed)?;
            pair.write(&certificate.pem(), Some(&key))?;
            return Ok((pair, instant(params.not_after)));
        };
        let above = Authority::read(above)?;
        let mut register = Register::open(&above.dir)?;
        let certificate = above.sign(params, &key)?;
        let issued = issued(&certificate, names::file(&self.name)?, now)?;
        let not_after = issued.not_after.clone();
        register.append(Event::Issued(issued))?;
        files::create(&chain, above.bundle(&certificate.pem()).as_bytes(), 0o644)?;
        pair.write(&certificate.pem(), Some(&key))?;
        Ok((pair, not_after))
    }
}
