//! A plain response in pieces: one message each, an empty one ends it (`PROTOCOL.md §4`).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use crate::error::BodyError;
use crate::plain::client::CloseNotice;
use crate::plain::inbox::{BUFFER_BYTES, PlainExchange, PlainFailure};

/// See the module.
pub(crate) struct PlainStream {
    exchange: PlainExchange,
    /// The first piece, which came with the head.
    first: Bytes,
    /// Bytes still to come, where the head declared a length.
    left: Option<u64>,
    idle: Duration,
    silence: Pin<Box<Sleep>>,
    notice: Option<CloseNotice>,
}

impl PlainStream {
    /// `idle` is how long a next piece may take.
    pub(crate) fn new(
        exchange: PlainExchange,
        first: Bytes,
        declared_bytes: Option<u64>,
        idle: Duration,
        notice: CloseNotice,
    ) -> Self {
        let silence = Box::pin(tokio::time::sleep(idle));
        Self { exchange, first, left: declared_bytes, idle, silence, notice: Some(notice) }
    }

    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Poll::Ready(Some(self.count(first)));
        }
        let Some(notice) = &mut self.notice else { return Poll::Ready(None) };
        let result = match self.exchange.poll_next(cx) {
            Poll::Ready(Ok(message)) if message.payload.is_empty() => {
                notice.ended_well();
                self.notice = None;
                return Poll::Ready(None);
            }
            Poll::Ready(Ok(message)) => Ok(message.payload),
            Poll::Ready(Err(PlainFailure::Overflow)) => {
                Err(BodyError::Overflow { limit_bytes: BUFFER_BYTES })
            }
            Poll::Ready(Err(PlainFailure::NoResponders)) => Err(BodyError::PeerGone),
            Poll::Ready(Err(PlainFailure::Disturbed)) => Err(BodyError::Lost),
            Poll::Pending if self.silence.as_mut().poll(cx).is_ready() => Err(BodyError::Timeout),
            Poll::Pending => return Poll::Pending,
        };
        self.silence.as_mut().reset(Instant::now() + self.idle);
        let result = result.and_then(|piece| self.count(piece));
        if result.is_err() {
            // Dropping it tells the responder.
            self.notice = None;
        }
        Poll::Ready(Some(result))
    }

    /// More than was declared would be another response's bytes to the client.
    fn count(&mut self, piece: Bytes) -> Result<Bytes, BodyError> {
        if let Some(left) = &mut self.left {
            *left = left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| BodyError::Invalid("more bytes than Content-Length says".into()))?;
        }
        Ok(piece)
    }
}
