//! `countersign.toml`: what belongs to the server as a whole.

mod acme;
mod certificates;
mod dns;
mod lambda;
mod limits;
mod records;
mod sinks;
mod store;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

pub(crate) use self::store::Store;
pub(crate) use acme::Acme;
pub(crate) use certificates::CertificateFiles;
use control::ConsoleAccess;
pub(crate) use dns::Dns;
use edge::Network;
pub(crate) use lambda::Lambda;
pub(crate) use limits::Limits;
use model::Rejection;
pub(crate) use records::{Audit, Records};
use serde::{Deserialize, Deserializer, de::Error};
pub(crate) use sinks::{Aws, Bucket, Filter, Format, Lock, LockMode, Sink, Start, Target, Witness};
use zeroize::Zeroizing;

use crate::answer::Failure;
use crate::fetch::Listed;

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
    /// For so long after it was told to stop everything goes on, but for health, which says so.
    pub(crate) drain_delay_seconds: u32,
    /// Then what was begun has so long to end.
    pub(crate) drain_timeout_seconds: u32,
    pub(crate) acme: Acme,
    pub(crate) audit: Audit,
    pub(crate) certificates: Vec<CertificateFiles>,
    pub(crate) control: Control,
    pub(crate) dns: Dns,
    pub(crate) expiry: Expiry,
    pub(crate) lambda: Lambda,
    pub(crate) limits: Limits,
    pub(crate) proxy_protocol: ProxyProtocol,
    pub(crate) records: Records,
    pub(crate) revocation: Revocation,
    pub(crate) sealing_key: SealingKey,
    pub(crate) sinks: Vec<Sink>,
    pub(crate) store: Store,
    pub(crate) upstream: Upstream,
}

/// `[control]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Control {
    /// PEM, leaf first; with `key`, the control address speaks TLS.
    pub(crate) certificate: Option<PathBuf>,
    /// PEM.
    pub(crate) key: Option<PathBuf>,
    /// Who may open the console: `loopback`, `network` or `off`.
    #[serde(deserialize_with = "console_access")]
    pub(crate) console: ConsoleAccess,
    /// A file with the token for `/_countersign/metrics`.
    pub(crate) metrics_token_file: Option<PathBuf>,
    /// Names by which clients may call the control address, besides its address and `localhost`.
    pub(crate) names: Vec<String>,
}

/// `[expiry]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expiry {
    /// Days before its end from which on a certificate is told once a day; 0: never.
    pub(crate) days: u32,
}

/// `[proxy_protocol]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProxyProtocol {
    /// Peers that say whose connection they pass on, by version 2 of it. They have to.
    #[serde(deserialize_with = "networks")]
    pub(crate) from: Vec<Network>,
}

/// `[revocation]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Revocation {
    /// Addresses to which certificates may lead although they are not public.
    pub(crate) allow: Vec<Listed>,
    /// Where the lists are that the tag `countersign:crl` names `file:NAME`.
    pub(crate) directory: Option<PathBuf>,
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

/// `[upstream]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Upstream {
    /// PEM of CAs by which https backends may be certified, besides those of the system.
    pub(crate) ca_file: Option<PathBuf>,
}

