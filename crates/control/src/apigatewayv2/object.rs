//! The objects of S3, and the files, that a domain names: read when they are set, kept with the settings.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws::Error;
use aws::apigatewayv2::MutualTlsAuthenticationInput;
use model::resource::{Domain, NamedObject, NewerVersion};
use model::{Blob, CrlSource, DomainTags, State, UnixMillis};
use trust::{Crl, Finding, Severity, Truststore};

use super::draft::Draft;
use super::source::{Location, Sources};
use crate::objects::ObjectError;

/// Bytes of a revocation list, or of several in one text.
const MAX_LIST_BYTES: u64 = 64 * 1024 * 1024;

/// What a request says of a domain's mutual TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing: it stays.
    AsIs,
    /// `truststoreUri` is empty.
    Off,
    /// The truststore is to be read from there.
    From(ObjectRef),
}

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
}

/// An object that was read and found usable.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    read_version: String,
    blob: Blob,
    warnings: Vec<String>,
    newest: Option<Newest>,
    at: UnixMillis,
}

/// The newest version of an object.
#[derive(Clone, Debug)]
pub(super) struct Newest {
    version: String,
    /// None: it is not what it has to be, or a delete marker.
    usable: Option<Usable>,
}

/// Bytes that are what they have to be, and what is to be said of them.
#[derive(Clone, Debug)]
struct Usable {
    blob: Blob,
    warnings: Vec<String>,
}

/// What was read for a rule so far, and what it asked for besides.
#[derive(Debug, Default)]
pub(super) struct Readings {
    loaded: HashMap<ObjectRef, Loaded>,
    missing: Mutex<Option<ObjectRef>>,
}

impl Wanted {
    /// Reads `mutualTlsAuthentication` as a patch of what is set for `domain`. A URI without a version is not pinned; a
    /// version without a URI keeps the URI.
    pub(super) fn of(domain: &Domain, input: Option<&MutualTlsAuthenticationInput>) -> Result<Self, Error> {
        let Some(input) = input else { return Ok(Self::AsIs) };
        let now = domain.mutual_tls.as_ref();
        let version = input.truststore_version.clone().filter(|version| !version.is_empty());
        let uri = match (input.truststore_uri.as_deref(), input.truststore_version.is_some(), now) {
            (Some(""), ..) => return Ok(Self::Off),
            (Some(uri), ..) => uri,
            (None, true, Some(now)) => &now.uri,
            (None, true, None) => return Err(Error::bad_request("A truststoreVersion needs a truststoreUri")),
            (None, false, _) => return Ok(Self::AsIs),
        };
        let kept = version.as_deref().and_then(|version| kept(domain, uri, version));
        Ok(Self::From(ObjectRef { kind: Kind::Truststore, location: Location::parse(uri)?, version, kept }))
    }
}

/// Digest of a version that the domain's truststore has been, or that is its shadow.
fn kept(domain: &Domain, uri: &str, version: &str) -> Option<String> {
    let now = domain.mutual_tls.iter().chain(&domain.shadow);
    let now = now.map(|now| (&now.uri, &now.read_version, &now.digest));
    let earlier = domain.history.iter().map(|earlier| (&earlier.uri, &earlier.version, &earlier.digest));
    now.chain(earlier).find(|kept| (kept.0.as_str(), kept.1.as_str()) == (uri, version)).map(|kept| kept.2.clone())
}

/// Gives a domain the objects that its tags name. What is named as before is not read again.
pub(super) fn read_tagged(draft: &mut Draft<'_>, domain: &mut Domain) -> Result<(), Error> {
    let tags = DomainTags::parse(&domain.tags).map_err(|error| Error::bad_request(error.to_string()))?;
    domain.shadow = match tags.shadow {
        Some(tag) => {
            let location = Location::parse(&tag.uri)?;
            Some(named(draft, Kind::Truststore, location, tag.version, domain.shadow.as_ref())?)
        }
        None => None,
    };
    let mut crls = Vec::with_capacity(tags.crls.len());
    for source in tags.crls {
        let (location, version) = match source {
            CrlSource::Object(tag) => (Location::parse(&tag.uri)?, tag.version),
            CrlSource::File(name) => (Location::File(name), None),
        };
        let now = domain.crls.iter().find(|now| now.uri == location.uri());
        crls.push(named(draft, Kind::RevocationLists, location, version, now)?);
    }
    domain.crls = crls;
    Ok(())
}

fn named(
    draft: &mut Draft<'_>,
    kind: Kind,
    location: Location,
    version: Option<String>,
    now: Option<&NamedObject>,
) -> Result<NamedObject, Error> {
    match now.filter(|now| now.uri == location.uri() && now.version == version) {
        Some(now) => Ok(now.clone()),
        None => draft.read(&ObjectRef { kind, location, version, kept: None }),
    }
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
        let Usable { blob, warnings } =
            usable.map_err(|error| Error::bad_request(format!("Invalid {what} {uri}: {error}")))?;
        Ok(Loaded { read_version: version, blob, warnings, newest, at })
    }
}

