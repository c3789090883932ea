//! `countersign ca`: a small certificate authority in two files.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::string::{Ia5String, PrintableString};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use serde_json::json;
use time::OffsetDateTime;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{Decode, DecodePem, Encode};
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use zeroize::Zeroizing;

use crate::answer::{self, Answer, Failure, Outcome};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make a certificate authority: ca.pem and ca.key
    Init(Init),
    /// Issue a certificate for a client, or for a server: NAME.pem and NAME.key
    Issue(Issue),
}

#[derive(clap::Args)]
struct Init {
    /// Common name of the authority
    name: String,
    /// Where the files go
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// How long it is good for
    #[arg(long, default_value_t = 3650)]
    days: u32,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Issue {
    /// Common name of the subject
    name: String,
    /// Where ca.pem and ca.key are, and the new files go
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// For a server of this name or address instead of a client; may be given several times
    #[arg(long = "server", value_name = "NAME")]
    servers: Vec<String>,
    /// How long it is good for
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

const CA: &str = "ca";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A client's clock may be a little behind.
const BACKDATED: Duration = Duration::from_secs(5 * 60);

pub(crate) fn run(args: &Args) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let (files, json) = match &args.command {
        Command::Init(init) => (init.run(now)?, init.json),
        Command::Issue(issue) => (issue.run(now)?, issue.json),
    };
    let [certificate, key] = files.map(|path| path.display().to_string());
    answer::print(&match json {
        true => json!({"certificate": certificate, "key": key}).to_string(),
        false => format!("{certificate}\n{key}"),
    });
    Ok(Answer::Yes)
}

impl Init {
    fn run(&self, now: OffsetDateTime) -> Result<[PathBuf; 2], Failure> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params(&self.name, self.days, now)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(failed)?;
        save(&self.dir, CA, &certificate.pem(), &key)
    }
}

impl Issue {
    fn run(&self, now: OffsetDateTime) -> Result<[PathBuf; 2], Failure> {
        let authority = Authority::read(&self.dir)?;
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params(&self.name, self.days, now)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![match self.servers.is_empty() {
            true => ExtendedKeyUsagePurpose::ClientAuth,
            false => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        for name in &self.servers {
            params.subject_alt_names.push(server_name(name)?);
        }
        let certificate = params.signed_by(&key, &authority.issuer).map_err(failed)?;
        authority.check(certificate.der())?;
        let name = file_name(&self.name)?;
        save(&self.dir, &name, &certificate.pem(), &key)
    }
}

/// `ca.pem` and `ca.key`.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// DER of its subject.
    subject: Vec<u8>,
}

impl Authority {
    fn read(dir: &Path) -> Result<Self, Failure> {
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read(&path).map(Zeroizing::new).map_err(|e| {
                Failure::new(format!(
                    "cannot read {}: {e}; make an authority with `countersign ca init`",
                    path.display()
                ))
            })
        };
        let (pem, key) = (read("ca.pem")?, read("ca.key")?);
        let certificate = x509_cert::Certificate::from_pem(&*pem).map_err(|e| Failure::new(format!("ca.pem: {e}")))?;
        let key = str::from_utf8(&key).ok().and_then(|pem| KeyPair::from_pem(pem).ok());
        let key =
            key.ok_or_else(|| Failure::new("ca.key has no private key that can be used; expected PKCS#8 in PEM"))?;
        let tbs = certificate.tbs_certificate();
        let ours = tbs.subject_public_key_info().subject_public_key.raw_bytes();
        if ours != rcgen::PublicKeyData::der_bytes(&key) {
            return Err(Failure::new("ca.key is not the key of ca.pem"));
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = name(tbs.subject())?;
        if let Ok(Some((_, SubjectKeyIdentifier(id)))) = tbs.get_extension::<SubjectKeyIdentifier>() {
            params.key_identifier_method = KeyIdMethod::PreSpecified(id.into_bytes().into());
        }
        let subject = tbs.subject().to_der().map_err(failed)?;
        Ok(Self { issuer: Issuer::new(params, key), subject })
    }

    /// Names are compared byte for byte: one that was not written as it was read would make the certificate useless.
    fn check(&self, certificate: &[u8]) -> Result<(), Failure> {
        let issued = x509_cert::Certificate::from_der(certificate).map_err(failed)?;
        if issued.tbs_certificate().issuer().to_der().map_err(failed)? == self.subject {
            return Ok(());
        }
        Err(unwritable())
    }
}

/// The name as rcgen writes it.
fn name(name: &x509_cert::name::Name) -> Result<DistinguishedName, Failure> {
    let mut distinguished = DistinguishedName::new();
    for attribute in name.iter() {
        let kind = DnType::CustomDnType(attribute.oid.arcs().map(u64::from).collect());
        let value = &attribute.value;
        let value = if let Ok(text) = value.decode_as::<Utf8StringRef<'_>>() {
            DnValue::Utf8String(text.as_str().to_owned())
        } else if let Ok(text) = value.decode_as::<PrintableStringRef<'_>>() {
            DnValue::PrintableString(PrintableString::try_from(text.as_str()).map_err(failed)?)
        } else if let Ok(text) = value.decode_as::<Ia5StringRef<'_>>() {
            DnValue::Ia5String(Ia5String::try_from(text.as_str()).map_err(failed)?)
        } else {
            return Err(unwritable());
        };
        distinguished.push(kind, value);
    }
    Ok(distinguished)
}

