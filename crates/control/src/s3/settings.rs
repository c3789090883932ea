//! What is set about a bucket and only kept: S3's own documents, given back as they were put. Nothing here acts on them, but that
//! ownership decides whether a list of grants can be set. docs/reference.md says so, one by one.

use http::StatusCode;
use s3s::dto::*;
use s3s::xml::{Deserialize, Deserializer, Serialize, Serializer};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::S3Operations;
use super::errors::with_code;

/// One thing that can be set.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    /// Its place in [`crate::objects::Bucket::settings`].
    name: &'static str,
    /// S3's error where it is not set.
    missing: (&'static str, &'static str),
}

const fn setting(name: &'static str, code: &'static str, message: &'static str) -> Setting {
    Setting { name, missing: (code, message) }
}

pub(super) const POLICY: Setting = setting("policy", "NoSuchBucketPolicy", "The bucket policy does not exist");
pub(super) const CORS: Setting = setting("cors", "NoSuchCORSConfiguration", "The CORS configuration does not exist");
pub(super) const ENCRYPTION: Setting = setting(
    "encryption",
    "ServerSideEncryptionConfigurationNotFoundError",
    "The server side encryption configuration was not found",
);
pub(super) const LIFECYCLE: Setting =
    setting("lifecycle", "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist");
pub(super) const OWNERSHIP: Setting =
    setting("ownership", "OwnershipControlsNotFoundError", "The bucket ownership controls were not found");
pub(super) const PUBLIC_ACCESS_BLOCK: Setting = setting(
    "public_access_block",
    "NoSuchPublicAccessBlockConfiguration",
    "The public access block configuration was not found",
);
pub(super) const WEBSITE: Setting =
    setting("website", "NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration");
/// Where they are not set, S3 answers with empty ones.
pub(super) const LOGGING: Setting = setting("logging", "", "");
pub(super) const NOTIFICATION: Setting = setting("notification", "", "");

/// What cannot be set here.
pub(super) const REPLICATION: Setting =
    setting("replication", "ReplicationConfigurationNotFoundError", "The replication configuration was not found");
pub(super) const OBJECT_LOCK: Setting = setting(
    "object_lock",
    "ObjectLockConfigurationNotFoundError",
    "Object Lock configuration does not exist for this bucket",
);

impl Setting {
    pub(super) fn error(self) -> S3Error {
        let (code, message) = self.missing;
        with_code(StatusCode::NOT_FOUND, code, message)
    }

    pub(super) fn name(self) -> String {
        self.name.to_owned()
    }
}

impl S3Operations {
    /// The document that was put, if there is one.
    pub(super) async fn setting_of(&self, bucket: &str, setting: Setting) -> S3Result<Option<String>> {
        let bucket = bucket.to_owned();
        Ok(self.ask(move |objects| objects.bucket(&bucket)).await?.settings.remove(setting.name))
    }

    /// What was put; S3's error where nothing was.
    pub(super) async fn set<T>(&self, bucket: &str, setting: Setting) -> S3Result<T>
    where
        T: for<'xml> Deserialize<'xml>,
    {
        read(&self.setting_of(bucket, setting).await?.ok_or_else(|| setting.error())?)
    }

    /// What was put, or nothing.
    pub(super) async fn set_or_default<T>(&self, bucket: &str, setting: Setting) -> S3Result<T>
    where
        T: Default + for<'xml> Deserialize<'xml>,
    {
        self.setting_of(bucket, setting).await?.map_or_else(|| Ok(T::default()), |document| read(&document))
    }

    /// Keeps what is put.
    pub(super) async fn keep(&self, bucket: String, setting: Setting, value: &impl Serialize) -> S3Result<()> {
        self.keep_document(bucket, setting, written(value)?).await
    }

    pub(super) async fn keep_document(&self, bucket: String, setting: Setting, document: String) -> S3Result<()> {
        let change = move |bucket: &mut crate::objects::Bucket| drop(bucket.settings.insert(setting.name(), document));
        self.ask(move |objects| objects.change_bucket(&bucket, change)).await
    }

    /// Forgets it; that it was not there is no error.
    pub(super) async fn forget(&self, bucket: String, setting: Setting) -> S3Result<()> {
        let change = move |bucket: &mut crate::objects::Bucket| drop(bucket.settings.remove(setting.name));
        self.ask(move |objects| objects.change_bucket(&bucket, change)).await
    }
}

/// What S3 sets about a new bucket.
pub(super) fn of_new_bucket(ownership: Option<ObjectOwnership>) -> S3Result<[(Setting, String); 2]> {
    let ownership = ownership.unwrap_or_else(|| ObjectOwnership::from_static(ObjectOwnership::BUCKET_OWNER_ENFORCED));
    let ownership = OwnershipControls { rules: vec![OwnershipControlsRule { object_ownership: ownership }] };
    check_ownership(&ownership)?;
    let everything = Some(true);
    let block = PublicAccessBlockConfiguration {
        block_public_acls: everything,
        block_public_policy: everything,
        ignore_public_acls: everything,
        restrict_public_buckets: everything,
    };
    Ok([(OWNERSHIP, written(&ownership)?), (PUBLIC_ACCESS_BLOCK, written(&block)?)])
}

/// One rule, with a value that there is.
pub(super) fn check_ownership(controls: &OwnershipControls) -> S3Result<()> {
    let known = ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"];
    match controls.rules.as_slice() {
        [rule] if known.contains(&rule.object_ownership.as_str()) => Ok(()),
        _ => Err(malformed()),
    }
}

