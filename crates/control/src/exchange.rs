//! One request and its answer: on a connection of its own, or within the process that answers it.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Control, Origin, serve_connection};

const PIPE_BYTES: usize = 64 * 1024;

impl Control {
    /// Has a request answered as if it had come from `origin`, by all that answers those that come over the network. `max_bytes`: of the
    /// answer's body. An error is a sentence.
    pub async fn exchange(
        &self,
        origin: Origin,
        request: Request<Full<Bytes>>,
        max_bytes: usize,
    ) -> Result<Response<Bytes>, String> {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        let serving = tokio::spawn(serve_connection(theirs, origin, self.clone(), std::future::pending()));
        let answer = exchange(ours, request, max_bytes).await;
        serving.abort();
        answer
    }
}

/// Sends a request over a stream that is used for nothing else, HTTP/1.1, and reads the answer to its end: `max_bytes` of its body
/// at most. An error is a sentence.
pub async fn exchange<S>(stream: S, request: Request<Full<Bytes>>, max_bytes: usize) -> Result<Response<Bytes>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    let connection = tokio::spawn(connection);
    let answer = async {
        let (head, body) = sender.send_request(request).await.map_err(|e| chain(&e))?.into_parts();
        let body = Limited::new(body, max_bytes).collect().await.map_err(|e| e.to_string())?.to_bytes();
        Ok(Response::from_parts(head, body))
    };
    let answer = answer.await;
    connection.abort();
    answer
}

/// An error with its causes; hyper's own text leaves them out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
