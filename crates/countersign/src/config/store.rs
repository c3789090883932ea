//! `[store]`: where the settings are kept.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use store::EtcdOptions;

/// `[store]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Store {
    /// Which of them.
    pub(crate) kind: Kind,
    /// `http://HOST:PORT` or `https://HOST:PORT` of etcd's members.
    endpoints: Vec<String>,
    /// With what keys in etcd begin; `/countersign` by default.
    prefix: Option<String>,
    /// PEM of the CAs that certify etcd.
    ca: Option<PathBuf>,
    /// PEM, leaf first; with `key`, shown to etcd.
    certificate: Option<PathBuf>,
    /// PEM.
    key: Option<PathBuf>,
    /// With `password_file`.
    user: Option<String>,
    /// A file with the user's password.
    password_file: Option<PathBuf>,
    /// This node's name among the nodes; one is made up and kept in the data directory by default.
    pub(crate) node: Option<String>,
}

/// `kind`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A file in the data directory.
    #[default]
    File,
    /// Many machines share it.
    Etcd,
}

const PREFIX: &str = "/countersign";
/// Bytes of a node's name.
const MAX_NAME: usize = 128;

impl Store {
    pub(super) fn place(&mut self, base: &Path) {
        let paths = [&mut self.ca, &mut self.certificate, &mut self.key, &mut self.password_file];
        for path in paths.into_iter().flatten() {
            *path = base.join(&*path);
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let is_name = |name: &String| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            (1..=MAX_NAME).contains(&name.len()) && name.chars().all(fits)
        };
        if self.kind == Kind::File && *self != Self::default() {
            return Err("[store] has settings of etcd: set kind = \"etcd\"".to_owned());
        }
        if let Some(name) = self.node.as_ref().filter(|name| !is_name(name)) {
            return Err(format!(
                "store.node: `{name}` is no name of a node: expected letters, digits, `-`, `_` and `.`"
            ));
        }
        self.etcd().map_or(Ok(()), |options| options.check().map_err(|e| format!("[store]: {e}")))
    }

    /// Where etcd is, if settings are kept there.
    pub(crate) fn etcd(&self) -> Option<EtcdOptions> {
        (self.kind == Kind::Etcd).then(|| EtcdOptions {
            endpoints: self.endpoints.clone(),
            prefix: self.prefix.clone().unwrap_or_else(|| PREFIX.to_owned()),
            ca: self.ca.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            user: self.user.clone(),
            password_file: self.password_file.clone(),
        })
    }
}
