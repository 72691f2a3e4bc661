//! The response body.
//!
//! A body that breaks off must never look complete (T16): every failure becomes an error here, on which hyper resets the
//! HTTP/2 stream or drops the HTTP/1 connection, which `lingering_close` then resets. Only a gRPC response ends with
//! trailers instead, since these report the failure.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::BoxError;
use crate::http::grpc;
use crate::http::header_policy::clean_trailers;
use crate::observability::access_log::Record;
use crate::protection::h2_streams;
use crate::protection::in_flight::InFlightGuard;

/// How long an upstream that has sent all declared bytes may take to end its body. Its work is not cancelled before; the
/// client does not wait for it.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);

/// A frame of HTTP/2, as long as the two sides agree on nothing else (RFC 9113 §6.5.2).
const SLICE_BYTES: usize = 16 << 10;

/// Why a response stopped after its head was sent. The client sees an aborted stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    #[error("the upstream broke off")]
    Upstream(#[source] BoxError),
    #[error("the upstream sent more than the Content-Length it declared")]
    Longer,
    #[error("the upstream ended {0} bytes before the Content-Length it declared")]
    Shorter(u64),
}

/// The body that hyper sends to the client.
#[derive(Default)]
pub(crate) enum ResponseBody<B: UpstreamBody> {
    /// No body, by the method or the status.
    #[default]
    Empty,
    /// A text by the gateway itself.
    Text(Bytes),
    /// The upstream's, piece by piece: hyper flushes whenever this is pending.
    Streaming(Streaming<B>),
}

impl<B: UpstreamBody> ResponseBody<B> {
    /// Over HTTP/2: hyper keeps a piece that a client has not yet taken, and `h2_streams` times them.
    pub(crate) fn in_slices(&mut self) {
        if let Self::Streaming(streaming) = self {
            streaming.most_bytes = SLICE_BYTES;
        }
    }

    /// Attaches the access-log record, which is written when the body is dropped.
    pub(crate) fn record(&mut self, mut record: Box<Record>) {
        match self {
            Self::Empty => {}
            Self::Text(text) => record.sent(text.len()),
            Self::Streaming(streaming) => streaming.guard.record(record),
        }
    }
}

/// Bounds of an upstream's body.
pub(crate) trait UpstreamBody:
    Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static
{
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static> UpstreamBody for B {}

/// An upstream's body, counted against its declared length.
pub(crate) struct Streaming<B: UpstreamBody> {
    /// `None` once it finishes in a task of its own.
    body: Option<B>,
    /// The rest of the upstream's last piece.
    rest: Bytes,
    /// Maximum bytes per piece.
    most_bytes: usize,
    /// The rest of the declared `Content-Length`.
    left_bytes: Option<u64>,
    /// A gRPC response: failures are reported in trailers.
    ends_with_status: bool,
    guard: InFlightGuard,
}

impl<B: UpstreamBody> Streaming<B> {
    pub(crate) fn new(body: B, declared_bytes: Option<u64>, guard: InFlightGuard) -> Self {
        let (rest, most_bytes) = (Bytes::new(), usize::MAX);
        Self {
            body: Some(body),
            rest,
            most_bytes,
            left_bytes: declared_bytes,
            ends_with_status: false,
            guard,
        }
    }

    /// Makes a failure end the body with gRPC trailers, not with a reset.
    pub(crate) fn end_with_status(&mut self) {
        self.ends_with_status = true;
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = match self.rest.is_empty() {
            true => ready!(Pin::new(body).poll_frame(cx)),
            false => Some(Ok(Frame::data(std::mem::take(&mut self.rest)))),
        };
        let item = match frame {
            Some(Ok(frame)) => {
                let slice = self.slice(frame);
                Some(self.account(slice))
            }
            Some(Err(error)) => Some(Err(Cut::Upstream(error.into()))),
            None => self.missing().map(Err),
        };
        match &item {
            None => self.guard.complete(),
            Some(Err(cut)) if self.ends_with_status => {
                self.body = None;
                self.guard.broken_off(cut);
                return Poll::Ready(Some(Ok(Frame::trailers(grpc::broken_off()))));
            }
            Some(Err(cut)) => {
                self.body = None;
                self.guard.cut(cut);
            }
            Some(Ok(_)) => {}
        }
        Poll::Ready(item)
    }

    /// The first piece of a frame, at most `most_bytes`. The rest is kept.
    fn slice(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_data() {
            Ok(mut data) if data.len() > self.most_bytes => {
                self.rest = data.split_off(self.most_bytes);
                Frame::data(data)
            }
            Ok(data) => Frame::data(data),
            Err(other) => other,
        }
    }

    fn account(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Cut> {
        if let Some(data) = frame.data_ref() {
            self.guard.sent(data.len());
            if let Some(left) = &mut self.left_bytes {
                *left = left.checked_sub(data.len() as u64).ok_or(Cut::Longer)?;
            }
        } else if let Some(cut) = self.missing() {
            return Err(cut);
        }
        Ok(clean_trailers(frame))
    }

    fn missing(&self) -> Option<Cut> {
        self.left_bytes.filter(|left| *left > 0).map(Cut::Shorter)
    }

    /// True only when nothing is missing; otherwise hyper must poll and get the error.
    fn is_end(&self) -> bool {
        let is_body_end = || self.body.as_ref().is_none_or(Body::is_end_stream);
        self.missing().is_none() && self.rest.is_empty() && is_body_end()
    }

    fn size_hint(&self) -> SizeHint {
        match (self.left_bytes, &self.body) {
            (Some(left), _) => SizeHint::with_exact(left),
            (None, Some(body)) if self.rest.is_empty() => body.size_hint(),
            (None, Some(_)) => SizeHint::default(),
            (None, None) => SizeHint::with_exact(0),
        }
    }
}

/// Over HTTP/1 hyper drops a body as soon as its `Content-Length` is sent, mostly before the upstream's body has ended.
/// Dropping that would cancel work that is about to finish.
impl<B: UpstreamBody> Drop for Streaming<B> {
    fn drop(&mut self) {
        if self.is_end() {
            self.guard.complete();
        } else if let (Some(0), Some(body)) = (self.left_bytes, self.body.take()) {
            self.guard.complete();
            // Without a runtime the program is ending, and the upstream with it.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(tokio::time::timeout(FINISH_TIMEOUT, finish(body)));
            }
        }
    }
}

/// Reads to the end of the body. Trailers, and data beyond the declared length, are dropped.
async fn finish<B: UpstreamBody>(mut body: B) {
    while let Some(Ok(frame)) = body.frame().await {
        if frame.data_ref().is_some_and(|data| !data.is_empty()) {
            tracing::warn!(cause = %Cut::Longer, "dropped response bytes beyond Content-Length");
            return;
        }
    }
}

impl<B: UpstreamBody> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        h2_streams::body_resumes();
        let frame = match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Text(text) if text.is_empty() => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Self::Streaming(streaming) => streaming.poll_next(cx),
        };
        if matches!(&frame, Poll::Ready(Some(Ok(frame))) if frame.is_data()) {
            h2_streams::piece_waits();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) => text.is_empty(),
            Self::Streaming(streaming) => streaming.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Streaming(streaming) => streaming.size_hint(),
        }
    }
}
