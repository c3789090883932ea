//! Objects of S3, and files, that are read for the settings: what they have to be, and what was read of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws::Error;
use model::resource::{NamedObject, NewerVersion};
use model::{Blob, UnixMillis};
use trust::{Crl, Digest, Finding, Severity, Truststore, UnixSeconds};

use super::source::{Location, Sources};
use crate::objects::ObjectError;

/// Bytes of a revocation list, or of several in one text.
const MAX_LIST_BYTES: u64 = 64 * 1024 * 1024;

/// An object to be read, and what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ObjectRef {
    pub(super) kind: Kind,
    pub(super) location: Location,
    /// None: the newest.
    pub(super) version: Option<String>,
    /// Digest of this version's bytes where it was read before: it can be had again though it is gone from S3.
    pub(super) kept: Option<String>,
}

/// What an object has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Certificates in PEM.
    Truststore,
    /// CRLs: one in DER, or several in PEM.
    RevocationLists,
    /// CAs of backends, in PEM.
    UpstreamCa,
    /// Cedar policies.
    Policy,
}

/// An object that was read and found usable.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    read_version: String,
    blob: Blob,
    warnings: Vec<String>,
    lists: BTreeMap<String, UnixSeconds>,
    newest: Option<Newest>,
    at: UnixMillis,
}

/// The newest version of an object.
#[derive(Clone, Debug)]
pub(super) struct Newest {
    pub(super) version: String,
    /// None: it is not what it has to be, or a delete marker.
    pub(super) usable: Option<Usable>,
}

/// Bytes that are what they have to be, and what is to be said of them.
#[derive(Clone, Debug)]
pub(super) struct Usable {
    pub(super) blob: Blob,
    pub(super) warnings: Vec<String>,
    /// When the newest list of each issuer was made, by the digest of its name.
    pub(super) lists: BTreeMap<String, UnixSeconds>,
}

/// What was read for a rule so far, and what it asked for besides.
#[derive(Debug, Default)]
pub(super) struct Readings {
    loaded: HashMap<ObjectRef, Loaded>,
    missing: Mutex<Option<ObjectRef>>,
}

impl Readings {
    /// What was read, or a note that it has to be.
    pub(super) fn find(&self, object: &ObjectRef) -> Option<&Loaded> {
        let found = self.loaded.get(object);
        if found.is_none() {
            *self.missing() = Some(object.clone());
        }
        found
    }

    /// What has to be read before the rule is asked again.
    pub(super) fn take_missing(&self) -> Option<ObjectRef> {
        self.missing().take()
    }

    pub(super) fn insert(&mut self, object: ObjectRef, loaded: Loaded) {
        self.loaded.insert(object, loaded);
    }

    fn missing(&self) -> MutexGuard<'_, Option<ObjectRef>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ObjectRef {
    /// AWS's answer to a truststore that cannot be read, whatever the reason.
    pub(super) fn inaccessible(&self) -> Error {
        let (what, uri) = (self.kind.name(), self.location.uri());
        let version = self.version.as_deref().unwrap_or("N/A");
        Error::bad_request(format!("Unable to access {what} URI {uri} version {version}."))
    }

    /// Reads the object and looks whether it is what it has to be. `None`: it cannot be read. Blocks.
    pub(super) fn read(&self, sources: &Sources, at: UnixMillis) -> Result<Option<Loaded>, Error> {
        sources.check(&self.location)?;
        let read = sources.read(&self.location, self.version.as_deref(), self.kind.max_bytes());
        let (bytes, read_version) = match read {
            Ok(read) => read,
            Err(ObjectError::TooLarge { .. }) => {
                let (what, uri, most) = (self.kind.name(), self.location.uri(), self.kind.max_bytes());
                return Err(Error::bad_request(format!("The {what} {uri} has more than {most} bytes")));
            }
            Err(ObjectError::Storage(error)) => return Err(Error::internal(error.to_string())),
            Err(_) => return Ok(None),
        };
        let newest = Newest::read(sources, self.kind, &self.location, at)?;
        self.loaded(Blob::of(bytes), read_version, newest, at).map(Some)
    }

    /// As [`Self::read`], of bytes that were kept.
    pub(super) fn again(&self, blob: Blob, at: UnixMillis) -> Result<Loaded, Error> {
        self.loaded(blob, self.version.clone().unwrap_or_default(), None, at)
    }

    fn loaded(&self, blob: Blob, version: String, newest: Option<Newest>, at: UnixMillis) -> Result<Loaded, Error> {
        let (what, uri) = (self.kind.name(), self.location.uri());
        let usable = self.kind.check(blob, at);
        let Usable { blob, warnings, lists } =
            usable.map_err(|error| Error::bad_request(format!("Invalid {what} {uri}: {error}")))?;
        Ok(Loaded { read_version: version, blob, warnings, lists, newest, at })
    }
}

