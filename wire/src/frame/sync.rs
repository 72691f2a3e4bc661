//! The `SYNC` frame: the progress of the exchanges that two peers share. Heartbeat, loss detection and credit
//! repair in one.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::FrameError;
use crate::id::ExchangeId;
use crate::varint;

/// Flag bit 0: the receiver must reply with its own `SYNC`.
const ANSWER_WANTED: u64 = 1;

/// One exchange, as the sender of the `SYNC` sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncEntry {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Sequenced frames sent so far. NATS delivers the `SYNC` after them, so a receiver that has fewer lost some.
    pub sent: u64,
    /// Sequenced frames received so far.
    pub received: u64,
    /// The credit limit granted so far, which repairs a lost `CREDIT`.
    pub limit: u64,
}

/// Exchanges that the sender shares with the receiver. The frame has no meaning for exchanges that it does not list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sync {
    /// Whether the receiver must reply with its own `SYNC`.
    pub answer_wanted: bool,
    /// The exchanges, in any order.
    pub entries: Vec<SyncEntry>,
}

impl Sync {
    /// The number of entries that fit one frame: 128 KiB at 40 bytes each, with room for the frame's own fields.
    pub const MAX_ENTRIES: usize = 3_000;

    pub(super) fn put(&self, out: &mut BytesMut) {
        varint::put(if self.answer_wanted { ANSWER_WANTED } else { 0 }, out);
        for entry in &self.entries {
            out.put_slice(entry.exchange.as_bytes());
            varint::put(entry.sent, out);
            varint::put(entry.received, out);
            varint::put(entry.limit, out);
        }
    }

    pub(super) fn get(mut from: Bytes) -> Result<Self, FrameError> {
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
