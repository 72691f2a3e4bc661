//! A body received over NATS, as `http_body::Body`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h8s_wire::Frame;
use http_body::{Frame as BodyFrame, SizeHint};

use crate::error::BodyError;
use crate::exchange::endpoint::Side;
use crate::exchange::failure::Failure;
use crate::exchange::flow_control::Reading;
use crate::exchange::handle::Exchange;
use crate::exchange::mailbox::Carries;
use crate::plain::body::PlainStream;

/// The body of a request at a responder, or of a response at a gateway.
///
/// Streamed bodies grant credit as they are polled: not polling applies back-pressure, and dropping the body makes the
/// sender stop. For a request with `Expect: 100-continue` the client sends nothing before the first poll. An error means
/// that the body is **incomplete**; it must not be passed on as complete.
#[derive(Default)]
pub struct Body(Inner);

#[derive(Default)]
enum Inner {
    #[default]
    Empty,
    Whole(Bytes),
    Native(NativeStream),
    Plain(Box<PlainStream>),
}

impl Body {
    /// An empty body.
    pub const fn empty() -> Self {
        Self(Inner::Empty)
    }

    pub(crate) fn whole(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self(Inner::Empty) } else { Self(Inner::Whole(bytes)) }
    }

    pub(crate) fn native(exchange: Arc<Exchange>, first: Bytes, granted: u64) -> Self {
        Self(Inner::Native(NativeStream {
            exchange,
            first,
            reading: Reading::new(Carries::Bytes, granted),
            done: false,
        }))
    }

    pub(crate) fn plain(stream: PlainStream) -> Self {
        Self(Inner::Plain(Box::new(stream)))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::whole(bytes)
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.0 {
            Inner::Empty => "empty".to_owned(),
            Inner::Whole(bytes) => format!("{} bytes", bytes.len()),
            Inner::Native(_) => "native stream".to_owned(),
            Inner::Plain(_) => "plain stream".to_owned(),
        };
        f.debug_tuple("Body").field(&kind).finish()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, BodyError>>> {
        let inner = &mut self.get_mut().0;
        match inner {
            Inner::Empty => Poll::Ready(None),
            Inner::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *inner = Inner::Empty;
                Poll::Ready(Some(Ok(BodyFrame::data(bytes))))
            }
            Inner::Native(stream) => stream.poll_frame(cx),
            Inner::Plain(stream) => {
                stream.poll_data(cx).map(|data| data.map(|data| data.map(BodyFrame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Native(stream) => stream.done,
            Inner::Whole(_) | Inner::Plain(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Native(_) | Inner::Plain(_) => SizeHint::default(),
        }
    }
}

struct NativeStream {
    exchange: Arc<Exchange>,
    /// The bytes that arrived with the head.
    first: Bytes,
    reading: Reading,
    /// The body has ended, complete or not.
    done: bool,
}

impl NativeStream {
    fn poll_frame(&mut self, cx: &Context<'_>) -> Poll<Option<Result<BodyFrame<Bytes>, BodyError>>> {
        if let Some(limit) = self.reading.begin() {
            self.grant(limit);
        }
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(BodyFrame::data(std::mem::take(&mut self.first)))));
        }
        while !self.done {
            let message = match ready!(self.exchange.mailbox.poll_frame(cx)) {
                Ok(message) => message,
                Err(failure) => return Poll::Ready(Some(Err(self.fail(failure)))),
            };
            if let Some(frame) = self.take(message) {
                return Poll::Ready(Some(frame));
            }
        }
        Poll::Ready(None)
    }

    /// Handles one message from the sender. Returns `None` if the reader needs nothing from it.
    fn take(&mut self, message: Bytes) -> Option<Result<BodyFrame<Bytes>, BodyError>> {
        let length = message.len();
        match Frame::decode(message) {
            Ok(Frame::Data { bytes, .. }) => {
                if let Some(limit) = self.reading.take(length) {
                    self.grant(limit);
                }
                (!bytes.is_empty()).then(|| Ok(BodyFrame::data(bytes)))
            }
            Ok(Frame::End { trailers, .. }) => {
                self.done = true;
                (!trailers.is_empty()).then(|| Ok(BodyFrame::trailers(trailers)))
            }
            Ok(_) => Some(Err(self.refuse("a frame that belongs to no body"))),
            Err(error) => Some(Err(self.refuse(&error.to_string()))),
        }
    }

    fn grant(&self, limit: u64) {
        let (limit, handled) = self.exchange.mailbox.grant(limit);
        self.exchange.send_soon(&Frame::Credit { limit, handled });
    }

    fn fail(&mut self, failure: Failure) -> BodyError {
        self.done = true;
        failure.into()
    }

    /// Handles a protocol violation by the peer.
    fn refuse(&mut self, what: &str) -> BodyError {
        self.done = true;
        self.exchange.abort(h8s_wire::AbortCode::Malformed, what.to_owned(), Failure::Closed);
        BodyError::Invalid(what.to_owned())
    }
}

impl Drop for NativeStream {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        self.exchange.leave();
        // A gateway has nothing left to respond to; at a responder only the upload ends.
        if self.exchange.port.side == Side::Gateway {
            self.exchange.mailbox.fail(Failure::Closed);
        }
    }
}
