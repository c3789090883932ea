//! The truststore of a domain: read from S3 when it is set, kept with the settings.

use std::collections::BTreeSet;

use aws::Error;
use aws::apigatewayv2::MutualTlsAuthenticationInput;
use model::UnixMillis;
use model::resource::{Domain, MutualTls, NewerVersion, TruststoreBytes};
use trust::{Finding, Severity, Truststore};

use super::draft::Draft;
use crate::objects::{ObjectError, Objects};

/// What a request says of a domain's mutual TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing: it stays.
    AsIs,
    /// `truststoreUri` is empty.
    Off,
    /// The truststore is to be read from there.
    From {
        /// Where.
        location: Location,
        /// The version; none: the newest.
        version: Option<String>,
    },
}

/// `s3://bucket/key`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) bucket: String,
    pub(super) key: String,
}

/// A truststore that was read and found usable.
#[derive(Debug)]
pub(super) struct Loaded {
    location: Location,
    version: Option<String>,
    read_version: String,
    bytes: TruststoreBytes,
    warnings: Vec<String>,
    newest: Option<Newest>,
    at: UnixMillis,
}

/// The newest version of an object.
#[derive(Clone, Debug)]
pub(super) struct Newest {
    version: String,
    /// None: it is no truststore, or a delete marker.
    bytes: Option<TruststoreBytes>,
}

impl Wanted {
    /// Reads `mutualTlsAuthentication` as a patch of what is set `now`. A URI without a version is not pinned; a version
    /// without a URI keeps the URI.
    pub(super) fn of(now: Option<&MutualTls>, input: Option<&MutualTlsAuthenticationInput>) -> Result<Self, Error> {
        let Some(input) = input else { return Ok(Self::AsIs) };
        let version = input.truststore_version.clone().filter(|version| !version.is_empty());
        match (input.truststore_uri.as_deref(), input.truststore_version.is_some(), now) {
            (Some(""), ..) => Ok(Self::Off),
            (Some(uri), ..) => Ok(Self::From { location: Location::parse(uri)?, version }),
            (None, true, Some(now)) => Ok(Self::From { location: Location::parse(&now.truststore_uri)?, version }),
            (None, true, None) => Err(Error::bad_request("A truststoreVersion needs a truststoreUri")),
            (None, false, _) => Ok(Self::AsIs),
        }
    }
}

impl Location {
    fn parse(uri: &str) -> Result<Self, Error> {
        let parts = uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        match parts.filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty()) {
            Some((bucket, key)) => Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() }),
            None => Err(Error::bad_request(format!("Invalid truststoreUri {uri}: expected s3://bucket/key"))),
        }
    }

    pub(super) fn uri(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }

    /// AWS's answer to a truststore that cannot be read, whatever the reason.
    pub(super) fn inaccessible(&self, version: Option<&str>) -> Error {
        let (uri, version) = (self.uri(), version.unwrap_or("N/A"));
        Error::bad_request(format!("Unable to access truststore URI {uri} version {version}."))
    }
}

impl Loaded {
    /// Reads and compiles a truststore. Blocks.
    pub(super) fn read(
        objects: &Objects,
        location: Location,
        version: Option<String>,
        at: UnixMillis,
    ) -> Result<Self, Error> {
        let Location { bucket, key } = &location;
        let read = objects.read(bucket, key, version.as_deref(), trust::MAX_BYTES as u64);
        let (pem, read_version) = read.map_err(|error| match error {
            ObjectError::TooLarge { .. } => Error::bad_request(format!(
                "The truststore {} has more than {} bytes",
                location.uri(),
                trust::MAX_BYTES
            )),
            ObjectError::Storage(error) => Error::internal(error.to_string()),
            _ => location.inaccessible(version.as_deref()),
        })?;
        let (truststore, findings) = Truststore::compile(&pem, at.div_euclid(1000))
            .map_err(|error| Error::bad_request(format!("Invalid truststore {}: {error}", location.uri())))?;
        let bytes = TruststoreBytes { digest: truststore.digest().to_string(), pem };
        let newest = Newest::read(objects, &location)?;
        let warnings = findings.iter().filter(|finding| finding.severity >= Severity::Warning).map(warning).collect();
        Ok(Self { location, version, read_version, bytes, warnings, newest, at })
    }

