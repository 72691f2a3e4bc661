//! The body of a request that a guest sends, while the guest writes it.

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

use crate::outgoing::idle_timeout::IdleTimeout;

/// How long a guest may take between two pieces of a body. Before the response, other limits are shorter.
const BETWEEN_BYTES_TIMEOUT: Duration = Duration::from_secs(120);

/// The permits of a request under way, of the instance and of the component: held until its body has been sent or
/// dropped, and the response read or dropped.
pub(crate) type UnderWay = Arc<[OwnedSemaphorePermit; 2]>;

/// Held by an instance, and dropped before all that it writes to.
///
/// wasmtime ends a body whose writer was dropped as if the guest had finished it; this tells the two apart.
#[derive(Debug, Default)]
pub(crate) struct Life(Arc<AtomicBool>);

/// Whether an instance was dropped.
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
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// When a request last made progress.
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

/// The body of a request. It ends without an error only if the guest has finished it before its instance was dropped.
pub(crate) struct Upload {
    body: WasiBody,
    progress: Progress,
    guest: Ended,
    idle: IdleTimeout,
    _under_way: UnderWay,
}

impl Upload {
    pub(crate) fn new(body: WasiBody, progress: Progress, guest: Ended, under_way: UnderWay) -> Self {
        Self { body, progress, guest, idle: IdleTimeout::default(), _under_way: under_way }
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
                self.idle.reset();
                self.progress.step();
                // Checked after the poll: a dropped instance sets the flag before it ends the body.
                let is_cut = frame.is_none() && self.guest.is_set();
                Poll::Ready(if is_cut { Some(Err(Error::ConnectionTerminated)) } else { frame })
            }
            Poll::Pending => {
                let is_over = self.idle.poll_elapsed(BETWEEN_BYTES_TIMEOUT, cx);
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
