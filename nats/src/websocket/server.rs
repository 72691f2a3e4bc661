//! A WebSocket at the responder that owns it (`PROTOCOL.md §6`).

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use h8s_wire::{AbortCode, Close, ConnectionEpoch, ConnectionId, Message};
use http::{HeaderValue, Response, header};
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::exchange::failure::Failure;
use crate::exchange::handle::Exchange;
use crate::websocket::message_reader::{Item, MessageReader, ReadError};
use crate::websocket::message_writer::MessageWriter;

/// The time limit for a gateway to confirm a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// An offered WebSocket. A service finds it in the extensions of a `CONNECT` request.
///
/// A service that returns a response without accepting refuses the WebSocket: the client receives that response.
#[derive(Clone)]
pub struct WebSocketUpgrade {
    epoch: ConnectionEpoch,
    /// Middleware clones extensions; only one clone can accept.
    offer: Arc<std::sync::Mutex<Option<Offer>>>,
}

/// Why a WebSocket could not be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// This upgrade, or a clone of it, has already been accepted.
    #[error("the WebSocket has already been accepted")]
    AlreadyAccepted,
    /// The subprotocol is not a valid header value.
    #[error("invalid subprotocol {0:?}: not a valid header value")]
    InvalidProtocol(String),
}

/// The state of an offered WebSocket.
pub(crate) struct Offer {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) epoch: ConnectionEpoch,
    /// The credit granted to the gateway.
    pub(crate) granted: u64,
    pub(crate) max_message_bytes: usize,
    /// Cancelled when the responder drains: its connections move to other responders.
    pub(crate) draining: CancellationToken,
    /// Whether the gateway has received our `HEAD`.
    pub(crate) opened: watch::Receiver<bool>,
    /// Held for as long as the connection has an owner.
    pub(crate) owned: mpsc::Sender<Infallible>,
}

/// The options of an acceptance.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Accept {
    /// The subprotocol: one of those offered in `sec-websocket-protocol`.
    pub protocol: Option<String>,
    /// Whether the connection depends on state of this process. If so, the gateway closes it with 1012 when this process
    /// is lost, instead of reopening it at another responder. Default `false`.
    pub holds_state: bool,
}

impl Accept {
    /// Sets [`protocol`](Self::protocol).
    #[must_use]
    pub fn protocol(mut self, protocol: impl Into<Option<String>>) -> Self {
        self.protocol = protocol.into();
        self
    }

    /// Sets [`holds_state`](Self::holds_state).
    #[must_use]
    pub fn holds_state(mut self, holds_state: bool) -> Self {
        self.holds_state = holds_state;
        self
    }
}

/// Marks a response that accepts, in its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) holds_state: bool,
}

impl WebSocketUpgrade {
    pub(crate) fn new(offer: Offer) -> Self {
        Self { epoch: offer.epoch, offer: Arc::new(std::sync::Mutex::new(Some(offer))) }
    }

    /// The connection's id, assigned by the gateway.
    pub fn connection(&self) -> ConnectionId {
        self.epoch.connection
    }

    /// Whether another responder accepted this connection before and was lost. The client already has its 101, and the
    /// request offers only the subprotocol chosen then.
    pub fn is_reopened(&self) -> bool {
        self.epoch.epoch > 0
    }

    /// Accepts the WebSocket. The service must return the response; nothing is sent before.
    ///
    /// # Errors
    /// [`AcceptError`], if it was accepted before or the subprotocol cannot be sent.
    pub fn accept(self, accept: Accept) -> Result<(Response<()>, WebSocket), AcceptError> {
        let mut response = Response::new(());
        if let Some(protocol) = accept.protocol {
            let value = HeaderValue::from_str(&protocol);
            let value = value.map_err(|_| AcceptError::InvalidProtocol(protocol))?;
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, value);
        }
        let offer = self.offer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let offer = offer.ok_or(AcceptError::AlreadyAccepted)?;
        response.extensions_mut().insert(Accepted { holds_state: accept.holds_state });
        Ok((response, WebSocket::new(offer)))
    }
}

