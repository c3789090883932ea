//! The operations, by name. What is not here is answered with `NotImplemented`.

use async_trait::async_trait;
use http::{HeaderValue, StatusCode};
use model::UnixMillis;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};
use time::OffsetDateTime;

use super::{S3Operations, policy, settings};

type Response<T> = S3Result<S3Response<T>>;

#[async_trait]
impl S3 for S3Operations {
    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> Response<AbortMultipartUploadOutput> {
        let input = req.input;
        self.ask(move |objects| objects.abort_upload(&input.bucket, &input.key, &input.upload_id)).await?;
        Ok(S3Response::with_status(AbortMultipartUploadOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> Response<CompleteMultipartUploadOutput> {
        self.complete(req.input).await.map(S3Response::new)
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> Response<CopyObjectOutput> {
        self.copy(req).await.map(S3Response::new)
    }

    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> Response<CreateBucketOutput> {
        self.make_bucket(req).await.map(S3Response::new)
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> Response<CreateMultipartUploadOutput> {
        self.begin(req).await.map(S3Response::new)
    }

    async fn delete_bucket(&self, req: S3Request<DeleteBucketInput>) -> Response<DeleteBucketOutput> {
        self.ask(move |objects| objects.delete_bucket(&req.input.bucket)).await?;
        Ok(S3Response::with_status(DeleteBucketOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn delete_bucket_cors(&self, req: S3Request<DeleteBucketCorsInput>) -> Response<DeleteBucketCorsOutput> {
        self.forget(req.input.bucket, settings::CORS).await?;
        Ok(S3Response::with_status(DeleteBucketCorsOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn delete_bucket_encryption(
        &self,
        req: S3Request<DeleteBucketEncryptionInput>,
    ) -> Response<DeleteBucketEncryptionOutput> {
        self.forget(req.input.bucket, settings::ENCRYPTION).await?;
        Ok(S3Response::with_status(DeleteBucketEncryptionOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn delete_bucket_lifecycle(
        &self,
        req: S3Request<DeleteBucketLifecycleInput>,
    ) -> Response<DeleteBucketLifecycleOutput> {
        self.forget(req.input.bucket, settings::LIFECYCLE).await?;
        Ok(S3Response::with_status(DeleteBucketLifecycleOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn delete_bucket_ownership_controls(
        &self,
        req: S3Request<DeleteBucketOwnershipControlsInput>,
    ) -> Response<DeleteBucketOwnershipControlsOutput> {
        self.forget(req.input.bucket, settings::OWNERSHIP).await?;
        Ok(S3Response::with_status(DeleteBucketOwnershipControlsOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn delete_bucket_policy(
        &self,
        req: S3Request<DeleteBucketPolicyInput>,
    ) -> Response<DeleteBucketPolicyOutput> {
        self.forget(req.input.bucket, settings::POLICY).await?;
        Ok(S3Response::with_status(DeleteBucketPolicyOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn delete_bucket_website(
        &self,
        req: S3Request<DeleteBucketWebsiteInput>,
    ) -> Response<DeleteBucketWebsiteOutput> {
        self.forget(req.input.bucket, settings::WEBSITE).await?;
        Ok(S3Response::with_status(DeleteBucketWebsiteOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn delete_public_access_block(
        &self,
        req: S3Request<DeletePublicAccessBlockInput>,
    ) -> Response<DeletePublicAccessBlockOutput> {
        self.forget(req.input.bucket, settings::PUBLIC_ACCESS_BLOCK).await?;
        Ok(S3Response::with_status(DeletePublicAccessBlockOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn delete_bucket_tagging(
        &self,
        req: S3Request<DeleteBucketTaggingInput>,
    ) -> Response<DeleteBucketTaggingOutput> {
        self.set_bucket_tags(req.input.bucket, TagSet::new()).await?;
        Ok(S3Response::with_status(DeleteBucketTaggingOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> Response<DeleteObjectOutput> {
        let output = self.remove(req.input).await?;
        Ok(S3Response::with_status(output, StatusCode::NO_CONTENT))
    }

    async fn delete_object_tagging(
        &self,
        req: S3Request<DeleteObjectTaggingInput>,
    ) -> Response<DeleteObjectTaggingOutput> {
        let input = req.input;
        let version_id = self.set_tags(input.bucket, input.key, input.version_id, TagSet::new()).await?;
        Ok(S3Response::with_status(DeleteObjectTaggingOutput { version_id }, StatusCode::NO_CONTENT))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> Response<DeleteObjectsOutput> {
        self.remove_all(req).await.map(S3Response::new)
    }

    async fn get_bucket_accelerate_configuration(
        &self,
        req: S3Request<GetBucketAccelerateConfigurationInput>,
    ) -> Response<GetBucketAccelerateConfigurationOutput> {
        self.ask(move |objects| objects.bucket(&req.input.bucket)).await?;
        Ok(S3Response::new(GetBucketAccelerateConfigurationOutput::default()))
    }

    async fn get_bucket_acl(&self, req: S3Request<GetBucketAclInput>) -> Response<GetBucketAclOutput> {
        self.bucket_acl(req.input.bucket).await.map(S3Response::new)
    }

    async fn get_bucket_cors(&self, req: S3Request<GetBucketCorsInput>) -> Response<GetBucketCorsOutput> {
        let CORSConfiguration { cors_rules } = self.set(&req.input.bucket, settings::CORS).await?;
        Ok(S3Response::new(GetBucketCorsOutput { cors_rules: Some(cors_rules) }))
    }

    async fn get_bucket_encryption(
        &self,
        req: S3Request<GetBucketEncryptionInput>,
    ) -> Response<GetBucketEncryptionOutput> {
        let server_side_encryption_configuration = Some(self.set(&req.input.bucket, settings::ENCRYPTION).await?);
        Ok(S3Response::new(GetBucketEncryptionOutput { server_side_encryption_configuration }))
    }

    async fn get_bucket_lifecycle_configuration(
        &self,
        req: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> Response<GetBucketLifecycleConfigurationOutput> {
        let BucketLifecycleConfiguration { rules } = self.set(&req.input.bucket, settings::LIFECYCLE).await?;
        Ok(S3Response::new(GetBucketLifecycleConfigurationOutput { rules: Some(rules), ..Default::default() }))
    }

    async fn get_bucket_location(&self, req: S3Request<GetBucketLocationInput>) -> Response<GetBucketLocationOutput> {
        self.location(req.input.bucket).await.map(S3Response::new)
    }

    async fn get_bucket_logging(&self, req: S3Request<GetBucketLoggingInput>) -> Response<GetBucketLoggingOutput> {
        let status: BucketLoggingStatus = self.set_or_default(&req.input.bucket, settings::LOGGING).await?;
        Ok(S3Response::new(GetBucketLoggingOutput { logging_enabled: status.logging_enabled }))
    }

    async fn get_bucket_notification_configuration(
        &self,
        req: S3Request<GetBucketNotificationConfigurationInput>,
    ) -> Response<GetBucketNotificationConfigurationOutput> {
        let set: NotificationConfiguration = self.set_or_default(&req.input.bucket, settings::NOTIFICATION).await?;
        Ok(S3Response::new(GetBucketNotificationConfigurationOutput {
            event_bridge_configuration: set.event_bridge_configuration,
            lambda_function_configurations: set.lambda_function_configurations,
            queue_configurations: set.queue_configurations,
            topic_configurations: set.topic_configurations,
        }))
    }

    async fn get_bucket_ownership_controls(
        &self,
        req: S3Request<GetBucketOwnershipControlsInput>,
    ) -> Response<GetBucketOwnershipControlsOutput> {
        let ownership_controls = Some(self.set(&req.input.bucket, settings::OWNERSHIP).await?);
        Ok(S3Response::new(GetBucketOwnershipControlsOutput { ownership_controls }))
    }

    async fn get_bucket_policy(&self, req: S3Request<GetBucketPolicyInput>) -> Response<GetBucketPolicyOutput> {
        self.policy(&req.input.bucket).await.map(S3Response::new)
    }

    async fn get_bucket_policy_status(
        &self,
        req: S3Request<GetBucketPolicyStatusInput>,
    ) -> Response<GetBucketPolicyStatusOutput> {
        self.policy_status(&req.input.bucket).await.map(S3Response::new)
    }

    async fn get_bucket_replication(
        &self,
        req: S3Request<GetBucketReplicationInput>,
    ) -> Response<GetBucketReplicationOutput> {
        self.ask(move |objects| objects.bucket(&req.input.bucket)).await?;
        Err(settings::REPLICATION.error())
    }

    async fn get_bucket_request_payment(
        &self,
        req: S3Request<GetBucketRequestPaymentInput>,
    ) -> Response<GetBucketRequestPaymentOutput> {
        self.ask(move |objects| objects.bucket(&req.input.bucket)).await?;
        let payer = Some(Payer::from_static(Payer::BUCKET_OWNER));
        Ok(S3Response::new(GetBucketRequestPaymentOutput { payer }))
    }

    async fn get_bucket_tagging(&self, req: S3Request<GetBucketTaggingInput>) -> Response<GetBucketTaggingOutput> {
        self.bucket_tags(req.input.bucket).await.map(S3Response::new)
    }

    async fn get_bucket_versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> Response<GetBucketVersioningOutput> {
        self.versioning(req.input.bucket).await.map(S3Response::new)
    }

    async fn get_bucket_website(&self, req: S3Request<GetBucketWebsiteInput>) -> Response<GetBucketWebsiteOutput> {
        let set: WebsiteConfiguration = self.set(&req.input.bucket, settings::WEBSITE).await?;
        Ok(S3Response::new(GetBucketWebsiteOutput {
            error_document: set.error_document,
            index_document: set.index_document,
            redirect_all_requests_to: set.redirect_all_requests_to,
            routing_rules: set.routing_rules,
        }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> Response<GetObjectOutput> {
        self.get(req.input).await.map(S3Response::new)
    }

    async fn get_object_acl(&self, req: S3Request<GetObjectAclInput>) -> Response<GetObjectAclOutput> {
        self.object_acl(req.input).await.map(S3Response::new)
    }

    async fn get_object_attributes(
        &self,
        req: S3Request<GetObjectAttributesInput>,
    ) -> Response<GetObjectAttributesOutput> {
        self.attributes(req.input).await.map(S3Response::new)
    }

    async fn get_object_lock_configuration(
        &self,
        req: S3Request<GetObjectLockConfigurationInput>,
    ) -> Response<GetObjectLockConfigurationOutput> {
        self.ask(move |objects| objects.bucket(&req.input.bucket)).await?;
        Err(settings::OBJECT_LOCK.error())
    }

    async fn get_object_tagging(&self, req: S3Request<GetObjectTaggingInput>) -> Response<GetObjectTaggingOutput> {
        self.tags(req.input).await.map(S3Response::new)
    }

    async fn get_public_access_block(
        &self,
        req: S3Request<GetPublicAccessBlockInput>,
    ) -> Response<GetPublicAccessBlockOutput> {
        let set = self.set(&req.input.bucket, settings::PUBLIC_ACCESS_BLOCK).await?;
        Ok(S3Response::new(GetPublicAccessBlockOutput { public_access_block_configuration: Some(set) }))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> Response<HeadBucketOutput> {
        let bucket = self.ask(move |objects| objects.bucket(&req.input.bucket)).await?;
        Ok(S3Response::new(HeadBucketOutput { bucket_region: Some(bucket.region), ..Default::default() }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> Response<HeadObjectOutput> {
        self.head(req.input).await.map(S3Response::new)
    }

    async fn list_buckets(&self, req: S3Request<ListBucketsInput>) -> Response<ListBucketsOutput> {
        self.page_of_buckets(req.input).await.map(S3Response::new)
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> Response<ListMultipartUploadsOutput> {
        self.page_of_uploads(req.input).await.map(S3Response::new)
    }

    async fn list_object_versions(
        &self,
        req: S3Request<ListObjectVersionsInput>,
    ) -> Response<ListObjectVersionsOutput> {
        self.page_of_versions(req.input).await.map(S3Response::new)
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> Response<ListObjectsOutput> {
        self.page_of_objects(req.input).await.map(S3Response::new)
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> Response<ListObjectsV2Output> {
        self.page_of_objects_v2(req.input).await.map(S3Response::new)
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> Response<ListPartsOutput> {
        self.page_of_parts(req.input).await.map(S3Response::new)
    }

    async fn put_bucket_acl(&self, req: S3Request<PutBucketAclInput>) -> Response<PutBucketAclOutput> {
        let input = req.input;
        self.check_acl(&input.bucket, &req.headers, input.access_control_policy).await?;
        Ok(S3Response::new(PutBucketAclOutput::default()))
    }

    async fn put_bucket_cors(&self, req: S3Request<PutBucketCorsInput>) -> Response<PutBucketCorsOutput> {
        let input = req.input;
        settings::check_cors(&input.cors_configuration)?;
        self.keep(input.bucket, settings::CORS, &input.cors_configuration).await?;
        Ok(S3Response::new(PutBucketCorsOutput::default()))
    }

    async fn put_bucket_encryption(
        &self,
        req: S3Request<PutBucketEncryptionInput>,
    ) -> Response<PutBucketEncryptionOutput> {
        let input = req.input;
        settings::check_encryption(&input.server_side_encryption_configuration)?;
        self.keep(input.bucket, settings::ENCRYPTION, &input.server_side_encryption_configuration).await?;
        Ok(S3Response::new(PutBucketEncryptionOutput::default()))
    }

    async fn put_bucket_lifecycle_configuration(
        &self,
        req: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> Response<PutBucketLifecycleConfigurationOutput> {
        let mut configuration = req.input.lifecycle_configuration.ok_or_else(settings::malformed)?;
        settings::check_lifecycle(&mut configuration)?;
        self.keep(req.input.bucket, settings::LIFECYCLE, &configuration).await?;
        Ok(S3Response::new(PutBucketLifecycleConfigurationOutput::default()))
    }

    async fn put_bucket_logging(&self, req: S3Request<PutBucketLoggingInput>) -> Response<PutBucketLoggingOutput> {
        self.keep(req.input.bucket, settings::LOGGING, &req.input.bucket_logging_status).await?;
        Ok(S3Response::new(PutBucketLoggingOutput::default()))
    }

    async fn put_bucket_notification_configuration(
        &self,
        req: S3Request<PutBucketNotificationConfigurationInput>,
    ) -> Response<PutBucketNotificationConfigurationOutput> {
        self.keep(req.input.bucket, settings::NOTIFICATION, &req.input.notification_configuration).await?;
        Ok(S3Response::new(PutBucketNotificationConfigurationOutput::default()))
    }

    async fn put_bucket_ownership_controls(
        &self,
        req: S3Request<PutBucketOwnershipControlsInput>,
    ) -> Response<PutBucketOwnershipControlsOutput> {
        settings::check_ownership(&req.input.ownership_controls)?;
        self.keep(req.input.bucket, settings::OWNERSHIP, &req.input.ownership_controls).await?;
        Ok(S3Response::new(PutBucketOwnershipControlsOutput::default()))
    }

    async fn put_bucket_policy(&self, req: S3Request<PutBucketPolicyInput>) -> Response<PutBucketPolicyOutput> {
        self.keep_policy(req.input.bucket, req.input.policy).await?;
        let mut response = S3Response::with_status(PutBucketPolicyOutput::default(), StatusCode::NO_CONTENT);
        let (name, text) = policy::WARNING;
        response.headers.insert(name, HeaderValue::from_static(text));
        Ok(response)
    }

    async fn put_bucket_tagging(&self, req: S3Request<PutBucketTaggingInput>) -> Response<PutBucketTaggingOutput> {
        self.set_bucket_tags(req.input.bucket, req.input.tagging.tag_set).await?;
        Ok(S3Response::with_status(PutBucketTaggingOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn put_bucket_versioning(
        &self,
        req: S3Request<PutBucketVersioningInput>,
    ) -> Response<PutBucketVersioningOutput> {
        self.set_versioning(req.input).await?;
        Ok(S3Response::new(PutBucketVersioningOutput::default()))
    }

    async fn put_bucket_website(&self, req: S3Request<PutBucketWebsiteInput>) -> Response<PutBucketWebsiteOutput> {
        settings::check_website(&req.input.website_configuration)?;
        self.keep(req.input.bucket, settings::WEBSITE, &req.input.website_configuration).await?;
        Ok(S3Response::new(PutBucketWebsiteOutput::default()))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> Response<PutObjectOutput> {
        self.put(req).await.map(S3Response::new)
    }

    async fn put_object_acl(&self, req: S3Request<PutObjectAclInput>) -> Response<PutObjectAclOutput> {
        let PutObjectAclInput { bucket, key, version_id, access_control_policy, .. } = req.input;
        let (place, name) = (bucket.clone(), bucket);
        self.ask(move |objects| objects.head(&place, &key, version_id.as_deref())).await?;
        self.check_acl(&name, &req.headers, access_control_policy).await?;
        Ok(S3Response::new(PutObjectAclOutput::default()))
    }

    async fn put_object_tagging(&self, req: S3Request<PutObjectTaggingInput>) -> Response<PutObjectTaggingOutput> {
        let input = req.input;
        let version_id = self.set_tags(input.bucket, input.key, input.version_id, input.tagging.tag_set).await?;
        Ok(S3Response::new(PutObjectTaggingOutput { version_id }))
    }

    async fn put_public_access_block(
        &self,
        req: S3Request<PutPublicAccessBlockInput>,
    ) -> Response<PutPublicAccessBlockOutput> {
        let set = &req.input.public_access_block_configuration;
        self.keep(req.input.bucket.clone(), settings::PUBLIC_ACCESS_BLOCK, set).await?;
        Ok(S3Response::new(PutPublicAccessBlockOutput::default()))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> Response<UploadPartOutput> {
        self.part(req).await.map(S3Response::new)
    }

    async fn upload_part_copy(&self, req: S3Request<UploadPartCopyInput>) -> Response<UploadPartCopyOutput> {
        self.copy_part(req).await.map(S3Response::new)
    }
}

impl S3Operations {
    pub(super) fn owner(&self) -> Owner {
        Owner { display_name: None, id: Some(self.owner.clone()) }
    }
}

pub(super) fn timestamp(at: UnixMillis) -> Timestamp {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000);
    Timestamp::from(time.unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

pub(super) fn millis(at: Timestamp) -> UnixMillis {
    let nanos = OffsetDateTime::from(at).unix_timestamp_nanos();
    UnixMillis::try_from(nanos.div_euclid(1_000_000)).unwrap_or(0)
}
