//! S3 in front of [`Objects`]: the operations that the CLI's `s3` and `s3api` use for buckets, objects and versions.
//!
//! `s3s` reads and writes S3's wire forms and verifies signatures; here is what may reach it, what the operations do,
//! and S3's own codes and texts. Operations that are not here are answered with `NotImplemented`.

mod acl;
mod bucket;
mod call;
mod conditions;
mod copy;
mod errors;
mod gate;
mod listing;
mod metadata;
mod multipart;
mod needs;
mod object;
mod operations;
mod policy;
mod selection;
mod settings;
mod tags;
mod upload;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use aws::Authority;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use journal::Outcome;
use model::UnixMillis;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::host::{S3Host, VirtualHost};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Error, S3ErrorCode, S3Result, s3_error};
use zeroize::Zeroizing;

use crate::Origin;
use crate::objects::{ObjectError, Objects};
use crate::trail;
pub use crate::trail::Stranger;
pub use call::Write;
use call::{Call, Claimed};
use errors::Told;

/// Answers S3's requests.
#[derive(Clone)]
pub struct S3Handler {
    service: S3Service,
    surroundings: Arc<dyn S3Surroundings>,
}

/// What S3 needs of the rest of the control API.
#[async_trait]
pub trait S3Surroundings: Send + Sync + 'static {
    /// Who has an access key, and the session token that came with it.
    fn identify(&self, claim: &Claim<'_>) -> Result<Identified, sigv4::Error>;

    /// Told after an object was written or deleted, before that is answered.
    async fn object_written(&self, bucket: &str, key: &str);

    /// Has it on disk that a write is about to be made. The error, which the caller is told, says why it must not be made.
    async fn intend(&self, write: &Write) -> Result<(), String>;

    /// Has it on disk what became of a write. The error, which the caller is told, says why that could not be.
    async fn complete(&self, write: &Write, changed: Vec<String>, outcome: Outcome<'static>) -> Result<(), String>;

    /// Tells the operator something that a caller may not notice.
    fn warn(&self, text: &str);

    /// Told of a request of somebody who has not proved who they are.
    fn refused(&self, stranger: Stranger<'_>);
}

/// What a request says of who sent it.
#[derive(Clone, Copy)]
pub struct Claim<'a> {
    /// Of the credential scope.
    pub access_key_id: &'a str,
    /// Of the credential scope.
    pub region: &'a str,
    /// Of temporary credentials.
    pub session_token: Option<&'a str>,
    /// Where it came from.
    pub source: Option<IpAddr>,
    /// Whether it came over TLS.
    pub tls: bool,
    /// `User-Agent`
    pub user_agent: &'a str,
}

/// Whose the access key is. No `Debug`: it holds a secret.
pub struct Identified {
    /// What the request has to be signed with.
    pub secret: Zeroizing<String>,
    /// Who it is.
    pub arn: String,
    /// Decides what they may do.
    pub authority: Arc<dyn Authority>,
}

/// Settings of [`S3Handler`].
#[derive(Clone, Debug)]
pub struct S3Options {
    /// Account id, whose buckets these are.
    pub account: String,
    /// Names of this server besides `localhost`, lowercase, without port: `bucket.NAME` is virtual-host style.
    pub hosts: Vec<String>,
    /// The time.
    pub clock: fn() -> UnixMillis,
}

/// The operations.
struct S3Operations {
    objects: Arc<Objects>,
    surroundings: Arc<dyn S3Surroundings>,
    owner: String,
    clock: fn() -> UnixMillis,
}

/// XML of a request, e.g. 1,000 keys of 1 KB to delete.
const MAX_XML_BYTES: usize = 2 << 20;

impl S3Handler {
    /// Of objects and what is around them.
    pub fn new(objects: Arc<Objects>, surroundings: Arc<dyn S3Surroundings>, options: S3Options) -> Self {
        let owner = HEXLOWER.encode(digest(&SHA256, options.account.as_bytes()).as_ref());
        let operations = S3Operations { objects, surroundings: Arc::clone(&surroundings), owner, clock: options.clock };
        let mut config = S3Config::default();
        config.xml_max_body_size = MAX_XML_BYTES;
        let mut service = S3ServiceBuilder::new(operations);
        service.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        service.set_auth(Keys);
        service.set_access(Access { surroundings: Arc::clone(&surroundings), account: options.account });
        service.set_host(Hosts(options.hosts));
        Self { service: service.build(), surroundings }
    }

    /// Answers a request, errors in S3's form.
    pub async fn handle(&self, request: Request<impl Into<Body>>, origin: Option<Origin>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        // A write that was begun is ended, and recorded, even if the client has gone meanwhile.
        let answer = tokio::spawn(self.clone().answer(parts, body.into(), origin));
        answer.await.unwrap_or_else(|_| errors::response(s3_error!(InternalError)))
    }

    async fn answer(self, mut parts: Parts, body: Body, origin: Option<Origin>) -> Response<Body> {
        let (place, claimed) = (errors::Place::of(&parts), Claimed::of(&parts));
        let again = place.clone();
        let call = Call::new(&parts, &place, origin);
        let (call, body) = match gate::may_make_a_bucket(&parts) {
            false => (call, body),
            true => match Limited::new(body, gate::MAX_CONFIGURATION_BYTES).collect().await {
                Ok(whole) => {
                    let bytes = whole.to_bytes();
                    (call.with_body(bytes.clone()), Body::from(bytes))
                }
                Err(_) => return place.complete(errors::response(s3_error!(IncompleteBody))).await,
            },
        };
        let call = Arc::new(call);
        parts.extensions.insert(Arc::clone(&call));
        let response = match gate::check(&parts).and_then(|()| call.identify(&parts, &*self.surroundings)) {
            Err(refused) => errors::response(refused),
            Ok(()) => {
                gate::unhoist(&mut parts);
                // `s3s` asks for a secret by the access key alone, which does not say whose session it is.
                let answer = CALL.scope(Arc::clone(&call), self.service.call(Request::from_parts(parts, body))).await;
                answer.unwrap_or_else(|_| errors::response(s3_error!(InternalError)))
            }
        };
        let response = place.complete(response).await;
        let told = response.extensions().get::<Told>();
        match (call.answered(&response), told) {
            (Ok(None), _) | (Err(()), None) => response,
            (Err(()), Some(told)) => {
                if response.status() == StatusCode::FORBIDDEN {
                    self.surroundings.refused(call.stranger(&claimed, told));
                }
                response
            }
            (Ok(Some((write, changed))), told) => {
                let outcome =
                    told.map(|told| trail::outcome(response.status(), told.code.clone(), told.message.clone()));
                let outcome = outcome.unwrap_or(Outcome::Allowed);
                match self.surroundings.complete(write, changed, outcome).await {
                    Ok(()) => response,
                    Err(why) => {
                        let error = S3Error::with_message(S3ErrorCode::ServiceUnavailable, why);
                        again.complete(errors::response(error)).await
                    }
                }
            }
        }
    }
}

impl S3Operations {
    /// Asks the objects, off the runtime's threads.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Objects) -> Result<T, ObjectError> + Send + 'static,
    ) -> S3Result<T> {
        let objects = Arc::clone(&self.objects);
        match tokio::task::spawn_blocking(move || question(&objects)).await {
            Ok(answer) => answer.map_err(errors::of_object),
            Err(_) => Err(S3ErrorCode::InternalError.into()),
        }
    }

    /// Changes an object. Once begun it is done, and told, even if the client has gone meanwhile.
    async fn change<T: Send + 'static>(
        &self,
        bucket: &str,
        key: &str,
        change: impl FnOnce(&Objects, &str, &str) -> Result<T, ObjectError> + Send + 'static,
    ) -> S3Result<T> {
        let (objects, surroundings) = (Arc::clone(&self.objects), Arc::clone(&self.surroundings));
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let task = tokio::spawn(async move {
            let place = (bucket.clone(), key.clone());
            let changed = tokio::task::spawn_blocking(move || change(&objects, &place.0, &place.1)).await;
            let answer = changed.map_err(|_| S3Error::from(S3ErrorCode::InternalError))?;
            let answer = answer.map_err(errors::of_object)?;
            surroundings.object_written(&bucket, &key).await;
            Ok(answer)
        });
        task.await.unwrap_or_else(|_| Err(S3ErrorCode::InternalError.into()))
    }
}

