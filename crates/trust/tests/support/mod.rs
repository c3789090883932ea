//! Certificates for the tests: by the real `openssl` where it must be X.509 v1 or weak, by rcgen elsewhere.

#![allow(dead_code)]

pub mod forge;
pub mod list;

use std::path::PathBuf;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use trust::{Judgment, Policy, Truststore, Unrevoked};

/// 2026-11-22T00:00:00Z, within the validity of everything that rcgen makes here unless told otherwise.
pub const NOW: i64 = 1_795_305_600;

/// A minute from now: openssl stamps what it makes with the real time.
pub fn soon() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970");
    since.as_secs() as i64 + 60
}

/// A directory in which `openssl` works.
pub struct OpenSsl(tempfile::TempDir);

impl OpenSsl {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Runs `openssl` with blank-separated arguments; file names are relative to the directory.
    pub fn run(&self, arguments: &str) -> &Self {
        let output = self.output(arguments);
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        self
    }

    /// Whether the command exits with 0.
    pub fn succeeds(&self, arguments: &str) -> bool {
        self.output(arguments).status.success()
    }

    fn output(&self, arguments: &str) -> std::process::Output {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(self.0.path()).output().expect("openssl is installed")
    }

    pub fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.path(name), text).expect("the directory is writable");
        self
    }

    pub fn write_bytes(&self, name: &str, bytes: &[u8]) -> &Self {
        std::fs::write(self.path(name), bytes).expect("the directory is writable");
        self
    }

    pub fn pem(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("openssl wrote the file")
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("openssl wrote the file")
    }

    pub fn der(&self, name: &str) -> Vec<u8> {
        self.run(&format!("x509 -in {name} -outform DER -out {name}.der"));
        std::fs::read(self.path(&format!("{name}.der"))).expect("openssl wrote the file")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

pub fn truststore(pem: &str) -> Truststore {
    Truststore::compile(pem.as_bytes(), NOW).expect("a truststore").0
}

pub fn judge(truststore: &Truststore, chain: &[&[u8]], at: i64) -> Judgment {
    truststore.judge(chain, &Policy::default(), &Unrevoked, at)
}

/// The refusal's code as text, or `accepted`.
pub fn outcome(judgment: &Judgment) -> String {
    judgment.refusal().map_or_else(|| "accepted".to_owned(), |refusal| refusal.code.to_string())
}

/// An authority made by rcgen.
pub struct Authority {
    pub issuer: Issuer<'static, KeyPair>,
    pub certificate: rcgen::Certificate,
}

/// Parameters with only a common name, valid from 2020 to 2040.
pub fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    params.use_authority_key_identifier_extension = true;
    params
}

/// Parameters of a CA that may sign certificates.
pub fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Parameters of a client.
pub fn leaf_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

pub fn new_key() -> KeyPair {
    KeyPair::generate().expect("keys can be made")
}

impl Authority {
    pub fn root(name: &str) -> Self {
        Self::root_of(ca_params(name))
    }

    pub fn root_of(params: CertificateParams) -> Self {
        let key = new_key();
        let certificate = params.self_signed(&key).expect("rcgen signs");
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    pub fn sub(&self, name: &str) -> Self {
        self.sub_of(ca_params(name))
    }

    pub fn sub_of(&self, params: CertificateParams) -> Self {
        self.sub_with(params, new_key())
    }

    pub fn sub_with(&self, params: CertificateParams, key: KeyPair) -> Self {
        let certificate = params.signed_by(&key, &self.issuer).expect("rcgen signs");
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A client's certificate, DER.
    pub fn leaf(&self, name: &str) -> Vec<u8> {
        self.leaf_of(leaf_params(name))
    }

    pub fn leaf_of(&self, params: CertificateParams) -> Vec<u8> {
        params.signed_by(&new_key(), &self.issuer).expect("rcgen signs").der().to_vec()
    }

    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    pub fn der(&self) -> &[u8] {
        self.certificate.der()
    }
}

/// The PEM of several authorities.
pub fn bundle(authorities: &[&Authority]) -> String {
    authorities.iter().map(|authority| authority.pem()).collect()
}

/// PEM of any DER certificate.
pub fn pem_of(der: &[u8]) -> String {
    trust::Certificate::from_der(der).expect("a certificate").pem()
}
