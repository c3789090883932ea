//! `[[certificates]]`: certificates that ACM keeps from files on the disk.

use std::path::{Path, PathBuf};

use model::resource::Tags;
use serde::Deserialize;

/// One of `[[certificates]]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateFiles {
    /// What it is called here; its ARN is made of that.
    pub(crate) name: String,
    /// PEM: the leaf, then the certificates above it.
    pub(crate) certificate: PathBuf,
    /// PEM.
    pub(crate) key: PathBuf,
    /// Where it is listed; the server's own region by default.
    pub(crate) region: Option<String>,
    /// Tags of it.
    #[serde(default)]
    pub(crate) tags: Tags,
}

impl CertificateFiles {
    pub(super) fn place(&mut self, base: &Path) {
        self.certificate = base.join(&self.certificate);
        self.key = base.join(&self.key);
    }

    /// Whether each has a name of its own.
    pub(super) fn check(all: &[Self]) -> Result<(), String> {
        for (index, one) in all.iter().enumerate() {
            if one.name.is_empty() || all[..index].iter().any(|other| other.name == one.name) {
                return Err(format!("certificates: each needs a name of its own, `{}` is not", one.name));
            }
        }
        Ok(())
    }
}