    /// Whether this is what `wanted` asks for.
    pub(super) fn answers(&self, wanted: &Wanted) -> bool {
        match wanted {
            Wanted::From { location, version } => *location == self.location && *version == self.version,
            Wanted::AsIs | Wanted::Off => true,
        }
    }

    /// Stores the bytes.
    pub(super) fn put(&self, draft: &mut Draft<'_>) -> Result<(), Error> {
        put_bytes(draft, &self.bytes)?;
        match &self.newest {
            Some(newest) if newest.differs(&self.mutual_tls()) => newest.put(draft),
            _ => Ok(()),
        }
    }

    /// As the domain holds it.
    pub(super) fn mutual_tls(&self) -> MutualTls {
        let mut mutual_tls = MutualTls {
            truststore_uri: self.location.uri(),
            truststore_version: self.version.clone(),
            read_version: self.read_version.clone(),
            digest: self.bytes.digest.clone(),
            warnings: self.warnings.clone(),
            newest: None,
        };
        if let Some(newest) = &self.newest {
            mutual_tls.newest = newest.noted(&mutual_tls, self.at);
        }
        mutual_tls
    }
}

impl Newest {
    /// Reads the newest version of an object; none where there is no such object (any more), nor a trace of it. Blocks.
    pub(super) fn read(objects: &Objects, location: &Location) -> Result<Option<Self>, Error> {
        match objects.read(&location.bucket, &location.key, None, trust::MAX_BYTES as u64) {
            Ok((pem, version)) => {
                let usable = Truststore::compile(&pem, 0).ok();
                let bytes = usable.map(|(compiled, _)| TruststoreBytes { digest: compiled.digest().to_string(), pem });
                Ok(Some(Self { version, bytes }))
            }
            Err(ObjectError::TooLarge { .. }) => {
                let head = objects.head(&location.bucket, &location.key, None).ok();
                Ok(head.map(|(version, _)| Self { version: version.id, bytes: None }))
            }
            Err(ObjectError::NoSuchKey { marker: Some(version), .. }) => Ok(Some(Self { version, bytes: None })),
            Err(ObjectError::Storage(error)) => Err(Error::internal(error.to_string())),
            Err(_) => Ok(None),
        }
    }

    /// Whether it is another one than is enforced. Without versioning every content has the version `null`.
    fn differs(&self, enforced: &MutualTls) -> bool {
        let digest = self.bytes.as_ref().map(|bytes| bytes.digest.as_str());
        self.version != enforced.read_version || digest != Some(enforced.digest.as_str())
    }

    /// As the domain holds it, if there is anything to hold.
    pub(super) fn noted(&self, enforced: &MutualTls, at: UnixMillis) -> Option<NewerVersion> {
        let noted = NewerVersion {
            version: self.version.clone(),
            digest: self.bytes.as_ref().map(|bytes| bytes.digest.clone()),
            seen: at,
        };
        let known =
            enforced.newest.as_ref().filter(|known| (&known.version, &known.digest) == (&noted.version, &noted.digest));
        self.differs(enforced).then(|| known.cloned().unwrap_or(noted))
    }

    /// Stores the bytes, if they are a truststore's.
    pub(super) fn put(&self, draft: &mut Draft<'_>) -> Result<(), Error> {
        self.bytes.as_ref().map_or(Ok(()), |bytes| put_bytes(draft, bytes))
    }
}

