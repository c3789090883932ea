//! The files that were given.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use trust::{Certificate, Crl, Finding, Truststore};
use zeroize::Zeroizing;

use crate::answer::Failure;

/// Where they are.
pub(super) struct Paths<'a> {
    pub(super) cert: Option<&'a Path>,
    pub(super) key: Option<&'a Path>,
    pub(super) truststore: Option<&'a Path>,
    pub(super) crls: &'a [PathBuf],
    pub(super) ca_file: Option<&'a Path>,
    /// Of the gateway that was named.
    pub(super) local_ca: Option<&'a Path>,
}

/// What is in them.
pub(super) struct Files {
    pub(super) client: Option<ClientFiles>,
    pub(super) truststore: Option<TruststoreFile>,
    pub(super) crls: Vec<Arc<Crl>>,
    /// CAs for the server's certificate; none: the system has none either.
    pub(super) server_cas: Option<ServerCas>,
}

/// `--cert` and `--key`.
pub(super) struct ClientFiles {
    pub(super) cert_file: String,
    pub(super) key_file: String,
    /// DER in the file's order; or why there is none.
    pub(super) chain: Result<Vec<Vec<u8>>, String>,
    /// Those of the chain that can be read, by their place.
    pub(super) certificates: Vec<(usize, Certificate)>,
    pub(super) key: Result<Arc<dyn SigningKey>, KeyFault>,
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyFault {
    Encrypted,
    /// It is one, of a kind or size that TLS libraries refuse to sign with.
    Unsupported,
    None(String),
}

/// `--truststore`, or the one that the settings name.
pub(super) struct TruststoreFile {
    pub(super) name: String,
    pub(super) compiled: Result<Truststore, String>,
    pub(super) findings: Vec<Finding>,
}

/// By whom the server may be certified.
pub(super) struct ServerCas {
    pub(super) name: String,
    pub(super) certificates: Vec<Certificate>,
    /// Whether somebody named them; the system's are a guess.
    pub(super) named: bool,
}

/// Of a file that is read.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

impl Files {
    pub(super) fn read(paths: &Paths<'_>) -> Result<Self, Failure> {
        let client = match (paths.cert, paths.key) {
            (Some(cert), Some(key)) => Some(ClientFiles::read(cert, key)?),
            _ => None,
        };
        let truststore = paths.truststore.map(|file| Ok(TruststoreFile::of(shown(file), &bytes(file)?)));
        let mut crls = Vec::new();
        for file in paths.crls {
            let lists = Crl::read(&bytes(file)?).map_err(|e| Failure::new(format!("{}: {e}", file.display())))?;
            crls.extend(lists.into_iter().map(Arc::new));
        }
        let server_cas = match paths.ca_file {
            Some(file) => Some(ServerCas::read(file)?),
            None => ServerCas::known(paths.local_ca),
        };
        Ok(Self { client, truststore: truststore.transpose()?, crls, server_cas })
    }
}

impl ClientFiles {
    fn read(cert: &Path, key: &Path) -> Result<Self, Failure> {
        let chain = chain(&bytes(cert)?);
        let read = |(place, der): (usize, &Vec<u8>)| Some((place, Certificate::from_der(der).ok()?));
        let certificates = chain.iter().flatten().enumerate().filter_map(read).collect();
        let key_bytes = Zeroizing::new(bytes(key)?);
        Ok(Self { cert_file: shown(cert), key_file: shown(key), chain, certificates, key: private_key(&key_bytes) })
    }

    /// The first certificate, which is what the client is judged by.
    pub(super) fn leaf(&self) -> Option<&Certificate> {
        self.certificates.first().filter(|(place, _)| *place == 0).map(|(_, certificate)| certificate)
    }

    /// Whether a certificate is about the key.
    pub(super) fn is_of_key(&self, certificate: &Certificate) -> Option<bool> {
        let key = self.key.as_ref().ok()?;
        Some(key.public_key()?.as_ref() == certificate.public_key_der())
    }

    /// What is shown to the server, where it can be: the chain as it is in the file.
    pub(super) fn certified_key(&self) -> Option<CertifiedKey> {
        let chain = self.chain.as_ref().ok()?;
        let key = self.key.as_ref().ok()?;
        if self.leaf().is_some_and(|leaf| self.is_of_key(leaf) == Some(false)) {
            return None;
        }
        // Not `CertifiedKey::from_der`: it reads the certificate, and refuses X.509 v1.
        Some(CertifiedKey::new(chain.iter().map(|der| CertificateDer::from(der.clone())).collect(), key.clone()))
    }
}

impl TruststoreFile {
    pub(super) fn of(name: String, pem: &[u8]) -> Self {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let (compiled, findings) = match Truststore::compile(pem, now) {
            Ok((truststore, findings)) => (Ok(truststore), findings),
            Err(e) => (Err(e.to_string()), e.findings()),
        };
        Self { name, compiled, findings }
    }
}

impl ServerCas {
    fn read(file: &Path) -> Result<Self, Failure> {
        let pem = bytes(file)?;
        let certificates: Vec<Certificate> =
            CertificateDer::pem_slice_iter(&pem).filter_map(|der| Certificate::from_der(&der.ok()?).ok()).collect();
        if certificates.is_empty() {
            return Err(Failure::new(format!("{}: no certificate in it", file.display())));
        }
        Ok(Self { name: shown(file), certificates, named: true })
    }

    /// Those that a client on this machine may know: of the system, and of a gateway that it works with.
    fn known(local: Option<&Path>) -> Option<Self> {
        let variable = std::env::var_os("COUNTERSIGN_CA_FILE").filter(|value| !value.is_empty()).map(PathBuf::from);
        let system = SYSTEM_BUNDLES.iter().find_map(|file| Self::read(Path::new(file)).ok());
        let own = [local.map(Path::to_owned), variable].into_iter().flatten().filter_map(|file| Self::read(&file).ok());
        let all: Vec<Self> = own.chain(system).collect();
        let name = all.iter().map(|cas| cas.name.as_str()).collect::<Vec<_>>().join(" and ");
        let certificates: Vec<Certificate> = all.into_iter().flat_map(|cas| cas.certificates).collect();
        (!certificates.is_empty()).then_some(Self { name, certificates, named: false })
    }
}

fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut found = Vec::new();
    let read = File::open(file).and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut found));
    read.map(|_| found).map_err(|e| Failure::new(format!("cannot read {}: {e}", file.display())))
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

/// The certificates of a PEM text.
fn chain(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(bytes).map(|der| der.map(|der| der.to_vec())).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Err(_) => Err("its PEM is broken".to_owned()),
        // Lint knows the forms in which certificates come instead, and how they become PEM.
        Ok(_) => Err(match Truststore::compile(bytes, 0) {
            Err(e) => e.to_string(),
            Ok(_) => "no certificate is in it".to_owned(),
        }),
    }
}

fn private_key(bytes: &[u8]) -> Result<Arc<dyn SigningKey>, KeyFault> {
    let text = String::from_utf8_lossy(bytes);
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(KeyFault::Encrypted);
    }
    let der = PrivateKeyDer::from_pem_slice(bytes).map_err(|_| KeyFault::None("no private key is in it".to_owned()))?;
    rustls::crypto::aws_lc_rs::sign::any_supported_type(&der).map_err(|_| KeyFault::Unsupported)
}
