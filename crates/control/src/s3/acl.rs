//! Access control lists. There is one: the owner may do everything. Nobody is served here who has not signed, so a list that would
//! let others in is refused rather than kept.

use http::{HeaderMap, StatusCode};
use s3s::dto::*;
use s3s::{S3Error, S3Result, s3_error};

use super::S3Operations;
use super::errors::with_code;
use super::settings::{OWNERSHIP, owned_by_bucket};

/// Canned lists that give nobody but the owner anything.
const PRIVATE: [&str; 4] = ["private", "bucket-owner-full-control", "bucket-owner-read", "exec-read"];
const GRANTS: [&str; 5] = [
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
];

/// Refuses headers that would let others in.
pub(super) fn refuse_grants(headers: &HeaderMap) -> S3Result<()> {
    let canned = headers.get("x-amz-acl").map(|value| value.to_str().unwrap_or_default());
    if canned.is_some_and(|canned| !PRIVATE.contains(&canned)) || GRANTS.iter().any(|name| headers.contains_key(*name))
    {
        return Err(not_supported());
    }
    Ok(())
}

impl S3Operations {
    /// The list of everything.
    pub(super) fn grants(&self) -> Grants {
        let owner = self.owner();
        let grantee = Grantee {
            display_name: owner.display_name,
            email_address: None,
            id: owner.id,
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        };
        vec![Grant { grantee: Some(grantee), permission: Some(Permission::from_static(Permission::FULL_CONTROL)) }]
    }

    /// Checks a list that is set: of a bucket that takes lists, and the one that there is.
    pub(super) async fn check_acl(
        &self,
        bucket: &str,
        headers: &HeaderMap,
        policy: Option<AccessControlPolicy>,
    ) -> S3Result<()> {
        let ownership = self.setting_of(bucket, OWNERSHIP).await?;
        let canned = headers.get("x-amz-acl").map(|value| value.as_bytes());
        if ownership.is_some_and(|document| owned_by_bucket(&document)) && canned != Some(b"bucket-owner-full-control")
        {
            return Err(not_supported());
        }
        refuse_grants(headers)?;
        let is_ours = |grants: &Grants| {
            grants.iter().all(|grant| {
                let grantee = grant.grantee.as_ref().and_then(|grantee| grantee.id.as_ref());
                grantee.is_some_and(|id| *id == self.owner)
            })
        };
        match policy.and_then(|policy| policy.grants) {
            Some(grants) if !is_ours(&grants) => Err(not_supported()),
            None if canned.is_none() => Err(s3_error!(
                MissingSecurityHeader,
                "Your request was missing a required header: x-amz-acl, or an access control list"
            )),
            _ => Ok(()),
        }
    }

    pub(super) async fn bucket_acl(&self, bucket: String) -> S3Result<GetBucketAclOutput> {
        self.ask(move |objects| objects.bucket(&bucket)).await?;
        Ok(GetBucketAclOutput { grants: Some(self.grants()), owner: Some(self.owner()) })
    }

    pub(super) async fn object_acl(&self, input: GetObjectAclInput) -> S3Result<GetObjectAclOutput> {
        self.ask(move |objects| objects.head(&input.bucket, &input.key, input.version_id.as_deref())).await?;
        Ok(GetObjectAclOutput { grants: Some(self.grants()), owner: Some(self.owner()), ..Default::default() })
    }
}

fn not_supported() -> S3Error {
    with_code(
        StatusCode::BAD_REQUEST,
        "AccessControlListNotSupported",
        "The bucket does not allow ACLs: here only the owner is given access. Give others access by keys of their own.",
    )
}
