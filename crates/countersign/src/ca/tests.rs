use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use trust::{Policy, Profile, Purpose, Truststore, Unrevoked};

use super::files::Pair;
use super::init::Init;
use super::issue::{Issue, Made};
use super::key::{Key, Kind};
use super::list::List;
use super::reason::Reason;
use super::revoke::Revoke;
use super::*;

fn place(dir: &Path) -> Place {
    Place { dir: dir.to_owned(), json: false }
}

fn init(dir: &Path, name: &str, above: Option<PathBuf>) -> Result<Pair, Failure> {
    let init = Init {
        name: name.to_owned(),
        intermediate_of: above,
        path_length: None,
        days: 10,
        kind: Kind::default(),
        urls: Urls::default(),
        place: place(dir),
    };
    init.make(now()).map(|(pair, _)| pair)
}

fn issue(dir: &Path, name: &str, servers: &[&str]) -> Result<Made, Failure> {
    let servers = servers.iter().map(|name| (*name).to_owned()).collect();
    Issue { servers, ..client(name, dir) }.make(now())
}

fn revoke(dir: &Path, what: &str) -> Result<bool, Failure> {
    let revoke = Revoke { what: what.to_owned(), reason: Reason::KeyCompromise, place: place(dir) };
    revoke.enter(now()).map(|(_, is_new)| is_new)
}

fn der(path: &Path) -> Vec<u8> {
    CertificateDer::from_pem_slice(&std::fs::read(path).unwrap()).unwrap().to_vec()
}

#[test]
fn what_is_issued_is_trusted_under_both_profiles() {
    let dir = tempfile::tempdir().unwrap();
    let root = init(&dir.path().join("root"), "Partner CA, Ltd.", None).unwrap();
    let below = dir.path().join("below");
    let intermediate = init(&below, "Partner CA 2", Some(dir.path().join("root"))).unwrap();
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let pem = [&root, &intermediate].map(|pair| std::fs::read(&pair.certificate).unwrap()).concat();
    let (truststore, findings) = Truststore::compile(&pem, now).unwrap();
    assert!(findings.iter().all(|finding| finding.severity < trust::Severity::Error), "{findings:?}");
    for (name, servers, purpose) in
        [("client 1", &[][..], Purpose::Client), ("server", &["api.example.com"][..], Purpose::Server)]
    {
        for dir in [dir.path().join("root"), below.clone()] {
            let leaf = der(&issue(&dir, name, servers).unwrap().pair.certificate);
            for profile in [Profile::Aws, Profile::Rfc5280] {
                let policy = Policy { profile, purpose, any_eku: false, max_depth: 4 };
                let judgment = truststore.judge(&[&leaf], &policy, &Unrevoked, now);
                assert!(judgment.is_accepted(), "{name}: {judgment:?}");
            }
        }
    }
    let bundle = std::fs::read_to_string(below.join("server.pem")).unwrap();
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2, "a server sends the intermediate too, but not the root");
}

#[test]
fn nothing_is_overwritten_and_keys_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let pair = init(dir.path(), "CA", None).unwrap();
    assert_eq!(std::fs::metadata(&pair.key).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(init(dir.path(), "CA", None).err().unwrap().to_string().contains("there already"));
    issue(dir.path(), "a/../b", &[]).unwrap();
    assert!(dir.path().join("a-..-b.pem").exists());
    assert!(issue(dir.path(), "../b", &[]).is_err());
    assert!(issue(dir.path(), "ca", &[]).is_err());
    assert_eq!(
        Key::from_pem(&std::fs::read(&pair.key).unwrap()).unwrap().pem().as_bytes(),
        std::fs::read(&pair.key).unwrap()
    );
}

#[test]
fn a_strange_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(issue(dir.path(), "x", &[]).err().unwrap().to_string().contains("countersign ca init"));
    init(dir.path(), "CA", None).unwrap();
    std::fs::write(dir.path().join("ca.key"), &*Key::generate(&Kind::default()).unwrap().pem()).unwrap();
    assert!(issue(dir.path(), "x", &[]).err().unwrap().to_string().contains("not the key"));
}

#[test]
fn an_authority_does_not_outlive_itself() {
    let dir = tempfile::tempdir().unwrap();
    let pair = init(dir.path(), "CA", None).unwrap();
    let long = Issue { days: 365, ..client("long", dir.path()) }.make(now()).unwrap();
    let end = |path: &Path| trust::Certificate::from_der(&der(path)).unwrap().not_after();
    assert_eq!(end(&long.pair.certificate), end(&pair.certificate));
    let later = now() + DAY * 11;
    assert!(client("late", dir.path()).make(later).err().unwrap().to_string().contains("expired"));
}

fn client(name: &str, dir: &Path) -> Issue {
    Issue {
        name: Some(name.to_owned()),
        servers: Vec::new(),
        client: false,
        alternatives: Vec::new(),
        csr: None,
        days: 5,
        kind: Kind::default(),
        urls: Urls::default(),
        place: place(dir),
    }
}

#[test]
fn revocations_are_found_by_name_serial_and_file_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path(), "CA", None).unwrap();
    for name in ["a", "b 1", "c"] {
        issue(dir.path(), name, &[]).unwrap();
    }
    let serial = issue(dir.path(), "d", &[]).unwrap().issued.serial;
    let colons: Vec<&str> = (0..serial.len() / 2).map(|at| &serial[2 * at..2 * at + 2]).collect();
    assert_eq!(revoke(dir.path(), "a"), Ok(true));
    assert_eq!(revoke(dir.path(), "a"), Ok(false));
    assert_eq!(revoke(dir.path(), "b 1"), Ok(true));
    assert_eq!(revoke(dir.path(), dir.path().join("c.pem").to_str().unwrap()), Ok(true));
    assert_eq!(revoke(dir.path(), &colons.join(":").to_uppercase()), Ok(true));
    for unknown in ["e", "", "00", "ca"] {
        assert!(revoke(dir.path(), unknown).is_err(), "{unknown}");
    }
    assert!(revoke(dir.path(), dir.path().join("ca.pem").to_str().unwrap()).is_err());
    for number in 1..=2 {
        let list = List { days: 7, out: None, der: false, place: place(dir.path()) };
        let (path, crl) = list.make(now()).unwrap();
        assert_eq!((crl.number, crl.revoked), (number, 4));
        assert!(std::fs::read_to_string(path).unwrap().starts_with("-----BEGIN X509 CRL-----\n"));
    }
}

#[test]
fn a_name_that_was_issued_twice_has_to_be_told_by_its_serial() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path(), "CA", None).unwrap();
    let first = issue(dir.path(), "a", &[]).unwrap();
    for file in [first.pair.certificate, first.pair.key] {
        std::fs::remove_file(file).unwrap();
    }
    let second = issue(dir.path(), "a", &[]).unwrap();
    let error = revoke(dir.path(), "a").unwrap_err().to_string();
    assert!(error.contains(&first.issued.serial) && error.contains(&second.issued.serial), "{error}");
    assert_eq!(revoke(dir.path(), &first.issued.serial), Ok(true));
    assert_eq!(revoke(dir.path(), "a"), Ok(true), "the one that is left");
}