impl Kind {
    /// For people.
    fn name(self) -> &'static str {
        match self {
            Self::Truststore => "truststore",
            Self::RevocationLists => "revocation list",
            Self::UpstreamCa => "upstream CA",
            Self::Policy => "policy",
        }
    }

    fn max_bytes(self) -> u64 {
        match self {
            Self::Truststore | Self::UpstreamCa => trust::MAX_BYTES as u64,
            Self::RevocationLists => MAX_LIST_BYTES,
            Self::Policy => ::policy::MAX_BYTES as u64,
        }
    }

    fn check(self, blob: Blob, at: UnixMillis) -> Result<Usable, String> {
        match self {
            Self::Truststore | Self::UpstreamCa => {
                let compiled = Truststore::compile(blob.bytes(), at.div_euclid(1000));
                let (_, findings) = compiled.map_err(|error| error.to_string())?;
                let worth_telling = findings.iter().filter(|finding| finding.severity >= Severity::Warning);
                let warnings = worth_telling.map(warning).collect();
                Ok(Usable { blob, warnings, lists: BTreeMap::new() })
            }
            Self::RevocationLists => match Crl::read(blob.bytes()) {
                Ok(lists) => Ok(Usable { blob, warnings: Vec::new(), lists: made(&lists) }),
                Err(error) => Err(error.to_string()),
            },
            Self::Policy => match ::policy::Policies::compile(blob.bytes()) {
                Ok((_, odd)) => {
                    let warnings = odd.iter().map(ToString::to_string).collect();
                    Ok(Usable { blob, warnings, lists: BTreeMap::new() })
                }
                Err(problems) => Err(problems.to_string()),
            },
        }
    }
}

impl Loaded {
    /// The bytes that [`Self::named`] names.
    pub(super) fn blobs(&self, object: &ObjectRef) -> impl Iterator<Item = &Blob> {
        let newest = self.newest.as_ref().filter(|newest| newest.differs(&self.named(object)));
        let newest = newest.and_then(|newest| newest.usable.as_ref());
        std::iter::once(&self.blob).chain(newest.map(|usable| &usable.blob))
    }

    /// As the domain holds it.
    pub(super) fn named(&self, object: &ObjectRef) -> NamedObject {
        let mut named = NamedObject {
            uri: object.location.uri(),
            version: object.version.clone(),
            read_version: self.read_version.clone(),
            digest: self.blob.digest().to_owned(),
            read: self.at,
            warnings: self.warnings.clone(),
            lists: self.lists.clone(),
            newest: None,
        };
        named.newest = self.newest.as_ref().and_then(|newest| newest.noted(&named, self.at));
        named
    }
}

impl Newest {
    /// Reads the newest version of an object; none where there is no such object (any more), nor a trace of it. Blocks.
    pub(super) fn read(
        sources: &Sources,
        kind: Kind,
        location: &Location,
        at: UnixMillis,
    ) -> Result<Option<Self>, Error> {
        match sources.read(location, None, kind.max_bytes()) {
            Ok((bytes, version)) => Ok(Some(Self { version, usable: kind.check(Blob::of(bytes), at).ok() })),
            Err(ObjectError::TooLarge { .. }) => {
                Ok(sources.newest_version(location).map(|version| Self { version, usable: None }))
            }
            Err(ObjectError::NoSuchKey { marker: Some(version), .. }) => Ok(Some(Self { version, usable: None })),
            Err(ObjectError::Storage(error)) => Err(Error::internal(error.to_string())),
            Err(_) => Ok(None),
        }
    }

    /// Whether it is another one than is in force. Without versioning every content has the version `null`.
    fn differs(&self, now: &NamedObject) -> bool {
        let digest = self.usable.as_ref().map(|usable| usable.blob.digest());
        self.version != now.read_version || digest != Some(now.digest.as_str())
    }

    /// As the domain holds it, if there is anything to hold.
    pub(super) fn noted(&self, now: &NamedObject, at: UnixMillis) -> Option<NewerVersion> {
        let noted = NewerVersion {
            version: self.version.clone(),
            digest: self.usable.as_ref().map(|usable| usable.blob.digest().to_owned()),
            seen: at,
        };
        let known =
            now.newest.as_ref().filter(|known| (&known.version, &known.digest) == (&noted.version, &noted.digest));
        self.differs(now).then(|| known.cloned().unwrap_or(noted))
    }
}

/// When the newest list of each issuer was made, by the digest of its name.
fn made(lists: &[Crl]) -> BTreeMap<String, UnixSeconds> {
    let mut made = BTreeMap::new();
    for list in lists {
        let newest = made.entry(Digest::of(list.issuer_der()).to_string()).or_insert(list.this_update());
        *newest = list.this_update().max(*newest);
    }
    made
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

    #[test]
    fn aws_says_which_object_cannot_be_read() {
        let object = |version: Option<&str>| ObjectRef {
            kind: Kind::Truststore,
            location: Location::parse("s3://your-bucket/ca.pem").unwrap(),
            version: version.map(str::to_owned),
            kept: None,
        };
        assert_eq!(
            object(None).inaccessible().message,
            "Unable to access truststore URI s3://your-bucket/ca.pem version N/A."
        );
        assert!(object(Some("v1")).inaccessible().message.ends_with(" version v1."));
    }
}
