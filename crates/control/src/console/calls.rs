//! What pages ask, with the rights of who is signed in: the server's own API directly, AWS's by requests that are signed with their
//! access key and answered in this process.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws::Error;
use bytes::Bytes;
use console::{Api, Call, Problem, Reply};
use http::{Method, Request, header};
use http_body_util::Full;
use serde_json::Value;
use sigv4::SecretKey;

use super::Holder;
use crate::authentication::Credentials;
use crate::authorization::{Authorization, Circumstances};
use crate::own_api::{self, OwnRequest};
use crate::{Control, Origin, ids};

/// Calls with somebody's rights.
pub(super) struct InSession<'a> {
    control: &'a Control,
    holder: &'a Holder,
    credentials: Arc<Credentials>,
    origin: Origin,
    user_agent: String,
    request_id: String,
}

const MAX_REPLY_BYTES: usize = 16 * 1024 * 1024;

impl<'a> InSession<'a> {
    /// None where their key is gone, or their credentials have ended.
    pub(super) fn of(control: &'a Control, holder: &'a Holder, origin: &Origin, user_agent: &str) -> Option<Self> {
        let credentials = control.credentials(&holder.access_key_id, holder.session_token.as_deref()).ok()?;
        let (credentials, request_id) = (Arc::new(credentials), ids::uuid().ok()?);
        Some(Self { control, holder, credentials, origin: *origin, user_agent: user_agent.to_owned(), request_id })
    }

    /// Who is signed in.
    pub(super) fn name(&self) -> &str {
        &self.credentials.bearer.arn
    }

    pub(super) fn own_request(
        &self,
        method: Method,
        path: &[&str],
        query: BTreeMap<String, String>,
        body: Bytes,
    ) -> OwnRequest {
        let circumstances = Circumstances {
            source_ip: Some(self.origin.peer.ip()),
            tls: self.origin.tls,
            user_agent: self.user_agent.clone(),
            region: self.holder.region.clone(),
            at: self.control.now(),
        };
        let bearer = self.credentials.bearer.clone();
        let authority = Arc::new(Authorization { bearer, circumstances });
        let mut caller = self.control.caller(authority, &self.holder.access_key_id, &self.origin, &self.request_id);
        caller.service = own_api::SERVICE;
        caller.resource = format!("{}{}", own_api::PREFIX, path.join("/"));
        let token = self.holder.session_token.clone();
        OwnRequest::of(caller, token, method, path.iter().map(|part| (*part).to_owned()).collect(), query, body)
    }

    async fn exchange(&self, call: Call) -> Result<Reply, String> {
        let Call { service, method, path, headers, body } = call;
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        request = request.header(header::USER_AGENT, &self.user_agent);
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(()).map_err(|error| error.to_string())?;
        let credentials = sigv4::Credentials {
            access_key_id: self.holder.access_key_id.clone(),
            secret: SecretKey::new(self.credentials.secret.as_str()),
            session_token: self.holder.session_token.clone(),
        };
        let now = self.control.now().div_euclid(1000);
        sigv4::sign(&mut request, &body, &credentials, &self.holder.region, service, now)
            .map_err(|error| error.to_string())?;
        let request = request.map(|()| Full::new(Bytes::from(body)));
        // It comes from where the browser is: that is what policies and records see.
        let (head, body) = self.control.exchange(self.origin, request, MAX_REPLY_BYTES).await?.into_parts();
        Ok(Reply { status: head.status, headers: head.headers, body })
    }
}

#[async_trait]
impl Api for InSession<'_> {
    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: BTreeMap<String, String>,
        body: Value,
    ) -> Result<Value, Problem> {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = self.own_request(method, path, query, body);
        self.control.answer_own(&request).await.map_err(problem)
    }

    async fn aws(&self, call: Call) -> Result<Reply, Problem> {
        let reply = self.exchange(call).await.map_err(|what| problem(Error::internal(what)))?;
        if reply.status.is_success() { Ok(reply) } else { Err(Problem::of(&reply)) }
    }
}

fn problem(error: Error) -> Problem {
    Problem { status: error.status, code: error.code.to_owned(), message: error.message }
}
