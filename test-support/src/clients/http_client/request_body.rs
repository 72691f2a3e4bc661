//! Bodies that a test sends.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

use crate::soon;

type BoxError = Box<dyn Error + Send + Sync>;

/// The body of a request.
pub type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// No body.
pub fn empty() -> RequestBody {
    Empty::new().map_err(no_error).boxed_unsync()
}

/// A complete body with a known length.
pub fn full(bytes: impl Into<Bytes>) -> RequestBody {
    Full::new(bytes.into()).map_err(no_error).boxed_unsync()
}

/// A body that the test sends piece by piece, of unknown length. It ends when the sender is dropped.
pub fn streamed() -> (BodySender, RequestBody) {
    // One piece at a time, so that the test sees how much the connection accepts.
    let (sender, frames) = mpsc::channel(1);
    (BodySender(sender), Streamed(frames).boxed_unsync())
}

/// The sending end of a [`streamed`] body.
#[derive(Debug)]
pub struct BodySender(mpsc::Sender<Result<Frame<Bytes>, BoxError>>);

impl BodySender {
    /// Sends the next piece; returns whether the connection accepted it.
    ///
    /// # Panics
    ///
    /// When the connection takes nothing for the whole deadline.
    pub async fn send(&self, bytes: impl Into<Bytes>) -> bool {
        soon(self.try_send(bytes)).await
    }

    /// [`send`](Self::send) without a deadline, to see how much a connection accepts.
    ///
    /// # Cancel safety
    ///
    /// A piece that was not accepted is not sent.
    pub async fn try_send(&self, bytes: impl Into<Bytes>) -> bool {
        self.0.send(Ok(Frame::data(bytes.into()))).await.is_ok()
    }

    /// Ends the body with trailers.
    pub async fn end_with(self, trailers: HeaderMap) -> bool {
        soon(self.0.send(Ok(Frame::trailers(trailers)))).await.is_ok()
    }

    /// Aborts the body: HTTP/1.1 closes the connection, HTTP/2 resets the stream.
    pub async fn abort(self) -> bool {
        soon(self.0.send(Err("the test aborted the body".into()))).await.is_ok()
    }

    /// Waits until the body is no longer read: the response or the connection has ended.
    ///
    /// # Panics
    ///
    /// When that takes longer than the deadline.
    pub async fn unwanted(&self) {
        soon(self.0.closed()).await;
    }
}

struct Streamed(mpsc::Receiver<Result<Frame<Bytes>, BoxError>>);

impl Body for Streamed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(context)
    }
}

fn no_error(never: Infallible) -> BoxError {
    match never {}
}
