//! The request body: counted against the limit, timed, and its trailers filtered.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::http::header_policy;
use crate::observability::metrics::Limit;
use crate::protection::deadline::Deadline;
use crate::protection::in_flight::{ClientConnection, Upload};

/// Why a request body is incomplete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestBodyError {
    /// It exceeds `--max-body-size`. Maps to 413.
    #[error("the body is over {limit_bytes} bytes")]
    OverLimit {
        /// The limit.
        limit_bytes: u64,
    },
    /// The client aborted it, or framed it wrongly. Maps to 400, if the client is still connected.
    #[error("the client sent an incomplete body")]
    Client(#[source] hyper::Error),
    /// The client sent nothing for `--body-timeout`. Maps to 408.
    #[error("the client sent no body bytes within --body-timeout")]
    TooSlow,
}

/// The body of one request as the upstream sees it. Nothing is read from the client before it is polled; an
/// `Expect: 100-continue` is answered at the first poll.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    budget: Option<Budget>,
    connection: Arc<ClientConnection>,
    /// Until the body is complete or dropped.
    upload: Option<Upload>,
    /// Set once the response has started: `--body-timeout` no longer applies.
    is_answered: Option<Arc<AtomicBool>>,
    /// Since when the next bytes are awaited.
    waits: Option<Instant>,
    deadline: Deadline,
}

#[derive(Debug)]
struct Budget {
    limit_bytes: u64,
    left_bytes: u64,
}

impl RequestBody {
    pub(crate) fn new(
        incoming: Incoming,
        limit_bytes: Option<u64>,
        connection: Arc<ClientConnection>,
    ) -> Self {
        let budget = limit_bytes.map(|limit_bytes| Budget { limit_bytes, left_bytes: limit_bytes });
        let upload = (!incoming.is_end_stream()).then(|| Upload::new(connection.clone()));
        let is_answered = upload.is_some().then(Arc::default);
        Self { incoming, budget, connection, upload, is_answered, waits: None, deadline: Deadline::default() }
    }

    /// To be set once the response head is sent: `--body-timeout` no longer applies then. `None` if the body is complete.
    pub(crate) fn answered(&self) -> Option<Arc<AtomicBool>> {
        self.is_answered.clone()
    }

    fn is_answered(&self) -> bool {
        self.is_answered.as_ref().is_some_and(|is_answered| is_answered.load(Ordering::Relaxed))
    }

    /// Times the client while bytes are awaited. The time does not run while the responder does not read.
    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<RequestBodyError> {
        let since = *self.waits.get_or_insert_with(Instant::now);
        if self.is_answered() {
            return Poll::Pending;
        }
        ready!(self.deadline.poll(since + self.connection.limits.body_timeout, cx));
        if self.is_answered() {
            return Poll::Pending;
        }
        self.connection.limited(Limit::Body);
        Poll::Ready(RequestBodyError::TooSlow)
    }

    fn admit(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, RequestBodyError> {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.connection.metrics.request_bytes.inc_by(bytes);
        if let Some(budget) = &mut self.budget {
            let left = budget.left_bytes.checked_sub(bytes);
            budget.left_bytes =
                left.ok_or(RequestBodyError::OverLimit { limit_bytes: budget.limit_bytes })?;
        }
        Ok(header_policy::clean_trailers(frame))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            return self.poll_too_slow(cx).map(|error| Some(Err(error)));
        };
        self.waits = None;
        if frame.is_none() || self.incoming.is_end_stream() {
            self.upload = None;
        }
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => self.admit(frame),
            Err(error) => Err(RequestBodyError::Client(error)),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
