//! Small frames from where nothing can be awaited (a poll, a drop, the demultiplexer), published in order.

use std::sync::Arc;

use async_nats::Subject;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use crate::connection::client::Connection;
use crate::exchange::mailbox::Mailbox;

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

    /// The queue as its own task has it: it ends with the last of the others.
    pub(crate) fn weak(&self) -> mpsc::WeakUnboundedSender<Item> {
        self.queue.downgrade()
    }

    pub(crate) fn push(&self, to: Subject, own: Option<Subject>, frame: Bytes) {
        // A task that is gone belongs to a process that ends.
        let _ = self.queue.send(Item::Frame { to, own, frame });
    }

    /// Sends again what of this exchange's messages did not arrive.
    pub(crate) fn push_retransmit(&self, mailbox: Arc<Mailbox>) {
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
pub(crate) async fn publish_all(
    connection: Connection,
    queue: mpsc::WeakUnboundedSender<Item>,
    mut items: mpsc::UnboundedReceiver<Item>,
) {
    while let Some(item) = items.recv().await {
        match item {
            Item::Frame { to, own, frame } if connection.is_connected() => {
                if let Err(error) = connection.publish(to, own, frame).await {
                    debug!(%error, "a frame could not be published");
                }
            }
            Item::Frame { .. } => {}
            Item::Again(mailbox) => {
                publish_again(&connection, &mailbox).await;
                if mailbox.has_retransmit()
                    && let Some(queue) = queue.upgrade()
                {
                    let _ = queue.send(Item::Again(mailbox));
                }
            }
            Item::Mark(mark) => {
                let _ = mark.send(());
            }
        }
    }
}

/// Publishes some of what the mailbox has: a writer that never ceases must not keep everybody else waiting. While NATS
/// is away nothing is published: the `SYNC` afterwards asks.
async fn publish_again(connection: &Connection, mailbox: &Mailbox) {
    /// Half a window of the largest parts, which takes a fast connection a millisecond.
    const FRAMES_A_TURN: usize = 8;
    for _ in 0..FRAMES_A_TURN {
        let Some((peer, frame)) = mailbox.next_retransmit() else { return };
        if connection.is_connected()
            && let Err(error) = connection.publish(peer, Some(mailbox.own.clone()), frame).await
        {
            debug!(%error, "a frame could not be published again");
        }
    }
}