/// A shorter token could be guessed.
const MIN_TOKEN_BYTES: usize = 16;

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
            &mut config.control.metrics_token_file,
            &mut config.lambda.credentials_file,
            &mut config.revocation.directory,
            &mut config.sealing_key.file,
            &mut config.upstream.ca_file,
        ];
        for path in paths.into_iter().flatten() {
            *path = base.join(&*path);
        }
        config.sinks.iter_mut().for_each(|sink| sink.target.place(base));
        config.audit.witness.iter_mut().for_each(|Witness(target)| target.place(base));
        config.store.place(base);
        config.store.check().map_err(Failure::new)?;
        Sink::check(&config.sinks).map_err(Failure::new)?;
        config.certificates.iter_mut().for_each(|files| files.place(base));
        CertificateFiles::check(&config.certificates).map_err(Failure::new)?;
        config.acme.place(base);
        config.acme.check().map_err(Failure::new)?;
        config.dns.check().map_err(Failure::new)?;
        config.audit.check().map_err(Failure::new)?;
        config.lambda.check().map_err(Failure::new)?;
        config.limits.check().map_err(Failure::new)?;
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

    /// Names of the keys, or of the tables, whose values are others in `other`.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let Self {
            https_addr,
            control_addr,
            data_dir,
            region,
            account,
            aws_exact,
            execute_api_suffix,
            rejection,
            drain_delay_seconds,
            drain_timeout_seconds,
            acme,
            audit,
            certificates,
            control,
            dns,
            expiry,
            lambda,
            limits,
            proxy_protocol,
            records,
            revocation,
            sealing_key,
            sinks,
            store,
            upstream,
        } = self;
        let all = [
            ("https_addr", *https_addr != other.https_addr),
            ("control_addr", *control_addr != other.control_addr),
            ("data_dir", *data_dir != other.data_dir),
            ("region", *region != other.region),
            ("account", *account != other.account),
            ("aws_exact", *aws_exact != other.aws_exact),
            ("execute_api_suffix", *execute_api_suffix != other.execute_api_suffix),
            ("rejection", *rejection != other.rejection),
            ("drain_delay_seconds", *drain_delay_seconds != other.drain_delay_seconds),
            ("drain_timeout_seconds", *drain_timeout_seconds != other.drain_timeout_seconds),
            ("acme", *acme != other.acme),
            ("audit", *audit != other.audit),
            ("certificates", *certificates != other.certificates),
            ("control", *control != other.control),
            ("dns", *dns != other.dns),
            ("expiry", *expiry != other.expiry),
            ("lambda", *lambda != other.lambda),
            ("limits", *limits != other.limits),
            ("proxy_protocol", *proxy_protocol != other.proxy_protocol),
            ("records", *records != other.records),
            ("revocation", *revocation != other.revocation),
            ("sealing_key", *sealing_key != other.sealing_key),
            ("sinks", *sinks != other.sinks),
            ("store", *store != other.store),
            ("upstream", *upstream != other.upstream),
        ];
        all.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }

    /// How clients are refused where a domain's tags do not say.
    pub(crate) fn rejection(&self) -> Rejection {
        let default = if self.aws_exact { Rejection::Aws } else { Rejection::Respond };
        self.rejection.unwrap_or(default)
    }
}

impl Control {
    /// What a scraper on another machine has to show.
    pub(crate) fn metrics_token(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        let Some(path) = &self.metrics_token_file else { return Ok(None) };
        let named = |why: String| Failure::new(format!("control.metrics_token_file: {}: {why}", path.display()));
        let text = Zeroizing::new(fs::read_to_string(path).map_err(|e| named(e.to_string()))?);
        let token = text.trim();
        // RFC 6750 section 2.1.
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
        match token.len() >= MIN_TOKEN_BYTES && token.bytes().all(allowed) {
            true => Ok(Some(Zeroizing::new(token.to_owned()))),
            false => Err(named(format!(
                "expected a token of at least {MIN_TOKEN_BYTES} letters and digits, e.g. of openssl rand -hex 32"
            ))),
        }
    }
}

impl Upstream {
    /// PEM of what `ca_file` names.
    pub(crate) fn cas(&self) -> Result<Vec<String>, Failure> {
        let Some(path) = &self.ca_file else { return Ok(Vec::new()) };
        let named = |why: String| Failure::new(format!("upstream.ca_file: {}: {why}", path.display()));
        let pem = fs::read_to_string(path).map_err(|e| named(e.to_string()))?;
        match pem.contains("-----BEGIN CERTIFICATE-----") {
            true => Ok(vec![pem]),
            false => Err(named("no certificate in PEM".to_owned())),
        }
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
            drain_delay_seconds: 0,
            drain_timeout_seconds: 30,
            acme: Acme::default(),
            audit: Audit::default(),
            certificates: Vec::new(),
            control: Control::default(),
            dns: Dns::default(),
            expiry: Expiry::default(),
            lambda: Lambda::default(),
            limits: Limits::default(),
            proxy_protocol: ProxyProtocol::default(),
            records: Records::default(),
            revocation: Revocation::default(),
            sealing_key: SealingKey::default(),
            sinks: Vec::new(),
            store: Store::default(),
            upstream: Upstream::default(),
        }
    }
}