impl Kind {
    /// For people.
    fn name(self) -> &'static str {
        match self {
            Self::Truststore => "truststore",
            Self::RevocationLists => "revocation list",
        }
    }

    /// Whether a domain names the object at `uri` as this.
    fn is_named(self, domain: &Domain, uri: &str) -> bool {
        let is_it = |object: &NamedObject| object.uri == uri;
        match self {
            Self::Truststore => domain.mutual_tls.iter().chain(&domain.shadow).any(is_it),
            Self::RevocationLists => domain.crls.iter().any(is_it),
        }
    }

    fn max_bytes(self) -> u64 {
        match self {
            Self::Truststore => trust::MAX_BYTES as u64,
            Self::RevocationLists => MAX_LIST_BYTES,
        }
    }

    fn check(self, blob: Blob, at: UnixMillis) -> Result<Usable, String> {
        match self {
            Self::Truststore => {
                let compiled = Truststore::compile(blob.bytes(), at.div_euclid(1000));
                let (_, findings) = compiled.map_err(|error| error.to_string())?;
                let worth_telling = findings.iter().filter(|finding| finding.severity >= Severity::Warning);
                let warnings = worth_telling.map(warning).collect();
                Ok(Usable { blob, warnings })
            }
            Self::RevocationLists => match Crl::read(blob.bytes()) {
                Ok(_) => Ok(Usable { blob, warnings: Vec::new() }),
                Err(error) => Err(error.to_string()),
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
    fn noted(&self, now: &NamedObject, at: UnixMillis) -> Option<NewerVersion> {
        let noted = NewerVersion {
            version: self.version.clone(),
            digest: self.usable.as_ref().map(|usable| usable.blob.digest().to_owned()),
            seen: at,
        };
        let known =
            now.newest.as_ref().filter(|known| (&known.version, &known.digest) == (&noted.version, &noted.digest));
        self.differs(now).then(|| known.cloned().unwrap_or(noted))
    }

    fn blob(&self) -> Option<&Blob> {
        self.usable.as_ref().map(|usable| &usable.blob)
    }
}

/// What a domain's use of an object becomes when its newest version is known.
struct Followed<'a> {
    newest: Option<&'a Newest>,
    uri: &'a str,
    at: UnixMillis,
}

impl Followed<'_> {
    /// Notes that there is another version; what is in force stays.
    fn note(&self, object: &mut NamedObject) {
        if object.uri == self.uri {
            object.newest = self.newest.and_then(|newest| newest.noted(object, self.at));
        }
    }

    /// Takes the newest version, unless one is pinned or it is not usable.
    fn take(&self, object: &mut NamedObject) {
        match self.newest {
            Some(Newest { version, usable: Some(usable) }) if object.uri == self.uri && object.version.is_none() => {
                if (&object.read_version, object.digest.as_str()) != (version, usable.blob.digest()) {
                    object.read_version = version.clone();
                    object.digest = usable.blob.digest().to_owned();
                    object.warnings = usable.warnings.clone();
                    object.read = self.at;
                }
                object.newest = None;
            }
            _ => self.note(object),
        }
    }
}

/// As what the settings name the object at `uri`.
pub(super) fn kinds(state: &State, uri: &str) -> Vec<Kind> {
    [Kind::Truststore, Kind::RevocationLists]
        .into_iter()
        .filter(|kind| state.domains.values().any(|domain| kind.is_named(domain, uri)))
        .collect()
}

/// Tells every domain that names the object at `uri` as this kind that this is its newest version. A truststore that is enforced
/// stays; what follows its object moves on.
pub(super) fn note_newest(draft: &mut Draft<'_>, kind: Kind, uri: &str, newest: Option<&Newest>) -> Result<(), Error> {
    let followed = Followed { newest, uri, at: draft.at };
    let domains = draft.state.domains.clone();
    for domain in domains.values() {
        let mut next = Domain::clone(domain);
        match kind {
            Kind::Truststore => {
                next.mutual_tls.iter_mut().for_each(|object| followed.note(object));
                next.shadow.iter_mut().for_each(|object| followed.take(object));
            }
            Kind::RevocationLists => next.crls.iter_mut().for_each(|object| followed.take(object)),
        }
        if next == **domain {
            continue;
        }
        if let Some(blob) = newest.and_then(Newest::blob) {
            draft.keep(blob);
        }
        // The revision stays: what the user set is enforced as before.
        draft.put(&next)?;
    }
    Ok(())
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

    fn from(key: &str, version: Option<&str>, kept: Option<&str>) -> Wanted {
        Wanted::From(ObjectRef {
            kind: Kind::Truststore,
            location: Location::Object { bucket: "b".into(), key: key.into() },
            version: version.map(str::to_owned),
            kept: kept.map(str::to_owned),
        })
    }

    fn domain() -> Domain {
        let mut domain = crate::acm::tests::domain("arn");
        domain.mutual_tls = Some(NamedObject {
            uri: "s3://b/old.pem".into(),
            version: Some("v1".into()),
            read_version: "v1".into(),
            digest: "d".into(),
            read: 0,
            warnings: vec![],
            newest: None,
        });
        domain
    }

    #[test]
    fn mutual_tls_is_patched() {
        for (uri, version, wanted) in [
            (None, None, Wanted::AsIs),
            (Some(""), None, Wanted::Off),
            (Some(""), Some("v2"), Wanted::Off),
            (Some("s3://b/a/new.pem"), None, from("a/new.pem", None, None)),
            (Some("s3://b/new.pem"), Some("v2"), from("new.pem", Some("v2"), None)),
            (None, Some("v1"), from("old.pem", Some("v1"), Some("d"))),
            (None, Some("v2"), from("old.pem", Some("v2"), None)),
            (None, Some(""), from("old.pem", None, None)),
        ] {
            assert_eq!(Wanted::of(&domain(), Some(&input(uri, version))), Ok(wanted), "{uri:?} {version:?}");
        }
        assert_eq!(Wanted::of(&domain(), None), Ok(Wanted::AsIs));
        let without = Domain { mutual_tls: None, ..domain() };
        assert!(Wanted::of(&without, Some(&input(None, Some("v2")))).is_err());
        for uri in ["https://b/k", "s3://b", "s3://b/", "s3:///k", "b/k"] {
            assert!(Wanted::of(&without, Some(&input(Some(uri), None))).is_err(), "{uri}");
        }
    }

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
