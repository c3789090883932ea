//! `countersign.toml`: what belongs to the server as a whole.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use model::Rejection;
use serde::{Deserialize, Deserializer, de::Error};

use crate::answer::Failure;

/// The settings of a server: those of the file, or their defaults. Paths are absolute or relative to the file's directory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where the gateway listens.
    pub(crate) https_addr: SocketAddr,
    /// Where the AWS APIs listen.
    pub(crate) control_addr: SocketAddr,
    /// Where everything is kept.
    pub(crate) data_dir: Option<PathBuf>,
    /// Default region of `countersign env`, and region of the gateway that `up --domain` sets up.
    pub(crate) region: String,
    /// AWS account number: 12 digits.
    #[serde(deserialize_with = "account")]
    pub(crate) account: String,
    /// AWS's own behaviour where the guide differs from it.
    pub(crate) aws_exact: bool,
    /// `{apiId}.execute-api.{region}.{suffix}`
    pub(crate) execute_api_suffix: String,
    /// How clients are refused where a domain's tags do not say; `aws_exact` makes it `aws`.
    pub(crate) rejection: Option<Rejection>,
    pub(crate) control: Control,
    pub(crate) limits: Limits,
    pub(crate) sealing_key: SealingKey,
}

/// `[control]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Control {
    /// PEM, leaf first; with `key`, the control address speaks TLS.
    pub(crate) certificate: Option<PathBuf>,
    /// PEM.
    pub(crate) key: Option<PathBuf>,
    /// Names by which clients may call the control address, besides its address and `localhost`.
    pub(crate) names: Vec<String>,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Connections from one address at a time.
    pub(crate) connections_per_address: u32,
}

/// `[sealing_key]`: the 32 bytes that seal secrets in the store; `sealing.key` in the data directory by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SealingKey {
    /// A file with the 32 bytes.
    pub(crate) file: Option<PathBuf>,
    /// A command, with its arguments, that prints the 32 bytes.
    pub(crate) command: Vec<String>,
}

impl Config {
    /// Reads a file, or gives the defaults.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text =
            fs::read_to_string(path).map_err(|e| Failure::new(format!("cannot read {}: {e}", path.display())))?;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self::parse(&text, absolute.parent().unwrap_or(Path::new("/")))
            .map_err(|e| Failure::new(format!("{}: {e}", path.display())))
    }

    fn parse(text: &str, base: &Path) -> Result<Self, Failure> {
        let mut config: Self = toml::from_str(text).map_err(|e| Failure::new(e.to_string().trim_end()))?;
        let paths = [
            &mut config.data_dir,
            &mut config.control.certificate,
            &mut config.control.key,
            &mut config.sealing_key.file,
        ];
        for path in paths.into_iter().flatten() {
            *path = base.join(&*path);
        }
        if config.control.certificate.is_some() != config.control.key.is_some() {
            return Err(Failure::new("control.certificate and control.key belong together: set both"));
        }
        if config.sealing_key.file.is_some() && !config.sealing_key.command.is_empty() {
            return Err(Failure::new("sealing_key has both file and command: keep one"));
        }
        Ok(config)
    }

    /// A control address that others can reach needs TLS.
    pub(crate) fn check_control_address(&self) -> Result<(), Failure> {
        if self.control_addr.ip().is_loopback() || self.control.certificate.is_some() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "the control address {} is not loopback, so it needs TLS: set control.certificate and control.key in countersign.toml",
            self.control_addr
        )))
    }

    /// How clients are refused where a domain's tags do not say.
    pub(crate) fn rejection(&self) -> Rejection {
        let default = if self.aws_exact { Rejection::Aws } else { Rejection::Respond };
        self.rejection.unwrap_or(default)
    }
}

impl Default for Config {
    fn default() -> Self {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            https_addr: loopback(8443),
            control_addr: loopback(4566),
            data_dir: None,
            region: "us-east-1".to_owned(),
            account: "123456789012".to_owned(),
            aws_exact: false,
            execute_api_suffix: "localhost".to_owned(),
            rejection: None,
            control: Control::default(),
            limits: Limits::default(),
            sealing_key: SealingKey::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections_per_address: 10_000 }
    }
}

fn account<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let account = String::deserialize(deserializer)?;
    if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(account);
    }
    Err(D::Error::custom("an account number has 12 digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("/etc/countersign")).map_err(|e| e.to_string())
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(parse("").unwrap(), Config::default());
        assert_eq!(Config::default().rejection(), Rejection::Respond);
    }

    #[test]
    fn reads_everything() {
        let config = parse(
            r#"
            https_addr = "0.0.0.0:443"
            control_addr = "[::1]:4566"
            data_dir = "data"
            region = "eu-central-1"
            account = "000000000001"
            aws_exact = true
            execute_api_suffix = "gw.internal"
            [control]
            certificate = "c.pem"
            key = "/keys/c.key"
            names = ["gw.internal"]
            [limits]
            connections_per_address = 7
            [sealing_key]
            command = ["vault", "read"]
            "#,
        )
        .unwrap();
        assert_eq!(config.data_dir.as_deref(), Some(Path::new("/etc/countersign/data")));
        assert_eq!(config.control.certificate.as_deref(), Some(Path::new("/etc/countersign/c.pem")));
        assert_eq!(config.control.key.as_deref(), Some(Path::new("/keys/c.key")));
        assert_eq!(config.rejection(), Rejection::Aws);
        assert_eq!(config.limits.connections_per_address, 7);
        assert!(config.https_addr.ip().is_unspecified());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, said) in [
            ("https_adr = \"127.0.0.1:1\"", "unknown field `https_adr`"),
            ("https_addr = \"localhost\"", "invalid socket address"),
            ("account = \"12\"", "12 digits"),
            ("rejection = \"no\"", "unknown variant `no`"),
            ("[limits]\nconnections = 1", "unknown field `connections`"),
            ("[control]\nkey = \"k\"", "belong together"),
            ("[sealing_key]\nfile = \"k\"\ncommand = [\"c\"]", "keep one"),
            ("region = 1", "expected a string"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_reachable_control_address_needs_tls() {
        let check = |text| parse(text).unwrap().check_control_address();
        assert!(check("control_addr = \"127.0.0.2:1\"").is_ok());
        assert!(check("control_addr = \"0.0.0.0:1\"").unwrap_err().to_string().contains("needs TLS"));
        assert!(check("control_addr = \"10.0.0.1:1\"\n[control]\ncertificate = \"c\"\nkey = \"k\"").is_ok());
    }
}
