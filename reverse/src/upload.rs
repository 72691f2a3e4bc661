//! A request's body on its way to a backend.
//!
//! Counted against the declared length, whoever declared it: framing is ours, and a body that does not fit ends the
//! connection instead of becoming the next request (T5). A client that expects `100 (Continue)` is not read before the
//! backend says so.

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

/// How long a backend may take to say that it wants the body; then it is sent unasked, since not every server knows
/// `Expect` (RFC 9110 §10.1.1).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a request's body could not be sent whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// It did not arrive whole.
    #[error("the request's body broke off: {0}")]
    Body(#[from] BodyError),
    /// It is not as long as it was said to be.
    #[error("the request's body is not as long as its content-length says")]
    Length,
}

/// What hyper sends to a backend.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    body: Body,
    /// The rest of the declared length.
    left_bytes: Option<u64>,
    progress: Arc<Progress>,
    wait: Option<Wait>,
}

/// How far an upload has come, for who waits for the response.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pieces: AtomicU64,
    is_done: AtomicBool,
    gate: Gate,
}

/// Whether the backend wants the body.
#[derive(Debug, Default)]
struct Gate {
    said: AtomicU8,
    waker: AtomicWaker,
}

/// What a [`Gate`] has been told.
const PROCEED: u8 = 0;
const WAITING: u8 = 1;
const STOP: u8 = 2;

/// Until the backend wants the body.
#[derive(Debug)]
struct Wait(Pin<Box<Sleep>>);

impl Upload {
    /// Of `declared_bytes`, if that was said.
    pub(crate) fn new(body: Body, declared_bytes: Option<u64>) -> Self {
        let progress = Arc::new(Progress::default());
        progress.is_done.store(body.is_end_stream(), Ordering::Relaxed);
        Self { body, left_bytes: declared_bytes, progress, wait: None }
    }

    /// Nothing is read until [`Progress::proceed`], or for a second at most.
    pub(crate) fn wait_to_continue(&mut self) {
        self.progress.gate.said.store(WAITING, Ordering::Release);
        self.wait = Some(Wait(Box::pin(tokio::time::sleep_until(Instant::now() + CONTINUE_TIMEOUT))));
    }

    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(Wait(timeout)) = &mut self.wait {
            let gate = &self.progress.gate;
            gate.waker.register(cx.waker());
            match gate.said.load(Ordering::Acquire) {
                WAITING => ready!(timeout.as_mut().poll(cx)),
                STOP => return Poll::Pending,
                _ => {}
            }
            self.progress.gate.said.store(PROCEED, Ordering::Release);
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

    fn end(&self) -> Option<Result<Frame<Bytes>, UploadError>> {
        if self.left_bytes.is_some_and(|left| left > 0) {
            return Some(Err(UploadError::Length));
        }
        self.progress.is_done.store(true, Ordering::Release);
        None
    }
}

impl Progress {
    /// All of it is with hyper.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Acquire)
    }

    /// Some of it is still to come, and is wanted.
    pub(crate) fn is_under_way(&self) -> bool {
        !self.is_done() && self.gate.said.load(Ordering::Acquire) != STOP
    }

    /// Changes whenever hyper takes some of it.
    pub(crate) fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }

    /// The backend wants the body.
    pub(crate) fn proceed(&self) {
        self.gate.said.store(PROCEED, Ordering::Release);
        self.gate.waker.wake();
    }

    /// The backend has answered: a body that still waits is not wanted any more.
    pub(crate) fn stop_waiting(&self) {
        let said = &self.gate.said;
        let _ = said.compare_exchange(WAITING, STOP, Ordering::AcqRel, Ordering::Relaxed);
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
        Poll::Ready(match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                let accounted = this.account(&frame);
                if accounted.is_ok() && this.is_end_stream() {
                    this.progress.is_done.store(true, Ordering::Release);
                }
                Some(accounted.map(|()| frame))
            }
            Some(Err(error)) => Some(Err(error.into())),
            None => this.end(),
        })
    }

    /// Ends itself only when nothing is missing; otherwise hyper must poll, and learn that it was cut.
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.left_bytes.is_none_or(|left| left == 0)
    }

    fn size_hint(&self) -> SizeHint {
        match self.left_bytes {
            Some(left) => SizeHint::with_exact(left),
            None => self.body.size_hint(),
        }
    }
}
