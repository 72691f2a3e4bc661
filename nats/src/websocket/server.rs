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

/// How long a gateway may take to pass on a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// In the extensions of a request that asks for a WebSocket; its method is `CONNECT`.
///
/// A service that answers such a request without it refuses, and the client gets that response.
#[derive(Clone)]
pub struct WebSocketUpgrade {
    epoch: ConnectionEpoch,
    /// Extensions are cloned by middleware; only one clone can accept.
    offer: Arc<std::sync::Mutex<Option<Offer>>>,
}

/// Why a WebSocket could not be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// This upgrade, or a clone of it, has been accepted already.
    #[error("the WebSocket has already been accepted")]
    AlreadyAccepted,
    /// The subprotocol is not a valid header value.
    #[error("invalid subprotocol {0:?}: not a valid header value")]
    InvalidProtocol(String),
}

/// What a responder was offered.
pub(crate) struct Offer {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) epoch: ConnectionEpoch,
    /// What the gateway was told it may send.
    pub(crate) granted: u64,
    pub(crate) max_message_bytes: usize,
    /// The responder drains: somebody else takes its connections.
    pub(crate) draining: CancellationToken,
    /// Whether the gateway has our `HEAD`.
    pub(crate) opened: watch::Receiver<bool>,
    /// Held for as long as somebody owns the connection.
    pub(crate) owned: mpsc::Sender<Infallible>,
}

/// How a WebSocket is accepted.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Accept {
    /// The subprotocol; one of those offered in `sec-websocket-protocol`.
    pub protocol: Option<String>,
    /// Without this process the connection is worth nothing: it is closed with 1012 instead of opened again elsewhere.
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

/// In the extensions of a response that accepts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) holds_state: bool,
}

impl WebSocketUpgrade {
    pub(crate) fn new(offer: Offer) -> Self {
        Self { epoch: offer.epoch, offer: Arc::new(std::sync::Mutex::new(Some(offer))) }
    }

    /// Which connection.
    pub fn connection(&self) -> ConnectionId {
        self.epoch.connection
    }

    /// Whether somebody has accepted this connection before, and is gone: the client has long been greeted. The request
    /// offers only the subprotocol that was chosen then.
    pub fn is_reopened(&self) -> bool {
        self.epoch.epoch > 0
    }

    /// Accepts. The response is what the service must answer with; until then nothing is sent.
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

/// What comes from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A message, whole.
    Message {
        /// What was said.
        message: Message,
        /// It may have been handled before, in whole or in part, by a responder that was lost.
        redelivered: bool,
    },
    /// The client has closed, or vanished (1006), or the gateway has closed. The last.
    Close(Close),
    /// This process drains, and somebody else owns the connection now: it goes on. The last.
    Moved,
    /// The way to the gateway is gone. The last.
    Disconnected {
        /// Whether the connection is over with it; otherwise somebody else owns it now.
        closed: bool,
    },
}

/// One connection. Dropped before its end, the gateway closes it with 1011.
pub struct WebSocket {
    exchange: Arc<Exchange>,
    connection: ConnectionId,
    reader: MessageReader,
    sender: WebSocketSender,
    draining: CancellationToken,
    /// Frames of the message that its owner is working on, and everything before it.
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

    /// Which connection.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// The next from the client, in order. What came before counts as handled from this call on: nobody gets it again.
    /// After the last, the last again.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Incoming {
        if let Some(last) = &self.last {
            return last.clone();
        }
        // What is not accepted yet cannot be handed over.
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

    /// Waits until somebody else is to have the connection: for an owner that has got a message, and not begun with it.
    /// That message then does not count as handled.
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
        let reason = "somebody else goes on".to_owned();
        self.exchange.abort(AbortCode::Moving, reason, Failure::Closed);
        Incoming::Moved
    }

    /// Whether an exchange that failed has taken the connection with it: it goes on where the gateway has opened it
    /// again, or will, since our own process stops.
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
    /// [`ConnectionClosed`].
    pub async fn send(&self, message: Message) -> Result<(), ConnectionClosed> {
        self.sender.send(message).await
    }

    /// For sending to this client, from wherever.
    pub fn sender(&self) -> WebSocketSender {
        self.sender.clone()
    }

    /// Closes the connection. Returns when the gateway has taken the close, or is gone: whether the connection is over.
    /// Otherwise somebody else owns it by now.
    pub async fn close(mut self, close: Close) -> bool {
        match &self.last {
            Some(Incoming::Close(_) | Incoming::Disconnected { closed: true }) => return true,
            Some(_) => return false,
            None => {}
        }
        let (sender, said) = (self.sender.clone(), close.clone());
        let mut closing = std::pin::pin!(sender.close(&said));
        // Until the gateway has it, dropping this gives the connection up.
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
                // What cannot be said while NATS is away is said afterwards.
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

/// The connection is over, for this process at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection is over")]
pub struct ConnectionClosed;

/// Sends to one client, along its exchange: in order, and never more than the client reads.
#[derive(Clone)]
pub struct WebSocketSender(Arc<Sending>);

struct Sending {
    writer: Mutex<MessageWriter>,
    opened: watch::Receiver<bool>,
}

impl WebSocketSender {
    /// Sends one message; waits while the client does not read, and until it has its 101.
    ///
    /// # Errors
    /// [`ConnectionClosed`].
    ///
    /// # Cancel safety
    /// A message of up to 64 KiB is sent whole or not at all. A larger one may be cut off: then nothing can be sent after
    /// it, and the connection ends with the next attempt.
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
