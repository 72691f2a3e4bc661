//! The outgoing half of an exchange whose bodies are messages: keeps each message until the peer has handled it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h8s_wire::{
    AbortCode, Close, Frame, MAX_CLOSE_REASON_BYTES, Message, MessageFlags, MessageKind, frame_cost,
};

use crate::exchange::failure::{Failure, Stop};
use crate::exchange::handle::Exchange;

/// The size of a message part. Two parts and their cost fit the smallest window.
pub(crate) const PART_BYTES: usize = 64 * 1024;
/// The bytes of a `MESSAGE` frame besides its payload: kind, sequence, flags.
const MESSAGE_OVERHEAD_BYTES: usize = 10;
/// The cost of the largest part.
const PART_COST: u64 = frame_cost(PART_BYTES + MESSAGE_OVERHEAD_BYTES);
/// The cost of the largest `CLOSE`.
const CLOSE_COST: u64 = frame_cost(MAX_CLOSE_REASON_BYTES + MESSAGE_OVERHEAD_BYTES);
/// The bytes that may be kept besides a message that is being handled: twice the largest window.
const KEPT_BYTES: usize = 2 * 1024 * 1024;

/// Writes messages; see the module.
pub(crate) struct MessageWriter {
    exchange: Arc<Exchange>,
    /// The credit spent so far, against the peer's limit.
    spent: u64,
    /// The number of the next frame.
    next: u64,
    /// A message has begun and is not complete.
    is_within: bool,
    /// Sending pauses while more than this is kept: the peer controls the credit, this limit bounds our memory.
    most_kept_bytes: usize,
}

impl MessageWriter {
    /// Our `HEAD` was frame 0. The peer handles messages of up to `message_bytes` whole; they are kept until then.
    pub(crate) fn new(exchange: Arc<Exchange>, message_bytes: usize) -> Self {
        let most_kept_bytes = message_bytes.saturating_add(KEPT_BYTES);
        Self { exchange, spent: 0, next: 1, is_within: false, most_kept_bytes }
    }

    /// Whether a part of any size can be sent now.
    pub(crate) fn has_room(&self) -> bool {
        self.exchange.mailbox.has_room(self.spent + PART_COST, self.most_kept_bytes)
    }

    /// Waits until it [has room](Self::has_room), or sending has ended.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<Result<(), Stop>> {
        self.exchange.mailbox.poll_room(cx, self.spent + PART_COST, self.most_kept_bytes)
    }

    /// Like [`poll_room`](Self::poll_room), for a `CLOSE`, which is small.
    pub(crate) fn poll_room_to_close(&self, cx: &Context<'_>) -> Poll<Result<(), Stop>> {
        self.exchange.mailbox.poll_room(cx, self.spent + CLOSE_COST, usize::MAX)
    }

    /// Sends one part of at most [`PART_BYTES`]. There must be room.
    pub(crate) async fn send_part(&mut self, kind: MessageKind, bytes: Bytes, more: bool, again: bool) {
        let frame = self.part(kind, bytes, more, again);
        self.publish(frame).await;
    }

    /// Like [`send_part`](Self::send_part), without waiting for NATS: for parts that are sent again.
    pub(crate) fn queue_part(&mut self, kind: MessageKind, bytes: Bytes, more: bool, again: bool) {
        let frame = self.part(kind, bytes, more, again);
        self.queue(frame);
    }

    fn part(&self, kind: MessageKind, bytes: Bytes, more: bool, again: bool) -> Frame {
        let flags = MessageFlags { binary: kind == MessageKind::Binary, more, again };
        Frame::Message { sequence: self.next, flags, bytes }
    }

    /// Sends the last frame of this direction.
    pub(crate) fn queue_close(&mut self, close: &Close) {
        let (code, reason) = (close.code.into(), close.reason.clone());
        self.queue(Frame::Close { sequence: self.next, code, reason });
    }

    /// Sends a close where nothing can be awaited and no later retry is possible.
    pub(crate) fn close_now(&mut self, close: &Close) {
        let (code, reason) = (close.code.into(), close.reason.clone());
        self.exchange.leave_with(&Frame::Close { sequence: self.next, code, reason });
    }

    /// Sends a whole message, in parts, as credit arrives. If a caller dropped an earlier call midway, sending fails:
    /// the new message would become part of that one.
    pub(crate) async fn send(&mut self, message: &Message) -> Result<(), Stop> {
        if self.is_within {
            let reason = "a message was cut off".to_owned();
            self.exchange.abort(AbortCode::Failed, reason, Failure::Closed);
            return Err(Stop::Failed);
        }
        let mut rest = message.data.clone();
        loop {
            let part = rest.split_to(rest.len().min(PART_BYTES));
            poll_fn(|cx| self.poll_room(cx)).await?;
            let more = !rest.is_empty();
            self.is_within = more;
            self.send_part(message.kind, part, more, false).await;
            if !more {
                return Ok(());
            }
        }
    }

    /// Keeps the frame and passes it to NATS, unless NATS is disconnected or an older frame must go first. A caller
    /// that drops the future leaves no gap.
    async fn publish(&mut self, frame: Frame) {
        let Some(frame) = self.account(&frame) else { return };
        let exchange = &*self.exchange;
        if !exchange.mailbox.retain(frame.clone()) || !exchange.port.connection.is_connected() {
            return;
        }
        let unpublished = Unpublished { exchange, sequence: self.next - 1 };
        if exchange.publish_to_peer(frame).await.is_ok() {
            std::mem::forget(unpublished);
        }
    }

    fn queue(&mut self, frame: Frame) {
        let Some(frame) = self.account(&frame) else { return };
        self.exchange.mailbox.retain(frame);
        self.exchange.retransmit(self.next - 1);
    }

    fn account(&mut self, frame: &Frame) -> Option<Bytes> {
        // Encoding cannot fail: a part is smaller than a frame, and a reason is truncated.
        let frame = frame.encode().ok()?;
        self.spent += frame_cost(frame.len());
        self.next += 1;
        Some(frame)
    }

    /// Waits until the peer has handled everything.
    pub(crate) async fn all_handled(&self) -> Result<(), Stop> {
        poll_fn(|cx| self.exchange.mailbox.poll_all_handled(cx)).await
    }
}

/// A frame that may not have reached NATS. It is sent again from a task that is not dropped midway.
struct Unpublished<'a> {
    exchange: &'a Exchange,
    sequence: u64,
}

impl Drop for Unpublished<'_> {
    fn drop(&mut self) {
        self.exchange.retransmit(self.sequence);
    }
}
