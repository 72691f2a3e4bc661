//! One HTTP/1.1 connection to a backend.
//!
//! A connection has no task of its own: whoever waits for its response drives it, which saves two wake-ups per request.
//! Only while a request's body is still being sent after the response has begun a task drives it, so that the upload
//! goes on while nobody reads, until the response has ended.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use tokio_util::task::AbortOnDropHandle;

use crate::dial::Transport;
use crate::turn::Turn;
use crate::upload::Upload;

/// A response's head, in bytes and in fields: as much as the gateway takes of a request's, and well within what fits one
/// message.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_FIELDS: usize = 256;

/// How HTTP/1.1 is spoken to a backend.
pub(crate) fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_header_size(MAX_HEAD_BYTES).max_headers(MAX_FIELDS);
    builder
}

type Connection = http1::Connection<TokioIo<Transport>, Upload>;

/// A connection that has a request, or is about to have one.
pub(crate) struct Http1 {
    sender: http1::SendRequest<Upload>,
    driver: Driver,
    turn: Turn,
}

enum Driver {
    Own(Pin<Box<Connection>>),
    /// Ends with us.
    Apart(#[expect(dead_code, reason = "for its Drop")] AbortOnDropHandle<()>),
    Ended,
}

impl Http1 {
    /// Nothing is sent yet.
    pub(crate) async fn over(transport: Transport) -> hyper::Result<Self> {
        let (sender, connection) = builder().handshake(TokioIo::new(transport)).await?;
        Ok(Self { sender, driver: Driver::Own(Box::pin(connection)), turn: Turn::default() })
    }

    /// Sends a request, and drives the connection until the response has begun.
    ///
    /// # Errors
    /// With the request, if nothing of it has been written.
    ///
    /// # Cancel safety
    /// The connection must not be used again.
    pub(crate) async fn send(
        &mut self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        let Self { sender, driver, turn } = self;
        let mut response = pin!(turn.hold(|| sender.try_send_request(request)));
        poll_fn(|cx| {
            turn.poll(cx, |cx| {
                driver.drive(cx);
                response.as_mut().poll(cx)
            })
        })
        .await
    }

    /// The next of a response's body, driving the connection.
    pub(crate) fn poll_body(
        &mut self,
        cx: &Context<'_>,
        body: &mut Incoming,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Self { driver, turn, .. } = self;
        turn.poll(cx, |cx| {
            if let ready @ Poll::Ready(_) = Pin::new(&mut *body).poll_frame(cx) {
                return ready;
            }
            driver.drive(cx);
            Pin::new(&mut *body).poll_frame(cx)
        })
    }

    /// Lets a task drive it from now on.
    pub(crate) fn drive_apart(&mut self) {
        if let Driver::Own(connection) = std::mem::replace(&mut self.driver, Driver::Ended) {
            let task = tokio::spawn(async {
                // Who has its response hears of it.
                let _ = connection.await;
            });
            self.driver = Driver::Apart(AbortOnDropHandle::new(task));
        }
    }

    /// Can it take a request now? What the backend has done in the meantime is looked at.
    pub(crate) fn is_ready(&mut self, cx: &Context<'_>) -> bool {
        let Self { driver, turn, .. } = self;
        let _ = turn.poll(cx, |cx| {
            driver.drive(cx);
            Poll::<()>::Pending
        });
        matches!(self.driver, Driver::Own(_)) && self.sender.is_ready()
    }
}

impl Driver {
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Self::Own(connection) = self
            && connection.as_mut().poll(cx).is_ready()
        {
            *self = Self::Ended;
        }
    }
}
