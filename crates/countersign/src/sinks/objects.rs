//! Objects in S3, or in what speaks like it.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64;
use http::Request;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::outgoing::{Outgoing, refused};
use super::sender::Trouble;
use crate::answer::Failure;
use crate::config::{Bucket, Lock, LockMode};

/// A bucket, and where in it.
#[derive(Clone)]
pub(crate) struct Objects {
    bucket: Bucket,
    /// The prefix, with this server's name among others.
    place: String,
    outgoing: Outgoing,
}

impl Objects {
    pub(crate) fn new(bucket: &Bucket, instance: &str) -> Result<Self, Failure> {
        let outgoing = Outgoing::new(bucket.aws.ca_file.as_deref(), None)?;
        Ok(Self { bucket: bucket.clone(), place: place(&bucket.prefix, instance), outgoing })
    }

    /// Puts an object, whose digest S3 checks. Once more is the same.
    pub(crate) async fn put(&self, name: &str, body: Vec<u8>) -> Result<(), Trouble> {
        let Bucket { aws, bucket, lock, .. } = &self.bucket;
        let url = format!("{}/{bucket}/{}{name}", aws.endpoint.trim_end_matches('/'), self.place);
        let checksum = BASE64.encode(digest(&SHA256, &body).as_ref());
        let mut request = Request::put(url).header("x-amz-checksum-sha256", checksum);
        if let Some((mode, until)) = lock.as_ref().and_then(|lock| retention(lock, OffsetDateTime::now_utc())) {
            request = request.header("x-amz-object-lock-mode", mode);
            request = request.header("x-amz-object-lock-retain-until-date", until);
        }
        let request = request.body(()).map_err(|e| Trouble::later(e.to_string()))?;
        let answer = self.outgoing.signed(aws, "s3", request, body).await?;
        if answer.status.is_success() { Ok(()) } else { Err(refused(&answer)) }
    }
}

/// Of keys nothing but what needs no encoding.
fn place(prefix: &str, instance: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-._/".contains(c) { c } else { '_' };
    let prefix = prefix.trim_matches('/');
    let between = if prefix.is_empty() { "" } else { "/" };
    format!("{prefix}{between}{}/", instance.chars().map(safe).collect::<String>().trim_matches('/'))
}

/// The mode and the end, as S3 takes them.
fn retention(lock: &Lock, now: OffsetDateTime) -> Option<(&'static str, String)> {
    let until = now.checked_add(Duration::days(lock.days.into()))?.replace_nanosecond(0).ok()?;
    Some((LockMode::as_str(lock.mode), until.format(&Rfc3339).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_need_no_encoding() {
        assert_eq!(place("", "example.com/gateway-1"), "example.com/gateway-1/");
        assert_eq!(place("/records/", "a b?"), "records/a_b_/");
    }

    #[test]
    fn a_lock_ends_on_a_day() {
        let now = OffsetDateTime::from_unix_timestamp(1_445_412_480).unwrap();
        let lock = Lock { mode: LockMode::Compliance, days: 2192 };
        assert_eq!(retention(&lock, now), Some(("COMPLIANCE", "2021-10-21T07:28:00Z".to_owned())));
    }
}
