//! The request body on its way in: counted against the limit, its trailers cleaned.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::fields;

/// Why a request body did not arrive whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestBodyError {
    /// It went over `--max-body-size`. Maps to 413.
    #[error("the body is over {limit_bytes} bytes")]
    OverLimit {
        /// The limit.
        limit_bytes: u64,
    },
    /// The client broke it off, or framed it wrongly. Maps to 400, if the client is still there.
    #[error("the client did not send the whole body")]
    Client(#[source] hyper::Error),
}

/// The body of one request as the upstream sees it. Nothing is read from the client before it is polled; an
/// `Expect: 100-continue` is answered at the first poll.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    limit: Option<Limit>,
}

#[derive(Debug)]
struct Limit {
    limit_bytes: u64,
    left_bytes: u64,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, limit_bytes: Option<u64>) -> Self {
        Self {
            incoming,
            limit: limit_bytes.map(|limit_bytes| Limit { limit_bytes, left_bytes: limit_bytes }),
        }
    }

    fn admit(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, RequestBodyError> {
        if let (Some(limit), Some(data)) = (&mut self.limit, frame.data_ref()) {
            let left = limit.left_bytes.checked_sub(data.len() as u64);
            limit.left_bytes = left.ok_or(RequestBodyError::OverLimit { limit_bytes: limit.limit_bytes })?;
        }
        Ok(clean_trailers(frame))
    }
}

/// Trailers get the same treatment as heads.
pub(crate) fn clean_trailers(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        fields::strip_trailers(trailers);
    }
    frame
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        Pin::new(&mut self.incoming).poll_frame(cx).map(|frame| match frame? {
            Ok(frame) => Some(self.admit(frame)),
            Err(error) => Some(Err(RequestBodyError::Client(error))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
