//! The CA of this gateway: it signs what `request-certificate` asks for, and the execute-api endpoints' certificates.
//!
//! Its root is made once and kept with the settings, its key sealed. Who trusts the root (COUNTERSIGN_CA_FILE) trusts
//! every name that this gateway serves.

use std::sync::Arc;

use aws::Error;
use model::resource::{self, Certificate, CertificateLife, CertificateOrigin, Endpoint};
use model::{Change, Keyring, State, UnixMillis};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RevocationReason, RevokedCertParams, RsaKeySize, SerialNumber,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::{By, Control, ids};

/// The CA, able to sign.
pub struct LocalCa {
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

/// A certificate that was signed, and its key.
pub struct Issued {
    /// The leaf, PEM.
    pub certificate: String,
    /// The root, PEM.
    pub chain: String,
    /// PKCS#8, PEM.
    pub private_key: Zeroizing<String>,
}

/// Keys that can be asked for, by ACM's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// `RSA_2048`, ACM's default.
    Rsa2048,
    /// `RSA_3072`
    Rsa3072,
    /// `RSA_4096`
    Rsa4096,
    /// `EC_prime256v1`
    P256,
    /// `EC_secp384r1`
    P384,
}

/// Id of the one CA that there is.
pub const ID: &str = "default";

const NAME: &str = "Countersign Local CA";
const ROOT_LIFE: Duration = Duration::days(3_650);
const LEAF_LIFE: Duration = Duration::days(90);
/// Until when whoever has fetched the revocation list may rely on it.
const LIST_LIFE: Duration = Duration::days(1);
/// Clocks of clients may be behind.
const BACKDATED: Duration = Duration::hours(1);
/// X.520's bound of a common name.
const MAX_COMMON_NAME: usize = 64;

/// Makes the CA at the first start, and the certificate of the default region's endpoints, then renews what is due.
/// The answer is the root, PEM.
pub async fn ensure(control: &Control) -> Result<String, Error> {
    let made = new_root(control.keyring(), control.now())?;
    let root = control
        .settings()
        .change(By::Server("MakeLocalCa"), |state| match state.local_ca.get(ID) {
            Some(there) => Ok((Vec::new(), there.certificate.clone())),
            None => Ok((vec![Change::put(&made)], made.certificate.clone())),
        })
        .await?;
    let config = control.config();
    let (region, suffix, at) = (&config.default_region, &config.execute_api_suffix, control.now());
    control
        .settings()
        .change(By::Server("MakeEndpointCertificate"), |state| {
            Ok((endpoint_change(state, control.keyring(), region, suffix, at)?.into_iter().collect(), ()))
        })
        .await?;
    renew(control).await?;
    Ok(root)
}

/// Signs again what the CA has signed and what has less than a third of its life left. Called at start and daily; the
/// answer counts the certificates.
pub async fn renew(control: &Control) -> Result<usize, Error> {
    let (control, at) = (control.clone(), control.now());
    let state = control.settings().state();
    let due = due(&state, at);
    if due.is_empty() {
        return Ok(0);
    }
    let (keyring, suffix) = (Arc::clone(control.keyring()), control.config().execute_api_suffix.clone());
    let renewed = tokio::task::spawn_blocking(move || {
        let ca = LocalCa::open(&state, &keyring)?;
        due.into_iter().map(|due| due.renewed(&ca, &keyring, &suffix, at)).collect::<Result<Vec<_>, Error>>()
    });
    let renewed = renewed.await.map_err(|_| Error::internal("The certificates could not be renewed."))??;
    let count = renewed.len();
    // One that was deleted or replaced meanwhile stays as it is.
    let rule = |state: &State| {
        let changes = renewed.iter().filter(|(old, _)| old.is_in(state)).map(|(_, change)| change.clone());
        Ok((changes.collect(), ()))
    };
    control.settings().change(By::Server("RenewCertificates"), rule).await?;
    Ok(count)
}

/// The change that gives a region's endpoints a certificate; `None` where they have one. Part of the rule that makes a
/// region's first API.
pub fn endpoint_change(
    state: &State,
    keyring: &Keyring,
    region: &str,
    suffix: &str,
    at: UnixMillis,
) -> Result<Option<Change>, Error> {
    if state.endpoints.contains_key(region) {
        return Ok(None);
    }
    let endpoint = LocalCa::open(state, keyring)?.endpoint(keyring, region, suffix, at)?;
    Ok(Some(Change::put(&endpoint)))
}

