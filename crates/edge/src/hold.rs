//! Payloads that have to be whole before anything is done with them: bounded each, and all of a runtime together.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use http_body::Body;

use crate::answer::Answer;
use crate::body::Payload;
use crate::runtime::Runtime;

/// Bytes of payloads that one runtime holds at a time.
const MAX_HELD_BYTES: u64 = 256 * 1024 * 1024;

/// A payload as a whole; it counts as held until this is dropped.
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    held: Held,
}

/// Why a payload is not held.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HoldError<E> {
    /// It ended early.
    Broken(E),
    /// It is larger than allowed.
    TooLarge,
    /// The runtime holds as much as it may.
    Full,
}

/// Reads a payload of at most `limit` bytes to its end. Who sends nothing for long is cut off by somebody else.
pub(crate) async fn hold<B>(runtime: &Rc<Runtime>, payload: &mut B, limit: u64) -> Result<Whole, HoldError<B::Error>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut held = Held { runtime: runtime.clone(), bytes: 0 };
    // What comes in one piece is taken as it is.
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    while !payload.is_end_stream() {
        let Some(frame) = poll_fn(|context| Pin::new(&mut *payload).poll_frame(context)).await else { break };
        let Ok(data) = frame.map_err(HoldError::Broken)?.into_data() else { continue };
        held.grow(data.len() as u64).ok_or(HoldError::Full)?;
        if held.bytes > limit {
            return Err(HoldError::TooLarge);
        }
        if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(Whole { bytes: if rest.is_empty() { first } else { rest.freeze() }, held })
}

/// The same of a client's payload, which goes on as it is.
pub(crate) async fn hold_request(runtime: &Rc<Runtime>, payload: &mut Payload) -> Result<Whole, Answer> {
    let whole = hold(runtime, payload, runtime.limits().body_bytes).await?;
    *payload = Payload::from(whole.bytes.clone());
    Ok(whole)
}

impl Whole {
    /// Counts what was made of it, too. `None`: the runtime holds as much as it may.
    pub(crate) fn grow(&mut self, more: usize) -> Option<()> {
        self.held.grow(more as u64)
    }
}

/// Of a client's payload.
impl<E> From<HoldError<E>> for Answer {
    fn from(error: HoldError<E>) -> Self {
        match error {
            HoldError::Broken(_) => Self::BadRequest("the payload ended early, or is not as it says"),
            HoldError::TooLarge => Self::PayloadTooLarge,
            HoldError::Full => Self::Throttled,
        }
    }
}

/// Counts what is held until it is dropped.
struct Held {
    runtime: Rc<Runtime>,
    bytes: u64,
}

impl Held {
    fn grow(&mut self, more: u64) -> Option<()> {
        self.bytes += more;
        let all = self.runtime.held_bytes.get() + more;
        self.runtime.held_bytes.set(all);
        (all <= MAX_HELD_BYTES).then_some(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.runtime.held_bytes.set(self.runtime.held_bytes.get() - self.bytes);
    }
}
