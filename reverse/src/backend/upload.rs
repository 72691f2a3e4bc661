//! The body of a request, as a connection sends it to the backend.
//!
//! Its length is checked against the declared one: a body that does not fit ends the connection instead of becoming the
//! next request (T5). With `Expect: 100-continue` the body is not read before the backend asks for it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use h8s_nats::{Body, BodyError};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// Wait for `100 (Continue)`. Then the body is sent anyway, since not every server supports `Expect` (RFC 9110 §10.1.1).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a request's body was not sent completely.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// It did not arrive completely.
    #[error("the request's body was interrupted: {0}")]
    Body(#[from] BodyError),
    /// Its length differs from the declared one.
    #[error("the length of the request's body differs from its content-length")]
    Length,
}

/// The body that hyper sends to a backend.
#[derive(Debug)]
pub(crate) struct Upload {
    body: Body,
    /// The rest of the declared length.
    left_bytes: Option<u64>,
    /// The last piece of a declared length, until the end is known: hyper does not poll beyond it, so that a finished
    /// upload would look unfinished.
    held: Option<Frame<Bytes>>,
    /// The trailers behind `held`.
    trailers: Option<Frame<Bytes>>,
    progress: Arc<Progress>,
    wait: Option<Wait>,
}

/// The progress of an upload, for the reader of the response.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pieces: AtomicU64,
    is_done: AtomicBool,
    gate: Gate,
}

/// Whether the backend wants the body.
#[derive(Debug, Default)]
struct Gate {
    state: AtomicU8,
    waker: AtomicWaker,
}

/// The states of a [`Gate`].
const PROCEED: u8 = 0;
const WAITING: u8 = 1;
const STOP: u8 = 2;

/// Until the backend wants the body.
#[derive(Debug)]
struct Wait(Pin<Box<Sleep>>);

impl Upload {
    /// A body of `declared_bytes`, if a length was declared.
    pub(crate) fn new(body: Body, declared_bytes: Option<u64>) -> Self {
        let progress = Arc::new(Progress::default());
        progress.is_done.store(body.is_end_stream(), Ordering::Relaxed);
        Self { body, left_bytes: declared_bytes, held: None, trailers: None, progress, wait: None }
    }

    /// Waits for [`Progress::proceed`] before it reads, for a second at most.
    pub(crate) fn wait_to_continue(&mut self) {
        self.progress.gate.state.store(WAITING, Ordering::Release);
        self.wait = Some(Wait(Box::pin(tokio::time::sleep_until(Instant::now() + CONTINUE_TIMEOUT))));
    }

    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(Wait(timeout)) = &mut self.wait {
            let gate = &self.progress.gate;
            gate.waker.register(cx.waker());
            match gate.state.load(Ordering::Acquire) {
                WAITING => ready!(timeout.as_mut().poll(cx)),
                STOP => return Poll::Pending,
                _ => {}
            }
            self.progress.gate.state.store(PROCEED, Ordering::Release);
            self.wait = None;
        }
        Poll::Ready(())
    }

    fn account(&mut self, frame: &Frame<Bytes>) -> Result<(), UploadError> {
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        if let Some(left) = &mut self.left_bytes {
            *left = left.checked_sub(bytes).ok_or(UploadError::Length)?;
            if frame.is_trailers() && *left > 0 {
                return Err(UploadError::Length);
            }
        }
        self.progress.pieces.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(trailers)));
        }
        loop {
            if self.body.is_end_stream()
                && let Some(held) = self.held.take()
            {
                return Poll::Ready(Some(Ok(held)));
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(self.end()),
            };
            if let Err(error) = self.account(&frame) {
                return Poll::Ready(Some(Err(error)));
            }
            if frame.is_trailers()
                && let Some(held) = self.held.take()
            {
                self.trailers = Some(frame);
                return Poll::Ready(Some(Ok(held)));
            }
            if frame.is_trailers() || self.left_bytes != Some(0) {
                return Poll::Ready(Some(Ok(frame)));
            }
            // Only empty pieces follow the last byte.
            self.held.get_or_insert(frame);
        }
    }

    fn end(&mut self) -> Option<Result<Frame<Bytes>, UploadError>> {
        if self.left_bytes.is_some_and(|left| left > 0) {
            return Some(Err(UploadError::Length));
        }
        self.held.take().map(Ok)
    }

    /// Complete, and without pending frames.
    fn is_over(&self) -> bool {
        self.body.is_end_stream()
            && self.held.is_none()
            && self.trailers.is_none()
            && self.left_bytes.is_none_or(|left| left == 0)
    }
}

impl Progress {
    /// hyper has all of it.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Acquire)
    }

    /// Incomplete, and the backend wants the rest.
    pub(crate) fn is_under_way(&self) -> bool {
        !self.is_done() && self.gate.state.load(Ordering::Acquire) != STOP
    }

    /// The number of pieces that hyper has taken.
    pub(crate) fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }

    /// The backend wants the body.
    pub(crate) fn proceed(&self) {
        self.gate.state.store(PROCEED, Ordering::Release);
        self.gate.waker.wake();
    }

    /// The backend has responded: a body that still waits is not sent.
    pub(crate) fn stop_waiting(&self) {
        let state = &self.gate.state;
        let _ = state.compare_exchange(WAITING, STOP, Ordering::AcqRel, Ordering::Relaxed);
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = self.get_mut();
        ready!(this.poll_wanted(cx));
        let next = ready!(this.poll_next(cx));
        if this.is_over() {
            this.progress.is_done.store(true, Ordering::Release);
        }
        Poll::Ready(next)
    }

    /// Ends itself only when nothing is missing; otherwise hyper must poll, and learn that it was cut.
    fn is_end_stream(&self) -> bool {
        self.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left_bytes {
            Some(left) => {
                let held = self.held.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len);
                SizeHint::with_exact(left + held as u64)
            }
            None => self.body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn sent(bytes: &'static str, declared_bytes: Option<u64>) -> (usize, Result<bool, UploadError>) {
        let mut upload = Upload::new(Body::from(Bytes::from_static(bytes.as_bytes())), declared_bytes);
        let mut taken = 0;
        while !upload.is_end_stream() {
            match poll_fn(|cx| Pin::new(&mut upload).poll_frame(cx)).await {
                Some(Ok(frame)) => taken += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(error)) => return (taken, Err(error)),
                None => break,
            }
        }
        (taken, Ok(upload.progress().is_done()))
    }

    #[tokio::test]
    async fn a_body_of_another_length_than_declared_is_an_error() {
        assert!(matches!(sent("hello", Some(5)).await, (5, Ok(true))));
        assert!(matches!(sent("hello", None).await, (5, Ok(true))));
        assert!(matches!(sent("", Some(0)).await, (0, Ok(true))));
        assert!(matches!(sent("hello", Some(4)).await, (0, Err(UploadError::Length))));
        assert!(matches!(sent("hello", Some(6)).await, (5, Err(UploadError::Length))));
    }
}
