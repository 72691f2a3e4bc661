//! The body of a request that a guest sends, as it writes it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::outgoing::idle_timeout::Silence;

/// The longest that a guest may take between two pieces of a body. Until there is an answer, other limits are shorter.
const BETWEEN_BYTES_TIMEOUT: Duration = Duration::from_secs(120);

/// What makes a request count as under way, for the instance and for the component: until its body is sent, or dropped,
/// and so is the answer.
pub(crate) type UnderWay = Arc<[OwnedSemaphorePermit; 2]>;

/// Held by an instance, where it is dropped before all that it writes to.
///
/// wasmtime ends a body whose writer is gone as if the guest had finished it; so somebody must know that it had not.
#[derive(Debug, Default)]
pub(crate) struct Life(Arc<AtomicBool>);

/// Tells whether an instance is gone.
#[derive(Clone, Debug)]
pub(crate) struct Ended(Arc<AtomicBool>);

impl Life {
    pub(crate) fn end(&self) -> Ended {
        Ended(Arc::clone(&self.0))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Ended {
    pub(crate) fn has_come(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// When a request last went on.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(crate) fn begin() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(crate) fn step(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(crate) fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of a request. It ends well only if the guest has finished it, and is still there.
pub(crate) struct Upload {
    body: WasiBody,
    progress: Progress,
    guest: Ended,
    silence: Silence,
    _under_way: UnderWay,
}

impl Upload {
    pub(crate) fn new(body: WasiBody, progress: Progress, guest: Ended, under_way: UnderWay) -> Self {
        Self { body, progress, guest, silence: Silence::default(), _under_way: under_way }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.silence.is_broken();
                self.progress.step();
                // Looked at afterwards: whoever ends the body by going has said so before.
                let is_cut = frame.is_none() && self.guest.has_come();
                Poll::Ready(if is_cut { Some(Err(Error::ConnectionTerminated)) } else { frame })
            }
            Poll::Pending => {
                let is_over = self.silence.poll_too_long(BETWEEN_BYTES_TIMEOUT, cx);
                is_over.map(|()| Some(Err(Error::ConnectionWriteTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
