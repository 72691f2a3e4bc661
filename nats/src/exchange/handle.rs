//! One end of a native exchange: its place in the registry, its frames out, and how it ends early.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::Subject;
use bytes::Bytes;
use h8s_wire::{AbortCode, ExchangeId, Frame, Inbox, Replies};

use crate::connection::client::PublishError;
use crate::exchange::endpoint::{Endpoint, subject};
use crate::exchange::failure::{Failure, Stop};
use crate::exchange::mailbox::{Mailbox, Terms};

/// Shared by the two directions; gone from the registry when both are done with it.
pub(crate) struct Exchange {
    pub(crate) port: Arc<Endpoint>,
    pub(crate) mailbox: Arc<Mailbox>,
    id: ExchangeId,
    /// The peer has been told that we do not read any more.
    left: AtomicBool,
}

impl Exchange {
    /// `None` when somebody uses this id already.
    pub(crate) fn register(
        port: &Arc<Endpoint>,
        inbox: &Inbox,
        id: ExchangeId,
        replies: Replies,
        terms: Terms,
    ) -> Option<Self> {
        let mailbox =
            Arc::new(Mailbox::new(subject(inbox.exchange(id)), replies, port.side, terms, port.now()));
        let registered = port.exchanges.insert(id, mailbox.clone());
        registered.then(|| Self { port: port.clone(), mailbox, id, left: AtomicBool::new(false) })
    }

    /// Publishes a sequenced frame to where the exchange is opened, or to the peer.
    pub(crate) async fn send_sequenced(&self, to: Subject, frame: Bytes) -> Result<(), PublishError> {
        self.port.publish(to, self.mailbox.own.clone(), frame).await?;
        self.mailbox.note_sent();
        Ok(())
    }

    /// Publishes a sequenced frame to the peer.
    pub(crate) async fn send_to_peer(&self, frame: Bytes) -> Result<(), Stop> {
        let Some(peer) = self.mailbox.peer() else { return Err(Stop::Failed) };
        match self.send_sequenced(peer, frame).await {
            Ok(()) => {
                self.mailbox.note_moved();
                Ok(())
            }
            Err(_) => {
                self.mailbox.fail(Failure::Disturbed);
                Err(Stop::Failed)
            }
        }
    }

    /// Publishes a frame that is counted elsewhere, or has no number. Nothing where no peer is known yet.
    pub(crate) async fn publish_to_peer(&self, frame: Bytes) -> Result<(), PublishError> {
        match self.mailbox.peer() {
            Some(peer) => self.port.publish(peer, self.mailbox.own.clone(), frame).await,
            None => Ok(()),
        }
    }

    /// Tells the peer that its `HEAD` has been taken, before anything else is said.
    pub(crate) async fn accept(&self, granted: u64) {
        let accepted = Frame::Credit { limit: granted, handled: 1 };
        if let Ok(frame) = accepted.encode()
            && self.publish_to_peer(frame).await.is_err()
        {
            self.mailbox.fail(Failure::Disturbed);
        }
    }

    /// Publishes an unsequenced frame to the peer, from where nothing can be awaited.
    pub(crate) fn send_soon(&self, frame: &Frame) {
        if let Some(peer) = self.mailbox.peer() {
            self.port.publish_soon(peer, self.mailbox.own.clone(), frame);
        }
    }

    /// Frames of messages from this one on go out (again), in order.
    pub(crate) fn retransmit(&self, from: u64) {
        if self.mailbox.retransmit(from) {
            self.port.retransmit(self.mailbox.clone());
        }
    }

    /// Tells the peer that we are done with so many of its frames.
    pub(crate) fn handled(&self, frames: u64) {
        let (limit, handled) = self.mailbox.note_handled(frames);
        self.send_soon(&Frame::Credit { limit, handled });
    }

    /// The same, in order with what was sent before: who hears it has heard the answers.
    pub(crate) async fn handled_in_order(&self, frames: u64) {
        let (limit, handled) = self.mailbox.note_handled(frames);
        if let Ok(frame) = (Frame::Credit { limit, handled }).encode()
            && self.port.connection.is_connected()
        {
            // What is lost, the peer's next probe brings.
            let _ = self.publish_to_peer(frame).await;
        }
    }

    /// Publishes our `HEAD` of a WebSocket, which is sent again if it is lost.
    pub(crate) async fn send_kept_head(&self, frame: Bytes) {
        self.mailbox.retain(frame.clone());
        if self.publish_to_peer(frame).await.is_err() {
            self.retransmit(0);
        }
    }

    /// Our direction will not complete.
    pub(crate) fn abort(&self, code: AbortCode, reason: String, failure: Failure) {
        let is_news = self.mailbox.failure().is_none();
        // First here: nothing that the peer answers to the abort may be taken for the exchange's outcome.
        self.mailbox.fail(failure);
        if is_news {
            self.send_soon(&Frame::Abort { code, reason });
        }
    }

    /// We do not read the peer's direction any more. Said once, and not to a peer that is gone.
    pub(crate) fn leave(&self) {
        self.leave_with(&Frame::Cancel);
    }

    /// The same, in other words.
    pub(crate) fn leave_with(&self, last: &Frame) {
        if self.mailbox.failure().is_none() && !self.left.swap(true, Ordering::Relaxed) {
            self.send_soon(last);
        }
    }

    /// Both sides know that it is over: nothing more is to be said.
    pub(crate) fn settled(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// Not in the registry any more, whoever still holds it.
    pub(crate) fn forget(&self) {
        self.port.exchanges.remove(self.id);
    }

    pub(crate) async fn opened(&self) -> Result<(), Failure> {
        poll_fn(|cx| self.mailbox.poll_opened(cx)).await
    }

    pub(crate) async fn next_frame(&self) -> Result<Bytes, Failure> {
        poll_fn(|cx| self.mailbox.poll_frame(cx)).await
    }

    pub(crate) async fn stopped(&self) -> Stop {
        poll_fn(|cx| self.mailbox.poll_stop(cx)).await
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.port.exchanges.remove(self.id);
    }
}
