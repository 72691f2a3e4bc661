//! The body of a backend's response, as the responder reads it.
//!
//! An interrupted body is an error, so that the client sees that it is incomplete (T16). Dropping a body before its end
//! closes the connection to the backend (HTTP/1.1) or resets the stream (HTTP/2).

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use tokio_util::task::AbortOnDropHandle;

use super::failure::{RequestLabel, log};
use super::mapping::Mapping;
use crate::backend::http1::Http1;
use crate::backend::http2::Http2;
use crate::backend::pool::Pool;
use crate::backend::upload::Progress;

/// Why a response body was interrupted. The client sees an aborted stream.
#[derive(Debug, thiserror::Error)]
pub enum ResponseBodyError {
    /// The connection ended, or its bytes are not HTTP.
    #[error("the backend interrupted its response: {0}")]
    Backend(#[from] hyper::Error),
    /// The backend sent nothing during the idle timeout.
    #[error("the backend sent nothing for {} s", .0.as_secs())]
    Idle(Duration),
}

/// The body of a response.
#[derive(Default)]
pub struct ReverseBody {
    inner: Inner,
    origin: Option<Box<Origin>>,
}

/// The fields of the log line about an interruption.
struct Origin {
    label: RequestLabel,
    mapping: Arc<Mapping>,
}

#[derive(Default)]
enum Inner {
    #[default]
    Empty,
    /// A short text of this daemon.
    Text(Bytes),
    Http1(Box<Http1Body>),
    /// A task drives the connection.
    TaskDriven(TaskDriven),
}

impl ReverseBody {
    /// A short text of this daemon.
    pub(crate) fn text(text: &'static str) -> Self {
        Inner::Text(Bytes::from_static(text.as_bytes())).into()
    }

    pub(crate) fn http2(incoming: Incoming, connection: Http2, permit: OwnedSemaphorePermit) -> Self {
        let connection = Connection::Shared { _connection: connection, _permit: permit };
        Inner::TaskDriven(TaskDriven { incoming, connection }).into()
    }

    /// A body whose connection is driven by `task`, which ends with the body. Silence for `idle_timeout` is an error.
    pub(crate) fn driven_by(incoming: Incoming, task: AbortOnDropHandle<()>, idle_timeout: Duration) -> Self {
        let connection = Connection::Exclusive { idle: Idle::new(idle_timeout), _task: task };
        Inner::TaskDriven(TaskDriven { incoming, connection }).into()
    }

    /// Sets the request that the log line about an interruption names.
    pub(crate) fn with_label(self, label: RequestLabel, mapping: Arc<Mapping>) -> Self {
        match self.inner {
            Inner::Empty | Inner::Text(_) => self,
            inner => Self { inner, origin: Some(Box::new(Origin { label, mapping })) },
        }
    }
}

impl From<Inner> for ReverseBody {
    fn from(inner: Inner) -> Self {
        Self { inner, origin: None }
    }
}

struct TaskDriven {
    incoming: Incoming,
    connection: Connection,
}

enum Connection {
    /// HTTP/2 checks by itself whether the backend is alive.
    Shared {
        _connection: Http2,
        _permit: OwnedSemaphorePermit,
    },
    Exclusive {
        idle: Idle,
        _task: AbortOnDropHandle<()>,
    },
}

impl TaskDriven {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        let Connection::Exclusive { idle, .. } = &mut self.connection else {
            return polled.map(|frame| frame.map(|frame| frame.map_err(ResponseBodyError::from)));
        };
        match polled {
            Poll::Ready(frame) => {
                idle.moved();
                Poll::Ready(frame.map(|frame| frame.map_err(ResponseBodyError::from)))
            }
            Poll::Pending => idle.poll_expired(cx, 0).map(|error| Some(Err(error))),
        }
    }
}

/// The body of an HTTP/1.1 response, with its connection.
pub(crate) struct Http1Body {
    incoming: Incoming,
    /// `None` after its return to the pool.
    connection: Option<Http1>,
    pool: PoolReturn,
    upload: Arc<Progress>,
    idle: Idle,
}

/// The return of a connection to its pool.
pub(crate) struct PoolReturn {
    pub(crate) pool: Arc<Pool>,
    /// How long the pool may keep it.
    pub(crate) keep: Duration,
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// Ends an exchange without progress. Time in which the body is not read does not count.
pub(crate) struct Idle {
    timeout: Duration,
    pieces: u64,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { timeout, pieces: 0, sleep: None }
    }

    fn moved(&mut self) {
        self.sleep = None;
    }

    /// `pieces` of the upload so far, which also count as progress.
    fn poll_expired(&mut self, cx: &mut Context<'_>, pieces: u64) -> Poll<ResponseBodyError> {
        if self.pieces != pieces {
            self.pieces = pieces;
            self.moved();
        }
        let until = Instant::now() + self.timeout;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        sleep.as_mut().poll(cx).map(|()| ResponseBodyError::Idle(self.timeout))
    }
}

impl Http1Body {
    /// Starts to read the body of a response.
    pub(crate) async fn begin(
        incoming: Incoming,
        mut connection: Http1,
        pool: PoolReturn,
        upload: Arc<Progress>,
        idle: Idle,
    ) -> ReverseBody {
        upload.stop_waiting();
        if incoming.is_end_stream() && upload.is_done() {
            let mut connection = Some(connection);
            poll_fn(|cx| {
                let returned = connection.take().map(|connection| pool.pool.put(connection, pool.keep, cx));
                Poll::Ready(returned)
            })
            .await;
            return ReverseBody::default();
        }
        if upload.is_under_way() {
            connection.drive_in_task();
        }
        Inner::Http1(Box::new(Self { incoming, connection: Some(connection), pool, upload, idle })).into()
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        match self.poll_incoming(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.idle.moved();
                // After the last frame the body is often not polled again.
                if self.incoming.is_end_stream() {
                    self.give_back(cx);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.connection = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                self.give_back(cx);
                Poll::Ready(None)
            }
            Poll::Pending => self.idle.poll_expired(cx, self.upload.pieces()).map(|error| {
                self.connection = None;
                Some(Err(error))
            }),
        }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match &mut self.connection {
            Some(connection) => connection.poll_body(cx, &mut self.incoming),
            None => Pin::new(&mut self.incoming).poll_frame(cx),
        }
    }

    /// Returns the connection to the pool, unless the request is still being sent.
    fn give_back(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = self.connection.take()
            && self.upload.is_done()
        {
            self.pool.pool.put(connection, self.pool.keep, cx);
        }
    }
}

impl Body for ReverseBody {
    type Data = Bytes;
    type Error = ResponseBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        let Self { inner, origin } = self.get_mut();
        let frame = ready!(match inner {
            Inner::Empty => Poll::Ready(None),
            Inner::Text(text) if text.is_empty() => Poll::Ready(None),
            Inner::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Inner::Http1(body) => body.poll_frame(cx),
            Inner::TaskDriven(body) => body.poll_frame(cx),
        });
        if let Some(Err(error)) = &frame
            && let Some(origin) = origin.take()
        {
            log(error, &origin.label, origin.mapping.backend().url());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Empty => true,
            Inner::Text(text) => text.is_empty(),
            Inner::Http1(body) => body.incoming.is_end_stream(),
            Inner::TaskDriven(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Text(text) => SizeHint::with_exact(text.len() as u64),
            Inner::Http1(body) => body.incoming.size_hint(),
            Inner::TaskDriven(body) => body.incoming.size_hint(),
        }
    }
}

impl std::fmt::Debug for ReverseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReverseBody").field("size", &self.size_hint()).finish_non_exhaustive()
    }
}
