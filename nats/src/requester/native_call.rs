//! A gateway's native exchange: opens it, sends the rest of the body, returns the response (`PROTOCOL.md §5`).

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use h8s_wire::{ExchangeId, Frame, HeadFrame, HeadKind, Inbox, ResponderId, ResponseHead};
use http::Response;
use http_body::Body as HttpBody;

use crate::body::Body;
use crate::error::{BoxError, ExchangeError};
use crate::exchange::body_writer::Outgoing;
use crate::exchange::endpoint::Endpoint;
use crate::exchange::failure::Failure;
use crate::exchange::handle::Exchange;
use crate::exchange::mailbox::{Carries, Terms};
use crate::exchange::registry::random_id;
use crate::exchange::response_timeout::Progress;
use crate::requester::routing_table::NativeRoute;

/// A request ready to publish. It can be published again if no responder accepted it.
pub(crate) struct Opening {
    /// The `HEAD` frame.
    pub(crate) frame: Bytes,
    /// The credit that the frame grants to the responder.
    pub(crate) granted: u64,
    /// The kind of the bodies.
    pub(crate) carries: Carries,
    /// Notified when the request body makes progress.
    pub(crate) progress: Option<Arc<Progress>>,
}

/// A responder's response to a WebSocket request.
pub(crate) struct WebSocketHead {
    pub(crate) response: Response<Body>,
    /// The exchange that carries the messages, if the responder accepts.
    pub(crate) accepted: Option<Arc<Exchange>>,
    pub(crate) holds_state: bool,
}

/// An exchange that a responder has accepted. Dropping it cancels the exchange at the responder.
pub(crate) struct Opened {
    exchange: Option<Arc<Exchange>>,
    granted: u64,
}

impl Opened {
    /// Publishes the request and waits for the first frame from a responder.
    pub(crate) async fn open(
        port: &Arc<Endpoint>,
        inbox: &Inbox,
        route: &NativeRoute,
        opening: &Opening,
    ) -> Result<Self, ExchangeError> {
        let id = ExchangeId::from_bytes(random_id());
        let Opening { granted, carries, ref progress, .. } = *opening;
        let terms = Terms { granted, limit: 0, peer: None, carries, progress: progress.clone() };
        let exchange = Exchange::register(port, inbox, id, route.replies.clone(), terms);
        let exchange = Arc::new(exchange.ok_or(ExchangeError::Lost)?);
        // From here on, dropping the future cancels the exchange.
        let opened = Self { exchange: Some(exchange.clone()), granted };
        exchange.send_sequenced(route.subject.clone(), opening.frame.clone()).await?;
        exchange.opened().await?;
        Ok(opened)
    }

    /// Waits until the responder grants credit or sends another frame. Returns `false` if the exchange ends instead.
    pub(crate) async fn has_use_for_body(&self) -> bool {
        let Some(exchange) = &self.exchange else { return false };
        poll_fn(|cx| exchange.mailbox.poll_use_for_body(cx)).await
    }

    /// Sends the rest of the request body concurrently. With `on_credit`, reading the body starts only after credit
    /// arrives.
    /// there is credit.
    pub(crate) fn upload<B>(&self, mut body: Outgoing<B>, on_credit: bool)
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let Some(exchange) = self.exchange.clone() else { return };
        tokio::spawn(async move {
            // The mailbox records every failure, and the reader of the response finds it there. The HEAD was frame 0.
            if !on_credit || poll_fn(|cx| exchange.mailbox.poll_credit(cx, 0)).await.is_ok() {
                let _ = body.send(&exchange, 1).await;
            }
        });
    }

    /// The responder that accepted: the last but one token of the subject of its frames (`PROTOCOL.md §2`).
    pub(crate) fn responder(&self) -> Option<ResponderId> {
        let peer = self.exchange.as_ref()?.mailbox.peer()?;
        peer.rsplit('.').nth(1)?.parse().ok()
    }

    /// Waits for the response head. The body may still be streaming then.
    pub(crate) async fn response(mut self) -> Result<Response<Body>, ExchangeError> {
        let (head, end, first) = self.head().await?;
        Ok(self.respond(head, end, first))
    }

    /// Waits for the response head of a WebSocket request. A 2xx head with a body to follow accepts the WebSocket.
    pub(crate) async fn websocket(mut self) -> Result<WebSocketHead, ExchangeError> {
        let (mut head, end, first) = self.head().await?;
        let holds_state = head.holds_state;
        if head.status.is_success() && !end {
            let accepted = self.exchange.take();
            let mut response = Response::new(Body::empty());
            std::mem::swap(response.headers_mut(), &mut head.headers);
            return Ok(WebSocketHead { response, accepted, holds_state });
        }
        if head.status.is_success() {
            return Err(ExchangeError::InvalidResponse("neither accepts nor refuses the WebSocket".into()));
        }
        if let Some(exchange) = &self.exchange {
            exchange.mailbox.carries_bytes();
        }
        let response = self.respond(head, end, first);
        Ok(WebSocketHead { response, accepted: None, holds_state })
    }

    async fn head(&mut self) -> Result<(ResponseHead, bool, Bytes), ExchangeError> {
        let Some(exchange) = &self.exchange else { return Err(ExchangeError::Lost) };
        let message = exchange.next_frame().await.map_err(|failure| match failure {
            // A responder had accepted and may have started work, so this is not a missing responder.
            Failure::NoResponders => ExchangeError::PeerGone,
            other => other.into(),
        })?;
        match Frame::decode(message) {
            Ok(Frame::Head(HeadFrame { head: HeadKind::Response(head), end, limit, body })) => {
                exchange.mailbox.allow(limit);
                Ok((head, end, body))
            }
            Ok(_) => Err(ExchangeError::InvalidResponse("the first frame is no response head".into())),
            Err(error) => Err(ExchangeError::InvalidResponse(error.to_string())),
        }
    }

    fn respond(&mut self, head: ResponseHead, end: bool, first: Bytes) -> Response<Body> {
        let body = match (end, self.exchange.take()) {
            (false, Some(exchange)) => Body::native(exchange, first, self.granted),
            (true, Some(_)) | (_, None) => Body::whole(first),
        };
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        response
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.leave();
            exchange.mailbox.fail(Failure::Closed);
        }
    }
}
