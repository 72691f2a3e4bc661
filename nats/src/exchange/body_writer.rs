//! A body on its way onto NATS: its first bytes with the head, the rest in `DATA` frames within credit.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use h8s_wire::{AbortCode, Frame, MAX_DATA_BYTES, MAX_INLINE_BYTES, frame_cost};
use http::HeaderMap;
use http_body::Body;

use crate::error::BoxError;
use crate::exchange::failure::{Failure, Stop};
use crate::exchange::flow_control::Stall;
use crate::exchange::handle::Exchange;

/// Room that a `DATA` frame takes beside its bytes: kind and sequence.
const DATA_OVERHEAD_BYTES: usize = 9;

/// A body and what has been read of it but not sent.
pub(crate) struct Outgoing<B> {
    body: Pin<Box<B>>,
    ready: VecDeque<Bytes>,
    ready_bytes: usize,
    trailers: Option<HeaderMap>,
    end: End,
}

/// What is known of a body's end.
enum End {
    /// More may come.
    Open,
    Complete,
    Failed(Option<BoxError>),
}

impl<B> Outgoing<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(body: B) -> Self {
        let end = if body.is_end_stream() { End::Complete } else { End::Open };
        Self { body: Box::pin(body), ready: VecDeque::new(), ready_bytes: 0, trailers: None, end }
    }

    /// Complete, with nothing beyond the bytes that are ready: it can travel with its head.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.end, End::Complete) && self.trailers.is_none() && self.ready_bytes <= MAX_INLINE_BYTES
    }

    /// Nothing more is to be read from it.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.end, End::Complete)
    }

    /// The number of bytes still to come, as far as the body knows.
    pub(crate) fn upper_bound(&self) -> Option<u64> {
        self.body.size_hint().upper()
    }

    pub(crate) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// The error that the body ended with, once.
    pub(crate) fn take_error(&mut self) -> Option<BoxError> {
        match &mut self.end {
            End::Failed(error) => error.take(),
            End::Open | End::Complete => None,
        }
    }

    /// Reads until `bytes` are ready or the body ends. Ready at once when either is so already.
    pub(crate) async fn fill(&mut self, bytes: usize) {
        poll_fn(|cx| self.poll_fill(cx, bytes)).await;
    }

    /// Reads what is there without waiting.
    pub(crate) async fn fill_ready(&mut self, bytes: usize) {
        poll_fn(|cx| {
            let _ = self.poll_fill(cx, bytes);
            Poll::Ready(())
        })
        .await;
    }

    /// The same, where more is to be done at each poll.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<()> {
        while matches!(self.end, End::Open) && self.ready_bytes < bytes {
            match self.body.as_mut().poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.end = End::Complete,
                Poll::Ready(Some(Err(error))) => self.end = End::Failed(Some(error.into())),
                Poll::Ready(Some(Ok(frame))) => self.take(frame),
            }
        }
        Poll::Ready(())
    }

    fn take(&mut self, frame: http_body::Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                self.ready_bytes += data.len();
                self.ready.push_back(data);
            }
            Err(frame) => self.trailers = frame.into_trailers().ok().filter(|trailers| !trailers.is_empty()),
        }
        // Saves a poll, and lets a short body travel with its head.
        if self.body.is_end_stream() {
            self.end = End::Complete;
        }
    }

    /// A look at up to `bytes` of what is ready, in one piece.
    pub(crate) fn peek_ready(&mut self, bytes: usize) -> Bytes {
        let first = self.take_ready(bytes);
        if !first.is_empty() {
            self.ready_bytes += first.len();
            self.ready.push_front(first.clone());
        }
        first
    }

    /// Takes up to `bytes` of what is ready.
    pub(crate) fn take_ready(&mut self, bytes: usize) -> Bytes {
        let bytes = bytes.min(self.ready_bytes);
        self.ready_bytes -= bytes;
        match self.ready.front_mut() {
            None => return Bytes::new(),
            Some(first) if first.len() > bytes => return first.split_to(bytes),
            Some(first) if first.len() == bytes => return self.ready.pop_front().unwrap_or_default(),
            Some(_) => {}
        }
        let mut joined = BytesMut::with_capacity(bytes);
        while joined.len() < bytes {
            let Some(first) = self.ready.front_mut() else { break };
            let part = first.len().min(bytes - joined.len());
            joined.extend_from_slice(&first[..part]);
            first.advance(part);
            if first.is_empty() {
                self.ready.pop_front();
            }
        }
        joined.freeze()
    }

    /// Sends everything to the peer as credit allows, then `END`; or `ABORT` when the body fails.
    ///
    /// `next` is the sequence number of the first frame.
    pub(crate) async fn send(&mut self, exchange: &Exchange, mut next: u64) -> Result<(), Stop> {
        let mut spent = 0;
        loop {
            self.wait_for_bytes(exchange).await?;
            if self.ready_bytes == 0 {
                return self.finish(exchange, next).await;
            }
            let limit = wait_for_credit(exchange, spent).await?;
            let bytes = self.take_ready(payload_within(limit - spent));
            let frame = encode(exchange, &Frame::Data { sequence: next, bytes })?;
            spent += frame_cost(frame.len());
            next += 1;
            exchange.send_to_peer(frame).await?;
        }
    }

    /// Waits until something is ready or the body is over, and gathers whatever else is there already: many small
    /// pieces become few frames, and a lone piece leaves at once.
    async fn wait_for_bytes(&mut self, exchange: &Exchange) -> Result<(), Stop> {
        if self.ready_bytes == 0 {
            tokio::select! {
                biased;
                stop = exchange.stopped() => return Err(stop),
                () = self.fill(1) => {}
            }
        }
        self.fill_ready(MAX_DATA_BYTES).await;
        Ok(())
    }

    async fn finish(&mut self, exchange: &Exchange, next: u64) -> Result<(), Stop> {
        if let Some(error) = self.take_error() {
            let reason = error.to_string();
            exchange.abort(AbortCode::Failed, reason, Failure::Body(std::sync::Arc::new(error)));
            return Err(Stop::Failed);
        }
        let trailers = self.trailers.take().unwrap_or_default();
        let frame = encode(exchange, &Frame::End { sequence: next, trailers })?;
        exchange.send_to_peer(frame).await
    }
}

/// Trailers too large for a frame are our side's failure.
fn encode(exchange: &Exchange, frame: &Frame) -> Result<Bytes, Stop> {
    frame.encode().map_err(|error| {
        exchange.abort(AbortCode::Failed, error.to_string(), Failure::Closed);
        Stop::Failed
    })
}

/// At least one byte beyond a frame's fixed cost.
async fn wait_for_credit(exchange: &Exchange, spent: u64) -> Result<u64, Stop> {
    let mut stall = Stall::default();
    poll_fn(|cx| {
        let credit = exchange.mailbox.poll_credit(cx, spent + frame_cost(DATA_OVERHEAD_BYTES));
        stall.note(credit.is_pending());
        credit
    })
    .await
}

fn payload_within(credit: u64) -> usize {
    let bytes = credit.saturating_sub(frame_cost(DATA_OVERHEAD_BYTES));
    usize::try_from(bytes).unwrap_or(usize::MAX).min(MAX_DATA_BYTES)
}
