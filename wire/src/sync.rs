//! `SYNC`: how far the exchanges that two parties share have come. Heartbeat and loss detection in one.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::frame::FrameError;
use crate::id::ExchangeId;
use crate::varint;

/// Bit of the flags: the receiver is asked for its own `SYNC`.
const ANSWER_WANTED: u64 = 1;

/// One exchange, as the sender of the `SYNC` sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncEntry {
    /// Which.
    pub exchange: ExchangeId,
    /// Sequenced frames sent so far. Bus order puts this after them, so who has fewer has lost some.
    pub sent: u64,
    /// Sequenced frames received so far.
    pub received: u64,
    /// The highest credit granted so far, in case that `CREDIT` was lost.
    pub limit: u64,
}

/// The exchanges that the sender shares with the receiver. Those not named are none of this frame's business.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sync {
    /// The receiver is asked for its own `SYNC`.
    pub answer_wanted: bool,
    /// In no order.
    pub entries: Vec<SyncEntry>,
}

impl Sync {
    /// Entries that fit one frame: 128 KiB at 40 bytes each, less the frame's own few.
    pub const MAX_ENTRIES: usize = 3_000;

    pub(crate) fn put(&self, out: &mut BytesMut) {
        varint::put(if self.answer_wanted { ANSWER_WANTED } else { 0 }, out);
        for entry in &self.entries {
            out.put_slice(entry.exchange.as_bytes());
            varint::put(entry.sent, out);
            varint::put(entry.received, out);
            varint::put(entry.limit, out);
        }
    }

    pub(crate) fn get(mut from: Bytes) -> Result<Self, FrameError> {
        let flags = varint::get(&mut from).ok_or(FrameError::Truncated)?;
        let mut sync = Self { answer_wanted: flags & ANSWER_WANTED != 0, entries: Vec::new() };
        while !from.is_empty() {
            let id = <[u8; 16]>::try_from(from.get(..16).ok_or(FrameError::Truncated)?);
            let exchange = ExchangeId::from_bytes(id.map_err(|_| FrameError::Truncated)?);
            from.advance(16);
            let mut number = || varint::get(&mut from).ok_or(FrameError::Truncated);
            sync.entries.push(SyncEntry { exchange, sent: number()?, received: number()?, limit: number()? });
        }
        Ok(sync)
    }
}
