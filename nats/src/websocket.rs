//! A WebSocket at the responder that owns it (`PROTOCOL.md §6`).

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use h8s_wire::{AbortCode, Close, ConnectionEpoch, ConnectionId, Message};
use http::{HeaderValue, Response, header};
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::message_reader::{Item, MessageReader, ReadError};
use crate::message_writer::MessageWriter;

/// How long a gateway may take to pass on a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// In the extensions of a request that asks for a WebSocket; its method is `CONNECT`.
///
/// A service that answers such a request without it refuses, and the client gets that response.
#[derive(Clone)]
pub struct WebSocketUpgrade(Arc<Offer>);

/// What a responder was offered.
pub(crate) struct Offer {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) epoch: ConnectionEpoch,
    /// What the gateway was told it may send.
    pub(crate) granted: u64,
    pub(crate) max_message_bytes: usize,
    /// The responder drains: somebody else takes its connections.
    pub(crate) moving: CancellationToken,
    /// Whether the gateway has our `HEAD`.
    pub(crate) opened: watch::Receiver<bool>,
    /// Held for as long as somebody owns the connection.
    pub(crate) owned: mpsc::Sender<Infallible>,
}

/// How a WebSocket is accepted.
#[derive(Clone, Debug, Default)]
pub struct Accept {
    /// The subprotocol; one of those offered in `sec-websocket-protocol`.
    pub protocol: Option<String>,
    /// Without this process the connection is worth nothing: it is closed with 1012 instead of opened again elsewhere.
    pub holds_state: bool,
}

/// In the extensions of a response that accepts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) holds_state: bool,
}

impl WebSocketUpgrade {
    pub(crate) fn new(offer: Offer) -> Self {
        Self(Arc::new(offer))
    }

    /// Which connection.
    pub fn connection(&self) -> ConnectionId {
        self.0.epoch.connection
    }

    /// Whether somebody has accepted this connection before, and is gone: the client has long been greeted. The request
    /// offers only the subprotocol that was chosen then.
    pub fn is_reopened(&self) -> bool {
        self.0.epoch.epoch > 0
    }

    /// Accepts. The response is what the service must answer with; until then nothing is sent.
    pub fn accept(self, accept: Accept) -> (Response<()>, WebSocket) {
        let Self(offer) = self;
        let mut response = Response::new(());
        let protocol = accept.protocol.and_then(|protocol| HeaderValue::try_from(protocol).ok());
        if let Some(protocol) = protocol {
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        response.extensions_mut().insert(Accepted { holds_state: accept.holds_state });
        (response, WebSocket::new(&offer))
    }
}

impl std::fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocketUpgrade").field("epoch", &self.0.epoch).finish_non_exhaustive()
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
        again: bool,
    },
    /// The client has closed, or vanished (1006), or the gateway has closed. The last.
    Close(Close),
    /// This process drains, and somebody else owns the connection now: it goes on. The last.
    Moved,
    /// The way to the gateway is gone. The last.
    Gone {
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
    moving: CancellationToken,
    /// Frames of the message that its owner is working on, and everything before it.
    in_hand: Option<u64>,
    last: Option<Incoming>,
    _owned: mpsc::Sender<Infallible>,
}

impl WebSocket {
    fn new(offer: &Offer) -> Self {
        let exchange = offer.exchange.clone();
        let sender = Sending {
            writer: Mutex::new(MessageWriter::new(exchange.clone(), 0)),
            opened: offer.opened.clone(),
        };
        Self {
            connection: offer.epoch.connection,
            reader: MessageReader::new(exchange.clone(), offer.granted, offer.max_message_bytes),
            exchange,
            sender: WebSocketSender(Arc::new(sender)),
            moving: offer.moving.clone(),
            in_hand: None,
            last: None,
            _owned: offer.owned.clone(),
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
            () = self.moving.cancelled() => self.hand_over(),
            received = poll_fn(|cx| self.reader.poll_next(cx)) => match received {
                Ok(received) => {
                    self.in_hand = Some(received.frames);
                    match received.item {
                        Item::Message { message, again } => return Incoming::Message { message, again },
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
            () = self.moving.cancelled() => self.hand_over(),
            _ = self.exchange.stopped() => Incoming::Gone { closed: self.is_over() },
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
        Incoming::Gone { closed }
    }

    /// For sending to this client, from wherever.
    pub fn sender(&self) -> WebSocketSender {
        self.sender.clone()
    }

    /// Closes the connection. Returns when the gateway has taken the close, or is gone: whether the connection is over.
    /// Otherwise somebody else owns it by now.
    pub async fn close(mut self, close: Close) -> bool {
        match &self.last {
            Some(Incoming::Close(_) | Incoming::Gone { closed: true }) => return true,
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
                Ok(Err(ConnectionOver)) => {
                    let closed = self.is_over();
                    self.last = Some(Incoming::Gone { closed });
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
pub struct ConnectionOver;

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
    /// [`ConnectionOver`].
    ///
    /// # Cancel safety
    /// A message of up to 64 KiB is sent whole or not at all. A larger one may be cut off: then nothing can be sent after
    /// it, and the connection ends with the next attempt.
    pub async fn send(&self, message: Message) -> Result<(), ConnectionOver> {
        let mut writer = self.opened().await?;
        writer.send(&message).await.map_err(|_| ConnectionOver)
    }

    async fn opened(&self) -> Result<tokio::sync::MutexGuard<'_, MessageWriter>, ConnectionOver> {
        let mut opened = self.0.opened.clone();
        opened.wait_for(|opened| *opened).await.map_err(|_| ConnectionOver)?;
        Ok(self.0.writer.lock().await)
    }

    async fn close(&self, close: &Close) -> Result<(), ConnectionOver> {
        let mut writer = self.opened().await?;
        poll_fn(|cx| writer.poll_room_to_close(cx)).await.map_err(|_| ConnectionOver)?;
        writer.queue_close(close);
        writer.all_handled().await.map_err(|_| ConnectionOver)
    }
}

impl std::fmt::Debug for WebSocketSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocketSender").finish_non_exhaustive()
    }
}
