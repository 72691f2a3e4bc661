//! The body of a gateway's response: the responder's, or one line about an error.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h8s_nats::{Body, BodyError};
use http_body::{Body as HttpBody, Frame, SizeHint};

/// The body of a [`Gateway`](crate::Gateway)'s response. Dropping it before its end cancels the exchange; an error means
/// that the body is incomplete, and must be visible to the client.
#[derive(Debug)]
pub struct GatewayBody(Content);

#[derive(Debug)]
enum Content {
    Responder(Body),
    /// Empty once it has been read.
    Text(Bytes),
}

impl GatewayBody {
    pub(super) fn text(text: &'static str) -> Self {
        Self(Content::Text(Bytes::from_static(text.as_bytes())))
    }
}

impl From<Body> for GatewayBody {
    fn from(body: Body) -> Self {
        Self(Content::Responder(body))
    }
}

impl HttpBody for GatewayBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Content::Responder(body) => Pin::new(body).poll_frame(cx),
            Content::Text(text) if text.is_empty() => Poll::Ready(None),
            Content::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Responder(body) => body.is_end_stream(),
            Content::Text(text) => text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Responder(body) => body.size_hint(),
            Content::Text(text) => SizeHint::with_exact(text.len() as u64),
        }
    }
}
