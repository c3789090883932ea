//! What a domain names by `mutualTlsAuthentication` and by tags: given to it when they are set, and moved on with their
//! objects.

use aws::Error;
use aws::apigatewayv2::MutualTlsAuthenticationInput;
use model::resource::{ApiPolicy, Domain, NamedObject, UpstreamCa};
use model::{CrlSource, DomainTags, State, UnixMillis};

use super::draft::Draft;
use super::object::{Kind, Newest, ObjectRef, Usable};
use super::of_api;
use super::source::Location;
use super::uses::Uses;

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

pub(super) fn named(
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

/// The newest version of an object that a tag names, where it is not followed.
pub(super) fn not_followed(object: &NamedObject, what: &str, pinning: &str) -> Option<String> {
    let NamedObject { uri, read_version, newest, .. } = object;
    let newest = newest.as_ref()?;
    let newer = &newest.version;
    Some(match newest.digest {
        Some(_) if object.version.is_some() => {
            format!("{uri} has version {newer}; version {read_version} is pinned by {pinning}.")
        }
        Some(_) => format!(
            "{uri} has version {newer}, which is older than version {read_version} and would take revocations back; that is \
             still used. Pin one by {pinning} if that is meant."
        ),
        None => format!(
            "{uri} was deleted, or is no {what} any more (version {newer}); version {read_version} is still used."
        ),
    })
}

/// What a domain's use of an object becomes when its newest version is known.
pub(super) struct Followed<'a> {
    pub(super) newest: Option<&'a Newest>,
    pub(super) uri: &'a str,
    pub(super) at: UnixMillis,
}

impl Followed<'_> {
    /// Notes that there is another version; what is in force stays.
    fn note(&self, object: &mut NamedObject) {
        if object.uri == self.uri {
            object.newest = self.newest.and_then(|newest| newest.noted(object, self.at));
        }
    }

    /// Takes the newest version, unless one is pinned, it is not usable, or it would take revocations back: who may write an
    /// object could put yesterday's list there again.
    pub(super) fn take(&self, object: &mut NamedObject) {
        let is_followed = object.uri == self.uri && object.version.is_none();
        let is_older = |usable: &Usable| {
            let older = |(issuer, made)| usable.lists.get(issuer).is_some_and(|newest| newest < made);
            object.lists.iter().any(older)
        };
        match self.newest {
            Some(Newest { version, usable: Some(usable) }) if is_followed && !is_older(usable) => {
                if (&object.read_version, object.digest.as_str()) != (version, usable.blob.digest()) {
                    object.read_version = version.clone();
                    object.digest = usable.blob.digest().to_owned();
                    object.warnings = usable.warnings.clone();
                    object.lists = usable.lists.clone();
                    object.read = self.at;
                }
                object.newest = None;
            }
            _ => self.note(object),
        }
    }
}

/// As what the settings name the object at `uri`.
pub(super) fn kinds(uses: &Uses, state: &State, uri: &str) -> Vec<Kind> {
    let domains = uses.of(&state.domains, uri);
    let of_domains = [Kind::Truststore, Kind::RevocationLists]
        .into_iter()
        .filter(|kind| domains.iter().any(|domain| is_named(*kind, domain, uri)));
    of_domains.chain(of_api::kinds(state, uri)).collect()
}

/// Tells every domain (or API) that names the object at `uri` as this kind that this is its newest version. A truststore that is enforced
/// stays; what follows its object moves on.
pub(super) fn note_newest(
    uses: &Uses,
    draft: &mut Draft<'_>,
    kind: Kind,
    uri: &str,
    newest: Option<&Newest>,
) -> Result<(), Error> {
    match kind {
        Kind::UpstreamCa => return of_api::note_newest::<UpstreamCa>(draft, uri, newest),
        Kind::Policy => return of_api::note_newest::<ApiPolicy>(draft, uri, newest),
        Kind::Truststore | Kind::RevocationLists => {}
    }
    let followed = Followed { newest, uri, at: draft.at };
    for domain in uses.of(&draft.state.domains, uri) {
        let mut next = Domain::clone(&domain);
        match kind {
            Kind::Truststore => {
                next.mutual_tls.iter_mut().for_each(|object| followed.note(object));
                next.shadow.iter_mut().for_each(|object| followed.take(object));
            }
            Kind::RevocationLists => next.crls.iter_mut().for_each(|object| followed.take(object)),
            Kind::UpstreamCa | Kind::Policy => {}
        }
        if next == *domain {
            continue;
        }
        if let Some(usable) = newest.and_then(|newest| newest.usable.as_ref()) {
            draft.keep(&usable.blob);
        }
        // The revision stays: what the user set is enforced as before.
        draft.put(&next)?;
    }
    Ok(())
}

/// Whether a domain names the object at `uri` as this kind.
fn is_named(kind: Kind, domain: &Domain, uri: &str) -> bool {
    let is_it = |object: &NamedObject| object.uri == uri;
    match kind {
        Kind::Truststore => domain.mutual_tls.iter().chain(&domain.shadow).any(is_it),
        Kind::RevocationLists => domain.crls.iter().any(is_it),
        Kind::UpstreamCa | Kind::Policy => false,
    }
}

#[cfg(test)]
pub(super) mod tests {
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

    /// With a truststore of its own.
    pub(in super::super) fn domain() -> Domain {
        let mut domain = crate::acm::tests::domain("arn");
        domain.mutual_tls = Some(NamedObject {
            uri: "s3://b/old.pem".into(),
            version: Some("v1".into()),
            read_version: "v1".into(),
            digest: "d".into(),
            read: 0,
            warnings: vec![],
            lists: Default::default(),
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
}
