//! One open WebSocket: forwards messages in both directions until one side ends it.
//!
//! Each direction holds one message and reads the next when that one is written, so that a slow receiver slows its
//! sender. Per connection at most these are buffered: a message for the backend, and one window of the client's next
//! messages (512 KiB); a message for the client, and the next one, which is read so that pings behind a slow client's
//! message are answered. The codec adds two small queues, and keeps the buffer of the largest message that it has read.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use h8s_nats::{Incoming, WebSocket, WebSocketSender};
use h8s_wire::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::codec::{BackendEvent, Codec};
use super::ending::{BackendClose, Ending};

/// Time for a backend to reply to a close frame and to end the connection. A drain waits for it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A WebSocket of a client, and its backend connection.
pub(crate) struct Bridge<T> {
    socket: WebSocket,
    sender: WebSocketSender,
    backend: Codec<T>,
    max_message_bytes: usize,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Bridge<T> {
    pub(crate) fn new(socket: WebSocket, io: T, max_message_bytes: usize) -> Self {
        let (sender, backend) = (socket.sender(), Codec::new(io, max_message_bytes));
        Self { socket, sender, backend, max_message_bytes }
    }

    /// Forwards messages until one side ends. Call [`end`](Self::end) then.
    pub(crate) async fn forward(&mut self) -> Ending {
        let Self { socket, sender, backend, max_message_bytes } = self;
        tokio::select! {
            biased;
            ending = async {
                // In random order, so that neither direction starves the other.
                tokio::select! {
                    ending = upstream(socket, backend, *max_message_bytes) => ending,
                    ending = downstream(backend, sender) => ending,
                }
            } => ending,
            // Polled last, so that frames queued in one poll are written together.
            never = backend.keep_flushed() => match never {},
        }
    }

    /// Closes both sides.
    pub(crate) async fn end(self, ending: &Ending) {
        let Self { socket, backend, .. } = self;
        let client = async move {
            // Without a close, dropping the socket confirms the gateway's own close.
            if let Some(close) = ending.for_client() {
                socket.close(close).await;
            }
        };
        let backend = timeout(CLOSE_TIMEOUT, async move {
            match ending.for_backend() {
                BackendClose::Send(close) => {
                    backend.close(&close);
                    backend.finish().await;
                }
                BackendClose::AlreadySent => backend.finish().await,
                BackendClose::None => backend.abandon().await,
            }
        });
        let ((), _closed_in_time) = tokio::join!(client, backend);
    }
}

async fn upstream<T: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocket,
    backend: &Codec<T>,
    max_message_bytes: usize,
) -> Ending {
    loop {
        let message = match socket.next().await {
            Incoming::Message { message, .. } => message,
            last => return Ending::of_client(last),
        };
        if message.data.len() > max_message_bytes {
            return Ending::ClientTooLarge;
        }
        backend.queue(message);
        // Reading the next message acknowledges this one.
        tokio::select! {
            biased;
            () = backend.room() => {}
            lost = socket.lost() => return Ending::of_client(lost),
        }
    }
}

async fn downstream<T: AsyncRead + AsyncWrite + Unpin>(
    backend: &Codec<T>,
    sender: &WebSocketSender,
) -> Ending {
    let mut ahead = None;
    loop {
        let event = match ahead.take() {
            Some(event) => event,
            None => backend.next().await,
        };
        let BackendEvent::Message(message) = event else { return Ending::from(event) };
        send(sender, message, backend, &mut ahead).await;
    }
}

/// Sends one message to the client, and reads the next one meanwhile.
async fn send<T: AsyncRead + AsyncWrite + Unpin>(
    sender: &WebSocketSender,
    message: Message,
    backend: &Codec<T>,
    ahead: &mut Option<BackendEvent>,
) {
    let mut sending = pin!(sender.send(message));
    let sent = loop {
        tokio::select! {
            biased;
            sent = &mut sending => break sent,
            event = backend.next(), if ahead.is_none() => *ahead = Some(event),
        }
    };
    if sent.is_err() {
        // The other direction reports the ending.
        pending::<()>().await;
    }
}