impl LocalCa {
    /// Opens the CA of `state`.
    pub fn open(state: &State, keyring: &Keyring) -> Result<Self, Error> {
        let stored = state.local_ca.get(ID).ok_or_else(|| Error::internal("The local CA has not been made yet."))?;
        let unopened = || Error::internal("The key of the local CA does not open.");
        let key = keyring.open(&sealed_for(&stored.id), &stored.private_key).map_err(|_| unopened())?;
        let key = std::str::from_utf8(&key).ok().and_then(|pem| KeyPair::from_pem(pem).ok()).ok_or_else(unopened)?;
        Ok(Self { issuer: Issuer::new(root_params(OffsetDateTime::UNIX_EPOCH), key), root: stored.certificate.clone() })
    }

    /// Signs a server certificate for `names`, the first of which is the subject's.
    pub fn issue(&self, names: &[String], kind: KeyKind, at: UnixMillis) -> Result<Issued, Error> {
        let key = kind.generate().map_err(failed)?;
        let now = time_of(at);
        let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
        params.not_before = now - BACKDATED;
        params.not_after = now + LEAF_LIFE;
        params.serial_number = Some(random_serial()?);
        params.distinguished_name = DistinguishedName::new();
        if let Some(first) = names.first().filter(|name| name.len() <= MAX_COMMON_NAME) {
            params.distinguished_name.push(DnType::CommonName, first.as_str());
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if kind.is_rsa() {
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Issued {
            certificate: certificate.pem(),
            chain: self.root.clone(),
            private_key: Zeroizing::new(key.serialize_pem()),
        })
    }

    fn endpoint(&self, keyring: &Keyring, region: &str, suffix: &str, at: UnixMillis) -> Result<Endpoint, Error> {
        let issued = self.issue(&[format!("*.execute-api.{region}.{suffix}")], KeyKind::P256, at)?;
        let private_key = keyring.seal(&format!("endpoints/{region}"), issued.private_key.as_bytes());
        Ok(Endpoint {
            region: region.to_owned(),
            certificate: issued.certificate + &issued.chain,
            private_key: private_key.map_err(|e| Error::internal(e.to_string()))?,
        })
    }
}

impl KeyKind {
    /// By ACM's name.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "RSA_2048" => Some(Self::Rsa2048),
            "RSA_3072" => Some(Self::Rsa3072),
            "RSA_4096" => Some(Self::Rsa4096),
            "EC_prime256v1" => Some(Self::P256),
            "EC_secp384r1" => Some(Self::P384),
            _ => None,
        }
    }

    fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }

    /// A new key.
    pub fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Self::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            Self::Rsa3072 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
            Self::Rsa4096 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
            Self::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        }
    }
}

/// A certificate signed again, with a new key, under the same ARN.
pub(crate) fn renewed(
    old: &Certificate,
    ca: &LocalCa,
    keyring: &Keyring,
    at: UnixMillis,
) -> Result<Certificate, Error> {
    let kind = KeyKind::of(&old.key_algorithm).unwrap_or(KeyKind::Rsa2048);
    let issued = ca.issue(&old.alternative_names, kind, at)?;
    let sealed = keyring.seal(&old.arn, issued.private_key.as_bytes());
    Ok(Certificate {
        certificate: issued.certificate,
        chain: Some(issued.chain),
        private_key: sealed.map_err(|e| Error::internal(e.to_string()))?,
        life: CertificateLife { renewed: Some(at), ..old.life.clone() },
        ..old.clone()
    })
}

