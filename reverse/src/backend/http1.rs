//! One HTTP/1.1 connection to a backend.
//!
//! The task that waits for its response drives it, which saves two wake-ups per request. Only if the request's body is
//! still being sent after the response has begun, a separate task drives it until the response has ended, so that the
//! upload continues while the response is not read.

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

use super::coalescing_waker::CoalescingWaker;
use super::dial::Transport;
use super::upload::Upload;

/// The limits of a response's head, in bytes and fields: those of the gateway for a request's, well within one NATS
/// message.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_FIELDS: usize = 256;

/// HTTP/1.1 client with the limits of this daemon.
pub(crate) fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_header_size(MAX_HEAD_BYTES).max_headers(MAX_FIELDS);
    builder
}

type Connection = http1::Connection<TokioIo<Transport>, Upload>;

/// A connection in use, or about to be.
pub(crate) struct Http1 {
    sender: http1::SendRequest<Upload>,
    driver: Driver,
    waker: CoalescingWaker,
}

enum Driver {
    Own(Pin<Box<Connection>>),
    /// A separate task drives it, which ends with this value.
    Task(#[expect(dead_code, reason = "for its Drop")] AbortOnDropHandle<()>),
    Ended,
}

impl Http1 {
    /// Prepares a connection; sends nothing.
    pub(crate) async fn handshake(transport: Transport) -> hyper::Result<Self> {
        let (sender, connection) = builder().handshake(TokioIo::new(transport)).await?;
        Ok(Self { sender, driver: Driver::Own(Box::pin(connection)), waker: CoalescingWaker::default() })
    }

    /// Sends a request, and drives the connection until the response has begun.
    ///
    /// # Errors
    /// Carries the request if none of it was written.
    ///
    /// # Cancel safety
    /// The connection must not be used again.
    pub(crate) async fn send(
        &mut self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        let Self { sender, driver, waker } = self;
        let mut response = pin!(waker.hold(|| sender.try_send_request(request)));
        poll_fn(|cx| {
            waker.poll(cx, |cx| {
                driver.drive(cx);
                response.as_mut().poll(cx)
            })
        })
        .await
    }

    /// Polls the next frame of a response's body, and drives the connection.
    pub(crate) fn poll_body(
        &mut self,
        cx: &Context<'_>,
        body: &mut Incoming,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Self { driver, waker, .. } = self;
        waker.poll(cx, |cx| {
            if let ready @ Poll::Ready(_) = Pin::new(&mut *body).poll_frame(cx) {
                return ready;
            }
            driver.drive(cx);
            Pin::new(&mut *body).poll_frame(cx)
        })
    }

    /// Lets a separate task drive the connection from now on.
    pub(crate) fn drive_in_task(&mut self) {
        if let Driver::Own(connection) = std::mem::replace(&mut self.driver, Driver::Ended) {
            let task = tokio::spawn(async {
                // The reader of the response gets its error.
                let _ = connection.await;
            });
            self.driver = Driver::Task(AbortOnDropHandle::new(task));
        }
    }

    /// Whether it can take a request. Processes pending input first, such as a close by the backend.
    pub(crate) fn is_ready(&mut self, cx: &Context<'_>) -> bool {
        let Self { driver, waker, .. } = self;
        let _ = waker.poll(cx, |cx| {
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
