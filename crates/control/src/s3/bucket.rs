//! Buckets.

use std::sync::Arc;

use aws::Asked;
use s3s::dto::*;
use s3s::xml::{DeError, Deserializer};
use s3s::{S3ErrorCode, S3Request, S3Result, s3_error};

use super::call::Call;
use super::listing::decode_token;
use super::operations::timestamp;
use super::tags::{MAX_BUCKET_TAGS, checked_tags, tag_set};
use super::{S3Operations, acl, metadata, settings};
use crate::objects::Versioning;
use crate::page_token;

const DEFAULT_REGION: &str = "us-east-1";
const MAX_BUCKETS_LISTED: i32 = 10_000;
/// What S3 keeps for itself ("General purpose bucket naming rules").
const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

impl S3Operations {
    pub(super) async fn make_bucket(&self, req: S3Request<CreateBucketInput>) -> S3Result<CreateBucketOutput> {
        acl::refuse_grants(&req.headers)?;
        if req.input.object_lock_enabled_for_bucket == Some(true) {
            return Err(metadata::not_implemented("x-amz-bucket-object-lock-enabled"));
        }
        check_name(&req.input.bucket)?;
        let call = req.extensions.get::<Arc<Call>>().ok_or(S3ErrorCode::InternalError)?;
        let tags = checked_tags(tags_of_new_bucket(call.body())?, MAX_BUCKET_TAGS)?;
        if !tags.is_empty() {
            let arn = format!("arn:aws:s3:::{}", req.input.bucket);
            call.may(&Asked { action: "s3:TagResource", resources: &[&arn], context: &[] })?;
        }
        let asked = req.input.create_bucket_configuration.and_then(|configuration| configuration.location_constraint);
        let asked = asked.as_ref().map(|constraint| constraint.as_str()).filter(|constraint| !constraint.is_empty());
        let here = req.region.as_ref().map_or(DEFAULT_REGION, |region| region.as_str());
        let region = bucket_region(asked, here)?.to_owned();
        let settings = settings::of_new_bucket(req.input.object_ownership)?;
        let settings = settings.into_iter().map(|(setting, document)| (setting.name(), document)).collect();
        let (name, at) = (req.input.bucket, (self.clock)());
        let location = Some(format!("/{name}"));
        self.ask(move |objects| objects.create_bucket(&name, &region, tags, settings, at)).await?;
        Ok(CreateBucketOutput { location })
    }

    pub(super) async fn page_of_buckets(&self, input: ListBucketsInput) -> S3Result<ListBucketsOutput> {
        let ListBucketsInput { bucket_region, continuation_token, max_buckets, prefix } = input;
        let limit = max_buckets.unwrap_or(MAX_BUCKETS_LISTED);
        if !(1..=MAX_BUCKETS_LISTED).contains(&limit) {
            let message = "Argument max-buckets must be an integer between 1 and 10000";
            return Err(s3_error!(InvalidArgument, "{message}"));
        }
        let after = continuation_token.as_deref().map(decode_token).transpose()?;
        let mut buckets = self.ask(|objects| objects.buckets()).await?;
        buckets.retain(|bucket| {
            bucket.name.starts_with(prefix.as_deref().unwrap_or_default())
                && bucket_region.as_ref().is_none_or(|region| *region == bucket.region)
                && after.as_ref().is_none_or(|after| bucket.name > *after)
        });
        let limit = usize::try_from(limit).unwrap_or(1);
        let more = buckets.len() > limit;
        buckets.truncate(limit);
        let next = buckets.last().filter(|_| more).map(|bucket| page_token::write(&bucket.name));
        let list = buckets.into_iter().map(|bucket| Bucket {
            bucket_region: Some(bucket.region),
            creation_date: Some(timestamp(bucket.created)),
            name: Some(bucket.name),
        });
        Ok(ListBucketsOutput {
            buckets: Some(list.collect()),
            continuation_token: next,
            owner: Some(self.owner()),
            prefix,
        })
    }

    pub(super) async fn location(&self, bucket: String) -> S3Result<GetBucketLocationOutput> {
        let bucket = self.ask(move |objects| objects.bucket(&bucket)).await?;
        let constraint = (bucket.region != DEFAULT_REGION).then(|| BucketLocationConstraint::from(bucket.region));
        Ok(GetBucketLocationOutput { location_constraint: constraint })
    }

