//! One native exchange at a responder: reads the head, calls the service, sends the response (`PROTOCOL.md §5`).

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use async_nats::{Message, Subject};
use bytes::Bytes;
use futures_util::FutureExt;
use h8s_wire::{
    AbortCode, ConnectionEpoch, ExchangeId, Frame, FrameError, HeadFrame, HeadKind, Host, Inbox,
    MAX_INLINE_BYTES, RefusedCode, RequestHead, ResponseHead, encode_head,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::body::Body;
use crate::context::{ExchangeContext, LoggedError, Refused};
use crate::error::BoxError;
use crate::exchange::body_writer::Outgoing;
use crate::exchange::endpoint::Endpoint;
use crate::exchange::failure::{Failure, Stop};
use crate::exchange::flow_control::window;
use crate::exchange::handle::Exchange;
use crate::exchange::inline;
use crate::exchange::mailbox::{Carries, Terms};
use crate::responder::HttpService;
use crate::websocket::server::{Accepted, Offer, WebSocketUpgrade};

/// The state that all exchanges of one interest share.
pub(crate) struct Serving {
    pub(crate) port: Arc<Endpoint>,
    /// The inbox for frames of this interest's host.
    pub(crate) inbox: Inbox,
    pub(crate) host: Host,
    /// Cancelled when the responder drains: its WebSockets move to other responders.
    pub(crate) draining: CancellationToken,
    /// Cancelled when the grace period is over.
    pub(crate) force_close: CancellationToken,
    /// The largest WebSocket message, in bytes.
    pub(crate) max_message_bytes: usize,
}

/// The destination of the responses to one `HEAD`.
struct Return {
    id: ExchangeId,
    to: Subject,
    own: Subject,
}

impl Return {
    /// Returns `None` if the reply is not a gateway's inbox: nothing may be published elsewhere.
    fn of(serving: &Serving, reply: Option<Subject>) -> Option<Self> {
        let to = reply.filter(|reply| serving.port.subjects.gateway_replies().cover(reply))?;
        let id = Inbox::exchange_of(&to)?;
        let own = crate::exchange::endpoint::subject(serving.inbox.exchange(id));
        Some(Self { id, to, own })
    }

    fn send_soon(self, port: &Arc<Endpoint>, frame: &Frame) {
        port.publish_soon(self.to, self.own, frame);
    }
}

/// Refuses an exchange before any work is done.
pub(crate) fn refuse(serving: &Serving, message: Message) {
    if let Some(back) = Return::of(serving, message.reply) {
        back.send_soon(&serving.port, &Frame::Refused(RefusedCode::Busy));
    }
}

/// Serves one exchange until it ends.
pub(crate) async fn serve<S: HttpService>(serving: &Serving, service: S, message: Message) {
    let Some(back) = Return::of(serving, message.reply) else {
        return debug!(subject = %message.subject, "request ignored: the reply subject is not a gateway inbox");
    };
    let (head, opening) = match open(message.payload) {
        Ok(opened) => opened,
        Err(error) => {
            warn!(subject = %message.subject, %error, "invalid request: not a HEAD frame");
            let code = match error {
                FrameError::UnknownKind(_) | FrameError::UnknownVersion(_) => AbortCode::Unsupported,
                _ => AbortCode::Malformed,
            };
            return back.send_soon(&serving.port, &Frame::Abort { code, reason: error.to_string() });
        }
    };
    let carries = if head.connection.is_some() { Carries::Messages } else { Carries::Bytes };
    let served = Served {
        serving,
        service: Some(service),
        back,
        limit: opening.limit,
        granted: 0,
        carries,
        exchange: None,
    };
    match head.connection {
        Some(epoch) => served.run_websocket(epoch, head).await,
        None => served.run(head, opening).await,
    }
}

/// The fields of a `HEAD` frame besides its head.
struct Opening {
    end: bool,
    limit: u64,
    body: Bytes,
}

fn open(payload: Bytes) -> Result<(RequestHead, Opening), FrameError> {
    // Copied: the head may live as long as the exchange and must not keep a whole read buffer of the connection alive.
    match Frame::decode(Bytes::copy_from_slice(&payload))? {
        Frame::Head(HeadFrame { head: HeadKind::Request(head), end, limit, body }) => {
            Ok((*head, Opening { end, limit, body }))
        }
        _ => Err(FrameError::Truncated),
    }
}

/// One exchange. It enters the registry only when frames may arrive for it.
struct Served<'a, S> {
    serving: &'a Serving,
    /// Taken by the call.
    service: Option<S>,
    back: Return,
    /// The credit that the gateway granted.
    limit: u64,
    /// The credit granted to the gateway.
    granted: u64,
    carries: Carries,
    exchange: Option<Arc<Exchange>>,
}

