//! A gateway's native exchange: open it, send the rest of the body, hand out the response (`PROTOCOL.md §5`).

use std::sync::Arc;

use bytes::Bytes;
use h8s_wire::{ExchangeId, Frame, HeadFrame, HeadKind, Inbox};
use http::Response;
use http_body::Body as HttpBody;

use crate::body::Body;
use crate::error::{BoxError, ExchangeError};
use crate::exchange::Exchange;
use crate::interest::NativeRoute;
use crate::mailbox::{Failure, Terms};
use crate::outgoing::Outgoing;
use crate::port::Port;
use crate::registry::random_id;

/// A request ready to be published, as often as it takes: an attempt that nobody accepted can be repeated.
pub(crate) struct Opening {
    /// The `HEAD` frame.
    pub(crate) frame: Bytes,
    /// What the frame says the responder may send.
    pub(crate) granted: u64,
}

/// An exchange that a responder has taken. Dropping it tells the responder to stop.
pub(crate) struct Opened {
    exchange: Option<Arc<Exchange>>,
    granted: u64,
}

impl Opened {
    /// Publishes the request and waits for the first frame back.
    pub(crate) async fn open(
        port: &Arc<Port>,
        inbox: &Inbox,
        route: &NativeRoute,
        opening: &Opening,
    ) -> Result<Self, ExchangeError> {
        let id = ExchangeId::from_bytes(random_id());
        let terms = Terms { granted: opening.granted, limit: 0, peer: None };
        let exchange = Exchange::register(port, inbox, id, route.replies.clone(), terms);
        let exchange = Arc::new(exchange.ok_or(ExchangeError::Lost)?);
        // From here on a drop cancels.
        let opened = Self { exchange: Some(exchange.clone()), granted: opening.granted };
        exchange.send_sequenced(route.subject.clone(), opening.frame.clone()).await?;
        exchange.opened().await?;
        Ok(opened)
    }

    /// Sends the rest of the request's body beside whatever else happens.
    pub(crate) fn upload<B>(&self, mut body: Outgoing<B>)
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let Some(exchange) = self.exchange.clone() else { return };
        tokio::spawn(async move {
            // Whatever stops it is known to the mailbox, where the response's reader finds it. The HEAD was frame 0.
            let _ = body.send(&exchange, 1).await;
        });
    }

    /// Waits for the response's head. Its body streams on.
    pub(crate) async fn response(mut self) -> Result<Response<Body>, ExchangeError> {
        let Some(exchange) = &self.exchange else { return Err(ExchangeError::Lost) };
        let message = exchange.next_frame().await.map_err(|failure| match failure {
            // Somebody had taken it, and may have begun: that is not "nobody serves this".
            Failure::NoResponders => ExchangeError::PeerGone,
            other => other.into(),
        })?;
        let head = match Frame::decode(message) {
            Ok(Frame::Head(HeadFrame { head: HeadKind::Response(head), end, limit, body })) => {
                exchange.mailbox.allow(limit);
                (head, end, body)
            }
            Ok(_) => {
                return Err(ExchangeError::InvalidResponse("the first frame is no response head".into()));
            }
            Err(error) => return Err(ExchangeError::InvalidResponse(error.to_string())),
        };
        let (head, end, first) = head;
        let body = match (end, self.exchange.take()) {
            (false, Some(exchange)) => Body::native(exchange, first, self.granted),
            (true, Some(_)) | (_, None) => Body::whole(first),
        };
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        Ok(response)
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
