//! The issuer, by the program's own HTTP client.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio::time::timeout;

use crate::fetch::{Call, Http};

/// Sends to wherever the operator has said.
#[derive(Clone)]
pub(super) struct Client(pub(super) Http);

/// For one request.
const TIME: std::time::Duration = std::time::Duration::from_secs(30);

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let http = self.0.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|e| Error::Other(e.into()))?.to_bytes();
            let call = Call { method: head.method, url: head.uri.to_string(), headers: head.headers, body };
            let answer = timeout(TIME, http.call(call)).await.map_err(|e| Error::Other(e.into()))?;
            let answer = answer.map_err(|e| Error::Other(Box::new(e)))?;
            let mut response = Response::new(Full::new(answer.body));
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            Ok(BytesResponse::from(response))
        })
    }
}
