//! A WebSocket in the plain dialect: each message is a NATS message, and responses arrive at the connection's push
//! inbox (`PROTOCOL.md §6`).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_nats::Subject;
use bytes::{Bytes, BytesMut};
use h8s_wire::push;
use h8s_wire::{Close, ConnectionId, MessageKind};
use tracing::debug;

use crate::connection::client::{Connection, PublishError};
use crate::exchange::endpoint::subject;
use crate::plain::headers;
use crate::presence::local::OpenConnection;
use crate::requester::Gateway;
use crate::websocket::open::WebSocketRequest;

/// A session in the plain dialect; see the module.
pub(crate) struct PlainSession {
    connection: Connection,
    id: ConnectionId,
    /// The subject of its messages.
    to: Subject,
    /// The reply subject of its messages.
    push: Subject,
    /// The parts of an incomplete message.
    partial: BytesMut,
    /// Notified when its messages have no subscriber.
    open: Option<Arc<OpenConnection>>,
    /// Pending while NATS is disconnected.
    back: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl PlainSession {
    pub(crate) fn new(gateway: &Gateway, request: &WebSocketRequest) -> Self {
        Self {
            connection: gateway.bus.plain.clone(),
            id: request.connection,
            to: subject(request.subject(gateway)),
            push: gateway.open.push_inbox(request.connection),
            partial: BytesMut::new(),
            open: None,
            back: None,
        }
    }

    pub(crate) fn establish(&mut self, open: Arc<OpenConnection>) {
        self.open = Some(open);
    }

    pub(crate) fn has_room(&self) -> bool {
        self.connection.is_connected()
    }

    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let back = self.back.get_or_insert_with(|| {
            let mut state = self.connection.state.clone();
            Box::pin(async move {
                let _ = state.wait_for(|state| state.connected).await;
            })
        });
        let result = back.as_mut().poll(cx);
        if result.is_ready() {
            self.back = None;
        }
        result
    }

    /// Waits until its messages have no subscriber.
    pub(crate) fn poll_over(&self, cx: &Context<'_>) -> Poll<Close> {
        match &self.open {
            Some(open) => open.poll_unserved(cx).map(|()| Close::new(1011, "nobody answers here")),
            None => Poll::Pending,
        }
    }

    /// Collects parts, and publishes each message when it is complete.
    pub(crate) async fn send(&mut self, kind: MessageKind, part: Bytes, more: bool) -> Result<(), Close> {
        let message = if more || !self.partial.is_empty() {
            self.partial.extend_from_slice(&part);
            if self.partial.len() > self.connection.max_payload() {
                return Err(too_large());
            }
            if more {
                return Ok(());
            }
            std::mem::take(&mut self.partial).freeze()
        } else {
            part
        };
        self.publish(kind, message).await
    }

    async fn publish(&mut self, kind: MessageKind, message: Bytes) -> Result<(), Close> {
        let id = self.id.to_string();
        let headers = headers::collect(|emit| {
            emit(push::CONNECTION, &id);
            emit(push::FRAME, push::kind_name(kind));
            Ok(())
        });
        let Ok(headers) = headers else { return Err(Close::new(1011, "")) };
        let room = self.connection.max_payload().saturating_sub(headers::bytes(&headers));
        if message.len() > room {
            return Err(too_large());
        }
        let reply = Some(self.push.clone());
        match self.connection.publish_plain(self.to.clone(), reply, headers, message).await {
            Ok(()) => Ok(()),
            Err(PublishError::TooLarge) => Err(too_large()),
            Err(error) => {
                // The plain dialect cannot report a lost message, so the connection is closed: the end is visible to
                // both sides.
                debug!(connection = %self.id, %error, "a message could not be published");
                Err(Close::new(1011, "the message could not be passed on"))
            }
        }
    }
}

fn too_large() -> Close {
    Close::new(1009, "the message is too large")
}