tokio::task_local! {
    /// The request that is being answered.
    static CALL: Arc<Call>;
}

/// Secrets for `s3s`.
struct Keys;

#[async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let secret = CALL.try_with(|call| call.secret_of(access_key)).ok().flatten();
        secret.ok_or_else(|| S3ErrorCode::InvalidAccessKeyId.into())
    }
}

/// Who may do what.
struct Access {
    surroundings: Arc<dyn S3Surroundings>,
    account: String,
}

#[async_trait]
impl S3Access for Access {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(credentials) = cx.credentials() else { return Err(S3ErrorCode::AccessDenied.into()) };
        let resource = match (cx.s3_path().get_bucket_name(), cx.s3_path().get_object_key()) {
            (Some(bucket), Some(key)) => format!("arn:aws:s3:::{bucket}/{key}"),
            (Some(bucket), None) => format!("arn:aws:s3:::{bucket}"),
            _ => "*".to_owned(),
        };
        let access_key = credentials.access_key.clone();
        let call = cx.extensions_mut().get::<Arc<Call>>().cloned();
        let call = call.ok_or(S3ErrorCode::InternalError)?;
        let write = call.identified(&access_key, cx, &resource);
        for name in ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"] {
            if cx.headers().get(name).is_some_and(|owner| owner.as_bytes() != self.account.as_bytes()) {
                return Err(S3ErrorCode::AccessDenied.into());
            }
        }
        needs::authorize(&call, cx, &resource)?;
        match write {
            None => Ok(()),
            Some(write) => self.surroundings.intend(write).await.map_err(|why| s3_error!(ServiceUnavailable, "{why}")),
        }
    }
}

/// Finds the bucket in `bucket.NAME` (virtual-host style). Any other name is this server's own (path style): whether
/// it is one was decided before.
struct Hosts(Vec<String>);

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.to_ascii_lowercase();
        for own in std::iter::once("localhost").chain(self.0.iter().map(String::as_str)) {
            let Some(before) = name.strip_suffix(own).and_then(|before| before.strip_suffix('.')) else { continue };
            let bucket = before.strip_suffix(".s3").unwrap_or(before);
            if before != "s3" {
                return Ok(VirtualHost::new(own.to_owned()).with_bucket(bucket.to_owned()));
            }
        }
        Ok(VirtualHost::new(name))
    }
}