fn params(name: &str, days: u32, now: OffsetDateTime) -> Result<CertificateParams, Failure> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| Failure::new("the system gives no random bytes"))?;
    // Positive, and without a leading zero byte.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = now - BACKDATED;
    params.not_after = now + DAY * days;
    Ok(params)
}

/// Writes `NAME.pem` and `NAME.key` (0600); never over files that are there.
fn save(dir: &Path, name: &str, certificate: &str, key: &KeyPair) -> Result<[PathBuf; 2], Failure> {
    let key = Zeroizing::new(key.serialize_pem());
    let paths = [dir.join(format!("{name}.pem")), dir.join(format!("{name}.key"))];
    if let Some(there) = paths.iter().find(|path| path.exists()) {
        return Err(Failure::new(format!("{} is there already: move it away, or give another --dir", there.display())));
    }
    for (path, text, mode) in [(&paths[1], key.as_str(), 0o600), (&paths[0], certificate, 0o644)] {
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|e| Failure::new(format!("cannot write {}: {e}", path.display())))?;
    }
    Ok(paths)
}

/// An address or a name.
fn server_name(name: &str) -> Result<SanType, Failure> {
    if let Ok(address) = name.parse() {
        return Ok(SanType::IpAddress(address));
    }
    let name = Ia5String::try_from(name).map_err(|_| Failure::new(format!("{name} is no DNS name")))?;
    Ok(SanType::DnsName(name))
}

fn file_name(name: &str) -> Result<String, Failure> {
    let plain = |c: char| c.is_alphanumeric() || "-_.@".contains(c);
    let file: String = name.chars().map(|c| if plain(c) { c } else { '-' }).collect();
    if file.starts_with('.') || file.is_empty() {
        return Err(Failure::new("the name must not begin with a dot, because the files are named after it"));
    }
    Ok(file)
}

fn unwritable() -> Failure {
    Failure::new("the name of the authority in ca.pem has a form that is not supported here: issue with openssl")
}

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("cannot make the certificate: {why}"))
}

#[cfg(test)]
mod tests {
    use trust::{Policy, Profile, Purpose, Truststore, Unrevoked};

    use super::*;

    fn init(dir: &Path, name: &str) -> Result<[PathBuf; 2], Failure> {
        let init = Init { name: name.to_owned(), dir: dir.to_owned(), days: 10, json: false };
        init.run(OffsetDateTime::now_utc())
    }

    fn issue(dir: &Path, name: &str, servers: &[&str]) -> Result<[PathBuf; 2], Failure> {
        let servers = servers.iter().map(|name| (*name).to_owned()).collect();
        let issue = Issue { name: name.to_owned(), dir: dir.to_owned(), servers, days: 5, json: false };
        issue.run(OffsetDateTime::now_utc())
    }

    #[test]
    fn what_is_issued_is_trusted_under_both_profiles() {
        let dir = tempfile::tempdir().unwrap();
        let [ca, _] = init(dir.path(), "Partner CA, Ltd.").unwrap();
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let (truststore, findings) = Truststore::compile(&std::fs::read(ca).unwrap(), now).unwrap();
        assert!(findings.iter().all(|finding| finding.severity < trust::Severity::Error), "{findings:?}");
        for (name, servers, purpose) in
            [("client 1", &[][..], Purpose::Client), ("server", &["api.example.com"][..], Purpose::Server)]
        {
            let [certificate, _] = issue(dir.path(), name, servers).unwrap();
            let leaf = x509_cert::Certificate::from_pem(std::fs::read(certificate).unwrap()).unwrap().to_der().unwrap();
            for profile in [Profile::Aws, Profile::Rfc5280] {
                let policy = Policy { profile, purpose, any_eku: false, max_depth: 4 };
                let judgment = truststore.judge(&[&leaf], &policy, &Unrevoked, now);
                assert!(judgment.is_accepted(), "{name}: {judgment:?}");
            }
        }
    }

    #[test]
    fn nothing_is_overwritten_and_keys_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let [_, key] = init(dir.path(), "CA").unwrap();
        assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(init(dir.path(), "CA").unwrap_err().to_string().contains("there already"));
        issue(dir.path(), "a/../b", &[]).unwrap();
        assert!(dir.path().join("a-..-b.pem").exists());
        assert!(issue(dir.path(), "../b", &[]).is_err());
    }

    #[test]
    fn a_strange_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(issue(dir.path(), "x", &[]).unwrap_err().to_string().contains("countersign ca init"));
        init(dir.path(), "CA").unwrap();
        std::fs::write(dir.path().join("ca.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(issue(dir.path(), "x", &[]).err().unwrap().to_string().contains("not the key"));
    }
}