    pub(super) async fn versioning(&self, bucket: String) -> S3Result<GetBucketVersioningOutput> {
        let bucket = self.ask(move |objects| objects.bucket(&bucket)).await?;
        let status = match bucket.versioning {
            Versioning::Unversioned => None,
            Versioning::Enabled => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED)),
            Versioning::Suspended => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::SUSPENDED)),
        };
        Ok(GetBucketVersioningOutput { status, ..Default::default() })
    }

    pub(super) async fn set_versioning(&self, input: PutBucketVersioningInput) -> S3Result<()> {
        let configuration = input.versioning_configuration;
        if configuration.mfa_delete.is_some_and(|mfa| mfa.as_str() == "Enabled") {
            return Err(s3_error!(NotImplemented, "MFA Delete is not implemented."));
        }
        let versioning = match configuration.status.as_ref().map(|status| status.as_str()) {
            Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
            Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
            _ => {
                return Err(s3_error!(
                    IllegalVersioningConfigurationException,
                    "The Versioning element must be specified as Enabled or Suspended."
                ));
            }
        };
        self.ask(move |objects| objects.change_bucket(&input.bucket, |bucket| bucket.versioning = versioning)).await
    }

    pub(super) async fn bucket_tags(&self, bucket: String) -> S3Result<GetBucketTaggingOutput> {
        let bucket = self.ask(move |objects| objects.bucket(&bucket)).await?;
        if bucket.tags.is_empty() {
            return Err(s3_error!(NoSuchTagSet, "The TagSet does not exist"));
        }
        Ok(GetBucketTaggingOutput { tag_set: tag_set(bucket.tags) })
    }

    pub(super) async fn set_bucket_tags(&self, bucket: String, tags: TagSet) -> S3Result<()> {
        let tags = checked_tags(tags, MAX_BUCKET_TAGS)?;
        self.ask(move |objects| objects.change_bucket(&bucket, |bucket| bucket.tags = tags)).await
    }
}

/// The tags in the configuration of a bucket that is to be made, which `s3s` does not know yet.
fn tags_of_new_bucket(configuration: &[u8]) -> S3Result<TagSet> {
    let mut tags = TagSet::new();
    if configuration.is_empty() {
        return Ok(tags);
    }
    let mut document = Deserializer::new(configuration);
    let read = document.named_element("CreateBucketConfiguration", |document| {
        document.for_each_element(|document, name| match name {
            b"Bucket" => document.content::<BucketInfo>().map(drop),
            b"Location" => document.content::<LocationInfo>().map(drop),
            b"LocationConstraint" => document.content::<BucketLocationConstraint>().map(drop),
            b"Tags" => document.for_each_element(|document, name| match name {
                b"Tag" => document.content().map(|tag| tags.push(tag)),
                _ => Err(DeError::UnexpectedTagName),
            }),
            _ => Err(DeError::UnexpectedTagName),
        })
    });
    let malformed = "The XML you provided was not well-formed or did not validate against our published schema";
    read.map(|()| tags).map_err(|_| s3_error!(MalformedXML, "{malformed}"))
}

/// Of what `s3s` lets through, names that S3 does not let anybody have.
fn check_name(name: &str) -> S3Result<()> {
    let is_reserved = RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || RESERVED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
    match is_reserved {
        true => Err(S3ErrorCode::InvalidBucketName.into()),
        false => Ok(()),
    }
}

/// `us-east-1`, `us-gov-west-1`: whether there is such a region is not known here.
fn is_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts.split_last() {
        Some((number, words)) => words.len() >= 2 && words.iter().all(is_word) && number.parse::<u8>().is_ok(),
        None => false,
    }
}

/// Where a bucket is made, by what was asked and where it was asked.
fn bucket_region<'r>(asked: Option<&'r str>, here: &'r str) -> S3Result<&'r str> {
    match asked {
        Some(DEFAULT_REGION) => {
            Err(s3_error!(InvalidLocationConstraint, "The specified location-constraint is not valid"))
        }
        Some("EU") => Ok("eu-west-1"),
        Some(region) if !is_region(region) => {
            Err(s3_error!(InvalidLocationConstraint, "The specified location-constraint is not valid"))
        }
        Some(region) if region == here || here == DEFAULT_REGION => Ok(region),
        None if here == DEFAULT_REGION => Ok(DEFAULT_REGION),
        _ => {
            let constraint = asked.unwrap_or("unspecified");
            Err(s3_error!(
                IllegalLocationConstraintException,
                "The {constraint} location constraint is incompatible for the region specific endpoint this request was sent to."
            ))
        }
    }
}