impl<S: HttpService> Served<'_, S> {
    async fn run(mut self, head: RequestHead, opening: Opening) {
        let body = if opening.end {
            Body::whole(opening.body)
        } else {
            // With `Expect: 100-continue` the body must not arrive before the service reads it.
            let granted = if head.expects_continue() { 0 } else { window(Carries::Bytes) };
            let Some(exchange) = self.register(granted) else { return };
            self.granted = granted;
            Body::native(exchange, opening.body, granted)
        };
        let request = match request(head, body) {
            Ok(request) => request,
            Err(error) => return self.abort(AbortCode::Malformed, error.to_string()),
        };
        match self.call(request).await {
            Some(Ok(response)) => self.respond(response).await,
            Some(Err(error)) => self.fail(error),
            None => {}
        }
    }

    /// Offers a WebSocket to the service, and keeps the exchange for as long as the WebSocket has an owner.
    async fn run_websocket(mut self, epoch: ConnectionEpoch, head: RequestHead) {
        if self.serving.draining.is_cancelled() {
            return self.back.send_soon(&self.serving.port, &Frame::Refused(RefusedCode::Draining));
        }
        self.granted = window(Carries::Messages);
        let Some(exchange) = self.register(self.granted) else { return };
        let (opens, opened) = watch::channel(false);
        let (owned, mut given_up) = mpsc::channel(1);
        let mut request = match request(head, Body::empty()) {
            Ok(request) => request,
            Err(error) => return self.abort(AbortCode::Malformed, error.to_string()),
        };
        let (granted, max_message_bytes) = (self.granted, self.serving.max_message_bytes);
        let draining = self.serving.draining.clone();
        let offer = Offer { exchange, epoch, granted, max_message_bytes, draining, opened, owned };
        request.extensions_mut().insert(WebSocketUpgrade::new(offer));
        match self.call(request).await {
            Some(Ok(response)) => match response.extensions().get::<Accepted>().copied() {
                Some(accepted) => {
                    let headers = response.into_parts().0.headers;
                    self.accept_websocket(accepted, headers, &opens, &mut given_up).await;
                }
                None => self.refuse_websocket(response).await,
            },
            Some(Err(error)) => self.fail(error),
            None => {}
        }
    }

    async fn accept_websocket(
        mut self,
        accepted: Accepted,
        headers: HeaderMap,
        opens: &watch::Sender<bool>,
        given_up: &mut mpsc::Receiver<Infallible>,
    ) {
        let Some(exchange) = self.exchange.clone() else { return };
        let Accepted { holds_state } = accepted;
        let head = ResponseHead { status: StatusCode::OK, headers, holds_state };
        let frame = match encode_head(&HeadKind::Response(head), false, self.granted, b"") {
            Ok(frame) => frame,
            Err(error) => return self.fail(error.into()),
        };
        exchange.send_kept_head(frame).await;
        opens.send_replace(true);
        tokio::select! {
            _ = given_up.recv() => {}
            () = self.serving.force_close.cancelled() => self.stopping(),
        }
    }

    async fn refuse_websocket(self, response: Response<S::ResponseBody>) {
        if response.status().is_success() {
            let host = &self.serving.host;
            warn!(%host, status = %response.status(), "the service answered a WebSocket request with success but did not accept it");
            return self.abort(AbortCode::Failed, "neither accepted nor refused".to_owned());
        }
        if let Some(exchange) = &self.exchange {
            exchange.mailbox.carries_bytes();
        }
        self.respond(response).await;
    }

    /// Registers the exchange. Returns `None` if the id is in use, because a `HEAD` was repeated.
    fn register(&mut self, granted: u64) -> Option<Arc<Exchange>> {
        if let Some(exchange) = &self.exchange {
            return Some(exchange.clone());
        }
        let peer = Some(self.back.to.clone());
        let terms = Terms { granted, limit: self.limit, peer, carries: self.carries, progress: None };
        let port = &self.serving.port;
        let replies = port.subjects.gateway_replies();
        let exchange =
            Exchange::register(port, &self.serving.inbox, self.back.id, replies, terms).map(Arc::new);
        if exchange.is_none() {
            warn!(host = %self.serving.host, "duplicate HEAD ignored: the exchange is already open");
        }
        self.exchange.clone_from(&exchange);
        exchange
    }

    /// Calls the service. Returns `None` if the gateway is gone or the grace period is over.
    async fn call(&mut self, request: Request<Body>) -> Option<Result<Response<S::ResponseBody>, BoxError>> {
        let called = AssertUnwindSafe(call(self.service.take()?, request));
        let mut called = pin!(called.catch_unwind());
        if self.exchange.is_none() {
            tokio::select! {
                biased;
                result = &mut called => return Some(flatten(result)),
                () = self.serving.force_close.cancelled() => { self.stopping(); return None; }
                () = self.serving.port.quiet.pass() => {}
            }
            self.register(0)?;
        } else if let Poll::Ready(result) = poll_once(&mut called).await {
            // A busy service refuses at its first poll: after an acceptance the gateway could not try another
            // responder.
            let result = flatten(result);
            let is_refusal = matches!(&result, Err(error) if error.is::<Refused>());
            if !is_refusal && let Some(exchange) = &self.exchange {
                exchange.accept(self.granted).await;
            }
            return Some(result);
        }
        let exchange = self.exchange.clone()?;
        exchange.accept(self.granted).await;
        tokio::select! {
            biased;
            result = &mut called => Some(flatten(result)),
            stop = exchange.stopped() => { gone(&exchange, stop); None }
            () = self.serving.force_close.cancelled() => { self.stopping(); None }
        }
    }

    async fn respond(mut self, response: Response<S::ResponseBody>) {
        let (parts, body) = response.into_parts();
        // The body may panic as well as the service.
        let begun = AssertUnwindSafe(async {
            let mut body = Outgoing::new(body);
            inline::of_response(&mut body).await;
            body
        });
        let Ok(mut body) = begun.catch_unwind().await else { return self.panicked() };
        if let Some(error) = body.take_error() {
            return self.fail(error);
        }
        let head = HeadKind::Response(ResponseHead {
            status: parts.status,
            headers: parts.headers,
            ..ResponseHead::default()
        });
        let (end, first) = (body.is_whole(), body.take_ready(MAX_INLINE_BYTES));
        let frame = match encode_head(&head, end, 0, &first) {
            Ok(frame) => frame,
            Err(error) => return self.fail(error.into()),
        };
        if end && self.exchange.is_none() {
            if let Err(error) = self.serving.port.publish(self.back.to, self.back.own, frame).await {
                debug!(%error, "response could not be published");
            }
            return;
        }
        let Some(exchange) = self.register(0) else { return };
        let sent = AssertUnwindSafe(async {
            exchange.send_to_peer(frame).await?;
            if end { Ok(()) } else { body.send(&exchange, 1).await }
        });
        tokio::select! {
            biased;
            result = sent.catch_unwind() => match result {
                Ok(Ok(())) => {}
                Ok(Err(stop)) => gone(&exchange, stop),
                Err(_) => self.panicked(),
            },
            () = self.serving.force_close.cancelled() => self.stopping(),
        }
    }

    fn panicked(self) {
        self.abort(AbortCode::Failed, "the response body panicked".to_owned());
    }

    fn fail(self, error: BoxError) {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return self.back.send_soon(&self.serving.port, &Frame::Refused((*refused).into()));
        }
        if !error.is::<LoggedError>() {
            warn!(host = %self.serving.host, error = chain(&*error), "service failed");
        }
        self.abort(AbortCode::Failed, error.to_string());
    }

    fn abort(self, code: AbortCode, reason: String) {
        match self.exchange {
            Some(exchange) => exchange.abort(code, reason, Failure::Closed),
            None => self.back.send_soon(&self.serving.port, &Frame::Abort { code, reason }),
        }
    }

    fn stopping(&mut self) {
        if let Some(exchange) = self.register(0) {
            exchange.abort(AbortCode::Stopping, "the grace period is over".into(), Failure::Closed);
        }
    }
}