/// Notes in every domain whose truststore is the object at `uri` that this is its newest version.
pub(super) fn note_newest(draft: &mut Draft<'_>, uri: &str, newest: Option<&Newest>) -> Result<(), Error> {
    let domains = draft.state.domains.clone();
    for domain in domains.values() {
        let Some(mutual_tls) = domain.mutual_tls.as_ref().filter(|set| set.truststore_uri == uri) else { continue };
        let noted = newest.and_then(|newest| newest.noted(mutual_tls, draft.at));
        if noted == mutual_tls.newest {
            continue;
        }
        if let (Some(newest), Some(_)) = (newest, &noted) {
            newest.put(draft)?;
        }
        // The revision stays: what the user set is enforced as before.
        let mutual_tls = Some(MutualTls { newest: noted, ..mutual_tls.clone() });
        draft.put(&Domain { mutual_tls, ..Domain::clone(domain) })?;
    }
    drop_unused(draft)
}

/// Deletes the truststores that no domain names any more.
pub(super) fn drop_unused(draft: &mut Draft<'_>) -> Result<(), Error> {
    let state = draft.state.clone();
    let of_domains = state.domains.values().filter_map(|domain| domain.mutual_tls.as_ref());
    let used: BTreeSet<&str> = of_domains
        .flat_map(|set| {
            let newest = set.newest.as_ref().and_then(|newest| newest.digest.as_deref());
            std::iter::once(set.digest.as_str()).chain(newest)
        })
        .collect();
    let unused = state.truststores.values().filter(|truststore| !used.contains(truststore.digest.as_str()));
    unused.into_iter().try_for_each(|truststore| draft.delete::<TruststoreBytes>(truststore))
}

fn put_bytes(draft: &mut Draft<'_>, bytes: &TruststoreBytes) -> Result<(), Error> {
    if draft.state.truststores.contains_key(&bytes.digest) {
        return Ok(());
    }
    draft.put(bytes)
}

/// Names the certificate and what is wrong with it.
fn warning(finding: &Finding) -> String {
    let Finding { subject, line, explanation, fix, .. } = finding;
    match subject {
        Some(subject) => format!("Certificate {subject} (line {line}): {explanation} {fix}"),
        None => format!("Certificate at line {line}: {explanation} {fix}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(uri: Option<&str>, version: Option<&str>) -> MutualTlsAuthenticationInput {
        MutualTlsAuthenticationInput {
            truststore_uri: uri.map(str::to_owned),
            truststore_version: version.map(str::to_owned),
        }
    }

    fn from(key: &str, version: Option<&str>) -> Wanted {
        let location = Location { bucket: "b".into(), key: key.into() };
        Wanted::From { location, version: version.map(str::to_owned) }
    }

    #[test]
    fn mutual_tls_is_patched() {
        let now = MutualTls {
            truststore_uri: "s3://b/old.pem".into(),
            truststore_version: Some("v1".into()),
            read_version: "v1".into(),
            digest: "d".into(),
            warnings: vec![],
            newest: None,
        };
        for (uri, version, wanted) in [
            (None, None, Wanted::AsIs),
            (Some(""), None, Wanted::Off),
            (Some(""), Some("v2"), Wanted::Off),
            (Some("s3://b/a/new.pem"), None, from("a/new.pem", None)),
            (Some("s3://b/new.pem"), Some("v2"), from("new.pem", Some("v2"))),
            (None, Some("v2"), from("old.pem", Some("v2"))),
            (None, Some(""), from("old.pem", None)),
        ] {
            assert_eq!(Wanted::of(Some(&now), Some(&input(uri, version))), Ok(wanted), "{uri:?} {version:?}");
        }
        assert_eq!(Wanted::of(Some(&now), None), Ok(Wanted::AsIs));
        assert!(Wanted::of(None, Some(&input(None, Some("v2")))).is_err());
        for uri in ["https://b/k", "s3://b", "s3://b/", "s3:///k", "b/k"] {
            assert!(Wanted::of(None, Some(&input(Some(uri), None))).is_err(), "{uri}");
        }
    }

    #[test]
    fn aws_says_which_object_cannot_be_read() {
        let location = Location::parse("s3://your-bucket/ca.pem").unwrap();
        assert_eq!(
            location.inaccessible(None).message,
            "Unable to access truststore URI s3://your-bucket/ca.pem version N/A."
        );
        assert!(location.inaccessible(Some("v1")).message.ends_with(" version v1."));
    }
}
