//! A backend's response body on its way to NATS.
//!
//! A body that breaks off is an error here, by which the client sees that it is not whole (T16). Dropping one before its
//! end drops the connection to the backend (HTTP/1.1) or resets the stream (HTTP/2).

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

use crate::http1::Http1;
use crate::http2::Http2;
use crate::mapping::Mapping;
use crate::pool::Pool;
use crate::rescue::{self, RequestLabel};
use crate::upload::Progress;

/// Why a response stopped after its head was out. The client sees an aborted stream.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    /// The connection ended, or what came on it was not HTTP.
    #[error("the backend broke off: {0}")]
    Backend(#[from] hyper::Error),
    /// It said nothing for too long.
    #[error("the backend sent nothing for {} s", .0.as_secs())]
    Idle(Duration),
}

/// What a responder answers with.
#[derive(Default)]
pub struct ReverseBody {
    inner: Inner,
    about: Option<Box<About>>,
}

/// What the log says if it breaks off.
struct About {
    label: RequestLabel,
    mapping: Arc<Mapping>,
}

#[derive(Default)]
enum Inner {
    #[default]
    Empty,
    /// A few words by the daemon itself.
    Text(Bytes),
    Http1(Box<Http1Body>),
    /// The connection drives itself.
    Apart(Apart),
}

impl ReverseBody {
    /// A few words by the daemon itself.
    pub(crate) fn text(text: &'static str) -> Self {
        Inner::Text(Bytes::from_static(text.as_bytes())).into()
    }

    pub(crate) fn http2(incoming: Incoming, connection: Http2, permit: OwnedSemaphorePermit) -> Self {
        let connection = Connection::Shared { _connection: connection, _permit: permit };
        Inner::Apart(Apart { incoming, connection }).into()
    }

    /// A body whose connection a task of its own drives, which ends with the body. Nothing may come for `patience`.
    pub(crate) fn driven_by(incoming: Incoming, task: AbortOnDropHandle<()>, patience: Duration) -> Self {
        let connection = Connection::Own { idle: Idle::new(patience), _task: task };
        Inner::Apart(Apart { incoming, connection }).into()
    }

    /// If it breaks off, the log says in which exchange.
    pub(crate) fn of(self, label: RequestLabel, mapping: Arc<Mapping>) -> Self {
        match self.inner {
            Inner::Empty | Inner::Text(_) => self,
            inner => Self { inner, about: Some(Box::new(About { label, mapping })) },
        }
    }
}

impl From<Inner> for ReverseBody {
    fn from(inner: Inner) -> Self {
        Self { inner, about: None }
    }
}

struct Apart {
    incoming: Incoming,
    connection: Connection,
}

enum Connection {
    /// It finds out by itself whether the backend is there.
    Shared {
        _connection: Http2,
        _permit: OwnedSemaphorePermit,
    },
    Own {
        idle: Idle,
        _task: AbortOnDropHandle<()>,
    },
}

impl Apart {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        let Connection::Own { idle, .. } = &mut self.connection else {
            return polled.map(|frame| frame.map(|frame| frame.map_err(Cut::from)));
        };
        match polled {
            Poll::Ready(frame) => {
                idle.moved();
                Poll::Ready(frame.map(|frame| frame.map_err(Cut::from)))
            }
            Poll::Pending => idle.poll_expired(cx, 0).map(|cut| Some(Err(cut))),
        }
    }
}

/// The body of an HTTP/1.1 response, with the connection that it comes on.
pub(crate) struct Http1Body {
    incoming: Incoming,
    /// `None` once it has gone back.
    connection: Option<Http1>,
    back: Return,
    upload: Arc<Progress>,
    idle: Idle,
}

/// What becomes of a connection afterwards.
pub(crate) struct Return {
    pub(crate) pool: Arc<Pool>,
    /// How long it may be kept.
    pub(crate) keep: Duration,
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// Ends an exchange in which nothing moves. Time in which nobody reads does not count.
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

    /// `pieces`: of the upload so far, which is a sign of life as well.
    fn poll_expired(&mut self, cx: &mut Context<'_>, pieces: u64) -> Poll<Cut> {
        if self.pieces != pieces {
            self.pieces = pieces;
            self.moved();
        }
        let until = Instant::now() + self.timeout;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        sleep.as_mut().poll(cx).map(|()| Cut::Idle(self.timeout))
    }
}

impl Http1Body {
    /// The body of a response whose head is there.
    pub(crate) async fn begin(
        incoming: Incoming,
        mut connection: Http1,
        back: Return,
        upload: Arc<Progress>,
        idle: Idle,
    ) -> ReverseBody {
        upload.stop_waiting();
        if incoming.is_end_stream() && upload.is_done() {
            let mut connection = Some(connection);
            poll_fn(|cx| {
                let given = connection.take().map(|connection| back.pool.give(connection, back.keep, cx));
                Poll::Ready(given)
            })
            .await;
            return ReverseBody::default();
        }
        if upload.is_under_way() {
            connection.drive_apart();
        }
        Inner::Http1(Box::new(Self { incoming, connection: Some(connection), back, upload, idle })).into()
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.poll_incoming(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.idle.moved();
                // Often this was all of it, and nobody asks again.
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
            Poll::Pending => self.idle.poll_expired(cx, self.upload.pieces()).map(|cut| {
                self.connection = None;
                Some(Err(cut))
            }),
        }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match &mut self.connection {
            Some(connection) => connection.poll_body(cx, &mut self.incoming),
            None => Pin::new(&mut self.incoming).poll_frame(cx),
        }
    }

    /// For the next request; not while this one is still being sent.
    fn give_back(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = self.connection.take()
            && self.upload.is_done()
        {
            self.back.pool.give(connection, self.back.keep, cx);
        }
    }
}

impl Body for ReverseBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let Self { inner, about } = self.get_mut();
        let frame = ready!(match inner {
            Inner::Empty => Poll::Ready(None),
            Inner::Text(text) if text.is_empty() => Poll::Ready(None),
            Inner::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Inner::Http1(body) => body.poll_frame(cx),
            Inner::Apart(body) => body.poll_frame(cx),
        });
        if let Some(Err(cut)) = &frame
            && let Some(about) = about.take()
        {
            rescue::log(cut, &about.label, about.mapping.backend().url());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Empty => true,
            Inner::Text(text) => text.is_empty(),
            Inner::Http1(body) => body.incoming.is_end_stream(),
            Inner::Apart(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Text(text) => SizeHint::with_exact(text.len() as u64),
            Inner::Http1(body) => body.incoming.size_hint(),
            Inner::Apart(body) => body.incoming.size_hint(),
        }
    }
}

impl std::fmt::Debug for ReverseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReverseBody").field("size", &self.size_hint()).finish_non_exhaustive()
    }
}
