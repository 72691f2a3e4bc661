//! Bytes that depend on their position, generated and compared at memory speed, without a hash.
//!
//! Each eight bytes are their position times an odd constant, which reveals missing, repeated and reordered bytes.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Odd, so that no two positions have the same word; 2⁶⁴ over the golden ratio, so that all bytes change.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
const WORD_BYTES: usize = 8;
/// The size of one piece of a large body, as from a file server.
const PIECE_BYTES: u64 = 64 * 1024;

/// Writes the bytes from `position` on.
pub fn fill(position: u64, bytes: &mut [u8]) {
    let inside = (position % WORD_BYTES as u64) as usize;
    let mut word = (position / WORD_BYTES as u64).wrapping_mul(STEP);
    // The rest of a word that starts before `position`.
    let (first, rest) = bytes.split_at_mut(((WORD_BYTES - inside) % WORD_BYTES).min(bytes.len()));
    if !first.is_empty() {
        first.copy_from_slice(&word.to_le_bytes()[inside..inside + first.len()]);
        word = word.wrapping_add(STEP);
    }
    let (words, last) = rest.as_chunks_mut();
    for bytes in words {
        *bytes = word.to_le_bytes();
        word = word.wrapping_add(STEP);
    }
    last.copy_from_slice(&word.to_le_bytes()[..last.len()]);
}

/// A body of a given number of these bytes, generated on demand.
#[derive(Debug)]
pub struct Contents {
    position: u64,
    bytes: u64,
}

impl Contents {
    /// A body of `bytes` bytes.
    pub fn of(bytes: u64) -> Self {
        Self { position: 0, bytes }
    }
}

impl Body for Contents {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = PIECE_BYTES.min(self.bytes - self.position);
        if next == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; next as usize];
        fill(self.position, &mut piece);
        self.position += next;
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.position == self.bytes
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes - self.position)
    }
}

/// Compares a body piece by piece.
#[derive(Debug, Default)]
pub struct Comparison {
    position: u64,
    expected: Vec<u8>,
}

impl Comparison {
    /// Compares a whole body. Returns its size.
    ///
    /// # Errors
    ///
    /// The body's error.
    ///
    /// # Panics
    ///
    /// If the bytes differ.
    pub async fn all<B: Body<Data = Bytes>>(body: B) -> Result<u64, B::Error> {
        let (mut body, mut comparison) = (std::pin::pin!(body), Self::default());
        while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            if let Ok(data) = frame?.into_data() {
                comparison.next(&data);
            }
        }
        Ok(comparison.bytes())
    }

    /// Compares the next piece.
    ///
    /// # Panics
    ///
    /// If the bytes differ.
    pub fn next(&mut self, bytes: &[u8]) {
        self.expected.resize(bytes.len(), 0);
        fill(self.position, &mut self.expected);
        assert!(self.expected == bytes, "other bytes after {} bytes", self.position);
        self.position += bytes.len() as u64;
    }

    /// The number of compared bytes.
    pub fn bytes(&self) -> u64 {
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_pieces_of_it_are_the_same_body() {
        let mut whole = vec![0; 1000];
        fill(0, &mut whole);
        let mut comparison = Comparison::default();

        for piece in whole.chunks(7) {
            comparison.next(piece);
        }

        assert_eq!(comparison.bytes(), 1000);
    }

    #[test]
    #[should_panic(expected = "other bytes after 8 bytes")]
    fn a_missing_byte_is_noticed() {
        let mut whole = vec![0; 100];
        fill(0, &mut whole);
        let mut comparison = Comparison::default();

        comparison.next(&whole[..8]);
        comparison.next(&whole[9..]);
    }
}
