//! One open WebSocket: from the client to the backend and back, until one of them ends it.
//!
//! Each direction has one message in hand, in order, and asks for the next when that is on its way: who does not take
//! what the other says makes the other wait. Held at most, per connection: a message for the backend, and what of the
//! next the client has sent (a window of 1 MiB); a message for the client, and the one behind it, which is read so that
//! pings behind a slow client's message are answered. The codec adds its two small queues, and keeps the buffer of the
//! largest message that it has read.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use h8s_nats::{Incoming, WebSocket, WebSocketSender};
use h8s_wire::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::codec::{Codec, Said};
use super::ending::{Ending, Farewell};

/// How long a backend may take to answer a close frame and to end the connection. A server that lives does it at once,
/// and a drain waits for it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// See the module.
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

    /// Passes messages on until one side ends. Then [`end`](Self::end) it.
    pub(crate) async fn converse(&mut self) -> Ending {
        let Self { socket, sender, backend, max_message_bytes } = self;
        tokio::select! {
            biased;
            ending = async {
                // In turns who is first: neither direction keeps the other from this task's share of the processor.
                tokio::select! {
                    ending = upstream(socket, backend, *max_message_bytes) => ending,
                    ending = downstream(backend, sender) => ending,
                }
            } => ending,
            // Behind both, so that what they queued in one turn is written together.
            never = backend.keep_flushed() => match never {},
        }
    }

    /// Tells both sides, and closes what is open.
    pub(crate) async fn end(self, ending: &Ending) {
        let Self { socket, backend, .. } = self;
        let client = async move {
            // Without anything to say, the gateway learns that its own close has been handled.
            if let Some(close) = ending.for_client() {
                socket.close(close).await;
            }
        };
        let backend = timeout(CLOSE_TIMEOUT, async move {
            match ending.for_backend() {
                Farewell::Say(close) => {
                    backend.close(&close);
                    backend.finish().await;
                }
                Farewell::Said => backend.finish().await,
                Farewell::None => backend.abandon().await,
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
        // Asking for the next says that this one is handled.
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
        let said = match ahead.take() {
            Some(said) => said,
            None => backend.next().await,
        };
        let Said::Message(message) = said else { return Ending::from(said) };
        send(sender, message, backend, &mut ahead).await;
    }
}

/// Sends one message to the client, and reads meanwhile what comes behind it.
async fn send<T: AsyncRead + AsyncWrite + Unpin>(
    sender: &WebSocketSender,
    message: Message,
    backend: &Codec<T>,
    ahead: &mut Option<Said>,
) {
    let mut sending = pin!(sender.send(message));
    let sent = loop {
        tokio::select! {
            biased;
            sent = &mut sending => break sent,
            said = backend.next(), if ahead.is_none() => *ahead = Some(said),
        }
    };
    if sent.is_err() {
        // The other direction knows how the connection ended.
        pending::<()>().await;
    }
}