/// Ends the whole exchange when the peer stops reading, so that readers of the request body learn it, too.
fn gone(exchange: &Exchange, stop: Stop) {
    if stop == Stop::Unread {
        exchange.mailbox.fail(Failure::Cancelled);
    }
}

/// Calls a tower service in either dialect: waits until it is ready, then passes the request.
pub(crate) async fn call<S: HttpService>(
    mut service: S,
    request: Request<Body>,
) -> Result<Response<S::ResponseBody>, BoxError> {
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
    service.call(request).await.map_err(Into::into)
}

/// Polls a future once.
async fn poll_once<F: Future + Unpin>(mut future: F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx))).await
}

type Caught<T> = Result<Result<T, BoxError>, Box<dyn std::any::Any + Send>>;

fn flatten<T>(result: Caught<T>) -> Result<T, BoxError> {
    result.unwrap_or_else(|_| Err("the service panicked".into()))
}

/// Formats an error and all its sources, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// The request as a service sees it: an absolute URI, a `Host` header, and an [`ExchangeContext`].
pub(crate) fn request(head: RequestHead, body: Body) -> Result<Request<Body>, BoxError> {
    // `OPTIONS *` has no absolute form.
    let uri = if head.target == "*" { head.target.clone().into() } else { head.uri()? };
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = uri;
    *request.headers_mut() = head.headers;
    request.headers_mut().insert(header::HOST, HeaderValue::from_str(head.authority.as_str())?);
    request.extensions_mut().insert(ExchangeContext {
        client: head.client,
        is_secure: head.scheme == http::uri::Scheme::HTTPS,
        deadline: head.timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
        served_by: None,
    });
    Ok(request)
}
