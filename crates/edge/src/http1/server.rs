//! Answers the requests of one connection, one after the other, in one task.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::{BufMut, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TE, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use journal::End;
use tokio::io::AsyncWriteExt;

use super::buffer;
use super::head::{self, Framing, RequestHead};
use super::inbound::{Inbound, Next};
use super::outgoing::{Outgoing, put_header};
use super::tunnel;
use crate::answer::Answer;
use crate::body::{Payload, ResponseBody};
use crate::connection::Connection;
use crate::exchange;
use crate::record::Record;
use crate::runtime::Runtime;
use crate::socket::{Io, Socket};

/// What is to be known of a request when its answer is written.
struct Asked {
    is_head: bool,
    version: Version,
    keep_alive: bool,
    wants_trailers: bool,
}

/// What follows an answer.
enum Sent {
    /// Maybe another request.
    GoesOn,
    /// Nothing: it was the last.
    Last,
    /// It did not arrive.
    Gone,
}

/// Serves a client until it, or the gateway, has had enough; which of them it was. Whoever drops it ends it in the middle.
pub(crate) async fn serve(runtime: &Rc<Runtime>, connection: &Rc<Connection>, socket: &Rc<Socket>) -> End {
    let inbound = Inbound::new(socket.clone());
    loop {
        let head = match inbound.head(runtime.limits().header_bytes).await {
            Next::Head(head) => head,
            Next::Closed => return End::ClientClosed,
            Next::Unreadable(error) => {
                return refuse(runtime, connection, &inbound, Answer::BadRequest(error.why())).await;
            }
            Next::TooLarge => return refuse(runtime, connection, &inbound, Answer::HeadersTooLarge).await,
        };
        let (request, asked) = asked(*head, &inbound);
        // Apart, so that a connection that waits for its next request is small.
        let exchange = Box::pin(exchange::serve(runtime.clone(), connection.clone(), request));
        let Some(response) = until_gone(exchange, &inbound).await else { return End::ClientClosed };
        match Box::pin(answer(runtime, connection, &inbound, response, asked)).await {
            Sent::GoesOn if connection.may_go_on() => {}
            Sent::GoesOn | Sent::Last => return End::Answered,
            Sent::Gone => return End::ClientClosed,
        }
    }
}

/// Reads one head and answers it by `forbid`, which is given none where it could not be read, and nothing else. `false`: the
/// client has gone.
pub(crate) async fn answer_one(
    runtime: &Rc<Runtime>,
    connection: &Rc<Connection>,
    socket: &Rc<Socket>,
    forbid: impl FnOnce(Option<Request<()>>) -> Response<ResponseBody>,
) -> bool {
    let inbound = Inbound::new(socket.clone());
    let (response, asked) = match inbound.head(runtime.limits().header_bytes).await {
        Next::Head(head) => {
            let (request, asked) = asked(*head, &inbound);
            (forbid(Some(request.map(drop))), asked)
        }
        Next::Unreadable(_) | Next::TooLarge => (forbid(None), Asked::nothing()),
        Next::Closed => return false,
    };
    Box::pin(answer(runtime, connection, &inbound, response, Asked { keep_alive: false, ..asked })).await;
    true
}

impl Asked {
    /// The head could not be read.
    fn nothing() -> Self {
        Self { is_head: false, version: Version::HTTP_11, keep_alive: false, wants_trailers: false }
    }
}

fn asked(head: RequestHead, inbound: &Rc<Inbound>) -> (Request<Payload>, Asked) {
    let RequestHead { parts, keep_alive, .. } = head;
    let asked = Asked {
        is_head: parts.method == Method::HEAD,
        version: parts.version,
        keep_alive,
        wants_trailers: head::says(&parts.headers, TE, "trailers"),
    };
    (Request::from_parts(parts, inbound.payload().into()), asked)
}

/// Waits for the answer; `None`: the client has gone, and with it whatever was done for it.
async fn until_gone(
    mut exchange: Pin<Box<impl Future<Output = Result<Response<ResponseBody>, Infallible>>>>,
    inbound: &Inbound,
) -> Option<Response<ResponseBody>> {
    poll_fn(|context| match exchange.as_mut().poll(context) {
        Poll::Ready(Ok(response)) => Poll::Ready(Some(response)),
        Poll::Pending => inbound.poll_gone(context).map(|()| None),
    })
    .await
}

