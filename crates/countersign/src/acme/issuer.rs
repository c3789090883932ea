//! The issuer, by the program's own HTTP client, and the account with it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use control::{Control, Failed};
use data_encoding::BASE64URL_NOPAD;
use edge::UpstreamTls;
use http::header::{HOST, USER_AGENT};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use instant_acme::{
    Account, AccountCredentials, BodyWrapper, BytesResponse, Error, ExternalAccountKey, HttpClient, NewAccount,
};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{failure, read};
use crate::answer::Failure;
use crate::config::Acme as Settings;
use crate::fetch::{Call, Http};

/// Who is asked.
pub(super) struct Issuer {
    directory: String,
    contact: Vec<String>,
    /// An account that the issuer knows the operator by: its id, and the key that shows that it is theirs.
    external: Option<(String, Zeroizing<Vec<u8>>)>,
    client: Client,
}

/// Sends to wherever the operator, or the issuer's directory, has said.
#[derive(Clone)]
struct Client(Http);

/// For one request.
const TIME: Duration = Duration::from_secs(30);

impl Issuer {
    /// Reads what its settings name.
    pub(super) fn open(settings: &Settings, directory: &str) -> Result<Self, Failure> {
        let extra = settings.ca_file.as_deref().map(|path| read("acme.ca_file", path)).transpose()?;
        if extra.as_ref().is_some_and(|pem| !pem.contains("-----BEGIN CERTIFICATE-----")) {
            return Err(Failure::new("acme.ca_file: no certificate in PEM"));
        }
        let tls = UpstreamTls::new(extra.as_slice());
        let tls = tls.map_err(|e| Failure::new(format!("acme.ca_file cannot be used: {e}")))?;
        let external = settings.external_account.as_ref().map(|external| {
            let text = Zeroizing::new(read("acme.external_account.key_file", &external.key_file)?);
            let key = BASE64URL_NOPAD.decode(text.trim().trim_end_matches('=').as_bytes());
            let key = key.ok().filter(|key| !key.is_empty()).map(Zeroizing::new);
            let wrong = "acme.external_account.key_file: expected the key in base64url, as the issuer gives it";
            Ok((external.key_id.clone(), key.ok_or_else(|| Failure::new(wrong))?))
        });
        Ok(Self {
            directory: directory.to_owned(),
            contact: settings.contact.clone(),
            external: external.transpose()?,
            client: Client(Http::new(tls, &[])),
        })
    }

    /// The account of this gateway, made at first. All nodes have the same one.
    pub(super) async fn account(&self, control: &Control) -> Result<Account, Failed> {
        if let Some(kept) = self.kept(control).await? {
            return Ok(kept);
        }
        let contact: Vec<&str> = self.contact.iter().map(String::as_str).collect();
        // The configuration is not taken without.
        let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let external = self.external.as_ref().map(|(id, key)| ExternalAccountKey::new(id.clone(), key));
        let made = self.builder().create(&wanted, self.directory.clone(), external.as_ref()).await;
        let (_, credentials) = made.map_err(|e| self.no_account(&e))?;
        let kept = serde_json::to_vec(&credentials).map(Zeroizing::new).map_err(|e| failure::for_now(e.to_string()))?;
        control.keep_acme_account(&self.directory, &kept).await.map_err(|e| failure::for_now(e.message))?;
        // Another node may have been quicker.
        self.kept(control).await?.ok_or_else(|| failure::for_now("the ACME account is gone again"))
    }

    async fn kept(&self, control: &Control) -> Result<Option<Account>, Failed> {
        let kept = control.acme_account(&self.directory).map_err(|e| failure::for_now(e.message))?;
        let Some(kept) = kept else { return Ok(None) };
        let credentials: AccountCredentials =
            serde_json::from_slice(&kept).map_err(|e| failure::for_now(e.to_string()))?;
        self.builder().from_credentials(credentials).await.map(Some).map_err(|e| self.no_account(&e))
    }

    fn builder(&self) -> instant_acme::AccountBuilder {
        Account::builder_with_http(Box::new(self.client.clone()))
    }

    fn no_account(&self, error: &Error) -> Failed {
        let failed = failure::of_request(error);
        // Whatever the issuer has against the account, it has nothing against the names.
        let again = failed.again.or(failure::useless("").again);
        Failed { reason: "OTHER", why: format!("no account with {self}: {}", failed.why), again, order_stands: true }
    }

    /// Forgets the account if the issuer does not know it any more, so that the next try makes one.
    pub(super) async fn settle_account(&self, control: &Control, error: &Error) -> Result<(), Failed> {
        if !failure::is_account_gone(error) {
            return Ok(());
        }
        control.forget_acme_account(&self.directory).await.map_err(|e| failure::for_now(e.message))
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.directory)
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let http = self.0.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let body = body.collect().await.map_err(|e| Error::Other(e.into()))?.to_bytes();
            // The client has its own.
            head.headers.remove(USER_AGENT);
            head.headers.remove(HOST);
            let call = Call { method: head.method, url: head.uri.to_string(), headers: head.headers, body };
            let answer = timeout(TIME, http.call(call)).await;
            let answer = answer.map_err(|_| Error::Str("the issuer does not answer"))?;
            let answer = answer.map_err(|e| Error::Other(Box::new(e)))?;
            let mut response = Response::new(Full::new(answer.body));
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            Ok(BytesResponse::from(response))
        })
    }
}