impl std::fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocketUpgrade").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// An event from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A complete message.
    Message {
        /// The message.
        message: Message,
        /// Whether a lost responder may already have handled it, in whole or in part.
        redelivered: bool,
    },
    /// The client closed or vanished (1006), or the gateway closed. The final event.
    Close(Close),
    /// This process drains, and another responder takes over the connection. The final event.
    Moved,
    /// The gateway is unreachable. The final event.
    Disconnected {
        /// Whether the connection is closed. Otherwise another responder owns it.
        closed: bool,
    },
}

/// An accepted WebSocket. If it is dropped before its final event, the gateway closes the connection with 1011.
pub struct WebSocket {
    exchange: Arc<Exchange>,
    connection: ConnectionId,
    reader: MessageReader,
    sender: WebSocketSender,
    draining: CancellationToken,
    /// The number of frames up to the end of the message that the owner is handling.
    in_hand: Option<u64>,
    last: Option<Incoming>,
    _owned: mpsc::Sender<Infallible>,
}

impl WebSocket {
    fn new(offer: Offer) -> Self {
        let exchange = offer.exchange;
        let sender =
            Sending { writer: Mutex::new(MessageWriter::new(exchange.clone(), 0)), opened: offer.opened };
        Self {
            connection: offer.epoch.connection,
            reader: MessageReader::new(exchange.clone(), offer.granted, offer.max_message_bytes),
            exchange,
            sender: WebSocketSender(Arc::new(sender)),
            draining: offer.draining,
            in_hand: None,
            last: None,
            _owned: offer.owned,
        }
    }

    /// The connection's id, assigned by the gateway.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Returns the next event from the client, in order. Calling `next` acknowledges the previous message;
    /// unacknowledged messages are redelivered to another responder. After the final event it keeps returning that event.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Incoming {
        if let Some(last) = &self.last {
            return last.clone();
        }
        // A connection that is not accepted yet cannot be handed over.
        let _ = self.sender.0.opened.clone().wait_for(|opened| *opened).await;
        if let Some(frames) = self.in_hand.take() {
            self.exchange.handled_in_order(frames).await;
        }
        let incoming = tokio::select! {
            biased;
            () = self.draining.cancelled() => self.hand_over(),
            received = poll_fn(|cx| self.reader.poll_next(cx)) => match received {
                Ok(received) => {
                    self.in_hand = Some(received.frames);
                    match received.item {
                        Item::Message { message, redelivered } => return Incoming::Message { message, redelivered },
                        Item::Close(close) => Incoming::Close(close),
                    }
                }
                Err(error) => self.gone(&error),
            },
        };
        self.last = Some(incoming.clone());
        incoming
    }

    /// Waits until the connection moves to another responder or is lost. For an owner that has received a message and
    /// not started to handle it; that message stays unacknowledged.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn lost(&mut self) -> Incoming {
        let lost = tokio::select! {
            biased;
            () = self.draining.cancelled() => self.hand_over(),
            _ = self.exchange.stopped() => Incoming::Disconnected { closed: self.is_over() },
        };
        self.in_hand = None;
        self.last = Some(lost.clone());
        lost
    }

    fn hand_over(&self) -> Incoming {
        let reason = "the connection moves to another responder".to_owned();
        self.exchange.abort(AbortCode::Moving, reason, Failure::Closed);
        Incoming::Moved
    }

    /// Whether the connection ended together with its failed exchange. It continues if the gateway has reopened it
    /// elsewhere, or will do so because this process stops.
    fn is_over(&self) -> bool {
        !matches!(
            self.exchange.mailbox.failure(),
            Some(Failure::Cancelled | Failure::Aborted(AbortCode::Unknown, _) | Failure::Closed)
        )
    }

    fn gone(&self, error: &ReadError) -> Incoming {
        let closed = match error {
            ReadError::Failed(_) => self.is_over(),
            ReadError::Invalid(_) => true,
            ReadError::TooLarge => {
                let reason = "a message is larger than this responder takes".to_owned();
                self.exchange.abort(AbortCode::Failed, reason, Failure::Closed);
                true
            }
        };
        Incoming::Disconnected { closed }
    }

    /// Sends one message. See [`WebSocketSender::send`].
    ///
    /// # Errors
    /// [`ConnectionClosed`] after the connection has ended.
    pub async fn send(&self, message: Message) -> Result<(), ConnectionClosed> {
        self.sender.send(message).await
    }

    /// A handle for sending to the client, from any task.
    pub fn sender(&self) -> WebSocketSender {
        self.sender.clone()
    }

    /// Closes the connection. Returns once the gateway has the close or is lost: `true` if the connection is closed,
    /// `false` if another responder owns it.
    pub async fn close(mut self, close: Close) -> bool {
        match &self.last {
            Some(Incoming::Close(_) | Incoming::Disconnected { closed: true }) => return true,
            Some(_) => return false,
            None => {}
        }
        let (sender, said) = (self.sender.clone(), close.clone());
        let mut closing = std::pin::pin!(sender.close(&said));
        // Until the gateway has the close, dropping this gives the connection up.
        loop {
            match tokio::time::timeout(CLOSE_TIMEOUT, &mut closing).await {
                Ok(Ok(())) => {
                    self.last = Some(Incoming::Close(close));
                    return true;
                }
                Ok(Err(ConnectionClosed)) => {
                    let closed = self.is_over();
                    self.last = Some(Incoming::Disconnected { closed });
                    return closed;
                }
                // The close is sent after the reconnect.
                Err(_) if !self.exchange.port.connection.is_connected() => {
                    let mut state = self.exchange.port.connection.state.clone();
                    let _ = state.wait_for(|state| state.connected).await;
                }
                Err(_) => return true,
            }
        }
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        match &self.last {
            None => {
                let reason = "the connection's owner gave it up".to_owned();
                self.exchange.abort(AbortCode::Failed, reason, Failure::Closed);
            }
            // The gateway waits until its close has been handled.
            Some(Incoming::Close(_)) => {
                if let Some(frames) = self.in_hand.take() {
                    self.exchange.handled(frames);
                }
            }
            Some(_) => {}
        }
        self.exchange.forget();
    }
}

