//! The versions of a domain's truststore: those that its bucket has, and those that it had.

use aws::{Asked, Caller, Error};
use model::UnixMillis;
use model::resource::{Domain, NamedObject};
use serde::Serialize;
use trust::Truststore;

use super::compile;
use crate::Control;
use crate::control::blocking;
use crate::objects::Scan;

/// Versions that are listed.
const MAX_LISTED: usize = 200;

/// A version of a truststore's object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Version {
    uri: String,
    version: String,
    /// When it was written, as far as the bucket says, else when it was set; milliseconds since 1970.
    at: UnixMillis,
    /// In bytes; none where the bucket does not say.
    size: Option<u64>,
    /// It is what the domain trusts.
    enforced: bool,
    /// It is judged beside that.
    shadow: bool,
    /// There is no newer one.
    newest: bool,
    /// It says that the object was deleted.
    deleted: bool,
    /// It was enforced before: from when until when.
    was: Option<(UnixMillis, UnixMillis)>,
}

/// The newest first; then those of other objects that were enforced before.
pub(super) async fn of(control: &Control, caller: &Caller, domain: &Domain) -> Result<Vec<Version>, Error> {
    let Some(enforced) = &domain.mutual_tls else { return Ok(Vec::new()) };
    let mut versions = in_bucket(control, caller, enforced).await;
    let mut add = |uri: &str, version: &str, at: UnixMillis| {
        if versions.iter().all(|known| known.uri != uri || known.version != version) {
            versions.push(Version::new(uri, version, at));
        }
    };
    add(&enforced.uri, &enforced.read_version, enforced.read);
    if let Some(shadow) = &domain.shadow {
        add(&shadow.uri, &shadow.read_version, shadow.read);
    }
    domain.history.iter().for_each(|earlier| add(&earlier.uri, &earlier.version, earlier.from));
    for version in &mut versions {
        let is = |object: &NamedObject| object.uri == version.uri && object.read_version == version.version;
        (version.enforced, version.shadow) = (is(enforced), domain.shadow.as_ref().is_some_and(is));
        let earlier =
            domain.history.iter().find(|earlier| earlier.uri == version.uri && earlier.version == version.version);
        version.was = earlier.map(|earlier| (earlier.from, earlier.until));
    }
    Ok(versions)
}

/// What the bucket lists, if the caller may see that.
async fn in_bucket(control: &Control, caller: &Caller, object: &NamedObject) -> Vec<Version> {
    let Some((bucket, key)) = place(&object.uri) else { return Vec::new() };
    let arn = format!("arn:aws:s3:::{bucket}");
    let asked = Asked { action: "s3:ListBucketVersions", resources: &[&arn], context: &[] };
    if caller.authority.authorize(&asked).is_err() {
        return Vec::new();
    }
    let (objects, uri) = (control.objects().clone(), object.uri.clone());
    let (bucket, key) = (bucket.to_owned(), key.to_owned());
    let listed = blocking(move || {
        let scan = Scan { prefix: &key, delimiter: None, after: None, after_version: None, limit: MAX_LISTED };
        let page = objects.list_versions(&bucket, &scan).map_err(|error| Error::internal(error.to_string()))?;
        let own = page.versions.into_iter().filter(|listed| listed.key == key);
        Ok(own
            .map(|listed| Version {
                size: listed.version.content.as_ref().map(|content| content.size),
                newest: listed.latest,
                deleted: listed.version.content.is_none(),
                ..Version::new(&uri, &listed.version.id, listed.version.modified)
            })
            .collect())
    });
    // A bucket that is gone has no versions; those that were enforced are kept.
    listed.await.unwrap_or_default()
}

/// A version that the domain has or had, or that its bucket has.
pub(super) async fn compiled(
    control: &Control,
    caller: &Caller,
    domain: &Domain,
    uri: Option<&str>,
    version: &str,
) -> Result<Truststore, Error> {
    let enforced = domain.mutual_tls.as_ref().map(|object| object.uri.as_str());
    let uri = uri.or(enforced).unwrap_or_default();
    let now = domain.mutual_tls.iter().chain(&domain.shadow);
    let known = now.map(|object| (&object.uri, &object.read_version, object.digest.as_str()));
    let newest = domain.mutual_tls.iter().filter_map(|object| {
        let newest = object.newest.as_ref()?;
        Some((&object.uri, &newest.version, newest.digest.as_deref()?))
    });
    let earlier = domain.history.iter().map(|earlier| (&earlier.uri, &earlier.version, earlier.digest.as_str()));
    let mut all = known.chain(newest).chain(earlier);
    let digest = all.find(|(known, of, _)| *known == uri && *of == version).map(|(.., digest)| digest);
    let kept = match digest {
        Some(digest) => control.settings().blob(digest).await?,
        None => None,
    };
    let bytes = match kept {
        Some(blob) => blob.bytes().to_vec(),
        None => read(control, caller, domain, uri, version).await?,
    };
    Ok(compile(bytes, control.now().div_euclid(1000)).await?.0)
}

async fn read(control: &Control, caller: &Caller, domain: &Domain, uri: &str, version: &str) -> Result<Vec<u8>, Error> {
    let unknown = || Error::bad_request(format!("{} has no truststore of version {version} of {uri}", domain.name));
    let (bucket, key) = place(uri).ok_or_else(unknown)?;
    caller.may("s3:GetObjectVersion", &format!("arn:aws:s3:::{bucket}/{key}"))?;
    let (objects, bucket, key, version) =
        (control.objects().clone(), bucket.to_owned(), key.to_owned(), version.to_owned());
    blocking(move || {
        let read = objects.read(&bucket, &key, Some(&version), trust::MAX_BYTES as u64);
        read.map(|(bytes, _)| bytes).map_err(|error| Error::bad_request(error.to_string()))
    })
    .await
}

/// Bucket and key.
fn place(uri: &str) -> Option<(&str, &str)> {
    uri.strip_prefix("s3://")?.split_once('/')
}

impl Version {
    fn new(uri: &str, version: &str, at: UnixMillis) -> Self {
        Self {
            uri: uri.to_owned(),
            version: version.to_owned(),
            at,
            size: None,
            enforced: false,
            shadow: false,
            newest: false,
            deleted: false,
            was: None,
        }
    }
}