/// Whether a bucket's ownership controls say that all in it is its owner's, and no list gives others anything.
pub(super) fn owned_by_bucket(document: &str) -> bool {
    let controls: Option<OwnershipControls> = read(document).ok();
    let enforced =
        |rule: &OwnershipControlsRule| rule.object_ownership.as_str() == ObjectOwnership::BUCKET_OWNER_ENFORCED;
    controls.is_some_and(|controls| controls.rules.iter().any(enforced))
}

/// At least one rule, an algorithm that there is, and no key that there cannot be.
pub(super) fn check_encryption(configuration: &ServerSideEncryptionConfiguration) -> S3Result<()> {
    if configuration.rules.len() != 1 {
        return Err(malformed());
    }
    let by_default =
        configuration.rules.iter().filter_map(|rule| rule.apply_server_side_encryption_by_default.as_ref());
    for by_default in by_default {
        match (by_default.sse_algorithm.as_str(), &by_default.kms_master_key_id) {
            ("AES256", Some(_)) => {
                let message =
                    "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse";
                return Err(s3_error!(InvalidArgument, "{message}"));
            }
            ("AES256" | "aws:kms" | "aws:kms:dsse", _) => {}
            _ => return Err(malformed()),
        }
    }
    Ok(())
}

/// 1 to 100 rules, each with methods that S3 has.
pub(super) fn check_cors(configuration: &CORSConfiguration) -> S3Result<()> {
    if configuration.cors_rules.is_empty() || configuration.cors_rules.len() > 100 {
        return Err(malformed());
    }
    for method in configuration.cors_rules.iter().flat_map(|rule| &rule.allowed_methods) {
        if !["GET", "PUT", "HEAD", "POST", "DELETE"].contains(&method.as_str()) {
            let message = format!("Found unsupported HTTP method in CORS config. Unsupported method is {method}");
            return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
        }
    }
    Ok(())
}

/// 1 to 1,000 rules with names of their own; those that have none are given one.
pub(super) fn check_lifecycle(configuration: &mut BucketLifecycleConfiguration) -> S3Result<()> {
    let rules = &mut configuration.rules;
    if rules.is_empty() || rules.len() > 1_000 {
        return Err(malformed());
    }
    let mut names = std::collections::BTreeSet::new();
    for (number, rule) in rules.iter_mut().enumerate() {
        let name = rule.id.get_or_insert_with(|| format!("rule-{}", number + 1));
        if name.len() > 255 {
            return Err(s3_error!(InvalidArgument, "ID length should not exceed allowed limit of 255"));
        }
        if !names.insert(name.clone()) {
            let message = "Rule ID must be unique. Found same ID for more than one rule";
            return Err(s3_error!(InvalidArgument, "{message}"));
        }
        if !matches!(rule.status.as_str(), "Enabled" | "Disabled") {
            return Err(malformed());
        }
    }
    Ok(())
}

/// An index document, or where all requests are sent instead.
pub(super) fn check_website(configuration: &WebsiteConfiguration) -> S3Result<()> {
    match (&configuration.redirect_all_requests_to, &configuration.index_document) {
        (Some(_), None) | (None, Some(_)) => Ok(()),
        (None, None) => Err(s3_error!(
            InvalidArgument,
            "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty"
        )),
        (Some(_), Some(_)) => Err(s3_error!(
            InvalidRequest,
            "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules, or with an index document."
        )),
    }
}

pub(super) fn malformed() -> S3Error {
    s3_error!(MalformedXML, "The XML you provided was not well-formed or did not validate against our published schema")
}

fn written(value: &impl Serialize) -> S3Result<String> {
    let mut bytes = Vec::new();
    let failed = |_| S3Error::from(S3ErrorCode::InternalError);
    value.serialize(&mut Serializer::new(&mut bytes)).map_err(failed)?;
    String::from_utf8(bytes).map_err(|_| S3ErrorCode::InternalError.into())
}

/// What was kept was written by [`written`].
pub(super) fn read<T>(document: &str) -> S3Result<T>
where
    T: for<'xml> Deserialize<'xml>,
{
    T::deserialize(&mut Deserializer::new(document.as_bytes())).map_err(|_| S3ErrorCode::InternalError.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_bucket_is_its_owners_alone() {
        let [(_, ownership), (_, block)] = of_new_bucket(None).unwrap();
        assert!(owned_by_bucket(&ownership));
        assert_eq!(read::<PublicAccessBlockConfiguration>(&block).unwrap().block_public_policy, Some(true));
        let other = of_new_bucket(Some(ObjectOwnership::from_static(ObjectOwnership::OBJECT_WRITER))).unwrap();
        assert!(!owned_by_bucket(&other[0].1));
        assert!(of_new_bucket(Some("Nobody".to_owned().into())).is_err());
    }

    #[test]
    fn lifecycle_rules_have_names_of_their_own() {
        let rule = |id: Option<&str>| {
            let text = "<LifecycleConfiguration><Rule><Status>Enabled</Status></Rule></LifecycleConfiguration>";
            let rule = read::<BucketLifecycleConfiguration>(text).unwrap().rules.remove(0);
            LifecycleRule { id: id.map(str::to_owned), ..rule }
        };
        let mut named = BucketLifecycleConfiguration { rules: vec![rule(None), rule(Some("b"))] };
        check_lifecycle(&mut named).unwrap();
        assert_eq!(named.rules[0].id.as_deref(), Some("rule-1"));
        let mut twice = BucketLifecycleConfiguration { rules: vec![rule(Some("b")), rule(Some("b"))] };
        assert!(check_lifecycle(&mut twice).is_err());
    }
}