/// The revocation list of the CA, DER: what was revoked and has not expired.
pub(crate) fn revocation_list(state: &State, keyring: &Keyring, at: UnixMillis) -> Result<Vec<u8>, Error> {
    let ca = LocalCa::open(state, keyring)?;
    let entries = state.local_ca.get(ID).into_iter().flat_map(|ca| &ca.revoked);
    let entries = entries.filter(|entry| entry.until.saturating_mul(1000) >= at).map(|entry| {
        let serial = data_encoding::HEXLOWER.decode(entry.serial.as_bytes());
        Ok(RevokedCertParams {
            serial_number: SerialNumber::from(serial.map_err(|_| Error::internal("A serial number cannot be read."))?),
            revocation_time: time_of(entry.at),
            reason_code: reason_code(&entry.reason),
            invalidity_date: None,
        })
    });
    let list = CertificateRevocationListParams {
        this_update: time_of(at) - BACKDATED,
        next_update: time_of(at) + LIST_LIFE,
        // Lists that are made in one millisecond are the same.
        crl_number: SerialNumber::from(u64::try_from(at).unwrap_or_default()),
        issuing_distribution_point: None,
        revoked_certs: entries.collect::<Result<_, Error>>()?,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Ok(list.signed_by(&ca.issuer).map_err(failed)?.der().to_vec())
}

/// RFC 5280 section 5.3.1; what is unspecified is left out.
fn reason_code(reason: &str) -> Option<RevocationReason> {
    match reason {
        "KEY_COMPROMISE" => Some(RevocationReason::KeyCompromise),
        "CA_COMPROMISE" => Some(RevocationReason::CaCompromise),
        "AFFILIATION_CHANGED" => Some(RevocationReason::AffiliationChanged),
        "SUPERCEDED" | "SUPERSEDED" => Some(RevocationReason::Superseded),
        "CESSATION_OF_OPERATION" => Some(RevocationReason::CessationOfOperation),
        "PRIVILEGE_WITHDRAWN" => Some(RevocationReason::PrivilegeWithdrawn),
        "A_A_COMPROMISE" => Some(RevocationReason::AaCompromise),
        _ => None,
    }
}

/// What is to be signed again.
enum Due {
    Endpoint(Arc<Endpoint>),
    Certificate(Arc<Certificate>),
}

fn due(state: &State, at: UnixMillis) -> Vec<Due> {
    let endpoints = state.endpoints.values().filter(|e| ends_soon(&e.certificate, at));
    let issued = state.certificates.values().filter(|c| c.origin == CertificateOrigin::AmazonIssued);
    let issued = issued.filter(|c| c.life.revoked.is_none() && !c.life.acme);
    let issued = issued.filter(|c| ends_soon(&c.certificate, at));
    endpoints.cloned().map(Due::Endpoint).chain(issued.cloned().map(Due::Certificate)).collect()
}

/// Less than a third of the life is left, or it cannot be told.
fn ends_soon(pem: &str, at: UnixMillis) -> bool {
    let Some(leaf) = trust::Certificate::first_of_pem(pem) else { return true };
    let (start, end) = (leaf.not_before(), leaf.not_after());
    end - at.div_euclid(1000) < (end - start) / 3
}

impl Due {
    /// This and the change that replaces it.
    fn renewed(self, ca: &LocalCa, keyring: &Keyring, suffix: &str, at: UnixMillis) -> Result<(Self, Change), Error> {
        let change = match &self {
            Self::Endpoint(old) => Change::put(&ca.endpoint(keyring, &old.region, suffix, at)?),
            Self::Certificate(old) => Change::put(&renewed(old, ca, keyring, at)?),
        };
        Ok((self, change))
    }

    fn is_in(&self, state: &State) -> bool {
        match self {
            Self::Endpoint(old) => state.endpoints.get(&old.region).is_some_and(|now| Arc::ptr_eq(now, old)),
            Self::Certificate(old) => state.certificates.get(&old.arn).is_some_and(|now| Arc::ptr_eq(now, old)),
        }
    }
}

fn new_root(keyring: &Keyring, at: UnixMillis) -> Result<resource::LocalCa, Error> {
    let key = KeyKind::P256.generate().map_err(failed)?;
    let mut params = root_params(time_of(at));
    params.serial_number = Some(random_serial()?);
    let certificate = params.self_signed(&key).map_err(failed)?;
    let pem = Zeroizing::new(key.serialize_pem());
    let sealed = keyring.seal(&sealed_for(ID), pem.as_bytes());
    Ok(resource::LocalCa {
        id: ID.to_owned(),
        certificate: certificate.pem(),
        private_key: sealed.map_err(|e| Error::internal(e.to_string()))?,
        revoked: Vec::new(),
    })
}

fn root_params(now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = now - BACKDATED;
    params.not_after = now + ROOT_LIFE;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub(crate) fn random_serial() -> Result<SerialNumber, Error> {
    let mut bytes = [0; 16];
    ids::fill(&mut bytes)?;
    // Positive, and of full length.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn time_of(at: UnixMillis) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn sealed_for(id: &str) -> String {
    format!("local-ca/{id}")
}

fn failed(error: rcgen::Error) -> Error {
    Error::internal(format!("A certificate could not be made: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = 1_763_830_800_000;
    const DAY: UnixMillis = 86_400_000;

    fn keyring() -> Keyring {
        Keyring::new(&[3; 32]).unwrap()
    }

    fn with_ca() -> State {
        let mut state = State::default();
        state.apply(1, &[Change::put(&new_root(&keyring(), NOW).unwrap())]).unwrap();
        state
    }

    #[test]
    fn what_it_issues_is_accepted_under_its_root() {
        let state = with_ca();
        let ca = LocalCa::open(&state, &keyring()).unwrap();
        let root = trust::Certificate::first_of_pem(&ca.root).unwrap();
        assert!(root.is_ca() && root.is_signed_by(&root));
        assert_eq!(root.subject(), "CN=Countersign Local CA");
        let names = ["api.example.com".to_owned(), "*.api.example.com".to_owned()];
        for (name, shown) in [("RSA_2048", "RSA 2048"), ("EC_prime256v1", "P-256"), ("EC_secp384r1", "P-384")] {
            let issued = ca.issue(&names, KeyKind::of(name).unwrap(), NOW).unwrap();
            let leaf = trust::Certificate::first_of_pem(&issued.certificate).unwrap();
            assert!(leaf.is_signed_by(&root) && !leaf.is_ca());
            assert_eq!(leaf.issuer(), root.subject());
            assert_eq!(leaf.key_name(), shown);
            assert_eq!(leaf.authority_key_id(), root.subject_key_id());
            let dns = names.iter().cloned().map(trust::SubjectAltName::Dns).collect::<Vec<_>>();
            assert_eq!(leaf.subject_alt_names(), dns);
            assert!(leaf.not_before() < NOW / 1000 && NOW / 1000 < leaf.not_after());
            assert!(KeyPair::from_pem(&issued.private_key).is_ok());
        }
        let long = [format!("{}.example.com", "a".repeat(63))];
        let issued = ca.issue(&long, KeyKind::P256, NOW).unwrap();
        assert_eq!(
            trust::Certificate::first_of_pem(&issued.certificate).unwrap().subject(),
            "",
            "only as an alternative name"
        );
    }

    #[test]
    fn an_endpoint_has_one_certificate_until_it_is_due() {
        let mut state = with_ca();
        let change = |state: &State| endpoint_change(state, &keyring(), "us-east-1", "localhost", NOW).unwrap();
        let made = change(&state).unwrap();
        state.apply(2, &[made]).unwrap();
        assert_eq!(change(&state), None);
        let endpoint = &state.endpoints["us-east-1"];
        let leaf = trust::Certificate::first_of_pem(&endpoint.certificate).unwrap();
        assert_eq!(leaf.subject_alt_names(), [trust::SubjectAltName::Dns("*.execute-api.us-east-1.localhost".into())]);
        assert!(keyring().open("endpoints/us-east-1", &endpoint.private_key).is_ok());

        assert!(due(&state, NOW + 59 * DAY).is_empty());
        let [due] = <[Due; 1]>::try_from(due(&state, NOW + 61 * DAY)).ok().unwrap();
        let ca = LocalCa::open(&state, &keyring()).unwrap();
        let (old, change) = due.renewed(&ca, &keyring(), "localhost", NOW + 61 * DAY).unwrap();
        assert!(old.is_in(&state));
        state.apply(3, &[change]).unwrap();
        assert!(!old.is_in(&state), "what was replaced meanwhile is left alone");
        assert!(super::due(&state, NOW + 61 * DAY).is_empty());
    }

    #[test]
    fn without_its_key_it_does_not_open() {
        let other = Keyring::new(&[4; 32]).unwrap();
        assert!(LocalCa::open(&with_ca(), &other).is_err());
        assert!(LocalCa::open(&State::default(), &keyring()).is_err());
    }
}
