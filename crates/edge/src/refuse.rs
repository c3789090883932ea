//! Clients that were refused when their handshake ended. They never enter the normal path: one head is read to be
//! answered with 403 and recorded, or nothing at all.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use http::{Method, Request, Response, Version};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::Rejection;
use tokio::select;
use tokio::sync::Notify;
use tokio::time::timeout;
use trust::Code;

use crate::answer::{self, Answer};
use crate::body::ResponseBody;
use crate::connection::{Connection, LocalExecutor};
use crate::counters::Bound;
use crate::http1;
use crate::record::Record;
use crate::runtime::Runtime;
use crate::socket::{Io, Socket};

/// For the whole of it: the head, and the answer.
const TIME: Duration = Duration::from_secs(5);

/// Refuses as the domain asks, records it, and closes.
pub(crate) async fn connection(runtime: &Rc<Runtime>, connection: &Rc<Connection>, socket: Rc<Socket>) {
    let client = connection.standing().1;
    let rejection = client.trust.as_ref().map_or(Rejection::Respond, |trust| trust.rejection);
    let missing = client.refusal.as_ref().is_some_and(|refusal| refusal.code == Code::ClientCertMissing);
    match rejection {
        Rejection::Reset => reset(runtime, connection, &socket),
        Rejection::Aws if missing => reset(runtime, connection, &socket),
        // Only a resumed session comes here: a full handshake has failed already.
        Rejection::Alert => {
            Record::of_connection(runtime, connection).refused();
            connection.linger();
            socket.close().await;
        }
        Rejection::Respond | Rejection::Aws => {
            let answered = match connection.is_http2 {
                true => answer_http2(runtime, connection, &socket).await,
                false => answer_http1(runtime, connection, &socket).await,
            };
            if !answered {
                Record::of_connection(runtime, connection).refused();
            }
            connection.linger();
            socket.close().await;
        }
    }
}

fn reset(runtime: &Rc<Runtime>, connection: &Rc<Connection>, socket: &Socket) {
    Record::of_connection(runtime, connection).refused();
    socket.reset();
}

/// `false`: there was no request that could be answered.
async fn answer_http1(runtime: &Rc<Runtime>, connection: &Rc<Connection>, socket: &Rc<Socket>) -> bool {
    let answered = http1::server::answer_one(runtime, connection, socket, |request| match request {
        Some(request) => forbid(runtime, connection, request),
        None => Answer::Refused.response(Version::HTTP_11, Record::of_connection(runtime, connection)),
    });
    timeout(TIME, answered).await.unwrap_or_else(|_| {
        runtime.counters.met(Bound::RefusedTimeout);
        false
    })
}

/// As [`answer_http1`]: the first stream is answered, and a GOAWAY says that it was the last.
async fn answer_http2(runtime: &Rc<Runtime>, connection: &Rc<Connection>, socket: &Rc<Socket>) -> bool {
    let answered = Rc::new((Cell::new(false), Notify::new()));
    let service = service_fn({
        let (runtime, connection, answered) = (runtime.clone(), connection.clone(), answered.clone());
        move |request| {
            answered.0.set(true);
            answered.1.notify_one();
            std::future::ready(Ok::<_, Infallible>(forbid(&runtime, &connection, request)))
        }
    });
    let http = http2::Builder::new(LocalExecutor)
        .max_concurrent_streams(1)
        .max_header_list_size(u32::try_from(runtime.limits().header_bytes).unwrap_or(u32::MAX))
        .serve_connection(TokioIo::new(Io(socket.clone())), service);
    let serve = async {
        let mut http = pin!(http);
        select! {
            biased;
            _ = &mut http => return,
            () = answered.1.notified() => {}
        }
        http.as_mut().graceful_shutdown();
        let _ = http.await;
    };
    if timeout(TIME, serve).await.is_err() {
        runtime.counters.met(Bound::RefusedTimeout);
    }
    answered.0.get()
}

fn forbid<B>(runtime: &Rc<Runtime>, connection: &Rc<Connection>, request: Request<B>) -> Response<ResponseBody> {
    let (parts, _unread) = request.into_parts();
    let mut record = Record::of_request(runtime, connection, &parts);
    record.find_stage(&parts);
    let mut response = Answer::Refused.response(parts.version, record);
    if parts.method == Method::HEAD && parts.version == Version::HTTP_2 {
        answer::forget_payload(&mut response);
    }
    response
}
