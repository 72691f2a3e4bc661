//! A request's body on its way to a guest. Each piece that the guest takes counts as progress: it extends the response
//! timeout.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h8s_nats::Progress;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// A body that reports progress.
    pub(crate) struct RequestBody<B> {
        #[pin]
        inner: B,
        progress: Option<Arc<Progress>>,
    }
}

impl<B: Body> RequestBody<B> {
    /// No progress is returned for a body that has ended.
    pub(crate) fn new(inner: B) -> (Self, Option<Arc<Progress>>) {
        let progress = (!inner.is_end_stream()).then(Arc::default);
        (Self { inner, progress: progress.clone() }, progress)
    }
}

impl<B: Body<Data = Bytes>> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(progress) = this.progress {
            progress.moved();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
