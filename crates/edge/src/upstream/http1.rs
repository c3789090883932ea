//! One HTTP/1.1 connection to a backend.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::Lease;
use crate::body::RequestBody;
use crate::tls::UpstreamStream;

/// How long a connection may take to become usable again when its answer has ended.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// A connection on which nothing is under way.
pub(super) struct Http1 {
    sender: SendRequest<RequestBody>,
}

/// A backend's payload as it comes. The connection that it comes on is given back when it has ended.
pub(crate) struct BackendBody {
    incoming: Incoming,
    used: Option<(Http1, Lease)>,
}

/// Why there is no answer.
pub(super) struct SendError {
    pub(super) error: hyper::Error,
    /// The request, where nothing of it was sent.
    pub(super) unsent: Option<Request<RequestBody>>,
}

impl Http1 {
    pub(super) async fn open(stream: UpstreamStream) -> Result<Self, hyper::Error> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(async move {
            // What goes wrong is told to whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(Self { sender })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request (origin form, with Host) and waits for the head of the answer.
    pub(super) async fn send(
        mut self,
        request: Request<RequestBody>,
        lease: Lease,
    ) -> Result<(response::Parts, BackendBody), SendError> {
        match self.sender.try_send_request(request).await {
            Ok(response) => {
                let (head, incoming) = response.into_parts();
                let mut body = BackendBody { incoming, used: Some((self, lease)) };
                // Nobody asks for what is not there.
                body.settle();
                Ok((head, body))
            }
            Err(mut error) => {
                let unsent = error.take_message();
                Err(SendError { error: error.into_error(), unsent })
            }
        }
    }

    fn give_back(mut self, lease: Lease) {
        if self.is_ready() {
            lease.give_back(self);
        } else if !self.is_closed() {
            tokio::task::spawn_local(async move {
                if let Ok(Ok(())) = tokio::time::timeout(SETTLE_TIME, self.sender.ready()).await {
                    lease.give_back(self);
                }
            });
        }
    }
}

impl BackendBody {
    /// Gives the connection back where there is nothing more to come.
    fn settle(&mut self) {
        if self.incoming.is_end_stream()
            && let Some((connection, lease)) = self.used.take()
        {
            connection.give_back(lease);
        }
    }
}

impl Body for BackendBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            // Behind trailers, or chunks whose end comes by itself.
            None => {
                if let Some((connection, lease)) = self.used.take() {
                    connection.give_back(lease);
                }
            }
            Some(_) => self.settle(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