impl std::fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocket").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// The connection is closed, or another responder owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection is closed")]
pub struct ConnectionClosed;

/// Sends messages to one client, in order and with back-pressure. Cheap to clone.
#[derive(Clone)]
pub struct WebSocketSender(Arc<Sending>);

struct Sending {
    writer: Mutex<MessageWriter>,
    opened: watch::Receiver<bool>,
}

impl WebSocketSender {
    /// Sends one message. Waits until the client has its 101 and while it does not read.
    ///
    /// # Errors
    /// [`ConnectionClosed`], if the connection is closed or another responder owns it.
    ///
    /// # Cancel safety
    /// A message of up to 64 KiB is sent whole or not at all. A larger one may be truncated; then the next `send` ends the
    /// connection.
    pub async fn send(&self, message: Message) -> Result<(), ConnectionClosed> {
        let mut writer = self.opened().await?;
        writer.send(&message).await.map_err(|_| ConnectionClosed)
    }

    async fn opened(&self) -> Result<tokio::sync::MutexGuard<'_, MessageWriter>, ConnectionClosed> {
        let mut opened = self.0.opened.clone();
        opened.wait_for(|opened| *opened).await.map_err(|_| ConnectionClosed)?;
        Ok(self.0.writer.lock().await)
    }

    async fn close(&self, close: &Close) -> Result<(), ConnectionClosed> {
        let mut writer = self.opened().await?;
        poll_fn(|cx| writer.poll_room_to_close(cx)).await.map_err(|_| ConnectionClosed)?;
        writer.queue_close(close);
        writer.all_handled().await.map_err(|_| ConnectionClosed)
    }
}

impl std::fmt::Debug for WebSocketSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocketSender").finish_non_exhaustive()
    }
}