/// Tells a client that sent no request why, and that this was it.
async fn refuse(runtime: &Rc<Runtime>, connection: &Rc<Connection>, inbound: &Rc<Inbound>, answer_with: Answer) -> End {
    let response = answer_with.response(Version::HTTP_11, Record::of_connection(runtime, connection));
    connection.linger();
    Box::pin(answer(runtime, connection, inbound, response, Asked::nothing())).await;
    End::Answered
}

/// Sends an answer.
async fn answer(
    runtime: &Rc<Runtime>,
    connection: &Rc<Connection>,
    inbound: &Rc<Inbound>,
    mut response: Response<ResponseBody>,
    asked: Asked,
) -> Sent {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return upgrade(runtime, inbound, response).await;
    }
    let is_ours = response.body().is_ours();
    if is_ours {
        inbound.discard();
    }
    let framing = framing(&response, &asked);
    let closes = !asked.keep_alive
        || connection.is_closing()
        || framing == Framing::UntilClose
        || head::says(response.headers(), CONNECTION, "close")
        || is_ours && !inbound.is_between_requests();
    response.headers_mut().remove(CONNECTION);
    let mut out = buffer::take();
    put_head(&mut out, &response, runtime);
    if framing == Framing::Chunked {
        put_header(&mut out, TRANSFER_ENCODING.as_str().as_bytes(), b"chunked");
    } else if let Framing::Length(length) = framing
        && !response.headers().contains_key(CONTENT_LENGTH)
        && !head::has_no_payload(response.status(), &Method::GET)
        // What a backend's answer to GET would have been is not known.
        && (is_ours || !asked.is_head)
    {
        put_header(&mut out, CONTENT_LENGTH.as_str().as_bytes(), length.to_string().as_bytes());
    }
    match (closes, asked.version) {
        (true, _) => out.put_slice(b"connection: close\r\n"),
        (false, Version::HTTP_10) => out.put_slice(b"connection: keep-alive\r\n"),
        (false, _) => {}
    }
    out.put_slice(b"\r\n");
    let mut body = response.into_body();
    if asked.is_head {
        body.forget();
    }
    let mut outgoing =
        Outgoing::new(out, body, if asked.is_head { Framing::Length(0) } else { framing }, asked.wants_trailers);
    let mut io = Io(inbound.socket().clone());
    let sent = poll_fn(|context| match outgoing.poll(&mut io, context) {
        Poll::Ready(sent) => Poll::Ready(sent.is_ok()),
        Poll::Pending => inbound.poll_gone(context).map(|()| false),
    });
    match sent.await {
        false => Sent::Gone,
        true if !closes && inbound.is_between_requests() => Sent::GoesOn,
        true => Sent::Last,
    }
}

/// How an answer ends.
fn framing(response: &Response<ResponseBody>, asked: &Asked) -> Framing {
    if head::has_no_payload(response.status(), &Method::GET) {
        return Framing::Length(0);
    }
    match response.body().size_hint().exact() {
        Some(length) => Framing::Length(length),
        None if asked.version == Version::HTTP_10 => Framing::UntilClose,
        None => Framing::Chunked,
    }
}

/// Status line and headers, but those that say how the message ends.
fn put_head(out: &mut BytesMut, response: &Response<ResponseBody>, runtime: &Runtime) {
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(response.status().as_str().as_bytes());
    out.put_slice(b" ");
    out.put_slice(response.status().canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
    for (name, value) in response.headers() {
        put_header(out, name.as_str().as_bytes(), value.as_bytes());
    }
    if !response.headers().contains_key(DATE) {
        runtime.http_date.with(runtime.config.clock.now(), |date| {
            put_header(out, DATE.as_str().as_bytes(), date.as_bytes());
        });
    }
}

/// The backend speaks another protocol from now on, and so does the client.
async fn upgrade(runtime: &Runtime, inbound: &Rc<Inbound>, mut response: Response<ResponseBody>) -> Sent {
    let Some(mut upgraded) = response.body_mut().take_upgraded() else { return Sent::Last };
    let mut out = buffer::take();
    put_head(&mut out, &response, runtime);
    out.put_slice(b"connection: upgrade\r\n\r\n");
    let mut io = Io(inbound.socket().clone());
    if io.write_all(&out).await.is_err() {
        return Sent::Gone;
    }
    buffer::give(&mut out);
    let mut body = response.into_body();
    let rest = (inbound.take_rest(), std::mem::take(&mut upgraded.rest));
    if tunnel::run(&mut io, &mut upgraded.stream, rest, |bytes| body.carried(bytes)).await.is_ok() {
        body.complete();
    }
    Sent::Last
}
