//! Which of S3's actions an operation needs.
//!
//! Source: "Required permissions for Amazon S3 API operations", S3 user guide.

use aws::Asked;
use percent_encoding::percent_decode_str;
use s3s::access::S3AccessContext;
use s3s::{S3ErrorCode, S3Result};

use super::call::Call;

/// Parameters that conditions look at, by the name of their key.
const PARAMETERS: [(&str, &str); 4] = [
    ("prefix", "s3:prefix"),
    ("delimiter", "s3:delimiter"),
    ("max-keys", "s3:max-keys"),
    ("versionId", "s3:versionid"),
];

/// Refuses who may not do what a request asks for.
pub(super) fn authorize(call: &Call, cx: &S3AccessContext<'_>, resource: &str) -> S3Result<()> {
    let parameters: Vec<(String, String)> = cx.uri().query().into_iter().flat_map(parameters).collect();
    let of_query = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let context: Vec<(String, Vec<String>)> = PARAMETERS
        .iter()
        .filter_map(|(name, key)| Some(((*key).to_owned(), vec![of_query(name)?.to_owned()])))
        .collect();
    let versioned = of_query("versionId").is_some_and(|version| !version.is_empty());
    let asked = |action: &'static str| Asked { action, resources: std::slice::from_ref(&resource), context: &context };
    let operation = cx.s3_op().name();
    // Whoever deletes several needs the right to delete each of them.
    if operation == "DeleteObjects" {
        return Ok(());
    }
    call.may(&asked(action(operation, versioned)?))?;
    let tags = ["PutObject", "CreateMultipartUpload", "CopyObject"].contains(&operation);
    if tags && cx.headers().contains_key("x-amz-tagging") {
        call.may(&asked("s3:PutObjectTagging"))?;
    }
    Ok(())
}

/// The action of an operation, on a version of an object or not. What is not known needs what nobody has.
fn action(operation: &str, versioned: bool) -> S3Result<&'static str> {
    Ok(match (operation, versioned) {
        ("ListBuckets", _) => "s3:ListAllMyBuckets",
        ("CreateBucket", _) => "s3:CreateBucket",
        ("DeleteBucket", _) => "s3:DeleteBucket",
        ("HeadBucket" | "ListObjects" | "ListObjectsV2", _) => "s3:ListBucket",
        ("ListObjectVersions", _) => "s3:ListBucketVersions",
        ("GetBucketLocation", _) => "s3:GetBucketLocation",
        ("GetBucketVersioning", _) => "s3:GetBucketVersioning",
        ("PutBucketVersioning", _) => "s3:PutBucketVersioning",
        ("GetBucketTagging", _) => "s3:GetBucketTagging",
        ("PutBucketTagging" | "DeleteBucketTagging", _) => "s3:PutBucketTagging",
        ("GetObject" | "HeadObject", false) => "s3:GetObject",
        ("GetObject" | "HeadObject", true) => "s3:GetObjectVersion",
        ("DeleteObject", false) => "s3:DeleteObject",
        ("DeleteObject", true) => "s3:DeleteObjectVersion",
        ("GetObjectTagging", false) => "s3:GetObjectTagging",
        ("GetObjectTagging", true) => "s3:GetObjectVersionTagging",
        ("PutObjectTagging", false) => "s3:PutObjectTagging",
        ("PutObjectTagging", true) => "s3:PutObjectVersionTagging",
        ("DeleteObjectTagging", false) => "s3:DeleteObjectTagging",
        ("DeleteObjectTagging", true) => "s3:DeleteObjectVersionTagging",
        ("GetObjectAttributes", false) => "s3:GetObjectAttributes",
        ("GetObjectAttributes", true) => "s3:GetObjectVersionAttributes",
        ("GetObjectAcl", false) => "s3:GetObjectAcl",
        ("GetObjectAcl", true) => "s3:GetObjectVersionAcl",
        ("PutObjectAcl", false) => "s3:PutObjectAcl",
        ("PutObjectAcl", true) => "s3:PutObjectVersionAcl",
        ("AbortMultipartUpload", _) => "s3:AbortMultipartUpload",
        ("ListParts", _) => "s3:ListMultipartUploadParts",
        ("ListMultipartUploads", _) => "s3:ListBucketMultipartUploads",
        (
            "PutObject"
            | "CopyObject"
            | "CreateMultipartUpload"
            | "UploadPart"
            | "UploadPartCopy"
            | "CompleteMultipartUpload",
            _,
        ) => "s3:PutObject",
        _ => of_bucket_setting(operation).ok_or(S3ErrorCode::NotImplemented)?,
    })
}

/// Who sets something may take it away, but for policies.
fn of_bucket_setting(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "GetBucketAccelerateConfiguration" => "s3:GetAccelerateConfiguration",
        "GetBucketAcl" => "s3:GetBucketAcl",
        "PutBucketAcl" => "s3:PutBucketAcl",
        "GetBucketCors" => "s3:GetBucketCORS",
        "PutBucketCors" | "DeleteBucketCors" => "s3:PutBucketCORS",
        "GetBucketEncryption" => "s3:GetEncryptionConfiguration",
        "PutBucketEncryption" | "DeleteBucketEncryption" => "s3:PutEncryptionConfiguration",
        "GetBucketLifecycleConfiguration" => "s3:GetLifecycleConfiguration",
        "PutBucketLifecycleConfiguration" | "DeleteBucketLifecycle" => "s3:PutLifecycleConfiguration",
        "GetBucketLogging" => "s3:GetBucketLogging",
        "PutBucketLogging" => "s3:PutBucketLogging",
        "GetBucketNotificationConfiguration" => "s3:GetBucketNotification",
        "PutBucketNotificationConfiguration" => "s3:PutBucketNotification",
        "GetBucketOwnershipControls" => "s3:GetBucketOwnershipControls",
        "PutBucketOwnershipControls" | "DeleteBucketOwnershipControls" => "s3:PutBucketOwnershipControls",
        "GetBucketPolicy" => "s3:GetBucketPolicy",
        "PutBucketPolicy" => "s3:PutBucketPolicy",
        "DeleteBucketPolicy" => "s3:DeleteBucketPolicy",
        "GetBucketPolicyStatus" => "s3:GetBucketPolicyStatus",
        "GetBucketReplication" => "s3:GetReplicationConfiguration",
        "GetBucketRequestPayment" => "s3:GetBucketRequestPayment",
        "GetBucketWebsite" => "s3:GetBucketWebsite",
        "PutBucketWebsite" => "s3:PutBucketWebsite",
        "DeleteBucketWebsite" => "s3:DeleteBucketWebsite",
        "GetObjectLockConfiguration" => "s3:GetBucketObjectLockConfiguration",
        "GetPublicAccessBlock" => "s3:GetBucketPublicAccessBlock",
        "PutPublicAccessBlock" | "DeletePublicAccessBlock" => "s3:PutBucketPublicAccessBlock",
        // It is not served: S3 says so.
        _ => return None,
    })
}

fn parameters(query: &str) -> impl Iterator<Item = (String, String)> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query.split('&').map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}
