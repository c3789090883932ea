//! Buffers for what is under way. A connection that is idle has none: they are kept by its thread for the next that needs one.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that are read at a time: a TLS record.
pub(crate) const SIZE: usize = 16 * 1024;
/// The same once a payload has proved to be long.
pub(crate) const LARGE: usize = 64 * 1024;
/// Buffers that a thread keeps.
const KEPT: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer with room for [`SIZE`] bytes.
pub(crate) fn take() -> BytesMut {
    while let Some(mut spare) = SPARE.with_borrow_mut(Vec::pop) {
        // Whoever still reads what was in it keeps it.
        if spare.try_reclaim(SIZE) {
            return spare;
        }
    }
    BytesMut::with_capacity(SIZE)
}

/// Leaves `buffer` without memory, and the memory to others: also where the last piece of it is still being written somewhere, as
/// that of an answer is when its connection is given back.
pub(crate) fn give(buffer: &mut BytesMut) {
    let mut spare = std::mem::take(buffer);
    spare.clear();
    let is_large = spare.try_reclaim(SIZE) && spare.capacity() >= LARGE;
    if is_large || spare.capacity() == 0 {
        return;
    }
    SPARE.with_borrow_mut(|buffers| {
        if buffers.len() < KEPT {
            buffers.push(spare);
        }
    });
}

/// Makes room for what comes next. The memory is the same one where nobody reads the rest of it any more.
pub(crate) fn make_room(buffer: &mut BytesMut) {
    if buffer.is_empty() {
        buffer.reserve(SIZE);
    } else if buffer.len() == buffer.capacity() {
        buffer.reserve(1);
    }
}

/// Reads what has come into the room that `buffer` has; 0: the other side has closed.
pub(crate) fn poll_read(
    io: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    // The future has no state that could be lost with it.
    pin!(io.read_buf(buffer)).poll(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_still_read_comes_back_when_it_is_not() {
        let mut buffer = take();
        buffer.extend_from_slice(b"abc");
        let (memory, piece) = (buffer.as_ptr(), buffer.split_to(3).freeze());
        give(&mut buffer);
        assert_eq!(buffer.capacity(), 0);
        drop(piece);
        assert_eq!(take().as_ptr(), memory);
        let mut buffer = take();
        buffer.extend_from_slice(b"abc");
        let (memory, piece) = (buffer.as_ptr(), buffer.split_to(3).freeze());
        give(&mut buffer);
        assert_ne!(take().as_ptr(), memory);
        assert_eq!(piece, "abc");
    }

    #[test]
    fn long_ones_are_not_kept() {
        let mut buffer = BytesMut::with_capacity(LARGE);
        give(&mut buffer);
        assert!(take().capacity() < LARGE);
    }
}