impl Default for Expiry {
    fn default() -> Self {
        Self { days: 30 }
    }
}

fn console_access<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ConsoleAccess, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "loopback" => Ok(ConsoleAccess::Loopback),
        "network" => Ok(ConsoleAccess::Network),
        "off" => Ok(ConsoleAccess::Off),
        other => Err(D::Error::custom(format!("{other:?}: expected loopback, network or off"))),
    }
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Network>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
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
            drain_delay_seconds = 20
            drain_timeout_seconds = 60
            [control]
            certificate = "c.pem"
            key = "/keys/c.key"
            names = ["gw.internal"]
            [dns]
            listen = "127.0.0.1:5353"
            addresses = ["192.0.2.1", "2001:db8::1"]
            name_servers = ["ns1.example.com"]
            [expiry]
            days = 14
            [lambda]
            endpoint = "https://lambda.{region}.amazonaws.com"
            credentials_file = "aws"
            profile = "gateway"
            [limits]
            connections_per_address = 7
            handshake_timeout_seconds = 3
            [proxy_protocol]
            from = ["10.0.0.0/8", "127.0.0.1"]
            [revocation]
            allow = ["10.1.0.0/16", "127.0.0.1:8080"]
            directory = "crls"
            [sealing_key]
            command = ["vault", "read"]
            [store]
            kind = "etcd"
            endpoints = ["https://etcd-1:2379", "https://etcd-2:2379"]
            prefix = "/gateways/eu"
            ca = "etcd-ca.pem"
            certificate = "etcd.pem"
            key = "etcd.key"
            user = "countersign"
            password_file = "etcd-password"
            node = "gw-1"
            [upstream]
            ca_file = "backends.pem"
            "#,
        )
        .unwrap();
        assert_eq!(config.data_dir.as_deref(), Some(Path::new("/etc/countersign/data")));
        assert_eq!(config.control.certificate.as_deref(), Some(Path::new("/etc/countersign/c.pem")));
        assert_eq!(config.control.key.as_deref(), Some(Path::new("/keys/c.key")));
        assert_eq!(config.rejection(), Rejection::Aws);
        assert_eq!((config.drain_delay_seconds, config.drain_timeout_seconds), (20, 60));
        assert_eq!(config.dns.listen.map(|address| address.port()), Some(5353));
        assert_eq!(config.dns.options("127.0.0.1".parse().unwrap()).addresses.len(), 2);
        assert_eq!(config.expiry.days, 14);
        assert_eq!(config.lambda.credentials_file.as_deref(), Some(Path::new("/etc/countersign/aws")));
        assert_eq!(config.limits.edge().connections_per_address, 7);
        assert_eq!(config.limits.edge().handshake_timeout.as_secs(), 3);
        assert_eq!(config.proxy_protocol.from.len(), 2);
        assert_eq!(config.revocation.allow.len(), 2);
        assert_eq!(config.revocation.directory.as_deref(), Some(Path::new("/etc/countersign/crls")));
        assert_eq!(config.upstream.ca_file.as_deref(), Some(Path::new("/etc/countersign/backends.pem")));
        assert!(config.https_addr.ip().is_unspecified());
        let etcd = config.store.etcd().unwrap();
        assert_eq!((etcd.endpoints.len(), etcd.prefix.as_str()), (2, "/gateways/eu"));
        assert_eq!(etcd.password_file.as_deref(), Some(Path::new("/etc/countersign/etcd-password")));
        assert_eq!(Config::default().store.etcd(), None);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, said) in [
            ("https_adr = \"127.0.0.1:1\"", "unknown field `https_adr`"),
            ("https_addr = \"localhost\"", "invalid socket address"),
            ("account = \"12\"", "12 digits"),
            ("rejection = \"no\"", "unknown variant `no`"),
            ("[lambda]\nendpoint = \"lambda\"", "no URL of the Lambda Invoke API"),
            ("[lambda]\ncredentials = \"x\"", "unknown variant `x`"),
            ("[lambda]\ncredentials = \"environment\"\ncredentials_file = \"f\"", "keep one"),
            ("[limits]\nconnection = 1", "unknown field `connection`"),
            ("[limits]\nconnections = 0", "limits.connections is 0; it has to be 1 at least"),
            ("[limits]\nheader_bytes = 100", "limits.header_bytes is 100; it has to be 1024 at least"),
            ("[proxy_protocol]\nfrom = [\"all\"]", "`all` is no network"),
            ("[expiry]\ndays = -1", "invalid value"),
            ("drain_delay_seconds = -1", "invalid value"),
            ("[[certificates]]\nname = \"a\"\ncertificate = \"c\"", "missing field `key`"),
            ("[[certificates]]\nname = \"\"\ncertificate = \"c\"\nkey = \"k\"", "a name of its own"),
            ("[acme]\ndirectory = \"http://a\"", "expected an https URL"),
            ("[acme]\ndirectory = \"https://a\"", "terms of service"),
            ("[acme]\ndirectory = \"https://\"", "expected an https URL"),
            ("[acme]\ndirectory = \"https://a\"\ncontact = [\"ops@a\"]", "acme.contact: expected URLs"),
            ("[acme]\nexternal_account = {key_id = \"a\"}", "key_file"),
            ("[acme]\ncontact = [\"mailto:a\"]", "acme.directory: set the URL"),
            ("[dns]\nlisten = \"localhost\"", "invalid socket address"),
            ("[dns]\nname_servers = []", "needs one at least"),
            ("[dns]\nname_servers = [\"ns\"]", "ns is no name of a host"),
            ("[control]\nkey = \"k\"", "belong together"),
            ("[revocation]\nallow = [\"localhost\"]", "`localhost` is no address"),
            ("[sealing_key]\nfile = \"k\"\ncommand = [\"c\"]", "keep one"),
            ("[store]\nendpoints = [\"http://e:1\"]", "set kind"),
            ("[store]\nkind = \"etcd\"", "one endpoint at least"),
            ("[store]\nkind = \"etcd\"\nendpoints = [\"https://e:1\"]", "need the CA"),
            ("[store]\nkind = \"etcd\"\nendpoints = [\"http://e:1\"]\nnode = \"a/b\"", "no name of a node"),
            ("[store]\nkind = \"etcd\"\nhosts = []", "unknown field `hosts`"),
            ("region = 1", "expected a string"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn differences_have_names() {
        let config = |text| parse(text).unwrap();
        let one = config("region = \"eu-west-1\"\n[expiry]\ndays = 1");
        assert_eq!(one.differences(&Config::default()), ["region", "expiry"]);
        assert!(one.differences(&one.clone()).is_empty());
    }

    #[test]
    fn a_token_is_one_that_cannot_be_guessed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let control = Control { metrics_token_file: Some(path.clone()), ..Control::default() };
        assert!(control.metrics_token().unwrap_err().to_string().contains("metrics_token_file"), "no such file");
        for (text, good) in
            [("0123456789abcdef\n", true), ("0123456789abcde", false), ("0123456789 abcdef", false), ("", false)]
        {
            fs::write(&path, text).unwrap();
            assert_eq!(control.metrics_token().is_ok(), good, "{text:?}");
        }
        assert_eq!(Control::default().metrics_token().unwrap(), None);
    }

    #[test]
    fn cas_of_backends_are_read_or_the_start_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let upstream = Upstream { ca_file: Some(path.clone()) };
        assert!(upstream.cas().unwrap_err().to_string().contains("upstream.ca_file"), "no such file");
        fs::write(&path, "nothing").unwrap();
        assert!(upstream.cas().unwrap_err().to_string().contains("no certificate"));
        fs::write(&path, "-----BEGIN CERTIFICATE-----\n").unwrap();
        assert_eq!(upstream.cas().unwrap().len(), 1);
        assert!(Upstream::default().cas().unwrap().is_empty());
    }

    #[test]
    fn a_reachable_control_address_needs_tls() {
        let check = |text| parse(text).unwrap().check_control_address();
        assert!(check("control_addr = \"127.0.0.2:1\"").is_ok());
        assert!(check("control_addr = \"0.0.0.0:1\"").unwrap_err().to_string().contains("needs TLS"));
        assert!(check("control_addr = \"10.0.0.1:1\"\n[control]\ncertificate = \"c\"\nkey = \"k\"").is_ok());
    }
}
