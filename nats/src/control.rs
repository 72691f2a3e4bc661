//! Small frames from where nothing can be awaited (a poll, a drop, the demultiplexer), published in order.

use std::sync::Arc;

use async_nats::Subject;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use crate::link::Connection;
use crate::mailbox::Mailbox;

/// Where control frames wait for their task. The queue has no bound of its own: each exchange adds few, and while NATS
/// is away they are dropped instead (`SYNC` repairs what that breaks).
pub(crate) struct ControlFrames {
    queue: mpsc::UnboundedSender<Item>,
}

/// What the publishing task takes.
pub(crate) enum Item {
    Frame {
        to: Subject,
        /// Where an answer would go, if there can be one.
        own: Option<Subject>,
        frame: Bytes,
    },
    /// Whatever of an exchange's messages is to be sent again.
    Again(Arc<Mailbox>),
    /// Everything before it has been handed to NATS.
    Mark(oneshot::Sender<()>),
}

impl ControlFrames {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Item>) {
        let (queue, items) = mpsc::unbounded_channel();
        (Self { queue }, items)
    }

    pub(crate) fn push(&self, to: Subject, own: Option<Subject>, frame: Bytes) {
        // A task that is gone belongs to a process that ends.
        let _ = self.queue.send(Item::Frame { to, own, frame });
    }

    /// Sends again what of this exchange's messages did not arrive.
    pub(crate) fn push_again(&self, mailbox: Arc<Mailbox>) {
        let _ = self.queue.send(Item::Again(mailbox));
    }

    /// Waits until everything pushed so far has been handed to NATS.
    pub(crate) async fn flushed(&self) {
        let (mark, reached) = oneshot::channel();
        if self.queue.send(Item::Mark(mark)).is_ok() {
            let _ = reached.await;
        }
    }
}

/// Publishes until the queue's other end is gone.
pub(crate) async fn publish_all(connection: Connection, mut items: mpsc::UnboundedReceiver<Item>) {
    while let Some(item) = items.recv().await {
        match item {
            Item::Frame { to, own, frame } if connection.is_connected() => {
                let headers = async_nats::HeaderMap::new();
                if let Err(error) = connection.publish_plain(to, own, headers, frame).await {
                    debug!(%error, "a frame could not be published");
                }
            }
            Item::Frame { .. } => {}
            Item::Again(mailbox) => publish_again(&connection, &mailbox).await,
            Item::Mark(mark) => {
                let _ = mark.send(());
            }
        }
    }
}

/// Publishes until the mailbox has nothing more. While NATS is away nothing is published: the `SYNC` afterwards asks.
async fn publish_again(connection: &Connection, mailbox: &Mailbox) {
    while let Some((peer, frame)) = mailbox.next_again() {
        if connection.is_connected()
            && let Err(error) = connection.publish(peer, mailbox.own.clone(), frame).await
        {
            debug!(%error, "a frame could not be published again");
        }
    }
}
